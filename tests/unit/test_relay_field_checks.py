"""Rules against the store's extra fields."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest

from handler.enrichment import Rules, StoreRules
from handler.rule_sources import read_fields
from relay.checks import Finding, State
from relay.field_checks import FieldConfig, check_fields


def rules(**fields: str) -> StoreRules:
    lines = "\n".join(f"\"{name.replace('_', ' ')}\" = '''{expression}'''" for name, expression in fields.items())
    return Rules.parse(f"[all.extra_fields]\n{lines}").for_all


def config(name: str, **row: Any) -> FieldConfig:
    return FieldConfig.of({"fieldName": name, "fieldType": 0, "isRequired": False, "maximumLength": "200"} | row)


def findings(
    store_rules: StoreRules, *configs: FieldConfig, orders: list[dict[str, Any]] | None = None
) -> list[Finding]:
    return list(check_fields(store_rules, list(configs), orders or [], "abc123"))


def test_rules_that_fit_are_well() -> None:
    [finding] = findings(rules(Team="external_order_id"), config("Team"), orders=[{"id": 1, "external_order_id": "x"}])

    assert finding.state is State.GOOD
    assert "tested with the last customer's order" in finding.what


def test_rules_that_mention_a_source_are_not_tried_on_orders_without_it() -> None:
    store_rules = rules(Team="company.companyName", Desk="company.uuid")
    configs = [config("Team", isRequired=True), config("Desk")]

    [finding] = findings(store_rules, *configs, orders=[{"id": 1, "external_order_id": "x"}])

    assert finding.state is State.GOOD


def test_a_name_that_the_store_has_not_is_bad_and_a_close_one_is_proposed() -> None:
    [finding] = findings(rules(Cost_center="external_order_id"), config("Cost Center"))

    assert finding.state is State.BAD
    assert 'did you mean "Cost Center"?' in finding.fix


def test_a_rule_that_uses_the_label_is_told_the_name() -> None:
    finding, _ = findings(
        rules(Cost_center="external_order_id"), config("cc_1", labelName="Cost center"), config("Cost Centre")
    )

    assert finding.state is State.BAD
    assert "the label of a field" in finding.what
    assert 'did you mean "cc_1"?' in finding.fix


def test_labels_that_are_not_the_names_are_told() -> None:
    fits, labels = findings(
        rules(Cost_center="external_order_id"),
        config("Cost center", labelName="CC"),
        config("Team", labelName="Team"),
        config("Context", labelName=""),
        orders=[{"id": 1, "external_order_id": "x"}],
    )

    assert (fits.state, labels.state) == (State.GOOD, State.GOOD)
    assert labels.what.endswith('"CC" is "Cost center"')


def test_a_required_field_that_no_rule_brings_is_bad() -> None:
    [finding] = findings(rules(), config("Team", isRequired=True))

    assert finding.state is State.BAD
    assert 'requires "Team"' in finding.what


@pytest.mark.parametrize(
    ("row", "value", "why"),
    [
        ({"maximumLength": 3}, "four", "longer than 3 characters"),
        ({"fieldType": "2"}, "ten", "not a number"),
        ({"fieldType": 3, "listOfValue": ["A", "B"]}, "C", "not one of the field's options"),
        ({"fieldType": 3, "listOfValues": ["A", "B"]}, "C", "not one of the field's options"),
        ({"fieldType": 3, "listOfValues": [["A", "B"]]}, "C", "not one of the field's options"),
        (
            {"fieldType": 3, "listOfValue": [{"value": "A", "label": "Choice A"}]},
            "Choice A",
            "not one of the field's options",
        ),
        ({"isRequired": 1}, "", "missing, but required"),
        ({"isRequired": "1"}, "", "missing, but required"),
        ({"isRequired": "true"}, "", "missing, but required"),
        ({"isRequired": "True"}, "", "missing, but required"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_its_order_and_not_shown(
    row: dict[str, Any], value: str, why: str
) -> None:
    orders = [{"id": 41, "external_order_id": value}, {"id": 42, "external_order_id": value}]

    [finding] = findings(rules(Team="external_order_id"), config("Team", **row), orders=orders)

    assert finding.state is State.BAD
    assert why in finding.what
    assert "2 of the last 2" in finding.what
    assert "41" in finding.fix
    assert not value or value not in finding.what


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"fieldType": 2}, "10.5"),
        ({"fieldType": 3, "listOfValue": ["A"]}, "A"),
        ({"fieldType": 3, "listOfValues": [["A", "B"]]}, "B"),
        ({"fieldType": 3, "listOfValue": [{"value": "A", "label": "Choice A"}, {"label": "B"}]}, "B"),
        ({"fieldType": 3, "listOfValue": [1, 2]}, "2"),
        ({"fieldType": 3, "listOfValue": [[], None]}, "anything"),
        ({"isRequired": "0"}, ""),
        ({"isRequired": 0}, ""),
        ({"isRequired": None}, ""),
        ({"maximumLength": None}, "x" * 900),
        ({}, ""),
    ],
)
def test_a_value_that_fits_is_well(row: dict[str, Any], value: str) -> None:
    [finding] = findings(
        rules(Team="external_order_id"), config("Team", **row), orders=[{"id": 1, "external_order_id": value}]
    )

    assert finding.state is (State.GOOD if value else State.UNKNOWN)


def test_a_rule_that_fails_on_a_real_order_is_wrong_and_is_counted_once() -> None:
    [finding] = findings(
        rules(Team="length(customer_id)"),
        config("Team"),
        orders=[{"id": 8, "customer_id": 7}, {"id": 9, "customer_id": 7}],
    )

    assert (finding.step, finding.state) == ("rules", State.BAD)
    assert (
        "the rule all.extra_fields.Team fails (length() expects text or a list or an object; customer_id is a number) in 2"
        in finding.what
    )
    assert "relay preview 8 --store abc123" in finding.fix


def test_orders_that_the_rules_skip_are_not_tried() -> None:
    skipping = Rules.parse(
        "[all]\nskip_when = 'status_id == `0`'\n[all.extra_fields]\nTeam = 'length(customer_id)'"
    ).for_all

    [finding] = findings(skipping, config("Team"), orders=[{"id": 9, "customer_id": 7, "status_id": 0}])

    assert finding.state is State.UNKNOWN


def test_rules_that_were_tried_on_no_order_are_not_said_to_fit() -> None:
    [finding] = findings(rules(Team="external_order_id"), config("Team"))

    assert finding.state is State.UNKNOWN
    assert "no customer's order" in finding.what


def test_a_store_without_rules_and_required_fields_is_well() -> None:
    [finding] = findings(rules(), config("Team"))

    assert finding.state is State.GOOD


def test_a_rule_that_reads_what_no_order_has_is_wrong_and_a_close_name_is_proposed() -> None:
    [finding] = findings(rules(Team="externl_order_id"), config("Team"), orders=[{"id": 1, "external_order_id": "x"}])

    assert finding.state is State.BAD
    assert (
        'the rule for "Team" had no result in the last customer\'s order: no order has externl_order_id' in finding.what
    )
    assert "did you mean external_order_id?" in finding.fix


@pytest.mark.parametrize(("desk", "others"), [("A", True), ("", False)])
def test_a_rule_that_brought_nothing_is_not_known_and_says_whether_others_did(desk: str, others: bool) -> None:
    [finding] = findings(
        rules(Team="external_order_id", Desk="staff_notes"),
        config("Team"),
        config("Desk"),
        orders=[{"id": 1, "external_order_id": "", "staff_notes": desk}],
    )[:1]

    assert finding.state is State.UNKNOWN
    assert 'for "Team" had no result' in finding.what
    assert ("but other rules had" in finding.what) is others


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("a", ["a"]),
        ("a.b.c", ["a"]),
        ("a[0].b", ["a"]),
        ("a[?x == '1'].y | [0]", ["a"]),
        ("form_field(a.b, 'c')", ["a"]),
        ("a || b", ["a", "b"]),
        ("[a, b]", ["a", "b"]),
        ("a == `1` && b", ["a", "b"]),
        ("map(&x, a)", ["a"]),
        ("a[1:2]", ["a"]),
        ("a.*.b", ["a"]),
        ("a[].b", ["a"]),
        ("'text'", []),
        ("@", []),
    ],
)
def test_what_a_rule_reads_of_the_order_is_seen(expression: str, read: list[str]) -> None:
    assert list(read_fields(dict(jmespath.compile(expression).parsed))) == read
