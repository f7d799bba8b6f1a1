"""The late path on a movable clock: what finishes an order, what postpones it and for how long, what ends it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from handler.backoff import delay_seconds
from handler.enrichment import Rules
from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.queues import read_letter
from handler.recover import CREATE_AFTER_TRIES, NOT_FOUND_TRIES, REQUESTS_AN_ORDER
from handler.table.keys import note_id
from sandbox.store.orders import PO_LINE
from support.aws import DEAD_LETTER_URL, QUEUE_VISIBILITY_SECONDS, RECOVERY_URL, FakeContext, refusal
from support.clock import NOON
from support.events import BUYER, ORDER_ID, OUTSIDER, STORE_HASH, bus_event, webhook
from support.exchange import Step, answer, hang, reset
from support.notes import note_failure
from support.world import LOOK_UP, RECORD, RECORDS, SECRET_NAME, SETTINGS, World

if TYPE_CHECKING:
    from support.telemetry import Written

EVENT = OrderEvent(STORE_HASH, ORDER_ID, NOON, "c")
TYPED = f"{PO_LINE}typed"
EXISTS = answer(400, {"code": 400, "data": [], "meta": {"message": "The order already exists."}})


GONE = answer(410, [{"status": 410, "message": "The order is gone."}])
REFUSED = answer(422, {"code": 422, "data": {"errMsg": "no"}, "meta": {"message": "Unprocessable Entity"}})


@pytest.fixture
def world() -> World:
    return World()


def reason(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.body)["reason"]
    return found


def place_late(world: World, *, record: bool = True, **options: Any) -> None:
    """An order of twenty seconds ago, in the queue, its automatic record there or never to come."""
    world.place(
        created_ago_seconds=20, customer_message=TYPED, automatic_record_after=0.0 if record else None, **options
    )
    world.put_late()


def receive_again(world: World, receipts: int) -> None:
    """As if the message had been received so often before the next time."""
    for message in world.waiting:
        message.receipts = receipts
        message.visible_at = world.clock.now


def world_letter(world: World) -> str:
    """The order's message as it would come from the live path."""
    return json.dumps({"order": webhook(world.clock.now)})


def record_was_not_there(world: World, times: int) -> None:
    """As if the record had been looked for so often already."""
    for _ in range(times):
        note_failure(world.order_notes, EVENT, Cause.NOT_THERE_YET)


# --- finished -----------------------------------------------------------------------------------------------------


def test_a_late_order_is_read_merged_and_updated(world: World, written: Written) -> None:
    world.store.update_replaces_extra_fields = True
    place_late(world, buyer_extra_fields={"Own": "kept"})
    world.waiting.clear()
    world.put_late(extraFields=[{"fieldName": "Team", "fieldValue": "Blue"}])

    world.recover()

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("typed", {"Own": "kept", "Team": "Blue"})
    assert (world.waiting, world.dead) == ([], [])
    assert written.metrics == {"OrderUpdated": [1.0]}


def test_a_record_that_has_every_value_is_read_and_not_updated(world: World, written: Written) -> None:
    place_late(world, buyer_po_number="typed")

    world.recover()

    assert [(sent.method, sent.path) for sent in world.exchange.sent] == [("GET", LOOK_UP), ("GET", RECORD)]
    assert world.waiting == []
    assert written.metrics == {"OrderUnchanged": [1.0]}


@pytest.mark.parametrize(
    "message",
    [
        bus_event(webhook(0)),
        {"requestPayload": bus_event(webhook(0)), "requestContext": {"condition": "RetriesExhausted"}},
        {"order": webhook(0)},
    ],
    ids=["a rule's dead letter", "an on-failure record", "an own message"],
)
def test_messages_of_all_shapes_are_finished(world: World, message: Any) -> None:
    place_late(world)
    world.waiting.clear()
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps(message))

    world.recover()

    assert (world.waiting, world.dead) == ([], [])
    assert world.idempotency.done == {(STORE_HASH, ORDER_ID)}


