"""`relay preview`: what the rules would bring for a real order, beside what its record holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from handler.b2b_api import Record
from handler.deadline import Deadline
from handler.enrichment import RULES_FILE, Rules
from handler.errors import RetryLater
from handler.record import merge
from handler.wanted import GUEST
from relay.command import OrderArgument, StoreOption
from relay.desk import Desk
from relay.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

PO_NUMBER = "PO number"
LOOK_UP_SECONDS = 4.0
"""An order that is not there is asked for again for so long: a fresh one may need a moment to be readable."""

RulesOption = Annotated[
    Path,
    typer.Option(
        "--rules",
        metavar="FILE",
        show_default="src/handler/enrichment.toml",
        help="The rules to try, deployed or not yet.",
    ),
]


def preview(desk: Desk, order: OrderArgument, *, store: StoreOption, rules: RulesOption = RULES_FILE) -> bool:
    """Show what the rules would bring for a real order, beside what its B2B record holds. Nothing is written.

    The rules are those of this folder, which may not be deployed yet: change them, look, deploy.
    Exit code 1 when a rule fails on the order.

    Examples:
      relay preview 1042 --store abc123
      relay preview 1042 --store abc123 --rules /tmp/enrichment.toml
    """
    chosen = Rules.load(rules).of_store(store)
    found = desk.store_api.get_order(store, order, Deadline.after(LOOK_UP_SECONDS, desk.clock))
    customer_id = found["customer_id"]
    failed: list[str] = []
    skipped = customer_id == GUEST or chosen.skips(found, failed.append)
    wanted = chosen.content(found, failed.append)
    record = desk.b2b_api.get_record(store, order, desk.deadline())
    company = record is not None or (
        customer_id != GUEST and desk.b2b_api.has_company_user(store, customer_id, desk.deadline())
    )
    unreadable = ""
    body: dict[str, Any] | None = None
    try:
        body = merge(record or Record(), wanted)
    except RetryLater as error:
        unreadable = error.detail
    conclusion = _conclusion(
        customer_id, skipped=skipped, company=company, exists=record is not None, unreadable=unreadable, body=body
    )
    present = _fields(record.po_number, record.extra_fields or ()) if record else {}
    after = present
    if body is not None and company and not skipped:
        sent = [(row["fieldName"], row["fieldValue"]) for row in body.get("extraFields", [])]
        after = _fields(body.get("poNumber"), sent)
    rows = [
        {"field": field, "record": now, "rules": rule, "afterwards": then}
        for field, now, rule, then in _rows(present, _fields(wanted.po_number, wanted.extra_fields), after)
    ]

    def picture() -> None:
        table = Table("field", "on the record now", "by the rules", "afterwards")
        for row in rows:
            table.add_row(*(plain(text) for text in row.values()))
        desk.out.print(table)
        for rule in failed:
            desk.out.print(f"[red]✗[/] The rule {plain(rule)} fails on this order; its field is left out.")
        desk.out.print(conclusion)

    value: dict[str, Any] = {
        "store": store,
        "order": order,
        "record_exists": record is not None,
        "skipped": skipped or not company,
        "fields": rows,
        "failed_rules": failed,
        "conclusion": conclusion,
    }
    desk.show(value, picture)
    return not failed


def _conclusion(
    customer_id: int, *, skipped: bool, company: bool, exists: bool, unreadable: str, body: dict[str, Any] | None
) -> str:
    """What the relay would do, in a sentence."""
    if skipped:
        return "It is left alone: a guest's order." if customer_id == GUEST else "It is left alone: skip_when is true."
    if not company:
        return f"It is left alone: customer {customer_id} belongs to no company."
    if not exists:
        return "There is no record yet; the relay would create one with this."
    if unreadable:
        return f"Nothing would be sent: {unreadable}."
    return "The record has it all; nothing would be sent." if body is None else "The record would be updated."


def _fields(po_number: Any, extra_fields: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """All values by the name of their field, as texts."""
    fields = {PO_NUMBER: po_number, **dict(extra_fields)}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }


def _rows(*of_field: dict[str, str]) -> list[tuple[str, ...]]:
    """One row for each field that any of them has: its name, and its value in each of them."""
    names = dict.fromkeys(name for fields in of_field for name in fields)
    return [(name, *(fields.get(name, "") for fields in of_field)) for name in names]
