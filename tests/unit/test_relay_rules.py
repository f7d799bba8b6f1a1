"""`relay rules test`: the examples in a file of rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from handler.enrichment import Rules
from handler.errors import ConfigurationError
from relay.context import Context
from relay.rules import read_examples, run_examples
from support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = """
[all]
po_number = "po_number(customer_message)"
skip_when = "metafield(metafields, '*', 'orderType') == 'invoice payment'"
[all.extra_fields]
"ERP Id" = "extra_field(company.extraFields, 'ERP ID')"
[stores.abc123.extra_fields]
"Tax" = "attribute(customer.attributes, 'Tax code')"
"""
PASSES = """
[[all.examples]]
name = "PO and company"
order.customer_message = "PO Number: 4711"
company.extraFields = [{fieldName = "erp id ", fieldValue = 77}]
expect.po_number = "4711"
expect.extra_fields."ERP Id" = "77"
[[all.examples]]
name = "invoice payment"
metafields = [{namespace = "b2b", key = "orderType", value = "invoice payment"}]
expect.skipped = true
[[stores.abc123.examples]]
customer.attributes = [{attribute_name = "Tax Code", attribute_value = "G"}]
expect.extra_fields = {"Tax" = "G", "ERP Id" = ""}
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[bool, Any]]:
    """Runs examples that stand beside RULES; answers whether all is well, and the JSON."""
    session: Any = None  # neither AWS nor a store is asked
    context = Context(session, "b2b-order-relay", as_json=True, clock=FakeClock(0.0), sleep=FakeClock(0.0).sleep)

    def run(examples: str) -> tuple[bool, Any]:
        path = tmp_path / "enrichment.toml"
        path.write_text(RULES + examples, encoding="utf-8")
        well = run_examples(context, rules=path)
        return well, json.loads(capsys.readouterr().out)

    return run


def test_examples_give_an_order_with_sources_and_expect_fields(run: Callable[[str], tuple[bool, Any]]) -> None:
    well, results = run(PASSES)

    assert well
    assert [(result["section"], result["name"], result["passed"]) for result in results] == [
        ("all", "PO and company", True),
        ("all", "invoice payment", True),
        ("stores.abc123", "example 1", True),
    ]


@pytest.mark.parametrize(
    ("example", "failure"),
    [
        ('order.customer_message = "PO 1"\nexpect.po_number = "2"', "po_number: expected '2', got '1'"),
        ('expect.extra_fields."ERP Id" = "77"', "ERP Id: expected '77', got ''"),
        ('expect.extra_fields.Unknown = "1"', "Unknown: expected '1', got ''"),
        ("expect.skipped = true", "the order is not skipped"),
        ("order.customer_message = 5\nexpect.skipped = false", "all.po_number failed: "),
        (
            'metafields = [{key = "orderType", value = "invoice payment"}]\nexpect.po_number = ""',
            "the order is skipped",
        ),
    ],
)
def test_what_differs_is_said(run: Callable[[str], tuple[bool, Any]], example: str, failure: str) -> None:
    well, [result] = run(f"[[all.examples]]\n{example}\n")

    assert not well
    assert not result["passed"]
    assert result["failures"][0].startswith(failure)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("[all.examples]\n", r"begins with \[\[all.examples\]\]"),
        ("[[all.examples]]\norder.id = 1\n", "expect must have"),
        ("[[all.examples]]\nexpect = {}\n", "expect must have"),
        ('[[all.examples]]\nexpect.po = "1"\n', "expect must have"),
        ("[[all.examples]]\norders = {}\nexpect.skipped = true\n", "unknown key orders"),
        ("[[all.examples]]\norder = 1\nexpect.skipped = true\n", "order must have keys"),
        ("[[all.examples]]\nexpect.extra_fields = 1\n", "expected a line such as"),
    ],
)
def test_a_wrong_example_is_explained(tmp_path: Path, example: str, message: str) -> None:
    path = tmp_path / "enrichment.toml"
    path.write_text(example, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=message):
        list(read_examples(path))


def test_the_functions_do_not_care_about_examples() -> None:
    assert Rules.parse(RULES + PASSES).by_store.keys() == {"abc123"}


def test_a_file_without_examples_is_well(run: Callable[[str], tuple[bool, Any]]) -> None:
    assert run("") == (True, [])
