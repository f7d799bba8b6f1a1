"""The simulated store's answers, checked without a socket and with a clock that is moved by hand."""

import json
from typing import Any

import pytest

from sandbox.store.bigcommerce import ORDER_CREATED, ORDER_UPDATED, BigCommerce, Shop
from sandbox.store.messages import Answer, Call
from sandbox.store.orders import PO_LINE, Order, OrderOptions
from sandbox.store.settings import ExtraField, FieldType, Store

NOON = 1_800_000_000.5
COMPANY_BUYER = 7
OTHER_BUYER = 8


class World:
    """One store, a clock, and short ways to call."""

    def __init__(self) -> None:
        self.now = NOON
        self.bigcommerce = BigCommerce(lambda: self.now)
        self.events: list[tuple[int, str]] = []
        self.bigcommerce.on_event = lambda order, scope: self.events.append((order.id, scope))
        self.store = Store(hash="abc", company_customers={COMPANY_BUYER}, automatic_record_after=None)
        self.shop: Shop = self.bigcommerce.add_store(self.store)

    def place(self, **options: Any) -> Order:
        given: OrderOptions = {"customer_id": COMPANY_BUYER, **options}  # type: ignore[typeddict-item]
        return self.bigcommerce.place_order("abc", given)

    def b2b(self, endpoint: str, *, body: Any = None, order: Order | None = None, **more: Any) -> Answer:
        content = json.dumps(body).encode() if body is not None else b""
        given = {"token": self.store.token_for_b2b, "store_hash": "abc", "order_id": order.id if order else None} | more
        return self.bigcommerce.answer(Call(endpoint=f"b2b.{endpoint}", body=content, **given))

    def create(self, order: Order, **body: Any) -> Answer:
        return self.b2b("create", body={"bcOrderId": order.id, "customerId": order.customer_id} | body)

    def core(self, endpoint: str, **more: Any) -> Answer:
        given = {"token": self.store.access_token, "store_hash": "abc", "path": "/stores/abc/v2/x"} | more
        return self.bigcommerce.answer(Call(endpoint=f"core.{endpoint}", **given))

    def hook(self, method: str, hook_id: int | None = None, body: Any = None, path: str = "/v3/hooks") -> Answer:
        content = json.dumps(body).encode()
        return self.core("hooks", method=method, hook_id=hook_id, body=content, path=path)


@pytest.fixture
def world() -> World:
    return World()


def fields(**values: Any) -> list[dict[str, Any]]:
    return [{"fieldName": name, "fieldValue": value} for name, value in values.items()]


