"""Runs work in a thread, with the context (log keys, observations) of its caller."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

Background = Callable[[Callable[[], None]], Callable[[float], None]]
"""Starts work, and returns a function that waits for its end, for at most the given seconds. Tests pass a fake."""


def in_thread(work: Callable[[], None]) -> Callable[[float], None]:
    """Starts `work`, which must not raise, in a daemon thread."""
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    return lambda seconds: thread.join(max(seconds, 0.0))
