"""The benchmarks still run, and measure what they say. Their figures are for people: no test depends on a time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sandbox.aws.emulator import ROOT


@pytest.mark.parametrize(
    ("name", "repeats", "key"), [("warm_path", 3, "ratios"), ("policies", 30, "in_the_window_percent")]
)
def test_a_benchmark_runs_and_answers_as_its_saved_result_does(name: str, repeats: int, key: str) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "bench" / f"{name}.py", "--json", "--repeats", str(repeats)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    saved = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))

    measured = json.loads(result.stdout)

    assert measured.keys() == saved.keys()
    assert measured[key].keys() == saved[key].keys()


@pytest.mark.parametrize("name", ["cold_start", "warm_path", "policies"])
def test_every_benchmark_explains_itself(name: str) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "bench" / f"{name}.py", "--help"], capture_output=True, text=True, check=True
    )

    assert "--repeats" in result.stdout
    assert "--json" in result.stdout
