"""What stands behind the sandbox's page: faults in force, queues, log lines, and the whole picture put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relay import context
from sandbox.aws.logs import LogFollower
from sandbox.console.commands import Commands
from sandbox.console.live_rules import LiveRules
from sandbox.console.queues import NoDeadLetter, QueueFollower
from sandbox.console.requests import FaultRequest, InvalidRequest, OrderRequest
from sandbox.console.snapshot import MOST_ORDERS, Snapshots
from sandbox.demo.scenarios import BUYER, demo_store, outlet_store, secret_of
from sandbox.store.b2b_api import Record
from sandbox.store.messages import Call
from sandbox.store.server import SandboxStore
from support.dead_letters import DEAD, LATE, Queues, letter

if TYPE_CHECKING:
    from sandbox.store.settings import Store

NOW = 1_795_000_100.0
OUTPUTS = {"RecoveryQueueUrl": LATE, "DeadLetterQueueUrl": DEAD}
SILENT = OrderRequest(po_number="PO-1", delay_seconds=None)


class Logs:
    """CloudWatch Logs as far as it is needed: one group, read from a moment on."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write(self, at: float, **entry: Any) -> None:
        text = json.dumps({"message": "said", **entry})
        self.events.append({"timestamp": int(at * 1000), "message": text, "logStreamName": "s"})

    def filter_log_events(self, *, startTime: int, **_: Any) -> dict[str, Any]:  # noqa: N803  boto3's name
        return {"events": [event for event in self.events if event["timestamp"] >= startTime]}


class StoreSecrets:
    """The stores' secrets."""

    def __init__(self, *stores: Store) -> None:
        self.secrets = {store.hash: secret_of(store) for store in stores}

    def read(self, store_hash: str) -> dict[str, object]:
        return self.secrets[store_hash]

    def write(self, store_hash: str, values: dict[str, object]) -> None:
        self.secrets[store_hash] = values


class Stage:
    """The pretended store, not listening, and the page's side of it."""

    def __init__(self) -> None:
        self.sandbox = SandboxStore(clock=lambda: NOW)
        self.store = self.sandbox.add_store(demo_store())
        self.outlet = self.sandbox.add_store(outlet_store())
        self.store_secrets = StoreSecrets(self.store, self.outlet)
        self.queues = Queues()
        self.logs = Logs()
        self.letters = QueueFollower(self.queues, OUTPUTS, self.depths, lambda: 0.0)  # type: ignore[arg-type]
        self.log_follower = LogFollower(self.logs, {"OrderFunction": "group"})
        self.commands = Commands(
            self.sandbox,
            self.store,
            self.letters,
            "http://127.0.0.1/",
            self.store_secrets,  # type: ignore[arg-type]
        )

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


