"""Dates as mail and HTTP headers have them (RFC 2822): the core API's dates, and `Retry-After`."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime


def unix_seconds(text: str) -> float | None:
    """The moment that `text` names, or None when it names none. ISO 8601 is read too. Without a zone it is UTC."""
    parsed = email.utils.parsedate_tz(text)
    try:
        if parsed is not None:
            return float(email.utils.mktime_tz((*parsed[:9], parsed[9] or 0)))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        # The parser takes years and months that no calendar has.
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def mail_date(seconds: float) -> str:
    """The moment `seconds` (unix seconds) as a date with the offset `+0000`; the published examples have a numeric one."""
    return email.utils.format_datetime(datetime.fromtimestamp(int(seconds), UTC))
