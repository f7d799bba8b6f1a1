"""The functions' own log lines, out of CloudWatch Logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.desk import Desk

MOST_LINES = 500


def lines(desk: Desk, groups: list[str], hours: float, **fields: Any) -> list[dict[str, Any]]:
    """The structured lines of the last hours with exactly these fields, oldest first, MOST_LINES of each group at most."""
    # A quoted text in the pattern stands for itself.
    terms = " && ".join(f"$.{name} = {json.dumps(value)}" for name, value in fields.items())
    found: list[dict[str, Any]] = []
    for group in groups:
        found += _of_group(desk, group, f"{{ {terms} }}", hours, fields)
    return sorted(found, key=lambda line: line["at"])


def _of_group(desk: Desk, group: str, pattern: str, hours: float, fields: dict[str, Any]) -> list[dict[str, Any]]:
    pages = desk.logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=pattern, startTime=int((desk.clock() - hours * 3600) * 1000)
    )
    found: list[dict[str, Any]] = []
    try:
        for page in pages:
            for event in page["events"]:
                line = _parsed(event.get("message", ""))
                # Filtered once more: emulators take a pattern of this form for "everything".
                if all(line.get(name) == value for name, value in fields.items()):
                    found.append(line | {"at": event["timestamp"] / 1000, "group": group})
            if len(found) >= MOST_LINES:
                break
    except desk.logs.exceptions.ResourceNotFoundException:
        return []  # the function has not run yet
    return found[:MOST_LINES]


def _parsed(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
