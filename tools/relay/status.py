"""`relay status`: the state of an order, its record and its log lines."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from handler.deadline import Deadline
from handler.errors import RelayError
from relay.command import OrderArgument, StoreOption
from relay.context import Context
from relay.dead_letters import DeadLetter, DeadLetters
from relay.errors import explained
from relay.fixes import dead_letter_fix, late_order_fix
from relay.idempotency_records import DROPPED, OrderState, finished_records, order_states
from relay.log_lines import lines
from relay.store import require_store
from relay.text import escaped, ordinal
from relay.timespan import clock_time, iso, rough, seconds

if TYPE_CHECKING:
    from handler.content import Record
    from relay.order_notes import OrderNote

LOG_FIELDS = ("outcome", "cause", "detail", "status", "reason", "window_left_seconds", "rule", "check", "error")
"""The fields of a log line that are shown."""

RECORD_SECONDS = 6.0
"""Time limit for reading the order's record; in an outage the rest is shown without it."""

POLL_SECONDS = 2.0
FINAL = {"finished": True, "dropped": True, "dead": False}
"""States that only an operator can change, and whether the order is finished."""

HoursOption = Annotated[
    float, typer.Option("--hours", metavar="N", min=0.1, max=8760, help="Show the log lines of the last N hours.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Wait until the order is finished (exit code 0) or dead (1).")
]
ForOption = Annotated[str, typer.Option("--for", metavar="DURATION", help="Longest time to wait: 90s, 15m.")]


@dataclass(frozen=True, slots=True)
class _Status:
    """The state of an order. `verdict` is a word for programs, `what` a description, `fix` what to do."""

    verdict: str
    what: str
    fix: str
    known: OrderState
    dead: list[DeadLetter]


def status(
    context: Context,
    order: OrderArgument,
    *,
    store: StoreOption,
    hours: HoursOption = 24.0,
    follow: FollowOption = False,
    for_: ForOption = "15m",
) -> bool:
    """Show whether an order is finished, late or dead, with the cause, the fix, its record and its log lines.

    Exit code 1 if it is dead or unknown to the relay; with --follow also if it is not finished in
    time.

    Examples:
      relay status 1042 --store abc123
      relay status 1042 --store abc123 --hours 72
      relay status 1042 --store abc123 --follow
    """
    log = _log_lines(context, hours, order, store)
    found = _status(context, store, order, received=bool(log))
    if found.verdict == "unknown" and not follow:
        require_store(context, store)
    if follow:
        found = _followed(context, store, order, found, seconds(for_))
        log = _log_lines(context, hours, order, store)
    record, no_record = (None, "") if found.verdict == "unknown" else _record(context, store, order)
    known, note = found.known, found.known.note

    def print_text() -> None:
        mark = {"finished": "[green]✓[/]", "dead": "[red]✗[/]", "unknown": "[red]✗[/]"}
        context.out.print(
            f"{mark.get(found.verdict, '[yellow]…[/]')} Order {order} of store {store}: {escaped(found.what)}",
            soft_wrap=True,
        )
        for name, text in _facts(context, found, record, no_record):
            context.out.print(f"  {name:<13} {escaped(text)}", soft_wrap=True)
        for same in _repeated(log):
            _print(context, same)
        if not log:
            context.out.print(f"  No log lines in the last {hours:g} hours. For older ones: --hours N")

    value = {
        "store": store,
        "order": order,
        "verdict": found.verdict,
        "in_words": found.what,
        "fix": found.fix,
        "finished": known.finished,
        "finished_at": iso(known.finished_at),
        "rules_failed": list(known.rules_failed) if known.finished else [],
        "noted": note and note.as_json(),
        "dead_letters": [letter.as_json() for letter in found.dead],
        "record": record and {"po_number": record.po_number, "extra_fields": dict(record.extra_fields or ())},
        "record_unknown": no_record,
        "log": [
            {
                "at": iso(line["at"]),
                "level": line.get("level"),
                "function": _function(line),
                "message": line.get("message"),
            }
            | {key: line[key] for key in LOG_FIELDS if key in line}
            for line in log
        ],
    }
    context.show(value, print_text)
    return FINAL.get(found.verdict, False) if follow else found.verdict not in {"dead", "unknown"}


def _followed(context: Context, store: str, order: int, found: _Status, most_seconds: float) -> _Status:
    """Waits until the order is finished or dead, `most_seconds` at most, and prints each change."""
    ends_at = context.clock() + most_seconds
    printed: object = None
    while found.verdict not in FINAL and context.clock() < ends_at:
        note = found.known.note
        now = found.verdict, note and (note.cause, note.attempts)  # not `what`, which contains the age
        if now != printed:
            printed = now
            context.err.print(f"… Order {order} of store {store}: {escaped(found.what)}")
        context.sleep(POLL_SECONDS)
        found = _status(context, store, order, received=found.verdict != "unknown")
    return found


def _facts(context: Context, found: _Status, record: Record | None, no_record: str) -> list[tuple[str, str]]:
    """The lines below the state: name and text."""
    facts = []
    note = found.known.note
    if note and found.verdict in {"late", "dead", "redriven"}:
        facts += _facts_of(note, context.clock(), late=found.verdict == "late")
    if found.fix:
        facts.append(("fix", found.fix))
    if no_record:
        facts.append(("record", f"unknown: {no_record}"))
    elif record:
        facts.append(("record", f"PO number {_display(record.po_number)}"))
        facts += [("", f"{name} = {_display(value)}") for name, value in record.extra_fields or ()]
    elif found.verdict != "unknown":
        facts.append(("record", "none"))
    return facts


