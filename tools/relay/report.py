"""`relay report`: the outcomes of a period's orders, and how the store's APIs behaved.

It reads with FilterLogEvents: a Logs Insights query returns 10,000 rows at most and does not flatten the lists in `calls`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from relay.command import AllStoresArgument
from relay.context import Context
from relay.log_lines import events
from relay.summary import Summary
from relay.text import escaped
from relay.timespan import clock_time, moment
from relay.watch import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS_A_DAY = 86_400
LINES_A_STEP = 500
"""Lines between two updates of the progress bar."""

DaysOption = Annotated[
    float | None,
    typer.Option("--days", metavar="N", min=0.01, max=3653, show_default="7", help="The period: the last N days."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", show_default=False, help="Start of the period: 2026-11-01T08:30 (UTC), 6h (ago)."
    ),
]
UntilOption = Annotated[str, typer.Option("--until", metavar="TIME", show_default="now", help="End of the period.")]


def report(
    context: Context,
    store: AllStoresArgument = "",
    *,
    days: DaysOption = None,
    since: SinceOption = None,
    until: UntilOption = "0s",
) -> bool:
    """Summarize the outcomes of orders and the observed behaviour of the store's APIs.

    The report reads the log line of each outcome, as far back as the log retention allows.

    Examples:
      relay report
      relay report abc123 --days 30
      relay report abc123 --since 2026-11-01 --until 2026-11-02 --json
    """
    if days is not None and since is not None:
        raise typer.BadParameter("give either --days or --since")
    now = context.clock()
    begin = now - (7 if days is None else days) * SECONDS_A_DAY if since is None else moment(since, now)
    end = moment(until, now)
    if begin >= end:
        raise typer.BadParameter("the period ends before it begins")
    kept = _days_kept(context)
    summary = _read(context, store, begin, end)
    value = {
        "store": store or None,
        "since": _iso(begin),
        "until": _iso(end),
        "log_retention_days": kept,
        "since_is_before_retention": kept is not None and begin < now - kept * SECONDS_A_DAY,
        **summary.as_json(),
    }
    context.show(value, lambda: _print(context, value))
    return True


def _days_kept(context: Context) -> int | None:
    days = context.stack.parameters.get("LogRetentionDays", "")
    return int(days) if days.isdecimal() else None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _read(context: Context, store: str, begin: float, end: float) -> Summary:
    """Summarizes the outcomes of the period. Its memory grows with the orders and calls, not with the log lines."""
    of_store = f' && $.store = "{store}"' if store else ""
    groups = context.stack.log_groups
    summary = Summary()
    with context.progress() as progress:
        task = progress.add_task("Reading the logs, percent of the period", total=100)
        for number, group in enumerate(groups):
            for read, (_, at, line) in enumerate(
                events(context, group, f'{{ $.outcome = "*"{of_store} }}', begin, end), start=1
            ):
                if not store or line.get("store") == store:
                    summary.add(line)
                if read % LINES_A_STEP == 0:
                    done = min(max((at - begin) / (end - begin), 0.0), 1.0)
                    progress.update(task, completed=int((number + done) * 100 / len(groups)))
            progress.update(task, completed=(number + 1) * 100 // len(groups))
    return summary


def _print(context: Context, value: dict[str, Any]) -> None:
    out = context.out
    whose = f"store {value['store']}" if value["store"] else "all stores"
    since, until = (clock_time(datetime.fromisoformat(value[key]).timestamp()) for key in ("since", "until"))
    out.print(f"[bold]Orders of {whose}, {since} to {until}[/]")
    if value["since_is_before_retention"]:
        out.print(f"[yellow]![/] Log retention is {value['log_retention_days']} days: older orders are not counted.")
    if not value["orders"]["all"]:
        out.print("No orders in this period.")
        return
    for words, text in (*_orders(value["orders"]), *_rules(value["rules"])):
        out.print(f"  {words:<36} {escaped(text)}", soft_wrap=True)
    out.print("\n[bold]Observed behaviour of the store's APIs[/]")
    for words, text in _behaviour(value["api"]):
        out.print(f"  {words:<36} {escaped(text)}", soft_wrap=True)
    out.print()
    out.print(_endpoints(value["api"]["endpoints"]))


def _orders(orders: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "orders", str(orders["all"])
    share = orders["share_created_in_window"]
    yield "created inside the window", f"{orders['created_in_window']}" + ("" if share is None else f" ({share:.1%})")
    for key, words in (
        ("created_after_window", "created after the window"),
        ("updated", "updated"),
        ("unchanged", "record already complete"),
        ("late", "late now"),
        ("dead", "dead now"),
    ):
        if orders[key]:
            yield words, str(orders[key])
    for key, words in (
        ("late_by_cause", "late at any time, by first cause"),
        ("dead_by_cause", "dead now, by cause"),
        ("skipped_by_reason", "skipped, by reason"),
    ):
        if orders[key]:
            yield words, _counted(orders[key])
    yield "creation to created", _percentiles(orders["seconds_to_created"], "s")
    yield "creation to updated", _percentiles(orders["seconds_to_updated"], "s")


def _rules(rules: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not rules["applied"]:
        return
    yield "orders without a PO number", f"{rules['without_po_number']} of {rules['applied']}"
    for key, words in (("failed", "rules that failed"), ("brought_nothing", "rules without a result")):
        named = [f"{name} for {number} of {rules['applied']}" for name, number in rules[key].items()]
        yield words, ", ".join(named) or "none"


def _behaviour(api: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Observations of what BigCommerce does not document."""
    yield "first API call", _percentiles(api["seconds_to_first_call"], "s after the order's creation")
    yield "order not readable yet (404)", _ages(api["order_not_readable"])
    yield "Create Order accepted", _ages(api["create_accepted"])
    yield "Create Order refused: record exists", _ages(api["create_refused_record_there"])
    yield "Create Order refused: no record", _ages(api["create_refused_no_record"])
    yield "record does not exist yet (404)", _ages(api["record_missing"])
    limits = api["rate_limit"]
    resets = ", ".join(f"{name} {r['lowest']:g} to {r['highest']:g} s" for name, r in limits["reset_headers"].items())
    named = f"; headers: {resets}" if resets else "; no header says when to retry"
    yield "rate limited (429)", f"{limits['refused']}{named}" if limits["refused"] else "not seen"


