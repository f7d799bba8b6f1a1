"""The list of defences is honest: each can be switched off in the code as it stands, and a scenario looks at it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from sandbox.chaos_scenarios import SCENARIOS
from sandbox.defences import DEFENCES, Defence
from sandbox.defences_run import switch_off

ROOT = Path(__file__).parents[2]
NAMES = [defence.name for defence in DEFENCES]


def test_no_defence_is_listed_twice() -> None:
    assert len(DEFENCES) >= 15
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("defence", DEFENCES, ids=NAMES)
def test_a_defence_can_be_switched_off_and_its_scenario_is_there(defence: Defence) -> None:
    source = (ROOT / defence.file).read_text(encoding="utf-8")

    assert source.count(defence.old) == 1
    assert defence.new != defence.old
    assert defence.scenario in SCENARIOS
    if defence.file.endswith(".py"):
        ast.parse(source.replace(defence.old, defence.new))
    else:
        yaml.compose(source.replace(defence.old, defence.new))


def test_switching_off_changes_every_functions_code_and_drops_what_was_compiled(tmp_path: Path) -> None:
    defence = Defence("growth", "src/handler/late.py", "GROWTH = 3", "GROWTH = 1", "any")
    for function in ("OrderFunction", "RecoveryFunction"):
        folder = tmp_path / function / "handler" / "__pycache__"
        folder.mkdir(parents=True)
        (folder / "late.cpython-311.pyc").touch()
        (folder / "later.cpython-311.pyc").touch()
        (folder.parent / "late.py").write_text("GROWTH = 3\n", encoding="utf-8")

    switch_off(defence, tmp_path)

    for function in ("OrderFunction", "RecoveryFunction"):
        folder = tmp_path / function / "handler"
        assert (folder / "late.py").read_text(encoding="utf-8") == "GROWTH = 1\n"
        assert [path.name for path in (folder / "__pycache__").iterdir()] == ["later.cpython-311.pyc"]


@pytest.mark.parametrize("text", ["", "GROWTH = 3\nGROWTH = 3\n"])
def test_what_is_not_there_exactly_once_is_not_switched_off(tmp_path: Path, text: str) -> None:
    defence = Defence("growth", "template.yaml", "GROWTH = 3", "GROWTH = 1", "any")
    (tmp_path / "template.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(LookupError, match="exactly once"):
        switch_off(defence, tmp_path)


def test_a_file_that_is_not_in_the_build_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no src/handler/late\.py"):
        switch_off(Defence("growth", "src/handler/late.py", "a", "b", "any"), tmp_path)
