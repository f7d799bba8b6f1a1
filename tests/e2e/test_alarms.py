"""Two alarms from end to end: what the deployed functions and queues do, the alarm as deployed, and who is told."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from e2e.test_relay import wait_for
from handler.telemetry import NAMESPACE, Metric
from sandbox.aws.cloud import Cloud
from sandbox.demo.scenarios import Stage, demo_store, play_webhook, secret_of
from sandbox.store import faults
from sandbox.store.server import SandboxStore
from support.alarm_metrics import lambda_samples, publish, queue_samples, samples, states
from support.operator import WRONG, Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = {"RecoveryFirstDelaySeconds": "1", "RecoveryLongestDelaySeconds": "2", "LateRequestsPerMinute": "150"}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(demo_store())
        with Cloud(PARAMETERS | {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}) as cloud:
            cloud.put_secret(store.hash, secret_of(store))
            yield Stage(sandbox, cloud, store)


@pytest.fixture(scope="module")
def inbox(stage: Stage) -> str:
    """A queue that gets what `AlarmEmail` would get."""
    resources = stage.cloud.client("cloudformation").describe_stack_resources(StackName=stage.cloud.stack)
    [topic] = [r["PhysicalResourceId"] for r in resources["StackResources"] if r["LogicalResourceId"] == "AlarmTopic"]
    url = str(stage.cloud.client("sqs").create_queue(QueueName="inbox")["QueueUrl"])
    arn = "arn:aws:sqs:us-east-1:000000000000:inbox"
    stage.cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def mails(stage: Stage, inbox: str) -> list[dict[str, Any]]:
    received = stage.cloud.client("sqs").receive_message(QueueUrl=inbox, MaxNumberOfMessages=10).get("Messages", [])
    for message in received:
        stage.cloud.client("sqs").delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(json.loads(message["Body"])["Message"]) for message in received]


def test_a_dead_letter_rings_until_it_is_redriven(stage: Stage, inbox: str) -> None:
    operator = Operator(stage)
    refused = play_webhook(
        faults.status(422, body={"code": 422, "data": {}, "meta": {"message": "Cost Center is required"}}), times=1
    )(stage)
    wait_for(lambda: len(stage.cloud.dead_letters()) == 1)
    # Nearly a minute old already, so that it is out of the alarm's sight when the next one comes.
    publish(stage.cloud, queue_samples(stage.cloud, time.time() - 57))

    assert states(stage.cloud)["dead-letters"] == "ALARM"
    [mail] = mails(stage, inbox)
    assert (mail["AlarmName"], mail["NewStateValue"]) == (f"{stage.cloud.stack}-dead-letters", "ALARM")
    assert mail["AlarmDescription"].endswith("What to do: docs/runbook.md#dead-letters-are-waiting")
    assert "dead-letters has been in ALARM" in " ".join(operator.says("doctor", code=WRONG).split())

    operator.says("failed redrive --all")
    wait_for(lambda: refused.record)
    wait_for(lambda: stage.cloud.queue_depths()["DeadLetterQueue"] == (0, 0))
    time.sleep(3)
    publish(stage.cloud, queue_samples(stage.cloud, time.time()))

    assert states(stage.cloud)["dead-letters"] == "OK"
    assert [mail["NewStateValue"] for mail in mails(stage, inbox)] == ["OK"]


def test_a_refused_token_rings_by_the_functions_own_metrics(stage: Stage, inbox: str) -> None:
    operator = Operator(stage)
    play_webhook()(stage)
    wait_for(lambda: Metric.ORDER_CREATED in {sample.name for sample in samples(stage.cloud)})
    publish(stage.cloud, samples(stage.cloud))
    assert states(stage.cloud)["unauthorized"] == "INSUFFICIENT_DATA"

    the_secrets = stage.store.access_token
    stage.sandbox.configure(stage.store, access_token="renewed-access-token")
    play_webhook()(stage)
    wait_for(lambda: Metric.UNAUTHORISED in {sample.name for sample in samples(stage.cloud)})
    publish(stage.cloud, samples(stage.cloud))

    assert states(stage.cloud)["unauthorized"] == "ALARM"
    assert f"{stage.cloud.stack}-unauthorized" in {mail["AlarmName"] for mail in mails(stage, inbox)}
    said = " ".join(operator.says("doctor", code=WRONG).split())
    assert "unauthorized has been in ALARM" in said
    assert "HTTP 401" in said
    stage.sandbox.configure(stage.store, access_token=the_secrets)


def test_the_metrics_carry_the_dimension_that_the_alarms_look_for(stage: Stage) -> None:
    play_webhook()(stage)
    ours = wait_for(lambda: [sample for sample in samples(stage.cloud) if sample.namespace == NAMESPACE])

    assert {dict(sample.dimensions)["service"] for sample in ours} == {stage.cloud.stack}
    described = stage.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    dimensions = [alarm["Dimensions"] for alarm in described if alarm["Namespace"] == NAMESPACE]
    assert len(dimensions) > 5
    assert all(each == [{"Name": "service", "Value": stage.cloud.stack}] for each in dimensions)


def test_what_the_emulator_does_not_measure_of_triggered_functions_stands_in_their_logs(stage: Stage) -> None:
    played = play_webhook(automatic_record_after=None)(stage)
    wait_for(lambda: played.record)

    measured = wait_for(lambda: lambda_samples(stage.cloud))

    assert {sample.name for sample in measured} == {"Invocations", "Duration"}
    assert all(sample.value > 0 for sample in measured)
