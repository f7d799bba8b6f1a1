"""Strict JSON (RFC 8259): Python's decoder also accepts NaN, and runs out of stack on deep nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from handler.errors import MalformedEvent


def parse(text: str | bytes) -> Any:
    """The value in `text`.

    Raises MalformedEvent for anything that is not JSON in UTF-8, for NaN and Infinity, for numbers beyond what a
    float holds, for nesting too deep to decode, and for unpaired surrogates, which could not be written out again.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, parse_constant=_refuse_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("the body is not JSON in UTF-8 (RFC 8259)") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise ValueError("number out of range")
    return value
