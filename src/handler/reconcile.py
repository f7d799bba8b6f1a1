"""Finds orders whose webhook was lost, by comparing each store's recent orders with the table.

Runs on a schedule. Missing orders go to RecoveryQueue like any late order. A webhook that BigCommerce has deactivated is
activated again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.bigcommerce.hooks_api import silent
from handler.bigcommerce.store_api import date_created
from handler.deadline import Clock, Deadline
from handler.desired import GUEST
from handler.errors import Cause, Refused, RetryLater
from handler.order_event import OrderEvent
from handler.outcomes import Late
from handler.table.store_registry import Progress
from handler.telemetry import Metric, count, logger, measure_seconds
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from handler.bigcommerce.hooks_api import HooksApi
    from handler.bigcommerce.store_api import StoreApi
    from handler.endings import Endings
    from handler.table.order_notes import OrderNotes
    from handler.table.store_registry import StoreRegistry

T = TypeVar("T")

SETTLE_SECONDS = 120.0
"""Orders younger than this may still be in the live path."""

OVERLAP_SECONDS = 900.0
"""This much is checked twice, since the store's list can show an order late."""

FIRST_PERIOD_SECONDS = 3600.0
"""The longest period of a store's first check. It begins when the webhook was made: there were no events before."""

LONGEST_PERIOD_DAYS = 30.0
STORE_SECONDS = 60.0
RESERVED_SECONDS = 5.0

