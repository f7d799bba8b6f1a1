"""The file that a terminal sources to use `relay` with the sandbox."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sandbox.aws.emulator import ROOT
from sandbox.console import environment

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.aws.cloud import Cloud

CLOUD = cast("Cloud", SimpleNamespace(endpoint_url="http://127.0.0.1:1", webhook_url="http://h/w", stack="stack-1"))
MINE = {
    "PATH": "/usr/bin:/bin",
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real-secret",
    "AWS_SESSION_TOKEN": "real-session",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
}


def sourced(file: Path) -> dict[str, str]:
    """The environment of a shell that has sourced the file."""
    done = subprocess.run(
        ["bash", "-euc", 'source "$0"; env', file], env=MINE, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_shell_that_sources_it_finds_the_sandbox_the_store_and_the_command(tmp_path: Path) -> None:
    file = tmp_path / "a folder" / "env"
    with environment.written(file, CLOUD, "sandbox"):
        found = sourced(file)

    assert environment.variables(CLOUD, "sandbox").items() <= found.items()
    assert found["RELAY_STORE"] == "sandbox"
    assert found["PATH"] == f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin"


def test_nothing_of_the_users_own_account_goes_to_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MINE.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "env"
    with environment.written(file, CLOUD, "sandbox"):
        text, found = file.read_text(encoding="utf-8"), sourced(file)

    assert "real" not in text.lower()
    assert found.keys().isdisjoint({"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"})
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("test", "test")


def test_it_goes_with_the_sandbox_but_not_with_another_one(tmp_path: Path) -> None:
    file = tmp_path / "env"
    with environment.written(file, CLOUD, "sandbox"), environment.written(file, CLOUD, "outlet"):
        assert file.exists()
    assert not file.exists()

    with environment.written(file, CLOUD, "sandbox"):
        file.write_text("another sandbox's\n", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == "another sandbox's\n"


@pytest.mark.parametrize(("file", "typed"), [(environment.FILE, ".sandbox/env"), (None, None)])
def test_it_is_shown_as_it_is_typed(file: Path | None, typed: str | None, tmp_path: Path) -> None:
    assert environment.shown(file or tmp_path) == (typed or str(tmp_path))
