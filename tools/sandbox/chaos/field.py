"""Where the fault scenarios play: a deployment whose every neighbour can be made to fail."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from sandbox.aws.cloud import Cloud
from sandbox.aws.proxy import AwsFault, AwsProxy
from sandbox.demo.scenarios import secret_of
from sandbox.store.orders import PO_LINE, Order, OrderOptions
from sandbox.store.server import SandboxStore
from sandbox.store.settings import ExtraField, Store
from sandbox.store.webhooks import Delivery, DeliveryOptions, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.aws.logs import LogLine
    from sandbox.store.bigcommerce import Request
    from sandbox.store.faults import Fault, Rule

BUYER, OUTSIDER, GUEST = 7, 8, 0
ACCEPTED, UNPROVEN, TRY_AGAIN = 200, 401, 503
FINISHED = {"created", "updated", "unchanged"}
PATIENCE_SECONDS = 150.0
"""More than twice `VISIBILITY_SECONDS`: when a worker is killed, its whole batch comes back only after that."""

VISIBILITY_SECONDS = 60
"""Instead of six minutes. No less than RecoveryFunction's time limit, as SQS itself demands."""

PARAMETERS = {
    "RecoveryFirstDelaySeconds": "1",
    "RecoveryLongestDelaySeconds": "3",
    "LateRequestsPerMinute": "150",
}
MESSAGES_AT_ONCE = 10
"""SQS takes no more in one call."""

RETRIED_SOON = DeliveryOptions(time_compression=30)
"""The store's first retry comes after two seconds instead of sixty."""


AFTER_THE_WINDOW_SECONDS = 12.0
FIELDS = tuple(ExtraField(name=name) for name in ("own", "team"))


class Violated(Exception):  # noqa: N818  says what happened
    """Something did not come out as it was promised; the text says what was expected and what was found."""


def struck(fault: Rule | AwsFault, times: int | None = None) -> None:
    """Raise Violated unless the fault struck, `times` times if given."""
    if not fault.struck or times not in {None, fault.struck}:
        raise Violated(f"the fault struck {fault.struck} times")


@dataclass
class Field:
    """The deployment, the stores and the faults."""

    sandbox: SandboxStore
    cloud: Cloud
    proxy: AwsProxy
    patience_seconds: float = PATIENCE_SECONDS
    """How long whatever shall happen is waited for, where a scenario does not say."""
    over: bool = False
    """Nothing is waited for any more."""
    reads_letters: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    """Whoever reads DeadLetterQueue hides its messages from the others for that long."""

    def open_store(self, store_hash: str, *, with_secret: bool = True, **settings: Any) -> ChaosStore:
        """A store of its own for one scenario, as strict as the documents allow unless the settings say otherwise."""
        usual: dict[str, Any] = {"company_customers": {BUYER}, "extra_fields": FIELDS}
        store = self.sandbox.add_store(Store(hash=store_hash, **usual | settings))
        if with_secret:
            self.cloud.put_secret(store.hash, secret_of(store))
        return ChaosStore(self, store)

    def put_late(self, *bodies: str) -> None:
        """Messages in RecoveryQueue."""
        queue = self.cloud.outputs["RecoveryQueueUrl"]
        for first in range(0, len(bodies), MESSAGES_AT_ONCE):
            entries = [
                {"Id": str(number), "MessageBody": body}
                for number, body in enumerate(bodies[first : first + MESSAGES_AT_ONCE])
            ]
            self.cloud.client("sqs").send_message_batch(QueueUrl=queue, Entries=entries)

    def kill_caller(self, request: Request) -> None:
        """Kills the process that made this request, which must still be waiting for its answer. Raises Violated."""
        for worker in self.cloud.emulator.workers():
            if request.caller_port in worker.ports():
                worker.kill()
                return
        raise Violated("the worker that should be killed had ended by itself")


