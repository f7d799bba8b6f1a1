"""A time limit on pure computation, by the process's own alarm.

Python's regular expressions have no limit of their own, and one pattern in the hands of a patient buyer can take hours;
their matcher does look for signals, so an alarm ends it. Alternatives (other matchers, a process of its own) need
compiled packages or cost milliseconds: docs/decisions/0006-pure-python-layer.md.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


class TimeLimitExceeded(Exception):  # noqa: N818  as TimeoutError, which sockets already raise
    """The computation was ended."""


class TimeLimit:
    """A limit for several computations together. Main thread only, where Lambda runs its handlers."""

    def __init__(self, seconds: float) -> None:
        self._left_seconds = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ends the block with TimeLimitExceeded when the limit is used up, at once if it was used up before."""
        # Used up until the alarm is off again, which could ring while it is switched off.
        left_seconds, self._left_seconds = self._left_seconds, 0.0
        if not left_seconds:
            raise TimeLimitExceeded
        before = signal.signal(signal.SIGALRM, _end)
        try:
            signal.setitimer(signal.ITIMER_REAL, left_seconds)
            yield
        finally:
            self._left_seconds, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def _end(*_: object) -> NoReturn:
    raise TimeLimitExceeded
