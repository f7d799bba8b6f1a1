"""Late orders are found by their notes, made visible with the noted receipt, and dropped: with moto's table and queues."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer

from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.outcomes import Created, Dead, Duplicate, Late
from handler.queues import Letter, Queues
from handler.table.idempotency import OrderIdempotency
from handler.table.keys import order_id
from handler.table.order_notes import Attempt, OrderNotes
from relay import late, late_orders
from relay.selection import Selection
from relay.status import status
from relay.timespan import iso
from relay.trouble import Trouble
from support.aws import FakeContext
from support.clock import FakeClock
from support.notes import note_failure
from support.relay import TABLE, desk_without_stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.desk import Desk

NOW = float(int(time.time()))
"""Powertools has no clock but the machine's."""

EVENT = OrderEvent("abc123", 101, NOW - 60, "x")
WITH_VALUES = replace(EVENT, po_number="PO-1")


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.now = NOW
    return clock


@pytest.fixture
def desk(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk_without_stores(clock, monkeypatch) as desk:
        yield desk


def everything(**given: Any) -> dict[str, Any]:
    """The options of a selection, none of them given but these."""
    none: dict[str, Any] = dict.fromkeys(("store", "order", "cause", "since", "older_than"))
    return none | given


def once(desk: Desk) -> OrderIdempotency:
    return OrderIdempotency(TABLE, desk.dynamodb, 35)


def finish(desk: Desk, event: OrderEvent) -> Any:
    return once(desk).run(event, lambda _: Created(1.0, 9.0), cast("Any", FakeContext(lambda: 0.0)))


def wait_hidden(desk: Desk, event: OrderEvent) -> str:
    """Puts the order's message into the recovery queue and receives it; answers the receipt handle."""
    url = desk.settings.recovery_queue_url
    Queues(lambda: desk.sqs, url, url, desk.clock).send_late(event, Cause.NO_ANSWER, "timed out")
    [message] = desk.sqs.receive_message(QueueUrl=url, VisibilityTimeout=3600)["Messages"]
    return message["ReceiptHandle"]


def visible(desk: Desk) -> list[int]:
    messages = desk.sqs.receive_message(
        QueueUrl=desk.settings.recovery_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    ).get("Messages", [])
    return [json.loads(message["Body"])["order"]["data"]["id"] for message in messages]


def fails(order_notes: OrderNotes, event: OrderEvent, cause: Cause, receipt: str = "receipt") -> None:
    note_failure(order_notes, event, cause, Attempt(receipt, 1.0, 0.0, NOW + 3600))


# --- found --------------------------------------------------------------------------------------------------------


def test_late_orders_are_listed_with_causes_tries_and_times(
    desk: Desk, clock: FakeClock, learns: Callable[..., Any]
) -> None:
    desk.order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "the window had closed"))
    clock.advance(10)
    fails(desk.order_notes, EVENT, Cause.UNAUTHORISED)
    fails(desk.order_notes, EVENT, Cause.UNAUTHORISED)

    answer = learns(late.list_late, desk, **everything())

    assert answer["orders"] == [
        {
            "store": "abc123",
            "order": 101,
            "as": "Late",
            "first_cause": "window_missed",
            "first_detail": "the window had closed",
            "late_since": iso(NOW),
            "cause": "unauthorised",
            "detail": "in words",
            "at": iso(NOW + 10),
            "tries": 2,
            "next_try_at": iso(NOW + 10 + 15),
            "give_up_at": iso(NOW + 3600),
        }
    ]
    assert (answer["count"], answer["in_all"], answer["well"]) == (1, 1, True)


def test_finished_dead_and_forgotten_orders_are_not_late(desk: Desk, clock: FakeClock) -> None:
    for order in (1, 2, 3):
        desk.order_notes.note(replace(EVENT, order_id=order), Late(Cause.NO_ANSWER, "timed out"))
    finish(desk, replace(EVENT, order_id=1))
    letter = Letter(replace(EVENT, order_id=2), Cause.API_REFUSED, "no", NOW)
    desk.order_notes.note(letter.event, Dead(Cause.API_REFUSED, "no"), letter)

    assert [note.order for note in late_orders.late_orders(desk)] == [3]
    clock.advance(36 * 86_400)
    assert late_orders.late_orders(desk) == []


def test_values_that_come_after_an_order_was_finished_are_late_of_their_own(desk: Desk) -> None:
    finish(desk, EVENT)
    fails(desk.order_notes, WITH_VALUES, Cause.NO_ANSWER)

    [note] = late_orders.late_orders(desk)

    assert note.values_digest == WITH_VALUES.values_digest
    finish(desk, WITH_VALUES)
    assert late_orders.late_orders(desk) == []


