"""`relay doctor`, `status`, `preview` and `backfill`: genuine HTTP to the simulated store, moto for AWS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.enrichment import RULES_FILE, Rules
from handler.errors import Cause, RetryLater
from handler.journal import Journal
from handler.once import OncePerOrder
from handler.order_event import OrderEvent
from handler.outcomes import Created, Dead, Late
from handler.queues import Letter
from handler.telemetry import NAMESPACE, Metric
from relay import desk as relay_desk
from sandbox import faults
from sandbox.orders import PO_LINE
from sandbox.scenarios import secret_of
from sandbox.stores import ExtraField, Store
from support.events import request, webhook
from support.relay import TABLE, Desk, desk_of
from support.world import World, secret_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.telemetry import Written

BUYER, OUTSIDER, GUEST = 7, 8, 0
Ring = Callable[[Literal["OK", "ALARM"]], None]
RULES = """
[all]
po_number = "first_match(customer_message, 'Reference Number: (.*)')"
[all.extra_fields]
"Team" = "external_order_id"
"""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    store = Store(
        hash="abc123", company_customers={BUYER}, extra_fields=(ExtraField(name="Team"),), automatic_record_after=None
    )
    with desk_of(store, monkeypatch) as desk:
        rules, genuine = Rules.parse(RULES), Rules.load
        monkeypatch.setattr(Rules, "load", lambda path=RULES_FILE: rules if path == RULES_FILE else genuine(path))
        desk.run("store", "add", store.hash, "--from-file", "-", typed=json.dumps(secret_of(store)))
        yield desk


# --- doctor ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> Ring:
    """The stack has one alarm; what is given becomes its state."""
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="relay-dead-letters",
        AlarmDescription="At least one order waits for a person.",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    # moto's CloudFormation needs packages that nothing else here does.
    page = {
        "StackResourceSummaries": [
            {"ResourceType": "AWS::CloudWatch::Alarm", "PhysicalResourceId": "relay-dead-letters"},
            {"ResourceType": "AWS::SQS::Queue", "PhysicalResourceId": "relay"},
        ]
    }
    cloudformation = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [page]))
    monkeypatch.setattr(relay_desk.Desk, "cloudformation", cloudformation)

    def ring(state: Literal["OK", "ALARM"]) -> None:
        cloudwatch.set_alarm_state(AlarmName="relay-dead-letters", StateValue=state, StateReason="a test")

    return ring


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where the relay answers: 400 to what is no webhook."""

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/webhooks"
        server.shutdown()


@pytest.fixture
def well(desk: Desk, endpoint: str, alarms: Ring, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A deployment and a store with which all is well."""
    alarms("OK")
    monkeypatch.setenv("RELAY_DESTINATION", endpoint)
    for group in desk.stack.log_groups:
        boto3.client("logs").create_log_group(logGroupName=group)
    desk.run("hook", "create", "abc123")
    return desk


def findings(desk: Desk, code: int, *arguments: str) -> dict[str, dict[str, str]]:
    """The doctor's findings by step, the worst of each."""
    answer = desk.json("doctor", *arguments, code=code)
    assert answer["well"] is (code == 0)
    order = ["good", "unknown", "doubtful", "bad"]
    everything = [finding for section in answer["sections"].values() for finding in section]
    return {f["step"]: f for f in sorted(everything, key=lambda f: order.index(f["state"]))}


def test_all_is_well(well: Desk) -> None:
    well.sandbox.place_order(well.store, customer_id=BUYER, external_order_id="Blue")

    states = {step: finding["state"] for step, finding in findings(well, 0).items()}

    assert states == dict.fromkeys(states, "good")
    assert states.keys() == {
        "stack", "webhook URL", "late orders", "dead letters", "alarms", "rules",
        "secret", "core API", "clock", "B2B API", "hooks API", "webhook", "refusals", "PO number", "extra fields",
    }  # fmt: skip
    assert "All is well" in well.run("doctor").output


def test_a_late_order_that_was_tried_often_shows_its_age(well: Desk) -> None:
    boto3.client("sqs").send_message(QueueUrl=well.stack.outputs["RecoveryQueueUrl"], MessageBody="{}")
    boto3.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": Metric.LATE_ORDER_AGE,
                "Dimensions": [{"Name": "service", "Value": well.stack.name}],
                "Value": 7200.0,
                "Timestamp": datetime.now(UTC) - timedelta(minutes=50),
            }
        ],
    )

    late = findings(well, 0)["late orders"]

    assert late["state"] == "doubtful"
    assert "the oldest for 2 h" in late["what"]


