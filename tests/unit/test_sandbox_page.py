"""What the sandbox's page shows and takes, without a browser and without AWS."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from handler.enrichment import Rules as EnrichmentRules
from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.queues import Letter
from relay.dead_letters import DeadLetter
from sandbox.aws.logs import LogLine
from sandbox.console.live_rules import LiveRules
from sandbox.console.order_seen import Seen, request_as_json
from sandbox.console.order_sources import sources_as_json
from sandbox.console.order_steps import steps_of
from sandbox.console.order_verdict import verdict_of, window_of
from sandbox.console.requests import FaultRequest, InvalidRequest, OrderRequest
from sandbox.store.b2b_api import Record, rows_of
from sandbox.store.bigcommerce import Request
from sandbox.store.orders import Order
from sandbox.store.webhooks import Attempt, Delivery, DeliveryOptions

if TYPE_CHECKING:
    from pathlib import Path

MADE_AT = 1000.0
ORDER = Order(id=105, store_hash="sandbox", store_id="1", created_at=MADE_AT, customer_id=7)


def delivery(*statuses: int | None, **options: Any) -> Delivery:
    attempts = [Attempt(at=MADE_AT + 0.1, headers={}, body=b"", status=status, seconds=0.02) for status in statuses]
    return Delivery(
        order=ORDER,
        url="http://127.0.0.1/",
        options=DeliveryOptions(**options),
        content=b"",
        secret="",
        headers={},
        attempts=attempts,
    )


def request(endpoint: str, status: int | None, after: float = 0.3, fault: str | None = None) -> Request:
    return Request(
        at=MADE_AT + after,
        endpoint=endpoint,
        method="GET",
        store_hash="sandbox",
        order_id=105,
        customer_id=None,
        body=None,
        fault=fault,
        status=status,
        seconds=0.01,
    )


def line(after: float, message: str = "said", **facts: Any) -> LogLine:
    return LogLine(MADE_AT + after, "order", "1", "INFO", message, "sandbox", 105, facts)


TAKEN = line(0.1, "webhook accepted", event="webhook.accepted", status=200)
CREATED = line(0.6, outcome="created", window_left_seconds=9.4)
LATE = line(10.2, outcome="late", cause="api_unavailable", detail="HTTP 503")
DEAD = line(0.9, outcome="dead", cause="api_refused", detail="HTTP 422")
UPDATED = line(20.0, outcome="updated")


def seen(*lines: LogLine, **more: Any) -> Seen:
    return Seen(order=ORDER, lines=lines, **{"deliveries": [delivery(200)], **more})


def states(story: Seen) -> dict[str, str]:
    return {step.key: step.state for step in steps_of(story, verdict_of(story))}


def words(story: Seen) -> dict[str, str]:
    return {step.key: step.words for step in steps_of(story, verdict_of(story))}


def dead_letter() -> DeadLetter:
    letter = Letter(OrderEvent("sandbox", 105, MADE_AT, "c"), Cause.API_REFUSED, "HTTP 422", MADE_AT)
    return DeadLetter("m", "r", letter.as_body(), MADE_AT, {}, letter, "api_refused", "HTTP 422")


class TestVerdict:
    def test_an_order_is_on_its_way_until_something_is_heard_of_it(self) -> None:
        assert verdict_of(seen(TAKEN)).key == "underway"
        assert not verdict_of(seen(TAKEN)).settled

    def test_created_by_the_late_path_is_not_called_in_the_window(self) -> None:
        late = line(30.0, outcome="created", window_left_seconds=-20.0)

        assert verdict_of(seen(LATE, late)).words == "created late, after 30.0 s"

    def test_finished_is_finished_whatever_a_duplicate_says_afterwards(self) -> None:
        assert verdict_of(seen(CREATED, line(1.0, outcome="duplicate"), LATE)).key == "created"

    def test_updated_after_having_been_late_and_updated_at_once_are_told_apart(self) -> None:
        assert verdict_of(seen(LATE, UPDATED)).words == "updated after the window, after 20.0 s"
        assert verdict_of(seen(line(0.5, outcome="updated"))).words == "existing record updated, after 0.5 s"

    def test_a_dead_letter_that_has_left_the_queue_is_on_its_way_again(self) -> None:
        assert verdict_of(seen(DEAD, dead_letter=dead_letter())).key == "dead"
        assert verdict_of(seen(DEAD)).key == "dead"  # the log is read before the queue
        assert verdict_of(seen(DEAD, redriven=True)).key == "underway"
        assert verdict_of(seen(DEAD, redriven=True, dropped=True)).key == "dropped"

    def test_refused_when_every_delivery_was_refused(self) -> None:
        both = [delivery(401), delivery(401)]

        assert verdict_of(seen(deliveries=both)).words == "webhook rejected with 401"
        assert verdict_of(seen(deliveries=[delivery(401), delivery()])).key == "underway"
        assert verdict_of(seen(deliveries=[delivery(503)])).key == "underway"


class TestSteps:
    def test_of_an_order_whose_create_is_tried_again(self) -> None:
        story = seen(
            TAKEN, requests=[request("core.get_order", 200), request("b2b.create", 503), request("b2b.create", None)]
        )

        assert states(story)["create"] == "now"
        assert words(story)["create"] == "in progress, attempt 2"

    def test_of_an_order_that_waits_in_the_recovery_queue(self) -> None:
        story = seen(TAKEN, LATE, LATE, requests=[request("core.get_order", 200), request("b2b.create", 503)])

        assert states(story)["create"] == "failed"
        assert states(story)["late"] == "now"
        assert words(story)["late"] == "queued 2 times"

    def test_of_a_webhook_that_is_held_back(self) -> None:
        assert words(seen(deliveries=[delivery(delay_seconds=6)]))["webhook"] == "delayed by 6 s"
        assert states(seen(deliveries=[delivery(delay_seconds=6)]))["bus"] == "waiting"

    def test_of_a_webhook_that_was_not_answered(self) -> None:
        assert states(seen(deliveries=[delivery(None)]))["webhook"] == "failed"

    def test_of_an_order_that_the_bus_refused(self) -> None:
        refused = line(0.2, "event bus refused the event", event="bus.refused", error="refused")

        assert states(seen(refused, TAKEN))["bus"] == "failed"


class TestWindow:
    def test_stops_when_the_order_is_finished(self) -> None:
        assert window_of(seen(CREATED), verdict_of(seen(CREATED)))["left"] == pytest.approx(9.4)
        assert window_of(seen(UPDATED), verdict_of(seen(UPDATED)))["left"] == 0.0


def test_a_request_that_was_cut_off_says_so_and_by_which_fault() -> None:
    told = request_as_json(seen(), request("b2b.create", 0, after=1.234, fault="hang"))

    assert (told["name"], told["after"], told["answer"], told["fault"]) == ("Create Order", 1.23, "cut off", "hang")


class TestWishes:
    def test_an_order_as_the_form_sends_it(self) -> None:
        form = {
            "buyer": "company",
            "po_number": " PO-7 ",
            "cost_center": "CC-1",
            "erp_order_id": "",
            "created_ago_seconds": 12,
            "webhook": 6,
            "copies": 3,
        }

        request = OrderRequest.parse(json.dumps(form).encode())

        assert request.order_options["customer_message"] == "PO Number / Reference Number: PO-7"
        assert request.order_options["form_fields"] == {"Cost Center": "CC-1"}
        assert (request.delivery_options.copies, request.delivery_options.delay_seconds) == (3, 6)
        assert request.words == ["made 12 s ago", "webhook 6 s later", "delivered 3 times"]

    def test_values_for_the_sources_and_a_checkout_that_posts_no_record(self) -> None:
        form = {
            "erp_id": "C-2",
            "tax_code": "",
            "licence": "L-1",
            "route": "N4",
            "checkout_po": "T-1",
            "checkout": "never",
        }
        request = OrderRequest.parse(json.dumps(form).encode())

        options = request.order_options
        assert request.buyer_values == {"company_extra_fields": {"ERP ID": "C-2"}, "attributes": {}}
        assert options["shipping_form_fields"] == {"License ID": "L-1"}
        assert options["metafields"] == [{"namespace": "erp", "key": "route", "value": "N4"}]
        assert (options["buyer_po_number"], options["automatic_record_after"]) == ("T-1", None)
        assert request.words == ["checkout never posts the record"]

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (b"{", "not JSON"),
            (b"[]", "not a JSON object"),
            (b'{"colour": 1}', "no field 'colour'"),
            (b'{"store": "moon"}', "sandbox, outlet"),
            (b'{"store": []}', "sandbox, outlet"),
            (b'{"buyer": "thief"}', "company, outsider, guest"),
            (b'{"buyer": []}', "company, outsider, guest"),
            (b'{"po_number": 7}', "one line of at most 200"),
            (b'{"po_number": "a\\nb"}', "one line of at most 200"),
            (b'{"copies": 0}', "from 1 to 20"),
            (b'{"copies": null}', "from 1 to 20"),
            (b'{"created_ago_seconds": true}', "from 0 to 3600"),
            (b'{"created_ago_seconds": NaN}', "from 0 to 3600"),
            (b'{"webhook": "soon"}', "from 0 to 120"),
        ],
    )
    def test_what_cannot_be_is_refused_with_what_was_expected(self, body: bytes, sentence: str) -> None:
        with pytest.raises(InvalidRequest, match=sentence):
            OrderRequest.parse(body)

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"fault": "fire", "extent": "all"}',
            b'{"fault": "503", "extent": "for ever"}',
            b'{"fault": "503", "endpoint": "moon", "extent": "all"}',
            b'{"fault": {}, "extent": "all"}',
        ],
    )
    def test_a_fault_that_is_not_on_the_menu_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidRequest, match="is one of"):
            FaultRequest.parse(body)


RULES = """[all.extra_fields]
"ERP Id" = "extra_field(company.extraFields, 'ERP ID')"
"Tax code" = "attribute(customer.attributes, 'Tax code')"
"Ref" = "external_order_id"
"SKUs" = "join(', ', consignments.shipping[].line_items[].sku)"
"""


class TestSources:
    """Which source gave which field, and what it took."""

    @staticmethod
    def rows(**observed: Any) -> dict[str, tuple[str, str, str]]:
        told = dataclasses.replace(CREATED, observed=observed)
        record = Record(
            order_id=105, customer_id=7, origin="created", created_at=0, updated_at=0, rows=rows_of({"ERP Id": "C-1"})
        )
        shown = sources_as_json(seen(told, record=record), EnrichmentRules.parse(RULES).of_store("sandbox"))
        return {row["name"]: (row["fields"], row["cost"], row["state"]) for row in shown}

    def test_each_source_stands_beside_its_fields_and_its_requests(self) -> None:
        first, again = ({"endpoint": "b2b.company", "ms": 40, "age": age} for age in (0.1, 0.2))
        order = {"endpoint": "core.get_order", "ms": 50}
        assert self.rows(calls=[order, first, again, first]) == {
            "order": ("Ref", "1 in 50 ms", ""),
            "company": ("ERP Id: C-1", "2 in 80 ms", ""),
            "customer": ("Tax code", "none: kept in memory", ""),
            "attribute names": ("Tax code", "none: kept in memory", ""),
            "consignments": ("SKUs", "none: part of the order", ""),
        }

    def test_a_source_without_a_value_says_why(self) -> None:
        rows = self.rows(
            calls=[{"endpoint": "core.get_order"}], sources_refused=["customer"], sources_unavailable=["company"]
        )
        assert [rows[name][1:] for name in ("customer", "company")] == [("none", "refused"), ("none", "unavailable")]

    def test_nothing_is_known_before_the_first_outcome(self) -> None:
        assert sources_as_json(seen(TAKEN), EnrichmentRules.parse(RULES).of_store("sandbox")) == []


VALID, OTHER, WRONG = '[all]\npo_number = "a"', '[all]\npo_number = "b"', '[all]\npo_number = "first_match("'


class Rules:
    """A file of rules and the functions that take them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "rules.toml"
        self.file.write_text(VALID, encoding="utf-8")
        self.brought: list[str] = []
        self.live = LiveRules(self.file, VALID, "1", self.bring, lambda: 1000.0)

    def bring(self, text: bytes) -> str:
        self.brought.append(text.decode())
        return str(1 + len(self.brought))

    def edit(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")
        self.live.refresh()
        self.live.refresh()

    @property
    def running(self) -> str:
        [rule] = self.live.as_json("sandbox")["rules"]
        return str(rule["expression"])


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path)


class TestLiveRules:
    def test_a_file_that_is_still_being_written_is_not_taken(self, rules: Rules) -> None:
        rules.file.write_text("", encoding="utf-8")
        rules.live.refresh()
        rules.file.write_text(OTHER, encoding="utf-8")
        rules.live.refresh()
        assert rules.brought == []

        rules.live.refresh()
        assert rules.brought == [OTHER]

    def test_a_file_that_is_gone_is_explained(self, rules: Rules) -> None:
        rules.file.unlink()
        rules.live.refresh()
        rules.live.refresh()

        assert "cannot be read" in rules.live.problem

    def test_what_could_not_be_brought_is_tried_again(self, rules: Rules) -> None:
        def fails(_text: bytes) -> str:
            raise OSError("the AWS is busy")

        rules.live._bring = fails
        with pytest.raises(OSError, match="busy"):
            rules.edit(OTHER)
        assert not rules.live.arriving
        assert rules.running == "a"

        rules.live._bring = rules.bring
        rules.live.refresh()
        assert rules.running == "b"
