"""The time limit of an order, passed down to every socket operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 10.0
"""How long after the order's creation Create Order is accepted (docs/bigcommerce.md, The ten seconds)."""

HANDOVER_SECONDS = 0.5
"""Reserved at the end of the window for sending the order to RecoveryQueue."""

Clock = Callable[[], float]
"""Returns the current time in unix seconds; `time.time` in production."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time (`ends_at`, unix seconds) after which no further work on an order may begin."""

    ends_at: float
    clock: Clock

    @classmethod
    def of_window(cls, created_at: float, clock: Clock) -> Deadline:
        """The deadline for Create Order of an order created at `created_at` (unix seconds), less HANDOVER_SECONDS."""
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
        """The earlier of the two deadlines."""
        return self if self.ends_at <= other.ends_at else other
