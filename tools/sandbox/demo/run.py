"""`make run`: a simulated store, an AWS emulator, the real template, and a dozen orders."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from sandbox.aws.cloud import Cloud
from sandbox.demo.scenarios import SCENARIOS, Played, Scenario, Stage, demo_store, secret_of
from sandbox.store.server import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

SECONDS_BETWEEN_ORDERS = 0.4
PATIENCE_SECONDS = 45.0
WIDTH_OF_FILES = 140
PARAMETERS = {"RecoveryFirstDelaySeconds": "1", "RecoveryLongestDelaySeconds": "5"}


def run(*, as_json: bool = False) -> int:
    """Plays all scenarios and shows what becomes of them; 0 when all came out as they should, 1 otherwise."""
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    began = time.monotonic()
    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(demo_store())
        console.print(f"The simulated BigCommerce store listens at {sandbox.url}")
        parameters = PARAMETERS | {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
        with Cloud(parameters, progress=console.print) as cloud:
            cloud.put_secret(store.hash, secret_of(store))
            console.print(f"The relay listens at {cloud.webhook_url}\n", soft_wrap=True)
            show = _Show(Stage(sandbox, cloud, store))
            with Live(console=console, refresh_per_second=4, get_renderable=show.table, transient=as_json):
                show.play()
            failed = show.failed()
    console.print(
        f"\n[bold red]{len(failed)} of {len(SCENARIOS)} did not come out as they should:[/] {', '.join(failed)}"
        if failed
        else f"\n[bold green]All {len(SCENARIOS)} orders came out as they should[/], {time.monotonic() - began:.0f} s in all."
        " Nothing is left running."
    )
    if as_json:
        print(json.dumps(show.as_json(), indent=2))
    return 1 if failed else 0


class _Show:
    """What became of each order so far."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._played: dict[str, Played] = {}
        self._done: dict[str, bool] = {}
        self._outcomes: dict[int, list[str]] = {}

    def play(self) -> None:
        """Places the orders one after the other and watches until each has come out as it should, or time is up."""
        for scenario in SCENARIOS:
            self._played[scenario.title] = scenario.play(self._stage)
            self._watch()
            time.sleep(SECONDS_BETWEEN_ORDERS)
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while len(self._done) < len(SCENARIOS) and time.monotonic() < ends_at:
            time.sleep(SECONDS_BETWEEN_ORDERS)
            self._watch()

    def failed(self) -> list[str]:
        """Titles of the scenarios that did not come out as they should."""
        return [scenario.title for scenario in SCENARIOS if scenario.title not in self._done]

    def table(self) -> RenderableType:
        """The table as of now."""
        table = Table(title="Orders on their way from the store to B2B Edition", title_justify="left")
        for heading in (
            "order",
            "what happens to it",
            "acknowledged",
            "outcome",
            "window left",
            "on the B2B record",
            "",
        ):
            table.add_column(heading, justify="right" if heading == "order" else "left")
        for scenario in SCENARIOS:
            table.add_row(*self._row(scenario))
        if len(self._done) == len(SCENARIOS) or not self._played:
            return table
        waiting = f"{len(self._done)} of {len(SCENARIOS)} done"
        return Group(table, Spinner("dots", text=waiting))

    def as_json(self) -> list[dict[str, object]]:
        """The table's facts, for programs."""
        return [self._facts(scenario) for scenario in SCENARIOS]

    def _watch(self) -> None:
        self._outcomes = _outcomes(self._stage.cloud)
        for scenario in SCENARIOS:
            played = self._played.get(scenario.title)
            if played is None or scenario.title in self._done:
                continue
            answered = not played.deliveries or all(delivery.attempts for delivery in played.deliveries)
            known = not scenario.outcome or scenario.outcome in self._outcomes.get(played.order.id, [])
            if answered and known and scenario.holds(played):
                self._done[scenario.title] = True

    def _row(self, scenario: Scenario) -> list[str]:
        played = self._played.get(scenario.title)
        if played is None:
            return ["", f"[dim]{scenario.title}[/]", "", "", "", "", ""]
        facts = self._facts(scenario)
        status, seconds = facts["acknowledged_status"], facts["acknowledged_seconds"]
        left = facts["window_left_seconds"]
        if scenario.title in self._done:
            mark, outcome = "[green]✓[/]", scenario.expects
        else:
            mark, outcome = "[yellow]…[/]", f"[dim]expected: {scenario.expects}[/]"
        return [
            str(played.order.id),
            scenario.title,
            f"{status} after {seconds} s" if status else ("on the bus" if not played.deliveries else ""),
            outcome,
            f"{left} s" if left is not None else "",
            content(facts),
            mark,
        ]

    def _facts(self, scenario: Scenario) -> dict[str, object]:
        played = self._played[scenario.title]
        status, seconds = played.acknowledged or (None, None)
        record = played.record
        created = record is not None and record.origin == "created"
        return {
            "order": played.order.id,
            "scenario": scenario.title,
            "as_it_should": scenario.title in self._done,
            "acknowledged_status": status,
            "acknowledged_seconds": None if seconds is None else round(seconds, 2),
            "relay_says": self._outcomes.get(played.order.id, []),
            "window_left_seconds": round(record.window_left, 1) if created and record and record.window_left else None,
            "po_number": record.po_number if record else None,
            "extra_fields": record.extra_fields if record else None,
        }


def content(facts: Mapping[str, object]) -> str:
    """What stands on a record, from its `po_number` and `extra_fields`, for the console."""
    if facts["po_number"] is None:
        return "[dim]no record[/]"
    fields = facts["extra_fields"]
    texts = [f"PO {facts['po_number']}"] if facts["po_number"] else []
    texts += [f"{name}: {value}" for name, value in fields.items()] if isinstance(fields, dict) else []
    return ", ".join(texts)


def _outcomes(cloud: Cloud) -> dict[int, list[str]]:
    """What the functions' own logs say became of each order, in their words."""
    found: dict[int, list[str]] = {}
    for entry in cloud.log_entries("OrderFunction", "RecoveryFunction"):
        if "outcome" in entry and "order" in entry:
            found.setdefault(entry["order"], []).append(entry["outcome"])
    return found
