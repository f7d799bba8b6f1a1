"""An order in a world where anything may fail at any moment: it is finished, dead with a reason, or still in a queue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from handler.enrichment import Rules
from handler.order_event import OrderEvent, parse_detail
from sandbox.store.orders import PO_LINE
from support.aws import DEAD_LETTER_URL, RECOVERY_URL, FakeContext, refusal
from support.events import BUYER, ORDER_ID, OUTSIDER, STORE_HASH, bus_event, webhook
from support.exchange import Otherwise, Sent, Step, answer, hang, reset
from support.world import LOOK_UP, RECORD, RECORDS, SECRET_NAME, World, secret_text

PLACES = st.sampled_from([("GET", LOOK_UP), ("POST", RECORDS), ("GET", RECORD), ("PUT", RECORD)])
SUCCESS = {"code": 200, "meta": {"message": "SUCCESS"}}
FAULTS = st.sampled_from(
    [
        reset(),
        hang(),
        answer(404),
        answer(404, {"meta": {"message": "Not Found Error"}}),
        answer(404, {"message": "no Route matched with those values"}),
        answer(429, headers={"Retry-After": "20"}),
        answer(401),
        answer(400, b"<html>Bad Request</html>"),
        answer(400, {"meta": {"message": "The order already exists."}}),
        answer(422, {"meta": {"message": "No such field."}}),
        answer(503),
        answer(200, b"<html>"),
        answer(200, {"code": 500, "data": {}, "meta": {"message": "An error occurred."}}),
        answer(200, SUCCESS | {"data": {"bcOrderId": ORDER_ID + 1, "poNumber": "PO-OTHER", "extraFields": []}}),
    ]
)
BUYERS_FIELDS: Any = {"Own": "kept", "Floor": 7, "Gift": False, "Sizes": ["S", 1.0], "Door": {"side": None}}
RULES = """
[all]
po_number = "external_order_id"
[all.extra_fields]
"Cost Center" = "staff_notes"
"""
VALUES = st.sampled_from(
    [
        {},
        {"poNumber": "PO-EVENT"},
        {"poNumber": "PO-OTHER"},
        {"extraFields": [{"fieldName": "Team", "fieldValue": "Blue"}]},
        {"extraFields": [{"fieldName": "Cost Center", "fieldValue": "event"}], "poNumber": "PO-EVENT"},
    ]
)


@dataclass(slots=True)
class LenientApi:
    """The simulated APIs, except that Create Order makes a second record of an order where it made the first.

    Update Order takes values of every type, and merges or replaces.
    """

    world: World
    simulated: Otherwise
    replaces: bool
    second_creates: int = 0

    def __call__(self, sent: Sent) -> Step:
        record = self.world.record()
        if record is not None and sent.method == "POST" and record.origin == "created":
            self.second_creates += 1
            return answer(200, SUCCESS | {"data": {"bcOrderId": ORDER_ID}})
        if record is not None and sent.method == "PUT":
            assert sent.body.keys() & {"poNumber", "extraFields"}
            fields = {row["fieldName"]: row["fieldValue"] for row in sent.body.get("extraFields", [])}
            record.po_number = sent.body.get("poNumber", "" if self.replaces else record.po_number)
            kept = {} if self.replaces else record.extra_fields
            record.rows = [{"fieldName": name, "fieldValue": value} for name, value in (kept | fields).items()]
            return answer(200, SUCCESS | {"data": {}})
        return self.simulated(sent)


class OneOrder(RuleBasedStateMachine):
    """One accepted order; the rules are what may happen to it, in any sequence."""

    @initialize(
        customer=st.sampled_from([BUYER, BUYER, BUYER, OUTSIDER, 0]),
        values=VALUES,
        ruled_po_number=st.sampled_from(["ERP-4711", ""]),
        late_create=st.booleans(),
        replaces=st.booleans(),
        trouble=st.dictionaries(PLACES, FAULTS, max_size=3),
        travel_seconds=st.sampled_from([0.0, 4.0, 20.0]),
    )
    def accept(
        self,
        customer: int,
        values: dict[str, Any],
        ruled_po_number: str,
        late_create: bool,
        replaces: bool,
        trouble: dict[tuple[str, str], Step],
        travel_seconds: float,
    ) -> None:
        self.world = World(rules=Rules.parse(RULES))
        self.world.store.late_create_without_record = late_create
        # Reads that lag are a scenario of their own: there, only the API's refusal can prevent a second record.
        self.world.store.read_lag_seconds = 0.0
        self.world.place(
            customer_id=customer,
            customer_message=f"{PO_LINE}PO-BUYER",
            external_order_id=ruled_po_number,
            staff_notes="rule",
            buyer_po_number="PO-BUYER",
            buyer_extra_fields=BUYERS_FIELDS,
        )
        self.ruled_po_number = ruled_po_number
        simulated = self.world.exchange.otherwise
        assert simulated is not None
        # Create Order's refusal is what keeps a second record from the store; here the relay alone can.
        self.api = self.world.exchange.otherwise = LenientApi(self.world, simulated, replaces)
        for place, fault in trouble.items():
            self.world.exchange.always(*place, fault)
        self.announced_at = self.world.clock.now
        self.brought: list[OrderEvent] = []
        self.world.clock.advance(travel_seconds)
        self.live(values)

    def live(self, values: dict[str, Any]) -> None:
        """The live path; when it fails itself, Lambda puts the event into RecoveryQueue."""
        event = parse_detail(webhook(self.announced_at, **values), self.announced_at)
        self.brought.append(event)
        try:
            self.world.create_order.handle(event, cast("Any", FakeContext(self.world.clock)))
        except ClientError:
            detail = event.as_detail()
            self.world.sqs.broken.discard(RECOVERY_URL)
            self.world.sqs.errors.clear()
            self.world.sqs.send_message(
                QueueUrl=RECOVERY_URL, MessageBody=json.dumps({"requestPayload": bus_event(detail)})
            )

    @property
    def finished(self) -> bool:
        return (STORE_HASH, ORDER_ID) in self.world.idempotency.done

    @rule()
    def deliver_again(self) -> None:
        """Once it is finished, the same news again costs no request."""
        finished, asked = self.finished, len(self.world.exchange.sent)
        self.live({})
        assert not finished or len(self.world.exchange.sent) == asked

    @rule(values=VALUES)
    def bring_values(self, values: dict[str, Any]) -> None:
        self.live(values)

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
        assert self.finished or self.world.waiting or self.world.dead
        assert not self.world.idempotency.in_progress

    @invariant()
    def no_second_record_is_created(self) -> None:
        assert self.world.effects.creates + self.api.second_creates <= 1

    @invariant()
    def what_the_buyer_typed_is_never_lost(self) -> None:
        record = self.world.record()
        if record is not None and record.origin == "automatic":
            for name, value in BUYERS_FIELDS.items():
                assert json.dumps(record.extra_fields[name]) == json.dumps(value)
            assert record.po_number

    @invariant()
    def a_finished_order_carries_what_was_wanted(self) -> None:
        order = self.world.shop.orders[ORDER_ID]
        if not self.finished or order.customer_id != BUYER:
            return
        record = self.world.record()
        assert record is not None
        assert record.extra_fields["Cost Center"] in {"rule", "event"}
        if self.ruled_po_number:
            assert record.po_number in {"ERP-4711", "PO-EVENT", "PO-OTHER"}

    def teardown(self) -> None:
        """When everything works again and a person has redriven the dead letters, the order ends as its rules say."""
        self.mend()
        self.redrive()
        order = self.world.shop.orders[ORDER_ID]
        if order.customer_id == BUYER and self.world.record() is None:
            order.automatic_record_at = self.world.clock.now
        for _ in range(12 + 2 * len(self.world.waiting)):
            if self.world.waiting:
                self.world.wait_for_late()
        assert (self.world.waiting, self.world.dead) == ([], [])
        assert self.finished
        record = self.world.record()
        if order.customer_id != BUYER:
            assert record is None
            return
        assert record is not None
        po_numbers = {event.po_number for event in self.brought if event.po_number}
        typed = {"PO-BUYER" if record.origin == "automatic" else ""}
        assert record.po_number in (po_numbers or ({self.ruled_po_number} if self.ruled_po_number else typed))
        brought = {name: value for event in self.brought for name, value in event.extra_fields}
        desired = {"Cost Center": "rule"} | brought
        assert desired == {name: record.extra_fields[name] for name in desired}


TestOneOrder = OneOrder.TestCase
TestOneOrder.settings = settings(max_examples=200, stateful_step_count=25, derandomize=True, deadline=None)