class TestCreateOrder:
    @pytest.mark.parametrize("customer_id", [OTHER_BUYER, 0])
    def test_refuses_a_customer_without_a_company_user(self, world: World, customer_id: int) -> None:
        assert world.create(world.place(customer_id=customer_id)).status == 400

    def test_refuses_somebody_elses_order(self, world: World) -> None:
        assert world.create(world.place(customer_id=OTHER_BUYER), customerId=COMPANY_BUYER).status == 400

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            (ExtraField(name="Gate"), "3", "Dock is not an extra field"),
            (ExtraField(name="Dock", maximum_length=3), "1234", "Dock must not be longer than 3 characters"),
            (ExtraField(name="Dock", type=FieldType.NUMBER), "3 B", "Dock must be a number"),
            (
                ExtraField(name="Dock", type=FieldType.NUMBER, maximum_value=10),
                "11",
                "Dock must not be greater than 10",
            ),
            (
                ExtraField(name="Dock", type=FieldType.DROPDOWN, options=("1", "2")),
                "3",
                "Dock is not one of the options",
            ),
        ],
    )
    def test_refuses_a_field_that_does_not_fit_its_configuration(
        self, world: World, field: ExtraField, value: str, words: str
    ) -> None:
        world.store.extra_fields = (field,)
        order = world.place()
        refused = world.create(order, extraFields=fields(Dock=value))
        assert (refused.status, refused.body["data"], world.shop.b2b.record(order.id)) == (422, {"errMsg": words}, None)

    def test_refuses_a_value_that_another_order_has_where_values_are_unique(self, world: World) -> None:
        world.store.extra_fields = (ExtraField(name="Dock", unique=True),)
        first, second = world.place(), world.place()
        assert world.create(first, extraFields=fields(Dock="3")).status == 200
        assert world.create(second, extraFields=fields(Dock="3")).body["data"] == {"errMsg": "Dock must be unique"}
        assert world.b2b("update", order=first, body={"extraFields": fields(Dock="3")}).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            {"bcOrderId": "101"},
            {"bcOrderId": True},
            {"customerId": None},
            {"poNumber": 4711},
            {"extraFields": {"Dock": "3"}},
            {"extraFields": [{"fieldName": "Dock", "fieldValue": 3}]},
            {"extraFields": ["Dock"]},
            {"comment": "unknown"},
        ],
    )
    def test_refuses_values_of_the_wrong_type_and_unknown_fields(self, world: World, body: dict[str, Any]) -> None:
        assert world.create(world.place(), **body).status == 422

    def test_writes_the_po_number_into_the_core_order_and_says_so(self, world: World) -> None:
        order = world.place(customer_message="Ring twice")
        world.create(order, poNumber="4711")
        assert order.customer_message == f"Ring twice\n{PO_LINE}4711"
        assert world.events == [(order.id, ORDER_CREATED), (order.id, ORDER_UPDATED)]


class TestTheAutomaticRecord:
    def test_is_refused_when_create_order_came_first_and_what_the_buyer_typed_is_lost(self, world: World) -> None:
        late = world.place(buyer_po_number="typed", automatic_record_after=4)
        early = world.place(buyer_po_number="typed", automatic_record_after=0)
        assert [world.create(order, poNumber="ours").status for order in (late, early)] == [200, 400]
        assert not world.shop.b2b.checkout_refused(late.id)
        world.now += 4
        assert [world.shop.b2b.checkout_refused(order.id) for order in (late, early)] == [True, False]
        shown = {
            record.order_id: record.po_number for record in map(world.shop.b2b.record, (late.id, early.id)) if record
        }
        assert shown == {late.id: "ours", early.id: "typed"}

    @pytest.mark.parametrize("options", [{"source": "api"}, {"customer_id": OTHER_BUYER}, {"customer_id": 0}])
    def test_never_comes_for_api_orders_and_outsiders(self, world: World, options: dict[str, Any]) -> None:
        order = world.place(automatic_record_after=1, **options)
        world.now += 3600
        assert world.shop.b2b.record(order.id) is None


class TestGetOrder:
    def test_lags_behind_create_order_and_update_order(self, world: World) -> None:
        order = world.place()

        def read() -> tuple[int, Any]:
            answer = world.b2b("get", order=order)
            return answer.status, answer.body["data"].get("poNumber")

        world.create(order, poNumber="first")
        assert read() == (404, None)
        world.now += world.store.read_lag_seconds
        assert read() == (200, "first")
        world.b2b("update", order=order, body={"poNumber": "second"})
        assert read() == (200, "first")
        world.now += world.store.read_lag_seconds
        assert read() == (200, "second")


