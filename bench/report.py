"""Writes the figures of bench/results into docs/performance.md; the last step of `make bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from documents import generated
from documents.generated import table

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _cold_start() -> str:
    rows = [[name, _spread(ratio)] for name, ratio in _result("cold_start")["ratios"].items()]
    return table(["whole process", "ratio: median (min to max)"], rows)


def _warm_path() -> str:
    rows = [
        [name, f"{row['p50_round_trips']:.1f}", f"{row['p99_round_trips']:.1f}", f"{row['p50_plain_posts']:.2f}"]
        for name, row in _result("warm_path")["ratios"].items()
    ]
    return table(["one call", "p50, in round trips", "p99, in round trips", "p50, in plain POSTs"], rows)


def _time_limits() -> str:
    ratios = _result("time_limits")["ratios"]
    callers = list(next(iter(ratios.values())))
    rows = [[name, *(_spread(by[caller]) for caller in callers)] for name, by in ratios.items()]
    return table(["the other side", *callers], rows)


def _policies() -> str:
    shares = _result("policies")["in_the_window_percent"]
    columns = list(next(iter(shares.values())))
    rows = [[name, *(f"{row[column]:.2f}" for column in columns)] for name, row in shares.items()]
    return table(["policy", *(f"503 for {column} of the time" for column in columns)], rows)


PARTS = {
    "cold_start": _cold_start,
    "warm_path": _warm_path,
    "time_limits": _time_limits,
    "policies": _policies,
}


def main() -> None:
    for name, part in PARTS.items():
        generated.put(DOCUMENT, name, part())


if __name__ == "__main__":
    main()
