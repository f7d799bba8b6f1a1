"""The named fault scenarios of `make chaos`. Each has a store of its own, so they can run side by side."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import requests

from handler.once import order_id
from sandbox import faults
from sandbox.aws_faults import AwsFault
from sandbox.chaos_field import OUTSIDER, RETRIED_SOON, Field, Shop, Violated
from sandbox.scenarios import secret_of
from sandbox.webhooks import DeliveryOptions, sign, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.faults import Fault
    from sandbox.orders import Order

ACCEPTED, UNPROVEN, TRY_AGAIN = 200, 401, 503
ENOUGH_TRIES = 13
BURST = "200 orders at 4 a second against 150 requests a minute"
FINISHED = {"created", "updated", "already_right"}
SCENARIOS: dict[str, Callable[[Field], None]] = {}


def scenario(name: str) -> Callable[[Callable[[Field, str], None]], Callable[[Field, str], None]]:
    """Enters a scenario into the list; it is given the field and a store hash that nobody else uses."""

    def enter(play: Callable[[Field, str], None]) -> Callable[[Field, str], None]:
        store_hash = f"chaos{len(SCENARIOS):02}"
        SCENARIOS[name] = lambda field: play(field, store_hash)
        return play

    return enter


PASSING_FAULTS: dict[str, Fault] = {
    "503": faults.status(503),
    "502": faults.status(502),
    "reset": faults.reset(),
    "hang": faults.hang(),
    "drip in the body": faults.drip(1.0),
    "drip in the headers": faults.drip_headers(1.0),
    "429 until soon": faults.status(429, headers={"X-Request-Window-Resets-After": "0.5 s"}),
    "429 until after the window": faults.status(429, headers={"X-Request-Window-Resets-After": "12 s"}),
    "garbage": faults.garbage(),
}


def _live_fault(endpoint: str, name: str, fault: Fault) -> None:
    @scenario(f"{endpoint}: {name}")
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash, late_create_without_record=True)
        order = shop.place()
        field.sandbox.fault(fault, endpoint=endpoint, order=order)
        shop.announce(order)
        shop.carries(order)


def _late_fault(endpoint: str, name: str, fault: Fault) -> None:
    @scenario(f"late, {endpoint}: {name}")
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash, update_replaces_extra_fields=True)
        order = shop.place(created_ago_seconds=15, automatic_record_after=0.0, buyer_extra_fields={"own": "kept"})
        field.sandbox.fault(fault, endpoint=endpoint, order=order)
        shop.put_on_bus(order, poNumber="PO-LATE", extraFields=[{"fieldName": "team", "fieldValue": "blue"}])
        shop.carries(order, "PO-LATE", own="kept", team="blue")


for _name, _fault in PASSING_FAULTS.items():
    _live_fault("core.get_order", _name, _fault)
    _live_fault("b2b.create", _name, _fault)
for _name in ("503", "reset", "429 until soon", "garbage"):
    _late_fault("b2b.get", _name, PASSING_FAULTS[_name])
for _name in ("503", "reset", "drip in the headers"):
    _late_fault("b2b.update", _name, PASSING_FAULTS[_name])


@scenario("Create Order's answer is lost")
def _lost_answer(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    field.sandbox.fault(faults.reset_after(), endpoint="b2b.create", order=order)
    shop.announce(order)
    shop.carries(order)


@scenario("order not readable at first")
def _not_readable(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(readable_after_seconds=2)
    shop.announce(order)
    shop.carries(order)


@scenario("record already there, the API replaces, data is an array")
def _already_there(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, update_replaces_extra_fields=True, data_as_array=True)
    order = shop.place(automatic_record_after=0.0, buyer_extra_fields={"own": "kept"})
    shop.put_on_bus(order, extraFields=[{"fieldName": "team", "fieldValue": "blue"}])
    shop.carries(order, own="kept", team="blue")


@scenario("B2B API down for 30 s")
def _down(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    field.sandbox.fault(faults.status(503), endpoint="b2b", store=shop.store, times=None, seconds=30)
    shop.announce(order)
    shop.carries(order)


@scenario("B2B API down for hours: a dozen tries of the late path")
def _down_for_long(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    field.sandbox.fault(faults.status(503), endpoint="b2b", store=shop.store, times=None, seconds=75)
    shop.put_on_bus(order, poNumber="PO-LATE")
    shop.carries(order, "PO-LATE", patience_seconds=150)
    # With the delays as shipped, the thirteenth try comes after more than six hours.
    if (tries := len(field.sandbox.requests("b2b.get", order=order))) < ENOUGH_TRIES:
        raise Violated(f"expected at least {ENOUGH_TRIES} tries, found {tries}")


def _is_finished(shop: Shop, order: Order) -> None:
    shop.until(lambda: set(shop.outcomes(order)) & FINISHED, f"order {order.id} is finished", order, 300)


@scenario(BURST)
def _burst(field: Field, store_hash: str) -> None:
    """The limit is BigCommerce's own, 150 requests a minute; the late path's share here is all of it."""
    shop = field.open_store(store_hash, automatic_record_after=5.0)
    orders = []
    for number in range(200):
        orders.append(shop.place(f"PO-{number}", automatic_record_after=5.0))
        shop.announce(orders[-1])
        time.sleep(0.25)
    for number, order in enumerate(orders):
        shop.carries(order, f"PO-{number}", patience_seconds=300)
    for order in orders:
        _is_finished(shop, order)
    records = [field.sandbox.record(shop.store, order.id) for order in orders]
    in_time = sum(record is not None and record.origin == "created" for record in records)
    if in_time < shop.store.rate_limit * 0.8:
        raise Violated(f"only {in_time} orders were created in their window, with a limit of {shop.store.rate_limit}")
    if dead := [order.id for order in orders if "dead" in shop.outcomes(order)]:
        raise Violated(f"dead letters: {dead}")


@scenario("refused for good, then redriven")
def _refused(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    words = {"code": 422, "data": {"errMsg": "[Team] is a required extra field"}, "meta": {}}
    field.sandbox.fault(faults.status(422, body=words), endpoint="b2b.create", order=order)
    shop.announce(order)
    letter = shop.is_dead_once(order, "[Team] is a required extra field")
    shop.put_late(letter["Body"])
    shop.carries(order)


@scenario("customer without a company")
def _outsider(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(customer_id=OUTSIDER)
    shop.announce(order)
    shop.says(order, "skipped")


@scenario("guest, while the API fails")
def _guest(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(customer_id=0)
    field.sandbox.fault(faults.status(503), endpoint="core", order=order, times=2)
    shop.announce(order)
    shop.says(order, "skipped")


@scenario("the record of an API-made order never appears")
def _never_appears(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place(created_ago_seconds=15, source="api")
    shop.announce(order)
    shop.carries(order)


@scenario("the store itself denies the order")
def _denied(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(readable_after_seconds=100_000)
    shop.announce(order)
    shop.is_dead_once(order, "order_not_found")


@scenario("token revoked, then mended")
def _revoked(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    field.sandbox.configure(shop.store, access_token="changed-in-the-store")  # noqa: S106  made up
    order = shop.place()
    shop.announce(order)
    shop.says(order, "late")
    field.cloud.put_secret(store_hash, secret_of(shop.store))
    shop.carries(order)


@scenario("secret malformed, then mended")
def _malformed_secret(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, with_secret=False, late_create_without_record=True)
    field.cloud.put_secret(store_hash, {"oops": True})
    order = shop.place()
    shop.put_on_bus(order)
    shop.says(order, "late")
    field.cloud.put_secret(store_hash, secret_of(shop.store))
    time.sleep(60)  # a store without a usable secret is looked for again after a minute
    shop.carries(order)


@scenario("Secrets Manager down at the door")
def _no_secrets_manager(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    with field.proxy.fault(AwsFault("secretsmanager.GetSecretValue", contains=store_hash)):
        order = shop.place()
        [delivery] = shop.announce(order)
        if (status := delivery.first().status) != TRY_AGAIN:
            raise Violated(f"expected 503, found {status}")
    shop.carries(order)


@scenario("Secrets Manager down behind the door")
def _no_secret_late(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    with field.proxy.fault(AwsFault("secretsmanager.GetSecretValue", contains=store_hash)):
        shop.put_on_bus(order)
        shop.says(order, "late")
    shop.carries(order)


def _bus_refuses(name: str, fault: AwsFault) -> None:
    @scenario(name)
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash, late_create_without_record=True)
        order = shop.place()
        fault.contains = f"stores/{store_hash}"
        with field.proxy.fault(fault):
            [delivery] = shop.announce(order)
            if (status := delivery.first().status) != ACCEPTED:
                raise Violated(f"expected 200, found {status}")
        shop.carries(order)


_bus_refuses("the bus fails", AwsFault("events.PutEvents"))
_bus_refuses("the bus refuses the entry", AwsFault("events.PutEvents", refuses_entries=True))
_bus_refuses("the bus hangs", AwsFault("events.PutEvents", hang_seconds=4))


@scenario("the bus and SQS both refuse")
def _nothing_takes_it(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    mark = f"stores/{store_hash}"
    with (
        field.proxy.fault(AwsFault("events.PutEvents", contains=mark)),
        field.proxy.fault(AwsFault("sqs.SendMessage", contains=mark)),
    ):
        [delivery] = shop.announce(order)
        if (status := delivery.first().status) != TRY_AGAIN:
            raise Violated(f"expected 503, found {status}")
    shop.carries(order)


def _table_fails(operation: str, code: str, status: int) -> None:
    @scenario(f"{operation} answers {code}")
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash)
        order = shop.place()
        fault = AwsFault(operation, code, status, contains=order_id(store_hash, order.id))
        with field.proxy.fault(fault):
            shop.announce(order)
            shop.carries(order)
            if not fault.struck:
                raise Violated("the fault never struck")


_table_fails("dynamodb.PutItem", "InternalServerError", 500)
_table_fails("dynamodb.PutItem", "ProvisionedThroughputExceededException", 400)
_table_fails("dynamodb.PutItem", "ResourceNotFoundException", 400)
_table_fails("dynamodb.UpdateItem", "InternalServerError", 500)


@scenario("SQS refuses once")
def _sqs_refuses_once(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    with field.proxy.fault(AwsFault("sqs.SendMessage", contains=f"stores/{store_hash}", times=1)) as fault:
        shop.put_on_bus(order, poNumber="PO-LATE")
        shop.carries(order, "PO-LATE")
    if fault.struck != 1:
        raise Violated("the fault never struck")


@scenario("signing secret rotated")
def _rotated(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    old = shop.store.client_secret
    field.cloud.put_secret(store_hash, secret_of(shop.store) | {"client_secret": "the-new-one"})
    for secret in ("the-new-one", old):
        order = shop.place()
        body = json.dumps(webhook_body(order)).encode()
        headers = sign(body, secret, time.time())
        answer = requests.post(field.cloud.webhook_url, data=body, headers=headers, timeout=30)
        if answer.status_code != ACCEPTED:
            raise Violated(f"expected 200 for a webhook signed with either secret, found {answer.status_code}")
        shop.carries(order)


@scenario("a flood of forgeries")
def _flood(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    before = field.proxy.calls["secretsmanager.GetSecretValue"]
    forgeries = 100
    for number in range(forgeries):
        producer = f"stores/{store_hash}" if number % 2 else f"stores/{store_hash}x"
        body = json.dumps(webhook_body(order) | {"producer": producer}).encode()
        headers = sign(body, "guessed", time.time())
        answer = requests.post(field.cloud.webhook_url, data=body, headers=headers, timeout=30)
        if answer.status_code != UNPROVEN:
            raise Violated(f"expected 401, found {answer.status_code}")
    # Other scenarios read their own secrets meanwhile; a call for each forgery would be far above this.
    if (calls := field.proxy.calls["secretsmanager.GetSecretValue"] - before) >= forgeries * 0.8:
        raise Violated(f"{forgeries} forgeries cost {calls} reads of secrets")


@scenario("ten deliveries at once, while the API fails")
def _duplicates(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    field.sandbox.fault(faults.status(503), endpoint="b2b", order=order, times=3)
    shop.announce(order, DeliveryOptions(copies=10, time_compression=30))
    shop.carries(order)


@scenario("one store hangs, another is not slowed down")
def _apart(field: Field, store_hash: str) -> None:
    ill, well = field.open_store(store_hash, late_create_without_record=True), field.open_store(f"{store_hash}w")
    rule = field.sandbox.fault(faults.hang(), endpoint="b2b", store=ill.store, times=None)
    slow, quick = ill.place(), well.place()
    ill.announce(slow)
    well.announce(quick)
    well.carries(quick)
    record = field.sandbox.record(well.store, quick.id)
    if record is None or record.origin != "created" or (record.window_left or 0) <= 0:
        raise Violated(f"the healthy store's order was not created in its window: {record}")
    field.sandbox.remove_fault(rule)
    ill.carries(slow)


@scenario("the function was killed: Lambda's on-failure record")
def _killed(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, late_create_without_record=True)
    order = shop.place()
    event = {
        "version": "0",
        "detail-type": "bigCommerceWebhook",
        "source": "b2b-order-relay",
        "detail": webhook_body(order),
    }
    context = {"condition": "RetriesExhausted", "approximateInvokeCount": 1}
    shop.put_late(json.dumps({"version": "1.0", "requestContext": context, "requestPayload": event}))
    shop.carries(order)


@scenario("EventBridge's dead letter: the bare event")
def _undelivered(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    shop.put_late(
        json.dumps(
            {"version": "0", "detail-type": "bigCommerceWebhook", "detail": webhook_body(order) | {"poNumber": "L"}}
        )
    )
    shop.carries(order, "L")


@scenario("a message nobody can read")
def _unreadable(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    shop.put_late(f"{store_hash}?")

    def buried() -> list[object]:
        return [letter for letter in field.cloud.dead_letters() if letter["Body"] == f"{store_hash}?"]

    shop.until(lambda: len(buried()) == 1, "one dead letter, as it was")


@scenario("the webhook is acknowledged while the API takes seven seconds")
def _slow(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    field.sandbox.fault(faults.delay(7.0), endpoint="b2b", order=order)
    [delivery] = shop.announce(order, RETRIED_SOON)
    if (seconds := delivery.first().seconds) > 7.0 / 2:
        raise Violated(f"the acknowledgement took {seconds:.1f} s")
    shop.carries(order)
