"""The `relay` command line with the simulated store, moto, and a stack that is only said to be there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from moto import mock_aws
from typer.testing import CliRunner, Result

from handler.bigcommerce.hooks_api import HooksApi
from relay import context as relay_context
from relay.cli import app
from relay.context import AwsSession
from relay.stack import FUNCTIONS, Stack
from relay.store_secrets import StoreSecrets
from sandbox.store.server import SandboxStore
from sandbox.store.settings import ExtraField, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from support.clock import FakeClock

RULES = """
[all]
po_number = "first_match(customer_message, 'Reference Number: (.*)')"
[all.extra_fields]
"Team" = "external_order_id"
"""
"""Rules for the extra field of `store_with_team`."""

DESTINATION = "https://relay.example.com/webhooks"
TABLE = "idempotency"
SESSION = AwsSession()
PARAMETERS = {
    "SecretPrefix": "relay",
    "LateRequestsPerMinute": "60",
    "RecoveryFirstDelaySeconds": "5",
    "RecoveryLongestDelaySeconds": "900",
    "GiveUpAfterMinutes": "1440",
    "RememberDoneDays": "35",
}


class RelayCli:
    """Runs commands against one store and one account."""

    def __init__(self, sandbox: SandboxStore, store: Store, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.store = store
        self.stack = stack
        self.monkeypatch = monkeypatch
        self.destination = stack.destination

    def run(self, *arguments: str, typed: str = "", code: int = 0) -> Result:
        """What a command says; AssertionError when it does not end with `code`."""
        result = CliRunner().invoke(app, list(arguments), input=typed, env={"TERM": "dumb"})
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def json(self, *arguments: str, typed: str = "", code: int = 0) -> Any:
        """What a command answers to a program."""
        return json.loads(self.run(*arguments, "--json", typed=typed, code=code).stdout)

    def after_each_write(self, look: Callable[[], None]) -> None:
        """Calls `look` after each change of the store's hooks or its secret from now on."""
        for owner, name in ((StoreSecrets, "write"), (HooksApi, "call")):
            genuine = getattr(owner, name)

            def watched(*arguments: Any, genuine: Callable[..., Any] = genuine) -> Any:
                answer = genuine(*arguments)
                if arguments[1] != "GET":
                    look()
                return answer

            self.monkeypatch.setattr(owner, name, watched)


def store_with_team(buyer: int) -> Store:
    """A store with the one extra field "Team", whose company has this buyer."""
    return Store(
        hash="abc123", company_customers={buyer}, extra_fields=(ExtraField(name="Team"),), automatic_record_after=None
    )


@contextmanager
def relay_cli_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[RelayCli]:
    """Commands for one store, with an empty account."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr("relay.dead_letters.WAIT_SECONDS", 0)
    # One session reads botocore's descriptions once; each command would do so again.
    monkeypatch.setattr("relay.command.AwsSession", lambda **_: SESSION)
    with SandboxStore.run() as sandbox, mock_aws():
        sandbox.add_store(store)
        stack = stack_of(sandbox.url)
        monkeypatch.setattr(Stack, "read", lambda _client, _name: stack)
        yield RelayCli(sandbox, store, stack, monkeypatch)


@contextmanager
def context_without_stores(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[relay_context.Context]:
    """The context of a command, with an empty account in moto, and no API that answers."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr("relay.dead_letters.WAIT_SECONDS", 0)
    with mock_aws():
        stack = stack_of("http://127.0.0.1:1")
        monkeypatch.setattr(Stack, "read", lambda _client, _name: stack)
        session: Any = SESSION
        yield relay_context.Context(session, stack.name, as_json=True, clock=clock, sleep=clock.sleep)


def stack_of(api_url: str) -> Stack:
    """A stack whose table and queues are there, in moto."""
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    sqs = boto3.client("sqs")
    return Stack(
        name="b2b-order-relay",
        status="CREATE_COMPLETE",
        parameters=PARAMETERS | {"StoreApiUrl": api_url, "B2BApiUrl": api_url},
        outputs={
            "WebhookUrl": DESTINATION,
            "EventBusName": "orders",
            "RecoveryQueueUrl": sqs.create_queue(QueueName="recovery")["QueueUrl"],
            "DeadLetterQueueUrl": sqs.create_queue(QueueName="dead-letters")["QueueUrl"],
            "IdempotencyTableName": TABLE,
        }
        | {f"{function}Name": f"relay-{function.removesuffix('Function').lower()}" for function in FUNCTIONS},
    )
