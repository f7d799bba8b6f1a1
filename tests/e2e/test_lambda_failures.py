"""A rule's Lambda target that fails: the emulator sends on what AWS would send on, and to where the template says."""

from __future__ import annotations

import io
import json
import time
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from handler.errors import Cause
from handler.queues import read_letter
from sandbox.aws.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.without_relay("the emulator is what is tested, with a function of its own")

ACCOUNT = "000000000000"
CODE = """
import os, time
def handler(event, context):
    print("called", flush=True)
    if event["detail"]["end"] == "raise":
        raise ValueError("no")
    if event["detail"]["end"] == "hang":
        time.sleep(60)
    if event["detail"]["end"] == "die":
        os.kill(os.getpid(), 9)
"""
ORDER = {"scope": "store/order/created", "producer": "stores/abc", "data": {"type": "order", "id": 101}}


class Account:
    """An emulated account with one rule, whose function ends as the event says."""

    def __init__(self, emulator: Emulator) -> None:
        self.sqs, self.events = emulator.client("sqs"), emulator.client("events")
        self.functions, self.logs = emulator.client("lambda"), emulator.client("logs")
        self.failed, self.failed_arn = self._queue("failed")
        self.undelivered, self.undelivered_arn = self._queue("undelivered")
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", CODE)
        self.functions.create_function(
            FunctionName="target",
            Runtime="python3.13",
            Handler="app.handler",
            Role=f"arn:aws:iam::{ACCOUNT}:role/none",
            Code={"ZipFile": code.getvalue()},
            Timeout=1,
            Publish=True,
        )
        self.functions.create_alias(FunctionName="target", Name="live", FunctionVersion="1")
        self.events.put_rule(Name="rule", EventPattern=json.dumps({"detail-type": ["bigCommerceWebhook"]}))
        self.aim_at("target:live")

    def aim_at(self, function: str) -> None:
        arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"
        target = {"Id": "function", "Arn": arn, "DeadLetterConfig": {"Arn": self.undelivered_arn}}
        self.events.put_targets(Rule="rule", Targets=[target])

    def configure(self, retries: int, **destination: Any) -> None:
        self.functions.put_function_event_invoke_config(
            FunctionName="target", Qualifier="live", MaximumRetryAttempts=retries, DestinationConfig=destination
        )

    def happens(self, end: str) -> None:
        detail = json.dumps(ORDER | {"end": end})
        self.events.put_events(Entries=[{"Source": "test", "DetailType": "bigCommerceWebhook", "Detail": detail}])

    def messages(self, queue_url: str, patience_seconds: float = 15.0) -> list[dict[str, Any]]:
        ends_at = time.monotonic() + patience_seconds
        while time.monotonic() < ends_at:
            if found := self.sqs.receive_message(QueueUrl=queue_url).get("Messages", []):
                for message in found:  # or the next test would meet it when it is visible again
                    self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                return [json.loads(message["Body"]) for message in found]
            time.sleep(0.1)
        return []

    def calls(self) -> int:
        events = self.logs.filter_log_events(logGroupName="/aws/lambda/target")["events"]
        return sum(event["message"].startswith("called") for event in events)

    def _queue(self, name: str) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        emulator.wait_until_ready()
        yield Account(emulator)


@pytest.mark.parametrize("end", ["raise", "hang", "die"])
def test_a_failed_invocation_leaves_its_record_where_the_function_says(account: Account, end: str) -> None:
    account.configure(0, OnFailure={"Destination": account.failed_arn})

    account.happens(end)

    [record] = account.messages(account.failed)
    assert record["version"] == "1.0"
    assert datetime.fromisoformat(record["timestamp"]).tzinfo
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["requestContext"]["functionArn"].endswith(":target:live")
    assert record["requestPayload"]["detail"]["end"] == end
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"]
    letter = read_letter(json.dumps(record), 0.0)
    assert (letter.event.order_id, letter.cause) == (101, Cause.FUNCTION_FAILED)


def test_it_is_tried_as_often_as_the_function_says(account: Account) -> None:
    account.configure(1, OnFailure={"Destination": account.failed_arn})
    before = account.calls()

    account.happens("raise")

    [record] = account.messages(account.failed)
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert account.calls() - before == 2


@pytest.mark.parametrize(("end", "destination"), [("well", True), ("raise", False)])
def test_nothing_comes_of_a_success_or_without_a_destination(account: Account, end: str, *, destination: bool) -> None:
    account.configure(0, **({"OnFailure": {"Destination": account.failed_arn}} if destination else {}))

    account.happens(end)

    assert account.messages(account.failed, patience_seconds=2.0) == []


def test_an_event_whose_function_is_gone_reaches_the_rules_own_dead_letter_queue_bare(account: Account) -> None:
    account.aim_at("gone")
    try:
        account.happens("raise")
        [event] = account.messages(account.undelivered)
    finally:
        account.aim_at("target:live")

    assert event["detail-type"] == "bigCommerceWebhook"
    assert event["detail"]["data"]["id"] == 101
    assert read_letter(json.dumps(event), 0.0).cause is Cause.NOT_DELIVERED
