"""The webhooks of one store, as `/v3/hooks` manages them."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from sandbox.store.messages import Answer, Call, Clock, v3_error, v3_page
from sandbox.store.settings import Store

FIELDS = frozenset({"scope", "destination", "is_active", "events_history_enabled", "headers"})
"""Of a request; what the API does with others is published nowhere."""
MOST_HOOKS = 10
"""Hooks that a store takes for one scope and client."""
RATED_SECONDS = 120.0
RATED_FROM = 100
LOWEST_SUCCESS = 0.9
BLOCKED_SECONDS = 180.0
"""A domain is blocked for so long when fewer than nine in ten of its deliveries in two minutes (from a hundred on) succeed."""


@dataclass(slots=True, kw_only=True)
class Hook:
    """One webhook."""

    id: int
    client_id: str
    store_hash: str
    scope: str
    destination: str
    created_at: int
    updated_at: int
    is_active: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As the API shows it; headers are null when there are none."""
        return {
            "id": self.id,
            "client_id": self.client_id,
            "store_hash": self.store_hash,
            "scope": self.scope,
            "destination": self.destination,
            "headers": self.headers or None,
            "is_active": self.is_active,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


class Hooks:
    """All hooks of a store. A call sees only those made with the store's own client."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._hooks: dict[int, Hook] = {}
        self._ids = count(18_048_287)
        self._blocked_until: dict[str, float] = {}
        self._attempts: defaultdict[str, deque[tuple[float, bool]]] = defaultdict(deque)

    def all(self) -> list[Hook]:
        """Every hook."""
        return list(self._hooks.values())

    def listening(self, scope: str) -> Iterator[Hook]:
        """Active hooks for an event; a hook's scope may end in a star."""
        return (hook for hook in self._hooks.values() if hook.is_active and fnmatchcase(scope, hook.scope))

    def add(self, scope: str, destination: str, headers: Mapping[str, str] | None = None) -> Hook:
        """Make a hook."""
        now = int(self._clock())
        hook = Hook(
            id=next(self._ids),
            client_id=self._store.client_id,
            store_hash=self._store.hash,
            scope=scope,
            destination=destination,
            created_at=now,
            updated_at=now,
            headers=dict(headers or {}),
        )
        self._hooks[hook.id] = hook
        return hook

    def block(self, domain: str, seconds: float) -> None:
        """Put a domain on the denylist, as BigCommerce does after too many failures."""
        self._blocked_until[domain] = self._clock() + seconds

    def attempted(self, destination: str, *, success: bool, time_compression: float = 1.0) -> None:
        """Count a delivery, and block its domain when too many fail (docs/integrations/webhooks/overview.mdx)."""
        domain, now = urlsplit(destination).hostname or "", self._clock()
        attempts = self._attempts[domain]
        attempts.append((now, success))
        while attempts[0][0] <= now - RATED_SECONDS / time_compression:
            attempts.popleft()
        if len(attempts) >= RATED_FROM and sum(good for _, good in attempts) < LOWEST_SUCCESS * len(attempts):
            self.block(domain, BLOCKED_SECONDS / time_compression)
            attempts.clear()

    def blocked_seconds(self, destination: str) -> float:
        """How long deliveries to a destination are still held back; 0 when they are not."""
        domain = urlsplit(destination).hostname or ""
        return max(0.0, self._blocked_until.get(domain, 0.0) - self._clock())

    def answer(self, call: Call) -> Answer:
        """Serve one call to `/v3/hooks`, `/v3/hooks/{id}` or `/v3/hooks/admin`."""
        if call.path.endswith("/hooks/admin"):
            return self._admin()
        if call.hook_id is None:
            return self._create(call) if call.method == "POST" else self._list(call.query)
        hook = self._hooks.get(call.hook_id)
        if hook is None:
            return v3_error(404, "Webhook not found.")
        if call.method == "PUT":
            return self._change(hook, call)
        if call.method == "DELETE":
            del self._hooks[hook.id]
        return Answer(200, {"data": hook.as_json(), "meta": {}})

    def _create(self, call: Call) -> Answer:
        body = call.json()
        problems = _problems(body, {"scope", "destination"})
        if problems:
            return v3_error(422, "Unprocessable entity", problems)
        if sum(hook.scope == body["scope"] for hook in self.all()) >= MOST_HOOKS:
            return v3_error(422, "Too many webhooks for this scope.", {"scope": f"at most {MOST_HOOKS} hooks"})
        hook = self.add(body["scope"], body["destination"], body.get("headers"))
        hook.is_active = body.get("is_active", True)
        return Answer(200, {"data": hook.as_json(), "meta": {}})

    def _change(self, hook: Hook, call: Call) -> Answer:
        body = call.json()
        problems = _problems(body, set())
        if problems:
            return v3_error(422, "Unprocessable entity", problems)
        hook.scope = body.get("scope", hook.scope)
        hook.destination = body.get("destination", hook.destination)
        hook.is_active = body.get("is_active", hook.is_active)
        if "headers" in body:
            hook.headers = body["headers"] or {}
        hook.updated_at = int(self._clock())
        return Answer(200, {"data": hook.as_json(), "meta": {}})

    def _list(self, query: Mapping[str, str]) -> Answer:
        chosen = [
            hook.as_json()
            for hook in self.all()
            if query.get("scope", hook.scope) == hook.scope
            and query.get("destination", hook.destination) == hook.destination
            and query.get("is_active", str(hook.is_active)).lower()
            in {str(hook.is_active).lower(), str(int(hook.is_active))}
        ]
        return v3_page(chosen, query)

    def _admin(self) -> Answer:
        now = self._clock()
        blocked = [
            {"destination": domain, "time_left": int(until - now), "reasons": []}
            for domain, until in self._blocked_until.items()
            if until > now
        ]
        hooks = [hook.as_json() | {"status": "active" if hook.is_active else "deactivated"} for hook in self.all()]
        return Answer(200, {"data": {"emails": [], "hooks_list": hooks, "blocked_domains": blocked}, "meta": {}})


def _problems(body: Any, required: set[str]) -> dict[str, str]:
    """Say what is wrong with the body of a create or an update, by field."""
    if not isinstance(body, dict):
        return {"body": "must be a JSON object"}
    problems = dict.fromkeys(required - body.keys(), "is required") | dict.fromkeys(body.keys() - FIELDS, "is unknown")
    scope, destination = body.get("scope", "store/"), body.get("destination", "https://example.com")
    if not isinstance(scope, str) or not scope.startswith("store/"):
        problems["scope"] = "is not a webhook scope"
    if not isinstance(destination, str) or not _allowed(destination):
        problems["destination"] = "must be https on port 443"
    if not isinstance(body.get("is_active", True), bool):
        problems["is_active"] = "must be true or false"
    headers = body.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        problems["headers"] = "must be an object of strings"
    return problems


def _allowed(destination: str) -> bool:
    """Https on port 443, as BigCommerce wants it; the laptop's own address may be anything."""
    try:
        parts = urlsplit(destination)
        port = parts.port
    except ValueError:
        return False
    if _is_loopback(parts.hostname or ""):
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and bool(parts.hostname) and port in {None, 443}


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
