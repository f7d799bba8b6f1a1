"""Bus → Create Order: the live path. Everything here happens before the window closes, or is handed over."""

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
    from handler.desired import Desired
    from handler.endings import Endings
    from handler.enrichment import Rules
    from handler.order_event import OrderEvent
    from handler.sources import Sources
    from handler.table.idempotency import OrderIdempotency
    from handler.table.store_registry import StoreRegistry

SOURCES_AGE_SECONDS = 5.0
SOURCES_SECONDS = 2.5
"""Sources end when the order is 5 s old, and 2.5 s after they began. Until the window closes at 9.5 s, Create Order then
has one whole attempt of 3 s and a second one after it. An order that is looked up late is created without the sources."""

RESERVED_SECONDS = 2.0
"""Of the invocation's own time, kept for handing over and for the idempotency record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOrder:
    """Creates the order's B2B record inside the window, or sees to it that somebody else finishes it."""

    idempotency: OrderIdempotency
    store_api: StoreApi
    b2b_api: B2BApi
    rules: Rules
    sources: Sources
    endings: Endings
    stores: StoreRegistry
    clock: Clock
    first_delay_seconds: float

    def handle(self, event: OrderEvent, context: LambdaContext) -> Outcome:
        """What became of the order. Raises only when it could not even be handed over; Lambda then does that."""
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
        desired = find_desired(
            event, self.store_api, self.rules, self.sources, window, self._sources_end, only_given=again
        )
        if isinstance(desired, Skipped):
            return desired
        return desired.finish(self._put(desired, invocation, again))

    def _put(self, desired: Desired, invocation: Deadline, again: bool) -> Finished:  # noqa: FBT001  as above
        """Creates the record with what is desired, or updates the one that is there."""
        if again:
            # A second Create might make a second record (domain: more facts), so the record is looked for first.
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
            # Update Order knows no window: the invocation's own time is the limit.
            return align_record(self.b2b_api, desired, invocation)
        except Refused as refusal:
            return settle_refusal(self.b2b_api, desired, refusal, invocation)
        seconds = self.clock() - event.created_at
        return Created(seconds, WINDOW_SECONDS - seconds, desired.rules_failed)

    def _sources_end(self, created_at: float) -> Deadline:
        return Deadline(min(created_at + SOURCES_AGE_SECONDS, self.clock() + SOURCES_SECONDS), self.clock)


def _missed() -> RetryLater:
    return RetryLater(Cause.WINDOW_MISSED, "the window had closed before Create Order could be called")
