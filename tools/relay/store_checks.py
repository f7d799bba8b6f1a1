"""Checks of one store: its secret, token, webhook, and the rules on its newest orders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handler.aws_errors import error_code
from handler.bigcommerce.credentials import SecretInvalid, StoreSecret
from relay.checks import (
    Finding,
    State,
    Who,
    check_b2b,
    check_core,
    check_hooks,
    check_users,
    clock_finding,
    follows,
    guarded,
    not_checked,
)
from relay.errors import DENIED
from relay.field_checks import STEP as EXTRA_FIELDS
from relay.field_checks import check_fields, field_configs, recent_orders
from relay.hook_checks import check_hook, check_refusals
from relay.po_checks import STEP as PO_NUMBER
from relay.po_checks import check_po_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.enrichment import Rules, StoreRules
    from relay.context import Context


def check_store(context: Context, store: str, url: str, rules: Rules | None) -> Iterator[Finding]:
    """The findings about one store, including the checks that an earlier failure prevents.

    `url`: the webhook's URL. `rules`: the rules to test on the store's orders; None if there are no valid ones.
    """
    secret: list[StoreSecret] = []
    [finding] = guarded("secret", lambda: [_check_secret(context, store, secret)])
    yield finding
    if not secret:
        for step in ("core API", "B2B API", "webhook", PO_NUMBER, EXTRA_FIELDS):
            yield not_checked(step, "there is no usable secret", finding.step)
        return
    yield from guarded("secret key", lambda: _check_key(context, store))
    yield from guarded("store registry", lambda: _check_listed(context, store))
    yield from _check_apis(context, store, url, secret[0], rules)
    yield from guarded("refusals", lambda: [check_refusals(context, store, secret[0])])


def _check_apis(context: Context, store: str, url: str, token: StoreSecret, rules: Rules | None) -> Iterator[Finding]:
    before = context.clock()
    core, answer = check_core(context, store, token)
    after = context.clock()
    yield core
    b2b = follows(check_b2b(context, store, token), core, token)
    yield b2b
    if b2b.state is State.GOOD:
        yield check_users(context, store, token)
    hooks = (
        check_hooks(context, store, token)
        if core.state is State.GOOD
        else not_checked("hooks API", _why(core), core.step)  # the same token would be rejected for the same reason
    )
    yield hooks
    if hooks.state is State.GOOD:
        yield from guarded("webhook", lambda: check_hook(context, store, url, token))
    else:
        root = core if core.state is not State.GOOD else hooks
        yield not_checked("webhook", _why(root), root.step)
    root = core if core.state is not State.GOOD else b2b
    if root.state is not State.GOOD:
        for step in (PO_NUMBER, EXTRA_FIELDS):
            yield not_checked(step, _why(root), root.step)
    elif rules is not None:
        of_store = rules.of_store(store)
        yield from guarded(EXTRA_FIELDS, lambda: _check_rules(context, store, token, of_store))
    if answer is not None:
        yield clock_finding(answer, before, after)


def _why(root: Finding) -> str:
    """Why a dependent check was not made."""
    return (
        "the token is rejected"
        if root.state is State.BAD and root.who is Who.YOU
        else f"the {root.step} does not answer"
    )


def _check_rules(context: Context, store: str, secret: StoreSecret, rules: StoreRules) -> Iterator[Finding]:
    """Checks of the store's rules with its newest orders."""
    orders = recent_orders(context, store, secret)
    yield check_po_number(rules, orders)
    yield from check_fields(rules, field_configs(context, store, secret), orders, store)


def _check_secret(context: Context, store: str, secret: list[StoreSecret]) -> Finding:
    """Checks the store's secret; if it is usable, puts it into `secret`."""
    fix = f"enter it: relay store add {store}"
    try:
        values = context.store_secrets.read(store)
    except ClientError as error:
        if error_code(error) not in DENIED:
            raise
        return Finding(
            "secret",
            State.UNKNOWN,
            f"AWS denied access to the secret {context.store_secrets.name(store)} ({error_code(error)}): "
            "your role may not read or decrypt it, or it does not exist",
            "use a role that may (--profile)",
        )
    if values is None:
        return Finding("secret", State.BAD, context.store_secrets.why_none(store), fix)
    try:
        secret.append(StoreSecret.parse(json.dumps(values)))
    except SecretInvalid as error:
        return Finding("secret", State.BAD, error.detail, fix)
    methods = {"client_secret": "signature", "webhook_header": "secret header"}
    checks = [what for key, what in methods.items() if values.get(key)]
    if not checks:
        return Finding(
            "secret",
            State.BAD,
            "it has neither client_secret nor webhook_header: every webhook is rejected (401)",
            f"create a secret header: relay hook create {store}",
        )
    return Finding("secret", State.GOOD, f"complete; webhooks are authenticated by {' and '.join(checks)}")


def _check_key(context: Context, store: str) -> list[Finding]:
    """A finding about the secret's KMS key, unless it is the AWS managed key."""
    key = context.store_secrets.key(store)
    if not key or key.endswith("alias/aws/secretsmanager"):
        return []
    allowed = context.stack.secrets_key
    if allowed and (allowed == key or allowed.endswith(f"/{key}")):
        return [Finding("secret key", State.GOOD, "the functions may decrypt the secret (SecretsKeyArn)")]
    return [
        Finding(
            "secret key",
            State.BAD,
            f"the secret is encrypted with the key {key}, which the functions' roles may not use",
            f"deploy with the parameter SecretsKeyArn set to the ARN of the key {key}",
        )
    ]


def _check_listed(context: Context, store: str) -> list[Finding]:
    """A finding if the store has a secret but is not registered."""
    if store in context.stores.all():
        return []
    return [
        Finding(
            "store registry",
            State.BAD,
            "the store is not registered until its first order: reconcile does not check it, "
            "and a flood of forged webhooks may cause its own to be rejected",
            f"register it; its secret stays unchanged: relay store add {store}",
        )
    ]
