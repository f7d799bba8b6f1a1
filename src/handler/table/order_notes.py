"""Notes on unfinished orders: why they are late or dead, and how often and when they failed.

Notes are items of the idempotency table. When one cannot be read or written, no order is lost: it waits longer, or gets
a second dead letter. So such failures are counted and logged, and otherwise ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.errors import Cause, RetryLater
from handler.outcomes import Late
from handler.table.idempotency import SECONDS_A_DAY
from handler.table.keys import note_id, order_id
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from handler.deadline import Clock
    from handler.order_event import OrderEvent
    from handler.outcomes import Dead
    from handler.queues import Letter

MOST_KEYS = 100
"""The limit of BatchGetItem."""

MOST_IDLE_READS = 5
"""BatchGetItem returns fewer items when it is throttled. After this many answers without an item, reading fails."""

KNOWN_BY = ("id", "status", "expiration", "in_progress_expiration")
"""The attributes that show whether the relay knows an order."""

DEAD_LETTER_ONCE_SECONDS = 3600.0
"""A repeated event makes no second dead letter within this time. Later, the first one may have been deleted."""


OF_A_TRY = ("receipt", "spread", "not_before", "give_up_at")
"""The attributes of the last failed try: see `Attempt`."""

NOTE_FAILURE = (
    "ADD failures :one, #of_cause :one "
    "SET outcome = :outcome, cause = :cause, detail = :detail, #at = :now, expiration = :expiration, "
    "first_cause = if_not_exists(first_cause, :first_cause), first_detail = if_not_exists(first_detail, :first_detail), "
    "late_at = if_not_exists(late_at, :late_at), late_values = :values, "
    "receipt = :receipt, spread = :spread, not_before = :not_before, give_up_at = :give_up_at"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed try of a late order, for `relay late`.

    With `receipt_handle`, an operator can make the message visible before its delay is over. `spread` and
    `not_before_seconds` determine the next try (`backoff.delay_seconds`). `give_up_at` is in unix seconds.
    """

    receipt_handle: str
    spread: float
    not_before_seconds: float
    give_up_at: float


