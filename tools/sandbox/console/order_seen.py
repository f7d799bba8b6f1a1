"""What was seen of one order: webhooks, requests, log lines, record, dead letter; and each of them as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.dead_letters import DeadLetter
    from sandbox.aws.logs import LogLine
    from sandbox.store.b2b_api import Record
    from sandbox.store.bigcommerce import Request
    from sandbox.store.orders import Order
    from sandbox.store.webhooks import Delivery

ENDPOINT_NAMES = {
    "core.get_order": "Look-up",
    "b2b.create": "Create Order",
    "b2b.get": "Get Order",
    "b2b.update": "Update Order",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen of one order so far."""

    order: Order
    deliveries: Sequence[Delivery] = ()
    requests: Sequence[Request] = ()
    lines: Sequence[LogLine] = ()
    record: Record | None = None
    dead_letter: DeadLetter | None = None
    announced: bool = True
    dropped: bool = False
    redriven: bool = False
    """Its dead letter was there and has gone."""
    window_seconds: float = 10.0

    def line(self, *outcomes: str) -> LogLine | None:
        """The last line that tells of one of these outcomes."""
        return next((line for line in reversed(self.lines) if line.outcome in outcomes), None)

    def of(self, *endpoints: str) -> list[Request]:
        """The requests to these endpoints."""
        return [request for request in self.requests if request.endpoint in endpoints]

    def after(self, at: float) -> float:
        """A moment in seconds since the order was made."""
        return round(at - self.order.created_at, 2)


def answer_of(request: Request) -> str:
    """How a request ended, in short."""
    if request.status is None:
        return "no answer yet"
    return str(request.status) if request.status else "cut off"


def request_as_json(seen: Seen, request: Request) -> dict[str, Any]:
    """One request that reached the store, and how it ended."""
    return {
        "after": seen.after(request.at),
        "name": ENDPOINT_NAMES.get(request.endpoint, request.endpoint),
        "answer": answer_of(request),
        "status": request.status,
        "seconds": None if request.seconds is None else round(request.seconds, 2),
        "fault": request.fault or "",
        "sent": _sent(request.body),
    }


def line_as_json(seen: Seen, line: LogLine) -> dict[str, Any]:
    """One log line."""
    return {
        "after": seen.after(line.at),
        "function": line.function,
        "version": line.version,
        "level": line.level,
        "message": line.message,
        "facts": ", ".join(f"{name}={value}" for name, value in line.facts.items()),
    }


def record_as_json(record: Record | None) -> dict[str, Any] | None:
    """The B2B record as it is."""
    if record is None:
        return None
    return {
        "po_number": record.po_number,
        "extra_fields": record.extra_fields,
        "origin": "made by Create Order" if record.origin == "created" else "made by B2B Edition itself",
        "customer": record.customer_id,
    }


def _sent(body: Any) -> str:
    """What of a body goes onto the record."""
    if not isinstance(body, dict):
        return ""
    texts = [f"PO number: {body['poNumber']}"] if body.get("poNumber") else []
    fields = body.get("extraFields") or []
    texts += [f"{field.get('fieldName')}: {field.get('fieldValue')}" for field in fields if isinstance(field, dict)]
    return ", ".join(texts)
