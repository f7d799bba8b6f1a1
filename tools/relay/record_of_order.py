"""What the idempotency table holds about orders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.journal import journal_id, read_items
from handler.once import SECONDS_A_DAY, order_id

if TYPE_CHECKING:
    from relay.desk import Desk

SHOWN = ("id", "status", "data", "expiration", "outcome", "cause", "detail", "at")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one order: how and when it was finished, whether it is worked on, why it was last late or dead.

    `finished` and `note` are names of outcomes, such as Created and Late; moments are in unix seconds.
    """

    finished: str | None = None
    finished_at: float | None = None
    in_progress: bool = False
    note: str | None = None
    cause: str = ""
    detail: str = ""
    noted_at: float | None = None


def remembered(desk: Desk, store: str, order: int) -> Remembered:
    """What is remembered of one order."""
    items = _items(desk, [order_id(store, order), journal_id(store, order)])
    done, note = items.get(order_id(store, order), {}), items.get(journal_id(store, order), {})
    status = _text(done, "status")
    expires = _number(done, "expiration")
    return Remembered(
        finished=_outcome(_text(done, "data")) if status == "COMPLETED" else None,
        # Written as: when it was finished, and so many days.
        finished_at=expires - desk.settings.remember_done_days * SECONDS_A_DAY if expires else None,
        in_progress=status == "INPROGRESS",
        note=_text(note, "outcome") or None,
        cause=_text(note, "cause"),
        detail=_text(note, "detail"),
        noted_at=_number(note, "at"),
    )


def finished(desk: Desk, store: str, orders: list[int]) -> set[int]:
    """Which of these the relay has finished."""
    of_id = {order_id(store, order): order for order in orders}
    items = _items(desk, list(of_id))
    return {of_id[key] for key, item in items.items() if _text(item, "status") == "COMPLETED"}


def _items(desk: Desk, ids: list[str]) -> dict[str, dict[str, Any]]:
    return read_items(desk.dynamodb, desk.settings.idempotency_table, ids, SHOWN)


def _text(item: dict[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _number(item: dict[str, Any], name: str) -> float | None:
    text = item.get(name, {}).get("N")
    return None if text is None else float(text)


def _outcome(data: str) -> str:
    try:
        return str(json.loads(data)["outcome"])
    except (ValueError, TypeError, KeyError):
        return "finished"
