"""Faults as a caller's socket sees them: what stands before, in and after an answer."""

from __future__ import annotations

import json
import re
import socket
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sandbox.store import faults
from sandbox.store.server import SandboxStore
from sandbox.store.settings import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.store.faults import Fault
    from sandbox.store.orders import Order

MORE_THAN_ANY_ANSWER = 3_000_000


class Line:
    """A store with two orders, and raw connections to it."""

    def __init__(self, sandbox: SandboxStore) -> None:
        self.sandbox = sandbox
        self.store = sandbox.add_store(Store(hash="abc", company_customers={7}))
        self.order, self.other = (self.place(text) for text in ("Grüße", "the other one"))

    def place(self, text: str) -> Order:
        return self.sandbox.place_order(self.store, customer_id=7, customer_message=text, automatic_record_after=None)

    def look_up(self, connections: list[str], at_most: int | None = None) -> bytes:
        """Ask for the first order, once for each `Connection` header, on one connection; all that comes until its end."""
        address = urlsplit(self.sandbox.url)
        received = b""
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            for header in connections:
                connection.sendall(
                    f"GET /stores/{self.store.hash}/v2/orders/{self.order.id} HTTP/1.1\r\nHost: sandbox\r\n"
                    f"X-Auth-Token: {self.store.access_token}\r\nConnection: {header}\r\n\r\n".encode()
                )
            while part := connection.recv(65536):
                received += part
                if at_most and len(received) > at_most:
                    break
        return received

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


@pytest.mark.parametrize("code", [103, 102])
def test_several_1xx_answers_come_before_the_real_one_on_the_same_connection(line: Line, code: int) -> None:
    line.sandbox.fault(faults.hints(2, code, delay_seconds=0.1), order=line.order)
    received = line.look_up(["keep-alive", "close"])
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", received)
    assert statuses == [str(code).encode()] * 2 + [b"200"] * 2
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
        (faults.edge(405, "<html>no</html>"), b"405", b"text/html", b"<html>no</html>"),
        (faults.edge(404), b"404", b"", b""),
        (faults.edge(304), b"304", b"", b""),
        (faults.edge(301, headers={"Location": "http://["}), b"301", b"Location: http://[", b""),
        (faults.refusal(422, "no", "list"), b"422", b"application/json", b'[{"status": 422, "message": "no"}]'),
        (faults.garbage('""'), b"200", b"application/json", b'""'),
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


def test_the_answer_may_be_about_another_order(line: Line) -> None:
    assert json.loads(line.meet(faults.about_order(line.other.id))[1])["customer_message"] == "the other one"


def test_a_byte_order_mark_stands_before_the_json(line: Line) -> None:
    body = line.meet(faults.byte_order_mark())[1]
    assert body.startswith(b"\xef\xbb\xbf{")
    assert json.loads(body.decode("utf-8-sig"))["id"] == line.order.id


def test_half_an_emoji_stands_in_the_orders_text(line: Line) -> None:
    assert json.loads(line.meet(faults.half_emoji())[1])["customer_message"] == "\ud83dGrüße"


def test_another_charset_is_labelled(line: Line) -> None:
    head, body = line.meet(faults.latin_1())
    assert b"charset=iso-8859-1" in head
    assert "Grüße".encode("iso-8859-1") in body


def test_a_bomb_is_small_on_the_wire_and_more_than_a_hundred_megabytes_unpacked(line: Line) -> None:
    head, body = line.meet(faults.gzip_bomb())
    assert b"Content-Encoding: gzip" in head
    assert len(body) < 1_000_000
    unpacked = 0
    while body:  # member after member
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unpacked += len(member.decompress(body))
        body = member.unused_data
    assert unpacked > 100_000_000


def test_an_endless_body_goes_on_until_the_caller_hangs_up(line: Line) -> None:
    line.sandbox.fault(faults.endless(302, {"Location": "/elsewhere"}))
    assert line.look_up(["keep-alive"], MORE_THAN_ANY_ANSWER).startswith(b"HTTP/1.1 302")
    line.sandbox.wait_until(lambda: line.sandbox.requests()[0].status == 0, 5)


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
