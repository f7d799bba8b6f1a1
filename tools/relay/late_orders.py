"""Late orders: found by their notes, since SQS shows nobody a message that is delayed or in flight.

Notes are found with a Scan of the table: an index would cost a second write with each note, for a question that an
operator asks now and then. docs/decisions/0017-late-orders-from-their-notes.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.outcomes import Late
from handler.table.keys import NOTE_PREFIX
from relay.dead_letters import batches
from relay.order_notes import OF_A_NOTE, OrderNote
from relay.record_of_order import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from relay.context import Context

NOT_IN_FLIGHT = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""What SQS says of a receipt handle whose message is visible again, or was received again."""


def late_orders(context: Context, on_page: Callable[[int], None] = lambda _items: None) -> list[OrderNote]:
    """All late orders, the oldest first. Tells `on_page` how many items of the table were looked at, page by page.

    Raises botocore's errors, and RetryLater when the table is throttled.
    """
    found: list[OrderNote] = []
    for notes in _noted(context, on_page):
        done = finished(context, [note.record_id for note in notes])
        found += [note for note in notes if note.record_id not in done]
    return sorted(found, key=lambda note: note.late_at)


def make_visible(context: Context, notes: Iterable[OrderNote]) -> Iterator[tuple[OrderNote, str]]:
    """Makes the orders' messages visible at once; tells each one's fate: nothing if it was done, else why not.

    The message itself becomes visible, with the receipt handle that the function has noted: nothing is sent or
    deleted, so nothing can be lost or doubled. Raises botocore's errors.
    """
    for some in batches(notes):
        hidden = [note for note in some if note.receipt]
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
        for note in some:
            if not note.receipt:
                yield note, "its first try is due"
            elif (code := refused.get(note, "").rpartition(".")[2]) in NOT_IN_FLIGHT:
                yield note, "it is due, or being tried right now"
            else:
                yield note, f"SQS refused ({code})" if code else ""


def _noted(context: Context, on_page: Callable[[int], None]) -> Iterator[list[OrderNote]]:
    """The notes of late orders, page by page, also of those that are finished by now."""
    shown = {f"#{place}": name for place, name in enumerate(OF_A_NOTE)}
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
    looked_at = 0
    for page in pages:
        looked_at += page["ScannedCount"]
        on_page(looked_at)
        yield [OrderNote.of(item, context.settings) for item in page["Items"]]
