"""Whole numbers in JSON from outside: BigCommerce sometimes sends ids as text (bigcommerce/dev-docs #371)."""

from __future__ import annotations

import re
from typing import Any

LARGEST = 2**53
"""Above this, a JSON number cannot represent every whole number exactly."""

DIGITS = re.compile(r"\s*([0-9]{1,16})(?:\.0{1,8})?\s*", re.ASCII)


def whole_number(value: Any, least: int = 0) -> int | None:
    """`value` as an int: 250, 250.0, "250" and "250.00" are 250.

    None for anything else, and for numbers below `least` or above `LARGEST`.
    """
    if isinstance(value, str) and (found := DIGITS.fullmatch(value)):
        value = int(found.group(1))
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and least <= value <= LARGEST else None  # `true` is an int to Python
