"""Event bus → Create Order: the live path. What it cannot finish in the window goes to RecoveryQueue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handler.deadline import WINDOW_SECONDS, Clock, Deadline
from handler.desired import find_desired
from handler.endings import report
from handler.errors import Cause, OrderAlreadyExists, Refused, RetryLater
from handler.observations import observing
from handler.outcomes import Created, Dead, Finished, Late, Outcome, Skipped
from handler.record import align_record, settle_refusal
from handler.telemetry import Metric, count

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.endings import Endings
    from handler.enrichment import Rules
    from handler.order_event import OrderEvent
    from handler.table.idempotency import OrderIdempotency
    from handler.table.store_registry import StoreRegistry

RESERVED_SECONDS = 2.0
"""The part of the invocation's time that is kept for the queues and the idempotency record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOrder:
    """Creates the order's B2B record in the window, or sends the order to a queue."""

    idempotency: OrderIdempotency
    store_api: StoreApi
    b2b_api: B2BApi
    rules: Rules
    endings: Endings
    stores: StoreRegistry
    clock: Clock
    first_delay_seconds: float

    def handle(self, event: OrderEvent, context: LambdaContext) -> Outcome:
        """The outcome. Raises botocore's errors when SQS refuses the order; then Lambda's on-failure destination gets it."""
        with observing(event.created_at):
            return self._handle(event, context)

    def _handle(self, event: OrderEvent, context: LambdaContext) -> Outcome:
        count(Metric.ORDER_RECEIVED)
        invocation = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS, self.clock)
        outcome: Outcome
        try:
            outcome = self.idempotency.run(event, lambda again: self._finish(event, invocation, again), context)
        except RetryLater as error:
            delay_seconds = max(self.first_delay_seconds, error.retry_after_seconds or 0.0)
            outcome = self.endings.late(event, Late(error.cause, error.detail), delay_seconds)
        except Refused as error:
            outcome = self.endings.dead(event, Dead(error.cause, error.detail))
        else:
            report(outcome)
        if not (isinstance(outcome, Late) and outcome.cause is Cause.SECRET_UNAVAILABLE):
            self.stores.note(event.store_hash)
        return outcome

    def _finish(self, event: OrderEvent, invocation: Deadline, again: bool) -> Finished:  # noqa: FBT001  as `OrderIdempotency.run` tells it
        """Creates the record, or updates the one that is there. `again`: the event brings values to a finished order."""
        window = Deadline.of_window(event.created_at, self.clock).earlier_of(invocation)
        if window.remaining_seconds <= 0:
            raise _missed()
        desired = find_desired(event, self.store_api, self.rules, window, only_given=again)
        if isinstance(desired, Skipped):
            return desired
        if again:
            # A second Create Order might make a second record, so the record is read first.
            try:
                return align_record(self.b2b_api, desired, invocation)
            except RetryLater as error:
                if error.cause is not Cause.NOT_THERE_YET:
                    raise
        event = desired.event
        window = Deadline.of_window(event.created_at, self.clock).earlier_of(invocation)
        if window.remaining_seconds <= 0:
            raise _missed()
        try:
            self.b2b_api.create_order(event.store_hash, event.order_id, desired.customer_id, desired.content, window)
        except OrderAlreadyExists:
            # Update Order has no time limit but the invocation's.
            return align_record(self.b2b_api, desired, invocation)
        except Refused as refusal:
            return settle_refusal(self.b2b_api, desired, refusal, invocation)
        seconds = self.clock() - event.created_at
        return Created(seconds, WINDOW_SECONDS - seconds, desired.rules_failed)


def _missed() -> RetryLater:
    return RetryLater(Cause.WINDOW_MISSED, "the window had closed before Create Order could be called")
