"""The built function under AWS's own runtime interface emulator, with an interpreter that has nothing of this project's.

What the layer lacks shows here and nowhere else on this machine: ministack's workers see ministack's packages.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.aws.emulator import REGION, ROOT, CloudError, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_LIMIT_SECONDS = 10


def run_events(
    events: Sequence[Mapping[str, Any]],
    built: Path,
    function: str,
    environment: Mapping[str, str],
    *,
    timeout_seconds: int = 60,
) -> list[Any]:
    """Give the events to one fresh environment of the function, one after the other; answers what it returned for each.

    `built` is the folder of a `sam build`; `function` is OrderFunction or RecoveryFunction. Raises CloudError, with the
    function's log, when the function raises, ends or cannot start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="b2b-order-relay-rie-") as folder,
        _runtime(built, function, environment, Path(folder) / "log", timeout_seconds) as (url, log),
    ):
        return [_invoke(url, event, log, timeout_seconds) for event in events]


@contextmanager
def _runtime(
    built: Path, function: str, environment: Mapping[str, str], log: Path, timeout_seconds: int
) -> Iterator[tuple[str, Path]]:
    invoke_port, api_port = free_port(), free_port()
    code = built / function
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                _emulator(),
                "--log-level=info",
                f"--runtime-interface-emulator-address=127.0.0.1:{invoke_port}",
                f"--runtime-api-address=127.0.0.1:{api_port}",
                # Without `site`, the interpreter finds the standard library and PYTHONPATH alone.
                *(sys.executable, "-S", "-s", "-m", "awslambdaric", _handler(built, function)),
            ],
            cwd=code,
            env={
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join(
                    str(path) for path in (code, built / "DependenciesLayer" / "python", ROOT / ".env-ric")
                ),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LAMBDA_TASK_ROOT": str(code),
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_LAMBDA_FUNCTION_NAME": function,
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(process, invoke_port, log)
        yield f"http://127.0.0.1:{invoke_port}/2015-03-31/functions/function/invocations", log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1):
                return
        except urllib.error.HTTPError:  # it listens; there is nothing at /
            return
        except OSError:
            time.sleep(0.02)
    raise CloudError(f"the runtime interface emulator did not start:\n{log.read_text(encoding='utf-8')}")


def _invoke(url: str, event: Mapping[str, Any], log: Path, timeout_seconds: int) -> Any:
    request = urllib.request.Request(url, data=json.dumps(event).encode(), method="POST")  # our own http URL
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds + 10) as response:  # the same
            text = response.read().decode()
        answer = json.loads(text)
    except (OSError, ValueError) as error:  # a function that ran out of time is answered with a plain text
        raise CloudError(f"the function gave no answer: {error}\n{log.read_text(encoding='utf-8')}") from error
    if isinstance(answer, dict) and "errorType" in answer:
        raise CloudError(f"the function raised {text}\n{log.read_text(encoding='utf-8')}")
    return answer


def _emulator() -> Path:
    machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    found = sorted(
        (ROOT / ".env-sam" / "lib").glob(f"python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    )
    if not found:
        raise CloudError("the SAM CLI is not installed; `make setup` installs it")
    return found[0]


def _handler(built: Path, function: str) -> str:
    template = yaml.safe_load((built / "template.yaml").read_text(encoding="utf-8"))
    handler: str = template["Resources"][function]["Properties"]["Handler"]
    return handler
