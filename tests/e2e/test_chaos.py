"""The fault scenarios and a short random run; `make chaos` is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox import chaos
from sandbox.chaos_field import Field, open_field
from sandbox.chaos_random import RandomRun
from sandbox.chaos_scenarios import HEAVY, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261124


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with open_field(lambda _: None, seed=SEED) as field:
        yield field


def test_every_fault_scenario_comes_out_as_promised(field: Field) -> None:
    names = SCENARIOS.keys() - HEAVY
    assert len(names) >= 30

    verdicts = chaos.play(field, sorted(names), lambda _: None)

    assert {verdict.name: verdict.violation for verdict in verdicts if verdict.violation} == {}


def test_whatever_fails_at_random_every_order_comes_to_its_end(field: Field) -> None:
    tally = RandomRun(field, 40, SEED).play(lambda _: None)

    assert tally.created_in_time + tally.created_late + tally.updated + tally.skipped == tally.orders == 40
    assert tally.created_in_time > 0
    assert tally.faults_of_aws > 0
    assert tally.faults_of_stores > 0
    assert tally.environments_killed == 1
