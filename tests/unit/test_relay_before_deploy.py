"""Each check of `relay doctor --before-deploy`: well, wrong, or not known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError, UnknownRegionError

from documents import template
from relay import preflight
from relay.checks import Finding, State, Who
from relay.context import Context
from support.account import FakeCloudFormation, aws_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REGIONS = ["eu-west-1", "us-east-1"]
ALARM = "b2b-order-relay-dead-letters"


class Session:
    """An account without a stack. `errors` are raised by a service's every call, or by the making of its client."""

    def __init__(self) -> None:
        self.cloudformation = FakeCloudFormation()
        self.limit = 1000
        self.names: set[str] = set()
        self.errors: dict[str, Exception] = {}

    def client(self, service: str, **_: Any) -> Any:
        if service == "cloudformation":
            if service in self.errors:
                raise self.errors[service]
            return self.cloudformation

        def described(absent: str) -> Callable[..., Any]:
            def describe(**named: str) -> dict[str, Any]:
                if service in self.errors:
                    raise self.errors[service]
                if not self.names.intersection(str(value) for value in named.values()):
                    raise aws_error(absent)
                return {}

            return describe

        if service == "sts":
            return SimpleNamespace(get_caller_identity=self.identity)
        if service == "lambda":
            return SimpleNamespace(
                get_account_settings=self.settings,
                get_function_configuration=described("ResourceNotFoundException"),
                meta=self.cloudformation.meta,
            )
        return SimpleNamespace(
            get_queue_url=described("AWS.SimpleQueueService.NonExistentQueue"),
            describe_event_bus=described("ResourceNotFoundException"),
            get_dashboard=described("ResourceNotFound"),
            describe_log_streams=described("ResourceNotFoundException"),
            describe_alarms=lambda AlarmNames: {  # noqa: N803  boto3's name
                "MetricAlarms": [{"AlarmName": name} for name in AlarmNames if name in self.names]
            },
        )

    def identity(self) -> dict[str, str]:
        if "sts" in self.errors:
            raise self.errors["sts"]
        return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/a"}

    def settings(self) -> dict[str, Any]:
        if "lambda" in self.errors:
            raise self.errors["lambda"]
        return {"AccountLimit": {"ConcurrentExecutions": self.limit}}

    def get_available_regions(self, _service: str, partition: str) -> list[str]:
        return REGIONS if partition == "aws" else ["cn-north-1"]

    def get_partition_for_region(self, region: str) -> str:
        if region == "nowhere":
            raise UnknownRegionError(region_name=region, error_msg="no")
        return "aws-cn" if region.startswith("cn-") else "aws"


@pytest.fixture
def session() -> Session:
    return Session()


def relay_cli_of(session: Session, name: str = "b2b-order-relay") -> Context:
    return Context(cast("Any", session), name, False, lambda: 0.0, lambda _: None)


def found(session: Session, name: str = "b2b-order-relay") -> dict[str, Finding]:
    return {f.step: f for _, findings in preflight.sections(relay_cli_of(session, name)) for f in findings}


def test_an_account_in_which_a_stack_can_be_made_is_well(session: Session) -> None:
    findings = found(session)

    assert {step: f.state for step, f in findings.items()} == dict.fromkeys(
        ("region", "credentials", "concurrency", "name", "stack", "names", "rules", "creates", "costs"), State.GOOD
    )
    assert "account 123456789012" in findings["credentials"].what
    assert "will be created" in findings["stack"].what


@pytest.mark.parametrize(
    ("region", "state"), [("eu-west-1", State.GOOD), ("cn-north-1", State.GOOD), ("eu-west-9", State.UNKNOWN), ("nowhere", State.UNKNOWN)]
)  # fmt: skip
def test_a_region_that_nobody_knows_is_told_and_aws_is_asked(session: Session, region: str, state: State) -> None:
    session.cloudformation.meta.region_name = region

    findings = found(session)

    assert findings["region"].state is state
    assert findings["credentials"].state is State.GOOD


def test_without_a_region_nothing_of_aws_is_looked_at(session: Session) -> None:
    session.errors["cloudformation"] = NoRegionError()

    findings = found(session)

    assert findings["region"].state is State.BAD
    assert "REGION=eu-west-1" in findings["region"].fix
    for step in ("credentials", "concurrency", "stack", "names"):
        assert (findings[step].state, findings[step].because) == (State.UNKNOWN, "region")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NoCredentialsError(), State.BAD),
        (aws_error("ExpiredToken"), State.BAD),
        (aws_error("SignatureDoesNotMatch"), State.BAD),
        (aws_error("AccessDenied"), State.UNKNOWN),
        (EndpointConnectionError(endpoint_url="https://sts"), State.UNKNOWN),
    ],
)
def test_credentials_that_aws_refuses_are_wrong_and_the_rest_follows(
    session: Session, error: Exception, state: State
) -> None:
    session.errors["sts"] = error

    findings = found(session)

    assert findings["credentials"].state is state
    assert findings["credentials"].what
    assert {findings[step].because for step in ("concurrency", "stack", "names")} == {"credentials"}


