"""requests with a total time limit for each attempt, and connections that cannot mix up two responses.

The `timeout` of requests applies to one socket operation: a server that sends a byte now and then can hold the caller
forever (psf/requests #3213). Here every socket operation of an attempt, from name resolution to the last byte of the
body, gets only the time that is left.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, Self

import certifi
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

LONGEST_IDLE_SECONDS = 5.0
"""A connection that was idle for longer is not reused: the server may have dropped it while the environment was frozen."""

LARGEST_FRAMING_BYTES = 1_000_000
"""The largest response without its body: interim responses, status line, headers, chunk sizes, trailers."""

INTERIM = range(100, 200)
SWITCHING_PROTOCOLS = 101
END_OF_HEAD = frozenset({b"\r\n", b"\n"})
HEADER_LINE = re.compile(rb"[!-9;-~]+:|[ \t]")
"""The beginning of a header line or of its continuation."""

FAILURES = (HTTPError, HTTPException, OSError)
"""What the connections of this module raise."""

_current: ContextVar[Attempt] = ContextVar("attempt")


class Attempt:
    """`with Attempt(ends_at) as attempt:` limits socket operations inside the block, and records how far the request got.

    `ends_at` is a time of `time.monotonic`.
    """

    def __init__(self, ends_at: float) -> None:
        self._ends_at = ends_at
        self.connecting = False
        """A new connection was made."""
        self.sent = False
        """At least a part of the request was sent."""
        self.answered = False
        """At least one byte of the response was received."""

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    @property
    def seconds_left(self) -> float:
        """The time that is left. Raises TimeoutError when there is none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time limit of the whole exchange is used up")
        return left

    def found_connection_closed(self, error: BaseException) -> bool:
        """Whether a kept connection was closed before the first byte of the response.

        Then the server probably closed it before it received the request.
        """
        closed = isinstance(cause_of(error), (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError))
        return closed and not self.connecting and not self.answered


def cause_of(error: BaseException) -> BaseException:
    """The original failure behind `error`: urllib3 wraps what a socket raised, some of it twice."""
    while isinstance(inner := error.__cause__ or error.__context__, FAILURES):
        error = inner
    return error


class _Limited(socket.socket):
    """A socket whose operations get only the time that is left. Also the first base class of the TLS socket."""

    waits = True
    """False: a read returns only what was already received."""

    def recv_into(self, buffer: WriteableBuffer, *nbytes_and_flags: Any) -> int:
        if not self.waits:
            self.settimeout(0.0)
            return super().recv_into(buffer, *nbytes_and_flags)
        attempt = _current.get()
        self.settimeout(attempt.seconds_left)
        received = super().recv_into(buffer, *nbytes_and_flags)
        attempt.answered = attempt.answered or received > 0
        return received

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        attempt = _current.get()
        self.settimeout(attempt.seconds_left)
        attempt.sent = True
        return super().send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        attempt = _current.get()
        self.settimeout(attempt.seconds_left)
        attempt.sent = True
        super().sendall(data, flags)

    def makefile(self, *_: Any, **__: Any) -> Any:
        """The file that a response is read from. The standard library makes one for each response."""
        return _Incoming(super().makefile("rb", buffering=0), self)


class _LimitedTls(_Limited, ssl.SSLSocket):
    """`ssl.SSLSocket` with the limited operations of `_Limited`."""


