"""Tolerant JSON parsing, for API responses. Webhooks, messages and secrets are parsed with `strict_json`."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
"""Levels of nesting: an order has about six."""

REPLACEMENT = "\ufffd"
SURROGATE = re.compile("[\ud800-\udfff]")
CHARSET = re.compile(r"charset\s*=\s*[\"']?((?:iso-8859|latin|windows|cp|koi8|gb|big5|euc|shift)[\w-]*)", re.IGNORECASE)
"""The charset of a Content-Type. Other names are ignored: Python has codecs that are slow, or no charsets."""


def parse(body: bytes, content_type: str = "") -> Any:
    """The value in `body`, or None when it is not JSON, too deeply nested, or has an integer of thousands of digits.

    The value can be encoded as JSON in UTF-8: unpaired surrogates become U+FFFD; NaN, Infinity and numbers out of range
    become None.
    """
    try:
        # Not strict: some answers have a line break inside a string.
        value = json.loads(text(body, content_type), parse_constant=lambda _: None, parse_float=_finite, strict=False)
        return _clean(value, DEEPEST)
    except (ValueError, RecursionError):
        return None


def text(body: bytes, content_type: str = "") -> str:
    """`body` decoded, without byte order mark and surrounding white space.

    JSON is UTF-8 (RFC 8259, 8.1), so that is tried before the charset of `content_type`, which is often wrong.
    """
    encoding = json.detect_encoding(body)
    charset = CHARSET.search(content_type)
    return (
        _decoded(body, encoding)
        or _decoded(body, charset.group(1) if charset else "")
        or body.decode(encoding, "replace")
    ).strip("\ufeff\0 \t\r\n")


def _decoded(body: bytes, encoding: str) -> str | None:
    try:
        return body.decode(encoding)
    except (LookupError, UnicodeError):
        return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return None if value in {float("inf"), float("-inf")} else value


def _clean(value: Any, levels: int) -> Any:
    """The value without unpaired surrogates. Raises ValueError when it has more than `levels` levels."""
    if isinstance(value, str):
        return SURROGATE.sub(REPLACEMENT, value)
    if not isinstance(value, (dict, list)):
        return value
    if not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_clean(item, levels - 1) for item in value]
    return {SURROGATE.sub(REPLACEMENT, key): _clean(item, levels - 1) for key, item in value.items()}
