"""Which AWS calls a fault strikes."""

from __future__ import annotations

import pytest

from sandbox.aws.proxy import AwsFault, AwsProxy, operation_of

BODY = b'{"SecretId": "b2b-order-relay/abc"}'


def struck(proxy: AwsProxy, operation: str = "sqs.SendMessage", body: bytes = BODY) -> AwsFault | None:
    return proxy._draw(operation, body)


def test_a_fault_strikes_calls_of_its_operation_whose_body_holds_its_text() -> None:
    proxy = AwsProxy()
    with proxy.fault(AwsFault("sqs.SendMessage", contains="/abc")) as fault:
        assert struck(proxy) is fault
        assert struck(proxy, body=b"{}") is None
        assert struck(proxy, "sqs.ReceiveMessage") is None
    assert struck(proxy) is None


@pytest.mark.parametrize(("operation", "strikes"), [("dynamodb.PutItem", True), ("sqs.SendMessage", False)])
def test_an_operation_can_be_a_pattern(operation: str, *, strikes: bool) -> None:
    proxy = AwsProxy()
    proxy.add(AwsFault("dynamodb.*"))

    assert (struck(proxy, operation) is not None) is strikes


def test_a_fault_ends_after_as_many_times_as_it_was_told() -> None:
    proxy = AwsProxy()
    proxy.add(AwsFault("sqs.*", times=1))

    assert struck(proxy) is not None
    assert struck(proxy) is None


def test_what_only_counts_lets_the_call_go_on_and_to_the_next_fault() -> None:
    proxy = AwsProxy()
    counting, failing = AwsFault("sqs.*", only_counts=True), AwsFault("sqs.*", times=1)
    proxy.add(counting)
    proxy.add(failing)

    assert [struck(proxy) is failing, struck(proxy) is None] == [True, True]
    assert counting.struck == 2


@pytest.mark.parametrize(
    ("target", "body", "operation"),
    [
        ("DynamoDB_20120810.PutItem", b"{}", "dynamodb.PutItem"),
        ("AmazonSQS.SendMessage", b"{}", "sqs.SendMessage"),
        ("secretsmanager.GetSecretValue", b"{}", "secretsmanager.GetSecretValue"),
        ("", b"Version=1&Action=SendMessage&x=y", "sqs.SendMessage"),
        ("", b"", "unknown"),
    ],
)
def test_an_operation_is_known_by_its_header_or_its_form(target: str, body: bytes, operation: str) -> None:
    assert operation_of({"X-Amz-Target": target}, body) == operation
