"""`relay preview`: what the rules would bring for a real order, beside what its record holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from handler.b2b_api import Content
from handler.deadline import Deadline
from handler.enrichment import RULES_FILE, Rules
from handler.record import merge
from handler.wanted import GUEST
from relay.command import OrderArgument, StoreOption
from relay.desk import Desk
from relay.plain import plain

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
    present = record or Content()
    merged = merge(present, wanted)
    after = merged or present
    if skipped:
        conclusion = (
            "It is left alone: a guest's order." if customer_id == GUEST else "It is left alone: skip_when is true."
        )
    elif not company:
        conclusion = f"It is left alone: customer {customer_id} belongs to no company."
    elif record is None:
        conclusion = "There is no record yet; the relay would create one with this."
    elif merged is None:
        conclusion = "The record has it all; nothing would be sent."
    else:
        conclusion = "The record would be updated."
    rows = [
        {"field": field, "record": now, "rules": rule, "afterwards": then}
        for field, now, rule, then in _rows(present, wanted, present if skipped or not company else after)
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


def _rows(*contents: Content) -> list[tuple[str, ...]]:
    """One row for each field that any of the contents has: its name, and its value in each of them."""
    of_field = [{PO_NUMBER: content.po_number} | dict(content.extra_fields) for content in contents]
    names = dict.fromkeys(name for fields in of_field for name in fields)
    return [(name, *(fields.get(name, "") for fields in of_field)) for name in names]
