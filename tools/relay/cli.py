"""The `relay` command."""

from __future__ import annotations

from typing import Annotated

import typer

from relay import failed, hook, late, rules, store
from relay.assign import assign
from relay.backfill import backfill
from relay.command import command, group
from relay.doctor import doctor
from relay.preview import preview
from relay.report import report
from relay.status import status
from relay.watch import watch

app = typer.Typer(
    help="Run the B2B Order Relay: stores, webhooks, late and dead orders.\n\n"
    "Start with `relay doctor`: it says what is wrong and how to mend it.\n\n"
    "Exit codes: 0 done, or all is well; 1 something is wrong or could not be done; 2 wrong usage; "
    "3 nothing is wrong, but something is not known; 130 interrupted.",
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
command(app, "assign")(assign)

late_app = group(
    "late", "Late orders: they wait for their next try, and finish by themselves when the cause is gone.", app
)
command(late_app, "list")(late.list_late)
command(late_app, "show")(late.show)
command(late_app, "retry")(late.retry)
command(late_app, "drop")(late.drop)

failed_app = group("failed", "Dead letters: orders that only a person can bring further.", app)
command(failed_app, "list")(failed.list_failed)
command(failed_app, "show")(failed.show)
command(failed_app, "redrive")(failed.redrive)
command(failed_app, "drop")(failed.drop)

rules_app = group("rules", "The enrichment rules: what the relay puts onto B2B orders.", app)
command(rules_app, "test")(rules.run_examples)

store_app = group("store", "The stores that the relay works for, and their secrets.", app)
command(store_app, "add")(store.add)
command(store_app, "list")(store.list_stores)
command(store_app, "remove")(store.remove)

hook_app = group("hook", "A store's webhook, which tells the relay of new orders.", app)
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
