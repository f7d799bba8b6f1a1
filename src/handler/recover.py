"""RecoveryQueue → Update Order: the late path. Patient, paced below the live orders, and never the end of an order.

A message leaves the queue when its order is finished, or when it stands in DeadLetterQueue with the reason. Otherwise it
becomes visible again after a growing delay; nothing here sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.backoff import LEAST_SPREAD, LONGEST_VISIBILITY_SECONDS, MOST_SPREAD, delay_seconds
from handler.content import Content
from handler.deadline import WINDOW_SECONDS, Clock, Deadline
from handler.desired import find_desired
from handler.endings import report
from handler.errors import Cause, IgnoredScope, MalformedEvent, OrderAlreadyExists, Refused, RetryLater
from handler.observations import observing
from handler.outcomes import Created, Dead, Duplicate, Finished, Late, Outcome, Skipped, SkipReason
from handler.queues import read_letter
from handler.record import align_record, settle_refusal
from handler.rule_sources import FROM_B2B
from handler.table.order_notes import Attempt
from handler.table.rate_limit import Deferred
from handler.telemetry import Metric, count, logger, measure_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.desired import Desired
    from handler.endings import Endings
    from handler.enrichment import Rules
    from handler.order_event import OrderEvent
    from handler.queues import Letter
    from handler.settings import Settings
    from handler.sources import Sources
    from handler.table.idempotency import OrderIdempotency
    from handler.table.order_notes import OrderNotes
    from handler.table.rate_limit import LateRateLimit

ORDER_SECONDS = 20.0
"""One order's share of an invocation at most."""

RESERVED_SECONDS = 5.0
"""Of the invocation's own time, kept for the queue and the idempotency record."""

REQUESTS_AN_ORDER = 2
"""What finishing a late order usually takes of the B2B API: reading the record and updating it."""

SOURCES_SECONDS = 8.0
"""The sources' share of `ORDER_SECONDS`."""

CREATE_AFTER_TRIES = 4
"""A record that was not there so many times may never appear by itself: it is created (domain: Create Order)."""

NOT_FOUND_TRIES = 8
"""An order that the store itself denied so many times, over an hour or so, does not exist. Only denials count."""

TROUBLE_OF_THE_STORE = frozenset({Cause.NO_ANSWER, Cause.API_UNAVAILABLE, Cause.RATE_LIMITED, Cause.DEFERRED})
"""The next order of the same store would fail the same way, so it is not tried in this invocation."""

SPREAD_SECONDS = 15.0
MOST_SPREADS = 40
"""Orders that found no place come back spread over 15 s for each time they were received, ten minutes at most: a long
queue drains in turn, and no message uses up its `maxReceiveCount` by waiting."""

LONGEST_HOLD_MINUTES = 13 * 24 * 60
"""An order of a store that is down is held for so long. RecoveryQueue itself keeps a message for 14 days."""


