"""Scenarios of odd answers: those of something between the relay and the API, and those of an API that is not itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from sandbox.chaos.field import OUTSIDER, ChaosStore, Violated
from sandbox.chaos.late import late_fault
from sandbox.chaos.live import live_fault
from sandbox.chaos.registry import scenario
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import RefusalShape

if TYPE_CHECKING:
    from sandbox.store.faults import Fault
    from sandbox.store.settings import Numbers

SOONEST_SECONDS = 12
BOTH = {"*": "both APIs", "b2b": "the B2B API"}
HTML = "<html><body>It is not you, it is us.</body></html>"
SERVER_ERROR = {"code": 500, "data": {}, "meta": {"message": "Internal Server Error"}}
PASSING_ANSWERS: dict[str, Fault] = {
    "HTML 400": faults.edge(400, HTML),
    "HTML 403": faults.edge(403, HTML),
    "HTML 405": faults.edge(405, HTML),
    "an empty 404": faults.edge(404),
    "a gateway's 404": faults.no_route(),
    "304": faults.edge(304),
    "redirect to nowhere": faults.edge(302, HTML, {"Location": "http://["}),
    "several 103 first": faults.hints(3),
    "102 first": faults.hints(1, 102, delay_seconds=0.5),
    "byte order mark": faults.byte_order_mark(),
    "another charset": faults.latin_1(),
    "closed without a byte": faults.hang_up(),
    "closed while idle": faults.close_idle(),
}
"""One of these leaves the window time enough."""

OVERWHELMING_ANSWERS: dict[str, Fault] = {
    "gzip bomb": faults.gzip_bomb(),
    "gzip bomb behind a redirect": faults.gzip_bomb(301, {"Location": "http://127.0.0.1:1/"}),
    "a body without an end": faults.endless(),
    "a redirect's body without an end": faults.endless(307, {"Location": "/"}),
}
UNBELIEVABLE_ANSWERS: dict[str, Fault] = {
    "200 with code 500": faults.garbage(SERVER_ERROR),
    "200 with a status": faults.garbage({"status": "maintenance"}),
    "200 with []": faults.garbage([]),
    "200 with null": faults.garbage("null"),
    "200 with an empty text": faults.garbage('""'),
}


for _endpoint in ("core.get_order", "b2b.create"):
    for _name, _fault in PASSING_ANSWERS.items():
        live_fault(_endpoint, _name, _fault, in_time=True, next_order=True)
    for _name, _fault in (OVERWHELMING_ANSWERS | UNBELIEVABLE_ANSWERS).items():
        live_fault(_endpoint, _name, _fault, in_time=False, next_order=True)


for _endpoint in ("b2b.get", "b2b.update"):
    for _name in ("HTML 400", "a gateway's 404", "several 103 first", "byte order mark", "closed without a byte"):
        late_fault(_endpoint, _name, PASSING_ANSWERS[_name])
    for _name in ("200 with code 500", "200 with a status", "200 with []"):
        late_fault(_endpoint, _name, UNBELIEVABLE_ANSWERS[_name])


def _in_between(name: str, endpoint: str, fault: Fault) -> None:
    @scenario(f"{name} from every endpoint of {BOTH[endpoint]} for twelve seconds")
    def play(shop: ChaosStore) -> None:
        shop.fault(fault, endpoint=endpoint, times=None, seconds=12)
        live = [shop.place(f"PO-{number}") for number in range(3)]
        late, outsider = shop.place("PO-LATE", created_ago_seconds=15), shop.place(customer_id=OUTSIDER)
        for order in (*live, outsider):
            shop.announce(order)
        shop.put_late(late)
        for number, order in enumerate(live):
            shop.carries(order, f"PO-{number}")
        shop.carries(late, "PO-LATE")
        shop.is_skipped(outsider, "no_company")
        if buried := [order.id for order in (*live, late, outsider) if shop.dead_letters(order)]:
            raise Violated(f"dead letters: {buried}")


for _endpoint in BOTH:
    for _name in ("a gateway's 404", "an empty 404", "HTML 400"):
        _in_between(_name, _endpoint, PASSING_ANSWERS[_name])


@scenario("the look-up answers with another order")
def _another_order(shop: ChaosStore) -> None:
    order, other = shop.place(), shop.place("PO-OTHER")
    shop.fault(faults.about_order(other.id), "core.get_order", order=order)
    shop.announce(order)
    shop.carries(order)
    shop.is_created_in_time(order)


@scenario("Get Order answers with another order's record", update_replaces_extra_fields=True)
def _another_record(shop: ChaosStore) -> None:
    order = shop.place(created_ago_seconds=15, buyer_extra_fields={"own": "kept"})
    other = shop.place(created_ago_seconds=15, buyer_extra_fields={"own": "somebody else's"})
    shop.fault(faults.about_order(other.id), "b2b.get", order=order)
    shop.put_on_bus(order, poNumber="PO-LATE")
    shop.carries(order, "PO-LATE", own="kept")


@scenario("half an emoji in the order's text")
def _half_emoji(shop: ChaosStore) -> None:
    order = shop.place(customer_message=f"half\n{PO_LINE}PO-1")
    shop.fault(faults.half_emoji(), "core.get_order", order=order, times=None)
    shop.announce(order)
    shop.carries(order)
    shop.is_created_in_time(order)


@scenario("ids as text in every answer", ids_as_text=True)
def _ids_as_text(shop: ChaosStore) -> None:
    live, late = shop.place(), shop.place(created_ago_seconds=15)
    shop.announce(live)
    shop.put_late(late)
    shop.carries(live)
    shop.is_created_in_time(live)
    shop.carries(late)


def _webhook_numbers(numbers: Numbers) -> None:
    @scenario(f"a webhook's whole numbers as {numbers}", webhook_numbers=numbers)
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        shop.announce(order)
        shop.carries(order)
        shop.is_created_in_time(order)


_webhook_numbers("text")
_webhook_numbers("decimal")


@scenario("B2B Edition has not heard of the order yet", order_lag_seconds=1.5)
def _not_heard_of(shop: ChaosStore) -> None:
    order = shop.place()
    shop.announce(order)
    shop.carries(order)


def _refusal(shape: RefusalShape, *, final: bool) -> None:
    @scenario(f"refused with an answer of the shape {shape!r}")
    def play(shop: ChaosStore) -> None:
        order = shop.place()
        shop.fault(faults.refusal(422, "Team is wrong", shape), "b2b.create", order=order)
        shop.announce(order)
        if final:
            shop.is_dead_once(order, "Team is wrong")
        else:
            shop.carries(order)


for _shape in get_args(RefusalShape):
    # Only an answer with `code` is the B2B API's own; another one must not end an order.
    _refusal(_shape, final=_shape in {"documented", "errMsg object", "message"})


@scenario("a 429 that names minutes and seconds is obeyed")
def _minutes_and_seconds(shop: ChaosStore) -> None:
    order = shop.place()
    shop.fault(faults.status(429, {"Retry-After": f"0m{SOONEST_SECONDS}s"}), "b2b.create", order=order)
    shop.announce(order)
    shop.carries(order)
    first, second, *_ = [request.at for request in shop.field.sandbox.requests("b2b", order=order)]
    if second - first < SOONEST_SECONDS:
        raise Violated(f"the API was called again after {second - first:.1f} s")