@dataclass
class ChaosStore:
    """One store of the field, and what can be seen of its orders."""

    field: Field
    store: Store

    def place(self, po_number: str = "PO-1", **options: Unpack[OrderOptions]) -> Order:
        """An order of the company's buyer. B2B Edition's own record comes when the window is over, and is empty."""
        merged: OrderOptions = {
            "customer_id": BUYER,
            "customer_message": f"{PO_LINE}{po_number}",
            "automatic_record_after": AFTER_THE_WINDOW_SECONDS,
            **options,
        }
        return self.field.sandbox.place_order(self.store, **merged)

    def fault(self, fault: Fault, endpoint: str, *, order: Order | None = None, **more: Any) -> Rule:
        """Let the APIs of this store fail, for one call or as often as `times` says."""
        return self.field.sandbox.fault(fault, endpoint, store=self.store, order=order, **more)

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

    def put_late(self, order: Order, **detail: Any) -> None:
        """The order in RecoveryQueue, as EventBridge puts an event there that it could not deliver."""
        event = {"version": "0", "detail-type": "bigCommerceWebhook", "detail": webhook_body(order) | detail}
        self.field.put_late(json.dumps(event))

    def carries(
        self,
        order: Order,
        po_number: Any = "PO-1",
        *,
        patience_seconds: float | None = None,
        **extra_fields: Any,
    ) -> None:
        """Waits until the order's record carries this, type for type. Raises Violated, also when it was created twice."""
        expected = json.dumps([po_number, extra_fields], sort_keys=True)  # to Python, 0 is False

        def right() -> object:
            record = self.field.sandbox.record(self.store, order.id)
            return record and json.dumps([record.po_number, record.extra_fields], sort_keys=True) == expected

        self.until(right, f"order {order.id} carries {expected}", order, patience_seconds)
        self.is_created_once(order)

    def is_created_once(self, order: Order) -> None:
        """No Create Order had an effect beside another, or was sent after one had succeeded. Raises Violated."""
        creates = self.field.sandbox.effects(self.store, order.id).creates
        if creates > 1 or self.field.sandbox.creates_after_success(order):
            raise Violated(f"order {order.id} was created {creates} times, or again after a success")

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
        with self.field.reads_letters:
            messages = self.field.cloud.dead_letters()
        found = []
        for message in messages:
            body = json.loads(message["Body"]) if message["Body"].startswith("{") else {}
            detail = body.get("order", {})
            if detail.get("producer") == f"stores/{self.store.hash}" and detail["data"]["id"] == order.id:
                found.append(message)
        return found

    def says(self, order: Order, outcome: str, times: int = 1) -> None:
        """Waits until the functions' logs say so of the order, so often. Raises Violated."""
        expected = f"the log says {outcome!r} of order {order.id}, {times} times"
        self.until(lambda: self.outcomes(order).count(outcome) >= times, expected, order)

    def is_finished(self, order: Order, *, patience_seconds: float | None = None) -> None:
        """Waits until the functions' logs say that the order is done. Raises Violated."""
        self.until(
            lambda: FINISHED.intersection(self.outcomes(order)),
            f"order {order.id} is finished",
            order,
            patience_seconds,
        )

    def is_skipped(self, order: Order, reason: str) -> None:
        """Waits until the functions' logs say that the order was skipped for this reason. Raises Violated."""
        self.until(
            lambda: reason in self.facts(order, "reason"),
            f"order {order.id} is skipped: {reason}",
            order,
        )

    def had_effects(self, order: Order, *, creates: int, updates: int) -> None:
        """Calls changed so much about the order, and no more; no second Create Order followed a success. Raises Violated."""
        effects = self.field.sandbox.effects(self.store, order.id)
        if (effects.creates, effects.updates) != (creates, updates):
            raise Violated(f"expected {creates} creates and {updates} updates, found {effects}")
        self.is_created_once(order)

    def called(self, order: Order, endpoint: str, times: int) -> None:
        """The relay made so many calls for the order. Raises Violated."""
        if (calls := len(self.field.sandbox.requests(endpoint, order=order))) != times:
            raise Violated(f"expected {times} calls of {endpoint} for order {order.id}, found {calls}")

    def request(self, endpoint: str, order: Order) -> Request:
        """Waits for the relay's first call for the order. Raises Violated."""
        self.until(lambda: self.field.sandbox.requests(endpoint, order=order), f"{endpoint} is called", order)
        return self.field.sandbox.requests(endpoint, order=order)[0]

    def lines(self, order: Order) -> list[LogLine]:
        """The functions' log lines about the order."""
        self.field.cloud.log_follower.refresh(max_age_seconds=0.5)
        return self.field.cloud.log_follower.of_order(self.store.hash, order.id)

    def outcomes(self, order: Order) -> list[str]:
        """The order's outcomes, by the functions' logs."""
        return [line.outcome for line in self.lines(order) if line.outcome]

    def facts(self, order: Order, name: str) -> set[str]:
        """The values of a field (`reason`, `cause`) in the order's outcomes."""
        return {str(line.facts.get(name)) for line in self.lines(order) if line.outcome}

    def is_created_in_time(self, order: Order) -> None:
        """The live path made the order's record, inside the window. Raises Violated."""
        record = self.field.sandbox.record(self.store, order.id)
        in_time = record is not None and record.origin == "created" and (record.window_left or 0) > 0
        # The late path, which is quick here, might have got there before the window closed.
        if not in_time or "late" in self.outcomes(order):
            raise Violated(f"expected: order {order.id} created in its window; found: {self.describe(order)}")

    def until(
        self,
        condition: Callable[[], object],
        expected: str,
        order: Order | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        """Waits for the condition. Raises Violated, with what there is instead."""
        patience_seconds = patience_seconds or self.field.patience_seconds
        ends_at = time.monotonic() + patience_seconds
        while not condition():
            if self.field.over or time.monotonic() > ends_at:
                found = self.describe(order) if order else "it never did"
                raise Violated(f"expected: {expected}; found after {patience_seconds:.0f} s: {found}")
            time.sleep(0.3)

    def describe(self, order: Order) -> str:
        """All that is known of an order."""
        record = self.field.sandbox.record(self.store, order.id)
        letters = [json.loads(letter["Body"])["reason"] for letter in self.dead_letters(order)]
        return f"record {record}, outcomes {self.outcomes(order)}, dead letters {letters}"


@contextmanager
def open_field(
    progress: Callable[[str], None],
    *,
    seed: int,
    environments: int = 12,
    alter: Callable[[Path], None] | None = None,
) -> Iterator[Field]:
    """Deploys the real template with every neighbour behind faults; ends everything with the block.

    `environments` of OrderFunction are warm then. `alter` may change the build (a folder) before it is deployed.
    """
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxStore.run(seed=seed))
        proxy = stack.enter_context(AwsProxy.run(seed=seed))
        addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
        cloud = stack.enter_context(Cloud(PARAMETERS | addresses, progress=progress, proxy=proxy, alter=alter))
        cloud.client("sqs").set_queue_attributes(
            QueueUrl=cloud.outputs["RecoveryQueueUrl"], Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        )
        field = Field(sandbox, cloud, proxy)
        _warm_up(field, environments)
        yield field


def _warm_up(field: Field, environments: int) -> None:
    """Lets execution environments start: many of them at the same moment, on few cores, would miss every window."""
    shop = field.open_store("warmup")
    orders = [shop.place(customer_id=GUEST) for _ in range(environments)]
    for order in orders:
        shop.put_on_bus(order)
    for order in orders:
        shop.is_skipped(order, "guest")
