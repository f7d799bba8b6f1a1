"""`relay status`, `preview` and `backfill`: genuine HTTP to the simulated store, moto for AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.bigcommerce.store_api import StoreApi
from handler.dates import rfc2822
from handler.enrichment import RULES_FILE, Rules
from handler.errors import Cause, RetryLater
from handler.order_event import OrderEvent
from handler.outcomes import Created, Dead, Duplicate, Late, Skipped, SkipReason, Updated
from handler.queues import Letter, Queues
from handler.table.idempotency import OrderIdempotency
from handler.table.keys import order_id
from handler.table.order_notes import OrderNotes
from sandbox.demo.scenarios import secret_of
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import ExtraField
from support.relay import RULES, TABLE, RelayCli, relay_cli_of, store_with_team

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


BUYER, OUTSIDER, GUEST = 7, 8, 0
Ring = Callable[[Literal["OK", "ALARM"]], None]


@pytest.fixture
def relay_cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[RelayCli]:
    store = store_with_team(BUYER)
    with relay_cli_of(store, monkeypatch) as relay_cli:
        rules, genuine = Rules.parse(RULES), Rules.load
        monkeypatch.setattr(Rules, "load", lambda path=RULES_FILE: rules if path == RULES_FILE else genuine(path))
        relay_cli.run("store", "add", store.hash, "--from-file", "-", typed=json.dumps(secret_of(store)))
        yield relay_cli


@pytest.fixture
def well(relay_cli: RelayCli) -> RelayCli:
    """A deployment whose functions have log groups."""
    for group in relay_cli.stack.log_groups:
        boto3.client("logs").create_log_group(logGroupName=group)
    return relay_cli


# --- status ----------------------------------------------------------------------------------------------------------


def write_log(relay_cli: RelayCli, line: dict[str, Any]) -> None:
    logs, group = boto3.client("logs"), relay_cli.stack.log_groups[0]
    logs.create_log_stream(logGroupName=group, logStreamName=str(time.monotonic_ns()))
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][-1]["logStreamName"]
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]


def once() -> OrderIdempotency:
    return OrderIdempotency(TABLE, boto3.client("dynamodb"), 35)


def finish(order: int, *rules_failed: str) -> Any:
    """Has the order worked on as the functions do; Duplicate when they remember that they have finished it."""
    event = OrderEvent("abc123", order, time.time(), "x")
    return once().run(event, lambda _: Created(1.0, 9.0, rules_failed), CONTEXT)


def change_record(order: int, **values: str) -> None:
    """Writes numbers into the order's idempotency record."""
    for name, value in values.items():
        boto3.client("dynamodb").update_item(
            TableName=TABLE,
            Key={"id": {"S": order_id("abc123", order)}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"N": value}},
        )


def claim(order: int, milliseconds: int = 15_000) -> None:
    """The order's record as an invocation leaves it that was killed while it worked on it."""

    class Killed(BaseException):
        pass

    def work(_again: bool) -> Created:
        raise Killed

    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
    with pytest.raises(Killed):
        once().run(OrderEvent("abc123", order, time.time(), "x"), work, context)


def order_notes() -> OrderNotes:
    return OrderNotes(TABLE, boto3.client("dynamodb"), 35, time.time)


CONTEXT: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 15_000)


