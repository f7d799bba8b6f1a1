"""What an expression reads, and the functions that look for a row in what a source holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jmespath
import pytest

from handler.content import Content
from handler.enrichment import RequestBudget, Rules, main
from handler.rule_sources import Source, sources_of

if TYPE_CHECKING:
    from handler.rule_failed import RuleFailed


def never(failure: RuleFailed) -> None:
    raise failure


COMPANY, USER, CUSTOMER = Source.COMPANY, Source.USER, Source.CUSTOMER
ATTRIBUTES, METAFIELDS, CONSIGNMENTS = Source.ATTRIBUTES, Source.METAFIELDS, Source.CONSIGNMENTS


@pytest.mark.parametrize(
    ("expression", "mentioned"),
    [
        ("billing_address.company", set()),
        ("customer_message", set()),
        ("products[].company", set()),
        ("items[?company == 'x'].name", set()),
        ("map(&company, items)", set()),
        ("'company'", set()),
        ("attributes", set()),
        ("company", {COMPANY}),
        ("company.companyName", {COMPANY}),
        ('"company"."companyName"', {COMPANY}),
        ("@.company", {COMPANY}),
        ("@ | company | companyName", {COMPANY}),
        ("billing_address.company || company.companyName", {COMPANY}),
        ("{a: user.role}.a", {USER}),
        ("[company.uuid, user.uuid]", {COMPANY, USER}),
        ("!user", {USER}),
        ("user && items[?company == 'x'] | company", {USER}),
        ("extra_field(company.extraFields, 'ERP ID')", {COMPANY}),
        ("join(', ', consignments.shipping[].line_items[].sku)", {CONSIGNMENTS}),
        ("consignments.shipping[:1].line_items[].sku", {CONSIGNMENTS}),
        ("customer.notes", {CUSTOMER}),
        ("attribute(customer.attributes, 'Tax code')", {CUSTOMER, ATTRIBUTES}),
        ("metafield(metafields, '*', 'orderType') == 'invoice payment'", {METAFIELDS}),
    ],
)
def test_a_source_is_found_only_by_its_name_at_the_root(expression: str, mentioned: set[Source]) -> None:
    assert sources_of(jmespath.compile(expression).parsed) == mentioned


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("extra_field(company.extraFields, 'ERP ID')", "4711"),
        ("extra_field(company.extraFields, ' erp id ')", "4711"),
        ("extra_field(company.extraFields, 'absent')", ""),
        ("extra_field(company.absent, 'ERP ID')", ""),
        ("extra_field(absent.extraFields, 'ERP ID')", ""),
        ("extra_field(company, 'ERP ID')", ""),
        ("extra_field(company.companyName, 'ERP ID')", ""),
        ("extra_field(company.extraFields, absent)", ""),
        ("extra_field(company.extraFields, `7`)", ""),
        ("attribute(customer.attributes, 'TAX CODE')", "G"),
        ("attribute(customer.attributes, 'absent')", ""),
        ("attribute(customer, 'Tax code')", ""),
        ("metafield(metafields, 'erp', 'batch')", "one"),
        ("metafield(metafields, ' ERP', 'Batch ')", "one"),
        ("metafield(metafields, 'crm', 'batch')", "two"),
        ("metafield(metafields, '*', 'batch')", "one"),
        ("metafield(metafields, 'other', 'batch')", ""),
        ("metafield(null, '*', 'batch')", ""),
        ("metafields[].value", "one, two"),
    ],
)
def test_a_row_is_found_by_its_name_whatever_the_shape_around_it(call: str, value: str) -> None:
    odd: list[Any] = [None, 7, "text", [], {}, {"fieldName": None, "attribute_name": None, "key": 7}]
    order = {
        "company": {"companyName": "Acme", "extraFields": [*odd, {"fieldName": " ERP ID", "fieldValue": " 4711 "}]},
        "customer": {"attributes": [*odd, {"attribute_name": "Tax code", "attribute_value": "G"}]},
        "metafields": [
            *odd,
            {"namespace": "erp", "key": "batch", "value": "one"},
            {"namespace": "crm", "key": "batch", "value": "two"},
        ],
        "null": None,
    }
    rules = Rules.parse(f"[all.extra_fields]\nF = {json.dumps(call)}").for_all

    assert rules.content(order, never) == Content("", (("F", value),) if value else ())


def test_a_store_without_sources_costs_a_look_up_and_a_create() -> None:
    assert Rules.load().for_all.request_budget == RequestBudget(core=1, b2b=1)


def test_the_request_budget_counts_each_source_once() -> None:
    rules = Rules.parse(
        """
        [all]
        po_number = "user.uuid || company.uuid"
        skip_when = "metafield(metafields, '*', 'orderType') == 'invoice payment'"
        [all.extra_fields]
        A = "company.companyName"
        B = "attribute(customer.attributes, 'Tax code')"
        C = "consignments.shipping[0].shipping_method"
        """
    )

    assert rules.for_all.request_budget == RequestBudget(core=4, b2b=3)


def test_check_rules_prints_what_an_order_costs_by_store(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[stores.abc123.extra_fields]\nA = "company.companyName"\n', encoding="utf-8")

    assert main([str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "abc123: order costs at most 1 core and 2 B2B requests",
        "any other store: order costs at most 1 core and 1 B2B requests",
    ]


def test_sources_of_rules_whose_values_are_in_the_event_are_not_needed() -> None:
    rules = Rules.parse(
        '[all]\npo_number = "user.uuid"\n[all.extra_fields]\nA = "company.uuid"\nB = "company.id"'
    ).for_all

    assert rules.sources_beyond(Content("1", (("A", "2"),))) == {COMPANY}
    assert rules.sources_beyond(Content("1", (("A", "2"), ("B", "3")))) == frozenset()
    assert rules.sources == {COMPANY, USER}


def test_a_rule_without_its_source_has_no_result_and_does_not_fail() -> None:
    rules = Rules.parse(
        '[all]\nskip_when = "!user"\n[all.extra_fields]\nA = "company.uuid || \'none\'"\nB = "order_source"'
    ).for_all
    order = {"order_source": "www"}

    assert rules.content(order, never, {COMPANY}) == Content("", (("B", "www"),))
    assert rules.lacking({COMPANY}, Content()) == ["all.extra_fields.A"]
    assert not rules.skips(order, never, {USER})
    assert rules.skips(order, never)
