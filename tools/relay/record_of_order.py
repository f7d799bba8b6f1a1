"""What the idempotency table holds about finished orders, and how an operator has one forgotten or left alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.table.idempotency import SECONDS_A_DAY
from handler.table.keys import note_id, order_id
from handler.table.order_notes import read_items
from relay.order_notes import OF_A_NOTE, OrderNote, number, text

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.context import Context

COMPLETED, IN_PROGRESS = "COMPLETED", "INPROGRESS"
"""Powertools' words for the status of an idempotency record."""

DROPPED = "Dropped"
"""The outcome of an order that an operator has told the relay to leave alone."""

OF_A_RECORD = ("id", "status", "data", "expiration", "in_progress_expiration")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one order: how and when it was finished, whether it is worked on, why it was last late or dead.

    `finished` is the name of an outcome, such as Created; moments are in unix seconds. `rules_failed` are the rules that
    failed when the order was finished last, also after `forget`. `note` is there when the order was late or dead.
    """

    finished: str | None = None
    finished_at: float | None = None
    rules_failed: tuple[str, ...] = ()
    in_progress: bool = False
    note: OrderNote | None = None


def remembered(context: Context, store: str, orders: Collection[int]) -> dict[int, Remembered]:
    """What is remembered of each of these orders. Raises botocore's errors, and RetryLater when the table is throttled."""
    ids = [name(store, order) for order in orders for name in (order_id, note_id)]
    items = read_items(
        context.dynamodb, context.settings.idempotency_table, ids, dict.fromkeys((*OF_A_RECORD, *OF_A_NOTE))
    )
    return {
        order: _remembered(context, items.get(order_id(store, order), {}), items.get(note_id(store, order), {}))
        for order in orders
    }


def forget(context: Context, store: str, order: int) -> bool:
    """Makes the functions forget that they have finished this order: they work on it again when it is handed over.

    False when the order is being worked on again already; then nothing is changed. Raises botocore's errors.

    The record is made to expire a day ago (clocks differ), not deleted. To the functions an expired record is no
    record. For the operator it still names the failed rules: when a command ends between this call and handing the
    order over, the same command finds the order again.
    """
    try:
        context.dynamodb.update_item(
            TableName=context.settings.idempotency_table,
            Key={"id": {"S": order_id(store, order)}},
            UpdateExpression="SET expiration = :past",
            ConditionExpression="#status = :completed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":past": {"N": str(int(context.clock()) - SECONDS_A_DAY)},
                ":completed": {"S": COMPLETED},
            },
        )
    except context.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def leave_alone(context: Context, note: OrderNote) -> bool:
    """Marks a late order as finished, so that its message leaves the queue at its next try. Raises botocore's errors.

    False when the order is being worked on or finished; then nothing is changed.
    """
    marked = _mark_dropped(context, note.record_id)
    if marked and note.values_digest:
        # Only now, and if nothing else is known of it: otherwise a repeated event would find the order unfinished.
        _mark_dropped(context, order_id(note.store, note.order))
    return marked


def _mark_dropped(context: Context, record_id: str) -> bool:
    now = context.clock()
    try:
        context.dynamodb.put_item(
            TableName=context.settings.idempotency_table,
            Item={
                "id": {"S": record_id},
                "status": {"S": COMPLETED},
                "data": {"S": json.dumps({"outcome": DROPPED})},
                "expiration": {"N": str(int(now) + int(context.settings.remember_done_days * SECONDS_A_DAY))},
            },
            # As Powertools claims an order (DynamoDBPersistenceLayer): void claims and expired records do not count.
            ConditionExpression="attribute_not_exists(id) OR expiration < :now OR "
            "(#status = :in_progress AND in_progress_expiration < :now_ms)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":now": {"N": str(int(now))},
                ":now_ms": {"N": str(int(now * 1000))},
                ":in_progress": {"S": IN_PROGRESS},
            },
        )
    except context.dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def finished(context: Context, record_ids: Collection[str]) -> set[str]:
    """Those of the idempotency records that say that an order, or an event with values, is finished.

    Raises botocore's errors, and RetryLater when the table is throttled.
    """
    items = read_items(
        context.dynamodb, context.settings.idempotency_table, list(dict.fromkeys(record_ids)), OF_A_RECORD
    )
    now = context.clock()
    return {
        key
        for key, item in items.items()
        if text(item, "status") == COMPLETED and (number(item, "expiration") or 0.0) >= now
    }


def _remembered(context: Context, done: dict[str, Any], note: dict[str, Any]) -> Remembered:
    now = context.clock()
    status, expires = text(done, "status"), number(done, "expiration")
    # DynamoDB deletes expired items within days; Powertools does not look at them any more.
    in_force = expires is not None and expires >= now
    claimed_until_ms = number(done, "in_progress_expiration")
    outcome, rules_failed = _result(text(done, "data"))
    finished = in_force and status == COMPLETED
    return Remembered(
        finished=outcome if finished else None,
        # Written as: when it was finished, and so many days.
        finished_at=expires - context.settings.remember_done_days * SECONDS_A_DAY if finished and expires else None,
        rules_failed=rules_failed if status == COMPLETED else (),
        # A claim outlives an invocation that was killed; it is void at the end of the invocation's time.
        in_progress=in_force and status == IN_PROGRESS and (claimed_until_ms is None or claimed_until_ms >= now * 1000),
        note=OrderNote.of(note, context.settings) if "outcome" in note else None,
    )


def _result(data: str) -> tuple[str, tuple[str, ...]]:
    """The outcome and the failed rules in a record's `data`, which `handler.table.idempotency` wrote."""
    try:
        result = json.loads(data)
        return str(result["outcome"]), tuple(map(str, result.get("rules_failed", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "finished", ()
