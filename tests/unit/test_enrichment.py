"""The merchant's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from handler.b2b_api import Content
from handler.enrichment import RULES_FILE, Rules, main
from handler.errors import ConfigurationError
from handler.time_limit import TimeLimitExceeded, time_limit

if TYPE_CHECKING:
    from pathlib import Path

FAILED: list[str] = []


def evaluate(text: str, order: dict[str, Any], store: str = "abcde") -> tuple[Content, list[str]]:
    failed: list[str] = []
    return Rules.parse(text).of_store(store).content(order, failed.append), failed


@pytest.mark.parametrize(
    ("message", "po_number"),
    [
        ("PO Number / Reference Number: 04152025-0002", "04152025-0002"),
        ("Ring twice\r\nPO Number / Reference Number:  A 7 \r\nThanks", "A 7"),
        ("po number: x1", "x1"),
        ("PO Number / Reference Number:", ""),
        ("no number here", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_rules_as_shipped_read_the_po_number_out_of_the_comments(message: str | None, po_number: str) -> None:
    rules = Rules.load().of_store("anystore")

    assert rules.content({"customer_message": message}, FAILED.append) == Content(po_number)
    assert not rules.skips({"status_id": 0}, FAILED.append)


def test_extra_fields_come_from_form_fields_and_from_plain_values() -> None:
    rules = """
    [all.extra_fields]
    "Cost Center" = "form_field(billing_address.form_fields, 'Cost Center')"
    "ERP" = "external_order_id"
    "Channel" = "channel_id"
    "Gift" = "is_gift"
    """
    order = {
        "billing_address": {"form_fields": [{"name": "Other", "value": "x"}, {"name": "Cost Center", "value": " CC "}]},
        "external_order_id": None,
        "channel_id": 4,
        "is_gift": True,
    }

    content, failed = evaluate(rules, order)

    assert dict(content.extra_fields) == {"Cost Center": "CC", "Channel": "4", "Gift": "true"}
    assert failed == []


def test_a_stores_own_rules_stand_in_place_and_its_fields_are_added() -> None:
    rules = """
    [all]
    po_number = "customer_message"
    skip_when = "status_id == `0`"
    [all.extra_fields]
    A = "a"
    [stores.abcde]
    po_number = "external_order_id"
    skip_when = ""
    [stores.abcde.extra_fields]
    B = "b"
    """
    order = {"customer_message": "M", "external_order_id": "E", "status_id": 0, "a": "1", "b": "2"}

    own, _ = evaluate(rules, order)
    other, _ = evaluate(rules, order, "other")

    assert own == Content("E", (("A", "1"), ("B", "2")))
    assert other == Content("M", (("A", "1"),))
    assert not Rules.parse(rules).of_store("abcde").skips(order, FAILED.append)
    assert Rules.parse(rules).of_store("other").skips(order, FAILED.append)


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("length(amount)", {"amount": 7}),
        ("items", {"items": ["a", "b"]}),
        ("text", {"text": "x" * 1001}),
        ("first_match(text, '(a+)+$')", {"text": "a" * 40 + "b"}),
    ],
    ids=["type error", "list", "too long", "catastrophic pattern"],
)
def test_a_rule_that_fails_leaves_its_field_out_and_is_named(rule: str, order: dict[str, Any]) -> None:
    content, failed = evaluate(f'[all]\npo_number = "{rule}"', order)

    assert (content, failed) == (Content(), ["all.po_number"])


def test_a_skip_rule_that_fails_skips_nothing_and_is_named() -> None:
    failed: list[str] = []
    rules = Rules.parse('[all]\nskip_when = "length(amount) > `3`"').of_store("abcde")

    assert not rules.skips({"amount": 7}, failed.append)
    assert failed == ["all.skip_when"]


def test_a_pattern_sees_a_whole_comment_of_64_kilobytes_and_no_more() -> None:
    rules = "[all]\npo_number = \"first_match(text, 'PO(.)')\""

    assert evaluate(rules, {"text": "x" * 65_000 + "PO1"})[0] == Content("1")
    assert evaluate(rules, {"text": "x" * 65_536 + "PO1"})[0] == Content()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[all", "not TOML"),
        ("[every]", r"unknown section \[every\]"),
        ("all = 7", "a section holds"),
        ("[all]\npo = 'x'", "a section holds"),
        ("[all]\nextra_fields = 7", "expected lines such as"),
        ("stores = 7", "stores must be sections"),
        ("[stores.UPPER]\npo_number = 'x'", "lower-case letters and digits"),
        ("[all]\npo_number = 7", "a rule is a JMESPath expression"),
        ("[all]\npo_number = 'a ||'", "all.po_number"),
        ("[all]\npo_number = 'nonsense(a)'", "all.po_number"),
        ("[all]\npo_number = 'length(a, b)'", "all.po_number"),
        ("[all]\npo_number = \"first_match(a, '(')\"", "all.po_number"),
        ('[all]\npo_number = "first_match(a, b)"', "must be written out"),
        ('[all]\npo_number = "first_match(a)"', "takes 2 arguments, not 1"),
        ('[all]\npo_number = "merge()"', "takes at least 1 arguments, not 0"),
        ('[all]\nskip_when = "status_id && nonsense(a)"', r"there is no function nonsense\(\)"),
        ('[all]\nskip_when = "map(&length(a, b), items)"', "takes 1 arguments, not 2"),
        ('[all]\npo_number = "a && first_match(b, c)"', "must be written out"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place_and_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Rules.parse(text)


def test_the_check_names_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[every]")

    assert main([]) == 0
    assert str(RULES_FILE) in capsys.readouterr().out
    assert main([str(wrong)]) == 1
    assert "unknown section" in capsys.readouterr().err
    assert main([str(tmp_path / "missing.toml")]) == 1


def test_endless_computation_is_ended() -> None:
    with pytest.raises(TimeLimitExceeded), time_limit(0.01):
        sum(1 for _ in iter(int, 1))
