"""The merchant's rules: which values of an order go to its B2B record (`enrichment.toml`, docs/configuration.md).

Run `python -m handler.enrichment FILE` to check a file of rules.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jmespath
import jmespath.exceptions
import jmespath.functions

from handler.content import Content
from handler.errors import ConfigurationError
from handler.order_event import LONGEST_VALUE, STORE_HASH
from handler.po_number import bare_label, find_po_number
from handler.rule_failed import RuleFailed, calls, why
from handler.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

RULES_FILE = Path(__file__).with_name("enrichment.toml")
SKIP_SECONDS = 0.05
VALUES_SECONDS = 0.15
"""The time limit of all rules of an order together, except `skip_when`. The merchant writes the patterns, but buyers
write the texts they search."""

LONGEST_TEXT = 8_192
"""Characters of a text that a pattern searches. `re` checks for signals only every few thousand steps, and a step can
take as long as the text: 65,536 digits took a simple pattern more than a second."""

SECTION_KEYS = frozenset({"po_number", "extra_fields", "skip_when"})


class _Functions(jmespath.functions.Functions):
    """The relay's own functions for rules, since JMESPath cannot search text."""

    @jmespath.functions.signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_first_match(self, text: str | None, pattern: str) -> str | None:
        """The first group of the first match (the whole match where there is no group), or null."""
        found = re.search(pattern, (text or "")[:LONGEST_TEXT])
        return found and found.group(1 if found.re.groups else 0)

    @jmespath.functions.signature({"types": ["string", "null"], "variadic": True})
    def _func_po_number(self, text: str | None, *labels: str) -> str | None:
        """The PO number in a buyer's text, found by the usual labels and the store's own ones, or null."""
        return find_po_number(text, labels) if text else None

    @jmespath.functions.signature({"types": ["array", "null"]}, {"types": ["string"]})
    def _func_form_field(self, fields: list[Any] | None, name: str) -> Any:
        """The value of the form field called `name` in a list of {name, value}, or null."""
        return next((f.get("value") for f in fields or () if isinstance(f, dict) and f.get("name") == name), None)


OPTIONS = jmespath.Options(custom_functions=_Functions())


@dataclass(frozen=True, slots=True)
class Rule:
    """One expression. `name` is its key in the file, for messages and metrics."""

    name: str
    expression: Any

    def evaluate(self, order: dict[str, Any], limit: TimeLimit) -> Any:
        """The rule's raw result, in what is left of the limit. Raises RuleFailed."""
        try:
            with limit.running():
                return self.expression.search(order, options=OPTIONS)
        except Exception as error:
            raise RuleFailed(self.name, why(error, self.expression.parsed)) from error


@dataclass(frozen=True, slots=True)
class StoreRules:
    """The rules that hold for one store."""

    po_number: Rule | None
    extra_fields: tuple[tuple[str, Rule], ...]
    skip_when: Rule | None

    def skips(self, order: dict[str, Any], on_failure: Callable[[RuleFailed], None]) -> bool:
        """Whether the order is skipped. A rule that fails skips nothing, and is passed to `on_failure`."""
        if self.skip_when is None:
            return False
        try:
            return self.skip_when.evaluate(order, TimeLimit(SKIP_SECONDS)) is True
        except RuleFailed as failure:
            on_failure(failure)
            return False

    def content(self, order: dict[str, Any], on_failure: Callable[[RuleFailed], None]) -> Content:
        """What the record shall carry. A rule that fails leaves its field out and is told to `on_failure`.

        The rules share `VALUES_SECONDS`; when these are used up, the rules that are left fail at once.
        """
        limit = TimeLimit(VALUES_SECONDS)
        po_number = _value(self.po_number, order, limit, on_failure) if self.po_number else ""
        return Content(
            po_number=" ".join(filter(None, map(str.strip, po_number.splitlines()))),
            extra_fields=tuple(
                (name, value) for name, rule in self.extra_fields if (value := _value(rule, order, limit, on_failure))
            ),
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules: those for all stores, and the overrides of single stores."""

    for_all: StoreRules
    by_store: dict[str, StoreRules]

    def of_store(self, store_hash: str) -> StoreRules:
        """The rules for this store."""
        return self.by_store.get(store_hash, self.for_all)

    @classmethod
    def load(cls, path: Path = RULES_FILE) -> Rules:
        """Reads the rules in a file. Raises ConfigurationError, which names the rule, what was expected and how to correct it."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: cannot be read as UTF-8 text: {error}") from error

    @classmethod
    def parse(cls, text: str, source: str = "enrichment.toml") -> Rules:
        """The rules in TOML form. Raises ConfigurationError."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{source}: not TOML: {error}") from error
        if unknown := document.keys() - {"all", "stores"}:
            raise ConfigurationError(
                f"{source}: unknown section [{min(unknown)}]; expected [all] and [stores.<store hash>]"
            )
        common = _section(document.get("all", {}), f"{source}: all")
        stores = document.get("stores", {})
        if not isinstance(stores, dict):
            raise ConfigurationError(f"{source}: stores must be sections: [stores.<store hash>]")
        by_store = {}
        for store_hash, section in stores.items():
            if not STORE_HASH.fullmatch(store_hash):
                raise ConfigurationError(
                    f"{source}: stores.{store_hash}: a store hash is lower-case letters and digits"
                )
            own = _section(section, f"{source}: stores.{store_hash}")
            by_store[store_hash] = _rules(
                {**common, **own, "extra_fields": common["extra_fields"] | own["extra_fields"]}
            )
        return cls(_rules(common), by_store)


def _section(section: Any, where: str) -> dict[str, Any]:
    """One section's rules by key, compiled. An empty text switches a rule off."""
    if not isinstance(section, dict):
        raise ConfigurationError(
            f"{where}: a section holds rules by name; expected [{where.partition(': ')[2]}], not {section!r}"
        )
    if unknown := sorted(section.keys() - SECTION_KEYS):
        raise ConfigurationError(
            f"{where}: unknown key {unknown[0]}; a section holds po_number, skip_when and [extra_fields], nothing else"
        )
    fields = section.get("extra_fields", {})
    if not isinstance(fields, dict):
        raise ConfigurationError(f'{where}.extra_fields: expected lines such as "Cost Center" = "external_order_id"')
    compiled: dict[str, Any] = {
        key: _compile(section[key], f"{where}.{key}") for key in ("po_number", "skip_when") if key in section
    }
    compiled["extra_fields"] = {name: _compile(text, f"{where}.extra_fields.{name}") for name, text in fields.items()}
    return compiled


