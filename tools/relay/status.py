"""`relay status`: what the relay did with an order, and when."""

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
from relay.log_lines import lines
from relay.mends import dead_mend, late_mend
from relay.plain import ordinal, plain
from relay.record_of_order import DROPPED, Remembered, finished, remembered
from relay.store import check_store
from relay.timespan import clock_time, iso, rough, seconds

if TYPE_CHECKING:
    from handler.content import Record
    from relay.order_notes import OrderNote

TOLD = ("outcome", "cause", "detail", "status", "reason", "window_left_seconds", "rule", "check", "error")
"""What of a log line is worth telling."""

RECORD_SECONDS = 6.0
"""For reading the order's record; in an outage the rest of the story is told without it."""

POLL_SECONDS = 2.0
ENDED = {"finished": True, "dropped": True, "dead": False}
"""Verdicts after which nothing more happens by itself, and whether the order is finished."""

HoursOption = Annotated[
    float, typer.Option("--hours", metavar="N", min=0.1, max=8760, help="Look through the log lines of so many hours.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Wait until the order is finished (exit code 0) or dead (1).")
]
ForOption = Annotated[str, typer.Option("--for", metavar="LENGTH", help="Wait for so long at most: 90s, 15m.")]


@dataclass(frozen=True, slots=True)
class _Story:
    """What is known of an order. `verdict` is a word for programs, `what` a sentence, `mend` what is to be done."""

    verdict: str
    what: str
    mend: str
    known: Remembered
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
    """Tell an order's story: whether it is finished, late or dead, why, what mends it, its record, and the log lines.

    Exit code 1 when it is dead, or when the relay has never heard of it. With --follow also when it
    is not finished in time.

    Examples:
      relay status 1042 --store abc123
      relay status 1042 --store abc123 --hours 72
      relay status 1042 --store abc123 --follow
    """
    told = _told(context, hours, order, store)
    story = _story(context, store, order, heard_of=bool(told))
    if story.verdict == "unknown" and not follow:
        check_store(context, store)
    if follow:
        story = _followed(context, store, order, story, seconds(for_))
        told = _told(context, hours, order, store)
    record, no_record = (None, "") if story.verdict == "unknown" else _record(context, store, order)
    known, note = story.known, story.known.note

    def picture() -> None:
        mark = {"finished": "[green]✓[/]", "dead": "[red]✗[/]", "unknown": "[red]✗[/]"}
        context.out.print(
            f"{mark.get(story.verdict, '[yellow]…[/]')} Order {order} of store {store}: {plain(story.what)}",
            soft_wrap=True,
        )
        for name, text in _facts(context, story, record, no_record):
            context.out.print(f"  {name:<13} {plain(text)}", soft_wrap=True)
        for same in _alike(told):
            _print(context, same)
        if not told:
            context.out.print(f"  No log lines of the last {hours:g} h; look further back with --hours.")

    value = {
        "store": store,
        "order": order,
        "verdict": story.verdict,
        "in_words": story.what,
        "mend": story.mend,
        "finished": known.finished,
        "finished_at": iso(known.finished_at),
        "rules_failed": list(known.rules_failed) if known.finished else [],
        "noted": note and note.as_json(),
        "dead_letters": [letter.as_json() for letter in story.dead],
        "record": record and {"po_number": record.po_number, "extra_fields": dict(record.extra_fields or ())},
        "record_unknown": no_record,
        "log": [
            {
                "at": iso(line["at"]),
                "level": line.get("level"),
                "function": _function(line),
                "message": line.get("message"),
            }
            | {key: line[key] for key in TOLD if key in line}
            for line in told
        ],
    }
    context.show(value, picture)
    return ENDED.get(story.verdict, False) if follow else story.verdict not in {"dead", "unknown"}


def _followed(context: Context, store: str, order: int, story: _Story, most_seconds: float) -> _Story:
    """The order's story once it has ended, or after so many seconds; tells each change on the way."""
    ends_at = context.clock() + most_seconds
    said: object = None
    while story.verdict not in ENDED and context.clock() < ends_at:
        note = story.known.note
        if (now := (story.verdict, note and (note.cause, note.tries))) != said:  # not the sentence: it has the age
            said = now
            context.err.print(f"… Order {order} of store {store}: {plain(story.what)}")
        context.sleep(POLL_SECONDS)
        story = _story(context, store, order, heard_of=story.verdict != "unknown")
    return story


def _facts(context: Context, story: _Story, record: Record | None, no_record: str) -> list[tuple[str, str]]:
    """What is told below the verdict: name and text."""
    facts = []
    note = story.known.note
    if note and story.verdict in {"late", "dead", "redriven"}:
        facts += _facts_of(note, context.clock(), late=story.verdict == "late")
    if story.mend:
        facts.append(("to mend", story.mend))
    if no_record:
        facts.append(("record", f"unknown: {no_record}"))
    elif record:
        facts.append(("record", f"PO number {_shown(record.po_number)}"))
        facts += [("", f"{name} = {_shown(value)}") for name, value in record.extra_fields or ()]
    elif story.verdict != "unknown":
        facts.append(("record", "there is none"))
    return facts


