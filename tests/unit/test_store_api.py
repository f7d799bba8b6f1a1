"""One core order: only the order that was asked for counts as the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from handler.dates import rfc2822, unix_seconds
from handler.deadline import Deadline
from handler.errors import Cause, RetryLater
from support.events import BUYER, ORDER_ID, STORE_HASH
from support.exchange import answer
from support.world import LOOK_UP, World

if TYPE_CHECKING:
    from handler.bigcommerce.store_api import StoreApi


def asked(body: Any) -> dict[str, Any]:
    """What the relay reads when it asks for the order and gets this."""
    world = World()
    world.exchange.always("GET", LOOK_UP, answer(200, body))
    api: StoreApi = world.create_order.store_api
    return api.get_order(STORE_HASH, ORDER_ID, Deadline.after(5.0, world.clock))


@pytest.mark.parametrize("order_id", [ORDER_ID, str(ORDER_ID), float(ORDER_ID), f"{ORDER_ID}.0"])
@pytest.mark.parametrize("customer_id", [BUYER, str(BUYER), float(BUYER)])
def test_ids_are_read_as_whole_numbers_however_they_are_written(order_id: Any, customer_id: Any) -> None:
    order = asked({"id": order_id, "customer_id": customer_id, "staff_notes": "n"})

    assert order == {"id": ORDER_ID, "customer_id": BUYER, "staff_notes": "n"}
    assert (type(order["id"]), type(order["customer_id"])) == (int, int)


@pytest.mark.parametrize("customer_id", [0, "0"])
def test_a_guest_is_a_guest_in_text_too(customer_id: Any) -> None:
    assert asked({"id": ORDER_ID, "customer_id": customer_id})["customer_id"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"id": ORDER_ID + 1, "customer_id": BUYER},
        {"id": str(ORDER_ID + 1), "customer_id": BUYER},
        {"customer_id": BUYER},
        {"id": None, "customer_id": BUYER},
        {"id": True, "customer_id": BUYER},
        {"id": [ORDER_ID], "customer_id": BUYER},
        {"data": {"id": ORDER_ID, "customer_id": BUYER}},
        [{"id": ORDER_ID, "customer_id": BUYER}],
        {"id": ORDER_ID},
        {"id": ORDER_ID, "customer_id": None},
        {"id": ORDER_ID, "customer_id": True},
        {"id": ORDER_ID, "customer_id": False},
        {"id": ORDER_ID, "customer_id": -1},
        {"id": ORDER_ID, "customer_id": "guest"},
        {"id": ORDER_ID, "customer_id": ""},
        {"id": ORDER_ID, "customer_id": 7.5},
        {"id": ORDER_ID, "customer_id": "\u0667"},
        {"status": "maintenance"},
        None,
        "",
        7,
    ],
)
def test_another_orders_body_or_none_is_no_answer(body: Any) -> None:
    with pytest.raises(RetryLater) as caught:
        asked(body)

    assert caught.value.cause is Cause.UNEXPECTED_ANSWER


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Thu, 20 Apr 2017 11:32:00 -0400", 1492702320.0),
        ("Thu, 20 Apr 2017 15:32:00 +0000", 1492702320.0),
        ("Thu, 20 Apr 2017 15:32:00 -0000", 1492702320.0),
        ("Thu, 20 Apr 2017 15:32:00", 1492702320.0),
        ("Thu, 20 Apr 2017 15:32:00 GMT", 1492702320.0),
        ("2017-04-20T11:32:00.000-04:00", 1492702320.0),
        ("2017-04-20T15:32:00Z", 1492702320.0),
        ("2017-04-20T15:32:00", 1492702320.0),
        ("2017-04-20 15:32:00", 1492702320.0),
        ("", None),
        ("None", None),
        ("0000-00-00 00:00:00", None),
        ("last week", None),
        ("1 Jul 99999 0:0:0 GMT", None),
        ("{'date': '2017-04-20'}", None),
    ],
)
def test_a_date_is_read_as_utc_unless_it_has_a_zone(
    monkeypatch: pytest.MonkeyPatch, text: str, moment: float | None
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")

    assert unix_seconds(text) == moment


def test_a_date_is_written_with_a_numeric_offset() -> None:
    assert rfc2822(1492702320.9) == "Thu, 20 Apr 2017 15:32:00 +0000"
