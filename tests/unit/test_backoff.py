"""When a late order is retried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handler.backoff import deferred_delay_seconds, delay_seconds

SETTINGS: Any = SimpleNamespace(recovery_first_delay_seconds=10.0, recovery_longest_delay_seconds=900.0)


def least(low: float, _high: float) -> float:
    return low


def most(_low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 30), (3, 90), (5, 810), (6, 900), (1_000_000, 900)])
def test_the_delay_grows_with_the_failures_up_to_the_longest(failures: int, seconds: float) -> None:
    assert delay_seconds(SETTINGS, failures, 1.0, 0.0) == seconds


def test_jitter_multiplies_the_delay_and_not_what_the_api_asked_for() -> None:
    assert delay_seconds(SETTINGS, 2, 0.75, 0.0) == pytest.approx(22.5)
    assert delay_seconds(SETTINGS, 2, 1.25, 0.0) == pytest.approx(37.5)
    assert delay_seconds(SETTINGS, 2, 0.75, 60.0) == 60


def test_a_deferred_order_comes_back_between_the_wait_and_fifteen_seconds_more_for_each_receipt() -> None:
    assert deferred_delay_seconds(3, 7.0, least) == 7
    assert deferred_delay_seconds(3, 7.0, most) == 52
    assert deferred_delay_seconds(1_000, 7.0, most) == 607


def test_no_delay_is_longer_than_sqs_allows() -> None:
    assert delay_seconds(SETTINGS, 1, 1.0, 1e6) == 43_000
    assert deferred_delay_seconds(1, 1e6, least) == 43_000
