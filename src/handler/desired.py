"""What the B2B record of an order should carry: from the event itself where it says so, from the core order otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handler.bigcommerce.store_api import date_created
from handler.content import Content
from handler.endings import report
from handler.errors import Cause, RetryLater
from handler.observations import observe
from handler.outcomes import Created, Finished, Skipped, SkipReason
from handler.rule_sources import Source
from handler.sources import SCOPES
from handler.telemetry import Metric, count_by, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.bigcommerce.store_api import StoreApi
    from handler.deadline import Deadline
    from handler.enrichment import Rules, StoreRules
    from handler.order_event import OrderEvent
    from handler.rule_failed import RuleFailed
    from handler.sources import Sources, SourceValues

GUEST = 0
QUOTE_LINE = re.compile(r"\bQuote ?#", re.IGNORECASE)
"""Checkouts from a B2B quote leave its number in the comments; some end as a guest's (bigcommerce/catalyst #2291)."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The buyer's core customer id and the content for the record; `event` has its clock set by the order's own date.

    `unavailable` is set when `content` lacks fields whose source was late or down: to be raised once the record has
    what there is. `b2b_requests` is what the sources took of the B2B API.
    """

    event: OrderEvent
    customer_id: int
    content: Content
    rules_failed: tuple[str, ...] = ()
    unavailable: RetryLater | None = None
    b2b_requests: int = 0

    def finish(self, finished: Finished) -> Finished:
        """`finished`, when nothing is missing. Otherwise raises `unavailable`; a record that was created is reported before."""
        if self.unavailable is None or isinstance(finished, Skipped):
            return finished
        if isinstance(finished, Created):
            report(finished)
        raise self.unavailable


def find_desired(
    event: OrderEvent,
    store_api: StoreApi,
    rules: Rules,
    sources: Sources,
    deadline: Deadline,
    sources_end: Callable[[float], Deadline],
    *,
    only_given: bool = False,
) -> Desired | Skipped:
    """What to put on the record, or why nothing. Raises what `StoreApi.get_order` raises.

    `sources_end` says until when sources that are begun now may take, for an order created at this moment (unix
    seconds). `only_given`: the event's own values alone, for an order whose rules were applied before.
    """
    given = Content(event.po_number or "", event.extra_fields)
    if event.customer_id is not None:
        return Desired(event, event.customer_id, given) if event.customer_id != GUEST else Skipped(SkipReason.GUEST)
    store_rules = rules.of_store(event.store_hash)
    needed = frozenset() if only_given else store_rules.sources_beyond(given)
    until = sources_end(event.created_at).earlier_of(deadline)
    with sources.begin(event.store_hash, event.order_id, needed, until) as fetching:
        order = store_api.get_order(
            event.store_hash, event.order_id, deadline, with_consignments=Source.CONSIGNMENTS in needed
        )
        customer_id = order["customer_id"]
        if customer_id == GUEST:
            quoted = QUOTE_LINE.search(str(order.get("customer_message") or ""))
            return Skipped(SkipReason.GUEST_WITH_QUOTE if quoted else SkipReason.GUEST)
        event = event.dated_by_order(date_created(order))
        observe(event.created_at)
        if only_given:
            return Desired(event, customer_id, given)
        found = fetching.finish(customer_id, sources_end(event.created_at).earlier_of(deadline))
    order = found.beside(order)
    failed: list[RuleFailed] = []
    if store_rules.skips(order, failed.append, found.missing):
        return Skipped(SkipReason.RULE)
    ruled = store_rules.content(order, failed.append, found.missing)
    for failure in failed:
        _report_rule(failure)
    content = Content(
        po_number=given.po_number or ruled.po_number,
        extra_fields=tuple((dict(ruled.extra_fields) | dict(given.extra_fields)).items()),
    )
    lacking = set(store_rules.lacking(found.missing, given))
    observe(
        event.created_at,
        po_number_found=bool(content.po_number),
        extra_fields_found=len(content.extra_fields),
        rules_failed=[each.rule for each in failed],
        rules_empty=_without_value(store_rules, ruled, {each.rule for each in failed} | lacking),
        sources_refused=sorted(found.refused),
        sources_unavailable=sorted(found.unavailable),
    )
    return Desired(
        event,
        customer_id,
        content,
        tuple(f.rule for f in failed if not _is_given(f.rule, given)),
        _report_sources(found, waited_for=bool(store_rules.lacking(found.unavailable, given))),
        found.b2b_requests,
    )


def _report_sources(found: SourceValues, *, waited_for: bool) -> RetryLater | None:
    """Counts and logs the sources without a value; why the order is to be completed, if a value is `waited_for`."""
    for source, detail in found.refused.items():
        count_by(Metric.SOURCE_REFUSED, "source", source)
        logger.warning(
            "source refused; the order goes on without the fields that need it",
            event="source.refused",
            source=source,
            scope=SCOPES[source],
            detail=detail,
        )
    for source, error in found.unavailable.items():
        count_by(Metric.SOURCE_FAILED, "source", source)
        logger.warning(
            "source unavailable; the order goes on without the fields that need it",
            event="source.failed",
            source=source,
            cause=error.cause,
            detail=error.detail,
        )
    if not waited_for:
        return None
    return RetryLater(
        Cause.SOURCE_UNAVAILABLE,
        "; ".join(f"{source}: {error.detail}" for source, error in sorted(found.unavailable.items())),
        retry_after_seconds=max(error.retry_after_seconds or 0.0 for error in found.unavailable.values()) or None,
    )


def _without_value(rules: StoreRules, ruled: Content, failed: set[str]) -> list[str]:
    """The names of the rules that brought nothing, and did not fail."""
    brought = dict(ruled.extra_fields)
    empty = [rule.name for name, rule in rules.extra_fields if name not in brought]
    if rules.po_number and not ruled.po_number:
        empty.append(rules.po_number.name)
    return [name for name in empty if name not in failed]


def _is_given(rule: str, given: Content) -> bool:
    """Whether the event itself has brought the rule's value: then the record lacks nothing of the rule's."""
    if rule.endswith(".po_number"):
        return bool(given.po_number)
    return rule.partition(".extra_fields.")[2] in dict(given.extra_fields)


def _report_rule(failure: RuleFailed) -> None:
    logger.warning(
        "enrichment rule failed; the order goes on without it",
        event="rule.failed",
        rule=failure.rule,
        detail=failure.why,
    )
    count_by(Metric.RULE_FAILED, "rule", failure.rule)
