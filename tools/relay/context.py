"""A command's context: the deployment, the APIs and the consoles, each created on first use."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from handler.deadline import Clock, Deadline
from handler.order_event import STORE_HASH
from relay.errors import CliError
from relay.stack import Stack
from relay.store_secrets import StoreSecrets
from relay.text import escaped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import boto3
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.hooks_api import HooksApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.container import Container
    from handler.http.exchange import Response
    from handler.http.retries import HttpClient, RetryPolicy
    from handler.queues import Queues
    from handler.settings import Settings
    from handler.sources import Sources
    from handler.table.order_notes import OrderNotes
    from handler.table.refused_sources import RefusedSources
    from handler.table.store_registry import StoreRegistry

CALL_SECONDS = 20.0
"""Time limit of one API call, retries included."""

AWS_CALLS = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 4, "mode": "standard"})
FILE_WIDTH = 160
QUIET_SECONDS = 1.5
"""A command that waits longer than this prints what it waits for."""

USER_AGENT = "b2b-order-relay-cli"
"""Distinguishes requests of this command line from those of the functions."""


class AwsSession(botocore.session.Session):
    """The part of boto3.Session that commands use. Importing boto3 would take twice as long."""

    client = botocore.session.Session.create_client

    def announce(self, waiting: Callable[[str], AbstractContextManager[None]]) -> None:
        """Runs each AWS call inside `waiting(name of the call)`."""
        calls: list[ExitStack] = []

        def began(**call: Any) -> None:
            calls.append(ExitStack())
            operation = call["model"]
            calls[-1].enter_context(waiting(f"AWS: {operation.service_model.service_name} {operation.name}"))

        def ended(**_: Any) -> None:
            if calls:
                calls.pop().close()

        # The ids prevent a second registration on a session that several commands share.
        self.register("before-call", began, unique_id="relay-began")
        self.register("after-call", ended, unique_id="relay-ended")
        self.register("after-call-error", ended, unique_id="relay-ended-with-error")


class Steps(Progress):
    """A progress bar; if it is disabled, prints one line per task."""

    def add_task(self, description: str, *args: Any, **options: Any) -> TaskID:
        """Adds a task, as Progress does."""
        if self.disable:
            self.console.print(f"{description} ...")
        return super().add_task(description, *args, **options)


class _NotRemembered:
    """In place of the table's memory of refused sources: a person wants to know what is true now."""

    def of_store(self, _store: str, _sources: Collection[str]) -> frozenset[str]:
        return frozenset()

    def note(self, _store: str, _source: str) -> None:
        pass

    note_success = note


