"""Scenarios of AWS itself: the bus, the table, SQS, and functions that are killed in the middle of their work."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

from handler.table.keys import order_id
from sandbox.aws.proxy import AwsFault
from sandbox.chaos.field import ACCEPTED, TRY_AGAIN, ChaosStore, Violated, struck
from sandbox.chaos.registry import scenario
from sandbox.store import faults
from sandbox.store.webhooks import webhook_body


def _bus_refuses(name: str, fault: AwsFault) -> None:
    @scenario(name)
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        fault.contains = f"stores/{shop.store.hash}"
        with shop.field.proxy.fault(fault):
            [delivery] = shop.announce(order)
            if (status := delivery.first().status) != ACCEPTED:
                raise Violated(f"expected 200, found {status}")
        shop.carries(order)


_bus_refuses("the bus fails", AwsFault("events.PutEvents"))
_bus_refuses("the bus hangs", AwsFault("events.PutEvents", hang_seconds=4))


@scenario("the bus and SQS both refuse")
def _nothing_takes_it(shop: ChaosStore) -> None:
    order = shop.place()
    mark = f"stores/{shop.store.hash}"
    with (
        shop.field.proxy.fault(AwsFault("events.PutEvents", contains=mark)),
        shop.field.proxy.fault(AwsFault("sqs.SendMessage", contains=mark)),
    ):
        [delivery] = shop.announce(order)
        if (status := delivery.first().status) != TRY_AGAIN:
            raise Violated(f"expected 503, found {status}")
    shop.carries(order)


def _table_fails(operation: str, code: str, status: int) -> None:
    @scenario(f"{operation} answers {code}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        fault = AwsFault(operation, code, status, contains=order_id(shop.store.hash, order.id))
        with shop.field.proxy.fault(fault):
            shop.announce(order)
            shop.carries(order)
            struck(fault)


_table_fails("dynamodb.PutItem", "InternalServerError", 500)
_table_fails("dynamodb.PutItem", "ProvisionedThroughputExceededException", 400)
_table_fails("dynamodb.UpdateItem", "InternalServerError", 500)


def _connection_reset(name: str, operation: str) -> None:
    @scenario(f"a kept connection to DynamoDB is reset when {name}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        key = order_id(shop.store.hash, order.id)
        with shop.field.proxy.fault(AwsFault(operation, contains=key, resets=True, times=1)) as fault:
            shop.announce(order)
            shop.is_finished(order)
        struck(fault, times=1)
        table = shop.field.cloud.outputs["IdempotencyTableName"]
        item = shop.field.cloud.client("dynamodb").get_item(TableName=table, Key={"id": {"S": key}}).get("Item", {})
        if item.get("status") != {"S": "COMPLETED"}:
            raise Violated(f"expected the finished order's record in the table, found {item}")
        shop.put_on_bus(order)
        shop.until(lambda: "duplicate" in shop.outcomes(order)[-1:], "the log says 'duplicate' last", order)
        shop.carries(order)
        shop.called(order, "b2b.create", 1)


_connection_reset("the order is claimed", "dynamodb.PutItem")
_connection_reset("the order is finished", "dynamodb.UpdateItem")


@scenario("the table is gone")
def _no_table(shop: ChaosStore) -> None:
    live, late = shop.place(), shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    with ExitStack() as stack:
        for mark in (shop.store.hash, order_id(shop.store.hash, live.id), order_id(shop.store.hash, late.id)):
            gone = AwsFault("dynamodb.*", "ResourceNotFoundException", 400, contains=mark)
            stack.enter_context(shop.field.proxy.fault(gone))
        shop.announce(live)
        shop.put_on_bus(late, poNumber="PO-LATE")
        shop.carries(live)
        shop.carries(late, "PO-LATE")


@scenario("SQS refuses once")
def _sqs_refuses_once(shop: ChaosStore) -> None:
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    with shop.field.proxy.fault(AwsFault("sqs.SendMessage", contains=f"stores/{shop.store.hash}", times=1)) as fault:
        shop.put_on_bus(order, poNumber="PO-LATE")
        shop.carries(order, "PO-LATE")
    struck(fault, times=1)


@scenario("SQS refuses as often as it is asked, so the function fails")
def _sqs_refuses(shop: ChaosStore) -> None:
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    with shop.field.proxy.fault(AwsFault("sqs.SendMessage", contains=f"stores/{shop.store.hash}")) as fault:
        shop.put_on_bus(order, poNumber="PO-LATE")
        shop.carries(order, "PO-LATE")
    struck(fault)


def _order_function_killed(name: str, *, effect: bool) -> None:
    @scenario(
        f"OrderFunction is killed in the middle of Create Order, {name}", long=True, late_create_without_record=True
    )
    def play(shop: ChaosStore) -> None:
        order = shop.place(automatic_record_after=None)
        shop.fault(faults.hang(effect=effect), "b2b.create", order=order)
        shop.announce(order)
        shop.field.kill_caller(shop.request("b2b.create", order))
        shop.is_finished(order)
        shop.carries(order)
        shop.had_effects(order, creates=1, updates=0)


_order_function_killed("before its effect", effect=False)
_order_function_killed("after its effect", effect=True)


def _recovery_function_killed(name: str, *, effect: bool, begins_after_seconds: float) -> None:
    @scenario(f"RecoveryFunction is killed in the middle of Update Order, {name}", long=True)
    def play(shop: ChaosStore) -> None:
        order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
        shop.fault(faults.hang(effect=effect), "b2b.update", order=order)
        time.sleep(begins_after_seconds)  # two of these in one batch would cost it two minutes
        shop.put_late(order, poNumber="PO-LATE")
        shop.field.kill_caller(shop.request("b2b.update", order))
        shop.is_finished(order)
        shop.carries(order, "PO-LATE")
        shop.had_effects(order, creates=0, updates=1)


_recovery_function_killed("before its effect", effect=False, begins_after_seconds=0)
_recovery_function_killed("after its effect", effect=True, begins_after_seconds=5)


@scenario("EventBridge cannot deliver the event")
def _undelivered(shop: ChaosStore) -> None:
    """A rule of the scenario's own, whose function does not exist, with the dead-letter queue of the deployed rule."""
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    events, bus = shop.field.cloud.client("events"), shop.field.cloud.outputs["EventBusName"]
    [rule] = events.list_rules(EventBusName=bus)["Rules"]
    [target] = events.list_targets_by_rule(EventBusName=bus, Rule=rule["Name"])["Targets"]
    events.put_rule(Name=shop.store.hash, EventPattern=json.dumps({"source": [shop.store.hash]}))
    nobody = target["Arn"].replace("function:", "function:no-such-")
    events.put_targets(Rule=shop.store.hash, Targets=[{**target, "Arn": nobody}])
    detail = webhook_body(order) | {"poNumber": "PO-LATE"}
    events.put_events(
        Entries=[{"Source": shop.store.hash, "DetailType": "bigCommerceWebhook", "Detail": json.dumps(detail)}]
    )
    shop.carries(order, "PO-LATE")
    # The record is there before the log lines are.
    shop.until(
        lambda: "not_delivered" in shop.facts(order, "cause"),
        "an order that is counted as late, not_delivered",
        order,
    )
