"""The functions' logs, followed: each event is read once, however many threads ask."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAP_MS = 10_000
"""Read again each time: an event may become readable after a newer one."""
EVENTS_AT_ONCE = 10_000
"""ministack gives so many at most, and no token for the next page."""

FACTS = (
    "event",
    "outcome",
    "cause",
    "detail",
    "status",
    "reason",
    "attempt",
    "tries",
    "window_left_seconds",
    "rule",
    "check",
    "error",
)
"""The fields of a line that are shown beside its message."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One structured line. `version` is that of the function that wrote it."""

    at: float
    function: str
    version: str
    level: str
    message: str
    store: str
    order: int | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """What became of the order; empty for other lines."""
        return str(self.facts.get("outcome", ""))

    @classmethod
    def read(cls, function: str, written_ms: int, text: str) -> LogLine | None:
        """The line in an event's text, or None for what is no line of the relay's: metrics, and the platform's own words."""
        try:
            entry = json.loads(text)
        except ValueError:
            return None
        if not isinstance(entry, dict) or "message" not in entry:
            return None
        return cls(
            at=_moment(str(entry.get("timestamp", "")), written_ms / 1000),
            function=function,
            version=str(entry.get("function_arn", "")).rpartition(":")[2],
            level=str(entry.get("level", "")),
            message=str(entry["message"]),
            store=str(entry.get("store", "")),
            order=entry.get("order"),
            facts={name: entry[name] for name in FACTS if entry.get(name) not in {None, ""}},
        )


class LogFollower:
    """Follows log groups. Threads may share it."""

    def __init__(self, client: Any, groups: Mapping[str, str]) -> None:
        """`client` is CloudWatch Logs; `groups` are the log groups, by the function's name."""
        self._client = client
        self._groups = dict(groups)
        self._lock = threading.Lock()
        self._refreshed_at = float("-inf")
        self._newest_ms = dict.fromkeys(groups, 0)
        self._seen: set[tuple[str, str, int, str]] = set()
        self._events: dict[str, list[tuple[int, str]]] = {function: [] for function in groups}
        self._lines: dict[tuple[str, int | None], list[LogLine]] = defaultdict(list)

    def refresh(self, max_age_seconds: float = 0.0) -> None:
        """Read what is new, unless that was done within `max_age_seconds`. Raises botocore's errors."""
        with self._lock:
            if time.monotonic() - self._refreshed_at < max_age_seconds:
                return
            for function in self._groups:
                while self._read(function) >= EVENTS_AT_ONCE:
                    pass
            self._refreshed_at = time.monotonic()

    def events(self, function: str) -> list[tuple[int, str]]:
        """Everything that a function has written, oldest first: unix milliseconds and text."""
        return sorted(self._events[function], key=lambda event: event[0])

    def of_order(self, store: str, order: int) -> list[LogLine]:
        """The structured lines about one order, oldest first."""
        return sorted(self._lines[store, order], key=lambda line: line.at)

    def _read(self, function: str) -> int:
        """Read on from the newest event; the number of events, or 0 when none of them is new."""
        since, before = max(0, self._newest_ms[function] - OVERLAP_MS), len(self._seen)
        events = self._client.filter_log_events(
            logGroupName=self._groups[function], startTime=since, limit=EVENTS_AT_ONCE
        )["events"]
        for event in events:
            at, message = event["timestamp"], event["message"].rstrip("\n")
            self._newest_ms[function] = max(self._newest_ms[function], at)
            key = (function, event["logStreamName"], at, message)
            if key not in self._seen:
                self._seen.add(key)
                self._events[function].append((at, message))
                if line := LogLine.read(function, at, message):
                    self._lines[line.store, line.order].append(line)
        return len(events) if len(self._seen) > before else 0


def _moment(text: str, otherwise: float) -> float:
    """Powertools' own date, which has milliseconds; an emulator's date is that of the invocation's end."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
    except ValueError:
        return otherwise
