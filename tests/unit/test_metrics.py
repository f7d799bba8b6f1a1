"""What is counted beside the outcomes: the traffic, causes, and what reconcile found when it found nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handler.outcomes import Created, Dead, Late
from support.events import STORE_HASH
from support.exchange import answer
from support.night import HOOKS, ORDERS, Night, new_night
from support.world import LOOK_UP, RECORDS, World

if TYPE_CHECKING:
    from support.telemetry import Written


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def night(written: Written) -> Night:
    return new_night(written)


def test_an_announced_order_and_each_attempt_are_counted_by_the_api_that_was_asked(
    world: World, written: Written
) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, answer(503), answer(503))

    assert isinstance(world.create(), Created)

    assert written.traffic == {"OrderReceived": [1], "StoreApiRequest": [1], "B2BApiRequest": [1, 1, 1]}


def test_a_late_order_is_counted_by_its_cause_too(world: World, written: Written) -> None:
    world.place()
    world.exchange.always("GET", LOOK_UP, answer(401))

    assert isinstance(world.create(), Late)
    assert written.by_dimension("cause") == [("OrderLate", "unauthorized")]


def test_a_late_order_tells_its_age_and_why_it_stays_at_each_try(world: World, written: Written) -> None:
    world.exchange.always("GET", LOOK_UP, answer(503))
    world.put_late()
    world.clock.advance(30)
    world.recover()
    world.wait_for_late()

    assert written.traffic["LateOrderAge"] == pytest.approx([30.05, 35.1], abs=0.1)
    assert written.by_dimension("cause") == [("OrderRetried", "api_unavailable")] * 2


def test_a_dead_order_is_counted_by_its_cause_too(world: World, written: Written) -> None:
    world.place()
    world.exchange.on("POST", RECORDS, answer(422, {"code": 422, "data": {}, "meta": {"message": "no"}}))

    assert isinstance(world.create(), Dead)
    assert written.by_dimension("cause") == [("OrderDead", "api_refused")]


def test_a_look_that_finds_all_well_says_so_with_zeros(night: Night, written: Written) -> None:
    night.reconcile()

    found = written.metrics
    assert (found["HookMissing"], found["OrderReconciled"], found["ReconcileBehind"]) == ([0], [0], [0])


def test_a_look_says_how_far_it_is_behind_the_last_finished_one(night: Night, written: Written) -> None:
    night.reconcile()
    for status in (503, 503, 200, 200):
        night.world.exchange.always("GET", ORDERS, answer(status, []))
        night.world.clock.advance(900)
        night.reconcile()

    assert written.metrics["ReconcileBehind"] == pytest.approx([0, 900, 1800, 2700, 900], abs=2)


def test_a_hook_that_cannot_be_looked_at_is_neither_there_nor_missing(night: Night, written: Written) -> None:
    night.world.exchange.always("GET", HOOKS, answer(503))
    night.reconcile()

    assert STORE_HASH in night.world.table.stores
    assert "HookMissing" not in written.metrics
    assert written.metrics["ReconcileFailed"] == [1]