class TestUpdateOrder:
    @pytest.mark.parametrize(
        ("replaces", "expected"), [(True, {"Lane": "1"}), (False, {"Dock": "3", "Gate": "2", "Lane": "1"})]
    )
    def test_merges_or_replaces_the_extra_fields(self, world: World, replaces: bool, expected: dict[str, str]) -> None:
        world.store.update_replaces_extra_fields = replaces
        order = world.place()
        world.create(order, poNumber="4711", extraFields=fields(Dock="3", Gate="2"))
        world.b2b("update", order=order, body={"extraFields": fields(Lane="1")})
        record = world.shop.b2b.record(order.id)
        assert record is not None
        assert record.extra_fields == expected
        assert record.po_number == "4711"

    @pytest.mark.parametrize("held", [["x", "y"], False, 0, 1.5, None, {"a": 1}])
    def test_takes_back_what_the_record_holds_in_any_type_and_nothing_else_that_is_no_text(
        self, world: World, held: Any
    ) -> None:
        world.store.extra_fields = (ExtraField(name="Lane"),)
        order = world.place(automatic_record_after=0, buyer_extra_fields={"Own": held}, buyer_po_number=held)
        changed = world.b2b("update", order=order, body={"extraFields": fields(Own=str(held))})
        assert (changed.status, changed.body["data"]["errMsg"]) == (422, "Own is not an extra field")
        assert world.b2b("update", order=order, body={"extraFields": fields(Own=[held])}).status == 422
        same = {"poNumber": held, "extraFields": fields(Own=held, Lane="1")}
        assert world.b2b("update", order=order, body=same).status == 200
        record = world.shop.b2b.record(order.id)
        assert record is not None
        assert json.dumps([record.po_number, record.extra_fields]) == json.dumps([held, {"Own": held, "Lane": "1"}])


class TestCompanies:
    """What rules read of the company and the company user (b2b-edition/specs/api-v3/company and user)."""

    def test_are_found_by_customer_and_show_extra_fields_only_to_who_asks_for_them(self, world: World) -> None:
        world.store.company_customers.add(OTHER_BUYER)
        world.store.buyer(OTHER_BUYER).company_extra_fields = {"ERP ID": "C-8"}
        everybody = world.b2b("company").body["data"]
        assert [row["companyName"] for row in everybody] == ["Example Industries"] * 2
        assert all("extraFields" not in row for row in everybody)
        [found] = world.b2b("company", query={"customerId": "8", "isIncludeExtraFields": "1"}).body["data"]
        assert found["companyId"] == world.store.company_of(OTHER_BUYER)
        assert [(row["fieldName"], row["fieldValue"]) for row in found["extraFields"]] == [("ERP ID", "C-8")]
        detail = world.b2b("company", company_id=found["companyId"]).body["data"]
        assert detail == found | {"bcGroupId": "3"}


class TestAssigningOrders:
    def test_moves_all_orders_of_the_customer_once(self, world: World) -> None:
        early, other = world.place(customer_id=OTHER_BUYER), world.place()
        refused = world.b2b("assign", customer_id=OTHER_BUYER)
        words = "User does not exist or action not support for this user."
        assert (refused.status, refused.body["meta"]["message"]) == (404, words)
        world.store.company_customers.add(OTHER_BUYER)
        world.place(customer_id=OTHER_BUYER)
        totals = [world.b2b("assign", customer_id=OTHER_BUYER).body["data"]["total"] for _ in range(2)]
        assert totals == [2, 0]
        record = world.shop.b2b.record(early.id)
        assert record is not None
        assert (record.origin, record.po_number, record.extra_fields) == ("assigned", "", {})
        assert world.shop.b2b.record(other.id) is None


class TestCustomers:
    """What rules read of the customer (reference/customers.v3.yml)."""

    def test_show_attributes_by_id_and_form_fields_only_to_who_includes_them(self, world: World) -> None:
        world.store.buyer(COMPANY_BUYER).form_fields = {"Sizes": ["S", "M"]}
        world.place(customer_id=OTHER_BUYER)
        [bare] = world.core("customer", query={"id:in": "7"}).body["data"]
        assert not bare.keys() & {"attributes", "form_fields"}
        [full] = world.core("customer", query={"id:in": "7", "include": "attributes,formfields"}).body["data"]
        assert [(row["name"], row["value"]) for row in full["form_fields"]] == [("Sizes", ["S", "M"])]
        names = {row["id"]: row["name"] for row in world.core("attributes").body["data"]}
        assert [(names[row["attribute_id"]], row["attribute_value"]) for row in full["attributes"]] == [
            ("Tax code", "G")
        ]
        assert len(world.core("customer").body["data"]) == 2

    def test_need_a_scope_of_their_own(self, world: World) -> None:
        world.store.missing_scopes = {"customers"}
        statuses = [world.core(name).status for name in ("customer", "attributes", "time")]
        assert statuses == [403, 403, 200]


