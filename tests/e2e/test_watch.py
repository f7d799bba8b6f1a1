"""`relay watch` and `relay report` on a real deployment: what the functions log is what the commands read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.demo.scenarios import BUYER, secret_of
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import Store
from support.operator import Operator

if TYPE_CHECKING:
    from sandbox.demo.scenarios import Stage

STORE = "watched"


def test_orders_are_watched_and_summed_up(stage: Stage) -> None:
    # On a machine with much else to do, an order may miss its window: it is created all the same.
    store = stage.sandbox.add_store(Store(hash=STORE, company_customers={BUYER}, late_create_without_record=True))
    stage.cloud.put_secret(store.hash, secret_of(store))
    orders = [
        stage.sandbox.place_order(
            store, customer_id=BUYER, customer_message=f"{PO_LINE}PO-{number}", automatic_record_after=after
        )
        for number, after in enumerate((None, 0.0))
    ]
    deliveries = [delivery for order in orders for delivery in stage.sandbox.deliver(order, stage.cloud.webhook_url)]
    assert [delivery.wait(60).status for delivery in deliveries] == [200, 200]
    operator = Operator(stage)

    said = operator.says(f"watch {STORE} --orders 2 --for 90s --since 5m --json")

    steps = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    of_first = [step for step in steps if step["order"] == orders[0].id]
    first, *_, last = of_first
    assert (first["step"], first["status"]) == ("webhook", 200)
    assert (last["outcome"], last["po_number_found"]) == ("created", True)
    assert "PO-0" not in said

    report = operator.learns(f"report {STORE} --since 10m")

    counts, api = report["orders"], report["api"]
    assert (counts["all"], counts["created_in_window"] + counts["created_after_window"], counts["updated"]) == (2, 1, 1)
    assert api["create_accepted"]["times"] == 1
    if not counts["late_by_cause"]:
        assert api["create_refused_record_there"]["times"] == 1
    assert {row["endpoint"] for row in api["endpoints"]} == {"core.get_order", "b2b.create", "b2b.get", "b2b.update"}
    assert api["endpoints"][0]["lowest_remaining"] is not None
    assert "created inside the window" in operator.says(f"report {STORE} --days 1")
