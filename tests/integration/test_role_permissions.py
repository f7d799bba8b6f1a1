"""Each function's role allows every AWS call that its paths make, with the genuine clients on moto."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from handler.outcomes import Created, Dead, Duplicate, Late
from support.aws import FakeContext, create_table
from support.clock import FakeClock
from support.events import ORDER_ID, STORE_HASH, signed_request, webhook
from support.exchange import answer
from support.template import Resolved, grants
from support.world import RECORDS, SECRET_NAME, SETTINGS, World, secret_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.settings import Settings

REFUSED = answer(422, {"code": 422, "data": {"errMsg": "no"}, "meta": {"message": "no"}})
CALLS_OF_LAMBDA = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
}
"""What Lambda itself does with a function's role."""


class Account:
    """moto's account with the stack's resources; `calls` are the API calls of the functions, as IAM names them."""

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self._session = boto3.Session()
        self._session.events.register(
            "before-call", lambda model, **_: self.calls.add(f"{model.service_model.signing_name}:{model.name}")
        )
        self._sqs = boto3.client("sqs")
        self.settings: Settings = replace(
            SETTINGS,
            recovery_queue_url=self._sqs.create_queue(QueueName="recovery")["QueueUrl"],
            dead_letter_queue_url=self._sqs.create_queue(QueueName="dead-letters")["QueueUrl"],
            webhook_url="https://relay.example.com/live/webhooks",
        )
        create_table(boto3.client("dynamodb"), self.settings.idempotency_table)
        boto3.client("events").create_event_bus(Name=self.settings.event_bus_name)

    def cold_start(self) -> World:
        """A relay that has made no call yet. Powertools reads the real clock."""
        world = World(
            settings=self.settings,
            clock=FakeClock(float(int(time.time()))),
            aws=lambda service, config: self._session.client(cast("Any", service), config=config),
        )
        self.calls.clear()
        return world

    def receive(self, order_id: int, created_at: float) -> dict[str, Any]:
        """The order's message as Lambda hands it to RecoveryFunction."""
        url = self.settings.recovery_queue_url
        order = webhook(created_at, data={"type": "order", "id": order_id})
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"order": order}))
        [message] = self._sqs.receive_message(QueueUrl=url)["Messages"]
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(created_at * 1000))},
        }


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=secret_text(World().store))
        yield Account()


def not_allowed(role: str, calls: set[str]) -> set[str]:
    granted = {action for action, _ in grants(Resolved().of_type("AWS::IAM::Role")[role])}
    return calls - (granted - CALLS_OF_LAMBDA)


def test_the_order_functions_role_allows_its_calls(account: Account) -> None:
    world = account.cold_start()
    now = world.clock.now
    world.place()
    world.place(order_id=ORDER_ID + 1)

    signed = signed_request(webhook(now), world.store.client_secret, now)
    assert world.intake.handle(signed)["statusCode"] == 200
    assert isinstance(world.create(), Created)
    assert world.create() == Duplicate()
    world.exchange.on("POST", RECORDS, REFUSED)
    assert isinstance(world.create(data={"type": "order", "id": ORDER_ID + 1}), Dead)
    assert isinstance(world.create(data={"type": "order", "id": ORDER_ID + 2}, created_at=now - 20), Late)

    assert not_allowed("OrderRole", account.calls) == set()


def test_the_recovery_functions_role_allows_its_calls(account: Account) -> None:
    world = account.cold_start()
    now = world.clock.now
    finished, refused, missing = ORDER_ID, ORDER_ID + 1, ORDER_ID + 2
    for order in (finished, refused):
        world.place(order_id=order, created_ago_seconds=20, automatic_record_after=0.0)
    world.exchange.on("GET", f"{RECORDS}/{refused}", REFUSED)
    records = [account.receive(order, now - 20) for order in (finished, refused, missing)]

    answered = world.recover_orders.handle({"Records": records}, cast("Any", FakeContext(world.clock, seconds=60.0)))

    assert answered["batchItemFailures"] == [{"itemIdentifier": records[2]["messageId"]}]
    assert not_allowed("RecoveryRole", account.calls) == set()


def test_the_reconcile_functions_role_allows_its_calls(account: Account) -> None:
    account.cold_start().stores.note(STORE_HASH)
    world = account.cold_start()
    world.place(created_ago_seconds=300)
    hook = world.shop.hooks.add("store/order/created", account.settings.webhook_url)
    hook.is_active, hook.created_at = False, hook.created_at - 3600

    found = world.reconcile_stores.handle(cast("Any", FakeContext(world.clock, seconds=300.0)))

    assert found == {STORE_HASH: 1}
    assert hook.is_active
    assert not_allowed("ReconcileRole", account.calls) == set()
