"""What a month of the relay costs on AWS, for three sizes, from list prices, the template and what was measured.

Nothing here was billed by anybody: durations are the relay's own work as `make bench` measured it, scaled to the function's
share of a processor, plus assumed waiting for the APIs and for AWS. The free tier is not taken off.
`make costs` puts the tables into docs/architecture.md.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from documents import generated, prices, template
from handler.telemetry import Metric

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"

HOURS = 730.0
SECONDS = HOURS * 3600
DAYS = HOURS / 24
GB = 1e9


@dataclass(frozen=True)
class Assumed:
    """What no bench can say. Each line stands in the document, too."""

    api_seconds: float = 0.5
    """For each call of the store's API and of the B2B API, as seen by the function."""
    aws_seconds: float = 0.01
    """For each call of an AWS service."""
    delivered_twice: float = 0.02
    late: float = 0.01
    late_tries: float = 2.0
    environment_kept_seconds: float = 600.0
    """How long Lambda keeps an idle environment; AWS promises nothing."""
    least_cold: float = 0.01
    peak: float = 3.0
    """The busiest time, as a multiple of the average."""
    lambda_log_bytes: int = 350
    """START, END and REPORT of an invocation."""
    logs_compressed_to: float = 0.15
    item_bytes: int = 350
    sent_bytes: int = 2_000
    """Out of AWS, for an order: the requests to both APIs and the answer to the webhook."""
    full_processor_mb: float = 1769.0
    """Lambda: the memory that comes with a whole virtual processor."""


@dataclass(frozen=True)
class Size:
    """How many orders a month, of how many stores."""

    orders: int
    stores: int

    @property
    def per_second(self) -> float:
        """Orders, on average."""
        return self.orders / SECONDS


SIZES = (Size(1_000, 1), Size(100_000, 1), Size(10_000_000, 20))
"""Ten million orders a month are 228 a minute: more than one store's 150 requests a minute allow."""


class Deployment:
    """What of the template costs money by being there."""

    def __init__(self, template: dict[str, Any]) -> None:
        self._resources: dict[str, dict[str, Any]] = template["Resources"]
        self._parameters = template["Parameters"]
        memory = template["Globals"]["Function"]["MemorySize"]
        self.memory_mb = float(memory) if isinstance(memory, int) else self.default(memory)
        self.memory_gb = self.memory_mb / 1024

    def default(self, parameter: str) -> float:
        """The default of a parameter that is a number."""
        return float(self._parameters[parameter]["Default"])

    def count(self, kind: str) -> int:
        """How many resources of this type every deployment has."""
        return len(self._of(kind))

    def metrics_in_alarms(self) -> int:
        """An alarm on an expression costs as much as each of the metrics in it."""
        return sum(
            sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1
            for alarm in self._of("AWS::CloudWatch::Alarm")
        )

    def custom_metrics(self) -> int:
        """Every metric of the functions, one ColdStart for each of them, and the API's by method if they are wanted."""
        of_the_api = sum(
            any(setting.get("MetricsEnabled") for setting in api.get("MethodSettings", []))
            for api in self._of("AWS::Serverless::Api")
        )
        return len(Metric) + self.count("AWS::Serverless::Function") + 5 * of_the_api

    def _of(self, kind: str) -> list[dict[str, Any]]:
        found = [resource for resource in self._resources.values() if resource["Type"] == kind]
        return [resource.get("Properties", {}) for resource in found if "Condition" not in resource]


def measured() -> dict[str, Any]:
    """The function's own work (ms) and what it writes (bytes), for a webhook and for an order; and its start (ms)."""
    results = ROOT / "bench" / "results"
    warm = json.loads((results / "warm_path.json").read_text(encoding="utf-8"))
    cold = json.loads((results / "cold_start.json").read_text(encoding="utf-8"))
    return {"own_work_ms": warm["own_work_ms"], "log_bytes": warm["log_bytes"], "start_ms": cold["as_built_ms"]}