class TestFaultsOfTheStore:
    """In force at once, until they are removed or an operator has mended them."""

    def answers(self, stage: Stage, order: int, *calls: tuple[str, str], store: Store | None = None) -> list[int]:
        """The status of each call (method, endpoint) about the order, with the token that the relay knows."""
        of = store or stage.store
        bodies = {"POST": {"bcOrderId": order, "customerId": BUYER}, "PUT": {"poNumber": "PO-1"}}
        statuses = []
        for method, endpoint in calls:
            call = Call(
                endpoint=endpoint,
                method=method,
                path=f"/stores/{of.hash}/v3/x",
                store_hash=of.hash,
                token=str(stage.store_secrets.read(of.hash)["access_token"]),
                body=json.dumps(bodies.get(method)).encode(),
                order_id=order,
                customer_id=BUYER,
            )
            fault = stage.sandbox._bigcommerce.faults.strike(call)
            statuses.append((fault and fault.status) or stage.sandbox._bigcommerce.answer(call).status)
        return statuses

    def test_the_b2b_api_is_down_and_the_store_is_not(self, stage: Stage) -> None:
        order = stage.place()
        calls = ("POST", "b2b.create"), ("GET", "b2b.extra_fields"), ("GET", "core.get_order"), ("GET", "core.hooks")

        stage.take("b2b-down", "next-1")
        assert self.answers(stage, order, *calls) == [503, 503, 200, 200]
        [shown] = stage.commands.faults_as_json()
        assert (shown["for_whom"], shown["verb"]) == ("until removed", "Remove")

        stage.commands.remove_fault(shown["id"])
        assert self.answers(stage, order, *calls) == [200, 200, 200, 200]

    def test_a_required_field_refuses_creates_and_updates_until_it_is_removed(self, stage: Stage) -> None:
        order = stage.place(OrderRequest(created_ago_seconds=9, delay_seconds=None))
        elsewhere = stage.place(OrderRequest(store="outlet", delay_seconds=None))
        stage.take("required", "next-1")

        assert self.answers(stage, stage.place(), ("POST", "b2b.create")) == [422]
        update = ("PUT", "b2b.update")
        assert self.answers(stage, order, update, update, update) == [422, 422, 422]
        assert self.answers(stage, elsewhere, ("POST", "b2b.create"), store=stage.outlet) == [200]

        stage.commands.remove_fault(stage.commands.faults_as_json()[0]["id"])
        assert self.answers(stage, order, update) == [200]
        assert stage.store.extra_fields == demo_store().extra_fields

    def test_a_revoked_token_is_mended_in_the_relays_secret(self, stage: Stage) -> None:
        before = dict(stage.store_secrets.read("sandbox"))
        stage.take("token", "all")
        new = stage.store.access_token
        stage.take("token", "all")
        assert before["access_token"] != new == stage.store.access_token
        assert stage.store_secrets.read("sandbox") == before

        [shown] = stage.commands.faults_as_json()
        assert (shown["for_whom"], shown["verb"]) == ("until mended", "Mend")
        stage.commands.remove_fault(shown["id"])

        assert stage.store_secrets.read("sandbox") == before | {"access_token": new}

    def test_a_revoked_token_is_over_when_the_operator_has_given_the_new_one_to_the_relay(self, stage: Stage) -> None:
        stage.take("token", "all")

        stage.store_secrets.write("sandbox", {"access_token": stage.store.access_token})

        assert stage.commands.faults_as_json() == []
        stage.take("token", "all")
        assert stage.store_secrets.read("sandbox")["access_token"] != stage.store.access_token

    def test_a_hook_that_is_off_is_over_when_the_operator_has_switched_it_on(self, stage: Stage) -> None:
        hook = stage.sandbox.add_hook(stage.store, "https://relay.example.com/")
        other = stage.sandbox.add_hook(stage.outlet, "https://relay.example.com/")
        stage.take("hook-off", "all")
        assert (hook.is_active, other.is_active) == (False, True)
        assert stage.commands.faults_as_json()[0]["verb"] == "Mend"

        hook.is_active = True

        assert stage.commands.faults_as_json() == []

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

    def test_a_redriven_one_is_in_the_recovery_queue_and_the_others_stay_visible(self, stage: Stage) -> None:
        name = stage.queues.put(DEAD, letter(101, "sandbox"))
        stage.queues.put(DEAD, letter(102, "sandbox"))
        stage.letters.refresh()

        assert stage.commands.redrive(name) == "Order 101 is back in RecoveryQueue."

        assert list(stage.queues.bodies[LATE].values()) == [letter(101, "sandbox")]
        assert [found.order for found in stage.letters.letters] == [102]
        assert not stage.queues.hidden & stage.queues.bodies[DEAD].keys()
        assert stage.letters.has_left("sandbox", 101)
        assert not stage.letters.has_left("sandbox", 102)

    def test_one_that_sqs_does_not_move_stays(self, stage: Stage) -> None:
        name = stage.queues.put(DEAD, letter(101, "sandbox"))
        stage.queues.refused_bodies.add(letter(101, "sandbox"))
        stage.letters.refresh()

        with pytest.raises(NoDeadLetter, match="stays"):
            stage.commands.redrive(name)

        assert name in stage.queues.bodies[DEAD]

    def test_a_dropped_one_is_gone_and_its_order_says_so(self, stage: Stage) -> None:
        order = stage.place()
        name = stage.queues.put(DEAD, letter(order, "sandbox"))
        stage.letters.refresh()

        stage.commands.drop(name)

        assert stage.queues.bodies == {DEAD: {}, LATE: {}}
        assert stage.commands.placed[0].dropped

    def test_one_that_is_gone_is_said_to_be(self, stage: Stage) -> None:
        with pytest.raises(NoDeadLetter, match="somebody else"):
            stage.commands.redrive("m7")

    def test_an_empty_queue_forgets_what_was_there(self, stage: Stage) -> None:
        name = stage.queues.put(DEAD, letter(101, "sandbox"))
        stage.letters.refresh()
        del stage.queues.bodies[DEAD][name]

        stage.letters.refresh()

        assert stage.letters.letters == ()


