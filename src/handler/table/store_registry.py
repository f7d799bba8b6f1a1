"""The known stores, how far each was reconciled, and whose hook an operator has paused.

Items of the idempotency table, since Secrets Manager cannot list by prefix: docs/decisions/0008-store-registry-in-dynamodb.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.table.keys import STORES_ID, progress_id
from handler.table.order_notes import ignored, read_items

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a store was reconciled; all three in unix seconds.

    The next check begins at `since`. All orders up to `until` were checked; before the first successful check, it is
    when that was first tried. `tried_at` is when the last check began.
    """

    since: float
    until: float
    tried_at: float


PROGRESS = tuple(field.name for field in fields(Progress))


class StoreRegistry:
    """The list of stores and their progress. All methods but `note` raise botocore's errors."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client
        self._noted: set[str] = set()

    def note(self, store_hash: str) -> None:
        """Adds the store to the list, once for each execution environment. A failure is counted and ignored."""
        if store_hash in self._noted:
            return
        try:
            self._update(store_hash, "ADD hashes :store")
        except (ClientError, BotoCoreError) as error:
            ignored(error)
        else:
            self._noted.add(store_hash)

    def forget(self, store_hash: str) -> None:
        """Removes the store and its progress."""
        self._update(store_hash, "DELETE hashes :store, paused :store")
        self._client.delete_item(TableName=self._table_name, Key={"id": {"S": progress_id(store_hash)}})

    def all(self) -> list[str]:
        """The known stores, sorted."""
        return sorted(self._read("hashes"))

    def hook_is_paused(self, store_hash: str) -> bool:
        """Whether an operator has paused the store's hook."""
        return store_hash in self._read("paused")

    def note_hook(self, store_hash: str, *, paused: bool) -> None:
        """Notes whether an operator has paused the store's hook."""
        self._update(store_hash, f"{'ADD' if paused else 'DELETE'} paused :store")

    def progress(self, stores: Collection[str]) -> dict[str, Progress]:
        """How far `stores` were reconciled, without those never checked. Raises what `read_items` raises."""
        of_id = {progress_id(store_hash): store_hash for store_hash in stores}
        items = read_items(self._client, self._table_name, list(of_id), ("id", *PROGRESS))
        return {
            of_id[key]: Progress(*(float(item[name]["N"]) for name in PROGRESS))
            for key, item in items.items()
            if item.keys() >= set(PROGRESS)
        }

    def note_progress(self, store_hash: str, progress: Progress) -> None:
        """Stores how far the store was reconciled."""
        moments = {name: {"N": f"{getattr(progress, name):.3f}"} for name in PROGRESS}
        self._client.put_item(TableName=self._table_name, Item={"id": {"S": progress_id(store_hash)}} | moments)

    def _read(self, attribute: str) -> Sequence[str]:
        item = self._client.get_item(TableName=self._table_name, Key={"id": {"S": STORES_ID}}).get("Item", {})
        return item.get(attribute, {}).get("SS", [])

    def _update(self, store_hash: str, expression: str) -> None:
        self._client.update_item(
            TableName=self._table_name,
            Key={"id": {"S": STORES_ID}},
            UpdateExpression=expression,
            ExpressionAttributeValues={":store": {"SS": [store_hash]}},
        )
