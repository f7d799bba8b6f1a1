"""`make chaos`: the named fault scenarios, then a random run; prints what became of each, and the seed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sandbox import chaos_random
from sandbox.chaos_field import Field, Violated, open_field
from sandbox.chaos_scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SIDE_BY_SIDE = 6


@dataclass(frozen=True)
class Verdict:
    """How a scenario came out; `violation` is empty when all was as promised."""

    name: str
    seconds: float
    violation: str


def play(field: Field, names: Collection[str], seen: Callable[[Verdict], None]) -> list[Verdict]:
    """Plays the scenarios, several at a time; tells `seen` of each as it ends."""
    verdicts = []
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for future in as_completed([pool.submit(_play_one, field, name) for name in names]):
            verdicts.append(future.result())
            seen(verdicts[-1])
    return verdicts


def _play_one(field: Field, name: str) -> Verdict:
    began = time.monotonic()
    violation = ""
    try:
        SCENARIOS[name](field)
    except (Violated, TimeoutError) as error:
        violation = str(error)
    return Verdict(name, round(time.monotonic() - began, 1), violation)


def run(*, seed: int, orders: int, only: Collection[str], as_json: bool) -> int:
    """Plays it all on a deployment of its own; 0 when everything was as promised, 1 otherwise."""
    console = Console(stderr=as_json)
    console.print(f"Seed {seed}")
    names = [name for name in SCENARIOS if not only or name in only]
    with open_field(console.print, seed=seed) as field:
        verdicts = play(field, names, lambda verdict: console.print(_line(verdict), highlight=False))
        report: dict[str, Any] = {"seed": seed, "scenarios": [asdict(verdict) for verdict in verdicts]}
        violations = [verdict.name for verdict in verdicts if verdict.violation]
        if not only:
            with console.status("random run") as status:
                try:
                    tally = chaos_random.run(
                        field, orders, seed, lambda done: status.update(f"random run: {done} of {orders} orders placed")
                    )
                    report["random_run"] = asdict(tally)
                    console.print(_table(report["random_run"]))
                except Violated as violated:
                    report["random_run"] = {"violation": str(violated)}
                    console.print(f"[red]random run: {violated}[/]")
                    violations.append("random run")
    console.print(
        f"[bold red]{len(violations)} did not come out as promised[/] (repeat with --seed {seed}): {', '.join(violations)}"
        if violations
        else f"[bold green]All {len(names)} scenarios came out as promised[/]"
    )
    if as_json:
        print(json.dumps(report, indent=2))
    return 1 if violations else 0


def _line(verdict: Verdict) -> str:
    mark = "[red]✗[/]" if verdict.violation else "[green]✓[/]"
    return f"{mark} {verdict.seconds:5.1f} s  {verdict.name}" + (
        f"\n    {verdict.violation}" if verdict.violation else ""
    )


def _table(tally: dict[str, int]) -> Table:
    table = Table(title="random run", title_justify="left")
    for name in tally:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*(str(value) for value in tally.values()))
    return table
