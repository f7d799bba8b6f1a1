"""Reading logs while they grow."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.aws.cloud import Cloud
from sandbox.chaos.logs import LogBook

MOST_LINES = 3
STREAMS = iter(range(1_000))


class Logs(Cloud):
    """A cloud whose log gives its oldest lines first, and only so many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = {"OrderFunctionName": "order", "RecoveryFunctionName": "recovery"}
        self.events: list[dict[str, Any]] = []

    def client(self, service: str) -> Any:
        return SimpleNamespace(filter_log_events=self.read) if service == "logs" else None

    def read(self, **question: Any) -> dict[str, Any]:
        found = [
            event
            for event in sorted(self.events, key=lambda event: event["timestamp"])
            if event["timestamp"] >= question["startTime"] and event["group"] == question["logGroupName"]
        ]
        return {"events": found[: question["limit"]]}

    def write(self, at_ms: int, message: str) -> None:
        self.events.append(
            {
                "timestamp": at_ms,
                "message": message,
                "logStreamName": f"stream-{next(STREAMS)}",
                "group": "/aws/lambda/order",
            }
        )


def line(outcome: str, order: int = 101) -> str:
    return json.dumps({"store": "abc", "order": order, "outcome": outcome})


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    monkeypatch.setattr("sandbox.chaos.logs.FRESH_SECONDS", -1.0)
    monkeypatch.setattr("sandbox.aws.cloud.LINES_AT_ONCE", MOST_LINES)
    return Logs()


def outcomes(book: LogBook) -> list[str]:
    return [entry["outcome"] for entry in book.entries("abc", 101)]


def test_every_line_of_an_order_is_found_once_however_long_the_log(logs: Logs) -> None:
    book = LogBook(logs)
    for number in range(10):
        logs.write(number * 5_000, line(str(number)))
    logs.write(50_000, line("another", order=102))
    logs.write(51_000, "START RequestId")

    assert outcomes(book) == [str(number) for number in range(10)]
    assert outcomes(book) == [str(number) for number in range(10)]


def test_what_comes_later_is_read_even_when_it_is_a_little_older(logs: Logs) -> None:
    book = LogBook(logs)
    logs.write(10_000, line("first"))
    assert outcomes(book) == ["first"]

    logs.write(9_000, line("second"))

    assert outcomes(book) == ["first", "second"]


def test_all_lines_of_a_function_are_given_oldest_first(logs: Logs) -> None:
    for number in reversed(range(10)):
        logs.write(number, str(number))
        logs.write(number, str(number))  # a line may be there twice

    assert logs.logs("OrderFunction") == [str(number) for number in range(10) for _ in range(2)]
    assert logs.logs("RecoveryFunction") == []
