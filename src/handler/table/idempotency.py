"""Idempotency: each order is processed once, by a record for each store and order (Powertools, DynamoDB)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyItemAlreadyExistsError,
    IdempotencyPersistenceLayerError,
)
from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.errors import Cause, RetryLater
from handler.outcomes import Duplicate
from handler.table.keys import ORDER_PREFIX, order_key
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.order_event import OrderEvent
    from handler.outcomes import Finished

SECONDS_A_DAY = 86_400


class OrderIdempotency:
    """Runs work on an order unless the order is finished or in progress.

    Only finished work is stored; an exception deletes the record, so a redrive is not taken for a duplicate. When
    DynamoDB fails, the work is done without it: a duplicate is harmless, a lost order is not.

    An event with its own values has a second key, so that its values reach the record of an order that is finished.
    """

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float) -> None:
        self._config = IdempotencyConfig(expires_after_seconds=int(remember_days * SECONDS_A_DAY))
        self._records = _Records(table_name=table_name, boto3_client=client)
        self._run = idempotent_function(
            _work,
            data_keyword_argument="key",
            persistence_store=self._records,
            config=self._config,
            key_prefix=ORDER_PREFIX,
        )

    def run(self, event: OrderEvent, work: Callable[[bool], Finished], context: LambdaContext) -> Finished | Duplicate:
        """The result of `work`, or Duplicate. Raises what `work` raises.

        The argument of `work` is True when the order is finished, and the event only adds values. Raises RetryLater
        (cause IN_PROGRESS) for an event with values while the order is in progress. `context` has the time left of this
        invocation: after that, an unfinished record no longer locks the order.
        """
        self._config.register_lambda_context(context)
        key = order_key(event.store_hash, event.order_id)
        if not event.values_digest:
            return self._once(key, lambda: work(False))

        def with_values() -> Finished:
            outcome = self._once(key, lambda: work(False))
            if not isinstance(outcome, Duplicate):
                return outcome
            if outcome.in_progress:
                raise RetryLater(Cause.IN_PROGRESS, "another invocation is working on the order")
            return work(True)

        return self._once(order_key(event.store_hash, event.order_id, event.values_digest), with_values)

    def _once(self, key: str, work: Callable[[], Finished]) -> Finished | Duplicate:
        attempt = _Attempt(work)
        try:
            self._run(key=key, attempt=attempt)
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
            return Duplicate(in_progress=True)
        except IdempotencyPersistenceLayerError as error:
            _unavailable(error.__cause__)
            if not attempt.began:
                self._work_without_claim(key, attempt)
        return attempt.result()

    def _work_without_claim(self, key: str, attempt: _Attempt) -> None:
        """Does the work without the lock, and tries to store the result."""
        result = _work(key=key, attempt=attempt)
        try:
            self._records.save_success(data=key, result=result)  # type: ignore[arg-type]  # Powertools hashes any JSON value
        except (ClientError, BotoCoreError) as error:
            _unavailable(error)


class _Records(DynamoDBPersistenceLayer):
    """Powertools' records. A claim that botocore repeated after a lost answer is recognized as its own."""

    def _put_record(self, data_record: DataRecord) -> None:
        try:
            super()._put_record(data_record)
        except IdempotencyItemAlreadyExistsError as error:
            if not _is_own_claim(error, data_record):
                raise


def _is_own_claim(error: IdempotencyItemAlreadyExistsError, claim: DataRecord) -> bool:
    """Whether botocore repeated the call and found its own claim: the times are equal to the millisecond."""
    there, refusal = error.old_data_record, error.__cause__
    if there is None or not isinstance(refusal, ClientError):
        return False
    return refusal.response["ResponseMetadata"].get("RetryAttempts", 0) > 0 and (
        (there.status, there.expiry_timestamp, there.in_progress_expiry_timestamp)
        == (claim.status, claim.expiry_timestamp, claim.in_progress_expiry_timestamp)
    )


def _unavailable(error: BaseException | None) -> None:
    count(Metric.TABLE_UNAVAILABLE)
    code = error_code(error) if isinstance(error, ClientError | BotoCoreError) else type(error).__name__
    logger.warning("table unavailable; the order is processed without it", event="table.unavailable", error=code)


class _Attempt:
    """Keeps the result of the work, even if storing it fails."""

    def __init__(self, work: Callable[[], Finished]) -> None:
        self._work = work
        self._finished: Finished | None = None
        self._error: Exception | None = None
        self.began = False

    def __call__(self) -> Finished:
        self.began = True
        try:
            self._finished = self._work()
        except Exception as error:
            self._error = error
            raise
        return self._finished

    def result(self) -> Finished | Duplicate:
        if self._error is not None:
            raise self._error
        return self._finished if self._finished is not None else Duplicate()


def _work(*, key: str, attempt: _Attempt) -> dict[str, Any]:  # noqa: ARG001  Powertools reads `key` by its name
    """Does the work. The return value is stored in the record, for `relay status` and `relay backfill`."""
    finished = attempt()
    rules_failed = getattr(finished, "rules_failed", ())
    return {"outcome": type(finished).__name__} | ({"rules_failed": list(rules_failed)} if rules_failed else {})