@dataclass(frozen=True, slots=True)
class Message:
    """One SQS message: `receipts` counts how often it was received, this time included; `sent_at` is in unix seconds."""

    id: str
    receipt_handle: str
    body: str
    receipts: int
    sent_at: float

    @classmethod
    def of(cls, record: dict[str, Any]) -> Message:
        """The message in a record of a Lambda SQS event."""
        attributes = record["attributes"]
        return cls(
            id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receipts=int(attributes["ApproximateReceiveCount"]),
            sent_at=int(attributes["SentTimestamp"]) / 1000,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoverOrders:
    """Finishes orders from RecoveryQueue."""

    settings: Settings
    sqs: SQSClient
    idempotency: OrderIdempotency
    store_api: StoreApi
    b2b_api: B2BApi
    rules: Rules
    sources: Sources
    endings: Endings
    rate_limit: LateRateLimit
    order_notes: OrderNotes
    clock: Clock
    uniform: Callable[[float, float], float]

    def handle(self, batch: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Works through a batch; answers which messages stay in the queue (partial batch response)."""
        invocation = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS, self.clock)
        troubled: dict[str, float] = {}
        staying = []
        for record in batch["Records"]:
            message = Message.of(record)
            with logger.append_context_keys(message_id=message.id, receipts=message.receipts):
                if not self._settle(message, invocation, troubled, context):
                    staying.append({"itemIdentifier": message.id})
        return {"batchItemFailures": staying}

    def _settle(
        self, message: Message, invocation: Deadline, troubled: dict[str, float], context: LambdaContext
    ) -> bool:
        """Whether the message may leave the queue. One message's failure is never another's."""
        try:
            letter = read_letter(message.body, message.sent_at)
        except IgnoredScope:
            count(Metric.WEBHOOK_IGNORED)
            return True
        except MalformedEvent as error:
            return self._unreadable(message, str(error))
        event = letter.event
        keys = {"store": event.store_hash, "order": event.order_id, "correlation_id": event.correlation_id}
        with observing(event.created_at), logger.append_context_keys(**keys):
            if message.receipts == 1 and letter.undelivered:
                # OrderFunction has not counted it: it crashed, or the event never came to it.
                count(Metric.ORDER_RECEIVED)
                self.endings.already_late(event, Late(letter.cause, letter.detail))
            try:
                outcome = self._work(event, invocation, troubled, context)
            except RetryLater as error:
                return self._postpone(letter, message, error, troubled)
            except Refused as error:
                return self._dead(letter, Dead(error.cause, error.detail))
            except Exception as fault:  # noqa: BLE001  one message's failure must not be another's
                # A fault of ours. The order is late like any other, and a dead letter when it stays so.
                logger.exception("late order failed unexpectedly", event="order.failed")
                count(Metric.UNEXPECTED_ERROR)
                detail = f"an unexpected {type(fault).__name__}; the log has its trace"
                return self._postpone(letter, message, RetryLater(Cause.FUNCTION_FAILED, detail), troubled)
            report(outcome)
            return True

    def _work(
        self,
        event: OrderEvent,
        invocation: Deadline,
        troubled: dict[str, float],
        context: LambdaContext,
    ) -> Outcome:
        if event.store_hash in troubled:
            raise Deferred("the store could not serve another order just now", troubled[event.store_hash])
        deadline = Deadline.after(ORDER_SECONDS, self.clock).earlier_of(invocation)
        if deadline.remaining_seconds < ORDER_SECONDS / 2:
            raise Deferred("the invocation had no time left for the order", 0.0)
        outcome = self.idempotency.run(event, lambda again: self._finish(event, deadline, again), context)
        if isinstance(outcome, Duplicate) and outcome.in_progress:
            raise RetryLater(Cause.IN_PROGRESS, "another invocation is working on the order")
        return outcome

    def _finish(self, event: OrderEvent, deadline: Deadline, again: bool) -> Finished:  # noqa: FBT001  as `OrderIdempotency.run` tells it
        # First of all, so that an order without a place costs the core API nothing either, however often it comes back.
        given = Content(event.po_number or "", event.extra_fields)
        from_b2b = self.rules.of_store(event.store_hash).sources_beyond(given) & FROM_B2B
        taken = REQUESTS_AN_ORDER + len(from_b2b)
        self.rate_limit.take(event.store_hash, taken)
        try:
            desired = find_desired(
                event, self.store_api, self.rules, self.sources, deadline, self._sources_end, only_given=again
            )
        except RetryLater as error:
            self.rate_limit.give_back(event.store_hash, taken)
            if error.cause is Cause.ORDER_NOT_FOUND and (denials := self._failures(event, error)) >= NOT_FOUND_TRIES:
                raise Refused(Cause.ORDER_NOT_FOUND, f"{error.detail}, {denials} times") from error
            raise
        if isinstance(desired, Skipped):
            self.rate_limit.give_back(event.store_hash, REQUESTS_AN_ORDER)
            return desired
        if unused := taken - REQUESTS_AN_ORDER - desired.b2b_requests:
            self.rate_limit.give_back(event.store_hash, unused)
        return desired.finish(self._put(desired, deadline))

    def _put(self, desired: Desired, deadline: Deadline) -> Finished:
        """Updates the record with what is desired, or creates one that has not appeared for long."""
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
                # There was no record a moment ago, so this means: older than ten seconds. Only time can bring one,
                # and for a customer without a company not even that.
                if not self.b2b_api.has_company_user(event.store_hash, desired.customer_id, deadline):
                    return Skipped(SkipReason.NO_COMPANY)
                raise not_there from None
            except Refused as refusal:
                return settle_refusal(self.b2b_api, desired, refusal, deadline)
            seconds = self.clock() - event.created_at
            return Created(seconds, WINDOW_SECONDS - seconds, desired.rules_failed)

    def _sources_end(self, _created_at: float) -> Deadline:
        return Deadline.after(SOURCES_SECONDS, self.clock)

    def _failures(self, event: OrderEvent, error: RetryLater) -> int:
        """How often the order has failed so for this cause, this time included."""
        return self.order_notes.failures(event.store_hash, event.order_id, error.cause) + 1

    def _postpone(self, letter: Letter, message: Message, error: RetryLater, troubled: dict[str, float]) -> bool:
        """Leaves the message in the queue for a later try, or sends the order to DeadLetterQueue when it has had its time."""
        event = letter.event
        age_minutes = (self.clock() - message.sent_at) / 60
        measure_seconds(Metric.LATE_ORDER_AGE, age_minutes * 60)
        give_up_after_minutes = LONGEST_HOLD_MINUTES if error.holds else self.settings.give_up_after_minutes
        if age_minutes >= give_up_after_minutes:
            cause = (
                letter.cause if isinstance(error, Deferred) else error.cause
            )  # being deferred is no reason to give up
            return self._dead(letter, Dead(cause, f"given up after {age_minutes:.0f} minutes; last: {error.detail}"))
        after_seconds = error.retry_after_seconds or self.settings.recovery_first_delay_seconds
        if error.cause in TROUBLE_OF_THE_STORE:
            troubled.setdefault(event.store_hash, after_seconds)
        if error.cause is Cause.RATE_LIMITED:
            self.rate_limit.hold(event.store_hash, after_seconds)
        give_up_at = message.sent_at + give_up_after_minutes * 60
        self._hide(message, self._delay_seconds(letter, message, error, give_up_at))
        report(Late(error.cause, error.detail), retried=True)
        return False

    def _delay_seconds(self, letter: Letter, message: Message, error: RetryLater, give_up_at: float) -> float:
        """Growing with the failures, with jitter, and not before the other side's own word.

        Being paced is no failure: orders that found no place come back in turn.
        """
        after = error.retry_after_seconds or 0.0
        if isinstance(error, Deferred):
            return after + self.uniform(0.0, SPREAD_SECONDS * min(message.receipts, MOST_SPREADS))
        spread = self.uniform(LEAST_SPREAD, MOST_SPREAD)
        attempt = Attempt(message.receipt_handle, spread, after, give_up_at)
        failures = self.order_notes.note_failure(letter, Late(error.cause, error.detail), attempt)
        return delay_seconds(self.settings, failures or message.receipts, spread, after)

    def _hide(self, message: Message, seconds: float) -> None:
        try:
            self.sqs.change_message_visibility(
                QueueUrl=self.settings.recovery_queue_url,
                ReceiptHandle=message.receipt_handle,
                VisibilityTimeout=min(max(round(seconds), 0), LONGEST_VISIBILITY_SECONDS),
            )
        except (ClientError, BotoCoreError) as error:
            # The queue's own visibility timeout brings the message back instead.
            logger.warning("could not set the delay of a message", event="queue.delay_failed", error=error_code(error))

    def _dead(self, letter: Letter, dead: Dead) -> bool:
        try:
            self.endings.dead(letter.event, dead, letter)
        except (ClientError, BotoCoreError) as error:
            return _stays(error)
        return True

    def _unreadable(self, message: Message, detail: str) -> bool:
        try:
            self.endings.unreadable(message.body, detail)
        except (ClientError, BotoCoreError) as error:
            return _stays(error)
        return True


def _stays(error: ClientError | BotoCoreError) -> bool:
    logger.warning(
        "DeadLetterQueue refused a message; it stays in RecoveryQueue",
        event="queue.dead_letter_failed",
        error=error_code(error),
    )
    return False
