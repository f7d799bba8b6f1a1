"""The three paths in one process: genuine HTTP to the simulated store, moto for AWS, a clock that jumps over waiting."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from handler.container import Container
from handler.enrichment import Rules
from handler.errors import Cause
from handler.http.client import HttpExchange
from handler.order_event import OrderEvent, parse_detail
from handler.outcomes import Created, Dead, Duplicate, Late, Outcome, Skipped, SkipReason, Unchanged, Updated
from handler.queues import Letter, Message
from handler.settings import Settings
from handler.table.rate_limit import Deferred
from sandbox.demo.scenarios import secret_of
from sandbox.store import faults
from sandbox.store.orders import PO_LINE, Order, OrderOptions
from sandbox.store.server import SandboxStore
from sandbox.store.settings import ExtraField, Store
from sandbox.store.webhooks import sign, webhook_body
from support.notes import note_failure
from support.template import Resolved, grants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Unpack

    from support.telemetry import Written

BUYER, OUTSIDER = 7, 8
TABLE = "idempotency"


@dataclass
class World:
    """A store, an AWS and the relay, and the time between them: `ahead` is how far the relay's clock runs before."""

    sandbox: SandboxStore
    store: Store
    settings: Settings
    session: Any = boto3
    load_rules: Callable[[], Rules] = Rules.load
    ahead: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.relay = Container(
            self.settings,
            client=lambda service, config: self.session.client(service, config=config),
            exchange=HttpExchange(),
            rules=self.load_rules,
            clock=self.now,
            sleep=self._sleep,
            uniform=lambda low, high: (low + high) / 2,
        )
        self.sqs = boto3.client("sqs")

    def now(self) -> float:
        return time.time() + self.ahead

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(min(seconds, 0.05))

    def place(self, **options: Unpack[OrderOptions]) -> Order:
        merged: OrderOptions = {"customer_id": BUYER, "automatic_record_after": None, **options}
        return self.sandbox.place_order(self.store, **merged)

    def create(self, order: Order, remaining_seconds: float = 15.0, **detail: Any) -> Outcome:
        event = parse_detail(webhook_body(order) | detail, self.now())
        return self.relay.create_order.handle(event, lambda_context(remaining_seconds))

    def has_failed(self, order: Order, cause: Cause, times: int) -> None:
        """As if the late path had failed on the order so often already."""
        for _ in range(times):
            note_failure(self.relay.recover_orders.order_notes, OrderEvent(self.store.hash, order.id, 0.0, "c"), cause)

    def recover(self, receipts: int = 1, sent_ago_seconds: float = 0.0, remaining_seconds: float = 60.0) -> list[str]:
        """Works off what is in RecoveryQueue; answers the bodies of the messages that stay."""
        records = [as_record(message, receipts, self.now() - sent_ago_seconds) for message in self.messages("recovery")]
        answer = self.relay.recover_orders.handle({"Records": records}, lambda_context(remaining_seconds))
        staying = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [record["body"] for record in records if record["messageId"] in staying]

    def messages(self, queue: str) -> list[Any]:
        url = self.settings.recovery_queue_url if queue == "recovery" else self.settings.dead_letter_queue_url
        return self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        ).get("Messages", [])

    def put_late(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.settings.recovery_queue_url, MessageBody=body)

    def reason(self, queue: str) -> dict[str, Any]:
        [message] = self.messages(queue)
        reason: dict[str, Any] = json.loads(message["Body"])["reason"]
        return reason

    def record(self, order: Order) -> Any:
        return self.sandbox.record(self.store, order.id)


def lambda_context(remaining_seconds: float) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(remaining_seconds * 1000))


def as_record(message: Any, receipts: int, sent_at: float) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": str(receipts), "SentTimestamp": str(int(sent_at * 1000))},
    }


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxStore]:
    with SandboxStore.run() as sandbox:
        yield sandbox


