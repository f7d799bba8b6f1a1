"""The content of a B2B record: the desired values, and those that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Content:
    """Desired values for a record: the PO number and extra fields (name, value). Empty values are not sent."""

    po_number: str = ""
    extra_fields: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields of a request body, without empty values, so that no value is overwritten with an empty one."""
        return body_fields(self.po_number, self.extra_fields)


@dataclass(frozen=True, slots=True)
class Record:
    """The values of a record, in their original types, so that an update can repeat them.

    `extra_fields` is None when the record has extra fields in an undocumented format.
    """

    po_number: Any = None
    extra_fields: tuple[tuple[str, Any], ...] | None = ()


def body_fields(po_number: Any, extra_fields: Collection[tuple[str, Any]]) -> dict[str, Any]:
    """`poNumber` and `extraFields` of a request body, without empty values."""
    body: dict[str, Any] = {}
    if not is_empty(po_number):
        body["poNumber"] = po_number
    if rows := [{"fieldName": name, "fieldValue": value} for name, value in extra_fields if not is_empty(value)]:
        body["extraFields"] = rows
    return body


def is_empty(value: Any) -> bool:
    """Whether a value is null or an empty text, which the checkout also stores. `false` and 0 are values."""
    return value is None or value == ""


def values_in(body: dict[str, Any]) -> set[str]:
    """The buyer's texts in a request body, which must not appear in a log or a queue message."""
    values = [body.get("poNumber"), *(row["fieldValue"] for row in body.get("extraFields", ()))]
    return {value for value in values if isinstance(value, str)}
