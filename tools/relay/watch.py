"""`relay watch`: orders as they come, step by step, out of the functions' log lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.command import WRONG, AllStoresArgument
from relay.context import Context
from relay.log_lines import events
from relay.plain import plain
from relay.timespan import moment, rough, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_EVERY_SECONDS = 2.0
OVERLAP_SECONDS = 60.0
"""Read again at each look: CloudWatch Logs may show a line after younger ones."""
HINT_AFTER_SECONDS = 60.0

DONE = frozenset({"created", "updated", "unchanged"})
ENDED = DONE | {"skipped", "dead"}
"""Outcomes after which nothing more happens to an order by itself."""

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
"""What is shown of a log line (docs/architecture.md)."""

CALLS = {
    "core.get_order": "order looked up",
    "b2b.create": "Create Order",
    "b2b.get": "record read",
    "b2b.update": "Update Order",
    "b2b.user": "company user looked up",
}

ForOption = Annotated[
    str | None, typer.Option("--for", metavar="TIME", show_default=False, help="End after so long: 90s, 10m.")
]
OrdersOption = Annotated[
    int | None, typer.Option("--orders", metavar="N", min=1, show_default=False, help="End after so many orders.")
]
SinceOption = Annotated[str, typer.Option("--since", metavar="WHEN", help="Show what happened since then, too: 5m.")]


def watch(
    context: Context,
    store: AllStoresArgument = "",
    *,
    orders: OrdersOption = None,
    lasting: ForOption = None,
    since: SinceOption = "0s",
) -> int:
    """Follow orders while they happen: the webhook, the calls, and what became of them. Ctrl-C ends it.

    With --json, one JSON object for each step, on a line of its own.

    Exit code with --orders: 0 when so many orders were created or updated, 1 otherwise.
    With --for alone: 0 when no order was left late, dead or unfinished, 1 otherwise.

    Examples:
      relay watch
      relay watch abc123 --orders 1 --for 2m
      relay watch abc123 --since 10m --json
    """
    begin = context.clock()
    ends_at = None if lasting is None else begin + seconds(lasting)
    since_at = moment(since, begin)
    _say_what_is_awaited(context, store, orders, lasting)
    tail = _Tail(context, store, since_at)
    seen: dict[tuple[str, int], str] = {}
    hinted = False
    while True:
        for line in tail.look():
            _show(context, line, with_store=not store)
            _remember(seen, line)
        ended = [outcome for outcome in seen.values() if outcome in ENDED]
        if orders is not None and len(ended) >= orders:
            break
        now = context.clock()
        if ends_at is not None and now >= ends_at:
            break
        if not seen and not hinted and now - begin >= HINT_AFTER_SECONDS:
            hinted = True
            context.err.print(f"No order yet. Is the webhook well? relay doctor {store}".rstrip())
        context.sleep(LOOK_EVERY_SECONDS if ends_at is None else max(min(LOOK_EVERY_SECONDS, ends_at - now), 0.1))
    _sum_up(context, list(seen.values()), orders)
    if orders is not None:
        return 0 if len(ended) >= orders and DONE.issuperset(ended) else WRONG
    return 0 if len(ended) == len(seen) and "dead" not in ended else WRONG


def _say_what_is_awaited(context: Context, store: str, orders: int | None, lasting: str | None) -> None:
    many = "orders" if orders is None else f"{orders} order{'s' * (orders != 1)}"
    whose = f"of store {store}" if store else "of all stores"
    ends = f"for {lasting} at most" if lasting else "until Ctrl-C"
    context.err.print(f"Waiting for {many} {whose}, {ends}. Log lines may take some seconds to appear.")


def _sum_up(context: Context, outcomes: list[str], orders: int | None) -> None:
    counted = ", ".join(f"{outcomes.count(each)} {each.replace('_', ' ')}" for each in dict.fromkeys(outcomes))
    awaited = "" if orders is None else f" of {orders} awaited"
    context.err.print(f"{len(outcomes)}{awaited} seen{': ' * bool(counted)}{counted}.")


@dataclass
class _Tail:
    """The functions' structured lines as they come, each once."""

    context: Context
    store: str
    since: float
    _newest: dict[str, float] = field(default_factory=dict)
    _seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def look(self) -> list[dict[str, Any]]:
        """The lines that have appeared since the last look, the oldest first. Raises botocore's errors."""
        fresh = [line for group in self.context.stack.log_groups for line in self._fresh(group)]
        return sorted(fresh, key=lambda line: line["at"])

    def _fresh(self, group: str) -> Iterator[dict[str, Any]]:
        pattern = f"{{ $.store = {json.dumps(self.store)} }}" if self.store else '{ $.level = "*" }'
        begin = max(self.since, self._newest.get(group, 0.0) - OVERLAP_SECONDS)
        for key in [key for key, at in self._seen.items() if key[0] == group and at < begin]:
            del self._seen[key]
        for identity, at, line in events(self.context, group, pattern, begin):
            self._newest[group] = max(self._newest.get(group, 0.0), at)
            if (group, identity) in self._seen:
                continue
            self._seen[group, identity] = at
            # Filtered once more: emulators take a pattern of this form for "everything".
            if _step(line) and (not self.store or line.get("store") == self.store):
                yield line


