"""A wrong rule, the orders it was finished with, and how they are done again: on a real deployment, with the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e.test_relay import wait_for
from sandbox.console.live_rules import RULES_IN_CODE
from sandbox.demo.scenarios import BUYER, Played, Stage
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import Store
from sandbox.store.webhooks import DeliveryOptions
from support.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORE = "redone"
WRONG = "first_match(external_order_id || customer_id, '(.*)')"
"""Fails unless the order has an external id: `customer_id` is a number."""
CORRECTED = "po_number(customer_message)"
OTHER = "join('-', ['ERP', external_order_id])"


@pytest.fixture
def deploy_rule(stage: Stage) -> Iterator[Callable[[str], None]]:
    """Deploys this rule for the store's PO numbers; the shipped rules are back afterwards."""
    shipped = stage.cloud.deployed_file(RULES_IN_CODE)

    def deploy(po_number: str) -> None:
        own = f'\n[stores.{STORE}]\npo_number = "{po_number}"\n'
        stage.cloud.replace_file(RULES_IN_CODE, shipped + own.encode())

    yield deploy
    stage.cloud.replace_file(RULES_IN_CODE, shipped)


def finished(operator: Operator, played: Played) -> Any:
    """The story of an order, once it is finished."""
    command = f"status {played.order.id} --store {STORE}"
    return wait_for(lambda: (story := operator.learns(command, code=None))["verdict"] == "finished" and story)


def po_number(played: Played) -> str | None:
    """On the record; None when there is none."""
    return played.record.po_number if played.record else None


def test_orders_that_a_wrong_rule_left_without_po_have_it_after_the_rule_is_corrected(
    stage: Stage, deploy_rule: Callable[[str], None]
) -> None:
    operator = Operator(stage)
    # On a machine with much else to do, an order may miss its window: it is created all the same, and so without a PO.
    store = stage.sandbox.add_store(Store(hash=STORE, company_customers={BUYER}, late_create_without_record=True))
    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": store.client_secret})
    on_store = Stage(stage.sandbox, stage.cloud, store)

    def announced(number: int, **more: Any) -> Played:
        text = f"{PO_LINE}PO-{number}"
        order = stage.sandbox.place_order(
            store, customer_id=BUYER, customer_message=text, automatic_record_after=None, **more
        )
        deliveries = stage.sandbox.deliver(order, stage.cloud.webhook_url, DeliveryOptions(time_compression=60))
        return Played(on_store, order, deliveries)

    def requests(played: Played) -> int:
        return len(stage.sandbox.requests(order=played.order))

    deploy_rule(WRONG)
    failed = [announced(number) for number in range(4)]
    other = announced(9, external_order_id="EXTERNAL")
    for played in failed:
        assert finished(operator, played)["rules_failed"] == [f"stores.{STORE}.po_number"]
        assert po_number(played) == ""
    assert finished(operator, other)["rules_failed"] == []
    orders = [played.order.id for played in failed]
    assert f"--order {orders[0]} --rules-failed" in operator.says(f"status {orders[0]} --store {STORE}")
    # Without a flag nothing is done again, and it is said what is.
    assert "--rules-failed" in operator.says(f"backfill --store {STORE} --since 1h")
    seen = requests(other)

    deploy_rule(CORRECTED)
    selection = f"backfill --store {STORE} --since 1h --per-minute 600 --rules-failed"
    dry = operator.learns(f"{selection} --dry-run")
    assert (dry["orders"], dry["rules_failed"]) == (orders, {f"stores.{STORE}.po_number": orders})
    assert operator.learns(selection)["orders"] == orders

    wait_for(lambda: [po_number(played) for played in failed] == [f"PO-{number}" for number in range(4)])
    for played in failed:
        assert finished(operator, played)["rules_failed"] == []
        effects = stage.sandbox.effects(store, played.order.id)
        assert (effects.creates, effects.updates) == (1, 1)
    assert requests(other) == seen
    assert po_number(other) == "EXTERNAL"
    assert operator.learns(selection)["orders"] == []

    # An order is given by its number when its rules did not fail and brought a wrong value.
    deploy_rule(OTHER)
    assert operator.learns(f"backfill --store {STORE} --order {other.order.id} --again")["again"] == [other.order.id]
    wait_for(lambda: po_number(other) == "ERP-EXTERNAL")
    assert operator.learns(f"failed list --store {STORE}", code=None)["count"] == 0
