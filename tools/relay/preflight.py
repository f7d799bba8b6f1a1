"""`relay doctor --before-deploy`: checks the prerequisites of a deployment, and lists what it creates."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from documents import template
from handler.aws_errors import error_code
from handler.enrichment import RULES_FILE, Rules
from handler.errors import ConfigurationError
from relay.checks import Finding, State, Who, guarded, not_checked
from relay.context import AWS_CALLS, Context
from relay.deployment_checks import check_concurrency
from relay.errors import EXPIRED, explained
from relay.function_checks import RULES
from relay.stack import LONGEST_NAME
from relay.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STACK_NAME = "${AWS::StackName}"
VALID_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
NO_STACK = frozenset({"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"})
"""The stack does not exist, apart from a change set that was not executed."""

DELETE_FIRST = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""States after a failed first deployment or deletion, in which a stack can only be deleted."""

ABSENT = frozenset(
    {
        "ResourceNotFoundException",
        "ResourceNotFound",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
    }
)

NOUNS = {
    "AWS::Serverless::Function": "function",
    "AWS::Serverless::Api": "REST API",
    "AWS::Serverless::LayerVersion": "layer",
    "AWS::Events::EventBus": "event bus",
    "AWS::Events::Archive": "event archive",
    "AWS::SQS::Queue": "queue",
    "AWS::DynamoDB::Table": "table",
    "AWS::SNS::Topic": "topic",
    "AWS::KMS::Key": "key",
    "AWS::IAM::Role": "role",
    "AWS::Logs::LogGroup": "log group",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CloudWatch::Dashboard": "dashboard",
}
"""The resource types to list; the others belong to one of these."""


def sections(context: Context) -> Iterator[tuple[str, Iterable[Finding]]]:
    """The checks before a deployment, by section."""
    deployed = template.read()
    region = check_region(context)
    if region.state is State.BAD:
        credentials = not_checked("credentials", region.what, region.step)
    else:
        credentials = check_credentials(context)
    root = next((each for each in (region, credentials) if each.state is State.BAD), None)
    if root is None and credentials.state is not State.GOOD:
        root = credentials
    yield "Account", [region, credentials, *_of_account(context, deployed, root)]
    yield "Stack", [check_name(context), *_of_stack(context, deployed, root)]
    yield "Rules", [check_rules()]
    yield "What is deployed", [what_it_creates(deployed), what_it_costs()]


def _of_account(context: Context, deployed: dict[str, Any], root: Finding | None) -> list[Finding]:
    if root is not None:
        return [not_checked("concurrency", root.what, root.step)]
    return list(guarded("concurrency", lambda: [check_concurrency(context, recovery_at_once(deployed))]))


def _of_stack(context: Context, deployed: dict[str, Any], root: Finding | None) -> list[Finding]:
    if root is not None:
        return [not_checked(step, root.what, root.step) for step in ("stack", "names")]
    states: list[str] = []
    found = list(guarded("stack", lambda: [check_state(context, states)]))
    if not states and found[0].state is State.GOOD:
        found += guarded("names", lambda: [check_names(context, deployed)])
    return found


def check_region(context: Context) -> Finding:
    """Checks that a region is set and exists."""
    try:
        region = context.cloudformation.meta.region_name
    except NoRegionError:
        return Finding("region", State.BAD, "no region is set", "make deploy REGION=eu-west-1, or set AWS_REGION")
    names = context.session.get_available_regions("cloudformation", _partition(context, region))
    if region in names:
        return Finding("region", State.GOOD, region)
    fix = f"check the spelling. Regions: {', '.join(names)}"
    return Finding("region", State.UNKNOWN, f"{region} is not a region known to botocore", fix)


def _partition(context: Context, region: str) -> str:
    try:
        return context.session.get_partition_for_region(region)
    except BotoCoreError:
        return "aws"


def check_credentials(context: Context) -> Finding:
    """Checks that AWS accepts the credentials, and shows the identity."""
    try:
        identity = context.session.client("sts", config=AWS_CALLS).get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        failure = explained(error)
        what, fix = (failure.what, failure.fix) if failure else (str(error), "")
        refused = isinstance(error, NoCredentialsError) or (
            isinstance(error, ClientError) and error_code(error) in EXPIRED | {"SignatureDoesNotMatch"}
        )
        return Finding("credentials", State.BAD if refused else State.UNKNOWN, what, fix)
    return Finding("credentials", State.GOOD, f"account {identity['Account']}, {identity['Arn']}")


def check_name(context: Context) -> Finding:
    """Checks that the stack name is valid for all names that are derived from it."""
    name = context.stack_name
    fix = "set another stack_name in samconfig.toml, or choose another environment: make deploy CONFIG_ENV=prod"
    if not VALID_NAME.fullmatch(name):
        return Finding(
            "name", State.BAD, f"{name} is not a valid stack name: letters, digits and -, beginning with a letter", fix
        )
    if len(name) > LONGEST_NAME:
        what = f"{name} has {len(name)} characters; the limit is {LONGEST_NAME}, because functions are named after the stack"
        return Finding("name", State.BAD, what, fix)
    return Finding("name", State.GOOD, f"{name} ({len(name)} of at most {LONGEST_NAME} characters)")


