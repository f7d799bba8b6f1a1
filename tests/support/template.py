"""The template as it is written, with its references resolved as CloudFormation would, to made-up names."""

import copy
import re
from functools import cache
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from sandbox.aws.emulator import ROOT

TEMPLATE = ROOT / "template.yaml"
STACK = "relay"
PSEUDO_PARAMETERS = {
    "AWS::StackName": STACK,
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


@cache
def _parsed() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    return parsed


def source() -> dict[str, Any]:
    """The template as it is written, in a fresh copy."""
    return copy.deepcopy(_parsed())


class Resolved:
    """The template's resources for a set of parameters (the rest at their defaults), without those whose condition fails."""

    def __init__(self, **parameters: Any) -> None:
        template = source()
        unknown = parameters.keys() - template["Parameters"].keys()
        assert not unknown, f"no such parameters: {unknown}"
        self._conditions: dict[str, Any] = template["Conditions"]
        self._mappings: dict[str, Any] = template["Mappings"]
        self._parameters = {name: spec["Default"] for name, spec in template["Parameters"].items()} | parameters
        self._resources: dict[str, Any] = template["Resources"]
        self.outputs: dict[str, Any] = template["Outputs"]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resolved properties by logical id of all resources of a type that are made."""
        return {
            name: self.value(resource["Properties"])
            for name, resource in self._resources.items()
            if resource["Type"] == kind and ("Condition" not in resource or self.holds(resource["Condition"]))
        }

    def holds(self, condition: str) -> bool:
        """Whether a condition holds."""
        return bool(self.value(self._conditions[condition]))

    def value(self, value: Any) -> Any:
        """The value with all its functions carried out."""
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::") or name == "Condition":
                return self._function(name, argument)
        resolved = {key: self.value(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        functions = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._substitute,
            "Fn::If": lambda of: self.value(of[1] if self.holds(of[0]) else of[2]),
            "Fn::FindInMap": lambda of: self._mappings[of[0]][self.value(of[1])][of[2]],
            "Fn::Not": lambda of: not self.value(of[0]),
            "Fn::And": lambda of: all(map(self.value, of)),
            "Fn::Equals": lambda of: str(self.value(of[0])) == str(self.value(of[1])),
            "Condition": self.holds,
        }
        return functions[name](argument)

    def _get_att(self, argument: str | list[str]) -> str:
        logical_id, attribute = argument.split(".") if isinstance(argument, str) else argument
        return self._attribute(logical_id, attribute)

    def _substitute(self, argument: str | list[Any]) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        values = self.value(own)

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            return str(values[name] if name in values else self._sub(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)

    def _sub(self, name: str) -> Any:
        logical_id, dot, attribute = name.partition(".")
        return self._attribute(logical_id, attribute) if dot else self._ref(name)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self._parameters:
            return self._parameters[name]
        return self._name(name)

    def _name(self, logical_id: str) -> str:
        """The resource's own name, where the template gives it one; SAM makes further resources."""
        properties: dict[str, Any] = self._resources.get(logical_id, {}).get("Properties", {})
        for key in ("FunctionName", "QueueName", "Name", "DashboardName"):
            if key in properties:
                return str(self.value(properties[key]))
        return logical_id

    def _attribute(self, logical_id: str, attribute: str) -> str:
        if attribute == "QueueName":
            return self._name(logical_id)
        return f"{logical_id}.{attribute}"


def grants(role: dict[str, Any]) -> set[tuple[str, str]]:
    """Every action that a role allows, with its resource."""
    found = set()
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}
            assert statement["Effect"] == "Allow"
            actions, resources = (
                [value] if isinstance(value, str) else value for value in (statement["Action"], statement["Resource"])
            )
            found |= {(action, resource) for action in actions for resource in resources}
    return found
