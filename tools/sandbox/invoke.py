"""`make invoke`: sample events through the functions in the containers of `sam local`, with a store and an AWS behind them.

Whatever a function puts on the bus or into RecoveryQueue goes to the containers as well: the rule and the queue's event
source of the emulator are switched off, and their work is done here.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.table import Table

from handler.known_stores import STORES_ID
from sandbox import docker, sam_local
from sandbox.cloud import Cloud
from sandbox.demo import content
from sandbox.emulator import REGION
from sandbox.samples import FOLDER, ORDER_ID, SAMPLES, STORE, Sample, function_of, renew
from sandbox.scenarios import Played, Stage, secret_of
from sandbox.store import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sandbox.sam_local import Invocation

FUNCTIONS = ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
PARAMETERS = {"RecoveryFirstDelaySeconds": "1", "RecoveryLongestDelaySeconds": "5", "Reconcile": "DISABLED"}
HOOK_AGE_SECONDS = 3600
"""Reconcile leaves alone what is older than the store's webhook."""
BUS_QUEUE = "held-back-bus-events"
BUS_WAIT_SECONDS = 1
PATIENCE_SECONDS = 45.0
"""How long an event is followed through the bus and the queue."""
WIDTH_OF_FILES = 140
YOUR_OWN = Sample("the function does not fail", lambda _answer: True, lambda _played: True)
"""What an event shows that is none of the samples."""


class Functions(Protocol):
    """Where the functions run."""

    def invoke(self, function: str, event: Mapping[str, Any]) -> Invocation:
        """Give an event to a function."""


@dataclass
class Outcome:
    """What became of one event."""

    name: str
    sample: Sample
    invocations: list[Invocation] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    """Messages in each queue at the end."""
    as_it_should: bool = False

    @property
    def seconds(self) -> float:
        """How long the functions took."""
        return sum(invocation.seconds for invocation in self.invocations)

    def judge(self, played: Played) -> None:
        """Take the record, and compare all of it with what the sample is meant to show."""
        if record := played.record:
            self.record = {
                "order": record.order_id,
                "po_number": record.po_number,
                "extra_fields": record.extra_fields,
                "origin": record.origin,
                "window_left_seconds": None if record.window_left is None else round(record.window_left, 1),
            }
        first = self.invocations[0]
        self.as_it_should = (
            not any(invocation.error for invocation in self.invocations)
            and self.sample.answers(first.answer)
            and self.sample.holds(played)
            and not any(self.waiting.values())
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "event": self.name,
            "shows": self.sample.shows,
            "as_it_should": self.as_it_should,
            "seconds": round(self.seconds, 2),
            "invocations": [
                {
                    "function": invocation.function,
                    "seconds": round(invocation.seconds, 2),
                    "answer": invocation.answer,
                    "error": invocation.error,
                    "log": [{"level": line.level, "message": line.message, **line.facts} for line in invocation.lines],
                }
                for invocation in self.invocations
            ],
            "record": self.record,
            "queues": self.waiting,
        }


def run(files: Sequence[Path], *, as_json: bool = False) -> int:
    """Gives each event to its function and shows what becomes of it; 0 when all is as the samples are meant to show, else 1."""
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    host = docker.find()
    events = {file: json.loads(file.read_text(encoding="utf-8")) for file in files}
    with (
        SandboxStore.run(also_on=host.gateway) as sandbox,
        Cloud(PARAMETERS, host=host.address, progress=console.print) as cloud,
    ):
        cloud.put_secret(STORE.hash, secret_of(STORE))
        environments = sam_local.variables(cloud, sandbox, FUNCTIONS)
        with sam_local.started(host, "start-lambda", environments, console.print) as functions:
            bench = Bench(Stage(sandbox, cloud, STORE), functions)
            outcomes = []
            for file, event in events.items():
                outcomes.append(bench.play(file, event))
                if len(events) == 1 or not outcomes[-1].as_it_should:
                    _tell(console, outcomes[-1])
                else:
                    console.print(f"{file.name}: {outcomes[-1].sample.shows}")
    if len(outcomes) > 1:
        console.print(_table(outcomes))
    failed = [outcome.name for outcome in outcomes if not outcome.as_it_should]
    console.print(
        f"[bold red]Not as it should be:[/] {', '.join(failed)}"
        if failed
        else "[bold green]All as it should be.[/] Nothing is left running."
    )
    if as_json:
        print(json.dumps([outcome.as_json() for outcome in outcomes], indent=2))
    return 1 if failed else 0


