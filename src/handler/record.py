"""Updating an existing B2B record: read, merge, update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.content import body_fields, is_empty
from handler.errors import Cause, Refused, RetryLater
from handler.outcomes import Skipped, SkipReason, Unchanged, Updated

if TYPE_CHECKING:
    from handler.bigcommerce.b2b_api import B2BApi
    from handler.content import Content, Record
    from handler.deadline import Deadline
    from handler.desired import Desired


def align_record(b2b_api: B2BApi, wanted: Desired, deadline: Deadline) -> Updated | Unchanged:
    """Updates the order's record with the desired values, and keeps what it has.

    Raises RetryLater (cause NOT_THERE_YET) when there is no record, and what the API's methods raise.
    """
    present = b2b_api.get_record(wanted.event.store_hash, wanted.event.order_id, deadline)
    if present is None:
        raise RetryLater(Cause.NOT_THERE_YET, "B2B API: the order has no record yet")
    body = merge(present, wanted.content)
    if body is None:
        return Unchanged(wanted.rules_failed)
    b2b_api.update_order(wanted.event.store_hash, wanted.event.order_id, body, deadline)
    return Updated(wanted.rules_failed)


def merge(present: Record, wanted: Content) -> dict[str, Any] | None:
    """The body of Update Order, or None when the record already has the desired values.

    Whether Update Order merges or replaces is unknown, so the body repeats all values of the record. Desired values
    override the record's; empty ones do not. Raises RetryLater (cause RECORD_UNREADABLE) when a field must change and
    the record's fields have an unknown format, since they could be lost.
    """
    desired = {name: value for name, value in wanted.extra_fields if not is_empty(value)}
    new_po_number = not is_empty(wanted.po_number) and not same(present.po_number, wanted.po_number)
    if present.extra_fields is None:
        if not desired and not new_po_number:
            return None
        raise RetryLater(
            Cause.RECORD_UNREADABLE,
            "B2B API: the record's extraFields have an unknown format; not updated, since they could be lost",
        )
    new_fields = {
        name: value
        for name, value in desired.items()
        if not any(same(held, value) for held_name, held in present.extra_fields if held_name == name)
    }
    if not new_po_number and not new_fields:
        return None
    kept = [(name, value) for name, value in present.extra_fields if name not in new_fields]
    return body_fields(wanted.po_number if new_po_number else present.po_number, [*kept, *new_fields.items()])


def same(present: Any, wanted: str) -> bool:
    """Whether a record's value equals the desired text, whatever its type: 7 equals "7", and true equals "true"."""
    if isinstance(present, bool):
        return wanted == str(present).lower()
    if isinstance(present, float) and present.is_integer():
        return wanted in {str(present), str(int(present))}
    return isinstance(present, str | int | float) and wanted == str(present)


def settle_refusal(
    b2b_api: B2BApi, wanted: Desired, refusal: Refused, deadline: Deadline
) -> Updated | Unchanged | Skipped:
    """Handles a refusal by Create Order. The reason is looked up with other calls, not guessed from the message.

    An existing record is updated; a customer without a company is skipped; otherwise `refusal` is raised.
    """
    try:
        return align_record(b2b_api, wanted, deadline)
    except RetryLater as error:
        if error.cause is not Cause.NOT_THERE_YET:
            raise
    if not b2b_api.has_company_user(wanted.event.store_hash, wanted.customer_id, deadline):
        return Skipped(SkipReason.NO_COMPANY)
    raise refusal
