"""Reconcile on a movable clock: the simulated store's own lists, and moto's table where the records themselves are looked at.

moto takes tens of milliseconds for the note of each order, so the long lists are tested on the fake table.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from handler.dates import rfc2822, unix_seconds
from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.outcomes import Dead, Late, Updated
from handler.table.idempotency import OrderIdempotency
from handler.table.keys import STORES_ID, note_id, order_id
from handler.table.store_registry import Progress
from sandbox.store.settings import Store
from support.aws import FakeContext, FakeSqs, FakeTable, create_table
from support.clock import NOON, FakeClock
from support.events import BUYER, STORE_HASH
from support.exchange import Sent, Step, answer, hang
from support.notes import note_failure
from support.world import SETTINGS, World, secret_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.store.hooks import Hook
    from support.telemetry import Written

TABLE = SETTINGS.idempotency_table
WEBHOOK_URL = "https://relay.example.com/live/webhooks"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
ORDERS, HOOKS = f"/stores/{STORE_HASH}/v2/orders", f"/stores/{STORE_HASH}/v3/hooks"
HOUR, DAY = 3600.0, 86_400.0
EVENT = OrderEvent(STORE_HASH, 250, NOON, "c")


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("dynamodb", **KEYS)  # type: ignore[call-overload]  # keys by name


@pytest.fixture
def table(dynamodb: Any) -> Iterator[Any]:
    """The client; the idempotency table is there, and empty."""
    create_table(dynamodb, TABLE)
    yield dynamodb
    with contextlib.suppress(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.delete_table(TableName=TABLE)


@pytest.fixture
def world() -> World:
    """One store that the relay knows, without any hook."""
    return known(a_world(FakeTable()))


@pytest.fixture
def world_on_moto(table: Any) -> World:
    """The same with a genuine client."""
    return known(a_world(table))


def known(world: World) -> World:
    """The relay knows the store."""
    world.stores.note(STORE_HASH)
    return world


def a_world(table: Any, remember_done_days: float = 35, now: float = NOON) -> World:
    settings = replace(SETTINGS, webhook_url=WEBHOOK_URL, remember_done_days=remember_done_days)
    return World(settings=settings, clock=FakeClock(now), table=table)


def add_store(world: World, name: str) -> None:
    store = Store(hash=name, company_customers={BUYER})
    world.bigcommerce.add_store(store)
    world.secrets.put(f"relay/{name}", secret_text(store))
    world.stores.note(name)


def place(world: World, *ages_seconds: float, store: str = STORE_HASH, **options: Any) -> list[int]:
    """Orders of these ages, of which nobody is told."""
    return [
        world.bigcommerce.place_order(
            store, cast("Any", {"customer_id": BUYER, "created_ago_seconds": age, "notify": False, **options})
        ).id
        for age in ages_seconds
    ]


def reconcile(world: World, seconds: float = 300.0) -> dict[str, int]:
    return world.reconcile_stores.handle(cast("Any", FakeContext(world.clock, seconds)))


def handed_over(world: World) -> list[int]:
    return [json.loads(message.body)["order"]["data"]["id"] for message in world.waiting]


def lists(world: World, rows: Any) -> None:
    """The store answers every question for its orders with this."""
    world.exchange.always("GET", ORDERS, answer(200, rows))


def row(world: World, order: Any = 250, age_seconds: float = 300.0, **more: Any) -> dict[str, Any]:
    return {"id": order, "customer_id": BUYER, "date_created": rfc2822(world.clock.now - age_seconds)} | more


def periods(world: World) -> list[tuple[float, float]]:
    """The periods of which orders were asked for, in seconds before NOON; once for each page."""
    return [
        tuple(NOON - cast("float", unix_seconds(sent.query[f"{end}_date_created"])) for end in ("min", "max"))  # type: ignore[misc]
        for sent in world.exchange.sent
        if sent.path == ORDERS
    ]


# --- which orders -------------------------------------------------------------------------------------------------


def test_an_order_without_a_webhook_is_queued_once(world: World) -> None:
    [silent] = place(world, 300)
    place(world, 300, customer_id=0)

    assert reconcile(world) == {STORE_HASH: 1}
    assert reconcile(world) == {STORE_HASH: 0}
    assert handed_over(world) == [silent]
    letter = json.loads(world.waiting[0].body)
    assert letter["order"]["created_at"] == NOON - 300
    assert letter["reason"]["cause"] == "reconciled"


def test_an_order_is_left_to_the_live_path_for_two_minutes(world: World) -> None:
    [settled, _young] = place(world, 121, 119)

    reconcile(world)
    assert handed_over(world) == [settled]

    world.clock.advance(60)
    reconcile(world)
    assert len(handed_over(world)) == 2


def test_a_first_check_goes_back_an_hour(world: World) -> None:
    [_before, inside] = place(world, HOUR + 60, HOUR - 60)

    reconcile(world)

    assert handed_over(world) == [inside]
    assert periods(world) == [(HOUR, 120)]


def test_a_first_check_goes_back_to_the_creation_of_the_hook(world: World) -> None:
    first, second = (world.shop.hooks.add("store/order/created", WEBHOOK_URL) for _ in range(2))
    first.created_at, second.created_at = int(NOON - 600), int(NOON - 60)
    [_before, inside] = place(world, 700, 500)

    for _ in range(3):
        reconcile(world)
        world.clock.advance(300)

    assert handed_over(world) == [inside]
    assert {first for first, _ in periods(world)} == {600}, "nor do later looks go back before it"


@pytest.mark.parametrize("created_at", [None, True, "soon", int(NOON * 1000), [], int(NOON - 9000)])
def test_a_hook_without_a_creation_time_counts_as_old(world: World, created_at: Any) -> None:
    hook = {"id": 1, "scope": "store/order/created", "destination": WEBHOOK_URL, "is_active": True}
    world.exchange.always("GET", HOOKS, answer(200, {"data": [hook | {"created_at": created_at}]}))

    reconcile(world)

    assert periods(world) == [(HOUR, 120)]


def test_an_order_that_the_list_showed_late_is_found_by_the_next_check(world: World) -> None:
    place(world, 300, readable_after_seconds=600)
    assert reconcile(world) == {STORE_HASH: 0}
    world.clock.now = NOON + 900

    assert reconcile(world) == {STORE_HASH: 1}
    assert periods(world)[1] == (120 + 900, 120 - 900), "a quarter of an hour is looked at again"


@pytest.mark.parametrize(("remember_done_days", "longest_days"), [(35, 30), (31, 30), (10, 9), (2, 1), (1, 0.5)])
def test_no_check_goes_back_to_orders_whose_idempotency_record_may_have_expired(
    remember_done_days: float, longest_days: float
) -> None:
    world = a_world(FakeTable(), remember_done_days)
    world.stores.note(STORE_HASH)
    long_ago = NOON - 100 * DAY
    world.stores.note_progress(STORE_HASH, Progress(since=long_ago, until=long_ago, tried_at=long_ago))

    reconcile(world)

    [(since, _until)] = periods(world)
    assert since == pytest.approx(longest_days * DAY, abs=1)


@pytest.mark.parametrize("number", [150, 250, 600])
def test_all_of_many_missing_orders_are_queued_and_counted(world: World, written: Written, number: int) -> None:
    orders = place(world, *(HOUR - 60 - 3 * place for place in range(number)))

    assert reconcile(world) == {STORE_HASH: number}
    assert handed_over(world) == orders
    assert sum(written.metrics["OrderReconciled"]) == number
    assert all(len(blob.get("OrderReconciled", [])) <= 100 for blob in written.blobs()), "CloudWatch reads no more"


def test_a_list_with_smaller_pages_than_requested_is_read_to_its_end(world: World) -> None:
    rows = [row(world, order, HOUR - 60 - order) for order in range(1, 121)]

    def page_of_fifty(sent: Sent) -> Step:
        begin = (int(sent.query["page"]) - 1) * 50
        return answer(200, rows[begin : begin + 50])

    world.exchange.always("GET", ORDERS, page_of_fifty)

    assert reconcile(world) == {STORE_HASH: 120}


# --- what the relay knows -----------------------------------------------------------------------------------------


def test_a_finished_order_is_not_queued_however_old_it_is(table: Any) -> None:
    world = a_world(table, now=float(int(time.time())))  # Powertools reads the real clock
    world.stores.note(STORE_HASH)
    [finished, _missing] = place(world, 1800, 1800)
    once = OrderIdempotency(TABLE, table, 35)
    once.run(OrderEvent(STORE_HASH, finished, NOON, "c"), lambda _: Updated(), cast("Any", FakeContext(world.clock)))

    assert reconcile(world) == {STORE_HASH: 1}
    assert finished not in handed_over(world)


def claim(status: str, *, expires_in: float = DAY, claim_ends_in: float | None = 60.0) -> dict[str, Any]:
    """An idempotency record as Powertools writes it."""
    item = {
        "id": {"S": order_id(STORE_HASH, 250)},
        "status": {"S": status},
        "expiration": {"N": str(int(NOON + expires_in))},
        "in_progress_expiration": {"N": str(int((NOON + (claim_ends_in or 0)) * 1000))},
    }
    return item if claim_ends_in is not None else {k: v for k, v in item.items() if k != "in_progress_expiration"}


@pytest.mark.parametrize(
    ("item", "known"),
    [
        (claim("COMPLETED"), True),
        (claim("COMPLETED", claim_ends_in=-60), True),
        (claim("COMPLETED", claim_ends_in=None), True),
        (claim("COMPLETED", expires_in=-1), False),
        (claim("INPROGRESS"), True),
        (claim("INPROGRESS", claim_ends_in=None), True),
        (claim("INPROGRESS", claim_ends_in=-1), False),
        (claim("INPROGRESS", expires_in=-1, claim_ends_in=-60), False),
    ],
)
def test_an_order_is_known_while_its_record_or_its_claim_lasts(
    world_on_moto: World, table: Any, item: dict[str, Any], *, known: bool
) -> None:
    table.put_item(TableName=TABLE, Item=item)

    assert world_on_moto.order_notes.unknown(STORE_HASH, [250, 251]) == ([251] if known else [250, 251])


@pytest.mark.parametrize("outcome", [Late(Cause.NO_ANSWER, ""), Dead(Cause.API_REFUSED, "")])
def test_an_order_in_a_queue_is_known_until_its_note_expires(world: World, outcome: Late | Dead) -> None:
    world.order_notes.note(EVENT, outcome)

    assert world.order_notes.unknown(STORE_HASH, [250, 251]) == [251]
    world.clock.advance(36 * DAY)
    assert world.order_notes.unknown(STORE_HASH, [250, 251]) == [250, 251]


def test_an_order_on_which_the_late_path_has_failed_is_known(world: World) -> None:
    note_failure(world.order_notes, EVENT, Cause.NO_ANSWER)

    assert world.order_notes.unknown(STORE_HASH, [250]) == []


def test_another_stores_order_with_the_same_number_is_not_taken_for_this_one(world: World) -> None:
    world.order_notes.note(replace(EVENT, store_hash="other"), Late(Cause.NO_ANSWER, ""))

    assert world.order_notes.unknown(STORE_HASH, [250]) == [250]


def test_an_order_whose_function_was_killed_is_queued_when_its_claim_has_expired(
    world_on_moto: World, table: Any
) -> None:
    item = claim("INPROGRESS", claim_ends_in=300)
    table.put_item(TableName=TABLE, Item=item)
    place(world_on_moto, 300, order_id=250)

    assert reconcile(world_on_moto) == {STORE_HASH: 0}
    world_on_moto.clock.advance(600)
    assert reconcile(world_on_moto) == {STORE_HASH: 1}


# --- progress -----------------------------------------------------------------------------------------------------


def break_off_after_the_first_page(world_on_moto: World) -> None:
    """The next question for a second page is answered 503."""
    simulated = world_on_moto.exchange.otherwise
    assert simulated is not None

    def broken(sent: Sent) -> Step:
        if sent.query["page"] == "1":
            return simulated(sent)
        world_on_moto.exchange.mend()
        return answer(503)

    world_on_moto.exchange.always("GET", ORDERS, broken)


def test_an_interrupted_check_continues_after_the_last_page_that_was_read(world: World) -> None:
    # The later the order, the lower its number: the list is in order only when it is sorted by date.
    ages = [600.0 + 10 * number for number in range(300)]
    orders = place(world, *ages)
    break_off_after_the_first_page(world)

    assert reconcile(world) == {STORE_HASH: 0}
    assert handed_over(world) == orders[:49:-1]
    assert reconcile(world) == {STORE_HASH: 50}

    assert sorted(handed_over(world)) == orders
    assert periods(world)[2] == (ages[50] + 900, 120)
    assert {sent.query["limit"] for sent in world.exchange.sent if sent.path == ORDERS} == {"250"}, (
        "the documented most"
    )


def test_orders_of_one_second_on_two_pages_are_all_found(world: World) -> None:
    orders = place(world, *([1800.0] * 260))
    break_off_after_the_first_page(world)

    reconcile(world)
    reconcile(world)

    assert sorted(handed_over(world)) == orders


def test_a_page_that_is_not_in_order_does_not_count_as_progress(world: World) -> None:
    rows = [row(world, order, 1800.0 - order) for order in range(250, 0, -1)]
    world.exchange.on("GET", ORDERS, answer(200, [rows[0], *rows[2:], rows[1]]), answer(503))

    reconcile(world)
    reconcile(world)

    assert periods(world)[-1] == (HOUR, 120)


def test_a_store_whose_first_check_never_succeeds_falls_behind(world: World, written: Written) -> None:
    world.exchange.always("GET", ORDERS, answer(503))
    for look in range(4):
        world.clock.now = NOON + look * 900
        reconcile(world)

    assert written.metrics["ReconcileBehind"] == pytest.approx([0, 900, 1800, 2700], abs=2)
    world.exchange.mend()
    [silent] = place(world, HOUR + 2600)
    reconcile(world)
    assert handed_over(world) == [silent], "the first look goes back as far as it would have at first"


def test_a_store_that_was_removed_and_added_again_has_a_first_check(world_on_moto: World) -> None:
    reconcile(world_on_moto)
    world_on_moto.stores.forget(STORE_HASH)
    assert world_on_moto.stores.all() == []
    world_on_moto.clock.advance(10 * DAY)
    del world_on_moto.relay  # another environment, which has noted no store yet
    world_on_moto.stores.note(STORE_HASH)

    reconcile(world_on_moto)

    assert periods(world_on_moto)[1] == (HOUR - 10 * DAY, 120 - 10 * DAY)


# --- lists that are not what was asked for ------------------------------------------------------------------------


@pytest.mark.parametrize("age_seconds", [900 * DAY, HOUR + 300, 30, -30, -DAY], ids=str)
def test_nothing_is_queued_from_a_list_that_ignores_the_dates(
    world: World, written: Written, age_seconds: float
) -> None:
    lists(world, [row(world, 250, 300), row(world, 251, age_seconds)])

    assert reconcile(world) == {STORE_HASH: 0}
    assert handed_over(world) == []
    assert written.metrics["ReconcileFailed"] == [1]
    [line] = [line for line in written.log if line["message"] == "reconcile failed for a store"]
    assert (line["cause"], line["store"]) == ("api_unavailable", STORE_HASH)
    assert "outside the requested period" in line["detail"]
    lists(world, [row(world, 250, 300)])
    assert reconcile(world) == {STORE_HASH: 1}, "and the next look begins where this one did"


def test_nothing_is_queued_from_a_list_without_dates(world: World) -> None:
    lists(world, [row(world, 250) | {"date_created": "last week"}, row(world, 251) | {"date_created": None}])

    assert reconcile(world) == {STORE_HASH: 0}
    assert handed_over(world) == []


def test_one_order_without_a_date_is_queued_with_the_others(world: World) -> None:
    lists(world, [row(world, 250) | {"date_created": "soon"}, row(world, 251)])

    assert reconcile(world) == {STORE_HASH: 2}


def test_a_date_in_iso_8601_is_read(world: World) -> None:
    lists(world, [row(world, 250) | {"date_created": "2026-07-25T17:15:00+00:00"}])
    assert unix_seconds("2026-07-25T17:15:00+00:00") == NOON - 300

    assert reconcile(world) == {STORE_HASH: 1}


def test_a_list_that_repeats_a_page_ends_the_check(world: World, written: Written) -> None:
    rows = [row(world, order) for order in range(1, 251)]
    world.exchange.always("GET", ORDERS, answer(200, rows, seconds=5))

    assert reconcile(world) == {STORE_HASH: 0}
    assert len(periods(world)) == 2
    assert written.metrics["ReconcileFailed"] == [1]


@pytest.mark.parametrize("body", [{}, {"data": []}, "orders", 7, None])
def test_an_answer_that_is_not_a_list_ends_the_check(world: World, written: Written, body: Any) -> None:
    lists(world, body)

    assert reconcile(world) == {STORE_HASH: 0}
    assert written.metrics["ReconcileFailed"] == [1]


def test_rows_that_are_not_orders_are_skipped_and_counted(world: World, written: Written) -> None:
    bad: list[Any] = [None, "250", [], {}, row(world, None), row(world, True), row(world, "x"), row(world, 0)]
    lists(world, [*bad, row(world, "251"), row(world, 252.0), row(world, 253, customer_id="0")])

    assert reconcile(world) == {STORE_HASH: 2}
    assert handed_over(world) == [251, 252]
    assert sum(written.metrics["ReconcileFailed"]) == len(bad)


def test_a_list_without_a_usable_order_ends_the_check(world: World, written: Written) -> None:
    lists(world, [{}, row(world, None)])

    assert reconcile(world) == {STORE_HASH: 0}
    assert "core Orders API: the answer is not a list of orders" in [line.get("detail") for line in written.log]


# --- stores -------------------------------------------------------------------------------------------------------


def looked_at(world: World) -> list[str]:
    """The stores in the order of the looks since the last question."""
    paths = [sent.path.split("/")[2] for sent in world.exchange.sent if sent.path.endswith("/hooks")]
    world.exchange.sent.clear()
    return paths


def test_new_stores_are_checked_first_and_then_those_checked_longest_ago(world: World) -> None:
    for name in ("aaa", "zzz"):
        add_store(world, name)
    world.stores.note_progress("aaa", Progress(NOON - 1000, NOON - 1000, NOON - 1000))
    world.stores.note_progress(STORE_HASH, Progress(NOON - 2000, NOON - 2000, NOON - 2000))

    reconcile(world)
    assert looked_at(world) == ["zzz", STORE_HASH, "aaa"]
    world.clock.advance(900)
    reconcile(world)
    assert looked_at(world) == ["zzz", STORE_HASH, "aaa"]


def test_stores_that_hang_do_not_keep_other_stores_from_being_checked(world: World, written: Written) -> None:
    names = [f"store{number}" for number in range(6)]
    for name in names:
        add_store(world, name)
        for path in (f"/stores/{name}/v3/hooks", f"/stores/{name}/v2/orders"):
            world.exchange.always("GET", path, hang())

    assert set(reconcile(world, seconds=60.0)) == {STORE_HASH, *names}
    reached = [looked_at(world)]
    assert len(reached[0]) < 7
    assert sum(written.metrics["ReconcileFailed"]) >= 7 - len(reached[0]), "a store without a look is counted"
    for _ in range(5):
        world.clock.advance(900)
        reconcile(world, seconds=60.0)
        reached.append(looked_at(world))

    assert all({*before, *after} == {STORE_HASH, *names} for before, after in pairwise(reached))


def test_a_store_with_slow_lists_takes_a_minute_at_most(world: World) -> None:
    add_store(world, "second")
    world.stores.note_progress("second", Progress(NOON - 900, NOON - 900, NOON - 900))
    [waiting] = place(world, 300, store="second")

    def slow(sent: Sent) -> Step:
        page = int(sent.query["page"])
        return answer(
            200, [row(world, page * 1000 + number, 1000 - page, customer_id=0) for number in range(250)], seconds=10
        )

    world.exchange.always("GET", ORDERS, slow)

    assert reconcile(world) == {STORE_HASH: 0, "second": 1}
    assert 5 <= len(periods(world)) <= 6
    assert handed_over(world)[-1] == waiting


class SlowSqs(FakeSqs):
    """SQS that takes a second for each message."""

    def send_message(self, **message: Any) -> None:
        self.clock.advance(1)
        FakeSqs.send_message(self, **message)


def test_no_order_is_queued_when_the_invocations_time_is_over(world: World) -> None:
    place(world, *range(300, 320))
    world.sqs = SlowSqs(world.clock)

    assert reconcile(world, seconds=15.0) == {STORE_HASH: 0}
    assert 8 <= len(handed_over(world)) <= 10
    reconcile(world)
    assert len(set(handed_over(world))) == len(handed_over(world)) == 20


BAD_HOOKS: list[Any] = [
    {"data": [{"scope": "store/order/created", "destination": WEBHOOK_URL, "is_active": False}]},
    {"data": [{"id": None, "scope": "store/order/created", "destination": WEBHOOK_URL, "is_active": False}]},
    {"data": [None, 7, {"id": 1, "scope": None}, {"id": 2, "scope": ["store/order/created"]}]},
    {"data": {"1": "a hook"}},
    [],
    None,
]


@pytest.mark.parametrize(
    "hooks", [*(answer(200, body) for body in BAD_HOOKS), answer(422, {"status": 422, "title": "no"}), answer(503)]
)
def test_orders_are_checked_even_if_the_list_of_hooks_cannot_be_used(
    world: World, written: Written, hooks: Step
) -> None:
    add_store(world, "second")
    place(world, 300)
    place(world, 300, store="second")
    world.exchange.always("GET", HOOKS, hooks)

    assert reconcile(world) == {STORE_HASH: 1, "second": 1}
    assert sum(written.metrics["ReconcileFailed"]) >= 1
    assert world.exchange.paths("PUT") == []


def test_a_bug_with_one_store_is_logged_with_its_trace_and_the_others_are_checked(
    world: World, written: Written
) -> None:
    add_store(world, "second")
    world.exchange.always("GET", ORDERS, Step(cast("Any", "no response at all"), 0.1))
    place(world, 300, store="second")

    assert reconcile(world) == {STORE_HASH: 0, "second": 1}
    assert written.metrics["ReconcileFailed"] == [1]
    assert written.metrics["UnexpectedError"] == [1], "an alarm looks at it"
    [line] = [line for line in written.log if line["level"] == "ERROR"]
    assert line["store"] == STORE_HASH
    assert "Traceback" in line["exception"]


@pytest.mark.parametrize(
    ("status", "cause"),
    [(503, "api_unavailable"), (418, "unexpected_answer"), (401, "unauthorized"), (429, "rate_limited")],
)
def test_a_failed_check_is_logged_with_its_cause(world: World, written: Written, status: int, cause: str) -> None:
    world.exchange.always("GET", ORDERS, answer(status))

    reconcile(world)

    [line] = [line for line in written.log if line["message"] == "reconcile failed for a store"]
    assert line["cause"] == cause
    assert line["cause"] in set(Cause)
    assert str(status) in line["detail"]


def test_a_table_that_is_gone_is_counted_with_its_error_code(
    world_on_moto: World, table: Any, written: Written
) -> None:
    table.delete_table(TableName=TABLE)

    assert reconcile(world_on_moto) == {}
    assert written.metrics["ReconcileFailed"] == [1]
    [line] = [line for line in written.log if line["message"] == "reconcile failed for a store"]
    assert line["error"] == "ResourceNotFoundException"
    assert "cause" not in line


def test_without_stores_there_is_nothing_to_check(table: Any, written: Written) -> None:
    assert reconcile(a_world(table)) == {}
    assert written.metrics == {"ReconcileRuns": [1]}


def test_stores_are_in_the_table_until_they_are_removed(world_on_moto: World, table: Any) -> None:
    add_store(world_on_moto, "second")
    world_on_moto.stores.note_hook("second", paused=True)
    world_on_moto.stores.note_hook(STORE_HASH, paused=True)
    world_on_moto.stores.note_hook(STORE_HASH, paused=False)

    assert world_on_moto.stores.all() == [STORE_HASH, "second"]
    assert (world_on_moto.stores.hook_is_paused(STORE_HASH), world_on_moto.stores.hook_is_paused("second")) == (
        False,
        True,
    )
    world_on_moto.stores.forget("second")
    assert world_on_moto.stores.all() == [STORE_HASH]
    assert not world_on_moto.stores.hook_is_paused("second")
    item = table.get_item(TableName=TABLE, Key={"id": {"S": STORES_ID}})["Item"]
    assert item == {"id": {"S": STORES_ID}, "hashes": {"SS": [STORE_HASH]}}


def test_progress_is_read_back_for_many_stores_and_only_for_those_that_have_any(world: World) -> None:
    names = [f"store{number}" for number in range(120)]
    for number, name in enumerate(names):
        world.stores.note_progress(name, Progress(number, 1000 + number, 2000 + number))

    found = world.stores.progress([*names, "new"])

    assert found == {name: Progress(number, 1000 + number, 2000 + number) for number, name in enumerate(names)}
    assert note_id("store1", 1) not in found


# --- hooks --------------------------------------------------------------------------------------------------------


def add_hook(world: World, scope: str = "store/order/created", *, active: bool, to: str = WEBHOOK_URL) -> Hook:
    hook = world.shop.hooks.add(scope, to)
    hook.is_active = active
    return hook


@pytest.mark.parametrize(
    ("scope", "ours"),
    [
        ("store/order/created", True),
        ("store/order/*", True),
        ("store/*", True),
        ("store/channel/1/order/created", True),
        ("store/channel/1/order/*", True),
        ("store/channel/1/*", True),
        ("store/channel/*/order/created", True),
        ("store/order/updated", False),
        ("store/order/statusUpdated", False),
        ("store/order/message/created", False),
        ("store/order", False),
        ("store/cart/*", False),
        ("store/channel/*", False),
        ("store/channel/1/cart/created", False),
        ("store/channel/1/order/updated", False),
        ("", False),
    ],
)
def test_a_hook_counts_as_the_relays_when_its_scope_includes_created_orders(
    world: World, written: Written, scope: str, *, ours: bool
) -> None:
    hook = add_hook(world, scope, active=False)

    reconcile(world)

    assert written.metrics["HookMissing"] == [0 if ours else 1]
    assert hook.is_active is ours


STORE_WIDE, OF_1, OF_2 = "store/order/created", "store/channel/1/order/created", "store/channel/2/order/created"


@pytest.mark.parametrize(
    ("hooks", "switched_on"),
    [
        ([(STORE_WIDE, False)], [True]),
        ([(STORE_WIDE, True)], [False]),
        ([(STORE_WIDE, True), (STORE_WIDE, False)], [False, False]),
        ([(STORE_WIDE, False), (STORE_WIDE, False)], [True, False]),
        ([(OF_1, True), (OF_2, False)], [False, True]),
        ([(OF_1, False), (OF_2, False)], [True, True]),
        ([(OF_1, False), (OF_1, True)], [False, False]),
        ([(OF_1, True), (STORE_WIDE, False)], [False, True]),
        ([(OF_1, False), (STORE_WIDE, True)], [False, False]),
        ([(OF_1, False), (STORE_WIDE, False)], [False, True]),
        ([("store/order/*", True), (STORE_WIDE, False)], [False, False]),
    ],
)
def test_an_inactive_hook_is_activated_when_no_other_hook_covers_its_scope(
    world: World, written: Written, hooks: list[tuple[str, bool]], switched_on: list[bool]
) -> None:
    made = [add_hook(world, scope, active=active) for scope, active in hooks]

    reconcile(world)

    assert [hook.is_active for hook in made] == [
        before or on for (_, before), on in zip(hooks, switched_on, strict=True)
    ]
    assert sum(written.metrics.get("HookReactivated", [])) == sum(switched_on)


def test_hooks_with_another_destination_or_of_a_paused_store_are_not_changed(world: World, written: Written) -> None:
    other = add_hook(world, active=False, to="https://elsewhere.example.com/")
    ours = add_hook(world, active=False)
    world.stores.note_hook(STORE_HASH, paused=True)

    reconcile(world)
    assert [hook.is_active for hook in (ours, other)] == [False, False]
    world.stores.note_hook(STORE_HASH, paused=False)
    reconcile(world)

    assert [hook.is_active for hook in (ours, other)] == [True, False]
    assert sum(written.metrics["HookMissing"]) == 0


def test_a_hook_that_cannot_be_activated_does_not_stop_the_next_hook_or_the_check(
    world: World, written: Written
) -> None:
    hooks = [add_hook(world, scope, active=False) for scope in (OF_1, OF_2)]
    for hook in hooks:
        hook.created_at = int(NOON - 600)
    world.exchange.always("PUT", f"{HOOKS}/{hooks[0].id}", answer(422))
    place(world, 700, 500)

    assert reconcile(world) == {STORE_HASH: 1}
    assert [hook.is_active for hook in hooks] == [False, True]
    assert written.metrics["ReconcileFailed"] == [1]
