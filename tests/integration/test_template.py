"""What the template promises, read from the template as SAM expands it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from deployment.deploy import stamped
from handler.deadline import WINDOW_SECONDS
from handler.reconcile import STORE_SECONDS
from relay.stack import LONGEST_NAME
from sandbox.aws.emulator import REGION, ROOT
from support.template import STACK, Resolved, grants

TEMPLATE = ROOT / "template.yaml"
OUTPUTS = {
    "WebhookUrl",
    "EventBusName",
    "RecoveryQueueUrl",
    "DeadLetterQueueUrl",
    "OrderFunctionName",
    "RecoveryFunctionName",
    "IdempotencyTableName",
    "DashboardUrl",
}


def source() -> dict[str, Any]:
    """The template as it is written, in a fresh copy."""
    template: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    return template


AT_ONCE = "AllAtOnce"
GRADUAL = [kind for kind in source()["Parameters"]["GradualDeployment"]["AllowedValues"] if kind != AT_ONCE]
FUNCTIONS = sorted(
    name for name, resource in source()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
)


def made_by_sam(template: dict[str, Any], code: str = "code", layer: str = "layer", **given: Any) -> dict[str, Any]:
    """The CloudFormation template that SAM makes of it, with these parameters."""
    # What `sam deploy` does before: code is in a bucket by then, named after its content.
    template["Globals"]["Function"]["CodeUri"] = f"s3://bucket/{code}"
    template["Resources"]["DependenciesLayer"]["Properties"]["ContentUri"] = f"s3://bucket/{layer}"
    parameters = {name: parameter["Default"] for name, parameter in template["Parameters"].items()} | given
    translated: dict[str, Any] = Translator({}, Parser()).translate(template, parameters)
    return translated


@cache
def plain(gradual: str = AT_ONCE) -> dict[str, Any]:
    """The same of the template as it is written."""
    return made_by_sam(source(), GradualDeployment=gradual)


def expanded() -> dict[str, dict[str, Any]]:
    """The resources of that template."""
    resources: dict[str, dict[str, Any]] = plain()["Resources"]
    return resources


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties by name of all resources of a type."""
    return {name: resource["Properties"] for name, resource in expanded().items() if resource["Type"] == kind}


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.mark.parametrize("gradual", [AT_ONCE, GRADUAL[0]])
def test_what_sam_makes_of_it_is_clean_too(tmp_path: Path, gradual: str) -> None:
    # The linters know neither the resources that SAM adds nor references to them.
    template = tmp_path / "template.json"
    template.write_text(json.dumps(plain(gradual)), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("cfn-lint")), f"--regions={REGION}", "--template", str(template)]
    # Warnings are about what SAM has used up: parameters, conditions.
    result = subprocess.run([*command, "--ignore-checks=W"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.stdout == ""
    assert result.returncode == 0


def test_every_parameter_works_as_it_is_and_says_what_it_does() -> None:
    assert [
        name for name, value in source()["Parameters"].items() if not {"Default", "Description"} <= set(value)
    ] == []


@pytest.mark.parametrize("parameter", ["StoreApiUrl", "B2BApiUrl"])
@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://api.bigcommerce.com", True),
        ("https://api.bigcommerce.com:8443/base", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://api.bigcommerce.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://10.0.0.1", False),
        ("http://host.docker.internal:8080", False),  # a deployed stack has no such host; `make invoke` sets variables
        ("https://api.bigcommerce.com/", False),
        ("", False),
    ],
)
def test_plain_http_is_for_loopback_addresses_alone(parameter: str, url: str, *, accepted: bool) -> None:
    assert bool(re.fullmatch(source()["Parameters"][parameter]["AllowedPattern"], url)) is accepted


def test_the_outputs_that_users_rely_on_are_there() -> None:
    assert set(source()["Outputs"]) >= OUTPUTS


def test_a_comment_stands_above_every_resource() -> None:
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    assert [
        name for name in source()["Resources"] if not lines[lines.index(f"  {name}:") - 1].lstrip().startswith("#")
    ] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_environment_variable_has_a_value(function: str) -> None:
    variables = expanded()[function]["Properties"]["Environment"]["Variables"]
    assert [name for name, value in variables.items() if not value] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_logs_to_a_group_that_forgets(function: str) -> None:
    properties = expanded()[function]["Properties"]
    group = of_type("AWS::Logs::LogGroup")[properties["LoggingConfig"]["LogGroup"]["Ref"]]
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"]["Fn::Sub"] == f"/aws/lambda/{properties['FunctionName']['Fn::Sub']}"


def test_each_function_has_a_role_of_its_own_and_no_managed_policies() -> None:
    roles = [expanded()[function]["Properties"]["Role"]["Fn::GetAtt"][0] for function in FUNCTIONS]
    assert set(of_type("AWS::IAM::Role")) == set(roles)
    assert len(set(roles)) == len(FUNCTIONS)
    assert [name for name, role in of_type("AWS::IAM::Role").items() if "ManagedPolicyArns" in role] == []


SECRETS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:relay/*"
REMEMBER = {
    ("dynamodb:GetItem", "IdempotencyTable.Arn"),
    ("dynamodb:PutItem", "IdempotencyTable.Arn"),
    ("dynamodb:UpdateItem", "IdempotencyTable.Arn"),
    ("dynamodb:DeleteItem", "IdempotencyTable.Arn"),
}
MAY: dict[str, set[tuple[str, str]]] = {
    "OrderRole": {
        ("logs:CreateLogStream", "OrderLogGroup.Arn"),
        ("logs:PutLogEvents", "OrderLogGroup.Arn"),
        ("secretsmanager:GetSecretValue", SECRETS),
        *REMEMBER,
        ("events:PutEvents", "EventBus.Arn"),
        ("sqs:SendMessage", "RecoveryQueue.Arn"),
        ("sqs:SendMessage", "DeadLetterQueue.Arn"),
    },
    "RecoveryRole": {
        ("logs:CreateLogStream", "RecoveryLogGroup.Arn"),
        ("logs:PutLogEvents", "RecoveryLogGroup.Arn"),
        ("secretsmanager:GetSecretValue", SECRETS),
        *REMEMBER,
        # The first two and the last are called by Lambda, which polls the queue with the function's role.
        ("sqs:ReceiveMessage", "RecoveryQueue.Arn"),
        ("sqs:DeleteMessage", "RecoveryQueue.Arn"),
        ("sqs:ChangeMessageVisibility", "RecoveryQueue.Arn"),
        ("sqs:GetQueueAttributes", "RecoveryQueue.Arn"),
        ("sqs:SendMessage", "DeadLetterQueue.Arn"),
    },
    "ReconcileRole": {
        ("logs:CreateLogStream", "ReconcileLogGroup.Arn"),
        ("logs:PutLogEvents", "ReconcileLogGroup.Arn"),
        ("secretsmanager:GetSecretValue", SECRETS),
        ("dynamodb:GetItem", "IdempotencyTable.Arn"),
        ("dynamodb:BatchGetItem", "IdempotencyTable.Arn"),
        ("dynamodb:PutItem", "IdempotencyTable.Arn"),
        ("dynamodb:UpdateItem", "IdempotencyTable.Arn"),
        ("sqs:SendMessage", "RecoveryQueue.Arn"),
    },
    "ReleaseCheckRole": {
        ("logs:CreateLogStream", "ReleaseCheckLogGroup.Arn"),
        ("logs:PutLogEvents", "ReleaseCheckLogGroup.Arn"),
        ("lambda:InvokeFunction", "OrderFunction.Arn:*"),
        ("lambda:InvokeFunction", "RecoveryFunction.Arn:*"),
        (
            "codedeploy:PutLifecycleEventHookExecutionStatus",
            "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:relay-ServerlessDeploymentApplication-*/*",
        ),
    },
}
"""What each role may do, and with what. `tests/integration/test_role_permissions.py` shows which calls the code really makes."""