def verdict(relay_cli: RelayCli, order: int, code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = relay_cli.json("status", str(order), "--store", "abc123", code=code)
    return answer


def test_a_finished_order_says_how_and_when(well: RelayCli) -> None:
    once().run(OrderEvent("abc123", 101, time.time(), "x"), lambda _: Created(1.0, 9.0), CONTEXT)
    write_log(
        well, {"message": "order created", "order": 101, "store": "abc123", "outcome": "created", "level": "INFO"}
    )
    write_log(well, {"message": "order created", "order": 102, "store": "abc123", "outcome": "created"})

    answer = verdict(well, 101)

    assert (answer["verdict"], answer["finished"]) == ("finished", "Created")
    assert datetime.fromisoformat(answer["finished_at"]).timestamp() == pytest.approx(time.time(), abs=5)
    assert [line["outcome"] for line in answer["log"]] == ["created"]
    assert "order created" in well.run("status", "101", "--store", "abc123").output


def test_a_late_order_says_why_it_waits(well: RelayCli) -> None:
    order_notes().note(OrderEvent("abc123", 101, time.time(), "x"), Late(Cause.RATE_LIMITED, "HTTP 429"))

    answer = verdict(well, 101)

    assert answer["verdict"] == "late"
    assert "rate_limited: HTTP 429" in answer["in_words"]


def test_a_dead_order_says_why_and_how_to_bring_it_back(well: RelayCli) -> None:
    order_notes().note(OrderEvent("abc123", 101, time.time(), "x"), Dead(Cause.UNAUTHORISED, "HTTP 401"))
    body = Letter(OrderEvent("abc123", 101, time.time(), "x"), Cause.UNAUTHORISED, "HTTP 401", time.time()).as_body()
    boto3.client("sqs").send_message(QueueUrl=well.stack.outputs["DeadLetterQueueUrl"], MessageBody=body)

    answer = verdict(well, 101, code=1)

    assert answer["verdict"] == "dead"
    assert "relay failed redrive --store abc123 --order 101" in answer["fix"]
    boto3.client("sqs").purge_queue(QueueUrl=well.stack.outputs["DeadLetterQueueUrl"])
    assert verdict(well, 101)["verdict"] == "redriven"


def test_an_order_being_worked_on_says_so(well: RelayCli) -> None:
    def look(_again: bool) -> Created:
        assert verdict(well, 101)["verdict"] == "in progress"
        return Created(1.0, 9.0)

    once().run(OrderEvent("abc123", 101, time.time(), "x"), look, CONTEXT)


def test_a_claim_of_an_invocation_that_was_killed_is_not_taken_for_work(well: RelayCli) -> None:
    claim(101, milliseconds=-1_000)

    assert verdict(well, 101, code=1)["verdict"] == "unknown"


def test_an_expired_record_is_not_taken_for_finished(well: RelayCli) -> None:
    finish(101, "all.po_number")
    change_record(101, expiration=str(int(time.time()) - 60))

    answer = verdict(well, 101, code=1)

    assert (answer["verdict"], answer["finished"], answer["finished_at"], answer["rules_failed"]) == (
        "unknown",
        None,
        None,
        [],
    )


def test_a_finished_order_names_the_rules_that_failed_on_it_and_their_mend(well: RelayCli) -> None:
    finish(101, "all.po_number", "all.extra_fields.Team")
    finish(102)

    answer = verdict(well, 101)

    assert answer["rules_failed"] == ["all.po_number", "all.extra_fields.Team"]
    assert "all.po_number, all.extra_fields.Team" in answer["in_words"]
    assert "relay backfill --store abc123 --order 101 --rules-failed" in answer["fix"]
    assert "rules" not in verdict(well, 102)["in_words"]


@pytest.mark.parametrize(
    "data", ["", "no JSON", "[]", '"Created"', "null", '{"outcome": "Created", "rules_failed": null}']
)
def test_a_record_of_an_unknown_shape_is_finished_without_failed_rules(well: RelayCli, data: str) -> None:
    finish(101)
    boto3.client("dynamodb").update_item(
        TableName=TABLE,
        Key={"id": {"S": order_id("abc123", 101)}},
        UpdateExpression="SET #data = :data",
        ExpressionAttributeNames={"#data": "data"},
        ExpressionAttributeValues={":data": {"S": data}},
    )

    answer = verdict(well, 101)

    assert (answer["verdict"], answer["rules_failed"]) == ("finished", [])


def test_an_order_that_failed_is_not_taken_for_finished(well: RelayCli) -> None:
    def fail(_again: bool) -> Created:
        raise RetryLater(Cause.NO_ANSWER, "timed out")

    with pytest.raises(RetryLater):
        once().run(OrderEvent("abc123", 101, time.time(), "x"), fail, CONTEXT)

    assert verdict(well, 101, code=1)["verdict"] == "unknown"


def test_an_order_nobody_has_heard_of_says_what_to_do(well: RelayCli) -> None:
    answer = verdict(well, 999, code=1)

    assert answer["verdict"] == "unknown"
    assert "relay backfill --store abc123 --order 999" in answer["fix"]


def test_a_story_is_told_without_logs_when_they_may_not_be_read(
    well: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "FilterLogEvents")

    monkeypatch.setattr("relay.status.lines", denied)
    order_notes().note(OrderEvent("abc123", 101, time.time(), "x"), Late(Cause.RATE_LIMITED, "HTTP 429"))

    output = well.run("status", "101", "--store", "abc123").output

    assert "rate_limited: HTTP 429" in output
    assert "Your role may not call FilterLogEvents" in output


# --- preview ---------------------------------------------------------------------------------------------------------


def test_a_preview_shows_record_and_rules_and_writes_nothing(relay_cli: RelayCli) -> None:
    order = relay_cli.sandbox.place_order(
        relay_cli.store, customer_id=BUYER, customer_message=f"{PO_LINE}4711", external_order_id="Blue", automatic_record_after=0.0,
        buyer_po_number="4711", buyer_extra_fields={"Note": "hers"},
    )  # fmt: skip

    answer = relay_cli.json("preview", str(order.id), "--store", "abc123")

    assert {row["field"]: (row["record"], row["rules"], row["afterwards"]) for row in answer["fields"]} == {
        "PO number": ("4711", "4711", "4711"),
        "Note": ("hers", "", "hers"),
        "Team": ("", "Blue", "Blue"),
    }
    assert answer["conclusion"] == "The relay would update the record."
    assert {request.method for request in relay_cli.sandbox.requests(order=order)} == {"GET"}


@pytest.mark.parametrize(
    ("customer", "conclusion"),
    [(BUYER, "would create the record"), (OUTSIDER, "belongs to no company"), (GUEST, "customer is a guest")],
)
def test_a_preview_says_what_would_be_done(relay_cli: RelayCli, customer: int, conclusion: str) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=customer, external_order_id="Blue")

    output = relay_cli.run("preview", str(order.id), "--store", "abc123").output

    assert conclusion in output
    assert relay_cli.sandbox.record(relay_cli.store, order.id) is None


