"""Parsing what stores, partners and producers send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler import strict_json
from handler.errors import IgnoredScope, MalformedEvent
from handler.order_event import OrderEvent, event_time, parse_bus_event, parse_detail

CREATED_AT = 1_785_000_000.0
NOW = CREATED_AT + 5
BODY: dict[str, Any] = {
    "scope": "store/order/created",
    "store_id": "1025646",
    "data": {"type": "order", "id": 250},
    "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
    "created_at": 1_785_000_000,
    "producer": "stores/abcde",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def test_the_published_body_is_understood() -> None:
    assert parse_detail(BODY, NOW) == OrderEvent("abcde", 250, 1_785_000_000.0, BODY["hash"])


def test_a_channel_scoped_body_is_understood() -> None:
    body = BODY | {"scope": "store/channel/12/order/created", "data": {"type": "order", "order_id": 251}}

    assert parse_detail(body, NOW).order_id == 251


def test_a_date_in_the_future_counts_as_now() -> None:
    assert parse_detail(BODY | {"created_at": NOW + 3600}, NOW).created_at == NOW


def test_without_a_usable_hash_store_and_order_identify_the_event() -> None:
    assert parse_detail(BODY | {"hash": 'x"\n'}, NOW).correlation_id == "abcde-250"


@pytest.mark.parametrize("scope", ["store/order/updated", "store/cart/created", "store/channel/x/order/created"])
def test_another_scope_is_none_of_our_business(scope: str) -> None:
    with pytest.raises(IgnoredScope):
        parse_detail(BODY | {"scope": scope}, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"producer": None},
        {"producer": "stores/"},
        {"producer": "stores/ABC"},
        {"producer": "stores/../admin"},
        {"producer": "shops/abcde"},
        {"scope": None},
        {"scope": 7},
        {"data": None},
        {"data": {}},
        {"customerId": "x"},
        {"customerId": -1},
        {"poNumber": True},
        {"poNumber": ["7"]},
        {"poNumber": "x" * 1001},
        {"extraFields": {}},
        {"extraFields": [{"fieldName": "a", "fieldValue": {}}]},
        {"extraFields": ["a"]},
        {"extraFields": [{"fieldName": "", "fieldValue": "b"}]},
        {"extraFields": [{"fieldName": "a", "fieldValue": "b"}] * 101},
    ],
    ids=str,
)
def test_what_is_not_of_the_published_shape_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        parse_detail(BODY | change, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", {"id": "250"}),
        ("data", {"id": 250.0}),
        ("data", {"id": "250.0"}),
        ("data", {"id": " 250.00 "}),
        ("data", {"order_id": "0250", "id": 9}),
        ("data", {"order_id": None, "id": 250}),
    ],
)
def test_an_id_is_taken_that_is_a_whole_number_beyond_doubt(name: str, value: Any) -> None:
    assert parse_detail(BODY | {name: value}, NOW).order_id == 250


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "2.5",
        "٢٥٠",
        "2 50",
        "0x10",
        "12x",
        "1" * 17,
        str(2**53 + 1),
        "0",
        2.5,
        -1,
        0,
        True,
        None,
        [250],
        1e300,
    ],
    ids=ascii,
)
def test_anything_else_is_no_id(value: Any) -> None:
    with pytest.raises(MalformedEvent, match="whole number"):
        parse_detail(BODY | {"data": {"id": value}}, NOW)


@pytest.mark.parametrize(
    "value",
    [
        CREATED_AT,
        int(CREATED_AT),
        str(int(CREATED_AT)),
        f"{CREATED_AT}",
        "2026-07-25T17:20:00Z",
        "2026-07-25T19:20:00+02:00",
        "Sat, 25 Jul 2026 17:20:00 +0000",
    ],
)
def test_a_moment_is_taken_in_any_form_that_names_one(value: Any) -> None:
    assert parse_detail(BODY | {"created_at": value}, NOW).created_at == CREATED_AT


@pytest.mark.parametrize("change", [{}, {"created_at": None}, {"created_at": ""}, {"created_at": "  "}])
def test_without_a_moment_the_time_of_receipt_counts(change: dict[str, Any]) -> None:
    undated = {name: value for name, value in BODY.items() if name != "created_at"}

    assert parse_detail(undated | change, NOW).created_at == NOW


@pytest.mark.parametrize("value", ["yesterday", "2026-07-25T17:20:00", "-5", "1e9", True, [], {}, -1])
def test_what_names_no_moment_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedEvent, match="created_at"):
        parse_detail(BODY | {"created_at": value}, NOW)


@pytest.mark.parametrize(
    "detail",
    [BODY, json.dumps(BODY), {"payload": BODY}, {"payload": json.dumps(BODY)}, json.dumps({"payload": BODY})],
    ids=["plain", "string", "payload", "string in payload", "payload in string"],
)
def test_a_bus_events_detail_is_understood_however_it_is_wrapped(detail: Any) -> None:
    assert parse_bus_event({"detail": detail}, NOW).order_id == 250


@pytest.mark.parametrize("event", [{}, {"detail": None}, {"detail": []}, {"detail": "{"}, {"detail": {"payload": 7}}])
def test_a_bus_event_without_a_body_is_malformed(event: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        parse_bus_event(event, NOW)


def test_a_producers_number_is_a_text_and_its_empty_values_are_none() -> None:
    fields = [("A", 7), ("B", ""), ("C", "  "), ("D", None), ("E", " x "), ("F", 0)]
    rows = [{"fieldName": name, "fieldValue": value} for name, value in fields]

    event = parse_detail(BODY | {"poNumber": 4711, "extraFields": rows}, NOW)

    assert (event.po_number, event.extra_fields) == ("4711", (("A", "7"), ("E", "x"), ("F", "0")))
    assert parse_detail(BODY | {"poNumber": "  ", "extraFields": rows[1:4]}, NOW).values_digest == ""


def test_events_with_other_values_are_told_apart_and_the_order_of_fields_does_not_count() -> None:
    rows = [{"fieldName": name, "fieldValue": name} for name in "ab"]
    plain = parse_detail(BODY | {"customerId": 7}, NOW)
    one = parse_detail(BODY | {"extraFields": rows}, NOW)
    same = parse_detail(BODY | {"extraFields": rows[::-1]}, NOW)
    other = parse_detail(BODY | {"extraFields": rows, "poNumber": "1"}, NOW)

    assert plain.values_digest == ""
    assert len({one.values_digest, same.values_digest, other.values_digest}) == 2
    assert one.values_digest == same.values_digest


@pytest.mark.parametrize(
    ("date", "counts"),
    [(None, False), (NOW - 5, True), (NOW - 5.1, False), (NOW - 3600, False), (NOW, False), (NOW + 9, False)],
)
def test_the_orders_own_date_counts_only_when_it_is_a_little_earlier(date: float | None, *, counts: bool) -> None:
    event = OrderEvent("abcde", 250, NOW, "x")

    assert event.dated_by_order(date).created_at == (date if counts else NOW)


def test_the_bus_events_time_is_read() -> None:
    assert event_time({"time": "2026-07-25T17:20:00Z"}, NOW) == 1_785_000_000.0


@pytest.mark.parametrize("event", [{}, {"time": None}, {"time": "soon"}, {"time": "2099-01-01T00:00:00Z"}])
def test_without_a_readable_past_time_the_moment_of_receipt_counts(event: dict[str, Any]) -> None:
    assert event_time(event, NOW) == NOW


@settings(max_examples=300, derandomize=True, deadline=None)
@given(JSON)
def test_arbitrary_json_is_an_event_or_malformed_or_ignored(value: Any) -> None:
    for change in ({"detail": value}, {"detail": BODY | {"data": value}}, {"detail": BODY | {"scope": value}}):
        try:
            event = parse_bus_event(change, NOW)
        except (MalformedEvent, IgnoredScope):
            continue
        assert event.store_hash == "abcde"


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_arbitrary_bytes_are_json_or_malformed(text: bytes | str) -> None:
    try:
        value = strict_json.parse(text)
    except MalformedEvent:
        return
    assert strict_json.parse(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", "[" * 100_000, '"\\ud800"', b"\xff"], ids=repr)
def test_what_only_pythons_decoder_takes_is_malformed(text: str | bytes) -> None:
    with pytest.raises(MalformedEvent):
        strict_json.parse(text)
