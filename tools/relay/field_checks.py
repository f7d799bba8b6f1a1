"""Checks of the enrichment rules against the store's extra fields: names, types, lengths, required fields."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.bigcommerce.api_answer import SUCCESS
from handler.desired import GUEST
from handler.rule_sources import read_fields
from relay.checks import ADDRESSES, Finding, State
from relay.errors import CliError
from relay.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.bigcommerce.credentials import StoreSecret
    from handler.enrichment import StoreRules
    from handler.rule_failed import RuleFailed
    from relay.context import Context

PAGE_SIZE = 100
RECENT_ORDERS = 50
STEP = "extra fields"
RULES = "src/handler/enrichment.toml"
CORRECT = f"correct {RULES} and deploy it: make deploy"

NUMBER, DROPDOWN = 2, 3
"""Field types that restrict the values (docs/bigcommerce.md)."""


@dataclass(frozen=True, slots=True)
class FieldConfig:
    """The configuration of one extra field. Without a maximum or options, no limit is known."""

    name: str
    label: str
    type: int
    required: bool
    maximum_length: int | None
    options: tuple[str, ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> FieldConfig:
        """A row of `GET /orders/extra-fields`; numbers and booleans can be strings."""
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
        """Why the field refuses this value; empty if it is valid as far as is known."""
        if self.maximum_length is not None and len(value) > self.maximum_length:
            return f"longer than {self.maximum_length} characters"
        if self.type == NUMBER:
            try:
                float(value)
            except ValueError:
                return "not a number"
        if self.type == DROPDOWN and self.options and value not in self.options:
            return "not one of the field's options"
        return ""


def _options(value: Any) -> Iterator[str]:
    """A dropdown's options; published examples have them in a list or in a list of lists."""
    if isinstance(value, list):
        for item in value:
            yield from _options(item)
    elif isinstance(value, dict):
        yield from _options(value.get("value", value.get("label")))
    elif value is not None:
        yield str(value)


def field_configs(context: Context, store: str, secret: StoreSecret) -> list[FieldConfig]:
    """The store's extra fields. Raises RetryLater, or CliError."""
    configs: list[FieldConfig] = []
    headers = {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store, "Accept": "application/json"}
    while True:
        url = f"{context.settings.b2b_api_url}/api/v3/io/orders/extra-fields?limit={PAGE_SIZE}&offset={len(configs)}"
        answer = context.http.call("GET", url, headers, context.deadline())
        whole = answer.json()
        rows = whole.get("data") if answer.status in SUCCESS and isinstance(whole, dict) else None
        if not isinstance(rows, list):
            raise CliError(f"The store's extra fields cannot be read: HTTP {answer.status}.", ADDRESSES)
        configs += [FieldConfig.of(row) for row in rows if isinstance(row, dict)]
        if len(rows) < PAGE_SIZE:
            return configs


def recent_orders(context: Context, store: str, secret: StoreSecret) -> list[dict[str, Any]]:
    """The newest orders, without those of guests. Raises RetryLater."""
    url = f"{context.settings.store_api_url}/stores/{store}/v2/orders?sort=date_created:desc&limit={RECENT_ORDERS}"
    headers = {"X-Auth-Token": secret.access_token, "Accept": "application/json"}
    orders = context.http.call("GET", url, headers, context.deadline()).json()
    rows = orders if isinstance(orders, list) else []
    return [order for order in rows if isinstance(order, dict) and order.get("customer_id") != GUEST]


def check_fields(
    rules: StoreRules, configs: list[FieldConfig], orders: list[dict[str, Any]], store: str
) -> Iterator[Finding]:
    """Checks that the rules' results on these orders are valid for the store's extra fields; at least one finding."""
    by_name = {config.name: config for config in configs}
    ruled = [name for name, _ in rules.extra_fields]
    tries = [tried for order in orders if (tried := _Try.of(rules, order)) is not None]
    findings = [
        *_unknown(ruled, by_name),
        *_uncovered(ruled, configs),
        *_failures(tries, store),
        *_misfits([name for name, rule in rules.extra_fields if not rule.sources], by_name, tries, store),
        *_silent(rules, by_name, tries, store),
    ]
    yield from findings
    if not findings:
        yield _fit(ruled, configs, tries)
    if others := [f'"{c.label}" is "{c.name}"' for c in configs if c.label and c.label != c.name]:
        yield Finding("labels", State.GOOD, f"labels differ from the names that rules use: {', '.join(others)}")


