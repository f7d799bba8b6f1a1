"""One HTTP exchange with a total time limit: no retries, no redirects, no cookies."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import requests

from handler.errors import Cause, RetryLater
from handler.http import tolerant_json
from handler.http.content_coding import ACCEPTED, Undecodable, decoded
from handler.http.total_timeout import FAILURES, Attempt, LimitedAdapter, cause_of
from handler.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from urllib3.response import BaseHTTPResponse

    Exchange = Callable[[str, str, Mapping[str, str], Any, float], "Response"]
    """Method, URL, headers, body, seconds → response: `HttpExchange`, or a fake in tests."""

NO_CONTENT, NOT_MODIFIED = 204, 304
LARGEST_ANSWER_BYTES = 4_000_000
PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response: status, headers with lower-case names, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def has_known_length(self) -> bool:
        """Whether the end of the body is known (RFC 9112, 6.3); otherwise the closed connection is taken for it."""
        return self.status in {NO_CONTENT, NOT_MODIFIED} or not self.headers.keys().isdisjoint(
            {"content-length", "transfer-encoding"}
        )

    def without(self, secrets: Collection[str]) -> Response:
        """The same response, without `secrets` in its body."""
        text = tolerant_json.text(self.body, self._content_type)
        for secret in secrets:
            text = text.replace(secret, "[secret]")
        return replace(self, body=text.encode())

    @property
    def kind(self) -> str:
        """The kind of body, by its first character: `json`, `html`, `text` or `empty`."""
        first = self.body.lstrip()[:1]
        return {b"": "empty", b"{": "json", b"[": "json", b"<": "html"}.get(first, "text")

    def json(self) -> Any:
        """The body parsed as JSON, or None when it is not JSON: see `tolerant_json`."""
        return tolerant_json.parse(self.body, self._content_type)

    @property
    def _content_type(self) -> str:
        return self.headers.get("content-type", "")


class NoAnswer(RetryLater):
    """No complete response was received.

    `may_have_arrived`: whether the server may have received the request; False when no connection was made.
    """

    def __init__(self, detail: str, *, may_have_arrived: bool = True, cause: Cause = Cause.NO_ANSWER) -> None:
        super().__init__(cause, detail)
        self.may_have_arrived = may_have_arrived


class _ConnectionClosed(NoAnswer):
    """A kept connection was closed before the first byte of the response, probably while it was idle."""


class HttpExchange:
    """One HTTP exchange with a total time limit. Tests pass a fake instead.

    Follows no redirects, keeps no cookies, and reads nothing from the environment.
    """

    def __init__(self, user_agent: str = "b2b-order-relay") -> None:
        self._user_agent = user_agent
        self._adapter = LimitedAdapter()

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> Response:
        """Sends `body` as JSON (None: no body). Raises NoAnswer when no complete response came within `seconds`."""
        sent_headers = {"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED, **headers}
        # Without a session, which would follow redirects (even to prepare `next`) and keep cookies for other stores.
        request = requests.Request(method, url, headers=sent_headers, json=body).prepare()
        ends_at = time.monotonic() + seconds
        try:
            return self._attempt(request, ends_at)
        except _ConnectionClosed as closed:
            if method != "GET":
                # The server may have closed it while processing the request (RFC 9112, 9.3.1).
                raise
            logger.info(
                "request retried on a new connection", event="attempt.reconnected", method=method, detail=closed.detail
            )
        return self._attempt(request, ends_at)

    def _attempt(self, request: requests.PreparedRequest, ends_at: float) -> Response:
        began = time.monotonic()
        with Attempt(ends_at) as attempt:
            try:
                answer = self._adapter.send(request, stream=True).raw
                try:
                    raw = _whole_body(answer)
                finally:
                    # The connection of a complete response is already back in its pool; any other is closed.
                    answer.close()
            except FAILURES as error:
                detail = f"{type(cause_of(error)).__name__} after {time.monotonic() - began:.1f} s"
                if attempt.found_connection_closed(error):
                    raise _ConnectionClosed(detail) from error
                raise NoAnswer(detail, may_have_arrived=attempt.sent) from error
        answer_headers = {name.lower(): answer.headers[name] for name in answer.headers}
        try:
            body = decoded(raw, answer_headers.get("content-encoding", ""), LARGEST_ANSWER_BYTES)
        except Undecodable as error:
            raise NoAnswer(f"an answer with {error}") from error
        response = Response(answer.status, answer_headers, body)
        if not body and not response.has_known_length:
            raise NoAnswer("an empty answer that may have been cut off")
        return response


def _whole_body(answer: BaseHTTPResponse) -> bytes:
    """The body as sent. Raises NoAnswer when it is too large."""
    body = bytearray()
    while piece := answer.read(PIECE_BYTES, decode_content=False):
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES:
            raise NoAnswer(f"an answer of more than {LARGEST_ANSWER_BYTES} bytes")
    return bytes(body)
