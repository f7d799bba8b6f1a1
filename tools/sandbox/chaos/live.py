"""Scenarios of the live path: both APIs fail while the window is open."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from sandbox.chaos.field import BUYER, RETRIED_SOON, ChaosStore, Violated, struck
from sandbox.chaos.registry import scenario
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.webhooks import DeliveryOptions, webhook_body

if TYPE_CHECKING:
    from sandbox.store.faults import Fault

NOTHING_FAILS = "nothing fails"
OTHER_BUYER = 9
OTHER_COPIES = 5
PASSING_FAULTS: dict[str, Fault] = {
    "503": faults.status(503),
    "reset": faults.reset(),
    "hang": faults.hang(),
    "drip in the body": faults.drip(1.0),
    "drip in the headers": faults.drip_headers(1.0),
    "closed in the headers": faults.cut_headers(effect=False),
    "closed in the body": faults.cut_body(effect=False),
    "429 until soon": faults.status(429, headers={"X-Request-Window-Resets-After": "0.5 s"}),
    "401 once": faults.status(401),
    "HTML 400": faults.edge(400, "<html><body>It is not you, it is us.</body></html>"),
    "a gateway's 404": faults.no_route(),
    "several 103 first": faults.hints(3),
    "byte order mark": faults.byte_order_mark(),
    "closed without a byte": faults.hang_up(),
}
"""One of these leaves the window time enough."""

LATE_MAKING_FAULTS: dict[str, Fault] = {
    "429 until after the window": faults.status(429, headers={"X-Request-Window-Resets-After": "12 s"}),
    "garbage": faults.garbage(),
    "200 with code 500": faults.garbage({"code": 500, "data": {}, "meta": {"message": "Internal Server Error"}}),
}


def live_fault(endpoint: str, name: str, fault: Fault, *, in_time: bool) -> None:
    """Enter a scenario in which the endpoint fails once for an order."""

    @scenario(f"{endpoint}: {name}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        rule = shop.fault(fault, endpoint, order=order)
        shop.announce(order)
        shop.carries(order)
        struck(rule)
        if in_time:
            shop.is_created_in_time(order)


@scenario(NOTHING_FAILS)
def _nothing_fails(shop: ChaosStore) -> None:
    live, late = shop.place(), shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    shop.announce(live)
    shop.put_late(late, poNumber="PO-LATE")
    shop.is_finished(live)
    shop.carries(live)
    shop.carries(late, "PO-LATE")


for _name in ("503", "hang", "drip in the headers"):
    live_fault("core.get_order", _name, PASSING_FAULTS[_name], in_time=True)
for _name, _fault in PASSING_FAULTS.items():
    live_fault("b2b.create", _name, _fault, in_time=True)
for _name, _fault in LATE_MAKING_FAULTS.items():
    live_fault("b2b.create", _name, _fault, in_time=False)


def _lost_answer(name: str, fault: Fault) -> None:
    @scenario(f"Create Order's answer is lost: {name}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        shop.fault(fault, "b2b.create", order=order)
        shop.announce(order)
        shop.is_finished(order)
        shop.carries(order)
        shop.had_effects(order, creates=1, updates=0)


_lost_answer("reset", faults.reset_after())
_lost_answer("hang", faults.hang(effect=True))


@scenario("B2B Edition has not heard of the order yet", order_lag_seconds=1.5)
def _not_heard_of(shop: ChaosStore) -> None:
    order = shop.place()
    shop.announce(order)
    shop.carries(order)


@scenario(
    "record already there, the API replaces, data is an array", update_replaces_extra_fields=True, data_as_array=True
)
def _already_there(shop: ChaosStore) -> None:
    order = shop.place(automatic_record_after=0.0, buyer_extra_fields={"own": "kept"})
    shop.put_on_bus(order, extraFields=[{"fieldName": "team", "fieldValue": "blue"}])
    shop.carries(order, own="kept", team="blue")
    shop.had_effects(order, creates=0, updates=1)


@scenario("Create Order's answer is cut off: Get Order is asked before anything is sent again")
def _cut_off(shop: ChaosStore) -> None:
    order = shop.place()
    shop.fault(faults.cut_body(), "b2b.create", order=order)
    shop.announce(order)
    shop.is_finished(order)
    shop.carries(order)
    calls = [request.endpoint for request in shop.field.sandbox.requests("b2b", order=order)]
    if calls[:2] != ["b2b.create", "b2b.get"]:
        raise Violated(f"expected Get Order after Create Order, found {calls}")


@scenario("created once, though the store would take a second Create Order", accepts_second_create=True)
def _once(shop: ChaosStore) -> None:
    order = shop.place()
    shop.announce(order, DeliveryOptions(copies=3, time_compression=30))
    shop.put_on_bus(order)
    shop.is_finished(order)
    shop.announce(order)
    shop.put_late(order)
    shop.says(order, "duplicate", times=OTHER_COPIES)
    shop.carries(order)
    shop.called(order, "b2b.create", 1)


@scenario("a webhook's own customer, PO number and fields change nothing", with_secret=False)
def _forged_values(shop: ChaosStore) -> None:
    header = ("X-Relay-Key", "made-up-key")
    shop.field.sandbox.configure(
        shop.store, signs_webhooks=False, webhook_header=header, company_customers={BUYER, OTHER_BUYER}
    )
    secret = {"access_token": shop.store.access_token, "webhook_header": {"name": header[0], "value": header[1]}}
    shop.field.cloud.put_secret(shop.store.hash, secret)
    order = shop.place()
    forged = {"poNumber": "FORGED", "extraFields": [{"fieldName": "team", "fieldValue": "FORGED"}]}
    body = json.dumps(webhook_body(order) | {"customerId": OTHER_BUYER} | forged).encode()
    shop.announce(order, dataclasses.replace(RETRIED_SOON, body=body))
    shop.carries(order)
    if "FORGED" in (sent := str([request.body for request in shop.field.sandbox.requests(order=order)])):
        raise Violated(f"the webhook's values were sent: {sent}")


def _own_event(name: str, *, while_working: bool) -> None:
    @scenario(f"the merchant's own event, {name}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        if while_working:
            shop.fault(faults.delay(3.0), "b2b.create", order=order)
        shop.announce(order)
        shop.request("b2b.create", order)
        if not while_working:
            shop.is_finished(order)
        shop.put_on_bus(order, poNumber="PO-ERP", extraFields=[{"fieldName": "team", "fieldValue": "blue"}])
        shop.carries(order, "PO-ERP", team="blue")


_own_event("after the order was finished", while_working=False)
_own_event("while the order is being worked on", while_working=True)


BUYERS_TEXTS = {
    "PO Number / Reference Number 1: 7": "7",
    "Please ring.\rP.O. No.: 4711": "4711",
    "Leave at the door<br />PO#\u00a0A&amp;B-12<br />Thanks": "A&B-12",
    "Purchase Order Number\uff1a 04152025-0002": "04152025-0002",
    "PO Number: tbd\n---------------\nPO Number / Reference Number: REAL-9\nQuote#: 55\n---------------": "REAL-9",
    "Please send the PO number by mail. Quote#: 4711": "",
    "Deliver to P.O. Box 12, Springfield": "",
}
"""What buyers write, and the PO number in it."""


@scenario("PO numbers in the words of buyers")
def _buyers_texts(shop: ChaosStore) -> None:
    orders = [(shop.place(customer_message=text), po_number) for text, po_number in BUYERS_TEXTS.items()]
    for order, _ in orders:
        shop.announce(order)
    for order, po_number in orders:
        shop.is_finished(order)
        shop.carries(order, po_number)


@scenario("the look-up answers with another order")
def _another_order(shop: ChaosStore) -> None:
    order = shop.place()
    other = {"id": order.id + 1, "customer_id": BUYER, "customer_message": f"{PO_LINE}PO-OTHER"}
    shop.fault(faults.garbage(other), "core.get_order", order=order)
    shop.announce(order)
    shop.carries(order)
    shop.is_created_in_time(order)


@scenario("an emoji in the PO number")
def _emoji(shop: ChaosStore) -> None:
    live, late = shop.place("PO-🧾-1"), shop.place("PO-👩‍🚀-2", created_ago_seconds=15)
    shop.announce(live)
    shop.announce(late)
    shop.carries(live, "PO-🧾-1")
    shop.is_created_in_time(live)
    shop.carries(late, "PO-👩‍🚀-2")
