"""Durations and times as an operator types them: `2h`, `3d`, `2026-11-01`, `2026-11-01T08:30`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import typer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhdw])")


def seconds(text: str) -> float:
    """A duration in seconds. Raises typer.BadParameter."""
    found = SPAN.fullmatch(text.strip().lower())
    if not found:
        raise typer.BadParameter(f"{text!r} is not a duration; examples: 90s, 15m, 2h or 3d")
    return float(found[1]) * UNITS[found[2]]


def moment(text: str, now: float) -> float:
    """A time in Unix seconds: a date or a time (UTC by default), or a duration before `now`. Raises typer.BadParameter."""
    if SPAN.fullmatch(text.strip().lower()):
        return now - seconds(text)
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time; examples: 2026-11-01, 2026-11-01T08:30 (UTC), 6h (ago)"
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def clock_time(at: float) -> str:
    """A time for people, in UTC as in the logs."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # a message can contain any number
        return f"{at:.0f} unix seconds"


def iso(at: float | None) -> str | None:
    """A time in ISO 8601, UTC; None for None and for times out of range."""
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None


def rough(length_seconds: float) -> str:
    """A duration for people, in the largest unit that fits twice."""
    for unit, size in reversed(UNITS.items()):
        if unit != "w" and length_seconds >= 2 * size:
            return f"{length_seconds / size:.0f} {unit}"
    return f"{max(length_seconds, 0):.0f} s"
