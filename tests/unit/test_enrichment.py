"""The merchant's rules."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from handler.content import Content
from handler.enrichment import RULES_FILE, SKIP_SECONDS, VALUES_SECONDS, Rules, main
from handler.errors import ConfigurationError
from handler.time_limit import TimeLimit, TimeLimitExceeded

if TYPE_CHECKING:
    from pathlib import Path

    from handler.rule_failed import RuleFailed
from handler.rule_functions import LONGEST_TEXT


def evaluate(text: str, order: dict[str, Any], store: str = "abcde") -> tuple[Content, list[str]]:
    failed: list[RuleFailed] = []
    content = Rules.parse(text).of_store(store).content(order, failed.append)
    return content, [failure.rule for failure in failed]


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
    failed: list[RuleFailed] = []

    assert rules.content({"customer_message": message}, failed.append) == Content(po_number)
    assert not rules.skips({"status_id": 0}, failed.append)
    assert failed == []


def test_a_stores_own_label_is_one_line() -> None:
    rules = """[all]\npo_number = "po_number(customer_message, 'Bestellnummer')" """

    content, failed = evaluate(rules, {"customer_message": "PO: 1\nBestellnummer: siehe Maier"})

    assert (content, failed) == (Content("siehe Maier"), [])


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


def test_a_rule_may_take_a_slice_of_a_list() -> None:
    content, failed = evaluate(
        '[all.extra_fields]\nSKUs = "products[:2].sku"', {"products": [{"sku": s} for s in "abc"]}
    )

    assert (content.extra_fields, failed) == ((("SKUs", "a, b"),), [])


def test_a_stores_own_rules_replace_those_of_all_and_its_fields_are_added() -> None:
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
    failed: list[RuleFailed] = []
    assert not Rules.parse(rules).of_store("abcde").skips(order, failed.append)
    assert Rules.parse(rules).of_store("other").skips(order, failed.append)
    assert failed == []


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("length(amount)", {"amount": 7}),
        ("items", {"items": ["a", ["b"]]}),
        ("items", {"items": [{"a": "b"}]}),
        ("address", {"address": {"a": "b"}}),
        ("text", {"text": "x" * 1001}),
        ("items", {"items": ["x" * 500, "y" * 500]}),
        ("po_number(text)", {"text": f"PO: {'7' * 1001}"}),
        ("po_number(text)", {"text": 7}),
        ("po_number(text)", {"text": ["PO: 7"]}),
        ("first_match(text, '(a+)+$')", {"text": "a" * 40 + "b"}),
    ],
    ids=[
        "type error",
        "list in a list",
        "object in a list",
        "object",
        "too long",
        "list too long",
        "PO number too long",
        "PO number of a number",
        "PO number of a list",
        "catastrophic pattern",
    ],
)
def test_a_failed_rule_leaves_its_field_out_and_is_named(rule: str, order: dict[str, Any]) -> None:
    content, failed = evaluate(f'[all]\npo_number = "{rule}"', order)

    assert (content, failed) == (Content(), ["all.po_number"])


def test_a_skip_rule_that_fails_skips_nothing_and_is_named() -> None:
    failed: list[RuleFailed] = []
    rules = Rules.parse('[all]\nskip_when = "length(amount) > `3`"').of_store("abcde")

    assert not rules.skips({"amount": 7}, failed.append)
    assert [failure.rule for failure in failed] == ["all.skip_when"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["a", "b"], "a, b"),
        (["checkbox-value-2"], "checkbox-value-2"),
        (["a", None, "", " ", " b "], "a, b"),
        ([1, 2.0, 2.5, True], "1, 2, 2.5, true"),
        ([], ""),
        ([None], ""),
        (250.0, "250"),
        (1e22, "10000000000000000000000"),
        (0.5, "0.5"),
        (0, "0"),
        (False, "false"),
        ("first\r\nsecond ", "first\r\nsecond"),
        ("\U0001f69a", "\U0001f69a"),
        (" \t\n", ""),
        ("\u00a0\u200b\ufeff", ""),
        (None, ""),
    ],
)
def test_a_value_becomes_text_and_what_is_empty_is_none(value: Any, text: str) -> None:
    rules = """[all.extra_fields]\nField = "form_field(fields, 'Field')" """

    content, failed = evaluate(rules, {"fields": [{"name": "Field", "value": value}]})

    assert content == Content("", (("Field", text),) if text else ())
    assert failed == []


def test_a_po_number_is_one_line() -> None:
    assert evaluate('[all]\npo_number = "a"', {"a": " 4711 \r\n\n  Berlin\u2028site "})[0] == Content(
        "4711 Berlin site"
    )


def test_a_pattern_is_applied_to_the_first_part_of_a_long_text() -> None:
    rules = "[all]\npo_number = \"first_match(text, 'PO(.)')\""

    assert evaluate(rules, {"text": "x" * (LONGEST_TEXT - 3) + "PO1"})[0] == Content("1")
    assert evaluate(rules, {"text": "x" * (LONGEST_TEXT - 2) + "PO1"})[0] == Content()
    assert LONGEST_TEXT <= 8192


def test_the_rules_of_an_order_share_one_time_limit_and_each_that_gets_none_is_named() -> None:
    slow = "\n".join(f"Slow{number} = \"first_match(text, '(a+)+$')\"" for number in range(20))
    rules = f"[all.extra_fields]\nQuick = 'channel_id'\n{slow}\nLast = 'channel_id'"

    content, failed = evaluate(rules, {"text": "a" * 40 + "b", "channel_id": 1})

    assert content == Content("", (("Quick", "1"),))
    assert failed == [*(f"all.extra_fields.Slow{number}" for number in range(20)), "all.extra_fields.Last"]
    assert SKIP_SECONDS + VALUES_SECONDS <= 0.2


def test_each_order_has_the_whole_time_limit() -> None:
    rules = Rules.parse("[all]\npo_number = \"first_match(text, '(a+)+$')\"").of_store("abcde")
    failed: list[RuleFailed] = []

    contents = [rules.content({"text": text}, failed.append) for text in ("a" * 40 + "b", "aaa")]

    assert contents == [Content(), Content("aaa")]
    assert [(f.rule, f.why) for f in failed] == [("all.po_number", "time limit exceeded: the rules took too long")]


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
        ('[all]\npo_number = "po_number()"', "takes at least 1 arguments, not 0"),
        ('[all]\npo_number = "po_number(a, b)"', "a label of po_number must be written out"),
        ("[all]\npo_number = \"po_number(a, 'Bestellnummer', `7`)\"", "a label of po_number must be written out"),
        ("[all]\npo_number = \"po_number(a, ' : ')\"", "a label of po_number is empty"),
        ('[all]\npo_number = "merge()"', "takes at least 1 arguments, not 0"),
        ('[all]\nskip_when = "status_id && nonsense(a)"', r"there is no function nonsense\(\)"),
        ('[all]\nskip_when = "map(&length(a, b), items)"', "takes 1 arguments, not 2"),
        ('[all]\npo_number = "a && first_match(b, c)"', "must be written out"),
    ],
)
def test_an_invalid_rule_is_refused_with_its_place_and_what_was_expected(text: str, expected: str) -> None:
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


def test_an_endless_computation_is_stopped_and_uses_up_the_limit() -> None:
    limit = TimeLimit(0.01)

    with pytest.raises(TimeLimitExceeded), limit.running():
        sum(1 for _ in iter(int, 1))
    with pytest.raises(TimeLimitExceeded), limit.running():
        pytest.fail("there was time left")


def test_a_limit_that_is_not_used_up_is_left_for_the_next_computation() -> None:
    limit = TimeLimit(60.0)
    done = []

    for number in range(3):
        with limit.running():
            done.append(number)

    assert done == [0, 1, 2]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("first_match(customer_id, '(.*)')", "first_match() expects text; customer_id is a number"),
        ("first_match(billing.tags, 'x')", "first_match() expects text; billing.tags is a list"),
        ("length(items[0].price)", "length() expects text or a list or an object; items[0].price is a number"),
        ("join(', ', items[*].price)", "join() expects a list of texts; items[*].price holds a number"),
        ("join(', ', items[].price)", "join() expects a list of texts; items[].price holds a number"),
        ("join(', ', items[:2].price)", "join() expects a list of texts; the argument holds a number"),
        ("first_match(to_array(customer_id), 'x')", "first_match() expects text; the argument is a list"),
        ("first_match(to_array(items)[0].price, 'x')", "first_match() expects text; the argument is a number"),
        ("items[0:1:0]", "ValueError in the expression"),
        ("items[0].length(price)", "length() expects text or a list or an object; price is a number"),
        ("contains(@, 'x')", "contains() expects a list or text; @ is an object"),
        ("join(customer_id, items)", "join() expects text; the argument is a number"),
        ("items", "the result is an object or a list of lists, not text"),
        ("billing.long", "the result has 5000 characters; at most 1000 are allowed"),
    ],
)
def test_a_failed_rule_gives_its_reason_without_the_buyers_values(rule: str, why: str) -> None:
    order = {"customer_id": 4711, "billing": {"tags": ["4711"], "long": "4711" * 1250}, "items": [{"price": 4711}]}
    failed: list[RuleFailed] = []

    Rules.parse(f'[all]\npo_number = "{rule}"').of_store("abcde").content(order, failed.append)

    [failure] = failed
    assert failure.why == why
    assert "4711" not in str(failure)


@pytest.mark.parametrize(("key", "named"), [("po_numbr", "po_numbr"), ("extra_field", "extra_field")])
def test_an_unknown_key_of_a_section_is_named(key: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"all: unknown key {named}; a section holds po_number"):
        Rules.parse(f'[all]\n{key} = "external_order_id"')
