"""What the page asks for: orders and faults, parsed out of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.console.fault_menu import ENDPOINTS, EXTENTS, MENU
from sandbox.demo.scenarios import BUYER, GUEST, OUTLET_HASH, OUTSIDER, STORE_HASH
from sandbox.store.orders import PO_LINE, OrderOptions
from sandbox.store.webhooks import DeliveryOptions

BUYERS = {"company": BUYER, "outsider": OUTSIDER, "guest": GUEST}
STORES = (STORE_HASH, OUTLET_HASH)
NEVER = "never"
LONGEST_TEXT = 200
LONGEST_AGE_SECONDS = 3600
LONGEST_DELAY_SECONDS = 120
MOST_COPIES = 20
COMPRESSION = 12
"""The store's next try of a webhook comes after five seconds instead of sixty."""


class InvalidRequest(Exception):  # noqa: N818  says what is wrong with the request
    """The page asked for something that cannot be; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order to be placed."""

    store: str = STORE_HASH
    buyer: str = "company"
    po_number: str = ""
    cost_center: str = ""
    erp_order_id: str = ""
    created_ago_seconds: float = 0.0
    delay_seconds: float | None = 0.0
    """How long the webhook is held back; None: it never comes."""
    copies: int = 1

    @classmethod
    def parse(cls, body: bytes) -> OrderRequest:
        """The request in a request's body. Raises InvalidRequest."""
        form = _object(
            body,
            {"store", "buyer", "po_number", "cost_center", "erp_order_id", "created_ago_seconds", "webhook", "copies"},
        )
        store = form.get("store", STORE_HASH)
        if store not in STORES:
            raise InvalidRequest(f"The store is one of {', '.join(STORES)}.")
        buyer = form.get("buyer", "company")
        if not isinstance(buyer, str) or buyer not in BUYERS:
            raise InvalidRequest(f"The buyer is one of {', '.join(BUYERS)}.")
        webhook = form.get("webhook", 0)
        return cls(
            store=store,
            buyer=buyer,
            po_number=_text(form, "po_number", "The PO number"),
            cost_center=_text(form, "cost_center", "The cost center"),
            erp_order_id=_text(form, "erp_order_id", "The ERP order id"),
            created_ago_seconds=_number(form.get("created_ago_seconds", 0), "The age", LONGEST_AGE_SECONDS),
            delay_seconds=None if webhook == NEVER else _number(webhook, "The webhook's delay", LONGEST_DELAY_SECONDS),
            copies=int(_number(form.get("copies", 1), "The number of deliveries", MOST_COPIES, least=1)),
        )

    @property
    def order_options(self) -> OrderOptions:
        """What the store is told about the order."""
        options: OrderOptions = {
            "customer_id": BUYERS[self.buyer],
            "customer_message": f"{PO_LINE}{self.po_number}" if self.po_number else "",
            "form_fields": {"Cost Center": self.cost_center} if self.cost_center else {},
            "external_order_id": self.erp_order_id,
            "created_ago_seconds": self.created_ago_seconds,
            "notify": False,
        }
        return options

    @property
    def delivery_options(self) -> DeliveryOptions:
        """How its webhook is delivered."""
        return DeliveryOptions(
            copies=self.copies, delay_seconds=self.delay_seconds or 0.0, time_compression=COMPRESSION
        )

    @property
    def words(self) -> list[str]:
        """What is out of the ordinary about it."""
        said = [f"made {self.created_ago_seconds:g} s ago"] if self.created_ago_seconds else []
        if self.delay_seconds is None:
            said.append("no webhook")
        elif self.delay_seconds:
            said.append(f"webhook {self.delay_seconds:g} s later")
        if self.copies > 1:
            said.append(f"delivered {self.copies} times")
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRequest:
    """A fault to be had: which, at which endpoints, for whom and how often."""

    key: str
    endpoint: str
    extent: str

    @classmethod
    def parse(cls, body: bytes) -> FaultRequest:
        """The request in a request's body. Raises InvalidRequest."""
        form = _object(body, {"fault", "endpoint", "extent"})
        request = cls(
            key=form.get("fault", ""), endpoint=form.get("endpoint", "b2b.create"), extent=form.get("extent", "")
        )
        for value, known, name in ((request.key, MENU, "fault"), (request.endpoint, ENDPOINTS, "endpoint")):
            if not isinstance(value, str) or value not in known:
                raise InvalidRequest(f"The {name} is one of {', '.join(known)}.")
        if not isinstance(request.extent, str) or request.extent not in EXTENTS:
            raise InvalidRequest(f"The extent is one of {', '.join(EXTENTS)}.")
        return request


def _object(body: bytes, known: set[str]) -> dict[str, Any]:
    try:
        form = json.loads(body)
    except ValueError as error:
        raise InvalidRequest("The request's body is not JSON.") from error
    if not isinstance(form, dict):
        raise InvalidRequest("The request's body is not a JSON object.")
    if unknown := form.keys() - known:
        raise InvalidRequest(f"There is no field {min(unknown)!r}; known are {', '.join(sorted(known))}.")
    return form


def _text(form: dict[str, Any], key: str, name: str) -> str:
    value = form.get(key, "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise InvalidRequest(f"{name} is one line of at most {LONGEST_TEXT} characters.")
    return value.strip()


def _number(value: Any, name: str, most: float, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidRequest(f"{name} is a number from {least:g} to {most:g}.")
    return float(value)
