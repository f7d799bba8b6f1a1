"""Which source gave which field of an order, and what each took: the rules of the store beside the outcome's log line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from handler.rule_sources import Source

if TYPE_CHECKING:
    from handler.enrichment import StoreRules
    from sandbox.console.order_seen import Seen

ENDPOINTS = {
    Source.COMPANY: "b2b.company",
    Source.USER: "b2b.user",
    Source.CUSTOMER: "core.customer",
    Source.ATTRIBUTES: "core.attributes",
    Source.METAFIELDS: "core.metafields",
}
"""Consignments have none of their own: the order's request brings them."""
NAMES = {Source.ATTRIBUTES: "attribute names"}


def sources_as_json(seen: Seen, rules: StoreRules) -> list[dict[str, Any]]:
    """A row for the order itself and one for each source that the store's rules mention, once an outcome is known."""
    told = [line.observed for line in seen.lines if line.observed]
    if not told:
        return []
    # Several lines of one invocation tell of the same calls.
    calls = {json.dumps(call): call for observed in told for call in observed.get("calls", [])}.values()
    named = [("PO number", rules.po_number), *rules.extra_fields, ("skip when", rules.skip_when)]
    held = {"PO number": seen.record.po_number, **seen.record.extra_fields} if seen.record else {}

    def row(name: str, endpoint: str, source: Source | None) -> dict[str, Any]:
        asked = [call for call in calls if call.get("endpoint") == endpoint]
        fields = [field for field, rule in named if rule and (source in rule.sources if source else not rule.sources)]
        state = _state(told[-1], source)
        cost = "none" if state else "none: kept in memory" if endpoint else "none: part of the order"
        if asked:
            cost = f"{len(asked)} in {sum(call.get('ms', 0) for call in asked)} ms"
        return {
            "name": name,
            "fields": ", ".join(f"{field}: {held[field]}" if held.get(field) else field for field in fields),
            "cost": cost,
            "state": state,
        }

    own = row("order", "core.get_order", None)
    return [own] + [row(NAMES.get(each, each), ENDPOINTS.get(each, ""), each) for each in sorted(rules.sources)]


def _state(observed: dict[str, Any], source: Source | None) -> str:
    """Whether the source had no value at the last outcome."""
    states = {"refused": "sources_refused", "unavailable": "sources_unavailable"}
    return next((state for state, name in states.items() if source in observed.get(name, [])), "")
