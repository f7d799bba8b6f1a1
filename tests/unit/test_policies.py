"""The shipped retry policy against simpler ones, in the world of bench/policies.py: same orders, same trouble, moved clock."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest

from handler.http.retries import LIVE
from handler.telemetry import logger
from policies import POLICIES, TROUBLE, Policy, in_the_window

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS = 1_500
SHIPPED = Policy("as shipped", LIVE)
SIMPLER = [policy for policy in POLICIES if policy.attempts < math.inf]


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def missed(policy: Policy, trouble: float) -> int:
    return sum(not in_the_window(policy, seed, trouble) for seed in range(ORDERS))


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("simpler", SIMPLER, ids=lambda policy: policy.name)
def test_more_orders_meet_their_window_than_with_a_simpler_policy(simpler: Policy, trouble: float) -> None:
    assert missed(SHIPPED, trouble) < missed(simpler, trouble)


def test_there_is_something_to_compare_with() -> None:
    assert len(SIMPLER) == 2
