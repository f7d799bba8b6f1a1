"""Which stores there are, how far each was reconciled, and whose hook is off on purpose.

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
    """How far reconcile has come with a store; all three in unix seconds.

    The next look begins at `since`. All orders up to `until` were looked at; for a store whose first look has not
    succeeded yet it is when that look was first tried. `tried_at` is when the last look began.
    """

    since: float
    until: float
    tried_at: float


PROGRESS = tuple(field.name for field in fields(Progress))


class StoreRegistry:
    """The list of stores, and what is known of each. All methods but `note` raise botocore's errors."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client
        self._noted: set[str] = set()

    def note(self, store_hash: str) -> None:
        """Remembers that there is such a store; once for each environment is enough. A failure is counted and ignored."""
        if store_hash in self._noted:
            return
        try:
            self._update(store_hash, "ADD hashes :store")
        except (ClientError, BotoCoreError) as error:
            ignored(error)
        else:
            self._noted.add(store_hash)

    def forget(self, store_hash: str) -> None:
        """The opposite of `note`; a store that is added again later begins with a first look."""
        self._update(store_hash, "DELETE hashes :store, paused :store")
        self._client.delete_item(TableName=self._table_name, Key={"id": {"S": progress_id(store_hash)}})

    def all(self) -> list[str]:
        """The stores known so far, by name."""
        return sorted(self._read("hashes"))

    def hook_is_paused(self, store_hash: str) -> bool:
        """Whether an operator has switched the store's hook off on purpose."""
        return store_hash in self._read("paused")

    def note_hook(self, store_hash: str, *, paused: bool) -> None:
        """Remembers whether the store's hook is off on purpose."""
        self._update(store_hash, f"{'ADD' if paused else 'DELETE'} paused :store")

    def progress(self, stores: Collection[str]) -> dict[str, Progress]:
        """How far reconcile has come, for those of `stores` that it has looked at. Raises what `read_items` raises."""
        of_id = {progress_id(store_hash): store_hash for store_hash in stores}
        items = read_items(self._client, self._table_name, list(of_id), ("id", *PROGRESS))
        return {
            of_id[key]: Progress(*(float(item[name]["N"]) for name in PROGRESS))
            for key, item in items.items()
            if item.keys() >= set(PROGRESS)
        }

    def note_progress(self, store_hash: str, progress: Progress) -> None:
        """Remembers how far reconcile has come with the store."""
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
