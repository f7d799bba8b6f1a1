"""The random run of `make chaos`: many orders of several stores, everything fails by chance, one invariant.

Every order whose webhook was accepted ends enriched exactly as its rules say, skipped for a counted reason, or in
DeadLetterQueue, once; what died of a fault is enriched after a redrive. Few orders are created again after a success.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from sandbox.aws.proxy import AwsFault
from sandbox.chaos.field import AFTER_THE_WINDOW_SECONDS, BUYER, GUEST, OUTSIDER, ChaosStore, Field, Violated
from sandbox.store import faults
from sandbox.store.webhooks import DeliveryOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.store.orders import Order

ORDERS_A_SECOND = 3.0
FAULTS_LAST_SECONDS = 10.0
"""How long everything goes on failing after the last order, so that faults strike what comes again, too."""

DRAIN_SECONDS = 240.0
ORDERS_A_KILL = 25
"""For so many orders, one environment of OrderFunction is killed."""

MOST_CREATED_AGAIN = 0.1
SERVER_ERRORS = 500
REFUSED = {"code": 422, "data": {"errMsg": "refused by chance"}, "meta": {"message": "Unprocessable Entity"}}
STORE_FAULTS = (
    ("*", faults.status(503), 0.08),
    ("*", faults.reset(), 0.04),
    ("*", faults.reset_after(), 0.04),
    ("*", faults.cut_headers(), 0.02),
    ("*", faults.cut_body(), 0.02),
    ("*", faults.delay(4.0), 0.02),
    ("*", faults.garbage(), 0.02),
    ("*", faults.status(429, headers={"X-Request-Window-Resets-After": "0.5 s"}), 0.04),
    ("*", faults.status(401), 0.02),
    ("*", faults.drip(0.5), 0.02),
    ("*", faults.no_route(), 0.02),
    ("*", faults.edge(404), 0.02),
    ("*", faults.edge(400, "<html>Bad Request</html>"), 0.02),
    ("*", faults.hints(2), 0.02),
    ("*", faults.hang_up(), 0.02),
    ("*", faults.close_idle(), 0.02),
    ("*", faults.byte_order_mark(), 0.02),
    ("*", faults.garbage({"code": 500, "data": {}, "meta": {"message": "Internal Server Error"}}), 0.02),
    ("b2b.create", faults.status(422, body=REFUSED), 0.04),
    ("b2b.update", faults.status(422, body=REFUSED), 0.04),
)
AWS_FAULTS = {
    "events.PutEvents": 0.2,
    "sqs.SendMessage": 0.4,  # it is asked four times, and shall refuse four times now and then
    "sqs.ChangeMessageVisibility": 0.05,
    "dynamodb.GetItem": 0.05,
    "dynamodb.PutItem": 0.1,
    "dynamodb.UpdateItem": 0.1,
    "dynamodb.DeleteItem": 0.05,
    "secretsmanager.GetSecretValue": 0.05,
}
STORES: tuple[dict[str, Any], ...] = (
    {"late_create_without_record": True},
    {"update_replaces_extra_fields": True, "data_as_array": True},
    {"b2b_token": "a-token-for-b2b-alone", "update_replaces_extra_fields": True, "ids_as_text": True},
)
"""What is open in BigCommerce's documents, answered this way and that."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the orders of a random run."""

    orders: int
    created_in_time: int
    created_late: int
    updated: int
    skipped: int
    redriven: int
    """Died of a fault, and were enriched after a redrive; counted above, too."""
    created_again: int
    """A Create Order was sent although one had succeeded: the relay's table had failed, or its process was killed."""
    webhooks_turned_away: int
    environments_killed: int
    faults_of_aws: int
    faults_of_stores: int


