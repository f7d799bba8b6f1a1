"""Parses how long a header says to wait: a number, a duration with units, or a date."""

from __future__ import annotations

import re

from handler.dates import unix_seconds

UNITS_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 0.001,
    "msec": 0.001,
    "millisecond": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}

PART = re.compile(r"(\d{1,15}(?:[.,]\d{1,15})?) ?([a-zµ]*)\.?(?:,| and\b)? ?")
"""One part of a duration: a number and its unit."""

LONGEST_TEXT = 64
FIRST_MOMENT = 1e9
"""Larger numbers are a time in unix seconds (2001), not a duration."""


def seconds_to_wait(text: str, unit_seconds: float, now: float) -> float | None:
    """The seconds to wait from `now` (unix seconds) by a header's `text`, never negative; None when it is invalid.

    A number without a unit counts in `unit_seconds`. Durations such as `1m0s`, `2 minutes`, `PT1M30S` and `0.39 s` have
    units (urllib3 #1822).
    """
    text = " ".join(text[: LONGEST_TEXT + 1].lower().split())
    if not text or len(text) > LONGEST_TEXT:
        return None
    seconds = _length(text, unit_seconds)
    if seconds is None:
        seconds = unix_seconds(text)
        return None if seconds is None else max(0.0, seconds - now)
    return max(0.0, seconds - now if seconds > FIRST_MOMENT else seconds)


def _length(text: str, unit_seconds: float) -> float | None:
    """The duration in seconds, or None when `text` is not a duration.

    Parts with units are added; of several numbers without a unit (a repeated header) the largest counts.
    """
    sign, text = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if text.startswith("p"):  # ISO 8601
        text = text[1:].replace("t", "", 1)
    lengths: list[float] = []
    units: set[str] = set()
    while text:
        part = PART.match(text)
        if part is None:
            return None
        number, unit = float(part[1].replace(",", ".")), part[2]
        seconds = UNITS_SECONDS.get(unit) or UNITS_SECONDS.get(unit.removesuffix("s")) if unit else unit_seconds
        if seconds is None:
            return None
        lengths.append(number * seconds)
        units.add(unit)
        text = text[part.end() :]
    if not lengths:
        return None
    return sign * (max(lengths) if units == {""} else sum(lengths))
