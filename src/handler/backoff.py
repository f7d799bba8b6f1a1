"""When a late order is retried. RecoveryFunction sets the delay; `relay late` and `relay status` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.settings import Settings

DELAY_GROWTH = 3
LEAST_SPREAD, MOST_SPREAD = 0.75, 1.25
"""Jitter: a delay is multiplied by a random number between these, so that orders are not all retried at once."""

DEFERRED_SPREAD_SECONDS = 15.0
MOST_DEFERRED_SPREADS = 40
"""Deferred orders are spread over 15 seconds for each time they were received, ten minutes at most. So a long queue
drains in turn, and no message reaches its `maxReceiveCount` by waiting."""

LONGEST_VISIBILITY_SECONDS = 43_000
"""SQS delays a received message by twelve hours at most, counted from when it was received."""


def jitter(uniform: Callable[[float, float], float]) -> float:
    """A random factor for `delay_seconds`. `uniform` returns a random number between two."""
    return uniform(LEAST_SPREAD, MOST_SPREAD)


def deferred_delay_seconds(receipts: int, after_seconds: float, uniform: Callable[[float, float], float]) -> float:
    """The delay of an order that was deferred, in seconds: `after_seconds` and a random part that grows with `receipts`."""
    delay = after_seconds + uniform(0.0, DEFERRED_SPREAD_SECONDS * min(receipts, MOST_DEFERRED_SPREADS))
    return min(delay, LONGEST_VISIBILITY_SECONDS)


def delay_seconds(settings: Settings, failures: int, spread: float, not_before_seconds: float) -> float:
    """The delay in seconds after the `failures`-th failed try: exponential, and at least what the API asked for.

    `spread` is the jitter factor; `not_before_seconds` is the API's Retry-After, or 0.
    """
    growing = settings.recovery_first_delay_seconds * float(DELAY_GROWTH ** min(failures - 1, 20))
    delay = max(min(growing, settings.recovery_longest_delay_seconds) * spread, not_before_seconds)
    return min(delay, LONGEST_VISIBILITY_SECONDS)
