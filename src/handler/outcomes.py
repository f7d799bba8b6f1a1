"""What became of an order, as values. Only `Finished` outcomes are remembered as done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handler.errors import Cause


class SkipReason(StrEnum):
    """Why an order needs no B2B record from the relay."""

    GUEST = "guest"
    GUEST_WITH_QUOTE = "guest_with_quote"
    """A checkout from a B2B quote that ended as a guest's: probably not what the merchant wants."""
    NO_COMPANY = "no_company"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Created:
    """Create Order accepted the order `seconds_after_creation`; `window_left_seconds` may be negative when it did so late."""

    seconds_after_creation: float
    window_left_seconds: float
    rules_failed: tuple[str, ...] = ()
    """The enrichment rules that failed: the record lacks their fields. Remembered, for `relay backfill --rules-failed`."""


@dataclass(frozen=True, slots=True)
class Updated:
    """The record was there, lacked something, and was updated. `rules_failed` as in `Created`."""

    rules_failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The record was there and already carried everything; nothing was sent. `rules_failed` as in `Created`."""

    rules_failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """The order is none of the relay's business."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Another invocation has finished this order, or (`in_progress`) is working on it right now."""

    in_progress: bool = False


@dataclass(frozen=True, slots=True)
class Late:
    """Not finished inside the window: handed to RecoveryQueue, or kept there for another try."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Permanently refused or given up: in DeadLetterQueue, for a person."""

    cause: Cause
    detail: str


Finished = Created | Updated | Unchanged | Skipped
Outcome = Finished | Duplicate | Late | Dead
