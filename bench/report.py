"""Writes the figures of bench/results into docs/performance.md; the last step of `make bench`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"


def part(name: str) -> str:
    """What the document holds between `<!-- generated: NAME -->` and `<!-- end -->`. Raises ValueError when it has no such part."""
    found = _marked(name).search(DOCUMENT.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{DOCUMENT} has no part generated: {name}")
    return found.group(2)


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _table(head: list[str], rows: list[list[str]]) -> str:
    ruler = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ruler, *rows])


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _cold_start(result: dict[str, Any]) -> str:
    rows = [[name, _spread(ratio)] for name, ratio in result["ratios"].items()]
    return _table(["whole process", "ratio: median (min to max)"], rows)


def _warm_path(result: dict[str, Any]) -> str:
    rows = [
        [name, f"{row['p50_round_trips']:.1f}", f"{row['p99_round_trips']:.1f}", f"{row['p50_plain_posts']:.2f}"]
        for name, row in result["ratios"].items()
    ]
    return _table(["one call", "p50, in round trips", "p99, in round trips", "p50, in plain POSTs"], rows)


def _policies(result: dict[str, Any]) -> str:
    shares = result["in_the_window_percent"]
    columns = list(next(iter(shares.values())))
    rows = [[name, *(f"{row[column]:.2f}" for column in columns)] for name, row in shares.items()]
    return _table(["policy", *(f"503 for {column} of the time" for column in columns)], rows)


TABLES = {"cold_start": _cold_start, "warm_path": _warm_path, "policies": _policies}
"""The Markdown table of each benchmark's result."""


def saved(name: str) -> str:
    """The table of the result in bench/results."""
    return TABLES[name](json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8")))


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in TABLES:
        text = text.replace(part(name), saved(name))
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
