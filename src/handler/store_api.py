"""The store's core Orders API, V2 (domain: the order itself)."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING, Any

from handler.errors import Cause, Refused, RetryLater, Unauthorised

if TYPE_CHECKING:
    from handler.credentials import Credentials, StoreSecret
    from handler.deadline import Deadline
    from handler.transport import Response, Transport

OK, UNAUTHORISED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404


class StoreApi:
    """Reads core orders."""

    def __init__(self, base_url: str, transport: Transport, credentials: Credentials) -> None:
        self._base_url = base_url
        self._transport = transport
        self._credentials = credentials

    def get_order(self, store_hash: str, order_id: int, deadline: Deadline) -> dict[str, Any]:
        """The core order, as the API gives it.

        Whether an order is readable the moment its webhook arrives is unknown, so a 404 is asked again until
        `deadline`. Raises RetryLater (with cause NOT_THERE_YET for a 404), Unauthorised, or Refused.
        """
        url = f"{self._base_url}/stores/{store_hash}/v2/orders/{order_id}"

        def call(secret: StoreSecret) -> Response:
            headers = {"X-Auth-Token": secret.access_token, "Accept": "application/json"}
            answer = self._transport.call("GET", url, headers, deadline, transient={NOT_FOUND})
            if answer.status in {UNAUTHORISED, FORBIDDEN}:
                raise Unauthorised(f"core Orders API: HTTP {answer.status} (scope Orders: read-only)")
            return answer

        answer = self._credentials.authorised(store_hash, call)
        if answer.status == NOT_FOUND:
            raise RetryLater(Cause.NOT_THERE_YET, "core Orders API: the order cannot be read (HTTP 404)")
        if answer.status != OK:
            raise Refused(Cause.API_REFUSED, f"core Orders API: HTTP {answer.status}")
        order = answer.json()
        if not isinstance(order, dict) or not isinstance(order.get("customer_id"), int):
            raise RetryLater(Cause.API_UNAVAILABLE, "core Orders API: the answer is not an order")
        return order


def date_created(order: dict[str, Any]) -> float | None:
    """When the core order was created (unix seconds), or None when it does not say. RFC 2822, UTC, whole seconds."""
    parsed = email.utils.parsedate_tz(str(order.get("date_created", "")))
    return None if parsed is None else float(email.utils.mktime_tz(parsed))
