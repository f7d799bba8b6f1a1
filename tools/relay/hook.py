"""`relay hook`: creates, lists, enables, disables and deletes a store's webhook."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from handler.bigcommerce.credentials import SecretInvalid, StoreSecret
from handler.bigcommerce.hooks_api import ORDER_CREATED, silent
from handler.table.idempotency import SECONDS_A_DAY
from relay.command import DestinationOption, NamedStoreArgument, StoreArgument, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.hook_checks import carries, obstacles
from relay.text import escaped
from relay.timespan import iso

HEADER_NAME = "x-relay-secret"
HEADER_BYTES = 32
HookId = Annotated[int, typer.Option("--id", metavar="ID", show_default=False, help="The hook, if several point here.")]
NO_ID = 0
UNCHANGED = "unchanged"


def create(context: Context, store: StoreArgument, *, destination: DestinationOption = "") -> bool:
    """Create the store's webhook for new orders, or correct the existing one.

    The hook sends a random secret header, which is saved in the store's secret and checked on every
    webhook. The command is idempotent, and no webhook is rejected while it runs.

    Examples:
      relay hook create abc123
      relay hook create abc123 --destination https://hooks.example.com/webhooks
    """
    url = destination or context.stack.destination
    values, secret = secret_of(context, store)
    hooks = context.hooks_api.pointing_at(store, url, context.deadline())
    header = secret.webhook_header or (HEADER_NAME, secrets.token_hex(HEADER_BYTES))
    # Without a client secret, only the header authenticates webhooks: save it before the hook exists.
    saved_first = secret.client_secret is None and secret.webhook_header is None
    if saved_first:
        _save_header(context, store, values, header)
    changed = False
    for hook in hooks:
        # All of them, even duplicates: webhooks without the header will be rejected.
        if not carries(hook, header):
            headers = (hook.get("headers") or {}) | dict([header])
            context.hooks_api.call("PUT", store, f"/{hook['id']}", context.deadline(), {"headers": headers})
            changed = True
    if hooks:
        hook_id, scope = hooks[0]["id"], hooks[0]["scope"]
        for hook in silent(hooks):
            context.hooks_api.switch(store, hook["id"], context.deadline(), active=True)
            changed = True
    else:
        scope = ORDER_CREATED
        body = {"scope": scope, "destination": url, "is_active": True, "headers": dict([header])}
        hook_id = context.hooks_api.call("POST", store, "", context.deadline(), body).json()["data"]["id"]
    if secret.webhook_header is None and not saved_first:
        # Last: until now the signature alone authenticates webhooks, with or without the header.
        _save_header(context, store, values, header)
    context.stores.note_hook(store, paused=False)
    change = "created" if not hooks else "corrected" if changed else UNCHANGED
    warnings = obstacles(context, store, url)

    def print_text() -> None:
        context.out.print(f"[green]✓[/] Hook {hook_id}: {change}; {scope} → {url}", soft_wrap=True)
        for warning in warnings:
            warning.print(context.out)

    context.show(
        {
            "store": store,
            "id": hook_id,
            "change": change,
            "destination": url,
            "warnings": [w.as_json() for w in warnings],
        },
        print_text,
    )
    return True


def list_hooks(context: Context, store: StoreArgument, *, destination: DestinationOption = "") -> bool:
    """List the store's webhooks for new orders.

    BigCommerce lists only the hooks that were created with the same API account.

    Example:
      relay hook list abc123
    """
    url = destination or context.stack.destination
    _, secret = secret_of(context, store)
    header = secret.webhook_header
    rows: list[dict[str, Any]] = [
        {
            "id": hook["id"],
            "scope": hook["scope"],
            "destination": hook.get("destination"),
            "points_here": hook.get("destination") == url,
            "active": bool(hook.get("is_active")),
            "sends_secret_header": header is not None and carries(hook, header),
            "updated_at": iso(hook.get("updated_at")) if isinstance(hook.get("updated_at"), int) else None,
        }
        for hook in context.hooks_api.list_hooks(store, context.deadline())
    ]
    warnings = obstacles(context, store, url)

    def print_text() -> None:
        if rows:
            table = Table("id", "active", "points here", "secret header", "last changed (UTC)")
            for row in rows:
                flags = ["yes" if row[key] else "no" for key in ("active", "points_here", "sends_secret_header")]
                changed = (row["updated_at"] or "").partition("+")[0].replace("T", " ")
                table.add_row(str(row["id"]), *flags, changed)
            context.out.print(table)
            for row in rows:
                # Below the table: a terminal of 80 columns would cut it in a column.
                context.out.print(
                    f"{row['id']}: {escaped(row['scope'])} → {escaped(str(row['destination']))}", soft_wrap=True
                )
        else:
            context.out.print(f"No webhooks. Create one: relay hook create {store}")
        for warning in warnings:
            warning.print(context.out)

    context.show({"hooks": rows, "warnings": [w.as_json() for w in warnings]}, print_text)
    return any(row["points_here"] and row["active"] for row in rows)


def enable(
    context: Context, store: StoreArgument, *, hook_id: HookId = NO_ID, destination: DestinationOption = ""
) -> bool:
    """Enable the store's webhook again, for example after BigCommerce disabled it.

    Reconcile finds the orders that were missed; `relay backfill` queues them at once.

    Example:
      relay hook enable abc123
    """
    return _switch(context, store, hook_id, destination, active=True)


def disable(
    context: Context,
    store: NamedStoreArgument,
    *,
    hook_id: HookId = NO_ID,
    destination: DestinationOption = "",
    yes: YesOption = False,
) -> bool:
    """Disable the store's webhook: new orders then miss their window.

    The hook stays disabled until `relay hook enable`; the relay enables again only what BigCommerce
    disabled. Reconcile still finds the store's orders, and they are finished late.

    Example:
      relay hook disable abc123
    """
    confirm("Disable the webhook? New orders will miss their window.", yes=yes)
    return _switch(context, store, hook_id, destination, active=False)


def delete(
    context: Context,
    store: NamedStoreArgument,
    *,
    hook_id: HookId = NO_ID,
    destination: DestinationOption = "",
    yes: YesOption = False,
) -> bool:
    """Delete the store's webhook.

    Examples:
      relay hook delete abc123
      relay hook delete abc123 --id 18048287
    """
    hook = _hook(context, store, hook_id, destination)
    confirm(f"Delete the hook {hook['id']} → {hook.get('destination')}?", yes=yes)
    context.hooks_api.call("DELETE", store, f"/{hook['id']}", context.deadline())
    context.show(
        {"store": store, "id": hook["id"], "change": "deleted"},
        lambda: context.out.print(f"[green]✓[/] Hook {hook['id']}: deleted."),
    )
    return True


def _switch(context: Context, store: str, hook_id: int, destination: str, *, active: bool) -> bool:
    hook = _hook(context, store, hook_id, destination)
    change = UNCHANGED
    if bool(hook.get("is_active")) != active:
        context.hooks_api.switch(store, hook["id"], context.deadline(), active=active)
        change = "enabled" if active else "disabled"
    context.stores.note_hook(store, paused=not active)
    disabled_at = hook.get("updated_at")
    missed = f"relay backfill --store {store} --since {_missed_since(disabled_at)}"

    def print_text() -> None:
        context.out.print(f"[green]✓[/] Hook {hook['id']}: {change}.")
        if active and change != UNCHANGED:
            context.out.print(f"  Process the orders whose webhooks were missed: {missed}")

    context.show(
        {"store": store, "id": hook["id"], "change": change}
        | ({"missed_orders": missed} if active and change != UNCHANGED else {}),
        print_text,
    )
    return True


def _missed_since(disabled_at: Any) -> str:
    """A time before the hook was disabled, for `--since`; 4 days ago if BigCommerce does not say when.

    BigCommerce disables a hook after 48 hours of failures, whose orders were missed, too.
    """
    if not isinstance(disabled_at, int):
        return "4d"
    return datetime.fromtimestamp(disabled_at - 2 * SECONDS_A_DAY, UTC).strftime("%Y-%m-%dT%H:%M")


def _hook(context: Context, store: str, hook_id: int, destination: str) -> dict[str, Any]:
    """The hook with this id, or the only one that points here. Raises CliError."""
    if hook_id != NO_ID:
        hooks = [hook for hook in context.hooks_api.list_hooks(store, context.deadline()) if hook["id"] == hook_id]
        if not hooks:
            raise CliError(
                f"BigCommerce lists no hook {hook_id} for this token.", f"List the hooks: relay hook list {store}"
            )
        return hooks[0]
    hooks = context.hooks_api.pointing_at(store, destination or context.stack.destination, context.deadline())
    if not hooks:
        raise CliError("No webhook of the store points here.", f"Create one: relay hook create {store}")
    if len(hooks) > 1:
        ids = ", ".join(str(hook["id"]) for hook in hooks)
        raise CliError(f"{len(hooks)} hooks point here: {ids}.", "Choose one with --id ID.")
    return hooks[0]


def secret_of(context: Context, store: str) -> tuple[dict[str, Any], StoreSecret]:
    """The values of the store's secret, raw and parsed. Raises CliError."""
    values = context.store_secrets.read(store)
    if values is None:
        raise CliError(f"The store {store} has no secret.", f"Add it first: relay store add {store}")
    try:
        return values, StoreSecret.parse(json.dumps(values))
    except SecretInvalid as error:
        raise CliError(
            f"The store's secret is malformed: {error.detail}.", f"Enter it again: relay store add {store}"
        ) from error


def _save_header(context: Context, store: str, values: dict[str, Any], header: tuple[str, str]) -> None:
    name, value = header
    context.store_secrets.write(store, values | {"webhook_header": {"name": name, "value": value}})
