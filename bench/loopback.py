"""Both APIs and the AWS services that the relay calls, as canned answers of a process of its own on loopback.

It answers as fast as Python can and checks nothing: what is measured against it is the relay's own share.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandbox.demo.samples import CUSTOMER_ID, ORDER_ID, STORE
from sandbox.store.orders import PO_LINE, Order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

AWS_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "order",
    "AWS_EC2_METADATA_DISABLED": "true",
}
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
TARGET = re.compile(rb"x-amz-target: *[A-Za-z_0-9]+\.(\w+)", re.IGNORECASE)


def environment(url: str) -> dict[str, str]:
    """What the function finds in its environment: the template's variables, pointed at `url`."""
    return AWS_VARIABLES | {
        "AWS_ENDPOINT_URL": url,
        "STORE_API_URL": url,
        "B2B_API_URL": url,
        "POWERTOOLS_SERVICE_NAME": "b2b-order-relay",
        "POWERTOOLS_METRICS_NAMESPACE": "B2BOrderRelay",
        "LOG_LEVEL": "INFO",
        "EVENT_BUS_NAME": "orders",
        "IDEMPOTENCY_TABLE": "orders",
        "SECRET_PREFIX": "b2b-order-relay",
        "RECOVERY_QUEUE_URL": f"{url}/000000000000/recovery",
        "DEAD_LETTER_QUEUE_URL": f"{url}/000000000000/dead-letters",
        "LATE_REQUESTS_PER_MINUTE": "60",
        "RECOVERY_FIRST_DELAY_SECONDS": "5",
        "RECOVERY_LONGEST_DELAY_SECONDS": "3600",
        "GIVE_UP_AFTER_MINUTES": "1440",
        "REMEMBER_DONE_DAYS": "35",
        "WEBHOOK_URL": "https://relay.example.com/webhooks",
        "RES_OPTIONS": "timeout:1 attempts:1",
    }


def _answers() -> dict[bytes, bytes]:
    """Answers by AWS operation, or by method (of both APIs' calls)."""
    order = Order(
        id=ORDER_ID,
        store_hash=STORE.hash,
        store_id="1025646",
        created_at=0.0,
        customer_id=CUSTOMER_ID,
        customer_message=f"{PO_LINE}04152025-0002",
    ).as_json()
    del order["date_created"]  # the window counts from the event, which is always fresh
    secret = {"access_token": STORE.access_token, "client_secret": STORE.client_secret}
    values: dict[bytes, Any] = {
        b"GetSecretValue": {"SecretString": json.dumps(secret)},
        b"PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
        b"PutItem": {},
        b"UpdateItem": {},
        b"GetItem": {},
        b"GET": order,
        b"POST": {"code": 200, "data": {"bcOrderId": ORDER_ID}, "meta": {"message": "SUCCESS"}},
    }
    return {name: _response(json.dumps(value).encode()) for name, value in values.items()}


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _Answering(asyncio.Protocol):
    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not end or len(body) < (int(length.group(1)) if length else 0):
            return
        self._received = b""
        target = TARGET.search(head)
        self._transport.write(self._answers[target.group(1) if target else head.partition(b" ")[0]])


def _serve(port: Connection) -> None:
    async def run() -> None:
        answers = _answers()
        server = await asyncio.get_running_loop().create_server(lambda: _Answering(answers), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def loopback() -> Iterator[str]:
    """The address of a running stand-in."""
    context = multiprocessing.get_context("spawn")
    port, its_port = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(its_port,), daemon=True)
    process.start()
    its_port.close()  # so that its end is noticed if it never comes to tell its port
    try:
        yield f"http://127.0.0.1:{port.recv()}"
    finally:
        process.kill()
        process.join()
