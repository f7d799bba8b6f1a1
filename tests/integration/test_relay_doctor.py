"""`relay doctor`: genuine HTTP to the simulated store, moto and fakes for AWS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import Mock

import boto3
import pytest

from handler.errors import Cause
from handler.table.store_registry import StoreRegistry
from handler.telemetry import NAMESPACE, Metric
from relay import context as relay_context
from relay import function_checks
from relay.store_secrets import StoreSecrets
from sandbox.demo.scenarios import secret_of
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import ExtraField
from support.account import ALARM, FakeCloudFormation, FakeFunctions, aws_error, packed
from support.dead_letters import letter
from support.events import request, webhook
from support.relay import RULES, TABLE, RelayCli, relay_cli_of, store_with_team
from support.world import World, secret_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.telemetry import Written

BUYER, GUEST = 7, 0
WELL, WRONG, UNKNOWN = 0, 1, 3
Ring = Callable[[Literal["OK", "ALARM", "INSUFFICIENT_DATA"]], None]


@pytest.fixture
def relay_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RelayCli]:
    store = store_with_team(BUYER)
    here = tmp_path / "enrichment.toml"
    here.write_text(RULES)
    monkeypatch.setattr(function_checks, "RULES_FILE", here)
    with relay_cli_of(store, monkeypatch) as relay_cli:
        relay_cli.run("store", "add", store.hash, "--from-file", "-", typed=json.dumps(secret_of(store)))
        yield relay_cli


@pytest.fixture
def relay() -> Iterator[str]:
    """Where the relay answers: 400 to what is no webhook. Beside it lies its code."""

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(400, b"")

        def do_GET(self) -> None:
            self.answer(200, packed(RULES))

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def ring(relay_cli: RelayCli) -> Ring:
    """The stack has one alarm; what is given becomes its state."""
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=ALARM,
        AlarmDescription="At least one order waits for a person.",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    assert relay_cli.stack.name in ALARM

    def ring(state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]) -> None:
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")

    return ring


@pytest.fixture
def well(relay_cli: RelayCli, relay: str, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> RelayCli:
    """A deployment and a store with which all is well."""
    ring("OK")
    monkeypatch.setenv("RELAY_DESTINATION", f"{relay}/webhooks")
    # moto's CloudFormation and Lambda need packages that nothing else here does.
    monkeypatch.setattr(relay_context.Context, "cloudformation", FakeCloudFormation())
    monkeypatch.setattr(relay_context.Context, "functions", FakeFunctions(relay_cli.stack, f"{relay}/code"))
    topic = boto3.client("sns").create_topic(Name="relay-AlarmTopic")["TopicArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox")
    for group in relay_cli.stack.log_groups:
        boto3.client("logs").create_log_group(logGroupName=group)
    relay_cli.run("hook", "create", "abc123")
    relay_cli.sandbox.place_order(
        relay_cli.store, customer_id=BUYER, external_order_id="Blue", customer_message=f"{PO_LINE}PO-1"
    )
    return relay_cli


def findings(relay_cli: RelayCli, code: int, *arguments: str) -> dict[str, dict[str, Any]]:
    """The doctor's findings by step, the worst of each; AssertionError when they do not fit the exit code."""
    answer = relay_cli.json("doctor", *arguments, code=code)
    assert answer["ok"] is (code == WELL)
    order = ["good", "unknown", "bad"]
    everything = [finding for section in answer["sections"].values() for finding in section]
    counted = [finding for finding in everything if not finding["because"]]
    assert answer["failed"] == sum(finding["state"] == "bad" for finding in counted)
    assert answer["unknown"] == sum(finding["state"] == "unknown" for finding in counted)
    return {f["step"]: f for f in sorted(everything, key=lambda f: order.index(f["state"]))}


