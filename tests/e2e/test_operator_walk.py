"""The operator's walk, as a new user would go it: from an empty deployment to the first order, through the first error.

The command line runs as a process of its own against the real template and the simulated store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from e2e.test_relay import wait_for
from sandbox.aws.cloud import Cloud
from sandbox.aws.emulator import ROOT
from sandbox.console.fault_menu import FaultyStore
from sandbox.console.faults import ActiveFaults
from sandbox.console.requests import FaultRequest
from sandbox.demo.scenarios import BUYER, Stage, demo_store, secret_of
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.server import SandboxStore
from sandbox.store.webhooks import DeliveryOptions
from support.alarm_metrics import publish, samples
from support.operator import NOT_KNOWN, WRONG, Operator, advised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.store.orders import Order

PARAMETERS = {"RecoveryFirstDelaySeconds": "1", "RecoveryLongestDelaySeconds": "2", "LateRequestsPerMinute": "150"}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with SandboxStore.run() as sandbox:
        # On a machine with much else to do the first webhook may fail; the store's next attempt is a second away, not a minute.
        sandbox.hook_options = DeliveryOptions(time_compression=60)
        store = sandbox.add_store(demo_store())
        with Cloud(PARAMETERS | {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}) as cloud:
            yield Stage(sandbox, cloud, store)


def place(stage: Stage, po_number: str) -> Order:
    return stage.sandbox.place_order(
        stage.store,
        customer_id=BUYER,
        customer_message=f"{PO_LINE}{po_number}",
        form_fields={"Cost Center": f"CC-{po_number}"},
    )


def wait_until_enriched(stage: Stage, order: Order, po_number: str) -> None:
    expected = (po_number, {"Cost Center": f"CC-{po_number}"})
    wait_for(lambda: (r := stage.sandbox.record(stage.store, order.id)) and (r.po_number, r.extra_fields) == expected)


def an_hour_and_a_quarter_passes(stage: Stage) -> None:
    """The alarm looks back for so long; tests/unit/test_alarms.py shows that it is silent afterwards by itself."""
    stage.cloud.client("cloudwatch").set_alarm_state(
        AlarmName=f"{stage.cloud.stack}-unauthorized", StateValue="OK", StateReason="75 minutes without a refusal"
    )


def test_the_operators_walk(stage: Stage) -> None:
    operator = Operator(stage)
    first_token = stage.store.access_token

    a_store_is_added(stage, operator)
    the_first_order_comes(stage, operator)
    the_token_is_revoked(stage, operator)
    orders_are_refused_for_good(stage, operator)
    a_night_without_webhooks_is_made_up_for(stage, operator)

    # Nothing secret was ever on the screen.
    [hook] = stage.sandbox.hooks(stage.store)
    for secret in (first_token, stage.store.access_token, stage.store.client_secret, *hook.headers.values()):
        assert secret not in operator.heard


def a_store_is_added(stage: Stage, operator: Operator) -> None:
    store = stage.store
    assert "b2b-order-relay exists (CREATE_COMPLETE)" in operator.says("doctor --before-deploy")
    # A deployment without a store: the doctor says what comes next.
    assert "relay store add" in operator.says("doctor", code=WRONG)
    # A mistyped token is not saved; the right one is, and then the webhook.
    assert "Nothing was saved" in operator.says(f"store add {store.hash}", typed="mistyped\n\n\n", code=WRONG)
    answer = operator.says(f"store add {store.hash}", typed=f"{store.access_token}\n{store.client_secret}\n\n")
    assert f"relay hook create {store.hash}" in answer
    assert "created" in operator.says(f"hook create {store.hash}")
    assert "unchanged" in operator.says(f"hook create {store.hash}")
    assert "No check failed" in operator.says("doctor", code=NOT_KNOWN)


def the_first_order_comes(stage: Stage, operator: Operator) -> None:
    """Through the registered hook, inside its window."""
    first = place(stage, "PO-1")
    wait_until_enriched(stage, first, "PO-1")
    story = f"status {first.id} --store {stage.store.hash}"
    wait_for(lambda: "order created" in operator.says(story))
    assert operator.learns(story)["finished"] == "Created"
    assert "already complete" in operator.says(f"preview {first.id} --store {stage.store.hash}")


def the_token_is_revoked(stage: Stage, operator: Operator) -> None:
    """The doctor and the alarm say so, and orders are late; `store add` fixes it, and they finish by themselves."""
    store = stage.store
    stage.sandbox.configure(store, access_token="renewed-access-token")
    assert "HTTP 401: the token is wrong or was revoked" in operator.says(f"doctor {store.hash}", code=WRONG)
    late = [place(stage, f"PO-LATE-{number}") for number in range(3)]
    asked = f"status {late[0].id} --store {store.hash}"
    told = wait_for(lambda: (s := operator.learns(asked, code=None))["verdict"] == "late" and s)
    assert told["noted"]["cause"] == "unauthorized"
    assert f"relay store add {store.hash}" in told["fix"]
    waiting = wait_for(lambda: (a := operator.learns(f"late list --store {store.hash}"))["count"] == 3 and a)
    assert {row["order"] for row in waiting["orders"]} == {order.id for order in late}
    assert "unauthorized" in operator.says("late list --cause unauthorized")
    publish(stage.cloud, samples(stage.cloud))
    said = " ".join(operator.says("doctor", code=WRONG).split())
    assert f"{stage.cloud.stack}-unauthorized has been in ALARM" in said
    assert "docs/runbook.md#an-api-refuses-the-token" in said

    operator.says(f"store add {store.hash}", typed="renewed-access-token\n\n\n")
    operator.says(f"late retry --store {store.hash} --cause unauthorized", code=None)  # some may be finished by now
    assert "finished" in operator.says(f"{asked} --follow --for 1m")
    for number, order in enumerate(late):
        wait_until_enriched(stage, order, f"PO-LATE-{number}")
    wait_for(lambda: operator.learns("late list")["count"] == 0)
    wait_for(lambda: operator.learns(asked)["verdict"] == "finished")
    an_hour_and_a_quarter_passes(stage)
    assert "No check failed" in operator.says("doctor", code=NOT_KNOWN)


def orders_are_refused_for_good(stage: Stage, operator: Operator) -> None:
    """They wait for the operator, who brings them back."""
    store = stage.store
    rule = stage.sandbox.fault(faults.refusal(422, "Cost Center is required"), endpoint="b2b.create", times=2)
    dead = [place(stage, f"PO-DEAD-{number}") for number in range(2)]
    wait_for(lambda: operator.learns("failed list")["count"] == 2)
    assert rule.struck == 2
    assert "2 orders need an operator" in operator.says("doctor", code=WRONG)
    assert "api_refused" in operator.says(f"failed list --store {store.hash}")
    assert "HTTP 422" in operator.says(f"failed show {dead[0].id}")
    assert "relay failed redrive" in operator.says(f"status {dead[0].id} --store {store.hash}", code=WRONG)
    assert "--all" in operator.says("failed redrive", code=2)
    assert operator.learns("failed redrive --all --dry-run")["count"] == 2
    assert operator.learns(f"failed redrive --store {store.hash} --cause api_refused --wait")["done"] == "finished"
    for number, order in enumerate(dead):
        wait_until_enriched(stage, order, f"PO-DEAD-{number}")
    assert "No dead letters" in operator.says("failed list")


def a_night_without_webhooks_is_made_up_for(stage: Stage, operator: Operator) -> None:
    store = stage.store
    operator.says(f"hook disable {store.hash} --yes")
    silent = place(stage, "PO-SILENT")
    assert "by relay hook disable" in operator.says("doctor", code=WRONG)
    assert operator.learns(f"status {silent.id} --store {store.hash}", code=WRONG)["verdict"] == "unknown"
    operator.says(f"hook enable {store.hash}")
    assert operator.learns(f"backfill --store {store.hash} --since 1h --per-minute 600")["orders"] == [silent.id]
    wait_until_enriched(stage, silent, "PO-SILENT")
    wait_for(lambda: operator.learns(f"status {silent.id} --store {store.hash}")["verdict"] == "finished")
    assert "No check failed" in operator.says("doctor", code=NOT_KNOWN)


# --- the exercises of docs/tutorial.md, by the commands that the outputs advise -----------------------------------


@pytest.fixture
def page(stage: Stage) -> Iterator[ActiveFaults]:
    """The faults that the sandbox's page offers, on a store with its secret and its hook."""
    if not stage.sandbox.hooks(stage.store):
        stage.cloud.put_secret(stage.store.hash, secret_of(stage.store))
        stage.sandbox.add_hook(stage.store, stage.cloud.webhook_url)
    context = ActiveFaults(FaultyStore(stage.sandbox, stage.store, stage.cloud.store_secrets))
    yield context
    for fault in context.active:
        context.remove(fault.id)


