"""`relay failed`: the dead letters, orders that only a person can bring further."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from handler.errors import Cause
from relay.command import AnyStoreOption, DryRunOption, YesOption, confirm
from relay.context import Context
from relay.dead_letters import DeadLetter, DeadLetters
from relay.errors import CliError
from relay.mends import dead_mend
from relay.plain import counted, plain
from relay.record_of_order import finished, remembered
from relay.selection import OTHER_SCOPE, Selection, selecting
from relay.status import POLL_SECONDS, ForOption
from relay.store import check_store
from relay.timespan import clock_time, rough, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ROWS = 50
NOUN = "dead letter"
WAITS = "still waits"
NO_REDRIVE_HELPS = frozenset({str(Cause.UNREADABLE), OTHER_SCOPE})

WaitOption = Annotated[
    bool, typer.Option("--wait", "-w", help="Wait until each order is finished (exit code 0) or dead again (1).")
]


@selecting(by_id=True, needed=False)
def list_failed(context: Context, *, selection: Selection) -> bool:
    """List the dead letters, grouped by store and cause. They stay where they are.

    Exit code 1 when dead letters wait and none matches.

    Examples:
      relay failed list
      relay failed list --store abc123 --cause unauthorized --since 6h
    """
    queue = _queue(context)
    with queue.held() as letters:
        chosen = _chosen(letters, selection)
    if selection.store and not chosen:
        check_store(context, selection.store)
    now = context.clock()
    value = {
        "count": len(chosen),
        "in_all": len(letters),
        "complete": queue.complete,
        "groups": [
            {"store": store or None, "cause": cause, "count": count, "mend": _mend_of(chosen, store, cause)}
            for (store, cause), count in _groups(chosen)
        ],
        "letters": [dead.as_json() for dead in chosen],
    }

    def picture() -> None:
        if not letters:
            context.out.print("[green]✓[/] No dead letters.")
        elif not chosen:
            context.out.print(f"No dead letters match the filter ({len(letters)} in all).")
        else:
            _print_groups(context, chosen, now)
            _print_letters(context, chosen, now)
            for (store, cause), _ in _groups(chosen):
                name = f"{store}, {cause}" if store else cause
                context.out.print(f"{name}: {plain(_mend_of(chosen, store, cause))}", soft_wrap=True)
        _print_incomplete(context, queue)

    context.show(value, picture)
    return bool(chosen) or not letters


def show(
    context: Context,
    which: Annotated[str, typer.Argument(metavar="ORDER", show_default=False, help="An order, or a message id.")],
    *,
    store: AnyStoreOption = None,
) -> bool:
    """Show one order's dead letters whole: when, why, and the message itself.

    Examples:
      relay failed show 1042
      relay failed show 1042 --store abc123
    """
    with _queue(context).held() as letters:
        chosen = [
            dead
            for dead in letters
            if (str(dead.order) == which or dead.message_id == which) and (not store or store == dead.store)
        ]
    if not chosen:
        if store:
            check_store(context, store)
        what = f"of order {which}" if which.isdigit() else f"with the message id {which}"
        raise CliError(
            f"There is no dead letter {what} ({len(letters)} in all).", "See which there are: relay failed list"
        )

    def picture() -> None:
        for dead in chosen:
            context.out.print(f"[bold]{plain(dead.name.capitalize())}[/]")
            context.out.print(
                f"  died      {clock_time(dead.failed_at)} ({rough(context.clock() - dead.failed_at)} ago)"
            )
            context.out.print(f"  cause     {dead.cause}: {plain(dead.detail)}", soft_wrap=True)
            context.out.print(f"  message   {dead.message_id}")
            context.out.print(f"  to mend   {plain(_mend(dead))}", soft_wrap=True)
            context.out.print(plain(_pretty(dead.body)), soft_wrap=True)

    context.show([dead.as_json() | {"mend": _mend(dead), "body": dead.body} for dead in chosen], picture)
    return True


@selecting(by_id=True, needed=True)
def redrive(
    context: Context,
    *,
    selection: Selection,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    for_: ForOption = "15m",
) -> bool:
    """Put dead letters back to work: each goes to the recovery queue and is finished from there.

    Mend the cause first, or they come back. A message is deleted here only when it has arrived
    there. Finished orders are not processed again. Messages that the relay cannot read are passed
    over unless --id or --cause names them: a redrive does not help them, and their 14 days would
    begin anew.

    Examples:
      relay failed redrive --all --dry-run
      relay failed redrive --store abc123 --cause unauthorized --wait
      relay failed redrive --store abc123 --order 1042
    """
    most_seconds = seconds(for_)
    queue = _queue(context)
    moved_at = context.clock()
    fates: list[tuple[DeadLetter, str]] = []
    with queue.held() as letters:
        chosen = _taken(context, queue, letters, selection, passed_over=_passed_over(selection))
        if dry_run:
            fates = [(dead, "") for dead in chosen]
        else:
            with context.progress() as progress:
                for fate in progress.track(
                    queue.move(chosen, context.settings.recovery_queue_url), total=len(chosen), description="Moving"
                ):
                    fates.append(fate)
    if wait and not dry_run:
        return _report(context, queue, _waited(context, fates, moved_at, most_seconds), "finished")
    return _report(context, queue, fates, "would be moved" if dry_run else "moved")


@selecting(by_id=True, needed=True)
def drop(context: Context, *, selection: Selection, dry_run: DryRunOption = False, yes: YesOption = False) -> bool:
    """Delete dead letters for good: their orders stay without what the relay would have brought them.

    Examples:
      relay failed drop --store abc123 --order 1042
      relay failed drop --id 8f1c2c1e-6d0b-4a53-9b1a-5f0d3c1b7a11
    """
    queue = _queue(context)
    with queue.held() as letters:
        chosen = _taken(context, queue, letters, selection)
        undeleted = {}
        if chosen and not dry_run:
            _print_groups(context, chosen, context.clock())
            confirm(f"Delete {counted(len(chosen), NOUN)} for good?", yes=yes)
            undeleted = queue.delete(chosen)
    fates = [
        (
            dead,
            f"it stays: SQS did not delete it ({undeleted[dead.message_id]})" if dead.message_id in undeleted else "",
        )
        for dead in chosen
    ]
    return _report(context, queue, fates, "would be deleted" if dry_run else "deleted")


def _queue(context: Context) -> DeadLetters:
    return DeadLetters(context.sqs, context.settings.dead_letter_queue_url, time.monotonic)


def _chosen(letters: Iterable[DeadLetter], selection: Selection) -> list[DeadLetter]:
    return sorted((dead for dead in letters if dead.is_in(selection)), key=lambda dead: dead.failed_at)


def _passed_over(selection: Selection) -> frozenset[str]:
    """The causes of letters that a redrive passes over, since they are not named."""
    return frozenset() if selection.ids or selection.cause else NO_REDRIVE_HELPS


def _taken(
    context: Context,
    queue: DeadLetters,
    letters: list[DeadLetter],
    selection: Selection,
    passed_over: frozenset[str] = frozenset(),
) -> list[DeadLetter]:
    """The selected ones; the others are made visible to everybody again at once. Raises CliError when none matches."""
    matching = _chosen(letters, selection)
    chosen = [dead for dead in matching if dead.cause not in passed_over]
    if passed := len(matching) - len(chosen):
        context.err.print(
            f"[yellow]![/] {counted(passed, 'message')} passed over: not readable, so a redrive does not help."
        )
    if selection != Selection() and not matching:
        if selection.store:
            check_store(context, selection.store)
        raise CliError(f"No dead letters match the filter ({len(letters)} in all).", "See them: relay failed list")
    taken = {dead.message_id for dead in chosen}
    queue.release(dead for dead in letters if dead.message_id not in taken)
    return chosen


def _waited(
    context: Context, moved: list[tuple[DeadLetter, str]], moved_at: float, most_seconds: float
) -> list[tuple[DeadLetter, str]]:
    """What became of the orders that were moved, once all are finished or dead again, or after so many seconds."""
    ends_at = context.clock() + most_seconds
    pending = [dead for dead, fate in moved if dead.letter and not fate]
    fates = {dead.message_id: WAITS for dead in pending}
    with context.progress() as progress:
        task = progress.add_task("Waiting for the orders", total=len(pending))
        while pending and context.clock() < ends_at:
            context.sleep(POLL_SECONDS)
            fates |= _fates(context, pending, moved_at)
            pending = [dead for dead in pending if fates[dead.message_id].startswith(WAITS)]
            progress.update(task, completed=len(fates) - len(pending))
    return [(dead, fates.get(dead.message_id, fate)) for dead, fate in moved]


def _fates(context: Context, moved: list[DeadLetter], moved_at: float) -> dict[str, str]:
    """How each order is since then, by message id: nothing if it is finished."""
    of_id = {dead.message_id: dead.record_id for dead in moved}
    done = finished(context, of_id.values())
    fates = {message: "" for message, record in of_id.items() if record in done}
    for store in {dead.store for dead in moved}:
        waiting = {dead.order: dead for dead in moved if dead.store == store and dead.message_id not in fates}
        for order, known in remembered(context, store, [order for order in waiting if order]).items():
            note = known.note
            if note is None or note.at < int(moved_at):
                fate = f"{WAITS} to be tried"
            else:
                fate = f"{'dead again' if note.is_dead else WAITS}: {note.cause}: {note.detail}"
            fates[waiting[order].message_id] = fate
    return fates


def _groups(letters: list[DeadLetter]) -> list[tuple[tuple[str, str], int]]:
    return Counter((dead.store, dead.cause) for dead in letters).most_common()


def _mend(dead: DeadLetter) -> str:
    return dead_mend(dead.cause, dead.store, dead.order, dead.message_id)


def _mend_of(letters: list[DeadLetter], store: str, cause: str) -> str:
    """What is to be done about all of this store and cause."""
    group = [dead for dead in letters if (dead.store, dead.cause) == (store, cause)]
    if len(group) == 1:
        return _mend(group[0])
    return dead_mend(cause, store, group[0].order, group[0].message_id, group=True)


def _print_groups(context: Context, letters: list[DeadLetter], now: float) -> None:
    table = Table(
        "store",
        "cause",
        "orders",
        "oldest",
        "newest",
        title=counted(len(letters), NOUN),
        title_justify="left",
    )
    table.columns[2].justify = "right"
    for (store, cause), count in _groups(letters):
        ages = [now - dead.failed_at for dead in letters if (dead.store, dead.cause) == (store, cause)]
        table.add_row(store or "?", cause, str(count), rough(max(ages)), rough(min(ages)))
    (context.err if context.as_json else context.out).print(table)


def _print_letters(context: Context, letters: list[DeadLetter], now: float) -> None:
    table = Table("order", "store", "dead for", "cause", "in words")
    table.columns[0].overflow = "fold"  # a message id is needed whole
    for dead in letters[:MOST_ROWS]:
        table.add_row(
            str(dead.order or dead.message_id),
            dead.store or "?",
            rough(now - dead.failed_at),
            dead.cause,
            plain(dead.detail),
        )
    context.out.print(table)
    if len(letters) > MOST_ROWS:
        context.out.print(f"... and {len(letters) - MOST_ROWS} more; choose with --store, --cause, or see all: --json")


def _print_incomplete(context: Context, queue: DeadLetters) -> None:
    if not queue.complete:
        context.err.print("[yellow]![/] There are more than could be read at once. Run the command again for the rest.")


def _report(context: Context, queue: DeadLetters, fates: list[tuple[DeadLetter, str]], done: str) -> bool:
    """Tells each message's fate; answers whether all of them had the one that was wanted."""
    failed = [fate for _, fate in fates if fate]
    value: dict[str, Any] = {
        "done": done,
        "count": len(fates) - len(failed),
        "failed": len(failed),
        "complete": queue.complete,
        "letters": [dead.as_json() | {"fate": fate or done} for dead, fate in fates],
    }

    def picture() -> None:
        for dead, fate in fates:
            mark = "[red]✗[/]" if fate else "[green]✓[/]"
            context.out.print(f"{mark} {dead.name:<30} {dead.cause:<20} {plain(fate or done)}", soft_wrap=True)
        more = f", {len(failed)} not" if failed else ""
        context.out.print(f"{counted(len(fates) - len(failed), NOUN)} {done}{more}.")
        _print_incomplete(context, queue)

    context.show(value, picture)
    return not failed


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2)
    except ValueError:
        return body