def test_all_is_well(well: RelayCli) -> None:
    states = {step: finding["state"] for step, finding in findings(well, WELL).items()}

    assert states == dict.fromkeys(states, "good")
    assert states.keys() == {
        "stack", "webhook URL", "SQS trigger", "concurrency", "secret prefix", "settings", "architecture", "rules",
        "secret", "core API", "clock", "B2B API", "B2B users", "hooks API", "webhook", "rejected webhooks", "PO number",
        "extra fields", "late orders", "dead letters", "alarms", "alarm recipients",
    }  # fmt: skip
    assert "All checks passed." in well.run("doctor").output


def test_a_late_order_that_was_tried_often_shows_its_age_and_when_it_is_given_up(well: RelayCli) -> None:
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

    late = findings(well, WRONG)["late orders"]

    assert (late["state"], late["who"]) == ("bad", "you")
    assert "1 order in the recovery queue; the oldest for 2 h, given up in 22 h" in late["what"]
    assert "relay late list" in late["fix"]


def remove_secret(_context: RelayCli) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId="relay/abc123", ForceDeleteWithoutRecovery=True)


def schedule_deletion(_context: RelayCli) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId="relay/abc123", RecoveryWindowInDays=7)


def secret_without_value(relay_cli: RelayCli) -> None:
    remove_secret(relay_cli)
    boto3.client("secretsmanager").create_secret(Name="relay/abc123")


def encrypt(relay_cli: RelayCli) -> None:
    remove_secret(relay_cli)
    secret = json.dumps(secret_of(relay_cli.store) | {"client_secret": "s"})
    boto3.client("secretsmanager").create_secret(Name="relay/abc123", SecretString=secret, KmsKeyId="1234-abcd")


def put_secret(values: dict[str, Any]) -> Callable[[RelayCli], None]:
    def put(_context: RelayCli) -> None:
        boto3.client("secretsmanager").put_secret_value(SecretId="relay/abc123", SecretString=json.dumps(values))

    return put


def kill(relay_cli: RelayCli, cause: Cause = Cause.API_REFUSED) -> None:
    boto3.client("sqs").send_message(
        QueueUrl=relay_cli.stack.outputs["DeadLetterQueueUrl"], MessageBody=letter(101, cause=cause)
    )


def configure(**settings: Any) -> Callable[[RelayCli], Any]:
    return lambda relay_cli: relay_cli.sandbox.configure("abc123", **settings)


