"""Logs and metrics. Nothing of a buyer and nothing secret goes in: store, order, correlation id, outcome, cause.

Both are Powertools' own objects; this module only fixes the names that alarms and the dashboard rely on.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "B2BOrderRelay"

logger = Logger(utc=True)
metrics = Metrics(namespace=NAMESPACE)
_recording = True
_aside: ContextVar[list[tuple[Metric, MetricUnit, float]] | None] = ContextVar("aside", default=None)


class Metric(StrEnum):
    """Every metric the functions emit, with the dimension `service` (the stack's name); some also by `cause`, `rule` or `source`."""

    # intake
    WEBHOOK_ACCEPTED = "WebhookAccepted"
    WEBHOOK_UNAUTHENTICATED = "WebhookUnauthenticated"
    WEBHOOK_MALFORMED = "WebhookMalformed"
    WEBHOOK_IGNORED = "WebhookIgnored"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    BUS_REFUSED = "BusRefused"
    ACKNOWLEDGE_TIME = "AcknowledgeTime"
    # what became of orders
    ORDER_RECEIVED = "OrderReceived"
    ORDER_CREATED = "OrderCreated"
    ORDER_UPDATED = "OrderUpdated"
    ORDER_UNCHANGED = "OrderUnchanged"
    ORDER_SKIPPED_GUEST = "OrderSkippedGuest"
    ORDER_SKIPPED_GUEST_WITH_QUOTE = "OrderSkippedGuestWithQuote"
    ORDER_SKIPPED_NO_COMPANY = "OrderSkippedNoCompany"
    ORDER_SKIPPED_RULE = "OrderSkippedRule"
    ORDER_DUPLICATE = "OrderDuplicate"
    ORDER_LATE = "OrderLate"
    ORDER_RETRIED = "OrderRetried"
    ORDER_DEAD = "OrderDead"
    TIME_TO_CREATE = "TimeToCreate"
    WINDOW_LEFT = "WindowLeft"
    LATE_ORDER_AGE = "LateOrderAge"
    # webhooks that never came
    ORDER_RECONCILED = "OrderReconciled"
    HOOK_MISSING = "HookMissing"
    HOOK_REACTIVATED = "HookReactivated"
    RECONCILE_RUNS = "ReconcileRuns"
    RECONCILE_FAILED = "ReconcileFailed"
    RECONCILE_BEHIND = "ReconcileBehind"
    # what was asked of the APIs, and why time or data was lost on the way
    STORE_API_REQUEST = "StoreApiRequest"
    B2B_API_REQUEST = "B2BApiRequest"
    ATTEMPT_FAILED = "AttemptFailed"
    RATE_LIMITED = "RateLimited"
    LATE_THROTTLED = "LateThrottled"
    UNAUTHORISED = "Unauthorised"
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105  a metric's name
    SECRET_ACCESS_DENIED = "SecretAccessDenied"  # noqa: S105  a metric's name
    SECRET_READ_FAILED = "SecretReadFailed"  # noqa: S105  a metric's name
    RULE_FAILED = "EnrichmentRuleFailed"
    SOURCE_FAILED = "SourceFailed"
    SOURCE_REFUSED = "SourceRefused"
    TABLE_UNAVAILABLE = "TableUnavailable"
    UNEXPECTED_ERROR = "UnexpectedError"


def count(metric: Metric, number: int = 1) -> None:
    """Adds `number` to `metric`; a zero says that somebody has looked and found none."""
    _add(metric, MetricUnit.Count, number)


def measure_seconds(metric: Metric, seconds: float) -> None:
    """Records a length of time."""
    _add(metric, MetricUnit.Seconds, seconds)


def count_by(metric: Metric, dimension: str, value: str) -> None:
    """Counts twice: in all, for the alarm, and by `dimension`, for the person who mends it."""
    count(metric)
    if not _recording:
        return
    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as by_dimension:
        by_dimension.add_dimension("service", metrics.provider.service or "b2b-order-relay")
        by_dimension.add_dimension(dimension, value)


@contextmanager
def no_metrics() -> Iterator[None]:
    """Records no metrics meanwhile: for the operator's commands, where Powertools would print them at the 100th value."""
    global _recording  # noqa: PLW0603  one switch for the whole process, as the metrics are
    _recording = False
    try:
        yield
    finally:
        _recording = True


@contextmanager
def metrics_aside(kept: list[tuple[Metric, MetricUnit, float]]) -> Iterator[None]:
    """Keeps what is counted and measured inside the block, for `record_aside`: Powertools' metrics are not for threads."""
    token = _aside.set(kept)
    try:
        yield
    finally:
        _aside.reset(token)


def record_aside(kept: list[tuple[Metric, MetricUnit, float]]) -> None:
    """Records what `metrics_aside` has kept so far, once."""
    while kept:
        _add(*kept.pop(0))


def _add(metric: Metric, unit: MetricUnit, value: float) -> None:
    kept = _aside.get()
    if kept is not None:
        kept.append((metric, unit, value))
    elif _recording:
        metrics.add_metric(name=metric, unit=unit, value=value)
