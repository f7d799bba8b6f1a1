"""Scenarios of many orders at once: the shared rate limit, duplicates, and stores that do not slow each other."""

from __future__ import annotations

import json
import time

from sandbox.chaos.field import ChaosStore, Violated
from sandbox.chaos.registry import scenario
from sandbox.store import faults
from sandbox.store.orders import Order  # noqa: TC001  for the annotations below
from sandbox.store.webhooks import DeliveryOptions, webhook_body


@scenario("ten deliveries at once, while the API fails", accepts_second_create=True)
def _duplicates(shop: ChaosStore) -> None:
    order = shop.place()
    shop.fault(faults.status(503), "b2b", order=order, times=3)
    shop.announce(order, DeliveryOptions(copies=10, time_compression=30))
    shop.carries(order)


@scenario("one store hangs, another is not slowed down")
def _apart(ill: ChaosStore) -> None:
    well = ill.field.open_store(f"{ill.store.hash}w")
    rule = ill.fault(faults.hang(), "b2b", times=None)
    slow, quick = ill.place(), well.place()
    ill.announce(slow)
    well.announce(quick)
    well.carries(quick)
    well.is_created_in_time(quick)
    ill.field.sandbox.remove_fault(rule)
    ill.carries(slow)


@scenario("sixty late orders of a store that hangs, one of another", heavy=True)
def _apart_late(ill: ChaosStore) -> None:
    well = ill.field.open_store(f"{ill.store.hash}w")
    rule = ill.fault(faults.hang(), "b2b", times=None)
    stuck = _late_orders(ill, 60)
    time.sleep(2)  # by now every environment of RecoveryFunction is busy with them
    order = well.place(created_ago_seconds=15, automatic_record_after=0.0)
    well.put_late(order, poNumber="PO-LATE")
    # One attempt of the late path takes twelve seconds at most; a whole batch of them would take a minute.
    well.carries(order, "PO-LATE", patience_seconds=35)
    ill.field.sandbox.remove_fault(rule)
    for late in stuck:
        ill.carries(late, "PO-LATE", patience_seconds=300)


@scenario("a hundred late orders leave the live ones their share", heavy=True, rate_limit=200)
def _pace(shop: ChaosStore) -> None:
    """The late path's share is 150 a minute here, in slices of 15 s; this store takes 120 more at one moment."""
    _late_orders(shop, 130)
    live = []
    for _ in range(10):
        time.sleep(1)
        live.append(shop.place())
        shop.announce(live[-1])
    for order in live:
        shop.carries(order)
        shop.is_created_in_time(order)


@scenario("200 orders at 4 a second against 150 requests a minute", heavy=True, automatic_record_after=5.0)
def _burst(shop: ChaosStore) -> None:
    """The limit is BigCommerce's own, 150 requests a minute; the late path's share here is all of it."""
    orders = []
    for number in range(200):
        orders.append(shop.place(f"PO-{number}", automatic_record_after=5.0))
        shop.announce(orders[-1])
        time.sleep(0.25)
    for number, order in enumerate(orders):
        shop.carries(order, f"PO-{number}", patience_seconds=300)
    for order in orders:
        shop.is_finished(order, patience_seconds=300)
    records = [shop.field.sandbox.record(shop.store, order.id) for order in orders]
    in_time = sum(record is not None and record.origin == "created" for record in records)
    if in_time < shop.store.rate_limit * 0.8:
        raise Violated(f"only {in_time} orders were created in their window, with a limit of {shop.store.rate_limit}")
    if dead := [order.id for order in orders if "dead" in shop.outcomes(order)]:
        raise Violated(f"dead letters: {dead}")


def _late_orders(shop: ChaosStore, number: int) -> list[Order]:
    """So many orders in RecoveryQueue, each to be updated."""
    orders = [shop.place(created_ago_seconds=15, automatic_record_after=0.0) for _ in range(number)]
    details = [webhook_body(order) | {"poNumber": "PO-LATE"} for order in orders]
    shop.field.put_late(*(json.dumps({"detail-type": "bigCommerceWebhook", "detail": detail}) for detail in details))
    return orders
