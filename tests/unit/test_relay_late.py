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
from relay.errors import CliError
from relay.selection import Selection
from relay.status import status
from relay.timespan import iso
from support.aws import FakeContext
from support.clock import FakeClock
from support.notes import note_failure
from support.relay import TABLE, context_without_stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.context import Context

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
def context(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    with context_without_stores(clock, monkeypatch) as context:
        yield context


def everything(**given: Any) -> dict[str, Any]:
    """The options of a selection, none of them given but these."""
    none: dict[str, Any] = dict.fromkeys(("store", "order", "cause", "since", "older_than"))
    return none | given


def once(context: Context) -> OrderIdempotency:
    return OrderIdempotency(TABLE, context.dynamodb, 35)


def finish(context: Context, event: OrderEvent) -> Any:
    return once(context).run(event, lambda _: Created(1.0, 9.0), cast("Any", FakeContext(lambda: 0.0)))


def wait_hidden(context: Context, event: OrderEvent) -> str:
    """Puts the order's message into the recovery queue and receives it; answers the receipt handle."""
    url = context.settings.recovery_queue_url
    Queues(lambda: context.sqs, url, url, context.clock).send_late(event, Cause.NO_ANSWER, "timed out")
    [message] = context.sqs.receive_message(QueueUrl=url, VisibilityTimeout=3600)["Messages"]
    return message["ReceiptHandle"]


def visible(context: Context) -> list[int]:
    messages = context.sqs.receive_message(
        QueueUrl=context.settings.recovery_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    ).get("Messages", [])
    return [json.loads(message["Body"])["order"]["data"]["id"] for message in messages]


def fails(order_notes: OrderNotes, event: OrderEvent, cause: Cause, receipt: str = "receipt") -> None:
    note_failure(order_notes, event, cause, Attempt(receipt, 1.0, 0.0, NOW + 3600))


# --- found --------------------------------------------------------------------------------------------------------


def test_late_orders_are_listed_with_causes_tries_and_times(
    context: Context, clock: FakeClock, learns: Callable[..., Any]
) -> None:
    context.order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "the window had closed"))
    clock.advance(10)
    fails(context.order_notes, EVENT, Cause.UNAUTHORISED)
    fails(context.order_notes, EVENT, Cause.UNAUTHORISED)

    answer = learns(late.list_late, context, **everything())

    assert answer["orders"] == [
        {
            "store": "abc123",
            "order": 101,
            "as": "Late",
            "first_cause": "window_missed",
            "first_detail": "the window had closed",
            "late_since": iso(NOW),
            "cause": "unauthorized",
            "detail": "in words",
            "at": iso(NOW + 10),
            "attempts": 2,
            "next_attempt_at": iso(NOW + 10 + 15),
            "give_up_at": iso(NOW + 3600),
        }
    ]
    assert (answer["count"], answer["in_all"], answer["well"]) == (1, 1, True)


def test_finished_dead_and_forgotten_orders_are_not_late(context: Context, clock: FakeClock) -> None:
    for order in (1, 2, 3):
        context.order_notes.note(replace(EVENT, order_id=order), Late(Cause.NO_ANSWER, "timed out"))
    finish(context, replace(EVENT, order_id=1))
    letter = Letter(replace(EVENT, order_id=2), Cause.API_REFUSED, "no", NOW)
    context.order_notes.note(letter.event, Dead(Cause.API_REFUSED, "no"), letter)

    assert [note.order for note in late_orders.late_orders(context)] == [3]
    clock.advance(36 * 86_400)
    assert late_orders.late_orders(context) == []


def test_values_that_come_after_an_order_was_finished_are_late_of_their_own(context: Context) -> None:
    finish(context, EVENT)
    fails(context.order_notes, WITH_VALUES, Cause.NO_ANSWER)

    [note] = late_orders.late_orders(context)

    assert note.values_digest == WITH_VALUES.values_digest
    finish(context, WITH_VALUES)
    assert late_orders.late_orders(context) == []


