"""Sources on a movable clock: what is asked for and when, and what becomes of an order whose source is late or refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from handler import sources as module
from handler.background import in_thread
from handler.enrichment import Rules
from handler.errors import Cause
from handler.outcomes import Created, Duplicate, Late, Skipped, SkipReason
from handler.telemetry import Metric, count, metrics_aside, record_aside
from support.aws import FakeTable, refusal
from support.events import BUYER, ORDER_ID, STORE_HASH
from support.exchange import Sent, Step, answer, hang
from support.world import COMPANIES, LOOK_UP, RECORDS, USER, World

if TYPE_CHECKING:
    from support.telemetry import Written

METAFIELDS = f"/stores/{STORE_HASH}/v3/orders/{ORDER_ID}/metafields"
FURTHER_ORDERS = range(1, 13)
CUSTOMERS = f"/stores/{STORE_HASH}/v3/customers"
ATTRIBUTES = f"/stores/{STORE_HASH}/v3/customers/attributes"

COMPANY_RULE = """
[all.extra_fields]
"ERP Id" = "extra_field(company.extraFields, 'ERP ID')"
"Source" = "order_source"
"""
ALL_RULES = """
[all]
skip_when = "metafield(metafields, '*', 'orderType') == 'invoice payment'"
[all.extra_fields]
"Company" = "company.companyName"
"ERP Id" = "extra_field(company.extraFields, 'ERP ID')"
"Role" = "user.companyRoleName"
"Tax code" = "attribute(customer.attributes, 'tax code')"
"Notes" = "customer.notes"
"Type" = "metafield(metafields, '*', 'orderType')"
"SKUs" = "join(', ', consignments.shipping[].line_items[].sku)"
"Source" = "order_source"
"""


def b2b(data: Any, **more: Any) -> Step:
    return answer(200, {"code": 200, "data": data, "meta": {"message": "SUCCESS"}}, **more)


def company(**more: Any) -> Step:
    return b2b([{"companyName": "Acme", "extraFields": [{"fieldName": "ERP ID", "fieldValue": "E-1"}]}], **more)


def rows(*found: Any, **more: Any) -> Step:
    return answer(200, {"data": list(found), "meta": {}}, **more)


B2B_FORBIDDEN = answer(403, {"code": 403, "data": {}, "meta": {"message": "Forbidden."}})
FORBIDDEN = answer(403, {"status": 403, "title": "You don't have a required scope to access the endpoint"})
B2B_NOT_FOUND = answer(404, {"code": 404, "data": {}, "meta": {"message": "Not found."}})
NOT_FOUND = answer(404, {"status": 404, "title": "The requested resource was not found"})
EDGE = answer(404, b"<html>no such route</html>")


def metafields_are(world: World, step: Step) -> None:
    for number in (ORDER_ID, *FURTHER_ORDERS):
        world.exchange.always("GET", METAFIELDS.replace(str(ORDER_ID), str(number)), step)


def world_with(rules: str = COMPANY_RULE, table: FakeTable | None = None) -> World:
    """A world of these rules in which every source answers."""
    world = World(rules=Rules.parse(rules), table=table or FakeTable())
    world.exchange.always("GET", COMPANIES, company())
    world.exchange.always("GET", USER, b2b({"id": 9, "companyRoleName": "Junior buyer"}))
    metafields_are(world, rows({"namespace": "x", "key": "orderType", "value": "online order"}))
    world.exchange.always(
        "GET",
        CUSTOMERS,
        rows({"id": BUYER, "notes": "net 30", "attributes": [{"attribute_id": 3, "attribute_value": "G"}]}),
    )
    world.exchange.always("GET", ATTRIBUTES, rows({"id": 3, "name": "Tax code"}))
    world.place()
    return world


@pytest.fixture
def world() -> World:
    return world_with()


def asked(world: World, path: str) -> int:
    """How often the path was asked, or the metafields of any order."""
    ending = "/metafields" if path == METAFIELDS else path
    return sum(each.endswith(ending) for each in world.exchange.paths("GET"))


def fields(world: World) -> dict[str, Any]:
    record = world.record()
    assert record is not None
    return dict(record.extra_fields)


# --- in time ------------------------------------------------------------------------------------------------------


def test_an_order_is_created_with_fields_of_every_source() -> None:
    world = world_with(ALL_RULES)
    order: dict[str, Any] = {
        "id": ORDER_ID,
        "customer_id": BUYER,
        "order_source": "www",
        "consignments": {"shipping": [{"line_items": [{"sku": "A1"}, {"sku": "B2"}]}]},
    }
    world.exchange.always("GET", LOOK_UP, answer(200, order))

    assert isinstance(world.create(), Created)
    assert fields(world) == {
        "Company": "Acme",
        "ERP Id": "E-1",
        "Role": "Junior buyer",
        "Tax code": "G",
        "Notes": "net 30",
        "Type": "online order",
        "SKUs": "A1, B2",
        "Source": "www",
    }


def test_the_requests_have_the_documented_form() -> None:
    world = world_with(ALL_RULES)
    world.create()
    queries = {sent.path: dict(sent.query) for sent in world.exchange.sent if sent.method == "GET"}

    assert queries == {
        LOOK_UP: {"include": "consignments.line_items", "consignment_structure": "object"},
        METAFIELDS: {"limit": "250", "page": "1"},
        ATTRIBUTES: {"limit": "250", "page": "1"},
        COMPANIES: {"customerId": str(BUYER), "isIncludeExtraFields": "1"},
        USER: {},
        CUSTOMERS: {"id:in": str(BUYER), "include": "attributes,formfields"},
    }


def test_sources_cost_one_round_trip_more() -> None:
    world = world_with(ALL_RULES)
    outcome = world.create()

    assert isinstance(outcome, Created)
    assert outcome.seconds_after_creation == pytest.approx(0.15)  # each answer takes 0.05 s


def test_without_sources_an_order_costs_one_look_up_and_one_create() -> None:
    world = world_with('[all.extra_fields]\nA = "billing_address.company"')
    world.create()

    assert [(sent.method, sent.path, dict(sent.query)) for sent in world.exchange.sent] == [
        ("GET", LOOK_UP, {}),
        ("POST", RECORDS, {}),
    ]


def test_the_source_of_a_field_that_is_in_the_event_is_not_requested(world: World) -> None:
    world.exchange.always("GET", COMPANIES, hang())

    outcome = world.create(extraFields=[{"fieldName": "ERP Id", "fieldValue": "given"}])

    assert isinstance(outcome, Created)
    assert asked(world, COMPANIES) == 0
    assert fields(world)["ERP Id"] == "given"


def test_an_invoice_payment_is_skipped_by_the_line_of_the_shipped_rules() -> None:
    shipped = module.__file__.replace("sources.py", "enrichment.toml")
    with open(shipped, encoding="utf-8") as file:  # noqa: PTH123
        [line] = [line for line in file if line.startswith("# skip_when") and "invoice payment" in line]
    world = world_with(f"[all]\n{line.lstrip('# ')}")
    world.exchange.always("GET", METAFIELDS, rows({"namespace": "b", "key": "orderType", "value": "invoice payment"}))

    assert world.create() == Skipped(SkipReason.RULE)
    assert world.record() is None


@pytest.mark.parametrize(
    ("path", "step", "absent"),
    [
        (COMPANIES, b2b([]), "Company"),
        (COMPANIES, b2b([{}]), "Company"),
        (COMPANIES, b2b([{"extraFields": "none"}]), "Company"),
        (COMPANIES, b2b([{"companyName": "A"}, {"companyName": "B"}]), "Company"),
        (USER, B2B_NOT_FOUND, "Role"),
        (USER, b2b([{"id": 9}]), "Role"),
        (METAFIELDS, rows(), "Type"),
        (METAFIELDS, rows(None, "x", {"key": "orderType"}), "Type"),
        (METAFIELDS, answer(204), "Type"),
        (CUSTOMERS, rows(), "Notes"),
        (CUSTOMERS, rows({"id": BUYER + 1, "notes": "another's"}), "Notes"),
        (CUSTOMERS, rows({"id": BUYER, "attributes": {"3": "G"}}), "Tax code"),
        (ATTRIBUTES, rows({"id": "x", "name": "Tax code"}, {"id": 3}), "Tax code"),
    ],
)
def test_a_source_that_has_nothing_leaves_its_field_out(path: str, step: Step, absent: str) -> None:
    world = world_with(ALL_RULES)
    world.exchange.always("GET", path, step)

    assert isinstance(world.create(), Created)
    assert absent not in fields(world)


def test_metafields_come_in_pages() -> None:
    world = world_with("[all.extra_fields]\nA = \"metafield(metafields, '*', 'last')\"")
    many = [{"namespace": "x", "key": str(number), "value": ""} for number in range(250)]
    world.exchange.on("GET", METAFIELDS, rows(*many), rows({"namespace": "x", "key": "last", "value": "here"}))

    world.create()

    assert fields(world)["A"] == "here"


def test_an_api_that_repeats_its_first_page_is_requested_twice() -> None:
    world = world_with("[all.extra_fields]\nA = \"metafield(metafields, '*', 'last')\"")
    many = [{"namespace": "x", "key": str(number), "value": ""} for number in range(250)]
    world.exchange.always("GET", METAFIELDS, rows(*many))

    world.create()

    assert asked(world, METAFIELDS) == 2


def test_of_a_list_without_an_end_four_pages_are_read() -> None:
    world = world_with("[all.extra_fields]\nA = \"metafield(metafields, '*', '4-0')\"")

    def page(sent: Sent) -> Step:
        return rows(*({"namespace": "x", "key": f"{sent.query['page']}-{n}", "value": "here"} for n in range(250)))

    world.exchange.always("GET", METAFIELDS, page)

    world.create()

    assert asked(world, METAFIELDS) == 4
    assert fields(world)["A"] == "here"


# --- kept in memory -----------------------------------------------------------------------------------------------


def orders(world: World, *numbers: int, customer: int = BUYER) -> None:
    for number in numbers:
        world.place(order_id=number, customer_id=customer)
        world.create(data={"type": "order", "id": number})


@pytest.mark.parametrize("user", [b2b({"id": 9}), B2B_NOT_FOUND])
def test_company_and_user_are_requested_once_for_the_orders_of_one_buyer(user: Step) -> None:
    world = world_with('[all.extra_fields]\nA = "company.companyName"\nB = "user.uuid"')
    world.exchange.always("GET", USER, user)

    orders(world, 1, 2, 3, 4, 5, 6)

    assert (asked(world, COMPANIES), asked(world, USER)) == (1, 1)


def test_after_five_minutes_a_company_is_requested_again(world: World) -> None:
    orders(world, 1)
    world.clock.advance(module.BUYER_KEPT_SECONDS)
    orders(world, 2)

    assert asked(world, COMPANIES) == 2


def test_another_buyer_has_another_company(world: World) -> None:
    world.store.company_customers.add(BUYER + 1)
    orders(world, 1)
    orders(world, 2, customer=BUYER + 1)

    assert asked(world, COMPANIES) == 2


def test_the_names_of_attributes_are_cached_for_an_hour() -> None:
    world = world_with(ALL_RULES)
    orders(world, 1, 2)
    world.clock.advance(module.NAMES_KEPT_SECONDS - 1)
    orders(world, 3)
    assert asked(world, ATTRIBUTES) == 1

    world.clock.advance(2)
    orders(world, 4)
    assert asked(world, ATTRIBUTES) == 2


def test_when_the_cache_of_buyers_is_full_the_oldest_is_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    for number in range(4):
        world.store.company_customers.add(BUYER + number)
        orders(world, number + 1, customer=BUYER + number)
    before = asked(world, COMPANIES)

    orders(world, 11, customer=BUYER + 3)
    assert asked(world, COMPANIES) == before
    orders(world, 12, customer=BUYER)
    assert asked(world, COMPANIES) == before + 1


def test_a_company_that_is_too_large_is_not_cached(world: World) -> None:
    world.exchange.always("GET", COMPANIES, b2b([{"description": "x" * module.LARGEST_KEPT_CHARACTERS}]))
    orders(world, 1, 2)

    assert asked(world, COMPANIES) == 2


# --- late, down or rate-limited -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        hang(),
        answer(500),
        answer(429, None, {"X-Request-Window-Resets-After": "30 s"}),
        EDGE,
        answer(200, b"<html>"),
        answer(200, {"code": 200, "data": {"companyName": "not a list"}}),
        answer(401),
    ],
)
def test_an_order_whose_source_is_down_is_created_in_the_window_and_completed_afterwards(
    step: Step, world: World, written: Written
) -> None:
    world.exchange.always("GET", COMPANIES, step)

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert (outcome.cause, outcome.detail.partition(":")[0]) == (Cause.SOURCE_UNAVAILABLE, "company")
    assert fields(world) == {"Source": "www"}
    [seconds] = written.metrics["TimeToCreate"]
    assert seconds < 3.5
    assert written.metrics["OrderCreated"] == [1.0]
    assert "OrderLate" not in written.metrics, "its window was not missed"
    assert written.by_dimension("source") == [("SourceFailed", "company")]

    created, late = [line for line in written.log if line.get("outcome")]
    assert (created["sources_unavailable"], "calls" in created, "calls" in late) == (["company"], True, False)

    world.exchange.always("GET", COMPANIES, company())
    world.wait_for_late()

    assert fields(world) == {"Source": "www", "ERP Id": "E-1"}
    assert not world.waiting
    assert world.effects.creates == 1
    assert written.metrics["OrderUpdated"] == [1.0]


@pytest.mark.parametrize(
    ("path", "body", "source"),
    [
        (USER, {"code": 200, "data": {}}, "user"),
        (CUSTOMERS, {"data": {"id": BUYER}}, "customer"),
        (CUSTOMERS, [{"id": BUYER}], "customer"),
        (ATTRIBUTES, {"data": None}, "attributes"),
    ],
)
def test_a_source_that_answers_in_another_shape_is_unavailable(path: str, body: Any, source: str) -> None:
    world = world_with(ALL_RULES)
    world.exchange.always("GET", path, answer(200, body))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert (outcome.cause, outcome.detail.partition(":")[0]) == (Cause.SOURCE_UNAVAILABLE, source)
    assert world.record() is not None


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (COMPANIES, {"Company", "ERP Id"}),
        (USER, {"Role"}),
        (CUSTOMERS, {"Notes", "Tax code"}),
        (ATTRIBUTES, {"Tax code"}),
        (METAFIELDS, {"Type"}),
    ],
)
def test_a_source_that_hangs_affects_only_its_own_fields(path: str, own: set[str]) -> None:
    world = world_with(ALL_RULES)
    world.exchange.always("GET", path, hang())
    world.create()

    every = {"Company", "ERP Id", "Role", "Tax code", "Notes", "Type", "Source", "SKUs"}
    assert fields(world).keys() == every - own


def test_a_first_attempt_that_hangs_leaves_time_for_a_second_one(world: World) -> None:
    world.exchange.on("GET", COMPANIES, hang())

    assert isinstance(world.create(), Created)
    assert fields(world)["ERP Id"] == "E-1"


def test_sources_get_less_time_when_the_look_up_was_slow(world: World) -> None:
    world.exchange.on("GET", LOOK_UP, answer(500, seconds=2.9))
    world.exchange.always("GET", COMPANIES, hang())
    began = world.clock.now
    world.create()
    [create] = [sent for sent in world.exchange.sent if sent.method == "POST"]

    assert began + 4.5 < create.at <= began + 5.2


def test_an_order_that_is_looked_up_late_is_created_without_sources(world: World) -> None:
    outcome = world.create(created_at=world.clock.now - 6)

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.SOURCE_UNAVAILABLE
    assert asked(world, COMPANIES) == 0
    assert fields(world) == {"Source": "www"}

    world.wait_for_late()
    assert fields(world)["ERP Id"] == "E-1"


def test_a_cached_company_takes_no_time(world: World) -> None:
    orders(world, 1)

    assert isinstance(world.create(created_at=world.clock.now - 6), Created)
    assert fields(world)["ERP Id"] == "E-1"


def test_create_order_is_called_in_time_when_all_sources_hang() -> None:
    world = world_with(ALL_RULES)
    for path in (COMPANIES, USER, CUSTOMERS, METAFIELDS, ATTRIBUTES):
        world.exchange.always("GET", path, hang())

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert world.record() is not None
    [create] = [sent for sent in world.exchange.sent if sent.method == "POST"]
    assert create.at <= world.exchange.sent[0].at + 3.0


def test_a_skip_rule_whose_source_is_down_skips_nothing_and_the_order_is_not_late() -> None:
    world = world_with("[all]\nskip_when = \"metafield(metafields, '*', 'orderType') == 'online order'\"")
    world.exchange.always("GET", METAFIELDS, hang())

    assert isinstance(world.create(), Created)
    assert not world.waiting


def test_an_event_delivered_again_completes_the_order_and_the_message_leaves_the_queue(world: World) -> None:
    world.exchange.always("GET", COMPANIES, hang())
    world.create()
    world.exchange.always("GET", COMPANIES, company())
    world.clock.advance(1)  # Get Order lags behind Create Order

    world.create()
    assert fields(world)["ERP Id"] == "E-1"
    assert world.create() == Duplicate()
    world.wait_for_late()

    assert not world.waiting
    assert world.effects.creates == 1


def test_a_bug_in_a_source_does_not_stop_the_order(
    world: World, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.bigcommerce.b2b_api.B2BApi.get_company", lambda *_: 1 / 0)

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert "ZeroDivisionError" in outcome.detail
    assert world.record() is not None
    assert written.metrics["UnexpectedError"] == [1.0]


# --- in the late path ---------------------------------------------------------------------------------------------


def test_a_late_order_gets_the_available_fields_and_stays_late_for_the_source(world: World, written: Written) -> None:
    world.exchange.always("GET", COMPANIES, answer(500))
    world.create()
    world.wait_for_late()

    assert fields(world) == {"Source": "www"}
    assert len(world.waiting) == 1
    assert ("OrderRetried", Cause.SOURCE_UNAVAILABLE) in written.by_dimension("cause")


def test_a_source_that_stays_down_ends_in_a_dead_letter_with_its_cause(world: World) -> None:
    world.exchange.always("GET", COMPANIES, answer(500))
    world.create()
    while world.waiting:
        world.wait_for_late()

    [letter] = world.dead
    assert Cause.SOURCE_UNAVAILABLE in letter.body
    assert "company: HTTP 500" in letter.body
    assert fields(world) == {"Source": "www"}


def test_the_sources_of_a_late_order_count_against_the_rate_limit(world: World) -> None:
    world.exchange.always("GET", COMPANIES, hang())
    world.create()
    world.exchange.always("GET", COMPANIES, company())
    world.wait_for_late()

    assert sum(world.table.taken.values()) == 3


def test_a_cached_company_does_not_count_against_the_rate_limit(world: World) -> None:
    for number, taken in ((1, 3), (2, 3 + 2)):
        world.place(order_id=number)
        world.put_late(data={"type": "order", "id": number})
        world.recover()
        assert sum(world.table.taken.values()) == taken


def test_a_late_order_over_the_rate_limit_requests_no_sources() -> None:
    world = world_with('[all.extra_fields]\nA = "company.companyName"\nB = "user.uuid"')
    world.settings = replace(world.settings, late_requests_per_minute=16)  # four in a slice: one order with two sources
    world.place(order_id=1)
    world.put_late()
    world.put_late(data={"type": "order", "id": 1})

    world.recover()

    assert [path for path in world.exchange.paths("GET") if "/v2/orders/" in path] == [LOOK_UP]


def test_a_rate_limited_source_sets_the_delay_of_the_order(world: World) -> None:
    world.exchange.always("GET", COMPANIES, answer(429, None, {"X-Request-Window-Resets-After": "300 s"}))
    world.create()

    [message] = world.waiting
    assert message.visible_at - world.clock.now >= 300


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "step", "source", "scope", "lost"),
    [
        (COMPANIES, B2B_FORBIDDEN, "company", "B2B Edition: modify", "Company"),
        (COMPANIES, answer(403), "company", "B2B Edition: modify", "Company"),
        (COMPANIES, B2B_NOT_FOUND, "company", "B2B Edition: modify", "Company"),
        (USER, B2B_FORBIDDEN, "user", "B2B Edition: modify", "Role"),
        (METAFIELDS, FORBIDDEN, "metafields", "Orders: read-only", "Type"),
        (CUSTOMERS, FORBIDDEN, "customer", "Customers: read-only", "Notes"),
        (
            CUSTOMERS,
            answer(422, {"status": 422, "title": "Invalid field(s)"}),
            "customer",
            "Customers: read-only",
            "Notes",
        ),
        (ATTRIBUTES, FORBIDDEN, "attributes", "Customers: read-only", "Tax code"),
    ],
)
def test_a_refused_source_leaves_its_fields_out_and_is_not_requested_for_ten_minutes(
    path: str, step: Step, source: str, scope: str, lost: str, written: Written
) -> None:
    world = world_with(ALL_RULES)
    world.exchange.always("GET", path, step)
    if path == METAFIELDS:
        metafields_are(world, step)
    assert isinstance(world.create(), Created)
    orders(world, 1, 2)

    assert asked(world, path) == 1
    assert lost not in fields(world)
    assert not world.waiting
    assert written.by_dimension("source") == [("SourceRefused", source)] * 3
    line = next(line for line in written.log if line.get("event") == "source.refused")
    assert (line["source"], line["scope"]) == (source, scope)

    world.clock.advance(601)
    orders(world, 3)
    assert asked(world, path) == 2


def test_a_source_that_was_refused_in_one_environment_is_not_requested_in_another(world: World) -> None:
    world.exchange.always("GET", COMPANIES, B2B_FORBIDDEN)
    world.create()
    other = World(rules=world.rules, table=world.table)
    other.exchange.always("GET", COMPANIES, company())
    other.place()

    assert isinstance(other.create(), Created)
    assert asked(other, COMPANIES) == 0

    other.clock.advance(601)
    orders(other, 1)
    assert asked(other, COMPANIES) == 1


def test_the_table_is_not_read_while_the_source_answers() -> None:
    class CountingTable(FakeTable):
        reads: ClassVar[list[str]] = []

        def get_item(self, *, Key: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: N803  boto3's name
            self.reads.append(Key["id"]["S"])
            return super().get_item(Key=Key, **more)

    world = world_with(COMPANY_RULE, CountingTable())
    for number in range(1, 6):
        world.store.company_customers.add(BUYER + number)
        orders(world, number, customer=BUYER + number)
        world.clock.advance(60)

    assert [read for read in CountingTable.reads if read.startswith("refused#")] == [f"refused#{STORE_HASH}"]


def test_without_the_table_each_environment_uses_its_own_refusals(world: World) -> None:
    world.exchange.always("GET", COMPANIES, B2B_FORBIDDEN)
    world.table.error = refusal("InternalServerError", ClientError)

    orders(world, 1, 2)

    assert asked(world, COMPANIES) == 1


def test_metafields_are_requested_again_once_the_order_can_be_read() -> None:
    world = world_with("[all.extra_fields]\nA = \"metafield(metafields, '*', 'orderType')\"")
    world.exchange.on("GET", LOOK_UP, NOT_FOUND)
    world.exchange.on("GET", METAFIELDS, NOT_FOUND)

    assert isinstance(world.create(), Created)
    assert fields(world)["A"] == "online order"


def test_metafields_that_are_not_found_for_a_readable_order_count_as_refused(written: Written) -> None:
    world = world_with("[all.extra_fields]\nA = \"metafield(metafields, '*', 'orderType')\"")
    metafields_are(world, NOT_FOUND)

    assert isinstance(world.create(), Created)
    orders(world, 1)

    assert asked(world, METAFIELDS) == 2
    assert written.by_dimension("source") == [("SourceRefused", "metafields")] * 2


# --- threads ------------------------------------------------------------------------------------------------------


def test_background_work_is_joined_for_at_most_the_given_seconds() -> None:
    go_on, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(10)

    wait = in_thread(work)
    wait(0.01)
    wait(-1.0)
    assert began.wait(10)
    assert not go_on.is_set()
    go_on.set()


def test_metrics_of_a_thread_are_recorded_by_the_main_thread(written: Written) -> None:
    kept: list[Any] = []
    with metrics_aside(kept):
        count(Metric.ATTEMPT_FAILED)
    assert written.metrics == {}

    record_aside(kept)
    record_aside(kept)
    assert written.metrics == {"AttemptFailed": [1.0]}


def test_with_threads_an_order_is_created_with_the_same_fields_and_metrics(written: Written) -> None:
    world = world_with(ALL_RULES)
    world.background = in_thread

    assert isinstance(world.create(), Created)
    assert fields(world).keys() == {"Company", "ERP Id", "Role", "Tax code", "Notes", "Type", "Source", "SKUs"}
    assert sum(written.traffic["B2BApiRequest"]) == 3
    assert sum(written.traffic["StoreApiRequest"]) == 4
    [line] = [line for line in written.log if line.get("event") == "order.created"]
    assert {call["endpoint"] for call in line["calls"]} >= {"b2b.company", "core.metafields"}
