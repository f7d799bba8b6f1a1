"""Dead letters as an operator selects, redrives and deletes them: with moto's table and queues."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.outcomes import Dead, Late
from handler.queues import Letter, Queues
from relay import failed
from relay.errors import CliError
from support.clock import FakeClock
from support.relay import context_without_stores
from unit.test_relay_late import everything, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.context import Context

NOW = float(int(time.time()))
EVENT = OrderEvent("abc123", 101, NOW - 60, "x")


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.now = NOW
    return clock


@pytest.fixture
def context(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """Four dead letters: two refused, one given up, one that nobody can read."""
    with context_without_stores(clock, monkeypatch) as context:
        context.stores.note("abc123")
        queues = Queues(lambda: context.sqs, "", context.settings.dead_letter_queue_url, clock)
        for order, cause in ((101, Cause.API_REFUSED), (102, Cause.API_REFUSED), (103, Cause.NO_ANSWER)):
            queues.dead_letter(replace(EVENT, order_id=order), cause, "in words")
        queues.dead_letter_unread("{}", "not a message of the relay")
        yield context


def selected(**given: Any) -> dict[str, Any]:
    return everything(message_id=None) | given


def dead(context: Context) -> int:
    queue = context.sqs.get_queue_attributes(
        QueueUrl=context.settings.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(queue["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.parametrize("command", [failed.redrive, failed.drop])
def test_without_a_selection_nothing_is_touched(context: Context, command: Callable[..., bool]) -> None:
    for options in (selected(everything=False), selected(everything=True, cause="unreadable")):
        with pytest.raises(typer.BadParameter, match="--all"):
            command(context, **options)

    assert dead(context) == 4


@pytest.mark.parametrize("command", [failed.redrive, failed.drop])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": "nosuch"}, "There is no store nosuch."),
        ({"order": [999]}, r"No dead letters match the filter \(4 in all\)"),
        ({"older_than": "1h"}, r"No dead letters match the filter \(4 in all\)"),
    ],
)
def test_a_selection_that_matches_nothing_is_an_error(
    context: Context, command: Callable[..., bool], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(CliError, match=message):
        command(context, **selected(everything=False) | given)

    assert dead(context) == 4


def test_a_list_that_matches_nothing_says_how_many_there_are(context: Context, learns: Callable[..., Any]) -> None:
    answer = learns(failed.list_failed, context, **selected(older_than="1h"))

    assert (answer["count"], answer["in_all"], answer["well"]) == (0, 4, False)
    with pytest.raises(CliError, match="no store nosuch"):
        failed.list_failed(context, **selected(store="nosuch"))


def test_each_group_names_its_mend(context: Context, learns: Callable[..., Any]) -> None:
    groups = {group["cause"]: group["fix"] for group in learns(failed.list_failed, context, **selected())["groups"]}

    assert groups["api_refused"].endswith("relay failed redrive --store abc123 --cause api_refused")
    assert groups["no_answer"].endswith("relay failed redrive --store abc123 --order 103")
    assert "relay failed drop --id " in groups["unreadable"]


def test_an_unreadable_message_is_named_by_its_id(context: Context, learns: Callable[..., Any]) -> None:
    [letter] = learns(failed.list_failed, context, **selected(cause="unreadable"))["letters"]

    answer = learns(failed.drop, context, **selected(message_id=[letter["message_id"]], everything=False), yes=True)

    assert (answer["count"], dead(context)) == (1, 3)


def test_a_redrive_of_all_passes_over_what_it_cannot_help(context: Context, learns: Callable[..., Any]) -> None:
    answer = learns(failed.redrive, context, **selected(everything=True))

    assert sorted(letter["order"] for letter in answer["letters"]) == [101, 102, 103]
    assert dead(context) == 1


def test_a_redrive_can_wait_for_what_becomes_of_each_order(
    context: Context, clock: FakeClock, learns: Callable[..., Any]
) -> None:
    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        finish(context, EVENT)
        letter = Letter(replace(EVENT, order_id=102), Cause.API_REFUSED, "still no", clock.now)
        context.order_notes.note(letter.event, Dead(Cause.API_REFUSED, "still no"), letter)
        context.order_notes.note(replace(EVENT, order_id=103), Late(Cause.NO_ANSWER, "timed out"))

    answer = learns(failed.redrive, replace(context, sleep=sleep), **selected(everything=True), wait=True, for_="1m")

    assert {letter["order"]: letter["result"] for letter in answer["letters"]} == {
        101: "finished",
        102: "dead letter again: api_refused: still no",
        103: "still waiting: no_answer: timed out",
    }
    assert (answer["count"], answer["not_done"]) == (1, 2)
    assert answer["well"] is False
    assert clock.now <= NOW + 62


def test_a_letter_that_is_not_there_is_not_sent_to_where_it_was_looked_for(context: Context) -> None:
    with pytest.raises(CliError, match=r"no dead letter of order 114 \(4 in all\)") as error:
        failed.show(context, "114")

    assert error.value.fix == "List them: relay failed list"
