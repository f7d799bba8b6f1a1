"""The Lambda entry points.

    handle_order_event   OrderFunction: an HTTP request goes to `intake`, a bus event to `create`
    recover_orders       RecoveryFunction: a batch of messages from RecoveryQueue goes to `recover`
    reconcile_stores     ReconcileFunction: on a schedule, `reconcile` finds orders whose webhook was lost

Importing this module is the start-up of a function: it reads the environment and makes the container.
"""

import gc

# Objects made at start-up live as long as the process, so collecting garbage among them wastes time (bench/cold_start.py).
gc.disable()

import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import boto3

from handler.container import Container
from handler.enrichment import Rules
from handler.errors import IgnoredScope, MalformedEvent
from handler.http.exchange import HttpExchange
from handler.order_event import event_time, parse_bus_event
from handler.settings import Settings
from handler.telemetry import Metric, count, logger, measure_seconds, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

relay = Container(
    Settings.from_environment(os.environ),
    client=lambda service, config: boto3.client(service, config=config),
    exchange=HttpExchange(),
    rules=Rules.load,
    clock=time.time,
    sleep=time.sleep,
    uniform=random.uniform,
)
create_order = relay.create_order  # built at start-up, since only this path has a time limit of seconds

gc.freeze()
gc.enable()


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handle_order_event(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any] | None:
    """Entry point of OrderFunction. `event` is an API Gateway request or an EventBridge event."""
    if "detail-type" in event:
        _create(event, context)
        answer = None
    else:
        began = time.perf_counter()
        answer = relay.intake.handle(event)
        measure_seconds(Metric.ACKNOWLEDGE_TIME, time.perf_counter() - began)
    relay.outcome_events.publish(context)
    return answer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def recover_orders(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Entry point of RecoveryFunction. Returns a partial batch response: the messages that stay in the queue."""
    answer = relay.recover_orders.handle(event, context)
    relay.outcome_events.publish(context)
    return answer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def reconcile_stores(event: dict[str, Any], context: "LambdaContext") -> dict[str, int]:  # noqa: ARG001  Lambda's signature
    """Entry point of ReconcileFunction. Returns the number of missing orders that were found, by store."""
    answer = relay.reconcile_stores.handle(context)
    relay.outcome_events.publish(context)
    return answer


def _create(event: dict[str, Any], context: "LambdaContext") -> None:
    now = time.time()
    try:
        order_event = parse_bus_event(event, event_time(event, now))
    except IgnoredScope:
        count(Metric.WEBHOOK_IGNORED)
        logger.info("bus event ignored: unsupported scope", event="event.ignored")
    except MalformedEvent as error:
        relay.endings.unreadable(json.dumps(event), str(error))
    else:
        logger.append_keys(
            store=order_event.store_hash, order=order_event.order_id, correlation_id=order_event.correlation_id
        )
        create_order.handle(order_event, context)
