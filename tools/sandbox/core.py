"""The core API of one store, as far as orders go. Pure: no HTTP, no waiting."""

from sandbox.exchange import Answer, Call, Clock, v2_error, v3_error
from sandbox.orders import Order, select

NOT_FOUND = "The requested resource was not found."


class CoreOrders:
    """Orders of one store, read-only as for a token with `store_v2_orders_read_only`."""

    def __init__(self, orders: dict[int, Order], clock: Clock) -> None:
        self._orders, self._clock = orders, clock

    def get(self, call: Call) -> Answer:
        """`GET /v2/orders/{id}`: bare JSON."""
        order = self._readable(call.order_id)
        return Answer(200, order.as_json()) if order else v2_error(404, NOT_FOUND)

    def listing(self, call: Call) -> Answer:
        """`GET /v2/orders`: an array, or 204 when it would be empty."""
        now = self._clock()
        readable = [order for order in self._orders.values() if order.readable(now)]
        try:
            chosen = select(readable, call.query)
        except ValueError:
            return v2_error(400, "The query could not be understood.")
        return Answer(200, [order.as_json() for order in chosen]) if chosen else Answer(204)

    def metafields(self, call: Call) -> Answer:
        """`GET /v3/orders/{id}/metafields`."""
        order = self._readable(call.order_id)
        if order is None:
            return v3_error(404, NOT_FOUND)
        rows = order.metafields()
        pagination = {"total": len(rows), "count": len(rows), "per_page": 50, "current_page": 1, "total_pages": 1}
        return Answer(200, {"data": rows, "meta": {"pagination": pagination}})

    def time(self, _call: Call) -> Answer:
        """`GET /v2/time`."""
        return Answer(200, {"time": int(self._clock())})

    def _readable(self, order_id: int | None) -> Order | None:
        order = self._orders.get(order_id or 0)
        return order if order and order.readable(self._clock()) else None
