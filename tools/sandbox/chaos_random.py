"""The random run of `make chaos`: many orders, faults drawn on every endpoint and AWS call, one invariant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from sandbox import faults
from sandbox.aws_faults import AwsFault
from sandbox.chaos_field import BUYER, OUTSIDER, Field, Shop, Violated
from sandbox.webhooks import DeliveryOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.orders import Order

STORE_HASH = "chaosrandom"
ORDERS_A_SECOND = 3.0
DRAIN_SECONDS = 150.0
GUEST = 0

STORE_FAULTS = (
    (faults.status(503), 0.08),
    (faults.reset(), 0.04),
    (faults.reset_after(), 0.04),
    (faults.delay(4.0), 0.02),
    (faults.garbage(), 0.02),
    (faults.status(429, headers={"X-Request-Window-Resets-After": "0.5 s"}), 0.04),
    (faults.drip(0.5), 0.02),
)
AWS_OPERATIONS = (
    "events.PutEvents",
    "sqs.SendMessage",
    "sqs.ChangeMessageVisibility",
    "dynamodb.PutItem",
    "dynamodb.UpdateItem",
    "dynamodb.DeleteItem",
    "secretsmanager.GetSecretValue",
)
AWS_FAULT_PROBABILITY = 0.05


@dataclass(frozen=True)
class Tally:
    """What became of the orders of a random run."""

    orders: int
    enriched: int
    skipped: int
    dead: int
    turned_away: int


def run(field: Field, orders: int, seed: int, progress: Callable[[int], None]) -> Tally:
    """Places the orders while everything fails at random, lets it heal, and checks each. Raises Violated."""
    random = Random(seed)  # noqa: S311  chance, not secrecy
    shop = field.open_store(STORE_HASH, rate_limit=1_000_000, late_create_without_record=True)
    for fault, probability in STORE_FAULTS:
        for endpoint in ("core", "b2b"):
            field.sandbox.fault(fault, endpoint, store=shop.store, times=None, probability=probability)
    for operation in AWS_OPERATIONS:
        field.proxy.add(AwsFault(operation, probability=AWS_FAULT_PROBABILITY))
    placed = []
    for number in range(orders):
        placed.append(_place(shop, random, number))
        progress(number + 1)
        time.sleep(random.expovariate(ORDERS_A_SECOND))
    field.sandbox.clear_faults()
    field.proxy.clear()
    return _check(shop, placed)


def _place(shop: Shop, random: Random, number: int) -> Order:
    order = shop.place(
        f"PO-{number}",
        customer_id=random.choices((BUYER, OUTSIDER, GUEST), (8, 1, 1))[0],
        created_ago_seconds=random.choices((0, 12), (9, 1))[0],
        automatic_record_after=random.choice((None, 0.0, 3.0)),
    )
    copies = random.choices((1, 2, 3), (8, 1, 1))[0]
    shop.announce(order, DeliveryOptions(copies=copies, time_compression=30))
    return order


def _check(shop: Shop, placed: list[Order]) -> Tally:
    """Waits until every order has come to its end, and counts the ends."""
    ends_at = time.monotonic() + DRAIN_SECONDS
    waiting = list(placed)
    while waiting and time.monotonic() < ends_at:
        time.sleep(1.0)
        waiting = [order for order in waiting if not _enriched(shop, order) and not _skipped(shop, order)]
    dead = [order for order in waiting if len(shop.dead_letters(order)) == 1]
    if lost := [order for order in waiting if order not in dead]:
        raise Violated("; ".join(shop.describe(order) for order in lost[:5]) + f" ({len(lost)} orders in all)")
    for order in placed:
        if (creates := shop.field.sandbox.effects(shop.store, order.id).creates) > 1:
            raise Violated(f"order {order.id} was created {creates} times")
    enriched = sum(_enriched(shop, order) for order in placed)
    turned_away = sum(
        any(attempt.status == 503 for attempt in delivery.attempts)  # noqa: PLR2004  the status itself
        for delivery in shop.field.sandbox.deliveries()
        if delivery.order in placed
    )
    return Tally(len(placed), enriched, len(placed) - enriched - len(dead), len(dead), turned_away)


def _enriched(shop: Shop, order: Order) -> bool:
    record = shop.field.sandbox.record(shop.store, order.id)
    return record is not None and order.customer_id == BUYER and f": {record.po_number}" in order.customer_message


def _skipped(shop: Shop, order: Order) -> bool:
    if order.customer_id == BUYER:
        return False
    return shop.field.sandbox.record(shop.store, order.id) is None and "skipped" in shop.outcomes(order)
