"""Small stand-ins for the AWS clients, with botocore's typed exceptions. moto serves where an adapter itself is tested."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from handler.outcomes import Duplicate, Finished
from handler.table.idempotency import OrderIdempotency
from handler.table.keys import STORES_ID
from support.clock import FakeClock

RECOVERY_URL = "https://sqs.test/recovery"
DEAD_LETTER_URL = "https://sqs.test/dead-letters"
QUEUE_VISIBILITY_SECONDS = 360.0


class ConditionalCheckFailed(ClientError):  # noqa: N818  as AWS names it
    """What DynamoDB raises when a condition does not hold."""


def refusal(code: str, kind: type[ClientError] = ClientError) -> ClientError:
    """An AWS error. Its message holds what a log must not."""
    return kind({"Error": {"Code": code, "Message": "arn:aws:secret-of-the-account"}}, "Operation")


@dataclass(slots=True)
class FakeContext:
    """Lambda's context: an invocation that began when it was made and may last `seconds`."""

    clock: Callable[[], float]
    seconds: float = 15.0
    function_name: str = "order"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:order:live"
    aws_request_id: str = "6f1c0f7e-0d0b-4e4c-8f0c-3f3b5d9f3c11"
    _ends_at: float = 0.0

    def __post_init__(self) -> None:
        self._ends_at = self.clock() + self.seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._ends_at - self.clock()) * 1000), 0)


@dataclass(slots=True)
class FakeSecretsManager:
    """Secrets by name and stage. `error` strikes every read, `asked` remembers them."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803  boto3's names
        self.asked.append((SecretId, VersionStage))
        if self.error is not None:
            raise self.error
        try:
            return {"SecretString": self.secrets[SecretId][VersionStage]}
        except KeyError:
            raise refusal("ResourceNotFoundException") from None

    def close(self) -> None:
        """As boto3's; there are no connections."""

    def put(self, name: str, text: str) -> None:
        """A new current value; the one before becomes AWSPREVIOUS."""
        before = self.secrets.get(name, {})
        self.secrets[name] = {"AWSCURRENT": text} | (
            {"AWSPREVIOUS": before["AWSCURRENT"]} if "AWSCURRENT" in before else {}
        )


@dataclass(slots=True)
class QueuedMessage:
    """One message in a `FakeSqs` queue."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    delay_seconds: int
    attributes: dict[str, Any]
    receipts: int = 0


@dataclass(slots=True)
class FakeSqs:
    """Queues by URL. `errors` are raised one by one by the next calls; `broken` URLs refuse everything."""

    clock: FakeClock
    queues: defaultdict[str, list[QueuedMessage]] = field(default_factory=lambda: defaultdict(list))
    errors: list[Exception] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    hidden: list[int] = field(default_factory=list)
    _ids: Any = field(default_factory=itertools.count)

    def send_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803  boto3's names, here and below
        MessageBody: str,  # noqa: N803
        DelaySeconds: int = 0,  # noqa: N803
        MessageAttributes: dict[str, Any] | None = None,  # noqa: N803
    ) -> None:
        self._may_fail(QueueUrl)
        assert 0 <= DelaySeconds <= 900, "SQS takes no such delay"
        assert len(MessageBody.encode()) <= 1_048_576, "SQS takes no such body"
        self.queues[QueueUrl].append(
            QueuedMessage(
                id=f"message-{next(self._ids)}",
                body=MessageBody,
                sent_at=self.clock.now,
                visible_at=self.clock.now + DelaySeconds,
                delay_seconds=DelaySeconds,
                attributes=MessageAttributes or {},
            )
        )

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        self._may_fail(QueueUrl)
        assert 0 <= VisibilityTimeout <= 43_200, "SQS takes no such visibility timeout"
        message = next(m for m in self.queues[QueueUrl] if m.id == ReceiptHandle)
        message.visible_at = self.clock.now + VisibilityTimeout
        self.hidden.append(VisibilityTimeout)

    def receive(self, url: str, most: int = 10) -> dict[str, Any]:
        """The visible messages as the event that Lambda makes of them."""
        batch = [m for m in self.queues[url] if m.visible_at <= self.clock.now][:most]
        for message in batch:
            message.receipts += 1
            message.visible_at = self.clock.now + QUEUE_VISIBILITY_SECONDS
        return {
            "Records": [
                {
                    "messageId": m.id,
                    "receiptHandle": m.id,
                    "body": m.body,
                    "attributes": {
                        "ApproximateReceiveCount": str(m.receipts),
                        "SentTimestamp": str(int(m.sent_at * 1000)),
                    },
                }
                for m in batch
            ]
        }

    def settle(self, url: str, event: dict[str, Any], response: dict[str, Any]) -> None:
        """Deletes what the function did not report as failed, as Lambda does."""
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        done = {record["messageId"] for record in event["Records"]} - failed
        self.queues[url] = [m for m in self.queues[url] if m.id not in done]

    def _may_fail(self, url: str) -> None:
        if url in self.broken:
            raise refusal("ServiceUnavailable")
        if self.errors:
            raise self.errors.pop(0)


@dataclass(slots=True)
class FakeEventBridge:
    """A bus that takes every event, raises `error`, or accepts the call and refuses the entry with `refusal_code`."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    refusal_code: str | None = None

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  boto3's names
        if self.error is not None:
            raise self.error
        if self.refusal_code is not None:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": self.refusal_code, "ErrorMessage": "no"}]}
        self.entries.extend(Entries)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


