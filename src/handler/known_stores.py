"""Which stores there are, how far each was reconciled, and whose hook is off on purpose.

Items of the idempotency table, since Secrets Manager cannot list by prefix: docs/decisions/0008-stores-known-from-the-table.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.journal import ignored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

STORES_ID = "stores"


class KnownStores:
    """The list of stores. All methods but `note` raise botocore's errors."""

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
        """The opposite of `note`."""
        self._update(store_hash, "DELETE hashes :store, resting :store")

    def all(self) -> list[str]:
        """The stores known so far, by name."""
        return sorted(self._read("hashes"))

    def hook_rests(self, store_hash: str) -> bool:
        """Whether an operator has switched the store's hook off on purpose."""
        return store_hash in self._read("resting")

    def note_hook(self, store_hash: str, *, rests: bool) -> None:
        """Remembers whether the store's hook is off on purpose."""
        self._update(store_hash, f"{'ADD' if rests else 'DELETE'} resting :store")

    def reconciled_until(self, store_hash: str) -> float | None:
        """Up to when (unix seconds) all orders of the store were looked at, or None when none ever were."""
        key = {"id": {"S": _progress_id(store_hash)}}
        item = self._client.get_item(TableName=self._table_name, Key=key).get("Item", {})
        return float(item["until"]["N"]) if "until" in item else None

    def note_reconciled(self, store_hash: str, until: float) -> None:
        """Remembers how far `reconcile` has come."""
        self._client.put_item(
            TableName=self._table_name,
            Item={"id": {"S": _progress_id(store_hash)}, "until": {"N": str(int(until))}},
        )

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


def _progress_id(store_hash: str) -> str:
    return f"reconciled#{store_hash}"
