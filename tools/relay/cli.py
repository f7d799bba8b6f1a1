"""The `relay` command."""

from __future__ import annotations

import os

import typer

from relay import failed, hook, store
from relay.backfill import backfill
from relay.command import command, group
from relay.doctor import doctor
from relay.preview import preview
from relay.status import status

app = typer.Typer(
    help="Run the B2B Order Relay: stores, webhooks, late and dead orders.\n\n"
    "Woken at night? Start with: relay doctor. It says what is wrong and what mends it; then\n"
    "relay failed list and relay failed redrive bring the orders back to work.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,  # locals may hold a token
)

command(app, "doctor")(doctor)
command(app, "status")(status)
command(app, "preview")(preview)
command(app, "backfill")(backfill)

failed_app = group("failed", "Dead letters: orders that only a person can bring further.", app)
command(failed_app, "list")(failed.list_failed)
command(failed_app, "show")(failed.show)
command(failed_app, "redrive")(failed.redrive)
command(failed_app, "drop")(failed.drop)

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


def main() -> None:
    """Entry point of the `relay` command."""
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"  # the functions' metrics are for CloudWatch
    app()


if __name__ == "__main__":
    main()
