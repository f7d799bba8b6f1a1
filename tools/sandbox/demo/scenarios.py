"""The orders of `make run`: what is done with each, and what has to become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from sandbox.store import faults
from sandbox.store.buyers import Buyer
from sandbox.store.orders import PO_LINE, Order, OrderOptions
from sandbox.store.settings import ExtraField, Store
from sandbox.store.webhooks import Delivery, DeliveryOptions, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.aws.cloud import Cloud
    from sandbox.store.b2b_api import Record
    from sandbox.store.server import SandboxStore

STORE_HASH, OUTLET_HASH, ERP_HASH = "sandbox", "outlet", "erp"
BUYER, OUTSIDER, GUEST, OTHER_BUYER = 7, 8, 0, 9
ACCEPTED, UNAUTHENTICATED = 200, 401
ONCE = DeliveryOptions(retries=0)
SOURCE_HANGS_SECONDS = 8.0


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


def erp_store() -> Store:
    """A store whose rules read all sources (`[stores.erp]` in enrichment.toml), with two companies."""
    fields = ("ERP Id", "Buyer role", "Tax code", "Route", "Licence", "SKUs")
    return Store(
        hash=ERP_HASH,
        store_id="1025648",
        first_order_id=701,
        company_customers={BUYER, OTHER_BUYER},
        buyers={OTHER_BUYER: Buyer(company_extra_fields={"ERP ID": "C-20031"}, attributes={"Tax code": "K"})},
        extra_fields=tuple(ExtraField(name=name) for name in fields),
    )


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
        return self.stage.sandbox.record(self.order.store_hash, self.order.id)

    @property
    def creates(self) -> int:
        """How often Create Order took effect."""
        return self.stage.sandbox.effects(self.order.store_hash, self.order.id).creates


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
    fault: faults.Fault | None = None,
    endpoint: str = "b2b.create",
    times: int = 1,
    delivery: DeliveryOptions = ONCE,
    **order: Unpack[OrderOptions],
) -> Callable[[Stage], Played]:
    """An order announced by a signed webhook, with a fault on its way if there is one."""

    def play(stage: Stage) -> Played:
        options: OrderOptions = {"customer_id": BUYER, **order}
        placed = stage.sandbox.place_order(stage.store, **options)
        if fault is not None:
            stage.sandbox.fault(fault, endpoint=endpoint, order=placed, times=times)
        return Played(stage, placed, stage.sandbox.deliver(placed, stage.cloud.webhook_url, delivery))

    return play


def _play_at_erp(
    fault: faults.Fault | None = None, endpoint: str = "*", **order: Unpack[OrderOptions]
) -> Callable[[Stage], Played]:
    """An order of the store whose rules read all sources; the fault lasts for `SOURCE_HANGS_SECONDS`."""

    def play(stage: Stage) -> Played:
        options: OrderOptions = {
            "customer_id": BUYER,
            "metafields": [{"namespace": "erp", "key": "route", "value": "N4"}],
            "automatic_record_after": None,
            **order,
        }
        placed = stage.sandbox.place_order(ERP_HASH, **options)
        if fault is not None:
            stage.sandbox.fault(fault, endpoint, order=placed, times=None, seconds=SOURCE_HANGS_SECONDS)
        return Played(stage, placed, stage.sandbox.deliver(placed, stage.cloud.webhook_url, ONCE))

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


def _created_at_erp(po_number: str, erp_id: str, tax_code: str) -> Callable[[Played], bool]:
    """Created in the window, with a field from each source by now."""
    return created(
        po_number,
        ERP_Id=erp_id,
        Buyer_role="Junior Buyer",
        Tax_code=tax_code,
        Route="N4",
        Licence="123BAF",
        SKUs="PUMP-20, SEAL-8",
    )


def _completed(in_the_window: Callable[[Played], bool]) -> Callable[[Played], bool]:
    """Created in the window, and completed by Update Order afterwards."""

    def holds(played: Played) -> bool:
        effects = played.stage.sandbox.effects(played.order.store_hash, played.order.id)
        return effects.updates > 0 and in_the_window(played)

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
        play_webhook(delivery=replace(ONCE, forged=True), automatic_record_after=None),
        "refused with 401",
        "",
        _refused,
    ),
    Scenario(
        "signature ten minutes old",
        play_webhook(delivery=replace(ONCE, stale_seconds=600), automatic_record_after=None),
        "refused with 401",
        "",
        _refused,
    ),
    Scenario(
        "delivered five times at once",
        play_webhook(delivery=replace(ONCE, copies=5), customer_message=_message("PO-1003")),
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
    Scenario(
        "fields from company, buyer, customer, metafield, address and products",
        _play_at_erp(customer_message=_message("PO-1009")),
        "created in the window",
        "created",
        _created_at_erp("PO-1009", "C-10047", "G"),
    ),
    Scenario(
        "payment of an invoice",
        _play_at_erp(order_type="invoice payment"),
        "skipped by a rule",
        "skipped",
        no_record,
    ),
    Scenario(
        "company source hangs",
        _play_at_erp(
            faults.SOURCE_FAULTS["hang"](faults.SOURCES["company"]),
            faults.SOURCES["company"],
            customer_id=OTHER_BUYER,
            customer_message=_message("PO-1010"),
        ),
        "created in the window, completed afterwards",
        "updated",
        _completed(_created_at_erp("PO-1010", "C-20031", "K")),
    ),
)
