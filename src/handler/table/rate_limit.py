"""The late path's part of a store's 150 requests a minute (docs/bigcommerce.md, Rate limit); the rest is for live orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.errors import Cause, RetryLater
from handler.table.keys import rate_limit_id
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.deadline import Clock

SLICE_SECONDS = 15
"""The limit applies to slices of this length: a minute's requests at once would leave none for live orders."""

SLICES_A_MINUTE = 60 // SLICE_SECONDS


class Deferred(RetryLater):
    """The order was not tried: no request was sent. `retry_after_seconds` is always set."""

    def __init__(self, detail: str, retry_after_seconds: float) -> None:
        super().__init__(Cause.DEFERRED, detail, retry_after_seconds=retry_after_seconds)


class LateRateLimit:
    """Limits the late path's requests to each store, across all invocations, with counters in the idempotency table.

    When DynamoDB fails, requests are allowed: then the API's own 429 is the limit.
    """

    def __init__(
        self,
        table_name: str,
        client: DynamoDBClient,
        requests_per_minute: int,
        clock: Clock,
    ) -> None:
        self._table_name = table_name
        self._client = client
        self._requests_per_slice = max(requests_per_minute // SLICES_A_MINUTE, 1)
        self._clock = clock
        self._held_until: dict[str, float] = {}

    def take(self, store_hash: str, requests: int) -> None:
        """Reserves `requests` for the store. Raises Deferred when the current slice has fewer left."""
        now = self._clock()
        held_seconds = self._held_until.get(store_hash, 0.0) - now
        if held_seconds > 0:
            raise self._deferred("throttled: the store's rate limit is used up", held_seconds)
        slice_number = int(now // SLICE_SECONDS)
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": rate_limit_id(store_hash, slice_number)}},
                UpdateExpression="ADD taken :requests SET expiration = :expiration",
                ConditionExpression="attribute_not_exists(taken) OR taken <= :room",
                ExpressionAttributeValues={
                    ":requests": {"N": str(requests)},
                    ":room": {"N": str(self._requests_per_slice - requests)},
                    ":expiration": {"N": str(int(now) + 3600)},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            next_slice = (slice_number + 1) * SLICE_SECONDS
            raise self._deferred(
                "throttled: the late path's part of the rate limit is used up", next_slice - now
            ) from error
        except (ClientError, BotoCoreError) as error:
            count(Metric.TABLE_UNAVAILABLE)
            logger.warning(
                "table unavailable; request allowed without counting",
                event="table.unavailable",
                error=error_code(error),
            )

    def give_back(self, store_hash: str, requests: int) -> None:
        """Refunds requests that were reserved and not made. A failure is logged and ignored."""
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"id": {"S": rate_limit_id(store_hash, int(self._clock() // SLICE_SECONDS))}},
                UpdateExpression="ADD taken :requests",
                # Not if a new slice has begun: nothing was reserved in that one.
                ConditionExpression="taken >= :taken",
                ExpressionAttributeValues={":requests": {"N": str(-requests)}, ":taken": {"N": str(requests)}},
            )
        except (ClientError, BotoCoreError) as error:
            logger.info("could not refund unused rate-limit quota", event="table.unavailable", error=error_code(error))

    def hold(self, store_hash: str, seconds: float) -> None:
        """After a 429: defers late orders of this store for `seconds`, in this execution environment."""
        self._held_until[store_hash] = self._clock() + seconds

    @staticmethod
    def _deferred(detail: str, seconds: float) -> Deferred:
        count(Metric.LATE_THROTTLED)
        return Deferred(detail, seconds)
