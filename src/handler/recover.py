"""RecoveryQueue → Update Order: the late path. It retries with backoff, below the rate limit, for hours.

A message leaves the queue when its order is finished, or when the order is in DeadLetterQueue. Otherwise the message
becomes visible again after a delay; nothing here sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.backoff import deferred_delay_seconds, delay_seconds, jitter
from handler.deadline import WINDOW_SECONDS, Clock, Deadline
from handler.desired import find_desired
from handler.endings import report
from handler.errors import Cause, IgnoredScope, MalformedEvent, OrderAlreadyExists, Refused, RetryLater
from handler.observations import observing
from handler.outcomes import Created, Dead, Duplicate, Finished, Late, Outcome, Skipped, SkipReason
from handler.queues import Message, read_letter
from handler.record import align_record, settle_refusal
from handler.table.order_notes import Attempt
from handler.table.rate_limit import Deferred
from handler.telemetry import Metric, count, logger, measure_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.endings import Endings
    from handler.enrichment import Rules
    from handler.order_event import OrderEvent
    from handler.queues import Letter, Queues
    from handler.settings import Settings
    from handler.table.idempotency import OrderIdempotency
    from handler.table.order_notes import OrderNotes
    from handler.table.rate_limit import LateRateLimit

ORDER_SECONDS = 20.0
"""The most that one order may take of an invocation."""

RESERVED_SECONDS = 5.0
"""The part of the invocation's time that is kept for the queue and the idempotency record."""

REQUESTS_AN_ORDER = 2
"""B2B API requests that a late order usually takes: Get Order and Update Order."""

CREATE_AFTER_TRIES = 4
"""After this many tries without a record, Create Order is called: B2B Edition may never make one by itself."""

NOT_FOUND_TRIES = 8
"""After this many 404s of the core API, over an hour or so, the order is taken not to exist. Other failures do not count."""

STORE_WIDE_CAUSES = frozenset({Cause.NO_ANSWER, Cause.API_UNAVAILABLE, Cause.RATE_LIMITED, Cause.DEFERRED})
"""The next order of the same store would fail in the same way, so it is deferred without a request."""