@pytest.mark.parametrize(
    ("trouble", "step", "what", "fix", "who"),
    [
        (remove_secret, "secret", "relay/abc123 does not exist", "relay store add abc123", "you"),
        (schedule_deletion, "secret", "relay/abc123 is scheduled for deletion", "relay store add abc123", "you"),
        (secret_without_value, "secret", "relay/abc123 has no value", "relay store add abc123", "you"),
        (put_secret({"client_secret": "s"}), "secret", '"access_token" is missing', "relay store add abc123", "you"),
        (put_secret({"access_token": "abc123-access-token"}), "secret", "neither client_secret", "relay hook create abc123", "you"),
        (encrypt, "secret key", "encrypted with the key 1234-abcd", "SecretsKeyArn", "you"),
        (configure(access_token="revoked"), "core API", "HTTP 401", "relay store add abc123", "you"),
        (configure(missing_scopes={"core"}), "core API", "Orders: read-only", "relay store add abc123", "you"),
        (configure(missing_scopes={"b2b"}), "B2B API", "B2B Edition: modify", "relay store add abc123", "you"),
        (configure(b2b_token="another"), "B2B API", "HTTP 401", "relay store add abc123", "you"),
        (lambda d: d.sandbox.down("b2b"), "B2B API", "of another store", "nothing to do", "BigCommerce"),
        (lambda d: d.sandbox.hooks("abc123")[0].headers.clear(), "webhook", "does not send", "relay hook create abc123", "you"),
        (lambda d: setattr(d.sandbox.hooks("abc123")[0], "is_active", False), "webhook", "by BigCommerce", "relay hook enable", "you"),
        (lambda d: d.run("hook", "disable", "abc123", "--yes"), "webhook", "by relay hook disable", "relay hook enable", "you"),
        (lambda d: setattr(d.sandbox.hooks("abc123")[0], "destination", "https://x.example/"), "webhook", "x.example", "create", "you"),
        (lambda d: d.sandbox.block_domain("abc123", "127.0.0.1", 180), "blocked domain", "another 3 m", "relay backfill", "BigCommerce"),
        (kill, "dead letters", "1 order needs an operator; causes: 1 x api_refused: HTTP 401", "relay failed list", "you"),
        (configure(extra_fields=()), "extra fields", 'name "Team"', "enrichment.toml", "you"),
        (
            configure(extra_fields=(ExtraField(name="Team"), ExtraField(name="RelayCli", required=True))),
            "extra fields",
            'requires "RelayCli"',
            "enrichment.toml",
            "you",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_comes_with_its_mend_and_who_mends_it(
    well: RelayCli, trouble: Callable[[RelayCli], Any], step: str, what: str, fix: str, who: str
) -> None:
    trouble(well)

    finding = findings(well, WRONG)[step]

    assert finding["state"] == "bad"
    assert what in finding["what"]
    assert fix in finding["fix"]
    assert finding["who"] == who


def test_a_refused_token_counts_once_and_names_what_could_not_be_looked_at(well: RelayCli) -> None:
    well.sandbox.configure("abc123", access_token="revoked")
    kill(well, Cause.UNAUTHORISED)

    answer = well.json("doctor", code=WRONG)
    said = well.run("doctor", code=WRONG).output

    assert (answer["failed"], answer["unknown"]) == (1, 0)
    store = {f["step"]: f for f in answer["sections"]["Store abc123"]}
    assert {step for step, f in store.items() if f["because"] == "core API"} == {
        "B2B API", "hooks API", "webhook", "PO number", "extra fields",
    }  # fmt: skip
    assert store["webhook"]["what"] == "not checked: the token is rejected"
    [dead] = [f for f in answer["sections"]["Orders and alarms"] if f["step"] == "dead letters"]
    assert dead["because"] == "Store abc123: core API"
    assert "└ webhook" in said
    assert "1 failed: 1 for you to fix." in said


def test_an_outage_is_bigcommerces_and_counts_once(well: RelayCli) -> None:
    well.sandbox.down("core")
    well.sandbox.down("b2b")
    boto3.client("sqs").send_message(QueueUrl=well.stack.outputs["RecoveryQueueUrl"], MessageBody="{}")

    found = findings(well, WRONG)
    said = well.run("doctor", code=WRONG).output

    assert (found["core API"]["who"], found["B2B API"]["because"]) == ("BigCommerce", "core API")
    assert "orders wait" in found["core API"]["fix"]
    assert found["late orders"]["because"] == "Store abc123: core API"
    assert "1 failed: 1 for BigCommerce to fix." in said


def test_a_secret_that_may_not_be_read_is_not_taken_for_an_absent_one(
    well: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreSecrets, "read", Mock(side_effect=aws_error("AccessDeniedException")))

    found = findings(well, UNKNOWN)

    assert found["secret"]["state"] == "unknown"
    assert "AWS denied access to the secret relay/abc123 (AccessDeniedException)" in found["secret"]["what"]
    assert found["webhook"]["because"] == "secret"


@pytest.mark.parametrize("named", [("abc123",), ()])
def test_a_store_that_only_has_a_secret_is_looked_at_and_told_from_a_listed_one(
    well: RelayCli, named: tuple[str, ...]
) -> None:
    StoreRegistry(TABLE, boto3.client("dynamodb")).forget("abc123")

    found = findings(well, WRONG, *named)

    assert (found["core API"]["state"], found["store registry"]["state"]) == ("good", "bad")
    assert "relay store add abc123" in found["store registry"]["fix"]


def test_a_ringing_alarm_is_wrong_with_its_description(well: RelayCli, ring: Ring) -> None:
    ring("ALARM")

    finding = findings(well, WRONG)["alarms"]

    assert f"{ALARM} has been in ALARM" in finding["what"]
    assert finding["fix"] == "At least one order waits for a person."


def test_an_alarm_that_rings_for_what_was_found_counts_with_it(well: RelayCli, ring: Ring) -> None:
    ring("ALARM")
    kill(well)

    found = findings(well, WRONG)

    assert found["alarms"]["because"] == "dead letters"


def test_alarms_without_data_are_not_known(well: RelayCli, ring: Ring) -> None:
    ring("INSUFFICIENT_DATA")

    finding = findings(well, UNKNOWN)["alarms"]

    assert (finding["state"], finding["who"]) == ("unknown", "nobody")
    assert "1 of 1 alarms have no data yet" in finding["what"]
    assert "No check failed; 1 without a result." in well.run("doctor", code=UNKNOWN).output


def test_a_webhook_url_where_somebody_else_answers_is_wrong(well: RelayCli) -> None:
    finding = findings(well, WRONG, "--destination", f"{well.sandbox.url}/elsewhere")["webhook URL"]

    assert "HTTP 404" in finding["what"]


def test_a_value_that_does_not_fit_is_wrong(well: RelayCli) -> None:
    well.sandbox.place_order(well.store, customer_id=BUYER, external_order_id="x" * 300)

    finding = findings(well, WRONG)["extra fields"]

    assert finding["state"] == "bad"
    assert "longer than 200 characters" in finding["what"]


def test_texts_that_the_rule_does_not_read_are_told_and_not_shown(well: RelayCli) -> None:
    missed = well.sandbox.place_order(well.store, customer_id=BUYER, customer_message="Bestellnummer: 4711")
    well.sandbox.place_order(well.store, customer_id=GUEST, customer_message="Bestellnummer: 4712")

    finding = findings(well, UNKNOWN)["PO number"]

    assert finding["state"] == "unknown"
    assert "found in 1 of the last 2 customers' orders; 1 more" in finding["what"]
    assert str(missed.id) in finding["what"]
    assert "po_number(customer_message, 'Your label')" in finding["fix"]
    assert "4711" not in finding["what"]


def write_log(relay_cli: RelayCli, line: dict[str, Any]) -> None:
    logs, group = boto3.client("logs"), relay_cli.stack.log_groups[0]
    logs.create_log_stream(logGroupName=group, logStreamName=str(time.monotonic_ns()))
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][-1]["logStreamName"]
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]


def test_refused_webhooks_may_be_forged_so_they_are_not_known(well: RelayCli, written: Written) -> None:
    world = World()
    for store in ("abc123", "another"):
        world.secrets.put(f"relay/{store}", secret_text(world.store))
        world.intake.handle(request(json.dumps(webhook(time.time(), producer=f"stores/{store}"))))
    refusals = [line for line in written.log if "check" in line]
    assert [line["store"] for line in refusals] == ["abc123", "another"]
    for line in refusals:
        write_log(well, line)

    finding = findings(well, UNKNOWN)["rejected webhooks"]

    assert finding["state"] == "unknown"
    assert "1 webhook in the store's name" in finding["what"]
    assert refusals[0]["check"] in finding["what"]


def test_without_a_store_it_says_how_to_add_one(well: RelayCli) -> None:
    well.run("hook", "delete", "abc123", "--yes")
    well.run("store", "remove", "abc123", "--yes")

    assert "relay store add" in findings(well, WRONG)["stores"]["fix"]


def test_what_aws_does_not_let_it_see_is_not_claimed(well: RelayCli) -> None:
    for name in ("RecoveryQueueUrl", "DeadLetterQueueUrl"):
        boto3.client("sqs").delete_queue(QueueUrl=well.stack.outputs[name])

    found = findings(well, UNKNOWN)

    assert (found["late orders"]["state"], found["dead letters"]["state"]) == ("unknown", "unknown")


def test_orders_are_tried_with_the_deployed_rules_and_a_difference_is_wrong(well: RelayCli, tmp_path: Path) -> None:
    (tmp_path / "enrichment.toml").write_text(RULES.replace("Team", "RelayCli"), encoding="utf-8")

    found = findings(well, WRONG)

    assert found["rules"]["state"] == "bad"
    assert "make deploy" in found["rules"]["fix"]
    assert found["extra fields"]["state"] == "good"