class _Incoming(io.BufferedReader):
    """The bytes of one response, and of anything sent after it."""

    def __init__(self, raw: socket.SocketIO, connection: _Limited) -> None:
        super().__init__(raw)
        self._connection = connection
        self._framing_bytes = 0
        self.last_line = b""
        self.in_head = True

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads `size` bytes. Raises HTTPException for a negative size, which a chunk can have, and which would mean all bytes."""
        if size is None or size < 0:
            raise HTTPException("a chunk of negative size")
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Reads a line. Limits the size of all lines together, and skips malformed headers.

        The standard library takes a malformed header for the end of the headers, and so misses the body's length.
        """
        while True:
            line = super().readline(size)
            self._framing_bytes += len(line)
            if self._framing_bytes > LARGEST_FRAMING_BYTES:
                raise HTTPException("headers, chunk sizes or trailers without end")
            is_first = self.last_line in END_OF_HEAD or not self.last_line
            if not self.in_head or is_first or not line or line in END_OF_HEAD or HEADER_LINE.match(line):
                self.last_line = line
                return line

    def close(self) -> None:
        """Closes the connection if it has more bytes: the next request would take them for its own response."""
        if not self.closed and self._has_more():
            with suppress(OSError):
                # The pool checks for this before it reuses a connection.
                self._connection.shutdown(socket.SHUT_RDWR)
        super().close()

    def _has_more(self) -> bool:
        self._connection.waits = False
        try:
            return bool(self.peek(1))
        except ssl.SSLWantReadError:
            return False
        except (OSError, ValueError):
            return True
        finally:
            self._connection.waits = True


class _FinalResponse(HTTPResponse):
    """A final response with complete headers."""

    fp: _Incoming

    def begin(self) -> None:
        """Reads the headers, and skips all interim responses: the standard library skips only status 100 (RFC 9110, 15.2)."""
        incoming = self.fp
        while True:
            super().begin()
            if incoming.last_line not in END_OF_HEAD:
                # The standard library takes a connection that is closed in the headers for their end.
                raise RemoteDisconnected("the connection was closed in the response's headers")
            if self.status == SWITCHING_PROTOCOLS:
                raise HTTPException("a response in another protocol, which was not requested")
            if self.status not in INTERIM:
                incoming.in_head = False
                return
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first call, which reads a head


class _Connecting(HTTPConnection):
    """Both kinds of connection: connect within the time limit, and are not reused after a long idle time."""

    response_class = _FinalResponse
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        # Wall time, because the monotonic clock may stand still while the environment is frozen.
        return super().is_connected and time.time() - self._used_at <= LONGEST_IDLE_SECONDS

    def getresponse(self) -> Any:
        response = super().getresponse()
        self._used_at = time.time()
        return response

    def _new_conn(self) -> socket.socket:
        attempt = _current.get()
        attempt.connecting = True
        error: OSError | None = None
        addresses = _addresses(self._dns_host, self.port or self.default_port, self)
        for tried, (family, kind, protocol, address) in enumerate(addresses):
            connection = _Limited(family, kind, protocol)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Shared between the addresses, so that one that does not answer leaves time for the others.
                connection.settimeout(attempt.seconds_left / (len(addresses) - tried))
                connection.connect(address)
                connection.settimeout(attempt.seconds_left)
            except OSError as failed:
                connection.close()
                error = failed
            else:
                return connection
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(self, f"connecting to {self.host} took too long") from error
        raise NewConnectionError(self, f"no address of {self.host} could be reached") from error


class _LimitedConnection(_Connecting):
    """Plain HTTP, for this machine only: see `settings`."""


class _LimitedTlsConnection(_Connecting, HTTPSConnection):
    """HTTPS. The handshake is a socket operation, so it is within the limit."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _LimitedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _LimitedTlsConnection


class LimitedAdapter(HTTPAdapter):
    """A requests adapter to be used inside `with Attempt(...)`. One TLS context serves all its pools."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:  # noqa: FBT001, FBT002  requests' own signature
        """Makes pools of limited connections."""
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=_tls_context(), **kwargs
        )
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *_: Any) -> None:
        """Does nothing: the context has the CA certificates, and loading them for each connection takes 16 ms."""


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.sslsocket_class = _LimitedTls
    return context


def _addresses(host: str, port: int, connection: _Connecting) -> list[tuple[int, int, int, Any]]:
    """The host's addresses. `getaddrinfo` has no time limit, so it runs in a thread of its own."""
    found: list[Any] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    resolver = threading.Thread(target=resolve, daemon=True)
    resolver.start()
    resolver.join(_current.get().seconds_left)
    if resolver.is_alive():
        raise ConnectTimeoutError(connection, f"resolving {host} took too long")
    if failed:
        raise NameResolutionError(host, connection, socket.gaierror(*failed[0].args)) from failed[0]
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
