"""Checks of one store's webhook: that it exists, is active, can be authenticated, and is not blocked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from handler.bigcommerce.hooks_api import covers, silent
from handler.settings import LOOPBACK
from relay.checks import Finding, State, Who
from relay.log_lines import lines
from relay.text import counted
from relay.timespan import rough

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.bigcommerce.credentials import StoreSecret
    from relay.context import Context

REFUSAL_HOURS = 24.0
UNAUTHENTICATED = "webhook.unauthenticated"
"""The `event` of a rejected webhook's log line (handler.intake)."""


def check_hook(context: Context, store: str, url: str, secret: StoreSecret) -> Iterator[Finding]:
    """Checks that an active hook points to `url` and sends the secret header. Raises RetryLater, Unauthorized or Refused."""
    hooks = context.hooks_api.pointing_at(store, url, context.deadline())
    create = f"correct the hook: relay hook create {store}"
    if not hooks and context.stack.parameters.get("StoresSendWebhooks") == "false":
        yield Finding("webhook", State.GOOD, "none, and none is required (StoresSendWebhooks is false)")
    elif not hooks:
        others = context.hooks_api.list_hooks(store, context.deadline())
        elsewhere = (
            f"; the store's hooks point to {', '.join(str(h.get('destination')) for h in others)}" if others else ""
        )
        yield Finding(
            "webhook", State.BAD, f"no hook points to {url}{elsewhere}", f"create one: relay hook create {store}"
        )
    elif disabled := silent(hooks):
        by_whom = (
            "by relay hook disable"
            if context.stores.hook_is_paused(store)
            else "by BigCommerce, after 48 hours of failures or 90 days without deliveries"
        )
        yield Finding(
            "webhook",
            State.BAD,
            f"hook {disabled[0]['id']} is inactive: disabled {by_whom}",
            f"enable it: relay hook enable {store}; then process the missed orders: {_backfill(store)}",
        )
    elif bare := _without_header(hooks, secret):
        yield Finding(
            "webhook",
            State.BAD,
            f"hook {bare[0]['id']} does not send the store's secret header: its webhooks are rejected",
            create,
        )
    else:
        header = "" if secret.webhook_header is None else " and sends the secret header"
        yield Finding("webhook", State.GOOD, f"hook {hooks[0]['id']} is active, points here{header}")
    yield from obstacles(context, store, url)


def _without_header(hooks: list[dict[str, Any]], secret: StoreSecret) -> list[dict[str, Any]]:
    """The active hooks that do not send the secret header, whose webhooks are rejected."""
    header = secret.webhook_header
    return [] if header is None else [hook for hook in hooks if hook.get("is_active") and not carries(hook, header)]


def check_refusals(context: Context, store: str, secret: StoreSecret) -> Finding:
    """Checks for rejected webhooks in the store's name. Raises botocore's errors."""
    refused = lines(context, context.stack.log_groups[:1], REFUSAL_HOURS, event=UNAUTHENTICATED, store=store)
    if not refused:
        return Finding("rejected webhooks", State.GOOD, f"none in the last {REFUSAL_HOURS:g} hours")
    [(check, _), *_] = Counter(str(line.get("check")) for line in refused).most_common()
    fix = f"if they were the store's own webhooks, correct the header: relay hook create {store}"
    if secret.client_secret is not None:
        fix += (
            "; to change a wrong client_secret, or to remove it with the value null: "
            f"relay store add {store} --from-file secret.json"
        )
    return Finding(
        "rejected webhooks",
        State.UNKNOWN,
        f"{counted(len(refused), 'webhook')} in the store's name, the last {rough(context.clock() - refused[-1]['at'])} "
        f"ago ({check}); they may be the store's own or forged",
        fix,
    )


def _backfill(store: str) -> str:
    return f"relay backfill --store {store} --since 48h"


def obstacles(context: Context, store: str, url: str) -> list[Finding]:
    """Findings about duplicate hooks, a blocked domain, and a URL that reconcile does not monitor."""
    warnings = []
    active = [hook for hook in context.hooks_api.pointing_at(store, url, context.deadline()) if hook.get("is_active")]
    # Hooks of different channels send different orders.
    duplicates = [
        str(hook["id"])
        for hook in active
        if any(covers(hook, other) or covers(other, hook) for other in active if other is not hook)
    ]
    if duplicates:
        warnings.append(
            Finding(
                "duplicate hooks",
                State.BAD,
                f"{len(duplicates)} active hooks point here ({', '.join(duplicates)}): each order causes that many webhooks",
                f"harmless; delete all but one: relay hook delete {store} --id {duplicates[-1]}",
            )
        )
    if domain := _blocked_domain(context, store, url):
        left = domain.get("time_left")
        until = f"for another {rough(left)}" if isinstance(left, int) else "for a while"
        warnings.append(
            Finding(
                "blocked domain",
                State.BAD,
                f"BigCommerce blocks all webhooks to this domain {until}: {_reasons(domain) or 'too many failures'}",
                f"the block ends automatically; fix the failures, then process the missed orders: {_backfill(store)}",
                Who.BIGCOMMERCE,
            )
        )
    if url != context.stack.destination and urlsplit(url).hostname not in LOOPBACK:
        warnings.append(
            Finding(
                "monitored URL",
                State.BAD,
                f"reconcile monitors hooks to {context.stack.destination}, not to this URL",
                f"deploy with the parameter CustomWebhookUrl={url}",
            )
        )
    return warnings


def carries(hook: dict[str, Any], header: tuple[str, str]) -> bool:
    """Whether the hook sends this header."""
    name, value = header
    return {str(key).lower(): text for key, text in (hook.get("headers") or {}).items()}.get(name.lower()) == value


def _blocked_domain(context: Context, store: str, destination: str) -> dict[str, Any] | None:
    """BigCommerce's entry for the domain of `destination` if it is blocked, else None.

    Raises RetryLater, Unauthorized or Refused.
    """
    whole = context.hooks_api.call("GET", store, "/admin", context.deadline()).json()
    data = whole.get("data") if isinstance(whole, dict) else None
    domains = data.get("blocked_domains") if isinstance(data, dict) else None
    host = urlsplit(destination).hostname
    for domain in domains if isinstance(domains, list) else []:
        named = str(domain.get("destination", "")) if isinstance(domain, dict) else ""
        # The API documents a URL; accept a host name, too.
        if host and host in {named, urlsplit(named).hostname}:
            found: dict[str, Any] = domain
            return found
    return None


def _reasons(domain: dict[str, Any]) -> str:
    """BigCommerce's reasons for a blocked domain."""
    reasons = domain.get("reasons")
    words = [
        f"{reason.get('failure_description')} ({reason.get('count')} times)"
        for reason in (reasons if isinstance(reasons, list) else [])
        if isinstance(reason, dict)
    ]
    return "; ".join(words)
