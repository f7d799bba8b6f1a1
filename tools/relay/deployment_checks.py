"""Findings about the deployment itself: stack, webhook URL, queues, alarms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from handler.deadline import Deadline
from handler.errors import RetryLater
from handler.telemetry import NAMESPACE, Metric
from relay.checks import PROBE_SECONDS, Finding, State
from relay.stack import HEALTHY
from relay.timespan import rough

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.desk import Desk

MALFORMED = 400
LONGEST_PAUSE = timedelta(minutes=75)
"""Between two tries of a late order."""

OLD_SECONDS = 1800.0
"""A late order usually takes minutes; one that has waited for longer than this is worth a look."""


def check_stack(desk: Desk) -> Finding:
    """Whether the last deployment went well."""
    stack = desk.stack
    if stack.status in HEALTHY:
        return Finding("stack", State.GOOD, f"{stack.name} is there and complete ({stack.status})")
    return Finding(
        "stack",
        State.DOUBTFUL,
        f"{stack.name} is in state {stack.status}: what runs may not be what was deployed last",
        "Look at its events in the CloudFormation console, then deploy again: make deploy.",
    )


def check_endpoint(desk: Desk, url: str) -> Finding:
    """Whether the relay answers at the webhook URL: an empty object is no webhook, and it says so."""
    mend = "Check the URL, its DNS name and certificate, and the API in the API Gateway console."
    try:
        answer = desk.transport.call("POST", url, {}, Deadline.after(PROBE_SECONDS, desk.clock), body={})
    except RetryLater as error:
        return Finding("webhook URL", State.BAD, f"{url} does not answer ({error.detail})", mend)
    if answer.status == MALFORMED:
        return Finding("webhook URL", State.GOOD, "the relay answers there")
    return Finding(
        "webhook URL", State.BAD, f"{url} answers HTTP {answer.status}, and not as the relay does (400)", mend
    )


def check_queues(desk: Desk) -> Iterator[Finding]:
    """How many orders wait, and since when."""
    settings = desk.settings
    waiting, age = _depth(desk, settings.recovery_queue_url), _oldest_late_seconds(desk)
    old = age is not None and age > OLD_SECONDS and waiting > 0
    yield Finding(
        "late orders",
        State.DOUBTFUL if old else State.GOOD,
        f"{waiting} in the recovery queue{_since(waiting, age)}" if waiting else "none",
        "Why they wait: relay status ORDER --store STORE" if old else "",
    )
    dead, age = _depth(desk, settings.dead_letter_queue_url), _oldest_seconds(desk, settings.dead_letter_queue_url)
    yield Finding(
        "dead letters",
        State.BAD if dead else State.GOOD,
        f"{dead} orders wait for a person{_since(dead, age)}" if dead else "none",
        "See them: relay failed list. Once mended: relay failed redrive" if dead else "",
    )


def check_alarms(desk: Desk) -> Iterator[Finding]:
    """Which of the stack's alarms ring."""
    pages = desk.cloudformation.get_paginator("list_stack_resources").paginate(StackName=desk.stack.name)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    names = [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::CloudWatch::Alarm"]
    if not names:
        yield Finding("alarms", State.DOUBTFUL, "the stack has no alarms", "Deploy again: make deploy.")
        return
    alarms = desk.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    ringing = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    for alarm in ringing:
        since = (datetime.fromtimestamp(desk.clock(), UTC) - alarm["StateUpdatedTimestamp"]).total_seconds()
        yield Finding(
            "alarms",
            State.BAD,
            f"{alarm['AlarmName']} has been ringing for {rough(since)}",
            alarm.get("AlarmDescription", "") or "docs/runbook.md has a section for it.",
        )
    if not ringing:
        waiting = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in alarms)
        unsure = f" ({waiting} have no data yet)" if waiting else ""
        yield Finding("alarms", State.GOOD, f"none of {len(alarms)} rings{unsure}")


def _depth(desk: Desk, url: str) -> int:
    attributes = desk.sqs.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )["Attributes"]
    return sum(int(count) for count in attributes.values())


def _oldest_late_seconds(desk: Desk) -> float | None:
    """The age of the oldest late order: as RecoveryFunction last saw it, or of those that it has hardly touched.

    SQS's own figure leaves out what was received more than three times, which is every order that waits for long.
    """
    seen = _last_maximum(desk, NAMESPACE, Metric.LATE_ORDER_AGE, ("service", desk.stack.name), LONGEST_PAUSE)
    ages = [age for age in (seen, _oldest_seconds(desk, desk.settings.recovery_queue_url)) if age is not None]
    return max(ages, default=None)


def _oldest_seconds(desk: Desk, url: str) -> float | None:
    """The age of the queue's oldest message as CloudWatch last saw it, or None when it has not."""
    queue = ("QueueName", url.rpartition("/")[2])
    return _last_maximum(desk, "AWS/SQS", "ApproximateAgeOfOldestMessage", queue, timedelta(minutes=15))


def _last_maximum(desk: Desk, namespace: str, metric: str, dimension: tuple[str, str], back: timedelta) -> float | None:
    now = datetime.fromtimestamp(desk.clock(), UTC)
    points = desk.cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": dimension[0], "Value": dimension[1]}],
        StartTime=now - back,
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None


def _since(count: int, age: float | None) -> str:
    if not count:
        return ""
    return (
        "; for how long is not known yet (CloudWatch has no data)" if age is None else f", the oldest for {rough(age)}"
    )
