"""Assign Customer Orders to Company: the answer says how many orders were assigned, or the call has failed."""

from __future__ import annotations

from typing import Any

import pytest

from handler.deadline import Deadline
from handler.errors import Cause, Refused, RetryLater
from handler.http.retries import LATE
from support.events import BUYER, STORE_HASH
from support.exchange import Step, answer
from support.world import World

PATH = f"/api/v3/io/customers/{BUYER}/orders/b2b"


def assigned(step: Step) -> int:
    """The result of the call when the API always answers so."""
    world = World()
    world.exchange.always("PUT", PATH, step)
    return world.relay.b2b_api(LATE).assign_orders(STORE_HASH, BUYER, Deadline.after(8.0, world.clock))


@pytest.mark.parametrize("data", [None, [], {}, {"total": None}, {"total": "many"}])
def test_an_answer_without_a_number_is_not_a_success(data: Any) -> None:
    with pytest.raises(RetryLater) as failed:
        assigned(answer(200, {"code": 200, "data": data, "meta": {}}))

    assert failed.value.cause is Cause.UNEXPECTED_ANSWER


def test_a_customer_without_a_company_is_refused_with_the_apis_message() -> None:
    with pytest.raises(Refused, match="Company not found"):
        assigned(answer(404, {"code": 404, "data": {}, "meta": {"message": "Company not found"}}))


@pytest.mark.parametrize("total", [0, 3, "3"])
def test_the_number_of_orders_is_returned(total: int | str) -> None:
    assert assigned(answer(200, {"code": 200, "data": {"total": total}, "meta": {}})) == int(total)