def _rules(section: dict[str, Any]) -> StoreRules:
    return StoreRules(
        po_number=section.get("po_number"),
        extra_fields=tuple((name, rule) for name, rule in section["extra_fields"].items() if rule is not None),
        skip_when=section.get("skip_when"),
    )


def _compile(text: Any, where: str) -> Rule | None:
    if not isinstance(text, str):
        raise ConfigurationError(f"{where}: a rule is a JMESPath expression in quotes, not {text!r}")
    if not text.strip():
        return None
    try:
        expression = jmespath.compile(text)
        for call in calls(expression.parsed):
            _check_call(call, where)
    except (jmespath.exceptions.JMESPathError, re.error) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return Rule(where.partition(": ")[2] or where, expression)


def _check_call(call: Any, where: str) -> None:
    """Raises ConfigurationError for an unknown function, a wrong number of arguments, and a pattern or label out of an order.

    They must be written out: what comes out of an order would be a buyer's.
    """
    name, given = call["value"], call["children"]
    function = _Functions.FUNCTION_TABLE.get(name)
    if function is None:
        raise ConfigurationError(f"{where}: there is no function {name}()")
    signature = function["signature"]
    variadic = bool(signature) and signature[-1].get("variadic", False)
    if len(given) < len(signature) or (len(given) > len(signature) and not variadic):
        least = "at least " if variadic else ""
        raise ConfigurationError(f"{where}: {name}() takes {least}{len(signature)} arguments, not {len(given)}")
    if name == "first_match":
        re.compile(_written_out(given[1], f"{where}: the pattern of first_match"))
    if name == "po_number":
        for label in given[1:]:
            if not bare_label(_written_out(label, f"{where}: a label of po_number")):
                raise ConfigurationError(f"{where}: a label of po_number is empty")


def _written_out(argument: Any, what: str) -> str:
    if argument["type"] != "literal" or not isinstance(argument["value"], str):
        raise ConfigurationError(f"{what} must be written out, in single quotes")
    return argument["value"]


def _value(rule: Rule, order: dict[str, Any], limit: TimeLimit, on_failure: Callable[[RuleFailed], None]) -> str:
    """A rule's result as text; empty for none, and for a failure, which is told to `on_failure`."""
    try:
        result = rule.evaluate(order, limit)
        items = result if isinstance(result, list) else [result]
        text = ", ".join(filter(None, map(_text, items)))
    except RuleFailed as failure:
        on_failure(failure)
    except TypeError:
        on_failure(RuleFailed(rule.name, "the result is an object or a list of lists, not text"))
    else:
        if len(text) <= LONGEST_VALUE:
            return text
        on_failure(RuleFailed(rule.name, f"the result has {len(text)} characters; at most {LONGEST_VALUE} are allowed"))
    return ""


def _text(value: Any) -> str:
    """A plain value as text; empty for null and for what shows nothing. Raises TypeError for a list or an object."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise TypeError
    text = str(value).strip()
    return text if any(letter.isprintable() for letter in text) else ""


def main(arguments: list[str]) -> int:
    """Checks files of rules; returns the exit code."""
    try:
        for name in arguments or [str(RULES_FILE)]:
            rules = Rules.load(Path(name))
            print(f"{name}: rules for all stores and {len(rules.by_store)} stores of their own are valid")  # noqa: T201
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
