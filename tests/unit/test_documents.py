"""What the documents say is so."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from handler.enrichment import Rules
from handler.telemetry import Metric
from sandbox.chaos_scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_targets_of_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE))

    assert named <= targets


class Template(yaml.SafeLoader):
    """Reads CloudFormation's own tags as what they hold."""


Template.add_multi_constructor(
    "!", lambda loader, _suffix, node: loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None
)


def test_every_parameter_is_described_with_its_default() -> None:
    template = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), Template)  # noqa: S506  a SafeLoader
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    for name, parameter in template["Parameters"].items():
        default = f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"
        assert f"| `{name}` | {default} |" in text


def test_every_metric_is_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert [metric for metric in Metric if f"`{metric}`" not in text] == []


def test_the_example_rules_are_valid() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    order = {
        "customer_message": "PO Number: 77",
        "status_id": 11,
        "external_order_id": "E-1",
        "staff_notes": "approved by Kim",
        "billing_address": {
            "form_fields": [{"name": "Cost Center", "value": "CC"}, {"name": "Department", "value": "D"}]
        },
    }
    failed: list[str] = []

    rules = Rules.parse(example)

    assert rules.of_store("other").content(order, failed.append).po_number == "77"
    assert dict(rules.of_store("abcde").content(order, failed.append).extra_fields) == {
        "Cost Center": "CC",
        "ERP Order Id": "E-1",
        "Approver": "Kim",
        "Department": "D",
    }
    assert rules.of_store("other").skips(order | {"status_id": 0}, failed.append)
    assert failed == []


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
