"""A rule of the merchant's own receives the outcome of each order: on a real deployment with `PublishOutcomes`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from e2e.test_relay import wait_for
from sandbox.demo.scenarios import GUEST, Stage, play_webhook
from sandbox.store.orders import PO_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = json.loads(Path("docs/outcome-event.schema.json").read_text(encoding="utf-8"))
RULE = "merchants-rule"
PATTERN = {"source": ["b2b-order-relay"], "detail-type": [{"prefix": "order."}]}


@pytest.fixture
def received(stage: Stage) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The events that the merchant's queue has received so far."""
    sqs, events, bus = stage.cloud.client("sqs"), stage.cloud.client("events"), stage.cloud.outputs["EventBusName"]
    url = sqs.create_queue(QueueName="merchants-queue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=RULE, EventBusName=bus, EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule=RULE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    found: list[dict[str, Any]] = []

    def receive() -> list[dict[str, Any]]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield receive
    events.remove_targets(Rule=RULE, EventBusName=bus, Ids=["queue"])
    events.delete_rule(Name=RULE, EventBusName=bus)
    sqs.delete_queue(QueueUrl=url)


def test_each_order_gives_an_event_of_the_published_schema(
    stage: Stage, received: Callable[[], list[dict[str, Any]]]
) -> None:
    text = f"{PO_LINE}PO-EVENT"
    created = play_webhook(customer_message=text, automatic_record_after=None)(stage).order.id
    guest = play_webhook(customer_id=GUEST, customer_message=text)(stage).order.id

    def seen() -> set[tuple[int, str]]:
        return {
            (event["detail"]["order"], event["detail-type"])
            for event in received()
            if event["detail"]["store"] == stage.store.hash
        }

    wait_for(lambda: seen() >= {(created, "order.created"), (guest, "order.skipped")})

    for event in received():
        Draft202012Validator(SCHEMA).validate(event)
        assert "PO-EVENT" not in json.dumps(event)
