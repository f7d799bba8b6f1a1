"""Collects details while an order is processed, for the log line of its outcome (`relay watch`, `relay report`).

They hold no buyer's data: numbers, names of endpoints and names of rules.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CALLS = 24
"""Only the first calls are logged, so that a line stays far below the 256 KB of CloudWatch Logs."""


@dataclass(slots=True)
class _Observations:
    created_at: float
    calls: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


_current: ContextVar[_Observations | None] = ContextVar("observations", default=None)


@contextmanager
def observing(created_at: float) -> Iterator[None]:
    """Collects observations inside the block, for an order created at `created_at` (unix seconds)."""
    token = _current.set(_Observations(created_at))
    try:
        yield
    finally:
        _current.reset(token)


def observe(created_at: float, **facts: Any) -> None:
    """Adds `facts` to the outcome's log line, without empty lists. `created_at` (unix seconds) is the corrected creation time."""
    if seen := _current.get():
        seen.created_at = created_at
        seen.facts |= {name: fact for name, fact in facts.items() if fact != []}


def observe_call(began_at: float, call: dict[str, Any]) -> None:
    """Adds an API call that began at `began_at` (unix seconds)."""
    if (seen := _current.get()) and len(seen.calls) < MOST_CALLS:
        seen.calls.append((began_at, call))


def observed() -> dict[str, Any]:
    """The fields of the outcome's log line: the facts, and `calls`, each with the order's `age` when it began."""
    seen = _current.get()
    if seen is None:
        return {}
    calls = [call | {"age": round(began_at - seen.created_at, 2)} for began_at, call in seen.calls]
    return seen.facts | ({"calls": calls} if calls else {})
