"""What one webhook and one bus event cost a warm function, and where that time goes.

The real entry point, in this process, against a stand-in on loopback for both APIs and AWS; in turn with a bare round trip to
the same stand-in and with one POST of plain `requests`, to which everything is compared.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
from rich.table import Table

from loopback import environment, loopback
from measuring import ACCENT, INK, arguments, hand_in, percentile, say
from sandbox.demo.samples import CUSTOMER_ID, ORDER_ID, STORE, renew

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
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


class Counted(io.StringIO):
    """Keeps nothing of what is written, but how many bytes it was."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def write(self, text: str) -> int:
        self.bytes += len(text.encode())
        return len(text)


@dataclass
class Taken:
    """Seconds by the clock and of this process's own work, for each call."""

    wall: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def measure(self, call: Callable[[], Any], output: Counted) -> None:
        before, own, wall = output.bytes, time.process_time(), time.perf_counter()
        call()
        self.wall.append(time.perf_counter() - wall)
        self.own.append(time.process_time() - own)
        self.written.append(output.bytes - before)


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
    app = importlib.import_module("handler.app")
    idempotency_module = importlib.import_module("handler.table.idempotency")
    deadline = importlib.import_module("handler.deadline").Deadline
    container = importlib.import_module("handler.container")
    telemetry = importlib.import_module("handler.telemetry")
    order_event = importlib.import_module("handler.order_event")
    http_module = importlib.import_module("handler.http.client")
    import boto3  # noqa: PLC0415  the same

    table = boto3.client("dynamodb", config=container.AWS_CALLS)
    events = boto3.client("events", config=container.AWS_CALLS)
    idempotency = idempotency_module.OrderIdempotency("orders", table, 35)
    rate_limit = importlib.import_module("handler.table.rate_limit").LateRateLimit("orders", table, 60, time.time)
    secretsmanager = boto3.client("secretsmanager", config=container.AWS_CALLS)
    credentials = importlib.import_module("handler.bigcommerce.credentials").Credentials(
        secretsmanager, lambda: secretsmanager, "b2b-order-relay", list, time.time
    )
    http = http_module.HttpClient(http_module.HttpExchange(), http_module.LIVE, time.time, time.sleep, random.uniform)
    store_api = importlib.import_module("handler.bigcommerce.store_api").StoreApi(url, http, credentials)
    b2b = importlib.import_module("handler.bigcommerce.b2b_api")
    b2b_api = b2b.B2BApi(url, http, credentials)
    rules = importlib.import_module("handler.enrichment").Rules.load().for_all
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
    parsed = order_event.parse_detail(detail, time.time())
    order = store_api.get_order(STORE.hash, ORDER_ID, deadline.after(5, time.time))
    content = importlib.import_module("handler.content").Content("04152025-0002")

    def handled(name: str) -> Callable[[], None]:
        fresh = iter([event(name) for _ in range(5000)])
        return lambda: app.handle_order_event(next(fresh), CONTEXT)

    def log_and_metrics() -> None:
        # What one created order writes: two lines with their keys, and four metrics, flushed.
        telemetry.logger.append_keys(store=STORE.hash, order=ORDER_ID, correlation_id="1")
        telemetry.logger.info("order created", outcome="created")
        telemetry.count(telemetry.Metric.ORDER_CREATED)
        telemetry.measure_seconds(telemetry.Metric.TIME_TO_CREATE, 1.0)
        telemetry.measure_seconds(telemetry.Metric.WINDOW_LEFT, 9.0)
        telemetry.metrics.flush_metrics()
        telemetry.logger.clear_state()

    context = cast("Any", CONTEXT)
    return {
        ROUND_TRIP: bare_round_trip(url),
        PLAIN: lambda: session.post(url, json=detail, timeout=5),
        WEBHOOK: handled("api-webhook"),
        ORDER: handled("bus-order"),
        "webhook: PutEvents": lambda: events.put_events(Entries=[entry]),
        "order: once per order (two DynamoDB calls)": lambda: idempotency.run(parsed, lambda _: {}, context),
        "order: looked up": lambda: store_api.get_order(STORE.hash, ORDER_ID, deadline.after(5, time.time)),
        "order: rules": lambda: rules.content(order, str),
        "order: Create Order": lambda: b2b_api.create_order(
            STORE.hash, ORDER_ID, CUSTOMER_ID, content, deadline.after(5, time.time)
        ),
        "either: log lines and metrics": log_and_metrics,
        "late path: pace (one DynamoDB call)": lambda: rate_limit.take(STORE.hash, 2),
    }


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], repeats=400, unit="calls of each kind")
    taken: dict[str, Taken] = {}
    output = Counted()
    # Lambda reads what a function writes; here nobody does.
    with loopback() as url, contextlib.redirect_stdout(output):
        measured = calls(url)
        for round_number in range(options.repeats + WARMING_ROUNDS):
            if round_number % 100 == 0:
                say(f"warm path: call {round_number} of {options.repeats + WARMING_ROUNDS}")
            for name, call in measured.items():
                if round_number < WARMING_ROUNDS:
                    call()
                else:
                    taken.setdefault(name, Taken()).measure(call, output)
    base = percentile(taken[ROUND_TRIP].wall, 50)
    plain = percentile(taken[PLAIN].wall, 50)
    rows = {
        name: {
            "p50_round_trips": round(percentile(each.wall, 50) / base, 1),
            "p99_round_trips": round(percentile(each.wall, 99) / base, 1),
            "p50_plain_posts": round(percentile(each.wall, 50) / plain, 2),
            "own_work_plain_posts": round(percentile(each.own, 50) / plain, 2),
        }
        for name, each in taken.items()
    }
    result = {
        "what": "p50 and p99 of one call, as ratios to a bare loopback round trip and to a POST of plain requests (both p50)",
        "calls": options.repeats,
        "ratios": rows,
        # For tools/documents/costs.py alone: times of one machine on one day, and what a call writes to its log.
        "own_work_ms": {
            "webhook": round(percentile(taken[WEBHOOK].own, 50) * 1000, 2),
            "order": round(percentile(taken[ORDER].own, 50) * 1000, 2),
        },
        "log_bytes": {
            "webhook": round(percentile(taken[WEBHOOK].written, 50)),
            "order": round(percentile(taken[ORDER].written, 50)),
        },
    }
    table = Table("one call", "p50, round trips", "p99, round trips", "p50, plain POSTs", title="Warm path")
    for name, row in rows.items():
        table.add_row(
            name, f"{row['p50_round_trips']:.1f}", f"{row['p99_round_trips']:.1f}", f"{row['p50_plain_posts']:.2f}"
        )

    def plot(axes: Axes) -> None:
        names = [name for name in rows if name != ROUND_TRIP]
        axes.barh(names, [rows[name]["p50_plain_posts"] for name in names], color=ACCENT, height=0.6)
        axes.axvline(1.0, color=INK, linewidth=1, linestyle="--")
        axes.invert_yaxis()
        axes.set_xlabel("p50, ratio to one POST of plain requests")

    hand_in("warm_path", options, result, table, plot)


if __name__ == "__main__":
    main()
