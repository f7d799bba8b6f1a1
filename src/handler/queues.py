"""RecoveryQueue and DeadLetterQueue: writes and reads their messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler import strict_json
from handler.aws_errors import error_code
from handler.errors import Cause, MalformedEvent
from handler.order_event import LARGEST_ID, OrderEvent, event_time, parse_bus_event, parse_detail
from handler.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

    from handler.deadline import Clock

LONGEST_DELAY_SECONDS = 900
"""SQS delays a new message by this much at most."""


@dataclass(frozen=True, slots=True)
class Message:
    """A received SQS message: `receipts` counts how often it was received, including now; `sent_at` is in unix seconds."""

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


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a message: an order event, and why it is in the queue.

    `cause` and `detail` say what failed, at `failed_at` (unix seconds). `undelivered`: AWS sent the message, in its own
    format, since OrderFunction crashed or could not be invoked.
    """

    event: OrderEvent
    cause: Cause
    detail: str
    failed_at: float
    undelivered: bool = False

    def as_body(self) -> str:
        """The message body. It holds no secret, and no buyer's data except what the merchant's own producer sent."""
        reason = {"cause": self.cause, "detail": self.detail, "failed_at": round(self.failed_at, 3)}
        return json.dumps({"order": self.event.as_detail(), "reason": reason})


def read_letter(body: str, sent_at: float) -> Letter:
    """Reads a message body of either queue.

    The formats are the relay's own, the record of Lambda's on-failure destination (OrderFunction crashed or timed out),
    and a bus event (EventBridge could not deliver it). `sent_at` (unix seconds) is when the message was sent. Raises
    MalformedEvent, or IgnoredScope for an event of another scope.
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
    """Sends to RecoveryQueue and DeadLetterQueue. All methods but `delay` raise botocore's errors when SQS refuses."""

    def __init__(self, client: Callable[[], SQSClient], recovery_url: str, dead_letter_url: str, clock: Clock) -> None:
        self._client = client
        self._recovery_url = recovery_url
        self._dead_letter_url = dead_letter_url
        self._clock = clock

    def send_late(self, event: OrderEvent, cause: Cause, detail: str, delay_seconds: float = 0.0) -> None:
        """Sends the order to RecoveryQueue, visible after `delay_seconds` (at most LONGEST_DELAY_SECONDS)."""
        delay = min(max(round(delay_seconds), 0), LONGEST_DELAY_SECONDS)
        body = Letter(event, cause, detail, self._clock()).as_body()
        self._client().send_message(QueueUrl=self._recovery_url, MessageBody=body, DelaySeconds=delay)

    def dead_letter(self, event: OrderEvent, cause: Cause, detail: str) -> Letter:
        """Sends the order to DeadLetterQueue with the reason. Returns what was sent."""
        letter = Letter(event, cause, detail, round(self._clock(), 3))
        self._client().send_message(QueueUrl=self._dead_letter_url, MessageBody=letter.as_body())
        return letter

    def dead_letter_unread(self, body: str, detail: str) -> None:
        """Sends a message that cannot be parsed to DeadLetterQueue unchanged, with the reason as a message attribute."""
        reason: MessageAttributeValueTypeDef = {
            "DataType": "String",
            "StringValue": f"{Cause.UNREADABLE}: {detail}",
        }
        self._client().send_message(
            QueueUrl=self._dead_letter_url, MessageBody=body, MessageAttributes={"reason": reason}
        )

    def delay(self, message: Message, seconds: float) -> None:
        """Makes a message of RecoveryQueue visible again after `seconds` (see `backoff`). A failure is logged and ignored."""
        try:
            self._client().change_message_visibility(
                QueueUrl=self._recovery_url,
                ReceiptHandle=message.receipt_handle,
                VisibilityTimeout=round(seconds),
            )
        except (ClientError, BotoCoreError) as error:
            # The message becomes visible again after the queue's own visibility timeout.
            logger.warning("could not set the delay of a message", event="queue.delay_failed", error=error_code(error))
