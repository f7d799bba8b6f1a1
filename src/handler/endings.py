"""How an order ends: finished, late (in RecoveryQueue) or dead (in DeadLetterQueue).

`Endings` sends the message, writes the order's note and reports. `report` writes one log line and the metrics of an outcome.
No other module does any of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.errors import Cause
from handler.observations import observed
from handler.outcomes import Created, Dead, Duplicate, Late, Outcome, Skipped, SkipReason, Unchanged, Updated
from handler.telemetry import Metric, count, count_by, logger, measure_seconds

if TYPE_CHECKING:
    from handler.order_event import OrderEvent
    from handler.queues import Letter, Queues
    from handler.table.order_notes import OrderNotes

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


class Endings:
    """Sends orders to a queue. All methods raise botocore's errors when SQS refuses; then nothing is noted or reported."""

    def __init__(self, queues: Queues, order_notes: OrderNotes) -> None:
        self._queues = queues
        self._order_notes = order_notes

    def late(self, event: OrderEvent, late: Late, delay_seconds: float = 0.0) -> Late:
        """Sends the order to RecoveryQueue, with a delay of `delay_seconds`."""
        self._queues.send_late(event, late.cause, late.detail, delay_seconds)
        return self.already_late(event, late)

    def already_late(self, event: OrderEvent, late: Late) -> Late:
        """The same for an order that AWS itself has sent to RecoveryQueue."""
        self._order_notes.note(event, late)
        report(late)
        return late

    def dead(self, event: OrderEvent, dead: Dead, letter: Letter | None = None) -> Dead | Duplicate:
        """Sends the order to DeadLetterQueue, once: Duplicate when a repeated delivery is refused again.

        `letter` is the message from RecoveryQueue, if the order came from there.
        """
        if self._order_notes.is_dead_letter(event, letter):
            duplicate = Duplicate()
            report(duplicate)
            return duplicate
        sent = self._queues.dead_letter(event, dead.cause, dead.detail)
        self._order_notes.note(event, dead, sent)
        report(dead)
        return dead

    def unreadable(self, body: str, detail: str) -> None:
        """Sends a message that cannot be parsed to DeadLetterQueue unchanged. `detail` says what was expected."""
        self._queues.dead_letter_unread(body, detail)
        report(Dead(Cause.UNREADABLE, detail))


def report(outcome: Outcome, *, retried: bool = False) -> None:
    """Counts and logs an outcome. `retried`: the order was late before, and stays in RecoveryQueue."""
    seen = observed()
    match outcome:
        case Created(seconds, window_left):
            count(Metric.ORDER_CREATED)
            measure_seconds(Metric.TIME_TO_CREATE, seconds)
            measure_seconds(Metric.WINDOW_LEFT, max(window_left, 0.0))
            left = round(window_left, 3)
            logger.info("order created", event="order.created", outcome="created", window_left_seconds=left, **seen)
        case Updated():
            count(Metric.ORDER_UPDATED)
            logger.info("order updated", event="order.updated", outcome="updated", **seen)
        case Unchanged():
            count(Metric.ORDER_UNCHANGED)
            logger.info(
                "order unchanged: its record already had the values",
                event="order.unchanged",
                outcome="unchanged",
                **seen,
            )
        case Skipped(reason):
            count(SKIPPED[reason])
            logger.info("order skipped", event="order.skipped", outcome="skipped", reason=reason, **seen)
        case Duplicate(in_progress):
            count(Metric.ORDER_DUPLICATE)
            logger.info("duplicate order", event="order.duplicate", outcome="duplicate", in_progress=in_progress)
        case Late(cause, detail):
            if cause is Cause.RECONCILED:
                # Not OrderLate: the window-missed alarm divides that by the orders that were received.
                count(Metric.ORDER_RECONCILED)
            else:
                count_by(Metric.ORDER_RETRIED if retried else Metric.ORDER_LATE, "cause", cause)
            _count_cause(cause)
            fields: dict[str, Any] = {"outcome": "late", "retried": retried, "cause": cause, "detail": detail}
            logger.warning("late order queued in RecoveryQueue for retry", event="order.queued", **fields, **seen)
        case Dead(cause, detail):
            count_by(Metric.ORDER_DEAD, "cause", cause)
            _count_cause(cause)
            fields = {"outcome": "dead", "cause": cause, "detail": detail}
            logger.error("dead order sent to DeadLetterQueue", event="order.dead", **fields, **seen)


def _count_cause(cause: Cause) -> None:
    if cause in ALSO_COUNTED:
        count(ALSO_COUNTED[cause])
