"""Orders as the core API knows them: what one is, how it reads as JSON, how a list of them is filtered."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Literal, TypedDict

from sandbox.store.messages import page_of

PO_LINE = "PO Number / Reference Number: "
_PO = re.compile(re.escape(PO_LINE) + r"([^\r\n]+)")

Source = Literal["storefront", "api"]
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "company": "Example Industries",
    "street_1": "1 Sample Street",
    "street_2": "",
    "city": "Austin",
    "state": "Texas",
    "zip": "78701",
    "country": "United States",
    "country_iso2": "US",
    "phone": "+1 512 555 0100",
    "email": "ada.buyer@example.com",
}


class OrderOptions(TypedDict, total=False):
    """What `place_order` takes; everything may be left out."""

    order_id: int
    customer_id: int
    customer_message: str
    buyer_po_number: Any
    buyer_extra_fields: dict[str, Any]
    form_fields: dict[str, Any]
    shipping_form_fields: dict[str, Any]
    line_items: list[dict[str, Any]]
    metafields: list[dict[str, str]]
    external_order_id: str
    staff_notes: str
    payment_method: str
    status_id: int
    channel_id: int
    total: str
    source: Source
    order_type: str
    created_ago_seconds: float
    readable_after_seconds: float
    automatic_record_after: float | None
    notify: bool


@dataclass(slots=True, kw_only=True)
class Order:
    """One order of one store."""

    id: int
    store_hash: str
    store_id: str
    created_at: float
    """When it was really made: the window counts from here."""
    customer_id: int = 0
    customer_message: str = ""
    buyer_po_number: Any = ""
    """What the checkout itself puts onto an automatic record, in any JSON type. The comments are read by no one else."""
    buyer_extra_fields: dict[str, Any] = field(default_factory=dict)
    """What the buyer typed into B2B Edition's own fields: only an automatic record carries it."""
    form_fields: dict[str, Any] = field(default_factory=dict)
    """Of the billing address: names and values (text, a number or a list of texts)."""
    shipping_form_fields: dict[str, Any] = field(default_factory=lambda: {"License ID": "123BAF"})
    """Of the shipping address, likewise."""
    line_items: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"sku": "PUMP-20", "name": "Centrifugal pump", "quantity": 1},
            {"sku": "SEAL-8", "name": "Seal kit", "quantity": 2},
        ]
    )
    """The products: `sku`, `name`, `quantity` and whatever else is to differ from the defaults."""
    metafields: list[dict[str, str]] = field(default_factory=list)
    """Beside `orderType`: `namespace`, `key`, `value` and, if not `read`, `permission_set`."""
    external_order_id: str = ""
    staff_notes: str = ""
    payment_method: str = "Purchase Order"
    status_id: int = 11
    channel_id: int = 1
    total: str = "149.9500"
    source: Source = "storefront"
    order_type: str = "online order"
    """The `orderType` metafield: `online order` or `invoice payment`."""
    readable_after_seconds: float = 0.0
    """How long the look-up answers 404."""
    automatic_record_at: float | None = None
    """When B2B Edition makes the record by itself; None: never."""

    @property
    def cart_id(self) -> str:
        """The cart that it was."""
        return f"00000000-0000-4000-8000-{self.id:012d}"

    @property
    def shown_created_at(self) -> datetime:
        """`date_created`: whole seconds, UTC."""
        return datetime.fromtimestamp(int(self.created_at), UTC)

    def readable(self, now: float) -> bool:
        """Whether the core API shows the order already."""
        return now >= self.created_at + self.readable_after_seconds

    def write_po_number(self, po_number: str) -> bool:
        """Put a PO number into the customer's message, as Create Order does; True when that changed the order."""
        found = _PO.search(self.customer_message)
        if not po_number or (found and found.group(1).strip() == po_number):
            return False
        line = PO_LINE + po_number
        rest = _PO.sub("", self.customer_message).strip()
        self.customer_message = f"{rest}\n{line}" if rest else line
        return True

    def as_json(self) -> dict[str, Any]:
        """Show the order as `GET /v2/orders/{id}` does: money is strings, the person is made up."""
        created = format_datetime(self.shown_created_at)
        return {
            "id": self.id,
            "customer_id": self.customer_id,
            "date_created": created,
            "date_modified": created,
            "date_shipped": "",
            "status_id": self.status_id,
            "status": STATUSES.get(self.status_id, "Awaiting Fulfillment"),
            "subtotal_ex_tax": self.total,
            "subtotal_inc_tax": self.total,
            "total_ex_tax": self.total,
            "total_inc_tax": self.total,
            "total_tax": "0.0000",
            "shipping_cost_ex_tax": "0.0000",
            "shipping_cost_inc_tax": "0.0000",
            "discount_amount": "0.0000",
            "items_total": sum(item.get("quantity", 1) for item in self.line_items),
            "items_shipped": 0,
            "payment_method": self.payment_method,
            "payment_provider_id": "",
            "payment_status": "",
            "refunded_amount": "0.0000",
            "order_is_digital": False,
            "is_deleted": False,
            "ip_address": "192.0.2.17",
            "geoip_country": "United States",
            "geoip_country_iso2": "US",
            "currency_code": "USD",
            "default_currency_code": "USD",
            "channel_id": self.channel_id,
            "order_source": "external" if self.source == "api" else "www",
            "external_source": None,
            "external_id": None,
            "external_order_id": self.external_order_id,
            "external_merchant_id": None,
            "cart_id": self.cart_id,
            "customer_locale": "en",
            "staff_notes": self.staff_notes,
            "customer_message": self.customer_message,
            "billing_address": ADDRESS | {"form_fields": _form_fields(self.form_fields)},
            "consignments": self._link("consignments"),
            "products": self._link("products"),
        }

    def consignments_json(self, *, line_items: bool) -> dict[str, Any]:
        """Show the consignments as an order that includes them does: one shipment, its products as links or in full."""
        rows = [self._line_item(place, item) for place, item in enumerate(self.line_items, 1)]
        shipment = {
            "id": self.id,
            **ADDRESS,
            "form_fields": _form_fields(self.shipping_form_fields),
            "shipping_method": "Free Shipping",
            "line_items": rows if line_items else [self._link(f"products/{row['id']}") for row in rows],
            "items_total": sum(row["quantity"] for row in rows),
            "items_shipped": 0,
            "base_cost": 0,
            "cost_ex_tax": 0,
            "cost_inc_tax": 0,
            "cost_tax": 0,
            "cost_tax_class_id": 2,
            "shipping_zone_id": 1,
            "shipping_zone_name": "United States",
            "shipping_quotes": self._link(f"consignments/shipping/{self.id}/shipping_quotes"),
        }
        return {"pickups": [], "shipping": [shipment], "downloads": [], "email": {"gift_certificates": []}}

    def metafields_json(self) -> list[dict[str, Any]]:
        """Show the metafields: that of B2B Edition first. Those that are private to another app are not shown."""
        shown = self.shown_created_at.isoformat()
        own = {"namespace": "b2b_order", "key": "orderType", "value": self.order_type}
        visible = [row for row in self.metafields if row.get("permission_set") != "app_only"]
        return [
            {
                "id": 1000 * (90 + self.id) + place,
                "key": row["key"],
                "value": row["value"],
                "namespace": row["namespace"],
                "permission_set": row.get("permission_set", "read"),
                "resource_type": "order",
                "resource_id": self.id,
                "description": "",
                "date_created": shown,
                "date_modified": shown,
            }
            for place, row in enumerate([own, *visible])
        ]

    def _line_item(self, place: int, item: dict[str, Any]) -> dict[str, Any]:
        """Show one product of the order; a line item's own members stand in place of the defaults."""
        money = ("base_price", "price_ex_tax", "price_inc_tax", "base_total", "total_ex_tax", "total_inc_tax")
        return {
            "id": 1000 * self.id + place,
            "order_id": self.id,
            "product_id": 80 + place,
            "variant_id": 180 + place,
            "name": "",
            "sku": "",
            "upc": "",
            "brand": "",
            "type": "physical",
            "quantity": 1,
            **dict.fromkeys(money, "49.9500"),
            "price_tax": "0.0000",
            "total_tax": "0.0000",
            "product_options": [],
            "configurable_fields": [],
            **item,
        }

    def _link(self, path: str) -> dict[str, str]:
        """Where a part of the order can be read."""
        resource = f"/orders/{self.id}/{path}"
        return {"url": f"https://api.bigcommerce.com/stores/{self.store_hash}/v2{resource}", "resource": resource}


