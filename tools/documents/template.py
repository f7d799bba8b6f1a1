"""template.yaml as plain values: CloudFormation's own tags are read as what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's own tags as what they hold."""


def _untagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Template.add_multi_constructor("!", _untagged)


def read() -> dict[str, Any]:
    """The template as it is written."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Template)  # noqa: S506  a SafeLoader
    return template
