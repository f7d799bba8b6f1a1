"""`relay watch`: orders as the log lines tell of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer

from relay.watch import OVERLAP_SECONDS, Tail, watch
from support.clock import NOON, FakeClock
from support.logs import ORDER, RECOVERY, FakeLogs, context_with

if TYPE_CHECKING:
    from relay.context import Context

ODD = [
    "START RequestId: 6f1c Version: 3",
    "REPORT RequestId: 6f1c Duration: 12.1 ms",
    '{"level":"INFO","message":"order created","outcome":"cre',
    '{"_aws":{"Timestamp":1},"OrderCreated":[1]}',
    "[1, 2]",
    '"a text"',
    "",
    '{"level":"INFO","message":"something else"}',
    '{"level":"INFO","message":["odd"],"outcome":"created"}',
]


def line(order: int = 1042, store: str = "abc123", **fields: Any) -> dict[str, Any]:
    return {"level": "INFO", "message": "a line", "store": store, "order": order} | fields


def webhook(order: int = 1042, **fields: Any) -> dict[str, Any]:
    return line(order, status=200, metric="WebhookAccepted", ms=4, age_seconds=0.8) | fields


def created(order: int = 1042, **fields: Any) -> dict[str, Any]:
    calls = [
        {"endpoint": "core.get_order", "status": 200, "shape": "api", "ms": 130, "age": 1.0},
        {"endpoint": "b2b.create", "status": 200, "shape": "api", "ms": 320, "age": 1.2},
    ]
    found: dict[str, Any] = {"po_number_found": True, "extra_fields_found": 2, "rules_failed": [], "rules_empty": []}
    return line(order, outcome="created", window_left_seconds=8.1, calls=calls, **found) | fields


@pytest.fixture
def logs() -> FakeLogs:
    return FakeLogs(FakeClock())


@pytest.fixture
def context(logs: FakeLogs) -> Context:
    return context_with(logs)


def shown(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in capsys.readouterr().out.splitlines()]


def test_an_order_is_followed_from_the_webhook_to_its_creation(
    logs: FakeLogs, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, webhook(), at=NOON + 3)
    logs.write(ORDER, created(), at=NOON + 4)

    assert watch(context, "abc123", orders=1) == 0

    text = capsys.readouterr().out
    steps = [
        "order 1042    webhook received 0.8 s after the order's creation, answered 200 in 4 ms",
        "order looked up: HTTP 200 in 130 ms, 1.0 s after the order's creation",
        "Create Order: HTTP 200 in 320 ms",
        "created, 8.1 s of the window left; PO number found; 2 extra fields",
    ]
    assert [text.count(step) for step in steps] == [1, 1, 1, 1]
    assert sorted(steps, key=text.index) == steps


def test_it_says_what_it_waits_for_before_it_reads_anything(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    class NoStack(Exception):  # noqa: N818  a test's own
        pass

    def fails(*_: Any) -> None:
        assert "Waiting for 2 orders of store abc123, for 5m at most" in capsys.readouterr().err
        raise NoStack

    context.__dict__["logs"].get_paginator = fails
    with pytest.raises(NoStack):
        watch(context, "abc123", orders=2, lasting="5m")


def test_a_line_that_appears_late_is_shown_once_like_all_others(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, webhook(1), at=NOON + 1, visible_after=25)
    logs.write(ORDER, webhook(2), at=NOON + 2)
    logs.write(RECOVERY, created(1), at=NOON + 5, visible_after=OVERLAP_SECONDS / 2)

    watch(context_with(logs, as_json=True), "abc123", lasting="120s")

    assert [(step["order"], step["step"]) for step in shown(capsys)] == [
        (2, "webhook"),
        (1, "webhook"),
        (1, "outcome"),
    ]


def test_lines_of_one_poll_are_shown_in_the_order_in_which_they_were_written(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(RECOVERY, created(1), at=NOON + 1.5)
    logs.write(ORDER, webhook(1) | {"timestamp": "2026-07-25 17:20:00,900+0000"}, at=NOON + 1.9)

    watch(context_with(logs, as_json=True), "abc123", orders=1)

    assert [step["step"] for step in shown(capsys)] == ["webhook", "outcome"]


@pytest.mark.parametrize("store", ["", "abc123"])
def test_lines_that_the_relay_did_not_write_are_not_shown(
    logs: FakeLogs, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ODD:
        logs.write(ORDER, text, at=NOON + 1)

    assert watch(context_with(logs, as_json=True), store, lasting="4s") == 0
    assert shown(capsys) == []


def test_only_the_store_that_was_asked_for_is_shown(logs: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    logs.write(ORDER, webhook(1, store="other"), at=NOON + 1)
    logs.write(ORDER, webhook(2), at=NOON + 1)

    watch(context_with(logs, as_json=True), "abc123", lasting="4s")
    assert [step["order"] for step in shown(capsys)] == [2]

    logs.clock.now = NOON
    watch(context_with(logs, as_json=True), "", lasting="4s")
    assert [step["store"] for step in shown(capsys)] == ["other", "abc123"]


def test_a_step_in_json_has_an_iso_time_and_the_fields_of_the_line(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, created(correlation_id="secret?", xray_trace_id="1"), at=NOON + 1)

    watch(context_with(logs, as_json=True), "abc123", orders=1)

    [step] = shown(capsys)
    assert step["at"] == "2026-07-25T17:20:01.000+00:00"
    assert (step["store"], step["order"], step["step"], step["outcome"]) == ("abc123", 1042, "outcome", "created")
    assert step["calls"][1]["endpoint"] == "b2b.create"
    assert not step.keys() & {"correlation_id", "xray_trace_id"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"outcome": "late", "cause": "no_answer", "detail": "ReadTimeout after 3.0 s", "retried": False},
            "late, in RecoveryQueue: no_answer: ReadTimeout after 3.0 s",
        ),
        (
            {"outcome": "dead", "cause": "api_refused", "detail": "no [b]"},
            "dead, in DeadLetterQueue: api_refused: no [b]",
        ),
        ({"outcome": "skipped", "reason": "guest"}, "skipped (guest)"),
        ({"outcome": "updated", "po_number_found": False}, "record updated; no PO number found"),
        ({"outcome": "created", "window_left_seconds": -600}, "created, 10 m after the window"),
        ({"outcome": "created", "rules_failed": ["all.po_number"]}, "failed rules: all.po_number"),
        ({"outcome": "duplicate"}, "duplicate event, ignored"),
        ({"outcome": "of a later version"}, "of a later version"),
        ({"check": "signature: too old"}, "a line: signature: too old"),
        ({"status": 401, "metric": "WebhookUnauthenticated", "ms": 3}, "webhook received, answered 401 in 3 ms"),
        ({"attempt": 2, "detail": "HTTP 503"}, "attempt 2 failed: HTTP 503"),
        ({"rule": "all.po_number"}, "a line: all.po_number"),
        ({"level": "ERROR", "error": "AccessDenied"}, "a line AccessDenied"),
        (
            {"outcome": "late", "calls": [{"endpoint": "b2b.get", "shape": "none", "ms": 3000, "age": 4}, "odd", {}]},
            "record read: no answer in 3000 ms, 4 s after the order's creation",
        ),
    ],
)
def test_each_step_is_shown_as_text(
    logs: FakeLogs, context: Context, fields: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, line(**fields), at=NOON + 1)

    watch(context, "abc123", lasting="4s")

    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["created", "updated"], 0),
        (["unchanged", "unchanged"], 0),
        (["created", "skipped"], 1),
        (["created", "dead"], 1),
        (["created", "late"], 1),
        (["created"], 1),
        ([], 1),
    ],
)
def test_the_exit_code_says_whether_the_awaited_orders_were_created_or_updated(
    logs: FakeLogs, context: Context, outcomes: list[str], code: int
) -> None:
    for number, outcome in enumerate(outcomes, start=1):
        logs.write(ORDER, webhook(number), at=NOON + number)
        logs.write(ORDER, line(number, outcome=outcome), at=NOON + number)

    assert watch(context, "abc123", orders=2, lasting="60s") == code


def test_a_late_order_is_awaited_until_it_is_finished(logs: FakeLogs, context: Context) -> None:
    logs.write(ORDER, line(outcome="late", cause="no_answer"), at=NOON + 1)
    logs.write(RECOVERY, line(outcome="updated"), at=NOON + 40)
    logs.write(ORDER, line(outcome="duplicate"), at=NOON + 41)

    assert watch(context, "abc123", orders=1, lasting="5m") == 0
    assert logs.clock.now < NOON + 45


def test_a_duplicate_does_not_count_as_an_outcome(logs: FakeLogs, context: Context) -> None:
    logs.write(ORDER, created(), at=NOON + 1)
    logs.write(ORDER, line(outcome="duplicate"), at=NOON + 2)

    assert watch(context, "abc123", lasting="10s") == 0


@pytest.mark.parametrize(("outcome", "code"), [("created", 0), ("skipped", 0), ("late", 1), ("dead", 1), ("", 1)])
def test_a_watch_for_a_time_ends_well_when_no_order_is_left_over(
    logs: FakeLogs, context: Context, outcome: str, code: int
) -> None:
    logs.write(ORDER, webhook(), at=NOON + 1)
    if outcome:
        logs.write(ORDER, line(outcome=outcome), at=NOON + 2)

    assert watch(context, "abc123", lasting="10s") == code
    assert logs.clock.now == pytest.approx(NOON + 10, abs=0.2)


def test_without_an_order_it_names_the_command_that_checks_the_webhook(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch(context, "abc123", lasting="3m") == 0

    assert capsys.readouterr().err.count("relay doctor abc123") == 1


def test_orders_from_before_are_shown_when_asked_for(logs: FakeLogs, context: Context) -> None:
    logs.write(ORDER, created(), at=NOON - 200)

    assert watch(context, "abc123", orders=1, lasting="4s") == 1
    assert watch(context, "abc123", orders=1, lasting="4s", since="10m") == 0


def test_the_memory_of_shown_lines_is_bounded(logs: FakeLogs, context: Context) -> None:
    tail = Tail(context, "abc123", NOON)
    for second in range(600):
        logs.write(ORDER, line(outcome="created"), at=NOON + second)
        logs.clock.advance(1)

        assert len(tail.poll()) == 1
        assert len(tail.shown) <= OVERLAP_SECONDS + 10


def test_a_time_that_cannot_be_parsed_is_a_usage_error(context: Context) -> None:
    with pytest.raises(typer.BadParameter):
        watch(context, "abc123", lasting="soon")
