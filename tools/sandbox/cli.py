"""The sandbox's command line; `make` calls it."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path  # noqa: TC003  typer reads it at run time
from typing import Annotated

import typer

from sandbox import demo as demonstration
from sandbox.cloud import CloudError
from sandbox.samples import renew as renewed

EXIT_TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    help="A pretended BigCommerce store and an AWS on this machine.", no_args_is_help=True, add_completion=False
)


@app.command()
def demo(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False
) -> None:
    """Deploy the relay on this machine and send a dozen orders through it."""
    try:
        code = demonstration.run(as_json=as_json)
    except CloudError as error:
        typer.echo(f"The sandbox could not be started: {error}", err=True)
        code = 1
    raise typer.Exit(code)


@app.command()
def renew(event: Annotated[Path, typer.Argument(help="A file of events/.", exists=True, dir_okay=False)]) -> None:
    """Print a sample event with a fresh date and signature."""
    typer.echo(json.dumps(renewed(json.loads(event.read_text(encoding="utf-8")), time.time()), indent=2))


def main() -> None:
    """Entry point of the `sandbox` command."""
    # So that being told to end ends what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    app()


if __name__ == "__main__":
    main()