class TestWhoMayCall:
    @pytest.mark.parametrize("store_hash", ["", "elsewhere"])
    def test_a_missing_or_wrong_store_hash_is_a_server_error(self, world: World, store_hash: str) -> None:
        assert world.b2b("list", store_hash=store_hash).status == 500

    def test_another_stores_token_is_a_server_error_and_no_way_in(self, world: World) -> None:
        other = world.bigcommerce.add_store(Store(hash="xyz")).store
        assert world.b2b("list", token=other.access_token).status == 500
        assert world.core("time", token=other.access_token).status == 401

    def test_a_second_token_serves_the_b2b_api_alone(self, world: World) -> None:
        world.store.b2b_token = "second"
        assert world.b2b("list", token="second").status == 200
        assert world.b2b("list", token=world.store.access_token).status == 401
        assert world.core("time", token="second").status == 401

    def test_a_missing_scope_is_403(self, world: World) -> None:
        world.store.missing_scopes = {"b2b", "hooks"}
        assert world.b2b("list").status == 403
        assert world.hook("GET").status == 403
        assert world.core("time").status == 200
        world.store.missing_scopes = {"core"}
        assert world.core("time").status == 403


class TestTheRateLimit:
    def test_is_each_stores_own(self, world: World) -> None:
        world.store.rate_limit = 1
        other = world.bigcommerce.add_store(Store(hash="xyz")).store
        assert [world.b2b("list").status for _ in range(2)] == [200, 429]
        assert world.b2b("list", store_hash="xyz", token=other.access_token).status == 200


class TestCoreOrders:
    def test_metafields_of_other_apps_are_shown_unless_they_are_private(self, world: World) -> None:
        private = {"namespace": "erp", "key": "margin", "value": "3", "permission_set": "app_only"}
        order = world.place(metafields=[{"namespace": "erp", "key": "route", "value": "N4"}, private])
        shown = world.core("metafields", order_id=order.id).body["data"]
        assert [(row["namespace"], row["key"], row["value"]) for row in shown] == [
            ("b2b_order", "orderType", "online order"),
            ("erp", "route", "N4"),
        ]
        second = world.core("metafields", order_id=order.id, query={"page": "2", "limit": "1"}).body
        assert [row["key"] for row in second["data"]] == ["route"]
        assert second["meta"]["pagination"]["total_pages"] == 2

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, [101, 102, 103]),
            ({"min_id": "102"}, [102, 103]),
            ({"max_id": "102"}, [101, 102]),
            ({"min_date_created": "2027-01-15T07:00:00+00:00"}, [102, 103]),
            ({"min_date_created": "2027-01-15T07:00:00"}, [102, 103]),
            ({"min_date_created": "Fri, 15 Jan 2027 07:00:00 +0000"}, [102, 103]),
            ({"max_date_created": "Fri, 15 Jan 2027 07:59:59 +0000"}, [101, 102]),
            ({"customer_id": "8"}, [103]),
            ({"status_id": "0"}, [102]),
            ({"channel_id": "1"}, [101, 102, 103]),
            ({"sort": "date_created:desc"}, [103, 102, 101]),
            ({"sort": "id:desc", "page": "2", "limit": "2"}, [101]),
        ],
    )
    def test_the_list_is_filtered_sorted_and_cut_into_pages(
        self, world: World, query: dict[str, str], expected: list[int]
    ) -> None:
        world.place(created_ago_seconds=7200)
        world.place(created_ago_seconds=1800, status_id=0)
        world.place(customer_id=OTHER_BUYER)
        assert [row["id"] for row in world.core("list_orders", query=query).body] == expected

    @pytest.mark.parametrize(
        "query",
        [
            {"sort": "colour"},
            {"page": "0"},
            {"min_id": "x"},
            {"min_date_created": "soon"},
            {"min_date_created": "1800000000"},
        ],
    )
    def test_an_unreadable_query_is_refused(self, world: World, query: dict[str, str]) -> None:
        world.place()
        assert world.core("list_orders", query=query).status == 400