def test_thousands_of_late_orders_are_found(context: Context) -> None:
    item = {
        "outcome": {"S": "Late"}, "cause": {"S": "no_answer"}, "detail": {"S": "x" * 900}, "at": {"N": "1"},
        "expiration": {"N": str(int(NOW) + 1)},
    }  # fmt: skip
    for first in range(0, 2000, 25):
        puts: Any = [
            {"PutRequest": {"Item": item | {"id": {"S": f"note#abc123/{order}"}}}} for order in range(first, first + 25)
        ]
        context.dynamodb.batch_write_item(RequestItems={TABLE: puts})
    looked_at: list[int] = []

    assert len(late_orders.late_orders(context, looked_at.append)) == 2000
    assert len(looked_at) > 1
    assert looked_at[-1] == 2000


def test_a_filter_that_matches_nothing_is_not_taken_for_an_empty_queue(
    context: Context, learns: Callable[..., Any]
) -> None:
    assert learns(late.list_late, context, **everything(cause="unauthorized"))["well"] is True
    context.order_notes.note(EVENT, Late(Cause.NO_ANSWER, "timed out"))

    answer = learns(late.list_late, context, **everything(cause="unauthorized"))

    assert (answer["count"], answer["in_all"], answer["well"]) == (0, 1, False)
    with pytest.raises(CliError, match=r"No late orders match the filter \(1 in all\)"):
        late.retry(context, **everything(cause="unauthorized", everything=False))


def test_a_store_that_does_not_exist_is_named(context: Context) -> None:
    context.stores.note("abc123")

    with pytest.raises(CliError, match="no store nosuch") as error:
        late.list_late(context, **everything(store="nosuch"))

    assert error.value.fix == "The stores: abc123"


@pytest.mark.parametrize("command", [late.retry, late.drop])
def test_what_changes_orders_wants_a_selection_or_all_and_not_both(
    context: Context, command: Callable[..., bool]
) -> None:
    for options in (everything(everything=False), everything(everything=True, store="abc123")):
        with pytest.raises(typer.BadParameter, match="--all"):
            command(context, **options)


# --- retried ------------------------------------------------------------------------------------------------------


def test_a_retried_order_is_visible_at_once_and_there_once(context: Context, learns: Callable[..., Any]) -> None:
    fails(context.order_notes, EVENT, Cause.UNAUTHORISED, wait_hidden(context, EVENT))
    other = replace(EVENT, order_id=102)
    fails(context.order_notes, other, Cause.NO_ANSWER, wait_hidden(context, other))
    assert visible(context) == []

    dry = learns(late.retry, context, **everything(cause="unauthorized", everything=False), dry_run=True)
    assert (dry["count"], visible(context)) == (1, [])
    answer = learns(late.retry, context, **everything(cause="unauthorized", everything=False))

    assert [order["result"] for order in answer["orders"]] == ["retried at once"]
    assert visible(context) == [101]


def test_more_orders_than_sqs_takes_at_once_are_retried(context: Context) -> None:
    for order in range(1, 24):
        event = replace(EVENT, order_id=order)
        fails(context.order_notes, event, Cause.NO_ANSWER, wait_hidden(context, event))

    assert {result for _, result in late_orders.make_visible(context, late_orders.late_orders(context))} == {""}
    queue = context.sqs.get_queue_attributes(
        QueueUrl=context.settings.recovery_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert queue["Attributes"]["ApproximateNumberOfMessages"] == "23"


def test_an_order_whose_message_is_not_hidden_is_due_anyway(context: Context) -> None:
    receipt = wait_hidden(context, EVENT)
    context.sqs.change_message_visibility(
        QueueUrl=context.settings.recovery_queue_url, ReceiptHandle=receipt, VisibilityTimeout=0
    )
    fails(context.order_notes, EVENT, Cause.NO_ANSWER, receipt)
    fresh = replace(EVENT, order_id=102)
    context.order_notes.note(fresh, Late(Cause.NO_ANSWER, "timed out"))

    results = {
        note.order: result for note, result in late_orders.make_visible(context, late_orders.late_orders(context))
    }

    assert results[102] == "its first attempt is due"
    assert visible(context) == [101]


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
    context: Context, learns: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, code: str, *, well: bool
) -> None:
    fails(context.order_notes, EVENT, Cause.NO_ANSWER)
    monkeypatch.setitem(context.__dict__, "sqs", Refusing(code))

    answer = learns(late.retry, context, **everything(everything=True))

    assert answer["well"] is well
    assert (answer["orders"][0]["result"] == "its next attempt is due or in progress") is well


