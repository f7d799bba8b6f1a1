"""What AWS would have measured: the functions' metrics out of their logs, and the queues' own, put into the emulator.

On AWS, CloudWatch reads embedded metrics out of the logs by itself, and SQS measures its queues every minute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.aws.cloud import Cloud

FUNCTIONS = ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
MOST_AT_ONCE = 100
REPORT = re.compile(r"REPORT RequestId: \S+\s+Duration: ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric; `at` in unix seconds."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    value: float
    at: float


def samples_of(entry: dict[str, Any]) -> Iterator[Sample]:
    """What CloudWatch makes of a log line: nothing, unless it is in embedded metric format."""
    if "_aws" not in entry:
        return
    at = entry["_aws"]["Timestamp"] / 1000
    for group in entry["_aws"]["CloudWatchMetrics"]:
        for names in group["Dimensions"]:
            dimensions = tuple((name, str(entry[name])) for name in names)
            for metric in group["Metrics"]:
                values = entry[metric["Name"]]
                for value in values if isinstance(values, list) else [values]:
                    yield Sample(group["Namespace"], metric["Name"], dimensions, metric["Unit"], value, at)


def samples(cloud: Cloud) -> list[Sample]:
    """All that the functions have measured so far."""
    return [sample for entry in cloud.log_entries(*FUNCTIONS) for sample in samples_of(entry)]


def queue_samples(cloud: Cloud, at: float) -> list[Sample]:
    """What SQS measures of both queues at this moment."""
    found = []
    for queue, (visible, hidden) in cloud.queue_depths().items():
        name = cloud.outputs[f"{queue}Url"].rpartition("/")[2]
        for metric, value in (("Visible", visible), ("NotVisible", hidden)):
            full_name = f"ApproximateNumberOfMessages{metric}"
            found.append(Sample("AWS/SQS", full_name, (("QueueName", name),), "Count", value, at))
    return found


def lambda_samples(cloud: Cloud) -> list[Sample]:
    """What Lambda measures of OrderFunction and RecoveryFunction, by the REPORT lines of their logs.

    The emulator keeps these metrics for functions that are invoked through Lambda's API, and not for triggers.
    """
    cloud.log_follower.refresh()
    found = []
    for function in ("OrderFunction", "RecoveryFunction"):
        name = cloud.outputs[f"{function}Name"]
        for at_ms, message in cloud.log_follower.events(function):
            if report := REPORT.match(message):
                dimensions = (("FunctionName", name),)
                at, milliseconds = at_ms / 1000, float(report.group(1))
                found.append(Sample("AWS/Lambda", "Invocations", dimensions, "Count", 1.0, at))
                found.append(Sample("AWS/Lambda", "Duration", dimensions, "Milliseconds", milliseconds, at))
    return found


def publish(cloud: Cloud, found: Iterable[Sample]) -> None:
    """Puts the samples into the emulator's CloudWatch, which looks at its alarms then."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for sample in found:
        by_namespace.setdefault(sample.namespace, []).append(
            {
                "MetricName": sample.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in sample.dimensions],
                "Unit": sample.unit,
                "Value": sample.value,
                "Timestamp": datetime.fromtimestamp(sample.at, UTC),
            }
        )
    for namespace, data in by_namespace.items():
        for begin in range(0, len(data), MOST_AT_ONCE):
            cloud.client("cloudwatch").put_metric_data(
                Namespace=namespace, MetricData=data[begin : begin + MOST_AT_ONCE]
            )


def states(cloud: Cloud) -> dict[str, str]:
    """The state of each of the stack's alarms, by what its name ends with."""
    pages = cloud.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{cloud.stack}-")
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return {alarm["AlarmName"].removeprefix(f"{cloud.stack}-"): alarm["StateValue"] for alarm in alarms}