@dataclass(frozen=True, slots=True)
class RandomOrder:
    """An order with what has to become of it."""

    shop: ChaosStore
    order: Order
    po_number: str
    extra_fields: dict[str, str] = field(default_factory=dict)
    """What our own event asks for."""

    @property
    def skip_reason(self) -> str:
        """Why it is skipped; nothing when it is to be enriched."""
        return {GUEST: "guest", OUTSIDER: "no_company"}.get(self.order.customer_id, "")

    def is_settled(self) -> bool:
        """It carries what it shall, or was skipped for the right reason."""
        if self.skip_reason:
            return self.skip_reason in self.shop.facts(self.order, "reason")
        record = self.shop.field.sandbox.record(self.shop.store, self.order.id)
        if record is None:
            return False
        # Only a record that B2B Edition made itself holds what the buyer typed into its own fields.
        own = self.order.buyer_extra_fields if record.origin != "created" else {}
        return (record.po_number, record.extra_fields) == (self.po_number, own | self.extra_fields)

    def violations(self) -> list[str]:
        """What is wrong with the order now that it is settled."""
        sandbox, store = self.shop.field.sandbox, self.shop.store
        reasons = {line.facts["reason"] for line in self.shop.lines(self.order) if line.outcome == "skipped"}
        found = []
        if reasons - {self.skip_reason}:
            found.append(f"order {self.order.id} of {store.hash} was skipped for {reasons}")
        if self.skip_reason and sandbox.record(store, self.order.id):
            found.append(f"order {self.order.id} of {store.hash} has a record although it is none of ours")
        return found