def remove_secret(_desk: Desk) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId="relay/abc123", ForceDeleteWithoutRecovery=True)


def put_secret(values: dict[str, Any]) -> Callable[[Desk], None]:
    def put(_desk: Desk) -> None:
        boto3.client("secretsmanager").put_secret_value(SecretId="relay/abc123", SecretString=json.dumps(values))

    return put


def kill(desk: Desk) -> None:
    boto3.client("sqs").send_message(QueueUrl=desk.stack.outputs["DeadLetterQueueUrl"], MessageBody="{}")


def configure(**settings: Any) -> Callable[[Desk], Any]:
    return lambda desk: desk.sandbox.configure("abc123", **settings)


@pytest.mark.parametrize(
    ("trouble", "step", "what", "mend"),
    [
        (remove_secret, "secret", "no secret relay/abc123", "relay store add abc123"),
        (put_secret({"client_secret": "s"}), "secret", '"access_token" is missing', "relay store add abc123"),
        (put_secret({"access_token": "abc123-access-token"}), "secret", "neither client_secret", "relay hook create abc123"),
        (configure(access_token="revoked"), "core API", "HTTP 401", "relay store add abc123"),
        (configure(missing_scopes={"core"}), "core API", "Orders: read-only", "relay store add abc123"),
        (configure(missing_scopes={"b2b"}), "B2B API", "B2B Edition: modify", "relay store add abc123"),
        (configure(b2b_token="another"), "B2B API", "HTTP 401", "relay store add abc123"),
        (lambda d: d.sandbox.down("b2b"), "B2B API", "another store's", "status.bigcommerce.com"),
        (lambda d: d.sandbox.hooks("abc123")[0].headers.clear(), "webhook", "does not carry", "relay hook create abc123"),
        (lambda d: setattr(d.sandbox.hooks("abc123")[0], "is_active", False), "webhook", "BigCommerce does", "relay hook enable"),
        (lambda d: d.run("hook", "disable", "abc123", "--yes"), "webhook", "by relay hook disable", "relay hook enable"),
        (lambda d: setattr(d.sandbox.hooks("abc123")[0], "destination", "https://x.example/"), "webhook", "x.example", "create"),
        (lambda d: d.sandbox.block_domain("abc123", "127.0.0.1", 180), "blocked domain", "another 3 m", "relay backfill"),
        (kill, "dead letters", "1 orders wait", "relay failed list"),
        (configure(extra_fields=()), "extra fields", 'name "Team"', "enrichment.toml"),
        (
            configure(extra_fields=(ExtraField(name="Team"), ExtraField(name="Desk", required=True))),
            "extra fields",
            'requires "Desk"',
            "enrichment.toml",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_red_and_comes_with_its_mend(
    well: Desk, trouble: Callable[[Desk], Any], step: str, what: str, mend: str
) -> None:
    trouble(well)

    finding = findings(well, 1)[step]

    assert finding["state"] == "bad"
    assert what in finding["what"]
    assert mend in finding["mend"]


def test_a_ringing_alarm_is_red_with_its_description(well: Desk, alarms: Ring) -> None:
    alarms("ALARM")

    finding = findings(well, 1)["alarms"]

    assert "relay-dead-letters has been ringing" in finding["what"]
    assert finding["mend"] == "At least one order waits for a person."


def test_a_webhook_url_where_somebody_else_answers_is_red(well: Desk) -> None:
    finding = findings(well, 1, "--destination", f"{well.sandbox.url}/elsewhere")["webhook URL"]

    assert "HTTP 404" in finding["what"]


def test_a_value_that_does_not_fit_is_yellow_and_no_failure(well: Desk) -> None:
    well.sandbox.place_order(well.store, customer_id=BUYER, external_order_id="x" * 300)

    finding = findings(well, 0)["extra fields"]

    assert finding["state"] == "doubtful"
    assert "longer than 200 characters" in finding["what"]


def test_texts_that_the_rule_does_not_read_are_yellow_and_not_shown(well: Desk) -> None:
    well.sandbox.place_order(well.store, customer_id=BUYER, customer_message="PO Number / Reference Number: A-1")
    missed = well.sandbox.place_order(well.store, customer_id=BUYER, customer_message="Bestellnummer: 4711")
    well.sandbox.place_order(well.store, customer_id=GUEST, customer_message="Bestellnummer: 4712")

    finding = findings(well, 0)["PO number"]

    assert finding["state"] == "doubtful"
    assert "read from 1 of the last 2 customers' orders; 1 more" in finding["what"]
    assert str(missed.id) in finding["what"]
    assert "po_number(customer_message, 'Your label')" in finding["mend"]
    assert "4711" not in finding["what"]


def test_refused_webhooks_are_yellow_with_the_check_that_failed(well: Desk, written: Written) -> None:
    world = World()
    for store in ("abc123", "another"):
        world.secrets.put(f"relay/{store}", secret_text(world.store))
        world.intake.handle(request(json.dumps(webhook(time.time(), producer=f"stores/{store}"))))
    refusals = [line for line in written.log if "check" in line]
    assert [line["store"] for line in refusals] == ["abc123", "another"]
    for line in refusals:
        write_log(well, line)

    finding = findings(well, 0)["refusals"]

    assert finding["state"] == "doubtful"
    assert "1 webhooks" in finding["what"]
    assert refusals[0]["check"] in finding["what"]


def test_without_a_store_it_says_how_to_add_one(well: Desk) -> None:
    well.run("hook", "delete", "abc123", "--yes")
    well.run("store", "remove", "abc123", "--yes")

    assert findings(well, 1)["stores"]["mend"] == "Add one: relay store add STORE"


def test_what_aws_does_not_let_it_see_is_not_claimed(well: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "relay.deployment_checks._depth", lambda *_: boto3.client("sqs").get_queue_url(QueueName="none")
    )

    assert findings(well, 0)["queues"]["state"] == "unknown"


# --- status ----------------------------------------------------------------------------------------------------------


def write_log(desk: Desk, line: dict[str, Any]) -> None:
    logs, group = boto3.client("logs"), desk.stack.log_groups[0]
    logs.create_log_stream(logGroupName=group, logStreamName=str(time.monotonic_ns()))
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][-1]["logStreamName"]
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]


def once() -> OncePerOrder:
    return OncePerOrder(TABLE, boto3.client("dynamodb"), 35)


def journal() -> Journal:
    return Journal(TABLE, boto3.client("dynamodb"), 35, time.time)


CONTEXT: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 15_000)


