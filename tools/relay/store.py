"""`relay store`: the stores that the relay works for, and their secrets."""

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
from relay.store_secrets import DAYS_TO_REPENT

KEYS = frozenset({"access_token", "client_secret", "b2b_token", "webhook_header"})
PROMPTS = {
    "access_token": f"Access token of the store's API account ({ACCOUNTS})",
    "client_secret": "Client secret of the same account, which checks webhooks' signatures (Enter: none)",
    "b2b_token": "A second token for the B2B API, if the store needs one (Enter: none)",
}
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        show_default=False,
        allow_dash=True,
        help="Read the values from a JSON file (- is standard input) instead of asking for them; null removes one.",
    ),
]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="Save without asking the APIs, for when BigCommerce is down.")
]


def add(context: Context, store: NamedStoreArgument, *, from_file: FromFile = None, no_check: NoCheck = False) -> bool:
    """Add a store, or change its token.

    Asks for the values without showing them (they never stand on the command line), tries the
    token on both APIs, and only then saves the store's secret. Values that are not given stay as
    they are. The functions notice a changed token by themselves; nothing is deployed.

    Examples:
      relay store add abc123
      relay store add abc123 --from-file secret.json
      pass show relay/abc123 | relay store add abc123 --from-file -
    """
    present = context.store_secrets.read(store) or {}
    given = _from_file(from_file) if from_file else _asked_for(present)
    merged = {key: value for key, value in (present | given).items() if value is not None}
    try:
        secret = StoreSecret.parse(json.dumps(merged))
    except SecretInvalid as error:
        raise CliError(
            f"This cannot be saved: {error.detail}.", "Give the value again; nothing was changed."
        ) from error
    findings = [] if no_check else _checked(context, store, secret)
    if any(finding.state is State.BAD for finding in findings):
        if context.as_json:
            context.show({"store": store, "saved": False, "findings": [f.as_json() for f in findings]}, lambda: None)
        else:
            context.err.print(
                "[red]✗[/] Nothing was saved. If a token was refused: was it pasted whole? "
                f"Enter it again: relay store add {store}",
                soft_wrap=True,
            )
        return False
    if merged != present:
        context.store_secrets.write(store, merged)
    _register(context, store)
    change = "changed" if present and merged != present else "added" if not present else "as it was"

    def picture() -> None:
        context.out.print(f"[green]✓[/] Store {store}: {change}, in the secret {context.store_secrets.name(store)}")
        if secret.webhook_header is None:
            context.out.print(f"  Next: relay hook create {store}")
        if present and merged != present:
            context.out.print(
                f"  Orders that waited for it are tried by themselves; at once: relay late retry --store {store}"
            )

    context.show(
        {"store": store, "saved": True, "change": change, "findings": [f.as_json() for f in findings]}, picture
    )
    return True


def _asked_for(present: dict[str, Any]) -> dict[str, Any]:
    """What the operator types; an empty answer leaves the value as it is."""
    given = {}
    for key, text in PROMPTS.items():
        question = f"{text.partition(' (Enter')[0]} (Enter: keep the present one)" if key in present else text
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
        raise CliError(f"{name} is not JSON.", 'It must hold an object such as {"access_token": "..."}.') from None
    if not isinstance(values, dict) or (values.keys() - KEYS):
        raise CliError(
            f"{name} must hold an object with keys out of {', '.join(sorted(KEYS))}, and no others.",
            "docs/configuration.md describes each of them.",
        )
    return values


def _checked(context: Context, store: str, secret: StoreSecret) -> list[Finding]:
    core, _ = check_core(context, store, secret)
    findings = [core, check_b2b(context, store, secret)]
    if core.state is State.GOOD:
        findings.append(check_hooks(context, store, secret))  # the same token: what is refused is refused here, too
    if not context.as_json:
        for finding in findings:
            finding.print(context.err)
    return findings


