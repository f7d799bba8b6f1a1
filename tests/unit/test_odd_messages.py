"""Messages that nobody meant to send: each is an order, or told apart, and never the end of its whole batch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.errors import Cause, IgnoredScope, MalformedEvent
from handler.order_event import event_time, parse_bus_event
from handler.queues import Letter, read_letter
from support.aws import RECOVERY_URL
from support.clock import NOON
from support.events import ORDER_ID, STORE_HASH, bus_event, webhook
from support.world import World

if TYPE_CHECKING:
    from support.telemetry import Written

SENT_AT = NOON + 60
HUGE = int("9" * 400)
"""JSON has integers that no float holds."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(HUGE)
    | st.floats(allow_nan=False, allow_infinity=False)
    # What is no unpaired surrogate: those are refused before anything is looked at.
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(["1900-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31", "window_missed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cause", "detail", "failed_at", "condition", "time", "payload", "scope", "data", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@pytest.fixture
def world() -> World:
    return World()


def undated() -> dict[str, Any]:
    detail = webhook(NOON)
    del detail["created_at"]
    return detail


ODD = {
    "an on-failure record with a list for a context": {
        "requestContext": ["?"],
        "requestPayload": bus_event(webhook(NOON)),
    },
    "an on-failure record with a text for a context": {
        "requestContext": "?",
        "requestPayload": bus_event(webhook(NOON)),
    },
    "a reason with a moment that no float holds": {"order": webhook(NOON), "reason": {"failed_at": HUGE}},
    "a reason with a text for a moment": {"order": webhook(NOON), "reason": {"failed_at": "nan"}},
    "a reason with a list for a cause": {"order": webhook(NOON), "reason": {"cause": ["?"]}},
    "an event from before 1970": bus_event(undated()) | {"time": "1900-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("message", ODD.values(), ids=ODD)
def test_an_odd_message_with_a_whole_order_in_it_is_that_order(message: Any) -> None:
    letter = read_letter(json.dumps(message), SENT_AT)

    assert letter.event.order_id == ORDER_ID
    assert letter.failed_at == SENT_AT
    assert read_letter(letter.as_body(), SENT_AT) == replace(letter, undelivered=False)


@pytest.mark.parametrize("message", ODD.values(), ids=ODD)
def test_an_odd_message_does_not_stop_the_others_of_its_batch(world: World, message: Any) -> None:
    world.place(automatic_record_after=0.0)
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps(message))
    world.put_late()

    world.recover()

    assert world.waiting == []
    assert world.dead == []
    assert world.idempotency.done == {(STORE_HASH, ORDER_ID)}


def test_a_batch_of_messages_that_nobody_understands_is_buried_message_by_message(
    world: World, written: Written
) -> None:
    bodies = ["", "null", "{}", '{"order": {}}', '{"requestPayload": {"detail": 1}}', "\x00", "[[[["]
    for body in bodies:
        world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=body)

    world.recover()

    assert world.waiting == []
    assert [letter.body for letter in world.dead] == bodies
    assert written.metrics == {"OrderDead": [1.0] * len(bodies)}


@settings(max_examples=300)
@given(JSON, JSON, st.sampled_from(["own", "on-failure", "rule"]))
def test_whatever_stands_around_an_order_it_is_read_or_told_apart_and_can_be_written_again(
    around: Any, detail: Any, shape: str
) -> None:
    order = detail if isinstance(detail, dict) and "payload" in detail else undated()
    message = {
        "own": {"order": order, "reason": around},
        "on-failure": {"requestContext": around, "requestPayload": {"detail": order, "time": around}},
        "rule": {"detail-type": around, "detail": order, "time": around},
    }[shape]
    try:
        letter = read_letter(json.dumps(message), SENT_AT)
    except (MalformedEvent, IgnoredScope):
        return

    again = read_letter(letter.as_body(), SENT_AT)
    assert (again.event, again.cause, again.detail) == (letter.event, letter.cause, letter.detail)
    assert again.failed_at == pytest.approx(letter.failed_at, abs=0.001)


@given(st.text(max_size=80) | JSON.map(json.dumps))
def test_a_message_of_any_text_is_malformed_or_of_another_scope(body: str) -> None:
    with pytest.raises((MalformedEvent, IgnoredScope)):
        read_letter(body, SENT_AT)


@given(JSON | st.datetimes().map(str) | st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}"))
def test_whatever_time_a_bus_event_claims_its_order_can_be_handed_over_and_read_again(time: Any) -> None:
    claimed = bus_event(undated()) | {"time": time}

    event = parse_bus_event(claimed, event_time(claimed, NOON))

    assert 0 <= event.created_at <= NOON
    assert read_letter(Letter(event, Cause.WINDOW_MISSED, "", NOON).as_body(), SENT_AT).event == event
