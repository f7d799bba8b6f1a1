"""`relay backfill`: queues orders of a period, or single orders, for the late path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handler.bigcommerce.store_api import date_created
from handler.deadline import Deadline
from handler.desired import GUEST
from handler.errors import Cause, RetryLater
from handler.order_event import OrderEvent
from handler.outcomes import Late
from relay.command import DryRunOption, StoreOption, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.idempotency_records import expire, order_states
from relay.text import counted, escaped
from relay.timespan import clock_time, iso, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

DAY_SECONDS = 86_400.0
LISTING_SECONDS = 120.0
"""Time limit for listing the orders of one day, retries included."""

QUEUED = "queued"
LOOK_UP_SECONDS = 4.0
"""Time limit for the look-up of one order: a new order may not be readable at once."""

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        show_default=False,
        help="Start of the period: 2026-11-01, 2026-11-01T08:30 (UTC), 6h (ago).",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", show_default="now", help="End of the period, in the same formats."),
]
OrdersOption = Annotated[
    list[int] | None,
    typer.Option(
        "--order",
        metavar="ORDER",
        min=1,
        show_default=False,
        help="This order instead of a period; repeatable.",
    ),
]
AgainOption = Annotated[bool, typer.Option("--again", help="Include finished orders.")]
RulesFailedOption = Annotated[
    bool, typer.Option("--rules-failed", help="Only the finished orders on which an enrichment rule failed.")
]
PerMinuteOption = Annotated[
    int, typer.Option("--per-minute", metavar="N", min=1, max=600, help="Queue this many orders a minute at most.")
]


@dataclass(slots=True)
class _Sorted:
    """The orders found. `to_do` are the orders to queue and their times of creation; `again` are the finished ones of them."""

    to_do: dict[int, float] = field(default_factory=dict)
    again: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    in_progress: list[int] = field(default_factory=list)
    guests: list[int] = field(default_factory=list)
    rules_failed: dict[str, list[int]] = field(default_factory=dict)


def backfill(  # noqa: PLR0913  the command's options
    context: Context,
    *,
    store: StoreOption,
    since: SinceOption = None,
    until: UntilOption = None,
    order: OrdersOption = None,
    again: AgainOption = False,
    rules_failed: RulesFailedOption = False,
    per_minute: PerMinuteOption = 60,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> bool:
    """Queue the orders of a period, or single orders, for the late path.

    Use it after a period without webhooks, for orders from before the relay
    was deployed, and for finished orders whose rules were wrong.

    Orders of guests and finished orders are skipped. An order whose record is
    already complete costs one request. The late path stays below the stack's
    LateRequestsPerMinute, whatever --per-minute is.

    --again includes finished orders and applies the deployed rules to them. A
    non-empty value of a rule replaces the record's value, including values
    from events of your own systems; such events are not repeated.
    --rules-failed does the same for the finished orders on which a rule
    failed, and skips all others.

    Examples:
      relay backfill --store abc123 --since 2026-11-01 --until 2026-11-02
      relay backfill --store abc123 --since 6h --dry-run
      relay backfill --store abc123 --order 1042 --order 1043 --again
      relay backfill --store abc123 --since 3d --rules-failed
    """
    if (since is None) == (not order) or (order and until is not None):
        raise typer.BadParameter("give either a period (--since, --until) or orders (--order)")
    if order:
        begin = end = None
        what, pages = "Looking up the orders", _single(context, store, order)
    else:
        begin, end = _period(context, since or "", until or "0s")
        what = f"Listing the orders from {clock_time(begin)} to {clock_time(end)}"
        pages = _pages(context, store, begin, end)
    found = _Sorted()
    what += f" (time limit {LISTING_SECONDS:.0f} s)"
    listed = 0
    with context.err.status(what) as shown:
        for page in pages:
            _sort(context, store, page, found, again=again, rules_failed=rules_failed)
            listed += len(page)
            shown.update(f"{what}: {counted(listed, 'order')}")
    if found.again and not (order or rules_failed or dry_run):
        confirm(
            f"Process {_counted(found.again)} of store {store} again that the relay has finished? "
            "The rules' values replace the records' values.",
            yes=yes,
        )
    if not dry_run:
        _queue(context, store, found, per_minute)
    done = "would be queued" if dry_run else QUEUED
    value: dict[str, Any] = {
        "store": store,
        "since": iso(begin),
        "until": iso(end),
        "done": done,
        "orders": list(found.to_do),
        "again": found.again,
        "rules_failed": found.rules_failed,
        "finished_before": len(found.finished),
        "guests": len(found.guests),
        "skipped": {
            "finished": found.finished,
            "not_finished": found.unfinished,
            "in_progress": found.in_progress,
            "guests": found.guests,
        },
    }
    selection = " ".join(f"--order {number}" for number in order or ()) or f"--since {since}"
    selection += f" --until {until}" if until else ""

    def print_text() -> None:
        _print(context, store, found, done)
        if found.finished and not rules_failed and (found.rules_failed or order):
            when = "When the corrected rules are deployed" if found.rules_failed else "To process finished orders again"
            flag = "--rules-failed" if found.rules_failed else "--again"
            context.out.print(f"  {when}: relay backfill --store {store} {selection} {flag}", soft_wrap=True)

    context.show(value, print_text)
    return True


def _period(context: Context, since: str, until: str) -> tuple[float, float]:
    """The period in Unix seconds. Raises typer.BadParameter."""
    now = context.clock()
    begin, end = moment(since, now), min(moment(until, now), now)
    if begin >= end:
        raise typer.BadParameter(f"the period ends ({clock_time(end)}) before it begins ({clock_time(begin)})")
    return begin, end


def _single(context: Context, store: str, numbers: list[int]) -> Iterator[list[dict[str, Any]]]:
    """The core orders with these numbers. Raises CliError if one does not exist."""
    for number in dict.fromkeys(numbers):
        try:
            order = context.store_api.get_order(store, number, Deadline.after(LOOK_UP_SECONDS, context.clock))
        except RetryLater as error:
            if error.cause is not Cause.ORDER_NOT_FOUND:
                raise
            raise CliError(
                f"Store {store} has no order {number}. No order was queued.", "Check the number and --store."
            ) from error
        yield [order]


def _pages(context: Context, store: str, begin: float, end: float) -> Iterator[list[dict[str, Any]]]:
    """The core orders created in the period, each once, oldest first."""
    seen: set[int] = set()
    for first, last in _days(begin, end):
        # Day by day, so that each day has its own time limit.
        for page in context.store_api.list_orders(store, first, last, Deadline.after(LISTING_SECONDS, context.clock)):
            yield [order for order in page if order["id"] not in seen]
            seen |= {order["id"] for order in page}


def _days(begin: float, end: float) -> Iterator[tuple[float, float]]:
    while begin < end:
        yield begin, min(begin + DAY_SECONDS, end)
        begin += DAY_SECONDS


def _sort(
    context: Context, store: str, page: list[dict[str, Any]], found: _Sorted, *, again: bool, rules_failed: bool
) -> None:
    """Sorts the orders of a page into `found`."""
    found.guests += [order["id"] for order in page if order.get("customer_id") == GUEST]
    dated = {order["id"]: date_created(order) or context.clock() for order in page if order.get("customer_id") != GUEST}
    for order, known in order_states(context, store, dated).items():
        for rule in known.rules_failed:
            found.rules_failed.setdefault(rule, []).append(order)
        if known.in_progress:
            found.in_progress.append(order)
        elif rules_failed and not known.rules_failed:
            (found.finished if known.finished else found.unfinished).append(order)
        elif known.finished and not (again or rules_failed):
            found.finished.append(order)
        else:
            found.to_do[order] = dated[order]
            found.again += [order] if known.finished else []


def _queue(context: Context, store: str, found: _Sorted, per_minute: int) -> None:
    """Sends `found.to_do` to the recovery queue, oldest first; skips orders that are in progress by then.

    The record of a finished order is expired before the order is queued. In the other order, the message could be
    processed first and would count as a duplicate. If the command ends in between: see `expire`.
    """
    late = Late(Cause.RECONCILED, "queued by relay backfill")
    began = context.clock()
    to_do, finished = list(found.to_do.items()), frozenset(found.again)
    with context.progress() as progress:
        for place, (order, created_at) in enumerate(progress.track(to_do, description="Queueing", total=len(to_do))):
            try:
                context.sleep(max(began + place * 60 / per_minute - context.clock(), 0.0))
                if order in finished and not expire(context, store, order):
                    del found.to_do[order]
                    found.again.remove(order)
                    found.in_progress.append(order)
                    continue
                event = OrderEvent(store, order, created_at, f"{store}-{order}")
                context.queues.send_late(event, late.cause, late.detail)
                context.order_notes.note(event, late)
            except BaseException:  # also Ctrl-C
                context.err.print(
                    f"[yellow]![/] Stopped at order {order}, created {clock_time(created_at)}, after "
                    f"{place} of {len(to_do)} orders. Run the same command again for the rest."
                )
                raise


def _print(context: Context, store: str, found: _Sorted, done: str) -> None:
    skipped = {
        "finished": found.finished,
        "not finished": found.unfinished,
        "in progress": found.in_progress,
        "of guests": found.guests,
    }
    counts = ", ".join(f"{len(orders)} {words}" for words, orders in skipped.items() if orders)
    again = f" ({len(found.again)} of them finished before)" if found.again else ""
    context.out.print(
        f"[green]✓[/] {_counted(found.to_do)} {done}{again}; skipped: {counts or 'none'}.", soft_wrap=True
    )
    for rule, orders in found.rules_failed.items():
        context.out.print(f"  The rule {escaped(rule)} failed on {_counted(orders)}.", soft_wrap=True)
    if found.in_progress:
        context.out.print("  For the orders in progress, run the same command again in a few minutes.")
    if found.to_do and done == QUEUED:
        context.out.print(f"  See the state of one: relay status {next(iter(found.to_do))} --store {store}")


def _counted(orders: Collection[int]) -> str:
    return counted(len(orders), "order")
