"""The live path on a movable clock: one test for each row of the table of cases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from handler.enrichment import Rules
from handler.errors import Cause
from handler.order_event import parse_detail
from handler.outcomes import Created, Dead, Duplicate, Late, Skipped, SkipReason, Unchanged, Updated
from sandbox.store.orders import PO_LINE
from support.aws import RECOVERY_URL, FakeContext, refusal
from support.clock import NOON
from support.events import BUYER, ORDER_ID, OUTSIDER, STORE_HASH, webhook
from support.exchange import Step, answer, hang, reset
from support.world import LOOK_UP, RECORD, RECORDS, SECRET_NAME, USER, World, secret_text

if TYPE_CHECKING:
    from support.telemetry import Written

REFUSED = answer(400, {"code": 400, "data": {}, "meta": {"message": "No such thing."}})
EXISTS = answer(400, {"code": 400, "data": [], "meta": {"message": "The order already exists."}})


@pytest.fixture
def world() -> World:
    return World()


def reason(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.body)["reason"]
    return found


# --- in time ------------------------------------------------------------------------------------------------------


def test_an_order_in_time_is_looked_up_and_created(world: World, written: Written) -> None:
    world.place(customer_message=f"{PO_LINE}4711")

    outcome = world.create()

    assert outcome == Created(pytest.approx(0.1), pytest.approx(9.9))  # type: ignore[arg-type]  # an approximation stands in for the number
    assert world.exchange.paths("GET") == [LOOK_UP]
    assert world.exchange.sent[1].body == {"bcOrderId": ORDER_ID, "customerId": BUYER, "poNumber": "4711"}
    assert written.metrics == {
        "OrderCreated": [1.0],
        "TimeToCreate": [pytest.approx(0.1)],
        "WindowLeft": [pytest.approx(9.9)],
    }


def test_the_token_and_the_store_go_along_with_every_call(world: World) -> None:
    world.secrets.put(SECRET_NAME, secret_text(world.store, b2b_token="b2b-token"))
    world.bigcommerce.shops[STORE_HASH].store.b2b_token = "b2b-token"
    world.place()

    world.create()

    look_up, create = world.exchange.sent
    assert look_up.headers["X-Auth-Token"] == world.store.access_token
    assert (create.headers["X-Auth-Token"], create.headers["X-Store-Hash"]) == ("b2b-token", STORE_HASH)


def test_an_event_delivered_twice_is_processed_once(world: World, written: Written) -> None:
    world.place()
    world.create()

    assert world.create() == Duplicate()
    assert world.effects.creates == 1
    assert written.metrics["OrderDuplicate"] == [1.0]


def test_an_event_of_an_order_in_progress_is_a_duplicate(world: World) -> None:
    world.place()
    world.idempotency.in_progress.add((STORE_HASH, ORDER_ID))

    assert world.create() == Duplicate(in_progress=True)
    assert world.exchange.sent == []


@pytest.mark.parametrize("detail", [{}, {"customerId": 0}], ids=["by the look-up", "by the event"])
def test_a_guest_is_skipped(world: World, written: Written, detail: dict[str, Any]) -> None:
    world.place(customer_id=0)

    assert world.create(**detail) == Skipped(SkipReason.GUEST)
    assert world.exchange.paths("POST") == []
    assert written.metrics == {"OrderSkippedGuest": [1.0]}


def test_a_customer_without_a_company_is_skipped_and_looked_up_only_after_a_refusal(
    world: World, written: Written
) -> None:
    world.place(customer_id=OUTSIDER)

    assert world.create() == Skipped(SkipReason.NO_COMPANY)
    assert [(sent.method, sent.path) for sent in world.exchange.sent] == [
        ("GET", LOOK_UP),
        ("POST", RECORDS),
        ("GET", RECORD),
        ("GET", f"/api/v3/io/users/customer/{OUTSIDER}"),
    ]
    assert written.metrics == {"OrderSkippedNoCompany": [1.0]}


def test_an_order_that_matches_skip_when_is_skipped(written: Written) -> None:
    world = World(rules=Rules.parse('[all]\nskip_when = "status_id == `0`"'))
    world.place(status_id=0)

    assert world.create() == Skipped(SkipReason.RULE)
    assert world.exchange.paths("POST") == []
    assert written.metrics == {"OrderSkippedRule": [1.0]}


def test_a_failed_rule_leaves_its_field_out_and_is_named_in_a_metric(written: Written) -> None:
    rules = "[all]\npo_number = \"first_match(customer_message, '(a+)+$')\"\n[all.extra_fields]\nChannel = 'channel_id'"
    world = World(rules=Rules.parse(rules))
    world.place(customer_message="a" * 64_000 + "b", channel_id=3)

    assert isinstance(world.create(), Created)
    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("", {"Channel": "3"})
    assert written.metrics["EnrichmentRuleFailed"] == [1.0]
    assert written.by_rule == ["all.po_number"]


def test_an_event_with_customer_and_all_values_needs_no_look_up(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}typed")
    fields = [{"fieldName": "Team", "fieldValue": "Blue"}]

    world.create(customerId=BUYER, poNumber="given", extraFields=fields)

    [create] = world.exchange.sent
    assert create.body == {"bcOrderId": ORDER_ID, "customerId": BUYER, "poNumber": "given", "extraFields": fields}


def test_values_of_the_event_override_those_of_the_rules() -> None:
    rules = Rules.parse('[all]\npo_number = "external_order_id"\n[all.extra_fields]\nTeam = "external_order_id"')
    world = World(rules=rules)
    world.place(external_order_id="rule")

    world.create(poNumber="given", extraFields=own_fields(Team="Blue"))

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("given", {"Team": "Blue"})


# --- trouble inside the window ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [("GET", LOOK_UP), ("POST", RECORDS)], ids=["look-up", "create"])
@pytest.mark.parametrize(
    "fault",
    [reset(), answer(502), answer(503), hang(), answer(429, headers={"X-Request-Window-Resets-After": "1.2 s"})],
    ids=["reset", "502", "503", "hang", "429"],
)
def test_a_temporary_fault_is_retried_within_the_window(world: World, place: tuple[str, str], fault: Step) -> None:
    world.place()
    world.exchange.on(*place, fault, fault)

    assert isinstance(world.create(), Created)
    assert world.clock.now < NOON + 9.5


def test_an_order_that_cannot_be_read_at_first_is_requested_again(world: World) -> None:
    world.place(readable_after_seconds=2.0)

    assert isinstance(world.create(), Created)
    assert len(world.exchange.paths("GET")) > 2


@pytest.mark.parametrize("place", [("GET", LOOK_UP), ("POST", RECORDS)], ids=["look-up", "create"])
@pytest.mark.parametrize("fault", [hang(), answer(503, seconds=1.7), reset()], ids=["hang", "slow 503", "reset"])
def test_an_order_whose_requests_keep_failing_is_queued_within_the_window(
    world: World, place: tuple[str, str], fault: Step
) -> None:
    world.place()
    world.exchange.always(*place, fault)

    assert isinstance(world.create(), Late)
    assert [message.sent_at <= NOON + 9.5 + 1e-6 for message in world.waiting] == [True]


@pytest.mark.parametrize("place", [("GET", LOOK_UP), ("POST", RECORDS)], ids=["look-up", "create"])
def test_no_request_outlasts_an_invocation_that_is_shorter_than_the_window(
    world: World, place: tuple[str, str]
) -> None:
    world.place()
    world.exchange.always(*place, hang())
    event = parse_detail(webhook(NOON), NOON)

    world.create_order.handle(event, cast("Any", FakeContext(world.clock, seconds=6.0)))

    assert world.clock.now <= NOON + 4.0


def test_an_update_may_outlast_the_window_but_not_the_invocation(world: World) -> None:
    world.place(automatic_record_after=0.0, customer_message="")
    world.clock.advance(8.0)
    world.exchange.on("GET", RECORD, hang(), answer(200, {"data": {"poNumber": "old"}}))

    outcome = world.create_order.handle(
        parse_detail(webhook(NOON, poNumber="new", customerId=BUYER), world.clock.now),
        cast("Any", FakeContext(world.clock)),
    )

    assert outcome == Updated()
    assert NOON + 10 < world.clock.now <= NOON + 8 + 13


# --- late ---------------------------------------------------------------------------------------------------------


def test_a_late_event_is_queued_without_a_request(world: World, written: Written) -> None:
    world.place(created_ago_seconds=30)
    event = parse_detail(webhook(NOON - 30), NOON)

    outcome = world.create_order.handle(event, cast("Any", FakeContext(world.clock)))

    assert isinstance(outcome, Late)
    assert world.exchange.sent == []
    [message] = world.waiting
    assert (reason(message)["cause"], message.delay_seconds) == ("window_missed", 5)
    assert written.metrics == {"OrderLate": [1.0]}


def test_the_orders_own_creation_date_can_show_that_the_window_has_closed(world: World) -> None:
    world.place(created_ago_seconds=8)
    world.clock.advance(3.0)
    event = parse_detail(webhook(NOON - 4), world.clock.now)

    outcome = world.create_order.handle(event, cast("Any", FakeContext(world.clock)))

    assert outcome == Late(Cause.WINDOW_MISSED, "the window had closed before Create Order could be called")
    assert world.exchange.paths("POST") == []


def test_an_order_without_a_readable_date_uses_the_webhooks_date(world: World) -> None:
    order = {"id": ORDER_ID, "customer_id": BUYER, "date_created": "1 Jul 99999 0:0:0 GMT"}
    world.exchange.on("GET", LOOK_UP, answer(200, order))
    world.place()

    assert isinstance(world.create(), Created)


def test_an_order_that_is_rate_limited_beyond_the_window_is_queued_until_the_limit_ends(
    world: World, written: Written
) -> None:
    world.place()
    world.exchange.always("POST", RECORDS, answer(429, headers={"X-Request-Window-Resets-After": "42 s"}))

    assert isinstance(world.create(), Late)
    [message] = world.waiting
    assert (reason(message)["cause"], message.delay_seconds) == ("rate_limited", 42)
    assert written.metrics["RateLimited"] == [1.0]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("place", [("GET", LOOK_UP), ("POST", RECORDS)], ids=["look-up", "create"])
def test_an_order_with_a_refused_token_is_queued_and_counted(
    world: World, written: Written, status: int, place: tuple[str, str]
) -> None:
    world.place()
    world.exchange.always(*place, answer(status))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.UNAUTHORISED
    assert written.metrics["Unauthorized"] == [1.0]


def test_a_changed_token_is_read_again_after_the_first_refusal(world: World) -> None:
    world.place()
    world.credentials.get(STORE_HASH)
    world.store.access_token = "renewed"
    world.secrets.put(SECRET_NAME, secret_text(world.store))
    world.clock.advance(10.0)
    event = parse_detail(webhook(world.clock.now - 1), world.clock.now)
    world.exchange.on("POST", RECORDS, answer(200, {"code": 200, "data": {}}))

    assert isinstance(world.create_order.handle(event, cast("Any", FakeContext(world.clock))), Created)
    assert [sent.headers["X-Auth-Token"] for sent in world.exchange.sent] == [
        "abcde-access-token",
        "renewed",
        "renewed",
    ]


@pytest.mark.parametrize("trouble", ["down", "missing", "malformed"])
def test_an_order_of_a_store_without_a_usable_secret_is_queued(world: World, written: Written, trouble: str) -> None:
    world.place()
    if trouble == "down":
        world.secrets.error = refusal("InternalServiceError")
    else:
        world.secrets.secrets = {} if trouble == "missing" else {SECRET_NAME: {"AWSCURRENT": "{"}}

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.SECRET_UNAVAILABLE
    assert len(world.waiting) == 1
    assert written.metrics["SecretUnavailable"] == [1.0]


def test_a_store_without_a_secret_is_not_noted_as_a_store(world: World) -> None:
    world.secrets.secrets = {}

    world.create()

    assert world.table.stores == set()


def test_a_late_order_and_its_store_are_noted_and_a_failing_table_changes_nothing(
    world: World, written: Written
) -> None:
    world.exchange.always("GET", LOOK_UP, answer(503))
    world.create()
    assert (world.table.stores, list(world.table.notes)) == ({STORE_HASH}, [f"note#{STORE_HASH}/{ORDER_ID}"])

    broken = World()
    broken.exchange.always("GET", LOOK_UP, answer(503))
    broken.table.error = refusal("ResourceNotFoundException")

    assert isinstance(broken.create(), Late)
    assert len(broken.waiting) == 1
    assert written.metrics["TableUnavailable"] == [1.0, 1.0]


@pytest.mark.parametrize("status", [404, 503, 200])
def test_a_late_orders_message_holds_nothing_secret_and_nothing_of_the_buyer(world: World, status: int) -> None:
    world.place(customer_message=f"ring-at-the-back-door\n{PO_LINE}PO-PRIVATE")
    echo = {"message": f"{world.store.access_token} may not write PO-PRIVATE for jane.roe@example.com"}
    world.exchange.always("POST", RECORDS, answer(status, echo))

    world.create()

    [message] = world.waiting
    private = [world.store.access_token, world.store.client_secret, "PO-PRIVATE", "jane.roe", "ring-at-the-back-door"]
    assert [text for text in private if text in message.body] == []


def test_when_the_recovery_queue_refuses_the_function_fails_and_the_order_is_not_finished(world: World) -> None:
    world.exchange.always("GET", LOOK_UP, answer(503))
    world.sqs.broken.add(RECOVERY_URL)

    with pytest.raises(ClientError):
        world.create()

    assert world.idempotency.done == set()


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_array", [False, True], ids=["data is an object", "data is an array"])
def test_a_record_that_exists_is_read_merged_and_updated(world: World, written: Written, *, as_array: bool) -> None:
    world.store.data_as_array = as_array
    world.store.update_replaces_extra_fields = True
    world.place(automatic_record_after=0.0, buyer_extra_fields={"Own": "kept"}, customer_message=f"{PO_LINE}typed")
    fields = [{"fieldName": "Team", "fieldValue": "Blue"}, {"fieldName": "Empty", "fieldValue": ""}]

    assert world.create(extraFields=fields) == Updated()

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("typed", {"Own": "kept", "Team": "Blue"})
    assert written.metrics == {"OrderUpdated": [1.0]}


def test_a_record_that_is_right_already_is_left_alone(world: World, written: Written) -> None:
    world.place(automatic_record_after=0.0, customer_message=f"{PO_LINE}typed", buyer_po_number="typed")

    assert world.create() == Unchanged()
    assert world.exchange.paths("PUT") == []
    assert written.metrics == {"OrderUnchanged": [1.0]}


def test_an_order_whose_record_is_said_to_exist_but_is_not_found_is_late(world: World) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, EXISTS)

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.NOT_THERE_YET


def test_a_lost_answer_of_create_order_creates_no_second_record(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}typed")
    simulated = world.exchange.otherwise
    assert simulated is not None

    def lose_the_first_answer(sent: Any) -> Step:
        done = simulated(sent)
        return reset() if sent.method == "POST" and len(world.exchange.paths("POST")) == 1 else done

    world.exchange.otherwise = lose_the_first_answer

    assert world.create() == Unchanged()
    assert (world.effects.creates, world.effects.updates) == (1, 0)


def test_a_refusal_of_an_order_whose_record_exists_after_all_is_an_update(world: World) -> None:
    world.place(automatic_record_after=0.0)
    world.exchange.on("POST", RECORDS, REFUSED)

    assert world.create(poNumber="given") == Updated()


def test_a_permanent_refusal_is_a_dead_letter_with_the_apis_message(world: World, written: Written) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, REFUSED)

    assert world.create() == Dead(Cause.API_REFUSED, "B2B API: HTTP 400: No such thing.")
    [letter] = world.dead
    assert reason(letter)["detail"] == "B2B API: HTTP 400: No such thing."
    assert world.waiting == []
    assert written.metrics == {"OrderDead": [1.0]}


def test_a_refusal_without_a_message_is_a_dead_letter_too(world: World) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, answer(422, {"code": 422, "data": {}, "meta": {}}))

    assert world.create() == Dead(Cause.API_REFUSED, "B2B API: HTTP 422: no message")


def test_the_message_of_a_refusal_is_kept_without_the_buyers_values(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}SECRET-PO")
    said = {"errMsg": {"poNumber": ["SECRET-PO is taken, ask ada@example.com"]}}
    world.exchange.on("POST", RECORDS, answer(422, {"code": 422, "data": said, "meta": {"message": "Parameter Error"}}))

    assert world.create() == Dead(Cause.API_REFUSED, "B2B API: HTTP 422: poNumber: [value] is taken, ask [email]")


@pytest.mark.parametrize(("place", "words"), [(RECORD, "GET"), (USER, "GET")], ids=["record", "user"])
def test_an_order_is_a_dead_letter_when_the_look_up_after_a_refusal_is_refused_too(
    world: World, place: str, words: str
) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, REFUSED)
    world.exchange.on(words, place, answer(410, {"code": 410, "data": {}, "meta": {"message": "gone"}}))

    assert world.create() == Dead(Cause.API_REFUSED, "B2B API: HTTP 410: gone")


@pytest.mark.parametrize("place", [RECORD, USER], ids=["record", "user"])
def test_an_order_is_late_when_the_look_up_after_a_refusal_fails(world: World, place: str) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, REFUSED)
    world.exchange.always("GET", place, answer(503))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.API_UNAVAILABLE


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (b"<html>", Cause.UNEXPECTED_ANSWER),
        ([], Cause.UNEXPECTED_ANSWER),
        ({"data": "x"}, Cause.UNEXPECTED_ANSWER),
        ({"data": [7]}, Cause.UNEXPECTED_ANSWER),
        ({"data": {"status": "ok"}}, Cause.UNEXPECTED_ANSWER),
        ({"data": {"bcOrderId": ORDER_ID + 1, "poNumber": "ANOTHER"}}, Cause.UNEXPECTED_ANSWER),
        ({"code": 500, "data": {"poNumber": "?"}}, Cause.API_UNAVAILABLE),
        ({"code": 200, "data": []}, Cause.NOT_THERE_YET),
        ({"code": 200, "data": {}}, Cause.NOT_THERE_YET),
    ],
    ids=str,
)
def test_an_answer_without_the_orders_record_is_not_used(world: World, record: Any, cause: Cause) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, EXISTS)
    world.exchange.always("GET", RECORD, answer(200, record))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause is cause
    assert world.exchange.paths("PUT") == []


@pytest.mark.parametrize(
    "fields", [{"Own": "kept"}, "Own=kept", [7], [{"fieldName": None, "fieldValue": "x"}], [{"name": "Own"}], 1, True]
)
def test_extra_fields_in_an_unknown_shape_are_never_overwritten(world: World, written: Written, fields: Any) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, EXISTS)
    world.exchange.on("GET", RECORD, answer(200, {"data": {"poNumber": None, "extraFields": fields}}))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.RECORD_UNREADABLE
    assert (
        outcome.detail
        == "B2B API: the record's extraFields have an unknown format; not updated, since they could be lost"
    )
    assert world.exchange.paths("PUT") == []
    assert written.by_dimension("cause") == [("OrderLate", "record_unreadable")]


def test_the_record_of_the_order_is_found_among_several(world: World) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, EXISTS)
    rows = [{"bcOrderId": 7, "poNumber": "ANOTHER"}, {"bcOrderId": str(ORDER_ID), "poNumber": "given"}]
    world.exchange.on("GET", RECORD, answer(200, {"code": 200, "data": rows}))

    assert world.create(poNumber="given") == Unchanged()


def test_an_order_whose_record_is_gone_at_the_update_is_late(world: World) -> None:
    world.place(automatic_record_after=0.0)
    missing = {"code": 404, "data": {}, "meta": {"message": "Not Found Error"}}
    world.exchange.on("PUT", RECORD, answer(404, missing))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.NOT_THERE_YET


@pytest.mark.parametrize("status", [400, 410, 204])
def test_the_body_of_a_refused_look_up_is_not_used_as_the_order(world: World, status: int) -> None:
    world.exchange.always("GET", LOOK_UP, answer(status))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.UNEXPECTED_ANSWER
    assert world.exchange.paths("POST") == []


OF_ANOTHER_ORDER = {"code": 200, "data": {"bcOrderId": ORDER_ID + 1}}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>It works!</html>",
        b"[]",
        b'"ok"',
        OF_ANOTHER_ORDER,
        {"code": 200, "data": [{"bcOrderId": str(ORDER_ID + 1)}]},
        {"code": 500, "data": {}, "meta": {"message": "?"}},
    ],
    ids=str,
)
def test_a_success_that_is_not_the_apis_own_does_not_count_as_an_update(world: World, body: Any) -> None:
    world.place(automatic_record_after=0.0)
    world.exchange.always("PUT", RECORD, answer(200, body))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause in {Cause.UNEXPECTED_ANSWER, Cause.API_UNAVAILABLE}


def test_a_success_for_another_order_does_not_count_as_a_create(world: World) -> None:
    world.place()
    world.exchange.always("POST", RECORDS, answer(200, OF_ANOTHER_ORDER))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert world.idempotency.done == set()


def test_a_token_in_the_message_of_a_refusal_is_removed(world: World, written: Written) -> None:
    world.place()
    words = f"Token {world.store.access_token} may not do that"
    world.exchange.on("POST", RECORDS, answer(422, {"data": {"errMsg": words}}))

    world.create()

    assert json.loads(world.dead[0].body)["reason"]["detail"] == "B2B API: HTTP 422: Token [secret] may not do that"
    assert world.store.access_token not in written.text


@pytest.mark.parametrize(
    "order",
    [
        {"id": ORDER_ID, "customer_id": True},
        {"id": ORDER_ID},
        {"id": ORDER_ID + 1, "customer_id": BUYER},
        {"customer_id": BUYER},
        [{"id": ORDER_ID, "customer_id": BUYER}],
        {"id": True, "customer_id": BUYER},
        [],
        None,
    ],
    ids=str,
)
def test_an_answer_that_is_not_the_order_is_not_used(world: World, order: Any) -> None:
    world.place()
    world.exchange.always("GET", LOOK_UP, answer(200, json.dumps(order).encode()))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.UNEXPECTED_ANSWER
    assert world.exchange.paths("POST") == []


def test_an_order_whose_ids_are_texts_is_that_order(world: World) -> None:
    world.place()
    world.exchange.on("GET", LOOK_UP, answer(200, {"id": str(ORDER_ID), "customer_id": f"{BUYER}"}))

    assert isinstance(world.create(), Created)
    assert world.exchange.sent[-1].body == {"bcOrderId": ORDER_ID, "customerId": BUYER}


NOT_THE_API = {
    "an empty 404": answer(404),
    "a gateway's 404": answer(404, {"message": "no Route matched with those values"}),
    "a page": answer(404, b"<html>no such page</html>"),
    "a 404 in another shape": answer(404, {"status": 404, "error": "Not Found", "path": "/"}),
    "a 404 that names another status": answer(404, {"code": 500, "data": {}, "meta": {"message": "?"}}),
    "an empty list": answer(404, b"[]"),
    "a text": answer(404, b'"not found"'),
    "a firewall's 400": answer(400, b"<html>Bad Request</html>"),
    "a gateway's 400": answer(400, {"message": "Bad Request"}),
    "a 405": answer(405, {"message": "Method Not Allowed"}),
    "a firewall's 403": answer(403, b"<html>Forbidden</html>"),
    "a redirect": answer(302, headers={"Location": "https://elsewhere.example"}),
    "an answer that is not modified": answer(304),
    "an empty success": answer(200),
    "a status page": answer(200, {"status": "maintenance"}),
    "a success that says 500": answer(200, {"code": 500, "data": {}, "meta": {"message": "Internal Error"}}),
    "a success that says 0": answer(200, {"code": 0, "data": {}}),
}


@pytest.mark.parametrize("step", NOT_THE_API.values(), ids=NOT_THE_API)
def test_an_answer_that_is_not_the_apis_own_ends_no_order(world: World, written: Written, step: Step) -> None:
    world.place()
    for method, path in (("POST", RECORDS), ("GET", RECORD), ("GET", USER), ("GET", LOOK_UP)):
        world.exchange.always(method, path, step)
        outcome = world.create(customerId=None if path == LOOK_UP else BUYER)

        assert isinstance(outcome, Late), path
    assert world.dead == []
    assert world.idempotency.done == set()
    assert len(world.waiting) == 4
    assert sum(written.metrics["OrderLate"]) == 4


@pytest.mark.parametrize("step", NOT_THE_API.values(), ids=NOT_THE_API)
def test_a_request_whose_answer_is_not_the_apis_own_is_retried_within_the_window(world: World, step: Step) -> None:
    world.place()
    world.exchange.on("GET", LOOK_UP, step)
    world.exchange.on("POST", RECORDS, step)

    assert isinstance(world.create(), Created)


def test_create_orders_own_404_says_nothing_about_the_customer(world: World) -> None:
    world.place()
    missing = {"code": 404, "data": {}, "meta": {"message": "Not found."}}
    world.exchange.always("POST", RECORDS, answer(404, missing))
    world.exchange.always("GET", USER, answer(404, missing))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert world.exchange.paths("GET") == [LOOK_UP]


def test_after_a_lost_answer_the_record_is_read_before_create_order_is_called_again(world: World) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, hang())

    assert isinstance(world.create(), Created)
    assert [(sent.method, sent.path) for sent in world.exchange.sent] == [
        ("GET", LOOK_UP),
        ("POST", RECORDS),
        ("GET", RECORD),
        ("POST", RECORDS),
    ]


# --- values of one's own events -----------------------------------------------------------------------------------


def own_fields(**fields: str) -> list[dict[str, str]]:
    return [{"fieldName": name, "fieldValue": value} for name, value in fields.items()]


def test_values_that_come_after_the_order_was_finished_reach_its_record(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}typed")
    world.create()
    world.clock.advance(1.0)

    assert world.create(extraFields=own_fields(Team="Blue")) == Updated()
    assert len(world.exchange.paths("POST")) == 1

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("typed", {"Team": "Blue"})
    assert world.create(extraFields=own_fields(Team="Blue")) == Duplicate()
    assert world.create(extraFields=own_fields(Team="Red")) == Updated()
    assert world.create() == Duplicate()


def test_values_that_come_later_do_not_overwrite_corrections_on_the_record(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}typed")
    world.create()
    record = world.shop.b2b.record(ORDER_ID)
    assert record is not None
    record.po_number = "corrected by hand"
    world.clock.advance(1.0)

    world.create(extraFields=own_fields(Team="Blue"))

    assert record.po_number == "corrected by hand"


def finished_without_a_record(world: World) -> None:
    """The order is skipped, since its customer has no company; then the customer gets one."""
    world.place(customer_id=OUTSIDER)
    assert world.create() == Skipped(SkipReason.NO_COMPANY)
    world.store.company_customers.add(OUTSIDER)
    world.exchange.sent.clear()


def test_values_for_a_finished_order_without_a_record_create_one_after_get_order(world: World) -> None:
    finished_without_a_record(world)

    assert isinstance(world.create(poNumber="given"), Created)
    record = world.record()
    assert record is not None
    assert record.po_number == "given"
    assert [(sent.method, sent.path) for sent in world.exchange.sent] == [
        ("GET", LOOK_UP),
        ("GET", RECORD),
        ("POST", RECORDS),
    ]


def test_values_for_a_finished_order_whose_record_cannot_be_read_are_late(world: World) -> None:
    finished_without_a_record(world)
    world.exchange.always("GET", RECORD, answer(503))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.API_UNAVAILABLE
    assert world.exchange.paths("POST") == []


def test_values_for_a_finished_order_that_come_after_the_window_are_late_if_it_has_no_record(world: World) -> None:
    finished_without_a_record(world)
    event = parse_detail(webhook(world.clock.now, poNumber="given"), world.clock.now)
    missing = answer(404, {"code": 404, "data": {}, "meta": {"message": "Not Found Error"}}, seconds=3.0)
    world.exchange.on("GET", RECORD, hang(), hang(), missing)

    outcome = world.create_order.handle(event, cast("Any", FakeContext(world.clock)))

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.WINDOW_MISSED
    assert world.exchange.paths("POST") == []


def test_values_for_an_order_in_progress_are_late(world: World) -> None:
    world.place()
    world.idempotency.in_progress.add((STORE_HASH, ORDER_ID))

    outcome = world.create(poNumber="given")

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.IN_PROGRESS
    world.idempotency.in_progress.clear()
    world.create()
    world.wait_for_late()
    record = world.record()
    assert record is not None
    assert (record.po_number, world.waiting) == ("given", [])


def test_an_empty_value_of_the_event_does_not_override_a_rule(world: World) -> None:
    world.place(customer_message=f"{PO_LINE}typed")

    world.create(poNumber=" ", extraFields=own_fields(Team=""))

    assert world.exchange.sent[-1].body == {"bcOrderId": ORDER_ID, "customerId": BUYER, "poNumber": "typed"}


def test_the_failed_rules_are_stored_with_the_order(written: Written) -> None:
    world = World(rules=Rules.parse("[all]\npo_number = \"first_match(customer_id, '(x)')\""))
    world.place()

    outcome = world.create()

    assert isinstance(outcome, Created)
    assert outcome.rules_failed == ("all.po_number",)
    assert written.by_rule == ["all.po_number"]


def test_a_failed_rule_whose_value_is_in_the_event_is_not_stored(written: Written) -> None:
    fails = "first_match(customer_id, '(x)')"
    world = World(rules=Rules.parse(f'[all]\npo_number = "{fails}"\n[all.extra_fields]\nA = "{fails}"\nB = "{fails}"'))
    world.place()

    outcome = world.create(poNumber="given", extraFields=own_fields(A="given"))

    assert isinstance(outcome, Created)
    assert outcome.rules_failed == ("all.extra_fields.B",)
    assert written.by_rule == ["all.po_number", "all.extra_fields.A", "all.extra_fields.B"]


def test_a_guest_whose_checkout_came_from_a_quote_is_counted_separately(world: World, written: Written) -> None:
    world.place(customer_id=0, customer_message="Quote#: 4711")

    assert world.create() == Skipped(SkipReason.GUEST_WITH_QUOTE)
    assert written.metrics == {"OrderSkippedGuestWithQuote": [1.0]}


# --- dead once ----------------------------------------------------------------------------------------------------


def refused_for_good(world: World) -> None:
    world.exchange.always("POST", RECORDS, answer(422, {"data": {"errMsg": "[Team] is a required extra field"}}))


def test_an_event_with_other_values_that_is_refused_too_has_its_own_dead_letter(world: World) -> None:
    world.place()
    refused_for_good(world)

    outcomes = [world.create(poNumber=value) for value in ("", "A", "A", "B")]

    assert [type(outcome) for outcome in outcomes] == [Dead, Dead, Duplicate, Dead]
    assert world.create() == Duplicate()
    assert len(world.dead) == 3


def test_a_late_delivery_of_a_dead_order_makes_no_second_dead_letter(world: World) -> None:
    world.place()
    refused_for_good(world)
    world.create()
    world.exchange.always("GET", LOOK_UP, answer(503))
    world.create()
    world.exchange.mend()
    refused_for_good(world)
    world.exchange.always("GET", RECORD, answer(422, {"data": {"errMsg": "no"}}))

    world.wait_for_late()

    assert (len(world.dead), world.waiting) == (1, [])


def test_a_refused_order_whose_event_is_delivered_again_has_one_dead_letter(world: World, written: Written) -> None:
    world.place()
    refused_for_good(world)

    outcomes = [world.create() for _ in range(3)]

    assert [type(outcome) for outcome in outcomes] == [Dead, Duplicate, Duplicate]
    assert len(world.dead) == 1
    assert written.metrics["OrderDead"] == [1.0]


def test_a_refusal_after_the_hour_makes_another_dead_letter(world: World) -> None:
    world.place()
    refused_for_good(world)
    world.create()
    world.clock.advance(3601)

    world.create()

    assert len(world.dead) == 2


def test_when_the_table_fails_a_second_dead_letter_is_sent(world: World) -> None:
    world.place()
    refused_for_good(world)
    world.create()
    world.table.error = refusal("InternalServerError")

    world.create()

    assert len(world.dead) == 2


def test_an_order_with_half_a_second_of_the_window_left_is_created(world: World) -> None:
    world.place()
    world.clock.advance(9)

    outcome = world.create(created_at=world.clock.now - 9)

    assert isinstance(outcome, Created)
    assert 0 < outcome.window_left_seconds < 1
