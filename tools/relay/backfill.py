"""`relay backfill`: puts a period's orders through the late path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from handler.deadline import Deadline
from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.outcomes import Late
from handler.store_api import date_created
from handler.wanted import GUEST
from relay.command import DryRunOption, StoreOption
from relay.desk import Desk
from relay.record_of_order import finished
from relay.timespan import clock_time, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_SECONDS = 86_400.0
LISTING_SECONDS = 120.0
"""For listing one day's orders, tries included."""

SinceOption = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="MOMENT",
        show_default=False,
        help="From when on: 2026-11-01, 2026-11-01T08:30 (UTC), 6h (ago).",
    ),
]
UntilOption = Annotated[
    str, typer.Option("--until", metavar="MOMENT", show_default="now", help="Up to when, written likewise.")
]
PerMinuteOption = Annotated[
    int, typer.Option("--per-minute", metavar="N", min=1, max=600, help="Hand over so many orders a minute at most.")
]


@dataclass(slots=True)
class _Found:
    """The period's orders by what is to be done with them: numbers, and when each was created."""

    guests: int
    finished: int
    to_do: dict[int, float]


def backfill(
    desk: Desk,
    *,
    store: StoreOption,
    since: SinceOption,
    until: UntilOption = "0s",
    per_minute: PerMinuteOption = 60,
    dry_run: DryRunOption = False,
) -> bool:
    """Put the orders of a period through the late path: for a time without webhooks, or before the relay was there.

    Guests' orders and those that the relay has finished are passed over; an order whose record has
    it all already costs one look. The B2B API's 150 requests a minute are never used up: the late
    path stays below the stack's LateRequestsPerMinute, whatever --per-minute is.

    Examples:
      relay backfill --store abc123 --since 2026-11-01 --until 2026-11-02 --dry-run
      relay backfill --store abc123 --since 6h
    """
    now = desk.clock()
    begin, end = moment(since, now), min(moment(until, now), now)
    if begin >= end:
        raise typer.BadParameter(f"the period ends ({clock_time(end)}) before it begins ({clock_time(begin)})")
    with desk.err.status(f"Listing the orders from {clock_time(begin)} to {clock_time(end)}"):
        found = _find(desk, store, begin, end)
    if not dry_run:
        _hand_over(desk, store, found.to_do, per_minute)
    done = "would be handed over" if dry_run else "handed over"
    value = {
        "store": store,
        "since": begin,
        "until": end,
        "done": done,
        "orders": list(found.to_do),
        "finished_before": found.finished,
        "guests": found.guests,
    }

    def picture() -> None:
        desk.out.print(
            f"[green]✓[/] {len(found.to_do)} orders {done}; passed over: {found.finished} finished before, "
            f"{found.guests} of guests."
        )
        if found.to_do and not dry_run:
            desk.out.print(f"  What became of one: relay status {next(iter(found.to_do))} --store {store}")

    desk.show(value, picture)
    return True


def _find(desk: Desk, store: str, begin: float, end: float) -> _Found:
    found = _Found(0, 0, {})
    seen: set[int] = set()
    for first, last in _days(begin, end):
        # Day by day, so that each has its own patience, and trouble with one page does not end the whole.
        for page in desk.store_api.list_orders(store, first, last, Deadline.after(LISTING_SECONDS, desk.clock)):
            new = [order for order in page if order["id"] not in seen]
            seen |= {order["id"] for order in new}
            dated = {order["id"]: date_created(order) or last for order in new if order.get("customer_id") != GUEST}
            done = finished(desk, store, list(dated))
            found.guests += len(new) - len(dated)
            found.finished += len(done)
            found.to_do |= {order: at for order, at in dated.items() if order not in done}
    return found


def _days(begin: float, end: float) -> Iterator[tuple[float, float]]:
    while begin < end:
        yield begin, min(begin + DAY_SECONDS, end)
        begin += DAY_SECONDS


def _hand_over(desk: Desk, store: str, orders: dict[int, float], per_minute: int) -> None:
    late = Late(Cause.RECONCILED, "an operator has had the order's period gone through")
    began = desk.clock()
    with desk.progress() as progress:
        for place, (order, created_at) in enumerate(
            progress.track(orders.items(), description="Handing over", total=len(orders))
        ):
            desk.sleep(max(began + place * 60 / per_minute - desk.clock(), 0.0))
            event = OrderEvent(store, order, created_at, f"{store}-{order}")
            desk.queues.hand_over(event, late.cause, late.detail)
            desk.journal.note(store, order, late)
