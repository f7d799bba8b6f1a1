"""Which sources a store has refused lately: they are not asked again for ten minutes, by no environment.

The table is read by an environment that has not asked the source with success within these ten minutes itself. When
the table fails, each environment knows what it has seen itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.table.keys import refused_sources_id
from handler.table.order_notes import ignored

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.deadline import Clock

KEPT_SECONDS = 600.0
READ_AGAIN_SECONDS = 10.0
"""The table is not read more often than this. An order asks twice: before its look-up and after it."""


class RefusedSources:
    """Sources are named by their names in rules. No method raises."""

    def __init__(self, table_name: str, client: DynamoDBClient, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._clock = clock
        self._refused_until: dict[tuple[str, str], float] = {}
        self._known_until: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def of_store(self, store_hash: str, sources: Collection[str]) -> frozenset[str]:
        """Those of `sources` that the store has refused lately. Threads that ask at once cost one read."""
        with self._lock:
            now = self._clock()
            if any(self._known_until.get((store_hash, source), 0.0) <= now for source in sources):
                self._read(store_hash, sources, now)
            return frozenset(each for each in sources if self._refused_until.get((store_hash, each), 0.0) > now)

    def note(self, store_hash: str, source: str) -> None:
        """The store has just refused the source."""
        until = self._clock() + KEPT_SECONDS
        self._refused_until[store_hash, source] = self._known_until[store_hash, source] = until
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": refused_sources_id(store_hash)}},
                UpdateExpression="SET #source = :until, expiration = :until",
                ExpressionAttributeNames={"#source": source},
                ExpressionAttributeValues={":until": {"N": str(int(until))}},
            )
        except (ClientError, BotoCoreError) as error:
            ignored(error)

    def note_success(self, store_hash: str, source: str) -> None:
        """The store has just answered for the source."""
        self._known_until[store_hash, source] = self._clock() + KEPT_SECONDS

    def _read(self, store_hash: str, sources: Collection[str], now: float) -> None:
        item: dict[str, Any] = {}
        try:
            item = self._client.get_item(
                TableName=self._table_name, Key={"id": {"S": refused_sources_id(store_hash)}}
            ).get("Item", {})
        except (ClientError, BotoCoreError) as error:
            ignored(error)
        for source in sources:
            until = float(item.get(source, {}).get("N", 0))
            self._refused_until[store_hash, source] = max(until, self._refused_until.get((store_hash, source), 0.0))
            # A refusal is known for as long as it lasts: then the source is asked, by whoever comes first.
            self._known_until[store_hash, source] = max(until, now + READ_AGAIN_SECONDS)
