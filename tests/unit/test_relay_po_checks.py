"""Buyers' texts that the store's PO rule may have missed."""

from __future__ import annotations

from typing import Any

import pytest

from handler.enrichment import Rules
from relay.checks import State
from relay.po_checks import check_po_number, looks_like_one

RULES = Rules.load().for_all


def order(number: int, message: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "customer_message": message} | more


def test_texts_that_are_read_or_have_no_number_are_well() -> None:
    finding = check_po_number(RULES, [order(1, "PO: 4711"), order(2, "Ring twice"), order(3, None), order(4, "")])

    assert finding.state is State.GOOD
    assert "found in 1 of the last 4" in finding.what
    assert finding.fix == ""


def test_texts_that_were_not_read_are_counted_with_their_orders_and_the_line_that_mends_it() -> None:
    missed = [order(number, f"Bestellnummer: X-{number}00") for number in range(41, 46)]

    finding = check_po_number(RULES, [order(1, "PO: 4711"), *missed])

    assert finding.state is State.UNKNOWN
    assert "found in 1 of the last 6" in finding.what
    assert "5 more" in finding.what
    assert "such as 41, 42, 43" in finding.what
    assert "po_number = \"po_number(customer_message, 'Your label')\"" in finding.fix
    assert "X-" not in finding.what + finding.fix


def test_a_rule_that_names_the_label_misses_nothing() -> None:
    rules = Rules.parse("[all]\npo_number = \"po_number(customer_message, 'Bestellnummer')\"").for_all

    assert check_po_number(rules, [order(41, "Bestellnummer: X-4100")]).state is State.GOOD


@pytest.mark.parametrize("orders", [[], [order(1, "Ring twice")]])
def test_a_rule_that_read_no_number_is_not_said_to_be_well(orders: list[dict[str, Any]]) -> None:
    finding = check_po_number(RULES, orders)

    assert finding.state is State.UNKNOWN
    assert "place an order with a PO number" in finding.fix


def test_orders_that_the_rules_skip_and_stores_without_a_rule_miss_nothing() -> None:
    skipping = Rules.parse("[all]\npo_number = 'nothing'\nskip_when = 'status_id == `0`'").for_all
    without = Rules.parse("").for_all

    assert "no customer's order" in check_po_number(skipping, [order(41, "Bestellnummer: 7", status_id=0)]).what
    assert check_po_number(without, [order(41, "Bestellnummer: 7")]).state is State.GOOD


@pytest.mark.parametrize(
    "text",
    [
        "Bestellnummer: 7",
        "Ring twice\nUnsere Auftragsnr. 7",
        "N° de commande : 7",
        "Our reference: Smith 7",
        "Order no 7 is ours",
        "Leave it at the gate. PO 7",
        "PO: we will send 7 of them",
        "P.O. (7)",
        "Purchase order\t\t7, 8",
        "---------------\nKostenstelle: 7\n---------------",
    ],
)
def test_a_line_that_could_be_one_is_noticed(text: str) -> None:
    assert looks_like_one(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "Deliver to PO Box 7",
        "Please send the PO by mail",
        "Deliver at 5 to dock: 7",
        "Quote#: 7",
        "---------------\nQuote#: 7\n---------------",
        "Apollo: 12",
        "Call 555-1234",
    ],
)
def test_other_texts_are_not(text: Any) -> None:
    assert not looks_like_one(text)
