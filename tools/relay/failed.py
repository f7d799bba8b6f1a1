"""`relay failed`: lists, redrives and deletes dead letters."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from handler.errors import Cause
from relay.command import AnyStoreOption, DryRunOption, YesOption, confirm
from relay.context import Context
from relay.dead_letters import DeadLetter, DeadLetters
from relay.errors import CliError
from relay.fixes import dead_letter_fix
from relay.listing import groups, print_fixes, print_rows, show_results
from relay.redriven import wait_for_orders
from relay.selection import OTHER_SCOPE, Selection, selecting
from relay.status import ForOption
from relay.store import require_store
from relay.text import counted, escaped
from relay.timespan import clock_time, rough, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

NOUN = "dead letter"
NOT_REDRIVABLE = frozenset({str(Cause.UNREADABLE), OTHER_SCOPE})

WaitOption = Annotated[
    bool,
    typer.Option("--wait", "-w", help="Wait until each order is finished (exit code 0) or a dead letter again (1)."),
]


@selecting(by_id=True, needed=False)
def list_failed(context: Context, *, selection: Selection) -> bool:
    """List the dead letters by store and cause. Nothing is changed.

    Exit code 1 if there are dead letters, but none matches the filter.

    Examples:
      relay failed list
      relay failed list --store abc123 --cause unauthorized --since 6h
    """
    queue = _queue(context)
    with queue.held() as letters:
        selected = _matching(letters, selection)
    if selection.store and not selected:
        require_store(context, selection.store)
    now = context.clock()
    value = {
        "count": len(selected),
        "in_all": len(letters),
        "complete": queue.complete,
        "groups": [
            {"store": group[0].store or None, "cause": group[0].cause, "count": len(group), "fix": _group_fix(group)}
            for group in groups(selected)
        ],
        "letters": [letter.as_json() for letter in selected],
    }

    def print_text() -> None:
        if not letters:
            context.out.print("[green]✓[/] No dead letters.")
        elif not selected:
            context.out.print(f"No dead letters match the filter ({len(letters)} in all).")
        else:
            _print_groups(context, selected, now)
            table = Table("order", "store", "age", "cause", "detail")
            table.columns[0].overflow = "fold"  # a message id must not be cut
            print_rows(context, table, selected, lambda letter: _cells(letter, now))
            print_fixes(context, selected, _group_fix)
        _print_incomplete(context, queue)

    context.show(value, print_text)
    return bool(selected) or not letters


def show(
    context: Context,
    which: Annotated[str, typer.Argument(metavar="ORDER", show_default=False, help="An order number or a message id.")],
    *,
    store: AnyStoreOption = None,
) -> bool:
    """Show the dead letters of one order: time, cause, fix and message body.

    Examples:
      relay failed show 1042
      relay failed show 1042 --store abc123
    """
    with _queue(context).held() as letters:
        selected = [
            letter
            for letter in letters
            if (str(letter.order) == which or letter.message_id == which) and (not store or store == letter.store)
        ]
    if not selected:
        if store:
            require_store(context, store)
        what = f"of order {which}" if which.isdigit() else f"with the message id {which}"
        raise CliError(f"There is no dead letter {what} ({len(letters)} in all).", "List them: relay failed list")

    def print_text() -> None:
        for letter in selected:
            context.out.print(f"[bold]{escaped(letter.name.capitalize())}[/]")
            context.out.print(
                f"  since     {clock_time(letter.failed_at)} ({rough(context.clock() - letter.failed_at)} ago)"
            )
            context.out.print(f"  cause     {letter.cause}: {escaped(letter.detail)}", soft_wrap=True)
            context.out.print(f"  message   {letter.message_id}")
            context.out.print(f"  to fix   {escaped(_fix(letter))}", soft_wrap=True)
            context.out.print(escaped(_pretty(letter.body)), soft_wrap=True)

    context.show([letter.as_json() | {"fix": _fix(letter), "body": letter.body} for letter in selected], print_text)
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
    """Move dead letters back to the recovery queue, where their orders are retried.

    Fix the cause first, or the orders become dead letters again. A message is deleted from the
    dead-letter queue only after it was sent to the recovery queue. Finished orders are not processed
    again. Unreadable messages are skipped unless --id or --cause selects them: a redrive does not
    help them and restarts their 14 days of retention.

    Examples:
      relay failed redrive --all --dry-run
      relay failed redrive --store abc123 --cause unauthorized --wait
      relay failed redrive --store abc123 --order 1042
    """
    most_seconds = seconds(for_)
    queue = _queue(context)
    moved_at = context.clock()
    results: list[tuple[DeadLetter, str]] = []
    with queue.held() as letters:
        selected = _select(context, queue, letters, selection, skipped=_skipped(selection))
        if dry_run:
            results = [(letter, "") for letter in selected]
        else:
            with context.progress() as progress:
                for result in progress.track(
                    queue.move(selected, context.settings.recovery_queue_url), total=len(selected), description="Moving"
                ):
                    results.append(result)
    if wait and not dry_run:
        return _show_results(context, queue, wait_for_orders(context, results, moved_at, most_seconds), "finished")
    return _show_results(context, queue, results, "would be moved" if dry_run else "moved")


@selecting(by_id=True, needed=True)
def drop(context: Context, *, selection: Selection, dry_run: DryRunOption = False, yes: YesOption = False) -> bool:
    """Delete dead letters permanently. The records of their orders stay as they are.

    Examples:
      relay failed drop --store abc123 --order 1042
      relay failed drop --id 8f1c2c1e-6d0b-4a53-9b1a-5f0d3c1b7a11
    """
    queue = _queue(context)
    with queue.held() as letters:
        selected = _select(context, queue, letters, selection)
        undeleted = {}
        if selected and not dry_run:
            _print_groups(context, selected, context.clock())
            confirm(f"Delete {counted(len(selected), NOUN)} permanently?", yes=yes)
            undeleted = queue.delete(selected)
    results = [
        (
            letter,
            f"not deleted: SQS refused ({undeleted[letter.message_id]})" if letter.message_id in undeleted else "",
        )
        for letter in selected
    ]
    return _show_results(context, queue, results, "would be deleted" if dry_run else "deleted")


def _queue(context: Context) -> DeadLetters:
    return DeadLetters(context.sqs, context.settings.dead_letter_queue_url, time.monotonic)


def _matching(letters: Iterable[DeadLetter], selection: Selection) -> list[DeadLetter]:
    return sorted((letter for letter in letters if letter.is_in(selection)), key=lambda letter: letter.failed_at)


def _skipped(selection: Selection) -> frozenset[str]:
    """The causes that a redrive skips because they are not selected explicitly."""
    return frozenset() if selection.ids or selection.cause else NOT_REDRIVABLE


def _select(
    context: Context,
    queue: DeadLetters,
    letters: list[DeadLetter],
    selection: Selection,
    skipped: frozenset[str] = frozenset(),
) -> list[DeadLetter]:
    """The selected letters. Makes the others visible again at once. Raises CliError if none matches."""
    matching = _matching(letters, selection)
    selected = [letter for letter in matching if letter.cause not in skipped]
    if left := len(matching) - len(selected):
        context.err.print(
            f"[yellow]![/] {counted(left, 'message')} skipped: a redrive does not help unreadable messages."
        )
    if selection != Selection() and not matching:
        if selection.store:
            require_store(context, selection.store)
        raise CliError(f"No dead letters match the filter ({len(letters)} in all).", "List them: relay failed list")
    taken = {letter.message_id for letter in selected}
    queue.release(letter for letter in letters if letter.message_id not in taken)
    return selected


def _fix(letter: DeadLetter) -> str:
    return dead_letter_fix(letter.cause, letter.store, letter.order, letter.message_id)


def _group_fix(group: list[DeadLetter]) -> str:
    first = group[0]
    return dead_letter_fix(first.cause, first.store, first.order, first.message_id, group=len(group) > 1)


def _cells(letter: DeadLetter, now: float) -> tuple[str, ...]:
    age = rough(now - letter.failed_at)
    return str(letter.order or letter.message_id), letter.store or "?", age, letter.cause, escaped(letter.detail)


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
    for group in groups(letters):
        ages = [now - letter.failed_at for letter in group]
        table.add_row(group[0].store or "?", group[0].cause, str(len(group)), rough(max(ages)), rough(min(ages)))
    (context.err if context.as_json else context.out).print(table)


def _print_incomplete(context: Context, queue: DeadLetters) -> None:
    if not queue.complete:
        context.err.print("[yellow]![/] The queue has more messages. Run the command again for the rest.")


def _show_results(context: Context, queue: DeadLetters, results: list[tuple[DeadLetter, str]], done: str) -> bool:
    """Shows the results; returns whether all letters were processed as asked."""
    show_results(context, results, done, NOUN, "letters", complete=queue.complete)
    _print_incomplete(context, queue)
    return not any(result for _, result in results)


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2)
    except ValueError:
        return body