@dataclass(frozen=True, slots=True)
class _Try:
    """The rules' results for one order: values by field, and the failed rules.

    No source is fetched, so rules that mention one are left out.
    """

    order: dict[str, Any]
    brought: dict[str, str]
    failed: list[RuleFailed]

    @classmethod
    def of(cls, rules: StoreRules, order: dict[str, Any]) -> _Try | None:
        """The results; None if the rules skip the order."""
        failed: list[RuleFailed] = []
        if rules.skips(order, failed.append, rules.sources):
            return None
        return cls(order, dict(rules.content(order, failed.append, rules.sources).extra_fields), failed)

    @property
    def number(self) -> Any:
        """The order number."""
        return self.order.get("id")


def _fit(ruled: list[str], configs: list[FieldConfig], tries: list[_Try]) -> Finding:
    """The finding if there are no problems."""
    if not ruled:
        return Finding(STEP, State.GOOD, "no rules for extra fields, and the store requires none")
    if not tries:
        what = "the rules name existing fields, but there is no customer's order to test them with"
        return Finding(STEP, State.UNKNOWN, what, "place an order as a company user, then run the check again")
    what = f"the rules are valid for the store's {counted(len(configs), 'field')}; tested with {_the_last(len(tries))}"
    return Finding(STEP, State.GOOD, what)


def _unknown(ruled: list[str], by_name: dict[str, FieldConfig]) -> Iterator[Finding]:
    for name in ruled:
        if name in by_name:
            continue
        labelled = [config.name for config in by_name.values() if config.label == name]
        folded = {known.casefold(): known for known in by_name}
        alike = labelled or [folded[close] for close in difflib.get_close_matches(name.casefold(), folded, n=1)]
        meant = f'did you mean "{alike[0]}"? Names are case-sensitive. ' if alike else ""
        yield Finding(
            STEP,
            State.BAD,
            f'the rules name "{name}", which is the label of a field, not its name'
            if labelled
            else f'the rules name "{name}", which is not a field of the store',
            f"{meant}{CORRECT}, or add the field in B2B Edition",
        )


def _uncovered(ruled: list[str], configs: list[FieldConfig]) -> Iterator[Finding]:
    for config in configs:
        if config.required and config.name not in ruled:
            yield Finding(
                STEP,
                State.BAD,
                f'the store requires "{config.name}", and no rule sets it: BigCommerce refuses updates (422)',
                f"add a rule for it to {RULES} and deploy it: make deploy; or make the field optional in B2B Edition",
            )


def _failures(tries: list[_Try], store: str) -> Iterator[Finding]:
    for rule, why in dict.fromkeys((each.rule, each.why) for tried in tries for each in tried.failed):
        where = [tried.number for tried in tries if (rule, why) in {(each.rule, each.why) for each in tried.failed}]
        yield Finding(
            "rules",
            State.BAD,
            f"the rule {rule} fails ({why}) in {len(where)} of {_the_last(len(tries))}, such as {where[0]}",
            f"see it: relay preview {where[0]} --store {store}; then {CORRECT}",
        )


def _misfits(ruled: list[str], by_name: dict[str, FieldConfig], tries: list[_Try], store: str) -> Iterator[Finding]:
    """Values that their fields refuse. The values are the buyers' data and are not shown."""
    misfits: dict[tuple[str, str], list[Any]] = {}
    for tried in tries:
        for name in by_name.keys() & set(ruled):
            value = tried.brought.get(name, "")
            missing = "missing, but required" if by_name[name].required else ""
            if why := by_name[name].refuses(value) if value else missing:
                misfits.setdefault((name, why), []).append(tried.number)
    for (name, why), where in misfits.items():
        yield Finding(
            STEP,
            State.BAD,
            f'the value for "{name}" is {why} in {len(where)} of {_the_last(len(tries))}, such as {where[0]}',
            f"see it: relay preview {where[0]} --store {store}; then {CORRECT}",
        )


def _silent(rules: StoreRules, by_name: dict[str, FieldConfig], tries: list[_Try], store: str) -> Iterator[Finding]:
    """Rules of optional fields without a result for any order, and input fields that no order has."""
    known = sorted({key for tried in tries for key in tried.order})
    for name, rule in rules.extra_fields if tries else ():
        if rule.sources or any(
            name in tried.brought or rule.name in {each.rule for each in tried.failed} for tried in tries
        ):
            continue
        if name in by_name and by_name[name].required:
            continue
        what = f'the rule for "{name}" had no result in {_the_last(len(tries))}'
        if absent := [read for read in read_fields(rule.expression.parsed) if read not in known]:
            close = difflib.get_close_matches(absent[0], known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            yield Finding(STEP, State.BAD, f"{what}: no order has {absent[0]}", f"{meant}{CORRECT}")
            continue
        others = ", but other rules had" if any(tried.brought for tried in tries) else ""
        fix = f"see one of them: relay preview {tries[0].number} --store {store}"
        yield Finding(STEP, State.UNKNOWN, f"{what}{others}; the buyers may have left the field empty", fix)


def _the_last(number: int) -> str:
    return "the last customer's order" if number == 1 else f"the last {number} customers' orders"
