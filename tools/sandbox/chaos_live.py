"""Scenarios of the live path: both APIs fail while the window is open."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox import faults
from sandbox.chaos_field import GUEST, OUTSIDER, RETRIED_SOON, Field, Violated
from sandbox.chaos_list import scenario

if TYPE_CHECKING:
    from sandbox.faults import Fault

NOTHING_FAILS = "nothing fails"
PASSING_FAULTS: dict[str, Fault] = {
    "503": faults.status(503),
    "502": faults.status(502),
    "reset": faults.reset(),
    "hang": faults.hang(),
    "drip in the body": faults.drip(1.0),
    "drip in the headers": faults.drip_headers(1.0),
    "closed in the headers": faults.cut_headers(effect=False),
    "closed in the body": faults.cut_body(effect=False),
    "429 until soon": faults.status(429, headers={"X-Request-Window-Resets-After": "0.5 s"}),
    "401 once": faults.status(401),
}
"""One of these leaves the window time enough."""

LATE_MAKING_FAULTS: dict[str, Fault] = {
    "429 until after the window": faults.status(429, headers={"X-Request-Window-Resets-After": "12 s"}),
    "garbage": faults.garbage(),
}
LOST_ANSWERS: dict[str, Fault] = {
    "reset": faults.reset_after(),
    "hang": faults.hang(effect=True),
    "502": faults.status(502, effect=True),
    "closed in the headers": faults.cut_headers(),
    "closed in the body": faults.cut_body(),
}


def _live_fault(endpoint: str, name: str, fault: Fault, *, in_time: bool) -> None:
    @scenario(f"{endpoint}: {name}")
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash)
        order = shop.place()
        rule = field.sandbox.fault(fault, endpoint=endpoint, order=order)
        shop.announce(order)
        shop.carries(order)
        if not rule.struck:
            raise Violated("the fault never struck")
        if in_time:
            shop.is_created_in_time(order)


@scenario(NOTHING_FAILS)
def _nothing_fails(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    live, late = shop.place(), shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    shop.announce(live)
    shop.put_late(late, poNumber="PO-LATE")
    shop.is_finished(live)
    shop.carries(live)
    shop.carries(late, "PO-LATE")


for _endpoint in ("core.get_order", "b2b.create"):
    for _name, _fault in PASSING_FAULTS.items():
        _live_fault(_endpoint, _name, _fault, in_time=True)
    for _name, _fault in LATE_MAKING_FAULTS.items():
        _live_fault(_endpoint, _name, _fault, in_time=False)


def _lost_answer(name: str, fault: Fault) -> None:
    @scenario(f"Create Order's answer is lost: {name}")
    def play(field: Field, store_hash: str) -> None:
        shop = field.open_store(store_hash)
        order = shop.place()
        field.sandbox.fault(fault, endpoint="b2b.create", order=order)
        shop.announce(order)
        shop.is_finished(order)
        shop.carries(order)
        shop.had_effects(order, creates=1, updates=0)


for _name, _fault in LOST_ANSWERS.items():
    _lost_answer(_name, _fault)


@scenario("b2b.create: 429 until four seconds later")
def _limit_ends_in_time(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    limited = faults.status(429, headers={"X-Request-Window-Resets-After": "4 s"})
    field.sandbox.fault(limited, endpoint="b2b.create", order=order, times=None, seconds=4)
    shop.announce(order)
    shop.carries(order)
    shop.is_created_in_time(order)
    shop.called(order, "b2b.create", 2)


@scenario("Create Order answers 204 without a body")
def _no_body(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    field.sandbox.fault(faults.status(204, effect=True), endpoint="b2b.create", order=order)
    shop.announce(order)
    shop.is_finished(order)
    shop.carries(order)
    shop.called(order, "b2b.create", 1)


@scenario("order not readable at first")
def _not_readable(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(readable_after_seconds=2)
    shop.announce(order)
    shop.carries(order)
    shop.is_created_in_time(order)


@scenario("record already there, the API replaces, data is an array")
def _already_there(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash, update_replaces_extra_fields=True, data_as_array=True)
    order = shop.place(automatic_record_after=0.0, buyer_extra_fields={"own": "kept"})
    shop.put_on_bus(order, extraFields=[{"fieldName": "team", "fieldValue": "blue"}])
    shop.carries(order, own="kept", team="blue")
    shop.had_effects(order, creates=0, updates=1)


@scenario("refused for good, then redriven")
def _refused(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    words = {"code": 422, "data": {"errMsg": "[Team] is a required extra field"}, "meta": {}}
    field.sandbox.fault(faults.status(422, body=words), endpoint="b2b.create", order=order)
    shop.announce(order)
    letter = shop.is_dead_once(order, "[Team] is a required extra field")
    field.put_late(letter["Body"])
    shop.carries(order)


@scenario("customer without a company")
def _outsider(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(customer_id=OUTSIDER)
    shop.announce(order)
    shop.is_skipped(order, "no_company")


@scenario("guest, while the API fails")
def _guest(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place(customer_id=GUEST)
    field.sandbox.fault(faults.status(503), endpoint="core", order=order, times=2)
    shop.announce(order)
    shop.is_skipped(order, "guest")


@scenario("the webhook is acknowledged while the API takes seven seconds")
def _slow(field: Field, store_hash: str) -> None:
    shop = field.open_store(store_hash)
    order = shop.place()
    field.sandbox.fault(faults.delay(7.0), endpoint="b2b", order=order)
    [delivery] = shop.announce(order, RETRIED_SOON)
    if (seconds := delivery.first().seconds) > 7.0 / 2:
        raise Violated(f"the acknowledgement took {seconds:.1f} s")
    shop.carries(order)


@scenario("a connection that was idle for long is not trusted")
def _idle(field: Field, store_hash: str) -> None:
    pause_seconds, longest_idle_seconds = 7.0, 5.5
    shop = field.open_store(store_hash)
    first, second = shop.place(), None
    shop.announce(first)
    shop.carries(first)
    used_at = {request.caller_port: request.at for request in field.sandbox.requests(store=shop.store)}
    time.sleep(pause_seconds)
    second = shop.place()
    shop.announce(second)
    shop.carries(second)
    # Other scenarios may have kept a connection of that process busy meanwhile; those requests count, too.
    for request in field.sandbox.requests():
        idle_seconds = request.at - used_at.get(request.caller_port, request.at)
        if request.order_id == second.id and request.store_hash == store_hash and idle_seconds > longest_idle_seconds:
            raise Violated(f"a connection was used again after {idle_seconds:.1f} s")
        used_at[request.caller_port] = request.at