@pytest.fixture
def world(sandbox: SandboxStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        store_hash = "".join(letter for letter in request.node.name.lower() if letter.isalnum())[-30:]
        store = sandbox.add_store(
            Store(hash=store_hash, company_customers={BUYER}, extra_fields=(ExtraField(name="Team"),))
        )
        boto3.client("secretsmanager").create_secret(
            Name=f"relay/{store.hash}", SecretString=json.dumps(secret_of(store))
        )
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        boto3.client("events").create_event_bus(Name="orders")
        sqs = boto3.client("sqs")
        settings = Settings(
            event_bus_name="orders",
            recovery_queue_url=sqs.create_queue(QueueName="recovery")["QueueUrl"],
            dead_letter_queue_url=sqs.create_queue(QueueName="dead-letters")["QueueUrl"],
            idempotency_table=TABLE,
            secret_prefix="relay",
            store_api_url=sandbox.url,
            b2b_api_url=sandbox.url,
            late_requests_per_minute=600,
            recovery_first_delay_seconds=0.1,
            recovery_longest_delay_seconds=900,
            give_up_after_minutes=60,
            remember_done_days=35,
            publish_outcomes=False,
            webhook_url="https://relay.example.com/live/webhooks",
        )
        yield World(sandbox, store, settings)
        sandbox.clear_faults()


def po(number: str) -> str:
    return f"Please ring.\n{PO_LINE}{number}"


# --- live ---------------------------------------------------------------------------------------------------------


def test_an_order_in_time_is_created_with_its_po_number(world: World) -> None:
    order = world.place(customer_message=po("PO-1"))

    outcome = world.create(order)

    assert isinstance(outcome, Created)
    assert 0 < outcome.window_left_seconds < 10
    assert world.record(order).po_number == "PO-1"


def test_the_second_delivery_of_an_order_is_a_duplicate(world: World) -> None:
    order = world.place(customer_message=po("PO-1"))
    world.create(order)

    assert world.create(order) == Duplicate()
    assert len(world.sandbox.requests("b2b.create", order=order)) == 1


def test_an_own_event_with_the_customer_is_created_without_a_look_up(world: World) -> None:
    order = world.place(customer_message=po("PO-STORE"))
    fields = [{"fieldName": "Team", "fieldValue": "Blue"}]

    world.create(order, customerId=BUYER, poNumber="PO-OWN", extraFields=fields)

    assert world.sandbox.requests("core", order=order) == []
    assert (world.record(order).po_number, world.record(order).extra_fields) == ("PO-OWN", {"Team": "Blue"})


def test_an_own_event_without_the_customer_stands_above_the_rules(world: World) -> None:
    order = world.place(customer_message=po("PO-STORE"))

    world.create(order, poNumber="PO-OWN")

    assert world.record(order).po_number == "PO-OWN"


@pytest.mark.parametrize("detail", [{}, {"customerId": 0}], ids=["looked up", "told"])
def test_a_guest_is_skipped(world: World, detail: dict[str, Any]) -> None:
    assert world.create(world.place(customer_id=0), **detail) == Skipped(SkipReason.GUEST)


def test_a_customer_without_a_company_is_skipped_after_asking(world: World) -> None:
    order = world.place(customer_id=OUTSIDER)

    assert world.create(order) == Skipped(SkipReason.NO_COMPANY)
    assert len(world.sandbox.requests("b2b.user", store=world.store)) == 1


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("core.get_order", faults.status(503)),
        ("core.get_order", faults.reset()),
        ("core.get_order", faults.status(429, headers={"X-Rate-Limit-Time-Reset-Ms": "300"})),
        ("core.get_order", faults.status(429, headers={"Retry-After": "1"})),
        ("b2b.create", faults.status(502)),
        ("b2b.create", faults.reset()),
        ("b2b.create", faults.status(429, headers={"X-Request-Window-Resets-After": "0.3 s"})),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_passing_fault_is_overcome_inside_the_window(world: World, endpoint: str, fault: faults.Fault) -> None:
    order = world.place(customer_message=po("PO-1"))
    world.sandbox.fault(fault, endpoint=endpoint, order=order, times=1)

    assert isinstance(world.create(order), Created | Unchanged)


def test_a_lost_answer_of_create_order_is_found_out_and_not_repeated_with_effect(world: World) -> None:
    world.sandbox.configure(world.store, read_lag_seconds=0.0)
    order = world.place(customer_message=po("PO-1"))
    world.sandbox.fault(faults.reset_after(), endpoint="b2b.create", order=order)

    assert world.create(order) == Unchanged()
    assert world.sandbox.effects(world.store, order.id).creates == 1


def test_a_rate_limit_that_ends_after_the_window_makes_the_order_late_until_then(world: World) -> None:
    order = world.place()
    limited = faults.status(429, headers={"X-Request-Window-Resets-After": "30 s"})
    world.sandbox.fault(limited, endpoint="b2b.create", order=order)

    outcome = world.create(order)

    assert isinstance(outcome, Late)
    assert outcome.cause == "rate_limited"
    assert len(world.sandbox.requests("b2b.create", order=order)) == 1


def test_an_order_announced_too_late_is_handed_over_without_a_call(world: World) -> None:
    order = world.place(created_ago_seconds=11)

    outcome = world.create(order)

    assert isinstance(outcome, Late)
    assert world.reason("recovery")["cause"] == "window_missed"
    assert world.sandbox.requests(order=order) == []


def test_the_orders_own_earlier_date_can_close_the_window(world: World) -> None:
    order = world.place(created_ago_seconds=8, customer_message=po("PO-1"))
    event = {"created_at": int(order.created_at) + 4}
    world.ahead = 3.0

    assert isinstance(world.create(order, **event), Late)


def test_a_backdated_order_does_not_close_its_window(world: World) -> None:
    order = world.place(backdated_seconds=3600, customer_message=po("PO-1"))

    assert isinstance(world.create(order), Created)


def test_a_record_that_is_already_there_is_brought_in_line_and_keeps_the_buyers_fields(world: World) -> None:
    world.sandbox.configure(world.store, update_replaces_extra_fields=True, data_as_array=True)
    order = world.place(
        customer_message=po("PO-1"),
        automatic_record_after=0.0,
        buyer_extra_fields={"Buyer's own": "kept"},
        external_order_id="E-1",
    )

    outcome = world.create(order, extraFields=[{"fieldName": "Team", "fieldValue": "Blue"}])

    assert outcome == Updated()
    assert world.record(order).extra_fields == {"Buyer's own": "kept", "Team": "Blue"}
    assert world.record(order).po_number == "PO-1"


def test_a_genuine_refusal_is_a_dead_letter_in_the_apis_words_without_what_was_sent(world: World) -> None:
    order = world.place(customer_message=po("PO-SECRET"))
    words = {"code": 422, "data": {"errMsg": "[Team] is required, not PO-SECRET, ask bo@example.com"}, "meta": {}}
    world.sandbox.fault(faults.status(422, body=words), endpoint="b2b.create", order=order)

    outcome = world.create(order)

    assert isinstance(outcome, Dead)
    assert world.reason("dead")["detail"] == "B2B API: HTTP 422: [Team] is required, not [value], ask [email]"


def test_a_refused_token_is_read_afresh_and_the_call_made_once_more(world: World) -> None:
    world.create(world.place())
    world.sandbox.configure(world.store, access_token="a-new-token")
    boto3.client("secretsmanager").put_secret_value(
        SecretId=f"relay/{world.store.hash}",
        SecretString=json.dumps(secret_of(world.store)),
    )
    world.ahead = 11.0
    order = world.place()

    assert isinstance(world.create(order, created_at=world.now()), Created)


@pytest.mark.parametrize("endpoint", ["core.get_order", "b2b.create"])
def test_a_revoked_token_makes_the_order_late(world: World, endpoint: str) -> None:
    order = world.place()
    world.sandbox.fault(faults.status(401), endpoint=endpoint, order=order, times=None)

    outcome = world.create(order)

    assert isinstance(outcome, Late)
    assert outcome.cause == "unauthorized"


def test_an_order_of_a_store_without_a_secret_is_late(world: World) -> None:
    order = world.place()
    boto3.client("secretsmanager").delete_secret(SecretId=f"relay/{world.store.hash}", ForceDeleteWithoutRecovery=True)

    outcome = world.create(order)

    assert isinstance(outcome, Late)
    assert outcome.cause == "secret_unavailable"


def test_without_its_table_the_relay_goes_on(world: World) -> None:
    boto3.client("dynamodb").delete_table(TableName=TABLE)
    order = world.place(customer_message=po("PO-1"))

    assert isinstance(world.create(order), Created)


def test_when_nothing_can_be_handed_over_lambda_is_told(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.settings.recovery_queue_url)

    with pytest.raises(ClientError):
        world.create(world.place(created_ago_seconds=11))


def test_an_order_not_readable_at_first_is_asked_for_again(world: World) -> None:
    order = world.place(readable_after_seconds=0.2)

    assert isinstance(world.create(order), Created)
    assert len(world.sandbox.requests("core.get_order", order=order)) > 1


@pytest.mark.parametrize("endpoint", ["core.get_order", "b2b.create"])
@pytest.mark.parametrize(
    "fault",
    [faults.garbage(), faults.status(418), faults.status(307, headers={"Location": "http://127.0.0.1:9/"})],
    ids=["a page", "odd 4xx", "redirect"],
)
def test_an_answer_that_is_not_the_apis_is_asked_for_again(world: World, endpoint: str, fault: faults.Fault) -> None:
    order = world.place()
    world.sandbox.fault(fault, endpoint=endpoint, order=order)

    assert isinstance(world.create(order), Created)


# --- late ---------------------------------------------------------------------------------------------------------


def late_order(world: World, **options: Unpack[OrderOptions]) -> Order:
    merged: OrderOptions = {
        "created_ago_seconds": 20,
        "customer_message": po("PO-1"),
        "automatic_record_after": 0.0,
        **options,
    }
    order = world.place(**merged)
    assert isinstance(world.create(order), Late)
    return order


def test_a_late_order_is_finished_from_the_queue(world: World) -> None:
    world.sandbox.configure(world.store, update_replaces_extra_fields=True)
    order = world.place(created_ago_seconds=20, automatic_record_after=0.0, buyer_extra_fields={"Own": "kept"})
    world.create(order, poNumber="PO-LATE")

    assert world.recover() == []
    assert world.record(order).po_number == "PO-LATE"
    assert world.record(order).extra_fields == {"Own": "kept"}


def test_a_late_order_that_is_unchanged_is_left_alone(world: World) -> None:
    order = late_order(world, buyer_po_number="PO-1")

    assert world.recover() == []
    assert world.sandbox.effects(world.store, order.id).updates == 0


def test_a_finished_order_costs_no_request_when_its_message_comes_again(world: World) -> None:
    order = late_order(world)
    world.recover()
    seen = len(world.sandbox.requests(order=order))
    world.put_late(world.messages("recovery")[0]["Body"])

    assert world.recover() == []
    assert len(world.sandbox.requests(order=order)) == seen


@pytest.mark.parametrize("endpoint", ["core.get_order", "b2b.get", "b2b.update"])
@pytest.mark.parametrize(
    "fault",
    [faults.status(503), faults.reset(), faults.status(429, headers={"Retry-After": "7"}), faults.status(401)],
    ids=["503", "reset", "429", "401"],
)
def test_a_late_order_in_trouble_stays_in_the_queue_and_is_finished_later(
    world: World, endpoint: str, fault: faults.Fault
) -> None:
    order = world.place(created_ago_seconds=20, automatic_record_after=0.0)
    world.create(order, poNumber="PO-LATE")
    rule = world.sandbox.fault(fault, endpoint=endpoint, order=order, times=None)

    assert len(world.recover()) == 1

    world.sandbox.remove_fault(rule)
    world.ahead += 60
    world.sqs.purge_queue(QueueUrl=world.settings.recovery_queue_url)
    world.create(order, poNumber="PO-LATE")
    assert world.recover() == []
    assert world.record(order).po_number == "PO-LATE"


def test_a_permanent_refusal_is_buried_once_and_leaves_the_queue(world: World) -> None:
    order = world.place(created_ago_seconds=20, automatic_record_after=0.0)
    world.create(order, poNumber="PO-LATE")
    words = {"code": 422, "data": {"errMsg": "[Team] is a required extra field"}, "meta": {}}
    world.sandbox.fault(faults.status(422, body=words), endpoint="b2b.update", order=order)

    assert world.recover() == []
    assert "[Team] is a required extra field" in world.reason("dead")["detail"]


def test_an_order_that_had_its_time_is_given_up_with_the_reason(world: World) -> None:
    order = late_order(world)
    world.sandbox.fault(faults.status(500), endpoint="b2b.get", order=order)

    assert world.recover(receipts=40, sent_ago_seconds=3700) == []
    assert world.reason("dead")["detail"].startswith("given up after 62 minutes")


def test_a_record_that_never_appears_is_created_after_some_tries(world: World) -> None:
    world.sandbox.configure(world.store, late_create_without_record=True)
    order = late_order(world, automatic_record_after=None)

    world.has_failed(order, Cause.NOT_THERE_YET, 3)

    assert world.recover() == []
    assert world.record(order).po_number == "PO-1"


def test_a_record_that_can_no_longer_be_created_is_waited_for(world: World) -> None:
    order = late_order(world, automatic_record_after=None)

    world.has_failed(order, Cause.NOT_THERE_YET, 3)

    assert len(world.recover()) == 1
    assert len(world.sandbox.requests("b2b.create", order=order)) == 1
    assert world.record(order) is None


def test_a_late_order_of_a_customer_without_a_company_is_skipped(world: World) -> None:
    order = late_order(world, customer_id=OUTSIDER, automatic_record_after=None)
    world.has_failed(order, Cause.NOT_THERE_YET, 3)

    assert world.recover() == []
    assert world.messages("dead") == []


def test_a_late_create_that_is_refused_is_settled_by_asking(world: World) -> None:
    order = late_order(world, automatic_record_after=None)
    world.sandbox.fault(
        faults.status(400, body={"code": 400, "data": {}, "meta": {"message": "no"}}),
        endpoint="b2b.create",
        order=order,
    )
    world.has_failed(order, Cause.NOT_THERE_YET, 3)

    assert world.recover() == []
    assert world.reason("dead")["detail"] == "B2B API: HTTP 400: no"


def test_an_order_that_the_store_denies_for_long_is_a_dead_letter(world: World) -> None:
    order = late_order(world, readable_after_seconds=10_000)
    world.has_failed(order, Cause.ORDER_NOT_FOUND, 7)

    assert world.recover() == []
    assert world.reason("dead")["cause"] == "order_not_found"


def test_an_order_that_the_store_denies_at_first_is_waited_for(world: World) -> None:
    order = late_order(world, readable_after_seconds=10_000)
    world.has_failed(order, Cause.ORDER_NOT_FOUND, 6)

    assert len(world.recover(receipts=70)) == 1
    assert world.messages("dead") == []


def test_a_guest_in_the_queue_is_skipped(world: World) -> None:
    late_order(world, customer_id=0)

    assert world.recover() == []


def test_a_message_that_cannot_be_read_is_buried_as_it_is(world: World) -> None:
    world.put_late("what is this?")

    assert world.recover() == []
    [letter] = world.messages("dead")
    assert letter["Body"] == "what is this?"
    assert letter["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable")


def test_an_event_of_another_scope_leaves_the_queue(world: World) -> None:
    body = {"detail-type": "x", "detail": {"scope": "store/cart/created", "producer": "stores/abc"}}
    world.put_late(json.dumps(body))

    assert world.recover() == []
    assert world.messages("dead") == []


def test_when_the_dead_letter_queue_refuses_the_message_stays(world: World) -> None:
    world.put_late("what is this?")
    world.sqs.delete_queue(QueueUrl=world.settings.dead_letter_queue_url)

    assert len(world.recover()) == 1


def test_one_stores_trouble_puts_its_other_orders_back_untouched(world: World) -> None:
    first, second = late_order(world), late_order(world)
    world.sandbox.fault(faults.status(503), endpoint="core", store=world.store, times=1)

    assert len(world.recover()) == 2
    assert len([*world.sandbox.requests(order=first), *world.sandbox.requests(order=second)]) == 1


def test_an_invocation_without_time_puts_its_orders_back(world: World) -> None:
    order = late_order(world)

    assert len(world.recover(remaining_seconds=10)) == 1
    assert world.sandbox.requests(order=order) == []


def test_orders_held_back_by_the_pace_come_back_later_and_later_but_within_minutes(world: World) -> None:
    recover = world.relay.recover_orders
    event = parse_detail(webhook_body(world.place()), world.now())
    letter = Letter(event, Cause.NO_ANSWER, "timed out", world.now())

    delays = [
        recover._delay_seconds(letter, Message("m", "handle", "", receipts, 0.0), Deferred("no place", 3.0), 0.0)
        for receipts in (1, 10, 40, 900)
    ]

    assert delays == sorted(delays)
    assert delays[0] < delays[1] < delays[2] == delays[3] < 900


def test_an_order_being_worked_on_elsewhere_is_waited_for(world: World) -> None:
    order = late_order(world)
    outcomes = []

    def meanwhile(*_: object) -> Any:
        outcomes.append(len(world.recover()))
        raise ValueError("seen enough")

    event = parse_detail(webhook_body(order), world.now())
    with pytest.raises(ValueError, match="seen enough"):
        world.relay.create_order.idempotency.run(event, meanwhile, lambda_context(15))
    assert outcomes == [1]
    assert world.sandbox.requests(order=order) == []


def test_a_fault_of_our_own_leaves_the_message_for_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    late_order(world)
    monkeypatch.setattr("handler.recover.find_desired", lambda *_, **__: 1 / 0)

    assert len(world.recover()) == 1


# --- intake -------------------------------------------------------------------------------------------------------


def request(world: World, order: Order, secret: str | None = None) -> dict[str, Any]:
    body = json.dumps(webhook_body(order))
    headers = sign(body.encode(), secret or world.store.client_secret, time.time())
    return {"httpMethod": "POST", "headers": headers, "body": body, "isBase64Encoded": False}


def test_a_webhook_is_accepted_with_no_body(world: World) -> None:
    assert world.relay.intake.handle(request(world, world.place())) == {"statusCode": 200, "body": ""}


def test_a_bus_that_refuses_does_not_lose_the_order(world: World) -> None:
    boto3.client("events").delete_event_bus(Name="orders")
    order = world.place(automatic_record_after=0.0)

    answer = world.relay.intake.handle(request(world, order))

    assert answer["statusCode"] == 200
    assert world.reason("recovery")["cause"] == "bus_refused"


def test_a_webhook_that_can_be_kept_nowhere_is_answered_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> dict[str, Any]:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    monkeypatch.setattr(world.relay.intake._events, "put_events", refuse)
    world.sqs.delete_queue(QueueUrl=world.settings.recovery_queue_url)

    assert world.relay.intake.handle(request(world, world.place()))["statusCode"] == 503


# --- reconcile ----------------------------------------------------------------------------------------------------


def test_reconcile_finds_what_no_webhook_told_of_and_only_that(world: World) -> None:
    world.create(world.place(customer_message=po("PO-1")))
    world.ahead += 300  # the finished order is long past the live path, too
    silent = world.place()
    world.place(customer_id=0)

    found = world.relay.reconcile_stores.handle(lambda_context(300))

    assert found == {world.store.hash: 1}
    [message] = world.messages("recovery")
    assert json.loads(message["Body"])["order"]["data"]["id"] == silent.id
    assert world.relay.reconcile_stores.handle(lambda_context(300)) == {world.store.hash: 0}


def test_reconcile_does_not_pick_up_what_waits_in_a_queue_already(world: World) -> None:
    late_order(world, created_ago_seconds=300)

    assert world.relay.reconcile_stores.handle(lambda_context(300)) == {world.store.hash: 0}


def test_reconcile_switches_the_hook_on_again(world: World) -> None:
    world.create(world.place())
    hook = world.sandbox.add_hook(world.store, world.settings.webhook_url)
    hook.is_active = False

    world.relay.reconcile_stores.handle(lambda_context(300))

    assert hook.is_active


def test_reconcile_leaves_a_hook_alone_that_an_operator_has_switched_off(world: World) -> None:
    world.create(world.place())
    hook = world.sandbox.add_hook(world.store, world.settings.webhook_url)
    hook.is_active = False
    stores = world.relay.reconcile_stores.stores

    stores.note_hook(world.store.hash, paused=True)
    world.relay.reconcile_stores.handle(lambda_context(300))
    assert not hook.is_active

    stores.note_hook(world.store.hash, paused=False)
    world.relay.reconcile_stores.handle(lambda_context(300))
    assert hook.is_active


@pytest.mark.parametrize("fault", [faults.status(503), faults.status(418), faults.garbage(), faults.status(401)])
def test_a_store_that_cannot_be_reconciled_is_looked_at_again_from_the_same_moment(
    world: World, fault: faults.Fault
) -> None:
    world.create(world.place())
    world.place(created_ago_seconds=300)
    rule = world.sandbox.fault(fault, endpoint="core", store=world.store, times=None)
    assert world.relay.reconcile_stores.handle(lambda_context(300)) == {world.store.hash: 0}

    world.sandbox.remove_fault(rule)

    assert world.relay.reconcile_stores.handle(lambda_context(300)) == {world.store.hash: 1}


def test_reconcile_survives_its_table(world: World, written: Written) -> None:
    world.create(world.place())
    boto3.client("dynamodb").delete_table(TableName=TABLE)

    assert world.relay.reconcile_stores.handle(lambda_context(300)) == {}
    assert written.metrics["ReconcileFailed"] == [1]


# --- roles --------------------------------------------------------------------------------------------------------

LAMBDAS_OWN = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
}
"""What Lambda itself does with a function's role."""


