"""What the costs in docs/architecture.md are computed from."""

from __future__ import annotations

from typing import Any

import pytest

from documents import template
from documents.costs import SIZES, Assumed, Deployment, Size, costs, measured
from handler.telemetry import Metric

BY_USE = {"API Gateway", "Lambda", "EventBridge, with archive", "Logs", "Sent to the internet"}
BY_BEING_THERE = {"Custom metrics", "Alarms", "Dashboard", "KMS key"}


def deployment(**resources: dict[str, Any]) -> Deployment:
    """The template, with these resources in place of all its own."""
    whole = template.read()
    return Deployment(whole | {"Resources": resources})


def month(orders: int, assumed: Assumed | None = None) -> dict[str, float]:
    return costs(Size(orders, 1), Deployment(template.read()), assumed or Assumed(), measured())


def test_what_is_paid_by_use_grows_with_the_orders_and_the_rest_does_not() -> None:
    few, many = month(100_000), month(200_000)

    assert {service for service in few if many[service] == few[service]} == BY_BEING_THERE
    assert {service for service in few if many[service] >= 1.9 * few[service]} >= BY_USE - {"Lambda"}


def test_a_webhook_that_comes_twice_is_paid_twice() -> None:
    once = month(1_000_000, Assumed(delivered_twice=0.0))["API Gateway"]

    assert once == pytest.approx(3.50)
    assert month(1_000_000, Assumed(delivered_twice=1.0))["API Gateway"] == pytest.approx(7.00)


def test_waiting_for_a_slow_api_is_paid() -> None:
    assert month(1_000_000, Assumed(api_seconds=2.0))["Lambda"] > 3 * month(1_000_000)["Lambda"]


def test_an_alarm_costs_as_much_as_the_metrics_in_it() -> None:
    on_one = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "OrderDead"}}
    on_a_rate = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {"Metrics": [{"Expression": "late / all"}, {"MetricStat": {}}, {"MetricStat": {}}]},
    }

    assert deployment(A=on_one, B=on_a_rate).metrics_in_alarms() == 3


def test_every_metric_counts_and_one_cold_start_for_each_function_and_the_apis_own_by_method() -> None:
    function = {"Type": "AWS::Serverless::Function"}
    quiet: dict[str, Any] = {
        "Type": "AWS::Serverless::Api",
        "Properties": {"MethodSettings": [{"MetricsEnabled": False}]},
    }
    detailed: dict[str, Any] = {
        "Type": "AWS::Serverless::Api",
        "Properties": {"MethodSettings": [{"MetricsEnabled": True}]},
    }

    assert deployment(F=function, G=function, Api=quiet).custom_metrics() == len(Metric) + 2
    assert deployment(F=function, Api=detailed).custom_metrics() == len(Metric) + 1 + 5


def test_what_only_some_deployments_have_is_left_out() -> None:
    assert deployment(K={"Type": "AWS::KMS::Key", "Condition": "HasAlarmEmail"}).count("AWS::KMS::Key") == 0


def test_no_store_has_more_orders_than_its_rate_limit_allows() -> None:
    for size in SIZES:
        assert size.per_second * 60 * Assumed().peak <= 150 * size.stores
