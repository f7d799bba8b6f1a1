"""Where the fault scenarios play: a deployment whose every neighbour can be made to fail."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from sandbox.aws_faults import AwsProxy
from sandbox.cloud import Cloud
from sandbox.orders import PO_LINE, Order, OrderOptions
from sandbox.scenarios import secret_of
from sandbox.store import SandboxStore
from sandbox.stores import Store
from sandbox.webhooks import Delivery, DeliveryOptions, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUYER, OUTSIDER = 7, 8
PATIENCE_SECONDS = 60.0
PARAMETERS = {
    "RecoveryFirstDelaySeconds": "1",
    "RecoveryLongestDelaySeconds": "3",
    "LateRequestsPerMinute": "150",
}
RETRIED_SOON = DeliveryOptions(time_compression=30)
"""The store's first retry comes after two seconds instead of sixty."""


class Violated(Exception):  # noqa: N818  says what happened
    """Something did not come out as it was promised; the text says what was expected and what was found."""


@dataclass
class Field:
    """The deployment, the stores and the faults."""

    sandbox: SandboxStore
    cloud: Cloud
    proxy: AwsProxy

    def open_store(self, store_hash: str, *, with_secret: bool = True, **settings: Any) -> Shop:
        """A store of its own for one scenario."""
        store = self.sandbox.add_store(Store(hash=store_hash, company_customers={BUYER}, **settings))
        if with_secret:
            self.cloud.put_secret(store.hash, secret_of(store))
        return Shop(self, store)


@dataclass
class Shop:
    """One store of the field, and what can be seen of its orders."""

    field: Field
    store: Store

    def place(self, po_number: str = "PO-1", **options: Unpack[OrderOptions]) -> Order:
        """An order of the company's buyer, without an automatic record unless the options say so."""
        merged: OrderOptions = {
            "customer_id": BUYER,
            "customer_message": f"{PO_LINE}{po_number}",
            "automatic_record_after": None,
            **options,
        }
        return self.field.sandbox.place_order(self.store, **merged)

    def announce(self, order: Order, options: DeliveryOptions = RETRIED_SOON) -> list[Delivery]:
        """The store's webhook."""
        return self.field.sandbox.deliver(order, self.field.cloud.webhook_url, options)

    def put_on_bus(self, order: Order, **detail: Any) -> None:
        """The order's event straight on the bus."""
        self.field.cloud.client("events").put_events(
            Entries=[
                {
                    "Source": "com.example.producer",
                    "DetailType": "bigCommerceWebhook",
                    "Detail": json.dumps(webhook_body(order) | detail),
                    "EventBusName": self.field.cloud.outputs["EventBusName"],
                }
            ]
        )

    def put_late(self, body: str) -> None:
        """A message in RecoveryQueue."""
        queue = self.field.cloud.outputs["RecoveryQueueUrl"]
        self.field.cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def carries(
        self,
        order: Order,
        po_number: str = "PO-1",
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        **extra_fields: str,
    ) -> None:
        """Waits until the order's record carries this; at most one Create Order had an effect. Raises Violated."""

        def right() -> bool:
            record = self.field.sandbox.record(self.store, order.id)
            return record is not None and record.po_number == po_number and record.extra_fields == extra_fields

        self.until(right, f"order {order.id} carries {po_number} {extra_fields or ''}", order, patience_seconds)
        if (creates := self.field.sandbox.effects(self.store, order.id).creates) > 1:
            raise Violated(f"order {order.id} was created {creates} times")

    def is_dead_once(self, order: Order, words: str = "") -> dict[str, Any]:
        """Waits for the order's dead letter; there is exactly one, and its reason has these words. Raises Violated."""
        self.until(lambda: self.dead_letters(order), f"order {order.id} is a dead letter", order)
        letters = self.dead_letters(order)
        reason = json.loads(letters[0]["Body"])["reason"]
        if len(letters) != 1 or words not in f"{reason['cause']}: {reason['detail']}":
            raise Violated(f"expected one dead letter with {words!r}, found {len(letters)}: {reason}")
        letter: dict[str, Any] = letters[0]
        return letter

    def dead_letters(self, order: Order) -> list[dict[str, Any]]:
        """The order's messages in DeadLetterQueue."""
        found = []
        for message in self.field.cloud.dead_letters():
            body = json.loads(message["Body"]) if message["Body"].startswith("{") else {}
            detail = body.get("order", {})
            if detail.get("producer") == f"stores/{self.store.hash}" and detail["data"]["id"] == order.id:
                found.append(message)
        return found

    def says(self, order: Order, outcome: str) -> None:
        """Waits until the functions' logs say so of the order. Raises Violated."""
        self.until(lambda: outcome in self.outcomes(order), f"the log says {outcome!r} of order {order.id}", order)

    def outcomes(self, order: Order) -> list[str]:
        """What the functions' logs say became of the order."""
        return [
            entry["outcome"]
            for entry in self.field.cloud.log_entries("OrderFunction", "RecoveryFunction")
            if entry.get("store") == self.store.hash and entry.get("order") == order.id and "status" not in entry
            if "outcome" in entry
        ]

    def until(
        self,
        condition: Callable[[], object],
        expected: str,
        order: Order | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Waits for the condition. Raises Violated, with what there is instead."""
        ends_at = time.monotonic() + patience_seconds
        while not condition():
            if time.monotonic() > ends_at:
                found = self.describe(order) if order else "it never did"
                raise Violated(f"expected: {expected}; found after {patience_seconds:.0f} s: {found}")
            time.sleep(0.3)

    def describe(self, order: Order) -> str:
        """All that is known of an order."""
        record = self.field.sandbox.record(self.store, order.id)
        letters = [json.loads(letter["Body"])["reason"] for letter in self.dead_letters(order)]
        return f"record {record}, outcomes {self.outcomes(order)}, dead letters {letters}"


@contextmanager
def open_field(progress: Callable[[str], None], *, seed: int, **parameters: str) -> Iterator[Field]:
    """Deploys the real template with every neighbour behind faults; ends everything with the block."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxStore.run(seed=seed))
        proxy = stack.enter_context(AwsProxy.run(seed=seed))
        addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
        cloud = stack.enter_context(Cloud(PARAMETERS | addresses | parameters, progress=progress, proxy=proxy))
        yield Field(sandbox, cloud, proxy)