def test_the_calls_that_each_path_makes_are_allowed_by_its_role(world: World) -> None:
    calls: set[str] = set()
    session = boto3.Session()
    session.events.register(
        "before-call", lambda model, **_: calls.add(f"{model.service_model.signing_name}:{model.name}")
    )

    def fresh() -> World:
        return World(world.sandbox, world.store, world.settings, session)

    def made() -> set[str]:
        found = set(calls)
        calls.clear()
        return found

    watched = fresh()
    order = watched.place(customer_message=po("PO-1"))
    assert watched.relay.intake.handle(request(watched, order))["statusCode"] == 200
    watched.create(order)
    assert watched.create(order) == Duplicate()
    refused = watched.place()
    no = faults.status(422, body={"code": 422, "data": {"errMsg": "no"}, "meta": {"message": "no"}})
    watched.sandbox.fault(no, endpoint="b2b.create", order=refused)
    assert isinstance(watched.create(refused), Dead)
    late_order(watched)
    order_calls = made()

    waiting = late_order(watched)
    broken = late_order(watched, readable_after_seconds=10_000)
    watched.sandbox.fault(no, endpoint="b2b.get", order=waiting)
    made()
    watched = fresh()
    assert len(watched.recover()) == 1
    assert watched.sandbox.requests(order=broken)
    recovery_calls = made()

    watched = fresh()
    watched.place(created_ago_seconds=300)
    hook = watched.sandbox.add_hook(watched.store, watched.settings.webhook_url)
    hook.is_active, hook.created_at = False, hook.created_at - 3600
    assert watched.relay.reconcile_stores.handle(lambda_context(300)) == {watched.store.hash: 1}
    reconcile_calls = made()

    allowed = {
        name: {action for action, _ in grants(role)} - LAMBDAS_OWN
        for name, role in Resolved().of_type("AWS::IAM::Role").items()
    }
    made_calls = {"OrderRole": order_calls, "RecoveryRole": recovery_calls, "ReconcileRole": reconcile_calls}
    assert [(role, calls - allowed[role]) for role, calls in made_calls.items() if calls - allowed[role]] == []


