"""The same order is never worked on twice: one idempotency record for each store and order (Powertools, DynamoDB)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)

from handler.outcomes import Duplicate
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

    from handler.order_event import OrderEvent
    from handler.outcomes import Finished

KEY_PREFIX = "order"
"""Shared by both functions; without it, Powertools puts the function's own name into the key."""

SECONDS_A_DAY = 86_400


def order_id(store_hash: str, order: int) -> str:
    """The id under which Powertools keeps an order's record: its prefix and the MD5 of the key in JSON."""
    key = json.dumps(order_key(store_hash, order))
    return f"{KEY_PREFIX}#{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"


def order_key(store_hash: str, order: int) -> str:
    """What makes an order the same order."""
    return f"{store_hash}/{order}"


class OncePerOrder:
    """Runs work on an order unless it is finished or being worked on elsewhere.

    Only finished work is remembered; an exception forgets, so a redrive is never mistaken for a duplicate. When DynamoDB
    fails, the work is done without it: a duplicate is harmless, a lost order is not.
    """

    def __init__(self, table_name: str, client: DynamoDBClient, remember_days: float) -> None:
        self._config = IdempotencyConfig(expires_after_seconds=int(remember_days * SECONDS_A_DAY))
        self._run = idempotent_function(
            _work,
            data_keyword_argument="key",
            persistence_store=DynamoDBPersistenceLayer(table_name=table_name, boto3_client=client),
            config=self._config,
            key_prefix=KEY_PREFIX,
        )

    def run(self, event: OrderEvent, work: Callable[[], Finished], context: LambdaContext) -> Finished | Duplicate:
        """What `work` finished with, or Duplicate. Raises what `work` raises.

        `context` says how long this invocation can last: after that, an unfinished claim on the order is void.
        """
        self._config.register_lambda_context(context)
        attempt = _Attempt(work)
        try:
            self._run(key=order_key(event.store_hash, event.order_id), attempt=attempt)
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
            return Duplicate(in_progress=True)
        except IdempotencyPersistenceLayerError as error:
            count(Metric.IDEMPOTENCY_UNAVAILABLE)
            logger.warning("idempotency store failed; going on without it", error=type(error.__cause__).__name__)
            if not attempt.began:
                return work()
        return attempt.result()


class _Attempt:
    """Keeps what the work came to, whatever the idempotency store does afterwards."""

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
    """Does the work; what it returns is remembered in the record, for `relay status`."""
    return {"outcome": type(attempt()).__name__}
