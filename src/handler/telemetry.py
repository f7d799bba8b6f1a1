"""Logs and metrics. Nothing of a buyer and nothing secret goes in: store, order, correlation id, outcome, cause.

Both are Powertools' own objects; this module only fixes the names that alarms and the dashboard rely on.
"""

from __future__ import annotations

from enum import StrEnum

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "B2BOrderRelay"

logger = Logger(utc=True)
metrics = Metrics(namespace=NAMESPACE)


class Metric(StrEnum):
    """Every metric the functions emit, with the one dimension `service` (the stack's name)."""

    # intake
    WEBHOOK_ACCEPTED = "WebhookAccepted"
    WEBHOOK_NOT_PROVEN = "WebhookNotProven"
    WEBHOOK_MALFORMED = "WebhookMalformed"
    WEBHOOK_IGNORED = "WebhookIgnored"
    WEBHOOK_TURNED_AWAY = "WebhookTurnedAway"
    BUS_REFUSED = "BusRefused"
    ACKNOWLEDGE_TIME = "AcknowledgeTime"
    # what became of orders
    ORDER_CREATED = "OrderCreated"
    ORDER_UPDATED = "OrderUpdated"
    ORDER_ALREADY_RIGHT = "OrderAlreadyRight"
    ORDER_SKIPPED_GUEST = "OrderSkippedGuest"
    ORDER_SKIPPED_NO_COMPANY = "OrderSkippedNoCompany"
    ORDER_SKIPPED_RULE = "OrderSkippedRule"
    ORDER_DUPLICATE = "OrderDuplicate"
    ORDER_LATE = "OrderLate"
    ORDER_RETRIED = "OrderRetried"
    ORDER_DEAD = "OrderDead"
    TIME_TO_CREATE = "TimeToCreate"
    WINDOW_LEFT = "WindowLeft"
    # webhooks that never came
    ORDER_RECONCILED = "OrderReconciled"
    HOOK_MISSING = "HookMissing"
    HOOK_REACTIVATED = "HookReactivated"
    RECONCILED = "Reconciled"
    RECONCILE_FAILED = "ReconcileFailed"
    # why time or data was lost on the way
    ATTEMPT_FAILED = "AttemptFailed"
    RATE_LIMITED = "RateLimited"
    LATE_PACED = "LatePaced"
    UNAUTHORISED = "Unauthorised"
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105  a metric's name
    RULE_FAILED = "EnrichmentRuleFailed"
    IDEMPOTENCY_UNAVAILABLE = "IdempotencyUnavailable"
    UNEXPECTED_ERROR = "UnexpectedError"


def count(metric: Metric) -> None:
    """Adds one to `metric`."""
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)


def measure_seconds(metric: Metric, seconds: float) -> None:
    """Records a length of time."""
    metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=seconds)


def count_rule_failure(rule: str) -> None:
    """Counts a failed enrichment rule twice: in all, for the alarm, and by the rule's name, for the person who mends it."""
    count(Metric.RULE_FAILED)
    with single_metric(name=Metric.RULE_FAILED, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as by_rule:
        by_rule.add_dimension("service", metrics.provider.service or "b2b-order-relay")
        by_rule.add_dimension("rule", rule)
