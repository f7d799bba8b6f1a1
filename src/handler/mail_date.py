"""Dates as mail and HTTP headers have them (RFC 2822): the core API's `date_created`, and `Retry-After`."""

from __future__ import annotations

import email.utils


def unix_seconds(text: str) -> float | None:
    """The moment that `text` names, or None when it names none. Without a zone it is the process's own, UTC on Lambda."""
    parsed = email.utils.parsedate_tz(text)
    if parsed is None:
        return None
    try:
        return float(email.utils.mktime_tz(parsed))
    except (ValueError, OverflowError):
        # The parser takes years and months that no calendar has.
        return None