def _step(line: dict[str, Any]) -> str:
    """What a line tells of, in a stable word; empty for what is not shown."""
    if not isinstance(line.get("message"), str):
        return ""
    for step, key in (("outcome", "outcome"), ("attempt", "attempt"), ("rule", "rule"), ("unproven", "check")):
        if isinstance(line.get(key), str | int):
            return step
    if isinstance(line.get("status"), int) and "metric" in line:
        return "webhook"
    return "note" if line.get("level") in {"WARNING", "ERROR", "CRITICAL"} else ""


def _remember(seen: dict[tuple[str, int], str], line: dict[str, Any]) -> None:
    """Keeps the newest outcome of each order. A duplicate tells nothing of its fate."""
    order = line.get("order")
    if not isinstance(order, int):
        return
    key = (str(line.get("store", "")), order)
    outcome = line.get("outcome")
    if isinstance(outcome, str) and outcome != "duplicate":
        seen[key] = outcome
    elif _step(line) == "webhook":
        seen.setdefault(key, "on its way")


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
    start = f"{time}  {plain(' '.join(whose) or '-'):<{20 if with_store else 12}}"
    for call in _calls(line):
        context.out.print(f"{start}  [dim]{plain(call)}[/]", soft_wrap=True)
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
    """The line in a sentence, marked up."""
    message = plain(str(line["message"]))
    match _step(line):
        case "webhook":
            age = line.get("age_seconds")
            came = f"webhook received {age} s after the order's creation, " if age is not None else "webhook received, "
            good = line["status"] < 300  # noqa: PLR2004  HTTP's own
            answered = f"{came}answered {line['status']} in {line.get('ms')} ms"
            return plain(answered) if good else f"[red]✗[/] {plain(answered)}"
        case "unproven":
            return f"[red]✗[/] {message}: {plain(str(line['check']))}"
        case "attempt":
            return f"[yellow]…[/] attempt {line['attempt']} failed: {plain(str(line.get('detail')))}"
        case "rule":
            return f"[yellow]…[/] {message}: {plain(str(line['rule']))}"
        case "outcome":
            return _outcome(line)
        case _:
            return f"[yellow]![/] {message} {plain(str(line.get('detail') or line.get('error') or ''))}".rstrip()


def _outcome(line: dict[str, Any]) -> str:
    outcome = str(line["outcome"])
    why = f"{line.get('cause')}: {line.get('detail')}" if line.get("cause") else ""
    match outcome:
        case "created":
            left = line.get("window_left_seconds")
            what = f"created, {rough_window(left)}" if isinstance(left, int | float) else "created"
        case "updated":
            what = "the record was there and was updated"
        case "unchanged":
            what = "the record was there and had everything"
        case "skipped":
            what = f"skipped ({line.get('reason')})"
        case "late":
            what = f"late, {'waits on' if line.get('retried') else 'waits'} in RecoveryQueue: {why}"
        case "dead":
            what = f"dead, in DeadLetterQueue: {why}"
        case "duplicate":
            what = "delivered again; nothing to do"
        case _:
            what = outcome
    mark = {"late": "[yellow]…[/]", "dead": "[red]✗[/]", "duplicate": "[dim]=[/]"}.get(outcome, "[green]✓[/]")
    return f"{mark} {plain('; '.join([what, *_found(line)]))}"


def _found(line: dict[str, Any]) -> Iterator[str]:
    """What the rules brought, where the line says it."""
    if isinstance(line.get("po_number_found"), bool):
        yield "PO number found" if line["po_number_found"] else "no PO number found"
    if isinstance(number := line.get("extra_fields_found"), int):
        yield f"{number} extra field{'s' * (number != 1)}"
    for key, words in (("rules_failed", "rules that failed"), ("rules_empty", "rules that brought nothing")):
        if isinstance(names := line.get(key), list) and names:
            yield f"{words}: {', '.join(map(str, names))}"


def rough_window(left: float) -> str:
    """The rest of the window in words."""
    return f"{left:.1f} s of the window left" if left >= 0 else f"{rough(-left)} after the window"
