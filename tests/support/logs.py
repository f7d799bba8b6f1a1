"""CloudWatch Logs with events that a test writes, which can become visible later than they happened."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from relay.context import Context
from relay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.clock import FakeClock

ORDER, RECOVERY, RECONCILE = (f"/aws/lambda/relay-{name}" for name in ("order", "recovery", "reconcile"))
PAGE = 3


class ResourceNotFound(Exception):  # noqa: N818  as AWS names it
    """The log group is not there."""


@dataclass
class FakeLogs:
    """`write` adds an event."""

    clock: FakeClock
    groups: defaultdict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    exceptions = SimpleNamespace(ResourceNotFoundException=ResourceNotFound)

    def write(self, group: str, message: str | dict[str, Any], *, at: float, visible_after: float = 0.0) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        event = {"eventId": str(len(self.groups[group])), "timestamp": round(at * 1000), "message": text}
        self.groups[group].append((at + visible_after, event))

    def get_paginator(self, _: str) -> FakeLogs:
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        if asked["logGroupName"] not in self.groups:
            raise ResourceNotFound
        found = [
            event
            for visible_at, event in self.groups[asked["logGroupName"]]
            if visible_at <= self.clock.now and asked["startTime"] <= event["timestamp"] <= asked.get("endTime", 1e18)
        ]
        found.sort(key=lambda event: event["timestamp"])
        for start in range(0, len(found), PAGE):
            yield {"events": []}  # an empty page does not mean that there is no more
            yield {"events": found[start : start + PAGE]}


def context_with(logs: FakeLogs, *, as_json: bool = False, **parameters: str) -> Context:
    """A context for a stack of which only the logs are there."""
    context = Context(SimpleNamespace(), "relay", as_json, logs.clock, logs.clock.sleep)  # type: ignore[arg-type]
    outputs = {f"{name}FunctionName": f"relay-{name.lower()}" for name in ("Order", "Recovery", "Reconcile")}
    context.__dict__.update({"logs": logs, "stack": Stack("relay", "CREATE_COMPLETE", parameters, outputs)})
    return context