def _names(deployed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The types and names of the unconditional resources that are named after the stack."""
    for resource in deployed["Resources"].values():
        for key, value in resource.get("Properties", {}).items():
            is_name = key in {"Name", "LogGroupName"} or resource["Type"].endswith(f"::{key.removesuffix('Name')}")
            name = STACK_NAME if value == "AWS::StackName" else value
            if is_name and "Condition" not in resource and isinstance(name, str) and STACK_NAME in name:
                yield resource["Type"], name


def check_state(context: Context, states: list[str]) -> Finding:
    """Checks that the stack can be created or updated; puts its state, if it exists, into `states`. Raises botocore's errors."""
    name = context.stack_name
    try:
        stacks = context.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        stacks = []
    states += [stack["StackStatus"] for stack in stacks if stack["StackStatus"] not in NO_STACK]
    if not states:
        return Finding("stack", State.GOOD, f"{name} does not exist and will be created")
    [state] = states
    at = f"--stack-name {name} --region {context.cloudformation.meta.region_name}"
    if state in DELETE_FIRST:
        fix = f"delete it, then deploy again: aws cloudformation delete-stack {at}"
        return Finding("stack", State.BAD, f"{name} is in state {state} and cannot be updated", fix)
    if state == "UPDATE_ROLLBACK_FAILED":
        fix = f"complete the rollback: aws cloudformation continue-update-rollback {at}"
        return Finding("stack", State.BAD, f"{name} is in state {state} and cannot be updated", fix)
    if state.endswith("_IN_PROGRESS"):
        what = f"{name} is in state {state}: another deployment is running"
        return Finding("stack", State.BAD, what, "wait until it has finished, then deploy again", Who.NOBODY)
    return Finding("stack", State.GOOD, f"{name} exists ({state}) and will be updated")


def check_names(context: Context, deployed: dict[str, Any]) -> Finding:
    """Checks that no resource has a name that a new stack needs. Raises botocore's errors."""
    region = context.cloudformation.meta.region_name
    names: dict[str, list[str]] = {}
    for kind, name in _names(deployed):
        names.setdefault(kind, []).append(
            name.replace(STACK_NAME, context.stack_name).replace("${AWS::Region}", region)
        )
    taken = [f"{NOUNS[kind]} {name}" for kind, of_kind in names.items() for name in _taken(context, kind, of_kind)]
    if taken:
        return Finding(
            "names",
            State.BAD,
            f"taken already, so the stack cannot be created: {', '.join(taken)}",
            "set another stack_name in samconfig.toml, or delete them if they are left from an old stack",
        )
    return Finding("names", State.GOOD, "no queue, function, bus, log group, alarm or dashboard has one of its names")


def _taken(context: Context, kind: str, names: list[str]) -> list[str]:
    """The names that a resource of this type already has."""
    if kind == "AWS::CloudWatch::Alarm":
        return [alarm["AlarmName"] for alarm in context.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]]
    describe: dict[str, Callable[[str], Any]] = {
        "AWS::Serverless::Function": lambda name: context.functions.get_function_configuration(FunctionName=name),
        "AWS::SQS::Queue": lambda name: context.sqs.get_queue_url(QueueName=name),
        "AWS::Events::EventBus": lambda name: context.session.client("events", config=AWS_CALLS).describe_event_bus(
            Name=name
        ),
        "AWS::CloudWatch::Dashboard": lambda name: context.cloudwatch.get_dashboard(DashboardName=name),
        "AWS::Logs::LogGroup": lambda name: context.logs.describe_log_streams(logGroupName=name, limit=1),
    }
    return [name for name in names if kind in describe and _is_there(describe[kind], name)]


def _is_there(describe: Callable[[str], Any], name: str) -> bool:
    try:
        describe(name)
    except ClientError as error:
        if error_code(error) in ABSENT:
            return False
        raise
    return True


def check_rules() -> Finding:
    """Checks that this folder's rules are valid."""
    try:
        Rules.load(RULES_FILE)
    except ConfigurationError as error:
        return Finding("rules", State.BAD, str(error), f"correct {RULES}, then: make check-rules")
    return Finding("rules", State.GOOD, f"{RULES} is valid")


def what_it_creates(deployed: dict[str, Any]) -> Finding:
    """The resources of a stack with default parameters."""
    kinds = Counter(each["Type"] for each in deployed["Resources"].values() if "Condition" not in each)
    parts = [counted(kinds[kind], noun) for kind, noun in NOUNS.items() if kinds[kind]]
    return Finding("creates", State.GOOD, f"with default parameters: {', '.join(parts)}")


def what_it_costs() -> Finding:
    """What a month costs, as in docs/architecture.md."""
    return Finding(
        "costs",
        State.GOOD,
        "about 20 dollars a month with 1,000 orders, 22 with 100,000, by AWS's list prices in us-east-1 "
        "(docs/architecture.md, Costs)",
    )


def recovery_at_once(deployed: dict[str, Any]) -> int:
    """RecoveryFunction's default maximum concurrency in the template."""
    source = deployed["Resources"]["RecoveryFunction"]["Properties"]["Events"]["LateOrders"]["Properties"]
    value = source["ScalingConfig"]["MaximumConcurrency"]
    return int(deployed["Parameters"][value]["Default"] if isinstance(value, str) else value)
