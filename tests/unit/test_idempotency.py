"""A claim on an order whose answer is lost: DynamoDB is asked once more, and the claim must not take itself for another's."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError

from handler.container import TABLE_CALLS
from handler.order_event import OrderEvent
from handler.outcomes import Created, Duplicate, Finished, Updated
from handler.table.idempotency import OrderIdempotency
from support.aws import FakeContext
from support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.telemetry import Written

EVENT = OrderEvent("abcde", 250, 0.0, "c")
REMEMBER_DAYS = 35
LOST = None
OK: dict[str, Any] = {}


class Table:
    """DynamoDB's answers, one for each attempt; LOST is a connection that is closed without one."""

    def __init__(self, *answers: Callable[[dict[str, Any]], dict[str, Any]] | dict[str, Any] | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        client: Any = boto3.client("dynamodb", config=TABLE_CALLS, **keys)  # type: ignore[call-overload]  # keys by name
        client.meta.events.register("before-send.dynamodb", self._answer)
        self.idempotency = OrderIdempotency("idempotency", client, REMEMBER_DAYS)

    def run(self, work: Callable[[bool], Finished]) -> Finished | Duplicate:
        return self.idempotency.run(EVENT, work, cast("Any", FakeContext(FakeClock())))

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        body = json.loads(request.body)
        self.asked.append((request.headers["X-Amz-Target"].decode().partition(".")[2], body))
        answer = self.answers.pop(0) if self.answers else OK
        if answer is None:
            raise ConnectionClosedError(endpoint_url=request.url)
        whole = answer(body) if callable(answer) else answer
        raw = SimpleNamespace(stream=lambda: [json.dumps(whole).encode()])
        return AWSResponse(request.url, 400 if "__type" in whole else 200, HTTPHeaders(), raw)


def there_is(item: dict[str, Any]) -> dict[str, Any]:
    kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
    return {"__type": kind, "Item": item}


def fails(_again: bool) -> Finished:
    raise ZeroDivisionError


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)


def test_a_claim_whose_answer_was_lost_is_recognized_and_the_order_is_processed(written: Written) -> None:
    table = Table(LOST, lambda request: there_is(request["Item"]))

    assert table.run(lambda _: Updated()) == Updated()
    assert [operation for operation, _ in table.asked] == ["PutItem", "PutItem", "UpdateItem"]
    assert "TableUnavailable" not in written.metrics


def test_a_finished_order_is_stored_for_remember_done_days() -> None:
    table = Table()
    began = time.time()

    table.run(lambda _: Updated())

    operation, request = table.asked[-1]
    assert operation == "UpdateItem"
    assert int(request["ExpressionAttributeValues"][":expiry"]["N"]) >= int(began) + REMEMBER_DAYS * 86_400


def test_a_repeated_claim_that_finds_another_claim_is_a_duplicate() -> None:
    def another(request: dict[str, Any]) -> dict[str, Any]:
        later = str(int(request["Item"]["in_progress_expiration"]["N"]) + 1)
        return there_is(request["Item"] | {"in_progress_expiration": {"N": later}})

    assert Table(LOST, another).run(lambda _: Updated()) == Duplicate(in_progress=True)


def test_a_claim_that_was_not_repeated_is_not_compared_with_the_one_found() -> None:
    table = Table(lambda request: there_is(request["Item"]))

    assert table.run(lambda _: Updated()) == Duplicate(in_progress=True)


def test_a_claim_refused_for_a_record_that_is_gone_is_made_again() -> None:
    refused = there_is({})
    del refused["Item"]
    table = Table(refused)

    assert table.run(lambda _: Updated()) == Updated()
    assert [operation for operation, _ in table.asked] == ["PutItem", "GetItem", "PutItem", "UpdateItem"]


def test_when_a_finished_order_cannot_be_stored_its_outcome_stands_and_the_work_is_not_repeated(
    written: Written,
) -> None:
    calls: list[bool] = []

    def work(again: bool) -> Finished:
        calls.append(again)
        return Updated()

    assert Table(OK, LOST, LOST).run(work) == Updated()
    assert calls == [False]
    assert written.metrics["TableUnavailable"] == [1.0]


def test_when_the_claim_of_failed_work_cannot_be_removed_the_works_own_error_is_raised() -> None:
    table = Table(OK, LOST, LOST)

    with pytest.raises(ZeroDivisionError):
        table.run(fails)
    assert [operation for operation, _ in table.asked] == ["PutItem", "DeleteItem", "DeleteItem"]


def test_when_the_claim_gets_no_answer_the_order_is_processed_and_stored_afterwards(written: Written) -> None:
    table = Table(LOST, LOST, OK)

    assert table.run(lambda _: Created(1.0, 9.0, ("all.po_number",))) == Created(1.0, 9.0, ("all.po_number",))
    operation, request = table.asked[-1]
    assert operation == "UpdateItem"
    assert "COMPLETED" in json.dumps(request)
    assert json.loads(request["ExpressionAttributeValues"][":response_data"]["S"]) == {
        "outcome": "Created",
        "rules_failed": ["all.po_number"],
    }
    assert written.metrics["TableUnavailable"] == [1.0]


def test_when_the_table_never_answers_the_order_is_processed(written: Written) -> None:
    table = Table(LOST, LOST, LOST, LOST)

    assert table.run(lambda _: Updated()) == Updated()
    assert written.metrics["TableUnavailable"] == [1.0, 1.0]
    assert [line["error"] for line in written.log] == ["ConnectionClosedError"] * 2


def test_work_that_fails_without_a_claim_fails_as_it_would_with_one() -> None:
    with pytest.raises(ZeroDivisionError):
        Table(LOST, LOST).run(fails)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([{"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException"}], "AccessDeniedException"),
        ([LOST, LOST], "ConnectionClosedError"),
    ],
)
def test_a_table_that_fails_is_logged_with_the_code_of_aws(written: Written, answers: list[Any], code: str) -> None:
    Table(*answers).run(lambda _: Updated())

    [line] = [line for line in written.log if line["event"] == "table.unavailable"]
    assert line["message"] == "table unavailable; the order is processed without it"
    assert line["error"] == code


@pytest.mark.parametrize(
    ("finished", "stored"),
    [
        (Updated(), {"outcome": "Updated"}),
        (Created(1.0, 9.0, ("all.po_number",)), {"outcome": "Created", "rules_failed": ["all.po_number"]}),
    ],
)
def test_the_outcome_and_the_failed_rules_are_stored(finished: Finished, stored: dict[str, Any]) -> None:
    table = Table()

    table.run(lambda _: finished)

    _, update = table.asked[-1]
    assert [
        json.loads(value["S"]) for value in update["ExpressionAttributeValues"].values() if "{" in value.get("S", "")
    ] == [stored]
