"""The logger and the metrics (Powertools). No buyer's data and no secrets are logged or counted.

Alarms and the dashboard rely on the names of the metrics.
"""

from __future__ import annotations

from contextlib import contextmanager
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


class Metric(StrEnum):
    """All metrics, with the dimension `service` (the stack's name); some also by `cause` or `rule`."""

    # intake
    WEBHOOK_ACCEPTED = "WebhookAccepted"
    WEBHOOK_UNAUTHENTICATED = "WebhookUnauthenticated"
    WEBHOOK_MALFORMED = "WebhookMalformed"
    WEBHOOK_IGNORED = "WebhookIgnored"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    BUS_REFUSED = "BusRefused"
    ACKNOWLEDGE_TIME = "AcknowledgeTime"
    # outcomes of orders
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
    # reconcile
    ORDER_RECONCILED = "OrderReconciled"
    HOOK_MISSING = "HookMissing"
    HOOK_REACTIVATED = "HookReactivated"
    RECONCILE_RUNS = "ReconcileRuns"
    RECONCILE_FAILED = "ReconcileFailed"
    RECONCILE_BEHIND = "ReconcileBehind"
    # API requests, and failures on the way
    STORE_API_REQUEST = "StoreApiRequest"
    B2B_API_REQUEST = "B2BApiRequest"
    ATTEMPT_FAILED = "AttemptFailed"
    RATE_LIMITED = "RateLimited"
    LATE_THROTTLED = "LateThrottled"
    UNAUTHORISED = "Unauthorized"
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105  a metric's name
    SECRET_ACCESS_DENIED = "SecretAccessDenied"  # noqa: S105  a metric's name
    SECRET_READ_FAILED = "SecretReadFailed"  # noqa: S105  a metric's name
    RULE_FAILED = "EnrichmentRuleFailed"
    TABLE_UNAVAILABLE = "TableUnavailable"
    UNEXPECTED_ERROR = "UnexpectedError"


def count(metric: Metric, number: int = 1) -> None:
    """Adds `number` to `metric`. A zero says that something was checked and none was found."""
    _add(metric, MetricUnit.Count, number)


def measure_seconds(metric: Metric, seconds: float) -> None:
    """Records a duration in seconds."""
    _add(metric, MetricUnit.Seconds, seconds)


def count_by(metric: Metric, dimension: str, value: str) -> None:
    """Counts twice: the total, for the alarm, and by `dimension`, for the dashboard."""
    count(metric)
    if not _recording:
        return
    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as by_dimension:
        by_dimension.add_dimension("service", metrics.provider.service or "b2b-order-relay")
        by_dimension.add_dimension(dimension, value)


@contextmanager
def no_metrics() -> Iterator[None]:
    """Switches metrics off inside the block, for the CLI: Powertools would print them at the 100th value."""
    global _recording  # noqa: PLW0603  the metrics are global, too
    _recording = False
    try:
        yield
    finally:
        _recording = True


def _add(metric: Metric, unit: MetricUnit, value: float) -> None:
    if _recording:
        metrics.add_metric(name=metric, unit=unit, value=value)
