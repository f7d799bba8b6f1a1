"""What the relay knows beside the finished orders: which are late or dead, and which stores there are.

Both are items of the idempotency table, under ids of their own. They are for `reconcile` and for the people who run the
relay; no order depends on them, so their failures are counted and otherwise ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.once import SECONDS_A_DAY, order_id
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.deadline import Clock
    from handler.outcomes import Dead, Late

STORES_ID = "stores"
MOST_KEYS = 100
"""BatchGetItem takes no more at once."""


class Journal:
    """Notes about orders and stores."""

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._remember_seconds = int(remember_days * SECONDS_A_DAY)
        self._clock = clock
        self._stores_noted: set[str] = set()

    def note(self, store_hash: str, order: int, outcome: Late | Dead) -> None:
        """Remembers that the order stands in a queue, and why."""
        now = int(self._clock())
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    "id": {"S": journal_id(store_hash, order)},
                    "outcome": {"S": type(outcome).__name__},
                    "cause": {"S": outcome.cause},
                    "detail": {"S": outcome.detail},
                    "at": {"N": str(now)},
                    "expiration": {"N": str(now + self._remember_seconds)},
                },
            )
        except (ClientError, BotoCoreError) as error:
            _ignore(error)

    def note_store(self, store_hash: str) -> None:
        """Remembers that there is such a store; once for each environment is enough."""
        if store_hash in self._stores_noted:
            return
        self._stores_noted.add(store_hash)
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": STORES_ID}},
                UpdateExpression="ADD hashes :store",
                ExpressionAttributeValues={":store": {"SS": [store_hash]}},
            )
        except (ClientError, BotoCoreError) as error:
            _ignore(error)

    def stores(self) -> list[str]:
        """The stores known so far. Raises botocore's errors."""
        item = self._client.get_item(TableName=self._table_name, Key={"id": {"S": STORES_ID}}).get("Item", {})
        return sorted(item.get("hashes", {}).get("SS", []))

    def unknown(self, store_hash: str, orders: Collection[int]) -> list[int]:
        """Those of `orders` that the relay has neither finished, nor works on, nor holds in a queue."""
        of_id = {order_id(store_hash, order): order for order in orders}
        of_id |= {journal_id(store_hash, order): order for order in orders}
        known = {of_id[found] for found in self._present(list(of_id))}
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

    def _present(self, ids: list[str]) -> list[str]:
        """Which of these ids are in the table."""
        present = []
        while ids:
            keys = [{"id": {"S": each}} for each in ids[:MOST_KEYS]]
            answer = self._client.batch_get_item(
                RequestItems={self._table_name: {"Keys": keys, "ProjectionExpression": "id"}}
            )
            present += [item["id"]["S"] for item in answer["Responses"].get(self._table_name, [])]
            unread: Any = answer.get("UnprocessedKeys", {})
            again = unread.get(self._table_name, {}).get("Keys", [])
            ids = ids[MOST_KEYS:] + [key["id"]["S"] for key in again]
        return present


def journal_id(store_hash: str, order: int) -> str:
    """The id of an order's note in the table."""
    return f"journal#{store_hash}/{order}"


def _progress_id(store_hash: str) -> str:
    return f"reconciled#{store_hash}"


def _ignore(error: ClientError | BotoCoreError) -> None:
    count(Metric.IDEMPOTENCY_UNAVAILABLE)
    logger.warning("the journal could not be written", error=type(error).__name__)
