"""The rows of a list in an API's answer, without invalid ones."""

from __future__ import annotations

from typing import Any

from handler.telemetry import Metric, count, logger
from handler.whole_number import whole_number


def usable_rows(rows: list[Any], api: str) -> list[dict[str, Any]]:
    """The rows that are objects with a whole number as "id" (returned as an int). Others are counted and logged."""
    usable = []
    for row in rows:
        row_id = whole_number(row.get("id"), least=1) if isinstance(row, dict) else None
        if row_id is None:
            count(Metric.RECONCILE_FAILED)
            logger.warning(
                "invalid row in an API list skipped", event="api.invalid_row", detail=f"{api}: the row has no usable id"
            )
        else:
            usable.append(row | {"id": row_id})
    return usable
