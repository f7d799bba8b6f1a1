"""The simulated APIs over HTTP, faults included."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from aiohttp import web

from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.faults import Fault
from sandbox.store.messages import Call

_CORE = "/stores/{store_hash:[^/]+}"
_B2B = "/api/v3/io"
_HOOK = _CORE + r"/v3/hooks/{hook_id:\d+}"
ROUTES = (
    ("GET", _CORE + r"/v2/orders/{order_id:\d+}", "core.get_order"),
    ("GET", _CORE + "/v2/orders", "core.list_orders"),
    ("GET", _CORE + r"/v3/orders/{order_id:\d+}/metafields", "core.metafields"),
    ("GET", _CORE + "/v3/customers", "core.customer"),
    ("GET", _CORE + "/v3/customers/attributes", "core.attributes"),
    ("GET", _CORE + "/v2/time", "core.time"),
    ("GET", _CORE + "/v3/hooks", "core.hooks"),
    ("POST", _CORE + "/v3/hooks", "core.hooks"),
    ("GET", _CORE + "/v3/hooks/admin", "core.hooks"),
    ("GET", _HOOK, "core.hooks"),
    ("PUT", _HOOK, "core.hooks"),
    ("DELETE", _HOOK, "core.hooks"),
    ("POST", _B2B + "/orders", "b2b.create"),
    ("GET", _B2B + "/orders", "b2b.list"),
    ("GET", _B2B + "/orders/extra-fields", "b2b.extra_fields"),
    ("GET", _B2B + r"/orders/{order_id:\d+}", "b2b.get"),
    ("PUT", _B2B + r"/orders/{order_id:\d+}", "b2b.update"),
    ("GET", _B2B + r"/users/customer/{customer_id:\d+}", "b2b.user"),
    ("GET", _B2B + "/companies", "b2b.company"),
    ("GET", _B2B + r"/companies/{company_id:\d+}", "b2b.company"),
    ("PUT", _B2B + r"/customers/{customer_id:\d+}/orders/b2b", "b2b.assign"),
    ("*", "/{unknown:.*}", "unknown"),
)
"""Method, path and name of every endpoint; the names are what faults and the record of requests go by."""

CUSTOMER_IN_QUERY = {"b2b.company": "customerId", "core.customer": "id:in"}
"""Parameters that name the customer whom a call is about."""
_LARGEST_BODY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as bytes."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpServer:
    """Takes requests apart, lets `BigCommerce` answer them, and does to the connection what faults say."""

    def __init__(self, bigcommerce: BigCommerce, lock: threading.Condition) -> None:
        self._bigcommerce, self._lock = bigcommerce, lock

    def application(self) -> web.Application:
        """Make the routes, ready to be served."""
        app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
        for method, path, endpoint in ROUTES:
            app.router.add_route(method, path, partial(self._serve, endpoint))
        return app

    async def _serve(self, endpoint: str, http: web.Request) -> web.StreamResponse:
        call = await _call(endpoint, http)
        started = time.monotonic()
        with self._lock:
            request = self._bigcommerce.arrived(call)
            fault = self._bigcommerce.faults.strike(call)
            request.fault = fault.name if fault else None
            self._lock.notify_all()
        status = 0
        try:
            if fault is not None and fault.first and http.transport is not None:
                http.transport.write(fault.first)
            reply = await self._reply(call, fault)
            if reply is None:
                _cut(http)
                return web.Response()
            response, arrived = await _send(http, reply, fault)
            status = reply.status if arrived else 0
            return response
        finally:
            with self._lock:
                request.status, request.seconds = status, time.monotonic() - started
                self._lock.notify_all()

    async def _reply(self, call: Call, fault: Fault | None) -> _Reply | None:
        """Return what is to be sent; None when the connection is to be cut."""
        if fault is None:
            return self._answer(call)
        reply = self._answer(call) if fault.effect else None
        await asyncio.sleep(fault.delay_seconds)
        if fault.cut:
            return None
        if reply is None:
            with self._lock:
                limit = {} if fault.edge else self._bigcommerce.limit_headers(call)
            # A 429 that says itself when to come again is not contradicted.
            told = fault.status == HTTPStatus.TOO_MANY_REQUESTS and fault.headers
            reply = _Reply(200, {} if told else limit, b"")
        if fault.status is not None:
            reply = replace(reply, status=fault.status, content=fault.content)
        content = fault.alter(reply.content) if fault.alter else reply.content
        return replace(reply, headers={**reply.headers, **fault.headers}, content=content)

    def _answer(self, call: Call) -> _Reply:
        with self._lock:
            answer = self._bigcommerce.answer(call)
            self._lock.notify_all()
        return _Reply(answer.status, answer.headers, answer.content())


async def _call(endpoint: str, http: web.Request) -> Call:
    parts = http.match_info
    call = Call(
        endpoint=endpoint,
        method=http.method,
        path=http.path,
        store_hash=parts.get("store_hash", http.headers.get("X-Store-Hash", "")),
        token=http.headers.get("X-Auth-Token", ""),
        query=dict(http.query),
        body=await http.read(),
        order_id=_number(parts.get("order_id")),
        customer_id=_number(parts.get("customer_id") or http.query.get(CUSTOMER_IN_QUERY.get(endpoint, ""))),
        company_id=_number(parts.get("company_id")),
        hook_id=_number(parts.get("hook_id")),
        caller_port=_caller_port(http),
        user_agent=http.headers.get("User-Agent", ""),
    )
    body = call.json()
    if endpoint == "b2b.create" and isinstance(body, dict):
        call = replace(call, order_id=_number(body.get("bcOrderId")), customer_id=_number(body.get("customerId")))
    return call


def _caller_port(http: web.Request) -> int | None:
    peer = http.transport.get_extra_info("peername") if http.transport else None
    return peer[1] if peer else None


def _number(value: object) -> int | None:
    """Read a number out of a path or a body; None for anything else."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


