"""Bringing an existing B2B record in line with what is wanted: read, merge, update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handler.b2b_api import Content
from handler.errors import Cause, Refused, RetryLater
from handler.outcomes import AlreadyRight, Skipped, SkipReason, Updated

if TYPE_CHECKING:
    from handler.b2b_api import B2BApi
    from handler.deadline import Deadline
    from handler.wanted import Wanted


def bring_in_line(b2b_api: B2BApi, wanted: Wanted, deadline: Deadline) -> Updated | AlreadyRight:
    """Makes the order's record carry what is wanted, beside what it carries already.

    Raises RetryLater (cause NOT_THERE_YET) when there is no record, and what the API's methods raise.
    """
    store_hash, order_id = wanted.event.store_hash, wanted.event.order_id
    present = b2b_api.get_record(store_hash, order_id, deadline)
    if present is None:
        raise RetryLater(Cause.NOT_THERE_YET, "B2B Orders API: there is no record of the order yet")
    merged = merge(present, wanted.content)
    if merged is None:
        return AlreadyRight()
    b2b_api.update_order(store_hash, order_id, merged, deadline)
    return Updated()


def merge(present: Content, wanted: Content) -> Content | None:
    """The union to send, or None when the record has it all.

    Whether Update Order merges or replaces is unknown, so everything that the record carries is sent along. A wanted
    value stands above the record's; an empty one never does (`Content` holds none to send).
    """
    po_number = wanted.po_number or present.po_number
    wanted_fields = {name: value for name, value in wanted.extra_fields if value}
    fields = dict(present.extra_fields) | wanted_fields
    if po_number == present.po_number and fields == dict(present.extra_fields):
        return None
    return Content(po_number, tuple((name, value) for name, value in fields.items() if value))


def settle_refusal(
    b2b_api: B2BApi, wanted: Wanted, refusal: Refused, deadline: Deadline
) -> Updated | AlreadyRight | Skipped:
    """What Create Order's refusal means, found out by asking, never by its words.

    A record that exists is brought in line; a customer without a company is skipped; anything else is the refusal
    itself, which is raised again.
    """
    try:
        return bring_in_line(b2b_api, wanted, deadline)
    except RetryLater as error:
        if error.cause is not Cause.NOT_THERE_YET:
            raise
    if not b2b_api.has_company_user(wanted.event.store_hash, wanted.customer_id, deadline):
        return Skipped(SkipReason.NO_COMPANY)
    raise refusal
