"""The sandbox's command line; `make` calls it."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from handler.enrichment import RULES_FILE
from sandbox.aws import docker
from sandbox.aws.cloud import CloudError
from sandbox.chaos import run as chaos_run
from sandbox.chaos.scenarios import SCENARIOS
from sandbox.console import environment
from sandbox.console import serve as served
from sandbox.demo import invoke as invoked
from sandbox.demo import run as demonstration
from sandbox.demo.samples import FOLDER, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Report = Annotated[Path | None, typer.Option(help="Write the result as JSON to this file, too.", dir_okay=False)]

EXIT_TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    help="A simulated BigCommerce store and an AWS emulator on this machine.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def demo(*, as_json: AsJson = False) -> None:
    """Deploy the relay on this machine and send a dozen orders through it."""
    _end_with(lambda: demonstration.run(as_json=as_json))


@app.command()
def chaos(
    *,
    seed: Annotated[int | None, typer.Option(help="Repeat a run: the seed that it printed.")] = None,
    orders: Annotated[int, typer.Option(help="Orders of the random run.", min=1, max=2000)] = 300,
    only: Annotated[list[str] | None, typer.Option(help="Only this scenario (again for more), no random run.")] = None,
    list_names: Annotated[bool, typer.Option("--list", help="List the scenarios and end.")] = False,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Deploy the relay on this machine and let everything around it fail."""
    if list_names:
        typer.echo("\n".join(SCENARIOS))
        return
    if unknown := set(only or ()) - SCENARIOS.keys():
        raise typer.BadParameter(f"no such scenario: {min(unknown)!r}; --list lists them")
    _end_with(
        lambda: chaos_run.run(
            seed=seed if seed is not None else secrets.randbelow(10**6),
            orders=orders,
            only=only or (),
            as_json=as_json,
            report=report,
        )
    )


@app.command()
def serve(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the page on 127.0.0.1; 0 for any free one.",
            min=0,
            max=65535,
            show_default=f"{served.PORT} if it is free",
        ),
    ] = None,
    rules: Annotated[
        Path,
        typer.Option(help="The enrichment rules that are watched.", exists=True, dir_okay=False, show_default=False),
    ] = RULES_FILE,
    env: Annotated[
        Path,
        typer.Option(
            help="The file that lets a terminal use `relay` with it.", dir_okay=False, show_default=".sandbox/env"
        ),
    ] = environment.FILE,
    local_api: Annotated[
        bool, typer.Option("--local-api", help="Let `sam local start-api` take the webhooks (needs Docker).")
    ] = False,
) -> None:
    """Deploy the relay on this machine and play with it on a web page, until Ctrl-C.

    Ends with 0 when it was told to stop, and with 1 when it could not start or broke.
    """
    _end_with(
        lambda: served.run(
            Console(highlight=False), port=port, rules=rules, env=env, containers=docker.find() if local_api else None
        )
    )


@app.command()
def invoke(
    event: Annotated[str, typer.Argument(help="A file of events/, or an event of yours.", show_default=False)] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="All samples of events/, one after the other.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give an event to its function in the containers of `sam local`, with a store and an AWS behind it (needs Docker).

    Ends with 0 when what the sample is meant to show has happened, otherwise with 1.
    """
    if every == bool(event):
        raise typer.BadParameter(f"name an event or say --all; the samples are\n{_samples()}")
    files = [FOLDER / name for name in SAMPLES] if every else [Path(event)]
    for file in files:
        try:
            readable = isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
        except (OSError, ValueError):
            readable = False
        if not readable:
            raise typer.BadParameter(f"{file} is no file with a JSON object; the samples are\n{_samples()}")
    _end_with(lambda: invoked.run(files, as_json=as_json))


def _samples() -> str:
    return "\n".join(f"  events/{name}  {sample.shows}" for name, sample in SAMPLES.items())


def _end_with(run: Callable[[], int]) -> NoReturn:
    """Ends the command with the exit code of `run`, and with 1 when the sandbox could not be started."""
    try:
        code = run()
    except CloudError as error:
        typer.echo(f"The sandbox could not be started: {error}", err=True)
        code = 1
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the `sandbox` command."""
    # So that being told to end ends what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    app()


if __name__ == "__main__":
    main()
