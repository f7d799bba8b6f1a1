"""Whether the enrichment rules fit the store's extra fields: names, types, lengths, and what is required."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.wanted import GUEST
from relay.checks import SUCCESS, Finding, State
from relay.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.credentials import StoreSecret
    from handler.enrichment import StoreRules
    from handler.rule_failed import RuleFailed
    from relay.desk import Desk

PAGE_SIZE = 100
RECENT_ORDERS = 50
NUMBER, DROPDOWN = 2, 3
"""Field types with a say in what a value may be (domain: extra-field configurations)."""


@dataclass(frozen=True, slots=True)
class FieldConfig:
    """One extra field as the store has configured it. No maximum and no options mean: no limit is known."""

    name: str
    label: str
    type: int
    required: bool
    maximum_length: int | None
    options: tuple[str, ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> FieldConfig:
        """A row of `GET /orders/extra-fields`; numbers and booleans come as themselves or as text."""
        length = str(row.get("maximumLength") or "")
        return cls(
            name=str(row.get("fieldName", "")),
            label=str(row.get("labelName") or ""),
            type=int(row["fieldType"]) if str(row.get("fieldType", "")).isdigit() else 0,
            required=str(row.get("isRequired")).strip().lower() in {"1", "true"},
            maximum_length=int(length) if length.isdigit() else None,
            options=tuple(_options(row.get("listOfValue") or row.get("listOfValues"))),
        )

    def refuses(self, value: str) -> str:
        """Why the field cannot hold this value; nothing if it can, as far as is known."""
        if self.maximum_length is not None and len(value) > self.maximum_length:
            return f"longer than {self.maximum_length} characters"
        if self.type == NUMBER:
            try:
                float(value)
            except ValueError:
                return "not a number"
        if self.type == DROPDOWN and self.options and value not in self.options:
            return "not one of the field's choices"
        return ""


def _options(value: Any) -> Iterator[str]:
    """A dropdown's choices; the published examples have them in a list, and in a list of lists."""
    if isinstance(value, list):
        for item in value:
            yield from _options(item)
    elif isinstance(value, dict):
        yield from _options(value.get("value", value.get("label")))
    elif value is not None:
        yield str(value)


def field_configs(desk: Desk, store: str, secret: StoreSecret) -> list[FieldConfig]:
    """The store's extra fields. Raises RetryLater, or Trouble."""
    configs: list[FieldConfig] = []
    headers = {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store, "Accept": "application/json"}
    while True:
        url = f"{desk.settings.b2b_api_url}/api/v3/io/orders/extra-fields?limit={PAGE_SIZE}&offset={len(configs)}"
        answer = desk.transport.call("GET", url, headers, desk.deadline())
        whole = answer.json()
        rows = whole.get("data") if answer.status in SUCCESS and isinstance(whole, dict) else None
        if not isinstance(rows, list):
            raise Trouble(f"The extra fields' configurations cannot be read: HTTP {answer.status}.")
        configs += [FieldConfig.of(row) for row in rows if isinstance(row, dict)]
        if len(rows) < PAGE_SIZE:
            return configs


def recent_orders(desk: Desk, store: str, secret: StoreSecret) -> list[dict[str, Any]]:
    """The newest orders of customers (guests' are left alone). Raises RetryLater."""
    url = f"{desk.settings.store_api_url}/stores/{store}/v2/orders?sort=date_created:desc&limit={RECENT_ORDERS}"
    headers = {"X-Auth-Token": secret.access_token, "Accept": "application/json"}
    orders = desk.transport.call("GET", url, headers, desk.deadline()).json()
    rows = orders if isinstance(orders, list) else []
    return [order for order in rows if isinstance(order, dict) and order.get("customer_id") != GUEST]


def check_fields(rules: StoreRules, configs: list[FieldConfig], orders: list[dict[str, Any]]) -> Iterator[Finding]:
    """What the rules and the store's extra fields have to say to each other; at least one finding."""
    by_name = {config.name: config for config in configs}
    ruled = [name for name, _ in rules.extra_fields]
    findings = [*_unknown(ruled, by_name), *_uncovered(ruled, configs), *_misfits(rules, by_name, orders)]
    yield from findings
    if not findings:
        tried = f"; tried on the last {len(orders)} customers' orders" if orders else ""
        yield Finding("extra fields", State.GOOD, f"the rules fit the store's {len(configs)} fields{tried}")
    if others := [f'"{c.label}" is "{c.name}"' for c in configs if c.label and c.label != c.name]:
        yield Finding(
            "labels", State.GOOD, f"buyers see other labels than the names that rules use: {', '.join(others)}"
        )


def _unknown(ruled: list[str], by_name: dict[str, FieldConfig]) -> Iterator[Finding]:
    for name in ruled:
        if name in by_name:
            continue
        labelled = [config.name for config in by_name.values() if config.label == name]
        folded = {known.casefold(): known for known in by_name}
        alike = labelled or [folded[close] for close in difflib.get_close_matches(name.casefold(), folded, n=1)]
        meant = f'Did you mean "{alike[0]}"? Names count to the letter. ' if alike else ""
        yield Finding(
            "extra fields",
            State.BAD,
            f'the rules name "{name}", which is the label that buyers see and not the name of the field'
            if labelled
            else f'the rules name "{name}", which the store has not configured',
            f"{meant}Change src/handler/enrichment.toml and deploy, or add the field in B2B Edition.",
        )


def _uncovered(ruled: list[str], configs: list[FieldConfig]) -> Iterator[Finding]:
    for config in configs:
        if config.required and config.name not in ruled:
            yield Finding(
                "extra fields",
                State.BAD,
                f'the store requires "{config.name}", and no rule brings it: updates are refused (422)',
                "Add a rule for it to src/handler/enrichment.toml and deploy, or make it optional in B2B Edition.",
            )


def _misfits(rules: StoreRules, by_name: dict[str, FieldConfig], orders: list[dict[str, Any]]) -> Iterator[Finding]:
    """The rules, tried on real orders. The values themselves are buyers' and are not shown."""
    troubles: dict[tuple[str, str], list[int]] = {}
    for order in orders:
        failed: list[RuleFailed] = []
        if rules.skips(order, failed.append):
            continue
        brought = dict(rules.content(order, failed.append).extra_fields)
        for failure in failed:
            troubles.setdefault((f"the rule {failure.rule}", f"fails ({failure.why})"), []).append(order.get("id", 0))
        for name in by_name.keys() & {name for name, _ in rules.extra_fields}:
            value = brought.get(name, "")
            why = (
                by_name[name].refuses(value)
                if value
                else ("nothing, and is required" if by_name[name].required else "")
            )
            if why:
                troubles.setdefault((f'the value for "{name}"', f"is {why}"), []).append(order.get("id", 0))
    for (subject, trouble), where in troubles.items():
        yield Finding(
            "extra fields",
            State.DOUBTFUL,
            f"{subject} {trouble} in {len(where)} of the last {len(orders)} customers' orders, such as {where[0]}",
            f"See it: relay preview {where[0]} --store ...; then change src/handler/enrichment.toml and deploy.",
        )
