"""`relay failed`: the dead letters, orders that only a person can bring further."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Annotated, Any

import typer
from rich.table import Table

from handler.errors import Cause
from relay.command import AnyStoreOption, DryRunOption, YesOption, confirm
from relay.dead_letters import OTHER_SCOPE, DeadLetter, DeadLetters, Selection
from relay.desk import Desk
from relay.plain import plain
from relay.timespan import clock_time, rough, seconds
from relay.trouble import Trouble

MOST_ROWS = 50
REASONS = (*(str(cause) for cause in Cause), OTHER_SCOPE)

MENDS = {
    str(Cause.UNAUTHORISED): "relay doctor {store}, then: relay store add {store}",
    str(Cause.SECRET_UNAVAILABLE): "relay store add {store}",
    str(Cause.API_REFUSED): "relay failed show ORDER has BigCommerce's words; relay doctor {store} checks the rules",
    str(Cause.ORDER_NOT_FOUND): "if the store has no such order any more: relay failed drop",
    str(Cause.UNEXPECTED_ANSWER): "check StoreApiUrl and B2BApiUrl (relay doctor {store}), then redrive",
    str(Cause.RECORD_UNREADABLE): "correct the record in B2B Edition by hand: its extra fields have an unknown shape",
    str(Cause.NOT_THERE_YET): "look the order up in B2B Edition: it has no record there",
    str(Cause.UNREADABLE): "relay failed show; no redrive helps before the sender is mended",
    OTHER_SCOPE: "not an order: relay failed drop --reason other_scope",
}
"""What brings an order further, by its reason."""

ANY_MEND = "relay doctor {store}; once BigCommerce answers again: relay failed redrive"


def _reason(value: str | None) -> str | None:
    if value is not None and value not in REASONS:
        raise typer.BadParameter(f"a reason is one of {', '.join(REASONS)}")
    return value


OrderOption = Annotated[
    int | None, typer.Option("--order", metavar="ORDER", show_default=False, help="Only this order's.")
]
ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="REASON", callback=_reason, show_default=False, help="Only those: unauthorised, ..."
    ),
]
OlderOption = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", show_default=False, help="Dead for longer: 30m, 6h, 2d.")
]
NewerOption = Annotated[
    str | None, typer.Option("--newer-than", metavar="AGE", show_default=False, help="Dead for less: 30m, 6h, 2d.")
]


def list_failed(
    desk: Desk,
    *,
    store: AnyStoreOption = None,
    order: OrderOption = None,
    reason: ReasonOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
) -> bool:
    """List the dead letters, grouped by store and reason. They stay where they are.

    Examples:
      relay failed list
      relay failed list --store abc123 --reason unauthorised --newer-than 6h
    """
    selection = _selection(store, order, reason, older_than, newer_than)
    queue = _queue(desk)
    with queue.held() as letters:
        chosen = _chosen(desk, letters, selection)
    now = desk.clock()
    value = {
        "count": len(chosen),
        "complete": queue.complete,
        "groups": [
            {"store": store or None, "reason": reason, "count": count} for (store, reason), count in _groups(chosen)
        ],
        "letters": [dead.as_json() for dead in chosen],
    }

    def picture() -> None:
        if not chosen:
            desk.out.print("[green]✓[/] No dead letters" + ("." if len(letters) == 0 else " that are meant."))
        else:
            _print_groups(desk, chosen, now)
            _print_letters(desk, chosen, now)
            desk.out.print("Bring them back once the cause is mended: relay failed redrive")
        _print_incomplete(desk, queue)

    desk.show(value, picture)
    return True


def show(
    desk: Desk,
    which: Annotated[str, typer.Argument(metavar="ORDER", show_default=False, help="An order, or a message id.")],
    *,
    store: AnyStoreOption = None,
) -> bool:
    """Show one order's dead letters whole: when, why, and the message itself.

    Examples:
      relay failed show 1042
      relay failed show 1042 --store abc123
    """
    with _queue(desk).held() as letters:
        chosen = [
            dead
            for dead in letters
            if (str(dead.order) == which or dead.message_id == which) and store in {None, dead.store}
        ]
    if not chosen:
        raise Trouble(f"There is no dead letter of order {which}.", "See which there are: relay failed list")

    def picture() -> None:
        for dead in chosen:
            desk.out.print(f"[bold]Order {dead.order or '?'} of store {dead.store or '?'}[/]")
            desk.out.print(f"  died      {clock_time(dead.failed_at)} ({rough(desk.clock() - dead.failed_at)} ago)")
            desk.out.print(f"  reason    {dead.reason}: {plain(dead.detail)}", soft_wrap=True)
            desk.out.print(f"  message   {dead.message_id}")
            desk.out.print(f"  to mend   {_mend(dead.reason, dead.store)}", soft_wrap=True)
            desk.out.print(plain(_pretty(dead.body)), soft_wrap=True)

    desk.show([dead.as_json() | {"body": dead.body} for dead in chosen], picture)
    return True


def redrive(
    desk: Desk,
    *,
    store: AnyStoreOption = None,
    order: OrderOption = None,
    reason: ReasonOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    dry_run: DryRunOption = False,
) -> bool:
    """Put dead letters back to work: each goes to the recovery queue and is finished from there.

    Mend the cause first, or they come back. A message is deleted here only when it has arrived
    there. Orders that are finished meanwhile are not worked on again.

    Examples:
      relay failed redrive --dry-run
      relay failed redrive --store abc123 --reason unauthorised
    """
    selection = _selection(store, order, reason, older_than, newer_than)
    queue = _queue(desk)
    fates: list[tuple[DeadLetter, str]] = []
    with queue.held() as letters:
        chosen = _taken(desk, queue, letters, selection)
        if dry_run:
            fates = [(dead, "") for dead in chosen]
        else:
            with desk.progress() as progress:
                for fate in progress.track(
                    queue.move(chosen, desk.settings.recovery_queue_url), total=len(chosen), description="Moving"
                ):
                    fates.append(fate)
    done = "would be moved" if dry_run else "moved"
    return _report(desk, queue, fates, done)


def drop(
    desk: Desk,
    *,
    store: AnyStoreOption = None,
    order: OrderOption = None,
    reason: ReasonOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> bool:
    """Delete dead letters for good: their orders stay without what the relay would have brought them.

    Example:
      relay failed drop --order 1042 --store abc123
    """
    selection = _selection(store, order, reason, older_than, newer_than)
    queue = _queue(desk)
    with queue.held() as letters:
        chosen = _taken(desk, queue, letters, selection)
        undeleted = {}
        if chosen and not dry_run:
            _print_groups(desk, chosen, desk.clock())
            confirm(f"Delete {_counted(chosen)} for good?", yes=yes)
            undeleted = queue.delete(chosen)
    fates = [
        (
            dead,
            f"it stays: SQS did not delete it ({undeleted[dead.message_id]})" if dead.message_id in undeleted else "",
        )
        for dead in chosen
    ]
    return _report(desk, queue, fates, "would be deleted" if dry_run else "deleted")


def _queue(desk: Desk) -> DeadLetters:
    return DeadLetters(desk.sqs, desk.settings.dead_letter_queue_url, time.monotonic)


def _selection(
    store: str | None, order: int | None, reason: str | None, older_than: str | None, newer_than: str | None
) -> Selection:
    return Selection(
        store,
        order,
        reason,
        None if older_than is None else seconds(older_than),
        None if newer_than is None else seconds(newer_than),
    )


def _chosen(desk: Desk, letters: list[DeadLetter], selection: Selection) -> list[DeadLetter]:
    now = desk.clock()
    return sorted((dead for dead in letters if selection.takes(dead, now)), key=lambda dead: dead.failed_at)


def _taken(desk: Desk, queue: DeadLetters, letters: list[DeadLetter], selection: Selection) -> list[DeadLetter]:
    """The selected ones; the others are made visible to everybody again at once."""
    chosen = _chosen(desk, letters, selection)
    taken = {dead.message_id for dead in chosen}
    queue.release(dead for dead in letters if dead.message_id not in taken)
    return chosen


def _groups(letters: list[DeadLetter]) -> list[tuple[tuple[str, str], int]]:
    return Counter((dead.store, dead.reason) for dead in letters).most_common()


def _counted(letters: list[DeadLetter]) -> str:
    return "1 dead letter" if len(letters) == 1 else f"{len(letters)} dead letters"


def _mend(reason: str, store: str) -> str:
    return MENDS.get(reason, ANY_MEND).format(store=store or "STORE")


def _print_groups(desk: Desk, letters: list[DeadLetter], now: float) -> None:
    table = Table(
        "store",
        "reason",
        "orders",
        "oldest",
        "newest",
        "to mend",
        title=_counted(letters),
        title_justify="left",
    )
    table.columns[2].justify = "right"
    for (store, reason), count in _groups(letters):
        ages = [now - dead.failed_at for dead in letters if (dead.store, dead.reason) == (store, reason)]
        mend = _mend(reason, store)
        table.add_row(store or "?", reason, str(count), rough(max(ages)), rough(min(ages)), mend)
    (desk.err if desk.as_json else desk.out).print(table)


def _print_letters(desk: Desk, letters: list[DeadLetter], now: float) -> None:
    table = Table("order", "store", "dead for", "reason", "in words")
    for dead in letters[:MOST_ROWS]:
        table.add_row(
            str(dead.order or dead.message_id),
            dead.store or "?",
            rough(now - dead.failed_at),
            dead.reason,
            plain(dead.detail),
        )
    desk.out.print(table)
    if len(letters) > MOST_ROWS:
        desk.out.print(
            f"... and {len(letters) - MOST_ROWS} more; choose with --store, --order, --reason, or see all: --json"
        )


def _print_incomplete(desk: Desk, queue: DeadLetters) -> None:
    if not queue.complete:
        desk.err.print("[yellow]![/] There are more than could be read at once. Say the same again for the rest.")


def _report(desk: Desk, queue: DeadLetters, fates: list[tuple[DeadLetter, str]], done: str) -> bool:
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
            name = f"order {dead.order} of {dead.store}" if dead.order else f"message {dead.message_id}"
            desk.out.print(f"{mark} {name:<30} {dead.reason:<20} {fate or done}", soft_wrap=True)
        desk.out.print(f"{len(fates) - len(failed)} {done}" + (f", {len(failed)} not" if failed else "") + ".")
        _print_incomplete(desk, queue)

    desk.show(value, picture)
    return not failed


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2)
    except ValueError:
        return body
