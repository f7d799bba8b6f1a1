"""Parts of documents that a program writes, between `<!-- generated: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def part(document: Path, name: str) -> str:
    """What the document holds between the markers. Raises ValueError when it has none of that name."""
    found = _marked(name).search(document.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{document} has no part generated: {name}")
    return found.group(2)


def put(document: Path, name: str, text: str) -> None:
    """Replaces what stands between the markers. Raises ValueError as `part` does."""
    part(document, name)
    whole = document.read_text(encoding="utf-8")
    document.write_text(
        _marked(name).sub(lambda found: f"{found.group(1)}{text}{found.group(3)}", whole), encoding="utf-8"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; all columns but the first are numbers."""
    ruler = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ruler, *rows])


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
