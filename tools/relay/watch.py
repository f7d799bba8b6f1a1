"""`relay watch`: follows orders live, step by step, in the functions' log lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.command import WRONG, AllStoresArgument
from relay.context import Context
from relay.log_lines import events
from relay.text import escaped
from relay.timespan import moment, rough, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS = 2.0
OVERLAP_SECONDS = 60.0
"""Each poll reads this period again: CloudWatch Logs may show a line after newer ones."""
HINT_AFTER_SECONDS = 60.0

DONE = frozenset({"created", "updated", "unchanged"})
ENDED = DONE | {"skipped", "dead"}
"""Outcomes that are final without an operator."""

FIELDS = (
    "level",
    "message",
    "status",
    "age_seconds",
    "ms",
    "check",
    "method",
    "attempt",
    "rule",
    "outcome",
    "retried",
    "cause",
    "reason",
    "detail",
    "error",
    "window_left_seconds",
    "po_number_found",
    "extra_fields_found",
    "rules_failed",
    "rules_empty",
    "calls",
)
"""The fields of a log line that --json shows (docs/architecture.md)."""

CALLS = {
    "core.get_order": "order looked up",
    "b2b.create": "Create Order",
    "b2b.get": "record read",
    "b2b.update": "Update Order",
    "b2b.user": "company user looked up",
}

ForOption = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", show_default=False, help="End after this time: 90s, 10m.")
]
OrdersOption = Annotated[
    int | None, typer.Option("--orders", metavar="N", min=1, show_default=False, help="End after N orders.")
]
SinceOption = Annotated[str, typer.Option("--since", metavar="TIME", help="Begin with the log lines since then: 5m.")]


def watch(
    context: Context,
    store: AllStoresArgument = "",
    *,
    orders: OrdersOption = None,
    lasting: ForOption = None,
    since: SinceOption = "0s",
) -> int:
    """Follow orders live: the webhook, the API calls and the outcome. Ctrl-C ends the command.

    With --json, prints one JSON object per line for each step.

    Exit code with --orders: 0 if that many orders were created or updated, 1 otherwise.
    With --for alone: 0 if no order is late, dead or unfinished at the end, 1 otherwise.

    Examples:
      relay watch
      relay watch abc123 --orders 1 --for 2m
      relay watch abc123 --since 10m --json
    """
    begin = context.clock()
    ends_at = None if lasting is None else begin + seconds(lasting)
    since_at = moment(since, begin)
    _print_start(context, store, orders, lasting)
    tail = Tail(context, store, since_at)
    seen: dict[tuple[str, int], str] = {}
    hinted = False
    while True:
        for line in tail.poll():
            _show(context, line, with_store=not store)
            _count(seen, line)
        ended = [outcome for outcome in seen.values() if outcome in ENDED]
        if orders is not None and len(ended) >= orders:
            break
        now = context.clock()
        if ends_at is not None and now >= ends_at:
            break
        if not seen and not hinted and now - begin >= HINT_AFTER_SECONDS:
            hinted = True
            context.err.print(f"No order yet. Check the webhook: relay doctor {store}".rstrip())
        context.sleep(POLL_SECONDS if ends_at is None else max(min(POLL_SECONDS, ends_at - now), 0.1))
    _print_summary(context, list(seen.values()), orders)
    if orders is not None:
        return 0 if len(ended) >= orders and DONE.issuperset(ended) else WRONG
    return 0 if len(ended) == len(seen) and "dead" not in ended else WRONG


def _print_start(context: Context, store: str, orders: int | None, lasting: str | None) -> None:
    many = "orders" if orders is None else f"{orders} order{'s' * (orders != 1)}"
    whose = f"of store {store}" if store else "of all stores"
    ends = f"for {lasting} at most" if lasting else "until Ctrl-C"
    context.err.print(f"Waiting for {many} {whose}, {ends}. Log lines may take some seconds to appear.")


def _print_summary(context: Context, outcomes: list[str], orders: int | None) -> None:
    counted = ", ".join(f"{outcomes.count(each)} {each.replace('_', ' ')}" for each in dict.fromkeys(outcomes))
    expected = "" if orders is None else f" of {orders} expected"
    context.err.print(f"{len(outcomes)}{expected} seen{': ' * bool(counted)}{counted}.")


@dataclass
class Tail:
    """The functions' new JSON log lines, each once."""

    context: Context
    store: str
    since: float
    shown: dict[tuple[str, str], float] = field(default_factory=dict)
    """The times of the lines that may be read again, by log group and identity."""
    _newest: dict[str, float] = field(default_factory=dict)

    def poll(self) -> list[dict[str, Any]]:
        """The lines since the last poll, oldest first. Raises botocore's errors."""
        fresh = [line for group in self.context.stack.log_groups for line in self._fresh(group)]
        return sorted(fresh, key=lambda line: line["at"])

    def _fresh(self, group: str) -> Iterator[dict[str, Any]]:
        pattern = f"{{ $.store = {json.dumps(self.store)} }}" if self.store else '{ $.level = "*" }'
        begin = max(self.since, self._newest.get(group, 0.0) - OVERLAP_SECONDS)
        for key in [key for key, at in self.shown.items() if key[0] == group and at < begin]:
            del self.shown[key]
        for identity, at, line in events(self.context, group, pattern, begin):
            self._newest[group] = max(self._newest.get(group, 0.0), at)
            if (group, identity) in self.shown:
                continue
            self.shown[group, identity] = at
            # Filtered again: emulators match everything with a pattern of this form.
            if _step(line) and (not self.store or line.get("store") == self.store):
                yield line


