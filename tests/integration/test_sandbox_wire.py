"""Faults as a caller's socket sees them: what stands before, in and after an answer."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sandbox.store import faults
from sandbox.store.server import SandboxStore
from sandbox.store.settings import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.store.faults import Fault


class Line:
    """A store with one order, and raw connections to it."""

    def __init__(self, sandbox: SandboxStore) -> None:
        self.sandbox = sandbox
        self.store = sandbox.add_store(Store(hash="abc", company_customers={7}))
        self.order = sandbox.place_order(self.store, customer_id=7, automatic_record_after=None)

    def look_up(self, connections: list[str]) -> bytes:
        """Ask for the first order, once for each `Connection` header, on one connection; all that comes until its end."""
        address = urlsplit(self.sandbox.url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            for header in connections:
                connection.sendall(
                    f"GET /stores/{self.store.hash}/v2/orders/{self.order.id} HTTP/1.1\r\nHost: sandbox\r\n"
                    f"X-Auth-Token: {self.store.access_token}\r\nConnection: {header}\r\n\r\n".encode()
                )
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def meet(self, fault: Fault) -> tuple[bytes, bytes]:
        """Head and body of the answer to a look-up that meets a fault."""
        self.sandbox.fault(fault, order=self.order)
        head, _, body = self.look_up(["close"]).partition(b"\r\n\r\n")
        return head, body

    def create(self) -> bytes:
        """Create the first order's record; all that comes until the store closes the connection."""
        body = f'{{"bcOrderId": {self.order.id}, "customerId": 7}}'
        address = urlsplit(self.sandbox.url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(
                f"POST /api/v3/io/orders HTTP/1.1\r\nHost: sandbox\r\nX-Auth-Token: {self.store.access_token}\r\n"
                f"X-Store-Hash: {self.store.hash}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def line() -> Iterator[Line]:
    with SandboxStore.run() as sandbox:
        yield Line(sandbox)


def test_several_103_answers_come_before_the_real_one_on_the_same_connection(line: Line) -> None:
    line.sandbox.fault(faults.hints(2), order=line.order)
    received = line.look_up(["keep-alive", "close"])
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", received)
    assert statuses == [b"103"] * 2 + [b"200"] * 2
    assert json.loads(received.split(b"\r\n\r\n")[-1])["id"] == line.order.id


def test_an_edge_answers_without_the_apis_headers_and_uses_up_no_request(line: Line) -> None:
    head, body = line.meet(faults.no_route())
    assert head.startswith(b"HTTP/1.1 404")
    assert json.loads(body) == {"message": "no Route matched with those values"}
    assert b"X-Rate-Limit" not in head
    assert b"X-Rate-Limit-Requests-Left: 149" in line.look_up(["close"])


@pytest.mark.parametrize(
    ("fault", "status", "kind", "content"),
    [
        (faults.edge(400, "<html>bad</html>"), b"400", b"text/html", b"<html>bad</html>"),
        (faults.edge(404), b"404", b"", b""),
        (faults.garbage({"code": 500}), b"200", b"application/json", b'{"code": 500}'),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_an_answer_in_the_apis_place_is_as_it_was_asked_for(
    line: Line, fault: Fault, status: bytes, kind: bytes, content: bytes
) -> None:
    head, body = line.meet(fault)
    assert head.split(b" ")[1] == status
    assert kind in head
    assert body == content


def test_a_byte_order_mark_stands_before_the_json(line: Line) -> None:
    assert line.meet(faults.byte_order_mark())[1].startswith(b"\xef\xbb\xbf{")


def test_a_connection_may_be_closed_without_a_byte(line: Line) -> None:
    line.sandbox.fault(faults.hang_up())
    assert line.look_up(["keep-alive"]) == b""


def test_a_kept_connection_may_be_closed_after_the_answer(line: Line) -> None:
    line.sandbox.fault(faults.close_idle())
    received = line.look_up(["keep-alive"])
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"}")


@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("make_fault", [faults.cut_headers, faults.cut_body])
def test_an_answer_ends_in_the_middle_with_its_effect_or_without(
    line: Line, make_fault: Callable[..., Fault], *, effect: bool
) -> None:
    line.sandbox.fault(make_fault(effect=effect), "b2b.create")

    head, end_of_headers, body = line.create().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    if make_fault is faults.cut_headers:
        assert not end_of_headers
    else:
        [length] = [int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.startswith(b"Content-Length")]
        assert 0 < len(body) < length
    assert line.sandbox.effects(line.store, line.order.id).creates == int(effect)
    [request] = line.sandbox.requests("b2b.create")
    assert request.status == 0
    assert request.caller_port
