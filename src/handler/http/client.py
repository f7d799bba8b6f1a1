"""HTTP calls inside a deadline: each attempt limited, the transient failures tried again while there is time."""

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
    """Method, URL, headers, body, seconds → answer: `HttpExchange`, or a test's stand-in."""

NO_CONTENT, NOT_MODIFIED, TOO_MANY_REQUESTS, UNAVAILABLE = 204, 304, 429, 503
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
TRANSIENT = frozenset({408, 425, TOO_MANY_REQUESTS, *range(500, 1000)})
"""Statuses that time heals. One that HTTP does not have counts as a 5xx (RFC 9110, 15)."""

SHORTEST_ATTEMPT_SECONDS = 0.2
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 1.5
SETTLE_SECONDS = 1.0
"""A request whose answer was lost may still be at work, and its effect may not be readable at once."""

LONGEST_RESET_SECONDS = 3600.0
LARGEST_ANSWER_BYTES = 4_000_000
PIECE_BYTES = 65_536

RESET_HEADERS: dict[str, float] = {
    "x-request-window-resets-after": 1.0,
    "x-rate-limit-time-reset-ms": 0.001,
    "x-retry-after": 1.0,
    "retry-after": 1.0,
}
"""Headers that say when a rate limit ends, with the seconds of one of their units (domain: rate limit)."""

REMAINING_HEADERS = ("x-requests-remaining", "x-rate-limit-requests-left")
"""Headers that say how many requests are left: "150 times" of the B2B API, "149" of the core API."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one attempt may take at most, and whether a failed one is repeated here or by whoever called."""

    attempt_seconds: float
    tries_again: bool


LIVE = RetryPolicy(attempt_seconds=3.0, tries_again=True)
"""Inside the window: many short attempts reach more orders than one long one (performance: policies, simulated)."""

LIVE_SOURCE = RetryPolicy(attempt_seconds=1.2, tries_again=True)
"""Inside the 2.5 s that sources have: a first attempt that hangs leaves time for a second one."""

LATE = RetryPolicy(attempt_seconds=12.0, tries_again=False)
"""After the window: one long attempt; RecoveryQueue brings the order back."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, whole: status, headers with lower-case names, and the body's bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def tells_its_length(self) -> bool:
        """Whether the body's end is certain (RFC 9112, 6.3); otherwise it is where the connection was closed."""
        return self.status in {NO_CONTENT, NOT_MODIFIED} or not self.headers.keys().isdisjoint(
            {"content-length", "transfer-encoding"}
        )

    def without(self, secrets: Collection[str]) -> Response:
        """The same answer, with none of `secrets` in its body."""
        words = tolerant_json.text(self.body, self._content_type)
        for secret in secrets:
            words = words.replace(secret, "[secret]")
        return replace(self, body=words.encode())

    @property
    def kind(self) -> str:
        """What the body looks like: `json`, `html`, `text` or `empty`."""
        first = self.body.lstrip()[:1]
        return {b"": "empty", b"{": "json", b"[": "json", b"<": "html"}.get(first, "text")

    def json(self) -> Any:
        """The body's value, or None when it has none: see `tolerant_json`."""
        return tolerant_json.parse(self.body, self._content_type)

    @property
    def _content_type(self) -> str:
        return self.headers.get("content-type", "")


class NoAnswer(RetryLater):
    """No whole answer came.

    `may_have_arrived` tells whether the other side may have done what it was asked; it cannot when no connection came
    about.
    """

    def __init__(self, detail: str, *, may_have_arrived: bool = True, cause: Cause = Cause.NO_ANSWER) -> None:
        super().__init__(cause, detail)
        self.may_have_arrived = may_have_arrived


class _ConnectionClosed(NoAnswer):
    """A kept connection was closed before any byte of an answer: probably while it was idle."""


