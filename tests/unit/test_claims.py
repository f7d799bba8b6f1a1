"""A claim on an order whose answer is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.exceptions import ReadTimeoutError

from handler.assembly import TABLE_CALLS
from handler.once import OncePerOrder
from handler.order_event import OrderEvent
from handler.outcomes import Updated
from support.aws import FakeContext
from support.clock import FakeClock

if TYPE_CHECKING:
    from support.telemetry import Written


def test_a_claim_whose_answer_is_lost_is_not_repeated_and_the_order_is_worked_on(written: Written) -> None:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    table = boto3.client("dynamodb", config=TABLE_CALLS, **keys)  # type: ignore[call-overload]  # keys by name
    asked: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        asked.append(request.headers["X-Amz-Target"].decode().partition(".")[2])
        raise ReadTimeoutError(endpoint_url=request.url)

    table.meta.events.register("before-send.dynamodb", lose)
    once = OncePerOrder("idempotency", table, 35)

    finished = once.run(OrderEvent("abcde", 250, 0.0, "c"), Updated, cast("Any", FakeContext(FakeClock())))

    assert finished == Updated()
    assert asked == ["PutItem"]
    assert written.metrics["IdempotencyUnavailable"] == [1.0]