class Bench:
    """Plays events one after the other, each with a fresh store, an empty table and empty queues."""

    def __init__(self, stage: Stage, functions: Functions) -> None:
        self._stage, self._cloud, self._functions = stage, stage.cloud, functions
        self._sqs = self._cloud.client("sqs")
        self._recovery = self._cloud.outputs["RecoveryQueueUrl"]
        self._bus_queue = self._hold_back()

    def play(self, file: Path, event: dict[str, Any]) -> Outcome:
        """What becomes of one event, whose order is placed now."""
        self._clear()
        outcome = Outcome(file.name, SAMPLES[file.name] if file.resolve().parent == FOLDER else YOUR_OWN)
        sandbox = self._stage.sandbox
        sandbox.add_store(STORE)
        try:
            hook = sandbox.add_hook(STORE, self._cloud.outputs["WebhookUrl"])
            hook.created_at -= HOOK_AGE_SECONDS
            played = Played(self._stage, sandbox.place_order(STORE, **outcome.sample.order()), [])
            for function, happened in self._follow(function_of(event), renew(event, time.time()), outcome):
                outcome.invocations.append(self._functions.invoke(function, happened))
            outcome.waiting = {queue: sum(depths) for queue, depths in self._cloud.queue_depths().items()}
            outcome.judge(played)
        finally:
            sandbox.close_store(STORE)
        return outcome

    def _follow(self, function: str, event: dict[str, Any], outcome: Outcome) -> Iterator[tuple[str, dict[str, Any]]]:
        """The event, then all that comes of it over the bus and RecoveryQueue, until nothing is left or an invocation fails."""
        yield function, event
        limit = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < limit and not outcome.invocations[-1].error:
            for message in self._receive(self._bus_queue):
                yield "OrderFunction", json.loads(message["Body"])
                self._sqs.delete_message(QueueUrl=self._bus_queue, ReceiptHandle=message["ReceiptHandle"])
            for message in self._receive(self._recovery):
                yield "RecoveryFunction", {"Records": [_record(message)]}
                if not (outcome.invocations[-1].answer or {}).get("batchItemFailures"):
                    self._sqs.delete_message(QueueUrl=self._recovery, ReceiptHandle=message["ReceiptHandle"])
            if not any(self._cloud.queue_depths()["RecoveryQueue"]):
                return

    def _receive(self, queue_url: str) -> list[dict[str, Any]]:
        received = self._sqs.receive_message(
            QueueUrl=queue_url, WaitTimeSeconds=BUS_WAIT_SECONDS, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = received.get("Messages", [])
        return messages

    def _hold_back(self) -> str:
        """Let the rule deliver to a queue in place of the emulator's function, and RecoveryQueue to nobody; the queue's URL."""
        url: str = self._sqs.create_queue(QueueName=BUS_QUEUE)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = {"Rule": f"{self._cloud.stack}-orders", "EventBusName": self._cloud.outputs["EventBusName"]}
        events = self._cloud.client("events")
        targets = events.list_targets_by_rule(**rule)["Targets"]
        events.put_targets(**rule, Targets=[{"Id": target["Id"], "Arn": arn} for target in targets])
        functions = self._cloud.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        return url

    def _clear(self) -> None:
        for url in (self._bus_queue, self._recovery, self._cloud.outputs["DeadLetterQueueUrl"]):
            self._sqs.purge_queue(QueueUrl=url)
        table, client = self._cloud.outputs["IdempotencyTableName"], self._cloud.client("dynamodb")
        for item in client.scan(TableName=table)["Items"]:
            if item["id"]["S"] != STORES_ID:
                client.delete_item(TableName=table, Key={"id": item["id"]})


def _record(message: dict[str, Any]) -> dict[str, Any]:
    """A received message as Lambda hands it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "awsRegion": REGION,
    }


def _tell(console: Console, outcome: Outcome) -> None:
    """One event's way, line by line."""
    console.print(f"\n[bold]{outcome.name}[/] shows: {outcome.sample.shows}")
    for number, invocation in enumerate(outcome.invocations):
        source = "the event" if number == 0 else "what it had put on the bus or into RecoveryQueue"
        console.print(f"  {invocation.function} was given {source}, {invocation.seconds:.2f} s")
        for line in invocation.lines:
            facts = " ".join(f"{name}={value}" for name, value in line.facts.items())
            console.print(f"    {line.level:<8}{line.message}  {facts}", markup=False, soft_wrap=True)
        said = invocation.error or json.dumps(invocation.answer)
        console.print(f"    {'raised' if invocation.error else 'answered'} {said}", markup=False, soft_wrap=True)
    console.print(f"  On the B2B record of order {ORDER_ID}: {_record_text(outcome)}")
    console.print("  Left in the queues: " + ", ".join(f"{queue} {count}" for queue, count in outcome.waiting.items()))
    console.print(f"  {_mark(outcome)}\n")


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="Samples in the containers of `sam local`", title_justify="left")
    table.add_column("sample", no_wrap=True)
    for heading in ("functions", "what it shows", "on the B2B record", "seconds", ""):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for outcome in outcomes:
        table.add_row(
            outcome.name,
            ", ".join(invocation.function for invocation in outcome.invocations),
            outcome.sample.shows,
            _record_text(outcome),
            f"{outcome.seconds:.2f}",
            _mark(outcome),
        )
    return table


def _record_text(outcome: Outcome) -> str:
    left = outcome.record.get("window_left_seconds")
    text = content({"po_number": None} | outcome.record) or "nothing"
    return text + ("" if left is None else f" ({left} s of the window left)")


def _mark(outcome: Outcome) -> str:
    return "[green]✓[/]" if outcome.as_it_should else "[red]✗[/]"
