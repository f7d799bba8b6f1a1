"""A store's webhooks as this command line sees them: which point here, with which header, and what stands in their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from relay.context import Context


def carries(hook: dict[str, Any], header: tuple[str, str]) -> bool:
    """Whether the hook sends this header."""
    name, value = header
    return {str(key).lower(): text for key, text in (hook.get("headers") or {}).items()}.get(name.lower()) == value


def blocked(context: Context, store: str, destination: str) -> dict[str, Any] | None:
    """What BigCommerce says about `destination`'s domain if it holds back deliveries to it, else None.

    Raises RetryLater, Unauthorized or Refused.
    """
    whole = context.hooks_api.call("GET", store, "/admin", context.deadline()).json()
    data = whole.get("data") if isinstance(whole, dict) else None
    domains = data.get("blocked_domains") if isinstance(data, dict) else None
    host = urlsplit(destination).hostname
    for domain in domains if isinstance(domains, list) else []:
        named = str(domain.get("destination", "")) if isinstance(domain, dict) else ""
        # Documented as a domain's URL; accepted with and without its scheme.
        if host and host in {named, urlsplit(named).hostname}:
            found: dict[str, Any] = domain
            return found
    return None


def why(domain: dict[str, Any]) -> str:
    """The reasons that BigCommerce gives for a blocked domain."""
    reasons = domain.get("reasons")
    words = [
        f"{reason.get('failure_description')} ({reason.get('count')} times)"
        for reason in (reasons if isinstance(reasons, list) else [])
        if isinstance(reason, dict)
    ]
    return "; ".join(words)
