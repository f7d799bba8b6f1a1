"""Checks of the deployment: stack, webhook URL, concurrency, SQS trigger, and other stacks in the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handler.deadline import Deadline
from handler.errors import RetryLater
from relay.checks import PROBE_SECONDS, Finding, State, Who
from relay.stack import HEALTHY

if TYPE_CHECKING:
    from relay.context import Context

MALFORMED = 400
RECOVERY_AT_ONCE = 5
"""RecoveryFunction's default maximum concurrency (template.yaml)."""

RECONCILE_AT_ONCE = 1
LEAST_FOR_ORDERS = 2
"""One webhook and one order at the same time."""

ENOUGH_FOR_ORDERS = 20
"""A store's 150 requests a minute allow about 75 orders a minute. With a slow API each takes up to 15 s: 19 at once."""

QUOTA_CODE = "L-B99A9384"
"""Service Quotas' code of Lambda's concurrent executions."""

ENOUGH_FOR_ALL = 1000
"""AWS's default for accounts that are not new."""


def check_stack(context: Context) -> Finding:
    """Checks that the last deployment succeeded."""
    stack = context.stack
    if stack.status in HEALTHY:
        return Finding("stack", State.GOOD, f"{stack.name} is deployed ({stack.status})")
    if stack.status.endswith("_IN_PROGRESS"):
        what = f"{stack.name} is being deployed ({stack.status})"
        return Finding("stack", State.UNKNOWN, what, "run the check again after the deployment", Who.NOBODY)
    return Finding(
        "stack",
        State.BAD,
        f"{stack.name} is in state {stack.status}: the last deployment failed, and the previous version runs",
        "read the stack's events in the CloudFormation console, then: make deploy",
    )


def check_endpoint(context: Context, url: str) -> Finding:
    """Checks that the relay answers at the webhook URL: it rejects an empty object with 400."""
    fix = "check the URL, its DNS name and certificate, and the API in the API Gateway console"
    try:
        answer = context.http.call("POST", url, {}, Deadline.after(PROBE_SECONDS, context.clock), body={})
    except RetryLater as error:
        return Finding("webhook URL", State.BAD, f"{url} does not answer ({error.detail})", fix)
    if answer.status == MALFORMED:
        return Finding("webhook URL", State.GOOD, "the relay answers")
    return Finding("webhook URL", State.BAD, f"{url} answers HTTP {answer.status} instead of the relay's 400", fix)


def check_concurrency(context: Context, recovery_at_once: int) -> Finding:
    """Checks that the account's concurrency quota covers what the relay may need. Raises botocore's errors.

    `recovery_at_once`: RecoveryFunction's maximum concurrency.
    """
    limit = context.functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    kept = recovery_at_once + RECONCILE_AT_ONCE
    need = f"RecoveryFunction may use {recovery_at_once} and ReconcileFunction {RECONCILE_AT_ONCE}"
    request = (
        "request an increase, which is free: aws service-quotas request-service-quota-increase --service-code lambda "
        f"--quota-code {QUOTA_CODE} --desired-value {ENOUGH_FOR_ALL} --region {context.functions.meta.region_name}"
    )
    what = f"the quota of this region is {limit} concurrent executions for all functions; {need}"
    if limit < kept + LEAST_FOR_ORDERS:
        return Finding("concurrency", State.BAD, f"{what}: too few are left for webhooks", request)
    if limit < kept + ENOUGH_FOR_ORDERS:
        what = f"{what}; whether the other {limit - kept} are enough depends on the peak number of orders"
        return Finding("concurrency", State.UNKNOWN, what, request)
    return Finding("concurrency", State.GOOD, what)


def check_sqs_trigger(context: Context, at_once: list[int]) -> Finding:
    """Checks RecoveryFunction's SQS trigger; puts its maximum concurrency into `at_once`.

    Raises botocore's errors.
    """
    name = context.stack.outputs["RecoveryFunctionName"]
    pages = context.functions.get_paginator("list_event_source_mappings").paginate()
    queue = f":{context.settings.recovery_queue_url.rpartition('/')[2]}"
    mappings = [
        mapping
        for page in pages
        for mapping in page["EventSourceMappings"]
        if mapping.get("EventSourceArn", "").endswith(queue) and f":{name}" in mapping.get("FunctionArn", "")
    ]
    limits = [mapping.get("ScalingConfig", {}).get("MaximumConcurrency") for mapping in mappings]
    at_once += [limit for limit in limits if limit is not None]
    if any(mapping.get("State") == "Enabled" for mapping in mappings):
        return Finding("SQS trigger", State.GOOD, "RecoveryFunction receives late orders")
    states = ", ".join(mapping.get("State", "") for mapping in mappings)
    what = f"RecoveryFunction receives no late orders: its SQS trigger is {states or 'missing'}"
    return Finding("SQS trigger", State.BAD, what, "enable it: make deploy")


def check_secret_prefix(context: Context) -> Finding:
    """Checks that no other stack of the account and region uses the same secrets. Raises botocore's errors."""
    own = context.settings.secret_prefix
    shared = []
    for page in context.cloudformation.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            outputs = {output.get("OutputKey") for output in stack.get("Outputs", [])}
            if stack["StackName"] == context.stack.name or not {"WebhookUrl", "IdempotencyTableName"} <= outputs:
                continue
            parameters = {p.get("ParameterKey"): p.get("ParameterValue", "") for p in stack.get("Parameters", [])}
            other = parameters.get("SecretPrefix") or stack["StackName"]
            if f"{own}/".startswith(f"{other}/") or f"{other}/".startswith(f"{own}/"):
                shared.append(stack["StackName"])
    if shared:
        return Finding(
            "secret prefix",
            State.BAD,
            f"the stack {', '.join(shared)} uses the same secrets ({own}/...): a change for one stack changes the other",
            "deploy one of them with another SecretPrefix, and add its stores again: relay store add",
        )
    return Finding("secret prefix", State.GOOD, f"no other stack of this region uses the secrets {own}/...")
