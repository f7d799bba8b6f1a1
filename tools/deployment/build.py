"""`make build`: runs `sam build`, with bytecode for the functions' runtime if a matching Python is available."""

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
    f"Python {RUNTIME} was not found and could not be downloaded: "
    "the build has no bytecode, and a cold start takes about twice as long."
)


def runtime_python(uv: Path = UV, folder: Path = FETCHED, seconds: float = FETCH_SECONDS) -> str:
    """The path of a Python of the functions' version, which compiles their bytecode; empty if there is none.

    If this machine has none, `uv` downloads one into `folder` within `seconds`.
    """
    # The same search as in the build.
    look = ["make", "-s", "-C", str(ROOT / "src"), "runtime-python"]
    if python := subprocess.run(look, stdout=subprocess.PIPE, text=True, check=True).stdout.strip():
        return python
    # `make` disables uv's automatic downloads. The timeout ends a connection that hangs.
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "manual", "UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "0"}
    command = [str(uv), "python", "install", RUNTIME, "--no-bin", "--install-dir", str(folder)]
    try:
        subprocess.run(command, env=environment, capture_output=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(map(str, sorted(folder.glob(f"cpython-{RUNTIME}.*/bin/python{RUNTIME}"))), "")


def main() -> int:
    """Builds and prints one line, or the SAM CLI's output if it fails."""
    python = runtime_python()
    result = subprocess.run(
        [ROOT / ".env-sam" / "bin" / "sam", "build"],
        cwd=ROOT,
        # The layer is built with the project's own Python, which has pip.
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
