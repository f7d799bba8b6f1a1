"""Every command that `relay` or an alarm prints can be pasted as it stands: the command line itself reads it."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from documents import template
from handler.errors import Cause
from relay.fixes import NO_ORDER, dead_letter_fix, late_order_fix
from relay.selection import CAUSES
from unit.test_documents import RUNBOOK, Said, first_column, mistake, section

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "tools" / "relay").glob("*.py"), *(ROOT / "src" / "handler").glob("*.py")]
COMMAND = re.compile(
    r"(?<![\w`/-])`?relay ((?:doctor|status|preview|backfill|watch|report|late|failed|store|hook)\b"
    r"(?:(?![;,)`]|[.:?](?:\s|$)|\s\(|\n|\s\s).)*)"
)
"""A command ends at a mark, a bracket, a backquote or two blanks: what prints one must end it so."""

VALUES = {
    "store": "abc123",
    "selection": "--store abc123 --order 101",
    "this": "--store abc123 --order 101",
    "flag": "--again",
    "doctor": "relay doctor abc123",
    "missed": "relay backfill --store abc123 --since 4d",
}
"""What stands in the place of a value that is filled in later; 101 for all others."""


def filled(node: ast.AST) -> str | None:
    """A text of the source, with values in the place of its placeholders; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{(\w+)\}", lambda found: VALUES.get(found[1], "101"), node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _value(part.value) if isinstance(part, ast.FormattedValue) else str(getattr(part, "value", ""))
            for part in node.values
        )
    return None


def _value(node: ast.AST) -> str:
    name = ast.unparse(node).rpartition(".")[2]
    return VALUES.get("store" if "store" in name else name, "101")


def texts(path: Path) -> Iterator[str]:
    """The texts of a module, without docstrings (their examples are tested with the help) and parts of longer texts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in ast.walk(node) if part is not node}
        if id(node) not in skipped and (text := filled(node)):
            yield text


def commands(text: str) -> list[str]:
    return [found.strip() for found in COMMAND.findall(text)]


@pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.name)
def test_commands_in_the_texts_of_the_source_can_be_pasted(path: Path) -> None:
    printed = [command for text in texts(path) for command in commands(text)]

    assert [wrong for command in printed if (wrong := mistake(Said(shlex.split(command), whole=True)))] == []


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("group", [True, False])
def test_every_mend_holds_only_commands_that_can_be_pasted(cause: str, *, group: bool) -> None:
    fixes = [
        dead_letter_fix(cause, "abc123", 101, "m-1", group=group),
        dead_letter_fix(cause, "", None, "m-1", group=group),
    ]
    if cause not in NO_ORDER:
        fixes = [fixes[0], late_order_fix(cause, "abc123", 101, group=group)]

    printed = [command for fix in fixes for command in commands(fix)]
    assert printed
    assert [wrong for command in printed if (wrong := mistake(Said(shlex.split(command), whole=True)))] == []
    assert not [fix for fix in fixes if "{" in fix or "STORE" in fix]


def test_an_unreadable_letter_is_not_redriven_by_its_mend() -> None:
    assert "redrive --" not in dead_letter_fix(str(Cause.UNREADABLE), "", None, "m-1")
    assert "failed drop --id m-1" in dead_letter_fix(str(Cause.UNREADABLE), "", None, "m-1")


def test_commands_in_the_alarms_texts_can_be_pasted() -> None:
    alarms = [
        str(resource["Properties"]["AlarmDescription"])
        for resource in template.read()["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]

    printed = [command for text in alarms for command in commands(text)]
    assert [wrong for command in printed if (wrong := mistake(Said(shlex.split(command), whole=True)))] == []


@pytest.mark.parametrize(
    "text",
    ["Then: relay backfill for the orders in between.", "Fix it: `relay failed drop`", "See relay status --store ..."],
)
def test_a_command_that_cannot_be_pasted_is_noticed(text: str) -> None:
    [command] = commands(text)

    assert mistake(Said(shlex.split(command), whole=True))


def test_the_runbook_says_what_mends_each_cause_of_a_dead_letter() -> None:
    listed = first_column(section(RUNBOOK, "Dead letters are waiting"))

    assert sorted(listed) == sorted(CAUSES)
