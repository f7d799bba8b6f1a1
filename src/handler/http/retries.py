"""HTTP calls with a deadline: each attempt has a time limit, and transient failures are retried until the deadline."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from handler.errors import Cause, RetryLater
from handler.http.exchange import NoAnswer
from handler.http.retry_after import seconds_to_wait
from handler.observations import observe_call
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handler.deadline import Clock, Deadline
    from handler.http.exchange import Exchange, Response

TOO_MANY_REQUESTS, UNAVAILABLE = 429, 503
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
TRANSIENT = frozenset({408, 425, TOO_MANY_REQUESTS, *range(500, 1000)})
"""Temporary failures. A status above 599 counts as a 5xx (RFC 9110, 15)."""

SHORTEST_ATTEMPT_SECONDS = 0.2
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 1.5
SETTLE_SECONDS = 1.0
"""The wait after a lost answer: the request may still be running, and its effect may not be readable at once."""

LONGEST_RESET_SECONDS = 3600.0

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

LIVE_SOURCE = RetryPolicy(attempt_seconds=1.2, retries=True)
"""In the 2.5 s that sources have: a first attempt that hangs leaves time for a second one."""

LATE = RetryPolicy(attempt_seconds=12.0, retries=False)
"""After the window: one long attempt. RecoveryQueue retries."""


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
