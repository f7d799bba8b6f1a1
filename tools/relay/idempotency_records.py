"""The idempotency records of orders: reads them, expires one for another run, marks one as dropped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.table.idempotency import SECONDS_A_DAY
from handler.table.keys import note_id, order_id
from handler.table.order_notes import read_items
from relay.order_notes import NOTE_ATTRIBUTES, OrderNote, number, text

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.context import Context

COMPLETED, IN_PROGRESS = "COMPLETED", "INPROGRESS"
"""The status of an idempotency record, as Powertools writes it."""

DROPPED = "Dropped"
"""The outcome of an order that an operator gave up (`relay late drop`)."""

RECORD_ATTRIBUTES = ("id", "status", "data", "expiration", "in_progress_expiration")


@dataclass(frozen=True, slots=True)
class OrderState:
    """The state of one order in the idempotency table. Times are in Unix seconds.

    `finished` is the name of an outcome, such as Created. `rules_failed` are the rules that failed when the order was
    last finished, also after `expire`. `note` is there if the order was late or dead.
    """

    finished: str | None = None
    finished_at: float | None = None
    rules_failed: tuple[str, ...] = ()
    in_progress: bool = False
    note: OrderNote | None = None


def order_states(context: Context, store: str, orders: Collection[int]) -> dict[int, OrderState]:
    """The state of each of these orders. Raises botocore's errors, and RetryLater when the table is throttled."""
    ids = [name(store, order) for order in orders for name in (order_id, note_id)]
    items = read_items(
        context.dynamodb, context.settings.idempotency_table, ids, dict.fromkeys((*RECORD_ATTRIBUTES, *NOTE_ATTRIBUTES))
    )
    return {
        order: _order_state(context, items.get(order_id(store, order), {}), items.get(note_id(store, order), {}))
        for order in orders
    }


def expire(context: Context, store: str, order: int) -> bool:
    """Expires the record of a finished order, so that the functions process the order again when it is queued.

    Returns False and changes nothing if the order is in progress. Raises botocore's errors.

    The record is set to expire one day ago (clocks differ) instead of being deleted. The functions ignore expired
    records, but the record still names the failed rules: if a command ends between this call and queueing the order,
    the same command finds the order again.
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


def mark_dropped(context: Context, note: OrderNote) -> bool:
    """Marks a late order as finished, so that its message is deleted at the next attempt. Raises botocore's errors.

    Returns False and changes nothing if the order is in progress or finished.
    """
    marked = _put_dropped(context, note.record_id)
    if marked and note.values_digest:
        # The order itself, unless it has a record: otherwise a repeated event would find the order unfinished.
        _put_dropped(context, order_id(note.store, note.order))
    return marked


def _put_dropped(context: Context, record_id: str) -> bool:
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
            # The condition of Powertools' DynamoDBPersistenceLayer: expired claims and expired records do not count.
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


def finished_records(context: Context, record_ids: Collection[str]) -> set[str]:
    """The ids of those records that mark an order, or an event with values, as finished.

    Raises botocore's errors, and RetryLater when the table is throttled.
    """
    items = read_items(
        context.dynamodb, context.settings.idempotency_table, list(dict.fromkeys(record_ids)), RECORD_ATTRIBUTES
    )
    now = context.clock()
    return {
        key
        for key, item in items.items()
        if text(item, "status") == COMPLETED and (number(item, "expiration") or 0.0) >= now
    }


def _order_state(context: Context, done: dict[str, Any], note: dict[str, Any]) -> OrderState:
    now = context.clock()
    status, expires = text(done, "status"), number(done, "expiration")
    # DynamoDB deletes expired items within days; Powertools ignores them.
    in_force = expires is not None and expires >= now
    claimed_until_ms = number(done, "in_progress_expiration")
    outcome, rules_failed = _result(text(done, "data"))
    finished = in_force and status == COMPLETED
    return OrderState(
        finished=outcome if finished else None,
        # The expiration was set to the time of completion plus RememberDoneDays.
        finished_at=expires - context.settings.remember_done_days * SECONDS_A_DAY if finished and expires else None,
        rules_failed=rules_failed if status == COMPLETED else (),
        # The claim of a killed invocation stays; it expires when the invocation would have timed out.
        in_progress=in_force and status == IN_PROGRESS and (claimed_until_ms is None or claimed_until_ms >= now * 1000),
        note=OrderNote.of(note, context.settings) if "outcome" in note else None,
    )


def _result(data: str) -> tuple[str, tuple[str, ...]]:
    """The outcome and the failed rules in a record's `data` (written by `handler.table.idempotency`)."""
    try:
        result = json.loads(data)
        return str(result["outcome"]), tuple(map(str, result.get("rules_failed", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "finished", ()
