"""The door: one test for each row of the table of cases, then arbitrary input."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.intake import LARGEST_BODY_BYTES
from sandbox.store.webhooks import sign
from support.clock import FakeClock
from support.events import ORDER_ID, STORE_HASH, request, signed_request, webhook
from support.world import SECRET_NAME, World, secret_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.telemetry import Written


@pytest.fixture
def world() -> World:
    return real_time_world()


def real_time_world() -> World:
    """A world of today: the signature library reads the real clock, and only that one."""
    return World(clock=FakeClock(float(int(time.time()))))


def genuine(world: World, **changes: Any) -> dict[str, Any]:
    return signed_request(webhook(world.clock.now, **changes), world.store.client_secret, world.clock.now)


def as_bytes(world: World, body: bytes) -> dict[str, Any]:
    headers = sign(body, world.store.client_secret, world.clock.now)
    return request(base64.b64encode(body).decode(), headers) | {"isBase64Encoded": True}


UNPROVEN: dict[str, Callable[[World], dict[str, Any]]] = {
    "no signature": lambda w: request(json.dumps(webhook(w.clock.now))),
    "no headers at all": lambda w: request(json.dumps(webhook(w.clock.now))) | {"headers": None},
    "signed with another secret": lambda w: signed_request(webhook(w.clock.now), "guessed", w.clock.now),
    "signed six minutes ago": lambda w: signed_request(webhook(w.clock.now), w.store.client_secret, w.clock.now - 360),
    "signed in six minutes": lambda w: signed_request(webhook(w.clock.now), w.store.client_secret, w.clock.now + 360),
    "another body than was signed": lambda w: genuine(w) | {"body": json.dumps(webhook(w.clock.now, hash="other"))},
    "unknown store": lambda w: genuine(w, producer="stores/nobody"),
}


@pytest.mark.parametrize("make", UNPROVEN.values(), ids=UNPROVEN)
def test_what_is_not_proven_is_answered_401_and_published_nowhere(
    world: World, written: Written, make: Callable[[World], dict[str, Any]]
) -> None:
    answer = world.intake.handle(make(world))

    assert answer["statusCode"] == 401
    assert (world.bus.entries, world.waiting) == ([], [])
    assert written.metrics == {"WebhookUnauthenticated": [1.0]}


def test_an_unknown_store_looks_exactly_like_a_bad_signature_and_a_malformed_secret(world: World) -> None:
    answers = [world.intake.handle(make(world)) for make in UNPROVEN.values()]
    world.secrets.put("relay/broken", "not JSON")
    answers.append(world.intake.handle(genuine(world, producer="stores/broken")))

    assert all(answer == answers[0] for answer in answers)


MALFORMED: dict[str, Callable[[World], dict[str, Any]]] = {
    "empty": lambda w: as_bytes(w, b""),
    "no body": lambda _: request("") | {"body": None},
    "not JSON": lambda w: as_bytes(w, b"{"),
    "not UTF-8": lambda w: as_bytes(w, b"\xff"),
    "NaN": lambda w: as_bytes(w, b'{"producer": NaN}'),
    "nested too deep": lambda w: as_bytes(w, b"[" * 30_000),
    "not base64": lambda _: request("%") | {"isBase64Encoded": True},
    "not even ASCII where base64 should be": lambda _: request("é") | {"isBase64Encoded": True},
    "unpaired surrogate": lambda _: request("\ud800"),
    "a list": lambda w: as_bytes(w, b"[]"),
    "no producer": lambda w: genuine(w, producer=None),
    "a store hash that is none": lambda w: genuine(w, producer="stores/../x"),
    "no order": lambda w: genuine(w, data={"type": "order"}),
    "no scope": lambda w: genuine(w, scope=None),
    "oversized": lambda w: as_bytes(w, json.dumps(webhook(w.clock.now)).encode() + b" " * LARGEST_BODY_BYTES),
    "oversized text": lambda w: request(" " * (2 * LARGEST_BODY_BYTES + 1), genuine(w)["headers"]),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_of_the_published_shape_is_answered_400(
    world: World, written: Written, make: Callable[[World], dict[str, Any]]
) -> None:
    answer = world.intake.handle(make(world))

    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["error"]
    assert (world.bus.entries, world.waiting) == ([], [])
    assert written.metrics == {"WebhookMalformed": [1.0]}


def test_an_unproven_webhook_does_not_learn_what_its_shape_lacks(world: World) -> None:
    shapeless = signed_request(webhook(world.clock.now, data=None), "guessed", world.clock.now)

    assert world.intake.handle(shapeless)["statusCode"] == 401


def test_another_scope_is_acknowledged_and_ignored(world: World, written: Written) -> None:
    assert world.intake.handle(genuine(world, scope="store/order/updated")) == {"statusCode": 200, "body": ""}
    assert (world.bus.entries, world.waiting) == ([], [])
    assert written.metrics == {"WebhookIgnored": [1.0]}


def test_a_proven_webhook_is_on_the_bus_before_it_is_acknowledged(world: World, written: Written) -> None:
    answer = world.intake.handle(genuine(world))

    assert answer == {"statusCode": 200, "body": ""}
    [entry] = world.bus.entries
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (
        "b2b-order-relay",
        "bigCommerceWebhook",
        "orders",
    )
    assert json.loads(entry["Detail"]) == webhook(world.clock.now)
    assert written.metrics == {"WebhookAccepted": [1.0]}


def test_the_log_says_which_order_of_which_store_it_was(world: World, written: Written) -> None:
    world.intake.handle(genuine(world))

    [line] = written.log
    assert (line["store"], line["order"], line["correlation_id"]) == (STORE_HASH, ORDER_ID, webhook(0)["hash"])
    assert (line["metric"], line["status"]) == ("WebhookAccepted", 200)


def test_a_channel_scoped_webhook_is_accepted(world: World) -> None:
    body = {"scope": "store/channel/3/order/created", "data": {"type": "order", "order_id": ORDER_ID}}

    assert world.intake.handle(genuine(world, **body))["statusCode"] == 200
    assert len(world.bus.entries) == 1


def test_header_names_may_come_in_any_case_and_the_body_in_base64(world: World) -> None:
    webhook_request = as_bytes(world, json.dumps(webhook(world.clock.now)).encode())
    webhook_request["headers"] = {name.upper(): value for name, value in webhook_request["headers"].items()}

    assert world.intake.handle(webhook_request)["statusCode"] == 200


def test_a_new_signing_secret_is_accepted_at_once_and_the_old_one_as_long_as_it_is_kept(world: World) -> None:
    old = genuine(world)
    world.intake.handle(old)
    world.store.client_secret = "rotated"
    world.secrets.put(SECRET_NAME, secret_text(world.store))
    world.clock.advance(15)

    assert world.intake.handle(genuine(world))["statusCode"] == 200
    assert world.intake.handle(old)["statusCode"] == 200


def test_a_stream_of_forgeries_is_no_stream_of_calls_to_secrets_manager(world: World) -> None:
    for second in range(60):
        for _ in range(5):
            world.intake.handle(signed_request(webhook(world.clock.now), "guessed", world.clock.now))
        world.clock.now += second % 2

    assert len(world.secrets.asked) <= 2 * (60 / 2 / 10 + 1)


HEADERS = st.dictionaries(
    st.sampled_from(["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "x-relay-key", "x"]) | st.text(max_size=8),
    st.text(max_size=40) | st.sampled_from(["v1,", "nan", "1e999", "-1", str(int(time.time()))]) | st.none(),
)
BODIES = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.dictionaries(
        st.sampled_from(["scope", "producer", "data", "hash", "created_at"]),
        st.none() | st.integers() | st.text(max_size=20) | st.just(f"stores/{STORE_HASH}") | st.just({"id": 1}),
    ).map(json.dumps),
    st.none(),
)


@given(BODIES, st.none() | HEADERS, st.booleans())
def test_whatever_comes_in_is_answered_and_never_as_a_fault_of_ours(
    body: str | None, headers: dict[str, Any] | None, base64_encoded: bool
) -> None:
    world = real_time_world()
    event = {"httpMethod": "POST", "headers": headers, "body": body, "isBase64Encoded": base64_encoded}

    answer = world.intake.handle(event)

    assert answer["statusCode"] in {400, 401}
    assert world.bus.entries == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=5), st.data())
def test_whatever_a_proven_store_sends_is_answered_and_never_as_a_fault_of_ours(
    value: Any, data: st.DataObject
) -> None:
    world = real_time_world()
    field = data.draw(st.sampled_from(["scope", "data", "hash", "created_at", "customerId", "poNumber", "extraFields"]))

    answer = world.intake.handle(genuine(world, **{field: value}))

    assert answer["statusCode"] in {200, 400}
