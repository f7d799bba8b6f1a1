"""The `relay` command."""

from __future__ import annotations

from typing import Annotated

import typer

from relay import failed, hook, late, store
from relay.backfill import backfill
from relay.command import command, group
from relay.doctor import doctor
from relay.preview import preview
from relay.report import report
from relay.status import status
from relay.watch import watch

app = typer.Typer(
    help="Run the B2B Order Relay: stores, webhooks, late and dead orders.\n\n"
    "Start with `relay doctor`: it lists problems and how to fix them.\n\n"
    "Exit codes: 0 success; 1 a problem was found, or the command failed; 2 usage error; "
    "3 no problem was found, but some checks have no result; 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

command(app, "doctor")(doctor)
command(app, "status")(status)
command(app, "watch")(watch)
command(app, "report")(report)
command(app, "preview")(preview)
command(app, "backfill")(backfill)

late_app = group("late", "Late orders: they wait in the recovery queue and are retried automatically.", app)
command(late_app, "list")(late.list_late)
command(late_app, "show")(late.show)
command(late_app, "retry")(late.retry)
command(late_app, "drop")(late.drop)

failed_app = group("failed", "Dead letters: orders that need an operator.", app)
command(failed_app, "list")(failed.list_failed)
command(failed_app, "show")(failed.show)
command(failed_app, "redrive")(failed.redrive)
command(failed_app, "drop")(failed.drop)

store_app = group("store", "Stores and their secrets.", app)
command(store_app, "add")(store.add)
command(store_app, "list")(store.list_stores)
command(store_app, "remove")(store.remove)

hook_app = group("hook", "A store's webhook, which reports new orders to the relay.", app)
command(hook_app, "create")(hook.create)
command(hook_app, "list")(hook.list_hooks)
command(hook_app, "enable")(hook.enable)
command(hook_app, "disable")(hook.disable)
command(hook_app, "delete")(hook.delete)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  a tenth of the time that a command needs to start

        typer.echo(f"relay {version('b2b-order-relay')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """The options of `relay` itself."""
