"""What the functions write: log lines, and metrics in embedded metric format."""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from handler.telemetry import logger, metrics

SERVICE = "relay"


class Written:
    """Everything that was logged and measured since the beginning of the test."""

    def __init__(self, read_stdout: Callable[[], str], log: io.StringIO) -> None:
        self._read_stdout = read_stdout
        self._stdout = ""
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
        """The values of each metric of the service, by name. Those with a further dimension are in `by_rule`."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for blob in self._blobs():
            [group] = blob["_aws"]["CloudWatchMetrics"]
            assert group["Namespace"] == "B2BOrderRelay"
            assert blob["service"] == SERVICE
            if "rule" not in blob:
                assert group["Dimensions"] == [["service"]]
                for metric in group["Metrics"]:
                    found[metric["Name"]] += blob[metric["Name"]]
        return dict(found)

    @property
    def by_rule(self) -> list[str]:
        """The rules whose failures were counted by name."""
        return [blob["rule"] for blob in self._blobs() if "rule" in blob]

    def _blobs(self) -> Iterator[dict[str, Any]]:
        self._flush()
        yield from map(json.loads, self._stdout.splitlines())

    def _flush(self) -> None:
        if metrics.provider.metric_set:
            metrics.flush_metrics()
        self._stdout += self._read_stdout()


@contextmanager
def writing(read_stdout: Callable[[], str]) -> Iterator[Written]:
    """Catches what is written inside the block, and forgets what was begun before."""
    log = io.StringIO()
    metrics.clear_metrics()
    logger.clear_state()
    handler: Any = logger.registered_handler
    stream = handler.setStream(log)
    service, metrics.provider.service = metrics.provider.service, SERVICE
    try:
        yield Written(read_stdout, log)
    finally:
        metrics.provider.service = service
        handler.setStream(stream)
        metrics.clear_metrics()
        logger.clear_state()