@dataclass(frozen=True)
class Context:
    """One invocation of a command: its deployment and its output format."""

    session: boto3.Session
    stack_name: str
    as_json: bool
    clock: Clock
    sleep: Callable[[float], None]

    @cached_property
    def out(self) -> Console:
        """Console for results. Without a terminal it is FILE_WIDTH wide, so that lines in files are not cut."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = FILE_WIDTH
        return console

    @cached_property
    def err(self) -> Console:
        """Console for progress, warnings and errors."""
        return Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, value: Any, print_text: Callable[[], None]) -> None:
        """Prints the result: `value` as JSON with --json, otherwise by `print_text`."""
        if self.as_json:
            self.out.print_json(json.dumps(value))
        else:
            print_text()

    def progress(self) -> Progress:
        """A progress bar on standard error; one line per task if that is not a terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Steps(*columns, console=self.err, transient=True, disable=not self.err.is_terminal)

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Prints `for_what` to standard error if the block takes longer than QUIET_SECONDS."""
        timer = threading.Timer(QUIET_SECONDS, lambda: self.err.print(f"Waiting for {escaped(for_what)}"))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def deadline(self) -> Deadline:
        """The deadline of one API call that starts now."""
        return Deadline.after(CALL_SECONDS, self.clock)

    @cached_property
    def stack(self) -> Stack:
        """The deployed stack. Raises CliError if there is none."""
        return Stack.read(self.cloudformation, self.stack_name)

    @property
    def settings(self) -> Settings:
        """The settings of the deployed functions."""
        return self.stack.settings

    @cached_property
    def store_secrets(self) -> StoreSecrets:
        """The stores' secrets, readable and writable."""
        return StoreSecrets(self._secretsmanager, self.settings.secret_prefix, self.stack.secrets_key)

    @cached_property
    def relay(self) -> Container:
        """The functions' own components, with this command's AWS session."""
        # Imported on demand: these imports dominate the start time.
        from handler.container import Container  # noqa: PLC0415
        from handler.enrichment import Rules  # noqa: PLC0415
        from handler.http.exchange import HttpExchange  # noqa: PLC0415

        exchange = HttpExchange(USER_AGENT)

        def announced(method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> Response:
            with self.waiting(f"{urlsplit(url).netloc}, {seconds:.0f} s at most"):
                return exchange(method, url, headers, body, seconds)

        return Container(
            self.settings,
            client=lambda service, _config: self.session.client(service, config=AWS_CALLS),
            exchange=announced,
            rules=Rules.load,
            clock=self.clock,
            sleep=self.sleep,
            uniform=random.uniform,
        )

    @property
    def order_notes(self) -> OrderNotes:
        """The functions' notes on unfinished orders."""
        return self.relay.order_notes

    @property
    def stores(self) -> StoreRegistry:
        """The registry of stores in the table."""
        return self.relay.stores

    @property
    def queues(self) -> Queues:
        """The recovery queue and the dead-letter queue."""
        return self.relay.queues

    def default_store(self) -> str:
        """RELAY_STORE, or else the only store. Raises CliError if neither exists."""
        from relay.store import known_stores  # noqa: PLC0415  the commands import this module

        if store := os.environ.get("RELAY_STORE", ""):
            if not STORE_HASH.fullmatch(store):
                raise CliError(
                    f"RELAY_STORE is {store!r}, which is not a store hash.", "Set it to a hash such as abc123."
                )
            return store
        match list(known_stores(self)):
            case [only]:
                return only
            case []:
                raise CliError("No store is registered.", "Add one: relay store add, with the store hash.")
            case several:
                raise CliError(
                    f"There are {len(several)} stores, and this command needs one.",
                    f"Choose one with --store or RELAY_STORE: {', '.join(several)}",
                )

    @cached_property
    def http(self) -> HttpClient:
        """The HTTP client."""
        return self.relay.http(self._policy)

    @cached_property
    def store_api(self) -> StoreApi:
        """The core Orders API."""
        return self.relay.store_api(self._policy)

    @cached_property
    def sources(self) -> Sources:
        """What rules read beside the order. Each source is asked, whatever was refused before."""
        return self.relay.sources(self._policy, cast("RefusedSources", _NotRemembered()))

    @cached_property
    def b2b_api(self) -> B2BApi:
        """The B2B API."""
        return self.relay.b2b_api(self._policy)

    @cached_property
    def hooks_api(self) -> HooksApi:
        """The webhooks API."""
        return self.relay.hooks_api(self._policy)

    @cached_property
    def _policy(self) -> RetryPolicy:
        from handler.http.retries import RetryPolicy  # noqa: PLC0415  as for `relay`

        return RetryPolicy(attempt_seconds=8.0, retries=True)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation."""
        return self.session.client("cloudformation", config=AWS_CALLS)

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """CloudWatch."""
        return self.session.client("cloudwatch", config=AWS_CALLS)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        return self.session.client("dynamodb", config=AWS_CALLS)

    @cached_property
    def functions(self) -> LambdaClient:
        """Lambda."""
        return self.session.client("lambda", config=AWS_CALLS)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs."""
        return self.session.client("logs", config=AWS_CALLS)

    @cached_property
    def sns(self) -> SNSClient:
        """SNS."""
        return self.session.client("sns", config=AWS_CALLS)

    @cached_property
    def sqs(self) -> SQSClient:
        """SQS."""
        return self.session.client("sqs", config=AWS_CALLS)

    @cached_property
    def _secretsmanager(self) -> SecretsManagerClient:
        return self.session.client("secretsmanager", config=AWS_CALLS)