# --- sources ------------------------------------------------------------------------------------------------------

SOURCE_RULES = """
[all.extra_fields]
Team = "metafield(metafields, '*', 'orderType')"
Role = "user.email"
"""


def test_a_source_that_hangs_costs_no_window_and_is_made_up_for(world: World) -> None:
    world.relay._rules = Rules.parse(SOURCE_RULES)
    world.sandbox.configure(world.store, extra_fields=(ExtraField(name="Team"), ExtraField(name="Role")))
    order = world.place()
    world.sandbox.fault(faults.hang(), endpoint="b2b.user", times=9)

    began = time.monotonic()
    outcome = world.create(order)

    assert isinstance(outcome, Late)
    assert outcome.cause is Cause.SOURCE_UNAVAILABLE
    assert time.monotonic() - began < 5.0
    assert dict(world.record(order).extra_fields) == {"Team": "online order"}

    world.sandbox.clear_faults()
    assert world.recover() == []
    assert world.record(order).extra_fields.keys() == {"Team", "Role"}


def test_a_refused_source_is_kept_in_the_table(world: World) -> None:
    world.relay._rules = Rules.parse(SOURCE_RULES)
    world.sandbox.fault(faults.status(403), endpoint="b2b.user", times=9)
    first, second = world.place(), world.place()

    assert isinstance(world.create(first), Created)
    world.relay = replace(world).relay  # another environment
    world.relay._rules = Rules.parse(SOURCE_RULES)
    assert isinstance(world.create(second), Created)

    assert [request.store_hash for request in world.sandbox.requests("b2b.user")].count(world.store.hash) == 1
