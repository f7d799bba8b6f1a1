"""ministack, started so that an event which its rule could not get done ends where AWS would put it.

ministack runs a rule's Lambda target once and forgets a failure. AWS does more, and the relay counts on it:

- An invocation that raised, timed out or was killed is retried as the function's event invoke configuration says, and
  then its record goes to the configured on-failure destination.
- An event whose function cannot be called goes, bare, to the dead-letter queue of the rule's target.

Where those queues are and how many retries there are is read from what was deployed, so a template that leaves one out
loses the event here, too. Runs in ministack's own environment, and imports nothing of ours.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from ministack.app import main
from ministack.core.responses import get_account_id
from ministack.services import eventbridge, lambda_svc

RETRIES = 2
"""Lambda's own default."""

logger = logging.getLogger("ministack_async")
_concurrency = lambda_svc._sqs_esm_concurrency  # noqa: SLF001
_target: ContextVar[dict[str, Any]] = ContextVar("target")
_invoke_target = eventbridge._invoke_target  # noqa: SLF001  ministack has no extension point here


def invoke_target(target: dict[str, Any], *arguments: Any, **named: Any) -> Any:
    """What ministack does, but it remembers whose dead-letter queue counts."""
    token = _target.set(target)
    try:
        return _invoke_target(target, *arguments, **named)
    finally:
        _target.reset(token)


def concurrency(mapping: dict[str, Any], *arguments: Any) -> Any:
    """What ministack does, also for a limit that is a template's parameter: it leaves that a text, and compares it."""
    scaling = {name: int(limit) for name, limit in (mapping.get("ScalingConfig") or {}).items()}
    return _concurrency(mapping | {"ScalingConfig": scaling}, *arguments)


def dispatch_to_lambda(arn: str, payload: str) -> None:
    """In place of ministack's: the function is called asynchronously, and its failure has consequences."""
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)  # noqa: SLF001
    work: tuple[Any, ...]
    if function and config:
        work = (_invoke, arn, lambda_svc._execution_record_for_config(function, config), json.loads(payload))  # noqa: SLF001
    else:
        work = (_send, (_target.get().get("DeadLetterConfig") or {}).get("Arn"), payload)
    threading.Thread(target=copy_context().run, args=work, daemon=True).start()


def _invoke(arn: str, record: dict[str, Any], event: dict[str, Any]) -> None:
    """Calls the function until it succeeds or may not be called again; then the on-failure record is sent."""
    invoke_config = _invoke_config(arn)
    attempts = 1 + invoke_config.get("MaximumRetryAttempts", RETRIES)
    for _ in range(attempts):
        result = lambda_svc._execute_function_with_config_scope(record, event)  # noqa: SLF001
        if not result.get("error"):
            return
        logger.warning("%s failed: %s", arn, result.get("body"))
    destination = (invoke_config.get("DestinationConfig") or {}).get("OnFailure") or {}
    failed = failure_record(arn, str(record["config"].get("Version", "$LATEST")), event, result.get("body"), attempts)
    _send(destination.get("Destination"), json.dumps(failed))


def _invoke_config(arn: str) -> dict[str, Any]:
    """The event invoke configuration of the version or alias that the rule calls."""
    name, qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(arn)  # noqa: SLF001
    config: dict[str, Any] | None = lambda_svc._event_invoke_config(lambda_svc._functions[name], qualifier)  # noqa: SLF001
    return config or {}


def failure_record(arn: str, version: str, event: dict[str, Any], answer: Any, attempts: int) -> dict[str, Any]:
    """The record of an asynchronous invocation (AWS Lambda's developer guide, "Capturing records of ... invocations")."""
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": arn,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"},
        "responsePayload": answer,
    }


def _send(queue_arn: str | None, body: str) -> None:
    if not queue_arn:
        logger.error("an event is lost: nothing is configured to take it")
        return
    url = f"{_endpoint()}/{get_account_id()}/{queue_arn.rpartition(':')[2]}"
    _sqs().send_message(QueueUrl=url, MessageBody=body)


def _endpoint() -> str:
    """Not the functions' proxy: what AWS delivers does not pass the faults between the functions and AWS."""
    return f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"


@cache
def _sqs() -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=_endpoint(),
        region_name=os.environ["MINISTACK_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  made up
    )


if __name__ == "__main__":
    eventbridge._invoke_target = invoke_target  # noqa: SLF001
    eventbridge._dispatch_to_lambda = dispatch_to_lambda  # noqa: SLF001
    lambda_svc._sqs_esm_concurrency = concurrency  # noqa: SLF001
    main()
