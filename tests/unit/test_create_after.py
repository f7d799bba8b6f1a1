"""A store whose checkout makes the B2B record itself: the relay waits for it, and creates the record inside the window otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from handler.enrichment import Rules
from handler.errors import Cause, ConfigurationError
from handler.order_event import parse_detail
from handler.outcomes import Created, Dead, Late, Skipped, SkipReason, Unchanged, Updated
from sandbox.store.orders import PO_LINE
from support.aws import FakeContext
from support.events import ORDER_ID, OUTSIDER, STORE_HASH, webhook
from support.exchange import answer, hang
from support.world import LOOK_UP, RECORD, RECORDS, World

if TYPE_CHECKING:
    from handler.outcomes import Outcome

REFUSED = answer(400, {"code": 400, "data": {}, "meta": {"message": "No such thing."}})
RULES = """
[all]
po_number = "po_number(customer_message)"
create_after_seconds = {seconds}
[all.extra_fields]
"Team" = "external_order_id"
"""


def world_with(seconds: float) -> World:
    return World(rules=Rules.parse(RULES.format(seconds=seconds)))


@pytest.fixture
def world() -> World:
    return world_with(4)


def seconds_of(outcome: Outcome) -> float:
    assert isinstance(outcome, Created)
    return outcome.seconds_after_creation


def calls(world: World) -> list[tuple[str, str]]:
    return [(sent.method, sent.path) for sent in world.exchange.sent]


# --- the live path ------------------------------------------------------------------------------------------------


def test_nothing_that_the_buyer_typed_is_lost_when_the_checkout_posts_two_seconds_after_the_order(world: World) -> None:
    world.place(
        automatic_record_after=2.0,
        buyer_po_number="PO-TYPED",
        buyer_extra_fields={"Floor": "3"},
        external_order_id="Blue",
    )

    assert world.create() == Updated()

    record = world.record()
    assert record is not None
    assert (record.origin, record.po_number) == ("automatic", "PO-TYPED")
    assert record.extra_fields == {"Floor": "3", "Team": "Blue"}
    assert calls(world) == [("GET", LOOK_UP), ("GET", RECORD), ("PUT", RECORD)]
    assert world.exchange.sent[1].at - world.exchange.sent[0].at == pytest.approx(
        5, abs=0.1
    )  # dates have whole seconds


def test_a_record_that_has_every_value_is_left_alone(world: World) -> None:
    world.place(automatic_record_after=2.0, buyer_po_number="PO-1", customer_message=f"{PO_LINE}PO-1")

    assert world.create() == Unchanged()


@pytest.mark.parametrize("after", [0.5, 4, 7.5, 8])
def test_without_a_record_the_order_is_created_between_then_and_the_end_of_the_window(after: float) -> None:
    world = world_with(after)
    world.place(customer_message=f"{PO_LINE}PO-1")

    seconds = seconds_of(world.create())

    assert after < seconds < 9.5
    assert calls(world) == [("GET", LOOK_UP), ("GET", RECORD), ("POST", RECORDS)]
    assert world.effects.creates == 1


def test_what_is_wanted_is_known_before_the_wait(world: World) -> None:
    world.place()
    world.exchange.on("GET", LOOK_UP, answer(503, seconds=1.0), answer(503, seconds=1.0))

    assert seconds_of(world.create()) == pytest.approx(5.1)


def test_the_wait_of_a_stores_own_section_is_that_stores() -> None:
    world = World(rules=Rules.parse(f"[stores.{STORE_HASH}]\ncreate_after_seconds = 4"))
    world.place()

    assert seconds_of(world.create()) == pytest.approx(5.1)


def test_an_event_that_comes_later_is_not_kept_waiting(world: World) -> None:
    world.place()
    world.clock.advance(6)

    assert seconds_of(world.create(created_at=world.clock.now - 6)) == pytest.approx(6.15)
    assert sum(world.clock.slept) == 0


def test_an_event_that_comes_with_the_customer_is_kept_waiting_too(world: World) -> None:
    order = world.place()

    assert seconds_of(world.create(customerId=order.customer_id)) == pytest.approx(5.1)
    assert calls(world) == [("GET", RECORD), ("POST", RECORDS)]


def test_with_zero_the_order_is_created_at_once_and_no_record_looked_for() -> None:
    world = world_with(0)
    world.place()

    assert seconds_of(world.create()) == pytest.approx(0.1)
    assert calls(world) == [("GET", LOOK_UP), ("POST", RECORDS)]


@pytest.mark.parametrize("after", [4, 8])
@pytest.mark.parametrize("step", [hang(), answer(503, seconds=0.4), REFUSED], ids=["hangs", "fails", "refuses"])
def test_a_look_up_of_the_record_that_fails_leaves_time_to_create_the_order(after: float, step: Any) -> None:
    world = world_with(after)
    world.place()
    world.exchange.always("GET", RECORD, step)

    assert after < seconds_of(world.create()) < 9.5


def test_a_record_that_appears_between_the_look_up_and_create_order_is_updated(world: World) -> None:
    world.place(automatic_record_after=5.02, buyer_po_number="PO-TYPED", external_order_id="Blue")

    assert world.create() == Updated()

    record = world.record()
    assert record is not None
    assert (record.po_number, record.extra_fields) == ("PO-TYPED", {"Team": "Blue"})


def test_the_record_may_be_updated_after_the_window(world: World) -> None:
    world.place(automatic_record_after=2.0, external_order_id="Blue")
    world.exchange.on("PUT", RECORD, *[answer(503, seconds=1.0)] * 4)

    assert world.create() == Updated()
    assert world.exchange.sent[-1].at > world.exchange.sent[0].at + 9.5


def test_the_wait_leaves_the_invocation_the_time_to_create(world: World) -> None:
    world.place()
    event = parse_detail(webhook(world.clock.now), world.clock.now)

    outcome = world.create_order.handle(event, cast("Any", FakeContext(world.clock, seconds=5.0)))

    assert seconds_of(outcome) < 3.0


def test_an_update_that_fails_makes_the_order_late(world: World) -> None:
    world.place(automatic_record_after=2.0, external_order_id="Blue")
    world.exchange.always("PUT", RECORD, answer(503))

    outcome = world.create()

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.API_UNAVAILABLE
    assert world.exchange.paths("POST") == []


def test_an_update_that_is_refused_is_a_dead_letter_with_the_apis_words(world: World) -> None:
    world.place(automatic_record_after=2.0, external_order_id="Blue")
    refused = answer(422, {"code": 422, "data": {"errMsg": "[Floor] is a required extra field"}, "meta": {}})
    world.exchange.always("PUT", RECORD, refused)

    outcome = world.create()

    assert isinstance(outcome, Dead)
    assert "required extra field" in outcome.detail


def test_guests_and_customers_without_a_company_are_skipped_as_ever(world: World) -> None:
    world.place(customer_id=0)
    assert world.create() == Skipped(SkipReason.GUEST)
    assert sum(world.clock.slept) == 0

    other = ORDER_ID + 1
    world.place(order_id=other, customer_id=OUTSIDER)
    assert world.create(data={"type": "order", "id": other}) == Skipped(SkipReason.NO_COMPANY)


def test_values_for_a_finished_order_are_not_kept_waiting(world: World) -> None:
    world.place()
    world.create()
    world.clock.advance(5)
    slept = sum(world.clock.slept)

    assert world.create(poNumber="PO-OWN") == Updated()
    assert sum(world.clock.slept) == slept


def test_the_late_path_does_not_wait(world: World) -> None:
    world.place(automatic_record_after=0.0, external_order_id="Blue")
    world.put_late()
    world.clock.advance(0.5)

    world.recover()

    record = world.record()
    assert record is not None
    assert record.extra_fields == {"Team": "Blue"}
    assert sum(world.clock.slept) == 0


# --- the rule -----------------------------------------------------------------------------------------------------


def test_a_stores_own_seconds_stand_in_place_of_those_for_all() -> None:
    rules = Rules.parse(
        "[all]\ncreate_after_seconds = 3\n[stores.abc]\ncreate_after_seconds = 0\n[stores.def]\nskip_when = ''"
    )

    assert [rules.of_store(store).create_after_seconds for store in ("abc", "def", "other")] == [0, 3, 3]


def test_as_shipped_no_order_waits() -> None:
    rules = Rules.load()

    assert {each.create_after_seconds for each in (rules.for_all, *rules.by_store.values())} == {0}


@pytest.mark.parametrize("value", ["-1", "8.1", '"4"', "true", "nan", "inf", "[4]"])
def test_seconds_out_of_range_are_refused_with_the_range(value: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"all\.create_after_seconds: expected a number of seconds from 0 to 8"
    ):
        Rules.parse(f"[all]\ncreate_after_seconds = {value}")
