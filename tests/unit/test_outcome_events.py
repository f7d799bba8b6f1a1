"""What became of orders, as events on the bus: what they hold, and that a failure to publish costs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError
from jsonschema import Draft202012Validator
from moto.events.models import EventPattern
from samtranslator.yaml_helper import yaml_parse

from sandbox.store.orders import PO_LINE
from support.aws import RECOVERY_URL, FakeContext, FakeEventBridge, refusal
from support.events import ORDER_ID, STORE_HASH, webhook
from support.exchange import answer
from support.template import Resolved, source
from support.world import LOOK_UP, RECORDS, SETTINGS, World

if TYPE_CHECKING:
    from support.telemetry import Written

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "outcome-event.schema.json").read_text(encoding="utf-8"))
GUIDE = (DOCS / "outcome-events.md").read_text(encoding="utf-8")
PUBLISHING = replace(SETTINGS, publish_outcomes=True)


@pytest.fixture
def world() -> World:
    return World(settings=PUBLISHING)


def publish(world: World, seconds: float = 15.0) -> list[dict[str, Any]]:
    """Ends the invocation with `seconds` left; answers what is on the bus, in the form that rules see."""
    world.relay.outcome_events.publish(cast("Any", FakeContext(world.clock, seconds)))
    return [
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
        for entry in world.bus.entries
    ]


def outcomes(world: World, seconds: float = 15.0) -> list[tuple[str, str | None]]:
    return [(event["detail-type"], event["detail"]["cause"]) for event in publish(world, seconds)]


def created(world: World) -> None:
    world.place()
    world.create()


def updated(world: World) -> None:
    world.place(automatic_record_after=0.0, customer_message=f"{PO_LINE}PO-SECRET-1")
    world.clock.advance(1)
    world.create()


def unchanged(world: World) -> None:
    world.place(automatic_record_after=0.0)
    world.clock.advance(1)
    world.create()


def skipped(world: World) -> None:
    world.place(customer_id=0)
    world.create()


def late(world: World) -> None:
    world.exchange.always("GET", LOOK_UP, answer(503))
    world.create()


def dead(world: World) -> None:
    world.place()
    refused = answer(422, {"code": 422, "data": {}, "meta": {"message": "PO-SECRET-1 is too long"}})
    world.exchange.on("POST", RECORDS, refused)
    world.create()


ALL = {
    created: ("order.created", None),
    updated: ("order.updated", None),
    unchanged: ("order.updated", "unchanged"),
    skipped: ("order.skipped", "guest"),
    late: ("order.late", "api_unavailable"),
    dead: ("order.dead", "api_refused"),
}
EACH_OUTCOME = pytest.mark.parametrize("happens", ALL, ids=lambda happens: happens.__name__)


# --- what is published --------------------------------------------------------------------------------------------


@EACH_OUTCOME
def test_each_outcome_is_an_event_of_the_published_schema_without_the_buyers_values(happens: Any, world: World) -> None:
    happens(world)

    [event] = publish(world)

    Draft202012Validator(SCHEMA).validate(event)
    assert (event["detail-type"], event["detail"]["cause"]) == ALL[happens]
    assert event["detail"].keys() == SCHEMA["properties"]["detail"]["properties"].keys()
    assert (event["detail"]["store"], event["detail"]["order"]) == (STORE_HASH, ORDER_ID)
    assert event["detail"]["correlation_id"] == webhook(0)["hash"]
    assert "PO-SECRET-1" not in json.dumps(event)
    assert {entry["EventBusName"] for entry in world.bus.entries} == {PUBLISHING.event_bus_name}


@pytest.mark.parametrize(
    "changes",
    [
        {"cause": 1},
        {"version": 2},
        {"store": "https://example.com"},
        {"order": "250"},
        {"seconds": "1"},
        {"correlation_id": None},
    ],
)
def test_the_schema_refuses_other_events(changes: dict[str, Any], world: World) -> None:
    created(world)
    [event] = publish(world)

    assert not Draft202012Validator(SCHEMA).is_valid({**event, "detail": event["detail"] | changes})
    assert not Draft202012Validator(SCHEMA).is_valid({**event, "detail-type": "order.late"})


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def patterns() -> list[Any]:
    """The event patterns of everything on a bus: rules, a function's own triggers and archives."""
    made = Resolved(PartnerEventSourceName="aws.partner/bigcommerce.com/x", PublishOutcomes="true")
    triggers = [
        event["Properties"]["Pattern"]
        for function in source()["Resources"].values()
        for event in function.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "EventBridgeRule"
    ]
    kinds = ("AWS::Events::Rule", "AWS::Events::Archive")
    return triggers + [resource["EventPattern"] for kind in kinds for resource in made.of_type(kind).values()]


@EACH_OUTCOME
def test_no_rule_or_archive_of_the_relay_matches_an_outcome_event(happens: Any, world: World) -> None:
    happens(world)
    [event] = publish(world)

    assert len(patterns()) == 4
    assert [each for each in patterns() if EventPattern.load(json.dumps(each)).matches_event(cast("Any", event))] == []
    order = {"source": event["source"], "detail-type": "bigCommerceWebhook", "detail": webhook(0)}
    assert EventPattern.load(json.dumps(patterns()[0])).matches_event(cast("Any", order))


