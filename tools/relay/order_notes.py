"""The notes of late and dead orders, written by the functions (`handler.table.order_notes`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.backoff import delay_seconds
from handler.outcomes import Dead, Late
from handler.table.keys import NOTE_PREFIX, order_id
from relay.timespan import iso, rough

if TYPE_CHECKING:
    from handler.settings import Settings
    from relay.selection import Selection

NOTE_ATTRIBUTES = (
    "id", "outcome", "cause", "detail", "at", "first_cause", "first_detail", "late_at", "late_values", "failures",
    "receipt", "spread", "not_before", "give_up_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNote:
    """Why an order is late or dead. Times are in Unix seconds.

    `cause` and `detail` are the latest, written `at`. `attempts` counts failed attempts. If `next_attempt_at` is in the
    past, the order waits for the rate limit. `receipt` is the message's receipt handle, empty before the first failed
    attempt. `values_digest` is the event's (`OrderEvent`).
    """

    store: str
    order: int
    is_dead: bool
    cause: str
    detail: str
    at: float
    first_cause: str
    first_detail: str
    late_at: float
    attempts: int
    next_attempt_at: float
    give_up_at: float
    receipt: str
    values_digest: str

    @classmethod
    def of(cls, item: dict[str, Any], settings: Settings) -> OrderNote:
        """A note as DynamoDB gives it."""
        store, _, order = text(item, "id").removeprefix(NOTE_PREFIX).partition("/")
        at = number(item, "at") or 0.0
        late_at = number(item, "late_at") or at
        attempts = int(number(item, "failures") or 0)
        delay = (
            delay_seconds(settings, attempts, number(item, "spread") or 1.0, number(item, "not_before") or 0.0)
            if attempts
            else settings.recovery_first_delay_seconds
        )
        return cls(
            store=store,
            order=int(order),
            is_dead=text(item, "outcome") == Dead.__name__,
            cause=text(item, "cause"),
            detail=text(item, "detail"),
            at=at,
            first_cause=text(item, "first_cause") or text(item, "cause"),
            first_detail=text(item, "first_detail") or text(item, "detail"),
            late_at=late_at,
            attempts=attempts,
            next_attempt_at=at + delay,
            give_up_at=number(item, "give_up_at") or late_at + settings.give_up_after_minutes * 60,
            receipt=text(item, "receipt"),
            values_digest=text(item, "late_values"),
        )

    @property
    def record_id(self) -> str:
        """The id of the idempotency record that says whether the late event is finished."""
        return order_id(self.store, self.order, self.values_digest)

    @property
    def name(self) -> str:
        """The order and its store, for people."""
        return f"order {self.order} of store {self.store}"

    def next_attempt(self, now: float) -> str:
        """The time until the next attempt, for people."""
        return f"in {rough(self.next_attempt_at - now)}" if self.next_attempt_at > now else "due"

    def is_in(self, selection: Selection) -> bool:
        """Whether the selection has this order. A cause can be its latest or its first one."""
        return any(
            selection.takes(store=self.store, order=self.order, cause=cause, at=self.late_at)
            for cause in (self.cause, self.first_cause)
        )

    def as_json(self) -> dict[str, Any]:
        """The note for --json."""
        return {
            "store": self.store,
            "order": self.order,
            "as": (Dead if self.is_dead else Late).__name__,
            "first_cause": self.first_cause,
            "first_detail": self.first_detail,
            "late_since": iso(self.late_at),
            "cause": self.cause,
            "detail": self.detail,
            "at": iso(self.at),
            "attempts": self.attempts,
            "next_attempt_at": None if self.is_dead else iso(self.next_attempt_at),
            "give_up_at": None if self.is_dead else iso(self.give_up_at),
        }


def text(item: dict[str, Any], name: str) -> str:
    """A string attribute of an item; empty if it is missing."""
    return str(item.get(name, {}).get("S", ""))


def number(item: dict[str, Any], name: str) -> float | None:
    """A number attribute of an item; None if it is missing."""
    value = item.get(name, {}).get("N")
    return None if value is None else float(value)
