"""An order in a world where anything may fail at any moment: it is finished, dead with a reason, or still in a queue."""

from __future__ import annotations

import json
from typing import Any, cast

from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from handler.order_event import parse_detail
from sandbox.orders import PO_LINE
from support.aws import DEAD_LETTER_URL, RECOVERY_URL, FakeContext, refusal
from support.events import BUYER, ORDER_ID, OUTSIDER, STORE_HASH, bus_event, webhook
from support.exchange import Step, answer, hang, reset
from support.world import LOOK_UP, RECORD, RECORDS, SECRET_NAME, World, secret_text

PLACES = st.sampled_from([("GET", LOOK_UP), ("POST", RECORDS), ("GET", RECORD), ("PUT", RECORD)])
FAULTS = st.sampled_from(
    [
        reset(),
        hang(),
        answer(404, {"meta": {"message": "Not Found Error"}}),
        answer(429, headers={"Retry-After": "20"}),
        answer(401),
        answer(400, {"meta": {"message": "The order already exists."}}),
        answer(422, {"meta": {"message": "No such field."}}),
        answer(503),
        answer(200, b"<html>"),
    ]
)


class OneOrder(RuleBasedStateMachine):
    """One accepted order; the rules are what may happen to it, in any sequence."""

    @initialize(
        customer=st.sampled_from([BUYER, BUYER, BUYER, OUTSIDER, 0]),
        late_create=st.booleans(),
        trouble=st.dictionaries(PLACES, FAULTS, max_size=3),
        travel_seconds=st.sampled_from([0.0, 4.0, 20.0]),
    )
    def accept(
        self, customer: int, late_create: bool, trouble: dict[tuple[str, str], Step], travel_seconds: float
    ) -> None:
        self.world = World()
        self.world.store.late_create_without_record = late_create
        self.world.place(customer_id=customer, customer_message=f"{PO_LINE}4711", buyer_extra_fields={"Own": "kept"})
        for place, fault in trouble.items():
            self.world.exchange.always(*place, fault)
        self.event = parse_detail(webhook(self.world.clock.now), self.world.clock.now)
        self.world.clock.advance(travel_seconds)
        self.live()

    def live(self) -> None:
        """The live path; when it fails itself, Lambda puts the event into RecoveryQueue."""
        try:
            self.world.create_order.handle(self.event, cast("Any", FakeContext(self.world.clock)))
        except ClientError:
            detail = self.event.as_detail()
            self.world.sqs.broken.discard(RECOVERY_URL)
            self.world.sqs.errors.clear()
            self.world.sqs.send_message(
                QueueUrl=RECOVERY_URL, MessageBody=json.dumps({"requestPayload": bus_event(detail)})
            )

    @rule()
    def deliver_again(self) -> None:
        self.live()

    @rule(late=st.integers(1, 5))
    def work_off(self, late: int) -> None:
        for _ in range(late):
            if self.world.waiting:
                self.world.wait_for_late()

    @rule()
    def crash_in_the_late_path(self) -> None:
        self.world.sqs.receive(RECOVERY_URL)

    @rule(seconds=st.sampled_from([1.0, 60.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(place=PLACES, fault=FAULTS)
    def break_once(self, place: tuple[str, str], fault: Step) -> None:
        self.world.exchange.on(*place, fault)

    @rule(place=PLACES, fault=FAULTS)
    def break_for_good(self, place: tuple[str, str], fault: Step) -> None:
        self.world.exchange.always(*place, fault)

    @rule()
    def lose_an_answer_after_its_effect(self) -> None:
        simulated = self.world.exchange.otherwise
        assert simulated is not None

        def lossy(sent: Any) -> Step:
            self.world.exchange.otherwise = simulated
            simulated(sent)
            return reset()

        self.world.exchange.otherwise = lossy

    @rule()
    def mend(self) -> None:
        self.world.exchange.mend()
        self.world.sqs.broken.clear()
        self.world.secrets.error = None
        self.world.table.error = None

    @rule()
    def make_the_automatic_record(self) -> None:
        order = self.world.shop.orders[ORDER_ID]
        if order.customer_id == BUYER and order.automatic_record_at is None:
            order.automatic_record_at = self.world.clock.now

    @rule()
    def lose_secrets_manager(self) -> None:
        self.world.secrets.error = refusal("InternalServiceError")

    @rule()
    def rotate_the_token(self) -> None:
        self.world.store.access_token += "+"
        self.world.secrets.put(SECRET_NAME, secret_text(self.world.store))

    @rule(url=st.sampled_from([RECOVERY_URL, DEAD_LETTER_URL]))
    def break_a_queue(self, url: str) -> None:
        self.world.sqs.broken.add(url)

    @rule()
    def break_the_table(self) -> None:
        self.world.table.error = refusal("ThrottlingException")

    @rule()
    def redrive(self) -> None:
        for letter in [*self.world.dead]:
            self.world.dead.remove(letter)
            letter.visible_at, letter.sent_at, letter.receipts = self.world.clock.now, self.world.clock.now, 0
            self.world.waiting.append(letter)

    @invariant()
    def the_order_is_somewhere(self) -> None:
        finished = (STORE_HASH, ORDER_ID) in self.world.once.done
        assert finished or self.world.waiting or self.world.dead
        assert not self.world.once.in_progress

    @invariant()
    def nothing_is_done_twice_with_an_effect(self) -> None:
        assert self.world.effects.creates <= 1

    @invariant()
    def the_buyers_own_field_is_never_lost(self) -> None:
        record = self.world.record()
        if record is not None and record.origin == "automatic":
            assert record.extra_fields["Own"] == "kept"

    def teardown(self) -> None:
        """When everything works again and a person has redriven the dead letters, the order ends as its rules say."""
        self.mend()
        self.redrive()
        order = self.world.shop.orders[ORDER_ID]
        if order.customer_id == BUYER and self.world.record() is None:
            order.automatic_record_at = self.world.clock.now
        for _ in range(12):
            if self.world.waiting:
                self.world.wait_for_late()
        assert (self.world.waiting, self.world.dead) == ([], [])
        assert (STORE_HASH, ORDER_ID) in self.world.once.done
        record = self.world.record()
        if order.customer_id == BUYER:
            assert record is not None
            assert record.po_number == "4711"


TestOneOrder = OneOrder.TestCase
TestOneOrder.settings = settings(max_examples=120, stateful_step_count=25, derandomize=True, deadline=None)