def test_thousands_of_late_orders_are_found(desk: Desk) -> None:
    item = {
        "outcome": {"S": "Late"}, "cause": {"S": "no_answer"}, "detail": {"S": "x" * 900}, "at": {"N": "1"},
        "expiration": {"N": str(int(NOW) + 1)},
    }  # fmt: skip
    for first in range(0, 2000, 25):
        puts: Any = [
            {"PutRequest": {"Item": item | {"id": {"S": f"journal#abc123/{order}"}}}}
            for order in range(first, first + 25)
        ]
        desk.dynamodb.batch_write_item(RequestItems={TABLE: puts})
    looked_at: list[int] = []

    assert len(late_orders.late_orders(desk, looked_at.append)) == 2000
    assert len(looked_at) > 1
    assert looked_at[-1] == 2000


def test_a_filter_that_matches_nothing_is_not_taken_for_an_empty_queue(desk: Desk, learns: Callable[..., Any]) -> None:
    assert learns(late.list_late, desk, **everything(cause="unauthorised"))["well"] is True
    desk.order_notes.note(EVENT, Late(Cause.NO_ANSWER, "timed out"))

    answer = learns(late.list_late, desk, **everything(cause="unauthorised"))

    assert (answer["count"], answer["in_all"], answer["well"]) == (0, 1, False)
    with pytest.raises(Trouble, match=r"No late orders match the filter \(1 in all\)"):
        late.retry(desk, **everything(cause="unauthorised", everything=False))


def test_a_store_that_does_not_exist_is_named(desk: Desk) -> None:
    desk.stores.note("abc123")

    with pytest.raises(Trouble, match="no store nosuch") as error:
        late.list_late(desk, **everything(store="nosuch"))

    assert error.value.mend == "The stores: abc123"


@pytest.mark.parametrize("command", [late.retry, late.drop])
def test_what_changes_orders_wants_a_selection_or_all_and_not_both(desk: Desk, command: Callable[..., bool]) -> None:
    for options in (everything(everything=False), everything(everything=True, store="abc123")):
        with pytest.raises(typer.BadParameter, match="--all"):
            command(desk, **options)


# --- retried ------------------------------------------------------------------------------------------------------


def test_a_retried_order_is_visible_at_once_and_there_once(desk: Desk, learns: Callable[..., Any]) -> None:
    fails(desk.order_notes, EVENT, Cause.UNAUTHORISED, wait_hidden(desk, EVENT))
    other = replace(EVENT, order_id=102)
    fails(desk.order_notes, other, Cause.NO_ANSWER, wait_hidden(desk, other))
    assert visible(desk) == []

    dry = learns(late.retry, desk, **everything(cause="unauthorised", everything=False), dry_run=True)
    assert (dry["count"], visible(desk)) == (1, [])
    answer = learns(late.retry, desk, **everything(cause="unauthorised", everything=False))

    assert [order["fate"] for order in answer["orders"]] == ["tried at once"]
    assert visible(desk) == [101]