# --- dropped ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [EVENT, WITH_VALUES])
def test_a_dropped_order_is_a_duplicate_at_its_next_try_which_is_at_once(
    context: Context, learns: Callable[..., Any], event: OrderEvent
) -> None:
    fails(context.order_notes, event, Cause.NO_ANSWER, wait_hidden(context, event))

    answer = learns(late.drop, context, **everything(order=[101], everything=False), yes=True)

    assert [order["result"] for order in answer["orders"]] == ["dropped"]
    assert visible(context) == [101]
    for again in (event, EVENT):
        assert finish(context, again) == Duplicate()
    assert late_orders.late_orders(context) == []
    told = learns(status, context, 101, store="abc123", hours=1.0)
    assert (told["verdict"], told["well"]) == ("dropped", True)
    assert told["fix"] == "To process it nevertheless: relay backfill --store abc123 --order 101 --again"


def test_an_order_that_is_being_processed_is_not_dropped(context: Context, learns: Callable[..., Any]) -> None:
    fails(context.order_notes, EVENT, Cause.NO_ANSWER)
    context.dynamodb.put_item(
        TableName=TABLE,
        Item={
            "id": {"S": order_id("abc123", 101)},
            "status": {"S": "INPROGRESS"},
            "expiration": {"N": str(int(NOW) + 1000)},
            "in_progress_expiration": {"N": str(int(NOW + 15) * 1000)},
        },
    )

    answer = learns(late.drop, context, **everything(order=[101], everything=False), yes=True)

    assert (answer["orders"][0]["result"], answer["well"]) == ("it is in progress or finished", False)


# --- status -------------------------------------------------------------------------------------------------------


def test_the_story_of_a_late_order_has_both_causes_the_times_and_a_mend(
    context: Context, learns: Callable[..., Any]
) -> None:
    context.order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "the window had closed"))
    fails(context.order_notes, EVENT, Cause.SECRET_UNAVAILABLE)

    told = learns(status, context, 101, store="abc123", hours=1.0)

    assert told["verdict"] == "late"
    noted = told["noted"]
    assert (noted["first_cause"], noted["cause"], noted["attempts"]) == ("window_missed", "secret_unavailable", 1)
    assert "secret_unavailable: in words; next attempt in 5 s" in told["in_words"]
    assert told["fix"] == (
        "Enter the secret: relay store add abc123; to retry at once: relay late retry --store abc123 --order 101"
    )


@pytest.mark.parametrize(("ending", "well"), [("finished", True), ("dead", False), ("late", False)])
def test_a_story_is_followed_to_its_end(
    context: Context, clock: FakeClock, learns: Callable[..., Any], ending: str, *, well: bool
) -> None:
    fails(context.order_notes, EVENT, Cause.NO_ANSWER)

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.now >= NOW + 20:
            if ending == "finished":
                finish(context, EVENT)
            elif ending == "dead":
                queues = Queues(lambda: context.sqs, "", context.settings.dead_letter_queue_url, clock)
                queues.dead_letter(EVENT, Cause.API_REFUSED, "no")

    following = replace(context, sleep=sleep)
    if ending == "dead":
        following.order_notes.note(EVENT, Dead(Cause.API_REFUSED, "no"))

    told = learns(status, following, 101, store="abc123", hours=1.0, follow=True, for_="1m")

    assert (told["verdict"], told["well"]) == (ending, well)
    assert clock.now < NOW + 70


def test_a_followed_story_tells_only_what_changes(
    context: Context, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(context.order_notes, EVENT, Cause.NO_ANSWER)

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.now == NOW + 20:
            fails(context.order_notes, EVENT, Cause.RATE_LIMITED)

    status(replace(context, sleep=sleep), 101, store="abc123", hours=1.0, follow=True, for_="1m")

    said = capsys.readouterr().err.splitlines()
    assert [("no_answer" in line, "rate_limited" in line) for line in said] == [(True, False), (False, True)]


def test_selections_without_any_option_take_everything() -> None:
    assert Selection().takes(store="abc123", order=None, cause="unreadable", at=0.0)
