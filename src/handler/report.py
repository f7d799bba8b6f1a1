"""Every outcome becomes one log line and its metrics, here and nowhere else."""

from __future__ import annotations

from handler.errors import Cause
from handler.observations import observed
from handler.outcomes import Created, Dead, Duplicate, Late, Outcome, Skipped, SkipReason, Unchanged, Updated
from handler.telemetry import Metric, count, count_by, logger, measure_seconds

SKIPPED = {
    SkipReason.GUEST: Metric.ORDER_SKIPPED_GUEST,
    SkipReason.GUEST_WITH_QUOTE: Metric.ORDER_SKIPPED_GUEST_WITH_QUOTE,
    SkipReason.NO_COMPANY: Metric.ORDER_SKIPPED_NO_COMPANY,
    SkipReason.RULE: Metric.ORDER_SKIPPED_RULE,
}

ALSO_COUNTED = {
    Cause.UNAUTHORISED: Metric.UNAUTHORISED,
    Cause.SECRET_UNAVAILABLE: Metric.SECRET_UNAVAILABLE,
}


def report(outcome: Outcome, *, retried: bool = False) -> None:
    """Counts and logs what became of an order; `retried` when the late path keeps it in RecoveryQueue."""
    seen = observed()
    match outcome:
        case Created(seconds, window_left):
            count(Metric.ORDER_CREATED)
            measure_seconds(Metric.TIME_TO_CREATE, seconds)
            measure_seconds(Metric.WINDOW_LEFT, max(window_left, 0.0))
            logger.info("order created", outcome="created", window_left_seconds=round(window_left, 3), **seen)
        case Updated():
            count(Metric.ORDER_UPDATED)
            logger.info("order updated", outcome="updated", **seen)
        case Unchanged():
            count(Metric.ORDER_UNCHANGED)
            logger.info("order was already right", outcome="unchanged", **seen)
        case Skipped(reason):
            count(SKIPPED[reason])
            logger.info("order skipped", outcome="skipped", reason=reason, **seen)
        case Duplicate(in_progress):
            count(Metric.ORDER_DUPLICATE)
            logger.info("order is a duplicate", outcome="duplicate", in_progress=in_progress)
        case Late(cause, detail):
            count_by(Metric.ORDER_RETRIED if retried else Metric.ORDER_LATE, "cause", cause)
            _count_cause(cause)
            logger.warning(
                "order waits in RecoveryQueue", outcome="late", retried=retried, cause=cause, detail=detail, **seen
            )
        case Dead(cause, detail):
            count_by(Metric.ORDER_DEAD, "cause", cause)
            _count_cause(cause)
            logger.error("order is in DeadLetterQueue", outcome="dead", cause=cause, detail=detail, **seen)


def _count_cause(cause: Cause) -> None:
    if cause in ALSO_COUNTED:
        count(ALSO_COUNTED[cause])