def verdict(desk: Desk, order: int, code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = desk.json("status", str(order), "--store", "abc123", code=code)
    return answer


def test_a_finished_order_says_how_and_when(well: Desk) -> None:
    once().run(OrderEvent("abc123", 101, time.time(), "x"), lambda _: Created(1.0, 9.0), CONTEXT)
    write_log(
        well, {"message": "order created", "order": 101, "store": "abc123", "outcome": "created", "level": "INFO"}
    )
    write_log(well, {"message": "order created", "order": 102, "store": "abc123", "outcome": "created"})

    answer = verdict(well, 101)

    assert (answer["verdict"], answer["finished"]) == ("finished", "Created")
    assert answer["finished_at"] == pytest.approx(time.time(), abs=5)
    assert [line["outcome"] for line in answer["log"]] == ["created"]
    assert "order created" in well.run("status", "101", "--store", "abc123").output


def test_a_late_order_says_why_it_waits(well: Desk) -> None:
    journal().note("abc123", 101, Late(Cause.RATE_LIMITED, "HTTP 429"))

    answer = verdict(well, 101)

    assert answer["verdict"] == "late"
    assert "rate_limited: HTTP 429" in answer["in_words"]


def test_a_dead_order_says_why_and_how_to_bring_it_back(well: Desk) -> None:
    journal().note("abc123", 101, Dead(Cause.UNAUTHORISED, "HTTP 401"))
    body = Letter(OrderEvent("abc123", 101, time.time(), "x"), Cause.UNAUTHORISED, "HTTP 401", time.time()).as_body()
    boto3.client("sqs").send_message(QueueUrl=well.stack.outputs["DeadLetterQueueUrl"], MessageBody=body)

    answer = verdict(well, 101, code=1)

    assert answer["verdict"] == "dead"
    assert "relay failed redrive --store abc123 --order 101" in answer["in_words"]
    boto3.client("sqs").purge_queue(QueueUrl=well.stack.outputs["DeadLetterQueueUrl"])
    assert verdict(well, 101)["verdict"] == "redriven"


def test_an_order_being_worked_on_says_so(well: Desk) -> None:
    def look(_again: bool) -> Created:
        assert verdict(well, 101)["verdict"] == "in progress"
        return Created(1.0, 9.0)

    once().run(OrderEvent("abc123", 101, time.time(), "x"), look, CONTEXT)


def test_an_order_that_failed_is_not_taken_for_finished(well: Desk) -> None:
    def fail(_again: bool) -> Created:
        raise RetryLater(Cause.NO_ANSWER, "timed out")

    with pytest.raises(RetryLater):
        once().run(OrderEvent("abc123", 101, time.time(), "x"), fail, CONTEXT)

    assert verdict(well, 101, code=1)["verdict"] == "unknown"


def test_an_order_nobody_has_heard_of_says_what_to_do(well: Desk) -> None:
    answer = verdict(well, 999, code=1)

    assert answer["verdict"] == "unknown"
    assert "relay backfill --store abc123" in answer["in_words"]


def test_a_story_is_told_without_logs_when_they_may_not_be_read(well: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "FilterLogEvents")

    monkeypatch.setattr("relay.status.lines", denied)
    journal().note("abc123", 101, Late(Cause.RATE_LIMITED, "HTTP 429"))

    output = well.run("status", "101", "--store", "abc123").output

    assert "rate_limited: HTTP 429" in output
    assert "AWS does not let you call FilterLogEvents" in output


# --- preview ---------------------------------------------------------------------------------------------------------


def test_a_preview_shows_record_and_rules_and_writes_nothing(desk: Desk) -> None:
    order = desk.sandbox.place_order(
        desk.store, customer_id=BUYER, customer_message=f"{PO_LINE}4711", external_order_id="Blue", automatic_record_after=0.0,
        buyer_extra_fields={"Note": "hers"},
    )  # fmt: skip

    answer = desk.json("preview", str(order.id), "--store", "abc123")

    assert {row["field"]: (row["record"], row["rules"], row["afterwards"]) for row in answer["fields"]} == {
        "PO number": ("4711", "4711", "4711"),
        "Note": ("hers", "", "hers"),
        "Team": ("", "Blue", "Blue"),
    }
    assert answer["conclusion"] == "The record would be updated."
    assert {request.method for request in desk.sandbox.requests(order=order)} == {"GET"}


@pytest.mark.parametrize(
    ("customer", "conclusion"),
    [(BUYER, "would create one"), (OUTSIDER, "belongs to no company"), (GUEST, "a guest's order")],
)
def test_a_preview_says_what_would_be_done(desk: Desk, customer: int, conclusion: str) -> None:
    order = desk.sandbox.place_order(desk.store, customer_id=customer, external_order_id="Blue")

    output = desk.run("preview", str(order.id), "--store", "abc123").output

    assert conclusion in output
    assert desk.sandbox.record(desk.store, order.id) is None


def test_rules_can_be_tried_before_they_are_deployed(desk: Desk, tmp_path: Path) -> None:
    order = desk.sandbox.place_order(desk.store, customer_id=BUYER, external_order_id="Blue")
    path = tmp_path / "enrichment.toml"
    path.write_text("[all]\npo_number = 'external_order_id'\n[all.extra_fields]\nTeam = 'length(customer_id)'")

    answer = desk.json("preview", str(order.id), "--store", "abc123", "--rules", str(path), code=1)

    assert [(row["field"], row["rules"]) for row in answer["fields"]] == [("PO number", "Blue")]
    assert answer["failed_rules"] == ["all.extra_fields.Team"]


# --- backfill --------------------------------------------------------------------------------------------------------


def handed_over(desk: Desk) -> list[dict[str, Any]]:
    sqs, url = boto3.client("sqs"), desk.stack.outputs["RecoveryQueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def test_a_period_is_handed_over_without_guests_and_finished_orders(desk: Desk) -> None:
    def place(customer: int, hours_ago: float) -> int:
        return desk.sandbox.place_order(desk.store, customer_id=customer, created_ago_seconds=hours_ago * 3600).id

    before, wanted, other, guest, done = place(7, 80), place(7, 70), place(8, 2), place(0, 2), place(7, 1)
    once().run(OrderEvent("abc123", done, time.time(), "x"), lambda _: Created(1.0, 9.0), CONTEXT)
    arguments = ("backfill", "--store", "abc123", "--since", "3d", "--per-minute", "600")

    dry = desk.json(*arguments, "--dry-run")
    assert (dry["orders"], dry["finished_before"], dry["guests"]) == ([wanted, other], 1, 1)
    assert handed_over(desk) == []
    answer = desk.json(*arguments)

    letters = handed_over(desk)
    assert answer["done"] == "handed over"
    assert [letter["order"]["data"]["id"] for letter in letters] == [wanted, other]
    assert {letter["reason"]["cause"] for letter in letters} == {"reconciled"}
    assert {before, guest}.isdisjoint(answer["orders"])
    assert letters[0]["order"]["created_at"] == pytest.approx(time.time() - 70 * 3600, abs=5)
    assert verdict_of_late(desk, wanted) == "late"


def verdict_of_late(desk: Desk, order: int) -> str:
    return str(desk.json("status", str(order), "--store", "abc123")["verdict"])


def test_orders_are_handed_over_no_faster_than_asked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        desk.sandbox.place_order(desk.store, customer_id=BUYER, created_ago_seconds=60)
    slept: list[float] = []
    monkeypatch.setattr("relay.command.time.sleep", slept.append)

    desk.run("backfill", "--store", "abc123", "--since", "1h", "--per-minute", "30")

    assert [round(seconds) for seconds in slept] == [0, 2, 4, 6]


def test_a_listing_that_is_refused_hands_nothing_over(desk: Desk) -> None:
    desk.sandbox.place_order(desk.store, customer_id=BUYER, created_ago_seconds=60)
    desk.sandbox.fault(faults.status(403), endpoint="core.list_orders", times=None)

    output = desk.run("backfill", "--store", "abc123", "--since", "1h", code=1).output

    assert "Orders: read-only" in output
    assert handed_over(desk) == []


def test_a_period_that_ends_before_it_begins_is_wrong_usage(desk: Desk) -> None:
    arguments = ("backfill", "--store", "abc123", "--since", "2026-11-02", "--until", "2026-11-01")

    assert "before it begins" in " ".join(desk.run(*arguments, code=2).output.split())
