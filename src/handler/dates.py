"""RFC 2822 dates: the core API's dates, and `Retry-After`."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime


def unix_seconds(text: str) -> float | None:
    """The date in `text` (RFC 2822 or ISO 8601) in unix seconds, or None. UTC when it has no time zone."""
    parsed = email.utils.parsedate_tz(text)
    try:
        if parsed is not None:
            return float(email.utils.mktime_tz((*parsed[:9], parsed[9] or 0)))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        # The parser accepts years and months that do not exist.
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def rfc2822(seconds: float) -> str:
    """`seconds` (unix seconds) as an RFC 2822 date with the offset `+0000`, as in the published examples."""
    return email.utils.format_datetime(datetime.fromtimestamp(int(seconds), UTC))
