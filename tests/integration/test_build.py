"""What `make build` makes: the same bytes from the same files, with bytecode where that can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deployment.build import runtime_python
from sandbox.aws.emulator import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LAYER = ROOT / "layers" / "dependencies"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def built(target: str, source: Path, work: Path, seed: int) -> dict[str, bytes]:
    """What a makefile makes of a copy of its folder, as `sam build` calls it: name and content."""
    shutil.copytree(source, work / "source")
    artifacts = work / "artifacts"
    artifacts.mkdir()
    command = ["make", "-s", f"build-{target}", f"ARTIFACTS_DIR={artifacts}", f"PYTHON={sys.executable}"]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    subprocess.run(command, cwd=work / "source", env=environment, check=True, stdout=subprocess.DEVNULL)
    return contents(artifacts)


@pytest.mark.parametrize(
    ("target", "source", "some"),
    [
        ("OrderFunction", ROOT / "src", "handler/app.py"),
        ("DependenciesLayer", LAYER, "python/botocore/session.py"),
    ],
)
def test_the_same_files_make_the_same_bytes(tmp_path: Path, target: str, source: Path, some: str) -> None:
    first, second = (
        built(target, source, tmp_path / name, seed) for seed, name in enumerate(["one", "another/folder"])
    )
    assert some in first
    assert first == second


def trimmed(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LAYER / "trim.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["fast.cpython-313-x86_64-linux-gnu.so", "libfast.so.3", "fast.pyd"])
def test_a_layer_with_code_for_one_processor_is_not_built(tmp_path: Path, name: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / name).touch()
    result = trimmed(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"The layer must be pure Python, and package/{name} is compiled")


def test_a_file_that_only_looks_like_code_for_a_processor_is_no_reason(tmp_path: Path) -> None:
    (tmp_path / "also.sonnet.py").touch()
    assert "pure Python" not in trimmed(tmp_path).stderr


# --- the runtime's Python -----------------------------------------------------------------------------------------


@pytest.fixture
def _no_python_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_3_13", "")  # what the makefiles find when there is none


def fake_uv(folder: Path, script: str) -> Path:
    uv = folder / "uv"
    uv.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    uv.chmod(0o755)
    return uv


@pytest.mark.usefixtures("_no_python_here")
def test_uv_fetches_the_runtimes_python_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")  # as `make` has it
    uv = fake_uv(
        tmp_path,
        # As uv does: it downloads nothing that is forbidden.
        'test "$UV_PYTHON_DOWNLOADS" = manual || exit 2\n'
        'test "$1 $2 $3 $4 $5" = "python install 3.13 --no-bin --install-dir" || exit 3\n'
        'mkdir -p "$6/cpython-3.13.9-linux/bin" && touch "$6/cpython-3.13.9-linux/bin/python3.13"',
    )
    python = runtime_python(uv, tmp_path / "fetched")
    assert python == str(tmp_path / "fetched" / "cpython-3.13.9-linux" / "bin" / "python3.13")


@pytest.mark.usefixtures("_no_python_here")
@pytest.mark.parametrize("script", ["echo 'error: connection refused' >&2; exit 2", "exec sleep 600", "exit 0"])
def test_the_build_goes_on_where_uv_fetches_nothing(tmp_path: Path, script: str) -> None:
    assert runtime_python(fake_uv(tmp_path, script), tmp_path / "fetched", seconds=0.5) == ""


@pytest.mark.usefixtures("_no_python_here")
def test_the_build_goes_on_without_uv(tmp_path: Path) -> None:
    assert runtime_python(tmp_path / "uv", tmp_path / "fetched") == ""


def test_a_python_that_is_here_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_3_13", "/opt/python3.13")
    assert runtime_python(tmp_path / "none", tmp_path) == "/opt/python3.13"