def _facts_of(note: OrderNote, now: float, *, late: bool) -> list[tuple[str, str]]:
    facts = [
        ("late since", f"{clock_time(note.late_at)} ({rough(now - note.late_at)} ago)"),
        ("first cause", f"{note.first_cause}: {note.first_detail}"),
        ("latest cause", f"{note.cause}: {note.detail} ({rough(now - note.at)} ago)"),
    ]
    if late:
        facts += [
            ("failed tries", str(note.tries)),
            ("next try", f"{note.next_try(now)} ({clock_time(note.next_try_at)})"),
            ("gives up", f"in {rough(note.give_up_at - now)} ({clock_time(note.give_up_at)})"),
        ]
    return facts


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _record(context: Context, store: str, order: int) -> tuple[Record | None, str]:
    """The order's record, and why it could not be read."""
    try:
        return context.b2b_api.get_record(store, order, Deadline.after(RECORD_SECONDS, context.clock)), ""
    except (RelayError, ClientError, BotoCoreError) as error:
        failure = explained(error)
        return None, failure.what if failure else str(error)


def _dead(context: Context, order: int, store: str) -> list[DeadLetter]:
    queue = DeadLetters(context.sqs, context.settings.dead_letter_queue_url, time.monotonic)
    with queue.held() as letters:
        return [letter for letter in letters if (letter.store, letter.order) == (store, order)]


def _told(context: Context, hours: float, order: int, store: str) -> list[dict[str, Any]]:
    """The order's log lines. The rest of the story is worth telling without them, too."""
    try:
        return lines(context, context.stack.log_groups, hours, order=order, store=store)
    except (ClientError, BotoCoreError) as error:
        failure = explained(error)
        context.err.print(f"[yellow]![/] The logs cannot be read. {plain(failure.what if failure else str(error))}")
        return []


def _words(line: dict[str, Any]) -> str:
    return ", ".join(f"{key}={line[key]}" for key in TOLD if line.get(key) not in {None, ""})


def _function(line: dict[str, Any]) -> str:
    return str(line["group"]).rpartition("-")[2]


def _alike(told: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The lines, those together that say the same one after the other."""
    groups = itertools.groupby(told, key=lambda line: (line["group"], line.get("message"), _words(line)))
    return [list(group) for _, group in groups]


def _print(context: Context, same: list[dict[str, Any]]) -> None:
    first, last = same[0], same[-1]
    text = plain(str(first.get("message", "")))
    words = plain(_words(first))
    context.out.print(
        f"  {clock_time(first['at'])}  {_function(first):<9} {first.get('level', ''):<7} {text}  [dim]{words}[/]",
        soft_wrap=True,
    )
    if len(same) > 1:
        context.out.print(f"  {clock_time(last['at'])}  [dim]... for the {ordinal(len(same))} time[/]")


def _story(context: Context, store: str, order: int, *, heard_of: bool) -> _Story:
    known = remembered(context, store, [order])[order]
    note = known.note
    late = note is not None and not note.is_dead and not finished(context, [note.record_id])
    dead = [] if known.finished and not late else _dead(context, order, store)
    verdict, what, mend = _verdict(context, known, dead, order, store, late=late, heard_of=heard_of)
    return _Story(verdict, what, mend, known, dead)


def _verdict(  # noqa: PLR0911  one return for each case
    context: Context, known: Remembered, dead: list[DeadLetter], order: int, store: str, *, late: bool, heard_of: bool
) -> tuple[str, str, str]:
    """In one word for programs, in a sentence for people, and what is to be done."""
    now = context.clock()
    this = f"--store {store} --order {order}"
    if known.finished == DROPPED and not late:
        when = clock_time(known.finished_at or 0.0)
        return (
            "dropped",
            f"was given up by an operator {when}",
            f"To process it all the same: relay backfill {this} --again",
        )
    if known.finished and not late:
        when = clock_time(known.finished_at) if known.finished_at else "at an unknown time"
        outcome = f"finished ({FINISHED.get(known.finished, known.finished)}) {when}"
        if not known.rules_failed:
            return "finished", outcome, ""
        rules = f"{outcome}; {'this rule' if len(known.rules_failed) == 1 else 'these rules'} failed on it: "
        return (
            "finished",
            rules + ", ".join(known.rules_failed),
            f"Correct and deploy the rules; then: relay backfill {this} --rules-failed",
        )
    if dead:
        letter = dead[-1]
        what = f"dead for {rough(now - letter.failed_at)}: {letter.cause}: {letter.detail}"
        return "dead", what, dead_mend(letter.cause, store, order, letter.message_id)
    if known.in_progress:
        return "in progress", "is being processed right now", ""
    if late and (note := known.note):
        tries = "1 failed try" if note.tries == 1 else f"{note.tries} failed tries"
        what = (
            f"late for {rough(now - note.late_at)}, {tries}; {note.cause}: {note.detail}; next try {note.next_try(now)}"
        )
        return "late", what, late_mend(note.cause, store, order)
    if known.note and known.note.is_dead:
        what = f"was dead ({known.note.cause}: {known.note.detail}) and is no longer: it was redriven, or dropped"
        return "redriven", what, ""
    if heard_of:
        return "on its way", "was received, and is neither finished nor late yet", ""
    return (
        "unknown",
        "the relay has not received it",
        f"Was there a webhook? See: relay doctor {store}; process it now: relay backfill {this}",
    )


FINISHED = {
    "Unchanged": "its record was right already",
    "Created": "created",
    "Updated": "updated",
    "Skipped": "skipped",
}
"""The outcomes of finished orders, in words."""
