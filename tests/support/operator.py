"""Somebody at a terminal with the `relay` command line, run as a process of its own against a cloud of the sandbox."""

import json
import os
import subprocess
import sys
from typing import Any

from sandbox.console import environment
from sandbox.demo.scenarios import Stage
from unit.test_documents import Said, mistake

WELL, WRONG, NOT_KNOWN = 0, 1, 3


class Operator:
    """Somebody at a terminal, with the command line and nothing else.

    Everything ever answered is in `heard`, every command in `ran`.
    """

    def __init__(self, stage: Stage) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._environment = own | environment.variables(stage.cloud, stage.store.hash)
        self.heard = ""
        self.ran: list[str] = []

    def says(self, command: str, typed: str = "", code: int | None = WELL) -> str:
        """What the command answers; AssertionError when it does not end with `code` (None: any)."""
        done = self._run(command, typed, code)
        return done.stdout + done.stderr

    def learns(self, command: str, code: int | None = WELL) -> Any:
        """The same as JSON, which is on standard output alone."""
        return json.loads(self._run(f"{command} --json", "", code).stdout)

    def _run(self, command: str, typed: str, code: int | None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "relay.main", *command.split()],
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # no terminal to ask at, so that what is typed is read
        )
        output = done.stdout + done.stderr
        self.heard += output
        self.ran.append(command)
        assert code in {None, done.returncode}, f"relay {command}: {done.returncode}\n{output}"
        assert "Traceback" not in output
        return done


def advised(output: str) -> list[str]:
    """The commands that an output prints and that can be given as they stand, without `relay`."""
    found = []
    for text in output.split("relay ")[1:]:
        words: list[str] = []
        for word in text.partition("\n")[0].split():
            words.append(word.rstrip(".,;:`)"))
            if word != words[-1]:
                break
        # The sentence may go on behind the command.
        while words and mistake(Said(words, whole=True)):
            words.pop()
        if words and not any(word.isupper() for word in words):
            found.append(" ".join(words))
    return found
