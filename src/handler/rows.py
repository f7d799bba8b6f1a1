"""Ids and list rows in the APIs' answers: ids arrive as text now and then, and a row can lack its id."""

from __future__ import annotations

import re
from typing import Any

from handler.order_event import LARGEST_ID
from handler.telemetry import Metric, count, logger

DIGITS = re.compile(r"([0-9]{1,16})(?:\.0+)?")


def whole_number(value: Any, least: int = 1) -> int | None:
    """`value` as a whole number from `least` to 2**53, also when it is written as text; None for anything else."""
    if isinstance(value, str) and (digits := DIGITS.fullmatch(value)):
        value = int(digits[1])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and least <= value <= LARGEST_ID else None  # `true` is an int to Python


def usable_rows(rows: list[Any], api: str) -> list[dict[str, Any]]:
    """The rows that are objects with a whole number as "id", which becomes an int. The others are counted and logged."""
    usable = []
    for row in rows:
        row_id = whole_number(row.get("id")) if isinstance(row, dict) else None
        if row_id is None:
            count(Metric.RECONCILE_FAILED)
            logger.warning("a row of a list was skipped", detail=f"{api}: the row has no usable id")
        else:
            usable.append(row | {"id": row_id})
    return usable
