"""The alarms' evaluator says what AWS's user guide says (tables under "How alarm state is evaluated when data is missing")."""

from __future__ import annotations

import pytest

from support.cloudwatch import ALARM, INSUFFICIENT_DATA, OK, Alarm, Metrics, judge
from support.metric_math import Series, calculate

KEPT = None
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
THREE_OF_THREE = {
    "0 - X - X": (OK, OK, OK, OK),
    "- - - - -": (INSUFFICIENT_DATA, KEPT, ALARM, OK),
    "0 X X - X": (ALARM, ALARM, ALARM, ALARM),
    "- - - - X": (INSUFFICIENT_DATA, KEPT, ALARM, OK),
    "0 - - - -": (OK, OK, OK, OK),
    "X - - - -": (ALARM, KEPT, ALARM, OK),
}
TWO_OF_THREE = {
    "0 - X - X": (ALARM, ALARM, ALARM, ALARM),
    "0 0 X 0 X": (ALARM, ALARM, ALARM, ALARM),
    "0 - X - -": (OK, OK, ALARM, OK),
    "- - - - 0": (OK, OK, ALARM, OK),
    "- - - - X": (INSUFFICIENT_DATA, KEPT, ALARM, OK),
}
NOW = 1_785_000_000.0


def points(drawn: str) -> Series:
    return [{"0": 0.0, "X": 1.0, "-": None}[point] for point in drawn.split()]


@pytest.mark.parametrize(
    ("drawn", "m", "treatment", "expected"),
    [
        (drawn, m, treatment, expected)
        for m, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for drawn, row in table.items()
        for treatment, expected in zip(TREATMENTS, row, strict=True)
    ],
)
def test_missing_data_means_what_awss_tables_say(drawn: str, m: int, treatment: str, expected: str | None) -> None:
    definition = {
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": m,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": treatment,
    }

    assert judge(points(drawn), definition) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a / b", [2.0, None, None]),
        ("FILL(b, 1) * 2", [2.0, 2.0, 0.0]),
        ("a / FILL(b, 1)", [2.0, 4.0, None]),
        ("IF(a >= 3, 100 * a, 0)", [0.0, 400.0, 800.0]),
        ("IF(b >= 1, 1, 0)", [1.0, None, 0.0]),
        ("a - 1 < 2", [1.0, 0.0, 0.0]),
    ],
)
def test_metric_math_goes_point_by_point(expression: str, expected: Series) -> None:
    assert calculate(expression, {"a": [2.0, 4.0, 8.0], "b": [1.0, None, 0.0]}) == expected


def test_an_expression_that_is_not_understood_is_no_silent_zero() -> None:
    with pytest.raises(NotImplementedError, match="ANOMALY"):
        calculate("ANOMALY_DETECTION_BAND(a)", {"a": [1.0]})


def test_an_alarm_keeps_its_state_when_missing_data_is_ignored() -> None:
    alarm = Alarm(
        {
            "Namespace": "N",
            "MetricName": "m",
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "ignore",
        }
    )
    metrics = Metrics()
    assert alarm.evaluate(metrics, NOW) == INSUFFICIENT_DATA
    metrics.put("N", "m", {}, 1.0, NOW)
    assert alarm.evaluate(metrics, NOW + 60) == ALARM
    assert alarm.evaluate(metrics, NOW + 86_400) == ALARM
    metrics.put("N", "m", {}, 0.0, NOW + 86_400)
    assert alarm.evaluate(metrics, NOW + 86_460) == OK
    assert alarm.history == [ALARM, OK]
