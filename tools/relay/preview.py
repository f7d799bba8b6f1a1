"""`relay preview`: evaluates the rules for a real order and compares the values with its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from handler.content import Record
from handler.deadline import Deadline
from handler.desired import GUEST
from handler.enrichment import RULES_FILE, Rules
from handler.errors import RelayError, RetryLater
from handler.record import merge
from relay.checks import Finding, State
from relay.command import OrderArgument, StoreOption
from relay.context import Context
from relay.errors import CliError, explained
from relay.field_checks import check_fields, field_configs
from relay.hook import secret_of
from relay.text import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handler.enrichment import StoreRules
    from handler.rule_failed import RuleFailed

PO_NUMBER = "PO number"
STEP = "extra fields"
LOOK_UP_SECONDS = 4.0
"""Time limit for the look-up of the order: a new order may not be readable at once."""

RulesOption = Annotated[
    Path,
    typer.Option(
        "--rules",
        metavar="FILE",
        show_default="src/handler/enrichment.toml",
        help="The rules file to evaluate.",
    ),
]


def preview(context: Context, order: OrderArgument, *, store: StoreOption, rules: RulesOption = RULES_FILE) -> bool:
    """Evaluate the rules for a real order and compare the values with its B2B record. Nothing is written.

    The rules are read from a file, so you can test them before you deploy them. Exit code 1 if a rule
    fails, or if the store's extra fields would refuse a value.

    Examples:
      relay preview 1042 --store abc123
      relay preview 1042 --store abc123 --rules /tmp/enrichment.toml
    """
    chosen = Rules.load(rules).of_store(store)
    found = context.store_api.get_order(store, order, Deadline.after(LOOK_UP_SECONDS, context.clock))
    customer_id = found["customer_id"]
    failed: list[RuleFailed] = []
    skipped = customer_id == GUEST or chosen.skips(found, failed.append)
    desired = chosen.content(found, failed.append)
    record = context.b2b_api.get_record(store, order, context.deadline())
    company = record is not None or (
        customer_id != GUEST and context.b2b_api.has_company_user(store, customer_id, context.deadline())
    )
    unreadable = ""
    body: dict[str, Any] | None = None
    try:
        body = merge(record or Record(), desired)
    except RetryLater as error:
        unreadable = error.detail
    present = _fields(record.po_number, record.extra_fields or ()) if record else {}
    after = present
    if body is not None and company and not skipped:
        sent = [(row["fieldName"], row["fieldValue"]) for row in body.get("extraFields", [])]
        after = _fields(body.get("poNumber"), sent)
    values = _fields(desired.po_number, desired.extra_fields)
    findings = [] if skipped or not company else _fields_checked(context, store, chosen, values, after)
    conclusion = _conclusion(
        customer_id,
        skipped=skipped,
        company=company,
        exists=record is not None,
        unreadable=unreadable,
        body=body,
        has_values=bool(desired.po_number or desired.extra_fields),
        refused=any(finding.state is State.BAD for finding in findings),
    )
    rows = [
        {"field": field, "record": now, "rules": rule, "afterwards": then}
        for field, now, rule, then in _rows(present, values, after)
    ]

    def print_text() -> None:
        table = Table("field", "record now", "rules", "record afterwards")
        for row in rows:
            table.add_row(*(escaped(text) for text in row.values()))
        context.out.print(table)
        for failure in failed:
            context.out.print(
                f"[red]✗[/] The rule {escaped(failure.rule)} fails on this order: {escaped(failure.why)}. "
                "The field is omitted.",
                soft_wrap=True,
            )
        for finding in findings:
            finding.print(context.out)
        context.out.print(conclusion, soft_wrap=True)

    value: dict[str, Any] = {
        "store": store,
        "order": order,
        "record_exists": record is not None,
        "skipped": skipped or not company,
        "fields": rows,
        "failed_rules": [{"rule": failure.rule, "why": failure.why} for failure in failed],
        "fields_checked": [finding.as_json() for finding in findings],
        "conclusion": conclusion,
    }
    context.show(value, print_text)
    return not failed and not any(finding.state is State.BAD for finding in findings)


def _fields_checked(
    context: Context, store: str, rules: StoreRules, values: dict[str, str], after: dict[str, str]
) -> list[Finding]:
    """The findings of `relay doctor` about the rules and the extra fields, and whether these values are valid."""
    try:
        configs = field_configs(context, store, secret_of(context, store)[1])
    except (RelayError, CliError) as error:
        failure = explained(error)
        return [Finding(STEP, State.UNKNOWN, failure.what if failure else str(error))]
    findings = [finding for finding in check_fields(rules, configs, [], store) if finding.state is State.BAD]
    ruled = {name for name, _ in rules.extra_fields}
    for config in configs:
        refused = config.refuses(values[config.name]) if config.name in values else ""
        if refused:
            what = f'the value for "{config.name}" is {refused}: BigCommerce will refuse it (422)'
            findings.append(Finding(STEP, State.BAD, what, "Correct the rule or the field's configuration."))
        elif config.required and config.name in ruled and not after.get(config.name):
            what = f'the rule for "{config.name}" has no result, and the field is required: BigCommerce will refuse updates (422)'
            findings.append(Finding(STEP, State.BAD, what, "Correct the rule, or make the field optional."))
    return findings


def _conclusion(
    customer_id: int,
    *,
    skipped: bool,
    company: bool,
    exists: bool,
    unreadable: str,
    body: dict[str, Any] | None,
    has_values: bool,
    refused: bool,
) -> str:
    """What the relay would do, for people."""
    if skipped:
        return (
            "The order is skipped: its customer is a guest."
            if customer_id == GUEST
            else "The order is skipped: skip_when is true."
        )
    if not company:
        return f"The order is skipped: customer {customer_id} belongs to no company."
    if unreadable:
        return f"Nothing would be sent: {unreadable}."
    if not has_values:
        nothing = "The rules have no result for this order"
        return f"{nothing}. Nothing would be sent." if exists else f"{nothing}. The relay would create an empty record."
    if exists and body is None:
        return "The record is already complete. Nothing would be sent."
    what = "update the record" if exists else "create the record, which does not exist yet"
    return f"The relay would {what}{', and BigCommerce would refuse it' if refused else ''}."


def _fields(po_number: Any, extra_fields: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """All values as strings, by field name."""
    fields = {PO_NUMBER: po_number, **dict(extra_fields)}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }


def _rows(*of_field: dict[str, str]) -> list[tuple[str, ...]]:
    """One row per field: its name and its value in each of the arguments."""
    names = dict.fromkeys(name for fields in of_field for name in fields)
    return [(name, *(fields.get(name, "") for fields in of_field)) for name in names]
