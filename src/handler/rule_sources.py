"""The sources that a rule needs: which names of its input a JMESPath expression reads.

An expression reads `company` when it uses that name at the root: `company.companyName` does, `billing_address.company`
does not. `sources` fetches them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from handler.rule_failed import calls, children_of

if TYPE_CHECKING:
    from collections.abc import Iterator


class Source(StrEnum):
    """What rules can read besides the order. The values are metric dimensions; all but `attributes` are names in rules."""

    COMPANY = "company"
    USER = "user"
    CUSTOMER = "customer"
    ATTRIBUTES = "attributes"
    """The names of the store's customer attributes: a customer's attributes have ids only. `attribute()` needs them."""
    METAFIELDS = "metafields"
    CONSIGNMENTS = "consignments"
    """A part of the order's own request."""


FROM_B2B = frozenset({Source.COMPANY, Source.USER})
"""The sources from the B2B API; each takes one of its 150 requests a minute. The others are from the core API."""

OF_THE_FIRST = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe"}
)
"""JMESPath nodes whose further children apply to the result of the first, not to the input."""


def read_fields(node: Any) -> Iterator[str]:
    """The names that a parsed JMESPath expression reads from its input, as far as that can be determined."""
    kind, children = node["type"], children_of(node)
    if kind == "field":
        yield node["value"]
    elif kind in OF_THE_FIRST:
        yield from read_fields(children[0])
        if _is_input(children[0]):
            for child in children[1:]:
                yield from read_fields(child)
    elif kind not in {"literal", "current", "expref"}:
        for child in children:
            yield from read_fields(child)


def sources_of(expression: Any) -> frozenset[Source]:
    """The sources that a parsed JMESPath expression mentions."""
    found = {Source(name) for name in read_fields(expression) if name in set(Source) - {Source.ATTRIBUTES}}
    if any(call["value"] == "attribute" for call in calls(expression)):
        found.add(Source.ATTRIBUTES)
    return frozenset(found)


def _is_input(node: Any) -> bool:
    """Whether the node's value is the expression's input itself: `@`, and `@ | @`."""
    if node["type"] in {"subexpression", "pipe"}:
        return all(map(_is_input, node["children"]))
    return node["type"] in {"current", "identity"}
