"""`relay report`: what many outcome lines say together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import pytest
import typer

from relay.report import report
from support.clock import NOON, FakeClock
from support.logs import ORDER, RECONCILE, RECOVERY, FakeLogs, context_with

if TYPE_CHECKING:
    from relay.context import Context

HOUR = 3600.0
API = "api"


@pytest.fixture
def logs() -> FakeLogs:
    return FakeLogs(FakeClock())


@pytest.fixture
def context(logs: FakeLogs) -> Context:
    return context_with(logs, LogRetentionDays="30")


def call(endpoint: str, status: int | None, age: float, shape: str = API, **more: Any) -> dict[str, Any]:
    return (
        {"endpoint": endpoint, "shape": shape, "ms": 100, "age": age}
        | ({} if status is None else {"status": status})
        | more
    )


def outcome(order: int, outcome: str, *calls: dict[str, Any], store: str = "abc123", **fields: Any) -> dict[str, Any]:
    return {"message": "m", "store": store, "order": order, "outcome": outcome, "calls": list(calls)} | fields


def said(logs: FakeLogs, capsys: pytest.CaptureFixture[str], store: str = "", **options: Any) -> Any:
    assert report(context_with(logs, as_json=True, LogRetentionDays="30"), store, **options) is True
    return json.loads(capsys.readouterr().out)


def test_orders_are_counted_by_what_became_of_them(logs: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    at = NOON - HOUR
    for number, seconds in enumerate((2.0, 3.0, 4.0), start=1):
        logs.write(ORDER, outcome(number, "created", window_left_seconds=10 - seconds), at=at)
    logs.write(ORDER, outcome(4, "skipped", reason="guest"), at=at)
    logs.write(ORDER, outcome(5, "late", cause="no_answer", retried=False), at=at)
    logs.write(RECOVERY, outcome(5, "late", cause="api_unavailable", retried=True), at=at + 10)
    logs.write(RECOVERY, outcome(5, "updated", call("b2b.update", 200, 95.0), receipts=2), at=at + 90)
    logs.write(RECOVERY, outcome(6, "dead", cause="api_refused"), at=at)
    logs.write(RECONCILE, outcome(7, "late", cause="reconciled"), at=at)
    logs.write(ORDER, outcome(1, "duplicate"), at=at + 100)

    orders = said(logs, capsys)["orders"]

    assert {key: orders[key] for key in ("all", "created_in_window", "updated", "skipped", "late", "dead")} == {
        "all": 7,
        "created_in_window": 3,
        "updated": 1,
        "skipped": 1,
        "late": 1,
        "dead": 1,
    }
    assert orders["share_created_in_window"] == 0.5
    assert orders["late_by_cause"] == {"no_answer": 1, "reconciled": 1}
    assert (orders["dead_by_cause"], orders["skipped_by_reason"]) == ({"api_refused": 1}, {"guest": 1})
    assert (orders["seconds_to_created"]["p50"], orders["seconds_to_created"]["p99"]) == (3.0, 4.0)
    assert orders["seconds_to_updated"]["p50"] == 95.0


def test_an_order_that_was_created_stays_so_when_it_is_updated_afterwards(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(RECOVERY, outcome(1, "updated"), at=NOON - 10)
    logs.write(ORDER, outcome(1, "created", window_left_seconds=5), at=NOON - 50)
    logs.write(RECOVERY, outcome(1, "unchanged"), at=NOON - 5)

    orders = said(logs, capsys)["orders"]

    assert (orders["all"], orders["created_in_window"], orders["updated"], orders["unchanged"]) == (1, 1, 0, 0)


def test_an_order_that_was_created_stays_so_while_it_waits_for_a_source(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, outcome(1, "created", window_left_seconds=5), at=NOON - 50)
    logs.write(ORDER, outcome(1, "late", cause="source_unavailable"), at=NOON - 49)

    orders = said(logs, capsys)["orders"]

    assert (orders["created_in_window"], orders["late"]) == (1, 0)
    assert orders["late_by_cause"] == {"source_unavailable": 1}


def test_an_order_created_after_the_window_is_not_in_the_share(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(RECOVERY, outcome(1, "created", window_left_seconds=-50), at=NOON - 10)

    orders = said(logs, capsys)["orders"]

    assert (orders["share_created_in_window"], orders["created_after_window"]) == (0.0, 1)


def test_rules_are_counted_once_for_each_finished_order(logs: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    rules: dict[str, Any] = {
        "po_number_found": False,
        "rules_failed": ["all.po_number"],
        "rules_empty": ["all.extra_fields.Team"],
    }
    logs.write(ORDER, outcome(1, "late", cause="no_answer", **rules), at=NOON - 10)
    logs.write(RECOVERY, outcome(1, "updated", **rules), at=NOON - 5)
    logs.write(ORDER, outcome(2, "created", po_number_found=True), at=NOON - 4)

    assert said(logs, capsys)["rules"] == {
        "applied": 2,
        "without_po_number": 1,
        "failed": {"all.po_number": 1},
        "brought_nothing": {"all.extra_fields.Team": 1},
    }


def test_the_same_answer_of_create_order_is_told_apart_by_what_the_look_up_says_next(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = call("b2b.create", 400, 4.0)
    logs.write(ORDER, outcome(1, "updated", refused, call("b2b.get", 200, 4.2)), at=NOON - 9)
    too_late = call("b2b.create", 400, 11.5), call("b2b.get", 503, 11.6, "json"), call("b2b.get", 404, 11.9)
    logs.write(ORDER, outcome(2, "late", *too_late, cause="not_there_yet"), at=NOON - 8)
    logs.write(ORDER, outcome(3, "dead", refused, call("b2b.get", 404, 4.2), cause="api_refused"), at=NOON - 7)
    own = call("b2b.create", None, 1.0, "none"), call("b2b.create", 400, 5.0), call("b2b.get", 200, 5.1)
    logs.write(ORDER, outcome(4, "updated", *own), at=NOON - 6)
    logs.write(ORDER, outcome(5, "created", call("b2b.create", 200, 6.5), window_left_seconds=3), at=NOON - 5)

    api = said(logs, capsys)["api"]

    assert (api["create_refused_record_there"]["times"], api["create_refused_record_there"]["lowest"]) == (1, 4.0)
    assert (api["create_refused_no_record"]["times"], api["create_refused_no_record"]["lowest"]) == (1, 11.5)
    assert (api["create_accepted"]["times"], api["create_accepted"]["highest"]) == (1, 6.5)
    assert api["record_missing"]["times"] == 2


def test_a_record_that_was_there_before_the_relays_is_told_with_the_orders_age(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = call("b2b.create", 400, 1.0), call("b2b.get", 200, 1.25)
    logs.write(ORDER, outcome(1, "updated", *refused), at=NOON - 9)
    logs.write(ORDER, outcome(2, "unchanged", call("b2b.get", 200, 4.0)), at=NOON - 8)  # with create_after_seconds
    created = call("b2b.get", 404, 4.0), call("b2b.create", 200, 4.25)
    logs.write(ORDER, outcome(3, "created", *created, window_left_seconds=5), at=NOON - 7)
    logs.write(RECOVERY, outcome(4, "updated", call("b2b.get", 200, 8.0), receipts=1), at=NOON - 6)

    there = said(logs, capsys)["api"]["record_already_there"]

    assert there == {"times": 3, "of": 4, "lowest": 1.25, "highest": 8.0, "p50": 4.0, "p90": 8.0, "p99": 8.0}


def test_a_record_that_the_relay_may_have_made_or_that_came_after_the_window_does_not_count(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = call("b2b.create", None, 1.0, "none"), call("b2b.get", 200, 5.0)
    logs.write(ORDER, outcome(1, "unchanged", *lost), at=NOON - 9)
    # An event that brings values to an order that was created before; the lines come in any order.
    logs.write(ORDER, outcome(2, "updated", call("b2b.get", 200, 6.0), call("b2b.update", 200, 6.2)), at=NOON - 7)
    logs.write(ORDER, outcome(2, "created", call("b2b.create", 200, 1.0), window_left_seconds=9), at=NOON - 8)
    logs.write(RECOVERY, outcome(3, "updated", call("b2b.get", 200, 300.0), receipts=4), at=NOON - 6)

    there = said(logs, capsys)["api"]["record_already_there"]

    assert (there["times"], there["of"]) == (0, 2)


def test_people_are_told_of_create_after_seconds_when_a_record_was_there(
    logs: FakeLogs, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, outcome(1, "created", call("b2b.create", 200, 1.0), window_left_seconds=9), at=NOON - 8)
    report(context, "")
    assert "create_after_seconds" not in capsys.readouterr().out

    logs.write(ORDER, outcome(2, "unchanged", call("b2b.get", 200, 4.0)), at=NOON - 7)
    report(context, "")

    text = capsys.readouterr().out
    assert "record exists before the relay's     1, 4 to 4 s after the order's creation" in text
    assert "of 2 orders in the window" in text
    assert "create_after_seconds in docs/bigcommerce.md" in text


def test_answers_are_counted_by_endpoint_status_and_shape(logs: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    calls = [
        call("core.get_order", 404, 0.5),
        call("core.get_order", 404, 0.7, "html"),
        call("core.get_order", 200, 1.0, ms=300),
        call("b2b.create", None, 1.2, "none", ms=3000),
        call("b2b.create", 429, 4.3, "empty", remaining=0, resets={"retry-after": 2.0, "x-retry-after": 1.0}),
        call("b2b.create", 200, 6.5, remaining=149),
    ]
    logs.write(ORDER, outcome(1, "created", *calls, window_left_seconds=3), at=NOON - 5)

    api = said(logs, capsys)["api"]

    create, order = api["endpoints"]
    assert create["answers"] == [
        {"status": None, "shape": "none", "times": 1},
        {"status": 429, "shape": "empty", "times": 1},
        {"status": 200, "shape": API, "times": 1},
    ]
    assert (create["lowest_remaining"], create["ms"]["times"], order["ms"]["highest"]) == (0, 2, 300)
    assert api["order_not_readable"] == {"times": 1, "lowest": 0.5, "highest": 0.5, "p50": 0.5, "p90": 0.5, "p99": 0.5}
    assert api["rate_limit"]["refused"] == 1
    assert api["rate_limit"]["reset_headers"]["retry-after"]["highest"] == 2.0
    assert api["seconds_to_first_call"]["p50"] == 0.5


def test_when_the_relay_began_is_told_by_the_live_path_alone(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(RECOVERY, outcome(1, "updated", call("core.get_order", 200, 500.0), receipts=2), at=NOON - 5)

    assert said(logs, capsys)["api"]["seconds_to_first_call"]["times"] == 0


@pytest.mark.parametrize(
    "odd",
    [
        "REPORT RequestId: 1",
        '{"outcome": "created", "order": 1',
        '{"outcome": "created"}',
        '{"outcome": ["created"], "order": 1}',
        '{"outcome": "created", "order": "1"}',
        '{"status": 200, "metric": "WebhookAccepted", "order": 1}',
        "[]",
        "",
    ],
)
def test_what_is_no_outcome_line_is_passed_over(logs: FakeLogs, odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.write(ORDER, odd, at=NOON - 5)

    assert said(logs, capsys)["orders"]["all"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"calls": "none"},
        {"calls": [1, None, {}]},
        {"calls": [{"endpoint": ["x"], "status": "200", "age": "old", "ms": None, "remaining": "5", "resets": 3}]},
        {"po_number_found": True, "rules_failed": "all", "rules_empty": 3},
        {"po_number_found": "yes"},
        {"window_left_seconds": "much"},
        {"window_left_seconds": True, "calls": [{"endpoint": "b2b.create", "status": 200, "shape": API, "age": 1e999}]},
    ],
)
def test_fields_of_another_version_spoil_nothing(
    logs: FakeLogs, fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, outcome(1, "created") | fields, at=NOON - 5)

    assert said(logs, capsys)["orders"]["all"] == 1
    assert report(context_with(logs), "") is True


def test_a_period_without_orders_says_so(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(context, "abc123") is True

    text = capsys.readouterr().out
    assert "No orders in this period." in text
    assert "retention" not in text


def test_only_the_period_and_the_store_that_were_asked_for_count(
    logs: FakeLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write(ORDER, outcome(1, "created"), at=NOON - 8 * 24 * HOUR)
    logs.write(ORDER, outcome(2, "created"), at=NOON - 2 * HOUR)
    logs.write(ORDER, outcome(3, "created", store="other"), at=NOON - 60)

    assert said(logs, capsys)["orders"]["all"] == 2
    assert said(logs, capsys, days=9.0)["orders"]["all"] == 3
    assert said(logs, capsys, "other")["orders"]["all"] == 1
    assert said(logs, capsys, since="1h")["orders"]["all"] == 1
    assert said(logs, capsys, since="3h", until="1h")["orders"]["all"] == 1


def test_a_period_before_the_logs_begin_is_said(
    logs: FakeLogs, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    report(context, "", days=31.0)

    assert "Log retention is 30 days" in capsys.readouterr().out
    assert said(logs, capsys, days=31.0)["since_is_before_retention"] is True
    assert said(logs, capsys, days=29.0)["since_is_before_retention"] is False


def test_people_read_what_the_apis_were_seen_to_do(
    logs: FakeLogs, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = call("core.get_order", 200, 1.0), call("b2b.create", 400, 1.2), call("b2b.get", 200, 1.4, remaining=120)
    logs.write(
        ORDER, outcome(1, "updated", *calls, po_number_found=True, rules_empty=["all.extra_fields.Team"]), at=NOON - 5
    )

    report(context, "")

    text = capsys.readouterr().out
    assert "Create Order refused: record exists  1, 1.2 to 1.2 s after the order's creation" in text
    assert "Create Order accepted                not seen" in text
    assert "all.extra_fields.Team for 1 of 1" in text
    assert "400 x1" in text


@pytest.mark.parametrize("options", [{"days": 1.0, "since": "1h"}, {"since": "1h", "until": "2h"}, {"since": "soon"}])
def test_a_period_that_is_none_is_wrong_usage(context: Context, options: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        report(context, "", **options)


def test_many_lines_are_read_in_pages_with_progress(
    logs: FakeLogs, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay.context import Context as DeskType  # noqa: PLC0415

    told: list[float] = []

    class Progress:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_task(self, _: str, *, total: int) -> int:
            assert total == 100
            return 1

        def update(self, _: int, *, completed: float) -> None:
            told.append(completed)

    monkeypatch.setattr(DeskType, "progress", lambda _: Progress())
    for number in range(2_000):
        logs.write(ORDER, outcome(number + 1, "created"), at=NOON - 7200 + number)

    report(context, "", since="2h")

    assert told == sorted(told)
    assert len(told) >= 6
    assert told[-1] == 100