def test_rules_can_be_tried_before_they_are_deployed(relay_cli: RelayCli, tmp_path: Path) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER, external_order_id="Blue")
    path = tmp_path / "enrichment.toml"
    path.write_text("[all]\npo_number = 'external_order_id'\n[all.extra_fields]\nTeam = 'length(customer_id)'")

    answer = relay_cli.json("preview", str(order.id), "--store", "abc123", "--rules", str(path), code=1)

    assert [(row["field"], row["rules"]) for row in answer["fields"]] == [("PO number", "Blue")]
    assert answer["failed_rules"] == [
        {
            "rule": "all.extra_fields.Team",
            "why": "length() expects text or a list or an object; customer_id is a number",
        }
    ]


def test_a_preview_says_that_the_rules_bring_nothing(relay_cli: RelayCli) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER, automatic_record_after=0.0)

    answer = relay_cli.json("preview", str(order.id), "--store", "abc123")

    assert answer["conclusion"] == "The rules have no result for this order. Nothing would be sent."


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ((ExtraField(name="Squad"),), 'the rules name "Team", which is not a field of the store'),
        ((ExtraField(name="Team", maximum_length=3),), 'the value for "Team" is longer than 3 characters'),
        ((ExtraField(name="Team"), ExtraField(name="Desk", required=True)), 'the store requires "Desk"'),
    ],
)
def test_a_preview_checks_the_stores_fields_as_the_doctor_does(
    relay_cli: RelayCli, fields: tuple[ExtraField, ...], what: str
) -> None:
    relay_cli.sandbox.configure(relay_cli.store, extra_fields=fields)
    order = relay_cli.sandbox.place_order(
        relay_cli.store, customer_id=BUYER, external_order_id="Blue", automatic_record_after=0.0
    )

    answer = relay_cli.json("preview", str(order.id), "--store", "abc123", code=1)

    assert what in " ".join(finding["what"] for finding in answer["fields_checked"])
    assert answer["conclusion"] == "The relay would update the record, and BigCommerce would refuse it."


