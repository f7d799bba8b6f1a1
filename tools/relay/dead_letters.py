"""Reading and moving dead letters, without hiding one from anybody for long, and without ever losing one."""

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

HIDDEN_SECONDS = 300
"""What is being read is hidden for so long at most, even when this process is killed."""

READING_SECONDS = 200.0
"""After this long, what was read is dealt with, and the rest is left for the next call."""

AT_ONCE = 10
"""SQS takes so many messages in one call."""

WAIT_SECONDS = 1
"""With a wait all of SQS's servers are asked, without one only a sample of them."""

NOTHING_NEW = 2
"""The queue is taken for read after so many answers in a row without a new message: one alone may be chance."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of DeadLetterQueue. `letter` is None when the relay cannot read it; then `detail` says why."""

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
        """The message as SQS gives it."""
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
            told = attributes.get("reason", {}).get("StringValue", "")
            cause, detail = str(Cause.UNREADABLE), told.partition(": ")[2] or str(error)
        return cls(message["MessageId"], message["ReceiptHandle"], body, sent_at, attributes, letter, cause, detail)

    @property
    def store(self) -> str:
        """The store's hash, or nothing if it cannot be read."""
        return self.letter.event.store_hash if self.letter else ""

    @property
    def order(self) -> int | None:
        """The order's number, if it can be read."""
        return self.letter.event.order_id if self.letter else None

    @property
    def failed_at(self) -> float:
        """When it came to this (unix seconds)."""
        return self.letter.failed_at if self.letter else self.sent_at

    @property
    def name(self) -> str:
        """The order, or the message when no order can be read."""
        return f"order {self.order} of store {self.store}" if self.order else f"message {self.message_id}"

    @property
    def record_id(self) -> str:
        """The id of the idempotency record that says whether the letter's event is finished; empty if it is unreadable."""
        if self.letter is None:
            return ""
        event = self.letter.event
        return order_id(event.store_hash, event.order_id, event.values_digest)

    def is_in(self, selection: Selection) -> bool:
        """Whether this one is selected."""
        return selection.takes(
            store=self.store, order=self.order, cause=self.cause, at=self.failed_at, message_id=self.message_id
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "message_id": self.message_id,
            "store": self.store or None,
            "order": self.order,
            "cause": self.cause,
            "detail": self.detail,
            "failed_at": iso(self.failed_at),
        }


class DeadLetters:
    """DeadLetterQueue, as an operator works with it."""

    def __init__(self, sqs: SQSClient, url: str, monotonic: Callable[[], float]) -> None:
        self._sqs = sqs
        self._url = url
        self._monotonic = monotonic
        self._held: dict[str, DeadLetter] = {}
        self.complete = True
        """Whether the last reading came to the queue's end."""

    @contextmanager
    def held(self) -> Iterator[list[DeadLetter]]:
        """All dead letters, each once, hidden from others until the end of the block. Raises botocore's errors."""
        try:
            self._receive()
            yield list(self._held.values())
        finally:
            self.release(list(self._held.values()))

    def release(self, letters: Iterable[DeadLetter]) -> None:
        """Makes these visible to others again. One that is gone, or that SQS does not release now, returns by itself."""
        for some in batches(letters):
            for dead in some:
                self._held.pop(dead.message_id, None)
            entries = [
                {"Id": str(place), "ReceiptHandle": dead.receipt_handle, "VisibilityTimeout": 0}
                for place, dead in enumerate(some)
            ]
            try:
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError):
                return

    def move(self, letters: Iterable[DeadLetter], to_url: str) -> Iterator[tuple[DeadLetter, str]]:
        """Sends each to another queue and then deletes it here; tells each one's fate: nothing if it was moved, else why not.

        What cannot be sent stays. What was sent and cannot be deleted is in both queues, which is harmless: a finished
        order is not worked on twice.
        """
        for some in batches(letters):
            unsent = self._send(some, to_url)
            undeleted = self.delete([dead for place, dead in enumerate(some) if place not in unsent])
            for place, dead in enumerate(some):
                if place in unsent:
                    yield dead, f"it stays: SQS did not take it ({unsent[place]})"
                elif dead.message_id in undeleted:
                    yield dead, f"it was moved, but a copy stays ({undeleted[dead.message_id]})"
                else:
                    yield dead, ""

    def delete(self, letters: Iterable[DeadLetter]) -> dict[str, str]:
        """Deletes these for good; answers which could not be, by message id, and why."""
        failed: dict[str, str] = {}
        for some in batches(letters):
            entries = [{"Id": str(place), "ReceiptHandle": dead.receipt_handle} for place, dead in enumerate(some)]
            try:
                answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError) as error:
                failed |= {dead.message_id: type(error).__name__ for dead in some}
            else:
                failed |= {some[int(entry["Id"])].message_id: entry["Code"] for entry in answer.get("Failed", [])}
                for entry in answer.get("Successful", []):
                    self._held.pop(some[int(entry["Id"])].message_id, None)
        return failed

    def _send(self, some: list[DeadLetter], to_url: str) -> dict[int, str]:
        """Sends up to AT_ONCE; answers the places of those that were not taken, and why."""
        entries = [
            {"Id": str(place), "MessageBody": dead.body, "MessageAttributes": dead.message_attributes}
            for place, dead in enumerate(some)
        ]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=to_url, Entries=entries)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            # Perhaps too long all together, perhaps something worse: one by one, the good ones get through.
            if len(some) > 1:
                return {place: why for place, dead in enumerate(some) for why in self._send([dead], to_url).values()}
            return {0: type(error).__name__}
        taken = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        refused = {int(entry["Id"]): entry["Code"] for entry in answer.get("Failed", [])}
        return {place: refused.get(place, "no word of it") for place in range(len(some)) if place not in taken}

    def _receive(self) -> None:
        """Receives until the queue has no more; a message that comes again replaces its old handle."""
        ends_at = self._monotonic() + READING_SECONDS
        nothing_new = 0
        while nothing_new < NOTHING_NEW and (in_time := self._monotonic() < ends_at):
            messages = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=AT_ONCE,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            letters = {message["MessageId"]: DeadLetter.of(message) for message in messages}
            nothing_new = 0 if letters.keys() - self._held.keys() else nothing_new + 1
            self._held |= letters
        self.complete = in_time


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists as long as SQS takes."""
    remaining = iter(items)
    while some := list(itertools.islice(remaining, AT_ONCE)):
        yield some
