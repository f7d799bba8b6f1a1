"""Rules that read sources, and a checkout that makes the record itself: on a real deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from e2e.conftest import outcomes
from e2e.test_relay import wait_for
from sandbox.console.live_rules import RULES_IN_CODE
from sandbox.demo.scenarios import BUYER, Stage, secret_of
from sandbox.store import faults
from sandbox.store.buyers import Buyer
from sandbox.store.orders import PO_LINE, Order
from sandbox.store.settings import Store
from sandbox.store.webhooks import DeliveryOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = r"""
[stores.ten]
skip_when = "metafield(metafields, '*', 'orderType') == 'invoice payment'"
[stores.ten.extra_fields]
"Reference" = "external_order_id"
"Cost Center" = "form_field(billing_address.form_fields, 'Cost Center')"
"Licence" = "form_field(consignments.shipping[0].form_fields, 'License ID')"
"SKUs" = "consignments.shipping[].line_items[].sku"
"ERP Id" = "extra_field(company.extraFields, 'erp id')"
"Role" = "user.companyRoleName"
"Tax code" = "attribute(customer.attributes, 'Tax code')"
"Branch" = "form_field(customer.form_fields, 'Branch')"
"Route" = "metafield(metafields, 'erp', 'route')"

[stores.refuses.extra_fields]
"Tax code" = "attribute(customer.attributes, 'Tax code')"
"Reference" = "external_order_id"

[stores.waits]
create_after_seconds = 4
[stores.waits.extra_fields]
"Reference" = "external_order_id"
"""
FROM_SOURCES = {
    "Licence": "123BAF",
    "SKUs": "PUMP-20, SEAL-8",
    "ERP Id": "C-10047",
    "Role": "Junior Buyer",
    "Tax code": "G",
    "Branch": "North",
    "Route": "N4",
}
OTHER = 107
"""A second buyer, for whom nothing is in memory yet."""
ALL_FIELDS = {"Reference": "R-1", "Cost Center": "CC-1", **FROM_SOURCES}


@dataclass(frozen=True)
class Shop:
    """One store, and what is seen of its orders."""

    stage: Stage
    store: Store

    def order(self, **options: Any) -> Order:
        """An order that its webhook has announced."""
        given: dict[str, Any] = {
            "customer_id": BUYER,
            "customer_message": f"{PO_LINE}PO-1",
            "external_order_id": "R-1",
            "form_fields": {"Cost Center": "CC-1"},
            "metafields": [{"namespace": "erp", "key": "route", "value": "N4"}],
            "automatic_record_after": None,
        }
        placed = self.stage.sandbox.place_order(self.store, **(given | options))
        self.stage.sandbox.deliver(placed, self.stage.cloud.webhook_url, DeliveryOptions(retries=0))
        return placed

    def fields(self, order: Order) -> dict[str, Any] | None:
        """The record's extra fields; None when there is no record."""
        record = self.stage.sandbox.record(self.store, order.id)
        return None if record is None else dict(record.extra_fields)

    def finish(self, order: Order, outcome: str) -> None:
        """Waits until the functions' logs say that this became of the order."""
        wait_for(lambda: outcome in outcomes(self.stage, order))

    def requests(self, endpoint: str = "*", order: Order | None = None) -> int:
        """How many requests arrived, of this order only if one is given."""
        return len(self.stage.sandbox.requests(endpoint, order=order, store=None if order else self.store))

    def created_after_seconds(self, order: Order) -> float:
        """From the order's creation to the arrival of its first Create Order."""
        return self.stage.sandbox.requests("b2b.create", order=order)[0].at - order.created_at


@pytest.fixture(scope="module", autouse=True)
def deployed_rules(stage: Stage) -> Iterator[None]:
    shipped = stage.cloud.deployed_file(RULES_IN_CODE)
    stage.cloud.replace_file(RULES_IN_CODE, shipped + RULES.encode())
    yield
    stage.cloud.replace_file(RULES_IN_CODE, shipped)


