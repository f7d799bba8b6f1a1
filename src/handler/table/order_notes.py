"""What the relay notes of orders that are not finished: why they are late or dead, and how often and when they failed.

These are items of the idempotency table, under ids of their own. No order is lost when they cannot be read or written:
it waits longer, or has a second dead letter. So their failures are counted and otherwise ignored.
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
"""BatchGetItem takes no more at once."""

MOST_IDLE_READS = 5
"""BatchGetItem may leave keys unread when it is throttled; after so many answers in a row with nothing new, it is."""

KNOWN_BY = ("id", "status", "expiration", "in_progress_expiration")
"""What of an order's items says whether the relay knows the order."""

BURIED_ONCE_SECONDS = 3600.0
"""An event delivered again makes no second dead letter for so long. Not for longer: the first may be gone by then."""


OF_A_TRY = ("receipt", "spread", "not_before", "give_up_at")
"""What is noted of the last failed try alone: see `Attempt`."""

NOTE_FAILURE = (
    "ADD failures :one, #of_cause :one "
    "SET outcome = :outcome, cause = :cause, detail = :detail, #at = :now, expiration = :expiration, "
    "first_cause = if_not_exists(first_cause, :first_cause), first_detail = if_not_exists(first_detail, :first_detail), "
    "late_at = if_not_exists(late_at, :late_at), late_values = :values, "
    "receipt = :receipt, spread = :spread, not_before = :not_before, give_up_at = :give_up_at"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed try of a late order, and what `relay late` needs of it.

    `receipt_handle` is the message's: with it an operator makes the message visible before its delay is over. `spread`
    and `not_before_seconds` say when the next try is (`backoff.delay_seconds`). `give_up_at` is in unix seconds.
    """

    receipt_handle: str
    spread: float
    not_before_seconds: float
    give_up_at: float


class OrderNotes:
    """Notes about orders."""

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._remember_seconds = int(remember_days * SECONDS_A_DAY)
        self._clock = clock

    def note(self, event: OrderEvent, outcome: Late | Dead, letter: Letter | None = None) -> None:
        """Remembers that the order stands in a queue, and why; forgets how often it failed before.

        `letter` is the dead letter, by which it is known again when it is redriven. A later note leaves what is known
        of a dead letter. The note of a dead order leaves why it was late first.
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
        """Whether the event's dead letter was written lately, and `letter`, which brings the event now, is not it.

        An event with other values than the dead one's counts for itself, and so does a letter that somebody has put to
        work on purpose (`relay backfill`).
        """
        note = self._note(event.store_hash, event.order_id)
        if "dead_at" not in note or self._clock() - _number(note, "dead_at") > BURIED_ONCE_SECONDS:
            return False
        if event.values_digest not in {"", note["dead_values"]["S"]}:
            return False
        return letter is None or (letter.cause is not Cause.RECONCILED and letter.failed_at != _number(note, "letter"))

    def failures(self, store_hash: str, order: int, cause: Cause) -> int:
        """How often the late path has failed on the order for this cause; 0 when that cannot be found out."""
        return int(_number(self._note(store_hash, order), f"failures_{cause}"))

    def note_failure(self, letter: Letter, failed: Late, attempt: Attempt) -> int | None:
        """Counts one more failed try of the late path and remembers why it failed.

        Answers how many there are by now, of all causes, or None when they cannot be counted. A message's receipts are
        not its failures: an order is received, too, when the store's share is used up.
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
        """Those of `orders` that the relay has neither finished, nor works on, nor holds in a queue.

        An item that has expired, or a claim that has (the function that made it has crashed), makes no order known.
        Raises botocore's errors, and RetryLater when the table is too busy to say.
        """
        of_id = {order_id(store_hash, order): order for order in orders}
        of_id |= {note_id(store_hash, order): order for order in orders}
        items = read_items(self._client, self._table_name, list(of_id), KNOWN_BY)
        known = {of_id[key] for key, item in items.items() if self._holds(item)}
        return [order for order in orders if order not in known]

    def _expiration(self) -> AttributeValueTypeDef:
        return {"N": str(int(self._clock()) + self._remember_seconds)}

    def _holds(self, item: dict[str, Any]) -> bool:
        """Whether an item of the table still says something. Powertools compares likewise (DynamoDBPersistenceLayer)."""
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
    """Those of the items with these ids that are there, with these attributes, by id.

    Raises botocore's errors, and RetryLater when the table leaves them unread again and again.
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
            raise RetryLater(Cause.API_UNAVAILABLE, "DynamoDB leaves the orders' items unread: it is throttled")
        ids = ids[MOST_KEYS:] + again
    return found


def _number(item: dict[str, Any], name: str) -> float:
    return float(item.get(name, {}).get("N", 0))


def ignored(error: ClientError | BotoCoreError) -> None:
    """Counts and logs a failure of the table that costs no order."""
    count(Metric.TABLE_UNAVAILABLE)
    logger.warning(
        "table unavailable; a note about an order or a store was skipped",
        event="table.unavailable",
        error=error_code(error),
    )
