"""The sources that a store has refused recently: no execution environment requests them again for ten minutes.

An environment reads the table unless it has itself requested the source successfully within ten minutes. When the table
fails, each environment uses only its own results.
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
"""The table is read at most this often. An order needs it twice: before and after its look-up."""


class RefusedSources:
    """Identifies sources by their names in rules. No method raises."""

    def __init__(self, table_name: str, client: DynamoDBClient, clock: Clock) -> None:
        self._table_name = table_name
        self._client = client
        self._clock = clock
        self._refused_until: dict[tuple[str, str], float] = {}
        self._known_until: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def of_store(self, store_hash: str, sources: Collection[str]) -> frozenset[str]:
        """The `sources` that the store has refused recently. Concurrent calls cost one read."""
        with self._lock:
            now = self._clock()
            if any(self._known_until.get((store_hash, source), 0.0) <= now for source in sources):
                self._read(store_hash, sources, now)
            return frozenset(each for each in sources if self._refused_until.get((store_hash, each), 0.0) > now)

    def note(self, store_hash: str, source: str) -> None:
        """Notes that the store refused the source."""
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
        """Notes that the store returned the source."""
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
            # A refusal is not read again before it ends; then the next order requests the source.
            self._known_until[store_hash, source] = max(until, now + READ_AGAIN_SECONDS)
