"""Webhooks that never came: looks through each store's recent orders for those that the relay has not heard of.

Runs on a schedule. What is missing goes to RecoveryQueue like any late order; a hook that BigCommerce has switched off
is switched on again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.deadline import Clock, Deadline
from handler.errors import Cause, Refused, RetryLater
from handler.order_event import OrderEvent
from handler.outcomes import Late
from handler.store_api import date_created
from handler.telemetry import Metric, count, logger, measure_seconds
from handler.wanted import GUEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from handler.hooks_api import HooksApi
    from handler.journal import Journal
    from handler.known_stores import KnownStores
    from handler.queues import Queues
    from handler.store_api import StoreApi

SETTLE_SECONDS = 120.0
"""Orders younger than this may still be on their way through the live path."""

OVERLAP_SECONDS = 900.0
"""Looked at again each time, for orders that the store's list showed late."""

FIRST_LOOK_SECONDS = 3600.0
"""How far back the first look at a store goes: orders from before the relay's time are not its business."""

LONGEST_LOOK_SECONDS = 30 * 86_400.0
"""After a longer rest than finished orders are remembered, older ones would be taken for missed."""

STORE_SECONDS = 60.0
RESERVED_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileStores:
    """Finds orders without a webhook, and hooks without life."""

    webhook_url: str
    store_api: StoreApi
    hooks_api: HooksApi
    journal: Journal
    stores: KnownStores
    queues: Queues
    clock: Clock

    def handle(self, context: LambdaContext) -> dict[str, int]:
        """Looks at every known store; answers how many orders were found missing, by store. One store's trouble is its own."""
        invocation = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS, self.clock)
        found = {}
        for store_hash in self._in_turn(self.stores.all()):
            deadline = Deadline.after(STORE_SECONDS, self.clock).earlier_of(invocation)
            with logger.append_context_keys(store=store_hash):
                self._try(self._look_at_hook, store_hash, deadline)
                found[store_hash] = self._try(self._look_at_orders, store_hash, deadline)
        count(Metric.RECONCILED)
        return found

    def _in_turn(self, stores: list[str]) -> list[str]:
        """The stores, each time beginning with another: those that hang must not always leave the same ones without time."""
        first = int(self.clock() // 60) % len(stores) if stores else 0
        return stores[first:] + stores[:first]

    @staticmethod
    def _try(look: Callable[[str, Deadline], int], store_hash: str, deadline: Deadline) -> int:
        """What a look found; a look that fails is counted, and costs the others nothing."""
        try:
            return look(store_hash, deadline)
        except (RetryLater, Refused) as error:
            cause = str(error)
        except (ClientError, BotoCoreError) as error:
            cause = type(error).__name__
        count(Metric.RECONCILE_FAILED)
        logger.warning("a store could not be reconciled", cause=cause)
        return 0

    def _look_at_hook(self, store_hash: str, deadline: Deadline) -> int:
        """How many hooks were switched on again."""
        ours = self.hooks_api.pointing_at(store_hash, self.webhook_url, deadline)
        count(Metric.HOOK_MISSING, 0 if ours else 1)
        if not ours:
            logger.warning("the store has no webhook that points here")
        elif not any(hook.get("is_active") for hook in ours) and not self.stores.hook_rests(store_hash):
            self.hooks_api.switch(store_hash, ours[0]["id"], deadline, active=True)
            count(Metric.HOOK_REACTIVATED)
            logger.warning("the store's webhook was switched off; it is active again")
            return 1
        return 0

    def _look_at_orders(self, store_hash: str, deadline: Deadline) -> int:
        """How many orders were handed over. Only when all of them were, the next look begins where this one ended."""
        now = self.clock()
        until = now - SETTLE_SECONDS
        looked_until = self.stores.reconciled_until(store_hash)
        measure_seconds(Metric.RECONCILE_BEHIND, 0.0 if looked_until is None else until - looked_until)
        since = now - FIRST_LOOK_SECONDS if looked_until is None else looked_until - OVERLAP_SECONDS
        missing = 0
        count(Metric.ORDER_RECONCILED, 0)  # somebody has looked, and the alarm can tell that from silence
        for page in self.store_api.list_orders(store_hash, max(since, now - LONGEST_LOOK_SECONDS), until, deadline):
            dated = {order["id"]: date_created(order) or until for order in page if order.get("customer_id") != GUEST}
            for order in self.journal.unknown(store_hash, dated):
                late = Late(Cause.RECONCILED, "no webhook has told of the order")
                event = OrderEvent(store_hash, order, dated[order], f"{store_hash}-{order}")
                self.queues.hand_over(event, late.cause, late.detail)
                self.journal.note(store_hash, order, late)
                count(Metric.ORDER_RECONCILED)
                logger.warning("order handed to RecoveryQueue", order=order, outcome="late", cause=late.cause)
                missing += 1
        self.stores.note_reconciled(store_hash, until)
        return missing
