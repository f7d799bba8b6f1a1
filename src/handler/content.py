"""What a B2B record carries: the values that the relay wants on it, and those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Content:
    """What a record shall carry of ours: the PO number and extra fields by name. Empty means: nothing."""

    po_number: str = ""
    extra_fields: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields of a request body; what is empty is left out, so that nothing is ever overwritten with nothing."""
        return body_fields(self.po_number, self.extra_fields)


@dataclass(frozen=True, slots=True)
class Record:
    """What a record carries. Values have the type they came with, so that they can be sent back as they were.

    `extra_fields` is None when the record has extra fields in a shape that is not documented.
    """

    po_number: Any = None
    extra_fields: tuple[tuple[str, Any], ...] | None = ()


def body_fields(po_number: Any, extra_fields: Collection[tuple[str, Any]]) -> dict[str, Any]:
    """`poNumber` and `extraFields` of a request body, without what is empty."""
    body: dict[str, Any] = {}
    if not is_empty(po_number):
        body["poNumber"] = po_number
    if rows := [{"fieldName": name, "fieldValue": value} for name, value in extra_fields if not is_empty(value)]:
        body["extraFields"] = rows
    return body


def is_empty(value: Any) -> bool:
    """Whether a record's value is none: the checkout stores empty texts, too. `false` and 0 are values."""
    return value is None or value == ""


def values_in(body: dict[str, Any]) -> set[str]:
    """The texts that a request body holds of the buyer: no log and no queue's reason may repeat them."""
    values = [body.get("poNumber"), *(row["fieldValue"] for row in body.get("extraFields", ()))]
    return {value for value in values if isinstance(value, str)}
