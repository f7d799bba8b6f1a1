"""What the benchmarks share: one command line, ratios with their spread, and where results go.

Absolute times drift from run to run on any machine; what is shown is always a ratio to something measured in the same run,
in turn with it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, least and greatest of some numbers."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def as_json(self) -> dict[str, float]:
        return {"median": round(self.median, 3), "min": round(self.least, 3), "max": round(self.greatest, 3)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` of a hundred lie."""
    return statistics.quantiles(values, n=100)[percent - 1]


def arguments(description: str, repeats: int, unit: str) -> argparse.Namespace:
    """The command line: `--repeats`, `--json`, `--save`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"how many {unit} (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--save", action="store_true", help="write it to bench/results")
    return parser.parse_args()


def say(text: str) -> None:
    """Progress, which is no part of the result."""
    print(text, file=sys.stderr, flush=True)


def hand_in(name: str, options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Shows a result; with `--save` it is also written to bench/results/NAME.json."""
    whole = {"measured_with": {"python": platform.python_version(), "processors": os.cpu_count()}, **result}
    print(json.dumps(whole, indent=2) if options.json else TABLES[name](whole))
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