@pytest.mark.parametrize(("limit", "state"), [(5, State.BAD), (10, State.UNKNOWN), (1000, State.GOOD)])
def test_a_new_accounts_concurrency_is_no_obstacle_but_is_told(session: Session, limit: int, state: State) -> None:
    session.limit = limit

    assert found(session)["concurrency"].state is state


@pytest.mark.parametrize(
    ("service", "step"), [("lambda", "concurrency"), ("sqs", "names"), ("events", "names"), ("logs", "names")]
)
def test_what_the_role_may_not_look_at_is_not_known(session: Session, service: str, step: str) -> None:
    session.errors[service] = aws_error("AccessDeniedException")

    finding = found(session)[step]

    assert finding.state is State.UNKNOWN
    assert "AccessDeniedException" in finding.what


def test_a_stack_that_the_role_may_not_describe_is_not_known(session: Session) -> None:
    session.cloudformation.errors["describe_stacks"] = aws_error("AccessDenied")

    findings = found(session)

    assert findings["stack"].state is State.UNKNOWN
    assert "names" not in findings  # they may be the stack's own


@pytest.mark.parametrize(
    ("name", "state"),
    [("a" * 41, State.GOOD), ("a" * 42, State.BAD), ("1st", State.BAD), ("order_relay", State.BAD)],
)
def test_a_stacks_name_must_fit_into_the_names_made_from_it(session: Session, name: str, state: State) -> None:
    assert found(session, name)["name"].state is state


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ("REVIEW_IN_PROGRESS", State.GOOD, "will be created"),
        ("CREATE_COMPLETE", State.GOOD, "will be updated"),
        ("UPDATE_ROLLBACK_COMPLETE", State.GOOD, "will be updated"),
        ("ROLLBACK_COMPLETE", State.BAD, "aws cloudformation delete-stack --stack-name b2b-order-relay --region us-east-1"),
        ("DELETE_FAILED", State.BAD, "delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", State.BAD, "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", State.BAD, "another deployment is running"),
    ],
)  # fmt: skip
def test_a_stack_that_cannot_be_updated_is_wrong(session: Session, status: str, state: State, words: str) -> None:
    session.cloudformation.status = status

    findings = found(session)

    stack = findings["stack"]
    assert stack.state is state
    assert words in stack.what + stack.fix
    assert stack.who is (Who.NOBODY if status == "UPDATE_IN_PROGRESS" else Who.YOU)
    assert ("names" in findings) is (status == "REVIEW_IN_PROGRESS")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("b2b-order-relay-order", "function b2b-order-relay-order"),
        ("b2b-order-relay-recovery", "queue b2b-order-relay-recovery"),
        ("b2b-order-relay", "event bus b2b-order-relay"),
        ("/aws/lambda/b2b-order-relay-order", "log group /aws/lambda/b2b-order-relay-order"),
        (ALARM, f"alarm {ALARM}"),
        ("b2b-order-relay-us-east-1", "dashboard b2b-order-relay-us-east-1"),
    ],
)
def test_a_name_that_is_taken_prevents_a_new_stack(session: Session, name: str, shown: str) -> None:
    session.names.add(name)

    finding = found(session)["names"]

    assert finding.state is State.BAD
    assert shown in finding.what


def test_a_taken_name_of_an_optional_resource_prevents_nothing(session: Session) -> None:
    session.names.add("CodeDeployHook_b2b-order-relay-release")

    assert found(session)["names"].state is State.GOOD


def test_rules_that_are_invalid_are_wrong(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tmp_path / "enrichment.toml"
    rules.write_text("[al", encoding="utf-8")
    monkeypatch.setattr(preflight, "RULES_FILE", rules)

    assert found(session)["rules"].state is State.BAD


def test_what_is_created_is_counted_in_the_template(session: Session) -> None:
    resources = template.read()["Resources"].values()
    alarms = [r for r in resources if r["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in r]

    what = found(session)["creates"].what

    assert f"{len(alarms)} alarms" in what
    assert "2 queues" in what


def test_the_costs_are_those_of_the_document(session: Session) -> None:
    text = (template.TEMPLATE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    total = next(line for line in text.splitlines() if line.startswith("| **all**"))
    small, large = (float(cell.strip("* ")) for cell in total.split("|")[2:4])

    what = found(session)["costs"].what

    assert f"about {small:.0f} dollars a month with 1,000 orders, {large:.0f} with 100,000" in what


def test_the_late_paths_concurrency_is_the_templates() -> None:
    def limited_to(limit: Any) -> dict[str, Any]:
        source = {"Properties": {"ScalingConfig": {"MaximumConcurrency": limit}}}
        function = {"Properties": {"Events": {"LateOrders": source}}}
        return {"Resources": {"RecoveryFunction": function}, "Parameters": {"RecoveryConcurrency": {"Default": 3}}}

    assert preflight.recovery_at_once(limited_to(7)) == 7
    assert preflight.recovery_at_once(limited_to("RecoveryConcurrency")) == 3
