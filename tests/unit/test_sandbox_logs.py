"""Reading logs while they grow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.aws import logs
from sandbox.aws.logs import LogFollower, LogLine

MOST_EVENTS = 3


class Logs:
    """CloudWatch Logs that gives the oldest events first, and only so many at once."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def filter_log_events(self, **request: Any) -> dict[str, Any]:
        found = [
            event
            for event in sorted(self.events, key=lambda event: event["timestamp"])
            if event["timestamp"] >= request["startTime"] and event["group"] == request["logGroupName"]
        ]
        return {"events": found[: request["limit"]]}

    def write(self, at_ms: int, message: str) -> None:
        stream = f"stream-{len(self.events)}"
        self.events.append({"timestamp": at_ms, "message": f"{message}\n", "logStreamName": stream, "group": "order"})


def line(outcome: str, order: int = 101) -> str:
    return json.dumps({"message": "order", "store": "abc", "order": order, "outcome": outcome})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Logs:
    monkeypatch.setattr(logs, "EVENTS_AT_ONCE", MOST_EVENTS)
    return Logs()


@pytest.fixture
def follower(written: Logs) -> LogFollower:
    return LogFollower(written, {"OrderFunction": "order", "RecoveryFunction": "recovery"})


def outcomes(follower: LogFollower) -> list[str]:
    follower.refresh()
    return [line.outcome for line in follower.of_order("abc", 101)]


def test_every_line_of_an_order_is_read_once_however_long_the_log(written: Logs, follower: LogFollower) -> None:
    for number in range(10):
        written.write(number * 15_000, line(str(number)))
    written.write(150_000, line("another", order=102))
    written.write(151_000, "START RequestId")

    assert outcomes(follower) == [str(number) for number in range(10)]
    assert outcomes(follower) == [str(number) for number in range(10)]


def test_an_event_that_becomes_readable_after_a_newer_one_is_read(written: Logs, follower: LogFollower) -> None:
    written.write(10_000, line("second"))
    assert outcomes(follower) == ["second"]

    written.write(9_000, line("first"))

    assert outcomes(follower) == ["first", "second"]


@pytest.mark.parametrize("text", ["START RequestId: 1", "[]", '{"_aws": {}}', "7"])
def test_what_the_platform_writes_is_no_line(text: str) -> None:
    assert LogLine.read("OrderFunction", 0, text) is None
