"""Somebody at a terminal with the `relay` command line, run as a process of its own against a cloud of the sandbox."""

import json
import os
import subprocess
import sys
from typing import Any

from sandbox.emulator import CREDENTIALS, REGION
from sandbox.scenarios import Stage

WELL, TROUBLE = 0, 1


class Operator:
    """Somebody at a terminal, with the command line and nothing else. Everything ever said is in `heard`."""

    def __init__(self, stage: Stage) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._environment = own | {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": stage.cloud.endpoint_url,
            "RELAY_DESTINATION": stage.cloud.webhook_url,
        }
        self.heard = ""

    def says(self, command: str, typed: str = "", code: int | None = WELL) -> str:
        """What the command answers; AssertionError when it does not end with `code` (None: any)."""
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
        assert code in {None, done.returncode}, f"relay {command}: {done.returncode}\n{output}"
        assert "Traceback" not in output
        return output

    def learns(self, command: str, code: int | None = WELL) -> Any:
        """The same as JSON."""
        output = self.says(f"{command} --json", code=code)
        return json.loads(output)