def _step(line: dict[str, Any]) -> str:
    """The kind of step that a line describes; empty if it is not shown."""
    if not isinstance(line.get("message"), str):
        return ""
    for step, key in (("outcome", "outcome"), ("attempt", "attempt"), ("rule", "rule"), ("unauthenticated", "check")):
        if isinstance(line.get(key), str | int):
            return step
    if isinstance(line.get("status"), int) and "metric" in line:
        return "webhook"
    return "note" if line.get("level") in {"WARNING", "ERROR", "CRITICAL"} else ""


def _count(seen: dict[tuple[str, int], str], line: dict[str, Any]) -> None:
    """Keeps the newest outcome of each order; a duplicate is not an outcome."""
    order = line.get("order")
    if not isinstance(order, int):
        return
    key = (str(line.get("store", "")), order)
    outcome = line.get("outcome")
    if isinstance(outcome, str) and outcome != "duplicate":
        seen[key] = outcome
    elif _step(line) == "webhook":
        seen.setdefault(key, "received")


def _show(context: Context, line: dict[str, Any], *, with_store: bool) -> None:
    if context.as_json:
        at = datetime.fromtimestamp(line["at"], UTC).isoformat(timespec="milliseconds")
        head = {"at": at, "store": line.get("store"), "order": line.get("order"), "step": _step(line)}
        typer.echo(json.dumps(head | {name: line[name] for name in FIELDS if name in line}))
        return
    time = datetime.fromtimestamp(line["at"], UTC).strftime("%H:%M:%S")
    whose = [f"order {line['order']}"] if line.get("order") else []
    if with_store and line.get("store"):
        whose.insert(0, str(line["store"]))
    start = f"{time}  {escaped(' '.join(whose) or '-'):<{20 if with_store else 12}}"
    for call in _calls(line):
        context.out.print(f"{start}  [dim]{escaped(call)}[/]", soft_wrap=True)
    context.out.print(f"{start}  {_words(line)}", soft_wrap=True)


def _calls(line: dict[str, Any]) -> Iterator[str]:
    calls = line.get("calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            name = CALLS.get(str(call.get("endpoint")), str(call.get("endpoint")))
            shape = call.get("shape")
            answer = "no answer" if shape == "none" else f"HTTP {call.get('status')}"
            odd = "" if shape in {"api", "none", None} else f" ({shape})"
            yield f"{name}: {answer}{odd} in {call.get('ms')} ms, {call.get('age')} s after the order's creation"


def _words(line: dict[str, Any]) -> str:
    """The line for people, with rich markup."""
    message = escaped(str(line["message"]))
    match _step(line):
        case "webhook":
            age = line.get("age_seconds")
            came = f"webhook received {age} s after the order's creation, " if age is not None else "webhook received, "
            good = line["status"] < 300  # noqa: PLR2004  HTTP's own
            answered = f"{came}answered {line['status']} in {line.get('ms')} ms"
            return escaped(answered) if good else f"[red]✗[/] {escaped(answered)}"
        case "unauthenticated":
            return f"[red]✗[/] {message}: {escaped(str(line['check']))}"
        case "attempt":
            return f"[yellow]…[/] attempt {line['attempt']} failed: {escaped(str(line.get('detail')))}"
        case "rule":
            return f"[yellow]…[/] {message}: {escaped(str(line['rule']))}"
        case "outcome":
            return _outcome(line)
        case _:
            return f"[yellow]![/] {message} {escaped(str(line.get('detail') or line.get('error') or ''))}".rstrip()


def _outcome(line: dict[str, Any]) -> str:
    outcome = str(line["outcome"])
    why = f"{line.get('cause')}: {line.get('detail')}" if line.get("cause") else ""
    match outcome:
        case "created":
            left = line.get("window_left_seconds")
            what = f"created, {rough_window(left)}" if isinstance(left, int | float) else "created"
        case "updated":
            what = "existing record updated"
        case "unchanged":
            what = "existing record already complete"
        case "skipped":
            what = f"skipped ({line.get('reason')})"
        case "late":
            what = f"{'still ' if line.get('retried') else ''}late, in RecoveryQueue: {why}"
        case "dead":
            what = f"dead, in DeadLetterQueue: {why}"
        case "duplicate":
            what = "duplicate event, ignored"
        case _:
            what = outcome
    mark = {"late": "[yellow]…[/]", "dead": "[red]✗[/]", "duplicate": "[dim]=[/]"}.get(outcome, "[green]✓[/]")
    return f"{mark} {escaped('; '.join([what, *_found(line)]))}"


def _found(line: dict[str, Any]) -> Iterator[str]:
    """The results of the rules, if the line has them."""
    if isinstance(line.get("po_number_found"), bool):
        yield "PO number found" if line["po_number_found"] else "no PO number found"
    if isinstance(number := line.get("extra_fields_found"), int):
        yield f"{number} extra field{'s' * (number != 1)}"
    for key, words in (("rules_failed", "failed rules"), ("rules_empty", "rules without a result")):
        if isinstance(names := line.get(key), list) and names:
            yield f"{words}: {', '.join(map(str, names))}"


def rough_window(left: float) -> str:
    """The time left in the window, for people."""
    return f"{left:.1f} s of the window left" if left >= 0 else f"{rough(-left)} after the window"
