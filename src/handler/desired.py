"""The desired content of an order's B2B record: the event's own values, and those of the enrichment rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handler.bigcommerce.store_api import date_created
from handler.content import Content
from handler.observations import observe
from handler.outcomes import Skipped, SkipReason
from handler.telemetry import Metric, count_by, logger

if TYPE_CHECKING:
    from handler.bigcommerce.store_api import StoreApi
    from handler.deadline import Deadline
    from handler.enrichment import Rules, StoreRules
    from handler.order_event import OrderEvent
    from handler.rule_failed import RuleFailed

GUEST = 0
QUOTE_LINE = re.compile(r"\bQuote ?#", re.IGNORECASE)
"""Checkouts from a B2B quote write its number into the comments; some end as guest orders (bigcommerce/catalyst #2291)."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The buyer's core customer id and the content for the record; `event` has its clock set by the order's own date."""

    event: OrderEvent
    customer_id: int
    content: Content
    rules_failed: tuple[str, ...] = ()


def find_desired(
    event: OrderEvent, store_api: StoreApi, rules: Rules, deadline: Deadline, *, only_given: bool = False
) -> Desired | Skipped:
    """What to put on the record, or why nothing. Raises what `StoreApi.get_order` raises.

    `only_given`: the event's own values alone, for an order whose rules were applied before.
    """
    given = Content(event.po_number or "", event.extra_fields)
    if event.customer_id is not None:
        return Desired(event, event.customer_id, given) if event.customer_id != GUEST else Skipped(SkipReason.GUEST)
    order = store_api.get_order(event.store_hash, event.order_id, deadline)
    customer_id = order["customer_id"]
    if customer_id == GUEST:
        quoted = QUOTE_LINE.search(str(order.get("customer_message") or ""))
        return Skipped(SkipReason.GUEST_WITH_QUOTE if quoted else SkipReason.GUEST)
    event = event.dated_by_order(date_created(order))
    observe(event.created_at)
    if only_given:
        return Desired(event, customer_id, given)
    failed: list[RuleFailed] = []
    store_rules = rules.of_store(event.store_hash)
    if store_rules.skips(order, failed.append):
        return Skipped(SkipReason.RULE)
    ruled = store_rules.content(order, failed.append)
    for failure in failed:
        _report_rule(failure)
    content = Content(
        po_number=given.po_number or ruled.po_number,
        extra_fields=tuple((dict(ruled.extra_fields) | dict(given.extra_fields)).items()),
    )
    observe(
        event.created_at,
        po_number_found=bool(content.po_number),
        extra_fields_found=len(content.extra_fields),
        rules_failed=[each.rule for each in failed],
        rules_empty=_without_value(store_rules, ruled, {each.rule for each in failed}),
    )
    return Desired(event, customer_id, content, tuple(f.rule for f in failed if not _is_given(f.rule, given)))


def _without_value(rules: StoreRules, ruled: Content, failed: set[str]) -> list[str]:
    """The names of the rules that returned no value, and did not fail."""
    brought = dict(ruled.extra_fields)
    empty = [rule.name for name, rule in rules.extra_fields if name not in brought]
    if rules.po_number and not ruled.po_number:
        empty.append(rules.po_number.name)
    return [name for name in empty if name not in failed]


def _is_given(rule: str, given: Content) -> bool:
    """Whether the event itself has the value of the rule."""
    if rule.endswith(".po_number"):
        return bool(given.po_number)
    return rule.partition(".extra_fields.")[2] in dict(given.extra_fields)


def _report_rule(failure: RuleFailed) -> None:
    logger.warning(
        "enrichment rule failed; the field was left out",
        event="rule.failed",
        rule=failure.rule,
        detail=failure.why,
    )
    count_by(Metric.RULE_FAILED, "rule", failure.rule)
