"""The event "this store created this order", parsed from a webhook, a bus event or a queue message."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from handler import strict_json
from handler.dates import unix_seconds
from handler.errors import IgnoredScope, MalformedEvent
from handler.whole_number import LARGEST, whole_number

DETAIL_TYPE = "bigCommerceWebhook"
"""The detail-type of bus events, as BigCommerce's partner source sends it (docs/bigcommerce.md, Partner events)."""

ORDER_CREATED = re.compile(r"store/(?:channel/\d{1,10}/)?order/created")
STORE_HASH = re.compile(r"[a-z0-9]{1,32}")
CORRELATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LARGEST_ID = LARGEST
LONGEST_VALUE = 1_000
MOST_EXTRA_FIELDS = 100
UNIX_SECONDS = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?", re.ASCII)
BACKDATED_SECONDS = 5.0
"""An order's `date_created` counts only when it is at most this much before the webhook's (docs/bigcommerce.md)."""


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A store (`store_hash`) created an order (`order_id`, the core order id) at `created_at` (unix seconds).

    `customer_id`, `po_number` and `extra_fields` (name, value) are there only when the merchant's own producer sent
    them; with `customer_id` the order is not looked up.
    """

    store_hash: str
    order_id: int
    created_at: float
    correlation_id: str
    customer_id: int | None = None
    po_number: str | None = None
    extra_fields: tuple[tuple[str, str], ...] = ()

    @property
    def values_digest(self) -> str:
        """A digest of the event's own values, to distinguish events of one order; empty when the event has none."""
        if not self.po_number and not self.extra_fields:
            return ""
        values = json.dumps([self.po_number, sorted(self.extra_fields)])
        return hashlib.sha256(values.encode()).hexdigest()[:32]

    def dated_by_order(self, date_created: float | None) -> OrderEvent:
        """The event with the order's own date (unix seconds) as `created_at`, where that is earlier and not backdated."""
        if date_created is None or not self.created_at - BACKDATED_SECONDS <= date_created < self.created_at:
            return self
        return replace(self, created_at=date_created)

    def as_detail(self) -> dict[str, Any]:
        """The event as a bus event's detail, which `parse_detail` reads back."""
        detail: dict[str, Any] = {
            "scope": "store/order/created",
            "producer": f"stores/{self.store_hash}",
            "data": {"type": "order", "id": self.order_id},
            "created_at": self.created_at,
            "hash": self.correlation_id,
        }
        if self.customer_id is not None:
            detail["customerId"] = self.customer_id
        if self.po_number is not None:
            detail["poNumber"] = self.po_number
        if self.extra_fields:
            detail["extraFields"] = [{"fieldName": name, "fieldValue": value} for name, value in self.extra_fields]
        return detail


def parse_bus_event(event: dict[str, Any], received_at: float) -> OrderEvent:
    """The order event inside an EventBridge event.

    The format of a partner event's detail is not published (docs/bigcommerce.md, Partner events), so the webhook's body is
    accepted as `detail`, as `detail.payload`, and as a JSON string in either place. Raises MalformedEvent, IgnoredScope.
    """
    detail = _unwrapped(event.get("detail"))
    if isinstance(detail, dict) and "scope" not in detail and "payload" in detail:
        detail = _unwrapped(detail["payload"])
    return parse_detail(detail, received_at)


