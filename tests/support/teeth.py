"""For `make test-teeth` (`-p support.teeth`): the relay's functions do nothing, and an end-to-end test that passes fails the run.

A test that is not red after `LONGEST_SECONDS` still waits for the relay, and counts as red.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws import sam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_SECONDS = 10.0
IDLE = """
def handle_order_event(event, context):
    return None if "detail-type" in event else {"statusCode": 200, "body": ""}


def recover_orders(event, context):
    return {"batchItemFailures": []}


def reconcile_stores(event, context):
    return {}
"""

_build = sam.build
_passed: list[str] = []


def _build_idle(progress: Callable[[str], None], destination: Path) -> None:
    _build(progress, destination)
    entry_points = list(destination.glob("*Function/handler/app.py"))
    assert entry_points, "the build has no entry point to replace"
    for entry_point in entry_points:
        entry_point.write_text(IDLE, encoding="utf-8")
        # The build's bytecode is not checked against its source.
        for compiled in entry_point.parent.glob("__pycache__/app.*.pyc"):
            compiled.unlink()


class StillWaits(Exception):  # noqa: N818  says what happened
    """A test still waited for the relay after `LONGEST_SECONDS`."""


def pytest_configure() -> None:
    """Every deployment of this run is one whose functions do nothing."""
    sam.build = _build_idle


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked `without_relay`, with its reason."""
    left_out = [item for item in items if item.get_closest_marker("without_relay")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Ends a test that waits."""

    def end(*_: Any) -> None:
        raise StillWaits

    before = signal.signal(signal.SIGALRM, end)
    # Again each second: a test may catch the first one.
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers what passed."""
    if report.when == "call" and report.passed:
        _passed.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The run is good when tests ran and each failed in its own call."""
    if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if _passed else pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Names the tests that passed."""
    terminalreporter.section("green without a relay")
    for name in _passed or ["none"]:
        terminalreporter.write_line(name)
