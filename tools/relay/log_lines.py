"""Reads the functions' log lines from CloudWatch Logs."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.context import Context

MAX_LINES = 500


class Event(NamedTuple):
    """One log event: its id, its time in CloudWatch Logs (Unix seconds), and its JSON line with `at` and `group` added.

    The line is empty if the event is not JSON, such as the messages of the Lambda platform.
    """

    id: str
    at: float
    line: dict[str, Any]


def lines(context: Context, groups: list[str], hours: float, **fields: Any) -> list[dict[str, Any]]:
    """The JSON lines of the last hours with exactly these fields, oldest first, MAX_LINES of each group at most."""
    # A quoted string in the pattern matches literally.
    terms = " && ".join(f"$.{name} = {json.dumps(value)}" for name, value in fields.items())
    found: list[dict[str, Any]] = []
    for group in groups:
        of_group = 0
        for _, _, line in events(context, group, f"{{ {terms} }}", context.clock() - hours * 3600):
            # Filtered again: emulators match everything with a pattern of this form.
            if all(line.get(name) == value for name, value in fields.items()):
                found.append(line)
                of_group += 1
            if of_group == MAX_LINES:
                break
    return sorted(found, key=lambda line: line["at"])


def events(context: Context, group: str, pattern: str, since: float, until: float | None = None) -> Iterator[Event]:
    """The log events of a group between two times (Unix seconds), roughly oldest first.

    Yields nothing if the group does not exist because the function has not run yet. Raises botocore's errors.
    """
    period: dict[str, Any] = {"startTime": int(max(since, 0) * 1000)}
    if until is not None:
        period["endTime"] = int(until * 1000)
    pages = context.logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=pattern, **period
    )
    try:
        for page in pages:
            for event in page["events"]:
                at = event.get("timestamp", 0) / 1000
                line = _parsed(event.get("message", ""))
                identity = event.get("eventId") or f"{event.get('logStreamName')} {at} {event.get('message')}"
                yield Event(identity, at, line and line | {"at": _moment(line.get("timestamp"), at), "group": group})
    except context.logs.exceptions.ResourceNotFoundException:
        return


def _parsed(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _moment(text: Any, otherwise: float) -> float:
    """The timestamp that Powertools wrote; an emulator gives an event the time of the invocation's end."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return otherwise