def shop(stage: Stage, name: str, **settings: Any) -> Shop:
    buyers = {customer: Buyer(form_fields={"Branch": "North"}) for customer in (BUYER, OTHER)}
    store = stage.sandbox.add_store(Store(hash=name, company_customers={*buyers}, buyers=buyers, **settings))
    stage.cloud.put_secret(store.hash, secret_of(store))
    return Shop(stage, store)


@pytest.fixture(scope="module")
def ten(stage: Stage) -> Shop:
    return shop(stage, "ten")


@pytest.fixture(scope="module")
def waits(stage: Stage) -> Shop:
    return shop(stage, "waits")


def test_one_order_has_ten_values_from_ten_places_in_its_window(ten: Shop) -> None:
    order = ten.order()

    ten.finish(order, "created")

    assert ten.fields(order) == ALL_FIELDS
    record = ten.stage.sandbox.record(ten.store, order.id)
    assert record
    assert record.po_number == "PO-1"
    assert ten.requests("b2b.update", order) == 0


def test_a_company_that_hangs_costs_its_fields_only_until_it_answers(ten: Shop) -> None:
    ten.stage.sandbox.fault(faults.hang(30.0), "b2b.company", store=ten.store, customer_id=OTHER, times=None, seconds=8)

    order = ten.order(customer_id=OTHER)

    created = wait_for(lambda: ten.fields(order))
    assert created == {name: value for name, value in ALL_FIELDS.items() if name != "ERP Id"}
    wait_for(lambda: ten.fields(order) == ALL_FIELDS)
    ten.finish(order, "updated")
    assert ten.created_after_seconds(order) < 10.0


def test_orders_of_one_buyer_share_company_and_user(ten: Shop) -> None:
    before = ten.requests("b2b.company"), ten.requests("b2b.user")

    for _ in range(6):
        order = ten.order()
        ten.finish(order, "created")

    # One request each for an environment; these orders meet one or two.
    assert ten.requests("b2b.company") - before[0] <= 2
    assert ten.requests("b2b.user") - before[1] <= 2


def test_an_order_of_a_store_without_sources_costs_a_look_up_and_a_create(stage: Stage) -> None:
    plain = Shop(stage, stage.store)

    order = plain.order()

    plain.finish(order, "created")
    assert [request.endpoint for request in stage.sandbox.requests(order=order)] == ["core.get_order", "b2b.create"]


def test_the_payment_of_an_invoice_is_skipped(ten: Shop) -> None:
    order = ten.order(order_type="invoice payment")

    ten.finish(order, "skipped")

    assert ten.fields(order) is None


def test_a_refused_source_costs_its_fields_and_is_asked_once(stage: Stage) -> None:
    refuses = shop(stage, "refuses", missing_scopes={"customers"})

    orders = []
    for _ in range(4):
        orders.append(refuses.order())
        refuses.finish(orders[-1], "created")

    assert [refuses.fields(order) for order in orders] == [{"Reference": "R-1"}] * 4
    assert refuses.requests("core.customer") <= 1
    assert refuses.requests("core.customer_attributes") <= 1


def test_a_checkout_that_makes_the_record_itself_loses_nothing(waits: Shop) -> None:
    order = waits.order(
        automatic_record_after=2.0,
        buyer_po_number="TYPED-7",
        buyer_extra_fields={"Note": "Gate 3"},
        customer_message="",
    )

    waits.finish(order, "updated")

    assert waits.fields(order) == {"Note": "Gate 3", "Reference": "R-1"}
    record = waits.stage.sandbox.record(waits.store, order.id)
    assert record
    assert record.po_number == "TYPED-7"
    assert waits.requests("b2b.create", order) == 0


def test_without_a_record_of_the_checkout_the_order_is_created_after_the_wait_and_in_the_window(waits: Shop) -> None:
    order = waits.order()

    waits.finish(order, "created")

    assert 4.0 <= waits.created_after_seconds(order) < 10.0
    assert waits.fields(order) == {"Reference": "R-1"}
