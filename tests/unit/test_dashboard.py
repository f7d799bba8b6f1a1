"""The dashboard shows what there is, all of it, and on a screen."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from handler.errors import Cause
from handler.telemetry import NAMESPACE, Metric
from support.aws_metrics import PUBLISHED
from support.template import STACK, Resolved, source

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = 24
ALL_ALARMS = {"PartnerEventSourceName": "aws.partner/bigcommerce.com/x", "NoWebhookAlarmHours": 24}
SETTINGS: list[dict[str, Any]] = [{}, ALL_ALARMS, {"StoresSendWebhooks": "false"}]


def widgets(**parameters: Any) -> list[dict[str, Any]]:
    body = Resolved(**parameters).of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def charts() -> dict[str, dict[str, Any]]:
    return {widget["properties"]["title"]: widget["properties"] for widget in widgets() if widget["type"] == "metric"}


def metrics() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Namespace, name and dimensions of every metric on it."""
    for chart in charts().values():
        for metric in chart["metrics"]:
            names = [part for part in metric if isinstance(part, str)]
            if names:
                namespace, name, *dimensions = names
                yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True))


@pytest.mark.parametrize("parameters", SETTINGS, ids=["default", "everything on", "no webhooks"])
def test_its_alarms_are_those_that_are_made_no_more_and_no_fewer(parameters: dict[str, Any]) -> None:
    [alarms] = [w["properties"]["alarms"] for w in widgets(**parameters) if w["type"] == "alarm"]
    made = Resolved(**parameters).of_type("AWS::CloudWatch::Alarm").values()
    prefix = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:"
    assert sorted(alarms) == sorted(prefix + alarm["AlarmName"] for alarm in made)


def test_every_metric_on_it_is_emitted_by_somebody() -> None:
    for namespace, name, dimensions in metrics():
        if namespace == NAMESPACE:
            assert name in set(Metric)
            assert dimensions.pop("service") == STACK
            assert dimensions.get("cause", Cause.UNREADABLE) in set(Cause)
            assert dimensions.keys() <= {"cause"}
        else:
            assert PUBLISHED[namespace, name] == dimensions.keys()


def test_every_metric_of_the_functions_is_on_it() -> None:
    assert set(Metric) - {name for _, name, _ in metrics()} == set()


def test_a_cause_is_shown_only_with_metrics_that_are_counted_by_cause() -> None:
    assert {name for _, name, dimensions in metrics() if "cause" in dimensions} <= {"OrderLate", "OrderDead"}


def test_every_expression_names_metrics_of_its_chart() -> None:
    for chart in charts().values():
        options = [metric[-1] for metric in chart["metrics"] if isinstance(metric[-1], dict)]
        ids = {option["id"] for option in options if "id" in option and "expression" not in option}
        for option in options:
            if "expression" in option:
                assert set(re.findall(r"[a-z]+", option["expression"])) == ids
                # A function that has not run in a minute has no value for it, and a sum with it would have none.
                assert all(f"FILL({name}, 0)" in option["expression"] for name in ids)


def test_widgets_stand_beside_each_other_on_a_screen_of_24_columns() -> None:
    cells = [
        {(x, y) for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])}
        for w in widgets()
    ]
    assert all(0 <= x < COLUMNS and y >= 0 for cell in cells for x, y in cell)
    assert [1 for one, other in combinations(cells, 2) if one & other] == []


def test_the_ten_seconds_and_the_rate_limit_are_drawn() -> None:
    [window] = charts()["Time to create"]["annotations"]["horizontal"]
    [limit] = charts()["B2B API requests and rate limit"]["annotations"]["horizontal"]
    assert (window["value"], limit["value"]) == (10, 150)
    assert charts()["B2B API requests and rate limit"]["period"] == 60


def test_a_text_explains_it_and_leads_to_the_runbook() -> None:
    [text] = [widget["properties"]["markdown"] for widget in widgets() if widget["type"] == "text"]
    assert "docs/runbook.md" in text
    assert text.startswith(f"# B2B Order Relay: {STACK}\n")


def test_the_compute_cost_is_reckoned_with_the_functions_memory() -> None:
    [expression] = [m[-1]["expression"] for m in charts()["Cost: compute"]["metrics"] if "expression" in m[-1]]
    gigabytes = source()["Globals"]["Function"]["MemorySize"] / 1024
    assert expression.endswith(f"/ 1000 * {gigabytes}")  # durations are milliseconds


def test_the_output_opens_it() -> None:
    template = Resolved()
    url = template.value(template.outputs["DashboardUrl"]["Value"])
    console = "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
    # The region, since an account has one list of dashboards.
    assert url == f"{console}#dashboards/dashboard/{STACK}-us-east-1"
