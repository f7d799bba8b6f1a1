"""Entry point of the `relay` command: reports every error with its fix and exits with a documented code."""

from __future__ import annotations

import os
import sys
from typing import Any


def main() -> None:
    """Runs the command line and exits: see docs/runbook.md for the exit codes."""
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> int:
    # Imported here, so that Ctrl-C during the imports prints no traceback.
    import typer  # noqa: PLC0415
    from typer.main import get_command  # noqa: PLC0415

    from relay.cli import app  # noqa: PLC0415
    from relay.command import INTERRUPTED, USAGE, WRONG, report  # noqa: PLC0415
    from relay.errors import CliError  # noqa: PLC0415

    as_json = "--json" in sys.argv
    relay = get_command(app)
    _hide_type_of_flags(relay)
    try:
        code = relay(prog_name="relay", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except typer.TyperException as error:
        path = " ".join(["relay", *(word for word in sys.argv[1:3] if word.isalpha())])
        message = error.format_message()
        report(CliError(message if message.endswith(".") else f"{message}.", f"{path} --help"), as_json=as_json)
        return USAGE
    except Exception as error:
        if os.environ.get("RELAY_DEBUG"):
            raise
        fault = f"Unexpected {type(error).__name__}: this is a bug in the relay command."
        report(CliError(fault, "Set RELAY_DEBUG=1, run the command again, and report its output."), as_json=as_json)
        return WRONG
    return code if isinstance(code, int) else 0


def _hide_type_of_flags(command: Any) -> None:
    """Prevents that help shows flags with a value, as in `--json <bool>`."""
    import typer  # noqa: PLC0415

    for parameter in [*command.params, command.get_help_option(typer.Context(command))]:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    for below in getattr(command, "commands", {}).values():
        _hide_type_of_flags(below)


if __name__ == "__main__":
    main()
