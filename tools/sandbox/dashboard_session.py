"""A few minutes of the relay's life for the dashboard's picture: the orders of `make run` again and again, and an outage."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox import faults
from sandbox.cloud import Cloud
from sandbox.emulator import REGION
from sandbox.metric_math import Series, calculate
from sandbox.metrics import Sample, lambda_samples, publish, queue_samples, samples, states
from sandbox.scenarios import SCENARIOS, Stage, demo_store, play_webhook, secret_of
from sandbox.store import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.webhooks import Delivery

PARAMETERS = {"RecoveryFirstDelaySeconds": "2", "RecoveryLongestDelaySeconds": "15"}
ROUNDS = 8
OUTAGE_ROUNDS = range(3, 5)
SECONDS_BETWEEN_ORDERS = 0.8
AFTERWARDS_SECONDS = 25.0
SERVER_ERROR = 500
PERIOD_SECONDS = 5
SECONDS_A_MINUTE = 60


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its options as on the dashboard, and a value for each period of the session."""

    options: dict[str, Any]
    values: Series


@dataclass(frozen=True)
class Picture:
    """The dashboard's widgets with what they would show. `seconds` is how long the session was."""

    widgets: list[dict[str, Any]]
    curves: dict[str, list[Curve]]
    """By the chart's title."""
    stack: str
    alarms: dict[str, str]
    """The states, by what the alarms' names end with."""
    seconds: float
    orders: int


def play(progress: Callable[[str], None]) -> Picture:
    """Deploys the relay on this machine, lets it live for some minutes, and asks its dashboard."""
    with SandboxStore.run() as sandbox:
        store = sandbox.add_store(demo_store())
        with Cloud(PARAMETERS | {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}, progress=progress) as cloud:
            cloud.put_secret(store.hash, secret_of(store))
            sandbox.add_hook(store, cloud.outputs["WebhookUrl"])
            return _Session(Stage(sandbox, cloud, store), progress).picture()


class _Session:
    def __init__(self, stage: Stage, progress: Callable[[str], None]) -> None:
        self._stage = stage
        self._progress = progress
        self._deliveries: list[Delivery] = []
        self._queues: list[Sample] = []
        self._over = threading.Event()
        self._orders = 0

    def picture(self) -> Picture:
        began = time.time()
        watcher = threading.Thread(target=self._watch_queues)
        watcher.start()
        try:
            self._play()
        finally:
            self._over.set()
            watcher.join()
        cloud = self._stage.cloud
        publish(cloud, [*samples(cloud), *lambda_samples(cloud), *self._queues, *self._api_samples()])
        publish(cloud, queue_samples(cloud, time.time()))
        body = cloud.client("cloudwatch").get_dashboard(DashboardName=f"{cloud.stack}-{REGION}")["DashboardBody"]
        widgets = json.loads(body)["widgets"]
        ended = time.time()
        curves = {
            widget["properties"]["title"]: self._curves(widget["properties"], began, ended)
            for widget in widgets
            if widget["type"] == "metric"
        }
        return Picture(widgets, curves, cloud.stack, states(cloud), ended - began, self._orders)

    def _play(self) -> None:
        for number in range(ROUNDS):
            self._progress(f"Round {number + 1} of {ROUNDS}")
            if number in OUTAGE_ROUNDS:
                self._stage.sandbox.fault(faults.status(503), endpoint="b2b.*", times=45)
            for scenario in SCENARIOS:
                self._deliveries += scenario.play(self._stage).deliveries
                self._orders += 1
                time.sleep(SECONDS_BETWEEN_ORDERS)
            self._reconcile()
        refused = faults.status(422, body={"code": 422, "data": {}, "meta": {"message": "Cost Center is required"}})
        self._deliveries += play_webhook(refused)(self._stage).deliveries
        self._orders += 1
        time.sleep(AFTERWARDS_SECONDS)

    def _reconcile(self) -> None:
        name = self._stage.cloud.outputs["ReconcileFunctionName"]
        self._stage.cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event")

    def _watch_queues(self) -> None:
        while not self._over.wait(1.0):
            self._queues += queue_samples(self._stage.cloud, time.time())

    def _api_samples(self) -> list[Sample]:
        """API Gateway's own metrics, which the emulator does not keep, as the store's side saw them."""
        found = []
        dimensions = (("ApiName", self._stage.cloud.stack), ("Stage", "live"))
        for attempt in [attempt for delivery in self._deliveries for attempt in delivery.attempts]:
            failed = float(attempt.status is None or attempt.status >= SERVER_ERROR)
            for name, value in (("Count", 1.0), ("5XXError", failed), ("Latency", attempt.seconds * 1000)):
                found.append(Sample("AWS/ApiGateway", name, dimensions, "None", value, attempt.at))
        return found

    def _curves(self, chart: dict[str, Any], began: float, ended: float) -> list[Curve]:
        found: dict[str, Series] = {}
        curves = []
        for number, line in enumerate(chart["metrics"]):
            options = line[-1]
            if "expression" in options:
                continue
            values = self._ask(chart, line, began, ended)
            found[options.get("id", f"m{number}")] = values
            if options.get("visible", True):
                curves.append(Curve(options, values))
        expressions = [line[-1] for line in chart["metrics"] if "expression" in line[-1]]
        return curves + [Curve(options, calculate(options["expression"], found)) for options in expressions]

    def _ask(self, chart: dict[str, Any], line: list[Any], began: float, ended: float) -> Series:
        """The line's values for each period. Sums are reckoned for a minute, as the dashboard has them."""
        namespace, name, *dimensions = line[:-1]
        stat = line[-1].get("stat", chart["stat"])
        pairs = zip(dimensions[::2], dimensions[1::2], strict=True)
        query = {
            "Metric": {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in pairs],
            },
            "Period": PERIOD_SECONDS,
            "Stat": stat,
        }
        [result] = self._stage.cloud.client("cloudwatch").get_metric_data(
            MetricDataQueries=[{"Id": "m", "MetricStat": query}],
            StartTime=datetime.fromtimestamp(began, UTC),
            EndTime=datetime.fromtimestamp(ended, UTC),
        )["MetricDataResults"]
        scale = SECONDS_A_MINUTE / PERIOD_SECONDS if stat == "Sum" else 1.0
        points = {
            int(at.timestamp() // PERIOD_SECONDS): value * scale
            for at, value in zip(result["Timestamps"], result["Values"], strict=True)
        }
        periods = range(int(began // PERIOD_SECONDS), int(ended // PERIOD_SECONDS) + 1)
        return [points.get(period) for period in periods]