def _register(context: Context, store: str) -> None:
    """Puts the store on the list that ReconcileFunction works off, too."""
    context.stores.note(store)
    if store not in context.stores.all():
        raise CliError(
            f"The secret is saved, but the store could not be written into the table {context.settings.idempotency_table}.",
            "Check that your role may write to it (dynamodb:UpdateItem), and run the command again.",
        )


def known_stores(context: Context) -> dict[str, bool]:
    """Every store that the table lists or that has a secret, and whether the table lists it."""
    listed = context.stores.all()
    try:
        with_secret = context.store_secrets.stores()
    except ClientError as error:
        with_secret = []
        context.err.print(
            f"[yellow]![/] Stores that only have a secret are not shown: AWS refused ListSecrets ({error_code(error)})."
        )
    return {store: store in listed for store in sorted({*listed, *with_secret})}


def check_store(context: Context, store: str) -> None:
    """Raises CliError when there is no such store: neither the table nor a secret knows it."""
    stores = known_stores(context)
    if store not in stores and context.store_secrets.read(store) is None:
        raise CliError(
            f"There is no store {store}.",
            f"The stores: {', '.join(stores)}" if stores else f"Add it: relay store add {store}",
        )


def list_stores(context: Context) -> bool:
    """List the stores, and what their secrets hold (never the values).

    A store whose secret was made by other means (Terraform) joins the relay's list with its first
    order, or with `relay store add`. Reconcile looks only at stores on the list.

    Example:
      relay store list
    """
    rows = [_described(context, store) | {"listed": listed} for store, listed in known_stores(context).items()]

    def picture() -> None:
        if not rows:
            context.out.print("No store yet. Add the first one: relay store add, with the store's hash.")
            return
        table = Table("store", "secret", "second token", "checks signatures", "checks a header", "on the list")
        for row in rows:
            flags = ["yes" if row[key] else "no" for key in ("b2b_token", "client_secret", "webhook_header", "listed")]
            table.add_row(row["store"], row["secret"], *flags)
        context.out.print(table)

    context.show(rows, picture)
    return all(row["secret"] == "complete" for row in rows)  # noqa: S105  a state, not a secret


def _described(context: Context, store: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        values = context.store_secrets.read(store) or {}
        secret = StoreSecret.parse(json.dumps(values))
    except (SecretInvalid, CliError) as error:
        state = "missing" if not values and isinstance(error, SecretInvalid) else "malformed"
    else:
        proves = secret.client_secret or secret.webhook_header
        state = "complete" if proves else "cannot check webhooks"
    return {"store": store, "secret": state} | {key: bool(values.get(key)) for key in sorted(KEYS - {"access_token"})}


def remove(
    context: Context, store: NamedStoreArgument, *, destination: DestinationOption = "", yes: YesOption = False
) -> bool:
    """Forget a store: its secret is deleted, after a week in which `relay store add` brings it back.

    Its webhook has to be deleted before: one that is refused again and again gets the whole
    domain blocked, for all stores.

    Example:
      relay store remove abc123
    """
    check_store(context, store)
    try:
        hooks = [
            h
            for h in context.hooks_api.pointing_at(store, destination or context.stack.destination, context.deadline())
            if h.get("is_active")
        ]
    except (RetryLater, Refused) as error:
        context.err.print(f"[yellow]![/] Whether the store still has a webhook could not be seen ({error.detail}).")
    else:
        if hooks:
            raise CliError(
                f"The store still has an active webhook ({hooks[0]['id']}) that points here.",
                f"Delete it first: relay hook delete {store}",
            )
    confirm(f"Delete the secret {context.store_secrets.name(store)} and forget the store?", yes=yes)
    had_secret = context.store_secrets.remove(store)
    context.stores.forget(store)
    fate = f"its secret goes in {DAYS_TO_REPENT} days" if had_secret else "it had no secret"
    context.show(
        {"store": store, "removed": True, "had_secret": had_secret},
        lambda: context.out.print(f"[green]✓[/] Store {store} is forgotten; {fate}."),
    )
    return True
