"""`relay status`: what the relay did with an order, and when."""

from __future__ import annotations

import itertools
import time
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from relay.command import OrderArgument, StoreOption
from relay.dead_letters import DeadLetter, DeadLetters
from relay.desk import Desk
from relay.log_lines import lines
from relay.plain import plain
from relay.record_of_order import Remembered, remembered
from relay.timespan import clock_time, rough
from relay.trouble import explained

TOLD = ("outcome", "cause", "detail", "status", "reason", "window_left_seconds", "rule", "check", "error")
"""What of a log line is worth telling."""

HoursOption = Annotated[
    float, typer.Option("--hours", metavar="N", min=0.1, max=8760, help="Look through the log lines of so many hours.")
]


def status(desk: Desk, order: OrderArgument, *, store: StoreOption, hours: HoursOption = 24.0) -> bool:
    """Tell an order's story: whether it is finished, late or dead, and what the logs say.

    Exit code 1 when it is dead, or when the relay has never heard of it.

    Examples:
      relay status 1042 --store abc123
      relay status 1042 --store abc123 --hours 72
    """
    known = remembered(desk, store, [order])[order]
    dead = [] if known.finished else _dead(desk, order, store)
    told = _told(desk, hours, order, store)
    verdict, what = _verdict(desk, known, dead, told, order, store)

    def picture() -> None:
        mark = {"finished": "[green]✓[/]", "dead": "[red]✗[/]", "unknown": "[red]✗[/]"}.get(verdict, "[yellow]…[/]")
        desk.out.print(f"{mark} Order {order} of store {store}: {plain(what)}", soft_wrap=True)
        for same in _alike(told):
            _print(desk, same)
        if not told:
            desk.out.print(f"  No log lines of the last {hours:g} h; look further back with --hours.")

    value = {
        "store": store,
        "order": order,
        "verdict": verdict,
        "in_words": what,
        "finished": known.finished,
        "finished_at": known.finished_at,
        "rules_failed": list(known.rules_failed) if known.finished else [],
        "noted": None
        if known.note is None
        else {"as": known.note, "cause": known.cause, "detail": known.detail, "at": known.noted_at},
        "dead_letters": [letter.as_json() for letter in dead],
        "log": [
            {"at": line["at"], "message": line.get("message")} | {k: line[k] for k in TOLD if k in line}
            for line in told
        ],
    }
    desk.show(value, picture)
    return verdict not in {"dead", "unknown"}


def _dead(desk: Desk, order: int, store: str) -> list[DeadLetter]:
    queue = DeadLetters(desk.sqs, desk.settings.dead_letter_queue_url, time.monotonic)
    with queue.held() as letters:
        return [letter for letter in letters if (letter.store, letter.order) == (store, order)]


def _told(desk: Desk, hours: float, order: int, store: str) -> list[dict[str, Any]]:
    """The order's log lines. The rest of the story is worth telling without them, too."""
    try:
        return lines(desk, desk.stack.log_groups, hours, order=order, store=store)
    except (ClientError, BotoCoreError) as error:
        trouble = explained(error)
        desk.err.print(f"[yellow]![/] The logs cannot be read. {plain(trouble.what if trouble else str(error))}")
        return []


def _words(line: dict[str, Any]) -> str:
    return ", ".join(f"{key}={line[key]}" for key in TOLD if line.get(key) not in {None, ""})


def _alike(told: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The lines, those together that say the same one after the other."""
    groups = itertools.groupby(told, key=lambda line: (line["group"], line.get("message"), _words(line)))
    return [list(group) for _, group in groups]


def _print(desk: Desk, same: list[dict[str, Any]]) -> None:
    first, last = same[0], same[-1]
    function = first["group"].rpartition("-")[2]
    text = plain(str(first.get("message", "")))
    words = plain(_words(first))
    desk.out.print(
        f"  {clock_time(first['at'])}  {function:<9} {first.get('level', ''):<7} {text}  [dim]{words}[/]",
        soft_wrap=True,
    )
    if len(same) > 1:
        desk.out.print(f"  {clock_time(last['at'])}  [dim]... for the {len(same)}th time[/]")


def _verdict(  # noqa: PLR0911  one return for each case
    desk: Desk, known: Remembered, dead: list[DeadLetter], told: list[dict[str, Any]], order: int, store: str
) -> tuple[str, str]:
    """In one word for programs, and in a sentence for people."""
    now = desk.clock()
    if known.finished:
        when = clock_time(known.finished_at) if known.finished_at else "at an unknown time"
        rules = (
            f". These rules failed on it: {', '.join(known.rules_failed)}. "
            f"Once they are corrected and deployed: relay backfill --store {store} --order {order} --rules-failed"
        )
        return "finished", f"finished ({known.finished}) {when}{rules if known.rules_failed else ''}"
    if dead:
        letter = dead[-1]
        again = f"relay failed redrive --store {store} --order {order}"
        return (
            "dead",
            f"dead for {rough(now - letter.failed_at)}: {letter.reason}: {letter.detail}. Once mended: {again}",
        )
    if known.in_progress:
        return "in progress", "is being worked on right now"
    if known.note == "Late":
        since = rough(now - (known.noted_at or now))
        return "late", f"has been waiting in the recovery queue for {since} ({known.cause}: {known.detail})"
    if known.note:
        return "redriven", (
            f"was dead ({known.cause}: {known.detail}) and is no longer among the dead letters: "
            "it was put back to work, or dropped"
        )
    if told:
        return "on its way", "has been heard of, and is neither finished nor late yet"
    return "unknown", (
        "the relay has not heard of it. Was there a webhook? relay doctor " + store + ". "
        f"Fetch it: relay backfill --store {store} --order {order}"
    )
