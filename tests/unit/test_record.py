"""Merging what a record carries with what it shall carry: nothing that it held is lost or changed in type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.content import Content, Record
from handler.errors import Cause, RetryLater
from handler.outcomes import Late, Unchanged, Updated
from handler.record import merge, same
from support.events import BUYER, ORDER_ID
from support.exchange import Sent, Step, answer
from support.world import RECORD, RECORDS, World

EXISTS = answer(400, {"code": 400, "data": [], "meta": {"message": "The order already exists."}})
NAMES = st.sampled_from(["Team", "Cost Center", "Buyer's own", "ERP"])
VALUES = st.sampled_from(["", "a", "b", "7", "true", "PO-1"])
CONTENTS = st.builds(Content, VALUES, st.dictionaries(NAMES, VALUES).map(lambda fields: tuple(fields.items())))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.fixed_dictionaries({"fieldName": NAMES, "fieldValue": JSON}, optional={"labelName": st.text(max_size=3)}),
    max_size=4,
)
DATA = st.fixed_dictionaries(
    {"bcOrderId": st.just(ORDER_ID)}, optional={"poNumber": JSON, "extraFields": ROWS | ROWS | JSON}
)


def test_a_record_that_has_it_all_is_left_alone() -> None:
    present = Record("PO-1", (("Team", "Blue"), ("Own", "x")))

    assert merge(present, Content("PO-1", (("Team", "Blue"),))) is None


def test_nothing_desired_changes_nothing() -> None:
    assert merge(Record("PO-1", (("Empty", ""),)), Content()) is None


def test_an_empty_value_never_replaces_a_buyers_and_is_never_sent() -> None:
    present = Record("PO-BUYER", (("Team", "Blue"), ("Floor", ""), ("Door", None)))

    assert merge(present, Content("", (("Team", ""), ("Cost Center", "7")))) == {
        "poNumber": "PO-BUYER",
        "extraFields": [
            {"fieldName": "Team", "fieldValue": "Blue"},
            {"fieldName": "Cost Center", "fieldValue": "7"},
        ],
    }


def test_desired_values_override_the_records() -> None:
    assert merge(Record("PO-OLD", (("Team", "Blue"),)), Content("PO-NEW", (("Team", "Red"),))) == {
        "poNumber": "PO-NEW",
        "extraFields": [{"fieldName": "Team", "fieldValue": "Red"}],
    }


@pytest.mark.parametrize("value", [False, True, 0, 7, 1.5, ["x", "y"], {"a": 1}, "text", [], "  "])
def test_a_value_of_any_type_is_sent_back_as_it_came(value: Any) -> None:
    body = merge(Record(value, (("Own", value),)), Content("", (("New", "n"),)))

    assert body is not None
    assert json.dumps([body["poNumber"], body["extraFields"][0]["fieldValue"]]) == json.dumps([value, value])


@pytest.mark.parametrize(
    ("present", "wanted"), [(7, "7"), (7.0, "7"), (7.0, "7.0"), (True, "true"), (False, "false"), ("7", "7")]
)
def test_a_value_that_says_the_same_is_not_sent_again(present: Any, wanted: str) -> None:
    assert same(present, wanted)


@pytest.mark.parametrize(("present", "wanted"), [(None, "None"), (True, "1"), (["7"], "7"), ("", "0"), (7.5, "7")])
def test_a_value_that_says_something_else_is_not_the_same(present: Any, wanted: str) -> None:
    assert not same(present, wanted)


def test_fields_in_an_unknown_shape_are_never_overwritten() -> None:
    unknown = Record("PO-1", None)

    assert merge(unknown, Content("PO-1")) is None
    for wanted in (Content("PO-2"), Content("", (("Team", "Blue"),))):
        with pytest.raises(RetryLater) as raised:
            merge(unknown, wanted)
        assert raised.value.cause is Cause.RECORD_UNREADABLE


@given(CONTENTS, CONTENTS)
def test_an_update_is_sent_exactly_when_it_changes_something(present: Content, wanted: Content) -> None:
    body = merge(Record(present.po_number, present.extra_fields), wanted)
    held = {name: value for name, value in present.extra_fields if value}
    desired = {name: value for name, value in wanted.extra_fields if value}

    if body is None:
        assert desired.items() <= held.items()
        assert wanted.po_number in {"", present.po_number}
    else:
        rows = {row["fieldName"]: row["fieldValue"] for row in body.get("extraFields", [])}
        assert rows == held | desired
        assert body.get("poNumber", "") == (wanted.po_number or present.po_number)
        assert (body.get("poNumber", ""), rows) != (present.po_number, held)


@given(DATA, CONTENTS, st.booleans())
def test_whatever_the_record_held_is_there_afterwards_unless_a_value_is_desired_for_that_field(
    data: dict[str, Any], wanted: Content, as_list: bool
) -> None:
    """Through the whole live path, against an API that replaces what Update Order sends."""
    world = World()
    world.exchange.on("POST", RECORDS, EXISTS)
    whole = {"code": 200, "data": [data] if as_list else data, "meta": {"message": "SUCCESS"}}
    world.exchange.always("GET", RECORD, answer(200, whole))
    updates: list[dict[str, Any]] = []

    def replaces(sent: Sent) -> Step:
        updates.append(sent.body)
        return answer(200, {"code": 200, "data": {}, "meta": {"message": "SUCCESS"}})

    world.exchange.otherwise = replaces
    fields = [{"fieldName": name, "fieldValue": value} for name, value in wanted.extra_fields]

    outcome = world.create(customerId=BUYER, poNumber=wanted.po_number, extraFields=fields)

    if not updates:
        assert isinstance(outcome, Unchanged) or (
            isinstance(outcome, Late) and outcome.cause is Cause.RECORD_UNREADABLE
        )
        return
    [update] = updates
    assert outcome == Updated()
    if not wanted.po_number and not (data.get("poNumber") is None or data["poNumber"] == ""):
        assert _exact(update["poNumber"]) == _exact(data["poNumber"])
    desired = {name for name, value in wanted.extra_fields if value}
    after = [_exact([row["fieldName"], row["fieldValue"]]) for row in update.get("extraFields", [])]
    for row in data.get("extraFields") or []:
        if row["fieldName"] not in desired and not (row["fieldValue"] is None or row["fieldValue"] == ""):
            assert _exact([row["fieldName"], row["fieldValue"]]) in after


def _exact(value: Any) -> str:
    """JSON tells 1, 1.0, true and "1" apart; Python's `==` does not."""
    return json.dumps(value)