def create_table(dynamodb: Any, name: str) -> None:
    """The idempotency table, as the template has it, in moto."""
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


SET = re.compile(r"#?(\w+) = (if_not_exists\(\w+, )?(:\w+)")
"""The clauses of an update expression's SET."""


@dataclass(slots=True)
class FakeTable:
    """As much of DynamoDB as `LateRateLimit` and `OrderNotes` use: counters with a ceiling, notes, failures, refused sources, a set of stores."""

    taken: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    stores: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    error: Exception | None = None
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(ConditionalCheckFailedException=ConditionalCheckFailed)
    )

    def update_item(
        self,
        *,
        Key: dict[str, Any],  # noqa: N803  boto3's names, here and below
        UpdateExpression: str,  # noqa: N803
        ExpressionAttributeValues: dict[str, Any],  # noqa: N803
        ExpressionAttributeNames: dict[str, str] | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        key = Key["id"]["S"]
        if ":store" in ExpressionAttributeValues:
            self._change_stores(UpdateExpression, ExpressionAttributeValues[":store"]["SS"])
            return {}
        if ":until" in ExpressionAttributeValues:
            refused = self.notes.setdefault(key, {"id": {"S": key}})
            until = ExpressionAttributeValues[":until"]
            refused |= {(ExpressionAttributeNames or {})["#source"]: until, "expiration": until}
            return {}
        if ":outcome" in ExpressionAttributeValues:
            note = self.notes.setdefault(key, {"id": {"S": key}})
            for name, kept, value in SET.findall(UpdateExpression):
                if not (kept and name in note):
                    note[name] = ExpressionAttributeValues[value]
            if ":one" not in ExpressionAttributeValues:
                self.failures.pop(key, None)
                return {}
            self.failures[key].update(["failures", (ExpressionAttributeNames or {})["#of_cause"]])
            return {"Attributes": _numbers(self.failures[key])}
        if ":taken" in ExpressionAttributeValues:
            full = self.taken[key] < int(ExpressionAttributeValues[":taken"]["N"])
        else:
            full = key in self.taken and self.taken[key] > int(ExpressionAttributeValues[":room"]["N"])
        if full:
            raise refusal("ConditionalCheckFailedException", ConditionalCheckFailed)
        self.taken[key] += int(ExpressionAttributeValues[":requests"]["N"])
        return {}

    def _change_stores(self, expression: str, stores: list[str]) -> None:
        verb, _space, clauses = expression.partition(" ")
        for clause in clauses.split(", "):
            changed = {"hashes": self.stores, "paused": self.paused}[clause.split()[0]]
            change = {"ADD": changed.update, "DELETE": changed.difference_update}[verb]
            change(stores)

    def put_item(self, *, Item: dict[str, Any], **_: Any) -> None:  # noqa: N803
        if self.error is not None:
            raise self.error
        self.notes[Item["id"]["S"]] = Item
        self.failures.pop(Item["id"]["S"], None)

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        if self.error is not None:
            raise self.error
        key = Key["id"]["S"]
        if key == STORES_ID:
            sets = {"hashes": self.stores, "paused": self.paused}
            return {"Item": {name: {"SS": sorted(members)} for name, members in sets.items() if members}}
        item = self._item(key)
        return {"Item": item} if item else {}

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        if self.error is not None:
            raise self.error
        [(table, asked)] = RequestItems.items()
        names = asked["ExpressionAttributeNames"].values()
        items = [item for key in asked["Keys"] if (item := self._item(key["id"]["S"]))]
        return {"Responses": {table: [{name: item[name] for name in names if name in item} for item in items]}}

    def _item(self, key: str) -> dict[str, Any]:
        item = self.notes.get(key, {}) | _numbers(self.failures[key])
        return item and item | {"id": {"S": key}}


def _numbers(counted: Counter[str]) -> dict[str, Any]:
    return {name: {"N": str(number)} for name, number in counted.items()}


class InMemoryIdempotency(OrderIdempotency):
    """`OrderIdempotency` without DynamoDB; the genuine one is tested with moto. Orders can be put `in_progress` by hand."""

    def __init__(self) -> None:
        self.done: set[tuple[str, int]] = set()
        self.in_progress: set[tuple[str, int]] = set()
        self.done_with_values: set[str] = set()
        self._config = SimpleNamespace(register_lambda_context=lambda _context: None)  # type: ignore[assignment]  # of no use here

    def _once(self, key: str, work: Callable[[], Finished]) -> Finished | Duplicate:
        if "#" in key:
            if key in self.done_with_values:
                return Duplicate()
            finished = work()
            self.done_with_values.add(key)
            return finished
        store, _, order_id = key.partition("/")
        order = store, int(order_id)
        if order in self.done or order in self.in_progress:
            return Duplicate(in_progress=order in self.in_progress)
        self.in_progress.add(order)
        try:
            finished = work()
        finally:
            self.in_progress.discard(order)
        self.done.add(order)
        return finished
