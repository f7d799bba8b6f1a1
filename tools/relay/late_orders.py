"""Late orders, read from their notes: SQS does not return messages that are delayed or in flight.

The notes are read with a Scan of the table. An index would cost a second write for each note, but this command is rare. docs/decisions/0017-late-orders-from-their-notes.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.outcomes import Late
from handler.table.keys import NOTE_PREFIX
from relay.dead_letters import batches
from relay.idempotency_records import finished_records
from relay.order_notes import NOTE_ATTRIBUTES, OrderNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from relay.context import Context

NOT_IN_FLIGHT = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""SQS's errors for a receipt handle whose message is visible or was received again."""


def late_orders(context: Context, on_page: Callable[[int], None] = lambda _items: None) -> list[OrderNote]:
    """All late orders, oldest first. Calls `on_page` after each page with the number of items scanned so far.

    Raises botocore's errors, and RetryLater when the table is throttled.
    """
    found: list[OrderNote] = []
    for notes in _noted(context, on_page):
        done = finished_records(context, [note.record_id for note in notes])
        found += [note for note in notes if note.record_id not in done]
    return sorted(found, key=lambda note: note.late_at)


def make_visible(context: Context, notes: Iterable[OrderNote]) -> Iterator[tuple[OrderNote, str]]:
    """Makes the orders' messages visible at once; yields an empty result on success, else the reason.

    It uses the receipt handle in the note and sends and deletes nothing, so no message is lost or duplicated. Raises
    botocore's errors.
    """
    for batch in batches(notes):
        hidden = [note for note in batch if note.receipt]
        entries: Any = [
            {"Id": str(place), "ReceiptHandle": note.receipt, "VisibilityTimeout": 0}
            for place, note in enumerate(hidden)
        ]
        refused: dict[OrderNote, str] = {}
        if entries:
            answer = context.sqs.change_message_visibility_batch(
                QueueUrl=context.settings.recovery_queue_url, Entries=entries
            )
            refused = {hidden[int(entry["Id"])]: entry["Code"] for entry in answer.get("Failed", [])}
        for note in batch:
            if not note.receipt:
                yield note, "its first attempt is due"
            elif (code := refused.get(note, "").rpartition(".")[2]) in NOT_IN_FLIGHT:
                yield note, "its next attempt is due or in progress"
            else:
                yield note, f"SQS refused ({code})" if code else ""


def _noted(context: Context, on_page: Callable[[int], None]) -> Iterator[list[OrderNote]]:
    """The notes of late orders in pages, including those of orders that have been finished since."""
    shown = {f"#{place}": name for place, name in enumerate(NOTE_ATTRIBUTES)}
    pages = context.dynamodb.get_paginator("scan").paginate(
        TableName=context.settings.idempotency_table,
        FilterExpression="begins_with(id, :prefix) AND outcome = :late AND expiration >= :now",
        ProjectionExpression=", ".join(shown),
        ExpressionAttributeNames=shown,
        ExpressionAttributeValues={
            ":prefix": {"S": NOTE_PREFIX},
            ":late": {"S": Late.__name__},
            ":now": {"N": str(int(context.clock()))},
        },
    )
    scanned = 0
    for page in pages:
        scanned += page["ScannedCount"]
        on_page(scanned)
        yield [OrderNote.of(item, context.settings) for item in page["Items"]]