def let_fail(page: ActiveFaults, fault: str) -> int:
    return page.take(FaultRequest(key=fault, endpoint="b2b.create", extent="all")).id


def the_one(output: str, beginning: str) -> str:
    """The command of this kind that an output advises."""
    [found] = {command for command in advised(output) if command.startswith(beginning)}
    return found


def is_verdict(operator: Operator, order: Order, verdict: str) -> bool:
    return bool(operator.learns(f"status {order.id}", code=None)["verdict"] == verdict)


def holds_the_exercise(operator: Operator, title: str) -> bool:
    """Whether each command of the exercise was given, other order numbers aside; there are five at most."""
    text = (
        (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    )
    commands = re.findall(r"^relay (.*)$", text, re.MULTILINE)
    assert 0 < len(commands) <= 5
    ran = {re.sub(r"\d+", "N", command.removesuffix(" --json")) for command in operator.ran}
    return {re.sub(r"\d+", "N", command) for command in commands} <= ran


def test_exercise_the_token_is_revoked(stage: Stage, page: ActiveFaults) -> None:
    operator = Operator(stage)
    let_fail(page, "token")
    order = place(stage, "PO-TOKEN")
    wait_for(lambda: is_verdict(operator, order, "late"))

    said = operator.says("doctor", code=WRONG)
    assert "the token is wrong or was revoked" in said
    operator.says(the_one(said, "store add"), typed=f"{stage.store.access_token}\n\n\n")

    wait_until_enriched(stage, order, "PO-TOKEN")
    wait_for(lambda: is_verdict(operator, order, "finished"))
    assert page.active == []
    assert "✗" not in operator.says("doctor", code=None)
    assert holds_the_exercise(operator, "The token is revoked")


def test_exercise_the_b2b_api_is_down(stage: Stage, page: ActiveFaults) -> None:
    operator = Operator(stage)
    outage = let_fail(page, "b2b-down")
    order = place(stage, "PO-DOWN")
    wait_for(lambda: is_verdict(operator, order, "late"))

    assert "HTTP 503" in operator.says("doctor", code=WRONG)
    assert str(order.id) in operator.says("late list")
    assert "api_unavailable" in operator.says(f"status {order.id}")
    page.remove(outage)
    operator.says("late retry --store sandbox --cause api_unavailable", code=None)  # it may be finished by now

    wait_until_enriched(stage, order, "PO-DOWN")
    wait_for(lambda: is_verdict(operator, order, "finished"))
    assert "✗" not in operator.says("doctor", code=None)
    assert holds_the_exercise(operator, "The B2B API is down")


def test_exercise_a_field_is_required(stage: Stage, page: ActiveFaults) -> None:
    operator = Operator(stage)
    required = let_fail(page, "required")
    order = place(stage, "PO-FIELD")
    wait_for(lambda: is_verdict(operator, order, "dead"))

    listed = operator.says("failed list")
    assert "Approver is a required extra field" in listed
    assert 'the store requires "Approver"' in operator.says(the_one(listed, "doctor"), code=WRONG)
    redrive = the_one(operator.says(f"status {order.id}", code=WRONG), "failed redrive")
    [letter] = operator.learns("failed list")["letters"]
    # As long as the cause is there, the order comes back.
    operator.says(redrive)
    wait_for(
        lambda: (
            [each["message_id"] != letter["message_id"] for each in operator.learns("failed list")["letters"]] == [True]
        )
    )

    page.remove(required)
    operator.says(redrive)
    wait_until_enriched(stage, order, "PO-FIELD")
    wait_for(lambda: is_verdict(operator, order, "finished"))
    assert "✗" not in operator.says("doctor", code=None)
    assert holds_the_exercise(operator, "A field is required")


def test_exercise_the_webhook_is_off(stage: Stage, page: ActiveFaults) -> None:
    operator = Operator(stage)
    let_fail(page, "hook-off")
    order = place(stage, "PO-HOOK")

    said = operator.says("doctor", code=WRONG)
    assert "is inactive" in said
    operator.says(the_one(said, "hook enable"))
    assert page.active == []
    operator.says(the_one(operator.says(f"status {order.id}", code=WRONG), "backfill"))

    wait_until_enriched(stage, order, "PO-HOOK")
    wait_for(lambda: is_verdict(operator, order, "finished"))
    assert "✗" not in operator.says("doctor", code=None)
    assert holds_the_exercise(operator, "The webhook is off")
