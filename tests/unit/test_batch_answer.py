"""RecoveryFunction's answer against the published shape of a partial batch response.

AWS takes a whole batch for failed when an `itemIdentifier` is empty or none of the batch's, and for done when there is none.
"""

from __future__ import annotations

import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from support.aws import DEAD_LETTER_URL, RECOVERY_URL, FakeContext
from support.clock import NOON
from support.events import ORDER_ID, bus_event, webhook
from support.world import World

UNREADABLE = ["", "{", "[]", "null", '{"order": {}}', '{"order": 7, "reason": 8}', '{"requestPayload": {}}']
READABLE = [
    json.dumps({"order": webhook(NOON) | changes, "reason": {}})
    for changes in (
        {},
        {"data": {"type": "order", "id": ORDER_ID + 1}},  # no such order: it stays
        {"producer": "stores/nobody"},  # no secret: it stays
        {"scope": "store/order/updated"},
    )
] + [json.dumps(bus_event(webhook(NOON)))]


@given(
    st.lists(st.sampled_from(UNREADABLE + READABLE), min_size=1, max_size=10),
    st.sets(st.sampled_from(["dead letters", "secrets"])),
)
def test_every_message_that_stays_is_named_once_by_its_own_id_and_no_other_is(
    bodies: list[str], down: set[str]
) -> None:
    world = World()
    world.place()
    for body in bodies:
        world.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=body)
    if "dead letters" in down:
        world.sqs.broken.add(DEAD_LETTER_URL)
    if "secrets" in down:
        world.secrets.secrets.clear()
    batch = world.sqs.receive(RECOVERY_URL)

    answer = world.recover_orders.handle(batch, cast("Any", FakeContext(world.clock, seconds=60.0)))

    assert answer.keys() == {"batchItemFailures"}
    assert all(failure.keys() == {"itemIdentifier"} for failure in answer["batchItemFailures"])
    stays = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert "" not in stays
    assert len(stays) == len(set(stays))
    assert set(stays) <= {record["messageId"] for record in batch["Records"]}
    # An answer that names none would be a batch that is done: what cannot be buried has to stay.
    unreadable = {r["messageId"] for r in batch["Records"] if r["body"] in UNREADABLE}
    assert (unreadable <= set(stays)) if "dead letters" in down else not (unreadable & set(stays))


def test_a_batch_of_which_all_stay_names_all() -> None:
    world = World()
    world.secrets.secrets.clear()
    for number in range(10):
        world.put_late(data={"type": "order", "id": ORDER_ID + number})
    batch = world.sqs.receive(RECOVERY_URL)

    answer = world.recover_orders.handle(batch, cast("Any", FakeContext(world.clock, seconds=60.0)))

    assert answer["batchItemFailures"] == [{"itemIdentifier": record["messageId"]} for record in batch["Records"]]
