"""RecoveryQueue and DeadLetterQueue: the one writer and the one reader of their messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler import strict_json
from handler.errors import Cause, MalformedEvent
from handler.order_event import LARGEST_ID, OrderEvent, event_time, parse_bus_event, parse_detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

    from handler.deadline import Clock

LONGEST_DELAY_SECONDS = 900
"""SQS delays a message by this much at most."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An order event and why it is in a queue: `cause`, `detail` in words, `failed_at` in unix seconds.

    `undelivered`: AWS put it there in a shape of its own, since OrderFunction crashed or was never called.
    """

    event: OrderEvent
    cause: Cause
    detail: str
    failed_at: float
    undelivered: bool = False

    def as_body(self) -> str:
        """The message body. It holds no secret; of the buyer only what the merchant's own producer put into the event."""
        reason = {"cause": self.cause, "detail": self.detail, "failed_at": round(self.failed_at, 3)}
        return json.dumps({"order": self.event.as_detail(), "reason": reason})


def read_letter(body: str, sent_at: float) -> Letter:
    """The letter in a message of any shape that can be in either queue.

    Understood are the relay's own message, the record of an asynchronous on-failure destination (a crash or time-out of
    OrderFunction) and a bare bus event (a rule's own dead letter). `sent_at` (unix seconds) is when the message was
    sent. Raises MalformedEvent, or IgnoredScope for an event that never was the relay's business.
    """
    message = strict_json.parse(body)
    if not isinstance(message, dict):
        raise MalformedEvent("a message must be a JSON object")
    if "order" in message:
        return _own(message, sent_at)
    if isinstance(message.get("requestPayload"), dict):
        context = message.get("requestContext")
        condition = context.get("condition", "failure") if isinstance(context, dict) else "failure"
        payload = message["requestPayload"]
        event = parse_bus_event(payload, event_time(payload, sent_at))
        return Letter(event, Cause.FUNCTION_FAILED, str(condition), sent_at, undelivered=True)
    if "detail-type" in message:
        event = parse_bus_event(message, event_time(message, sent_at))
        return Letter(event, Cause.NOT_DELIVERED, "the rule could not deliver the event", sent_at, undelivered=True)
    raise MalformedEvent("not a message of the relay, an on-failure record or a bus event")


def _own(message: dict[str, Any], sent_at: float) -> Letter:
    reason = message.get("reason")
    reason = reason if isinstance(reason, dict) else {}
    try:
        cause = Cause(reason.get("cause", ""))
    except ValueError:
        cause = Cause.UNREADABLE
    failed_at = reason.get("failed_at")
    if not isinstance(failed_at, int | float) or abs(failed_at) > LARGEST_ID:
        failed_at = sent_at  # JSON has integers that no float holds
    return Letter(
        event=parse_detail(message["order"], sent_at),
        cause=cause,
        detail=str(reason.get("detail", "")),
        failed_at=float(failed_at),
    )


class Queues:
    """Sends to RecoveryQueue and DeadLetterQueue. All methods raise botocore's errors when SQS refuses."""

    def __init__(self, client: Callable[[], SQSClient], recovery_url: str, dead_letter_url: str, clock: Clock) -> None:
        self._client = client
        self._recovery_url = recovery_url
        self._dead_letter_url = dead_letter_url
        self._clock = clock

    def send_late(self, event: OrderEvent, cause: Cause, detail: str, delay_seconds: float = 0.0) -> None:
        """Puts the order into RecoveryQueue, to be looked at after `delay_seconds`."""
        delay = min(max(round(delay_seconds), 0), LONGEST_DELAY_SECONDS)
        body = Letter(event, cause, detail, self._clock()).as_body()
        self._client().send_message(QueueUrl=self._recovery_url, MessageBody=body, DelaySeconds=delay)

    def dead_letter(self, event: OrderEvent, cause: Cause, detail: str) -> Letter:
        """Puts the order into DeadLetterQueue, where an operator finds it with its reason; answers the letter."""
        letter = Letter(event, cause, detail, round(self._clock(), 3))
        self._client().send_message(QueueUrl=self._dead_letter_url, MessageBody=letter.as_body())
        return letter

    def dead_letter_unread(self, body: str, detail: str) -> None:
        """Puts a message that cannot be read into DeadLetterQueue as it is; the reason goes along as an attribute."""
        reason: MessageAttributeValueTypeDef = {
            "DataType": "String",
            "StringValue": f"{Cause.UNREADABLE}: {detail}",
        }
        self._client().send_message(
            QueueUrl=self._dead_letter_url, MessageBody=body, MessageAttributes={"reason": reason}
        )