TRACE = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}  # X-Ray knows no resources


KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(("prefix", "used"), [("", "relay"), ("shops", "shops")])
def test_a_stack_reads_secrets_of_its_own_name_or_of_the_prefix_that_it_is_given(prefix: str, used: str) -> None:
    made = Resolved(SecretPrefix=prefix)
    allowed = grants(made.of_type("AWS::IAM::Role")["OrderRole"])
    assert [resource for action, resource in allowed if action == "secretsmanager:GetSecretValue"] == [
        f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{used}/*"
    ]
    assert made.value(source()["Globals"]["Function"]["Environment"]["Variables"]["SECRET_PREFIX"]) == used


@pytest.mark.parametrize(
    ("prefix", "accepted"), [("", True), ("shops_eu.1", True), ("shops/dev", False), ("/x", False), ("a*", False)]
)
def test_no_prefix_is_inside_another_ones_secrets(prefix: str, *, accepted: bool) -> None:
    assert bool(re.fullmatch(source()["Parameters"]["SecretPrefix"]["AllowedPattern"], prefix)) is accepted


def test_secrets_under_a_key_of_ones_own_can_be_read_but_only_through_secrets_manager() -> None:
    roles = Resolved(SecretsKeyArn=KEY).of_type("AWS::IAM::Role")
    readers = {name for name, role in roles.items() if ("kms:Decrypt", KEY) in grants(role)}
    assert readers == {name for name, role in roles.items() if "secretsmanager:GetSecretValue" in dict(grants(role))}
    [policy] = [policy for policy in roles["OrderRole"]["Policies"] if policy["PolicyName"] == "ReadStoreSecrets"]
    assert policy["PolicyDocument"]["Statement"][1]["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    }


@pytest.mark.parametrize("tracing", [False, True])
def test_each_role_may_do_what_its_function_does_and_nothing_else(*, tracing: bool) -> None:
    made = Resolved(GradualDeployment=GRADUAL[0], Tracing=str(tracing).lower())
    roles = made.of_type("AWS::IAM::Role")

    assert {name: grants(role) for name, role in roles.items()} == {
        name: may | (TRACE if tracing else set()) for name, may in MAY.items()
    }
    assert {str(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]) for role in roles.values()} == {
        "{'Service': 'lambda.amazonaws.com'}"
    }


def test_roles_may_put_outcome_events_on_the_relays_own_bus_alone_and_only_when_they_are_wanted() -> None:
    roles = Resolved(PublishOutcomes="true").of_type("AWS::IAM::Role")

    publish = {("events:PutEvents", "EventBus.Arn")}
    assert {name: grants(role) for name, role in roles.items()} == {
        name: MAY[name] | publish for name in ("OrderRole", "RecoveryRole", "ReconcileRole")
    }


def test_nothing_else_in_the_template_gives_a_function_rights() -> None:
    resources = plain(GRADUAL[0])["Resources"]
    assert {resource["Type"] for resource in resources.values()}.isdisjoint(
        {"AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy", "AWS::IAM::UserPolicy"}
    )
    assert {name for name, resource in resources.items() if resource["Type"] == "AWS::IAM::Role"} == {
        *MAY,
        "CodeDeployServiceRole",  # SAM's, for CodeDeploy
    }


def test_what_crashed_is_not_tried_again_but_handed_to_the_late_path() -> None:
    all_settings = of_type("AWS::Lambda::EventInvokeConfig")
    for settings in all_settings.values():
        assert settings["Qualifier"] == "live"
        assert settings["MaximumRetryAttempts"] == 0
    settings = all_settings["OrderFunctionEventInvokeConfig"]
    assert settings["MaximumEventAgeInSeconds"] == 60
    assert settings["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["RecoveryQueue", "Arn"]}


def test_every_trigger_calls_the_alias() -> None:
    targets = [rule["Targets"][0]["Arn"]["Ref"] for rule in of_type("AWS::Events::Rule").values()]
    assert targets.count("OrderFunctionAliaslive") == 2
    assert [target for target in targets if not target.endswith("Aliaslive")] == []
    [source_mapping] = of_type("AWS::Lambda::EventSourceMapping").values()
    assert source_mapping["FunctionName"] == {"Ref": "RecoveryFunctionAliaslive"}
    webhook = of_type("AWS::ApiGateway::RestApi")["Api"]["Body"]["paths"]["/webhooks"]
    assert list(webhook) == ["post"]
    assert "${OrderFunctionAliaslive}" in webhook["post"]["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]


def test_what_a_rule_cannot_deliver_goes_to_the_late_path_and_only_the_rules_may_put_it_there() -> None:
    rules = {name: rule for name, rule in of_type("AWS::Events::Rule").items() if "EventPattern" in rule}
    assert set(rules) == {"OrderFunctionBusEvent", "PartnerRule"}
    for rule in rules.values():
        assert rule["Targets"][0]["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["RecoveryQueue", "Arn"]}
        assert rule["Targets"][0]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 60
    [policy] = of_type("AWS::SQS::QueuePolicy").values()
    [statement] = policy["PolicyDocument"]["Statement"]
    allowed = str(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert all(f"['{rule}', 'Arn']" in allowed for rule in rules)


def test_a_late_order_is_hidden_for_six_times_the_function_timeout() -> None:
    queue = expanded()["RecoveryQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * expanded()["RecoveryFunction"]["Properties"]["Timeout"]


def test_a_late_order_is_given_up_by_the_function_before_the_queue_forgets_it() -> None:
    parameters = source()["Parameters"]
    queue = expanded()["RecoveryQueue"]["Properties"]
    assert parameters["GiveUpAfterMinutes"]["MaxValue"] * 60 < queue["MessageRetentionPeriod"]


def test_dead_letters_stay_for_fourteen_days_and_can_be_redriven() -> None:
    dead_letters = expanded()["DeadLetterQueue"]["Properties"]
    assert dead_letters["MessageRetentionPeriod"] == 14 * 24 * 3600
    [source_arn] = dead_letters["RedriveAllowPolicy"]["sourceQueueArns"]
    recovery = expanded()["RecoveryQueue"]["Properties"]
    assert source_arn["Fn::Sub"].endswith(f":{recovery['QueueName']['Fn::Sub']}")
    assert recovery["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}


def test_everything_at_rest_is_encrypted() -> None:
    assert all(queue["SqsManagedSseEnabled"] for queue in of_type("AWS::SQS::Queue").values())
    assert all(table["SSESpecification"]["SSEEnabled"] for table in of_type("AWS::DynamoDB::Table").values())
    assert all("KmsMasterKeyId" in topic for topic in of_type("AWS::SNS::Topic").values())


def test_the_idempotency_table_forgets_and_can_be_restored() -> None:
    [table] = of_type("AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_nothing_is_traced_and_no_access_log_is_written_unless_asked_for() -> None:
    assert source()["Parameters"]["Tracing"]["Default"] == "false"
    assert source()["Parameters"]["AccessLogs"]["Default"] == "false"
    assert "AWS::ApiGateway::Account" not in {resource["Type"] for resource in expanded().values()}


# --- deploying ----------------------------------------------------------------------------------------------------

ASKED = """
import json, sys
from samcli.commands.deploy.auth_utils import auth_per_resource
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, _ = SamLocalStackProvider.get_stacks(sys.argv[1])
print(json.dumps(auth_per_resource(stacks)))
"""


def test_sam_deploy_does_not_ask_whether_a_function_without_authentication_is_intended() -> None:
    sam = ROOT / ".env-sam" / "bin" / "python"
    said = subprocess.run([sam, "-c", ASKED, TEMPLATE], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert json.loads(said) == [["OrderFunction", True]]


def test_what_keeps_sam_from_asking_changes_nothing_else() -> None:
    without = source()
    del without["Resources"]["OrderFunction"]["Properties"]["Events"]["Webhook"]["Properties"]["Auth"]
    assert made_by_sam(without) == plain()


def versions(template: dict[str, Any], **made_of: Any) -> dict[str, str]:
    """Logical ids of the functions' versions by function: CloudFormation publishes a version for each new id."""
    resources = made_by_sam(template, GradualDeployment=GRADUAL[0], **made_of)["Resources"]
    return {
        resource["Properties"]["FunctionName"]["Ref"]: name
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Version"
    }


def test_the_same_code_layer_and_template_publish_no_new_version() -> None:
    assert versions(source()) == versions(source())
    assert set(versions(source())) == set(FUNCTIONS)


@pytest.mark.parametrize("changed", ["code", "layer", "timeout"])
def test_other_code_another_layer_and_another_property_publish_a_version(changed: str) -> None:
    template, made_of = source(), {} if changed == "timeout" else {changed: "other"}
    if changed == "timeout":
        for name in FUNCTIONS:
            template["Resources"][name]["Properties"]["Timeout"] += 1
    now, before = versions(template, **made_of), versions(source())
    assert {name for name in FUNCTIONS if now[name] != before[name]} == set(FUNCTIONS)


@pytest.mark.parametrize("mark", ["a" * 64, "b" * 64])
def test_what_make_deploy_has_computed_decides_alone(mark: str) -> None:
    marked = versions(stamped(source(), mark))
    assert marked == {name: f"{name}Version{mark[:10]}" for name in FUNCTIONS}
    assert marked == versions(stamped(source(), mark), code="other", layer="other")


NAMES = {
    "AWS::Serverless::Function": ("FunctionName", 64),
    "AWS::Serverless::LayerVersion": ("LayerName", 140),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::Events::EventBus": ("Name", 256),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
}
"""Which property names a resource, and how many characters AWS allows."""


def test_every_name_made_of_the_longest_stack_name_is_short_enough() -> None:
    made = Resolved(GradualDeployment=GRADUAL[0], PartnerEventSourceName="aws.partner/bigcommerce.com/1")
    spare = {
        (name, properties[key]): limit - len(properties[key]) + len(STACK)
        for kind, (key, limit) in NAMES.items()
        for name, properties in made.of_type(kind).items()
    }
    assert min(spare.values()) == LONGEST_NAME, min(spare, key=lambda name: spare[name])


def test_every_parameter_stands_in_one_group_of_the_console() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(source()["Parameters"])


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("docs/runbook.md", True),
        ("https://wiki.example.com/relay?page=1", True),
        ('a"b', False),
        ("a\\b", False),
        ("a b", False),
        ("a#b", False),
    ],
)
def test_the_runbooks_address_can_stand_in_json_and_before_an_anchor(url: str, *, accepted: bool) -> None:
    assert bool(re.fullmatch(source()["Parameters"]["RunbookUrl"]["AllowedPattern"], url)) is accepted


# --- figures and switches ----------------------------------------------------------------------------------------


def test_each_function_has_the_time_that_its_code_counts_on() -> None:
    timeouts = {name: expanded()[name]["Properties"]["Timeout"] for name in FUNCTIONS if name != "ReleaseCheckFunction"}
    assert timeouts == {"OrderFunction": 15, "RecoveryFunction": 60, "ReconcileFunction": 300}
    # The window, and a hand-over in which SQS is asked again and again.
    assert timeouts["OrderFunction"] >= WINDOW_SECONDS + 5
    # Several stores that hang.
    assert timeouts["ReconcileFunction"] >= 4 * STORE_SECONDS


def test_two_looks_of_reconcile_never_overlap() -> None:
    look = expanded()["ReconcileFunction"]["Properties"]["Timeout"]
    at_most_late = expanded()["ReconcileFunctionEventInvokeConfig"]["Properties"]["MaximumEventAgeInSeconds"]
    assert source()["Parameters"]["ReconcileEveryMinutes"]["MinValue"] * 60 >= at_most_late + look


@pytest.mark.parametrize(("given", "most"), [({}, 5), ({"RecoveryConcurrency": 2}, 2)])
def test_an_account_with_little_concurrency_can_limit_the_late_path(given: dict[str, Any], most: int) -> None:
    events = Resolved(**given).of_type("AWS::Serverless::Function")["RecoveryFunction"]["Events"]
    assert events["LateOrders"]["Properties"]["ScalingConfig"] == {"MaximumConcurrency": most}
    assert source()["Parameters"]["RecoveryConcurrency"]["MinValue"] == 2  # Lambda takes no less


def test_concurrency_is_reserved_for_live_orders_only_if_asked_for() -> None:
    def reserved(**given: Any) -> list[Any]:
        functions = Resolved(**given).of_type("AWS::Serverless::Function")
        return [functions[name].get("ReservedConcurrentExecutions") for name in FUNCTIONS if name in functions]

    assert set(reserved()) == {None}
    assert [value for value in reserved(OrderReservedConcurrency=50) if value] == [50]


def test_the_late_path_takes_ten_orders_at_a_time_and_keeps_those_that_failed() -> None:
    [mapping] = of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["BatchSize"] == 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["RecoveryQueue", "Arn"]}


def test_sqs_itself_gives_an_order_up_as_late_as_it_can() -> None:
    # Orders are received, too, when their store's share is used up, so receives are no failures (decision 9).
    assert expanded()["RecoveryQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == 1000


@pytest.mark.parametrize(
    ("parameters", "rate", "state"),
    [
        ({}, "rate(15 minutes)", "ENABLED"),
        ({"ReconcileEveryMinutes": 60}, "rate(60 minutes)", "ENABLED"),
        ({"Reconcile": "DISABLED"}, "rate(15 minutes)", "DISABLED"),
    ],
)
def test_reconcile_runs_on_its_schedule_unless_it_is_switched_off(
    parameters: dict[str, Any], rate: str, state: str
) -> None:
    schedule = Resolved(**parameters).value(of_type("AWS::Events::Rule")["ReconcileFunctionSchedule"])
    assert (schedule["ScheduleExpression"], schedule["State"]) == (rate, state)
    assert schedule["Targets"][0]["Arn"] == "ReconcileFunctionAliaslive"


@pytest.mark.parametrize(
    ("parameters", "url"),
    [
        ({}, "https://relay.execute-api.us-east-1.amazonaws.com/live/webhooks"),
        ({"CustomWebhookUrl": "https://hooks.example.com/w"}, "https://hooks.example.com/w"),
    ],
)
def test_reconcile_looks_for_hooks_to_the_merchants_own_domain_if_there_is_one(
    parameters: dict[str, Any], url: str
) -> None:
    told = {
        name: expanded()[name]["Properties"]["Environment"]["Variables"].get("WEBHOOK_URL")
        for name in ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
    }
    assert Resolved(**parameters).value(told) == {
        "OrderFunction": None,
        "RecoveryFunction": None,
        "ReconcileFunction": url,
    }


@pytest.mark.parametrize(("rate", "burst"), [(50, 200), (7, 9)])
def test_the_webhook_endpoint_is_throttled(rate: int, burst: int) -> None:
    given = {} if rate == 50 else {"ApiRateLimit": rate, "ApiBurstLimit": burst}
    [settings] = Resolved(**given).of_type("AWS::Serverless::Api")["Api"]["MethodSettings"]
    assert settings == {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "ThrottlingRateLimit": rate,
        "ThrottlingBurstLimit": burst,
    }
    [stage] = of_type("AWS::ApiGateway::Stage").values()
    assert stage["MethodSettings"][0]["ThrottlingRateLimit"] == {"Ref": "ApiRateLimit"}


# --- gradual deployment -------------------------------------------------------------------------------------------


def test_unless_asked_for_there_is_nothing_of_codedeploy() -> None:
    resources = plain()["Resources"]
    assert source()["Parameters"]["GradualDeployment"]["Default"] == AT_ONCE
    assert [name for name, resource in resources.items() if resource["Type"].startswith("AWS::CodeDeploy")] == []
    assert [name for name, resource in resources.items() if "UpdatePolicy" in resource] == []
    assert "CodeDeployServiceRole" not in resources
    checking = {name: resource for name, resource in resources.items() if name.startswith("ReleaseCheck")}
    assert checking
    assert {resource["Condition"] for resource in checking.values()} == {"DeploysGradually"}


@pytest.mark.parametrize("gradual", GRADUAL)
def test_a_gradual_deployment_shifts_the_aliases_traffic_as_its_name_says(gradual: str) -> None:
    resources = plain(gradual)["Resources"]
    groups = {name: value for name, value in resources.items() if value["Type"] == "AWS::CodeDeploy::DeploymentGroup"}
    assert set(groups) == {"OrderFunctionDeploymentGroup", "RecoveryFunctionDeploymentGroup"}
    for name, group in groups.items():
        sub = group["Properties"]["DeploymentConfigName"]["Fn::Sub"]
        assert sub == ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": gradual}]
        policy = resources[f"{name.removesuffix('DeploymentGroup')}Aliaslive"]["UpdatePolicy"]
        assert policy["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"] == {"Ref": name}


def test_a_release_is_checked_before_traffic_goes_to_it_and_taken_back_when_its_alarms_ring() -> None:
    resources = plain(GRADUAL[0])["Resources"]
    alarms = {
        "Order": ["OrderFunctionFailsAlarm", "WebhookErrorsAlarm", "DeploymentLateOrdersAlarm"],
        "Recovery": ["RecoveryFunctionFailsAlarm"],
    }
    for function, expected in alarms.items():
        group = resources[f"{function}FunctionDeploymentGroup"]["Properties"]
        watched = group["AlarmConfiguration"]
        watched = watched["Fn::If"][1] if "Fn::If" in watched else watched  # the condition is that of the alarm
        assert [alarm["Name"]["Ref"] for alarm in watched["Alarms"]] == expected
        assert set(expected) <= set(resources)
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        hook = resources[f"{function}FunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"][
            "BeforeAllowTrafficHook"
        ]
        assert hook["Fn::If"][:2] == ["DeploysGradually", {"Ref": "ReleaseCheckFunction"}]


def test_the_release_check_invokes_the_versions_that_are_about_to_get_traffic() -> None:
    resources = plain(GRADUAL[0])["Resources"]
    check = resources["ReleaseCheckFunction"]["Properties"]
    # CodeDeploy's own policy lets it call functions with this prefix only.
    assert check["FunctionName"]["Fn::Sub"].startswith("CodeDeployHook_")
    for variable, function in (("ORDER", "OrderFunction"), ("RECOVERY", "RecoveryFunction")):
        version = check["Environment"]["Variables"][f"{variable}_FUNCTION_VERSION"]["Ref"]
        assert resources[version]["Properties"]["FunctionName"] == {"Ref": function}
    longest_timeout = sum(
        resources[function]["Properties"]["Timeout"] for function in ("OrderFunction", "RecoveryFunction")
    )
    assert check["Timeout"] > longest_timeout


# --- partner events -----------------------------------------------------------------------------------------------


def test_without_a_partner_source_there_is_no_partner_bus() -> None:
    assert [name for name in Resolved().of_type("AWS::Events::EventBus") if "Partner" in name] == []
    assert set(Resolved().of_type("AWS::Events::Archive")) == {"EventArchive"}
    assert "PartnerRule" not in Resolved().of_type("AWS::Events::Rule")
    assert "PartnerRulePermission" not in Resolved().of_type("AWS::Lambda::Permission")


def test_with_a_partner_source_its_bus_and_a_rule_lead_to_the_live_path() -> None:
    name = "aws.partner/bigcommerce.com/1025646/store-events"
    made = Resolved(PartnerEventSourceName=name)
    # A partner bus must have the source's own name.
    assert made.of_type("AWS::Events::EventBus")["PartnerEventBus"] == {"Name": name, "EventSourceName": name}
    rule = made.of_type("AWS::Events::Rule")["PartnerRule"]
    assert rule["EventBusName"] == name
    assert rule["EventPattern"] == {
        "source": [{"prefix": "aws.partner/bigcommerce.com"}],
        "detail-type": ["bigCommerceWebhook"],
    }
    archives = made.of_type("AWS::Events::Archive")
    assert archives["PartnerEventArchive"]["SourceArn"] == "PartnerEventBus.Arn"
    differing = {"SourceArn", "Description"}
    assert {key: value for key, value in archives["PartnerEventArchive"].items() if key not in differing} == {
        key: value for key, value in archives["EventArchive"].items() if key not in differing
    }
    # What SAM makes, conditions unresolved.
    resources = expanded()
    assert resources["PartnerRule"]["Properties"]["Targets"][0]["Arn"] == {"Ref": "OrderFunctionAliaslive"}
    permission = resources["PartnerRulePermission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": "OrderFunctionAliaslive"}
    assert permission["SourceArn"] == {"Fn::GetAtt": ["PartnerRule", "Arn"]}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("aws.partner/bigcommerce.com/1025646/store-events", True),
        ("aws.partner/bigcommerce.com.test/1025646/store-events", True),
        ("aws.partner/example.com/1025646/store-events", False),
        ("arn:aws:events:us-east-1::event-source/aws.partner/bigcommerce.com/x", False),
        ("bigcommerce", False),
    ],
)
def test_a_partner_source_is_bigcommerces(name: str, *, accepted: bool) -> None:
    assert bool(re.fullmatch(source()["Parameters"]["PartnerEventSourceName"]["AllowedPattern"], name)) is accepted
