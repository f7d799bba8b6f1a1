"""CloudWatch's alarms, as far as this project's use them: what AWS documents, in a hundred lines.

The emulators evaluate too little of it: ministack knows no metric math, no missing data, no dimensions and no M out of N,
and refuses alarms on expressions; moto evaluates nothing. tests/unit/test_cloudwatch.py holds this to AWS's own tables.

Followed: "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data" of the CloudWatch user guide.
Windows slide (the default), so an alarm looks at the last whole periods before each moment at which it is evaluated.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.alarm_metrics import samples_of
from support.metric_math import Series, calculate

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
EXTRA_PERIODS = 2
"""AWS looks at more periods than asked for, five for three in its own examples; it does not say how many in general."""

Dimensions = frozenset[tuple[str, str]]


class Metrics:
    """What was put into CloudWatch: values with their moments (unix seconds), by namespace, name and dimensions."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, str, Dimensions], list[tuple[float, float]]] = defaultdict(list)

    def put(self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, at: float) -> None:
        """One value. A metric is its name with exactly these dimensions."""
        bisect.insort(self._values[namespace, name, frozenset(dimensions.items())], (at, value))

    def put_embedded(self, blob: dict[str, Any], at: float) -> None:
        """What CloudWatch makes of a log line in embedded metric format."""
        for sample in samples_of(blob):
            self.put(sample.namespace, sample.name, dict(sample.dimensions), sample.value, at)

    def series(self, stat: Mapping[str, Any], now: float, periods: int) -> Series:
        """One value for each of the last whole periods, oldest first; None where nothing was put. `stat`: a MetricStat."""
        metric, period = stat["Metric"], stat["Period"]
        dimensions = frozenset((item["Name"], item["Value"]) for item in metric.get("Dimensions", []))
        values = self._values[metric["Namespace"], metric["MetricName"], dimensions]
        found: Series = []
        for back in range(periods, 0, -1):
            begin = now - back * period
            first, end = (bisect.bisect_left(values, (moment, -math.inf)) for moment in (begin, begin + period))
            inside = [value for _, value in values[first:end]]
            found.append(STATISTICS[stat["Stat"]](inside) if inside else None)
        return found


@dataclass(slots=True)
class Alarm:
    """An alarm by its definition (the properties of AWS::CloudWatch::Alarm, resolved), and the state it is in."""

    definition: Mapping[str, Any]
    state: str = INSUFFICIENT_DATA
    history: list[str] = field(default_factory=list)

    @property
    def period_seconds(self) -> int:
        """The period of the alarm's metrics, all of which must have the same."""
        [period] = {stat["Period"] for stat in self.stats().values()}
        return int(period)

    def stats(self) -> dict[str, dict[str, Any]]:
        """What the alarm looks at, by id, each as a MetricStat."""
        own = self.definition
        if "Metrics" in own:
            return {query["Id"]: query["MetricStat"] for query in own["Metrics"] if "MetricStat" in query}
        metric = {name: own[name] for name in ("Namespace", "MetricName", "Dimensions") if name in own}
        return {"m": {"Metric": metric, "Period": own["Period"], "Stat": own["Statistic"]}}

    def evaluate(self, metrics: Metrics, now: float) -> str:
        """The state after looking at the metrics at this moment."""
        points = self._points(metrics, now, int(self.definition["EvaluationPeriods"]) + EXTRA_PERIODS)
        state = judge(points, self.definition) or self.state
        if state != self.state:
            self.history.append(state)
        self.state = state
        return state

    def _points(self, metrics: Metrics, now: float, periods: int) -> Series:
        series = {name: metrics.series(stat, now, periods) for name, stat in self.stats().items()}
        expressions = [query["Expression"] for query in self.definition.get("Metrics", []) if "Expression" in query]
        if not expressions:
            return next(iter(series.values()))
        [expression] = expressions
        return calculate(expression, series)


def judge(points: Series, definition: Mapping[str, Any]) -> str | None:
    """The state that the points of the evaluation range mean, oldest first; None for "as it was"."""
    n = int(definition["EvaluationPeriods"])
    m = int(definition.get("DatapointsToAlarm", n))
    missing = definition.get("TreatMissingData", "missing")
    breaches = COMPARISONS[definition["ComparisonOperator"]]
    threshold = float(definition["Threshold"])
    real = [breaches(point, threshold) for point in points if point is not None]
    enough = len(real) >= n  # then the most recent real ones decide, and how missing ones are treated does not matter
    filled = n - len(real) if missing == "breaching" and not enough else 0
    if sum(real[-n:]) + filled >= m:
        return ALARM
    # Where missing points are neither good nor bad, a good one speaks against an alarm, and without one nothing is known.
    if enough or missing in {"breaching", "notBreaching"} or False in real:
        return OK
    if missing == "ignore":
        return None
    oldest = points[0]
    return ALARM if oldest is not None and breaches(oldest, threshold) else INSUFFICIENT_DATA
