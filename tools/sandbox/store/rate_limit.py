"""The APIs' limits: so many requests in a fixed window, told in headers. Each API words them its own way."""

import math
from dataclasses import dataclass

from sandbox.store.messages import Clock


@dataclass(frozen=True, slots=True)
class Taken:
    """The state of the window after one request."""

    allowed: bool
    limit: int
    window_seconds: float
    remaining: int
    resets_after_seconds: float

    def core_headers(self) -> dict[str, str]:
        """Return the core API's headers (docs/start/about/index.mdx: milliseconds; `X-Retry-After` is in seconds)."""
        headers = {
            "X-Rate-Limit-Time-Window-Ms": f"{self.window_seconds * 1000:.0f}",
            "X-Rate-Limit-Time-Reset-Ms": f"{self.resets_after_seconds * 1000:.0f}",
            "X-Rate-Limit-Requests-Quota": str(self.limit),
            "X-Rate-Limit-Requests-Left": str(self.remaining),
        }
        return headers if self.allowed else headers | {"X-Retry-After": str(math.ceil(self.resets_after_seconds))}

    def b2b_headers(self) -> dict[str, str]:
        """Return the B2B API's headers (docs/b2b-edition/about/index.mdx: they carry text, and seconds of any length)."""
        return {
            "X-Requests-Allocated": f"{self.limit} times/{self.window_seconds:g} s",
            "X-Requests-Window-Length": f"{self.limit - self.remaining} times",
            "X-Requests-Remaining": f"{self.remaining} times",
            "X-Request-Window-Resets-After": f"{self.resets_after_seconds} s",
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
        return Taken(allowed, limit, window_seconds, max(0, limit - self._used), self._opened_at + window_seconds - now)
