"""`make chaos`: the named fault scenarios, then a random run; prints what became of each, and the seed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sandbox.chaos.field import Field, Violated, open_field
from sandbox.chaos.random_run import RandomRun
from sandbox.chaos.scenarios import HEAVY, LONG, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

BROKEN = "the scenario itself broke"
SIDE_BY_SIDE = 16
"""Mostly they wait; more at a time, and this machine's slowness would cost orders their window."""

STAGGER_SECONDS = 0.5
"""Between the first ones. All at the same moment they would need many more execution environments than are warm."""


@dataclass(frozen=True)
class Result:
    """How a scenario came out; `violation` is empty when all was as promised."""

    name: str
    seconds: float
    violation: str


def play(field: Field, names: Collection[str], seen: Callable[[Result], None]) -> list[Result]:
    """Plays the scenarios, several at a time and the heavy ones at the end, by twos; tells `seen` of each as it ends."""
    results = []
    light = sorted(set(names) - HEAVY, key=lambda name: (name not in LONG, name))
    for together, some in ((SIDE_BY_SIDE, light), (2, sorted(HEAVY & set(names)))):
        with ThreadPoolExecutor(together) as pool:
            try:
                starts = [time.monotonic() + min(number, together) * STAGGER_SECONDS for number in range(len(some))]
                for future in as_completed(
                    [pool.submit(_play_one, field, *one) for one in zip(some, starts, strict=True)]
                ):
                    results.append(future.result())
                    seen(results[-1])
            except BaseException:  # told to end: the scenarios that play would wait for minutes
                field.over = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return results


def _play_one(field: Field, name: str, not_before: float) -> Result:
    time.sleep(max(0.0, not_before - time.monotonic()))
    began = time.monotonic()
    violation = ""
    try:
        SCENARIOS[name](field)
    except (Violated, TimeoutError) as error:
        violation = str(error)
    except Exception as error:  # noqa: BLE001  one scenario's breakdown must not hide how the others came out
        violation = f"{BROKEN}: {type(error).__name__}: {error}"
    return Result(name, round(time.monotonic() - began, 1), violation)


def run(*, seed: int, orders: int, only: Collection[str], as_json: bool, report: Path | None) -> int:
    """Plays it all on a deployment of its own; 0 when everything was as promised, 1 otherwise."""
    console = Console(stderr=as_json)
    console.print(f"Seed {seed}")
    names = [name for name in SCENARIOS if not only or name in only]
    with open_field(console.print, seed=seed) as field:
        results = play(field, names, lambda result: console.print(line(result), highlight=False))
        found: dict[str, Any] = {"seed": seed, "scenarios": [asdict(result) for result in results]}
        violations = [result.name for result in results if result.violation]
        if not only:
            found["random_run"] = _play_random(console, RandomRun(field, orders, seed))
            violations += ["random run"] if "violation" in found["random_run"] else []
    text = json.dumps(found, indent=2)
    if report:
        report.write_text(f"{text}\n", encoding="utf-8")
    if as_json:
        print(text)
    console.print(
        f"[bold red]{len(violations)} did not come out as promised[/] (repeat with --seed {seed}): {', '.join(violations)}"
        if violations
        else f"[bold green]All {len(names)} scenarios came out as promised[/]"
        + ("" if only else f", and so did {orders} orders at random")
    )
    return 1 if violations else 0


def _play_random(console: Console, random_run: RandomRun) -> dict[str, Any]:
    try:
        with console.status("random run") as status:
            tally = asdict(random_run.play(lambda step: status.update(f"random run: {step}")))
    except Violated as violated:
        console.print(f"[red]random run: {violated}[/]")
        return {"violation": str(violated)}
    console.print(_table(tally))
    return tally


def line(result: Result) -> str:
    """The result for a person, in rich's markup."""
    mark = "[red]✗[/]" if result.violation else "[green]✓[/]"
    return f"{mark} {result.seconds:5.1f} s  {result.name}" + (f"\n    {result.violation}" if result.violation else "")


def _table(tally: dict[str, int]) -> Table:
    table = Table("orders at random", "", title_justify="left")
    table.columns[1].justify = "right"
    for name, value in tally.items():
        table.add_row(name.replace("_", " "), str(value))
    return table
