"""How long an exchange takes when the other side stalls, by the limit that was asked for: ours, and `timeout=` of requests.

A server on loopback is silent, or drips its headers or its body for as long as DRIP_TIMES the limit, over HTTP and over TLS.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import requests
from rich.table import Table

from handler.http.exchange import HttpExchange, NoAnswer
from measuring import Spread, arguments, hand_in, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


LIMIT_SECONDS = 0.25
DRIP_TIMES = 8
"""A whole drip lasts this many limits, so that a caller without a limit is seen without waiting for a minute."""

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
HEADERS_END = ANSWER.index(b"\r\n\r\n") + 4


def _silent(connection: socket.socket) -> None:
    time.sleep(LIMIT_SECONDS * DRIP_TIMES)
    connection.sendall(ANSWER)


def _drip(at_once: int, until: int) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(ANSWER[:at_once])
        pause = LIMIT_SECONDS * DRIP_TIMES / (until - at_once)
        for byte in ANSWER[at_once:until]:
            time.sleep(pause)
            connection.sendall(bytes([byte]))
        connection.sendall(ANSWER[until:])

    return serve


WAYS = {
    "silence": _silent,
    "dripping headers": _drip(0, HEADERS_END),
    "dripping body": _drip(HEADERS_END, len(ANSWER)),
}


@contextmanager
def server(serve: Callable[[socket.socket], None], context: ssl.SSLContext | None) -> Iterator[str]:
    """A server that reads one request on each connection and then does as `serve` does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) if context else connection as talking:
                talking.recv(65_536)
                serve(talking)
        except OSError:
            pass  # the caller has had enough, which is the point

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()


def own_certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A TLS context for 127.0.0.1, and the file to trust."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


def ours(url: str, _certificate: str) -> None:
    HttpExchange()("GET", url, {}, None, LIMIT_SECONDS)


def plain(url: str, certificate: str) -> None:
    requests.get(url, timeout=LIMIT_SECONDS, verify=certificate)


CALLERS = {"the relay's exchange": ours, "requests with timeout=": plain}


def taken(call: Callable[[str, str], None], url: str, certificate: str) -> float:
    """How long the call took, in limits."""
    began = time.perf_counter()
    with suppress(NoAnswer, requests.RequestException):  # given up, as it should
        call(url, certificate)
    return (time.perf_counter() - began) / LIMIT_SECONDS


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], repeats=5, unit="exchanges for each case")
    rows: dict[str, dict[str, Spread]] = {}
    with tempfile.TemporaryDirectory() as name:
        tls, certificate = own_certificate(Path(name))
        for scheme, context in (("HTTP", None), ("TLS", tls)):
            for way, serve in WAYS.items():
                say(f"time limits: {way}, {scheme}")
                found: dict[str, list[float]] = {caller: [] for caller in CALLERS}
                with server(serve, context) as url, patch("certifi.where", lambda: certificate):
                    for _ in range(options.repeats):
                        for caller, call in CALLERS.items():
                            found[caller].append(taken(call, url, certificate))
                rows[f"{way}, {scheme}"] = {caller: Spread.of(values) for caller, values in found.items()}
    result = {
        "what": f"time taken as a ratio to the limit asked for; a whole drip lasts {DRIP_TIMES} limits",
        "exchanges": options.repeats,
        "ratios": {row: {caller: spread.as_json() for caller, spread in by.items()} for row, by in rows.items()},
    }
    table = Table("the other side", *CALLERS, title="Time taken, in limits asked for: median (min to max)")
    for row, by in rows.items():
        table.add_row(row, *(str(by[caller]) for caller in CALLERS))

    hand_in("time_limits", options, result, table)


if __name__ == "__main__":
    main()