def test_a_finished_order_costs_no_request(world: World, written: Written) -> None:
    world.idempotency.done.add((STORE_HASH, ORDER_ID))
    place_late(world)

    world.recover()

    assert (world.waiting, world.exchange.sent) == ([], [])
    assert written.metrics == {"OrderDuplicate": [1.0]}


def test_a_guest_leaves_the_queue(world: World, written: Written) -> None:
    place_late(world, record=False, customer_id=0)

    world.recover()

    assert (world.waiting, world.dead) == ([], [])
    assert written.metrics == {"OrderSkippedGuest": [1.0]}


def test_an_order_that_matches_skip_when_leaves_the_queue() -> None:
    world = World(rules=Rules.parse('[all]\nskip_when = "status_id == `0`"'))
    place_late(world, status_id=0)

    world.recover()

    assert world.waiting == []
    assert world.exchange.paths("GET") == [LOOK_UP]


def test_an_event_of_another_scope_leaves_the_queue(world: World, written: Written) -> None:
    world.put_late(scope="store/order/updated")

    world.recover()

    assert (world.waiting, world.dead) == ([], [])
    assert written.metrics == {"WebhookIgnored": [1.0]}


# --- not there yet ------------------------------------------------------------------------------------------------


def test_a_record_that_does_not_exist_yet_is_read_again_with_growing_delays(world: World, written: Written) -> None:
    place_late(world, record=False)

    for _ in range(3):
        world.wait_for_late()

    assert world.sqs.hidden == [5, 15, 45]
    assert world.clock.slept == []
    assert world.exchange.paths("POST") == []
    details = {line["detail"] for line in written.log if line.get("outcome") == "late"}
    assert "B2B API: the order has no record yet" in details


def test_the_note_of_a_failed_try_has_the_times_of_the_next_try_and_the_end(world: World) -> None:
    place_late(world, record=False)
    sent_at = world.waiting[0].sent_at

    for _ in range(2):
        world.recover()
        note = world.table.notes[note_id(STORE_HASH, ORDER_ID)]
        failures = world.table.failures[note_id(STORE_HASH, ORDER_ID)]["failures"]
        spread, not_before = float(note["spread"]["N"]), float(note["not_before"]["N"])
        delay = delay_seconds(world.settings, failures, spread, not_before)
        [message] = world.waiting
        assert message.visible_at == pytest.approx(float(note["at"]["N"]) + delay, abs=1)
        assert note["receipt"]["S"] == message.id
        assert float(note["give_up_at"]["N"]) == sent_at + world.settings.give_up_after_minutes * 60
        world.clock.now = message.visible_at


def test_an_order_that_no_function_has_noted_is_noted_when_it_is_first_received(world: World) -> None:
    """It may wait long for a place: `relay late` shows it meanwhile."""
    place_late(world)
    world.waiting.clear()
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps(bus_event(webhook(0))))

    world.recover()

    assert world.table.notes[note_id(STORE_HASH, ORDER_ID)]["first_cause"]["S"] == "not_delivered"


