"""What stands behind the sandbox's page: faults in force, queues, log lines, and the whole picture put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sandbox.aws.logs import LogFollower
from sandbox.console.commands import Commands
from sandbox.console.live_rules import LiveRules
from sandbox.console.queues import NoDeadLetter, QueueFollower
from sandbox.console.requests import FaultRequest, InvalidRequest, OrderRequest
from sandbox.console.snapshot import MOST_ORDERS, Snapshots
from sandbox.demo.scenarios import BUYER, demo_store
from sandbox.store.b2b_api import Record
from sandbox.store.messages import Call
from sandbox.store.server import SandboxStore
from support.dead_letters import DEAD, LATE, Queues, letter

NOW = 1_795_000_100.0
OUTPUTS = {"RecoveryQueueUrl": LATE, "DeadLetterQueueUrl": DEAD}
SILENT = OrderRequest(po_number="PO-1", delay_seconds=None)


class Stage:
    """The pretended store, not listening, and the page's side of it."""

    def __init__(self) -> None:
        self.sandbox = SandboxStore(clock=lambda: NOW)
        self.store = self.sandbox.add_store(demo_store())
        self.queues = Queues()
        self.letters = QueueFollower(self.queues, OUTPUTS, self.depths, lambda: 0.0)  # type: ignore[arg-type]
        self.commands = Commands(self.sandbox, self.store, self.letters, "http://127.0.0.1/", store_secrets=Mock())

    def depths(self) -> dict[str, tuple[int, int]]:
        hidden = len(self.queues.hidden & self.queues.bodies[DEAD].keys())
        return {
            "RecoveryQueue": (len(self.queues.bodies[LATE]), 0),
            "DeadLetterQueue": (len(self.queues.bodies[DEAD]) - hidden, hidden),
        }

    def take(self, key: str, extent: str, endpoint: str = "b2b.create") -> str:
        return self.commands.fault(FaultRequest(key=key, endpoint=endpoint, extent=extent))

    def place(self, request: OrderRequest = SILENT) -> int:
        return self.commands.place(request)[0].order.id

    def strikes(self, order: int, endpoint: str = "b2b.create", tries: int = 1) -> int:
        """How many of so many calls meet a fault."""
        call = Call(endpoint=endpoint, store_hash=self.store.hash, order_id=order)
        return sum(self.sandbox._bigcommerce.faults.strike(call) is not None for _ in range(tries))


@pytest.fixture
def stage() -> Stage:
    return Stage()


class TestFaults:
    def test_one_for_the_next_order_strikes_it_as_often_as_it_was_told_and_no_other(self, stage: Stage) -> None:
        assert "waits for the next order" in stage.take("503", "next-3")

        first, second = stage.place(), stage.place()

        assert stage.strikes(second, tries=5) == 0
        assert stage.strikes(first, tries=2) == 2
        [shown] = stage.commands.faults.as_json()
        assert shown["for_whom"] == f"order {first}, 2 of 3 calls"
        assert stage.strikes(first, tries=5) == 1
        assert stage.commands.faults.as_json() == []

    def test_one_for_everybody_strikes_until_it_is_removed(self, stage: Stage) -> None:
        assert "is in force" in stage.take("503", "all", "b2b")
        first, second = stage.place(), stage.place()
        assert stage.strikes(first) == stage.strikes(second, "b2b.get") == 1
        assert stage.strikes(first, "core.get_order") == 0

        [shown] = stage.commands.faults.as_json()
        stage.commands.remove_fault(shown["id"])

        assert stage.strikes(first) == 0
        with pytest.raises(InvalidRequest, match="over already"):
            stage.commands.remove_fault(shown["id"])

    def test_an_order_that_cannot_be_read_at_first(self, stage: Stage) -> None:
        stage.take("not-readable", "next-1")
        assert stage.commands.faults.as_json()[0]["for_whom"] == "the next order"
        first, second = stage.place(), stage.place()

        assert not stage.sandbox.order(stage.store, first).readable(NOW)
        assert stage.sandbox.order(stage.store, second).readable(NOW)
        assert stage.commands.faults.as_json() == []

    def test_a_hook_that_is_off_can_be_mended_on_the_page(self, stage: Stage) -> None:
        hook = stage.sandbox.add_hook(stage.store, "https://relay.example.com/")
        stage.take("hook-off", "all")

        assert "active again" in stage.commands.remove_fault(stage.commands.faults_as_json()[0]["id"])
        assert hook.is_active


