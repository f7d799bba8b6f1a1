"""Every log line of the functions has a stable name, by which saved queries and people find it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import handler

HANDLER = Path(handler.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NAME = re.compile(r"[a-z]+\.[a-z_]+")


def is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "logger"
        and node.func.attr in LEVELS
    )


CALLS = [
    (f"{path.relative_to(HANDLER)}:{node.lineno}", node)
    for path in sorted(HANDLER.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Call) and is_log_call(node)
]


def test_there_are_log_lines() -> None:
    assert len(CALLS) > 20


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[place for place, _ in CALLS])
def test_a_log_line_has_an_event_name(call: ast.Call) -> None:
    [event] = [keyword.value for keyword in call.keywords if keyword.arg == "event"]

    assert isinstance(event, ast.Name) or NAME.fullmatch(ast.literal_eval(event))
