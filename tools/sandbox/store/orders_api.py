"""The core API of one store, as far as orders go. Pure: no HTTP, no waiting."""

from typing import Any

from sandbox.store.messages import Answer, Call, Clock, v2_error, v3_error, v3_page
from sandbox.store.orders import Order, select
from sandbox.store.settings import Store

NOT_FOUND = "The requested resource was not found."


class CoreOrders:
    """Orders of one store, read-only as for a token with `store_v2_orders_read_only`."""

    def __init__(self, store: Store, orders: dict[int, Order], clock: Clock) -> None:
        self._store, self._orders, self._clock = store, orders, clock

    def get(self, call: Call) -> Answer:
        """`GET /v2/orders/{id}`: bare JSON."""
        order = self._readable(call.order_id)
        return Answer(200, self._as_json(order, call)) if order else v2_error(404, NOT_FOUND)

    def listing(self, call: Call) -> Answer:
        """`GET /v2/orders`: an array, or 204 when it would be empty."""
        now = self._clock()
        readable = [order for order in self._orders.values() if order.readable(now)]
        oldest_first = sorted(readable, key=lambda order: order.created_at)
        try:
            chosen = select(oldest_first, call.query)
        except ValueError:
            return v2_error(400, "The query could not be understood.")
        return Answer(200, [self._as_json(order, call) for order in chosen]) if chosen else Answer(204)

    def metafields(self, call: Call) -> Answer:
        """`GET /v3/orders/{id}/metafields`."""
        order = self._readable(call.order_id)
        if order is None:
            return v3_error(404, NOT_FOUND)
        query = call.query
        rows = [
            row
            for row in order.metafields_json()
            if all(row[name] == query.get(name, row[name]) for name in ("namespace", "key"))
        ]
        return v3_page(rows, query)

    def time(self, _call: Call) -> Answer:
        """`GET /v2/time`."""
        return Answer(200, {"time": int(self._clock())})

    def _as_json(self, order: Order, call: Call) -> dict[str, Any]:
        """Show an order, with its consignments only if `include` and `consignment_structure` both say so."""
        included = set(call.query.get("include", "").split(",")) & {"consignments", "consignments.line_items"}
        more: dict[str, Any] = {}
        if included and call.query.get("consignment_structure") == "object":
            more["consignments"] = order.consignments_json(line_items="consignments.line_items" in included)
        ids = {"id": self._store.shown_id(order.id), "customer_id": self._store.shown_id(order.customer_id)}
        return order.as_json() | ids | more

    def _readable(self, order_id: int | None) -> Order | None:
        order = self._orders.get(order_id or 0)
        return order if order and order.readable(self._clock()) else None
