"""One total limit on each exchange, against real sockets."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.http import total_timeout
from handler.http.exchange import LARGEST_ANSWER_BYTES, HttpExchange, NoAnswer
from support.ports import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_SECONDS = 0.4
FAULT_SECONDS = 8.0
"""How long the servers here keep a caller waiting: twenty times the limit."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@contextmanager
def server(
    *serves: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[int]]]:
    """A server on loopback; the last of `serves` gets all further connections, each other one of them gets one.

    Gives its address and the list of connections so far.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            serve = serves[min(len(seen), len(serves) - 1)]
            seen.append(len(seen))
            open_sockets.append(connection)
            threading.Thread(target=handle, args=(connection, serve), daemon=True).start()

    def handle(connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
                open_sockets.append(connection)
            serve(connection)
        except OSError:
            pass  # the caller has had enough
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


def answering(*answers: bytes, requests: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """Answers one request after the other on the same connection, and notes them in `requests`."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            request = read_request(connection)
            if requests is not None:
                requests.append(request)
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


def repeating(head: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """Answers with `head`, and then `piece` without end, as fast as it goes."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return serve


def read_request(connection: socket.socket) -> bytes:
    received = b""
    while not is_whole(received):
        piece = connection.recv(4096)
        if not piece:
            raise OSError("closed")
        received += piece
    return received


def is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def ok(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body), b"", body])


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
    "drip in early hints": dripping(EARLY_HINTS * 3 + OK),
    "drip in a redirect's body": dripping(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n" + b"x" * 40, at_once=38),
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
    with server(serve, context=tls[0]) as (url, _):
        fails_in_time(url)


def test_over_tls_an_answer_is_read_and_the_connection_kept(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tls[1]))
    exchange = HttpExchange()
    with server(answering(OK, OK), context=tls[0]) as (url, seen):
        assert [exchange("POST", url, {}, {"a": 1}, 5.0).status for _ in range(2)] == [200, 200]
        assert len(seen) == 1


def test_a_certificate_nobody_vouches_for_is_refused(tls: tuple[ssl.SSLContext, Path]) -> None:
    with server(answering(OK), context=tls[0]) as (url, _), pytest.raises(NoAnswer):
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

    with pytest.raises(NoAnswer, match="gaierror"):
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
        monkeypatch.setattr(total_timeout, "LONGEST_IDLE_SECONDS", -1.0)
        exchange("GET", url, {}, None, 5.0)
        assert len(seen) == 2


def test_a_request_on_a_kept_connection_that_is_closed_before_any_answer_is_repeated_on_a_new_one() -> None:
    exchange = HttpExchange()
    with server(answering(OK, b""), answering(OK)) as (url, seen):
        exchange("GET", url, {}, None, 5.0)

        assert exchange("GET", url, {}, None, 5.0).status == 200
        assert len(seen) == 2


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_that_changes_something_is_not_repeated_unasked(method: str) -> None:
    exchange = HttpExchange()
    with server(answering(OK, b""), answering(OK)) as (url, seen):
        exchange("GET", url, {}, None, 5.0)

        with pytest.raises(NoAnswer) as lost:
            exchange(method, url, {}, {}, 5.0)
        assert lost.value.may_have_arrived
        assert len(seen) == 1


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


# --- one answer for each request -----------------------------------------------------------------------------------


def ask_for(exchange: HttpExchange, url: str, store: str) -> str:
    """What a request for one store is answered."""
    return exchange("GET", url, {"X-Store-Hash": store}, None, 5.0).body.decode()


INTERIM = {
    "early hints": EARLY_HINTS,
    "early hints twice": EARLY_HINTS * 2,
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "an unknown one": b"HTTP/1.1 199 Whatever\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "continue, early hints, continue": b"HTTP/1.1 100 Continue\r\n\r\n"
    + EARLY_HINTS
    + b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
    "a thousand": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM.keys())
def test_after_interim_answers_each_store_reads_its_own(interim: bytes) -> None:
    exchange = HttpExchange()
    with server(answering(interim + ok(b"of store a"), interim + ok(b"of store b"))) as (url, seen):
        assert [ask_for(exchange, url, "a"), ask_for(exchange, url, "b")] == ["of store a", "of store b"]
        assert len(seen) == 1


MALFORMED = [
    b"no colon",
    b": no name",
    b"a name with spaces: x",
    b"\xc3\xa9: x",
    b"From somebody",
    b"HTTP/1.1 200 OK",
    b"\t folded",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_header_does_not_hide_the_others(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    exchange = HttpExchange()
    with server(answering(ok(b"of store a", b"X-A: b", line), ok(b"of store b", line))) as (url, seen):
        assert [ask_for(exchange, url, "a"), ask_for(exchange, url, "b")] == ["of store a", "of store b"]
        assert len(seen) == 1
    assert line == MALFORMED[-1] or not caplog.messages


def test_interim_answers_without_end_are_no_answer() -> None:
    with server(repeating(b"", EARLY_HINTS * 100)) as (url, _), pytest.raises(NoAnswer):
        HttpExchange()("GET", url, {}, None, 20.0)


MORE_THAN_AN_ANSWER = {
    "a body longer than its stated length": ok(b"of store a") + b" and more",
    "a line break": ok(b"of store a") + b"\r\n",
    "two answers": ok(b"of store a") * 2,
    "two answers, the second cut off": ok(b"of store a") * 2 + b"HTTP/1.1 200 OK\r\nConte",
    "an interim answer too late": ok(b"of store a") + EARLY_HINTS,
    "more than is read at once": ok(b"of store a") + ok(b"x" * 30_000),
    "more than the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nof store a\r\n0\r\n\r\n" + OK,
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("more", MORE_THAN_AN_ANSWER.values(), ids=MORE_THAN_AN_ANSWER.keys())
def test_what_comes_beyond_an_answer_is_not_read_by_the_next_request(
    more: bytes, scheme: str, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tls[1]))
    exchange = HttpExchange()
    serves = answering(more, ok(b"of nobody")), answering(ok(b"of store b"))
    with server(*serves, context=tls[0] if scheme == "https" else None) as (url, seen):
        assert [ask_for(exchange, url, "a"), ask_for(exchange, url, "b")] == ["of store a", "of store b"]
        assert len(seen) == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_body_that_may_not_be_there_is_not_read_by_the_next_request(status: bytes) -> None:
    exchange = HttpExchange()
    with server(answering(ok(b"{}", status=status)), answering(ok(b"of store b"))) as (url, _):
        assert [ask_for(exchange, url, "a"), ask_for(exchange, url, "b")] == ["", "of store b"]


def test_a_second_answer_that_comes_later_is_not_read_by_the_next_request() -> None:
    sent = threading.Event()

    def twice(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ok(b"of store a"))
        asked.wait(5.0)
        connection.sendall(ok(b"of store a, again"))
        sent.set()
        read_request(connection)

    asked = threading.Event()
    exchange = HttpExchange()
    with server(twice, answering(ok(b"of store b"))) as (url, _):
        assert ask_for(exchange, url, "a") == "of store a"
        asked.set()
        assert sent.wait(5.0)
        assert ask_for(exchange, url, "b") == "of store b"


NO_ANSWERS: dict[str, Callable[[socket.socket], None]] = {
    "silence": silent,
    "a protocol nobody asked for": answering(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + OK, ok(b"of store a")
    ),
    "not HTTP": answering(b"SSH-2.0-OpenSSH\r\n" + OK, ok(b"of store a")),
    "an answer that is too large": repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x" * 65_536),
    "headers without end": repeating(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
    "a header line without end": repeating(b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 65_536),
    "a chunk of negative size": repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65_536
    ),
    "a chunk of no size": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n" + OK, OK),
    "chunks of almost nothing": repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000
    ),
    "trailers without end": repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000
    ),
    "two lengths": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}1" + OK, OK),
    "an unknown coding": answering(ok(b"\x01\x02", b"Content-Encoding: br")),
    "broken compressed data": answering(ok(b"\x1f\x8b nonsense", b"Content-Encoding: gzip")),
}


@pytest.mark.parametrize("serve", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_after_no_answer_the_next_request_reads_its_own(serve: Callable[[socket.socket], None]) -> None:
    exchange = HttpExchange()
    with server(serve, answering(ok(b"of store b"))) as (url, _):
        with pytest.raises(NoAnswer) as lost:
            exchange("GET", url, {"X-Store-Hash": "a"}, None, 2.0)

        assert lost.value.may_have_arrived
        assert ask_for(exchange, url, "b") == "of store b"


# --- what may be sent again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_kept_connection_closed_before_any_answer_is_replaced_once(
    scheme: str, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tls[1]))
    exchange = HttpExchange()
    serves = answering(OK, b""), answering(b"")
    with server(*serves, context=tls[0] if scheme == "https" else None) as (url, seen):
        exchange("GET", url, {}, None, 5.0)
        with pytest.raises(NoAnswer) as lost:
            exchange("GET", url, {}, None, 5.0)

        assert lost.value.may_have_arrived  # the second was sent on a new connection
        assert len(seen) == 2


def test_an_answer_cut_off_on_a_kept_connection_is_not_asked_for_again() -> None:
    exchange = HttpExchange()
    with server(answering(OK, b"HTTP/1.1 2"), answering(OK)) as (url, seen):
        exchange("GET", url, {}, None, 5.0)
        with pytest.raises(NoAnswer) as lost:
            exchange("POST", url, {}, {}, 5.0)

        assert lost.value.may_have_arrived
        assert len(seen) == 1


def test_silence_on_a_kept_connection_is_not_asked_again() -> None:
    def once_then_silent(connection: socket.socket) -> None:
        answering(OK)(connection)
        silent(connection)

    exchange = HttpExchange()
    with server(once_then_silent, answering(OK)) as (url, seen):
        exchange("GET", url, {}, None, 5.0)
        with pytest.raises(NoAnswer) as lost:
            exchange("POST", url, {}, {}, LIMIT_SECONDS)

        assert lost.value.may_have_arrived
        assert len(seen) == 1


def test_a_new_connection_closed_before_any_answer_may_have_brought_the_request() -> None:
    with server(answering(b"")) as (url, seen):
        with pytest.raises(NoAnswer) as lost:
            HttpExchange()("POST", url, {}, {}, 5.0)

        assert lost.value.may_have_arrived
        assert len(seen) == 1


def test_a_request_that_no_connection_came_about_for_cannot_have_arrived(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrived(url: str, seconds: float = 5.0) -> bool:
        with pytest.raises(NoAnswer) as lost:
            HttpExchange()("POST", url, {}, {}, seconds)
        return lost.value.may_have_arrived

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not arrived(f"http://127.0.0.1:{port}/")  # refused
    with full_backlog() as (host, port):
        assert not arrived(f"http://{host}:{port}/", LIMIT_SECONDS)  # no answer to connecting
    with server(answering(OK), context=tls[0]) as (url, _):
        assert not arrived(url)  # a certificate that nobody vouches for
    with server(lambda _: time.sleep(FAULT_SECONDS)) as (url, _):
        assert not arrived(url.replace("http:", "https:"), LIMIT_SECONDS)  # no handshake
    assert not arrived("http://127.0.0.1:9/", 1e-9)  # no time
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert not arrived("http://localhost:9/")  # no address


# --- nothing of an answer is acted upon ----------------------------------------------------------------------------

LOCATIONS = [b"http://127.0.0.1:9/", b"http://[", b"//", b"http://\xff\xfe/", b"", b"http://127.0.0.1:port/", b"\x00"]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Same", b"308 Same"])
def test_a_redirect_is_an_answer_and_not_followed(status: bytes, location: bytes) -> None:
    with server(answering(ok(b"moved", b"Location: " + location, status=status))) as (url, seen):
        answer = HttpExchange()("POST", url, {"X-Auth-Token": "token"}, {}, 5.0)

        assert (answer.status, answer.body) == (int(status[:3]), b"moved")
        assert len(seen) == 1


def test_no_cookie_travels_from_one_store_to_another() -> None:
    requests: list[bytes] = []
    exchange = HttpExchange()
    with server(answering(ok(b"{}", b"Set-Cookie: session=of-store-a; Path=/"), OK, requests=requests)) as (url, _):
        ask_for(exchange, url, "a")
        ask_for(exchange, url, "b")

    assert b"X-Store-Hash: b" in requests[1]
    assert b"cookie" not in requests[1].lower()


def test_nothing_is_read_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    requests: list[bytes] = []
    with server(answering(OK, requests=requests)) as (url, _):
        assert HttpExchange()("GET", url, {}, None, 5.0).status == 200

    assert b"authorization" not in requests[0].lower()


def test_a_request_says_what_it_sends_and_what_it_can_read() -> None:
    requests: list[bytes] = []
    with server(answering(OK, requests=requests)) as (url, _):
        HttpExchange()("POST", url + "a/b?c=d", {"X-Auth-Token": "token"}, {"é": 1}, 5.0)

    lines = requests[0].split(b"\r\n")
    assert lines[0] == b"POST /a/b?c=d HTTP/1.1"
    assert b"User-Agent: b2b-order-relay" in lines
    assert {b"Content-Type: application/json", b"Accept-Encoding: gzip, deflate", b"X-Auth-Token: token"} <= {*lines}
    assert json.loads(lines[-1]) == {"é": 1}


# --- bounded -------------------------------------------------------------------------------------------------------

ENDLESS = repeating(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * 65_536)
BOMB = gzip.compress(bytes(50_000_000))
BOUNDED = {
    "a redirect's body without end": ENDLESS,
    "chunks without end": repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    ),
    "one chunk without end": repeating(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b"x" * 65_536
    ),
    "a chunk of negative size": NO_ANSWERS["a chunk of negative size"],
    "headers without end": NO_ANSWERS["headers without end"],
    "a bomb": answering(ok(BOMB, b"Content-Encoding: gzip")),
    "a redirect's bomb": answering(ok(BOMB, b"Content-Encoding: gzip", b"Location: /", status=b"302 Found")),
    "an error's bomb": answering(ok(BOMB, b"Content-Encoding: gzip", status=b"400 Bad Request")),
    "a bomb without the header": answering(ok(BOMB)),
    "a bomb in a bomb": answering(ok(gzip.compress(BOMB), b"Content-Encoding: gzip, gzip")),
    "a deflate bomb": answering(ok(zlib.compress(bytes(50_000_000)), b"Content-Encoding: deflate")),
}


@pytest.mark.parametrize("serve", BOUNDED.values(), ids=BOUNDED.keys())
def test_no_answer_takes_more_memory_than_a_few_of_the_largest(serve: Callable[[socket.socket], None]) -> None:
    exchange = HttpExchange()
    with server(serve) as (url, _):
        tracemalloc.start()
        try:
            with pytest.raises(NoAnswer):
                exchange("GET", url, {}, None, 5.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak / LARGEST_ANSWER_BYTES < 6


def test_an_answer_is_unpacked_whether_or_not_it_says_how_it_was_packed() -> None:
    exchange = HttpExchange()
    packed = gzip.compress(b'{"code": 200}')
    answers = ok(packed, b"Content-Encoding: gzip"), ok(packed), ok(zlib.compress(b"{}"), b"Content-Encoding: deflate")
    with server(answering(*answers)) as (url, seen):
        bodies = [exchange("GET", url, {}, None, 5.0).json() for _ in answers]

        assert bodies == [{"code": 200}, {"code": 200}, {}]
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


# --- whatever the world answers ------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 302 Found\r\n", b"HTTP/1.1 103 E\r\n", b"HTTP/1.1 101 S\r\n", b"HTTP/2 200\r\n",
        b"HTTP/1.1 999 ?\r\n", b"HTTP/1.1 204\r\n", b"Content-Length: 2\r\n", b"Content-Length: -1\r\n", b"Content-Length: x\r\n",
        b"Content-Length: 9999999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate, br\r\n", b"Content-Encoding: ,,,,,,,,\r\n",
        b"Content-Type: application/json; charset=\xff\r\n", b"Set-Cookie: \x00;=;;\r\n", b"Location: http://[\r\n",
        b"no colon\r\n", b" folded\r\n", b": no name\r\n", b"\r\n", b"\n", b"2\r\n{}\r\n", b"0\r\n\r\n", b"-1\r\n", b"fffff\r\n",
        b"{}", b"\x1f\x8b", b"\xef\xbb\xbf", gzip.compress(b"{}"), zlib.compress(b"{}"),
    ]
)  # fmt: skip


def test_whatever_bytes_come_they_are_an_answer_or_none() -> None:
    exchange = HttpExchange()
    sent = [b""]

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(sent[0])

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.lists(PIECES | st.binary(max_size=12), max_size=10).map(b"".join), st.booleans())
    def answered(rest: bytes, well_begun: bool) -> None:
        sent[0] = b"HTTP/1.1 200 OK\r\n" * well_begun + rest
        try:
            answer = exchange("POST", url, {}, {}, 2.0)
        except NoAnswer:
            return
        assert 200 <= answer.status <= 999
        answer.json()
        answer.without({"token"}).json()

    with server(serve) as (url, _):
        answered()