def test_delays_grow_up_to_the_longest_delay(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", RECORD, answer(503))

    for _ in range(9):
        world.wait_for_late()

    assert world.sqs.hidden[-3:] == [900, 900, 900]


def test_a_record_that_never_appears_is_created_after_some_tries(world: World, written: Written) -> None:
    world.store.late_create_without_record = True
    place_late(world, record=False)

    for _ in range(CREATE_AFTER_TRIES):
        world.wait_for_late()

    record = world.record()
    assert record is not None
    assert (record.po_number, world.waiting) == ("typed", [])
    assert written.metrics["OrderCreated"] == [1.0]
    assert written.metrics["WindowLeft"] == [0.0]
    [seconds] = written.metrics["TimeToCreate"]
    assert 10 < seconds < 3600
    # Each try took its share of the rate limit, and the late Create took one more.
    assert sum(world.table.taken.values()) == (CREATE_AFTER_TRIES + 1) * REQUESTS_AN_ORDER
    assert all(key.startswith(f"rate#{STORE_HASH}#") for key in world.table.taken)


def test_when_create_order_is_refused_as_too_late_the_record_is_waited_for(world: World) -> None:
    place_late(world, record=False)
    for _ in range(CREATE_AFTER_TRIES + 2):
        world.wait_for_late()
    assert len(world.waiting) == 1

    world.bigcommerce.shops[STORE_HASH].orders[ORDER_ID].automatic_record_at = world.clock.now
    world.wait_for_late()

    assert (world.waiting, world.dead) == ([], [])


@pytest.mark.parametrize("refusal_of_create", [None, EXISTS], ids=["refused", "exists"])
def test_a_customer_without_a_company_is_skipped_once_creating_was_refused(
    world: World, refusal_of_create: Step | None
) -> None:
    place_late(world, record=False, customer_id=OUTSIDER)
    world.store.late_create_without_record = True
    record_was_not_there(world, CREATE_AFTER_TRIES - 1)
    if refusal_of_create is not None:
        world.exchange.on("POST", RECORDS, refusal_of_create)

    world.recover()

    assert (world.waiting, world.dead) == ([], [])
    assert world.exchange.sent[-1].path == f"/api/v3/io/users/customer/{OUTSIDER}"


def test_a_refusal_to_create_late_is_a_dead_letter(world: World) -> None:
    place_late(world, record=False)
    record_was_not_there(world, CREATE_AFTER_TRIES - 1)
    world.exchange.on("POST", RECORDS, answer(422, {"data": {"errMsg": "[Team] is a required extra field"}}))

    world.recover()

    assert reason(world.dead[0])["detail"] == "B2B API: HTTP 422: [Team] is a required extra field"


def test_an_order_that_the_store_does_not_have_is_a_dead_letter_after_some_tries(world: World) -> None:
    world.put_late()
    for _ in range(NOT_FOUND_TRIES - 1):
        world.wait_for_late()
    assert len(world.waiting) == 1

    world.wait_for_late()

    assert world.waiting == []
    assert reason(world.dead[0])["cause"] == "order_not_found"


# --- trouble ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [("GET", LOOK_UP), ("GET", RECORD), ("PUT", RECORD)], ids=["look-up", "get", "put"])
@pytest.mark.parametrize("fault", [reset(), hang(), answer(503), answer(429), answer(401)])
def test_a_failing_order_is_retried_and_finished_when_the_failure_ends(
    world: World, place: tuple[str, str], fault: Step
) -> None:
    place_late(world)
    world.waiting.clear()
    world.put_late(poNumber="given")
    world.exchange.always(*place, fault)
    for _ in range(3):
        world.wait_for_late()
    assert (len(world.waiting), world.dead) == (1, [])

    world.exchange.mend()
    world.wait_for_late()

    record = world.record()
    assert record is not None
    assert (record.po_number, world.waiting) == ("given", [])


def test_an_outage_of_six_hours_is_survived(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", LOOK_UP, answer(503))
    began = world.clock.now
    while world.clock.now < began + 6 * 3600:
        world.wait_for_late()

    world.exchange.mend()
    world.wait_for_late()

    assert (world.waiting, world.dead) == ([], [])
    assert world.clock.now < began + 6.5 * 3600


def test_during_a_rate_limit_no_late_order_of_the_store_is_requested(world: World) -> None:
    place_late(world)
    world.put_late(data={"type": "order", "id": ORDER_ID + 1})
    world.exchange.always("GET", RECORD, answer(429, headers={"X-Request-Window-Resets-After": "40 s"}))

    world.recover()

    assert world.exchange.paths("GET") == [LOOK_UP, RECORD]
    assert [seconds >= 40 for seconds in world.sqs.hidden] == [True, True]


def test_the_pause_after_a_rate_limit_lasts_beyond_the_batch(world: World, written: Written) -> None:
    place_late(world)
    world.exchange.on("GET", RECORD, answer(429, headers={"Retry-After": "100"}))
    world.recover()
    world.exchange.sent.clear()
    receive_again(world, 1)

    world.recover()

    assert world.exchange.sent == []
    assert written.metrics["LateThrottled"] == [1.0]


def test_a_failing_store_does_not_delay_another(world: World) -> None:
    other = World(settings=SETTINGS)
    place_late(world)
    world.exchange.always("GET", f"/stores/other/v2/orders/{ORDER_ID}", answer(503))
    world.secrets.put("relay/other", other.secrets.secrets[SECRET_NAME]["AWSCURRENT"])
    world.waiting.clear()
    world.put_late(producer="stores/other")
    world.put_late()

    world.recover()

    assert [read_letter(message.body, 0).event.store_hash for message in world.waiting] == ["other"]


def test_the_late_path_stays_below_its_rate_limit() -> None:
    world = World(settings=replace(SETTINGS, late_requests_per_minute=24))
    for number in range(5):
        world.place(order_id=ORDER_ID + number, created_ago_seconds=20, automatic_record_after=0.0)
        world.put_late(data={"type": "order", "id": ORDER_ID + number})

    world.recover()

    assert (
        len([path for path in world.exchange.paths("GET") if path.startswith(RECORDS)]) == 3
    )  # 24 a minute: 6 in 15 s
    assert len(world.waiting) == 2


def test_when_requests_cannot_be_counted_the_order_is_processed(world: World, written: Written) -> None:
    place_late(world)
    world.table.error = refusal("ProvisionedThroughputExceededException")

    world.recover()

    assert world.waiting == []
    assert written.metrics["TableUnavailable"] == [1.0]


def test_an_order_in_progress_elsewhere_is_retried_later(world: World, written: Written) -> None:
    place_late(world)
    world.idempotency.in_progress.add((STORE_HASH, ORDER_ID))

    world.recover()

    assert len(world.waiting) == 1
    assert world.exchange.sent == []
    assert written.metrics == {"OrderRetried": [1.0]}


def test_an_order_for_which_the_invocation_has_no_time_is_deferred_without_a_request(world: World) -> None:
    place_late(world)
    event = world.sqs.receive(RECOVERY_URL)

    response = world.recover_orders.handle(event, cast("Any", FakeContext(world.clock, seconds=12.0)))

    assert response == {"batchItemFailures": [{"itemIdentifier": world.waiting[0].id}]}
    assert world.exchange.sent == []


def test_no_request_outlasts_the_invocation(world: World) -> None:
    for number in range(6):
        world.put_late(data={"type": "order", "id": ORDER_ID + number}, producer=f"stores/abcd{number}")
        world.secrets.put(f"relay/abcd{number}", world.secrets.secrets[SECRET_NAME]["AWSCURRENT"])
        world.exchange.always("GET", f"/stores/abcd{number}/v2/orders/{ORDER_ID + number}", hang())
    began = world.clock.now

    world.recover()

    assert world.clock.now <= began + 55.0
    assert len(world.waiting) == 6


# --- failures, not receipts -----------------------------------------------------------------------------------------


def test_receipts_of_a_deferred_order_do_not_make_its_delay_grow(world: World) -> None:
    place_late(world)
    receive_again(world, 30)
    world.exchange.on("GET", RECORD, answer(503))

    world.recover()

    assert world.sqs.hidden == [5]


def test_after_a_long_outage_one_404_does_not_make_a_dead_letter(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", LOOK_UP, answer(503))
    for _ in range(NOT_FOUND_TRIES + 2):
        world.wait_for_late()
    world.exchange.mend()
    world.exchange.on("GET", LOOK_UP, answer(404))

    world.wait_for_late()
    assert (len(world.waiting), world.dead) == (1, [])
    world.wait_for_late()

    assert (world.waiting, world.dead) == ([], [])


def test_after_a_long_outage_a_record_that_is_not_there_yet_is_not_created_at_once(world: World) -> None:
    world.store.late_create_without_record = True
    place_late(world, record=False)
    world.exchange.always("GET", RECORD, answer(503))
    for _ in range(CREATE_AFTER_TRIES + 2):
        world.wait_for_late()
    world.exchange.mend()

    world.wait_for_late()

    assert world.exchange.paths("POST") == []


def test_an_order_over_the_rate_limit_costs_no_request(written: Written) -> None:
    world = World(settings=replace(SETTINGS, late_requests_per_minute=12))
    for number in range(3):
        world.place(order_id=ORDER_ID + number, created_ago_seconds=20, automatic_record_after=0.0)
        world.put_late(data={"type": "order", "id": ORDER_ID + number})

    world.recover()

    assert world.exchange.paths("GET") == [LOOK_UP, RECORD]  # 12 a minute: one order in 15 s
    assert len(world.waiting) == 2
    assert written.metrics["LateThrottled"] == [1.0]


def test_the_delay_of_an_order_over_the_rate_limit_grows_up_to_minutes() -> None:
    world = World(settings=replace(SETTINGS, late_requests_per_minute=4 * REQUESTS_AN_ORDER))  # one order in 15 s
    world.recover_orders.rate_limit.take(STORE_HASH, REQUESTS_AN_ORDER)
    place_late(world)

    for receipts in (1, 10, 40, 900):
        receive_again(world, receipts - 1)
        world.recover()

    first, second, third, fourth = world.sqs.hidden
    assert first < second < third == fourth < 900


@pytest.mark.parametrize("fault", [answer(401), answer(503), answer(404), answer(200, {"customer_id": 0})])
def test_an_order_without_b2b_requests_does_not_count_against_the_rate_limit(world: World, fault: Step) -> None:
    place_late(world)
    world.exchange.on("GET", LOOK_UP, fault, fault)

    world.recover()

    assert set(world.table.taken.values()) == {0}


def test_a_refund_that_the_table_refuses_is_logged_and_fails_nothing(world: World, written: Written) -> None:
    world.recover_orders.rate_limit.take(STORE_HASH, 2)
    world.table.error = ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")

    world.recover_orders.rate_limit.give_back(STORE_HASH, 2)

    [line] = written.log
    assert (line["message"], line["event"]) == ("could not refund unused rate-limit quota", "table.unavailable")
    assert line["error"] == "AccessDeniedException"


def test_requests_reserved_in_a_past_slice_are_not_refunded_in_the_next(world: World) -> None:
    world.recover_orders.rate_limit.take(STORE_HASH, 2)
    world.clock.advance(60)

    world.recover_orders.rate_limit.give_back(STORE_HASH, 2)

    assert sorted(world.table.taken.values()) == [0, 2]


def test_when_failures_cannot_be_counted_delays_grow_with_the_receipts_and_there_is_no_dead_letter(
    world: World,
) -> None:
    world.table.error = refusal("InternalServerError")
    world.put_late()
    for _ in range(NOT_FOUND_TRIES + 1):
        world.wait_for_late()

    assert (len(world.waiting), world.dead) == (1, [])
    assert world.sqs.hidden[:3] == [5, 15, 45]


# --- the end ------------------------------------------------------------------------------------------------------


def test_a_permanent_refusal_is_one_dead_letter_and_leaves_the_queue(world: World, written: Written) -> None:
    place_late(world)
    world.waiting.clear()
    world.put_late(poNumber="given")
    world.exchange.on("PUT", RECORD, answer(422, {"data": {"errMsg": "[Team] is a required extra field"}}))

    world.recover()

    assert (len(world.waiting), len(world.dead)) == (0, 1)
    assert reason(world.dead[0])["cause"] == "api_refused"
    assert written.metrics == {"OrderDead": [1.0]}
    assert world.idempotency.done == set()


def test_a_dead_letter_that_is_redriven_is_processed_again(world: World) -> None:
    place_late(world)
    world.waiting.clear()
    world.put_late(poNumber="given")
    world.exchange.on("PUT", RECORD, REFUSED)
    world.recover()

    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=world.dead.pop().body)
    world.recover()

    record = world.record()
    assert record is not None
    assert (record.po_number, world.dead) == ("given", [])


def test_a_redriven_order_that_is_refused_again_is_a_dead_letter_but_a_copy_of_its_event_is_not(
    world: World, written: Written
) -> None:
    place_late(world)
    world.exchange.always("GET", LOOK_UP, GONE)
    world.recover()
    redriven = world.dead.pop()
    world.clock.advance(60)

    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=redriven.body)
    world.recover()
    world.clock.advance(60)
    world.put_late()
    world.recover()

    assert (len(world.waiting), len(world.dead)) == (0, 1)
    assert written.metrics == {"OrderDead": [1.0, 1.0], "OrderDuplicate": [1.0]}


def test_an_order_that_an_operator_retries_is_not_dropped_as_a_copy(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", LOOK_UP, GONE)
    world.recover()
    world.dead.clear()  # somebody purged the queue

    world.queues.send_late(read_letter(world_letter(world), 0).event, Cause.RECONCILED, "backfilled")
    world.recover()

    assert len(world.dead) == 1


def test_an_order_is_given_up_after_the_time_limit_with_the_last_cause(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", RECORD, answer(500))
    world.clock.advance(SETTINGS.give_up_after_minutes * 60)

    world.recover()

    assert world.waiting == []
    assert reason(world.dead[0])["detail"] == "given up after 1440 minutes; last: HTTP 500"


def test_an_order_of_a_store_that_is_down_is_kept_for_as_long_as_the_queue_can(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", RECORD, answer(503))
    world.clock.advance(13 * 86_400 - 60)
    world.recover()
    assert (len(world.waiting), world.dead) == (1, [])
    world.clock.advance(7200)

    world.recover()

    assert world.waiting == []
    assert reason(world.dead[0])["cause"] == "api_unavailable"


@pytest.mark.parametrize("kind", ["refused", "unreadable", "given up"])
def test_when_the_dead_letter_queue_refuses_the_message_stays(world: World, kind: str) -> None:
    place_late(world)
    world.sqs.broken.add(DEAD_LETTER_URL)
    if kind == "unreadable":
        world.waiting[0].body = "?"
    elif kind == "refused":
        world.exchange.on("GET", LOOK_UP, GONE)
    else:
        world.exchange.always("GET", RECORD, answer(500))
        world.clock.advance(SETTINGS.give_up_after_minutes * 60)

    world.recover()

    assert (len(world.waiting), world.dead) == (1, [])
    assert world.table.notes == {}


def test_an_unreadable_message_is_a_dead_letter_without_a_change(world: World, written: Written) -> None:
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody='{"who": "knows"}')

    world.recover()

    assert world.waiting == []
    assert world.dead[0].body == '{"who": "knows"}'
    reason = world.dead[0].attributes["reason"]["StringValue"]
    [line] = [line for line in written.log if line.get("outcome") == "dead"]
    assert reason == f"unreadable: {line['detail']}"
    assert line["cause"] == "unreadable"
    assert line["detail"] == "not a message of the relay, an on-failure record or a bus event"
    assert written.metrics == {"OrderDead": [1.0]}


def test_a_message_that_fails_does_not_stop_the_others(world: World) -> None:
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody="?")
    world.put_late(data={"type": "order", "id": ORDER_ID + 1})
    place_late(world)

    world.recover()

    assert world.idempotency.done == {(STORE_HASH, ORDER_ID)}
    assert [read_letter(message.body, 0).event.order_id for message in world.waiting] == [ORDER_ID + 1]
    assert [letter.body for letter in world.dead] == ["?"]


def test_a_bug_is_retried_and_counted(world: World, monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    place_late(world)
    monkeypatch.setattr("handler.recover.find_desired", lambda *_, **__: 1 / 0)

    world.recover()

    assert (len(world.waiting), world.sqs.hidden) == (1, [5])
    assert written.metrics == {"UnexpectedError": [1.0], "OrderRetried": [1.0]}


def test_a_bug_that_stays_ends_in_a_dead_letter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place_late(world)
    monkeypatch.setattr("handler.recover.find_desired", lambda *_, **__: 1 / 0)
    while world.waiting:
        world.wait_for_late()

    assert reason(world.dead[0])["cause"] == "function_failed"
    assert "ZeroDivisionError" in reason(world.dead[0])["detail"]


def test_orders_of_a_failing_store_are_deferred_and_do_not_count_as_rate_limited(
    world: World, written: Written
) -> None:
    place_late(world)
    for number in range(9):
        world.put_late(data={"type": "order", "id": ORDER_ID + 1 + number})
    world.exchange.always("GET", RECORD, answer(500))

    world.recover()

    assert Counter(written.by_dimension("cause")) == {
        ("OrderRetried", "api_unavailable"): 1,
        ("OrderRetried", "deferred"): 9,
    }


def test_a_deferred_order_is_given_up_with_the_cause_of_its_last_try(world: World) -> None:
    world.settings = replace(SETTINGS, late_requests_per_minute=1)
    place_late(world)
    world.put_late(data={"type": "order", "id": ORDER_ID + 1})
    world.exchange.always("GET", RECORD, answer(500))
    world.clock.advance(SETTINGS.give_up_after_minutes * 60)

    world.recover()

    assert [reason(letter)["cause"] for letter in world.dead] == ["api_unavailable", "window_missed"]


UNDELIVERED = {
    "function_failed": {
        "requestContext": {"condition": "RetriesExhausted"},
        "requestPayload": bus_event(webhook(NOON)),
    },
    "not_delivered": bus_event(webhook(NOON)),
}


@pytest.mark.parametrize("cause", UNDELIVERED)
def test_an_event_that_never_reached_the_live_path_is_counted_as_received_and_late_once(
    world: World, written: Written, cause: str
) -> None:
    place_late(world)
    world.waiting.clear()
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps(UNDELIVERED[cause]))
    world.exchange.always("GET", RECORD, answer(500))

    world.recover()
    world.wait_for_late()

    assert written.traffic["OrderReceived"] == [1.0]
    assert written.metrics["OrderLate"] == [1.0]
    assert ("OrderLate", cause) in written.by_dimension("cause")


def test_values_of_a_late_event_reach_an_order_that_was_finished_meanwhile(world: World) -> None:
    place_late(world)
    world.recover()
    world.put_late(poNumber="given", extraFields=[{"fieldName": "Team", "fieldValue": "Blue"}])

    world.recover()

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields.get("Team"), world.waiting) == ("given", "Blue", [])


def test_a_message_is_hidden_for_less_than_sqs_allows_from_its_receipt_on(world: World) -> None:
    place_late(world)
    world.exchange.always("GET", RECORD, answer(500, headers={"Retry-After": "3600"}))
    late = replace(SETTINGS, recovery_first_delay_seconds=1e6, recovery_longest_delay_seconds=1e6)
    world.settings = late

    world.recover()

    assert world.sqs.hidden == [43_000]


def test_when_the_delay_cannot_be_set_the_message_returns_after_the_queues_visibility_timeout(world: World) -> None:
    place_late(world)
    world.exchange.on("GET", RECORD, answer(503))
    world.sqs.errors.append(refusal("InternalError"))

    world.recover()

    assert len(world.waiting) == 1
    assert world.waiting[0].visible_at >= world.clock.now + QUEUE_VISIBILITY_SECONDS - 1


def test_a_dead_order_is_noted(world: World) -> None:
    world.exchange.on("GET", LOOK_UP, GONE)
    world.put_late(customerId=None)

    world.recover()

    [note] = world.table.notes.values()
    assert (note["outcome"]["S"], note["cause"]["S"]) == ("Dead", "api_refused")


def test_an_own_event_with_the_customer_is_finished_without_a_look_up(world: World) -> None:
    place_late(world)
    world.waiting.clear()
    world.put_late(customerId=BUYER, poNumber="given")

    world.recover()

    assert LOOK_UP not in world.exchange.paths("GET")
    assert world.waiting == []
