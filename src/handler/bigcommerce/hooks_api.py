"""The core Webhooks API, V3 (docs/bigcommerce.md, Hooks API)."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from handler.bigcommerce.api_answer import core_answer
from handler.bigcommerce.api_client import AuthorizedApi
from handler.bigcommerce.rows import usable_rows
from handler.errors import Cause, RetryLater

if TYPE_CHECKING:
    from handler.deadline import Deadline
    from handler.http.exchange import Response

ORDER_CREATED = "store/order/created"

CHANNEL_SCOPE = re.compile(r"store/channel/([^/]+)/(.+)")
ANY_CHANNEL = "*"


class HooksApi(AuthorizedApi):
    """Lists and changes webhooks. A token sees only the hooks that were made with its own API account."""

    NAME = "hooks API"

    def list_hooks(self, store_hash: str, deadline: Deadline) -> list[dict[str, Any]]:
        """The hooks for created orders, as the API returns them: of the store, of a channel, or with a wildcard scope.

        Raises RetryLater, Unauthorized or Refused.
        """
        answer = self.call("GET", store_hash, "?limit=250", deadline)
        whole = answer.json()
        hooks = whole.get("data") if isinstance(whole, dict) else None
        if not isinstance(hooks, list):
            raise RetryLater(Cause.API_UNAVAILABLE, "hooks API: the answer is not a list of hooks")
        ours = [hook for hook in hooks if not isinstance(hook, dict) or _announces_orders(hook.get("scope"))]
        return usable_rows(ours, self.NAME)

    def pointing_at(self, store_hash: str, destination: str, deadline: Deadline) -> list[dict[str, Any]]:
        """The hooks of `list_hooks` with this destination, active ones first."""
        ours = [hook for hook in self.list_hooks(store_hash, deadline) if hook.get("destination") == destination]
        return sorted(ours, key=lambda hook: not hook.get("is_active"))

    def switch(self, store_hash: str, hook_id: int, deadline: Deadline, *, active: bool) -> None:
        """Activates or deactivates a hook. Raises RetryLater, Unauthorized or Refused."""
        self.call("PUT", store_hash, f"/{hook_id}", deadline, {"is_active": active})

    def call(self, method: str, store_hash: str, path: str, deadline: Deadline, body: Any = None) -> Response:
        """A call below `/v3/hooks`. Raises RetryLater, Unauthorized or Refused."""
        url = f"/stores/{store_hash}/v3/hooks{path}"
        return self._successful(self._authorized(method, store_hash, url, deadline, read=core_answer, body=body))


def covers(hook: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether `hook`, when it is active, sends every event that `other` sends."""
    return _channel(hook) in {ANY_CHANNEL, _channel(other)}


def silent(hooks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inactive hooks whose events no active one sends; of several that cover each other, one."""
    heard = [hook for hook in hooks if hook.get("is_active")]
    found: list[dict[str, Any]] = []
    for hook in sorted(hooks, key=lambda hook: _channel(hook) != ANY_CHANNEL):
        if not any(covers(other, hook) for other in [*heard, *found]):
            found.append(hook)
    return found


def _announces_orders(scope: Any) -> bool:
    """Whether a hook with this scope gets created orders. The documentation has scopes such as `store/order/*`."""
    if not isinstance(scope, str):
        return False
    of_channel = CHANNEL_SCOPE.fullmatch(scope)
    return fnmatchcase(ORDER_CREATED, f"store/{of_channel[2]}" if of_channel else scope)


def _channel(hook: dict[str, Any]) -> str:
    of_channel = CHANNEL_SCOPE.fullmatch(hook["scope"])
    return of_channel[1] if of_channel else ANY_CHANNEL
