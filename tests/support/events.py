"""What comes in: webhooks through API Gateway, bus events, messages. All about one order of one store."""

import json
from collections.abc import Mapping
from typing import Any

from sandbox.store.webhooks import sign

STORE_HASH = "abcde"
ORDER_ID = 250
BUYER = 7
OUTSIDER = 8


def webhook(created_at: float, /, **changes: Any) -> dict[str, Any]:
    """A webhook's body as it is published."""
    return {
        "scope": "store/order/created",
        "store_id": "1025646",
        "data": {"type": "order", "id": ORDER_ID},
        "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
        "created_at": created_at,
        "producer": f"stores/{STORE_HASH}",
    } | changes


def request(body: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """API Gateway's proxy event, as far as it is looked at."""
    return {
        "httpMethod": "POST",
        "path": "/webhooks",
        "headers": dict(headers or {}),
        "body": body,
        "isBase64Encoded": False,
    }


def signed_request(detail: Any, client_secret: str, at: float) -> dict[str, Any]:
    """A webhook with a genuine signature made at `at`."""
    body = json.dumps(detail)
    return request(body, sign(body.encode(), client_secret, at))


def bus_event(detail: Any) -> dict[str, Any]:
    """An event as a rule delivers it."""
    return {"version": "0", "detail-type": "bigCommerceWebhook", "source": "b2b-order-relay", "detail": detail}
