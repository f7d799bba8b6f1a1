"""Dead letters, and SQS as far as the commands that move and delete them need it."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from handler.errors import Cause
from handler.order_event import OrderEvent
from handler.queues import Letter

DEAD, LATE = "dead-letters", "recovery"
DIED_AT = 1_795_000_000.0


def letter(order: int, store: str = "abc123", cause: Cause = Cause.UNAUTHORISED, died_at: float = DIED_AT) -> str:
    return Letter(OrderEvent(store, order, died_at - 60, f"{store}-{order}"), cause, "HTTP 401", died_at).as_body()


@dataclass
class Queues:
    """SQS as far as it is needed: batches, visibility, and refusals of single entries or whole calls."""

    bodies: dict[str, dict[str, str]] = field(default_factory=lambda: {DEAD: {}, LATE: {}})
    hidden: set[str] = field(default_factory=set)
    refused_bodies: set[str] = field(default_factory=set)
    undeletable: set[str] = field(default_factory=set)
    down_for: set[str] = field(default_factory=set)
    longest_batch: int = 10
    attributes: dict[str, Any] = field(default_factory=dict)
    delivered_twice: bool = False
    _ids: Any = field(default_factory=itertools.count)

    def put(self, queue: str, body: str) -> str:
        name = f"m{next(self._ids)}"
        self.bodies[queue][name] = body
        return name

    def receive_message(self, *, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803  boto3's names
        shown = [name for name in self.bodies[DEAD] if name not in self.hidden][:MaxNumberOfMessages]
        again = sorted(self.hidden & self.bodies[DEAD].keys())[:1] if self.delivered_twice and shown else []
        self.hidden |= set(shown)
        return {
            "Messages": [
                {
                    "MessageId": name,
                    "ReceiptHandle": name,
                    "Body": self.bodies[DEAD][name],
                    "Attributes": {"SentTimestamp": str(int(DIED_AT * 1000))},
                    "MessageAttributes": self.attributes,
                }
                for name in [*shown, *again]
            ]
        }

    def change_message_visibility_batch(self, *, Entries: list[dict[str, Any]], **_: Any) -> None:  # noqa: N803
        assert 0 < len(Entries) <= 10
        self.hidden -= {entry["ReceiptHandle"] for entry in Entries}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._may_fail("send")
        if len(Entries) > self.longest_batch:
            raise ClientError({"Error": {"Code": "BatchRequestTooLong"}}, "SendMessageBatch")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            if entry["MessageBody"] in self.refused_bodies:
                answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError"})
            else:
                self.put(QueueUrl, entry["MessageBody"])
                answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._may_fail("delete")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            if entry["ReceiptHandle"] in self.undeletable:
                answer["Failed"].append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid"})
            else:
                del self.bodies[QueueUrl][entry["ReceiptHandle"]]
                answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def _may_fail(self, call: str) -> None:
        if call in self.down_for:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, call)
