"""The relay as a store sees it: webhooks in over HTTP, B2B records out, through the real template."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from e2e.conftest import PARAMETERS, log_entries, outcomes
from sandbox.demo.scenarios import BUYER, SCENARIOS, Played, Scenario, Stage, play_webhook
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import Store
from sandbox.store.webhooks import DeliveryOptions, sign, webhook_body

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 45.0
ONCE = DeliveryOptions(retries=0)


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true answer of `condition`; AssertionError when there is none in time."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.2)
    return answer


def post(stage: Stage, body: bytes, headers: dict[str, str]) -> requests.Response:
    return requests.post(stage.cloud.webhook_url, data=body, headers=headers, timeout=30)


def signed(stage: Stage, body: bytes) -> dict[str, str]:
    return sign(body, stage.store.client_secret, time.time())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_every_order_of_the_demonstration_comes_out_as_it_should(stage: Stage, scenario: Scenario) -> None:
    played = scenario.play(stage)

    wait_for(lambda: scenario.holds(played) and (not played.deliveries or played.acknowledged))

    if scenario.outcome:
        wait_for(lambda: scenario.outcome in outcomes(stage, played.order))


def test_the_webhook_is_acknowledged_at_once_while_the_b2b_api_takes_seven_seconds(stage: Stage) -> None:
    slow = faults.delay(7.0)

    played = play_webhook(slow, customer_message=f"{PO_LINE}PO-SLOW", automatic_record_after=None)(stage)

    acknowledged = wait_for(lambda: played.acknowledged)
    assert acknowledged[0] == 200
    assert acknowledged[1] < 7.0
    record = wait_for(lambda: played.record)
    assert record.po_number == "PO-SLOW"
    assert played.creates == 1


def test_ten_deliveries_at_the_same_moment_create_once(stage: Stage) -> None:
    placed = stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-TEN", automatic_record_after=None
    )

    deliveries = stage.sandbox.deliver(placed, stage.cloud.webhook_url, DeliveryOptions(copies=10, retries=0))

    assert [delivery.wait(60).status for delivery in deliveries] == [200] * 10
    wait_for(lambda: stage.sandbox.record(stage.store, placed.id))
    wait_for(lambda: len(outcomes(stage, placed)) >= 10)
    assert stage.sandbox.effects(stage.store, placed.id).creates == 1
    assert len(stage.sandbox.requests("b2b.create", order=placed)) == 1


def test_a_webhook_delivered_again_later_is_a_duplicate(stage: Stage) -> None:
    played = play_webhook(customer_message=f"{PO_LINE}PO-AGAIN", automatic_record_after=None)(stage)
    wait_for(lambda: "created" in outcomes(stage, played.order))
    seen = len(stage.sandbox.requests(order=played.order))

    stage.sandbox.deliver(played.order, stage.cloud.webhook_url, ONCE)[0].wait()

    wait_for(lambda: "duplicate" in outcomes(stage, played.order))
    assert len(stage.sandbox.requests(order=played.order)) == seen


def test_a_channel_scoped_webhook_without_a_date_is_understood(stage: Stage) -> None:
    placed = stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-CHANNEL", automatic_record_after=None
    )
    options = DeliveryOptions(channel_scoped=True, created_at=False, retries=0)

    stage.sandbox.deliver(placed, stage.cloud.webhook_url, options)

    assert wait_for(lambda: stage.sandbox.record(stage.store, placed.id)).po_number == "PO-CHANNEL"


def test_another_scope_is_acknowledged_and_ignored(stage: Stage) -> None:
    placed = stage.sandbox.place_order(stage.store, customer_id=BUYER, automatic_record_after=None)
    body = json.dumps(webhook_body(placed, "store/order/updated")).encode()

    answer = post(stage, body, signed(stage, body))

    assert (answer.status_code, answer.content) == (200, b"")
    wait_for(lambda: any(entry.get("WebhookIgnored") for entry in log_entries(stage)))
    assert stage.sandbox.requests(order=placed) == []


def test_an_unknown_store_looks_exactly_like_a_bad_signature(stage: Stage) -> None:
    placed = stage.sandbox.place_order(stage.store, customer_id=BUYER, automatic_record_after=None)
    known = webhook_body(placed)
    unknown = json.dumps(known | {"producer": "stores/nobody"}).encode()
    forged = json.dumps(known).encode()

    answers = [
        post(stage, unknown, sign(unknown, stage.store.client_secret, time.time())),
        post(stage, forged, sign(forged, "another secret", time.time())),
        post(stage, forged, {}),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Content-Type"] for answer in answers}) == 1
    assert stage.sandbox.requests(order=placed) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"producer": "stores/sandbox", "created_at": NaN}', b"\xff\xfe", b"[" * 20_000],
    ids=["empty", "half", "list", "nan", "not utf-8", "deep"],
)
def test_a_body_that_is_no_webhook_is_refused_with_400(stage: Stage, body: bytes) -> None:
    assert post(stage, body, signed(stage, body)).status_code == 400


def test_a_signed_body_of_another_shape_is_refused_with_400_that_says_what_was_expected(stage: Stage) -> None:
    body = json.dumps({"scope": "store/order/created", "producer": f"stores/{stage.store.hash}", "data": {}}).encode()

    answer = post(stage, body, signed(stage, body))

    assert answer.status_code == 400
    assert '"data.id" must be a whole number' in answer.json()["error"]


def test_an_oversized_body_is_refused_with_400(stage: Stage) -> None:
    body = json.dumps({"producer": f"stores/{stage.store.hash}", "padding": "x" * 70_000}).encode()

    assert post(stage, body, signed(stage, body)).status_code == 400


def test_a_store_with_only_a_secret_header_is_served_and_its_forgeries_are_not(stage: Stage) -> None:
    store = stage.sandbox.add_store(
        Store(
            hash="headeronly",
            company_customers={BUYER},
            signs_webhooks=False,
            webhook_header=("X-Relay-Key", "made-up-header-value"),
        )
    )
    secret = {
        "access_token": store.access_token,
        "webhook_header": {"name": "X-Relay-Key", "value": "made-up-header-value"},
    }
    stage.cloud.put_secret(store.hash, secret)
    placed = stage.sandbox.place_order(
        store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-HEADER", automatic_record_after=None
    )

    forged = stage.sandbox.deliver(placed, stage.cloud.webhook_url, DeliveryOptions(forged=True, retries=0))[0].wait()
    genuine = stage.sandbox.deliver(placed, stage.cloud.webhook_url, ONCE)[0].wait()

    assert (forged.status, genuine.status) == (401, 200)
    assert wait_for(lambda: stage.sandbox.record(store, placed.id)).po_number == "PO-HEADER"


@pytest.mark.parametrize("wrap", [dict, lambda body: {"payload": body}, lambda body: {"payload": json.dumps(body)}])
def test_a_bus_event_is_understood_however_it_is_wrapped(stage: Stage, wrap: Callable[[Any], Any]) -> None:
    placed = stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-BUS", automatic_record_after=None
    )

    put_event(stage, wrap(webhook_body(placed)))

    assert wait_for(lambda: stage.sandbox.record(stage.store, placed.id)).po_number == "PO-BUS"


@pytest.mark.parametrize("wrap", [dict, lambda body: {"payload": body}])
def test_a_partner_event_matches_the_rule_of_its_bus_whose_target_creates_the_order(
    stage: Stage, wrap: Callable[[Any], Any]
) -> None:
    # ministack delivers no partner events (PutPartnerEvents does nothing, PutEvents refuses such sources, as AWS does),
    # so EventBridge's part is played: matching by its own API, then calling the target.
    placed = stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-PARTNER", automatic_record_after=None
    )
    name = PARAMETERS["PartnerEventSourceName"]
    events = stage.cloud.client("events")
    [rule] = events.list_rules(EventBusName=name)["Rules"]
    [target] = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=name)["Targets"]
    event = partner_event(name, wrap(webhook_body(placed)))

    assert events.test_event_pattern(EventPattern=rule["EventPattern"], Event=json.dumps(event))["Result"]
    stage.cloud.client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=json.dumps(event))

    record = wait_for(lambda: stage.sandbox.record(stage.store, placed.id))
    assert (record.po_number, record.origin) == ("PO-PARTNER", "created")
    for alien in (event | {"source": "aws.partner/example.com/x"}, event | {"detail-type": "somethingElse"}):
        assert not events.test_event_pattern(EventPattern=rule["EventPattern"], Event=json.dumps(alien))["Result"]


def partner_event(source: str, detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "bigCommerceWebhook",
        "source": source,
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }


def put_event(stage: Stage, detail: Any) -> None:
    entry = {
        "Source": "com.example.producer",
        "DetailType": "bigCommerceWebhook",
        "Detail": json.dumps(detail),
        "EventBusName": stage.cloud.outputs["EventBusName"],
    }
    answer = stage.cloud.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0


def test_a_bus_event_of_no_known_shape_becomes_a_dead_letter_as_it_is(stage: Stage) -> None:
    put_event(stage, {"shape": "unheard-of"})

    [letter] = wait_for(lambda: [m for m in stage.cloud.dead_letters() if "unheard-of" in m["Body"]])

    assert letter["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable: ")


@pytest.mark.parametrize("shape", ["on-failure record", "bare event"])
def test_what_lambda_and_eventbridge_could_not_deliver_is_finished_by_the_late_path(stage: Stage, shape: str) -> None:
    placed = stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-LEFT", created_ago_seconds=20
    )
    event = {"version": "0", "detail-type": "bigCommerceWebhook", "source": "x", "detail": webhook_body(placed)}
    message = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": event, "responseContext": {}}

    stage.cloud.client("sqs").send_message(
        QueueUrl=stage.cloud.outputs["RecoveryQueueUrl"],
        MessageBody=json.dumps(message if shape == "on-failure record" else event),
    )

    wait_for(lambda: (r := stage.sandbox.record(stage.store, placed.id)) and r.po_number == "PO-LEFT")
    wait_for(lambda: outcomes(stage, placed))


def test_a_refused_order_is_a_dead_letter_with_the_apis_own_words_and_can_be_redriven(stage: Stage) -> None:
    refusal = faults.status(422, body={"code": 422, "data": {"errMsg": "[Team] is a required extra field"}, "meta": {}})
    played = play_webhook(refusal, "b2b.create", 1, automatic_record_after=None)(stage)

    [letter] = wait_for(lambda: dead_letters_of(stage, played))
    assert "[Team] is a required extra field" in json.loads(letter["Body"])["reason"]["detail"]

    sqs = stage.cloud.client("sqs")
    sqs.send_message(QueueUrl=stage.cloud.outputs["RecoveryQueueUrl"], MessageBody=letter["Body"])
    sqs.delete_message(QueueUrl=stage.cloud.outputs["DeadLetterQueueUrl"], ReceiptHandle=letter["ReceiptHandle"])
    stage.sandbox.configure(stage.store, late_create_without_record=True)
    try:
        wait_for(lambda: played.record)
    finally:
        stage.sandbox.configure(stage.store, late_create_without_record=False)


def dead_letters_of(stage: Stage, played: Played) -> list[dict[str, Any]]:
    return [m for m in stage.cloud.dead_letters() if f'"id": {played.order.id}' in m["Body"]]


def test_a_new_token_is_noticed_on_the_first_refusal_without_a_redeploy(stage: Stage) -> None:
    store = stage.sandbox.add_store(Store(hash="rotates", company_customers={BUYER}))
    secret = {"access_token": store.access_token, "client_secret": store.client_secret}
    stage.cloud.put_secret(store.hash, secret)
    on_store = Stage(stage.sandbox, stage.cloud, store)
    first = play_webhook(customer_message=f"{PO_LINE}PO-OLD", automatic_record_after=None)(on_store)
    wait_for(lambda: first.record)

    stage.sandbox.configure(store, access_token="a-new-token")
    stage.cloud.put_secret(store.hash, secret | {"access_token": "a-new-token"})
    time.sleep(10)  # a secret is read afresh at most every ten seconds
    second = play_webhook(customer_message=f"{PO_LINE}PO-NEW", automatic_record_after=None)(on_store)

    assert wait_for(lambda: second.record).po_number == "PO-NEW"
    assert second.record is not None
    assert second.record.origin == "created"


def test_a_webhook_signed_with_the_previous_secret_is_still_accepted(stage: Stage) -> None:
    store = stage.sandbox.add_store(Store(hash="resigns", company_customers={BUYER}))
    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": store.client_secret})
    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": "the-new-secret"})
    placed = stage.sandbox.place_order(store, customer_id=BUYER, automatic_record_after=None)
    body = json.dumps(webhook_body(placed)).encode()

    with_new = post(stage, body, sign(body, "the-new-secret", time.time()))
    with_previous = post(stage, body, sign(body, store.client_secret, time.time()))
    with_neither = post(stage, body, sign(body, "another secret", time.time()))

    assert (with_new.status_code, with_previous.status_code, with_neither.status_code) == (200, 200, 401)


def test_orders_without_a_secret_for_their_store_wait_and_are_finished_once_it_is_there(stage: Stage) -> None:
    store = stage.sandbox.add_store(Store(hash="nosecret", company_customers={BUYER}))
    placed = stage.sandbox.place_order(store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-WAITS")
    put_event(stage, webhook_body(placed))
    wait_for(lambda: "late" in outcomes(stage, placed))

    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": store.client_secret})

    ends_at = time.monotonic() + 90  # an unknown store is asked for again after a minute
    while (record := stage.sandbox.record(store, placed.id)) is None or record.po_number != "PO-WAITS":
        assert time.monotonic() < ends_at
        time.sleep(0.5)


def test_outcomes_and_times_are_emitted_as_metrics(stage: Stage) -> None:
    played = play_webhook(customer_message=f"{PO_LINE}PO-METRIC", automatic_record_after=None)(stage)
    wait_for(lambda: "created" in outcomes(stage, played.order))

    blobs = [entry for entry in log_entries(stage) if "_aws" in entry]

    namespaces = {metrics["Namespace"] for blob in blobs for metrics in blob["_aws"]["CloudWatchMetrics"]}
    assert namespaces == {"B2BOrderRelay"}
    assert any("OrderCreated" in blob and "TimeToCreate" in blob and "WindowLeft" in blob for blob in blobs)
    assert any("WebhookAccepted" in blob and "AcknowledgeTime" in blob for blob in blobs)


def test_nothing_secret_and_nothing_of_a_buyer_is_in_a_log_or_a_queue(stage: Stage) -> None:
    marks = {"comment": "ring-at-the-back-door", "field": "Jane-Roe-Private", "email": "jane.roe@example.com"}
    refusal = faults.status(422, body={"code": 422, "data": {"errMsg": f"{marks['email']} is refused"}, "meta": {}})
    played = play_webhook(
        refusal,
        customer_message=f"{marks['comment']}\n{PO_LINE}PO-PRIVATE",
        form_fields={"Cost Center": marks["field"]},
        automatic_record_after=None,
    )(stage)
    wait_for(lambda: dead_letters_of(stage, played))

    lines = stage.cloud.logs("OrderFunction") + stage.cloud.logs("RecoveryFunction")
    bodies = [message["Body"] for message in stage.cloud.dead_letters()]

    assert lines
    forbidden = [*marks.values(), "PO-PRIVATE", stage.store.access_token, stage.store.client_secret]
    for text in forbidden:
        assert not [line for line in lines + bodies if text in line], text
