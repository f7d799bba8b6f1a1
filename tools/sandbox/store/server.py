"""The simulated BigCommerce as tests, demos and benchmarks use it: a server in a thread and a plain Python API.

Use it so:

    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(Store(hash="abc123", company_customers={7}))
        order = sandbox.place_order(store, customer_id=7, customer_message="PO Number / Reference Number: 4711")
        [delivery] = sandbox.deliver(order, webhook_url)
        sandbox.wait_until(lambda: sandbox.record(store, order.id))
"""

import asyncio
import copy
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Self, TypeVar, Unpack

from aiohttp import web

from sandbox.store.b2b_api import Effects, Record
from sandbox.store.bigcommerce import BigCommerce, Request, Shop
from sandbox.store.buyers import Buyer
from sandbox.store.faults import BY_CUSTOMER, Fault, Rule, pattern_of, status
from sandbox.store.hooks import Hook, Hooks
from sandbox.store.http_server import HttpServer
from sandbox.store.messages import Clock
from sandbox.store.orders import Order, OrderOptions
from sandbox.store.sender import Sender
from sandbox.store.settings import Store
from sandbox.store.webhooks import ORDER_CREATED, Delivery, DeliveryOptions, webhook_body

T = TypeVar("T")
_START_SECONDS = 10.0
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 0.1
"""How long requests may run on when the sandbox is closed: hanging ones would never end."""


