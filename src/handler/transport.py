"""HTTP calls inside a deadline: each attempt limited, the transient failures tried again while there is time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import requests
from urllib3.exceptions import HTTPError

from handler import strict_json
from handler.errors import Cause, MalformedEvent, RetryLater
from handler.limited_http import LimitedAdapter, limit
from handler.mail_date import unix_seconds
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from handler.deadline import Clock, Deadline

NO_CONTENT, TOO_MANY_REQUESTS, UNAVAILABLE = 204, 429, 503
TRANSIENT = frozenset({408, 425, TOO_MANY_REQUESTS, *range(500, 600)})
"""Statuses that time heals."""

SHORTEST_ATTEMPT_SECONDS = 0.2
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 1.5
LONGEST_RESET_SECONDS = 3600.0
LARGEST_ANSWER_BYTES = 4_000_000

RESET_HEADERS: dict[str, float] = {
    "x-request-window-resets-after": 1.0,
    "x-rate-limit-time-reset-ms": 0.001,
    "x-retry-after": 1.0,
    "retry-after": 1.0,
}
"""Headers that say when a rate limit ends, with the seconds of one of their units (domain: rate limit)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one attempt may take at most, and whether a failed one is repeated here or by whoever called."""

    attempt_seconds: float
    tries_again: bool


LIVE = Patience(attempt_seconds=3.0, tries_again=True)
"""Inside the window: many short attempts reach more orders than one long one (performance: policies, simulated)."""

LATE = Patience(attempt_seconds=12.0, tries_again=False)
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
        return self.status == NO_CONTENT or not self.headers.keys().isdisjoint({"content-length", "transfer-encoding"})

    def without(self, secrets: Collection[str]) -> Response:
        """The same answer, with none of `secrets` in its body."""
        body = self.body
        for secret in secrets:
            body = body.replace(secret.encode(), b"[secret]")
        return replace(self, body=body)

    def json(self) -> Any:
        """The body's value, or None when it is not JSON."""
        try:
            return strict_json.parse(self.body)
        except MalformedEvent:
            return None


class NoAnswer(RetryLater):
    """No whole answer came. Whether the other side did what it was asked is not known."""

    def __init__(self, detail: str, *, may_have_arrived: bool = True, cause: Cause = Cause.NO_ANSWER) -> None:
        super().__init__(cause, detail)
        self.may_have_arrived = may_have_arrived


class HttpExchange:
    """One HTTP exchange, start to end inside a time limit. The genuine one; tests pass their own."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        adapter = LimitedAdapter(pool_connections=4, pool_maxsize=4, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> Response:
        """Sends `body` (None, or a value for JSON). Raises NoAnswer when no whole answer came within `seconds`."""
        try:
            with (
                limit(seconds),
                # No redirects: requests would carry X-Auth-Token to another host.
                self._session.request(
                    method, url, headers=dict(headers), json=body, stream=True, allow_redirects=False, timeout=seconds
                ) as answer,
            ):
                content = answer.raw.read(LARGEST_ANSWER_BYTES + 1, decode_content=True)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise NoAnswer(f"{type(error).__name__} after at most {seconds:.1f} s") from error
        if len(content) > LARGEST_ANSWER_BYTES:
            raise NoAnswer(f"an answer of more than {LARGEST_ANSWER_BYTES} bytes")
        response = Response(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, content
        )
        if not content and not response.tells_its_length:
            raise NoAnswer("an empty answer that may have been cut off")
        return response


class Transport:
    """Calls with as many attempts as the deadline allows, with full jitter between them."""

    def __init__(
        self,
        exchange: Callable[[str, str, Mapping[str, str], Any, float], Response],
        patience: Patience,
        clock: Clock,
        sleep: Callable[[float], None],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._exchange = exchange
        self._patience = patience
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
        counted: Metric = Metric.STORE_API_REQUEST,
    ) -> Response:
        """The first answer that is not transient (`TRANSIENT`), as `read` gives it.

        `read` raises RetryLater for an answer that is worth another attempt. `before_repeat` is called before a request
        is repeated that the other side may have received, and may raise to prevent that. Raises RetryLater with the
        last failure once the deadline, or a reset beyond it, allows no further attempt. Each attempt is `counted`.
        """
        attempts = 0
        while True:
            seconds = self._attempt_seconds(deadline)
            if seconds < SHORTEST_ATTEMPT_SECONDS:
                raise RetryLater(Cause.WINDOW_MISSED, "no time was left for an attempt")
            reset_seconds = 0.0
            count(counted)
            try:
                answer = read(self._exchange(method, url, headers, body, seconds))
            except RetryLater as error:
                failure = error
            else:
                if answer.status not in TRANSIENT:
                    return answer
                reset_seconds = reset_after_seconds(answer, self._clock()) or 0.0
                failure = _failure(answer, reset_seconds)
            attempts += 1
            count(Metric.RATE_LIMITED if failure.cause is Cause.RATE_LIMITED else Metric.ATTEMPT_FAILED)
            logger.info("attempt failed", method=method, attempt=attempts, cause=failure.cause, detail=failure.detail)
            wait = self._wait_seconds(attempts, reset_seconds)
            if not self._patience.tries_again or wait > deadline.remaining_seconds - SHORTEST_ATTEMPT_SECONDS:
                raise failure
            self._sleep(wait)
            if before_repeat is not None and isinstance(failure, NoAnswer) and failure.may_have_arrived:
                before_repeat()

    def _attempt_seconds(self, deadline: Deadline) -> float:
        """Not more than `patience` has, and not so much that what remains afterwards is too short to be of use."""
        remaining = deadline.remaining_seconds
        cap = self._patience.attempt_seconds
        return remaining if remaining < cap * 1.25 else cap

    def _wait_seconds(self, attempts: int, reset_seconds: float) -> float:
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempts, 10))
        return reset_seconds + self._uniform(0.0, longest)


def reset_after_seconds(answer: Response, now: float) -> float | None:
    """When to come back, by the answer's own headers: the longest of those that are there, in seconds.

    The window's headers stand on every answer, so they count on a 429 only; elsewhere Retry-After alone does.
    """
    names = RESET_HEADERS if answer.status == TOO_MANY_REQUESTS else {"retry-after": 1.0}
    waits = []
    for name, unit in names.items():
        value = answer.headers.get(name, "").strip()
        if number := re.match(r"\d{1,9}(?:\.\d{1,9})?", value):
            waits.append(float(number.group()) * unit)
        elif (date := unix_seconds(value)) is not None:
            waits.append(date - now)
    return min(max(0.0, *waits), LONGEST_RESET_SECONDS) if waits else None


def _failure(answer: Response, reset_seconds: float) -> RetryLater:
    cause = Cause.RATE_LIMITED if answer.status == TOO_MANY_REQUESTS else Cause.API_UNAVAILABLE
    return RetryLater(
        cause, f"HTTP {answer.status}", retry_after_seconds=reset_seconds or None, holds=answer.status == UNAVAILABLE
    )
