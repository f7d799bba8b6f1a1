"""Waits until redriven orders are finished or dead letters again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.idempotency_records import finished_records, order_states
from relay.status import POLL_SECONDS

if TYPE_CHECKING:
    from relay.context import Context
    from relay.dead_letters import DeadLetter

STILL_WAITING = "still waiting"


def wait_for_orders(
    context: Context, moved: list[tuple[DeadLetter, str]], moved_at: float, most_seconds: float
) -> list[tuple[DeadLetter, str]]:
    """The results of the moved letters when all orders are finished or dead again, or after `most_seconds`."""
    ends_at = context.clock() + most_seconds
    pending = [letter for letter, result in moved if letter.letter and not result]
    results = {letter.message_id: STILL_WAITING for letter in pending}
    with context.progress() as progress:
        task = progress.add_task("Waiting for the orders", total=len(pending))
        while pending and context.clock() < ends_at:
            context.sleep(POLL_SECONDS)
            results |= _results(context, pending, moved_at)
            pending = [letter for letter in pending if results[letter.message_id].startswith(STILL_WAITING)]
            progress.update(task, completed=len(results) - len(pending))
    return [(letter, results.get(letter.message_id, result)) for letter, result in moved]


def _results(context: Context, moved: list[DeadLetter], moved_at: float) -> dict[str, str]:
    """The result of each moved letter by message id; empty if its order is finished."""
    of_id = {letter.message_id: letter.record_id for letter in moved}
    done = finished_records(context, of_id.values())
    results = {message: "" for message, record in of_id.items() if record in done}
    for store in {letter.store for letter in moved}:
        waiting = {
            letter.order: letter for letter in moved if letter.store == store and letter.message_id not in results
        }
        for order, known in order_states(context, store, [order for order in waiting if order]).items():
            note = known.note
            if note is None or note.at < int(moved_at):
                result = f"{STILL_WAITING} for its next attempt"
            else:
                result = f"{'dead letter again' if note.is_dead else STILL_WAITING}: {note.cause}: {note.detail}"
            results[waiting[order].message_id] = result
    return results