def test_more_orders_than_sqs_takes_at_once_are_retried(desk: Desk) -> None:
    for order in range(1, 24):
        event = replace(EVENT, order_id=order)
        fails(desk.order_notes, event, Cause.NO_ANSWER, wait_hidden(desk, event))

    assert {fate for _, fate in late_orders.make_visible(desk, late_orders.late_orders(desk))} == {""}
    queue = desk.sqs.get_queue_attributes(
        QueueUrl=desk.settings.recovery_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert queue["Attributes"]["ApproximateNumberOfMessages"] == "23"


def test_an_order_whose_message_is_not_hidden_is_due_anyway(desk: Desk) -> None:
    receipt = wait_hidden(desk, EVENT)
    desk.sqs.change_message_visibility(
        QueueUrl=desk.settings.recovery_queue_url, ReceiptHandle=receipt, VisibilityTimeout=0
    )
    fails(desk.order_notes, EVENT, Cause.NO_ANSWER, receipt)
    fresh = replace(EVENT, order_id=102)
    desk.order_notes.note(fresh, Late(Cause.NO_ANSWER, "timed out"))

    fates = {note.order: fate for note, fate in late_orders.make_visible(desk, late_orders.late_orders(desk))}

    assert fates[102] == "its first try is due"
    assert visible(desk) == [101]


class Refusing:
    """SQS that refuses each entry with a code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def change_message_visibility_batch(self, *, Entries: list[Any], **_: Any) -> Any:  # noqa: N803  boto3's name
        return {"Failed": [{"Id": entry["Id"], "Code": self.code} for entry in Entries]}


@pytest.mark.parametrize(
    ("code", "well"),
    [("AWS.SimpleQueueService.MessageNotInflight", True), ("ReceiptHandleIsInvalid", True), ("InternalError", False)],
)
def test_only_what_sqs_could_not_do_is_a_failure(
    desk: Desk, learns: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, code: str, *, well: bool
) -> None:
    fails(desk.order_notes, EVENT, Cause.NO_ANSWER)
    monkeypatch.setitem(desk.__dict__, "sqs", Refusing(code))

    answer = learns(late.retry, desk, **everything(everything=True))

    assert answer["well"] is well
    assert (answer["orders"][0]["fate"] == "it is due, or being tried right now") is well


# --- dropped ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [EVENT, WITH_VALUES])
def test_a_dropped_order_is_a_duplicate_at_its_next_try_which_is_at_once(
    desk: Desk, learns: Callable[..., Any], event: OrderEvent
) -> None:
    fails(desk.order_notes, event, Cause.NO_ANSWER, wait_hidden(desk, event))

    answer = learns(late.drop, desk, **everything(order=[101], everything=False), yes=True)

    assert [order["fate"] for order in answer["orders"]] == ["dropped"]
    assert visible(desk) == [101]
    for again in (event, EVENT):
        assert finish(desk, again) == Duplicate()
    assert late_orders.late_orders(desk) == []
    told = learns(status, desk, 101, store="abc123", hours=1.0)
    assert (told["verdict"], told["well"]) == ("dropped", True)
    assert told["mend"] == "To process it all the same: relay backfill --store abc123 --order 101 --again"


def test_an_order_that_is_being_processed_is_not_dropped(desk: Desk, learns: Callable[..., Any]) -> None:
    fails(desk.order_notes, EVENT, Cause.NO_ANSWER)
    desk.dynamodb.put_item(
        TableName=TABLE,
        Item={
            "id": {"S": order_id("abc123", 101)},
            "status": {"S": "INPROGRESS"},
            "expiration": {"N": str(int(NOW) + 1000)},
            "in_progress_expiration": {"N": str(int(NOW + 15) * 1000)},
        },
    )

    answer = learns(late.drop, desk, **everything(order=[101], everything=False), yes=True)

    assert (answer["orders"][0]["fate"], answer["well"]) == ("it is being processed, or finished", False)


# --- status -------------------------------------------------------------------------------------------------------


def test_the_story_of_a_late_order_has_both_causes_the_times_and_a_mend(desk: Desk, learns: Callable[..., Any]) -> None:
    desk.order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "the window had closed"))
    fails(desk.order_notes, EVENT, Cause.SECRET_UNAVAILABLE)

    told = learns(status, desk, 101, store="abc123", hours=1.0)

    assert told["verdict"] == "late"
    noted = told["noted"]
    assert (noted["first_cause"], noted["cause"], noted["tries"]) == ("window_missed", "secret_unavailable", 1)
    assert "secret_unavailable: in words; next try in 5 s" in told["in_words"]
    assert told["mend"] == (
        "Enter the secret: relay store add abc123; to try at once: relay late retry --store abc123 --order 101"
    )


@pytest.mark.parametrize(("ending", "well"), [("finished", True), ("dead", False), ("late", False)])
def test_a_story_is_followed_to_its_end(
    desk: Desk, clock: FakeClock, learns: Callable[..., Any], ending: str, *, well: bool
) -> None:
    fails(desk.order_notes, EVENT, Cause.NO_ANSWER)

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.now >= NOW + 20:
            if ending == "finished":
                finish(desk, EVENT)
            elif ending == "dead":
                queues = Queues(lambda: desk.sqs, "", desk.settings.dead_letter_queue_url, clock)
                queues.dead_letter(EVENT, Cause.API_REFUSED, "no")

    following = replace(desk, sleep=sleep)
    if ending == "dead":
        following.order_notes.note(EVENT, Dead(Cause.API_REFUSED, "no"))

    told = learns(status, following, 101, store="abc123", hours=1.0, follow=True, for_="1m")

    assert (told["verdict"], told["well"]) == (ending, well)
    assert clock.now < NOW + 70


def test_a_followed_story_tells_only_what_changes(
    desk: Desk, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(desk.order_notes, EVENT, Cause.NO_ANSWER)

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.now == NOW + 20:
            fails(desk.order_notes, EVENT, Cause.RATE_LIMITED)

    status(replace(desk, sleep=sleep), 101, store="abc123", hours=1.0, follow=True, for_="1m")

    said = capsys.readouterr().err.splitlines()
    assert [("no_answer" in line, "rate_limited" in line) for line in said] == [(True, False), (False, True)]


def test_selections_without_any_option_take_everything() -> None:
    assert Selection().takes(store="abc123", order=None, cause="unreadable", at=0.0)
