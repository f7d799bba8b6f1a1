"""Dead letters are read, moved and deleted in batches, and whatever SQS does, none is lost."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.order_event import OrderEvent
from relay.dead_letters import DeadLetter, DeadLetters
from relay.selection import OTHER_SCOPE, Selection
from support.dead_letters import DEAD, DIED_AT, LATE, Queues, letter


def dead_letters(queues: Queues) -> DeadLetters:
    sqs: Any = queues
    return DeadLetters(sqs, DEAD, itertools.count().__next__)


def redrive(queues: Queues, selection: Selection = Selection()) -> list[tuple[int | None, str]]:  # noqa: B008  frozen
    queue = dead_letters(queues)
    with queue.held() as letters:
        chosen = [dead for dead in letters if dead.is_in(selection)]
        return [(dead.order, result) for dead, result in queue.move(chosen, LATE)]


def test_a_large_queue_is_read_whole_and_each_letter_once() -> None:
    queues = Queues(delivered_twice=True)
    for order in range(1, 138):
        queues.put(DEAD, letter(order))

    with dead_letters(queues).held() as letters:
        assert sorted(dead.order or 0 for dead in letters) == list(range(1, 138))
        assert len(queues.hidden) == 137

    assert queues.hidden == set()


def test_letters_are_visible_again_even_when_the_work_on_them_fails() -> None:
    queues = Queues()
    queues.put(DEAD, letter(1))

    with pytest.raises(RuntimeError), dead_letters(queues).held():
        raise RuntimeError

    assert queues.hidden == set()


def test_reading_stops_when_it_takes_too_long_and_says_so() -> None:
    queues = Queues()
    for order in range(1, 5000):
        queues.put(DEAD, letter(order))
    queue = dead_letters(queues)

    with queue.held() as letters:
        assert 0 < len(letters) < 4999
    assert not queue.complete
    assert len(queues.bodies[DEAD]) == 4999


def test_redriven_letters_are_in_the_other_queue_word_for_word() -> None:
    queues = Queues()
    bodies = [letter(order) for order in range(1, 26)]
    for body in bodies:
        queues.put(DEAD, body)

    assert redrive(queues) == [(order, "") for order in range(1, 26)]
    assert sorted(queues.bodies[LATE].values()) == sorted(bodies)
    assert queues.bodies[DEAD] == {}


def test_a_letter_that_cannot_be_sent_stays_and_the_others_go() -> None:
    queues = Queues(refused_bodies={letter(2)})
    for order in (1, 2, 3):
        queues.put(DEAD, letter(order))

    results = dict(redrive(queues))

    assert (results[1], results[3]) == ("", "")
    assert results[2] == "not moved: SQS refused (InternalError)"
    assert list(queues.bodies[DEAD].values()) == [letter(2)]


def test_a_batch_that_is_too_long_is_sent_one_by_one() -> None:
    queues = Queues(longest_batch=1)
    for order in (1, 2, 3):
        queues.put(DEAD, letter(order))

    assert [result for _, result in redrive(queues)] == ["", "", ""]
    assert len(queues.bodies[LATE]) == 3


def test_a_letter_that_was_sent_and_cannot_be_deleted_is_told_of() -> None:
    queues = Queues(down_for={"delete"})
    queues.put(DEAD, letter(1))

    assert redrive(queues) == [(1, "moved, but a copy could not be deleted (ClientError)")]


bodies_and_trouble = st.lists(
    st.tuples(st.integers(1, 10**6), st.booleans(), st.booleans()), unique_by=lambda row: row[0], max_size=40
)


@given(bodies_and_trouble, st.sets(st.sampled_from(["send", "delete"])), st.sampled_from([1, 3, 10]))
def test_no_letter_is_ever_lost(rows: list[tuple[int, bool, bool]], down: set[str], longest: int) -> None:
    queues = Queues(down_for=down, longest_batch=longest)
    for order, refused, undeletable in rows:
        name = queues.put(DEAD, letter(order))
        if refused:
            queues.refused_bodies.add(letter(order))
        if undeletable:
            queues.undeletable.add(name)

    results = redrive(queues)

    everywhere = [*queues.bodies[DEAD].values(), *queues.bodies[LATE].values()]
    assert {letter(order) for order, *_ in rows} == set(everywhere)
    moved = {order for order, result in results if not result}
    assert moved == {order for order, *_ in rows} - {
        json.loads(b)["order"]["data"]["id"] for b in queues.bodies[DEAD].values()
    }
    assert queues.hidden & queues.bodies[DEAD].keys() == set()


def dead(body: str, **attributes: Any) -> DeadLetter:
    return DeadLetter.of(
        {
            "MessageId": "m",
            "ReceiptHandle": "r",
            "Body": body,
            "Attributes": {"SentTimestamp": str(int(DIED_AT * 1000))},
            "MessageAttributes": attributes,
        }
    )


def test_every_shape_of_letter_has_its_store_order_and_cause() -> None:
    detail = OrderEvent("abc123", 7, DIED_AT, "x").as_detail()
    event = {"detail-type": "bigCommerceWebhook", "detail": detail}
    crashed = {"requestPayload": event, "requestContext": {"condition": "RetriesExhausted"}}

    shapes = [dead(letter(7)), dead(json.dumps(event)), dead(json.dumps(crashed))]

    assert [(d.store, d.order, d.cause) for d in shapes] == [
        ("abc123", 7, "unauthorized"),
        ("abc123", 7, "not_delivered"),
        ("abc123", 7, "function_failed"),
    ]


def test_what_cannot_be_read_keeps_the_reason_that_was_sent_along() -> None:
    unread = dead("no json", reason={"DataType": "String", "StringValue": "unreadable: the detail was a list"})

    assert (unread.store, unread.order, unread.cause, unread.detail) == (
        "",
        None,
        "unreadable",
        "the detail was a list",
    )


def test_an_event_of_another_scope_is_known_for_that() -> None:
    detail = OrderEvent("abc123", 7, DIED_AT, "x").as_detail() | {"scope": "store/order/updated"}

    assert dead(json.dumps({"detail-type": "x", "detail": detail})).cause == OTHER_SCOPE


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(store="abc123", orders=(7, 8), cause="unauthorized", ids=("m",)), True),
        (Selection(store="other"), False),
        (Selection(orders=(8,)), False),
        (Selection(cause="api_refused"), False),
        (Selection(ids=("another",)), False),
        (Selection(until=DIED_AT + 50), True),
        (Selection(until=DIED_AT - 50), False),
        (Selection(since=DIED_AT - 50), True),
        (Selection(since=DIED_AT + 50), False),
    ],
)
def test_letters_are_selected_by_store_order_cause_id_and_age(selection: Selection, taken: bool) -> None:
    assert dead(letter(7)).is_in(selection) is taken
