"""What the relay keeps in its table beside finished orders: with moto, and with a table that is busy or failing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from handler.errors import Cause, RetryLater
from handler.order_event import OrderEvent
from handler.outcomes import Dead, Duplicate, Finished, Late, Updated
from handler.queues import Letter
from handler.table.idempotency import OrderIdempotency
from handler.table.order_notes import MOST_IDLE_READS, MOST_KEYS, OF_A_TRY, Attempt, OrderNotes, read_items
from handler.table.rate_limit import Deferred, LateRateLimit
from handler.table.store_registry import StoreRegistry
from support.aws import FakeContext, FakeTable, create_table, refusal
from support.clock import NOON, FakeClock
from support.notes import note_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "idempotency"


class BusyTable:
    """Answers BatchGetItem with at most `at_once` items and leaves the rest unread."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.asked: list[list[str]] = []

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803  boto3's name
        keys = RequestItems[TABLE]["Keys"]
        assert len(keys) <= MOST_KEYS
        self.asked.append([key["id"]["S"] for key in keys])
        unread = keys[self.at_once :]
        return {
            "Responses": {TABLE: keys[: self.at_once]},
            "UnprocessedKeys": {TABLE: {"Keys": unread}} if unread else {},
        }


def test_what_a_busy_table_leaves_unread_is_asked_for_again() -> None:
    ids = [str(number) for number in range(250)]

    found = read_items(cast("Any", BusyTable(at_once=30)), TABLE, ids, ("id",))

    assert sorted(found, key=int) == ids


def test_a_table_that_reads_nothing_is_given_up_on() -> None:
    table = BusyTable(at_once=0)

    with pytest.raises(RetryLater, match="throttled"):
        read_items(cast("Any", table), TABLE, ["1", "2"], ("id",))

    assert len(table.asked) == MOST_IDLE_READS


