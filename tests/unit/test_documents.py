"""What the documents say is so: links, commands, lists and examples are checked against what they speak of."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import typer
import typer.main
from typer.core import TyperGroup
from typer.exceptions import TyperException

import report
from documents import template
from handler.bigcommerce.credentials import StoreSecret
from handler.enrichment import Rules
from handler.telemetry import Metric
from relay import store as relay_store
from relay.cli import app as relay_app
from sandbox.chaos.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from handler.rule_failed import RuleFailed

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGURATION = ROOT / "docs" / "configuration.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
RUNBOOK = ROOT / "docs" / "runbook.md"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")


@cache
def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


@cache
def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return FENCED.sub("", text_of(document))


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """The blocks of code: language and text."""
    for found in FENCED.finditer(text_of(document)):
        yield found.group(1), found.group(2)


def section(document: Path, title: str) -> str:
    """What stands below a heading, with its sub-headings."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", prose(document), re.MULTILINE)
    assert found, f"{document.name} has no section {title!r}"
    rest = prose(document)[found.end() :]
    return re.split(rf"^#{{1,{len(found.group(1))}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_column(table: str) -> list[str]:
    """What stands as code in the first cells of a table."""
    return [name for row in re.findall(r"^\|([^|]*)\|", table, re.MULTILINE) for name in CODE.findall(row)]


def each_document_with(find: Callable[[Path], Iterable[Any]]) -> pytest.MarkDecorator:
    """Runs a test for each document in which `find` finds anything to check."""
    found = [document for document in DOCUMENTS if any(True for _ in find(document))]
    assert found
    return pytest.mark.parametrize("document", found, ids=lambda path: str(path.relative_to(ROOT)))


# --- links --------------------------------------------------------------------------------------------------------


@cache
def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    """The links to other documents and to sections; ../../actions/ is on GitHub, outside the repository's files."""
    return re.findall(r"\]\((?!https?://|\.\./\.\./actions/)([^)\s]+)\)", prose(document))


def test_every_document_stands_in_its_folders_index() -> None:
    missing = []
    for document in (ROOT / "docs").rglob("*.md"):
        index = document.parent / "README.md"
        if document != index and document.name not in links(index):
            missing.append(document.name)

    assert missing == []


@each_document_with(links)
def test_links_and_anchors_lead_somewhere(document: Path) -> None:
    dead = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


def test_the_sections_of_the_facts_that_code_names_are_there() -> None:
    named = {
        section
        for folder in ("src", "tools")
        for module in (ROOT / folder).rglob("*.py")
        for section in re.findall(r"docs/bigcommerce\.md, ([^)]+)\)", module.read_text(encoding="utf-8"))
    }
    headings = re.findall(r"^#+ (.*)$", prose(ROOT / "docs" / "bigcommerce.md"), re.MULTILINE)

    assert named - set(headings) == set()


def named_files(document: Path) -> list[str]:
    folders = "bench|docs|events|layers|requirements|src|tests|tools"
    return [name for name in CODE.findall(prose(document)) if re.fullmatch(rf"(?:{folders})/[\w./-]+", name)]


@each_document_with(named_files)
def test_the_files_that_documents_name_are_there(document: Path) -> None:
    assert [name for name in named_files(document) if not (ROOT / name).exists()] == []


# --- commands -----------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """A command line in a document; one in a block of code is whole, one in a sentence may leave arguments out."""

    words: list[str]
    whole: bool


def command_lines(document: Path, program: str) -> Iterator[Said]:
    start = re.compile(rf"(?:^|\| |&& )(?:\$ )?(?:\.venv/bin/)?{program} (.*)")
    for _, block in blocks(document):
        for line in block.replace("\\\n", " ").splitlines():
            if found := start.search(line.partition("  #")[0]):
                yield Said(shlex.split(found.group(1)), whole=True)
    for code in CODE.findall(prose(document)):
        if found := start.search(code):
            yield Said(shlex.split(found.group(1)), whole=False)


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """`failed list|show` stands for two commands."""
    if not words:
        yield []
        return
    for first in words[0].split("|"):
        for rest in alternatives(words[1:]):
            yield [first, *rest]


SELECTION = {"--store", "--order", "--cause", "--id", "--since", "--older-than", "--all"}


def needs_selection(command: Any) -> bool:
    """Whether the command changes orders or letters, those of a selection, or --all."""
    return "--all" in {option for parameter in command.params for option in parameter.opts}


def mistake(said: Said) -> str:
    """What is wrong with a command line, by the command's own words; empty when it would be understood."""
    command = typer.main.get_command(relay_app)
    context = typer.Context(command, info_name="relay")
    words = list(said.words)
    while isinstance(command, TyperGroup):
        found = command.get_command(context, words.pop(0)) if words else None
        if found is None:
            return f"no such command: relay {shlex.join(said.words)}"
        command, context = found, typer.Context(found, parent=context)
    if said.whole and "--help" not in words and needs_selection(command) and not SELECTION.intersection(words):
        return f"relay {shlex.join(said.words)}: it is refused without a selection"
    try:
        if said.whole:
            command.make_context(command.name, words, parent=context.parent)
        else:
            command.make_parser(context).parse_args(words)
    except typer.Exit:
        pass  # --help
    except TyperException as error:
        return f"relay {shlex.join(said.words)}: {error.format_message()}"
    return ""


@cache
def makefile_targets() -> dict[str, str]:
    """The Makefile's targets and what they do."""
    found = re.findall(
        r"^([a-z-]+):[^\n]*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    return dict(found)


@each_document_with(lambda document: command_lines(document, "make"))
def test_what_documents_make_are_targets_of_the_makefile(document: Path) -> None:
    said = list(command_lines(document, "make"))

    assert [words for words, _ in said if words[0] not in makefile_targets()] == []


@each_document_with(lambda document: command_lines(document, "relay"))
def test_relay_understands_every_command_line_that_documents_give(document: Path) -> None:
    mistakes = [
        mistake(Said(words, said.whole))
        for said in command_lines(document, "relay")
        for words in alternatives(said.words)
    ]

    assert [each for each in mistakes if each] == []


@pytest.mark.parametrize("line", ["store ad abcde", "store", "doctor --shop abcde", "status", "failed list --age 3"])
def test_a_command_line_that_relay_does_not_understand_is_noticed(line: str) -> None:
    assert mistake(Said(shlex.split(line), whole=True))


# --- lists --------------------------------------------------------------------------------------------------------


def shown_default(parameter: dict[str, Any]) -> str:
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"


def test_every_parameter_is_described_and_no_other() -> None:
    listed = section(CONFIGURATION, "Template parameters")

    assert sorted(first_column(listed)) == sorted(template.read()["Parameters"])


def shown_parameters(document: Path) -> dict[str, str]:
    """The template's parameters in the document's tables, with the defaults shown there."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|[^|]*\|$", prose(document), re.MULTILINE)
    return {name: default.strip().strip("`") for name, default in rows if name in template.read()["Parameters"]}


@each_document_with(shown_parameters)
def test_parameters_are_shown_with_their_defaults(document: Path) -> None:
    parameters = template.read()["Parameters"]
    shown = shown_parameters(document)

    assert shown == {name: shown_default(parameters[name]).strip("`") for name in shown}


def test_every_output_is_described_and_no_other() -> None:
    assert sorted(first_column(section(CONFIGURATION, "Outputs"))) == sorted(template.read()["Outputs"])


def test_every_metric_is_described_and_no_other() -> None:
    described = set(first_column(section(ARCHITECTURE, "Metrics")))

    assert described - {"ColdStart"} == {str(metric) for metric in Metric}  # ColdStart is Powertools' own


def test_every_key_of_a_secret_is_described_and_no_other() -> None:
    keys = {field.name for field in dataclasses.fields(StoreSecret)}

    assert set(first_column(section(CONFIGURATION, "A store's secret"))) == keys == relay_store.KEYS


# --- examples -----------------------------------------------------------------------------------------------------


class Example(NamedTuple):
    """Rules, an order, and what the document says becomes of it."""

    rules: str
    store: str
    order: dict[str, Any]
    gives: dict[str, Any]


def examples() -> Iterator[Example]:
    rules, shown = "", False
    for language, block in blocks(CONFIGURATION):
        if language == "toml":
            assert shown or not rules, f"no order is shown for these rules:\n{rules}"
            rules, shown = block, False
        elif language == "json" and '"gives"' in block:
            said = json.loads(block)
            shown = True
            yield Example(rules, said.get("store", "any"), said["order"], said["gives"])
    assert shown, f"no order is shown for these rules:\n{rules}"


@pytest.mark.parametrize("example", list(examples()))
def test_an_order_becomes_what_the_document_says(example: Example) -> None:
    failed: list[RuleFailed] = []
    rules = Rules.parse(example.rules).of_store(example.store)

    if rules.skips(example.order, failed.append):
        found: dict[str, Any] = {"skipped": True}
    else:
        content = rules.content(example.order, failed.append)
        found = {
            "po_number": content.po_number,
            "extra_fields": dict(content.extra_fields),
            "failed": [failure.rule for failure in failed],
        }

    assert {key: value for key, value in found.items() if value} == example.gives


def test_the_first_example_is_the_rule_as_shipped() -> None:
    def pattern(rules: Rules) -> str:
        assert rules.for_all.po_number
        return str(rules.for_all.po_number.expression.parsed)

    assert pattern(Rules.parse(next(examples()).rules)) == pattern(Rules.load())


# --- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", report.TABLES)
def test_the_measurements_are_those_that_were_taken(name: str) -> None:
    assert report.part(name) == report.saved(name), "run: .venv/bin/python bench/report.py"


def shown_by() -> list[str]:
    """What the last column of the tables in docs/reliability.md names."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what ")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[2])]


def test_the_tests_that_documents_name_are_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")

    assert [name for name in set(re.findall(r"`(tests/[^`]+)`", text)) if not (ROOT / name).exists()] == []


def test_the_scenarios_that_documents_name_are_those_of_make_chaos() -> None:
    named = [name for name in shown_by() if not name.startswith("tests/")]

    assert [name for name in named if not any(fnmatchcase(each, name) for each in SCENARIOS)] == []
    assert [each for each in SCENARIOS if not any(fnmatchcase(each, name) for name in named)] == []
