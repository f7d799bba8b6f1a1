"""A time limit on computation, by an alarm signal.

Python's regular expressions have no time limit, and a pattern can take hours on a text that a buyer made for it. The
matcher checks for signals, so an alarm ends it. Alternatives (other matchers, a process of its own) need compiled
packages or cost milliseconds: docs/decisions/0006-pure-python-layer.md.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


class TimeLimitExceeded(Exception):  # noqa: N818  TimeoutError is what sockets raise
    """The computation took longer than its limit."""


class TimeLimit:
    """A limit in seconds for several computations together. Works in the main thread only, where Lambda runs handlers."""

    def __init__(self, seconds: float) -> None:
        self._left_seconds = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raises TimeLimitExceeded in the block when the limit is used up, at once if it already is."""
        # Zero until the alarm is off: it could go off while it is being cancelled.
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
