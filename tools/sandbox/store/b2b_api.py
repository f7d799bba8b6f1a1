"""The B2B Edition orders API of one store, with its window, its wordings and its quirks. Pure: no HTTP, no waiting."""

import copy
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.store.messages import Answer, Call, Clock
from sandbox.store.orders import STATUSES, Order
from sandbox.store.settings import Store

ALREADY_EXISTS = "The order already exists."
"""The one answer for two facts: the window is over, or there is a record."""
UPDATE_FIELDS = frozenset({"poNumber", "extraFields"})
CREATE_FIELDS = UPDATE_FIELDS | {"bcOrderId", "customerId"}
NO_RECORD = "Order Does Not Exist."
NO_COMPANY_USER = "User does not exist or action not support for this user."
INVOICE_PAYMENT = "invoice payment"

Row = dict[str, Any]
"""One extra field: `fieldName`, `fieldValue`, and whatever else stands there."""


@dataclass(slots=True, kw_only=True)
class Record:
    """The B2B record of an order. `po_number` and the values of `rows` are JSON of any type, shown as they are."""

    order_id: int
    customer_id: int
    origin: Literal["automatic", "created", "assigned"]
    created_at: float
    updated_at: float
    po_number: Any = ""
    rows: list[Row] = field(default_factory=list)
    """`extraFields`."""
    window_left: float | None = None
    """Seconds of the window that were left when it was created by call; None for an automatic record."""
    invoice: bool = False

    @property
    def extra_fields(self) -> dict[str, Any]:
        """The extra fields by name."""
        return {row["fieldName"]: row.get("fieldValue") for row in self.rows}


@dataclass(slots=True)
class Effects:
    """How often calls changed something about an order."""

    creates: int = 0
    updates: int = 0


