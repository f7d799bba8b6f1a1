"""What brings a late or dead order further, by its cause: sentences with commands that can be pasted as they stand."""

from __future__ import annotations

from handler.errors import Cause
from relay.selection import OTHER_SCOPE

REDRIVE = "relay failed redrive {selection}"
NO_ORDER = (Cause.UNREADABLE, OTHER_SCOPE)
"""Causes of dead letters without a store or an order that could be looked at."""

DEAD = {
    str(Cause.UNAUTHORISED): "Look which API refuses the token: relay doctor {store}; "
    "enter a new one: relay store add {store}; then: " + REDRIVE,
    str(Cause.SECRET_UNAVAILABLE): "Enter the secret: relay store add {store}; then: " + REDRIVE,
    str(
        Cause.API_REFUSED
    ): "BigCommerce's words name the field. Compare the rules with the store's fields: relay doctor {store}; "
    "try corrected rules: relay preview {order} --store {store}; deploy them: make deploy; then: " + REDRIVE,
    str(Cause.ORDER_NOT_FOUND): "If the store has no such order any more: relay failed drop {selection}",
    str(Cause.UNEXPECTED_ANSWER): "Check StoreApiUrl and B2BApiUrl: relay doctor {store}; then: " + REDRIVE,
    str(Cause.RECORD_UNREADABLE): "Correct the record in B2B Edition by hand: its extra fields have an unknown "
    "shape; then: " + REDRIVE,
    str(Cause.NOT_THERE_YET): "Look the order up in B2B Edition: it had no record. Once it has one: " + REDRIVE,
    str(Cause.UNREADABLE): "A redrive does not help: the sender must be corrected. Read the message: "
    "relay failed show {message}; delete: relay failed drop {selection}",
    OTHER_SCOPE: "It is no order: relay failed drop {selection}",
}
ANY_DEAD = "Look what is wrong: relay doctor {store}; once BigCommerce answers again: " + REDRIVE

AT_ONCE = "; to try at once: relay late retry {selection}"
LATE = {
    str(Cause.UNAUTHORISED): "Look which API refuses the token: relay doctor {store}; "
    "enter a new one: relay store add {store}" + AT_ONCE,
    str(Cause.SECRET_UNAVAILABLE): "Enter the secret: relay store add {store}" + AT_ONCE,
    str(Cause.UNEXPECTED_ANSWER): "Check StoreApiUrl and B2BApiUrl: relay doctor {store}" + AT_ONCE,
    str(Cause.RECORD_UNREADABLE): "Correct the record in B2B Edition by hand: its extra fields have an unknown shape"
    + AT_ONCE,
    str(Cause.FUNCTION_FAILED): "The function's log has the error: relay status {order} --store {store}" + AT_ONCE,
}
ANY_LATE = "Nothing to do: the relay tries it again by itself" + AT_ONCE


def dead_mend(cause: str, store: str, order: int | None, message_id: str, *, group: bool = False) -> str:
    """What to do about a dead letter, or with `group` about all letters of this store and cause."""
    return DEAD.get(cause, ANY_DEAD).format(
        store=store, order=order, message=message_id, selection=_selection(cause, store, order, message_id, group=group)
    )


def late_mend(cause: str, store: str, order: int, *, group: bool = False) -> str:
    """What to do about a late order, or with `group` about all of this store and cause."""
    return LATE.get(cause, ANY_LATE).format(
        store=store, order=order, selection=_selection(cause, store, order, "", group=group)
    )


def _selection(cause: str, store: str, order: int | None, message_id: str, *, group: bool) -> str:
    if order is None or cause in NO_ORDER:
        return f"--cause {cause}" if group else f"--id {message_id}"
    return f"--store {store} --cause {cause}" if group else f"--store {store} --order {order}"