LONGEST_HOLD_MINUTES = 13 * 24 * 60
"""How long orders are kept when the store itself answers 503. RecoveryQueue keeps a message for 14 days."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoverOrders:
    """Finishes orders from RecoveryQueue."""

    settings: Settings
    queues: Queues
    idempotency: OrderIdempotency
    store_api: StoreApi
    b2b_api: B2BApi
    rules: Rules
    endings: Endings
    rate_limit: LateRateLimit
    order_notes: OrderNotes
    clock: Clock
    uniform: Callable[[float, float], float]

    def handle(self, batch: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Processes a batch. Returns the messages that stay in the queue, as a partial batch response."""
        invocation = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS, self.clock)
        paused_stores: dict[str, float] = {}
        failures = []
        for message in map(Message.of, batch["Records"]):
            with logger.append_context_keys(message_id=message.id, receipts=message.receipts):
                try:
                    done = self._process(message, invocation, paused_stores, context)
                except (ClientError, BotoCoreError) as error:
                    logger.warning(
                        "DeadLetterQueue refused a message; it stays in RecoveryQueue",
                        event="queue.dead_letter_failed",
                        error=error_code(error),
                    )
                    done = False
            if not done:
                failures.append({"itemIdentifier": message.id})
        return {"batchItemFailures": failures}

    def _process(
        self, message: Message, invocation: Deadline, paused_stores: dict[str, float], context: LambdaContext
    ) -> bool:
        """Whether the message is done with. `paused_stores`: stores to make no request to, with the seconds to wait.

        Raises botocore's errors when DeadLetterQueue refuses a message.
        """
        try:
            letter = read_letter(message.body, message.sent_at)
        except IgnoredScope:
            count(Metric.WEBHOOK_IGNORED)
            return True
        except MalformedEvent as error:
            self.endings.unreadable(message.body, str(error))
            return True
        event = letter.event
        keys = {"store": event.store_hash, "order": event.order_id, "correlation_id": event.correlation_id}
        with observing(event.created_at), logger.append_context_keys(**keys):
            if message.receipts == 1 and letter.undelivered:
                # OrderFunction did not count the order: it crashed, or the event was not delivered to it.
                count(Metric.ORDER_RECEIVED)
                self.endings.already_late(event, Late(letter.cause, letter.detail))
            try:
                outcome = self._recover(event, invocation, paused_stores, context)
            except RetryLater as error:
                return self._retry_later(letter, message, error, paused_stores)
            except Refused as error:
                self.endings.dead(event, Dead(error.cause, error.detail), letter)
                return True
            except Exception as fault:  # noqa: BLE001  a bug that one order meets must not stop the rest of the batch
                logger.exception("late order failed unexpectedly", event="order.failed")
                count(Metric.UNEXPECTED_ERROR)
                detail = f"an unexpected {type(fault).__name__}; the log has its trace"
                return self._retry_later(letter, message, RetryLater(Cause.FUNCTION_FAILED, detail), paused_stores)
            report(outcome)
            return True

    def _recover(
        self, event: OrderEvent, invocation: Deadline, paused_stores: dict[str, float], context: LambdaContext
    ) -> Outcome:
        if event.store_hash in paused_stores:
            raise Deferred("the store could not serve another order just now", paused_stores[event.store_hash])
        deadline = Deadline.after(ORDER_SECONDS, self.clock).earlier_of(invocation)
        if deadline.remaining_seconds < ORDER_SECONDS / 2:
            raise Deferred("the invocation had no time left for the order", 0.0)
        outcome = self.idempotency.run(event, lambda again: self._finish(event, deadline, again), context)
        if isinstance(outcome, Duplicate) and outcome.in_progress:
            raise RetryLater(Cause.IN_PROGRESS, "another invocation is working on the order")
        return outcome

    def _finish(self, event: OrderEvent, deadline: Deadline, again: bool) -> Finished:  # noqa: FBT001  as `OrderIdempotency.run` tells it
        # Before the look-up, so that an order over the rate limit costs the core API nothing either.
        self.rate_limit.take(event.store_hash, REQUESTS_AN_ORDER)
        try:
            desired = find_desired(event, self.store_api, self.rules, deadline, only_given=again)
        except RetryLater as error:
            self.rate_limit.give_back(event.store_hash, REQUESTS_AN_ORDER)
            if error.cause is Cause.ORDER_NOT_FOUND and (denials := self._failures(event, error)) >= NOT_FOUND_TRIES:
                raise Refused(Cause.ORDER_NOT_FOUND, f"{error.detail}, {denials} times") from error
            raise
        if isinstance(desired, Skipped):
            self.rate_limit.give_back(event.store_hash, REQUESTS_AN_ORDER)
            return desired
        event = desired.event
        try:
            return align_record(self.b2b_api, desired, deadline)
        except RetryLater as not_there:
            if not_there.cause is not Cause.NOT_THERE_YET or self._failures(event, not_there) < CREATE_AFTER_TRIES:
                raise
            self.rate_limit.take(event.store_hash, REQUESTS_AN_ORDER)
            try:
                self.b2b_api.create_order(
                    event.store_hash, event.order_id, desired.customer_id, desired.content, deadline
                )
            except OrderAlreadyExists:
                # There was no record a moment ago, so the order is older than ten seconds. B2B Edition may still make
                # the record, but not for a customer without a company.
                if not self.b2b_api.has_company_user(event.store_hash, desired.customer_id, deadline):
                    return Skipped(SkipReason.NO_COMPANY)
                raise not_there from None
            except Refused as refusal:
                return settle_refusal(self.b2b_api, desired, refusal, deadline)
            seconds = self.clock() - event.created_at
            return Created(seconds, WINDOW_SECONDS - seconds, desired.rules_failed)

    def _failures(self, event: OrderEvent, error: RetryLater) -> int:
        """How often the order has failed for this cause, including this time."""
        return self.order_notes.failures(event.store_hash, event.order_id, error.cause) + 1

    def _retry_later(
        self, letter: Letter, message: Message, error: RetryLater, paused_stores: dict[str, float]
    ) -> bool:
        """Delays the message and returns False, or gives the order up, sends it to DeadLetterQueue and returns True."""
        event = letter.event
        age_minutes = (self.clock() - message.sent_at) / 60
        measure_seconds(Metric.LATE_ORDER_AGE, age_minutes * 60)
        give_up_after_minutes = LONGEST_HOLD_MINUTES if error.holds else self.settings.give_up_after_minutes
        if age_minutes >= give_up_after_minutes:
            # A deferred order was not tried, so its cause is the one it was late for.
            cause = letter.cause if isinstance(error, Deferred) else error.cause
            detail = f"given up after {age_minutes:.0f} minutes; last: {error.detail}"
            self.endings.dead(event, Dead(cause, detail), letter)
            return True
        after_seconds = error.retry_after_seconds or self.settings.recovery_first_delay_seconds
        if error.cause in STORE_WIDE_CAUSES:
            paused_stores.setdefault(event.store_hash, after_seconds)
        if error.cause is Cause.RATE_LIMITED:
            self.rate_limit.hold(event.store_hash, after_seconds)
        give_up_at = message.sent_at + give_up_after_minutes * 60
        self.queues.delay(message, self._delay_seconds(letter, message, error, give_up_at))
        report(Late(error.cause, error.detail), retried=True)
        return False

    def _delay_seconds(self, letter: Letter, message: Message, error: RetryLater, give_up_at: float) -> float:
        """The delay before the next try. A deferred order has not failed, so its delay does not grow with its failures."""
        after = error.retry_after_seconds or 0.0
        if isinstance(error, Deferred):
            return deferred_delay_seconds(message.receipts, after, self.uniform)
        spread = jitter(self.uniform)
        attempt = Attempt(message.receipt_handle, spread, after, give_up_at)
        failures = self.order_notes.note_failure(letter, Late(error.cause, error.detail), attempt)
        return delay_seconds(self.settings, failures or message.receipts, spread, after)