def picture(stage: Stage, chosen: int | None = None) -> dict[str, Any]:
    rules = LiveRules(Path("rules.toml"), "", "1", lambda _text: "2", lambda: NOW)
    snapshots = Snapshots(
        stage.sandbox,
        [stage.store, stage.outlet],
        stage.commands,
        stage.log_follower,
        stage.letters,
        rules,
        lambda: NOW,
    )
    taken = snapshots.take(chosen)
    assert json.loads(json.dumps(taken)) == taken
    state: dict[str, Any] = taken["state"]
    return state


class TestPicture:
    def test_the_stores_are_shown_with_the_credentials_that_relay_store_add_asks_for(self, stage: Stage) -> None:
        stage.take("token", "all")

        assert picture(stage)["stores"] == [
            {"hash": "sandbox", "access_token": stage.store.access_token, "client_secret": "sandbox-client-secret"},
            {"hash": "outlet", "access_token": "outlet-access-token", "client_secret": "outlet-client-secret"},
        ]

    def test_orders_of_both_stores_are_told_apart(self, stage: Stage) -> None:
        first, second = stage.place(), stage.place(OrderRequest(store="outlet", delay_seconds=None))

        assert first != second  # the page goes by the number
        assert [(order["id"], order["store"]) for order in picture(stage)["orders"]] == [
            (second, "outlet"),
            (first, "sandbox"),
        ]

    def test_what_the_operators_own_commands_ask_is_not_counted_as_the_relays(self, stage: Stage) -> None:
        order = stage.place()
        for agent in ("b2b-order-relay", context.USER_AGENT):
            call = Call(endpoint="b2b.get", store_hash="sandbox", order_id=order, user_agent=agent)
            stage.sandbox._bigcommerce.arrived(call)

        assert len(picture(stage, order)["selected"]["requests"]) == 1

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

    def test_a_late_order_stands_with_its_reason_among_the_queues(self, stage: Stage) -> None:
        order = stage.place()
        stage.logs.write(NOW, order=order, store="sandbox", outcome="late", cause="no_answer", detail="slow")
        stage.log_follower.refresh()

        [late] = picture(stage)["queues"]["recovery"]["orders"]

        assert late == {"order": order, "words": "no_answer: slow"}

    def test_the_chosen_order_is_shown_whole_and_a_strange_one_is_not(self, stage: Stage) -> None:
        order = stage.place(OrderRequest(po_number="PO-9", created_ago_seconds=12, delay_seconds=None))
        stage.sandbox.order("sandbox", order).buyer_po_number = "PO-9"
        stage.logs.write(NOW, order=order, store="sandbox")
        stage.log_follower.refresh()

        selected = picture(stage, order)["selected"]

        assert selected["record"]["customer"] == BUYER
        assert [line["message"] for line in selected["log"]] == ["said"]
        assert picture(stage, 7)["selected"] is None
