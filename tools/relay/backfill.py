"""`relay backfill`: puts orders of a period, or single ones, through the late path, finished ones again if wanted."""

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
from relay.plain import counted, plain
from relay.record_of_order import forget, remembered
from relay.timespan import clock_time, iso, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

DAY_SECONDS = 86_400.0
LISTING_SECONDS = 120.0
"""For listing one day's orders, tries included."""

HANDED_OVER = "handed over"
LOOK_UP_SECONDS = 4.0
"""For one order given by its number: a fresh one may need a moment to be readable."""

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="MOMENT",
        show_default=False,
        help="From when on: 2026-11-01, 2026-11-01T08:30 (UTC), 6h (ago).",
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="MOMENT", show_default="now", help="Up to when, written likewise.")
]
OrdersOption = Annotated[
    list[int] | None,
    typer.Option(
        "--order",
        metavar="ORDER",
        min=1,
        show_default=False,
        help="This order instead of a period; can be given several times.",
    ),
]
AgainOption = Annotated[bool, typer.Option("--again", help="Also the orders that the relay has finished.")]
RulesFailedOption = Annotated[
    bool, typer.Option("--rules-failed", help="Only the finished orders on which an enrichment rule failed.")
]
PerMinuteOption = Annotated[
    int, typer.Option("--per-minute", metavar="N", min=1, max=600, help="Hand over so many orders a minute at most.")
]


@dataclass(slots=True)
class _Sorted:
    """Orders by what is to be done with them. `to_do` says when each was created; `again` are those of it to forget first."""

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
    """Put the orders of a period, or single orders, through the late path.

    For a time without webhooks, for orders from before the relay was there,
    and for finished orders whose rules were wrong.

    Guests' orders are passed over, and so are orders that the relay has
    finished. An order whose record has it all already costs one look. The
    late path stays below the stack's LateRequestsPerMinute, whatever
    --per-minute is.

    --again includes finished orders: the rules that are deployed now are
    applied to them. A rule's value, unless it is empty, replaces what the
    record holds. This includes values that an event of your own systems has
    brought; such events are not repeated. --rules-failed does so for exactly
    the finished orders on which a rule failed, and passes over all others.

    Examples:
      relay backfill --store abc123 --since 2026-11-01 --until 2026-11-02
      relay backfill --store abc123 --since 6h --dry-run
      relay backfill --store abc123 --order 1042 --order 1043 --again
      relay backfill --store abc123 --since 3d --rules-failed
    """
    if (since is None) == (not order) or (order and until is not None):
        raise typer.BadParameter("say either which period (--since, --until) or which orders (--order)")
    if order:
        begin = end = None
        what, pages = "Looking the orders up", _single(context, store, order)
    else:
        begin, end = _period(context, since or "", until or "0s")
        what = f"Listing the orders from {clock_time(begin)} to {clock_time(end)}"
        pages = _pages(context, store, begin, end)
    found = _Sorted()
    what += f" (in an outage for {LISTING_SECONDS:.0f} s at most)"
    listed = 0
    with context.err.status(what) as shown:
        for page in pages:
            _sort(context, store, page, found, again=again, rules_failed=rules_failed)
            listed += len(page)
            shown.update(f"{what}: {counted(listed, 'order')}")
    if found.again and not (order or rules_failed or dry_run):
        confirm(
            f"Of store {store}, {_counted(found.again)} that the relay has finished will be done again. "
            "What the rules bring replaces what the records hold. Go on?",
            yes=yes,
        )
    if not dry_run:
        _hand_over(context, store, found, per_minute)
    done = "would be handed over" if dry_run else HANDED_OVER
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
        "passed_over": {
            "finished": found.finished,
            "not_finished": found.unfinished,
            "in_progress": found.in_progress,
            "guests": found.guests,
        },
    }
    selection = " ".join(f"--order {number}" for number in order or ()) or f"--since {since}"
    selection += f" --until {until}" if until else ""

    def picture() -> None:
        _print(context, store, found, done)
        if found.finished and not rules_failed and (found.rules_failed or order):
            wish = "Once the rules are corrected and deployed" if found.rules_failed else "To do finished orders again"
            flag = "--rules-failed" if found.rules_failed else "--again"
            context.out.print(f"  {wish}: relay backfill --store {store} {selection} {flag}", soft_wrap=True)

    context.show(value, picture)
    return True


