"""The time that is left, as a value that is passed down to every socket operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 10.0
"""Create Order is accepted this long after the order's creation (domain: Create Order)."""

HANDOVER_SECONDS = 0.5
"""Kept back at the end of the window, so that what was not done in time is handed over inside it."""

Clock = Callable[[], float]
"""Gives the present moment in unix seconds; `time.time` in production."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment (`ends_at`, unix seconds) after which no more work on an order may begin."""

    ends_at: float
    clock: Clock

    @classmethod
    def of_window(cls, created_at: float, clock: Clock) -> Deadline:
        """The deadline for Create Order of an order made at `created_at`, hand-over time already taken off."""
        return cls(created_at + WINDOW_SECONDS - HANDOVER_SECONDS, clock)

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining_seconds(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.ends_at - self.clock()

    def earlier_of(self, other: Deadline) -> Deadline:
        """Whichever of the two ends first."""
        return self if self.ends_at <= other.ends_at else other
