"""Findings about one store: its secret, its token, its webhook, and what the rules make of its orders."""

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
    known,
    not_looked_at,
)
from relay.errors import DENIED
from relay.field_checks import STEP as EXTRA_FIELDS
from relay.field_checks import check_fields, check_sources, field_configs, recent_orders
from relay.hook_checks import check_hook, check_refusals
from relay.po_checks import STEP as PO_NUMBER
from relay.po_checks import check_po_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.enrichment import Rules, StoreRules
    from relay.context import Context


def look_at(context: Context, store: str, url: str, rules: Rules | None) -> Iterator[Finding]:
    """Findings about one store. What cannot be looked at, since something before it is wrong, is named.

    `url`: where its webhook shall point. `rules`: those to try on its orders; None when there are none that are valid.
    """
    secret: list[StoreSecret] = []
    [looked] = known("secret", lambda: [_check_secret(context, store, secret)])
    yield looked
    if not secret:
        for step in ("core API", "B2B API", "webhook", PO_NUMBER, EXTRA_FIELDS):
            yield not_looked_at(step, "there is no usable secret", looked.step)
        return
    yield from known("secret key", lambda: _check_key(context, store))
    yield from known("list of stores", lambda: _check_listed(context, store))
    yield from _check_apis(context, store, url, secret[0], rules)
    yield from known("refusals", lambda: [check_refusals(context, store, secret[0])])


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
        else not_looked_at("hooks API", _why(core), core.step)  # the same token would be refused for the same reason
    )
    yield hooks
    if hooks.state is State.GOOD:
        yield from known("webhook", lambda: check_hook(context, store, url, token))
    else:
        root = core if core.state is not State.GOOD else hooks
        yield not_looked_at("webhook", _why(root), root.step)
    root = core if core.state is not State.GOOD else b2b
    if root.state is not State.GOOD:
        for step in (PO_NUMBER, EXTRA_FIELDS):
            yield not_looked_at(step, _why(root), root.step)
    elif rules is not None:
        of_store = rules.of_store(store)
        yield from known(EXTRA_FIELDS, lambda: _check_rules(context, store, token, of_store))
    if answer is not None:
        yield clock_finding(answer, before, after)


def _why(root: Finding) -> str:
    """Why nothing else could be looked at, in a few words."""
    return (
        "the token is refused"
        if root.state is State.BAD and root.who is Who.YOU
        else f"the {root.step} gives no answer"
    )


def _check_rules(context: Context, store: str, secret: StoreSecret, rules: StoreRules) -> Iterator[Finding]:
    """Findings about the store's rules, tried on its newest orders."""
    orders = recent_orders(context, store, secret)
    yield check_po_number(rules, orders)
    yield from check_sources(context, store, rules, orders)
    yield from check_fields(rules, field_configs(context, store, secret), orders, store)


def _check_secret(context: Context, store: str, secret: list[StoreSecret]) -> Finding:
    """Whether the store's secret is complete; puts it, if it can be used, into `secret`."""
    mend = f"enter it: relay store add {store}"
    try:
        values = context.store_secrets.read(store)
    except ClientError as error:
        if error_code(error) not in DENIED:
            raise
        return Finding(
            "secret",
            State.UNKNOWN,
            f"AWS denies you the secret {context.store_secrets.name(store)} ({error_code(error)}): "
            "your role may not read or decrypt it, or there is none",
            "use a role that may (--profile)",
        )
    if values is None:
        return Finding("secret", State.BAD, context.store_secrets.why_none(store), mend)
    try:
        secret.append(StoreSecret.parse(json.dumps(values)))
    except SecretInvalid as error:
        return Finding("secret", State.BAD, error.detail, mend)
    proofs = {"client_secret": "signatures", "webhook_header": "a secret header"}
    checks = [what for key, what in proofs.items() if values.get(key)]
    if not checks:
        return Finding(
            "secret",
            State.BAD,
            "it holds neither client_secret nor webhook_header: every webhook is refused (401)",
            f"have a secret header made: relay hook create {store}",
        )
    return Finding("secret", State.GOOD, f"complete; webhooks are proven by {' and '.join(checks)}")


def _check_key(context: Context, store: str) -> list[Finding]:
    """A finding about the secret's KMS key, when it is not the one that AWS keeps for Secrets Manager."""
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
            f"the secret is encrypted with the key {key}, and the functions' roles may not use it",
            f"deploy with the parameter SecretsKeyArn, the ARN of that key: {key}",
        )
    ]


def _check_listed(context: Context, store: str) -> list[Finding]:
    """A finding when the relay's list lacks the store: then it is known only by its secret."""
    if store in context.stores.all():
        return []
    return [
        Finding(
            "list of stores",
            State.BAD,
            "the store is not on the relay's list until its first order: reconcile does not look at it, "
            "and a flood of forged webhooks may have its own refused",
            f"put it on the list (its values stay as they are): relay store add {store}",
        )
    ]
