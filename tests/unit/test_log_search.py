"""What an operator types into CloudWatch Logs Insights finds the lines of that situation."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.store.orders import PO_LINE
from support.clock import FakeClock
from support.events import BUYER, ORDER_ID, request, signed_request, webhook
from support.exchange import answer
from support.world import RECORD, RECORDS, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.telemetry import Written


def real_time_world() -> World:
    """The signature library reads the real clock."""
    return World(clock=FakeClock(float(int(time.time()))))


def invalid_payload() -> None:
    world = real_time_world()
    body = webhook(world.clock.now) | {"data": {"type": "order", "id": "none"}}
    world.intake.handle(signed_request(body, world.store.client_secret, world.clock.now))


def forged_webhook() -> None:
    world = real_time_world()
    world.intake.handle(request(json.dumps(webhook(world.clock.now))))


def refused_token() -> None:
    world = World()
    world.place(customer_message=f"{PO_LINE}4711")
    world.exchange.on("POST", RECORDS, *[answer(401, {"code": 401, "data": {}, "meta": {"message": "no"}})] * 2)
    world.create(customerId=BUYER)


def rate_limit_of_the_api() -> None:
    world = World()
    world.place()
    world.exchange.on("POST", RECORDS, answer(429, None, {"Retry-After": "60"}))
    world.create()


def rate_limit_of_the_late_path() -> None:
    world = World()
    world.place()
    world.recover_orders.rate_limit.hold(world.store.hash, 60.0)
    world.put_late()
    world.recover()


def refused_order() -> None:
    world = World()
    world.place(customer_message=f"{PO_LINE}4711")
    world.put_late(customerId=BUYER, poNumber="4711")
    world.exchange.on("GET", RECORD, answer(200, {"code": 200, "data": {"bcOrderId": ORDER_ID}}))
    world.exchange.on("PUT", RECORD, answer(422, {"code": 422, "data": {"errMsg": "No such field."}, "meta": {}}))
    world.recover()


def missed_window() -> None:
    world = World()
    world.place()
    world.create(created_at=world.clock.now - 30)


SEARCHES: dict[str, dict[Callable[[], None], set[str]]] = {
    "invalid": {
        invalid_payload: {"webhook.rejected"},
        forged_webhook: {"webhook.unauthenticated"},
    },
    "unauthorized": {
        forged_webhook: {"webhook.unauthenticated", "webhook.rejected"},
        refused_token: {"order.queued"},
    },
    "rejected": {
        invalid_payload: {"webhook.rejected"},
        forged_webhook: {"webhook.rejected"},
    },
    "throttled": {
        rate_limit_of_the_api: {"attempt.failed"},
        rate_limit_of_the_late_path: {"order.queued"},
    },
    "429": {rate_limit_of_the_api: {"attempt.failed", "order.queued"}},
    "retry": {missed_window: {"order.queued"}, refused_token: {"order.queued"}},
    "late": {missed_window: {"order.queued"}, rate_limit_of_the_late_path: {"order.queued"}},
    "dead": {refused_order: {"order.dead"}},
    str(ORDER_ID): {refused_order: {"order.dead"}, rate_limit_of_the_late_path: {"order.queued"}},
}


@pytest.mark.parametrize(
    ("text", "situation", "events"),
    [(text, situation, events) for text, found in SEARCHES.items() for situation, events in found.items()],
    ids=[f"{text}: {situation.__name__}" for text, found in SEARCHES.items() for situation in found],
)
def test_a_search_finds_the_lines(written: Written, text: str, situation: Callable[[], None], events: set[str]) -> None:
    situation()

    assert events <= {line["event"] for line in written.log if text in json.dumps(line).casefold()}


@pytest.mark.parametrize("text", ["invalid", "unauthorized", "rejected", "throttled", "retry", "dead"])
def test_a_search_finds_nothing_when_all_is_well(written: Written, text: str) -> None:
    world = World()
    world.place(customer_message=f"{PO_LINE}4711")

    world.create()

    assert not [line for line in written.log if text in json.dumps(line).casefold()]
