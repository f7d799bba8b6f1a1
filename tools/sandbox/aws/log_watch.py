"""The functions' log lines, read while they come: each line once, in the order in which they were written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

OVERLAP_MS = 10_000
"""Looked at again each time: a line may become readable after a younger one."""

TOLD = (
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
"""What of a line is worth telling beside its message."""
OBSERVED = ("calls", "sources_refused", "sources_unavailable")


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
    observed: dict[str, Any] = field(default_factory=dict)
    """What an outcome's line tells of calls and sources."""

    @property
    def outcome(self) -> str:
        """What became of the order, in the relay's own word; nothing for other lines."""
        return "" if "status" in self.facts else str(self.facts.get("outcome", ""))

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
            observed={name: entry[name] for name in OBSERVED if entry.get(name)},
            facts={name: entry[name] for name in TOLD if entry.get(name) not in {None, ""}},
        )


class LogWatch:
    """Follows log groups. Not for two threads at once; what it has found may be read by any."""

    def __init__(self, client: CloudWatchLogsClient, groups: Mapping[str, str]) -> None:
        """`groups` are log groups by the name under which their lines are told."""
        self._client = client
        self._groups = dict(groups)
        self._newest_ms = dict.fromkeys(groups, 0)
        self._seen: set[tuple[str, str, int, str]] = set()
        self._lines: tuple[LogLine, ...] = ()

    def look(self) -> None:
        """Takes in what was written since the last look. Raises botocore's errors."""
        fresh = [line for function in self._groups for line in self._fresh(function)]
        if fresh:
            self._lines = tuple(sorted((*self._lines, *fresh), key=lambda line: line.at))

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """All lines so far, the oldest first."""
        return self._lines

    def of_order(self, store: str, order: int) -> list[LogLine]:
        """The lines about one order."""
        return [line for line in self._lines if (line.store, line.order) == (store, order)]

    def _fresh(self, function: str) -> Iterator[LogLine]:
        since = max(0, self._newest_ms[function] - OVERLAP_MS)
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=self._groups[function], startTime=since
        )
        for page in pages:
            for event in page["events"]:
                at, text = event.get("timestamp", 0), event.get("message", "")
                key = (function, event.get("logStreamName", ""), at, text)
                self._newest_ms[function] = max(self._newest_ms[function], at)
                if key not in self._seen:
                    self._seen.add(key)
                    if line := LogLine.read(function, at, text):
                        yield line


def _moment(text: str, otherwise: float) -> float:
    """Powertools' own date, which has milliseconds; an emulator's date is that of the invocation's end."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
    except ValueError:
        return otherwise
