"""What an operator does about a late order or a dead letter, by its cause: sentences with commands to paste."""

from __future__ import annotations

from handler.errors import Cause
from relay.selection import OTHER_SCOPE

REDRIVE = "relay failed redrive {selection}"
NO_ORDER = (Cause.UNREADABLE, OTHER_SCOPE)
"""Causes of dead letters that belong to no order."""

DEAD_LETTER = {
    str(Cause.UNAUTHORISED): "Check which API rejects the token: relay doctor {store}; "
    "enter a new token: relay store add {store}; then: " + REDRIVE,
    str(Cause.SECRET_UNAVAILABLE): "Enter the secret: relay store add {store}; then: " + REDRIVE,
    str(Cause.API_REFUSED): "The API's message names the field. "
    "Compare the rules with the store's extra fields: relay doctor {store}; "
    "test the corrected rules: relay preview {order} --store {store}; deploy them: make deploy; then: " + REDRIVE,
    str(Cause.ORDER_NOT_FOUND): "If the store no longer has the order: relay failed drop {selection}",
    str(Cause.UNEXPECTED_ANSWER): "Check StoreApiUrl and B2BApiUrl: relay doctor {store}; then: " + REDRIVE,
    str(Cause.RECORD_UNREADABLE): "The record's extra fields have an unknown format. "
    "Correct the record in B2B Edition by hand; then: " + REDRIVE,
    str(Cause.NOT_THERE_YET): "The order had no record in B2B Edition. When it has one: " + REDRIVE,
    str(Cause.UNREADABLE): "A redrive does not help; correct the sender. Read the message: "
    "relay failed show {message}; delete it: relay failed drop {selection}",
    OTHER_SCOPE: "The event is not a new order. Delete it: relay failed drop {selection}",
}
ANY_DEAD_LETTER = "Find the problem: relay doctor {store}; when BigCommerce answers again: " + REDRIVE

RETRY = "; to retry at once: relay late retry {selection}"
LATE_ORDER = {
    str(Cause.UNAUTHORISED): "Check which API rejects the token: relay doctor {store}; "
    "enter a new token: relay store add {store}" + RETRY,
    str(Cause.SECRET_UNAVAILABLE): "Enter the secret: relay store add {store}" + RETRY,
    str(Cause.UNEXPECTED_ANSWER): "Check StoreApiUrl and B2BApiUrl: relay doctor {store}" + RETRY,
    str(Cause.RECORD_UNREADABLE): "The record's extra fields have an unknown format. "
    "Correct the record in B2B Edition by hand" + RETRY,
    str(Cause.FUNCTION_FAILED): "The function's log has the error: relay status {order} --store {store}" + RETRY,
}
ANY_LATE_ORDER = "Nothing to do: the relay retries the order automatically" + RETRY


def dead_letter_fix(cause: str, store: str, order: int | None, message_id: str, *, group: bool = False) -> str:
    """What to do about a dead letter, or with `group` about all letters of this store and cause."""
    return DEAD_LETTER.get(cause, ANY_DEAD_LETTER).format(
        store=store, order=order, message=message_id, selection=_selection(cause, store, order, message_id, group=group)
    )


def late_order_fix(cause: str, store: str, order: int, *, group: bool = False) -> str:
    """What to do about a late order, or with `group` about all late orders of this store and cause."""
    return LATE_ORDER.get(cause, ANY_LATE_ORDER).format(
        store=store, order=order, selection=_selection(cause, store, order, "", group=group)
    )


def _selection(cause: str, store: str, order: int | None, message_id: str, *, group: bool) -> str:
    if order is None or cause in NO_ORDER:
        return f"--cause {cause}" if group else f"--id {message_id}"
    return f"--store {store} --cause {cause}" if group else f"--store {store} --order {order}"
