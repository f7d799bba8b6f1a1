"""The fault scenarios and a short random run; `make chaos` is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.chaos import run as chaos
from sandbox.chaos.field import Field, open_field
from sandbox.chaos.random_run import RandomRun
from sandbox.chaos.scenarios import HEAVY, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261124
LIGHT = sorted(SCENARIOS.keys() - HEAVY)


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with open_field(lambda _: None, seed=SEED) as field:
        yield field


@pytest.fixture(scope="module")
def violations(field: Field, request: pytest.FixtureRequest) -> dict[str, str]:
    """The scenarios of this run, played side by side, and what was not as promised in each."""
    names = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")} & set(
        LIGHT
    )
    return {result.name: result.violation for result in chaos.play(field, names, lambda _: None)}


@pytest.mark.parametrize("name", LIGHT)
def test_a_fault_scenario_comes_out_as_promised(violations: dict[str, str], name: str) -> None:
    assert violations[name] == ""


def test_whatever_fails_at_random_every_order_comes_to_its_end(field: Field) -> None:
    tally = RandomRun(field, 40, SEED).play(lambda _: None)

    assert tally.created_in_time + tally.created_late + tally.updated + tally.skipped == tally.orders == 40
    assert tally.created_in_time > 0
    assert tally.faults_of_aws > 0
    assert tally.faults_of_stores > 0
    assert tally.environments_killed == 1