def _form_fields(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


STATUSES = {0: "Incomplete", 1: "Pending", 7: "Awaiting Payment", 10: "Completed", 11: "Awaiting Fulfillment"}
_SORTABLE = ("id", "customer_id", "date_created", "date_modified", "status_id", "channel_id")


def select(orders: Iterable[Order], query: Mapping[str, str]) -> list[Order]:
    """Return the page of orders that a `GET /v2/orders` query asks for; ValueError when it cannot be read."""
    first, last = query.get("min_date_created"), query.get("max_date_created")
    chosen = [
        order
        for order in orders
        if (first is None or order.shown_created_at >= _moment(first))
        and (last is None or order.shown_created_at <= _moment(last))
        and int(query.get("min_id", 0)) <= order.id <= int(query.get("max_id", order.id))
        and order.customer_id == int(query.get("customer_id", order.customer_id))
        and order.status_id == int(query.get("status_id", order.status_id))
        and order.channel_id == int(query.get("channel_id", order.channel_id))
    ]
    by, _, direction = query.get("sort", "id:asc").partition(":")
    if by not in _SORTABLE or direction not in {"asc", "desc", ""}:
        raise ValueError("sort takes one of the sortable fields")
    attribute = "shown_created_at" if by.startswith("date_") else by
    chosen.sort(key=lambda order: (getattr(order, attribute), order.id), reverse=direction == "desc")
    number, limit = page_of(query)
    return chosen[(number - 1) * limit : number * limit]


def _moment(text: str) -> datetime:
    """Read a date as the core API takes it: RFC 2822 or ISO 8601."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
