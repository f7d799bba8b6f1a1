"""`relay late`: lists, retries and drops the orders that wait in RecoveryQueue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from relay.command import DryRunOption, OrderArgument, StoreOption, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.fixes import late_order_fix
from relay.idempotency_records import finished_records, mark_dropped, order_states
from relay.late_orders import late_orders, make_visible
from relay.listing import groups, print_fixes, print_rows, show_results
from relay.selection import Selection, selecting
from relay.status import status
from relay.store import require_store
from relay.text import counted
from relay.timespan import rough

if TYPE_CHECKING:
    from relay.order_notes import OrderNote

NOUN = "late order"


@selecting(by_id=False, needed=False)
def list_late(context: Context, *, selection: Selection) -> bool:
    """List the late orders with their causes, attempts, next attempts and the time when the relay gives them up.

    Exit code 1 if there are late orders, but none matches the filter.

    Examples:
      relay late list
      relay late list --store abc123 --cause unauthorized
    """
    found, selected = _found(context, selection)
    now = context.clock()
    in_queue = _messages(context)
    value = {
        "count": len(selected),
        "in_all": len(found),
        "messages_in_queue": in_queue,
        "groups": [
            {"store": group[0].store, "cause": group[0].cause, "count": len(group)} for group in groups(selected)
        ],
        "orders": [note.as_json() for note in selected],
    }

    def print_text() -> None:
        if not found:
            context.out.print("[green]✓[/] No late orders.")
        elif not selected:
            context.out.print(f"No late orders match the filter ({len(found)} in all).")
        else:
            _print_orders(context, selected, now)
            print_fixes(context, selected, _group_fix)
        if in_queue > len(found):
            context.out.print(
                f"The recovery queue has about {counted(in_queue, 'message')}. Messages before their first attempt are not listed."
            )

    context.show(value, print_text)
    return bool(selected) or not found


def show(context: Context, order: OrderArgument, *, store: StoreOption) -> bool:
    """Show one late order: cause, next attempt, record and log lines.

    Examples:
      relay late show 1042
      relay late show 1042 --store abc123
    """
    note = order_states(context, store, [order])[order].note
    if note is None or note.is_dead or finished_records(context, [note.record_id]):
        require_store(context, store)
        raise CliError(
            f"Order {order} of store {store} is not late.", f"See its state: relay status {order} --store {store}"
        )
    status(context, order, store=store)
    return True


@selecting(by_id=False, needed=True)
def retry(context: Context, *, selection: Selection, dry_run: DryRunOption = False) -> bool:
    """Retry late orders at once instead of at their next attempt, for example after the cause is fixed.

    The command makes the waiting messages visible; it sends and deletes nothing. The stack's
    LateRequestsPerMinute still limits the requests.

    Examples:
      relay late retry --store abc123 --cause unauthorized
      relay late retry --store abc123 --order 1042
      relay late retry --all
    """
    selected = _selected(context, selection)
    results = [(note, "") for note in selected]
    if not dry_run:
        with context.progress() as progress:
            results = list(progress.track(make_visible(context, selected), total=len(selected), description="Retrying"))
    done = "would be retried" if dry_run else "retried at once"
    show_results(context, results, done, NOUN, "orders")
    return not any(result.startswith("SQS") for _, result in results)


@selecting(by_id=False, needed=True)
def drop(context: Context, *, selection: Selection, dry_run: DryRunOption = False, yes: YesOption = False) -> bool:
    """Give up late orders. Their records stay as they are.

    The orders count as finished. To process them later, use `relay backfill --again`.

    Example:
      relay late drop --store abc123 --order 1042
    """
    selected = _selected(context, selection)
    results = [(note, "") for note in selected]
    if not dry_run:
        confirm(f"Give up {counted(len(selected), NOUN)}?", yes=yes)
        with context.progress() as progress:
            results = [
                (note, "" if mark_dropped(context, note) else "it is in progress or finished")
                for note in progress.track(selected, description="Dropping")
            ]
        # RecoveryFunction then deletes their messages now instead of at the next attempt.
        list(make_visible(context, [note for note, result in results if not result]))
    show_results(context, results, "would be dropped" if dry_run else "dropped", NOUN, "orders")
    return not any(result for _, result in results)


def _found(context: Context, selection: Selection) -> tuple[list[OrderNote], list[OrderNote]]:
    """All late orders, and the selected ones. Raises CliError for a store that does not exist."""
    with context.err.status("Scanning the table") as progress:
        found = late_orders(context, lambda items: progress.update(f"Scanning the table: {counted(items, 'item')}"))
    selected = [note for note in found if note.is_in(selection)]
    if selection.store and not selected:
        require_store(context, selection.store)
    return found, selected


def _selected(context: Context, selection: Selection) -> list[OrderNote]:
    """The selected late orders, at least one. Raises CliError."""
    found, selected = _found(context, selection)
    if not selected and selection != Selection():
        raise CliError(f"No late orders match the filter ({len(found)} in all).", "List them: relay late list")
    return selected


def _messages(context: Context) -> int:
    """The approximate number of messages in the recovery queue, delayed and in-flight messages included."""
    names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = context.sqs.get_queue_attributes(QueueUrl=context.settings.recovery_queue_url, AttributeNames=names)
    return sum(int(answer.get("Attributes", {}).get(name, 0)) for name in names)


def _group_fix(group: list[OrderNote]) -> str:
    return late_order_fix(group[0].cause, group[0].store, group[0].order, group=True)


def _print_orders(context: Context, notes: list[OrderNote], now: float) -> None:
    table = Table("order", "store", "late for", "cause", "attempts", "next attempt", "gives up", title_justify="left")
    table.title = counted(len(notes), NOUN)
    table.columns[4].justify = "right"

    def cells(note: OrderNote) -> tuple[str, ...]:
        first = "" if note.first_cause == note.cause else f" (first: {note.first_cause})"
        late_for, gives_up = rough(now - note.late_at), f"in {rough(note.give_up_at - now)}"
        cause, attempts = note.cause + first, str(note.attempts)
        return str(note.order), note.store, late_for, cause, attempts, note.next_attempt(now), gives_up

    print_rows(context, table, notes, cells)
