"""Failed tries of the late path, as they are noted."""

from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.outcomes import Late
from handler.queues import Letter
from handler.table.order_notes import Attempt, OrderNotes
from support.clock import NOON


def note_failure(
    order_notes: OrderNotes,
    event: OrderEvent,
    cause: Cause,
    attempt: Attempt = Attempt("receipt", spread=1.0, not_before_seconds=0.0, give_up_at=NOON + 86_400),  # noqa: B008  frozen
) -> int | None:
    """Notes one more failed try of an order that was late for `no_answer` at noon."""
    return order_notes.note_failure(Letter(event, Cause.NO_ANSWER, "timed out", NOON), Late(cause, "in words"), attempt)