def parse_detail(detail: Any, received_at: float) -> OrderEvent:
    """The order event in a webhook's body (docs/bigcommerce.md, Webhooks).

    `received_at` (unix seconds) replaces a `created_at` that is missing or in the future. Raises MalformedEvent when
    the format is not the published one, and IgnoredScope for another scope.
    """
    store_hash = store_hash_of(detail)
    scope = detail.get("scope")
    if not isinstance(scope, str) or not scope:
        raise MalformedEvent('"scope" must be a text such as "store/order/created"')
    if not ORDER_CREATED.fullmatch(scope):
        raise IgnoredScope("only store/order/created and store/channel/<id>/order/created are relayed")
    data = detail.get("data")
    if not isinstance(data, dict):
        raise MalformedEvent('"data" must be an object with the order\'s "id"')
    order_id = _identifier(data.get("id") if data.get("order_id") is None else data["order_id"], '"data.id"')
    customer_id = detail.get("customerId")
    return OrderEvent(
        store_hash=store_hash,
        order_id=order_id,
        created_at=min(_time(detail.get("created_at"), received_at), received_at),
        correlation_id=_correlation_id(detail.get("hash"), store_hash, order_id),
        customer_id=None if customer_id is None else _identifier(customer_id, '"customerId"', least=0),
        po_number=_po_number(detail.get("poNumber")),
        extra_fields=_extra_fields(detail.get("extraFields")),
    )


def event_time(event: dict[str, Any], otherwise: float) -> float:
    """The `time` of a bus event in unix seconds, or `otherwise` when it is missing or invalid."""
    try:
        # Not before 1970, since `parse_detail` accepts no negative time.
        return min(max(datetime.fromisoformat(event["time"]).timestamp(), 0.0), otherwise)
    except (KeyError, TypeError, ValueError, OverflowError):
        return otherwise


def store_hash_of(detail: Any) -> str:
    """The store hash in `producer`, not yet authenticated. Raises MalformedEvent."""
    producer = detail.get("producer") if isinstance(detail, dict) else None
    prefix, _, store_hash = producer.partition("/") if isinstance(producer, str) else ("", "", "")
    if prefix != "stores" or not STORE_HASH.fullmatch(store_hash):
        raise MalformedEvent('the body must be an object with "producer": "stores/<store hash>"')
    return store_hash


def _unwrapped(value: Any) -> Any:
    return strict_json.parse(value) if isinstance(value, str) else value


def _identifier(value: Any, name: str, least: int = 1) -> int:
    number = whole_number(value, least)
    if number is None:
        raise MalformedEvent(f"{name} must be a whole number of at least {least}")
    return number


def _time(value: Any, otherwise: float) -> float:
    """Unix seconds from a number or a text: digits, ISO 8601 or RFC 2822 (bigcommerce/dev-docs #371: types vary)."""
    if isinstance(value, str):
        value = _time_in(value.strip())
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_ID:
        raise MalformedEvent('"created_at" must be a moment in unix seconds')
    return float(value)


def _time_in(text: str) -> float | str | None:
    """The time in `text` in unix seconds, None for an empty text, or the text itself when it is not a time."""
    if UNIX_SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
        # Without a time zone the time is unknown.
        return moment.timestamp() if moment.tzinfo else text
    except (ValueError, OverflowError):
        return (unix_seconds(text) or text) if text else None


def _correlation_id(value: Any, store_hash: str, order_id: int) -> str:
    if isinstance(value, str) and CORRELATION_ID.fullmatch(value):
        return value
    return f"{store_hash}-{order_id}"


def _value(value: Any) -> str | None:
    """A producer's value as text, empty when there is none. None when it is invalid."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(text := str(value)) > LONGEST_VALUE:
        return None
    return text.strip()


def _po_number(value: Any) -> str | None:
    text = _value(value)
    if text is None:
        raise MalformedEvent(f'"poNumber" must be a text of at most {LONGEST_VALUE} characters')
    return text or None


def _extra_fields(value: Any) -> tuple[tuple[str, str], ...]:
    expected = '"extraFields" must be a list of at most 100 {"fieldName": text, "fieldValue": text}'
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_EXTRA_FIELDS:
        raise MalformedEvent(expected)
    fields = {}
    for field in value:
        name = field.get("fieldName") if isinstance(field, dict) else None
        text = _value(field.get("fieldValue")) if isinstance(field, dict) else None
        if not isinstance(name, str) or not name or text is None:
            raise MalformedEvent(expected)
        if text:
            fields[name] = text
    return tuple(fields.items())
