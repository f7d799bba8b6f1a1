"""The sample events of `events/`: made fresh, since signatures and dates age, and what each of them shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.emulator import ROOT
from sandbox.orders import PO_LINE
from sandbox.scenarios import BUYER, created, demo_store, no_record, updated
from sandbox.webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.orders import OrderOptions
    from sandbox.scenarios import Played

FOLDER = ROOT / "events"
STORE = demo_store()
"""The store that the samples come from; `sign`ed with its client secret."""

WRONG_SECRET = "not-the-secret"  # noqa: S105  that of the forged sample
ORDER_ID, CUSTOMER_ID = 250, BUYER
LATE_SECONDS = 60
"""Age of the orders in the samples for the recovery queue."""
UNANNOUNCED_SECONDS = 300
"""Age of the order whose webhook never came."""


@dataclass(frozen=True)
class Sample:
    """What one sample shows: in words, by the function's answer, and by the order's record afterwards."""

    shows: str
    answers: Callable[[Any], bool]
    holds: Callable[[Played], bool]
    ago_seconds: float = 0.0
    """Age of the order when the event comes; an older order has its automatic record already."""

    def order(self) -> OrderOptions:
        """The order as it stands in the store when the event comes."""
        return {
            "order_id": ORDER_ID,
            "customer_id": CUSTOMER_ID,
            "customer_message": f"{PO_LINE}PO-250",
            "form_fields": {"Cost Center": "CC-250"},
            "external_order_id": "ERP-250",
            "created_ago_seconds": self.ago_seconds,
            "automatic_record_after": 0.0 if self.ago_seconds else None,
            "notify": False,
        }


def _status(status: int) -> Callable[[Any], bool]:
    """An HTTP answer with this status; a success without a body, as BigCommerce advises."""
    success = range(200, 300)
    return lambda answer: answer["statusCode"] == status and (status not in success or not answer.get("body"))


_CREATED = created("PO-250", Cost_Center="CC-250", ERP_Order_Id="ERP-250")
_UPDATED = updated("PO-250", Cost_Center="CC-250", ERP_Order_Id="ERP-250")
_ON_A_BUS = Sample("created in the window", lambda _answer: True, _CREATED)
_IN_THE_QUEUE = Sample(
    "updated after the window", lambda answer: answer == {"batchItemFailures": []}, _UPDATED, ago_seconds=LATE_SECONDS
)
SAMPLES = {
    "api-webhook.json": Sample("200, then created in the window", _status(200), _CREATED),
    "api-webhook-channel.json": Sample("200, then created in the window", _status(200), _CREATED),
    "api-webhook-forged.json": Sample("refused with 401, no record", _status(401), no_record),
    "api-webhook-other-scope.json": Sample("200, ignored, no record", _status(200), no_record),
    "bus-order.json": _ON_A_BUS,
    "bus-order-with-customer.json": Sample(
        "created in the window, with the event's own values",
        lambda _answer: True,
        created("04152025-0002", Cost_Center="CC-100"),
    ),
    "bus-order-wrapped.json": _ON_A_BUS,
    "partner-order.json": _ON_A_BUS,
    "recovery-message.json": _IN_THE_QUEUE,
    "recovery-on-failure-record.json": _IN_THE_QUEUE,
    "recovery-undelivered-event.json": _IN_THE_QUEUE,
    "schedule.json": Sample(
        "one unannounced order found, then updated",
        lambda answer: answer == {STORE.hash: 1},
        _UPDATED,
        ago_seconds=UNANNOUNCED_SECONDS,
    ),
}
"""What each file of `events/` shows."""


def function_of(event: dict[str, Any]) -> str:
    """Logical name of the function that an event is for."""
    if "Records" in event:
        return "RecoveryFunction"
    return "ReconcileFunction" if event.get("detail-type") == "Scheduled Event" else "OrderFunction"


def renew(event: dict[str, Any], now: float) -> dict[str, Any]:
    """The event as if it happened `now` (unix seconds), a message of the queue a minute ago.

    Its signature is made again; that of the forged sample with the wrong secret.
    """
    fresh: dict[str, Any] = _dated(event, now - LATE_SECONDS if "Records" in event else now)
    names = {name.lower(): name for name in event.get("headers") or {}}
    if "webhook-signature" in names:
        sent_at = float(event["headers"][names["webhook-timestamp"]])
        forged = sign(event["body"].encode(), WRONG_SECRET, sent_at)["webhook-signature"]
        secret = WRONG_SECRET if event["headers"][names["webhook-signature"]] == forged else STORE.client_secret
        for name, value in sign(fresh["body"].encode(), secret, now).items():
            fresh["headers"][names[name]] = value
            fresh["multiValueHeaders"][names[name]] = [value]
    return fresh


def _dated(value: Any, now: float) -> Any:
    """A copy with every date in it set to `now`, also in JSON that is the text of a field."""
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(_dated(json.loads(value), now))
    if isinstance(value, list):
        return [_dated(item, now) for item in value]
    if not isinstance(value, dict):
        return value
    iso = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    dates = {
        "created_at": int(now),
        "failed_at": now,
        "time": iso,
        "timestamp": iso,
        "SentTimestamp": str(int(now * 1000)),
        "ApproximateFirstReceiveTimestamp": str(int(now * 1000)),
    }
    return {name: dates.get(name) or _dated(item, now) for name, item in value.items()}
