"""All simulated stores together: who may call, within which limit, and what is answered. Pure: no HTTP, no waiting."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from sandbox.store.b2b_api import B2BOrders, Refused
from sandbox.store.companies_api import Companies
from sandbox.store.customers_api import Customers
from sandbox.store.faults import FaultBoard
from sandbox.store.hooks import Hooks
from sandbox.store.messages import Answer, Call, Clock, v2_error, v3_error
from sandbox.store.orders import Order, OrderOptions
from sandbox.store.orders_api import NOT_FOUND, CoreOrders
from sandbox.store.rate_limit import FixedWindow, Taken
from sandbox.store.settings import Store

ORDER_CREATED = "store/order/created"
ORDER_UPDATED = "store/order/updated"
SCOPES = {"core.hooks": "hooks", "core.customer": "customers", "core.attributes": "customers"}
"""Endpoints of the core API that need another scope than that for orders (`core`)."""

OnEvent = Callable[[Order, str], None]
"""Called with an order and a scope whenever a webhook is due."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One request that reached the sandbox, and how it ended."""

    at: float
    endpoint: str
    method: str
    store_hash: str
    order_id: int | None
    customer_id: int | None
    body: Any
    """The parsed JSON body."""
    fault: str | None = None
    caller_port: int | None = None
    """The caller's end of the connection: tells which process called, and whether it kept the connection."""
    user_agent: str = ""
    window_left: float | None = None
    """For `b2b.create`: seconds of the window that were left when it arrived."""
    status: int | None = None
    """None: not answered yet; 0: the connection was cut or the caller had gone."""
    seconds: float | None = None
    """From arrival to the end of the answer."""


class Shop:
    """One store with everything in it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.orders: dict[int, Order] = {}
        self.order_ids = count(store.first_order_id)
        self.b2b = B2BOrders(store, self.orders, clock)
        self.companies = Companies(store)
        self.core = CoreOrders(store, self.orders, clock)
        self.customers = Customers(store, self.orders)
        self.hooks = Hooks(store, clock)
        self._b2b_limit, self._core_limit = FixedWindow(clock), FixedWindow(clock)

    def take_b2b(self, requests: int = 1) -> Taken:
        """Count B2B requests against the store's limit; 0 only looks."""
        return self._b2b_limit.take(self.store.rate_limit, self.store.rate_window_seconds, requests)

    def take_core(self) -> Taken:
        """Count a request of the core API against the store's limit."""
        return self._core_limit.take(self.store.core_rate_limit, self.store.core_rate_window_seconds)