SHORTEST_CHECK_SECONDS = 5.0
"""With less time left, a store is checked by the next invocation, which begins with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileStores:
    """Finds orders whose webhook was lost, and webhooks that are inactive."""

    webhook_url: str
    remember_done_days: float
    store_api: StoreApi
    hooks_api: HooksApi
    order_notes: OrderNotes
    stores: StoreRegistry
    endings: Endings
    clock: Clock

    def handle(self, context: LambdaContext) -> dict[str, int]:
        """Checks every known store, beginning with the one whose last check is longest ago.

        Returns the number of missing orders by store: 0 for a store whose check failed, and nothing when the list of
        stores could not be read. Failures are counted and logged, never raised, so one store does not stop the others.
        """
        invocation = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS, self.clock)
        progress = _guarded(self._progress, None)
        if progress is None:
            return {}
        found = {}
        for store_hash, reached in progress.items():
            with logger.append_context_keys(store=store_hash):
                behind = 0.0 if reached is None else self.clock() - SETTLE_SECONDS - reached.until
                measure_seconds(Metric.RECONCILE_BEHIND, behind)
                deadline = Deadline.after(STORE_SECONDS, self.clock).earlier_of(invocation)
                found[store_hash] = _guarded(partial(self._check_store, store_hash, reached, deadline), 0)
        count(Metric.RECONCILE_RUNS)
        return found

    def _progress(self) -> dict[str, Progress | None]:
        """How far each store was reconciled, in the order of checking; None for a new store.

        Sorted by the last check, successful or not: stores that hang must not take the time of the same others again.
        """
        stores = self.stores.all()
        progress = self.stores.progress(stores)
        in_turn = sorted(stores, key=lambda store: progress[store].tried_at if store in progress else 0.0)
        return {store: progress.get(store) for store in in_turn}

    def _check_store(self, store_hash: str, progress: Progress | None, deadline: Deadline) -> int:
        """The number of orders that were sent to RecoveryQueue."""
        if deadline.remaining_seconds < SHORTEST_CHECK_SECONDS:
            raise RetryLater(Cause.WINDOW_MISSED, "no time was left to check the store")
        hook_made_at = _guarded(partial(self._check_hooks, store_hash, deadline), None)
        now = self.clock()
        until = now - SETTLE_SECONDS
        if progress is None:
            since = max(now - FIRST_PERIOD_SECONDS, hook_made_at or 0.0)
            progress = Progress(since=min(since, until), until=until, tried_at=now)
        progress = replace(progress, tried_at=now)
        self.stores.note_progress(store_hash, progress)
        return self._check_orders(store_hash, progress, until, deadline)

    def _check_hooks(self, store_hash: str, deadline: Deadline) -> float | None:
        """Activates hooks again. Returns when the store's first hook was made (unix seconds), or None if that is unknown."""
        hooks = self.hooks_api.pointing_at(store_hash, self.webhook_url, deadline)
        count(Metric.HOOK_MISSING, 0 if hooks else 1)
        if not hooks:
            logger.warning("the store has no webhook that points here", event="hook.missing")
        inactive = silent(hooks)
        if inactive and not self.stores.hook_is_paused(store_hash):
            for hook in inactive:
                _guarded(partial(self._activate, store_hash, hook["id"], deadline), None)
        made_at = [whole_number(hook.get("created_at")) for hook in hooks]
        return min((moment for moment in made_at if moment is not None and moment <= self.clock()), default=None)

    def _activate(self, store_hash: str, hook_id: int, deadline: Deadline) -> None:
        self.hooks_api.switch(store_hash, hook_id, deadline, active=True)
        count(Metric.HOOK_REACTIVATED)
        logger.warning("inactive webhook reactivated", event="hook.reactivated", hook=hook_id)

    def _check_orders(self, store_hash: str, progress: Progress, until: float, deadline: Deadline) -> int:
        """The number of orders sent to RecoveryQueue. The next check begins where this one ended, also after an error."""
        missing = 0
        count(Metric.ORDER_RECONCILED, 0)  # so that the metric distinguishes "none found" from "not checked"
        since = max(progress.since, self.clock() - self._longest_period_seconds)
        for page in self.store_api.list_orders(store_hash, since, until, deadline):
            missing += self._queue_unknown(store_hash, page, until, deadline)
            dates = [date for order in page if (date := date_created(order)) is not None]
            if dates and dates == sorted(dates):  # otherwise the next page may have earlier orders
                progress = _advanced(progress, dates[-1])
                self.stores.note_progress(store_hash, progress)
        self.stores.note_progress(store_hash, _advanced(progress, until))
        return missing

    @property
    def _longest_period_seconds(self) -> float:
        """Older finished orders may be deleted from the table, and would be taken for missing ones."""
        days = min(LONGEST_PERIOD_DAYS, max(self.remember_done_days - 1, self.remember_done_days / 2))
        return days * 86_400

    def _queue_unknown(self, store_hash: str, page: list[dict[str, Any]], until: float, deadline: Deadline) -> int:
        """The number of orders of the page that the relay does not know. `until` is the date of orders without one."""
        dated = {order["id"]: date_created(order) or until for order in page if order.get("customer_id") != GUEST}
        unknown = self.order_notes.unknown(store_hash, dated)
        for order in unknown:
            if deadline.remaining_seconds <= 0:
                raise RetryLater(Cause.WINDOW_MISSED, "no time was left to send all missing orders to RecoveryQueue")
            event = OrderEvent(store_hash, order, dated[order], f"{store_hash}-{order}")
            late = Late(Cause.RECONCILED, "no webhook came for the order, or its processing was interrupted")
            with logger.append_context_keys(order=order):
                self.endings.late(event, late)
        return len(unknown)


def _advanced(progress: Progress, reached: float) -> Progress:
    """The progress of a store whose orders up to `reached` (unix seconds) were checked."""
    return replace(progress, since=max(progress.since, reached - OVERLAP_SECONDS), until=max(progress.until, reached))


def _guarded(check: Callable[[], T], otherwise: T) -> T:
    """The result of `check`; after a failure, which is counted and logged, `otherwise`."""
    try:
        return check()
    except (RetryLater, Refused) as error:
        logger.warning("reconcile failed for a store", event="reconcile.failed", cause=error.cause, detail=error.detail)
    except (ClientError, BotoCoreError) as error:
        logger.warning("reconcile failed for a store", event="reconcile.failed", error=error_code(error))
    except Exception:  # noqa: BLE001  one store's bad data must not stop the others
        logger.exception("reconcile failed unexpectedly for a store", event="reconcile.failed")
        count(Metric.UNEXPECTED_ERROR)
    count(Metric.RECONCILE_FAILED)
    return otherwise
