"""The payload, the signature and the retries of a webhook."""

import base64
import json
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sandbox.store.orders import Order
from sandbox.store.webhooks import (
    ORDER_CREATED,
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


def test_the_payload_has_the_published_shape(order: Order) -> None:
    body = webhook_body(order)
    assert list(body) == ["scope", "store_id", "data", "hash", "created_at", "producer"]
    assert body["scope"] == ORDER_CREATED
    assert body["data"] == {"type": "order", "id": 250}
    assert body["created_at"] == 1_561_479_335
    assert body["producer"] == "stores/abcde"
    assert len(bytes.fromhex(body["hash"])) == 20


def test_a_channel_scoped_payload_names_the_order_elsewhere(order: Order) -> None:
    body = webhook_body(order, channel_scoped=True)
    assert body["scope"] == "store/channel/3/order/created"
    assert body["data"] == {"type": "order", "order_id": 250}


def test_a_payload_may_lack_its_time(order: Order) -> None:
    assert "created_at" not in webhook_body(order, created_at=False)


def test_the_hash_is_the_same_for_a_duplicate_and_differs_between_events(order: Order) -> None:
    assert webhook_body(order)["hash"] == webhook_body(order)["hash"]
    assert webhook_body(order)["hash"] != webhook_body(order, "store/order/updated")["hash"]


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


def test_a_forged_delivery_proves_nothing(order: Order) -> None:
    delivery = delivery_of(order, DeliveryOptions(forged=True))
    headers = delivery.request_headers(time.time())
    assert not proven(delivery, headers)
    assert headers["X-Mine"] == "forged"


def test_a_stale_delivery_is_rightly_signed_but_too_old(order: Order) -> None:
    delivery = delivery_of(order, DeliveryOptions(stale_seconds=600))
    assert not proven(delivery, delivery.request_headers(time.time()))
    assert proven(delivery, delivery.request_headers(time.time() + 600))


def test_a_store_that_does_not_sign_sends_its_header_alone(order: Order) -> None:
    headers = delivery_of(order, DeliveryOptions(), secret="").request_headers(0)
    assert headers["X-Mine"] == "1"
    assert "webhook-signature" not in headers


def test_tries_come_when_bigcommerce_makes_them() -> None:
    assert tuple(tries_seconds(1, 11)) == (0, *RETRY_DELAYS_SECONDS)
    assert list(tries_seconds(60, 3)) == [0, 1, 3, 5]
    assert list(tries_seconds(1, 0)) == [0]
