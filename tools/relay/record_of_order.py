"""What the idempotency table holds about orders, and how the relay forgets that it has finished one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.journal import journal_id, read_items
from handler.once import SECONDS_A_DAY, order_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.desk import Desk

COMPLETED, IN_PROGRESS = "COMPLETED", "INPROGRESS"
"""Powertools' words for the status of an idempotency record."""

SHOWN = ("id", "status", "data", "expiration", "in_progress_expiration", "outcome", "cause", "detail", "at")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one order: how and when it was finished, whether it is worked on, why it was last late or dead.

    `finished` and `note` are names of outcomes, such as Created and Late; moments are in unix seconds. `rules_failed`
    are the rules that failed when the order was finished last, also after `forget`.
    """

    finished: str | None = None
    finished_at: float | None = None
    rules_failed: tuple[str, ...] = ()
    in_progress: bool = False
    note: str | None = None
    cause: str = ""
    detail: str = ""
    noted_at: float | None = None


def remembered(desk: Desk, store: str, orders: Collection[int]) -> dict[int, Remembered]:
    """What is remembered of each of these orders. Raises botocore's errors, and RetryLater when the table is throttled."""
    ids = [name(store, order) for order in orders for name in (order_id, journal_id)]
    items = read_items(desk.dynamodb, desk.settings.idempotency_table, ids, SHOWN)
    return {
        order: _remembered(desk, items.get(order_id(store, order), {}), items.get(journal_id(store, order), {}))
        for order in orders
    }


def forget(desk: Desk, store: str, order: int) -> bool:
    """Makes the functions forget that they have finished this order: they work on it again when it is handed over.

    False when the order is being worked on again already; then nothing is changed. Raises botocore's errors.

    The record is made to expire a day ago (clocks differ), not deleted. To the functions an expired record is no
    record. For the operator it still names the failed rules: when a command ends between this call and handing the
    order over, the same command finds the order again.
    """
    try:
        desk.dynamodb.update_item(
            TableName=desk.settings.idempotency_table,
            Key={"id": {"S": order_id(store, order)}},
            UpdateExpression="SET expiration = :past",
            ConditionExpression="#status = :completed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":past": {"N": str(int(desk.clock()) - SECONDS_A_DAY)},
                ":completed": {"S": COMPLETED},
            },
        )
    except desk.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _remembered(desk: Desk, done: dict[str, Any], note: dict[str, Any]) -> Remembered:
    now = desk.clock()
    status, expires = _text(done, "status"), _number(done, "expiration")
    # DynamoDB deletes expired items within days; Powertools does not look at them any more.
    in_force = expires is not None and expires >= now
    claimed_until_ms = _number(done, "in_progress_expiration")
    outcome, rules_failed = _result(_text(done, "data"))
    finished = in_force and status == COMPLETED
    return Remembered(
        finished=outcome if finished else None,
        # Written as: when it was finished, and so many days.
        finished_at=expires - desk.settings.remember_done_days * SECONDS_A_DAY if finished and expires else None,
        rules_failed=rules_failed if status == COMPLETED else (),
        # A claim outlives an invocation that was killed; it is void at the end of the invocation's time.
        in_progress=in_force and status == IN_PROGRESS and (claimed_until_ms is None or claimed_until_ms >= now * 1000),
        note=_text(note, "outcome") or None,
        cause=_text(note, "cause"),
        detail=_text(note, "detail"),
        noted_at=_number(note, "at"),
    )


def _text(item: dict[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _number(item: dict[str, Any], name: str) -> float | None:
    text = item.get(name, {}).get("N")
    return None if text is None else float(text)


def _result(data: str) -> tuple[str, tuple[str, ...]]:
    """The outcome and the failed rules in a record's `data`, which `handler.once` wrote."""
    try:
        result = json.loads(data)
        return str(result["outcome"]), tuple(map(str, result.get("rules_failed", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "finished", ()
