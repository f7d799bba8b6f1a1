"""The entry points, with the events of `events/`, in one process."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from moto import mock_aws

from handler.enrichment import Rules
from sandbox.demo.samples import CUSTOMER_ID, ORDER_ID, STORE, renew
from sandbox.demo.scenarios import secret_of
from sandbox.store.orders import PO_LINE
from sandbox.store.server import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
REGION = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
SETTINGS = {
    "POWERTOOLS_SERVICE_NAME": "relay",
    "EVENT_BUS_NAME": "orders",
    "IDEMPOTENCY_TABLE": "idempotency",
    "SECRET_PREFIX": "relay",
    "LATE_REQUESTS_PER_MINUTE": "60",
    "RECOVERY_FIRST_DELAY_SECONDS": "5",
    "RECOVERY_LONGEST_DELAY_SECONDS": "3600",
    "GIVE_UP_AFTER_MINUTES": "1440",
    "REMEMBER_DONE_DAYS": "35",
    "PUBLISH_OUTCOMES": "true",
    "RECOVERY_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/recovery",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters",
    "STORE_API_URL": "https://api.bigcommerce.com",
    "B2B_API_URL": "https://api-b2b.bigcommerce.com",
}
CONTEXT = SimpleNamespace(
    function_name="relay",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:relay",
    aws_request_id="6f1c0f7e",
    get_remaining_time_in_millis=lambda: 15_000,
)


@pytest.fixture
def sandbox() -> Iterator[SandboxStore]:
    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(STORE)
        sandbox.place_order(
            store,
            order_id=ORDER_ID,
            customer_id=CUSTOMER_ID,
            customer_message=f"{PO_LINE}04152025-0002",
            automatic_record_after=None,
        )
        yield sandbox


@pytest.fixture
def app(sandbox: SandboxStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name, value in (REGION | SETTINGS | {"STORE_API_URL": sandbox.url, "B2B_API_URL": sandbox.url}).items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("events").create_event_bus(Name="orders")
        boto3.client("secretsmanager").create_secret(
            Name=f"relay/{STORE.hash}", SecretString=json.dumps(secret_of(STORE))
        )
        boto3.client("dynamodb").create_table(
            TableName="idempotency",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        for name in ("RECOVERY_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"):
            boto3.client("sqs").create_queue(QueueName=SETTINGS[name].rpartition("/")[2])
        sys.modules.pop("handler.app", None)
        yield importlib.import_module("handler.app")
        sys.modules.pop("handler.app", None)


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
    return renew(event, time.time())


def metrics_in(output: str) -> set[str]:
    """Names of the metrics in what a function wrote."""
    blobs = [json.loads(line) for line in output.splitlines() if line.startswith('{"_aws"')]
    return {
        metric["Name"] for blob in blobs for group in blob["_aws"]["CloudWatchMetrics"] for metric in group["Metrics"]
    }


@pytest.mark.parametrize(
    ("name", "status", "metric"),
    [
        ("api-webhook", 200, "WebhookAccepted"),
        ("api-webhook-channel", 200, "WebhookAccepted"),
        ("api-webhook-forged", 401, "WebhookUnauthenticated"),
        ("api-webhook-other-scope", 200, "WebhookIgnored"),
    ],
)
def test_a_webhook_is_answered_and_counted(
    app: ModuleType, capsys: pytest.CaptureFixture[str], name: str, status: int, metric: str
) -> None:
    answer = app.handle_order_event(sample(name), CONTEXT)

    assert answer["statusCode"] == status
    assert {metric, "AcknowledgeTime"} <= metrics_in(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["bus-order", "bus-order-wrapped", "bus-order-with-customer", "partner-order"])
def test_a_bus_event_creates_the_record(
    app: ModuleType, sandbox: SandboxStore, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    app.handle_order_event(sample(name), CONTEXT)

    record = sandbox.record(STORE, ORDER_ID)
    assert record is not None
    assert record.po_number == "04152025-0002"
    assert {"OrderCreated", "TimeToCreate", "WindowLeft"} <= metrics_in(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["recovery-message", "recovery-on-failure-record", "recovery-undelivered-event"])
def test_a_message_of_any_shape_is_worked_on(
    app: ModuleType, sandbox: SandboxStore, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    event = sample(name)
    context = SimpleNamespace(**vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: 60_000})

    answer = app.recover_orders(event, context)

    staying = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert staying == [event["Records"][0]["messageId"]]  # no record yet: it is waited for
    assert len(sandbox.requests("b2b.get", store=STORE)) == 1
    assert "OrderRetried" in metrics_in(capsys.readouterr().out)


def test_reconcile_answers_by_store(app: ModuleType, sandbox: SandboxStore) -> None:
    app.handle_order_event(sample("bus-order"), CONTEXT)
    sandbox.place_order(STORE, customer_id=CUSTOMER_ID, created_ago_seconds=300)

    assert app.reconcile_stores(sample("schedule"), CONTEXT) == {STORE.hash: 1}


def outcomes(url: str) -> list[str]:
    """The detail-types of the outcome events in a queue."""
    messages = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return sorted(json.loads(message["Body"])["detail-type"] for message in messages)


def test_each_function_publishes_its_outcomes_to_the_rules_of_the_bus(app: ModuleType, sandbox: SandboxStore) -> None:
    url = boto3.client("sqs").create_queue(QueueName="outcomes")["QueueUrl"]
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["b2b-order-relay"], "detail-type": [{"prefix": "order."}]}
    boto3.client("events").put_rule(Name="outcomes", EventBusName="orders", EventPattern=json.dumps(pattern))
    boto3.client("events").put_targets(Rule="outcomes", EventBusName="orders", Targets=[{"Id": "queue", "Arn": arn}])

    app.handle_order_event(sample("bus-order"), CONTEXT)
    assert outcomes(url) == ["order.created"]

    app.recover_orders(sample("recovery-on-failure-record"), CONTEXT)
    assert outcomes(url) == ["order.late"]

    sandbox.place_order(STORE, customer_id=CUSTOMER_ID, created_ago_seconds=300)
    app.reconcile_stores(sample("schedule"), CONTEXT)
    assert outcomes(url) == ["order.late"]


def test_a_late_order_is_handed_over_although_sqs_fails_three_times(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def unreachable(request: Any, **_: Any) -> None:
        attempts.append(request.url)
        if len(attempts) <= 3:
            raise ConnectionClosedError(endpoint_url=request.url)

    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register_first("before-send.sqs.SendMessage", unreachable)
    event = sample("bus-order")
    event["detail"]["created_at"] -= 60

    app.handle_order_event(event, CONTEXT)

    boto3.DEFAULT_SESSION.events.unregister("before-send.sqs.SendMessage", unreachable)
    queued = boto3.client("sqs").get_queue_attributes(QueueUrl=SETTINGS["RECOVERY_QUEUE_URL"], AttributeNames=["All"])
    assert queued["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"
    assert len(attempts) == 4


def test_a_bus_event_of_another_scope_is_counted(app: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    event = sample("bus-order")
    event["detail"]["scope"] = "store/order/updated"

    app.handle_order_event(event, CONTEXT)

    assert "WebhookIgnored" in metrics_in(capsys.readouterr().out)


def test_a_bus_event_that_cannot_be_read_is_a_dead_letter(app: ModuleType) -> None:
    event = sample("bus-order") | {"detail": {"shape": "unheard-of"}}

    app.handle_order_event(event, CONTEXT)

    url = SETTINGS["DEAD_LETTER_QUEUE_URL"]
    [letter] = boto3.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(letter["Body"]) == event


def test_a_rule_that_fails_is_counted_by_its_name(
    app: ModuleType, sandbox: SandboxStore, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = Rules.parse('[all]\npo_number = "length(customer_id)"')
    app.relay.rules.by_store[STORE.hash] = rules.for_all

    app.handle_order_event(sample("bus-order"), CONTEXT)

    output = capsys.readouterr().out
    assert sandbox.record(STORE, ORDER_ID) is not None
    assert '"rule":"all.po_number"' in output.replace(" ", "")
    assert "EnrichmentRuleFailed" in metrics_in(output)


START_UP = """
import socket, sys
def refuse(*_): raise AssertionError("start-up opened a connection")
socket.socket.connect = refuse
import handler.app
unwanted = {"pydantic", "aws_xray_sdk", "cryptography", "jsonschema", "fastjsonschema", "flask", "moto", "aiohttp", "rich",
            "typer", "yaml", "numpy", "asyncio"}
print(sorted(unwanted & set(sys.modules)))
"""


def test_start_up_opens_no_connection_and_imports_nothing_heavy() -> None:
    environment = REGION | SETTINGS | {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}

    result = subprocess.run(
        [sys.executable, "-c", START_UP], env=environment, capture_output=True, text=True, check=False
    )

    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_a_wrong_setting_stops_the_start_and_is_named() -> None:
    environment = REGION | SETTINGS | {"PYTHONPATH": str(ROOT / "src"), "STORE_API_URL": "http://example.com"}

    result = subprocess.run(
        [sys.executable, "-c", "import handler.app"], env=environment, capture_output=True, text=True, check=False
    )

    assert result.returncode != 0
    assert "STORE_API_URL must be an https:// address" in result.stderr