HOOK = {"scope": ORDER_CREATED, "destination": "https://relay.example.com/webhooks", "headers": {"X-Mine": "1"}}


class TestHooks:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, 2),
            ({"is_active": "true"}, 1),
            ({"is_active": "0"}, 1),
            ({"scope": ORDER_CREATED}, 1),
            ({"limit": "1"}, 1),
        ],
    )
    def test_are_listed_by_what_is_asked_for(self, world: World, query: dict[str, str], found: int) -> None:
        world.hook("POST", body=HOOK)
        world.hook("POST", body=HOOK | {"scope": "store/order/*", "is_active": False})
        assert len(world.core("hooks", path="/v3/hooks", query=query).body["data"]) == found

    def test_are_at_most_ten_for_a_scope(self, world: World) -> None:
        answers = [world.hook("POST", body=HOOK).status for _ in range(11)]
        assert answers == [200] * 10 + [422]
        assert world.hook("POST", body=HOOK | {"scope": "store/order/updated"}).status == 200

    @pytest.mark.parametrize(
        "change",
        [
            {"scope": "order/created"},
            {"scope": 5},
            {"destination": "http://relay.example.com"},
            {"destination": "https://relay.example.com:8443"},
            {"destination": "https://[bad"},
            {"destination": 1},
            {"is_active": "yes"},
            {"headers": {"X": 1}},
            {"headers": ["X"]},
            {"colour": "red"},
        ],
    )
    def test_are_refused_when_they_could_not_work(self, world: World, change: dict[str, Any]) -> None:
        assert world.hook("POST", body=HOOK | change).status == 422
        made = world.hook("POST", body=HOOK).body["data"]
        assert world.hook("PUT", made["id"], change).status == 422

    def test_tell_of_blocked_domains_until_they_are_free_again(self, world: World) -> None:
        world.shop.hooks.add(ORDER_CREATED, "https://relay.example.com/webhooks").is_active = False
        world.shop.hooks.block("relay.example.com", 180)
        world.now += 100
        shown = world.hook("GET", path="/v3/hooks/admin").body["data"]
        assert shown["blocked_domains"] == [{"destination": "relay.example.com", "time_left": 80, "reasons": []}]
        assert [hook["status"] for hook in shown["hooks_list"]] == ["deactivated"]
        assert world.shop.hooks.blocked_seconds("https://relay.example.com/webhooks") == 80
        world.now += 80
        assert world.hook("GET", path="/v3/hooks/admin").body["data"]["blocked_domains"] == []
        assert world.shop.hooks.blocked_seconds("https://relay.example.com/webhooks") == 0

    def test_block_a_domain_that_fails_more_than_one_in_ten_of_a_hundred_deliveries_in_two_minutes(
        self, world: World
    ) -> None:
        hooks, here, there = world.shop.hooks, "https://relay.example.com/webhooks", "https://other.example.com"

        def deliver(successes: int, failures: int) -> float:
            for number in range(successes + failures):
                hooks.attempted(here, success=number < successes)
            return hooks.blocked_seconds(here)

        assert deliver(0, 99) == 0
        world.now += 120
        assert deliver(90, 10) == 0
        assert deliver(0, 1) == 180
        assert hooks.blocked_seconds(there) == 0
        world.now += 180
        assert deliver(0, 1) == 0