class TestLetters:
    def test_are_read_only_when_their_number_has_changed(self, stage: Stage) -> None:
        stage.queues.put(DEAD, letter(101, "sandbox"))
        stage.letters.refresh()
        assert [found.order for found in stage.letters.letters] == [101]
        stage.queues.receive_message = None  # type: ignore[method-assign, assignment]  # reading again would fail

        stage.letters.refresh()

        assert stage.letters.dead.all == 1
        assert not stage.queues.hidden

    def test_are_left_alone_while_somebody_else_holds_them(self, stage: Stage) -> None:
        stage.queues.hidden.add(stage.queues.put(DEAD, letter(101, "sandbox")))

        stage.letters.refresh()

        assert (stage.letters.dead.hidden, stage.letters.letters) == (1, ())

    def test_one_that_sqs_does_not_move_stays(self, stage: Stage) -> None:
        name = stage.queues.put(DEAD, letter(101, "sandbox"))
        stage.queues.refused_bodies.add(letter(101, "sandbox"))
        stage.letters.refresh()

        with pytest.raises(NoDeadLetter, match="stays"):
            stage.commands.redrive(name)

        assert name in stage.queues.bodies[DEAD]

    def test_one_that_is_gone_is_said_to_be(self, stage: Stage) -> None:
        with pytest.raises(NoDeadLetter, match="somebody else"):
            stage.commands.redrive("m7")


def picture(stage: Stage, chosen: int | None = None) -> dict[str, Any]:
    rules = LiveRules(Path("rules.toml"), "", "1", lambda _text: "2", lambda: NOW)
    follower = LogFollower(None, {})
    taken = Snapshots(stage.sandbox, [stage.store], stage.commands, follower, stage.letters, rules, lambda: NOW).take(
        chosen
    )
    assert json.loads(json.dumps(taken)) == taken
    state: dict[str, Any] = taken["state"]
    return state


class TestPicture:
    def test_the_newest_order_comes_first_and_old_ones_are_left_out(self, stage: Stage) -> None:
        ids = [stage.place() for _ in range(MOST_ORDERS + 2)]

        assert [order["id"] for order in picture(stage)["orders"]] == ids[:1:-1]

    def test_an_order_tells_what_is_out_of_the_ordinary(self, stage: Stage) -> None:
        stage.take("503", "next-1")
        stage.place(OrderRequest(po_number="PO-9", created_ago_seconds=12, delay_seconds=None))

        [order] = picture(stage)["orders"]

        assert order["notes"] == ["made 12 s ago", "no webhook", "503 Service Unavailable at Create Order"]
        assert order["verdict"]["key"] == "silent"

    def test_the_buyer_is_known_by_what_the_form_says_and_a_refused_checkout_is_told(self, stage: Stage) -> None:
        request = OrderRequest(
            erp_id="C-2", checkout_po="T-1", checkout_seconds=2, created_ago_seconds=5, delay_seconds=None
        )
        order = stage.place(request)
        stage.sandbox._bigcommerce.shops["sandbox"].b2b._records[order] = Record(
            order_id=order, customer_id=BUYER, origin="created", created_at=NOW - 4, updated_at=NOW - 4
        )

        assert stage.store.buyer(BUYER).company_extra_fields == {"ERP ID": "C-2"}
        assert "T-1" in picture(stage, order)["selected"]["lost"]
