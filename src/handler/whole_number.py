"""Whole numbers as JSON from outside really has them: BigCommerce sends ids as text now and then (dev-docs #371)."""

from __future__ import annotations

import re
from typing import Any

LARGEST = 2**53
"""Beyond this, not every whole number is a JSON number of its own."""

DIGITS = re.compile(r"\s*([0-9]{1,16})(?:\.0{1,8})?\s*", re.ASCII)


def whole_number(value: Any) -> int | None:
    """The number that `value` is without any doubt: 250, 250.0, "250" and "250.00" are 250. None for anything else."""
    if isinstance(value, str) and (found := DIGITS.fullmatch(value)):
        return int(found.group(1))
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