def test_a_preview_shows_what_each_source_gives(relay_cli: RelayCli, tmp_path: Path) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER)
    relay_cli.sandbox.fault(faults.status(403), endpoint="core.customer", times=None)
    path = tmp_path / "enrichment.toml"
    path.write_text(
        "[all.extra_fields]\n"
        "Team = \"extra_field(company.extraFields, 'erp id')\"\n"
        'SKUs = "consignments.shipping[].line_items[].sku"\n'
        "Tax = \"attribute(customer.attributes, 'Tax code')\"\n",
    )

    answer = relay_cli.json("preview", str(order.id), "--store", "abc123", "--rules", str(path), code=1)
    output = relay_cli.run("preview", str(order.id), "--store", "abc123", "--rules", str(path), code=1).output

    assert {row["field"]: (row["rules"], row["from"]) for row in answer["fields"] if row["rules"]} == {
        "Team": ("C-10047", "company"),
        "SKUs": ("PUMP-20, SEAL-8", "consignments"),
    }
    assert answer["sources"]["values"]["company"]["companyName"] == "Example Industries"
    assert list(answer["sources"]["refused"]) == ["customer"]
    assert answer["requests_at_most"] == {"core": 3, "b2b": 2}
    assert "Customers: read-only" in output
    assert "at most 3 core requests and 2 B2B requests" in output
    ids = {item["id"]["S"] for item in boto3.client("dynamodb").scan(TableName=TABLE)["Items"]}
    assert ids == {"stores"}  # no refusal is remembered: the operator wants to know what is true now


# --- assign ----------------------------------------------------------------------------------------------------------


def assigned(relay_cli: RelayCli) -> list[Any]:
    return relay_cli.sandbox.requests("b2b.assign")


def test_an_order_from_before_the_company_is_assigned_and_sent_to_the_late_path(relay_cli: RelayCli) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER)
    event = OrderEvent("abc123", order.id, time.time(), "x")
    skipped = Skipped(SkipReason.NO_COMPANY)
    once().run(event, lambda _: skipped, CONTEXT)

    answer = relay_cli.json("assign", str(order.id), "--store", "abc123", "--yes")

    assert answer == {
        "store": "abc123",
        "order": order.id,
        "customer": BUYER,
        "had_record": False,
        "done": True,
        "assigned": 1,
        "queued": True,
    }
    assert [letter["order"]["data"]["id"] for letter in handed_over(relay_cli)] == [order.id]
    assert once().run(event, lambda _: skipped, CONTEXT) == skipped  # not a duplicate any more


def test_assigning_says_that_all_orders_of_the_buyer_move_and_asks(relay_cli: RelayCli) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER)

    shown = relay_cli.run("assign", str(order.id), "--store", "abc123", "--dry-run").output
    asked = relay_cli.run("assign", str(order.id), "--store", "abc123", typed="n\n", code=1).output

    assert f"All orders of customer {BUYER}" in shown
    assert f"All orders of customer {BUYER}" in asked
    assert (assigned(relay_cli), handed_over(relay_cli)) == ([], [])


@pytest.mark.parametrize(("customer", "why"), [(OUTSIDER, "belongs to no company"), (GUEST, "guest")])
def test_an_order_without_a_company_user_cannot_be_assigned(relay_cli: RelayCli, customer: int, why: str) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=customer)

    answer = relay_cli.json("assign", str(order.id), "--store", "abc123", "--yes", code=1)

    assert why in answer["error"]["message"]
    assert (assigned(relay_cli), handed_over(relay_cli)) == ([], [])


def test_an_order_with_a_record_is_completed_without_assigning_any(relay_cli: RelayCli) -> None:
    order = relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER, automatic_record_after=0.0)

    answer = relay_cli.json("assign", str(order.id), "--store", "abc123", "--yes")

    assert (answer["had_record"], answer["assigned"], answer["queued"]) == (True, 0, True)
    assert assigned(relay_cli) == []


# --- backfill --------------------------------------------------------------------------------------------------------