async def _send(http: web.Request, reply: _Reply, fault: Fault | None) -> tuple[web.StreamResponse, bool]:
    """Send a reply, dripping if a fault says so; False when the caller had hung up before its end."""
    headers = dict(reply.headers)
    if reply.content and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if fault is not None and fault.ends_in:
        _end_in_the_middle(http, replace(reply, headers=headers), fault.ends_in)
        return web.Response(), False
    if fault is not None and fault.closes_after_seconds is not None and http.transport is not None:
        # Not before the answer is written, which the framework does once this returns.
        asyncio.get_running_loop().call_later(0.01 + fault.closes_after_seconds, http.transport.close)
    if fault is None or not fault.drip_seconds:
        return web.Response(status=reply.status, headers=headers, body=reply.content or None), not _gone(http)
    if fault.drip_from_headers:
        return await _drip_everything(http, replace(reply, headers=headers), fault.drip_seconds)
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = len(reply.content)
    await response.prepare(http)
    for byte in reply.content:
        await asyncio.sleep(fault.drip_seconds)
        if _gone(http):
            return response, False
        await response.write(bytes([byte]))
    return response, True


async def _drip_everything(http: web.Request, reply: _Reply, seconds: float) -> tuple[web.StreamResponse, bool]:
    """Write the answer past the framework, which would send the whole header at once."""
    for byte in _head(reply) + reply.content:
        await asyncio.sleep(seconds)
        if http.transport is None or _gone(http):
            return web.Response(), False
        http.transport.write(bytes([byte]))
    if http.transport is not None:
        http.transport.close()
    return web.Response(), True


def _end_in_the_middle(http: web.Request, reply: _Reply, part: str) -> None:
    """Write nothing, the first half of the headers, or of the body after whole headers, and say goodbye."""
    if http.transport is None:
        return
    head = _head(reply)
    halves = {"headers": head[: len(head) // 2], "body": head + reply.content[: len(reply.content) // 2]}
    http.transport.write(halves.get(part, b""))
    http.transport.close()


def _head(reply: _Reply) -> bytes:
    """Status line and headers, as they go over the wire."""
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines += [f"Content-Length: {len(reply.content)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def _cut(http: web.Request) -> None:
    """End the connection with a reset, not with a polite goodbye."""
    if http.transport is None:
        return
    raw = http.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.transport.abort()


def _gone(http: web.Request) -> bool:
    """Whether the caller has hung up."""
    return http.transport is None or http.transport.is_closing()
