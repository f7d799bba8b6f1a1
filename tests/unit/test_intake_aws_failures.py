"""What a webhook is answered when AWS fails or refuses, and what the log says of it."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from handler.bigcommerce.credentials import MOST_UNKNOWN
from support.aws import refusal
from support.clock import FakeClock
from support.events import signed_request, webhook
from support.world import SECRET_NAME, World, secret_text

if TYPE_CHECKING:
    from support.telemetry import Written

ADDRESS = "https://aws"
NO_ANSWERS = [
    EndpointConnectionError(endpoint_url=ADDRESS),
    ConnectTimeoutError(endpoint_url=ADDRESS),
    ReadTimeoutError(endpoint_url=ADDRESS),
    ConnectionClosedError(endpoint_url=ADDRESS),
    refusal("ThrottlingException"),
    refusal("InternalError"),
]


@pytest.fixture
def world() -> World:
    """A world of today: the signature library reads the real clock."""
    return World(clock=FakeClock(float(int(time.time()))))


def genuine(world: World, **changes: Any) -> dict[str, Any]:
    return signed_request(webhook(world.clock.now, **changes), world.store.client_secret, world.clock.now)


def invented(world: World, number: int) -> dict[str, Any]:
    return signed_request(webhook(world.clock.now, producer=f"stores/invented{number}"), "guessed", world.clock.now)


def checks(written: Written) -> list[str]:
    return [line["check"] for line in written.log if "check" in line]


@pytest.mark.parametrize("error", NO_ANSWERS, ids=repr)
def test_when_neither_bus_nor_queue_takes_the_order_the_store_is_told_to_come_back(
    world: World, written: Written, error: Exception
) -> None:
    world.bus.error = error
    world.sqs.errors = [error]

    assert world.intake.handle(genuine(world))["statusCode"] == 503
    assert world.waiting == []
    assert written.metrics["WebhookUnavailable"] == [1.0]
    assert "WebhookAccepted" not in written.metrics


@pytest.mark.parametrize(
    "trouble", [{"error": error} for error in NO_ANSWERS] + [{"refusal_code": "Throttling"}], ids=str
)
def test_when_the_bus_refuses_the_order_is_in_the_recovery_queue_before_the_webhook_is_acknowledged(
    world: World, written: Written, trouble: dict[str, Any]
) -> None:
    for name, value in trouble.items():
        setattr(world.bus, name, value)

    assert world.intake.handle(genuine(world)) == {"statusCode": 200, "body": ""}
    [message] = world.waiting
    assert json.loads(message.body)["reason"]["cause"] == "bus_refused"
    assert written.metrics == {"BusRefused": [1.0], "WebhookAccepted": [1.0], "OrderLate": [1.0]}
    assert written.traffic["OrderReceived"] == [1.0]


@pytest.mark.parametrize("error", NO_ANSWERS, ids=repr)
def test_when_the_secret_cannot_be_read_the_store_is_told_to_come_back(
    world: World, written: Written, error: Exception
) -> None:
    world.secrets.error = error

    assert world.intake.handle(genuine(world))["statusCode"] == 503
    assert world.bus.entries == []
    assert written.metrics == {"SecretReadFailed": [1.0], "WebhookUnavailable": [1.0]}


def test_a_denied_secret_of_an_unknown_store_is_answered_like_a_bad_signature(world: World, written: Written) -> None:
    bad_signature = world.intake.handle(signed_request(webhook(world.clock.now), "guessed", world.clock.now))
    world.secrets.error = refusal("AccessDeniedException")

    answers = [world.intake.handle(invented(world, 1)) for _ in range(3)]

    assert answers == [bad_signature] * 3
    assert written.metrics["SecretAccessDenied"] == [1.0]
    assert all("AccessDeniedException" in check for check in checks(written)[1:])
    assert "arn:" not in written.text


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_a_flood_of_invented_stores_does_not_shut_a_listed_one_out(world: World, code: str) -> None:
    world.table.stores.add(world.store.hash)
    world.secrets.error = refusal(code)
    for number in range(3 * MOST_UNKNOWN):
        assert world.intake.handle(invented(world, number))["statusCode"] == 401
    world.secrets.error = None

    assert world.intake.handle(genuine(world))["statusCode"] == 200


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_without_the_list_a_flood_shuts_nobody_out(world: World, code: str) -> None:
    for number in range(3 * MOST_UNKNOWN):
        world.secrets.error = refusal(code)
        world.intake.handle(invented(world, number))
    world.secrets.error = None
    world.table.error = refusal("InternalServerError")
    world.clock.now += 60

    assert world.intake.handle(genuine(world))["statusCode"] == 200


@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_a_client_secret_in_another_reading_is_named_in_the_log_and_not_in_the_answer(
    world: World, written: Written, prefix: str
) -> None:
    request = genuine(world)
    world.store.client_secret = prefix + base64.b64encode(world.store.client_secret.encode()).decode()
    world.secrets.secrets[SECRET_NAME] = {"AWSCURRENT": secret_text(world.store)}

    answer = world.intake.handle(request)

    assert answer == world.intake.handle(signed_request(webhook(world.clock.now), "guessed", world.clock.now))
    first, second = checks(written)
    assert "decoded from base64" in first
    assert "decoded from base64" not in second
    assert world.store.client_secret not in written.text


def test_a_stale_webhook_is_called_stale_although_the_previous_secret_does_not_match(
    world: World, written: Written
) -> None:
    world.store.client_secret = "rotated"
    world.secrets.put(SECRET_NAME, secret_text(world.store))
    stale = signed_request(webhook(world.clock.now), "rotated", world.clock.now - 400)

    assert world.intake.handle(stale)["statusCode"] == 401
    assert "stale" in checks(written)[0]
