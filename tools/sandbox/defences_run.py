"""`make defences`: switches off one defence after the other, and sees that its scenario notices.

Each gets a deployment of its own, of a build in which the one text is replaced. A scenario counts as proof only if it
comes out as promised with the defence, and if without it an order that nothing befalls still does.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sandbox import chaos
from sandbox.chaos_field import open_field
from sandbox.chaos_live import NOTHING_FAILS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sandbox.chaos import Verdict
    from sandbox.defences import Defence

PATIENCE_SECONDS = 20.0
"""Beside twice the time that the scenario took with the defence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a defence was seen to matter, and how that showed."""

    defence: str
    scenario: str
    proved: bool
    seconds: float
    showed: str


def switch_off(defence: Defence, build: Path) -> None:
    """Replaces the defence's text in a build: in the template, or in the code of every function."""
    if defence.file == "template.yaml":
        files = [build / "template.yaml"]
    else:
        files = sorted(build.glob(f"*Function/{defence.file.removeprefix('src/')}"))
    if not files:
        raise LookupError(f"the build has no {defence.file}")
    for file in files:
        text = file.read_text(encoding="utf-8")
        if text.count(defence.old) != 1:
            raise LookupError(f"{defence.file} does not hold exactly once: {defence.old!r}")
        file.write_text(text.replace(defence.old, defence.new), encoding="utf-8")
        # The build's bytecode is not checked against its source.
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()


def authenticate(defence: Defence, with_it: Verdict) -> Finding:
    """Plays the defence's scenario without it. `with_it` is how the scenario came out with it."""
    if with_it.violation:
        return Finding(defence.name, defence.scenario, False, 0.0, f"red with the defence, too: {with_it.violation}")
    with open_field(_say_nothing, seed=0, environments=2, alter=lambda build: switch_off(defence, build)) as field:
        field.patience_seconds = PATIENCE_SECONDS + 2 * with_it.seconds
        [whole] = chaos.play(field, [NOTHING_FAILS], _say_nothing)
        if whole.violation:
            return Finding(defence.name, defence.scenario, False, 0.0, f"nothing works without it: {whole.violation}")
        [without] = chaos.play(field, [defence.scenario], _say_nothing)
    proved = bool(without.violation) and not without.violation.startswith(chaos.BROKEN)
    return Finding(
        defence.name, defence.scenario, proved, without.seconds, without.violation or "came out as if it were there"
    )


def run(defences: Sequence[Defence], *, jobs: int, as_json: bool, report: Path | None) -> int:
    """Tries all these defences; 0 when each was seen to matter, 1 otherwise."""
    console = Console(stderr=as_json)
    with_them = _with_all(console, sorted({defence.scenario for defence in defences}))
    findings = []
    with ThreadPoolExecutor(jobs) as pool:
        tried = [pool.submit(authenticate, defence, with_them[defence.scenario]) for defence in defences]
        for number, future in enumerate(as_completed(tried), 1):
            finding = future.result()
            findings.append(finding)
            console.print(f"{number:3} of {len(defences)}  {_mark(finding)} {finding.defence}", highlight=False)
    findings.sort(key=lambda finding: [defence.name for defence in defences].index(finding.defence))
    console.print(_table(findings))
    text = json.dumps({"defences": [asdict(finding) for finding in findings]}, indent=2)
    if report:
        report.write_text(f"{text}\n", encoding="utf-8")
    if as_json:
        print(text)
    unproved = sum(not finding.proved for finding in findings)
    console.print(f"{unproved} of {len(findings)} were not seen to matter" if unproved else "Each was seen to matter")
    return 1 if unproved else 0


def _with_all(console: Console, scenarios: Collection[str]) -> dict[str, Verdict]:
    """How the scenarios come out when every defence is there."""
    console.print(f"First the {len(scenarios)} scenarios with every defence in place")
    with open_field(console.print, seed=0) as field:
        verdicts = chaos.play(field, scenarios, lambda verdict: console.print(chaos.line(verdict), highlight=False))
    return {verdict.name: verdict for verdict in verdicts}


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("", "without", "scenario", "what showed", title="defences switched off", title_justify="left")
    for finding in findings:
        table.add_row(_mark(finding), finding.defence, finding.scenario, finding.showed[:200])
    return table


def _mark(finding: Finding) -> str:
    return "[green]✓[/]" if finding.proved else "[red]✗[/]"


def _say_nothing(_: object) -> None:
    """No progress."""
