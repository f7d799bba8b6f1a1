"""Webhooks that never came, through the real template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.conftest import outcomes
from e2e.test_relay import wait_for
from sandbox.demo.scenarios import BUYER, Stage, play_webhook
from sandbox.store import faults
from sandbox.store.settings import Store

if TYPE_CHECKING:
    from sandbox.store.orders import Order


def a_store_that_the_relay_knows(stage: Stage, store_hash: str) -> Stage:
    store = stage.sandbox.add_store(Store(hash=store_hash, company_customers={BUYER}))
    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": store.client_secret})
    on_store = Stage(stage.sandbox, stage.cloud, store)
    first = play_webhook(automatic_record_after=None)(on_store)
    wait_for(lambda: first.record)
    return on_store


def reconcile(stage: Stage) -> dict[str, int]:
    """What ReconcileFunction answers: how many orders it found missing, by store."""
    answer = stage.cloud.client("lambda").invoke(FunctionName=stage.cloud.outputs["ReconcileFunctionName"])
    found: dict[str, int] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, found
    return found


def place_unannounced(stage: Stage, po_number: str) -> Order:
    """An order whose PO number stands where only the relay reads it: the store's own record comes without."""
    return stage.sandbox.place_order(
        stage.store, customer_id=BUYER, customer_message=f"PO Number: {po_number}", created_ago_seconds=300
    )


def test_an_order_whose_webhook_never_came_is_found_and_finished_once(stage: Stage) -> None:
    on_store = a_store_that_the_relay_knows(stage, "forgetful")
    order = place_unannounced(on_store, "PO-SILENT")
    place_guest = stage.sandbox.place_order(on_store.store, customer_id=0, created_ago_seconds=300)

    found = reconcile(stage)

    assert found["forgetful"] == 1
    wait_for(lambda: (r := stage.sandbox.record(on_store.store, order.id)) and r.po_number == "PO-SILENT")
    wait_for(lambda: "updated" in outcomes(stage, order))
    assert stage.sandbox.requests("b2b", order=place_guest) == []
    seen = len(stage.sandbox.requests("b2b", order=order))
    assert reconcile(stage)["forgetful"] == 0
    assert len(stage.sandbox.requests("b2b", order=order)) == seen


def test_a_hook_that_was_switched_off_is_switched_on_again(stage: Stage) -> None:
    on_store = a_store_that_the_relay_knows(stage, "silenced")
    hook = stage.sandbox.add_hook(on_store.store, stage.cloud.outputs["WebhookUrl"])
    hook.is_active = False

    reconcile(stage)

    assert hook.is_active


def test_a_channels_hook_that_was_switched_off_is_switched_on_again(stage: Stage) -> None:
    on_store = a_store_that_the_relay_knows(stage, "channels")
    for channel in (1, 2):
        hook = stage.sandbox.add_hook(
            on_store.store, stage.cloud.outputs["WebhookUrl"], f"store/channel/{channel}/order/created"
        )
        hook.is_active = channel == 1

    reconcile(stage)

    assert [hook.is_active for hook in stage.sandbox.hooks(on_store.store)] == [True, True]


def test_of_a_list_that_ignores_the_dates_nothing_is_worked_on(stage: Stage) -> None:
    on_store = a_store_that_the_relay_knows(stage, "unfiltered")
    old = stage.sandbox.place_order(on_store.store, customer_id=BUYER, created_ago_seconds=90 * 86_400)
    new = place_unannounced(on_store, "PO-LISTED")
    rows = [order.as_json() for order in (old, new)]
    rule = stage.sandbox.fault(
        faults.status(200, body=rows), endpoint="core.list_orders", store=on_store.store, times=None
    )

    assert reconcile(stage)["unfiltered"] == 0
    stage.sandbox.remove_fault(rule)
    assert reconcile(stage)["unfiltered"] == 1

    wait_for(lambda: (r := stage.sandbox.record(on_store.store, new.id)) and r.po_number == "PO-LISTED")
    assert stage.sandbox.requests("b2b", order=old) == []


def test_bad_data_of_one_store_does_not_keep_reconcile_from_the_others(stage: Stage) -> None:
    bad = a_store_that_the_relay_knows(stage, "aaabad")
    on_store = a_store_that_the_relay_knows(stage, "sound")
    hook = {"scope": "store/order/created", "destination": stage.cloud.outputs["WebhookUrl"], "is_active": False}
    stage.sandbox.fault(faults.status(200, body={"data": [hook]}), endpoint="core.hooks", store=bad.store, times=None)
    stage.sandbox.fault(faults.status(200, body=[None, {}]), endpoint="core.list_orders", store=bad.store, times=None)
    place_unannounced(on_store, "PO-SOUND")

    found = reconcile(stage)

    assert (found["aaabad"], found["sound"]) == (0, 1)


def test_one_store_in_trouble_does_not_keep_reconcile_from_the_others(stage: Stage) -> None:
    a_store_that_the_relay_knows(stage, "aaatrouble")
    on_store = a_store_that_the_relay_knows(stage, "healthy")
    stage.sandbox.configure("aaatrouble", access_token="revoked-by-somebody")
    place_unannounced(on_store, "PO-HEALTHY")

    found = reconcile(stage)

    assert (found["aaatrouble"], found["healthy"]) == (0, 1)