@pytest.fixture
def table() -> Iterator[Any]:
    """A DynamoDB that takes expressions at their word."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    with mock_aws():
        client = boto3.client("dynamodb", **keys)  # type: ignore[call-overload]  # keys by name
        create_table(client, TABLE)
        yield client


EVENT = OrderEvent("abcde", 250, NOON, "c")
WITH_VALUES = replace(EVENT, po_number="given")
DEAD = Dead(Cause.API_REFUSED, "no")
LATE = Late(Cause.NO_ANSWER, "late")


def test_a_later_note_leaves_what_is_known_of_the_dead_letter(table: Any) -> None:
    order_notes = OrderNotes(TABLE, table, 35, FakeClock())
    letter = Letter(EVENT, DEAD.cause, DEAD.detail, NOON)
    order_notes.note(EVENT, DEAD, letter)

    order_notes.note(EVENT, LATE)

    note = table.get_item(TableName=TABLE, Key={"id": {"S": "note#abcde/250"}})["Item"]
    assert (note["outcome"]["S"], note["cause"]["S"], note["detail"]["S"]) == ("Late", "no_answer", "late")
    assert note["expiration"]["N"] == str(int(NOON) + 35 * 86_400)
    assert order_notes.is_dead_letter(EVENT)
    assert not order_notes.is_dead_letter(EVENT, letter)


def test_only_the_same_values_are_dead_already(table: Any) -> None:
    order_notes = OrderNotes(TABLE, table, 35, FakeClock())
    order_notes.note(EVENT, DEAD, Letter(WITH_VALUES, DEAD.cause, DEAD.detail, NOON))

    assert order_notes.is_dead_letter(WITH_VALUES)
    assert order_notes.is_dead_letter(EVENT)
    assert not order_notes.is_dead_letter(replace(EVENT, po_number="corrected"))


def test_a_dead_letter_is_no_longer_known_after_an_hour(table: Any) -> None:
    clock = FakeClock()
    order_notes = OrderNotes(TABLE, table, 35, clock)
    order_notes.note(EVENT, DEAD, Letter(EVENT, DEAD.cause, DEAD.detail, NOON))
    clock.advance(3601)

    assert not order_notes.is_dead_letter(EVENT)


def test_failures_are_counted_by_cause_and_a_note_begins_anew(table: Any) -> None:
    order_notes = OrderNotes(TABLE, table, 35, FakeClock())
    note_failure(order_notes, EVENT, Cause.NO_ANSWER)
    assert note_failure(order_notes, EVENT, Cause.NOT_THERE_YET) == 2
    assert order_notes.failures("abcde", 250, Cause.NOT_THERE_YET) == 1

    order_notes.note(EVENT, LATE)

    assert [order_notes.failures("abcde", 250, cause) for cause in Cause] == [0] * len(Cause)


def test_the_late_paths_share_is_dealt_out_in_slices_and_given_back(table: Any) -> None:
    clock = FakeClock()
    rate_limit = LateRateLimit(TABLE, table, 16, clock)  # four in each slice of 15 s
    rate_limit.take("abcde", 2)
    rate_limit.take("abcde", 2)
    with pytest.raises(Deferred):
        rate_limit.take("abcde", 1)

    rate_limit.give_back("abcde", 2)
    rate_limit.take("abcde", 2)
    with pytest.raises(Deferred):
        rate_limit.take("abcde", 1)
    rate_limit.take("other", 4)
    clock.advance(15)
    rate_limit.give_back("abcde", 2)  # out of the slice that is over: the new one has all its places and no more
    rate_limit.take("abcde", 4)
    with pytest.raises(Deferred) as full:
        rate_limit.take("abcde", 1)

    assert 0 < (full.value.retry_after_seconds or 0.0) <= 15


def test_an_events_values_have_a_key_of_their_own(table: Any) -> None:
    once = OrderIdempotency(TABLE, table, 35)
    told: list[tuple[str | None, bool]] = []

    def run(event: OrderEvent) -> Finished | Duplicate:
        def work(again: bool) -> Finished:
            told.append((event.po_number, again))
            return Updated()

        return once.run(event, work, cast("Any", FakeContext(FakeClock())))

    other = replace(EVENT, po_number="other")
    outcomes = [run(event) for event in (WITH_VALUES, EVENT, WITH_VALUES, other, WITH_VALUES, other)]

    assert outcomes == [Updated(), Duplicate(), Duplicate(), Updated(), Duplicate(), Duplicate()]
    assert told == [("given", False), ("other", True)]


def test_a_store_that_could_not_be_noted_is_noted_with_the_next_order() -> None:
    table = FakeTable(error=refusal("ThrottlingException"))
    stores = StoreRegistry(TABLE, cast("Any", table))
    stores.note("abcde")
    table.error = None

    stores.note("abcde")

    assert table.stores == {"abcde"}


def note_of(table: Any) -> dict[str, Any]:
    """The order's note, without DynamoDB's types."""
    item = table.get_item(TableName=TABLE, Key={"id": {"S": "note#abcde/250"}})["Item"]
    return {name: value.get("S", value.get("N")) for name, value in item.items()}


def test_a_failed_try_is_noted_with_why_it_failed_and_what_the_next_one_needs(table: Any) -> None:
    clock = FakeClock()
    order_notes = OrderNotes(TABLE, table, 35, clock)
    clock.advance(60)

    note_failure(order_notes, WITH_VALUES, Cause.UNAUTHORISED, Attempt("handle", 0.825, 30.0, NOON + 500))

    assert note_of(table) == {
        "id": "note#abcde/250",
        "outcome": "Late",
        "cause": "unauthorized",
        "detail": "in words",
        "first_cause": "no_answer",
        "first_detail": "timed out",
        "late_at": str(int(NOON)),
        "late_values": WITH_VALUES.values_digest,
        "at": str(int(NOON) + 60),
        "failures": "1",
        "failures_unauthorized": "1",
        "receipt": "handle",
        "spread": "0.825",
        "not_before": "30",
        "give_up_at": str(int(NOON) + 500),
        "expiration": str(int(NOON) + 60 + 35 * 86_400),
    }


def test_later_failures_leave_the_first_cause_and_a_new_hand_over_begins_anew(table: Any) -> None:
    clock = FakeClock()
    order_notes = OrderNotes(TABLE, table, 35, clock)
    order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "late"))
    note_failure(order_notes, EVENT, Cause.UNAUTHORISED)
    clock.advance(60)

    note_failure(order_notes, EVENT, Cause.RATE_LIMITED)

    note = note_of(table)
    assert (note["first_cause"], note["cause"], note["failures"]) == ("window_missed", "rate_limited", "2")
    assert note["late_at"] == str(int(NOON))

    order_notes.note(EVENT, Late(Cause.RECONCILED, "again"))

    note = note_of(table)
    assert (note["first_cause"], note["cause"], note["late_at"]) == ("reconciled", "reconciled", str(int(NOON) + 60))
    assert not note.keys() & {"failures", "failures_unauthorized", *OF_A_TRY}


def test_a_redriven_order_is_late_again_with_its_first_cause(table: Any) -> None:
    order_notes = OrderNotes(TABLE, table, 35, FakeClock())
    order_notes.note(EVENT, Late(Cause.WINDOW_MISSED, "late"))
    order_notes.note(EVENT, DEAD, Letter(EVENT, DEAD.cause, DEAD.detail, NOON))
    assert (note_of(table)["outcome"], note_of(table)["first_cause"]) == ("Dead", "window_missed")

    note_failure(order_notes, EVENT, Cause.NO_ANSWER)

    assert (note_of(table)["outcome"], note_of(table)["first_cause"]) == ("Late", "window_missed")
