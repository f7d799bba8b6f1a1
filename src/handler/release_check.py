"""ReleaseCheckFunction: checks new function versions before they receive traffic.

CodeDeploy invokes it (BeforeAllowTraffic hook) in gradual deployments. It invokes the new versions with events that have
no effect, but make them start: settings, rules and libraries are loaded. Any error fails the deployment.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from handler.order_event import DETAIL_TYPE
from handler.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_lambda import LambdaClient

INVOKE_CONFIG = Config(connect_timeout=2, read_timeout=70, retries={"total_max_attempts": 1})
"""Longer than the functions' timeouts, and without retries: a version must answer the first call."""

LONGEST_ANSWER = 1000


@dataclass(frozen=True, slots=True)
class Probe:
    """An event without effect, for the version named by the environment variable `version`. `healthy` checks the answer."""

    version: str
    event: dict[str, Any]
    healthy: Callable[[Any], bool]


PROBES = (
    # A webhook without a body: 400.
    Probe(
        "ORDER_FUNCTION_VERSION",
        {"httpMethod": "POST", "path": "/webhooks", "headers": {}, "body": ""},
        lambda answer: isinstance(answer, dict) and answer.get("statusCode") == 400,  # noqa: PLR2004  the status
    ),
    # A bus event of another scope: ignored.
    Probe(
        "ORDER_FUNCTION_VERSION",
        {"detail-type": DETAIL_TYPE, "detail": {"scope": "store/relay/checked", "producer": "stores/releasecheck"}},
        lambda answer: answer is None,
    ),
    # A batch without messages.
    Probe("RECOVERY_FUNCTION_VERSION", {"Records": []}, lambda answer: answer == {"batchItemFailures": []}),
)


def check_release(event: dict[str, Any], context: LambdaContext) -> str:  # noqa: ARG001  Lambda's signature
    """Entry point of ReleaseCheckFunction. Reports Succeeded or Failed to CodeDeploy, and returns it."""
    try:
        healthy = all_healthy(boto3.client("lambda", config=INVOKE_CONFIG), os.environ)
    except Exception:  # noqa: BLE001  without an answer CodeDeploy waits for an hour
        logger.exception("could not check the release", event="release.check_failed")
        healthy = False
    status: Any = "Succeeded" if healthy else "Failed"
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return str(status)


def all_healthy(functions: LambdaClient, environment: Mapping[str, str]) -> bool:
    """Whether every probe got the expected answer. All probes run, so that the log names every failure."""
    return [_is_healthy(functions, environment[probe.version], probe) for probe in PROBES].count(False) == 0


def _is_healthy(functions: LambdaClient, version: str, probe: Probe) -> bool:
    answer = functions.invoke(FunctionName=version, Payload=json.dumps(probe.event).encode())
    payload = answer["Payload"].read().decode()
    if not answer.get("FunctionError") and probe.healthy(json.loads(payload)):
        logger.info("the new version is healthy", event="release.healthy", version=version)
        return True
    logger.error(
        "the new version is not healthy", event="release.unhealthy", version=version, answer=payload[:LONGEST_ANSWER]
    )
    return False
