"""Merging what a record carries with what it shall carry. More of its properties: test_late_path_properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handler.b2b_api import Content
from handler.record import merge

VALUES = st.sampled_from(["", "a", "b", "PO-1"])
FIELDS = st.dictionaries(st.sampled_from(["Team", "Cost Center", "Buyer's own"]), VALUES)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    return Content(draw(VALUES), tuple(draw(FIELDS).items()))


def test_a_record_that_has_it_all_is_left_alone() -> None:
    present = Content("PO-1", (("Team", "Blue"), ("Own", "x")))

    assert merge(present, Content("PO-1", (("Team", "Blue"),))) is None


def test_nothing_wanted_changes_nothing() -> None:
    assert merge(Content("PO-1", (("Empty", ""),)), Content()) is None


def test_a_buyers_value_is_never_overwritten_with_an_empty_one() -> None:
    present = Content("PO-BUYER", (("Team", "Blue"),))

    assert merge(present, Content("", (("Team", ""), ("Cost Center", "7")))) == Content(
        "PO-BUYER", (("Team", "Blue"), ("Cost Center", "7"))
    )


def test_a_wanted_value_stands_above_the_records() -> None:
    assert merge(Content("PO-OLD", (("Team", "Blue"),)), Content("PO-NEW", (("Team", "Red"),))) == Content(
        "PO-NEW", (("Team", "Red"),)
    )


@given(contents(), contents())
def test_an_update_is_sent_exactly_when_it_changes_something(present: Content, wanted: Content) -> None:
    merged = merge(present, wanted)
    had = {name: value for name, value in present.extra_fields if value}

    if merged is None:
        assert {name: value for name, value in wanted.extra_fields if value}.items() <= had.items()
        assert wanted.po_number in {"", present.po_number}
    else:
        assert (merged.po_number, dict(merged.extra_fields)) != (present.po_number, had)
        assert "" not in dict(merged.extra_fields).values()
