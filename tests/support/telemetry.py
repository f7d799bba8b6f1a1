"""What the functions write: log lines, and metrics in embedded metric format."""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from handler.telemetry import logger, metrics

SERVICE = "relay"

TRAFFIC = {"OrderReceived", "StoreApiRequest", "B2BApiRequest", "LateOrderAge"}
"""Counted with everything that happens, whatever becomes of it."""


class Written:
    """Everything that was logged and measured since the beginning of the test."""

    def __init__(self, read_stdout: Callable[[], str], log: io.StringIO) -> None:
        self._read_stdout = read_stdout
        self._stdout = ""
        self._blobs: list[dict[str, Any]] = []
        self._log = log

    @property
    def text(self) -> str:
        """All of it, as it would stand in CloudWatch Logs."""
        self._flush()
        return self._log.getvalue() + self._stdout

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log lines."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    @property
    def metrics(self) -> dict[str, list[float]]:
        """The values of each metric of the service, by name, without TRAFFIC. Further dimensions are in `by_dimension`."""
        return {name: values for name, values in self._values().items() if name not in TRAFFIC}

    @property
    def traffic(self) -> dict[str, list[float]]:
        """The values of TRAFFIC's metrics, by name."""
        return {name: values for name, values in self._values().items() if name in TRAFFIC}

    @property
    def by_rule(self) -> list[str]:
        """The rules whose failures were counted by name."""
        return [rule for _, rule in self.by_dimension("rule")]

    def by_dimension(self, name: str) -> list[tuple[str, str]]:
        """What was counted by a further dimension: the metric and the dimension's value."""
        return [
            (group["Metrics"][0]["Name"], blob[name])
            for blob in self.blobs()
            for group in blob["_aws"]["CloudWatchMetrics"]
            if name in group["Dimensions"][0]
        ]

    def blobs(self) -> list[dict[str, Any]]:
        """The metrics as they are written, in embedded metric format."""
        self._flush()
        return self._blobs

    def _values(self) -> dict[str, list[float]]:
        found: defaultdict[str, list[float]] = defaultdict(list)
        for blob in self.blobs():
            [group] = blob["_aws"]["CloudWatchMetrics"]
            assert group["Namespace"] == "B2BOrderRelay"
            assert blob["service"] == SERVICE
            if group["Dimensions"] == [["service"]]:
                for metric in group["Metrics"]:
                    found[metric["Name"]] += blob[metric["Name"]]
        return dict(found)

    def _flush(self) -> None:
        if metrics.provider.metric_set:
            metrics.flush_metrics()
        written = self._read_stdout()
        self._stdout += written
        self._blobs += map(json.loads, written.splitlines())


@contextmanager
def writing(read_stdout: Callable[[], str]) -> Iterator[Written]:
    """Catches what is written inside the block, and forgets what was begun before."""
    log = io.StringIO()
    metrics.clear_metrics()
    logger.clear_state()
    handler: Any = logger.registered_handler
    stream, handler.stream = handler.stream, log  # not setStream, which fails when the stream before is closed
    service, metrics.provider.service = metrics.provider.service, SERVICE
    try:
        yield Written(read_stdout, log)
    finally:
        metrics.provider.service = service
        handler.stream = stream
        metrics.clear_metrics()
        logger.clear_state()
