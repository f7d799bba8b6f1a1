"""The simulated store beside the published shapes: what it answers, what it takes, and what it refuses.

Sources are paths in the repository bigcommerce/docs at 24f580ca. The shapes are written down here in our own words: the
members that a caller may rely on, with their types. An unnamed member would be one that only the simulation has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.messages import Answer, Call
from sandbox.store.settings import ExtraField, FieldType, Store
from sandbox.store.webhooks import sign, webhook_body

if TYPE_CHECKING:
    from sandbox.store.orders import Order, OrderOptions

NUMBER, NOTHING = (int, float), type(None)
BUYER = 7

B2B_ERROR = {"code": int, "data": dict, "meta": {"message": str}}
B2B_PAGE = {"message": str, "pagination": {"totalCount": int, "limit": int, "offset": int}}
LEGACY = [
    *(f"extraInt{number}" for number in range(1, 6)),
    *(f"extraStr{number}" for number in range(1, 6)),
    "extraText",
]
RECORD = {
    "id": int,
    "bcOrderId": int,
    "totalIncTax": NUMBER,
    "poNumber": str,
    "status": str,
    "customStatus": str,
    "cartId": str,  # an integer by its type, a UUID in every example
    "items": int,
    "usdIncTax": NUMBER,
    "companyId": int,
    "currencyCode": str,
    "money": [
        {
            "currencyLocation": str,
            "currencyToken": str,
            "decimalToken": str,
            "decimalPlaces": int,
            "thousandsToken": str,
        }
    ],
    "statusCode": int,
    "isArchived": bool,
    "channelId": int,
    "channelName": str,
    **dict.fromkeys(LEGACY, NOTHING),
    "extraInfo": list,
    "extraFields": [{"fieldName": str, "fieldValue": str}],
    "createdAt": int,
    "updatedAt": int,
}
RECORD_IN_DETAIL = RECORD | {
    "isInvoiceOrder": int,
    "invoiceId": (int, NOTHING),
    "invoiceNumber": (int, NOTHING),
    "invoiceStatus": (int, NOTHING),
}
HOOK = {
    "id": int,
    "client_id": str,
    "store_hash": str,
    "scope": str,
    "destination": str,
    "headers": {"X-Mine": str},
    "is_active": bool,
    "created_at": int,
    "updated_at": int,
}


def differences(value: Any, shape: Any, where: str = "$") -> list[str]:
    """Where a JSON value is not of a shape: a type, several, a list of one shape, or an object with just these members."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        members = [f"{where}.{name}: only in one of both" for name in sorted(value.keys() ^ shape.keys())]
        return members + [
            difference
            for name in value.keys() & shape.keys()
            for difference in differences(value[name], shape[name], f"{where}.{name}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{where} is no list, or an empty one"]
        return [difference for item in value for difference in differences(item, shape[0], f"{where}[]")]
    fits = isinstance(value, shape) and (not isinstance(value, bool) or shape is bool)
    return [] if fits else [f"{where} is {type(value).__name__}"]


@pytest.mark.parametrize(
    "value",
    [
        {"a": "1", "b": [{"c": 1}]},
        {"a": 1},
        {"a": 1, "b": []},
        {"a": 1, "b": [{}]},
        {"a": True, "b": [{"c": 1}]},
        [],
        None,
    ],
)
def test_a_difference_of_shape_is_noticed(value: Any) -> None:
    assert differences({"a": 1, "b": [{"c": 1}, {"c": 2}]}, {"a": int, "b": [{"c": int}]}) == []
    assert differences(value, {"a": int, "b": [{"c": int}]}) != []


class Api:
    """One store with one order, and its APIs."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.bigcommerce = BigCommerce(lambda: self.now)
        self.store = Store(
            hash="abcde", company_customers={BUYER}, read_lag_seconds=0.0, automatic_record_after=None, **settings
        )
        self.bigcommerce.add_store(self.store)
        self.order = self.place()

    def place(self, **options: Unpack[OrderOptions]) -> Order:
        given: OrderOptions = {"customer_id": BUYER, **options}
        return self.bigcommerce.place_order("abcde", given)

    def call(self, endpoint: str, method: str = "GET", body: Any = None, path: str = "/v2/", **more: Any) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        given = {"store_hash": "abcde", "token": self.store.access_token, "path": path} | more
        return self.bigcommerce.answer(Call(endpoint=endpoint, method=method, body=content, **given))

    def create(self, **body: Any) -> Answer:
        return self.call("b2b.create", "POST", {"bcOrderId": self.order.id, "customerId": BUYER, **body})

    def with_record(self) -> Api:
        fields = [{"fieldName": "Dock", "fieldValue": "3"}]
        assert self.create(poNumber="04152025-0002", extraFields=fields).status == 200
        return self


def test_create_order_is_that_of_the_orders_api() -> None:
    """docs/b2b-edition/specs/api-v3/order/order.yaml, post-orders."""
    api = Api()
    api.with_record()
    again = api.create()
    assert (again.status, again.body["meta"]["message"]) == (400, "The order already exists.")
    assert differences(again.body, B2B_ERROR) == []
    api.now += 11
    api.order = api.place(created_ago_seconds=11)
    late = api.create()
    assert late.body == again.body  # "longer than 10 seconds" has the same answer
    api.order = api.place()
    created = api.create(poNumber="1", extraFields=[{"fieldName": "Dock", "fieldValue": "3"}])
    assert differences(created.body, {"code": int, "data": RECORD, "meta": {"message": str}}) == []


@pytest.mark.parametrize("as_array", [True, False])
def test_get_order_is_that_of_the_orders_api(as_array: bool) -> None:
    """order.yaml, get-orders-orderId: `data` is an array there, an object in live reports; no `meta`."""
    api = Api(data_as_array=as_array).with_record()
    answer = api.call("b2b.get", order_id=api.order.id)
    shape = [RECORD_IN_DETAIL] if as_array else RECORD_IN_DETAIL
    assert differences(answer.body, {"code": int, "data": shape}) == []


def test_get_order_of_an_order_without_a_record_is_that_of_the_orders_api() -> None:
    """order.yaml, get-orders-orderId, 404."""
    answer = Api().call("b2b.get", order_id=999)
    assert (answer.status, answer.body["meta"]["message"]) == (404, "Order Does Not Exist.")
    assert differences(answer.body, B2B_ERROR) == []


@pytest.mark.parametrize("as_array", [True, False])
def test_update_order_is_that_of_the_orders_api(as_array: bool) -> None:
    """order.yaml, put-orders-orderId: one of both members is needed; `message` stands at the top."""
    api = Api(data_as_array=as_array).with_record()
    changes = ({"poNumber": "2"}, {"extraFields": [{"fieldName": "Dock", "fieldValue": "4"}]})
    for change in changes:
        answer = api.call("b2b.update", "PUT", change, order_id=api.order.id)
        shape = [RECORD_IN_DETAIL] if as_array else RECORD_IN_DETAIL
        assert differences(answer.body, {"code": int, "data": shape, "message": str}) == []
    assert api.call("b2b.update", "PUT", {}, order_id=api.order.id).status in range(400, 500)


def test_update_order_refuses_as_the_orders_api_does() -> None:
    """order.yaml, put-orders-orderId, 404 and 422."""
    api = Api().with_record()
    absent = api.call("b2b.update", "PUT", {"poNumber": "2"}, order_id=999)
    assert (absent.status, absent.body["meta"]["message"]) == (404, "Not Found Error")
    assert differences(absent.body, B2B_ERROR) == []
    api.store.extra_fields = (ExtraField(name="Dock", required=True),)
    missing = api.call("b2b.update", "PUT", {"poNumber": "2"}, order_id=api.order.id)
    words = "Dock is a required extra field"
    assert missing.body == {"code": 422, "data": {"errMsg": words}, "meta": {"message": words}}


def test_the_list_of_records_is_that_of_the_orders_api() -> None:
    """order.yaml, get-orders: extra fields only with `showExtra`."""
    api = Api().with_record()
    api.now += 1000
    without = {name: shape for name, shape in RECORD.items() if name != "extraFields"}
    assert differences(api.call("b2b.list").body, {"code": int, "data": [without], "meta": B2B_PAGE}) == []
    shown = api.call("b2b.list", query={"showExtra": "true", "limit": "1", "offset": "0"}).body
    assert differences(shown, {"code": int, "data": [RECORD], "meta": B2B_PAGE}) == []


@pytest.mark.parametrize(
    ("field", "own"),
    [
        (ExtraField(name="Dock"), {"maximumLength": NUMBER}),
        (ExtraField(name="Dock", type=FieldType.MULTI_LINE), {"numberOfRows": NUMBER}),
        (ExtraField(name="Dock", type=FieldType.NUMBER, maximum_value=9), {"maximumValue": NUMBER}),
        (ExtraField(name="Dock", type=FieldType.DROPDOWN, options=("1", "2")), {"listOfValues": [str]}),
    ],
    ids=lambda value: value.type.name if isinstance(value, ExtraField) else "",
)
def test_the_configured_fields_are_those_of_the_orders_api(field: ExtraField, own: dict[str, Any]) -> None:
    """order.yaml, get-orders-extra-fields: each type has a setting of its own."""
    shape = {
        "id": int,
        "fieldName": str,
        "labelName": str,
        "fieldType": int,
        "isRequired": bool,
        "isUnique": bool,
        "visibleToEnduser": bool,
        "configType": int,
        "defaultValue": str,
        **own,
    }
    answer = Api(extra_fields=(field,)).call("b2b.extra_fields")
    assert differences(answer.body, {"code": int, "data": [shape], "meta": B2B_PAGE}) == []


def test_the_user_of_a_customer_is_that_of_the_users_api() -> None:
    """docs/b2b-edition/specs/api-v3/user/user.yaml, /users/customer/{customerId}."""
    shape = {
        **dict.fromkeys(["id", "role", "companyRoleId", "companyId", "customerId", "createdAt", "updatedAt"], int),
        **dict.fromkeys(["firstName", "lastName", "email", "phoneNumber", "companyRoleName", "uuid"], str),
        **dict.fromkeys(["extraFields", "channelList"], list),
    }
    answer = Api().call("b2b.user", customer_id=BUYER)
    assert differences(answer.body, {"code": int, "data": shape, "meta": {"message": str}}) == []


def test_a_customer_without_a_user_is_that_of_the_users_api() -> None:
    """user.yaml, userId404: the words are in `data.errMsg`."""
    answer = Api().call("b2b.user", customer_id=8)
    assert answer.status == 404
    assert answer.body == {
        "code": 404,
        "data": {"errMsg": "User matching query does not exist."},
        "meta": {"message": "Not Found Error"},
    }


def test_a_core_order_is_that_of_the_orders_api_v2() -> None:
    """reference/orders.v2.oas2.yml, /orders/{order_id}: what the relay and its rules read of it."""
    api = Api()
    api.order = api.place(form_fields={"Dock": "3"}, customer_message="hello")
    shown = api.call("core.get_order", order_id=api.order.id).body
    money = ("total_ex_tax", "total_inc_tax", "total_tax", "subtotal_ex_tax", "subtotal_inc_tax", "refunded_amount")
    texts = ("date_created", "date_modified", "status", "payment_method", "customer_message", "staff_notes", *money)
    read = {
        **dict.fromkeys(["id", "customer_id", "status_id", "channel_id", "items_total", "items_shipped"], int),
        **dict.fromkeys(texts, str),
        "external_order_id": (str, NOTHING),
        "is_deleted": bool,
    }
    assert differences({name: shown.get(name) for name in read}, read) == []
    assert differences(shown["billing_address"]["form_fields"], [{"name": str, "value": str}]) == []
    assert shown["date_created"] == "Fri, 15 Jan 2027 08:00:00 +0000"


def test_the_list_of_core_orders_is_that_of_the_orders_api_v2() -> None:
    """reference/orders.v2.oas2.yml, /orders: bare, by id unless sorted; dates in RFC 2822 or ISO 8601; 204 when empty."""
    api = Api()
    second = api.place()
    orders = api.call("core.list_orders").body
    assert [order["id"] for order in orders] == [api.order.id, second.id]
    dates = ("Thu, 20 Apr 2017 11:32:00 -0400", "2017-04-20T11:32:00.000-04:00")
    assert [api.call("core.list_orders", query={"min_date_created": date}).status for date in dates] == [200, 200]
    assert [api.call("core.list_orders", query={"max_date_created": date}).status for date in dates] == [204, 204]


def test_an_absent_core_order_is_that_of_the_orders_api_v2() -> None:
    """reference/orders.v2.oas2.yml, /orders/{order_id}, 404: a list of one error."""
    answer = Api().call("core.get_order", order_id=999)
    assert answer.status == 404
    assert differences(answer.body, [{"status": int, "message": str}]) == []


def test_the_metafields_of_an_order_are_those_of_the_orders_api_v3() -> None:
    """reference/orders.v3.yml, /orders/{order_id}/metafields."""
    texts = (
        "key",
        "value",
        "namespace",
        "permission_set",
        "resource_type",
        "description",
        "date_created",
        "date_modified",
    )
    row = {"id": int, "resource_id": int, **dict.fromkeys(texts, str)}
    page = dict.fromkeys(["total", "count", "per_page", "current_page", "total_pages"], int)
    api = Api()
    answer = api.call("core.metafields", order_id=api.order.id, path="/v3/")
    assert differences(answer.body, {"data": [row], "meta": {"pagination": page}}) == []


def test_the_stores_time_is_that_of_the_store_information_api() -> None:
    """reference/store_information.v2.yml, /time: unix seconds."""
    assert Api().call("core.time").body == {"time": 1_800_000_000}


def test_a_webhook_is_managed_as_the_webhooks_api_says() -> None:
    """reference/webhooks.v3.yml, /hooks, /hooks/{webhook_id} and /hooks/admin."""
    api, path = Api(), "/v3/hooks"
    desired = {"scope": "store/order/created", "destination": "https://example.com/hook", "headers": {"X-Mine": "1"}}
    made = api.call("core.hooks", "POST", desired | {"is_active": True}, path)
    one = {"data": HOOK, "meta": {}}
    assert differences(made.body, one) == []
    of_it = {"path": path, "hook_id": made.body["data"]["id"]}
    assert differences(api.call("core.hooks", **of_it).body, one) == []
    assert differences(api.call("core.hooks", "PUT", {"is_active": False}, **of_it).body, one) == []
    page = dict.fromkeys(["total", "count", "per_page", "current_page", "total_pages"], int)
    listed = api.call("core.hooks", path=path).body
    assert differences(listed, {"data": [HOOK], "meta": {"pagination": page}}) == []
    admin = api.call("core.hooks", path=f"{path}/admin").body["data"]
    assert differences(admin, {"emails": list, "hooks_list": [HOOK | {"status": str}], "blocked_domains": list}) == []
    assert differences(api.call("core.hooks", "DELETE", **of_it).body, one) == []
    absent = api.call("core.hooks", **of_it)
    assert absent.status == 404
    assert differences(absent.body, {"status": int, "title": str, "type": str, "errors": dict}) == []


def test_a_delivered_webhook_is_the_published_one() -> None:
    """docs/webhooks/callbacks/data/store_order_created.json."""
    shape = {
        "scope": str,
        "store_id": str,
        "data": {"type": str, "id": int},
        "hash": str,
        "created_at": int,
        "producer": str,
    }
    assert differences(webhook_body(Api().order), shape) == []


def test_a_signature_is_that_of_the_published_headers() -> None:
    """docs/integrations/webhooks/https-webhook-overview.mdx."""
    headers = sign(b"{}", "secret", 1_800_000_000.0)
    assert differences(headers, dict.fromkeys(["webhook-id", "webhook-timestamp", "webhook-signature"], str)) == []
    assert headers["webhook-signature"].startswith("v1,")


def test_the_core_apis_rate_limit_is_told_as_published() -> None:
    """docs/api-docs/getting-started/api-rate-limits.mdx: 150 in 30 seconds."""
    api = Api()
    answers = [api.call("core.time") for _ in range(151)]
    assert [answer.status for answer in answers] == [200] * 150 + [429]
    assert answers[114].headers == {
        "X-Rate-Limit-Time-Window-Ms": "30000",
        "X-Rate-Limit-Time-Reset-Ms": "30000",
        "X-Rate-Limit-Requests-Quota": "150",
        "X-Rate-Limit-Requests-Left": "35",
    }


def test_the_b2b_apis_rate_limit_is_told_as_published() -> None:
    """docs/b2b-edition/about/index.mdx: 150 in a minute; the headers carry text."""
    api = Api()
    answers = [api.call("b2b.user", customer_id=BUYER) for _ in range(151)]
    assert [answer.status for answer in answers] == [200] * 150 + [429]
    assert answers[0].headers == {
        "X-Requests-Allocated": "150 times/60 s",
        "X-Requests-Window-Length": "1 times",
        "X-Requests-Remaining": "149 times",
        "X-Request-Window-Resets-After": "60.0 s",
    }
