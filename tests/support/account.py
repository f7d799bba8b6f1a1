"""What `relay doctor` reads of an AWS account, besides what moto serves: functions, stacks and alarms as a test sets them."""

import io
import zipfile
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from relay.stack import FUNCTIONS, SETTINGS, Stack

LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:relay-dependencies:1"
ALARM, TOPIC = "b2b-order-relay-dead-letters", "arn:aws:sns:us-east-1:123456789012:relay-AlarmTopic"


def aws_error(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def packed(rules: str) -> bytes:
    """The functions' code as Lambda gives it, as far as anybody looks."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as code:
        code.writestr("handler/enrichment.toml", rules)
    return file.getvalue()


class Pages:
    """A client with paginators; each kind of page is a list that a test may change."""

    def __init__(self, **pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.errors: dict[str, Exception] = {}
        self.meta = SimpleNamespace(region_name="us-east-1")

    def get_paginator(self, operation: str) -> Any:
        def paginate(**_: Any) -> list[dict[str, Any]]:
            self.may_fail(operation)
            return self.pages[operation]

        return SimpleNamespace(paginate=paginate)

    def may_fail(self, operation: str) -> None:
        if operation in self.errors:
            raise self.errors[operation]


class FakeFunctions(Pages):
    """Lambda with the three functions of a stack. A test changes what is wrong."""

    def __init__(self, stack: Stack, code_url: str) -> None:
        self.mapping: dict[str, Any] = {
            "EventSourceArn": f"arn:aws:sqs:us-east-1:123456789012:{stack.outputs['RecoveryQueueUrl'].rpartition('/')[2]}",
            "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{stack.outputs['RecoveryFunctionName']}:live",
            "State": "Enabled",
            "ScalingConfig": {"MaximumConcurrency": 5},
        }
        super().__init__(list_event_source_mappings=[{"EventSourceMappings": [self.mapping]}])
        self.limit = 1000
        self.layer_architectures = ["arm64", "x86_64"]
        self.code_url = code_url
        known = stack.parameters | stack.outputs
        known["SecretPrefix"] = stack.settings.secret_prefix
        self.configurations: dict[str, dict[str, Any]] = {
            stack.outputs[f"{function}Name"]: {
                "Architectures": ["arm64"],
                "Layers": [{"Arn": LAYER}],
                "Environment": {"Variables": {name: known.get(key, "") for name, key in SETTINGS.items()}},
            }
            for function in FUNCTIONS
        }

    def get_function(self, *, FunctionName: str, Qualifier: str) -> dict[str, Any]:  # noqa: N803  boto3's names
        self.may_fail("get_function")
        assert Qualifier == "live", "this version is not the one that runs"
        return {"Configuration": self.configurations[FunctionName], "Code": {"Location": self.code_url}}

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        if FunctionName not in self.configurations:
            raise aws_error("ResourceNotFoundException")
        return self.configurations[FunctionName]

    def get_account_settings(self) -> dict[str, Any]:
        self.may_fail("get_account_settings")
        return {"AccountLimit": {"ConcurrentExecutions": self.limit}}

    def get_layer_version_by_arn(self, *, Arn: str) -> dict[str, Any]:  # noqa: N803
        assert Arn == LAYER
        return {"CompatibleArchitectures": self.layer_architectures}


class FakeCloudFormation(Pages):
    """CloudFormation with one alarm and one topic in the stack, and no other stack."""

    def __init__(self) -> None:
        resources = [
            {"ResourceType": "AWS::CloudWatch::Alarm", "LogicalResourceId": "Alarm", "PhysicalResourceId": ALARM},
            {"ResourceType": "AWS::SNS::Topic", "LogicalResourceId": "AlarmTopic", "PhysicalResourceId": TOPIC},
        ]
        super().__init__(list_stack_resources=[{"StackResourceSummaries": resources}], describe_stacks=[{"Stacks": []}])
        self.status = ""

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        self.may_fail("describe_stacks")
        if not self.status:
            raise aws_error("ValidationError", "DescribeStacks")
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.status}]}


def other_stack(name: str, **parameters: str) -> dict[str, Any]:
    """Another deployment of the relay, as DescribeStacks tells of it."""
    return {
        "StackName": name,
        "Outputs": [{"OutputKey": key} for key in ("WebhookUrl", "IdempotencyTableName")],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
