"""`relay late`: the orders that wait in RecoveryQueue for their next try."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from relay.command import DryRunOption, OrderArgument, StoreOption, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.late_orders import late_orders, make_visible
from relay.mends import late_mend
from relay.plain import counted, plain
from relay.record_of_order import finished, leave_alone, remembered
from relay.selection import Selection, selecting
from relay.status import status
from relay.store import check_store
from relay.timespan import rough

if TYPE_CHECKING:
    from relay.order_notes import OrderNote

MOST_ROWS = 50
NOUN = "late order"


@selecting(by_id=False, needed=False)
def list_late(context: Context, *, selection: Selection) -> bool:
    """List the late orders: why they wait, how often they were tried, when they are tried again and given up.

    They are found by their notes in the table. Exit code 1 when late orders wait and none matches.

    Examples:
      relay late list
      relay late list --store abc123 --cause unauthorized
    """
    found, chosen = _found(context, selection)
    now = context.clock()
    in_queue = _messages(context)
    value = {
        "count": len(chosen),
        "in_all": len(found),
        "messages_in_queue": in_queue,
        "groups": [{"store": store, "cause": cause, "count": count} for (store, cause), count in _groups(chosen)],
        "orders": [note.as_json() for note in chosen],
    }

    def picture() -> None:
        if not found:
            context.out.print("[green]✓[/] No late orders.")
        elif not chosen:
            context.out.print(f"No late orders match the filter ({len(found)} in all).")
        else:
            _print_orders(context, chosen, now)
            for (store, cause), _ in _groups(chosen):
                first = next(note for note in chosen if (note.store, note.cause) == (store, cause))
                mend = late_mend(cause, store, first.order, group=True)
                context.out.print(f"{store}, {cause}: {plain(mend)}", soft_wrap=True)
        if in_queue > len(found):
            context.out.print(
                f"The recovery queue holds about {counted(in_queue, 'message')}: those without a note were not tried yet."
            )

    context.show(value, picture)
    return bool(chosen) or not found


def show(context: Context, order: OrderArgument, *, store: StoreOption) -> bool:
    """Show one late order: why it waits, when it is tried again, its record's values, and its log lines.

    Examples:
      relay late show 1042
      relay late show 1042 --store abc123
    """
    note = remembered(context, store, [order])[order].note
    if note is None or note.is_dead or finished(context, [note.record_id]):
        check_store(context, store)
        raise CliError(
            f"Order {order} of store {store} is not late.", f"Its story: relay status {order} --store {store}"
        )
    status(context, order, store=store)
    return True


@selecting(by_id=False, needed=True)
def retry(context: Context, *, selection: Selection, dry_run: DryRunOption = False) -> bool:
    """Try late orders again at once, after the cause is mended, instead of at their next try.

    Nothing is sent or deleted: the waiting messages become visible. Orders stay below the stack's
    LateRequestsPerMinute, so many of them take a while.

    Examples:
      relay late retry --store abc123 --cause unauthorized
      relay late retry --store abc123 --order 1042
      relay late retry --all
    """
    chosen = _chosen(context, selection)
    fates = [(note, "") for note in chosen]
    if not dry_run:
        with context.progress() as progress:
            fates = list(progress.track(make_visible(context, chosen), total=len(chosen), description="Retrying"))
    _report(context, fates, "would be tried at once" if dry_run else "tried at once")
    return not any(fate.startswith("SQS") for _, fate in fates)


@selecting(by_id=False, needed=True)
def drop(context: Context, *, selection: Selection, dry_run: DryRunOption = False, yes: YesOption = False) -> bool:
    """Give late orders up for good: the relay leaves them alone, and their records stay as they are.

    The orders count as finished from then on. `relay backfill --again` processes them all the same.

    Example:
      relay late drop --store abc123 --order 1042
    """
    chosen = _chosen(context, selection)
    fates = [(note, "") for note in chosen]
    if not dry_run:
        confirm(f"Give up {counted(len(chosen), NOUN)} for good?", yes=yes)
        with context.progress() as progress:
            fates = [
                (note, "" if leave_alone(context, note) else "it is being processed, or finished")
                for note in progress.track(chosen, description="Dropping")
            ]
        # Their messages leave the queue at once instead of at their next try.
        list(make_visible(context, [note for note, fate in fates if not fate]))
    _report(context, fates, "would be dropped" if dry_run else "dropped")
    return not any(fate for _, fate in fates)


def _found(context: Context, selection: Selection) -> tuple[list[OrderNote], list[OrderNote]]:
    """All late orders, and the selected ones. Raises CliError for a store that does not exist."""
    with context.err.status("Looking through the table") as told:
        found = late_orders(context, lambda items: told.update(f"Looking through the table: {counted(items, 'item')}"))
    chosen = [note for note in found if note.is_in(selection)]
    if selection.store and not chosen:
        check_store(context, selection.store)
    return found, chosen


def _chosen(context: Context, selection: Selection) -> list[OrderNote]:
    """The selected late orders, at least one. Raises CliError."""
    found, chosen = _found(context, selection)
    if not chosen and selection != Selection():
        raise CliError(f"No late orders match the filter ({len(found)} in all).", "See them: relay late list")
    return chosen


def _messages(context: Context) -> int:
    """About how many messages the recovery queue holds, delayed ones and those in flight included."""
    names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = context.sqs.get_queue_attributes(QueueUrl=context.settings.recovery_queue_url, AttributeNames=names)
    return sum(int(answer.get("Attributes", {}).get(name, 0)) for name in names)


def _groups(notes: list[OrderNote]) -> list[tuple[tuple[str, str], int]]:
    return Counter((note.store, note.cause) for note in notes).most_common()


def _print_orders(context: Context, notes: list[OrderNote], now: float) -> None:
    table = Table("order", "store", "late for", "cause", "tries", "next try", "gives up", title_justify="left")
    table.title = counted(len(notes), NOUN)
    table.columns[4].justify = "right"
    for note in notes[:MOST_ROWS]:
        first = "" if note.first_cause == note.cause else f" (first: {note.first_cause})"
        table.add_row(
            str(note.order),
            note.store,
            rough(now - note.late_at),
            note.cause + first,
            str(note.tries),
            note.next_try(now),
            f"in {rough(note.give_up_at - now)}",
        )
    context.out.print(table)
    if len(notes) > MOST_ROWS:
        context.out.print(f"... and {len(notes) - MOST_ROWS} more; choose with --store, --cause, or see all: --json")


def _report(context: Context, fates: list[tuple[OrderNote, str]], done: str) -> None:
    others = [fate for _, fate in fates if fate]
    value = {
        "done": done,
        "count": len(fates) - len(others),
        "others": len(others),
        "orders": [note.as_json() | {"fate": fate or done} for note, fate in fates],
    }

    def picture() -> None:
        for note, fate in fates[:MOST_ROWS]:
            mark = "[yellow]![/]" if fate else "[green]✓[/]"
            name = f"order {note.order} of store {note.store}"
            context.out.print(f"{mark} {name:<30} {note.cause:<20} {fate or done}", soft_wrap=True)
        more = f"; {len(others)} not" if others else ""
        context.out.print(f"{counted(len(fates) - len(others), NOUN)} {done}{more}.")

    context.show(value, picture)
