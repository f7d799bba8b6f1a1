"""The built functions in the containers of `sam local`, with the store and the AWS of the sandbox behind them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.config import Config

from handler.settings import CONTAINER_HOST
from sandbox.aws import sam
from sandbox.aws.emulator import CREDENTIALS, LOOPBACK, REGION, ROOT, CloudError, free_port
from sandbox.aws.logs import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandbox.aws.cloud import Cloud
    from sandbox.aws.docker import Docker
    from sandbox.store.server import SandboxStore

LAYER = "DependenciesLayer"
WEBHOOK_PATH = "/webhooks"
START_LIMIT_SECONDS = 900.0
"""The first time, Docker downloads the runtime's image."""
ANSWER_LIMIT_SECONDS = 330.0
"""More than any function's timeout."""
STOP_LIMIT_SECONDS = 15.0
LOG_LIMIT_SECONDS = 3.0


@dataclass(frozen=True)
class Invocation:
    """One invocation: what the function returned, or the error that ended it, its log lines, and how long it took."""

    function: str
    seconds: float
    answer: Any
    error: str
    lines: Sequence[LogLine]


@dataclass(frozen=True)
class SamLocal:
    """A running `sam local`: its address, and the file with what it and the functions have said."""

    url: str
    log: Path

    def invoke(self, function: str, event: Mapping[str, Any]) -> Invocation:
        """Give an event to a function of `start-lambda`."""
        client = boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=ANSWER_LIMIT_SECONDS),
        )
        before, began = self.log.stat().st_size, time.monotonic()
        response = client.invoke(FunctionName=function, Payload=json.dumps(event))
        seconds = time.monotonic() - began
        text = response["Payload"].read().decode()
        try:
            answer, error = json.loads(text), text if "FunctionError" in response else ""
        except ValueError:  # it ran out of time
            answer, error = None, text or "the function gave no answer"
        return Invocation(function, seconds, answer, error, self._lines(function, before))

    def _lines(self, function: str, before: int) -> list[LogLine]:
        """The function's lines since then; they come a moment after the answer."""
        limit = time.monotonic() + LOG_LIMIT_SECONDS
        while "REPORT RequestId" not in (text := self._said(before)) and time.monotonic() < limit:
            time.sleep(0.05)
        now_ms = int(time.time() * 1000)
        return [line for row in text.splitlines() if (line := LogLine.read(function, now_ms, row))]

    def _said(self, since_byte: int = 0) -> str:
        return self.log.read_bytes()[since_byte:].decode(errors="replace")


def variables(cloud: Cloud, sandbox: SandboxStore, functions: Sequence[str]) -> dict[str, dict[str, str]]:
    """The functions' environment as it is deployed, with the addresses as a container sees them."""
    port = sandbox.url.rpartition(":")[2]
    addresses = {
        "STORE_API_URL": f"http://{CONTAINER_HOST}:{port}",
        "B2B_API_URL": f"http://{CONTAINER_HOST}:{port}",
        "AWS_ENDPOINT_URL": f"http://{CONTAINER_HOST}:{cloud.emulator.port}",
    }
    return {function: cloud.variables(function) | addresses for function in functions}


def template(
    built: Mapping[str, Any], environments: Mapping[str, Mapping[str, str]], architecture: str
) -> dict[str, Any]:
    """The built template with these functions alone, each with its whole environment.

    `sam local --env-vars` drops variables that the template does not declare, and AWS_ENDPOINT_URL is one.
    """
    layer = built["Resources"][LAYER]
    common = {name: built["Globals"]["Function"][name] for name in ("Runtime", "MemorySize")}
    resources: dict[str, Any] = {
        LAYER: {"Type": layer["Type"], "Properties": {"ContentUri": layer["Properties"]["ContentUri"]}}
    }
    for function, environment in environments.items():
        own = {name: built["Resources"][function]["Properties"][name] for name in ("CodeUri", "Handler", "Timeout")}
        resources[function] = {
            "Type": "AWS::Serverless::Function",
            "Properties": common
            | own
            | {
                "Architectures": [architecture],
                "Layers": [{"Ref": LAYER}],
                "Environment": {"Variables": dict(environment)},
            },
        }
    if "OrderFunction" in resources:
        webhook = {"Type": "Api", "Properties": {"Method": "POST", "Path": WEBHOOK_PATH}}
        resources["OrderFunction"]["Properties"]["Events"] = {"Webhook": webhook}
    return {
        "AWSTemplateFormatVersion": built["AWSTemplateFormatVersion"],
        "Transform": built["Transform"],
        "Resources": resources,
    }


def arguments(docker: Docker, command: str, file: Path, port: int) -> list[str]:
    """What is said to the SAM CLI. An image that is there is not pulled again; one that is missing is."""
    return [
        "local",
        command,
        f"--template-file={file}",
        f"--host={LOOPBACK}",
        f"--port={port}",
        "--warm-containers=EAGER",
        "--no-watch",
        "--skip-pull-image",
        *([f"--add-host={CONTAINER_HOST}:{docker.gateway}"] if docker.gateway else []),
    ]


@contextmanager
def started(
    docker: Docker,
    command: str,
    environments: Mapping[str, Mapping[str, str]],
    progress: Callable[[str], None],
) -> Iterator[SamLocal]:
    """`sam local start-lambda` or `start-api` with the containers running, until the end of the block. Raises CloudError."""
    # Below this folder: Docker in a virtual machine shares the user's folders, not this machine's temporary ones.
    parent = ROOT / ".aws-sam"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="local-", dir=parent) as name:
        folder = Path(name)
        sam.build(progress, folder / "build")
        built = yaml.safe_load((folder / "build" / "template.yaml").read_text(encoding="utf-8"))
        file = folder / "build" / "local-template.yaml"
        file.write_text(yaml.safe_dump(template(built, environments, docker.architecture)), encoding="utf-8")
        port, log = free_port(), folder / "log"
        progress(
            f"Starting the functions in Docker containers (sam local {command}; the first time downloads the image)"
        )
        with log.open("wb") as output:
            process = subprocess.Popen(
                sam.command(*arguments(docker, command, file, port), folder=folder),
                cwd=folder,
                env=sam.surroundings() | {"DOCKER_HOST": docker.endpoint, "AWS_DEFAULT_REGION": REGION},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        try:
            _wait_for(process, port, log, command)
            yield SamLocal(f"http://{LOOPBACK}:{port}", log)
        finally:
            _end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path, command: str) -> None:
    limit = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace")
    raise CloudError(f"`sam local {command}` did not start:\n{said[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it so that it removes its containers: at SIGINT, also while it starts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_LIMIT_SECONDS)