def _ages(range_: dict[str, Any]) -> str:
    if not range_["times"]:
        return "not seen"
    return (
        f"{range_['times']}, {range_['lowest']:g} to {range_['highest']:g} s after the order's creation "
        f"(p50 {range_['p50']:g} s)"
    )


def _percentiles(range_: dict[str, Any], unit: str) -> str:
    if not range_["times"]:
        return "not seen"
    return f"p50 {range_['p50']:g}, p90 {range_['p90']:g}, p99 {range_['p99']:g} {unit}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _endpoints(endpoints: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
        ("call", lambda row: escaped(CALLS.get(row["endpoint"], row["endpoint"]))),
        ("answers", lambda row: escaped(", ".join(_answer(answer) for answer in row["answers"]))),
        ("p50 ms", lambda row: f"{row['ms']['p50']:g}" if row["ms"]["times"] else "-"),
        ("p90 ms", lambda row: f"{row['ms']['p90']:g}" if row["ms"]["times"] else "-"),
        ("p99 ms", lambda row: f"{row['ms']['p99']:g}" if row["ms"]["times"] else "-"),
        ("requests left, lowest", lambda row: "-" if row["lowest_remaining"] is None else str(row["lowest_remaining"])),
    )
    for heading, _ in columns:
        table.add_column(heading, justify="left" if heading in {"call", "answers"} else "right", overflow="fold")
    for row in endpoints:
        table.add_row(*(cell(row) for _, cell in columns))
    return table


def _answer(answer: dict[str, Any]) -> str:
    if answer["status"] is None:
        return f"no answer x{answer['times']}"
    odd = "" if answer["shape"] == "api" else f" {answer['shape']}"
    return f"{answer['status']}{odd} x{answer['times']}"
