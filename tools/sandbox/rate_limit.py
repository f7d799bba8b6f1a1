"""The B2B API's limit: so many requests in a fixed window, told in headers that carry text."""

from dataclasses import dataclass

from sandbox.exchange import Clock


@dataclass(frozen=True, slots=True)
class Taken:
    """The state of the window after one request."""

    allowed: bool
    remaining: int
    resets_after_seconds: float

    def headers(self) -> dict[str, str]:
        """Return the headers, worded as the live API words them."""
        return {
            "X-Requests-Remaining": f"{self.remaining} times",
            "X-Request-Window-Resets-After": f"{self.resets_after_seconds:.2f} s",
        }


class FixedWindow:
    """Counts requests in windows of fixed length, the first of which starts with the first request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opened_at = float("-inf")
        self._used = 0

    def take(self, limit: int, window_seconds: float, requests: int = 1) -> Taken:
        """Count requests (0: only look). What is refused costs nothing."""
        now = self._clock()
        if now >= self._opened_at + window_seconds:
            self._opened_at, self._used = now, 0
        allowed = self._used + requests <= limit
        self._used += requests if allowed else 0
        return Taken(allowed, max(0, limit - self._used), self._opened_at + window_seconds - now)
