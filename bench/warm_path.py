"""What one webhook and one bus event cost a warm function, and where that time goes.

The real entry point, in this process, against a stand-in on loopback for both APIs and AWS; in turn with a bare round trip to
the same stand-in and with one POST of plain `requests`, to which everything is compared.
"""

# ruff: noqa: PLC0415  the functions read their environment when they are imported
from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import boto3
import requests

from loopback import environment, loopback
from measuring import arguments, hand_in, percentile, say
from sandbox.demo.samples import CUSTOMER_ID, ORDER_ID, STORE, renew

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

ROOT = Path(__file__).parents[1]
ROUND_TRIP, PLAIN = "one bare round trip", "one POST of plain requests"
WEBHOOK, ORDER = "a webhook, answered", "a bus event, order created"
WARMING_ROUNDS = 20
"""Connections are made, caches filled."""

CONTEXT = SimpleNamespace(
    function_name="order",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:order",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 15_000,
)


def bare_round_trip(url: str) -> Callable[[], None]:
    address = urlsplit(url)
    assert address.hostname
    connection = socket.create_connection((address.hostname, address.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call() -> None:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: api\r\n\r\n")
        connection.recv(4096)

    return call


def calls(url: str) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    os.environ.update(environment(url))
    # Only now: the functions read their environment, and make their clients, when they start.
    from handler import app
    from handler.container import AWS_CALLS
    from handler.content import Content
    from handler.deadline import Deadline
    from handler.enrichment import Rules
    from handler.http.retries import LIVE
    from handler.order_event import parse_detail
    from handler.outcomes import Unchanged
    from handler.table.rate_limit import LateRateLimit
    from handler.telemetry import Metric, count, logger, measure_seconds, metrics

    relay = app.relay
    store_api, b2b_api = relay.store_api(LIVE), relay.b2b_api(LIVE)
    events = boto3.client("events", config=AWS_CALLS)
    late_limit = LateRateLimit("orders", boto3.client("dynamodb", config=AWS_CALLS), 60, time.time)
    rules = Rules.load().for_all
    session = requests.Session()
    samples = {
        name: json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("api-webhook", "bus-order")
    }

    def event(name: str) -> dict[str, Any]:
        return renew(samples[name], time.time())

    detail = samples["bus-order"]["detail"]
    entry: PutEventsRequestEntryTypeDef = {
        "Source": "b",
        "DetailType": "d",
        "Detail": json.dumps(detail),
        "EventBusName": "orders",
    }
    parsed = parse_detail(detail, time.time())
    order = store_api.get_order(STORE.hash, ORDER_ID, Deadline.after(5, time.time))
    content = Content("04152025-0002")

    def handled(name: str) -> Callable[[], None]:
        fresh = iter([event(name) for _ in range(5000)])
        return lambda: app.handle_order_event(next(fresh), CONTEXT)

    def log_and_metrics() -> None:
        # What one created order writes: two lines with their keys, and four metrics, flushed.
        logger.append_keys(store=STORE.hash, order=ORDER_ID, correlation_id="1")
        logger.info("order created", outcome="created")
        count(Metric.ORDER_CREATED)
        measure_seconds(Metric.TIME_TO_CREATE, 1.0)
        measure_seconds(Metric.WINDOW_LEFT, 9.0)
        metrics.flush_metrics()
        logger.clear_state()

    context = cast("Any", CONTEXT)
    return {
        ROUND_TRIP: bare_round_trip(url),
        PLAIN: lambda: session.post(url, json=detail, timeout=5),
        WEBHOOK: handled("api-webhook"),
        ORDER: handled("bus-order"),
        "webhook: PutEvents": lambda: events.put_events(Entries=[entry]),
        "order: once per order (two DynamoDB calls)": lambda: relay.idempotency.run(
            parsed, lambda _: Unchanged(), context
        ),
        "order: looked up": lambda: store_api.get_order(STORE.hash, ORDER_ID, Deadline.after(5, time.time)),
        "order: rules": lambda: rules.content(order, lambda _: None),
        "order: Create Order": lambda: b2b_api.create_order(
            STORE.hash, ORDER_ID, CUSTOMER_ID, content, Deadline.after(5, time.time)
        ),
        "either: log lines and metrics": log_and_metrics,
        "late path: pace (one DynamoDB call)": lambda: late_limit.take(STORE.hash, 2),
    }


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], repeats=400, unit="calls of each kind")
    seconds: dict[str, list[float]] = {}
    # Lambda reads what a function writes; here nobody does.
    with loopback() as url, Path(os.devnull).open("w") as output, contextlib.redirect_stdout(output):
        measured = calls(url)
        for round_number in range(options.repeats + WARMING_ROUNDS):
            if round_number % 100 == 0:
                say(f"warm path: call {round_number} of {options.repeats + WARMING_ROUNDS}")
            for name, call in measured.items():
                began = time.perf_counter()
                call()
                if round_number >= WARMING_ROUNDS:
                    seconds.setdefault(name, []).append(time.perf_counter() - began)
    base, plain = percentile(seconds[ROUND_TRIP], 50), percentile(seconds[PLAIN], 50)
    rows = {
        name: {
            "p50_round_trips": round(percentile(each, 50) / base, 1),
            "p99_round_trips": round(percentile(each, 99) / base, 1),
            "p50_plain_posts": round(percentile(each, 50) / plain, 2),
        }
        for name, each in seconds.items()
    }
    result = {
        "what": "p50 and p99 of one call, as ratios to a bare loopback round trip and to a POST of plain requests (both p50)",
        "calls": options.repeats,
        "ratios": rows,
    }
    hand_in("warm_path", options, result)


if __name__ == "__main__":
    main()
