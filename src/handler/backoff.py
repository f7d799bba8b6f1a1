"""When a late order is tried again: RecoveryFunction sets the delay, `relay late` and `relay status` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handler.settings import Settings

DELAY_GROWTH = 3
LEAST_SPREAD, MOST_SPREAD = 0.75, 1.25
"""The jitter: a delay is multiplied by a random number between these, so that orders do not come back all at once."""

LONGEST_VISIBILITY_SECONDS = 43_000
"""SQS hides a message for twelve hours at most, counted from when it was received, not from now."""


def delay_seconds(settings: Settings, failures: int, spread: float, not_before_seconds: float) -> float:
    """The delay after the `failures`-th failed try: it grows with them, and is not below what the API has asked for.

    `spread` is the try's jitter factor, `not_before_seconds` the API's own Retry-After, or 0.
    """
    growing = settings.recovery_first_delay_seconds * float(DELAY_GROWTH ** min(failures - 1, 20))
    delay = max(min(growing, settings.recovery_longest_delay_seconds) * spread, not_before_seconds)
    return min(delay, LONGEST_VISIBILITY_SECONDS)