class Refused(Exception):  # noqa: N818 - not a failure of the sandbox, but an answer on its way out
    """An error answer of the B2B API."""

    def __init__(self, status: int, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.detail = status, message, detail


def refusal_body(status: int, message: str, detail: str | None = None, empty: Any = None) -> dict[str, Any]:
    """Return the JSON of an error answer: `message`, and `detail` where the API says more; `empty` is an empty `data`."""
    data = {"errMsg": detail} if detail else {} if empty is None else empty
    return {"code": status, "data": data, "meta": {"message": message}}


class B2BOrders:
    """Records of one store and the calls upon them. Every call returns an answer or raises Refused."""

    def __init__(self, store: Store, orders: dict[int, Order], clock: Clock) -> None:
        self._store, self._orders, self._clock = store, orders, clock
        self._records: dict[int, Record] = {}
        self._seen_before: dict[int, tuple[float, Record | None]] = {}
        """What Get Order goes on showing, and until when."""
        self._assigned: set[int] = set()
        self.effects: defaultdict[int, Effects] = defaultdict(Effects)

    def refusal(self, refused: Refused) -> Answer:
        """Put a refusal into the shape that the store's answers have; an empty `data` is an object or an array."""
        empty: Any = [] if self._store.data_as_array else {}
        return Answer(refused.status, refusal_body(refused.status, refused.message, refused.detail, empty))

    def record(self, order_id: int) -> Record | None:
        """Return the record of an order. An automatic one comes into being here, once its time has come."""
        order = self._orders.get(order_id)
        due = order.automatic_record_at if order else None
        if order and order_id not in self._records and due is not None and self._clock() >= due:
            self._records[order_id] = Record(
                order_id=order_id,
                customer_id=order.customer_id,
                origin="automatic",
                created_at=due,
                updated_at=due,
                po_number=order.buyer_po_number,
                rows=rows_of(copy.deepcopy(order.buyer_extra_fields)),
                invoice=order.order_type == INVOICE_PAYMENT,
            )
        return self._records.get(order_id)

    def records(self) -> list[Record]:
        """All records there are by now, the oldest order first."""
        return [record for order_id in sorted(self._orders) if (record := self.record(order_id))]

    def checkout_refused(self, order_id: int) -> bool:
        """Whether the checkout came with its own record after Create Order: what the buyer typed there is lost."""
        record, due = self.record(order_id), self._orders[order_id].automatic_record_at
        return record is not None and record.origin == "created" and due is not None and self._clock() >= due

    def window_left(self, order: Order) -> float:
        """Seconds in which Create Order is still accepted; negative when it is too late."""
        return order.created_at + self._store.window_seconds - self._clock()

    def create(self, call: Call) -> Answer:
        """`POST /orders`."""
        body = _object(call, CREATE_FIELDS)
        order_id, customer_id = _integer(body, "bcOrderId"), _integer(body, "customerId")
        order, now = self._orders.get(order_id), self._clock()
        if order is None:
            raise Refused(400, "Order is invalid.")  # documented nowhere
        if now < order.created_at + self._store.order_lag_seconds:
            raise Refused(404, NO_RECORD)  # documented nowhere
        left, present = self.window_left(order), self.record(order_id)
        late = left <= 0 and not self._store.late_create_without_record
        replaceable = self._store.accepts_second_create and present is not None and present.origin == "created"
        if late or (present and not replaceable):
            raise Refused(400, ALREADY_EXISTS)
        if customer_id != order.customer_id or self._store.company_of(customer_id) is None:
            raise Refused(400, "Customer does not belong to any company.")  # documented nowhere
        po_number, rows = _po_number(body, ""), self._rows(body, order_id, [])
        record = Record(
            order_id=order_id,
            customer_id=customer_id,
            origin="created",
            created_at=now,
            updated_at=now,
            po_number=po_number or "",
            rows=rows or [],
            window_left=left,
            invoice=order.order_type == INVOICE_PAYMENT,
        )
        self._lag(order_id)
        self._records[order_id] = record
        self.effects[order_id].creates += 1
        return success(self._as_json(record))

    def get(self, call: Call) -> Answer:
        """`GET /orders/{bcOrderId}`."""
        record = self._as_read(call.order_id or 0)
        if record is None:
            raise Refused(404, NO_RECORD)
        return Answer(200, {"code": 200, "data": self._shown(record)})

    def update(self, call: Call) -> Answer:
        """`PUT /orders/{bcOrderId}`."""
        body = _object(call, UPDATE_FIELDS)
        record = self.record(call.order_id or 0)
        if record is None:
            raise Refused(404, "Not Found Error")
        po_number, rows = _po_number(body, record.po_number), self._rows(body, record.order_id, record.rows)
        if po_number is None and rows is None:
            raise Refused(400, "At least one of poNumber and extraFields is required.")
        self._lag(record.order_id)
        if po_number is not None:
            record.po_number = po_number
        if rows is not None:
            record.rows = rows if self._store.update_replaces_extra_fields else _union(record.rows, rows)
        record.updated_at = self._clock()
        self.effects[record.order_id].updates += 1
        return Answer(200, {"code": 200, "data": self._shown(record), "message": "SUCCESS"})

    def listing(self, call: Call) -> Answer:
        """`GET /orders`: lags, and shows extra fields only to who asks for them."""
        shown_until = self._clock() - self._store.list_lag_seconds
        rows = [self._as_json(record) for record in self.records() if record.created_at <= shown_until]
        if call.query.get("showExtra", "false").lower() not in {"true", "1"}:
            for row in rows:
                del row["extraFields"]
        return paged(rows, call)

    def extra_fields(self, call: Call) -> Answer:
        """`GET /orders/extra-fields`: the configurations."""
        return paged([shown.as_json(number) for number, shown in enumerate(self._store.extra_fields, 9001)], call)

    def assign(self, call: Call) -> Answer:
        """`PUT /customers/{customerId}/orders/b2b`: all orders of the customer that have no record yet."""
        customer_id = call.customer_id or 0
        if self._store.company_of(customer_id) is None:
            raise Refused(404, NO_COMPANY_USER)
        theirs = [order for order in self._orders.values() if order.customer_id == customer_id]
        moved = [order for order in theirs if order.id not in self._assigned and self.record(order.id) is None]
        self._assigned.update(order.id for order in moved)
        now = self._clock()
        for order in moved:
            self._records[order.id] = Record(
                order_id=order.id,
                customer_id=customer_id,
                origin="assigned",
                created_at=now,
                updated_at=now,
                invoice=order.order_type == INVOICE_PAYMENT,
            )
        return Answer(200, {"code": 200, "data": {"total": len(moved)}, "message": "SUCCESS"})

    def _as_read(self, order_id: int) -> Record | None:
        """The record as Get Order sees it: reads lag behind writes."""
        until, before = self._seen_before.get(order_id, (0.0, None))
        return before if self._clock() < until else self.record(order_id)

    def _lag(self, order_id: int) -> None:
        """Keep what Get Order shows, before a write."""
        until = self._clock() + self._store.read_lag_seconds
        self._seen_before[order_id] = until, copy.deepcopy(self._as_read(order_id))

    def _rows(self, body: dict[str, Any], order_id: int, present: list[Row]) -> list[Row] | None:
        """Take `extraFields` out of a body and check them; None when the body has none.

        Documented are texts only. What the record holds already, of whatever type, may be sent back as it is.
        """
        sent = body.get("extraFields")
        rows = [] if sent is None else _as_rows(sent)
        known = {_text(row) for row in present}
        if rows is None or not all(isinstance(row.get("fieldValue"), str) or _text(row) in known for row in rows):
            words = "extraFields is a list of fieldName and fieldValue, both strings"
            raise Refused(422, words, words)
        values = {row["fieldName"]: row.get("fieldValue") for row in rows}
        for configured in self._store.extra_fields:
            if configured.required and values.get(configured.name) in (None, ""):
                words = f"{configured.name} is a required extra field"
                raise Refused(422, words, words)
        for row in rows:
            if _text(row) not in known and (words := self._objection(order_id, row)):
                raise Refused(422, words, words)
        return None if sent is None else rows

    def _objection(self, order_id: int, row: Row) -> str:
        """What is wrong with an extra field; an empty text when nothing is, or when no fields are configured."""
        name, value = row["fieldName"], row["fieldValue"]
        if not self._store.extra_fields:
            return ""
        configured = next((field for field in self._store.extra_fields if field.name == name), None)
        if configured is None:
            return f"{name} is not an extra field"
        others = (record.extra_fields for record in self.records() if record.order_id != order_id)
        if value and configured.unique and any(fields.get(name) == value for fields in others):
            return f"{name} must be unique"
        return configured.objection(value) if value else ""

    def _shown(self, record: Record) -> Any:
        """Show a record as Get Order and Update Order do."""
        invoice = {
            "isInvoiceOrder": int(record.invoice),
            **dict.fromkeys(["invoiceId", "invoiceNumber", "invoiceStatus"]),
        }
        shown = self._as_json(record) | invoice
        return [shown] if self._store.data_as_array else shown

    def _as_json(self, record: Record) -> dict[str, Any]:
        """Show a record as Create Order and the list do; `id` is B2B Edition's own, not the core order's."""
        order = self._orders[record.order_id]
        status = STATUSES.get(order.status_id, "Awaiting Fulfillment")
        legacy = [*(f"extraInt{number}" for number in range(1, 6)), *(f"extraStr{number}" for number in range(1, 6))]
        return {
            "id": 3_000_000 + record.order_id,
            "bcOrderId": self._store.shown_id(record.order_id),
            "totalIncTax": float(order.total),
            "poNumber": record.po_number,
            "status": status,
            "customStatus": status,
            "cartId": order.cart_id,
            "items": 3,
            "usdIncTax": float(order.total),
            "companyId": self._store.company_of(record.customer_id),
            "currencyCode": "USD",
            "money": [
                {
                    "currencyLocation": "left",
                    "currencyToken": "$",
                    "decimalToken": ".",
                    "decimalPlaces": 2,
                    "thousandsToken": ",",
                }
            ],
            "statusCode": order.status_id,
            "isArchived": False,
            "channelId": order.channel_id,
            "channelName": "Sandbox",
            **dict.fromkeys([*legacy, "extraText"]),
            "extraInfo": [],
            "extraFields": copy.deepcopy(record.rows),
            "createdAt": int(record.created_at),
            "updatedAt": int(record.updated_at),
        }


def rows_of(values: dict[str, Any]) -> list[Row]:
    """Return extra fields as rows."""
    return [{"fieldName": name, "fieldValue": value} for name, value in values.items()]


def _as_rows(fields: Any) -> list[Row] | None:
    """Return the rows of a JSON value; None when it is no list of rows."""
    if not isinstance(fields, list):
        return None
    rows = [row for row in fields if isinstance(row, dict) and isinstance(row.get("fieldName"), str)]
    return rows if len(rows) == len(fields) else None


def _text(value: Any) -> str:
    """Return a JSON value as text: to Python, `false` and `0` are the same."""
    return json.dumps(value, sort_keys=True)


def _union(present: list[Row], sent: list[Row]) -> list[Row]:
    """Merge the fields that were sent into those of a record."""
    names = {row["fieldName"] for row in sent}
    return [row for row in present if row["fieldName"] not in names] + sent


def success(data: Any) -> Answer:
    """Make the answer of a call that went well."""
    return Answer(200, {"code": 200, "data": data, "meta": {"message": "SUCCESS"}})


def paged(rows: list[dict[str, Any]], call: Call) -> Answer:
    """Make the page of a list that a call asks for, ten rows unless it says otherwise. Raises Refused."""
    try:
        limit, offset = int(call.query.get("limit", 10)), int(call.query.get("offset", 0))
    except ValueError:
        raise Refused(422, "limit and offset are numbers") from None
    pagination = {"totalCount": len(rows), "offset": offset, "limit": limit}
    meta = {"message": "SUCCESS", "pagination": pagination}
    return Answer(200, {"code": 200, "data": rows[offset : offset + limit], "meta": meta})


def _object(call: Call, known: frozenset[str]) -> dict[str, Any]:
    body = call.json()
    if not isinstance(body, dict):
        raise Refused(400, "JSON parse error")
    if unknown := body.keys() - known:  # what the API does then is published nowhere
        words = f"{min(unknown)} is not a field of this request"
        raise Refused(422, words, words)
    return body


def _integer(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(422, f"{name} must be an integer", f"{name} must be an integer")
    return value


def _po_number(body: dict[str, Any], present: Any) -> Any:
    """Take `poNumber` out of a body: a text (documented), or what the record holds already; None when there is none."""
    value = body.get("poNumber")
    if value is not None and not isinstance(value, str) and _text(value) != _text(present):
        raise Refused(422, "poNumber must be a string", "poNumber must be a string")
    return value
