"""One total limit on each exchange, against real sockets."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from handler import limited_http
from handler.transport import LARGEST_ANSWER_BYTES, HttpExchange, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_SECONDS = 0.4
FAULT_SECONDS = 8.0
"""How long the servers here keep a caller waiting: twenty times the limit."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def server(
    serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[int]]]:
    """A server on loopback; `serve` gets each connection. Gives its address and the list of connections so far."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.append(len(seen))
            open_sockets.append(connection)
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        try:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
                open_sockets.append(connection)
            serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}/", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_sockets:
            connection.close()
        acceptor.join()


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Answers one request after the other on the same connection."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            read_request(connection)
            connection.sendall(answer)

    return serve


def dripping(answer: bytes, at_once: int = 0) -> Callable[[socket.socket], None]:
    """Sends a byte now and then, for much longer than anybody should wait."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer[:at_once])
        pause = FAULT_SECONDS / len(answer[at_once:])
        for byte in answer[at_once:]:
            connection.sendall(bytes([byte]))
            time.sleep(pause)

    return serve


def silent(connection: socket.socket) -> None:
    read_request(connection)
    time.sleep(FAULT_SECONDS)


def read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("closed")
        received += piece


def fails_in_time(url: str) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        HttpExchange()("GET", url, {}, None, LIMIT_SECONDS)
    assert time.monotonic() - began < FAULT_SECONDS / 2


LONG_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n" + b"x" * 40 + b"\r\n0\r\n\r\n"
WAYS_TO_STALL = {
    "silence": silent,
    "drip from the first byte": dripping(LONG_BODY),
    "drip in the body": dripping(LONG_BODY, at_once=LONG_BODY.index(b"x")),
    "drip in the chunks": dripping(CHUNKED, at_once=CHUNKED.index(b"28")),
    "drip in 100-continue": dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK),
}


@pytest.mark.parametrize("serve", WAYS_TO_STALL.values(), ids=WAYS_TO_STALL.keys())
def test_a_server_that_stalls_is_cut_off_at_the_limit(serve: Callable[[socket.socket], None]) -> None:
    with server(serve) as (url, _):
        fails_in_time(url)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, and the file with its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.parametrize("serve", WAYS_TO_STALL.values(), ids=WAYS_TO_STALL.keys())
def test_over_tls_too(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch, serve: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tls[1]))
    with server(serve, tls[0]) as (url, _):
        fails_in_time(url)


def test_over_tls_an_answer_is_read_and_the_connection_kept(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tls[1]))
    exchange = HttpExchange()
    with server(answering(OK, OK), tls[0]) as (url, seen):
        assert [exchange("POST", url, {}, {"a": 1}, 5.0).status for _ in range(2)] == [200, 200]
        assert len(seen) == 1


def test_a_certificate_nobody_vouches_for_is_refused(tls: tuple[ssl.SSLContext, Path]) -> None:
    with server(answering(OK), tls[0]) as (url, _), pytest.raises(NoAnswer):
        HttpExchange()("GET", url, {}, None, 5.0)


def test_a_handshake_that_never_comes_is_cut_off() -> None:
    with server(lambda _: time.sleep(FAULT_SECONDS)) as (url, _):
        fails_in_time(url.replace("http:", "https:"))


def test_a_silent_name_server_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        released.wait(FAULT_SECONDS)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    try:
        fails_in_time("http://localhost:9/")
    finally:
        released.set()


def test_a_name_that_does_not_resolve_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(NoAnswer, match="ConnectionError"):
        HttpExchange()("GET", "http://localhost:9/", {}, None, 5.0)


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answering(OK)) as (url, _):
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead = closed.getsockname()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        assert HttpExchange()("GET", url, {}, None, 5.0).status == 200


def test_when_no_address_can_be_reached_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(NoAnswer):
        HttpExchange()("GET", f"http://127.0.0.1:{port}/", {}, None, 5.0)


def test_a_connection_is_kept_for_the_next_call() -> None:
    exchange = HttpExchange()
    with server(answering(OK, OK)) as (url, seen):
        assert [exchange("GET", url, {}, None, 5.0).body for _ in range(2)] == [b"{}", b"{}"]
        assert len(seen) == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = HttpExchange()
    with server(answering(OK, OK)) as (url, seen):
        exchange("GET", url, {}, None, 5.0)
        monkeypatch.setattr(limited_http, "LONGEST_IDLE_SECONDS", -1.0)
        exchange("GET", url, {}, None, 5.0)
        assert len(seen) == 2


def test_a_connection_that_the_other_side_forgot_is_no_answer() -> None:
    exchange = HttpExchange()
    with server(answering(OK, b"")) as (url, _):
        exchange("GET", url, {}, None, 5.0)

        with pytest.raises(NoAnswer):
            exchange("POST", url, {}, {}, 5.0)


CUT_OFF = {
    "in the status line": b"HTTP/1.1 200",
    "in a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "between headers": b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n",
    "before the headers' end": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    "before the body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
    "in the chunks": CHUNKED[:-7],
    "before a body of no stated length": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
}


@pytest.mark.parametrize("whole", CUT_OFF.values(), ids=CUT_OFF.keys())
def test_an_answer_that_was_cut_off_is_no_answer(whole: bytes) -> None:
    with server(answering(whole)) as (url, _), pytest.raises(NoAnswer):
        HttpExchange()("GET", url, {}, None, 5.0)


def test_an_answer_that_ends_with_its_connection_is_one() -> None:
    with server(answering(b"HTTP/1.0 200 OK\r\n\r\n{}")) as (url, _):
        assert HttpExchange()("GET", url, {}, None, 5.0).body == b"{}"


def test_an_answer_without_content_is_one() -> None:
    with server(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as (url, _):
        assert HttpExchange()("GET", url, {}, None, 5.0).status == 204


def test_a_first_address_that_never_answers_leaves_time_for_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answering(OK)) as (url, _), full_backlog() as dead:
        port = int(url.rstrip("/").rpartition(":")[2])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        assert HttpExchange()("GET", url, {}, None, 4.0).status == 200


def test_addresses_that_never_answer_are_cut_off_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_backlog() as dead:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", dead)] * 3
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        fails_in_time("http://localhost:9/")


@contextmanager
def full_backlog() -> Iterator[tuple[str, int]]:
    """An address of a listener that takes no more connections: the next one waits for an answer that never comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()
        finally:
            for each in waiting:
                each.close()


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with server(answering(redirect)) as (url, seen):
        assert HttpExchange()("GET", url, {"X-Auth-Token": "token"}, None, 5.0).status == 302
        assert len(seen) == 1


def test_an_answer_beyond_all_measure_is_no_answer() -> None:
    size = LARGEST_ANSWER_BYTES + 10
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    with server(answering(huge)) as (url, _), pytest.raises(NoAnswer, match="more than"):
        HttpExchange()("GET", url, {}, None, 20.0)


def test_an_exchange_without_a_moment_left_is_not_begun() -> None:
    with server(answering(OK)) as (url, seen):
        with pytest.raises(NoAnswer):
            HttpExchange()("GET", url, {}, None, 1e-9)
        assert seen == []
