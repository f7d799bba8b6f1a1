"""What stands in the queues, and that it is read back whatever its shape."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import Cause, IgnoredScope, MalformedEvent
from handler.order_event import LARGEST_ID, LONGEST_VALUE, OrderEvent, parse_detail
from handler.queues import Letter, Queues, read_letter
from support.aws import DEAD_LETTER_URL, RECOVERY_URL, FakeSqs, refusal
from support.clock import NOON, FakeClock
from support.events import ORDER_ID, bus_event, webhook

SENT_AT = NOON + 60
IDS = st.integers(1, LARGEST_ID)
TEXTS = st.text(min_size=1, max_size=40).map(str.strip).filter(bool) | st.just("x" * LONGEST_VALUE)
EVENTS = st.builds(
    OrderEvent,
    store_hash=st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True),
    order_id=IDS,
    created_at=st.floats(0, NOON),
    correlation_id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    customer_id=st.none() | st.integers(0, LARGEST_ID),
    po_number=st.none() | TEXTS,
    extra_fields=st.dictionaries(st.text(min_size=1, max_size=20), TEXTS, max_size=4).map(lambda f: tuple(f.items())),
)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sqs = FakeSqs(self.clock)
        self.queues = Queues(lambda: cast("Any", self.sqs), RECOVERY_URL, DEAD_LETTER_URL, self.clock)
        self.event = parse_detail(webhook(NOON), NOON)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "7", "{}", "{", '{"order": 7}', '{"requestPayload": {}}'])
def test_what_is_no_message_of_any_known_shape_is_malformed(text: str) -> None:
    with pytest.raises(MalformedEvent):
        read_letter(text, SENT_AT)


def test_an_event_of_another_scope_is_told_apart_in_every_shape() -> None:
    other = webhook(NOON, scope="store/order/updated")
    for message in (bus_event(other), {"requestPayload": bus_event(other)}, {"order": other}):
        with pytest.raises(IgnoredScope):
            read_letter(json.dumps(message), SENT_AT)


def test_an_on_failure_record_says_why_lambda_gave_up() -> None:
    record = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": bus_event(webhook(NOON))}

    letter = read_letter(json.dumps(record), SENT_AT)

    assert (letter.event.order_id, letter.cause, letter.detail) == (ORDER_ID, Cause.FUNCTION_FAILED, "RetriesExhausted")


def test_an_on_failure_record_without_a_context_is_read_too() -> None:
    record = {"requestContext": None, "requestPayload": bus_event(webhook(NOON))}

    assert read_letter(json.dumps(record), SENT_AT).detail == "failure"


def test_a_rules_own_dead_letter_is_read() -> None:
    letter = read_letter(json.dumps(bus_event(webhook(NOON))), SENT_AT)

    assert (letter.event.order_id, letter.cause) == (ORDER_ID, Cause.NOT_DELIVERED)


def test_an_event_without_a_date_is_as_old_as_its_time_and_not_as_its_message() -> None:
    detail = webhook(NOON)
    del detail["created_at"]
    event = bus_event(detail) | {"time": "2026-07-25T17:20:00Z"}

    assert read_letter(json.dumps(event), SENT_AT).event.created_at == NOON


@pytest.mark.parametrize("reason", [None, "why", {}, {"cause": "no such cause", "failed_at": "yesterday"}])
def test_a_message_with_an_odd_reason_is_still_an_order(reason: Any) -> None:
    letter = read_letter(json.dumps({"order": webhook(NOON), "reason": reason}), SENT_AT)

    assert (letter.event.order_id, letter.cause, letter.failed_at) == (ORDER_ID, Cause.UNREADABLE, SENT_AT)


@given(EVENTS, st.sampled_from(Cause), st.text(max_size=40), st.floats(0, NOON))
def test_what_is_written_is_read_back(event: OrderEvent, cause: Cause, detail: str, failed_at: float) -> None:
    letter = Letter(event, cause, detail, round(failed_at, 3))

    assert read_letter(letter.as_body(), SENT_AT) == letter


@given(EVENTS)
def test_an_event_survives_being_put_on_a_bus(event: OrderEvent) -> None:
    assert parse_detail(event.as_detail(), SENT_AT) == event


@pytest.mark.parametrize(("seconds", "delay"), [(0.0, 0), (-3.0, 0), (5.4, 5), (899.6, 900), (1e9, 900)])
def test_a_delay_is_what_sqs_takes(world: World, seconds: float, delay: int) -> None:
    world.queues.send_late(world.event, Cause.WINDOW_MISSED, "", seconds)

    assert world.sqs.queues[RECOVERY_URL][0].delay_seconds == delay


def test_an_order_is_buried_with_its_reason(world: World) -> None:
    world.queues.dead_letter(world.event, Cause.API_REFUSED, "no such field")

    letter = read_letter(world.sqs.queues[DEAD_LETTER_URL][0].body, SENT_AT)
    assert letter == Letter(world.event, Cause.API_REFUSED, "no such field", NOON)


def test_what_cannot_be_read_is_buried_as_it_is_with_the_reason_beside_it(world: World) -> None:
    world.queues.dead_letter_unread("?", "not JSON")

    [message] = world.sqs.queues[DEAD_LETTER_URL]
    assert message.body == "?"
    assert message.attributes["reason"]["StringValue"] == "unreadable: not JSON"


def test_a_queue_that_refuses_is_not_kept_quiet(world: World) -> None:
    world.sqs.errors.append(refusal("ServiceUnavailable"))

    with pytest.raises(type(refusal("x"))):
        world.queues.dead_letter(world.event, Cause.API_REFUSED, "")
