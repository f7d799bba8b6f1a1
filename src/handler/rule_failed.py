"""Why an enrichment rule failed on an order, in words that hold nothing of the order's values."""

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
"""JMESPath's and Python's names of types, in words."""


class RuleFailed(RelayError):  # noqa: N818  says what happened
    """A rule (`rule`, its name) could not be evaluated for an order; `why` holds nothing of the order's values."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"enrichment rule {rule} failed: {why}")
        self.rule = rule
        self.why = why


def why(error: Exception, expression: Any) -> str:
    """What went wrong with a parsed JMESPath expression. The error's own text would hold the value."""
    match error:
        case JMESPathTypeError():
            expected = [TYPES.get(name, name) for name in error.expected_types if name != "null"]
            argument = _argument(expression, error.function_name) or "the argument"
            verb = "holds" if any(name.startswith("array-") for name in error.expected_types) else "is"
            actual = TYPES.get(error.actual_type, error.actual_type)
            return f"{error.function_name}() wants {' or '.join(expected)}; {argument} {verb} {actual}"
        case TimeLimitExceeded():
            return "the rules took too long"
        case _:
            return f"{type(error).__name__} in the expression"


def _argument(node: Any, function: str) -> str:
    """The path of the only argument of the function's call that is not written out; empty if that is not certain."""
    found = [path for call in calls(node) if call["value"] == function for path in _paths(call)]
    return found[0] if len(found) == 1 else ""


def _paths(call: Any) -> list[str]:
    return [_path(argument) for argument in call["children"] if argument["type"] not in {"literal", "expref"}]


def calls(node: Any) -> list[Any]:
    """The function calls in a parsed expression. jmespath itself looks at a function only when an order comes that far."""
    own = [node] if node["type"] == "function_expression" else []
    return own + [call for child in node.get("children", ()) for call in calls(child)]


def _path(node: Any) -> str:
    """The node as it stands in the rule, if it is a path; empty otherwise."""
    children = [_path(child) for child in node.get("children", ())]
    match node["type"]:
        case "field":
            return str(node["value"])
        case "current" | "identity":
            return "@"
        case "index":
            return f"[{node['value']}]"
        case "projection":
            return f"{children[0]}[*].{children[1]}".removesuffix(".@")
        case "index_expression" | "subexpression" as kind:
            return ("." if kind == "subexpression" else "").join(children)
        case _:
            return ""
