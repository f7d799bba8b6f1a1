"""The sample events of `events/`, made fresh: signatures and dates age, files do not."""

from __future__ import annotations

import copy
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from sandbox.stores import Store
from sandbox.webhooks import sign

STORE = Store(hash="abcde", company_customers={7})
"""The store that the samples come from; `sign`ed with its client secret."""

ORDER_ID, CUSTOMER_ID = 250, 7


def renew(event: dict[str, Any], now: float) -> dict[str, Any]:
    """The event as if it happened `now` (unix seconds). A forged signature stays forged."""
    event = copy.deepcopy(event)
    if "httpMethod" in event:
        _renew_request(event, now)
    elif "detail-type" in event:
        _renew_bus_event(event, now)
    return event


def _renew_request(request: dict[str, Any], now: float) -> None:
    body = request["body"].encode()
    names = {name.lower(): name for name in request["headers"]}
    old = {name: request["headers"][names[name]] for name in names if name.startswith("webhook-")}
    genuine = hmac.compare_digest(
        sign(body, STORE.client_secret, float(old["webhook-timestamp"]))["webhook-signature"], old["webhook-signature"]
    )
    detail = _dated(json.loads(body), now)
    request["body"] = json.dumps(detail)
    for name, value in sign(
        request["body"].encode(), STORE.client_secret if genuine else "not-the-secret", now
    ).items():
        request["headers"][names[name]] = value
        request["multiValueHeaders"][names[name]] = [value]


def _renew_bus_event(event: dict[str, Any], now: float) -> None:
    event["time"] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = event["detail"]
    if not detail:
        return  # a scheduled event has nothing to say
    if "payload" not in detail:
        event["detail"] = _dated(detail, now)
    elif isinstance(detail["payload"], str):
        detail["payload"] = json.dumps(_dated(json.loads(detail["payload"]), now))
    else:
        detail["payload"] = _dated(detail["payload"], now)


def _dated(detail: dict[str, Any], now: float) -> dict[str, Any]:
    return {**detail, "created_at": int(now)}
