"""The orders of `make run`: what is done with each, and what has to become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from sandbox.store import faults
from sandbox.store.orders import PO_LINE, Order, OrderOptions
from sandbox.store.settings import ExtraField, Store
from sandbox.store.webhooks import Delivery, DeliveryOptions, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.aws.cloud import Cloud
    from sandbox.store.b2b_api import Record
    from sandbox.store.server import SandboxStore

STORE_HASH, OUTLET_HASH = "sandbox", "outlet"
BUYER, OUTSIDER, GUEST = 7, 8, 0
ACCEPTED, UNAUTHENTICATED = 200, 401
TRIES_ONCE = 0


def demo_store() -> Store:
    """The store of `make run`: a company buyer (7), a customer without a company (8), two extra fields."""
    return Store(
        hash=STORE_HASH,
        company_customers={BUYER},
        extra_fields=(ExtraField(name="Cost Center"), ExtraField(name="ERP Order Id")),
    )


def outlet_store() -> Store:
    """A second store for `make sandbox`: no extra fields, no rules of its own, order numbers of its own."""
    return Store(hash=OUTLET_HASH, store_id="1025647", company_customers={BUYER}, first_order_id=501)


def secret_of(store: Store) -> dict[str, object]:
    """The store's secret, as an operator would put it into Secrets Manager."""
    secret: dict[str, object] = {"access_token": store.access_token, "client_secret": store.client_secret}
    if store.b2b_token:
        secret["b2b_token"] = store.b2b_token
    if store.webhook_header:
        secret["webhook_header"] = dict(zip(("name", "value"), store.webhook_header, strict=True))
    return secret


@dataclass(frozen=True)
class Stage:
    """Where the scenarios play."""

    sandbox: SandboxStore
    cloud: Cloud
    store: Store


@dataclass
class Played:
    """One order on its way: what the webhook was answered, and what stands on the record by now."""

    stage: Stage
    order: Order
    deliveries: list[Delivery]

    @property
    def acknowledged(self) -> tuple[int, float] | None:
        """Status and seconds of the first answer to the first delivery, once there is one."""
        attempts = self.deliveries[0].attempts if self.deliveries else []
        return (attempts[0].status or 0, attempts[0].seconds) if attempts else None

    @property
    def record(self) -> Record | None:
        """The B2B record as it is now."""
        return self.stage.sandbox.record(self.stage.store, self.order.id)

    @property
    def creates(self) -> int:
        """How often Create Order took effect."""
        return self.stage.sandbox.effects(self.stage.store, self.order.id).creates


@dataclass(frozen=True)
class Scenario:
    """One order of the demonstration: its title, how it comes about, and when all has come out as it should."""

    title: str
    play: Callable[[Stage], Played]
    expects: str
    outcome: str
    """The relay's own word for it in its log; empty when it must never get that far."""
    holds: Callable[[Played], bool]


def play_webhook(
    fault: faults.Fault | None = None, endpoint: str = "b2b.create", times: int = 1, **order: Unpack[OrderOptions]
) -> Callable[[Stage], Played]:
    """An order announced by a signed webhook, with a fault on its way if there is one."""
    return _play(DeliveryOptions(retries=TRIES_ONCE), fault, endpoint, times, **order)


def _play(
    delivery: DeliveryOptions,
    fault: faults.Fault | None = None,
    endpoint: str = "b2b.create",
    times: int = 1,
    **order: Unpack[OrderOptions],
) -> Callable[[Stage], Played]:
    def play(stage: Stage) -> Played:
        options: OrderOptions = {"customer_id": BUYER, **order}
        placed = stage.sandbox.place_order(stage.store, **options)
        if fault is not None:
            stage.sandbox.fault(fault, endpoint=endpoint, order=placed, times=times)
        return Played(stage, placed, stage.sandbox.deliver(placed, stage.cloud.webhook_url, delivery))

    return play


def _play_own_event(stage: Stage) -> Played:
    """An order announced by a producer of the merchant's own, straight on the bus, with everything in it."""
    placed = stage.sandbox.place_order(stage.store, customer_id=BUYER, source="api")
    detail = webhook_body(placed) | {
        "customerId": BUYER,
        "poNumber": "ERP-77",
        "extraFields": [{"fieldName": "Cost Center", "fieldValue": "CC-300"}],
    }
    stage.cloud.client("events").put_events(
        Entries=[
            {
                "Source": "com.example.erp",
                "DetailType": "bigCommerceWebhook",
                "Detail": json.dumps(detail),
                "EventBusName": stage.cloud.outputs["EventBusName"],
            }
        ]
    )
    return Played(stage, placed, [])