def _period(context: Context, since: str, until: str) -> tuple[float, float]:
    """The period in unix seconds. Raises typer.BadParameter."""
    now = context.clock()
    begin, end = moment(since, now), min(moment(until, now), now)
    if begin >= end:
        raise typer.BadParameter(f"the period ends ({clock_time(end)}) before it begins ({clock_time(begin)})")
    return begin, end


def _single(context: Context, store: str, numbers: list[int]) -> Iterator[list[dict[str, Any]]]:
    """The core orders with these numbers. Raises CliError when there is no such order."""
    for number in dict.fromkeys(numbers):
        try:
            order = context.store_api.get_order(store, number, Deadline.after(LOOK_UP_SECONDS, context.clock))
        except RetryLater as error:
            if error.cause is not Cause.ORDER_NOT_FOUND:
                raise
            raise CliError(
                f"Store {store} has no order {number}; nothing was handed over.", "Check the number and --store."
            ) from error
        yield [order]


def _pages(context: Context, store: str, begin: float, end: float) -> Iterator[list[dict[str, Any]]]:
    """The core orders created in the period, each once, oldest first."""
    seen: set[int] = set()
    for first, last in _days(begin, end):
        # Day by day, so that each has its own policy, and a failure of one page does not end the whole.
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
    """Adds these orders to what was found."""
    found.guests += [order["id"] for order in page if order.get("customer_id") == GUEST]
    dated = {order["id"]: date_created(order) or context.clock() for order in page if order.get("customer_id") != GUEST}
    for order, known in remembered(context, store, dated).items():
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


def hand_over(context: Context, store: str, order: int, created_at: float, *, again: bool) -> bool:
    """Sends an order to the late path. False when it is being processed; then nothing is sent. Raises botocore's errors.

    `again`: the order is finished. It is forgotten first and sent then. The other way round the message could be
    processed before the order is forgotten, and would count as a duplicate. What happens when the command ends in
    between: `forget`.
    """
    if again and not forget(context, store, order):
        return False
    late = Late(Cause.RECONCILED, "handed over by an operator")
    event = OrderEvent(store, order, created_at, f"{store}-{order}")
    context.queues.send_late(event, late.cause, late.detail)
    context.order_notes.note(event, late)
    return True


def _hand_over(context: Context, store: str, found: _Sorted, per_minute: int) -> None:
    """Hands over what is to be done, oldest first; what is being worked on by then is passed over."""
    began = context.clock()
    to_do, forget_first = list(found.to_do.items()), frozenset(found.again)
    with context.progress() as progress:
        for place, (order, created_at) in enumerate(
            progress.track(to_do, description="Handing over", total=len(to_do))
        ):
            try:
                context.sleep(max(began + place * 60 / per_minute - context.clock(), 0.0))
                if not hand_over(context, store, order, created_at, again=order in forget_first):
                    del found.to_do[order]
                    found.again.remove(order)
                    found.in_progress.append(order)
            except BaseException:  # Ctrl-C, too
                context.err.print(
                    f"[yellow]![/] Stopped at order {order}, created {clock_time(created_at)}; before it, "
                    f"{place} of {len(to_do)} were gone through. Run the same command again for the rest."
                )
                raise


def _print(context: Context, store: str, found: _Sorted, done: str) -> None:
    passed_over = {
        "finished before": found.finished,
        "not finished": found.unfinished,
        "being worked on right now": found.in_progress,
        "of guests": found.guests,
    }
    counts = ", ".join(f"{len(orders)} {words}" for words, orders in passed_over.items() if orders)
    again = f" ({len(found.again)} of them finished before)" if found.again else ""
    context.out.print(
        f"[green]✓[/] {_counted(found.to_do)} {done}{again}; passed over: {counts or 'none'}.", soft_wrap=True
    )
    for rule, orders in found.rules_failed.items():
        context.out.print(f"  The rule {plain(rule)} failed on {_counted(orders)}.", soft_wrap=True)
    if found.in_progress:
        context.out.print("  For those being processed, run the same command again in a few minutes.")
    if found.to_do and done == HANDED_OVER:
        context.out.print(f"  What became of one: relay status {next(iter(found.to_do))} --store {store}")


def _counted(orders: Collection[int]) -> str:
    return counted(len(orders), "order")
