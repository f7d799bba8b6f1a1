"""What became of each order, as events on the relay's own bus (docs/outcome-events.md). Off unless PublishOutcomes is "true".

`Endings` adds the events; `app` publishes them when all work of the invocation is done, so that they cost no order time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.order_event import SOURCE
from handler.outcomes import Created, Dead, Duplicate, Late, Outcome, Skipped, Unchanged, Updated
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from handler.deadline import Clock
    from handler.order_event import OrderEvent

VERSION = 1
"""Of the event's detail (docs/outcome-event.schema.json). A new field keeps it; a changed or removed one raises it."""

MOST_ENTRIES = 10
"""PutEvents takes so many events in one request."""

LEAST_MS = 3_000
"""An attempt takes less than this, name look-up included; with less time left, none is made."""


class OutcomeEvents:
    """Collects the outcomes of an invocation, and publishes them at its end."""

    def __init__(
        self, client: Callable[[], EventBridgeClient], bus_name: str, clock: Clock, *, is_enabled: bool
    ) -> None:
        self._client = client
        self._bus_name = bus_name
        self._clock = clock
        self._is_enabled = is_enabled
        self._pending: list[PutEventsRequestEntryTypeDef] = []

    def add(self, event: OrderEvent, outcome: Outcome) -> None:
        """Keeps the order's outcome until `publish`. A duplicate is not an outcome of its own."""
        if not self._is_enabled or isinstance(outcome, Duplicate):
            return
        seconds = outcome.seconds_after_creation if isinstance(outcome, Created) else self._clock() - event.created_at
        detail_type, cause = _described(outcome)
        detail = {
            "version": VERSION,
            "store": event.store_hash,
            "order": event.order_id,
            "cause": cause,
            "seconds": round(seconds, 3),
            "correlation_id": event.correlation_id,
        }
        self._pending.append(
            {
                "Source": SOURCE,
                "DetailType": detail_type,
                "Detail": json.dumps(detail),
                "EventBusName": self._bus_name,
            }
        )

    def publish(self, context: LambdaContext) -> None:
        """Puts the events on the bus, with one attempt each. A failure is counted and logged; nothing is raised."""
        refused: list[str] = []
        error = ""
        while self._pending:
            if context.get_remaining_time_in_millis() < LEAST_MS:
                error = "no time left"
                break
            try:
                answer = self._client().put_events(Entries=self._pending[:MOST_ENTRIES])
            except (ClientError, BotoCoreError) as failure:
                error = error_code(failure)
                break
            refused += [entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry]
            del self._pending[:MOST_ENTRIES]
        if failed := len(self._pending) + len(refused):
            self._pending.clear()
            count(Metric.OUTCOME_EVENT_FAILED, failed)
            logger.warning(
                "outcome events could not be published",
                event="outcome.publish_failed",
                error=error or refused[0],
                number=failed,
            )


def _described(outcome: Created | Updated | Unchanged | Skipped | Late | Dead) -> tuple[str, str | None]:
    """The event's detail-type and cause."""
    match outcome:
        case Created():
            return "order.created", None
        case Updated():
            return "order.updated", None
        case Unchanged():
            return "order.updated", "unchanged"
        case Skipped(reason):
            return "order.skipped", reason
        case Late(cause):
            return "order.late", cause
        case Dead(cause):
            return "order.dead", cause
