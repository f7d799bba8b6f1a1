"""`relay rules test`: runs the examples that stand in the file of enrichment rules."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handler.enrichment import RULES_FILE, Rules
from handler.errors import ConfigurationError
from handler.rule_sources import Source
from handler.sources import SourceValues
from relay.context import Context
from relay.text import counted, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handler.enrichment import StoreRules
    from handler.rule_failed import RuleFailed

RulesOption = Annotated[
    Path,
    typer.Option("--rules", metavar="FILE", show_default="src/handler/enrichment.toml", help="The file of rules."),
]
GIVEN = frozenset({"order", "company", "user", "customer", "metafields"})
EXPECTED = frozenset({"po_number", "extra_fields", "skipped"})


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a section: what is `given`, by name, and what is `expected` of the section's rules."""

    section: str
    name: str
    rules: StoreRules
    given: dict[str, Any]
    expected: dict[str, Any]

    def failures(self) -> list[str]:
        """What differs from what is expected; empty when nothing does."""
        failed: list[RuleFailed] = []
        values = {Source(name): value for name, value in self.given.items() if name != "order"}
        order = SourceValues(values).beside(self.given.get("order", {}))
        skipped = self.rules.skips(order, failed.append)
        content = self.rules.content(order, failed.append)
        found = [f"{failure.rule} failed: {failure.why}" for failure in failed]
        if skipped != (expects_skip := self.expected.get("skipped", False)):
            found.append("the order is skipped" if skipped else "the order is not skipped")
        if expects_skip:
            return found
        fields = dict(content.extra_fields)
        compared = (
            [("po_number", self.expected["po_number"], content.po_number)] if "po_number" in self.expected else []
        )
        compared += [
            (name, value, fields.get(name, "")) for name, value in self.expected.get("extra_fields", {}).items()
        ]
        return found + [f"{name}: expected {value!r}, got {got!r}" for name, value, got in compared if value != got]


def run_examples(context: Context, *, rules: RulesOption = RULES_FILE) -> bool:
    """Run the examples that stand in the file of enrichment rules. No AWS account and no store is needed.

    An example gives an order, the sources that the rules read, and what is
    expected of the rules. docs/configuration.md shows how to write one.

    Exit code 1 when an example fails or the file is invalid.

    Examples:
      relay rules test
      relay rules test --rules /tmp/enrichment.toml
    """
    results = [(example, example.failures()) for example in read_examples(rules)]
    failed = sum(bool(failures) for _, failures in results)

    def print_text() -> None:
        for example, failures in results:
            mark = "[red]✗[/]" if failures else "[green]✓[/]"
            context.out.print(f"{mark} {example.section}: {escaped(example.name)}", soft_wrap=True)
            for failure in failures:
                context.out.print(f"    {escaped(failure)}", soft_wrap=True)
        if not results:
            context.out.print(f"{rules} has no examples. How to write one: docs/configuration.md")
        elif failed:
            context.out.print(f"{failed} of {counted(len(results), 'example')} failed.")
        else:
            context.out.print(f"{counted(len(results), 'example')} passed.")

    value = [
        {"section": example.section, "name": example.name, "passed": not failures, "failures": failures}
        for example, failures in results
    ]
    context.show(value, print_text)
    return not failed


def read_examples(path: Path) -> Iterator[Example]:
    """The examples in a file of rules. Raises ConfigurationError, also for rules that are invalid."""
    rules = Rules.load(path)
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    sections = {"all": (document.get("all", {}), rules.for_all)}
    for store, section in document.get("stores", {}).items():
        sections[f"stores.{store}"] = section, rules.of_store(store)
    for name, (section, of_section) in sections.items():
        examples = section.get("examples", [])
        if not isinstance(examples, list):
            raise ConfigurationError(f"{path}: {name}.examples: an example begins with [[{name}.examples]]")
        for place, example in enumerate(examples, 1):
            yield _example(name, of_section, example, f"{path}: {name}.examples, number {place}", place)


def _example(section: str, rules: StoreRules, example: Any, where: str, place: int) -> Example:
    if not isinstance(example, dict):
        raise ConfigurationError(f"{where}: an example begins with [[{section}.examples]]")
    given = {key: value for key, value in example.items() if key not in {"name", "expect"}}
    expected = example.get("expect")
    if unknown := sorted(given.keys() - GIVEN):
        raise ConfigurationError(
            f"{where}: unknown key {unknown[0]}; an example has name, {', '.join(sorted(GIVEN))} and expect"
        )
    if not isinstance(given.get("order", {}), dict):
        raise ConfigurationError(f"{where}: order must have keys, such as order.customer_message")
    if not isinstance(expected, dict) or not expected or (unknown := sorted(expected.keys() - EXPECTED)):
        raise ConfigurationError(
            f"{where}: expect must have at least one of expect.po_number, expect.extra_fields and expect.skipped"
        )
    if not isinstance(expected.get("extra_fields", {}), dict):
        raise ConfigurationError(f'{where}: expected a line such as expect.extra_fields."Cost Center" = "C-1"')
    return Example(section, str(example.get("name", f"example {place}")), rules, given, expected)
