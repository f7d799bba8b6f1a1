"""HTTP calls with a deadline: each attempt has a time limit, and transient failures are retried until the deadline."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import requests

from handler.errors import Cause, RetryLater
from handler.http import tolerant_json
from handler.http.content_coding import ACCEPTED, Undecodable, decoded
from handler.http.retry_after import seconds_to_wait
from handler.http.total_timeout import FAILURES, Attempt, LimitedAdapter, cause_of
from handler.observations import observe_call
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from urllib3.response import BaseHTTPResponse

    from handler.deadline import Clock, Deadline

    Exchange = Callable[[str, str, Mapping[str, str], Any, float], "Response"]
    """Method, URL, headers, body, seconds → response: `HttpExchange`, or a fake in tests."""

NO_CONTENT, NOT_MODIFIED, TOO_MANY_REQUESTS, UNAVAILABLE = 204, 304, 429, 503
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
TRANSIENT = frozenset({408, 425, TOO_MANY_REQUESTS, *range(500, 1000)})
"""Temporary failures. A status above 599 counts as a 5xx (RFC 9110, 15)."""

SHORTEST_ATTEMPT_SECONDS = 0.2
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 1.5
SETTLE_SECONDS = 1.0
"""The wait after a lost answer: the request may still be running, and its effect may not be readable at once."""

LONGEST_RESET_SECONDS = 3600.0
LARGEST_ANSWER_BYTES = 4_000_000
PIECE_BYTES = 65_536

RESET_HEADERS: dict[str, float] = {
    "x-request-window-resets-after": 1.0,
    "x-rate-limit-time-reset-ms": 0.001,
    "x-retry-after": 1.0,
    "retry-after": 1.0,
}
"""Headers that say when a rate limit ends, with their unit in seconds (docs/bigcommerce.md, Rate limit)."""

REMAINING_HEADERS = ("x-requests-remaining", "x-rate-limit-requests-left")
"""Headers with the number of requests left: "150 times" (B2B API), "149" (core API)."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The longest time of an attempt, and whether `HttpClient` retries or raises the failure."""

    attempt_seconds: float
    retries: bool


LIVE = RetryPolicy(attempt_seconds=3.0, retries=True)
"""In the window: several short attempts finish more orders than a long one (docs/performance.md)."""

LATE = RetryPolicy(attempt_seconds=12.0, retries=False)
"""After the window: one long attempt. RecoveryQueue retries."""


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