def _facts_of(note: OrderNote, now: float, *, late: bool) -> list[tuple[str, str]]:
    facts = [
        ("late since", f"{clock_time(note.late_at)} ({rough(now - note.late_at)} ago)"),
        ("first cause", f"{note.first_cause}: {note.first_detail}"),
        ("latest cause", f"{note.cause}: {note.detail} ({rough(now - note.at)} ago)"),
    ]
    if late:
        facts += [
            ("failed attempts", str(note.attempts)),
            ("next attempt", f"{note.next_attempt(now)} ({clock_time(note.next_attempt_at)})"),
            ("gives up", f"in {rough(note.give_up_at - now)} ({clock_time(note.give_up_at)})"),
        ]
    return facts


def _display(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _record(context: Context, store: str, order: int) -> tuple[Record | None, str]:
    """The order's record, or why it could not be read."""
    try:
        return context.b2b_api.get_record(store, order, Deadline.after(RECORD_SECONDS, context.clock)), ""
    except (RelayError, ClientError, BotoCoreError) as error:
        failure = explained(error)
        return None, failure.what if failure else str(error)


def _dead(context: Context, order: int, store: str) -> list[DeadLetter]:
    queue = DeadLetters(context.sqs, context.settings.dead_letter_queue_url, time.monotonic)
    with queue.held() as letters:
        return [letter for letter in letters if (letter.store, letter.order) == (store, order)]


def _log_lines(context: Context, hours: float, order: int, store: str) -> list[dict[str, Any]]:
    """The order's log lines; none, with a warning, if they cannot be read."""
    try:
        return lines(context, context.stack.log_groups, hours, order=order, store=store)
    except (ClientError, BotoCoreError) as error:
        failure = explained(error)
        context.err.print(f"[yellow]![/] The logs cannot be read. {escaped(failure.what if failure else str(error))}")
        return []


def _details(line: dict[str, Any]) -> str:
    return ", ".join(f"{key}={line[key]}" for key in LOG_FIELDS if line.get(key) not in {None, ""})


def _function(line: dict[str, Any]) -> str:
    return str(line["group"]).rpartition("-")[2]


def _repeated(log: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The lines, with repeated lines grouped."""
    groups = itertools.groupby(log, key=lambda line: (line["group"], line.get("message"), _details(line)))
    return [list(group) for _, group in groups]


def _print(context: Context, same: list[dict[str, Any]]) -> None:
    first, last = same[0], same[-1]
    text = escaped(str(first.get("message", "")))
    words = escaped(_details(first))
    context.out.print(
        f"  {clock_time(first['at'])}  {_function(first):<9} {first.get('level', ''):<7} {text}  [dim]{words}[/]",
        soft_wrap=True,
    )
    if len(same) > 1:
        context.out.print(f"  {clock_time(last['at'])}  [dim]... for the {ordinal(len(same))} time[/]")


def _status(context: Context, store: str, order: int, *, received: bool) -> _Status:
    known = order_states(context, store, [order])[order]
    note = known.note
    late = note is not None and not note.is_dead and not finished_records(context, [note.record_id])
    dead = [] if known.finished and not late else _dead(context, order, store)
    verdict, what, fix = _verdict(context, known, dead, order, store, late=late, received=received)
    return _Status(verdict, what, fix, known, dead)


def _verdict(  # noqa: PLR0911  one return for each case
    context: Context, known: OrderState, dead: list[DeadLetter], order: int, store: str, *, late: bool, received: bool
) -> tuple[str, str, str]:
    """The state in one word, its description, and what to do."""
    now = context.clock()
    this = f"--store {store} --order {order}"
    if known.finished == DROPPED and not late:
        when = clock_time(known.finished_at or 0.0)
        return (
            "dropped",
            f"dropped by an operator {when}",
            f"To process it nevertheless: relay backfill {this} --again",
        )
    if known.finished and not late:
        when = clock_time(known.finished_at) if known.finished_at else "at an unknown time"
        outcome = f"finished ({FINISHED.get(known.finished, known.finished)}) {when}"
        if not known.rules_failed:
            return "finished", outcome, ""
        return (
            "finished",
            f"{outcome}; failed rules: {', '.join(known.rules_failed)}",
            f"Correct and deploy the rules; then: relay backfill {this} --rules-failed",
        )
    if dead:
        letter = dead[-1]
        what = f"dead for {rough(now - letter.failed_at)}: {letter.cause}: {letter.detail}"
        return "dead", what, dead_letter_fix(letter.cause, store, order, letter.message_id)
    if known.in_progress:
        return "in progress", "in progress", ""
    if late and (note := known.note):
        attempts = "1 failed attempt" if note.attempts == 1 else f"{note.attempts} failed attempts"
        what = f"late for {rough(now - note.late_at)}, {attempts}; {note.cause}: {note.detail}; next attempt {note.next_attempt(now)}"
        return "late", what, late_order_fix(note.cause, store, order)
    if known.note and known.note.is_dead:
        what = f"was a dead letter ({known.note.cause}: {known.note.detail}), then redriven or deleted"
        return "redriven", what, ""
    if received:
        return "received", "received, not finished yet", ""
    return (
        "unknown",
        "not received by the relay",
        f"Check the webhook: relay doctor {store}; process the order now: relay backfill {this}",
    )


FINISHED = {
    "Unchanged": "record already complete",
    "Created": "created",
    "Updated": "updated",
    "Skipped": "skipped",
}
"""The outcomes of finished orders, for people."""
