"""How many orders each retry policy gets into the window, simulated with the real HttpClient and Deadline.

The clock is moved, nobody sleeps. One order is two calls (look-up, Create Order) to an API that hangs, fails in bursts, and is
sometimes slow; what it meets is the same for every policy.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handler.deadline import Deadline
from handler.errors import RetryLater
from handler.http.exchange import NoAnswer, Response
from handler.http.retries import LIVE, HttpClient, RetryPolicy
from handler.telemetry import logger, metrics
from measuring import arguments, hand_in, say

if TYPE_CHECKING:
    from collections.abc import Mapping


BURST_SECONDS = 3.0
HANGS = 0.01
ANSWERED = Response(200, {}, b"{}")
FAILED = Response(503, {}, b"")
TROUBLE = (0.01, 0.05)
"""The shares of the time in which the API answers 503."""


class TooOftenError(Exception):
    """A policy's attempts are used up."""


@dataclass(frozen=True)
class Policy:
    name: str
    policy: RetryPolicy
    attempts: float = math.inf


POLICIES = (
    Policy("one attempt of 9 s", RetryPolicy(attempt_seconds=9.0, retries=False), attempts=1),
    Policy("four attempts of 3 s", RetryPolicy(attempt_seconds=3.0, retries=True), attempts=4),
    Policy("as shipped: 3 s each, until the deadline", LIVE),
    Policy("the same with 2 s each", replace(LIVE, attempt_seconds=2.0)),
)


class World:
    """The API during one order's window, and the clock in it."""

    def __init__(self, seed: int, trouble: float, attempts: float) -> None:
        self._random = random.Random(seed)
        self.now = self._random.uniform(0.2, 6.0)  # the webhook's way to the function
        self._bursts = self._drawn_bursts(trouble)
        self._left = attempts

    def _drawn_bursts(self, trouble: float) -> list[tuple[float, float]]:
        gap = BURST_SECONDS * (1 - trouble) / trouble
        at = (
            -BURST_SECONDS * self._random.random()
            if self._random.random() < trouble
            else self._random.expovariate(1 / gap)
        )
        bursts = []
        while at < 10:
            bursts.append((at, at + BURST_SECONDS))
            at += BURST_SECONDS + self._random.expovariate(1 / gap)
        return bursts

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def new_call(self, attempts: float) -> None:
        self._left = attempts

    def exchange(self, _method: str, _url: str, _headers: Mapping[str, str], _body: Any, seconds: float) -> Response:
        """One request: most take about 0.4 s, one in a hundred 4 s or more, one in a hundred for ever."""
        if self._left <= 0:
            raise TooOftenError
        self._left -= 1
        hangs = self._random.random() < HANGS
        takes = self._random.lognormvariate(-0.9163, 0.99)  # median 0.4, 99th percentile 4
        if any(begin <= self.now < end for begin, end in self._bursts):
            self.now += 0.05
            return FAILED
        if hangs or takes > seconds:
            self.now += seconds
            raise NoAnswer("simulated")
        self.now += takes
        return ANSWERED


def in_the_window(policy: Policy, seed: int, trouble: float) -> bool:
    """Whether the order of this number gets through; the same number meets the same trouble whatever the policy."""
    world = World(seed, trouble, policy.attempts)
    http = HttpClient(world.exchange, policy.policy, world.clock, world.sleep, world.uniform)
    deadline = Deadline.of_window(0.0, world.clock)
    try:
        for method in ("GET", "POST"):
            world.new_call(policy.attempts)
            if http.call(method, "https://api", {}, deadline).status != ANSWERED.status:
                return False
    except (RetryLater, TooOftenError):
        return False
    finally:
        metrics.clear_metrics()  # of thousands of orders, which nobody wants to see
    return world.now < deadline.ends_at


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], repeats=20_000, unit="orders for each case")
    logger.setLevel(logging.CRITICAL)
    shares: dict[str, dict[str, float]] = {policy.name: {} for policy in POLICIES}
    for trouble in TROUBLE:
        for policy in POLICIES:
            say(f"policies: {policy.name}, errors {trouble:.0%} of the time")
            done = sum(in_the_window(policy, seed, trouble) for seed in range(options.repeats))
            shares[policy.name][f"{trouble:.0%}"] = round(100 * done / options.repeats, 2)
    result = {
        "what": "orders in the window, of a hundred, by the share of the time in which the API answers 503",
        "world": (
            "webhook there after 0.2 to 6 s; two calls of 0.4 s (median) and 4 s (99th percentile); 1 % of the requests hang; "
            "503 in bursts of 3 s"
        ),
        "orders": options.repeats,
        "in_the_window_percent": shares,
    }
    hand_in("policies", options, result)


if __name__ == "__main__":
    main()
