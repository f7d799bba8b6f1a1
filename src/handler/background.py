"""Work in a thread of its own, with the context (log keys, observations) of the one that began it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

Background = Callable[[Callable[[], None]], Callable[[float], None]]
"""Begins work; what it returns waits for the end of the work, for so many seconds at most. Tests pass their own."""


def in_thread(work: Callable[[], None]) -> Callable[[float], None]:
    """Begins `work`, which raises nothing. The process does not wait for it when it ends."""
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    return lambda seconds: thread.join(max(seconds, 0.0))
