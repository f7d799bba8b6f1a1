"""The B2B Edition orders API of one store, with its window, its wordings and its quirks. Pure: no HTTP, no waiting."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.exchange import Answer, Call, Clock
from sandbox.orders import Order
from sandbox.stores import Store

ALREADY_EXISTS = "The order already exists."
"""The one answer for two facts: the window is over, or there is a record."""


@dataclass(slots=True, kw_only=True)
class Record:
    """Return the B2B record of an order."""

    order_id: int
    customer_id: int
    origin: Literal["automatic", "created"]
    created_at: float
    updated_at: float
    po_number: str = ""
    extra_fields: dict[str, str] = field(default_factory=dict)
    window_left: float | None = None
    """Seconds of the window that were left when it was created by call; None for an automatic record."""
    invoice: bool = False


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


class B2BOrders:
    """Records of one store and the calls upon them. Every call returns an answer or raises Refused."""

    def __init__(self, store: Store, orders: dict[int, Order], clock: Clock) -> None:
        self._store, self._orders, self._clock = store, orders, clock
        self._records: dict[int, Record] = {}
        self.effects: defaultdict[int, Effects] = defaultdict(Effects)

    def refusal(self, refused: Refused) -> Answer:
        """Put a refusal into the published error shape; `data` is an object or an array."""
        data: Any = [] if self._store.data_as_array else {}
        if refused.detail is not None:
            data = {"errMsg": refused.detail}
        return Answer(refused.status, {"code": refused.status, "data": data, "meta": {"message": refused.message}})

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
                po_number=order.typed_po_number,
                extra_fields=dict(order.buyer_extra_fields),
                invoice=order.order_type == "invoice payment",
            )
        return self._records.get(order_id)

    def records(self) -> list[Record]:
        """All records there are by now, the oldest order first."""
        return [record for order_id in sorted(self._orders) if (record := self.record(order_id))]

    def window_left(self, order: Order) -> float:
        """Seconds in which Create Order is still accepted; negative when it is too late."""
        return order.created_at + self._store.window_seconds - self._clock()

    def create(self, call: Call) -> Answer:
        """`POST /orders`."""
        body = _object(call)
        order_id, customer_id = _integer(body, "bcOrderId"), _integer(body, "customerId")
        po_number, extra_fields = _po_number(body), _extra_fields(body)
        order = self._orders.get(order_id)
        if order is None:
            raise Refused(400, "Order is invalid.")  # documented nowhere
        left = self.window_left(order)
        late = left <= 0 and not self._store.late_create_without_record
        if late or self.record(order_id):
            raise Refused(400, ALREADY_EXISTS)
        if customer_id != order.customer_id or self._store.company_of(customer_id) is None:
            raise Refused(*self._store.outsider_refusal)
        self._check_fields(extra_fields or {})
        now = self._clock()
        kept = self._store.create_keeps_buyer_values
        record = Record(
            order_id=order_id,
            customer_id=customer_id,
            origin="created",
            created_at=now,
            updated_at=now,
            po_number=po_number or (order.typed_po_number if kept else ""),
            extra_fields=(order.buyer_extra_fields if kept else {}) | (extra_fields or {}),
            window_left=left,
            invoice=order.order_type == "invoice payment",
        )
        self._records[order_id] = record
        self.effects[order_id].creates += 1
        return _success(self._as_json(record))

    def get(self, call: Call) -> Answer:
        """`GET /orders/{bcOrderId}`."""
        record = self.record(call.order_id or 0)
        if record is None:
            raise Refused(404, "Order Does Not Exist.")
        shown = self._as_json(record)
        return _success([shown] if self._store.data_as_array else shown)

    def update(self, call: Call) -> Answer:
        """`PUT /orders/{bcOrderId}`."""
        body = _object(call)
        po_number, extra_fields = _po_number(body), _extra_fields(body)
        record = self.record(call.order_id or 0)
        if record is None:
            raise Refused(404, "Not Found Error")
        if po_number is None and extra_fields is None:
            raise Refused(400, "At least one of poNumber and extraFields is required.")
        self._check_fields(extra_fields or {})
        if po_number is not None:
            record.po_number = po_number
        if extra_fields is not None:
            kept = {} if self._store.update_replaces_extra_fields else record.extra_fields
            record.extra_fields = kept | extra_fields
        record.updated_at = self._clock()
        self.effects[record.order_id].updates += 1
        return _success(self._as_json(record))

    def listing(self, call: Call) -> Answer:
        """`GET /orders`: lags, and shows no extra fields."""
        shown_until = self._clock() - self._store.list_lag_seconds
        rows = [self._as_json(record) for record in self.records() if record.created_at <= shown_until]
        for row in rows:
            del row["extraFields"]
        return _paged(rows, call)

    def extra_fields(self, call: Call) -> Answer:
        """`GET /orders/extra-fields`: the configurations."""
        return _paged([configured.as_json() for configured in self._store.extra_fields], call)

    def user(self, call: Call) -> Answer:
        """`GET /users/customer/{customerId}`."""
        customer_id = call.customer_id or 0
        company_id = self._store.company_of(customer_id)
        if company_id is None:
            raise Refused(404, "User matching query does not exist.")
        person = {"firstName": "Ada", "lastName": "Buyer", "email": "ada.buyer@example.com", "phoneNumber": ""}
        ids = {"id": 800_000 + customer_id, "bcId": customer_id, "companyId": company_id, "role": 2}
        return _success(ids | person)

    def _check_fields(self, sent: dict[str, str]) -> None:
        """Refuse missing required fields and, where the store is that strict, unknown names."""
        for configured in self._store.extra_fields:
            if configured.required and not sent.get(configured.name):
                raise Refused(422, "Unprocessable Entity", f"{configured.name} is a required extra field")
        if self._store.reject_unknown_fields:
            known = {configured.name for configured in self._store.extra_fields}
            for name in sent.keys() - known:
                raise Refused(422, "Unprocessable Entity", f"{name} is not an extra field")

    def _as_json(self, record: Record) -> dict[str, Any]:
        """Show a record as the API does; `id` is B2B Edition's own, not the core order's."""
        order = self._orders[record.order_id]
        return {
            "id": 3_000_000 + record.order_id,
            "bcOrderId": record.order_id,
            "poNumber": record.po_number,
            "extraFields": [{"fieldName": name, "fieldValue": value} for name, value in record.extra_fields.items()],
            "companyId": self._store.company_of(record.customer_id),
            "userId": 800_000 + record.customer_id,
            "isInvoiceOrder": int(record.invoice),
            "totalAmount": order.total,
            "channelId": order.channel_id,
            "createdAt": int(record.created_at),
            "updatedAt": int(record.updated_at),
        }


def _success(data: Any) -> Answer:
    return Answer(200, {"code": 200, "data": data, "meta": {"message": "SUCCESS"}})


def _paged(rows: list[dict[str, Any]], call: Call) -> Answer:
    try:
        limit, offset = int(call.query.get("limit", 10)), int(call.query.get("offset", 0))
    except ValueError:
        raise Refused(422, "Unprocessable Entity", "limit and offset are numbers") from None
    pagination = {"totalCount": len(rows), "offset": offset, "limit": limit}
    meta = {"message": "SUCCESS", "pagination": pagination}
    return Answer(200, {"code": 200, "data": rows[offset : offset + limit], "meta": meta})


def _object(call: Call) -> dict[str, Any]:
    body = call.json()
    if not isinstance(body, dict):
        raise Refused(400, "JSON parse error")
    return body


def _integer(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(422, "Unprocessable Entity", f"{name} must be an integer")
    return value


def _po_number(body: dict[str, Any]) -> str | None:
    value = body.get("poNumber")
    if value is not None and not isinstance(value, str):
        raise Refused(422, "Unprocessable Entity", "poNumber must be a string")
    return value


def _extra_fields(body: dict[str, Any]) -> dict[str, str] | None:
    rows = body.get("extraFields")
    if rows is None:
        return None
    return dict(_pairs(rows))


def _pairs(rows: Any) -> Iterator[tuple[str, str]]:
    for row in rows if isinstance(rows, list) else [rows]:
        name = row.get("fieldName") if isinstance(row, dict) else None
        value = row.get("fieldValue") if isinstance(row, dict) else None
        if not isinstance(name, str) or not isinstance(value, str):
            raise Refused(
                422, "Unprocessable Entity", "extraFields is a list of fieldName and fieldValue, both strings"
            )
        yield name, value
