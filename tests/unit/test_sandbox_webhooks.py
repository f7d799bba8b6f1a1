"""The payload, the signature and the retries of a webhook."""

import base64
import json
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sandbox.store.orders import Order
from sandbox.store.webhooks import (
    RETRY_DELAYS_SECONDS,
    Delivery,
    DeliveryOptions,
    sign,
    tries_seconds,
    webhook_body,
)

SECRET = "made-up client secret"


@pytest.fixture
def order() -> Order:
    return Order(id=250, store_hash="abcde", store_id="1025646", created_at=1_561_479_335.75, channel_id=3)


def delivery_of(order: Order, options: DeliveryOptions, secret: str = SECRET) -> Delivery:
    content = json.dumps(webhook_body(order)).encode()
    return Delivery(order=order, url="", options=options, content=content, secret=secret, headers={"X-Mine": "1"})


def proven(delivery: Delivery, headers: dict[str, str]) -> bool:
    try:
        Webhook(base64.b64encode(SECRET.encode()).decode()).verify(delivery.content, headers)
    except WebhookVerificationError:
        return False
    return True


def test_a_channel_scoped_payload_names_the_order_elsewhere(order: Order) -> None:
    body = webhook_body(order, channel_scoped=True)
    assert body["scope"] == "store/channel/3/order/created"
    assert body["data"] == {"type": "order", "order_id": 250}


def test_the_signature_is_the_one_of_standard_webhooks(order: Order) -> None:
    delivery = delivery_of(order, DeliveryOptions())
    assert proven(delivery, sign(delivery.content, SECRET, time.time()))
    assert not proven(delivery, sign(delivery.content, "another secret", time.time()))
    assert not proven(delivery, sign(delivery.content + b" ", SECRET, time.time()))


def test_every_try_is_signed_afresh_under_the_same_id(order: Order) -> None:
    delivery, now = delivery_of(order, DeliveryOptions()), time.time()
    first, second = delivery.request_headers(now), delivery.request_headers(now + 60)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_stale_delivery_is_rightly_signed_but_too_old(order: Order) -> None:
    delivery = delivery_of(order, DeliveryOptions(stale_seconds=600))
    assert not proven(delivery, delivery.request_headers(time.time()))
    assert proven(delivery, delivery.request_headers(time.time() + 600))


def test_tries_come_when_bigcommerce_makes_them() -> None:
    assert tuple(tries_seconds(1, 11)) == (0, *RETRY_DELAYS_SECONDS)
    assert list(tries_seconds(60, 3)) == [0, 1, 3, 5]
    assert list(tries_seconds(1, 0)) == [0]
