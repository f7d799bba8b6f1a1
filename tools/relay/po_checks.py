"""Checks that the store's rule finds the PO numbers in its orders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from handler.po_number import lines
from relay.checks import Finding, State

if TYPE_CHECKING:
    from handler.enrichment import StoreRules
    from handler.rule_failed import RuleFailed

STEP = "PO number"
ABOUT_ORDERS = re.compile(
    r"\bp\.? ?[./]? ?o\b|\bpurch\w*|\b(?:order|job|project) ?(?:no|num|ref|#)|\br[eé]f|bestell|auftrag|commande|pedido|ordine|"
    r"inkoop|ordernummer|zam[oó]wieni|注文|订单",
    re.IGNORECASE,
)
"""Labels of PO numbers in some languages. False positives are harmless: matches are only reported."""
NOT_A_NUMBER = re.compile(r"\bbox\b|quote|offer|angebot|devis", re.IGNORECASE)
LABELLED = re.compile(r"([^:=#\t]{1,60})[:=#\t\N{FULLWIDTH COLON}](.*)")


def check_po_number(rules: StoreRules, orders: list[dict[str, Any]]) -> Finding:
    """In how many of these orders the rule finds a PO number, and in which it may have missed one.

    The buyers' text is not shown.
    """
    if rules.po_number is None:
        return Finding(STEP, State.GOOD, "the store has no rule for the PO number")
    read, tried, missed = 0, 0, []
    for order in orders:
        failed: list[RuleFailed] = []
        if rules.skips(order, failed.append, rules.sources):  # no source is fetched
            continue
        tried += 1
        if rules.content(order, failed.append, rules.sources).po_number:
            read += 1
        elif looks_like_one(order.get("customer_message")):
            missed.append(order.get("id", 0))
    if not tried:
        what = "there is no customer's order to test the rule with"
        return Finding(
            STEP, State.UNKNOWN, what, "place an order with a PO number as a company user, then run the check again"
        )
    found = f"found in {read} of the last {tried} customers' orders"
    if missed:
        return Finding(
            STEP,
            State.UNKNOWN,
            f"{found}; {len(missed)} more may have one, such as {', '.join(map(str, missed[:3]))}",
            "if they do, add its label to src/handler/enrichment.toml and deploy it (make deploy): "
            "po_number = \"po_number(customer_message, 'Your label')\"",
        )
    if not read:
        what = f"{found}; no order seems to have one"
        return Finding(
            STEP, State.UNKNOWN, what, "place an order with a PO number as a company user, then run the check again"
        )
    return Finding(STEP, State.GOOD, f"{found}; no other order seems to have one")


def looks_like_one(text: Any) -> bool:
    """Whether a line of the text may be a PO number with a label that the rule does not have."""
    return isinstance(text, str) and any(_looks_like_one(line.text, in_block=line.block > 0) for line in lines(text))


def _looks_like_one(line: str, *, in_block: bool) -> bool:
    if NOT_A_NUMBER.search(line) or not any(map(str.isdigit, line)):
        return False
    labelled = LABELLED.match(line)
    # B2B Edition writes labelled lines of its own between lines of dashes.
    return bool(ABOUT_ORDERS.search(labelled[1] if labelled else line) or (labelled and in_block))
