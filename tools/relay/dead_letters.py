"""Reads, moves and deletes dead letters. None is lost, and none stays invisible for long."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from handler.errors import Cause, IgnoredScope, MalformedEvent
from handler.queues import Letter, read_letter
from handler.table.keys import order_id
from relay.selection import OTHER_SCOPE, Selection
from relay.timespan import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

VISIBILITY_TIMEOUT_SECONDS = 300
"""Visibility timeout of the messages that are read: others see them again after that, even if this process is killed."""

READING_SECONDS = 200.0
"""Reading stops after this time; the next run reads the rest."""

BATCH_SIZE = 10
"""Messages in one call of SQS, at most."""

WAIT_SECONDS = 1
"""Long polling: SQS asks all of its servers instead of a sample."""

EMPTY_RECEIVES = 2
"""The queue counts as read after so many receives in a row without a new message."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of DeadLetterQueue. If the message is unreadable, `letter` is None and `detail` says why."""

    message_id: str
    receipt_handle: str
    body: str
    sent_at: float
    message_attributes: dict[str, Any]
    letter: Letter | None
    cause: str
    detail: str

    @classmethod
    def of(cls, message: MessageTypeDef) -> DeadLetter:
        """A dead letter from a message of SQS."""
        body = message["Body"]
        sent_at = int(message["Attributes"]["SentTimestamp"]) / 1000
        attributes: dict[str, Any] = dict(message.get("MessageAttributes", {}))
        letter: Letter | None = None
        try:
            letter = read_letter(body, sent_at)
            cause, detail = str(letter.cause), letter.detail
        except IgnoredScope as error:
            cause, detail = OTHER_SCOPE, str(error)
        except MalformedEvent as error:
            reason = attributes.get("reason", {}).get("StringValue", "")
            cause, detail = str(Cause.UNREADABLE), reason.partition(": ")[2] or str(error)
        return cls(message["MessageId"], message["ReceiptHandle"], body, sent_at, attributes, letter, cause, detail)

    @property
    def store(self) -> str:
        """The store hash; empty if it is unknown."""
        return self.letter.event.store_hash if self.letter else ""

    @property
    def order(self) -> int | None:
        """The order number; None if it is unknown."""
        return self.letter.event.order_id if self.letter else None

    @property
    def failed_at(self) -> float:
        """When the order became a dead letter (Unix seconds)."""
        return self.letter.failed_at if self.letter else self.sent_at

    @property
    def name(self) -> str:
        """The order, or the message if the order is unknown, for people."""
        return f"order {self.order} of store {self.store}" if self.order else f"message {self.message_id}"

    @property
    def record_id(self) -> str:
        """The id of the idempotency record of the letter's event; empty if the message is unreadable."""
        if self.letter is None:
            return ""
        event = self.letter.event
        return order_id(event.store_hash, event.order_id, event.values_digest)

    def is_in(self, selection: Selection) -> bool:
        """Whether the selection has this letter."""
        return selection.takes(
            store=self.store, order=self.order, cause=self.cause, at=self.failed_at, message_id=self.message_id
        )

    def as_json(self) -> dict[str, Any]:
        """The letter for --json."""
        return {
            "message_id": self.message_id,
            "store": self.store or None,
            "order": self.order,
            "cause": self.cause,
            "detail": self.detail,
            "failed_at": iso(self.failed_at),
        }


class DeadLetters:
    """DeadLetterQueue."""

    def __init__(self, sqs: SQSClient, url: str, monotonic: Callable[[], float]) -> None:
        self._sqs = sqs
        self._url = url
        self._monotonic = monotonic
        self._held: dict[str, DeadLetter] = {}
        self.complete = True
        """Whether the last read reached the end of the queue."""

    @contextmanager
    def held(self) -> Iterator[list[DeadLetter]]:
        """All dead letters, each once, invisible to others until the end of the block. Raises botocore's errors."""
        try:
            self._receive()
            yield list(self._held.values())
        finally:
            self.release(list(self._held.values()))

    def release(self, letters: Iterable[DeadLetter]) -> None:
        """Makes these visible to others again. If SQS refuses, they become visible after their visibility timeout."""
        for batch in batches(letters):
            for dead in batch:
                self._held.pop(dead.message_id, None)
            entries = [
                {"Id": str(place), "ReceiptHandle": dead.receipt_handle, "VisibilityTimeout": 0}
                for place, dead in enumerate(batch)
            ]
            try:
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError):
                return

    def move(self, letters: Iterable[DeadLetter], to_url: str) -> Iterator[tuple[DeadLetter, str]]:
        """Sends each letter to another queue, then deletes it; yields an empty result on success, else the reason.

        A letter that cannot be sent stays in the queue. One that was sent but cannot be deleted is in both queues, which
        is harmless: finished orders are not processed again.
        """
        for batch in batches(letters):
            unsent = self._send(batch, to_url)
            undeleted = self.delete([dead for place, dead in enumerate(batch) if place not in unsent])
            for place, dead in enumerate(batch):
                if place in unsent:
                    yield dead, f"not moved: SQS refused ({unsent[place]})"
                elif dead.message_id in undeleted:
                    yield dead, f"moved, but a copy could not be deleted ({undeleted[dead.message_id]})"
                else:
                    yield dead, ""

    def delete(self, letters: Iterable[DeadLetter]) -> dict[str, str]:
        """Deletes these; returns why a letter could not be deleted, by message id."""
        failed: dict[str, str] = {}
        for batch in batches(letters):
            entries = [{"Id": str(place), "ReceiptHandle": dead.receipt_handle} for place, dead in enumerate(batch)]
            try:
                answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError) as error:
                failed |= {dead.message_id: type(error).__name__ for dead in batch}
            else:
                failed |= {batch[int(entry["Id"])].message_id: entry["Code"] for entry in answer.get("Failed", [])}
                for entry in answer.get("Successful", []):
                    self._held.pop(batch[int(entry["Id"])].message_id, None)
        return failed

    def _send(self, batch: list[DeadLetter], to_url: str) -> dict[int, str]:
        """Sends up to BATCH_SIZE letters; returns why a letter was not sent, by its index."""
        entries = [
            {"Id": str(place), "MessageBody": dead.body, "MessageAttributes": dead.message_attributes}
            for place, dead in enumerate(batch)
        ]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=to_url, Entries=entries)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            # The batch may be too large, or one message may be invalid: send them one by one.
            if len(batch) > 1:
                return {place: why for place, dead in enumerate(batch) for why in self._send([dead], to_url).values()}
            return {0: type(error).__name__}
        taken = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        refused = {int(entry["Id"]): entry["Code"] for entry in answer.get("Failed", [])}
        return {place: refused.get(place, "no result") for place in range(len(batch)) if place not in taken}

    def _receive(self) -> None:
        """Receives until the queue has no new message. A message that is received again gets its new receipt handle."""
        ends_at = self._monotonic() + READING_SECONDS
        empty_receives = 0
        while empty_receives < EMPTY_RECEIVES and (in_time := self._monotonic() < ends_at):
            messages = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH_SIZE,
                VisibilityTimeout=VISIBILITY_TIMEOUT_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            letters = {message["MessageId"]: DeadLetter.of(message) for message in messages}
            empty_receives = 0 if letters.keys() - self._held.keys() else empty_receives + 1
            self._held |= letters
        self.complete = in_time


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of BATCH_SIZE at most."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, BATCH_SIZE)):
        yield batch
