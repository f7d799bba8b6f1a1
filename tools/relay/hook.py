"""`relay hook`: the store's webhook, with a secret header that proves where it comes from."""

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
from relay.hook_checks import obstacles
from relay.hooks import carries
from relay.plain import plain
from relay.timespan import iso

HEADER_NAME = "x-relay-secret"
HEADER_BYTES = 32
HookId = Annotated[
    int, typer.Option("--id", metavar="ID", show_default=False, help="Which one, when several hooks point here.")
]
NO_ID = 0
AS_IT_WAS = "as it was"


def create(context: Context, store: StoreArgument, *, destination: DestinationOption = "") -> bool:
    """Register the store's webhook for created orders, or put right the one that is there.

    The hook carries a random secret header, which is kept in the store's secret and checked on every
    webhook. Saying it again changes nothing. No webhook is refused on the way.

    Examples:
      relay hook create abc123
      relay hook create abc123 --destination https://hooks.example.com/webhooks
    """
    url = destination or context.stack.destination
    values, secret = secret_of(context, store)
    hooks = context.hooks_api.pointing_at(store, url, context.deadline())
    header = secret.webhook_header or (HEADER_NAME, secrets.token_hex(HEADER_BYTES))
    # Without a client secret nothing proves a webhook until the header is saved: a new hook stays silent for so long.
    saved_first = secret.client_secret is None and secret.webhook_header is None
    if saved_first:
        _save_header(context, store, values, header)
    changed = False
    for hook in hooks:
        # All of them, even doubles: the functions will refuse whatever comes without the header.
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
        # Last: until now the signature alone proved every webhook, with the header and without.
        _save_header(context, store, values, header)
    context.stores.note_hook(store, paused=False)
    change = "created" if not hooks else "put right" if changed else AS_IT_WAS
    warnings = obstacles(context, store, url)

    def picture() -> None:
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
        picture,
    )
    return True


def list_hooks(context: Context, store: StoreArgument, *, destination: DestinationOption = "") -> bool:
    """List the store's webhooks on created orders.

    The API shows a token only the hooks that were made with the same API account.

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
            "carries_our_header": header is not None and carries(hook, header),
            "updated_at": iso(hook.get("updated_at")) if isinstance(hook.get("updated_at"), int) else None,
        }
        for hook in context.hooks_api.list_hooks(store, context.deadline())
    ]
    warnings = obstacles(context, store, url)

    def picture() -> None:
        if rows:
            table = Table("id", "active", "points here", "our header", "last changed (UTC)")
            for row in rows:
                flags = ["yes" if row[key] else "no" for key in ("active", "points_here", "carries_our_header")]
                changed = (row["updated_at"] or "").partition("+")[0].replace("T", " ")
                table.add_row(str(row["id"]), *flags, changed)
            context.out.print(table)
            for row in rows:
                # Below the table: in a column, a terminal of 80 columns would cut it.
                context.out.print(
                    f"{row['id']}: {plain(row['scope'])} → {plain(str(row['destination']))}", soft_wrap=True
                )
        else:
            context.out.print(f"No webhook yet. Create it: relay hook create {store}")
        for warning in warnings:
            warning.print(context.out)

    context.show({"hooks": rows, "warnings": [w.as_json() for w in warnings]}, picture)
    return any(row["points_here"] and row["active"] for row in rows)


def enable(
    context: Context, store: StoreArgument, *, hook_id: HookId = NO_ID, destination: DestinationOption = ""
) -> bool:
    """Switch the store's webhook on again, for example after BigCommerce has switched it off.

    Orders whose webhook did not come meanwhile are found by `relay backfill` (and every quarter of
    an hour by the relay itself).

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
    """Switch the store's webhook off: from then on its orders miss their window.

    It stays off until `relay hook enable`: the relay switches on only what BigCommerce has switched
    off. Its orders are still found every quarter of an hour, and finished late.

    Example:
      relay hook disable abc123
    """
    confirm("New orders will miss their window. Switch the webhook off?", yes=yes)
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
    hook = _chosen(context, store, hook_id, destination)
    confirm(f"Delete the hook {hook['id']} → {hook.get('destination')}?", yes=yes)
    context.hooks_api.call("DELETE", store, f"/{hook['id']}", context.deadline())
    context.show(
        {"store": store, "id": hook["id"], "change": "deleted"},
        lambda: context.out.print(f"[green]✓[/] Hook {hook['id']} is deleted."),
    )
    return True


def _switch(context: Context, store: str, hook_id: int, destination: str, *, active: bool) -> bool:
    hook = _chosen(context, store, hook_id, destination)
    change = AS_IT_WAS
    if bool(hook.get("is_active")) != active:
        context.hooks_api.switch(store, hook["id"], context.deadline(), active=active)
        change = "switched on" if active else "switched off"
    context.stores.note_hook(store, paused=not active)
    off_since = hook.get("updated_at")
    missed = f"relay backfill --store {store} --since {_moment(off_since)}"

    def picture() -> None:
        context.out.print(f"[green]✓[/] Hook {hook['id']}: {change}.")
        if active and change != AS_IT_WAS:
            context.out.print(f"  Orders since it was switched off came without a webhook; process them: {missed}")

    context.show(
        {"store": store, "id": hook["id"], "change": change}
        | ({"missed_orders": missed} if active and change != AS_IT_WAS else {}),
        picture,
    )
    return True


def _moment(off_since: Any) -> str:
    """A moment before the hook was switched off, as `--since` reads it; half a week ago if BigCommerce does not say.

    BigCommerce switches a hook off after 48 hours of failures, whose orders were missed, too.
    """
    if not isinstance(off_since, int):
        return "4d"
    return datetime.fromtimestamp(off_since - 2 * SECONDS_A_DAY, UTC).strftime("%Y-%m-%dT%H:%M")


def _chosen(context: Context, store: str, hook_id: int, destination: str) -> dict[str, Any]:
    """The hook that is meant: the one with this id, or the only one that points here."""
    if hook_id != NO_ID:
        hooks = [hook for hook in context.hooks_api.list_hooks(store, context.deadline()) if hook["id"] == hook_id]
        if not hooks:
            raise CliError(f"The store shows no hook {hook_id} to this token.", f"See them: relay hook list {store}")
        return hooks[0]
    hooks = context.hooks_api.pointing_at(store, destination or context.stack.destination, context.deadline())
    if not hooks:
        raise CliError("No webhook of the store points here.", f"Create it: relay hook create {store}")
    if len(hooks) > 1:
        ids = ", ".join(str(hook["id"]) for hook in hooks)
        raise CliError(f"{len(hooks)} hooks point here: {ids}.", "Say which one: --id ID")
    return hooks[0]


def secret_of(context: Context, store: str) -> tuple[dict[str, Any], StoreSecret]:
    """The store's secret, its values as they are and read. Raises CliError."""
    values = context.store_secrets.read(store)
    if values is None:
        raise CliError(f"The store {store} has no secret.", f"Add it first: relay store add {store}")
    try:
        return values, StoreSecret.parse(json.dumps(values))
    except SecretInvalid as error:
        raise CliError(
            f"The store's secret is malformed: {error.detail}.", f"Mend it: relay store add {store}"
        ) from error


def _save_header(context: Context, store: str, values: dict[str, Any], header: tuple[str, str]) -> None:
    name, value = header
    context.store_secrets.write(store, values | {"webhook_header": {"name": name, "value": value}})
