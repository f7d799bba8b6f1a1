"""What the relay knows beside the finished orders: which are late or dead, how often they failed, which stores there are.

These are items of the idempotency table, under ids of their own. No order is lost when they cannot be read or written:
it waits longer, or has a second dead letter. So their failures are counted and otherwise ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.errors import Cause, RetryLater
from handler.once import SECONDS_A_DAY, order_id
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.deadline import Clock
    from handler.outcomes import Dead, Late
    from handler.queues import Letter

STORES_ID = "stores"
MOST_KEYS = 100
"""BatchGetItem takes no more at once."""

MOST_IDLE_READS = 5
"""BatchGetItem may leave keys unread when it is throttled; after so many answers in a row with nothing new, it is."""

BURIED_ONCE_SECONDS = 3600.0
"""An event delivered again makes no second dead letter for so long. Not for longer: the first may be gone by then."""


class Journal:
    """Notes about orders and stores."""

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._remember_seconds = int(remember_days * SECONDS_A_DAY)
        self._clock = clock
        self._stores_noted: set[str] = set()

    def note(self, store_hash: str, order: int, outcome: Late | Dead, letter: Letter | None = None) -> None:
        """Remembers that the order stands in a queue, and why; forgets how often it failed before.

        `letter` is the dead letter, by which it is known again when it is redriven.
        """
        now = int(self._clock())
        item: dict[str, Any] = {
            "id": {"S": journal_id(store_hash, order)},
            "outcome": {"S": type(outcome).__name__},
            "cause": {"S": outcome.cause},
            "detail": {"S": outcome.detail},
            "at": {"N": str(now)},
            "expiration": {"N": str(now + self._remember_seconds)},
        }
        if letter is not None:
            item["letter"] = {"N": str(letter.failed_at)}
        try:
            self._client.put_item(TableName=self._table_name, Item=item)
        except (ClientError, BotoCoreError) as error:
            _ignore(error)

    def is_buried(self, store_hash: str, order: int, letter: Letter | None = None) -> bool:
        """Whether the order's dead letter was written lately, and `letter`, which brings the order now, is not it.

        A letter that somebody has put to work on purpose (`relay backfill`) counts for itself.
        """
        note = self._note(store_hash, order)
        if note.get("outcome", {}).get("S") != "Dead" or self._clock() - _number(note, "at") > BURIED_ONCE_SECONDS:
            return False
        return letter is None or (letter.cause is not Cause.RECONCILED and letter.failed_at != _number(note, "letter"))

    def failures(self, store_hash: str, order: int, cause: Cause) -> int:
        """How often the late path has failed on the order for this cause; 0 when that cannot be found out."""
        return int(_number(self._note(store_hash, order), f"failures_{cause}"))

    def count_failure(self, store_hash: str, order: int, cause: Cause) -> int | None:
        """Counts one more failure; answers how many there are by now, of all causes, or None when they cannot be counted.

        A message's receipts are not its failures: an order is received, too, when the store's share is used up.
        """
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": journal_id(store_hash, order)}},
                UpdateExpression="ADD failures :one, #of_cause :one SET expiration = :expiration",
                ExpressionAttributeNames={"#of_cause": f"failures_{cause}"},
                ExpressionAttributeValues={
                    ":one": {"N": "1"},
                    ":expiration": {"N": str(int(self._clock()) + self._remember_seconds)},
                },
                ReturnValues="UPDATED_NEW",
            )
        except (ClientError, BotoCoreError) as error:
            _ignore(error)
            return None
        return int(_number(answer["Attributes"], "failures"))

    def note_store(self, store_hash: str) -> None:
        """Remembers that there is such a store; once for each environment is enough."""
        if store_hash in self._stores_noted:
            return
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": STORES_ID}},
                UpdateExpression="ADD hashes :store",
                ExpressionAttributeValues={":store": {"SS": [store_hash]}},
            )
        except (ClientError, BotoCoreError) as error:
            _ignore(error)
        else:
            self._stores_noted.add(store_hash)

    def stores(self) -> list[str]:
        """The stores known so far. Raises botocore's errors."""
        return sorted(self._stores("hashes"))

    def hook_rests(self, store_hash: str) -> bool:
        """Whether an operator has switched the store's hook off on purpose. Raises botocore's errors."""
        return store_hash in self._stores("resting")

    def note_hook(self, store_hash: str, *, rests: bool) -> None:
        """Remembers whether the store's hook is off on purpose. Raises botocore's errors."""
        self._client.update_item(
            TableName=self._table_name,
            Key={"id": {"S": STORES_ID}},
            UpdateExpression=f"{'ADD' if rests else 'DELETE'} resting :store",
            ExpressionAttributeValues={":store": {"SS": [store_hash]}},
        )

    def forget_store(self, store_hash: str) -> None:
        """The opposite of `note_store`. Raises botocore's errors."""
        self._client.update_item(
            TableName=self._table_name,
            Key={"id": {"S": STORES_ID}},
            UpdateExpression="DELETE hashes :store, resting :store",
            ExpressionAttributeValues={":store": {"SS": [store_hash]}},
        )

    def unknown(self, store_hash: str, orders: Collection[int]) -> list[int]:
        """Those of `orders` that the relay has neither finished, nor works on, nor holds in a queue.

        Raises botocore's errors, and RetryLater when the table is too busy to say.
        """
        of_id = {order_id(store_hash, order): order for order in orders}
        of_id |= {journal_id(store_hash, order): order for order in orders}
        known = {of_id[found] for found in read_items(self._client, self._table_name, list(of_id), ("id",))}
        return [order for order in orders if order not in known]

    def reconciled_until(self, store_hash: str) -> float | None:
        """Up to when (unix seconds) all orders of the store were looked at, or None when none ever were."""
        key = {"id": {"S": _progress_id(store_hash)}}
        item = self._client.get_item(TableName=self._table_name, Key=key).get("Item", {})
        return float(item["until"]["N"]) if "until" in item else None

    def note_reconciled(self, store_hash: str, until: float) -> None:
        """Remembers how far `reconcile` has come. Raises botocore's errors."""
        self._client.put_item(
            TableName=self._table_name,
            Item={"id": {"S": _progress_id(store_hash)}, "until": {"N": str(int(until))}},
        )

    def _stores(self, attribute: str) -> Sequence[str]:
        item = self._client.get_item(TableName=self._table_name, Key={"id": {"S": STORES_ID}}).get("Item", {})
        return item.get(attribute, {}).get("SS", [])

    def _note(self, store_hash: str, order: int) -> dict[str, Any]:
        key = {"id": {"S": journal_id(store_hash, order)}}
        try:
            return self._client.get_item(TableName=self._table_name, Key=key, ConsistentRead=True).get("Item", {})
        except (ClientError, BotoCoreError) as error:
            _ignore(error)
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


def journal_id(store_hash: str, order: int) -> str:
    """The id of an order's note in the table."""
    return f"journal#{store_hash}/{order}"


def _number(item: dict[str, Any], name: str) -> float:
    return float(item.get(name, {}).get("N", 0))


def _progress_id(store_hash: str) -> str:
    return f"reconciled#{store_hash}"


def _ignore(error: ClientError | BotoCoreError) -> None:
    count(Metric.IDEMPOTENCY_UNAVAILABLE)
    logger.warning("the journal could not be written", error=type(error).__name__)
