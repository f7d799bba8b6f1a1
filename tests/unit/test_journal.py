"""What the relay notes beside finished orders, when the table is busy or failing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from handler.errors import RetryLater
from handler.journal import MOST_IDLE_READS, MOST_KEYS, read_items
from handler.known_stores import KnownStores
from support.aws import FakeTable, refusal

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


def test_a_store_that_could_not_be_noted_is_noted_with_the_next_order() -> None:
    table = FakeTable(error=refusal("ThrottlingException"))
    stores = KnownStores(TABLE, cast("Any", table))
    stores.note("abcde")
    table.error = None

    stores.note("abcde")

    assert table.stores == {"abcde"}
