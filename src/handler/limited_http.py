"""requests with a real total time limit on each exchange.

`requests`' own `timeout` is for one socket operation: a server that sends a byte now and then holds the caller for as
long as it likes (psf/requests #3213). Here every socket operation of an exchange, from name resolution to the last
byte of the body, gets only what is left of one limit.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextvars import ContextVar
from http.client import HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any

import certifi
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

LONGEST_IDLE_SECONDS = 5.0
"""A kept connection idle for longer is not reused: a frozen environment's peer may have forgotten it silently."""

_ends_at: ContextVar[float] = ContextVar("exchange_ends_at")


class limit:  # noqa: N801  used as a context manager, like contextlib's own
    """`with limit(seconds):` bounds everything that connections of `LimitedAdapter` do inside, together."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _ends_at.set(time.monotonic() + self._seconds)

    def __exit__(self, *_: object) -> None:
        _ends_at.reset(self._token)


def _left() -> float:
    """Seconds left of the exchange. Raises TimeoutError when there are none."""
    left = _ends_at.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time limit of the whole exchange is used up")
    return left


class _Limited(socket.socket):
    """A socket whose operations get only the time that is left. Also the first base of its TLS twin."""

    def recv_into(self, buffer: WriteableBuffer, *nbytes_and_flags: Any) -> int:
        self.settimeout(_left())
        return super().recv_into(buffer, *nbytes_and_flags)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        self.settimeout(_left())
        return super().send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        self.settimeout(_left())
        super().sendall(data, flags)


class _LimitedTls(_Limited, ssl.SSLSocket):
    """`ssl.SSLSocket` with the operations of `_Limited` in front."""


class _LastLine:
    """A file that remembers the last line it gave."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.line = b""

    def readline(self, limit: int = -1) -> bytes:
        self.line = self.file.readline(limit)
        return self.line


class _WholeHead(HTTPResponse):
    """A response whose head has an end. The standard library takes a connection closed in mid-head for the end of it."""

    def begin(self) -> None:
        lines = _LastLine(self.fp)
        self.fp = lines  # type: ignore[assignment]  # only `readline` is called until the head is read
        try:
            super().begin()
        finally:
            self.fp = lines.file
        if lines.line not in {b"\r\n", b"\n"}:
            raise RemoteDisconnected("the connection was closed in the middle of the answer's headers")


class _Connecting(HTTPConnection):
    """What both kinds of connection do differently: connect inside the limit, and distrust long silences."""

    response_class = _WholeHead
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
        error: OSError | None = None
        addresses = _addresses(self._dns_host, self.port or self.default_port, self)
        for tried, (family, kind, protocol, address) in enumerate(addresses):
            connection = _Limited(family, kind, protocol)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # An address that never answers may use up its share, not that of the others.
                connection.settimeout(_left() / (len(addresses) - tried))
                connection.connect(address)
                connection.settimeout(_left())
            except OSError as failed:
                connection.close()
                error = failed
            else:
                return connection
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(self, f"connecting to {self.host} took too long") from error
        raise NewConnectionError(self, f"no address of {self.host} could be reached") from error


class _LimitedConnection(_Connecting):
    """Plain HTTP: loopback only, see `settings`."""


class _LimitedTlsConnection(_Connecting, HTTPSConnection):
    """HTTPS; the handshake is one operation of the socket and so inside the limit."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _LimitedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _LimitedTlsConnection


class LimitedAdapter(HTTPAdapter):
    """A requests adapter to be used inside `with limit(...)`. One TLS context serves all its pools."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:  # noqa: FBT001, FBT002  requests' own signature
        """Makes the pools, of our connections."""
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=_tls_context(), **kwargs
        )
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *_: Any) -> None:
        """Nothing to load: the context has the authorities, and loading them for each connection costs 16 ms."""


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.sslsocket_class = _LimitedTls
    return context


def _addresses(host: str, port: int, connection: _Connecting) -> list[tuple[int, int, int, Any]]:
    """The host's addresses. A resolver has no time limit of its own, so it is waited for in a thread of its own."""
    found: list[Any] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    resolver = threading.Thread(target=resolve, daemon=True)
    resolver.start()
    resolver.join(_left())
    if resolver.is_alive():
        raise ConnectTimeoutError(connection, f"resolving {host} took too long")
    if failed:
        raise NameResolutionError(host, connection, socket.gaierror(*failed[0].args)) from failed[0]
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