class HttpExchange:
    """One HTTP exchange, start to end inside a time limit. The genuine one; tests pass their own.

    Nothing of an answer is acted upon: no redirect is followed, no cookie kept. Nothing is read of the environment.
    """

    def __init__(self, user_agent: str = "b2b-order-relay") -> None:
        self._user_agent = user_agent
        self._adapter = LimitedAdapter()

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> Response:
        """Sends `body` (None, or a value for JSON). Raises NoAnswer when no whole answer came within `seconds`."""
        sent_headers = {"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED, **headers}
        # Sent without a session: it would follow redirects (even to prepare `next`), and keep cookies for other stores.
        request = requests.Request(method, url, headers=sent_headers, json=body).prepare()
        ends_at = time.monotonic() + seconds
        try:
            return self._attempt(request, ends_at)
        except _ConnectionClosed as closed:
            if method != "GET":
                # The other side may also have failed while it worked on the request (RFC 9112, 9.3.1).
                raise
            logger.info(
                "request repeated on a new connection", event="attempt.reconnected", method=method, detail=closed.detail
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
                    # The connection of a whole answer is back in its pool already; any other is closed.
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
        if not body and not response.tells_its_length:
            raise NoAnswer("an empty answer that may have been cut off")
        return response


def _whole_body(answer: BaseHTTPResponse) -> bytes:
    """The body as it was sent. Raises NoAnswer for one that is too large."""
    body = bytearray()
    while piece := answer.read(PIECE_BYTES, decode_content=False):
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES:
            raise NoAnswer(f"an answer of more than {LARGEST_ANSWER_BYTES} bytes")
    return bytes(body)


class HttpClient:
    """Calls with as many attempts as the deadline allows, with full jitter between them."""

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
        """The first answer that is not transient (`TRANSIENT`), as `read` gives it.

        `read` raises RetryLater for an answer that is worth another attempt. `before_repeat` is called before a request
        is repeated that the other side may have received, and may raise to prevent that. Raises RetryLater with the
        last failure once the deadline, or a reset beyond it, allows no further attempt. Each attempt is counted and
        observed as one at `endpoint`: the API's short name, a dot, and what is called.
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
            words = "attempt throttled" if failure.cause is Cause.RATE_LIMITED else "attempt failed"
            logger.info(
                words,
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
            if not self._policy.tries_again or wait > deadline.remaining_seconds - SHORTEST_ATTEMPT_SECONDS:
                raise failure
            self._sleep(wait)
            if before_repeat is not None and asks_first:
                before_repeat()

    def _attempt(
        self, endpoint: str, exchange: Callable[[], Response], read: Callable[[Response], Response]
    ) -> Response:
        """What `read` makes of the answer to `exchange`, observed."""
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
        """Not more than `policy` has, and not so much that what remains afterwards is too short to be of use."""
        remaining = deadline.remaining_seconds
        cap = self._policy.attempt_seconds
        return remaining if remaining < cap * 1.25 else cap

    def _wait_seconds(self, attempts: int, reset_seconds: float) -> float:
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempts, 10))
        return reset_seconds + self._uniform(0.0, longest)


def reset_after_seconds(answer: Response, now: float) -> float | None:
    """When to come back, by the answer's own headers: the longest of those that are there, in seconds.

    The window's headers stand on every answer, so they count on a 429 only; elsewhere Retry-After alone does.
    """
    names = RESET_HEADERS if answer.status == TOO_MANY_REQUESTS else {"retry-after": 1.0}
    waits = [seconds_to_wait(answer.headers.get(name, ""), unit, now) for name, unit in names.items()]
    known = [wait for wait in waits if wait is not None]
    return min(max(0.0, *known), LONGEST_RESET_SECONDS) if known else None


def _seen(response: Response | None, answer: Response | None, now: float, *, is_own: bool) -> dict[str, Any]:
    """What an answer looked like, for the log: never its words.

    `shape` is `api` for JSON that the API documents, otherwise the body's kind, or `none` without an answer.
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
        # What a store answers that is suspended or down for maintenance (bigcommerce/dev-docs #397).
        holds=answer.status == UNAVAILABLE,
    )