class HttpClient:
    """Retries until the deadline, with full jitter between the attempts."""

    def __init__(
        self,
        exchange: Exchange,
        policy: RetryPolicy,
        clock: Clock,
        sleep: Callable[[float], None],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._exchange = exchange
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform

    def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        deadline: Deadline,
        *,
        body: Any = None,
        read: Callable[[Response], Response] = lambda response: response,
        before_repeat: Callable[[], None] | None = None,
        endpoint: str = "",
    ) -> Response:
        """The first response whose status is not transient (`TRANSIENT`), as `read` returns it.

        `read` raises RetryLater for a response to retry. `before_repeat` is called before a request is repeated that the
        server may have received; it may raise to prevent that. Raises RetryLater with the last failure when the deadline
        allows no further attempt, also because a rate limit ends after it. Each attempt is counted and logged with
        `endpoint`: the API's short name, a dot, and the name of the call.
        """
        attempts = 0
        while True:
            seconds = self._attempt_seconds(deadline)
            if seconds < SHORTEST_ATTEMPT_SECONDS:
                raise RetryLater(Cause.WINDOW_MISSED, "no time was left for an attempt")
            reset_seconds = 0.0
            count(Metric.B2B_API_REQUEST if endpoint.startswith("b2b.") else Metric.STORE_API_REQUEST)
            try:
                exchange = partial(self._exchange, method, url, headers, body, seconds)
                answer = self._attempt(endpoint, exchange, read)
            except RetryLater as error:
                failure = error
            else:
                if answer.status not in TRANSIENT:
                    return answer
                reset_seconds = reset_after_seconds(answer, self._clock()) or 0.0
                failure = _failure(answer, reset_seconds)
            attempts += 1
            count(Metric.RATE_LIMITED if failure.cause is Cause.RATE_LIMITED else Metric.ATTEMPT_FAILED)
            message = (
                "API attempt throttled, rate limit exceeded"
                if failure.cause is Cause.RATE_LIMITED
                else "API attempt failed"
            )
            logger.info(
                message,
                event="attempt.failed",
                method=method,
                attempt=attempts,
                cause=failure.cause,
                detail=failure.detail,
            )
            wait = self._wait_seconds(attempts, reset_seconds)
            asks_first = before_repeat is not None and isinstance(failure, NoAnswer) and failure.may_have_arrived
            if asks_first:
                wait = max(wait, SETTLE_SECONDS)
            if not self._policy.retries or wait > deadline.remaining_seconds - SHORTEST_ATTEMPT_SECONDS:
                raise failure
            self._sleep(wait)
            if before_repeat is not None and asks_first:
                before_repeat()

    def _attempt(
        self, endpoint: str, exchange: Callable[[], Response], read: Callable[[Response], Response]
    ) -> Response:
        """The response of `exchange` as `read` returns it, added to the observations."""
        began_at = self._clock()
        response = answer = None
        is_own = True
        try:
            response = exchange()
            answer = read(response)
        except RetryLater as error:
            is_own = error.cause is not Cause.UNEXPECTED_ANSWER
            raise
        finally:
            now = self._clock()
            call = {"endpoint": endpoint, "ms": round((now - began_at) * 1000)}
            observe_call(began_at, call | _seen(response, answer or response, now, is_own=is_own))
        return answer

    def _attempt_seconds(self, deadline: Deadline) -> float:
        """The time of the next attempt: all that is left when the rest would be too short for another attempt."""
        remaining = deadline.remaining_seconds
        cap = self._policy.attempt_seconds
        return remaining if remaining < cap * 1.25 else cap

    def _wait_seconds(self, attempts: int, reset_seconds: float) -> float:
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempts, 10))
        return reset_seconds + self._uniform(0.0, longest)


def reset_after_seconds(answer: Response, now: float) -> float | None:
    """The longest wait in seconds that the response's headers ask for, or None.

    The rate-limit headers are on every response, so they count on a 429 only; otherwise only Retry-After does.
    """
    names = RESET_HEADERS if answer.status == TOO_MANY_REQUESTS else {"retry-after": 1.0}
    waits = [seconds_to_wait(answer.headers.get(name, ""), unit, now) for name, unit in names.items()]
    known = [wait for wait in waits if wait is not None]
    return min(max(0.0, *known), LONGEST_RESET_SECONDS) if known else None


def _seen(response: Response | None, answer: Response | None, now: float, *, is_own: bool) -> dict[str, Any]:
    """The form of a response, for the log, without its content.

    `shape` is `api` for JSON in the API's format, otherwise the kind of body, or `none` without a response.
    """
    if response is None or answer is None:
        return {"shape": "none"}
    documented = is_own and response.kind == "json" and answer.status not in TRANSIENT
    seen: dict[str, Any] = {"status": answer.status, "shape": "api" if documented else response.kind}
    for name in REMAINING_HEADERS:
        if left := WHOLE_NUMBER.match(response.headers.get(name, "")):
            seen["remaining"] = int(left[0])
    if answer.status == TOO_MANY_REQUESTS:
        waits = {
            name: seconds_to_wait(response.headers.get(name, ""), unit, now) for name, unit in RESET_HEADERS.items()
        }
        seen["resets"] = {name: round(wait, 2) for name, wait in waits.items() if wait is not None}
    return seen


def _failure(answer: Response, reset_seconds: float) -> RetryLater:
    cause = Cause.RATE_LIMITED if answer.status == TOO_MANY_REQUESTS else Cause.API_UNAVAILABLE
    return RetryLater(
        cause,
        f"HTTP {answer.status}",
        retry_after_seconds=reset_seconds or None,
        # A store that is suspended or down for maintenance answers 503 (bigcommerce/dev-docs #397).
        holds=answer.status == UNAVAILABLE,
    )