def costs(size: Size, deployment: Deployment, assumed: Assumed, found: dict[str, Any]) -> dict[str, float]:
    """Dollars a month, by service."""
    slower = assumed.full_processor_mb / deployment.memory_mb
    webhook_seconds = found["own_work_ms"]["webhook"] / 1000 * slower + assumed.aws_seconds
    order_seconds = found["own_work_ms"]["order"] / 1000 * slower + 2 * assumed.aws_seconds + 2 * assumed.api_seconds
    late_seconds = order_seconds + assumed.api_seconds  # the record is read first
    webhooks = size.orders * (1 + assumed.delivered_twice)
    tries = size.orders * assumed.late * assumed.late_tries
    looks = SECONDS / 60 / deployment.default("ReconcileEveryMinutes")
    look_seconds = size.stores * 2 * assumed.api_seconds
    # An environment that is kept for ten minutes is gone when no order came meanwhile.
    cold = max(assumed.least_cold, math.exp(-size.per_second * assumed.environment_kept_seconds))
    starts = webhooks * cold + tries + looks
    invocations = 2 * webhooks + tries + looks
    gb_seconds = deployment.memory_gb * (
        webhooks * webhook_seconds
        + size.orders * order_seconds
        + size.orders * assumed.delivered_twice * assumed.aws_seconds
        + tries * late_seconds
        + looks * look_seconds
        + starts * found["start_ms"] / 1000
    )
    environments = max(1.0, assumed.peak * size.per_second * (webhook_seconds + order_seconds))
    log_gb = (
        webhooks * found["log_bytes"]["webhook"]
        + (webhooks + tries) * found["log_bytes"]["order"]
        + invocations * assumed.lambda_log_bytes
    ) / GB
    event_gb = webhooks * len((ROOT / "events" / "bus-order.json").read_bytes()) / GB
    writes = 2 * size.orders + size.orders * assumed.delivered_twice + 4 * tries + starts + looks * size.stores
    reads = 2 * size.orders + looks * 2 * size.stores
    polls = 5 * SECONDS / 20  # Lambda keeps five long polls open on an idle queue
    secret_reads = min(2 * webhooks, environments * size.stores * SECONDS / 300) + starts
    kept_months = deployment.default("RememberDoneDays") / DAYS
    return {
        "API Gateway": webhooks * prices.API_REQUEST.dollars,
        "Lambda": invocations * prices.LAMBDA_REQUEST.dollars + gb_seconds * prices.LAMBDA_GB_SECOND.dollars,
        "EventBridge, with archive": webhooks * prices.CUSTOM_EVENT.dollars
        + event_gb * prices.ARCHIVED_GB.dollars
        + event_gb * deployment.default("ArchiveRetentionDays") / DAYS * prices.ARCHIVE_GB_MONTH.dollars,
        "SQS": (polls + 5 * tries) * prices.QUEUE_REQUEST.dollars,
        "DynamoDB": writes * prices.TABLE_WRITE.dollars
        + reads * prices.TABLE_READ.dollars
        + size.orders * assumed.item_bytes * kept_months / GB * prices.TABLE_GB_MONTH.dollars,
        "Secrets Manager": size.stores * prices.SECRET_MONTH.dollars + secret_reads * prices.SECRET_READ.dollars,
        "Logs": log_gb * prices.LOG_GB.dollars
        + log_gb
        * assumed.logs_compressed_to
        * deployment.default("LogRetentionDays")
        / DAYS
        * prices.LOG_GB_MONTH.dollars,
        "Custom metrics": deployment.custom_metrics() * prices.METRIC_MONTH.dollars,
        "Alarms": deployment.metrics_in_alarms() * prices.ALARM_MONTH.dollars
        + deployment.count("AWS::CloudWatch::CompositeAlarm") * prices.COMPOSITE_ALARM_MONTH.dollars,
        "Dashboard": deployment.count("AWS::CloudWatch::Dashboard") * prices.DASHBOARD_MONTH.dollars,
        "KMS key": deployment.count("AWS::KMS::Key") * prices.KEY_MONTH.dollars,
        "Sent to the internet": size.orders * assumed.sent_bytes / GB * prices.OUTGOING_GB.dollars,
    }


def as_table() -> str:
    """The costs, as they stand in the document."""
    deployment, assumed, found = Deployment(template.read()), Assumed(), measured()
    columns = [costs(size, deployment, assumed, found) for size in SIZES]
    head = [
        "dollars a month",
        *(f"{size.orders:,} orders, {size.stores} store{'s' * (size.stores > 1)}" for size in SIZES),
    ]
    rows = [[service, *(f"{column[service]:,.2f}" for column in columns)] for service in columns[0]]
    totals = [sum(column.values()) for column in columns]
    rows += [
        ["**all**", *(f"**{total:,.2f}**" for total in totals)],
        [
            "for 1,000 orders",
            *(f"{total / size.orders * 1000:,.3f}" for total, size in zip(totals, SIZES, strict=True)),
        ],
    ]
    return generated.table(head, rows)


def as_assumptions() -> str:
    """What the costs rest on, as it stands in the document."""
    deployment, assumed, found = Deployment(template.read()), Assumed(), measured()
    slower = assumed.full_processor_mb / deployment.memory_mb
    own, log = found["own_work_ms"], found["log_bytes"]
    work = (
        f"measured (`make bench`, one machine, against loopback): the function's own work is {own['webhook']} ms for a webhook "
        f"and {own['order']} ms for an order, {log['webhook']} and {log['order']} bytes of log; a start takes "
        f"{found['start_ms']} ms"
    )
    counted = (
        f"counted in the template: {deployment.custom_metrics()} custom metrics (each of the functions' {len(Metric)}, "
        "`ColdStart` for each function, and the API's by method where they are on), as if each were sent in every hour. "
        "Those by cause and by rule are left out: they are sent, and paid, only in hours in which orders are late or rules fail; "
        f"{deployment.metrics_in_alarms()} metric{'s' * (deployment.metrics_in_alarms() > 1)} in alarms"
    )
    waiting = (
        f"assumed: {assumed.api_seconds} s for each call of the store's and the B2B API, "
        f"{assumed.aws_seconds * 1000:.0f} ms for one of AWS; own work takes {slower:.1f} times as long at "
        f"{deployment.memory_mb:.0f} MB, which is that much less than a whole processor"
    )
    traffic = (
        f"assumed: every order is a company's; {assumed.delivered_twice:.0%} of the webhooks come twice; "
        f"{assumed.late:.0%} of the orders are late, with {assumed.late_tries:.0f} tries; an idle environment is kept for "
        f"{assumed.environment_kept_seconds / 60:.0f} minutes, so at 1,000 orders a month most orders start one"
    )
    return "".join(f"- {line}\n" for line in (work, counted, waiting, traffic))


PARTS = {"costs": as_table, "cost assumptions": as_assumptions}


def main(arguments: list[str]) -> int:
    """Prints the tables; with `--write` they go into the document."""
    for name, part in PARTS.items():
        if arguments == ["--write"]:
            generated.put(DOCUMENT, name, part())
        print(part())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
