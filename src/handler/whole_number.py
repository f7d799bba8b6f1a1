"""Whole numbers as JSON from outside really has them: BigCommerce sends ids as text now and then (dev-docs #371)."""

from __future__ import annotations

import re
from typing import Any

LARGEST = 2**53
"""Beyond this, not every whole number is a JSON number of its own."""

DIGITS = re.compile(r"\s*([0-9]{1,16})(?:\.0{1,8})?\s*", re.ASCII)


def whole_number(value: Any, least: int = 0) -> int | None:
    """The number that `value` is without any doubt: 250, 250.0, "250" and "250.00" are 250.

    None for anything else, and for what is less than `least` or more than `LARGEST`.
    """
    if isinstance(value, str) and (found := DIGITS.fullmatch(value)):
        value = int(found.group(1))
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and least <= value <= LARGEST else None  # `true` is an int to Python
