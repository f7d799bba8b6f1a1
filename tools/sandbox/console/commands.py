"""What the page can do: place orders, inject faults, redrive or drop dead letters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.console.fault_menu import MENU, FaultyStore
from sandbox.console.faults import ActiveFaults
from sandbox.console.requests import InvalidRequest
from sandbox.store.webhooks import DeliveryOptions

if TYPE_CHECKING:
    from relay.store_secrets import StoreSecrets
    from sandbox.console.queues import QueueFollower
    from sandbox.console.requests import FaultRequest, OrderRequest
    from sandbox.store.orders import Order
    from sandbox.store.server import SandboxStore
    from sandbox.store.settings import Store


@dataclass(slots=True)
class Placed:
    """An order that was asked for."""

    order: Order
    request: OrderRequest
    faults: list[str] = field(default_factory=list)
    announced: bool = True
    dropped: bool = False

    @property
    def words(self) -> list[str]:
        """What is out of the ordinary about it."""
        return [*self.request.words, *self.faults]


class Commands:
    """The page's commands. Each method returns a sentence that says what was done."""

    def __init__(
        self,
        sandbox: SandboxStore,
        store: Store,
        letters: QueueFollower,
        webhook_url: str,
        store_secrets: StoreSecrets,
    ) -> None:
        """`store` is the one that can have faults of its own; `store_secrets` holds what the relay knows of it."""
        self._sandbox = sandbox
        self._letters = letters
        self._webhook_url = webhook_url
        self._lock = threading.Lock()
        self._placed: list[Placed] = []
        self.faults = ActiveFaults(FaultyStore(sandbox, store, store_secrets))

    @property
    def placed(self) -> list[Placed]:
        """All orders so far, the oldest first."""
        return list(self._placed)

    def place(self, request: OrderRequest) -> tuple[Placed, str]:
        """Places an order and lets its webhook go out, with the faults that wait for it."""
        with self._lock:
            options = request.order_options
            chosen = self.faults.before(options)
            if request.buyer == "company":
                self._sandbox.edit_buyer(request.store, options["customer_id"], **request.buyer_values)
            order = self._sandbox.place_order(request.store, **options)
            self.faults.bind(chosen, order)
            words = [fault.words for fault in chosen]
            placed = Placed(order, request, words, announced=request.delay_seconds is not None)
            self._placed.append(placed)
            if placed.announced:
                self._announce(placed, forged=any(fault.request.key == "forged" for fault in chosen))
        return placed, f"Order {order.id} is placed."

    def fault(self, request: FaultRequest) -> str:
        """Puts a fault in force."""
        with self._lock:
            fault = self.faults.take(request)
        when = "waits for the next order" if fault.for_next else "is in force"
        return f"{fault.words}: {when}."

    def remove_fault(self, fault_id: int) -> str:
        """Takes a fault back. Raises InvalidRequest when there is none such."""
        with self._lock:
            fault = self.faults.remove(fault_id)
        if fault is None:
            raise InvalidRequest("This fault is over already.")
        mended = MENU[fault.request.key].mended
        done = f"is mended: {mended}" if mended else "is over"
        return f"{fault.words}: {done}."

    def faults_as_json(self) -> list[dict[str, Any]]:
        """The faults in force, for the page. Raises botocore's errors."""
        with self._lock:
            return self.faults.as_json()

    def redrive(self, message_id: str) -> str:
        """Puts a dead letter back to work."""
        letter = self._letters.redrive(message_id)
        return f"Order {letter.order} is back in RecoveryQueue."

    def drop(self, message_id: str) -> str:
        """Deletes a dead letter."""
        letter = self._letters.drop(message_id)
        for placed in self._placed:
            if placed.order.id == letter.order:
                placed.dropped = True
        return f"The dead letter of order {letter.order} is dropped."

    def _announce(self, placed: Placed, *, forged: bool) -> None:
        if forged:
            # Not the store's own: sent once, past its hooks.
            options = DeliveryOptions(forged=True, retries=0, copies=placed.request.copies)
            self._sandbox.deliver(placed.order, self._webhook_url, options)
        else:
            self._sandbox.announce(placed.order, placed.request.delivery_options)
