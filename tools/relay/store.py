"""`relay store`: adds, lists and removes stores and their secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Table

from handler import strict_json
from handler.aws_errors import error_code
from handler.bigcommerce.credentials import SecretInvalid, StoreSecret
from handler.errors import MalformedEvent, Refused, RetryLater
from relay.checks import ACCOUNTS, Finding, State, check_b2b, check_core, check_hooks
from relay.command import DestinationOption, NamedStoreArgument, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.store_secrets import RECOVERY_WINDOW_DAYS

KEYS = frozenset({"access_token", "client_secret", "b2b_token", "webhook_header"})
PROMPTS = {
    "access_token": f"Access token of the store's API account ({ACCOUNTS})",
    "client_secret": "Client secret of the same account, for webhook signatures (Enter: none)",
    "b2b_token": "Separate token for the B2B API, if the store needs one (Enter: none)",
}
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        show_default=False,
        allow_dash=True,
        help="Read the values from a JSON file (- for standard input) instead of prompting; null removes a value.",
    ),
]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="Save without testing the token, for example in an outage of BigCommerce.")
]


def add(context: Context, store: NamedStoreArgument, *, from_file: FromFile = None, no_check: NoCheck = False) -> bool:
    """Add a store, or change its token.

    Prompts for the values without showing them, tests the token on both APIs, and then saves the
    store's secret. Values that are not given stay unchanged. The functions read a changed token
    automatically; no deployment is needed.

    Examples:
      relay store add abc123
      relay store add abc123 --from-file secret.json
      pass show relay/abc123 | relay store add abc123 --from-file -
    """
    present = context.store_secrets.read(store) or {}
    given = _from_file(from_file) if from_file else _prompted(present)
    merged = {key: value for key, value in (present | given).items() if value is not None}
    try:
        secret = StoreSecret.parse(json.dumps(merged))
    except SecretInvalid as error:
        raise CliError(f"The secret is invalid: {error.detail}.", "Correct the value; nothing was changed.") from error
    findings = [] if no_check else _checked(context, store, secret)
    if any(finding.state is State.BAD for finding in findings):
        if context.as_json:
            context.show({"store": store, "saved": False, "findings": [f.as_json() for f in findings]}, lambda: None)
        else:
            context.err.print(
                "[red]✗[/] Nothing was saved. If a token was rejected, check that you pasted all of it, "
                f"and enter it again: relay store add {store}",
                soft_wrap=True,
            )
        return False
    if merged != present:
        context.store_secrets.write(store, merged)
    _register(context, store)
    change = "changed" if present and merged != present else "added" if not present else "unchanged"

    def print_text() -> None:
        context.out.print(f"[green]✓[/] Store {store}: {change}; secret {context.store_secrets.name(store)}")
        if secret.webhook_header is None:
            context.out.print(f"  Next: relay hook create {store}")
        if present and merged != present:
            context.out.print(
                f"  Waiting orders are retried automatically. To retry at once: relay late retry --store {store}"
            )

    context.show(
        {"store": store, "saved": True, "change": change, "findings": [f.as_json() for f in findings]}, print_text
    )
    return True


def _prompted(present: dict[str, Any]) -> dict[str, Any]:
    """Prompts for the values; an empty answer keeps the present value."""
    given = {}
    for key, text in PROMPTS.items():
        question = f"{text.partition(' (Enter')[0]} (Enter: keep the present value)" if key in present else text
        if answer := typer.prompt(question, default="", hide_input=True, show_default=False, err=True).strip():
            given[key] = answer
    return given


def _from_file(path: Path) -> dict[str, Any]:
    name = "standard input" if str(path) == "-" else str(path)
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
        values = strict_json.parse(text)
    except OSError as error:
        raise CliError(f"{name} cannot be read: {error.strerror}.", "Check --from-file.") from error
    except (MalformedEvent, UnicodeDecodeError):
        raise CliError(f"{name} is not JSON.", 'It must be an object such as {"access_token": "..."}.') from None
    if not isinstance(values, dict) or (values.keys() - KEYS):
        raise CliError(
            f"{name} must be an object with no other keys than {', '.join(sorted(KEYS))}.",
            "They are described in docs/configuration.md.",
        )
    return values


def _checked(context: Context, store: str, secret: StoreSecret) -> list[Finding]:
    core, _ = check_core(context, store, secret)
    findings = [core, check_b2b(context, store, secret)]
    if core.state is State.GOOD:
        findings.append(check_hooks(context, store, secret))  # with the same token
    if not context.as_json:
        for finding in findings:
            finding.print(context.err)
    return findings


def _register(context: Context, store: str) -> None:
    """Adds the store to the registry, whose stores ReconcileFunction checks. Raises CliError."""
    context.stores.note(store)
    if store not in context.stores.all():
        raise CliError(
            f"The secret was saved, but the store could not be added to the table {context.settings.idempotency_table}.",
            "Check that your role has dynamodb:UpdateItem for it, and run the command again.",
        )


def known_stores(context: Context) -> dict[str, bool]:
    """All stores that are in the registry or have a secret; the value says whether a store is in the registry."""
    listed = context.stores.all()
    try:
        with_secret = context.store_secrets.stores()
    except ClientError as error:
        with_secret = []
        context.err.print(
            f"[yellow]![/] Stores with only a secret are not listed: ListSecrets was denied ({error_code(error)})."
        )
    return {store: store in listed for store in sorted({*listed, *with_secret})}


def require_store(context: Context, store: str) -> None:
    """Raises CliError if the store is neither in the registry nor has a secret."""
    stores = known_stores(context)
    if store not in stores and context.store_secrets.read(store) is None:
        raise CliError(
            f"There is no store {store}.",
            f"The stores: {', '.join(stores)}" if stores else f"Add it: relay store add {store}",
        )


def list_stores(context: Context) -> bool:
    """List the stores and the keys of their secrets, without the values.

    A store whose secret was created by other means, such as Terraform, is registered with its first
    order or with `relay store add`. Reconcile checks only registered stores.

    Example:
      relay store list
    """
    rows = [
        _described(context, store) | {"registered": registered} for store, registered in known_stores(context).items()
    ]

    def print_text() -> None:
        if not rows:
            context.out.print("No stores. Add one: relay store add, with the store hash.")
            return
        table = Table("store", "secret", "B2B token", "client secret", "webhook header", "registered")
        for row in rows:
            flags = [
                "yes" if row[key] else "no" for key in ("b2b_token", "client_secret", "webhook_header", "registered")
            ]
            table.add_row(row["store"], row["secret"], *flags)
        context.out.print(table)

    context.show(rows, print_text)
    return all(row["secret"] == "complete" for row in rows)  # noqa: S105  a state, not a secret


def _described(context: Context, store: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        values = context.store_secrets.read(store) or {}
        secret = StoreSecret.parse(json.dumps(values))
    except (SecretInvalid, CliError) as error:
        state = "missing" if not values and isinstance(error, SecretInvalid) else "malformed"
    else:
        authenticates = secret.client_secret or secret.webhook_header
        state = "complete" if authenticates else "cannot authenticate webhooks"
    return {"store": store, "secret": state} | {key: bool(values.get(key)) for key in sorted(KEYS - {"access_token"})}


def remove(
    context: Context, store: NamedStoreArgument, *, destination: DestinationOption = "", yes: YesOption = False
) -> bool:
    """Remove a store. Its secret is deleted after a week; until then `relay store add` restores it.

    Delete the store's webhook first: if webhooks are rejected again and again, BigCommerce blocks
    the domain for all stores.

    Example:
      relay store remove abc123
    """
    require_store(context, store)
    try:
        hooks = [
            h
            for h in context.hooks_api.pointing_at(store, destination or context.stack.destination, context.deadline())
            if h.get("is_active")
        ]
    except (RetryLater, Refused) as error:
        context.err.print(f"[yellow]![/] The store's webhooks could not be read ({error.detail}).")
    else:
        if hooks:
            raise CliError(
                f"The store still has an active webhook ({hooks[0]['id']}) that points here.",
                f"Delete it first: relay hook delete {store}",
            )
    confirm(f"Delete the secret {context.store_secrets.name(store)} and remove the store?", yes=yes)
    had_secret = context.store_secrets.remove(store)
    context.stores.forget(store)
    secret = f"its secret will be deleted in {RECOVERY_WINDOW_DAYS} days" if had_secret else "it had no secret"
    context.show(
        {"store": store, "removed": True, "had_secret": had_secret},
        lambda: context.out.print(f"[green]✓[/] Store {store}: removed; {secret}."),
    )
    return True
