"""`make build`: the SAM CLI's build, with bytecode for the functions' runtime where that can be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".aws-sam" / "build"
FETCHED = ROOT / ".env-python"
UV = Path(sys.executable).with_name("uv")
RUNTIME = "3.13"
FETCH_SECONDS = 120
NO_BYTECODE = (
    f"No Python {RUNTIME} on this machine, and none could be fetched: "
    "the build has no bytecode, and a cold start takes about twice as long."
)


def runtime_python(uv: Path = UV, folder: Path = FETCHED, seconds: float = FETCH_SECONDS) -> str:
    """A Python of the functions' version, which alone can compile for them: one that is here, or else fetched.

    `uv` fetches it into `folder` within `seconds`. Empty if there is none.
    """
    # The build itself looks for one; this asks how that ends.
    look = ["make", "-s", "-C", str(ROOT / "src"), "runtime-python"]
    if python := subprocess.run(look, stdout=subprocess.PIPE, text=True, check=True).stdout.strip():
        return python
    # `make` forbids uv to download by itself. One connection that hangs is given up after 20 s.
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "manual", "UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "0"}
    command = [str(uv), "python", "install", RUNTIME, "--no-bin", "--install-dir", str(folder)]
    try:
        subprocess.run(command, env=environment, capture_output=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(map(str, sorted(folder.glob(f"cpython-{RUNTIME}.*/bin/python{RUNTIME}"))), "")


def main() -> int:
    """Builds; says one line, or all that the SAM CLI said when it failed."""
    python = runtime_python()
    result = subprocess.run(
        [ROOT / ".env-sam" / "bin" / "sam", "build"],
        cwd=ROOT,
        # The layer is built with the project's own Python, which surely has pip.
        env={**os.environ, "PATH": f"{UV.parent}{os.pathsep}{os.environ['PATH']}", "PYTHON_3_13": python},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        print(result.stdout, file=sys.stderr)
        return result.returncode
    if not python:
        print(NO_BYTECODE)
    print(f"Built: {BUILD.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