class OrderNotes:
    """Reads and writes the notes."""

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._remember_seconds = int(remember_days * SECONDS_A_DAY)
        self._clock = clock

    def note(self, event: OrderEvent, outcome: Late | Dead, letter: Letter | None = None) -> None:
        """Notes that the order is in a queue, and why; resets its count of failures.

        `letter` is the dead letter, to recognize it when it is redriven. A later note keeps the dead letter's
        attributes, and the note of a dead order keeps the first cause for which it was late.
        """
        values: dict[str, Any] = {
            ":outcome": {"S": type(outcome).__name__},
            ":cause": {"S": outcome.cause},
            ":detail": {"S": outcome.detail},
            ":now": {"N": str(int(self._clock()))},
            ":expiration": self._expiration(),
        }
        update = "SET outcome = :outcome, cause = :cause, detail = :detail, #at = :now, expiration = :expiration"
        if letter is not None:
            update += ", letter = :letter, dead_at = :now, dead_values = :values"
            values |= {":letter": {"N": str(letter.failed_at)}, ":values": {"S": letter.event.values_digest}}
        elif isinstance(outcome, Late):
            update += ", first_cause = :cause, first_detail = :detail, late_at = :now, late_values = :values"
            values |= {":values": {"S": event.values_digest}}
        forgotten = ["failures", *(f"failures_{cause}" for cause in Cause), *OF_A_TRY]
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": note_id(event.store_hash, event.order_id)}},
                UpdateExpression=f"{update} REMOVE {', '.join(forgotten)}",
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues=values,
            )
        except (ClientError, BotoCoreError) as error:
            ignored(error)

    def is_dead_letter(self, event: OrderEvent, letter: Letter | None = None) -> bool:
        """Whether the event had a dead letter within DEAD_LETTER_ONCE_SECONDS, and is now a repeated delivery.

        False for an event with other values than the dead letter's, for the dead letter itself (`letter`, redriven), and
        for a message of `relay backfill`.
        """
        note = self._note(event.store_hash, event.order_id)
        if "dead_at" not in note or self._clock() - _number(note, "dead_at") > DEAD_LETTER_ONCE_SECONDS:
            return False
        if event.values_digest not in {"", note["dead_values"]["S"]}:
            return False
        return letter is None or (letter.cause is not Cause.RECONCILED and letter.failed_at != _number(note, "letter"))

    def failures(self, store_hash: str, order: int, cause: Cause) -> int:
        """How often the late path has failed on the order for this cause; 0 when the note cannot be read."""
        return int(_number(self._note(store_hash, order), f"failures_{cause}"))

    def note_failure(self, letter: Letter, failed: Late, attempt: Attempt) -> int | None:
        """Counts a failed try of the late path, and notes why it failed.

        Returns the number of failures of all causes, or None when it cannot be counted. That is not the number of
        receipts: a deferred order is received, too, and does not fail.
        """
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": note_id(letter.event.store_hash, letter.event.order_id)}},
                UpdateExpression=NOTE_FAILURE,
                ExpressionAttributeNames={"#of_cause": f"failures_{failed.cause}", "#at": "at"},
                ExpressionAttributeValues={
                    ":one": {"N": "1"},
                    ":outcome": {"S": Late.__name__},
                    ":cause": {"S": failed.cause},
                    ":detail": {"S": failed.detail},
                    ":now": {"N": str(int(self._clock()))},
                    ":expiration": self._expiration(),
                    ":first_cause": {"S": letter.cause},
                    ":first_detail": {"S": letter.detail},
                    ":late_at": {"N": str(int(letter.failed_at))},
                    ":values": {"S": letter.event.values_digest},
                    ":receipt": {"S": attempt.receipt_handle},
                    ":spread": {"N": f"{attempt.spread:.3f}"},
                    ":not_before": {"N": f"{attempt.not_before_seconds:.0f}"},
                    ":give_up_at": {"N": f"{attempt.give_up_at:.0f}"},
                },
                ReturnValues="UPDATED_NEW",
            )
        except (ClientError, BotoCoreError) as error:
            ignored(error)
            return None
        return int(_number(answer["Attributes"], "failures"))

    def unknown(self, store_hash: str, orders: Collection[int]) -> list[int]:
        """The orders that the relay has not finished, is not processing, and does not have in a queue.

        Expired items do not count, nor do expired claims, whose function has crashed. Raises botocore's errors, and
        RetryLater when the table is throttled.
        """
        of_id = {order_id(store_hash, order): order for order in orders}
        of_id |= {note_id(store_hash, order): order for order in orders}
        items = read_items(self._client, self._table_name, list(of_id), KNOWN_BY)
        known = {of_id[key] for key, item in items.items() if self._holds(item)}
        return [order for order in orders if order not in known]

    def _expiration(self) -> AttributeValueTypeDef:
        return {"N": str(int(self._clock()) + self._remember_seconds)}

    def _holds(self, item: dict[str, Any]) -> bool:
        """Whether an item has not expired. Powertools compares in the same way (DynamoDBPersistenceLayer)."""
        now = self._clock()
        if "expiration" in item and _number(item, "expiration") < int(now):
            return False
        if item.get("status", {}).get("S") == "INPROGRESS" and "in_progress_expiration" in item:
            return _number(item, "in_progress_expiration") >= int(now * 1000)
        return True

    def _note(self, store_hash: str, order: int) -> dict[str, Any]:
        key = {"id": {"S": note_id(store_hash, order)}}
        try:
            return self._client.get_item(TableName=self._table_name, Key=key, ConsistentRead=True).get("Item", {})
        except (ClientError, BotoCoreError) as error:
            ignored(error)
            return {}


def read_items(
    client: DynamoDBClient, table_name: str, ids: list[str], attributes: Collection[str]
) -> dict[str, dict[str, Any]]:
    """The existing items with these ids, with these attributes, by id.

    Raises botocore's errors, and RetryLater when the table is throttled.
    """
    found: dict[str, dict[str, Any]] = {}
    idle_reads = 0
    shown = {f"#{place}": name for place, name in enumerate(attributes)}
    while ids:
        keys = [{"id": {"S": each}} for each in ids[:MOST_KEYS]]
        request: Any = {"Keys": keys, "ProjectionExpression": ", ".join(shown), "ExpressionAttributeNames": shown}
        answer = client.batch_get_item(RequestItems={table_name: request})
        found |= {item["id"]["S"]: item for item in answer["Responses"].get(table_name, [])}
        unread: Any = answer.get("UnprocessedKeys", {})
        again = [key["id"]["S"] for key in unread.get(table_name, {}).get("Keys", [])]
        idle_reads = idle_reads + 1 if len(again) == len(keys) else 0
        if idle_reads >= MOST_IDLE_READS:
            raise RetryLater(Cause.API_UNAVAILABLE, "DynamoDB is throttled: it did not return the orders' items")
        ids = ids[MOST_KEYS:] + again
    return found


def _number(item: dict[str, Any], name: str) -> float:
    return float(item.get(name, {}).get("N", 0))


def ignored(error: ClientError | BotoCoreError) -> None:
    """Counts and logs a failure of the table that is otherwise ignored."""
    count(Metric.TABLE_UNAVAILABLE)
    logger.warning(
        "table unavailable; a note about an order or a store was skipped",
        event="table.unavailable",
        error=error_code(error),
    )
