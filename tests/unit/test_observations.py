"""What an outcome's log line tells of the way to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from handler.enrichment import Rules
from handler.observations import MOST_CALLS, observe_call, observed, observing
from sandbox.store.orders import PO_LINE
from support.clock import NOON, FakeClock
from support.events import signed_request, webhook
from support.exchange import answer, hang
from support.world import LOOK_UP, RECORD, RECORDS, World

if TYPE_CHECKING:
    from support.telemetry import Written

EXISTS = {"code": 400, "data": [], "meta": {"message": "The order already exists."}}
RULES = """
[all]
po_number = "po_number(customer_message)"
[all.extra_fields]
"Team" = "external_order_id"
"Nobody" = "nothing"
"Broken" = "first_match(id, 'x')"
"""


def outcome_line(written: Written) -> dict[str, Any]:
    [line] = [line for line in written.log if "outcome" in line]
    return line


def shapes(written: Written) -> list[tuple[str, int | None, str]]:
    return [(call["endpoint"], call.get("status"), call["shape"]) for call in outcome_line(written)["calls"]]


def test_a_created_order_tells_of_its_calls_and_when_they_were_made(written: Written) -> None:
    world = World()
    world.place(customer_message=f"{PO_LINE}1")
    world.clock.advance(2.0)

    world.create(created_at=NOON)

    assert outcome_line(written)["calls"] == [
        {"endpoint": "core.get_order", "status": 200, "shape": "api", "ms": 50, "age": 2.0, "remaining": 149},
        {"endpoint": "b2b.create", "status": 200, "shape": "api", "ms": 50, "age": 2.05, "remaining": 149},
    ]
    assert not outcome_line(written).keys() & {"rules_failed", "rules_empty"}


def test_every_attempt_is_told_of_with_the_shape_of_its_answer(written: Written) -> None:
    world = World()
    world.place()
    world.exchange.on("GET", LOOK_UP, answer(404, [{"status": 404, "message": "no"}]), answer(404, b"<html>"))
    world.exchange.on("POST", RECORDS, answer(503, b""), answer(200, b"fine"), answer(200, {"hello": 1}))

    world.create()

    assert shapes(written) == [
        ("core.get_order", 404, "api"),
        ("core.get_order", 404, "html"),
        ("core.get_order", 200, "api"),
        ("b2b.create", 503, "empty"),
        ("b2b.create", 200, "text"),
        ("b2b.get", 404, "api"),
        ("b2b.create", 200, "json"),
        ("b2b.get", 404, "api"),
        ("b2b.create", 200, "api"),
    ]


def test_a_call_without_an_answer_has_no_status(written: Written) -> None:
    world = World()
    world.place()
    world.exchange.on("GET", LOOK_UP, hang())

    world.create()

    assert shapes(written)[0] == ("core.get_order", None, "none")


def test_a_code_in_the_body_that_contradicts_the_status_is_the_status(written: Written) -> None:
    world = World()
    world.place()
    world.exchange.on("POST", RECORDS, answer(200, EXISTS))

    world.create()

    assert ("b2b.create", 400, "api") in shapes(written)


def test_the_headers_of_the_rate_limit_are_told_of_as_numbers(written: Written) -> None:
    world = World()
    world.place()
    world.exchange.on(
        "POST",
        RECORDS,
        answer(429, None, {"X-Requests-Remaining": "0 times", "X-Request-Window-Resets-After": "0.39 s"}),
        answer(200, {"code": 200, "data": {}}, {"X-Requests-Remaining": "149 times"}),
    )

    world.create()

    refused, created = outcome_line(written)["calls"][1:]
    assert (refused["remaining"], refused["resets"]) == (0, {"x-request-window-resets-after": 0.39})
    assert created["remaining"] == 149
    assert "resets" not in created


def test_the_line_says_what_the_rules_found_and_never_the_values(written: Written) -> None:
    world = World(rules=Rules.parse(RULES))
    world.place(customer_message=f"{PO_LINE}PO-SECRET-1", external_order_id="")

    world.create()

    line = outcome_line(written)
    assert (line["po_number_found"], line["extra_fields_found"]) == (True, 0)
    assert line["rules_failed"] == ["all.extra_fields.Broken"]
    assert line["rules_empty"] == ["all.extra_fields.Team", "all.extra_fields.Nobody"]
    assert "PO-SECRET-1" not in written.text


@pytest.mark.parametrize("status", [422, 503])
def test_late_and_dead_orders_tell_of_their_calls_too(written: Written, status: int) -> None:
    world = World()
    world.place()
    world.exchange.always("POST", RECORDS, answer(status, {"code": status, "data": {}, "meta": {"message": "no"}}))

    world.create()

    assert ("b2b.create", status, "api" if status == 422 else "json") in shapes(written)


def test_each_late_order_of_a_batch_tells_of_its_own_calls(written: Written) -> None:
    world = World()
    world.place()
    for number in (251, 252):
        world.place(order_id=number)
        world.put_late(data={"type": "order", "id": number})
    world.exchange.always("GET", RECORD, answer(404, {"code": 404, "data": {}, "meta": {"message": "no"}}))

    world.recover()

    lines = [line for line in written.log if "outcome" in line]
    assert [(line["order"], line["retried"]) for line in lines] == [(251, True), (252, True)]
    assert [[call["endpoint"] for call in line["calls"]] for line in lines] == [["core.get_order", "b2b.get"]] * 2


def test_nothing_is_kept_outside_of_an_order() -> None:
    observe_call(NOON, {"endpoint": "core.hooks"})

    assert observed() == {}
    with observing(NOON):
        assert observed() == {}


def test_an_order_with_very_many_calls_tells_of_the_first_ones() -> None:
    with observing(NOON):
        for second in range(MOST_CALLS + 5):
            observe_call(NOON + second, {"endpoint": "b2b.get"})

        assert [call["age"] for call in observed()["calls"]] == list(range(MOST_CALLS))


def webhook_to(world: World, *, after_seconds: float) -> dict[str, Any]:
    """A signed webhook of an order that was created so long before."""
    world.clock.advance(after_seconds)
    return signed_request(webhook(world.clock.now - after_seconds), world.store.client_secret, world.clock.now)


def test_a_webhook_tells_how_old_the_order_is_and_how_long_the_answer_took(written: Written) -> None:
    world = World(clock=FakeClock(float(int(time.time()))))

    assert world.intake.handle(webhook_to(world, after_seconds=1.5))["statusCode"] == 200

    [line] = [line for line in written.log if line.get("metric") == "WebhookAccepted"]
    assert (line["age_seconds"], line["ms"]) == (1.5, 0)


def test_an_order_that_the_bus_refused_has_an_outcome_line(written: Written) -> None:
    world = World(clock=FakeClock(float(int(time.time()))))
    world.bus.refusal_code = "InternalFailure"

    world.intake.handle(webhook_to(world, after_seconds=1.0))

    assert (outcome_line(written)["outcome"], outcome_line(written)["cause"]) == ("late", "bus_refused")