class SandboxStore:
    """A running simulated BigCommerce with any number of stores. Every method may be called from any thread.

    What is handed out (records, requests) are copies as of that moment; orders, hooks and deliveries are live.
    """

    def __init__(self, *, port: int = 0, clock: Clock = time.time, seed: int = 0, also_on: str = "") -> None:
        self.clock = clock
        self.url = ""
        """Base address of both APIs (`StoreApiUrl` and `B2BApiUrl`)."""
        self.hook_options = DeliveryOptions()
        """How registered hooks are served; set it to compress the time between tries, or to deliver twice."""
        self._lock = threading.Condition(threading.RLock())
        self._bigcommerce = BigCommerce(clock, seed)
        self._bigcommerce.on_event = self._serve_hooks
        self._deliveries: list[Delivery] = []
        self._port, self._also_on = port, also_on
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="sandbox-store", daemon=True)
        self._sending: set[asyncio.Task[None]] = set()

    @classmethod
    @contextmanager
    def run(cls, *, port: int = 0, clock: Clock = time.time, seed: int = 0, also_on: str = "") -> Iterator[Self]:
        """Serve on 127.0.0.1 (port 0: any free one) until the block ends. The seed is for faults with a probability.

        `also_on`: another address of this machine on which it listens, on the same port.
        """
        sandbox = cls(port=port, clock=clock, seed=seed, also_on=also_on)
        sandbox._thread.start()
        loop = sandbox._ready.result(_START_SECONDS)
        try:
            yield sandbox
        finally:
            loop.call_soon_threadsafe(sandbox._stop.set)
            sandbox._thread.join()

    # --- stores -------------------------------------------------------------------------------------------------

    def add_store(self, store: Store) -> Store:
        """Open a store."""
        with self._lock:
            return self._bigcommerce.add_store(store).store

    def close_store(self, store: Store | str) -> None:
        """Close a store with everything in it."""
        with self._lock:
            del self._bigcommerce.shops[_hash(store)]

    def configure(self, store: Store | str, **settings: Any) -> Store:
        """Change settings of a store while it runs: a new token, another limit, a missing scope."""
        with self._lock:
            changed = self._shop(store).store
            known = {setting.name for setting in dataclasses.fields(Store)} - {"hash"}
            if unknown := settings.keys() - known:
                raise TypeError(f"a store has no setting {sorted(unknown)}")
            for name, value in settings.items():
                setattr(changed, name, value)
            return changed

    def add_hook(
        self,
        store: Store | str,
        destination: str,
        scope: str = ORDER_CREATED,
        headers: Mapping[str, str] | None = None,
    ) -> Hook:
        """Register a webhook without a call to the API."""
        with self._lock:
            return self._shop(store).hooks.add(scope, destination, headers)

    def hooks(self, store: Store | str) -> list[Hook]:
        """All webhooks of a store; set `is_active` to False to deactivate one as BigCommerce does."""
        with self._lock:
            return self._shop(store).hooks.all()

    def block_domain(self, store: Store | str, domain: str, seconds: float = 180.0) -> None:
        """Put a destination on the denylist: deliveries there fail until the time is over."""
        with self._lock:
            self._shop(store).hooks.block(domain, seconds)

    def edit_buyer(self, store: Store | str, customer_id: int, **values: Any) -> Buyer:
        """Change what a store knows of a customer, the company and the company user included; answers all of it."""
        with self._lock:
            buyer = self._shop(store).store.buyer(customer_id)
            changed = dataclasses.replace(buyer, **values)
            for name in values:
                setattr(buyer, name, getattr(changed, name))
            return copy.deepcopy(buyer)

    # --- orders and webhooks ------------------------------------------------------------------------------------

    def place_order(self, store: Store | str, **options: Unpack[OrderOptions]) -> Order:
        """Place an order. Active hooks for `store/order/created` are served, unless `notify=False`."""
        with self._lock:
            return self._bigcommerce.place_order(_hash(store), options)

    def announce(self, order: Order, options: DeliveryOptions | None = None) -> None:
        """Serve the hooks for an order that was placed with `notify=False`; `options` in place of `hook_options`."""
        with self._lock:
            self._serve_hooks(order, ORDER_CREATED, options)

    def order(self, store: Store | str, order_id: int) -> Order:
        """Return an order of a store; KeyError when there is none."""
        with self._lock:
            return self._shop(store).orders[order_id]

    def deliver(self, order: Order, url: str, options: DeliveryOptions | None = None) -> list[Delivery]:
        """Start to deliver an order's webhook to an address, hooks or no hooks; one Delivery for each copy."""
        chosen = options or DeliveryOptions()
        with self._lock:
            header = self._shop(order.store_hash).store.webhook_header
        headers = dict([header]) if header else {}
        return [self._start(order, url, chosen, headers, None) for _ in range(chosen.copies)]

    def deliveries(self, order: Order | None = None) -> list[Delivery]:
        """Deliveries started so far, of one order or of all."""
        with self._lock:
            return [delivery for delivery in self._deliveries if order is None or delivery.order is order]

    # --- faults -------------------------------------------------------------------------------------------------

    def fault(
        self,
        fault: Fault,
        endpoint: str = "*",
        *,
        order: Order | None = None,
        store: Store | str | None = None,
        customer_id: int | None = None,
        times: int | None = 1,
        seconds: float | None = None,
        probability: float = 1.0,
    ) -> Rule:
        """Let a fault strike calls that match; `times=None`: until `remove_fault` or `seconds` later.

        For an order, endpoints that are asked about a customer are struck when they are asked about its customer.
        """
        of_customer = order is not None and endpoint in BY_CUSTOMER
        store_hash = order.store_hash if order else _hash(store) if store else None
        rule = Rule(
            fault=fault,
            endpoint=pattern_of(endpoint),
            store_hash=store_hash,
            order_id=order.id if order and not of_customer else None,
            customer_id=order.customer_id if order and of_customer else customer_id,
            times=times,
            until=None if seconds is None else self.clock() + seconds,
            probability=probability,
        )
        with self._lock:
            return self._bigcommerce.faults.add(rule)

    def down(self, endpoint: str) -> Rule:
        """Start an outage: every call answered 503; `b2b`, `core`, an endpoint's name, or `*` for all."""
        return self.fault(status(503), endpoint, times=None)

    def remove_fault(self, rule: Rule) -> None:
        """End one fault."""
        with self._lock:
            self._bigcommerce.faults.remove(rule)

    # --- what happened ------------------------------------------------------------------------------------------

    def record(self, store: Store | str, order_id: int) -> Record | None:
        """Return the B2B record of an order."""
        with self._lock:
            return copy.deepcopy(self._shop(store).b2b.record(order_id))

    def checkout_refused(self, order: Order) -> bool:
        """Whether the checkout's own record came after Create Order and was refused."""
        with self._lock:
            return self._shop(order.store_hash).b2b.checkout_refused(order.id)

    def effects(self, store: Store | str, order_id: int) -> Effects:
        """How often calls created or updated the record of an order."""
        with self._lock:
            return copy.copy(self._shop(store).b2b.effects[order_id])

    def creates_after_success(self, order: Order) -> list[Request]:
        """Return the Create Orders that were sent although an earlier one had been answered with success."""
        creates = self.requests("b2b.create", order=order)
        told = [r.at + (r.seconds or 0) for r in creates if r.status in range(200, 300) and r.fault is None]
        return [request for request in creates if told and request.at > min(told)]

    def requests(
        self, endpoint: str = "*", *, order: Order | None = None, store: Store | str | None = None
    ) -> list[Request]:
        """Return the requests that arrived so far, the oldest first."""
        pattern = pattern_of(endpoint)
        store_hash = order.store_hash if order else _hash(store) if store else None
        with self._lock:
            return [
                copy.copy(request)
                for request in self._bigcommerce.requests
                if fnmatchcase(request.endpoint, pattern)
                and store_hash in {None, request.store_hash}
                and (order is None or request.order_id == order.id)
            ]

    def wait_until(self, condition: Callable[[], T], timeout_seconds: float = 30.0) -> T:
        """Wait until a condition gives something true, and return that; TimeoutError when it does not."""
        give_up_at = time.monotonic() + timeout_seconds
        while not (outcome := condition()):  # without the lock: a condition may call the APIs, too
            if time.monotonic() >= give_up_at:
                raise TimeoutError(f"not so after {timeout_seconds} s")
            with self._lock:
                self._lock.wait(_POLL_SECONDS)
        return outcome

    # --- inside -------------------------------------------------------------------------------------------------

    def _shop(self, store: Store | str) -> Shop:
        return self._bigcommerce.shops[_hash(store)]

    def _serve_hooks(self, order: Order, scope: str, how: DeliveryOptions | None = None) -> None:
        """Deliver an event to the hooks that listen: on the whole store, or on the order's channel."""
        hooks = self._shop(order.store_hash).hooks
        channel_scope = scope.replace("store/", f"store/channel/{order.channel_id}/", 1)
        for event, channel_scoped in ((scope, False), (channel_scope, True)):
            options = dataclasses.replace(how or self.hook_options, scope=scope, channel_scoped=channel_scoped)
            for hook in hooks.listening(event):
                for _ in range(options.copies):
                    self._start(order, hook.destination, options, hook.headers, hook)

    def _start(
        self, order: Order, url: str, options: DeliveryOptions, headers: Mapping[str, str], hook: Hook | None
    ) -> Delivery:
        with self._lock:
            store = self._shop(order.store_hash).store
            payload = webhook_body(
                order,
                options.scope,
                channel_scoped=options.channel_scoped,
                created_at=options.created_at,
            )
            delivery = Delivery(
                order=order,
                url=url,
                options=options,
                content=json.dumps(payload).encode() if options.body is None else options.body,
                secret=store.client_secret if store.signs_webhooks else "",
                headers=dict(headers),
                hook=hook,
            )
            self._deliveries.append(delivery)
        self._ready.result().call_soon_threadsafe(self._send, delivery)
        return delivery

    def _send(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._sender.send(delivery))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    @contextmanager
    def _hooks(self, delivery: Delivery) -> Iterator[Hooks]:
        with self._lock:
            yield self._shop(delivery.order.store_hash).hooks

    async def _main(self) -> None:
        """Serve until told to stop; `asyncio.run` cancels what is still being sent."""
        runner = web.AppRunner(
            HttpServer(self._bigcommerce, self._lock).application(), access_log=None, shutdown_timeout=_GRACE_SECONDS
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            if self._also_on:
                await web.TCPSite(runner, self._also_on, runner.addresses[0][1]).start()
            self._sender = Sender(self.clock, self._hooks)
        except OSError as error:  # the port is taken
            self._ready.set_exception(error)
            await runner.cleanup()
            return
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._sender.close()
        await runner.cleanup()


def _hash(store: Store | str) -> str:
    return store if isinstance(store, str) else store.hash
