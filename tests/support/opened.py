"""`make sandbox` as a process of its own, for tests and for the picture."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.aws.emulator import ROOT, CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120.0
STOP_SECONDS = 30.0
ADDRESS = re.compile(r"The sandbox is open: (http://\S+)")


@dataclass
class Opened:
    """A sandbox that is open: the page's address, the process, and what it has said so far."""

    process: subprocess.Popen[str]
    env: Path
    """What a terminal sources to use `relay` with it."""
    lines: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def said(self) -> str:
        """All that it has said."""
        return "".join(self.lines)

    def close(self) -> int:
        """Tells it to end, and waits for it; its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@contextmanager
def opened(*arguments: str) -> Iterator[Opened]:
    """A sandbox with these arguments, open until the end of the block. Raises CloudError with what it said instead."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "sandbox.cli", "serve", "--port=0", f"--env={folder}/env", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        sandbox = Opened(process, Path(folder) / "env")
        there = threading.Event()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                sandbox.lines.append(line)
                if found := ADDRESS.search(line):
                    sandbox.url = found.group(1)
                if line.startswith("Ctrl-C"):  # the last line before it waits
                    there.set()
            there.set()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            there.wait(START_SECONDS)
            if not sandbox.url or process.poll() is not None:
                raise CloudError(f"the sandbox did not open:\n{sandbox.said}")
            yield sandbox
        finally:
            try:
                sandbox.close()
            except subprocess.TimeoutExpired:
                process.kill()
            listener.join()
