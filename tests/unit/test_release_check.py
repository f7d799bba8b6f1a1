"""The check of a new release: what it asks, what it tells CodeDeploy, and that it always tells something."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from handler import release_check
from handler.release_check import PROBES, check_release
from support.aws import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.telemetry import Written

ORDER, RECOVERY = "arn:order:7", "arn:recovery:7"
EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "h-1"}


class Aws:
    """Lambda and CodeDeploy. `answers` by version and order of asking."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {
            ORDER: [{"statusCode": 400, "body": "..."}, None],
            RECOVERY: [{"batchItemFailures": []}],
        }
        self.crashing: set[str] = set()
        self.error: Exception | None = None
        self.told: list[dict[str, str]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803  boto3's names
        assert json.loads(Payload) in [probe.event for probe in PROBES]
        if self.error is not None:
            raise self.error
        words = json.dumps(self.answers[FunctionName].pop(0))
        failed = {"FunctionError": "Unhandled"} if FunctionName in self.crashing else {}
        return {"Payload": io.BytesIO(words.encode())} | failed

    def put_lifecycle_event_hook_execution_status(self, **told: str) -> None:
        self.told.append(told)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    aws = Aws()
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws)
    monkeypatch.setenv("ORDER_FUNCTION_VERSION", ORDER)
    monkeypatch.setenv("RECOVERY_FUNCTION_VERSION", RECOVERY)
    return aws


def told(status: str) -> list[dict[str, str]]:
    return [{"deploymentId": "d-1", "lifecycleEventHookExecutionId": "h-1", "status": status}]


def test_a_release_that_answers_as_it_should_gets_traffic(aws: Aws) -> None:
    assert check_release(EVENT, None) == "Succeeded"  # type: ignore[arg-type]  # no part of it is used
    assert aws.told == told("Succeeded")
    assert aws.answers == {ORDER: [], RECOVERY: []}


def crashes(aws: Aws) -> None:
    aws.crashing.add(RECOVERY)


def accepts_what_is_no_webhook(aws: Aws) -> None:
    aws.answers[ORDER][0] = {"statusCode": 200}


def works_on_another_scope(aws: Aws) -> None:
    aws.answers[ORDER][1] = {"outcome": "created"}


def keeps_messages(aws: Aws) -> None:
    aws.answers[RECOVERY][0] = {"batchItemFailures": [{"itemIdentifier": "1"}]}


def cannot_be_invoked(aws: Aws) -> None:
    aws.error = refusal("ResourceConflictException")


@pytest.mark.parametrize(
    "trouble", [crashes, accepts_what_is_no_webhook, works_on_another_scope, keeps_messages, cannot_be_invoked]
)
def test_a_release_that_does_not_gets_none(aws: Aws, written: Written, trouble: Callable[[Aws], None]) -> None:
    trouble(aws)

    assert check_release(EVENT, None) == "Failed"  # type: ignore[arg-type]
    assert aws.told == told("Failed")
    assert [line["level"] for line in written.log if line["level"] == "ERROR"]


def test_a_check_that_does_not_know_the_versions_says_no(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDER_FUNCTION_VERSION")

    assert check_release(EVENT, None) == "Failed"  # type: ignore[arg-type]
    assert aws.told == told("Failed")


def test_all_that_is_wrong_is_logged_and_no_more_of_it_than_is_good(aws: Aws, written: Written) -> None:
    aws.answers = {ORDER: [{"errorMessage": "x" * 5000}, {}], RECOVERY: [None]}

    check_release(EVENT, None)  # type: ignore[arg-type]

    wrong = [line for line in written.log if line["level"] == "ERROR"]
    assert [line["version"] for line in wrong] == [ORDER, ORDER, RECOVERY]
    assert all(len(line["answer"]) <= release_check.LONGEST_ANSWER for line in wrong)


def test_a_report_that_codedeploy_does_not_take_is_an_error_of_the_function(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: str) -> None:
        raise refusal("LifecycleEventAlreadyCompletedException")

    monkeypatch.setattr(aws, "put_lifecycle_event_hook_execution_status", refuse)

    with pytest.raises(Exception, match="LifecycleEventAlreadyCompleted"):
        check_release(EVENT, None)  # type: ignore[arg-type]