def created(po_number: str = "", *, calls: int | None = None, **extra_fields: str) -> Callable[[Played], bool]:
    """Created once, by the relay, inside the window, with exactly this on the record; with so many Create Orders."""

    def holds(played: Played) -> bool:
        record = played.record
        return (
            record is not None
            and record.origin == "created"
            and (record.window_left or -1) > 0
            and played.creates == 1
            and calls in {None, len(played.stage.sandbox.requests("b2b.create", order=played.order))}
            and _carries(record, po_number, extra_fields)
        )

    return holds


def updated(po_number: str, **extra_fields: str) -> Callable[[Played], bool]:
    """The automatic record, brought in line."""

    def holds(played: Played) -> bool:
        record = played.record
        return record is not None and record.origin == "automatic" and _carries(record, po_number, extra_fields)

    return holds


def _carries(record: Record, po_number: str, extra_fields: dict[str, str]) -> bool:
    names = {name.replace("_", " "): value for name, value in extra_fields.items()}
    return bool(record.po_number == po_number and record.extra_fields == names)


def no_record(played: Played) -> bool:
    """Whether there is no record, made by whomever."""
    return played.creates == 0 and played.record is None


def _refused(played: Played) -> bool:
    return played.acknowledged is not None and played.acknowledged[0] == UNAUTHENTICATED and played.creates == 0


def _message(po_number: str) -> str:
    return f"Please ring twice.\n{PO_LINE}{po_number}"


SCENARIOS = (
    Scenario(
        "company order with a PO number",
        play_webhook(customer_message=_message("PO-1001")),
        "created in the window",
        "created",
        created("PO-1001"),
    ),
    Scenario(
        "with extra fields",
        play_webhook(
            customer_message=_message("PO-1002"), form_fields={"Cost Center": "CC-200"}, external_order_id="ERP-9"
        ),
        "created in the window",
        "created",
        created("PO-1002", Cost_Center="CC-200", ERP_Order_Id="ERP-9"),
    ),
    Scenario("guest", play_webhook(customer_id=GUEST), "skipped", "skipped", no_record),
    Scenario("customer without a company", play_webhook(customer_id=OUTSIDER), "skipped", "skipped", no_record),
    Scenario(
        "forged webhook",
        _play(DeliveryOptions(forged=True, retries=TRIES_ONCE), automatic_record_after=None),
        "refused with 401",
        "",
        _refused,
    ),
    Scenario(
        "signature ten minutes old",
        _play(DeliveryOptions(stale_seconds=600, retries=TRIES_ONCE), automatic_record_after=None),
        "refused with 401",
        "",
        _refused,
    ),
    Scenario(
        "delivered five times at once",
        _play(DeliveryOptions(copies=5, retries=TRIES_ONCE), customer_message=_message("PO-1003")),
        "created once",
        "created",
        created("PO-1003", calls=1),
    ),
    Scenario(
        "B2B API answers 503 twice",
        play_webhook(faults.status(503), times=2, customer_message=_message("PO-1004")),
        "created in the window",
        "created",
        created("PO-1004"),
    ),
    Scenario(
        "B2B API hangs once",
        play_webhook(faults.hang(), customer_message=_message("PO-1005"), automatic_record_after=None),
        "created in the window",
        "created",
        created("PO-1005"),
    ),
    Scenario(
        "order not readable at first",
        play_webhook(readable_after_seconds=1.5, customer_message=_message("PO-1006"), automatic_record_after=None),
        "created in the window",
        "created",
        created("PO-1006"),
    ),
    Scenario(
        "webhook comes 12 s late",
        play_webhook(created_ago_seconds=12, customer_message=_message("PO-1007"), form_fields={"Cost Center": "CC-7"}),
        "updated afterwards",
        "updated",
        updated("PO-1007", Cost_Center="CC-7"),
    ),
    Scenario(
        "record already there",
        play_webhook(
            automatic_record_after=0.0, customer_message=_message("PO-1008"), form_fields={"Cost Center": "CC-8"}
        ),
        "updated at once",
        "updated",
        updated("PO-1008", Cost_Center="CC-8"),
    ),
    Scenario(
        "your own event, with everything in it",
        _play_own_event,
        "created, no look-up",
        "created",
        created("ERP-77", Cost_Center="CC-300"),
    ),
)
