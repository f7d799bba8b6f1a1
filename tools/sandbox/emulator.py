"""AWS on this machine: one ministack process, and its Lambda workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import psutil
from botocore.config import Config

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
ASYNC_MINISTACK = Path(__file__).with_name("ministack_async.py")
LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
# Made up, so that nothing here ever uses this machine's own.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_LIMIT_SECONDS = 60


class CloudError(Exception):
    """The AWS on this machine could not be built, started or deployed to; the text says what to do."""


class Worker:
    """A process in which ministack runs a Lambda function: one execution environment."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    @property
    def function(self) -> str:
        """Name of the function, or nothing if it has ended."""
        try:
            return self._process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
        except psutil.Error:
            return ""

    def ports(self) -> set[int]:
        """Its own ends of the TCP connections that it holds."""
        try:
            return {connection.laddr.port for connection in self._process.net_connections("tcp") if connection.laddr}
        except psutil.Error:
            return set()

    def kill(self) -> None:
        """End it at once, as a crash or an out-of-memory kill does; harmless if it has ended."""
        with suppress(psutil.NoSuchProcess):
            self._process.kill()


class Emulator:
    """A ministack of its own port and folder. Ends with the `with` block, together with every process it has started."""

    def __init__(self, folder: Path, *, host: str = LOOPBACK, endpoint_for_functions: str = "") -> None:
        """Start it. `folder` takes its log and its temporary files; `host` is the one address on which it listens.

        `endpoint_for_functions`: where the Lambda functions find AWS, if not here but behind a proxy.
        """
        python = ROOT / ".env-ministack" / "bin" / "python"
        if not python.exists():
            raise CloudError("ministack is not installed; `make setup` installs it")
        self.port = free_port(host)
        self.url = f"http://{host}:{self.port}"
        self._clients: dict[str, Any] = {}
        self.log = folder / "ministack.log"
        temporary = folder / "tmp"
        temporary.mkdir()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(temporary),
            "BIND_HOST": host,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "0",
            "S3_PERSIST": "0",
            "LAMBDA_EXECUTOR": "local",
            # Two listeners that nobody here wants, on fixed ports.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AWS_ENDPOINT_URL": endpoint_for_functions or self.url,  # its workers inherit it
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                # Isolated: this folder's modules must not be taken for those of the same name that ministack wants.
                [python, "-I", ASYNC_MINISTACK],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its own process group, workers included; and Ctrl-C is ours to handle
            )

    def __enter__(self) -> Self:
        """Give the emulator, which may still be starting."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process, which is also its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def client(self, service: str) -> Any:
        """A boto3 client of this AWS; made once for each service, and safe to share between threads."""
        if service not in self._clients:
            session = boto3.Session(
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                region_name=REGION,
            )
            self._clients[service] = session.client(
                service,  # type: ignore[call-overload]  # the stubs want a literal
                endpoint_url=self.url,
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def workers(self) -> list[Worker]:
        """The processes in which Lambda functions run at this moment."""
        return [Worker(child) for child in psutil.Process(self.pid).children(recursive=True)]

    def wait_until_ready(self) -> None:
        """Return as soon as it answers. Raises CloudError if it ends or takes too long."""
        limit = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise CloudError(f"ministack ended while starting:\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2):  # noqa: S310  # our own http URL
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.05)
        raise CloudError(f"ministack did not answer within {START_LIMIT_SECONDS} s:\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        """The last lines that ministack has written."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the process and all it has started, at once: it keeps nothing that would have to be put away."""
        if self._process.returncode is None:
            # The whole group, since the Lambda workers do not end with ministack.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port(host: str = LOOPBACK) -> int:
    """A TCP port of an address of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port
