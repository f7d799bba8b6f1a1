"""Reading logs while they grow."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.chaos_logs import LogBook

MOST_LINES = 3


class Logs:
    """A log that gives its oldest lines first, and only so many at once."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.outputs = {"OrderFunctionName": "order", "RecoveryFunctionName": "recovery"}

    def client(self, _service: str) -> SimpleNamespace:
        return SimpleNamespace(filter_log_events=self.read)

    def read(self, *, logGroupName: str, startTime: int) -> dict[str, Any]:  # noqa: N803  boto3's own names
        found = [event for event in self.events if event["timestamp"] >= startTime and event["group"] == logGroupName]
        return {"events": found[:MOST_LINES]}

    def write(self, at_ms: int, message: str, group: str = "/aws/lambda/order") -> None:
        self.events.append({"timestamp": at_ms, "message": message, "logStreamName": f"s{at_ms}", "group": group})


def line(outcome: str, order: int = 101) -> str:
    return json.dumps({"store": "abc", "order": order, "outcome": outcome})


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    monkeypatch.setattr("sandbox.chaos_logs.FRESH_SECONDS", -1.0)
    return Logs()


def outcomes(book: LogBook) -> list[str]:
    return [entry["outcome"] for entry in book.entries("abc", 101)]


def test_every_line_of_an_order_is_found_once_however_long_the_log(logs: Logs) -> None:
    book = LogBook(logs)  # type: ignore[arg-type]
    for number in range(10):
        logs.write(number * 5_000, line(str(number)))
    logs.write(50_000, line("another", order=102))
    logs.write(51_000, "START RequestId")

    assert outcomes(book) == [str(number) for number in range(10)]
    assert outcomes(book) == [str(number) for number in range(10)]


def test_what_comes_later_is_read_even_when_it_is_a_little_older(logs: Logs) -> None:
    book = LogBook(logs)  # type: ignore[arg-type]
    logs.write(10_000, line("first"))
    assert outcomes(book) == ["first"]

    logs.write(9_000, line("second"), "/aws/lambda/order")
    logs.events.sort(key=lambda event: event["timestamp"])

    assert outcomes(book) == ["first", "second"]
