"""Why an enrichment rule failed on an order, in a message without the order's values."""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathTypeError

from handler.errors import RelayError
from handler.time_limit import TimeLimitExceeded

TYPES = {
    "string": "text",
    "str": "text",
    "number": "a number",
    "int": "a number",
    "float": "a number",
    "boolean": "true or false",
    "bool": "true or false",
    "array": "a list",
    "list": "a list",
    "object": "an object",
    "dict": "an object",
    "null": "null",
    "NoneType": "null",
    "array-string": "a list of texts",
    "array-number": "a list of numbers",
}
"""JMESPath's and Python's type names, in plain English."""


class RuleFailed(RelayError):  # noqa: N818  says what happened
    """The rule named `rule` could not be evaluated for an order. `why` holds no values of the order."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"enrichment rule {rule} failed: {why}")
        self.rule = rule
        self.why = why


def why(error: Exception, expression: Any) -> str:
    """Why evaluating a parsed JMESPath expression failed. The error's own text would hold the value."""
    match error:
        case JMESPathTypeError():
            expected = [TYPES.get(name, name) for name in error.expected_types if name != "null"]
            argument = _argument(expression, error.function_name) or "the argument"
            verb = "holds" if any(name.startswith("array-") for name in error.expected_types) else "is"
            actual = TYPES.get(error.actual_type, error.actual_type)
            return f"{error.function_name}() expects {' or '.join(expected)}; {argument} {verb} {actual}"
        case TimeLimitExceeded():
            return "time limit exceeded: the rules took too long"
        case _:
            return f"{type(error).__name__} in the expression"


def _argument(node: Any, function: str) -> str:
    """The path of the call's only argument that is not a literal; empty if there are several."""
    found = [path for call in calls(node) if call["value"] == function for path in _paths(call)]
    return found[0] if len(found) == 1 else ""


def _paths(call: Any) -> list[str]:
    return [_path(argument) for argument in call["children"] if argument["type"] not in {"literal", "expref"}]


def calls(node: Any) -> list[Any]:
    """The function calls in a parsed expression. jmespath itself checks a call only when it evaluates it."""
    own = [node] if node["type"] == "function_expression" else []
    return own + [call for child in children_of(node) for call in calls(child)]


def children_of(node: Any) -> list[Any]:
    """The nodes below a node of a parsed expression. Those of a slice are numbers."""
    return [child for child in node["children"] if isinstance(child, dict)]


def _path(node: Any) -> str:
    """The node as written in the rule, if it is a path; empty otherwise."""
    children = [_path(child) for child in children_of(node)]
    match node["type"]:
        case "field":
            return str(node["value"])
        case "current" | "identity":
            return "@"
        case "index":
            return f"[{node['value']}]"
        case "projection" if all(children):
            every = "[]" if node["children"][0]["type"] == "flatten" else "[*]"
            return f"{children[0]}{every}.{children[1]}".removesuffix(".@")
        case "index_expression" | "subexpression" | "flatten" as kind if all(children):
            return ("." if kind == "subexpression" else "").join(children)
        case _:
            return ""
