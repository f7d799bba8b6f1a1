"""The outcomes of processing an order. Only `Finished` outcomes are stored as done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handler.errors import Cause


class SkipReason(StrEnum):
    """Why the relay makes no B2B record for an order."""

    GUEST = "guest"
    GUEST_WITH_QUOTE = "guest_with_quote"
    """A checkout from a B2B quote that was completed as a guest: probably not intended by the merchant."""
    NO_COMPANY = "no_company"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Created:
    """Create Order accepted the order `seconds_after_creation`. `window_left_seconds` is negative after the window."""

    seconds_after_creation: float
    window_left_seconds: float
    rules_failed: tuple[str, ...] = ()
    """Enrichment rules that failed, so the record lacks their fields. Stored for `relay backfill --rules-failed`."""


@dataclass(frozen=True, slots=True)
class Updated:
    """The record existed and was updated. `rules_failed` as in `Created`."""

    rules_failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The record already had the desired values; nothing was sent. `rules_failed` as in `Created`."""

    rules_failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """The order needs no B2B record from the relay."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Another invocation has finished the order, or (`in_progress`) is processing it."""

    in_progress: bool = False


@dataclass(frozen=True, slots=True)
class Late:
    """Not finished in the window: sent to RecoveryQueue, or still there for another try."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Refused permanently, or given up: in DeadLetterQueue, for an operator."""

    cause: Cause
    detail: str


Finished = Created | Updated | Unchanged | Skipped
Outcome = Finished | Duplicate | Late | Dead