def handed_over(relay_cli: RelayCli) -> list[dict[str, Any]]:
    sqs, url = boto3.client("sqs"), relay_cli.stack.outputs["RecoveryQueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def test_a_period_is_handed_over_without_guests_and_finished_orders(relay_cli: RelayCli) -> None:
    def place(customer: int, hours_ago: float) -> int:
        return relay_cli.sandbox.place_order(
            relay_cli.store, customer_id=customer, created_ago_seconds=hours_ago * 3600
        ).id

    before, desired, other, guest, done = place(7, 80), place(7, 70), place(8, 2), place(0, 2), place(7, 1)
    once().run(OrderEvent("abc123", done, time.time(), "x"), lambda _: Created(1.0, 9.0), CONTEXT)
    arguments = ("backfill", "--store", "abc123", "--since", "3d", "--per-minute", "600")

    dry = relay_cli.json(*arguments, "--dry-run")
    assert (dry["orders"], dry["finished_before"], dry["guests"]) == ([desired, other], 1, 1)
    assert handed_over(relay_cli) == []
    answer = relay_cli.json(*arguments)

    letters = handed_over(relay_cli)
    assert answer["done"] == "queued"
    assert [letter["order"]["data"]["id"] for letter in letters] == [desired, other]
    assert {letter["reason"]["cause"] for letter in letters} == {"reconciled"}
    assert {before, guest}.isdisjoint(answer["orders"])
    assert letters[0]["order"]["created_at"] == pytest.approx(time.time() - 70 * 3600, abs=5)
    assert verdict_of_late(relay_cli, desired) == "late"


def verdict_of_late(relay_cli: RelayCli, order: int) -> str:
    return str(relay_cli.json("status", str(order), "--store", "abc123")["verdict"])


def test_orders_are_handed_over_no_faster_than_asked_for(relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER, created_ago_seconds=60)
    slept: list[float] = []
    monkeypatch.setattr("relay.command.time.sleep", slept.append)

    relay_cli.run("backfill", "--store", "abc123", "--since", "1h", "--per-minute", "30")

    # One each two seconds, less what the command itself took.
    assert len(slept) == 4
    assert all(place * 2 - 1.9 < seconds <= place * 2 for place, seconds in enumerate(slept))


def test_a_listing_that_is_refused_hands_nothing_over(relay_cli: RelayCli) -> None:
    relay_cli.sandbox.place_order(relay_cli.store, customer_id=BUYER, created_ago_seconds=60)
    relay_cli.sandbox.fault(faults.status(403), endpoint="core.list_orders", times=None)

    output = relay_cli.run("backfill", "--store", "abc123", "--since", "1h", code=1).output

    assert "Orders: read-only" in output
    assert handed_over(relay_cli) == []


@pytest.mark.parametrize("age_days", [800, -1])
def test_a_list_that_ignores_the_period_is_said_to_do_so_and_hands_nothing_over(
    relay_cli: RelayCli, age_days: float
) -> None:
    created = rfc2822(time.time() - age_days * 86_400)
    row = {"id": 1, "customer_id": BUYER, "date_created": created}
    relay_cli.sandbox.fault(faults.status(200, body=[row]), endpoint="core.list_orders", times=None)

    output = relay_cli.run("backfill", "--store", "abc123", "--since", "1h", code=1).output

    assert "orders outside the requested period" in " ".join(output.split())
    assert handed_over(relay_cli) == []


def test_ids_in_text_are_handed_over_and_a_guest_in_text_is_none(relay_cli: RelayCli) -> None:
    created = rfc2822(time.time() - 600)
    rows = [{"id": str(n), "customer_id": customer, "date_created": created} for n, customer in ((1, "7"), (2, "0"))]
    relay_cli.sandbox.fault(faults.status(200, body=[*rows, None]), endpoint="core.list_orders", times=None)

    answer = relay_cli.json("backfill", "--store", "abc123", "--since", "1h")

    assert (answer["orders"], answer["guests"]) == ([1], 1)
    assert [letter["order"]["data"]["id"] for letter in handed_over(relay_cli)] == [1]


def test_a_period_that_ends_before_it_begins_is_wrong_usage(relay_cli: RelayCli) -> None:
    arguments = ("backfill", "--store", "abc123", "--since", "2026-11-02", "--until", "2026-11-01")

    assert "before it begins" in " ".join(relay_cli.run(*arguments, code=2).output.split())


# --- backfill: finished orders again ---------------------------------------------------------------------------------


def place(relay_cli: RelayCli, customer: int = BUYER) -> int:
    """An order of the last hour."""
    return relay_cli.sandbox.place_order(relay_cli.store, customer_id=customer, created_ago_seconds=60).id


LAST_HOUR = ("backfill", "--store", "abc123", "--since", "1h", "--per-minute", "600")


def by_number(*orders: int) -> tuple[str, ...]:
    numbers = [word for order in orders for word in ("--order", str(order))]
    return ("backfill", "--store", "abc123", "--per-minute", "600", *numbers)


def worked_on_as_soon_as_handed_over(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """RecoveryFunction is faster than the command; answers what became of each order."""
    became: dict[int, Any] = {}
    monkeypatch.setattr(
        Queues, "send_late", lambda _self, event, *_: became.update({event.order_id: finish(event.order_id)})
    )
    return became


def test_finished_orders_of_a_period_are_done_again(relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, new, guest = place(relay_cli), place(relay_cli), place(relay_cli), place(relay_cli, GUEST)
    finish(first)
    finish(second, "all.po_number")
    became = worked_on_as_soon_as_handed_over(monkeypatch)

    answer = relay_cli.json(*LAST_HOUR, "--again", "--yes")

    assert (answer["orders"], answer["again"]) == ([first, second, new], [first, second])
    assert answer["skipped"] == {"finished": [], "not_finished": [], "in_progress": [], "guests": [guest]}
    assert [type(outcome) for outcome in became.values()] == [Created, Created, Created]


def test_finished_orders_of_a_period_are_done_again_only_with_consent(relay_cli: RelayCli) -> None:
    done, new = place(relay_cli), place(relay_cli)
    finish(done)

    output = relay_cli.run(*LAST_HOUR, "--again", typed="n\n", code=1).output

    assert "Process 1 order of store abc123 again" in output
    assert handed_over(relay_cli) == []
    assert isinstance(finish(done), Duplicate)
    relay_cli.run(*LAST_HOUR, "--again", typed="y\n")
    assert [letter["order"]["data"]["id"] for letter in handed_over(relay_cli)] == [done, new]


@pytest.mark.parametrize("flag", ["--again", "--rules-failed"])
def test_nothing_is_asked_when_no_finished_order_or_a_failed_rule_is_concerned(relay_cli: RelayCli, flag: str) -> None:
    place(relay_cli)
    if flag == "--rules-failed":
        finish(place(relay_cli), "all.po_number")

    answer = relay_cli.json(*LAST_HOUR, flag, typed="")

    assert len(answer["orders"]) == 1


def test_a_dry_run_asks_nothing_and_forgets_nothing(relay_cli: RelayCli) -> None:
    done, _ = place(relay_cli), place(relay_cli)
    finish(done, "all.po_number")

    output = relay_cli.run(*LAST_HOUR, "--again", "--dry-run").output

    assert "2 orders would be queued (1 of them finished before)" in output
    assert "all.po_number failed on 1 order." in output
    assert handed_over(relay_cli) == []
    assert isinstance(finish(done), Duplicate)


def test_exactly_the_finished_orders_on_which_a_rule_failed_are_done_again(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, one, well_done, new, guest = (
        place(relay_cli),
        place(relay_cli),
        place(relay_cli),
        place(relay_cli),
        place(relay_cli, GUEST),
    )
    finish(both, "all.po_number", "all.extra_fields.Team")
    finish(one, "all.po_number")
    finish(well_done)
    became = worked_on_as_soon_as_handed_over(monkeypatch)

    answer = relay_cli.json(*LAST_HOUR, "--rules-failed")

    assert answer["orders"] == answer["again"] == [both, one]
    assert answer["rules_failed"] == {"all.po_number": [both, one], "all.extra_fields.Team": [both]}
    assert answer["skipped"] == {
        "finished": [well_done],
        "not_finished": [new],
        "in_progress": [],
        "guests": [guest],
    }
    assert became == {both: Created(1.0, 9.0), one: Created(1.0, 9.0)}
    assert relay_cli.json(*LAST_HOUR, "--rules-failed")["orders"] == []


def test_a_plain_backfill_tells_of_failed_rules_and_how_to_mend_them(relay_cli: RelayCli) -> None:
    finish(place(relay_cli), "all.po_number")
    finish(place(relay_cli), "all.po_number")

    output = relay_cli.run(*LAST_HOUR, "--until", "1s").output

    assert "0 orders queued; skipped: 2 finished." in output
    assert "all.po_number failed on 2 orders." in output
    assert "relay backfill --store abc123 --since 1h --until 1s --rules-failed" in output


def test_orders_are_given_by_number(relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other, guest = place(relay_cli), place(relay_cli), place(relay_cli), place(relay_cli, GUEST)
    finish(first)
    finish(other)
    became = worked_on_as_soon_as_handed_over(monkeypatch)

    answer = relay_cli.json(*by_number(second, first, guest, first), "--again")

    assert (answer["orders"], answer["again"]) == ([second, first], [first])
    assert answer["skipped"]["guests"] == [guest]
    assert [type(outcome) for outcome in became.values()] == [Created, Created]
    assert isinstance(finish(other), Duplicate)


def test_a_finished_order_given_by_number_is_skipped_unless_it_is_wanted_again(relay_cli: RelayCli) -> None:
    done = place(relay_cli)
    finish(done)

    output = relay_cli.run(*by_number(done)).output

    assert "0 orders queued; skipped: 1 finished." in output
    assert f"relay backfill --store abc123 --order {done} --again" in output
    assert handed_over(relay_cli) == []


@pytest.mark.parametrize("rules", [(), ("all.po_number",)])
def test_an_order_given_by_number_is_done_again_if_a_rule_failed_on_it(
    relay_cli: RelayCli, rules: tuple[str, ...]
) -> None:
    done = place(relay_cli)
    finish(done, *rules)

    answer = relay_cli.json(*by_number(done), "--rules-failed")

    assert answer["orders"] == ([done] if rules else [])
    assert [letter["order"]["data"]["id"] for letter in handed_over(relay_cli)] == answer["orders"]


def test_a_number_that_the_store_does_not_have_hands_nothing_over(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.backfill.LOOK_UP_SECONDS", 1.0)

    output = relay_cli.run(*by_number(place(relay_cli), 99_999), code=1).output

    assert "Store abc123 has no order 99999. No order was queued." in output
    assert handed_over(relay_cli) == []


def test_a_look_up_that_is_refused_is_not_taken_for_a_missing_order(relay_cli: RelayCli) -> None:
    relay_cli.sandbox.fault(faults.status(403), endpoint="core.get_order", times=None)

    assert "Orders: read-only" in relay_cli.run(*by_number(place(relay_cli)), code=1).output


@pytest.mark.parametrize(
    "selection", [(), ("--since", "1h", "--order", "7"), ("--until", "1h", "--order", "7"), ("--until", "1h")]
)
def test_either_a_period_or_orders_are_given(relay_cli: RelayCli, selection: tuple[str, ...]) -> None:
    output = relay_cli.run("backfill", "--store", "abc123", *selection, code=2).output

    assert "either a period" in " ".join(output.split())


@pytest.mark.parametrize("flag", [(), ("--again", "--yes"), ("--rules-failed",)])
def test_an_order_that_is_being_worked_on_is_left_alone_and_said_so(relay_cli: RelayCli, flag: tuple[str, ...]) -> None:
    busy = place(relay_cli)
    claim(busy)

    output = relay_cli.run(*LAST_HOUR, *flag).output

    assert "0 orders queued; skipped: 1 in progress." in output
    assert "the same command again" in output
    assert handed_over(relay_cli) == []
    assert relay_cli.json(*LAST_HOUR, *flag)["skipped"]["in_progress"] == [busy]
    assert finish(busy) == Duplicate(in_progress=True)


def test_an_order_that_is_being_worked_on_since_it_was_listed_is_left_alone(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = place(relay_cli)
    finish(busy, "all.po_number")

    def somebody_else_is_faster(_seconds: float) -> None:
        change_record(busy, expiration="1")
        claim(busy)

    monkeypatch.setattr("relay.command.time.sleep", somebody_else_is_faster)

    answer = relay_cli.json(*LAST_HOUR, "--rules-failed")

    assert (answer["orders"], answer["again"], answer["skipped"]["in_progress"]) == ([], [], [busy])
    assert handed_over(relay_cli) == []
    assert finish(busy) == Duplicate(in_progress=True)


def test_orders_whose_claim_or_record_has_expired_are_handed_over(relay_cli: RelayCli) -> None:
    orphaned, expired = place(relay_cli), place(relay_cli)
    claim(orphaned, milliseconds=-1_000)
    finish(expired)
    change_record(expired, expiration=str(int(time.time()) - 60))

    answer = relay_cli.json(*LAST_HOUR)

    assert (answer["orders"], answer["again"]) == ([orphaned, expired], [])


@pytest.mark.parametrize(
    "trouble", [ClientError({"Error": {"Code": "ExpiredToken"}}, "SendMessage"), KeyboardInterrupt()]
)
def test_a_command_that_ends_between_forgetting_and_handing_over_is_made_up_for_by_the_same_command(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    orders = [place(relay_cli) for _ in range(3)]
    for order in orders:
        finish(order, "all.po_number")
    genuine, sent = Queues.send_late, 0

    def breaks(queues: Queues, *arguments: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise trouble
        genuine(queues, *arguments)

    monkeypatch.setattr(Queues, "send_late", breaks)
    output = relay_cli.run(
        *LAST_HOUR, "--rules-failed", code=130 if isinstance(trouble, KeyboardInterrupt) else 1
    ).output
    assert f"Stopped at order {orders[1]}" in output
    assert "after 1 of 3 orders" in output
    finish(orders[0])  # RecoveryFunction has done what was handed over

    answer = relay_cli.json(*LAST_HOUR, "--rules-failed")

    assert answer["orders"] == orders[1:]
    assert [type(finish(order)) for order in orders] == [Duplicate, Created, Created]


def test_an_event_with_the_same_values_counts_as_a_duplicate_after_its_order_was_done_again(
    relay_cli: RelayCli,
) -> None:
    order = place(relay_cli)

    def own_event(po_number: str) -> Any:
        event = OrderEvent("abc123", order, time.time(), "x", po_number=po_number)
        return once().run(event, lambda again: Updated() if again else Created(1.0, 9.0), CONTEXT)

    own_event("PO-ERP")
    relay_cli.json(*by_number(order), "--again")
    finish(order)

    assert isinstance(own_event("PO-ERP"), Duplicate)
    assert own_event("PO-ERP-2") == Updated()


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_listing_that_the_store_refuses_is_one_sentence(relay_cli: RelayCli, status: int) -> None:
    body = [{"status": status, "message": "The field 'min_date_created' is invalid."}]
    relay_cli.sandbox.fault(faults.status(status, body=body), endpoint="core.list_orders", times=None)

    output = relay_cli.run(*LAST_HOUR, code=1).output

    assert (
        f"BigCommerce refused the request: core Orders API: HTTP {status}: The field 'min_date_created' is invalid."
        in output
    )
    assert len(output.strip().splitlines()) == 2
    assert handed_over(relay_cli) == []


def test_a_listing_that_ends_in_the_middle_hands_nothing_over(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = place(relay_cli)

    def list_orders(*_: Any) -> Iterator[list[dict[str, Any]]]:
        yield [{"id": order, "customer_id": BUYER}]
        raise RetryLater(Cause.UNEXPECTED_ANSWER, "core Orders API: the list ignores the dates it was asked for")

    monkeypatch.setattr(StoreApi, "list_orders", list_orders)

    output = relay_cli.run(*LAST_HOUR, code=1).output

    assert "BigCommerce did not answer as expected (unexpected_answer): core Orders API: the list ignores" in output
    assert len(output.strip().splitlines()) == 2
    assert handed_over(relay_cli) == []
