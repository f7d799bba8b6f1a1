"""Webhook → event bus: authenticate, validate, publish, answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler import strict_json
from handler.aws_errors import error_code
from handler.bigcommerce.credentials import SecretInvalid, UnknownStore
from handler.bigcommerce.signature import authenticate
from handler.errors import Cause, IgnoredScope, MalformedEvent, RetryLater, Unauthenticated
from handler.order_event import DETAIL_TYPE, OrderEvent, parse_detail, store_hash_of
from handler.outcomes import Late
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from handler.bigcommerce.credentials import Credentials
    from handler.deadline import Clock
    from handler.endings import Endings

SOURCE = "b2b-order-relay"
"""The bus events' source."""

PUBLISHED_KEYS = ("scope", "store_id", "data", "hash", "created_at", "producer")
"""What BigCommerce sends (docs/bigcommerce.md, Webhooks). Values for the record are accepted on the bus only."""

LARGEST_BODY_BYTES = 65_536
"""A webhook has about 250 bytes."""

ACCEPTED = 200
MALFORMED = 400
UNAUTHENTICATED = 401
TRY_AGAIN = 503

ANSWERED = {
    Metric.WEBHOOK_ACCEPTED: ("webhook accepted", "webhook.accepted"),
    Metric.WEBHOOK_IGNORED: ("webhook ignored: unsupported scope", "webhook.ignored"),
    Metric.WEBHOOK_MALFORMED: ("webhook rejected with 400: invalid payload", "webhook.rejected"),
    Metric.WEBHOOK_UNAUTHENTICATED: ("webhook rejected with 401: unauthorized", "webhook.rejected"),
    Metric.WEBHOOK_UNAVAILABLE: ("webhook rejected with 503: unavailable", "webhook.rejected"),
}
"""Message and `event` of the log line for each answer."""


class Intake:
    """Turns an API Gateway request into a bus event and an answer for the store."""

    def __init__(
        self, bus_name: str, events: EventBridgeClient, credentials: Credentials, endings: Endings, clock: Clock
    ) -> None:
        self._bus_name = bus_name
        self._events = events
        self._credentials = credentials
        self._endings = endings
        self._clock = clock

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a webhook. `request` is API Gateway's proxy event (REST or HTTP API).

        200: accepted, or another scope. 400: not the published format. 401: not authenticated. 503: the webhook could
        not be checked, or its order could not be stored; BigCommerce retries.
        """
        status, metric, error = ACCEPTED, Metric.WEBHOOK_ACCEPTED, ""
        began_at = self._clock()
        fields: dict[str, Any] = {}
        try:
            event = self._accept(request)
            fields = {"age_seconds": round(began_at - event.created_at, 3)}
        except IgnoredScope:
            metric = Metric.WEBHOOK_IGNORED
        except MalformedEvent as malformed:
            status, metric, error = MALFORMED, Metric.WEBHOOK_MALFORMED, str(malformed)
        except Unauthenticated as failed:
            # Only the log says which check failed.
            logger.warning(
                "webhook unauthorized: signature or secret header invalid",
                event="webhook.unauthenticated",
                check=str(failed),
            )
            status, metric, error = (
                UNAUTHENTICATED,
                Metric.WEBHOOK_UNAUTHENTICATED,
                "signature or secret header invalid",
            )
        except (RetryLater, ClientError, BotoCoreError) as unavailable:
            detail = unavailable.detail if isinstance(unavailable, RetryLater) else f"AWS: {error_code(unavailable)}"
            logger.error(
                "webhook rejected with 503; BigCommerce will retry", event="webhook.unavailable", detail=detail
            )
            status, metric, error = TRY_AGAIN, Metric.WEBHOOK_UNAVAILABLE, "try again later"
        count(metric)
        took_ms = round((self._clock() - began_at) * 1000)
        message, event_name = ANSWERED[metric]
        logger.info(message, event=event_name, status=status, metric=metric, ms=took_ms, **fields)
        return _answer(status, error)

    def _accept(self, request: dict[str, Any]) -> OrderEvent:
        body = _body(request)
        detail = strict_json.parse(body)
        store_hash = store_hash_of(detail)
        logger.append_keys(store=store_hash)
        self._authenticate(store_hash, _headers(request), body)
        detail = {name: detail[name] for name in PUBLISHED_KEYS if name in detail}
        event = parse_detail(detail, self._clock())
        logger.append_keys(order=event.order_id, correlation_id=event.correlation_id)
        self._publish(detail, event)
        return event

    def _authenticate(self, store_hash: str, headers: dict[str, str], body: bytes) -> None:
        """Raises Unauthenticated, or RetryLater when the secret cannot be read: that must not look like a forged webhook."""
        failed: list[str] = []
        try:
            for secret in self._credentials.for_webhook(store_hash):
                try:
                    return authenticate(headers, body, secret)
                except Unauthenticated as error:
                    failed.append(str(error))
        except (UnknownStore, SecretInvalid) as error:
            failed.append(error.detail)
        raise Unauthenticated("; ".join(dict.fromkeys(failed)))

    def _publish(self, detail: Any, event: OrderEvent) -> None:
        """Publishes `detail` on the event bus. When the bus refuses it, the order goes to RecoveryQueue."""
        entry: PutEventsRequestEntryTypeDef = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(detail),
            "EventBusName": self._bus_name,
        }
        try:
            answer = self._events.put_events(Entries=[entry])
            refused = answer["Entries"][0].get("ErrorCode", "refused") if answer["FailedEntryCount"] else ""
        except (ClientError, BotoCoreError) as error:
            refused = error_code(error)
        if refused:
            count(Metric.BUS_REFUSED)
            logger.error("event bus refused the event; sent to RecoveryQueue", event="bus.refused", error=refused)
            self._endings.late(event, Late(Cause.BUS_REFUSED, f"the event bus: {refused}"))
            count(Metric.ORDER_RECEIVED)


def _body(request: dict[str, Any]) -> bytes:
    text = request.get("body") or ""
    if len(text) > 2 * LARGEST_BODY_BYTES:
        raise MalformedEvent(f"the body must have at most {LARGEST_BODY_BYTES} bytes")
    try:
        body = base64.b64decode(text, validate=True) if request.get("isBase64Encoded") else text.encode("utf-8")
    except ValueError as error:
        # Invalid base64 (binascii.Error, or ValueError when it is not ASCII), or unpaired surrogates.
        raise MalformedEvent("the body is not JSON in UTF-8 (RFC 8259)") from error
    if len(body) > LARGEST_BODY_BYTES:
        raise MalformedEvent(f"the body must have at most {LARGEST_BODY_BYTES} bytes")
    return body


def _headers(request: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in (request.get("headers") or {}).items() if isinstance(value, str)}


def _answer(status: int, error: str) -> dict[str, Any]:
    """A response without a body, or with the error as JSON."""
    if not error:
        return {"statusCode": status, "body": ""}
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"error": error}),
    }
