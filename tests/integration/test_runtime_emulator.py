"""Every sample of events/, through the built function, under AWS's own runtime interface emulator and a clean Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from handler.known_stores import STORES_ID
from sandbox import sam
from sandbox.emulator import CREDENTIALS, ROOT, CloudError, Emulator
from sandbox.orders import PO_LINE
from sandbox.rie import run_events
from sandbox.samples import CUSTOMER_ID, ORDER_ID, STORE, renew
from sandbox.store import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime interface emulator is a Linux program")

SAMPLES = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "events").glob("*.json"))}
ACKNOWLEDGED = {"api-webhook.json", "api-webhook-channel.json", "api-webhook-other-scope.json"}
REFUSED = {"api-webhook-forged.json"}
CREATING = {name for name in SAMPLES if name.startswith(("bus-", "partner-"))}
RECOVERING = {name for name in SAMPLES if name.startswith("recovery-")}
SCHEDULED = {"schedule.json"}
WEBHOOK_URL = "https://relay.example.com/webhooks"


def function_of(name: str) -> str:
    """The function that a sample is for."""
    if name in SCHEDULED:
        return "ReconcileFunction"
    return "RecoveryFunction" if name in RECOVERING else "OrderFunction"


@dataclass(frozen=True)
class Surroundings:
    """What the function finds outside itself: an AWS and a store."""

    built: Path
    environment: dict[str, str]
    sandbox: SandboxStore
    emulator: Emulator

    def run(self, name: str) -> Any:
        """Give a sample, made fresh, to the function that it is for; answers what the function returned."""
        [answer] = run_events([renew(SAMPLES[name], time.time())], self.built, function_of(name), self.environment)
        return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam.build(print, folder)
    return folder


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("aws")) as emulator:
        emulator.wait_until_ready()
        yield emulator


@pytest.fixture
def surroundings(built: Path, emulator: Emulator) -> Iterator[Surroundings]:
    with SandboxStore.run() as sandbox:
        sandbox.add_store(STORE)
        environment = {
            "POWERTOOLS_SERVICE_NAME": "b2b-order-relay",
            "POWERTOOLS_METRICS_NAMESPACE": "B2BOrderRelay",
            "LOG_LEVEL": "INFO",
            "STORE_API_URL": sandbox.url,
            "B2B_API_URL": sandbox.url,
            "LATE_REQUESTS_PER_MINUTE": "60",
            "RECOVERY_FIRST_DELAY_SECONDS": "1",
            "RECOVERY_LONGEST_DELAY_SECONDS": "1",
            "GIVE_UP_AFTER_MINUTES": "10000000",  # the messages among the samples keep the date they were taken on
            "REMEMBER_DONE_DAYS": "1",
            "RES_OPTIONS": "timeout:1 attempts:1",
            **make_aws_resources(emulator),
        }
        template = yaml.safe_load((built / "template.yaml").read_text(encoding="utf-8"))
        assert set(environment) == set(template["Globals"]["Function"]["Environment"]["Variables"])
        own = template["Resources"]["ReconcileFunction"]["Properties"]["Environment"]["Variables"]
        assert set(own) == {"WEBHOOK_URL"}
        yield Surroundings(
            built,
            environment | CREDENTIALS | {"AWS_ENDPOINT_URL": emulator.url, "WEBHOOK_URL": WEBHOOK_URL},
            sandbox,
            emulator,
        )


def make_aws_resources(emulator: Emulator) -> dict[str, str]:
    """Fresh ones, since the samples are all about one order; answers the environment variables that name them."""
    prefix = uuid.uuid4().hex
    emulator.client("events").create_event_bus(Name=prefix)
    emulator.client("dynamodb").create_table(
        TableName=prefix,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    emulator.client("secretsmanager").create_secret(
        Name=f"{prefix}/{STORE.hash}",
        SecretString=json.dumps({"access_token": STORE.access_token, "client_secret": STORE.client_secret}),
    )
    sqs = emulator.client("sqs")
    return {
        "EVENT_BUS_NAME": prefix,
        "IDEMPOTENCY_TABLE": prefix,
        "SECRET_PREFIX": prefix,
        "RECOVERY_QUEUE_URL": sqs.create_queue(QueueName=f"{prefix}-recovery")["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": sqs.create_queue(QueueName=f"{prefix}-dead-letters")["QueueUrl"],
    }


def test_every_sample_is_tried_here() -> None:
    assert set(SAMPLES) == ACKNOWLEDGED | REFUSED | CREATING | RECOVERING | SCHEDULED


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_make_invoke_knows_which_function_a_sample_is_for(name: str) -> None:
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "invoke", f"EVENT=events/{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"sam local invoke {function_of(name)} " in said.stdout


@pytest.mark.parametrize("name", sorted(ACKNOWLEDGED))
def test_a_genuine_webhook_is_acknowledged_without_a_body(surroundings: Surroundings, name: str) -> None:
    answer = surroundings.run(name)
    assert answer["statusCode"] == 200
    assert not answer.get("body")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_forged_webhook_is_refused(surroundings: Surroundings, name: str) -> None:
    assert surroundings.run(name)["statusCode"] == 401


@pytest.mark.parametrize("name", sorted(CREATING))
def test_an_order_on_a_bus_is_created_in_b2b_edition(surroundings: Surroundings, name: str) -> None:
    surroundings.sandbox.place_order(STORE, customer_id=CUSTOMER_ID, order_id=ORDER_ID)
    surroundings.run(name)
    assert surroundings.sandbox.effects(STORE, ORDER_ID).creates == 1


@pytest.mark.parametrize("name", sorted(RECOVERING))
def test_a_late_order_is_finished_and_taken_off_the_queue(surroundings: Surroundings, name: str) -> None:
    sandbox = surroundings.sandbox
    sandbox.place_order(
        STORE, customer_id=CUSTOMER_ID, order_id=ORDER_ID, customer_message=f"{PO_LINE}4711", automatic_record_after=0
    )
    assert surroundings.run(name) == {"batchItemFailures": []}
    record = sandbox.record(STORE, ORDER_ID)
    assert record
    assert record.po_number == "4711"


@contextmanager
def lambda_and_codedeploy(surroundings: Surroundings, told: list[Any]) -> Iterator[str]:
    """Lambda, where each function is the built one under the emulator, and CodeDeploy, which keeps what it is told."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            called = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", self.path)
            if called:
                [answer] = run_events([body], surroundings.built, called.group(1), surroundings.environment)
            else:
                answer = {"lifecycleEventHookExecutionId": body["lifecycleEventHookExecutionId"]}
                told.append((self.headers["X-Amz-Target"], body["status"]))
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests' output is the tests'."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("broken", [False, True], ids=["a good release", "a release that does not start"])
def test_the_release_check_knows_a_good_release_from_a_broken_one(surroundings: Surroundings, *, broken: bool) -> None:
    told: list[Any] = []
    versions = {"ORDER_FUNCTION_VERSION": "OrderFunction", "RECOVERY_FUNCTION_VERSION": "RecoveryFunction"}
    event = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "h-1"}
    with lambda_and_codedeploy(surroundings, told) as url:
        environment = surroundings.environment | versions | {"AWS_ENDPOINT_URL": url}
        if broken:
            surroundings.environment["LATE_REQUESTS_PER_MINUTE"] = "many"
        [answer] = run_events([event], surroundings.built, "ReleaseCheckFunction", environment)
    expected = "Failed" if broken else "Succeeded"
    assert answer == expected
    assert told == [("CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus", expected)]