class RandomRun:
    """One run on a field; the seed decides what is placed, and which faults are drawn."""

    def __init__(self, field: Field, orders: int, seed: int) -> None:
        self._field = field
        self._orders = orders
        self._random = Random(seed)  # noqa: S311  chance, not secrecy
        self._shops = [
            field.open_store(f"random{number}", rate_limit=1_000_000, core_rate_limit=1_000_000, **settings)
            for number, settings in enumerate(STORES)
        ]
        self._placed: list[RandomOrder] = []
        self._killed = 0
        self._redriven: set[tuple[str, int]] = set()

    def play(self, progress: Callable[[str], None]) -> Tally:
        """Places the orders while everything fails, lets it heal, redrives what died, checks each. Raises Violated."""
        aws = [AwsFault(operation, probability=probability) for operation, probability in AWS_FAULTS.items()]
        rules = [
            self._field.sandbox.fault(fault, endpoint, store=shop.store, times=None, probability=probability)
            for shop in self._shops
            for endpoint, fault, probability in STORE_FAULTS
        ]
        for fault in aws:
            self._field.proxy.add(fault)
        for number in range(self._orders):
            self._place(number)
            progress(f"{number + 1} of {self._orders} orders placed")
            if (number + 1) % ORDERS_A_KILL == 0:
                self._kill()
            time.sleep(self._random.expovariate(ORDERS_A_SECOND))
        time.sleep(FAULTS_LAST_SECONDS)
        for rule in rules:
            self._field.sandbox.remove_fault(rule)
        for fault in aws:
            self._field.proxy.remove(fault)
        self._wait(progress)
        return self._tally(sum(fault.struck for fault in aws), sum(rule.struck for rule in rules))

    def _place(self, number: int) -> None:
        random, shop = self._random, self._random.choice(self._shops)
        po_number = f"PO-{number}"
        order = shop.place(
            po_number,
            customer_id=random.choices((BUYER, OUTSIDER, GUEST), (8, 1, 1))[0],
            created_ago_seconds=random.choices((0, 12), (9, 1))[0],
            automatic_record_after=random.choice((AFTER_THE_WINDOW_SECONDS, 0.0, 3.0)),
            buyer_extra_fields=random.choice(({}, {"own": "kept"})),
        )
        if random.random() < 1 / 5:  # our own producer, which says itself what is wanted
            fields = {"team": "blue"}
            self._placed.append(RandomOrder(shop, order, f"{po_number}-ours", fields))
            for _ in range(random.choices((1, 2), (4, 1))[0]):
                rows = [{"fieldName": name, "fieldValue": value} for name, value in fields.items()]
                shop.put_on_bus(order, poNumber=f"{po_number}-ours", extraFields=rows)
            return
        self._placed.append(RandomOrder(shop, order, po_number))
        copies = random.choices((1, 2, 3), (8, 1, 1))[0]
        shop.announce(order, DeliveryOptions(copies=copies, time_compression=30))

    def _kill(self) -> None:
        workers = self._field.cloud.emulator.workers()
        of_order_function = [
            worker for worker in workers if worker.function == self._field.cloud.outputs["OrderFunctionName"]
        ]
        if of_order_function:
            self._random.choice(of_order_function).kill()
            self._killed += 1

    def _wait(self, progress: Callable[[str], None]) -> None:
        """Until every order is settled; what stands in DeadLetterQueue is redriven, once. Raises Violated."""
        ends_at = time.monotonic() + DRAIN_SECONDS
        waiting = self._placed
        while waiting := [placed for placed in waiting if not placed.is_settled()]:
            progress(f"{len(waiting)} of {self._orders} orders wait")
            if time.monotonic() > ends_at:
                found = "; ".join(
                    f"{placed.shop.store.hash} expected {placed.po_number} {placed.extra_fields}: "
                    + placed.shop.describe(placed.order)
                    for placed in waiting[:5]
                )
                raise Violated(f"{len(waiting)} orders never came to their end: {found}")
            time.sleep(1.0)
            self._redrive()
        self._redrive()

    def _redrive(self) -> None:
        """Moves our dead letters back to RecoveryQueue. Nothing fails any more, so none may die again. Raises Violated."""
        ours = {(placed.shop.store.hash, placed.order.id) for placed in self._placed}
        queue, sqs = self._field.cloud.outputs["DeadLetterQueueUrl"], self._field.cloud.client("sqs")
        for letter in self._field.cloud.dead_letters():
            body = json.loads(letter["Body"]) if letter["Body"].startswith("{") else {}
            detail = body.get("order", {})
            dead = (detail.get("producer", "").removeprefix("stores/"), detail.get("data", {}).get("id"))
            if dead not in ours:
                continue
            if dead in self._redriven:
                raise Violated(f"order {dead[1]} of {dead[0]} has a second dead letter: {body['reason']}")
            self._redriven.add(dead)
            self._field.put_late(letter["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=letter["ReceiptHandle"])

    def _tally(self, faults_of_aws: int, faults_of_stores: int) -> Tally:
        if violations := [violation for placed in self._placed for violation in placed.violations()]:
            raise Violated("; ".join(violations))
        enriched = [placed for placed in self._placed if not placed.skip_reason]
        records = [placed.shop.field.sandbox.record(placed.shop.store, placed.order.id) for placed in enriched]
        created = [record for record in records if record is not None and record.origin == "created"]
        orders = [placed.order for placed in self._placed]
        created_again = sum(bool(self._field.sandbox.creates_after_success(order)) for order in orders)
        if created_again > len(orders) * MOST_CREATED_AGAIN:
            raise Violated(f"{created_again} of {len(orders)} orders were created again after a success")
        return Tally(
            orders=len(orders),
            created_in_time=sum((record.window_left or 0) > 0 for record in created),
            created_late=sum((record.window_left or 0) <= 0 for record in created),
            updated=len(records) - len(created),
            skipped=len(orders) - len(enriched),
            redriven=len(self._redriven),
            created_again=created_again,
            webhooks_turned_away=sum(
                any((attempt.status or 0) >= SERVER_ERRORS for attempt in delivery.attempts)
                for order in orders
                for delivery in self._field.sandbox.deliveries(order)
            ),
            environments_killed=self._killed,
            faults_of_aws=faults_of_aws,
            faults_of_stores=faults_of_stores,
        )
