"""Event bus → Create Order: the live path. What it cannot finish in the window goes to RecoveryQueue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handler.deadline import WINDOW_SECONDS, Clock, Deadline
from handler.desired import find_desired
from handler.errors import Cause, OrderAlreadyExists, Refused, RetryLater
from handler.observations import observing
from handler.outcomes import Created, Dead, Finished, Late, Outcome, Skipped
from handler.record import align_record, complete_record, settle_refusal
from handler.telemetry import Metric, count

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.content import Record
    from handler.desired import Desired
    from handler.endings import Endings
    from handler.enrichment import Rules
    from handler.order_event import OrderEvent
    from handler.sources import Sources
    from handler.table.idempotency import OrderIdempotency
    from handler.table.store_registry import StoreRegistry

SOURCES_AGE_SECONDS = 5.0
SOURCES_SECONDS = 2.5
"""Sources end when the order is 5 s old, and 2.5 s after they start. Then Create Order has time for an attempt of 3 s and
a second one before the window's deadline at 9.5 s. An order that is looked up late is created without sources."""

RESERVED_SECONDS = 2.0
"""The part of the invocation's time that is kept for the queues and the idempotency record."""

DATE_ROUNDING_SECONDS = 1.0
"""Dates have whole seconds: an order can be up to a second younger than its date says."""

CREATE_SECONDS = 1.5
"""Of the window before hand-over, left after `create_after_seconds`: half for Get Order, half for Create Order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOrder:
    """Creates the order's B2B record in the window, or sends the order to a queue."""

    idempotency: OrderIdempotency
    store_api: StoreApi
    b2b_api: B2BApi
    rules: Rules
    sources: Sources
    endings: Endings
    stores: StoreRegistry
    clock: Clock
    sleep: Callable[[float], None]
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
            self.endings.finished(event, outcome)
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
        return desired.finish(self._put(desired, invocation, again), self.endings)

    def _put(self, desired: Desired, invocation: Deadline, again: bool) -> Finished:  # noqa: FBT001  as above
        """Creates the record with the desired content, or updates an existing one."""
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
        present = None if again else self._checkouts_record(event, window)
        if present is not None:
            return complete_record(self.b2b_api, present, desired, invocation)
        try:
            self.b2b_api.create_order(event.store_hash, event.order_id, desired.customer_id, desired.content, window)
        except OrderAlreadyExists:
            # Update Order has no time limit but the invocation's.
            return align_record(self.b2b_api, desired, invocation)
        except Refused as refusal:
            return settle_refusal(self.b2b_api, desired, refusal, invocation)
        seconds = self.clock() - event.created_at
        return Created(seconds, WINDOW_SECONDS - seconds, desired.rules_failed)

    def _checkouts_record(self, event: OrderEvent, window: Deadline) -> Record | None:
        """The record that the checkout itself has made by the store's `create_after_seconds`; None to create it now.

        Without an answer to Get Order the record is created, too: if there is one, Create Order is refused.
        """
        after_seconds = self.rules.of_store(event.store_hash).create_after_seconds
        if not after_seconds:
            return None
        until = min(event.created_at + after_seconds + DATE_ROUNDING_SECONDS, window.ends_at - CREATE_SECONDS)
        self.sleep(max(until - self.clock(), 0.0))
        deadline = Deadline.after(window.remaining_seconds / 2, self.clock)
        try:
            return self.b2b_api.get_record(event.store_hash, event.order_id, deadline)
        except (RetryLater, Refused):
            return None

    def _sources_end(self, created_at: float) -> Deadline:
        return Deadline(min(created_at + SOURCES_AGE_SECONDS, self.clock() + SOURCES_SECONDS), self.clock)


def _missed() -> RetryLater:
    return RetryLater(Cause.WINDOW_MISSED, "the window had closed before Create Order could be called")