@pytest.mark.parametrize("name", sorted(SCHEDULED))
def test_on_schedule_an_order_nobody_told_of_is_found_and_the_hook_switched_on(
    surroundings: Surroundings, name: str
) -> None:
    hook = surroundings.sandbox.add_hook(STORE, WEBHOOK_URL)
    hook.is_active, hook.created_at = False, hook.created_at - 3600
    surroundings.emulator.client("dynamodb").update_item(
        TableName=surroundings.environment["IDEMPOTENCY_TABLE"],
        Key={"id": {"S": STORES_ID}},
        UpdateExpression="ADD hashes :store",
        ExpressionAttributeValues={":store": {"SS": [STORE.hash]}},
    )
    surroundings.sandbox.place_order(STORE, customer_id=CUSTOMER_ID, order_id=ORDER_ID, created_ago_seconds=300)

    assert surroundings.run(name) == {STORE.hash: 1}
    assert hook.is_active


def test_a_package_that_the_layer_lacks_is_noticed(surroundings: Surroundings) -> None:
    library = surroundings.built / "DependenciesLayer" / "python" / "standardwebhooks"
    hidden = library.rename(library.with_name("hidden"))
    try:
        with pytest.raises(CloudError, match="No module named 'standardwebhooks'"):
            surroundings.run("api-webhook.json")
    finally:
        hidden.rename(library)
