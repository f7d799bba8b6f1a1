"""Before traffic goes to a new release: CodeDeploy asks whether its functions start and answer as they should.

Called by CodeDeploy (BeforeAllowTraffic) when deployments are gradual. The new versions get events that change nothing, but
make them start: settings, rules, libraries and all parts are put together. Whatever goes wrong here means "no".
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

PATIENCE = Config(connect_timeout=2, read_timeout=70, retries={"total_max_attempts": 1})
"""Longer than any of the functions may run, and not repeated: a version that answers at the second call is not well."""

LONGEST_WORDS = 1000


@dataclass(frozen=True, slots=True)
class Probe:
    """A harmless event for the version that the environment variable `version` names, and what it must be answered."""

    version: str
    event: dict[str, Any]
    well: Callable[[Any], bool]


PROBES = (
    # A webhook without a body: 400, before anybody asks whose it is.
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
    # A batch without messages: none stays in the queue.
    Probe("RECOVERY_FUNCTION_VERSION", {"Records": []}, lambda answer: answer == {"batchItemFailures": []}),
)


def check_release(event: dict[str, Any], context: LambdaContext) -> str:  # noqa: ARG001  Lambda's signature
    """ReleaseCheckFunction's entry point. Tells CodeDeploy, and answers, Succeeded or Failed."""
    try:
        well = all_well(boto3.client("lambda", config=PATIENCE), os.environ)
    except Exception:  # noqa: BLE001  whatever it is: without an answer CodeDeploy would wait for an hour
        logger.exception("could not check the release", event="release.check_failed")
        well = False
    status: Any = "Succeeded" if well else "Failed"
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return str(status)


def all_well(functions: LambdaClient, environment: Mapping[str, str]) -> bool:
    """Whether every probe is answered as it should be. All are tried, so that the log names all that is wrong."""
    return [_well(functions, environment[probe.version], probe) for probe in PROBES].count(False) == 0


def _well(functions: LambdaClient, version: str, probe: Probe) -> bool:
    answer = functions.invoke(FunctionName=version, Payload=json.dumps(probe.event).encode())
    words = answer["Payload"].read().decode()
    if not answer.get("FunctionError") and probe.well(json.loads(words)):
        logger.info("the new version is healthy", event="release.healthy", version=version)
        return True
    logger.error(
        "the new version is not healthy", event="release.unhealthy", version=version, answer=words[:LONGEST_WORDS]
    )
    return False
