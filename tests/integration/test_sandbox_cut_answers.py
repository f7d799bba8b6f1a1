"""Answers that end in the middle, byte for byte as they come over the wire."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sandbox.store import faults
from sandbox.store.server import SandboxStore
from sandbox.store.settings import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.store.faults import Fault


def answer_to_create(sandbox: SandboxStore, store: Store, order_id: int) -> bytes:
    """Everything that the server sends before it closes the connection, politely."""
    body = f'{{"bcOrderId": {order_id}, "customerId": 7}}'.encode()
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(
            b"POST /api/v3/io/orders HTTP/1.1\r\nHost: sandbox\r\n"
            + f"X-Auth-Token: {store.access_token}\r\nX-Store-Hash: {store.hash}\r\n".encode()
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("make_fault", [faults.cut_headers, faults.cut_body])
def test_an_answer_ends_in_the_middle_with_its_effect_or_without(
    make_fault: Callable[..., Fault], *, effect: bool
) -> None:
    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(Store(hash="abc", company_customers={7}))
        order = sandbox.place_order(store, customer_id=7, automatic_record_after=None)
        sandbox.fault(make_fault(effect=effect), "b2b.create")

        received = answer_to_create(sandbox, store, order.id)

        head, end_of_headers, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if make_fault is faults.cut_headers:
            assert not end_of_headers
        else:
            [length] = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
            assert 0 < len(body) < length
        assert sandbox.effects(store, order.id).creates == int(effect)
        [request] = sandbox.requests("b2b.create")
        assert request.status == 0
        assert request.caller_port