class BigCommerce:
    """The stores, the faults, and a memory of every request. Not thread-safe: the caller holds a lock."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        self.shops: dict[str, Shop] = {}
        self.faults = FaultBoard(clock, seed)
        self.requests: list[Request] = []
        self.on_event: OnEvent = lambda _order, _scope: None

    def add_store(self, store: Store) -> Shop:
        """Open a store."""
        if store.hash in self.shops:
            raise ValueError(f"there is a store {store.hash} already")
        self.shops[store.hash] = shop = Shop(store, self.clock)
        return shop

    def place_order(self, store_hash: str, options: OrderOptions) -> Order:
        """Place an order now, or some time ago."""
        shop = self.shops[store_hash]
        details: dict[str, Any] = {**options}
        order_id = options.get("order_id") or next(shop.order_ids)
        if order_id in shop.orders:
            raise ValueError(f"there is an order {order_id} already")
        for handled_here in ("order_id", "created_ago_seconds", "automatic_record_after", "notify"):
            details.pop(handled_here, None)
        created_at = self.clock() - options.get("created_ago_seconds", 0.0)
        order = Order(
            id=order_id, store_hash=store_hash, store_id=shop.store.store_id, created_at=created_at, **details
        )
        after = options.get("automatic_record_after", shop.store.automatic_record_after)
        # B2B Edition's checkout script makes the record: there is none for other buyers, nor for orders made by API.
        by_itself = order.source == "storefront" and shop.store.company_of(order.customer_id) is not None
        order.automatic_record_at = order.created_at + after if by_itself and after is not None else None
        shop.orders[order_id] = order
        if options.get("notify", True):
            self.on_event(order, ORDER_CREATED)
        return order

    def arrived(self, call: Call) -> Request:
        """Note a request's arrival."""
        shop = self.shops.get(call.store_hash)
        order = shop.orders.get(call.order_id or 0) if shop else None
        left = shop.b2b.window_left(order) if shop and order and call.endpoint == "b2b.create" else None
        request = Request(
            at=self.clock(),
            endpoint=call.endpoint,
            method=call.method,
            store_hash=call.store_hash,
            order_id=call.order_id,
            customer_id=call.customer_id,
            body=call.json(),
            caller_port=call.caller_port,
            user_agent=call.user_agent,
            window_left=left,
        )
        self.requests.append(request)
        return request

    def answer(self, call: Call) -> Answer:
        """Let a call have its effect."""
        return self._answer_b2b(call) if call.endpoint.startswith("b2b.") else self._answer_core(call)

    def limit_headers(self, call: Call, requests: int = 1) -> dict[str, str]:
        """Count a request that is answered without reaching the orders (0: do not), and tell so in headers."""
        shop = self.shops.get(call.store_hash)
        if shop is None:
            return {}
        if call.endpoint.startswith("b2b."):
            return shop.take_b2b(requests).b2b_headers()
        return shop.take_core().core_headers()

    def _answer_core(self, call: Call) -> Answer:
        if call.endpoint == "unknown":
            return v2_error(404, NOT_FOUND)
        shop = self.shops.get(call.store_hash)
        error = v2_error if "/v2/" in call.path else v3_error
        if shop is None or call.token != shop.store.access_token:
            return error(401, "No valid API token was provided.")
        taken = shop.take_core()
        if not taken.allowed:
            return replace(error(429, "Too many requests."), headers=taken.core_headers())
        if SCOPES.get(call.endpoint, "core") in shop.store.missing_scopes:
            refusal = error(403, "You don't have a required scope to access the endpoint.")
            return replace(refusal, headers=taken.core_headers())
        serve = {
            "core.get_order": shop.core.get,
            "core.list_orders": shop.core.listing,
            "core.metafields": shop.core.metafields,
            "core.customer": shop.customers.listing,
            "core.attributes": shop.customers.attributes,
            "core.time": shop.core.time,
            "core.hooks": shop.hooks.answer,
        }[call.endpoint]
        return replace(serve(call), headers=taken.core_headers())

    def _answer_b2b(self, call: Call) -> Answer:
        owners = [shop for shop in self.shops.values() if shop.store.token_for_b2b == call.token]
        if not owners:
            unauthorized = {"code": 401, "data": {}, "meta": {"message": "Unauthorized"}}
            return Answer(401, unauthorized, self.limit_headers(call, 0))
        shop = next((shop for shop in owners if shop.store.hash == call.store_hash), None)
        if shop is None:  # documented: "will return server errors"
            error = {"code": 500, "data": {}, "meta": {"message": "Internal Server Error"}}
            return Answer(500, error, self.limit_headers(call, 0))
        taken = shop.take_b2b()
        if not taken.allowed:
            return replace(shop.b2b.refusal(Refused(429, "Too Many Requests")), headers=taken.b2b_headers())
        serve = {
            "b2b.create": shop.b2b.create,
            "b2b.get": shop.b2b.get,
            "b2b.update": shop.b2b.update,
            "b2b.list": shop.b2b.listing,
            "b2b.extra_fields": shop.b2b.extra_fields,
            "b2b.assign": shop.b2b.assign,
            "b2b.company": shop.companies.company,
            "b2b.user": shop.companies.user,
        }[call.endpoint]
        if "b2b" in shop.store.missing_scopes:
            return replace(shop.b2b.refusal(Refused(403, "Forbidden")), headers=taken.b2b_headers())
        try:
            answer = serve(call)
        except Refused as refused:
            answer = shop.b2b.refusal(refused)
        else:
            if call.endpoint == "b2b.create":
                self._write_po_number(shop, answer)
        return replace(answer, headers=taken.b2b_headers())

    def _write_po_number(self, shop: Shop, created: Answer) -> None:
        """Create Order changes the core order too, and the store says so."""
        order = shop.orders[int(created.body["data"]["bcOrderId"])]
        if shop.store.create_writes_customer_message and order.write_po_number(str(created.body["data"]["poNumber"])):
            self.on_event(order, ORDER_UPDATED)
