"""How long the built function takes to start, and what each trick in the build and in `handler.app` is worth.

Whole processes of a clean interpreter that finds the build of `sam build` and nothing else, in turn: as built; without the
.pyc; with all of botocore's and boto3's descriptions; with the garbage collector on while starting. Then the first webhook
and the first order, against a stand-in on loopback for both APIs and AWS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployment.build import runtime_python
from loopback import environment, loopback
from measuring import Spread, arguments, hand_in, say
from sandbox.aws import sam
from sandbox.demo.samples import renew

ROOT = Path(__file__).parents[1]
BARE, BUILT = "bare Python", "as built"

PROGRAM = """
import json, os, sys
if "COLLECTOR" in os.environ:
    import gc
    gc.disable = gc.freeze = lambda: None
from handler import app
from types import SimpleNamespace
context = SimpleNamespace(function_name="order", memory_limit_in_mb=512, aws_request_id="1",
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:order",
    get_remaining_time_in_millis=lambda: 15_000)
for event in json.load(sys.stdin):
    answer = app.handle_order_event(event, context)
    if answer and answer["statusCode"] != 200:
        sys.exit(f"not accepted: {answer}")
"""


@dataclass(frozen=True)
class Case:
    """One way to start, with what is worked on afterwards."""

    name: str
    folder: Path
    samples: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    program: str = PROGRAM

    def seconds(self, interpreter: str, variables: dict[str, str]) -> float:
        """The time from the process's start to its end."""
        events = [json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8")) for name in self.samples]
        events = [renew(event, time.time()) for event in events]
        path = f"{self.folder / 'OrderFunction'}{os.pathsep}{self.folder / 'DependenciesLayer' / 'python'}"
        began = time.perf_counter()
        result = subprocess.run(
            # Without `site`, and in a folder of its own: only the standard library and the build are found.
            [interpreter, "-S", "-s", "-B", "-c", self.program],
            input=json.dumps(events),
            env={"PATH": os.defpath, "PYTHONPATH": path, **variables, **self.variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if result.returncode or '"outcome":"late"' in result.stdout:
            sys.exit(f"{self.name}: {result.stderr or result.stdout}")
        return seconds


def cases(built: Path, folder: Path) -> list[Case]:
    """What is compared. The order is that of the table."""
    no_pyc = folder / "no-pyc"
    shutil.copytree(built, no_pyc, ignore=shutil.ignore_patterns("__pycache__"))
    untrimmed = folder / "untrimmed"
    shutil.copytree(built, untrimmed)
    import boto3  # noqa: PLC0415  the same version as the layer's, whole
    import botocore  # noqa: PLC0415

    for package in (boto3, botocore):
        shutil.copytree(
            Path(str(package.__file__)).parent / "data",
            untrimmed / "DependenciesLayer" / "python" / package.__name__ / "data",
            dirs_exist_ok=True,
        )
    webhook, order = ("api-webhook",), ("bus-order",)
    return [
        Case(BARE, built, program="pass"),
        Case(BUILT, built),
        Case("with the collector on", built, variables={"COLLECTOR": "on"}),
        Case("without trimming", untrimmed),
        Case("without .pyc", no_pyc),
        Case("as built, first webhook answered", built, webhook),
        Case("as built, first order created", built, order),
        Case("as built, both in one environment", built, webhook + order),
        Case("without .pyc, both in one environment", no_pyc, webhook + order),
    ]


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], repeats=15, unit="processes for each case")
    with tempfile.TemporaryDirectory(prefix="b2b-order-relay-bench-") as name, loopback() as url:
        folder = Path(name)
        sam.build(say, folder / "build")
        compared = cases(folder / "build", folder)
        interpreter = runtime_python() or sys.executable  # the build's .pyc are for the runtime's version
        taken: dict[str, list[float]] = {case.name: [] for case in compared}
        for round_number in range(options.repeats + 1):
            say(f"cold start: round {round_number} of {options.repeats}")
            for case in compared:
                seconds = case.seconds(interpreter, environment(url))
                if round_number:  # the first warms the disk's cache
                    taken[case.name].append(seconds)
    base = taken[BUILT]
    ratios = {
        name: Spread.of([one / built for one, built in zip(values, base, strict=True)])
        for name, values in taken.items()
    }
    version = subprocess.run([interpreter, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    result: dict[str, Any] = {
        "what": "whole process, start to end, as a ratio to the function as built",
        "function_python": version,
        "processes": options.repeats,
        "ratios": {name: spread.as_json() for name, spread in ratios.items()},
        "as_built_ms": round(Spread.of(base).median * 1000),
    }
    hand_in("cold_start", options, result)


if __name__ == "__main__":
    main()