def test_the_seconds_count_from_the_orders_creation(world: World) -> None:
    world.place()
    world.clock.advance(3)
    world.create(created_at=world.clock.now - 3)

    [event] = publish(world)

    assert event["detail"]["seconds"] == pytest.approx(3.1)


def test_a_duplicate_is_no_outcome(world: World) -> None:
    created(world)
    world.create()

    assert outcomes(world) == [("order.created", None)]


def test_a_late_order_is_published_when_it_is_queued_and_when_it_ends_but_not_at_each_try(world: World) -> None:
    world.place(automatic_record_after=0.0)
    late(world)
    world.wait_for_late()
    world.wait_for_late()
    assert outcomes(world) == [("order.late", "api_unavailable")]

    world.exchange.mend()
    world.wait_for_late()

    assert outcomes(world) == [("order.late", "api_unavailable"), ("order.updated", "unchanged")]


def test_an_order_from_the_on_failure_destination_is_published_as_late_once(world: World) -> None:
    world.place()
    record = {"requestPayload": {"detail-type": "bigCommerceWebhook", "detail": webhook(world.clock.now)}}
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps(record))

    world.recover()  # there is no record yet
    world.wait_for_late()

    assert outcomes(world) == [("order.late", "function_failed")]


def test_an_order_that_is_given_up_is_dead(world: World) -> None:
    late(world)
    world.exchange.always("GET", LOOK_UP, answer(502))  # a store that answers 503 is held for longer
    world.clock.advance(PUBLISHING.give_up_after_minutes * 60)
    world.recover()

    assert outcomes(world) == [("order.late", "api_unavailable"), ("order.dead", "api_unavailable")]


def test_a_message_that_names_no_order_is_no_event(world: World) -> None:
    world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody="no order")
    world.recover()

    assert len(world.dead) == 1
    assert publish(world) == []


# --- when it fails, and when it is off ----------------------------------------------------------------------------


def test_nothing_is_published_before_the_orders_work_is_done(world: World) -> None:
    created(world)

    assert world.bus.entries == []
    assert len(publish(world)) == 1
    assert len(publish(world)) == 1  # and once


@pytest.mark.parametrize(
    "trouble",
    [
        {"error": refusal("ThrottlingException")},
        {"error": ReadTimeoutError(endpoint_url="https://events.us-east-1.amazonaws.com")},
        {"refusal_code": "InternalFailure"},
    ],
    ids=["refused", "silent", "entry refused"],
)
@EACH_OUTCOME
def test_when_the_bus_fails_only_the_event_is_lost(
    trouble: dict[str, Any], happens: Any, world: World, written: Written
) -> None:
    happens(world)
    record, waiting, letters = world.record(), list(world.waiting), list(world.dead)
    for name, value in trouble.items():
        setattr(world.bus, name, value)

    assert publish(world) == []

    assert (world.record(), world.waiting, world.dead) == (record, waiting, letters)
    assert written.metrics["OutcomeEventFailed"] == [1]
    [line] = [line for line in written.log if line.get("event") == "outcome.publish_failed"]
    assert (line["number"], line["error"] in {"ThrottlingException", "ReadTimeoutError", "InternalFailure"}) == (
        1,
        True,
    )
    assert "secret-of-the-account" not in written.text
    world.bus.error = world.bus.refusal_code = None
    assert publish(world) == []  # one attempt


def test_without_time_left_nothing_is_sent(world: World, written: Written) -> None:
    created(world)

    assert publish(world, seconds=2.9) == []
    assert written.metrics["OutcomeEventFailed"] == [1]


def test_events_are_sent_in_requests_of_ten_until_one_fails(
    world: World, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order in range(1, 26):
        world.place(order_id=order)
        world.create(data={"type": "order", "id": order})
    sizes: list[int] = []

    def put_events(_: FakeEventBridge, *, Entries: list[Any]) -> Any:  # noqa: N803  boto3's name
        sizes.append(len(Entries))
        if len(sizes) == 2:
            raise refusal("InternalException")
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}

    monkeypatch.setattr(FakeEventBridge, "put_events", put_events)
    publish(world)

    assert sizes == [10, 10]
    assert written.metrics["OutcomeEventFailed"] == [15]


@EACH_OUTCOME
def test_without_publish_outcomes_there_is_no_event_and_no_client(happens: Any) -> None:
    world = World()
    happens(world)

    assert publish(world) == []
    assert "events" not in world.clients


# --- the how-to guide ---------------------------------------------------------------------------------------------


def guide_block(language: str) -> str:
    [block] = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_guides_event_is_of_the_schema() -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(guide_block("json")))


@EACH_OUTCOME
def test_the_guides_rule_matches_only_finished_orders(happens: Any, world: World) -> None:
    happens(world)
    [event] = publish(world)
    pattern = yaml_parse(guide_block("yaml"))["Resources"]["FinishedOrdersRule"]["Properties"]["EventPattern"]

    matches = EventPattern.load(json.dumps(pattern)).matches_event(cast("Any", event))

    assert matches == (event["detail-type"] in {"order.created", "order.updated"})
