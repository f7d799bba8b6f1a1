"""The queues as the page shows them, and what it can do with a dead letter. It is the operator's own code that does it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.dead_letters import DeadLetter, DeadLetters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_sqs import SQSClient


class NoDeadLetter(Exception):  # noqa: N818  says what happened
    """The dead letter is not there (any more), or somebody else holds it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue has: to be had at once, and hidden while they are worked on or wait for their time."""

    waiting: int = 0
    hidden: int = 0

    @property
    def all(self) -> int:
        """All of them."""
        return self.waiting + self.hidden


class QueueFollower:
    """Follows both queues. Dead letters are read only when their number has changed: reading hides them for a moment."""

    def __init__(
        self,
        sqs: SQSClient,
        outputs: Mapping[str, str],
        depths: Callable[[], Mapping[str, tuple[int, int]]],
        monotonic: Callable[[], float],
    ) -> None:
        """`outputs` are the stack's; `depths` tells how many messages each queue has, waiting and hidden."""
        self._sqs = sqs
        self._recovery_url = outputs["RecoveryQueueUrl"]
        self._dead_letter_url = outputs["DeadLetterQueueUrl"]
        self._depths = depths
        self._monotonic = monotonic
        self._reading = threading.Lock()
        self._known = 0
        self.recovery = Depth()
        self.dead = Depth()
        self.letters: tuple[DeadLetter, ...] = ()
        self._gone: set[tuple[str, int | None]] = set()

    def refresh(self) -> None:
        """Takes in how it stands now. Raises botocore's errors."""
        with self._reading:
            self._count()
            if self.dead.all == 0:
                self._keep([])
            elif self.dead.hidden == 0 and self.dead.waiting != self._known:
                queue = self._queue()
                with queue.held() as letters:
                    self._keep(letters)

    def redrive(self, message_id: str) -> DeadLetter:
        """Puts a dead letter back to work. Raises NoDeadLetter with a sentence, or botocore's errors."""
        return self._take(message_id, lambda queue, letter: next(queue.move([letter], self._recovery_url))[1])

    def drop(self, message_id: str) -> DeadLetter:
        """Deletes a dead letter for good. Raises NoDeadLetter with a sentence, or botocore's errors."""
        return self._take(message_id, lambda queue, letter: queue.delete([letter]).get(letter.message_id, ""))

    def of_order(self, store: str, order: int) -> DeadLetter | None:
        """The order's dead letter."""
        return next((letter for letter in self.letters if (letter.store, letter.order) == (store, order)), None)

    def _take(self, message_id: str, act: Callable[[DeadLetters, DeadLetter], str]) -> DeadLetter:
        with self._reading:
            queue = self._queue()
            with queue.held() as letters:
                letter = next((letter for letter in letters if letter.message_id == message_id), None)
                if letter is None:
                    self._keep(letters)
                    raise NoDeadLetter("This dead letter is gone: somebody else has taken it.")
                if error := act(queue, letter):
                    raise NoDeadLetter(f"The dead letter stays: {error}")
                self._keep([other for other in letters if other is not letter])
            self._count()
        return letter

    def has_left(self, store: str, order: int) -> bool:
        """Whether the order had a dead letter that is there no longer: redriven or dropped, here or elsewhere."""
        return (store, order) in self._gone and self.of_order(store, order) is None

    def _count(self) -> None:
        depths = self._depths()
        self.recovery, self.dead = Depth(*depths["RecoveryQueue"]), Depth(*depths["DeadLetterQueue"])

    def _keep(self, letters: list[DeadLetter]) -> None:
        self._known = len(letters)
        self._gone |= {(letter.store, letter.order) for letter in self.letters}
        self.letters = tuple(sorted(letters, key=lambda letter: letter.failed_at))

    def _queue(self) -> DeadLetters:
        return DeadLetters(self._sqs, self._dead_letter_url, self._monotonic)
