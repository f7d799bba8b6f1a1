"""Faults of AWS itself: a proxy between the Lambda functions and the emulator that fails the calls it is told to.

Without being told, it does two things as AWS does and the emulator does not: a secret that is not there is denied to the
functions, and a connection to DynamoDB that idled for a while is reset.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from aiohttp import ClientSession, ClientTimeout, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_SECONDS = 10.0
LARGEST_BODY_BYTES = 8 * 1024 * 1024
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}
JSON = "application/x-amz-json-1.1"
GET_SECRET, DESCRIBE_SECRET = "secretsmanager.GetSecretValue", "secretsmanager.DescribeSecret"
BAD_REQUEST, NOT_FOUND = 400, "ResourceNotFoundException"
DENIED = (
    "User: arn:aws:sts::000000000000:assumed-role/functions/function is not authorized to perform: "
    "secretsmanager:GetSecretValue on resource: {name} because no identity-based policy allows the "
    "secretsmanager:GetSecretValue action"
)
"""A name that is no secret's has no ARN, so it is not covered by a policy for `secret:<prefix>/*`."""

IDLE_SECONDS = 3.0
"""A kept connection to DynamoDB that was not used for so long is reset when the next request arrives on it."""

NO_LINGERING = struct.pack("ii", 1, 0)
"""For SO_LINGER: on, for no seconds."""

SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AWSEvents": "events"}


@dataclass(slots=True)
class AwsFault:
    """Fails calls of an operation, such as `sqs.SendMessage` or `dynamodb.*`, with an error code.

    Or hangs, or resets the connection, or only counts.
    """

    operation: str
    code: str = "InternalServerError"
    status: int = 500
    contains: str = ""
    """Only calls whose body holds this text."""
    times: int | None = None
    """None: until it is removed."""
    probability: float = 1.0
    hang_seconds: float = 0.0
    """Waits so long before failing."""
    resets: bool = False
    """The request is read, and the connection reset instead of an answer."""
    only_counts: bool = False
    """The calls go on; `struck` is how many there were."""
    struck: int = 0


class AwsProxy:
    """Passes calls on to the emulator at `target`, counts them by operation, and applies faults."""

    def __init__(self, *, seed: int = 0) -> None:
        self.url = ""
        self.target = ""
        """Set once the emulator's address is known."""
        self.calls: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        """Reads of secrets that are not there, by the secret's name."""
        self._used_at: WeakKeyDictionary[asyncio.BaseTransport, float] = WeakKeyDictionary()
        """When the last request on a connection was answered."""
        self._faults: list[AwsFault] = []
        self._random = Random(seed)  # noqa: S311  chance, not secrecy
        self._lock = threading.Lock()
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="aws-proxy", daemon=True)

    @classmethod
    @contextmanager
    def run(cls, *, seed: int = 0) -> Iterator[Self]:
        """Serves on a free port of 127.0.0.1 until the block ends."""
        proxy = cls(seed=seed)
        proxy._thread.start()
        loop = proxy._ready.result(START_SECONDS)
        try:
            yield proxy
        finally:
            loop.call_soon_threadsafe(proxy._stop.set)
            proxy._thread.join()

    @contextmanager
    def fault(self, fault: AwsFault) -> Iterator[AwsFault]:
        """Applies the fault while the block lasts."""
        self.add(fault)
        try:
            yield fault
        finally:
            self.remove(fault)

    def add(self, fault: AwsFault) -> None:
        """Applies the fault from now on."""
        with self._lock:
            self._faults.append(fault)

    def remove(self, fault: AwsFault) -> None:
        """Ends a fault."""
        with self._lock:
            self._faults = [other for other in self._faults if other is not fault]

    def _draw(self, operation: str, body: bytes) -> AwsFault | None:
        with self._lock:
            self.calls[operation] += 1
            for fault in self._faults:
                if (
                    fnmatchcase(operation, fault.operation)
                    and fault.contains.encode() in body
                    and (fault.times is None or fault.struck < fault.times)
                    and self._random.random() < fault.probability
                ):
                    fault.struck += 1
                    if not fault.only_counts:
                        return fault
        return None

    async def _serve(self) -> None:
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        async with ClientSession(timeout=ClientTimeout(total=60), auto_decompress=False) as session:
            self._session = session
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set_result(asyncio.get_running_loop())
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = operation_of(request.headers, body)
        fault = self._draw(operation, body)
        connection = request.transport
        if connection is None:
            return web.Response()
        if (fault and fault.resets) or (operation.startswith("dynamodb.") and self._has_idled(connection)):
            # Closing with the option set sends RST instead of FIN. What is returned is never sent.
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
            connection.abort()
            return web.Response()
        try:
            return await self._answer(request, operation, body, fault)
        finally:
            self._used_at[connection] = asyncio.get_running_loop().time()

    def _has_idled(self, connection: asyncio.BaseTransport) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._used_at.get(connection, now) > IDLE_SECONDS

    async def _answer(
        self, request: web.Request, operation: str, body: bytes, fault: AwsFault | None
    ) -> web.StreamResponse:
        if fault is not None:
            await asyncio.sleep(fault.hang_seconds)
            return _refusal(fault.code, "made to fail", fault.status)
        answer = await self._pass_on(request, body)
        if operation == GET_SECRET and _is_not_found(answer):
            name = json.loads(body)["SecretId"]
            asked = json.dumps({"SecretId": name}).encode()
            described = await self._pass_on(request, asked, {"X-Amz-Target": DESCRIBE_SECRET})
            if _is_not_found(described):  # the secret itself, and not only a version of it
                self.denied[name] += 1
                return _refusal("AccessDeniedException", DENIED.format(name=name), BAD_REQUEST)
        return answer

    async def _pass_on(
        self, request: web.Request, body: bytes, changed_headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """The emulator's answer."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= changed_headers or {}
        async with self._session.request(
            request.method, self.target + str(request.rel_url), data=body, headers=headers
        ) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, body=content, headers=kept)


def _refusal(code: str, message: str, status: int) -> web.Response:
    return web.json_response(
        {"__type": code, "Message": message}, status=status, content_type=JSON, headers={"x-amzn-errortype": code}
    )


def _is_not_found(answer: web.Response) -> bool:
    return answer.status == BAD_REQUEST and str(json.loads(answer.text or "{}").get("__type")).endswith(NOT_FOUND)


def operation_of(headers: Mapping[str, str], body: bytes) -> str:
    """Service and operation of an AWS call, such as `dynamodb.PutItem`."""
    service, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
    if service:
        return f"{SERVICES.get(service, service)}.{operation}"
    action = re.search(rb"(?:^|&)Action=(\w+)", body)
    return f"sqs.{action.group(1).decode()}" if action else "unknown"
