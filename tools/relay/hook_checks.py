"""Findings about one store's webhook: whether it is there, active, proven and not blocked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from handler.bigcommerce.hooks_api import covers, silent
from handler.settings import LOOPBACK
from relay.checks import Finding, State, Who
from relay.hooks import blocked, carries, why
from relay.log_lines import lines
from relay.plain import counted
from relay.timespan import rough

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.bigcommerce.credentials import StoreSecret
    from relay.context import Context

REFUSAL_HOURS = 24.0
UNAUTHENTICATED = "webhook.unauthenticated"
"""The log line of a refused webhook (handler.intake)."""


def check_hook(context: Context, store: str, url: str, secret: StoreSecret) -> Iterator[Finding]:
    """Whether an active hook points here and carries the secret header. Raises RetryLater, Unauthorized or Refused."""
    hooks = context.hooks_api.pointing_at(store, url, context.deadline())
    create = f"correct it: relay hook create {store}"
    if not hooks and context.stack.parameters.get("StoresSendWebhooks") == "false":
        yield Finding("webhook", State.GOOD, "none, and none is expected (StoresSendWebhooks is false)")
    elif not hooks:
        others = context.hooks_api.list_hooks(store, context.deadline())
        elsewhere = (
            f"; the store's hooks point to {', '.join(str(h.get('destination')) for h in others)}" if others else ""
        )
        yield Finding("webhook", State.BAD, f"none points to {url}{elsewhere}", f"create it: relay hook create {store}")
    elif switched_off := silent(hooks):
        by_whom = (
            "by relay hook disable"
            if context.stores.hook_is_paused(store)
            else "BigCommerce does so after 48 hours of failures or 90 idle days"
        )
        yield Finding(
            "webhook",
            State.BAD,
            f"hook {switched_off[0]['id']} is switched off ({by_whom})",
            f"switch it on: relay hook enable {store}; then fetch the orders of the time between: {_fetch(store)}",
        )
    elif bare := _without_header(hooks, secret):
        yield Finding(
            "webhook",
            State.BAD,
            f"hook {bare[0]['id']} does not carry the header that the store's secret asks for: webhooks are refused",
            create,
        )
    else:
        header = "" if secret.webhook_header is None else " and carries the secret header"
        yield Finding("webhook", State.GOOD, f"hook {hooks[0]['id']} is active, points here{header}")
    yield from obstacles(context, store, url)


def _without_header(hooks: list[dict[str, Any]], secret: StoreSecret) -> list[dict[str, Any]]:
    """The active hooks whose webhooks are refused: they do not carry the header that the secret asks for."""
    header = secret.webhook_header
    return [] if header is None else [hook for hook in hooks if hook.get("is_active") and not carries(hook, header)]


def check_refusals(context: Context, store: str, secret: StoreSecret) -> Finding:
    """Whether webhooks in the store's name were refused lately, and by which check. Raises botocore's errors."""
    refused = lines(context, context.stack.log_groups[:1], REFUSAL_HOURS, event=UNAUTHENTICATED, store=store)
    if not refused:
        return Finding("refusals", State.GOOD, f"no webhook was refused in the last {REFUSAL_HOURS:g} hours")
    [(check, _), *_] = Counter(str(line.get("check")) for line in refused).most_common()
    mend = f"if the store's own webhooks are refused, this corrects the header: relay hook create {store}"
    if secret.client_secret is not None:
        mend += (
            "; a wrong client_secret (or one for a store that signs nothing) is changed or, as null, "
            f"removed by: relay store add {store} --from-file secret.json"
        )
    return Finding(
        "refusals",
        State.UNKNOWN,
        f"{counted(len(refused), 'webhook')} in the store's name refused, the last {rough(context.clock() - refused[-1]['at'])} "
        f"ago ({check}); whether the store sent them or somebody forged them is not known",
        mend,
    )


def _fetch(store: str) -> str:
    return f"relay backfill --store {store} --since 48h"


def obstacles(context: Context, store: str, url: str) -> list[Finding]:
    """What stands in the way of a webhook to `url`, seen from the store's side."""
    warnings = []
    active = [hook for hook in context.hooks_api.pointing_at(store, url, context.deadline()) if hook.get("is_active")]
    # Those of different channels announce different orders.
    doubles = [
        str(hook["id"])
        for hook in active
        if any(covers(hook, other) or covers(other, hook) for other in active if other is not hook)
    ]
    if doubles:
        warnings.append(
            Finding(
                "doubles",
                State.BAD,
                f"{len(doubles)} active hooks point here ({', '.join(doubles)}): every order is announced that often",
                f"harmless, but wasteful; delete all but one: relay hook delete {store} --id {doubles[-1]}",
            )
        )
    if domain := blocked(context, store, url):
        left = domain.get("time_left")
        until = f"for another {rough(left)}" if isinstance(left, int) else "for a while"
        warnings.append(
            Finding(
                "blocked domain",
                State.BAD,
                f"BigCommerce holds back all webhooks to this domain {until}: {why(domain) or 'too many failures'}",
                f"it ends by itself; mend why they failed, then fetch the orders of the time between: {_fetch(store)}",
                Who.BIGCOMMERCE,
            )
        )
    if url != context.stack.destination and urlsplit(url).hostname not in LOOPBACK:
        warnings.append(
            Finding(
                "watched URL",
                State.BAD,
                f"the relay itself watches over hooks to {context.stack.destination}, not over this one",
                f"deploy with the parameter CustomWebhookUrl={url}",
            )
        )
    return warnings
