"""The store's webhooks, V3 (domain: the webhook)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.errors import Cause, Refused, RetryLater, Unauthorised
from handler.store_api import FORBIDDEN, OK, UNAUTHORISED

if TYPE_CHECKING:
    from handler.credentials import Credentials, StoreSecret
    from handler.deadline import Deadline
    from handler.transport import Response, Transport

ORDER_CREATED = "store/order/created"


class HooksApi:
    """Reads and switches webhooks. A token sees only the hooks that its own client has made."""

    def __init__(self, base_url: str, transport: Transport, credentials: Credentials) -> None:
        self._base_url = base_url
        self._transport = transport
        self._credentials = credentials

    def list_hooks(self, store_hash: str, deadline: Deadline) -> list[dict[str, Any]]:
        """The hooks on created orders, as the API gives them. Raises RetryLater, Unauthorised or Refused."""
        answer = self.call("GET", store_hash, "?limit=250", deadline)
        whole = answer.json()
        hooks = whole.get("data") if isinstance(whole, dict) else None
        if not isinstance(hooks, list):
            raise RetryLater(Cause.API_UNAVAILABLE, "hooks API: the answer is not a list of hooks")
        return [hook for hook in hooks if isinstance(hook, dict) and hook.get("scope") == ORDER_CREATED]

    def activate(self, store_hash: str, hook_id: int, deadline: Deadline) -> None:
        """Switches a hook on again. Raises RetryLater, Unauthorised or Refused."""
        self.call("PUT", store_hash, f"/{hook_id}", deadline, {"is_active": True})

    def call(self, method: str, store_hash: str, path: str, deadline: Deadline, body: Any = None) -> Response:
        """A call below `/v3/hooks`. Raises RetryLater, Unauthorised or Refused."""
        url = f"{self._base_url}/stores/{store_hash}/v3/hooks{path}"

        def call(secret: StoreSecret) -> Response:
            headers = {"X-Auth-Token": secret.access_token, "Accept": "application/json"}
            answer = self._transport.call(method, url, headers, deadline, body=body)
            if answer.status in {UNAUTHORISED, FORBIDDEN}:
                raise Unauthorised(f"hooks API: HTTP {answer.status}")
            return answer

        answer = self._credentials.authorised(store_hash, call)
        if answer.status != OK:
            raise Refused(Cause.API_REFUSED, f"hooks API: HTTP {answer.status}")
        return answer
