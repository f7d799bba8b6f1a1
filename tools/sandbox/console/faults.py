"""The faults in force, and those that wait for the next order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from sandbox.console.fault_menu import ENDPOINTS, EXTENTS, MENU, NOT_READABLE_SECONDS

if TYPE_CHECKING:
    from sandbox.console.fault_menu import FaultyStore
    from sandbox.console.requests import FaultRequest
    from sandbox.store.faults import Rule
    from sandbox.store.orders import Order, OrderOptions

ALL = "all"


@dataclass(slots=True)
class ActiveFault:
    """One fault that was asked for. `rule` is its part in the store's APIs, once it has one."""

    id: int
    request: FaultRequest
    rule: Rule | None = None
    order: int | None = None

    @property
    def for_next(self) -> bool:
        """Whether it still waits for an order."""
        return self.request.extent != ALL and self.order is None and MENU[self.request.key].for_order

    @property
    def spent(self) -> bool:
        """Whether it will strike no more."""
        if self.rule is None:
            return self.order is not None
        return self.rule.times is not None and self.rule.struck >= self.rule.times

    @property
    def words(self) -> str:
        """What it is, for people."""
        choice = MENU[self.request.key]
        where = f" at {ENDPOINTS[self.request.endpoint]}" if choice.make else ""
        return f"{choice.label}{where}"

    @property
    def for_whom(self) -> str:
        """Whom it strikes."""
        if not MENU[self.request.key].for_order:
            return "until mended" if MENU[self.request.key].mended else "until removed"
        label, times = EXTENTS[self.request.extent]
        if self.order is None:
            # "One call" means nothing to what no call meets.
            return label if MENU[self.request.key].make or not self.for_next else label.partition(",")[0]
        left = "every call" if times is None or self.rule is None else f"{self.rule.struck} of {times} calls"
        return f"order {self.order}, {left}"


class ActiveFaults:
    """Adds faults, binds them to orders and removes them. Not thread-safe."""

    def __init__(self, faulty: FaultyStore) -> None:
        """`faulty` is the store that can have faults of its own."""
        self._sandbox, self._faulty = faulty.sandbox, faulty
        self._ids = count(1)
        self._taken: list[ActiveFault] = []

    @property
    def active(self) -> list[ActiveFault]:
        """Those that strike, or wait for an order. Raises botocore's errors."""
        self._taken = [
            fault for fault in self._taken if not (fault.spent or MENU[fault.request.key].is_mended(self._faulty))
        ]
        return list(self._taken)

    def take(self, request: FaultRequest) -> ActiveFault:
        """Puts a fault in force: at once where it is for everybody, otherwise with the next order."""
        choice = MENU[request.key]
        if not choice.for_order:
            if same := next((fault for fault in self.active if fault.request.key == request.key), None):
                return same
            if choice.of_store:
                choice.of_store(self._faulty)
        fault = ActiveFault(next(self._ids), request)
        if choice.outage:
            fault.rule = self._sandbox.down(choice.outage)
        if choice.make and request.extent == ALL:
            fault.rule = self._sandbox.fault(choice.make(request.endpoint), request.endpoint, times=None)
        self._taken.append(fault)
        return fault

    def remove(self, fault_id: int) -> ActiveFault | None:
        """Takes a fault back; None when it is gone already."""
        fault = next((fault for fault in self._taken if fault.id == fault_id), None)
        if fault is None:
            return None
        self._taken.remove(fault)
        if fault.rule:
            self._sandbox.remove_fault(fault.rule)
        MENU[fault.request.key].end(self._faulty)
        return fault

    def before(self, options: OrderOptions) -> list[ActiveFault]:
        """Changes an order that is about to be placed; answers the faults that are for it."""
        of_orders = [fault for fault in self.active if MENU[fault.request.key].for_order]
        chosen = [fault for fault in of_orders if fault.for_next or fault.request.extent == ALL]
        if any(fault.request.key == "not-readable" for fault in chosen):
            options["readable_after_seconds"] = NOT_READABLE_SECONDS + options.get("created_ago_seconds", 0.0)
        return chosen

    def bind(self, chosen: list[ActiveFault], order: Order) -> None:
        """Binds the faults that waited for an order to this one."""
        for fault in chosen:
            make = MENU[fault.request.key].make
            if not fault.for_next:
                continue
            fault.order = order.id
            if make:
                times = EXTENTS[fault.request.extent][1]
                fault.rule = self._sandbox.fault(
                    make(fault.request.endpoint), fault.request.endpoint, order=order, times=times
                )

    def as_json(self) -> list[dict[str, Any]]:
        """For the page."""
        return [
            {
                "id": fault.id,
                "words": fault.words,
                "for_whom": fault.for_whom,
                "verb": "Mend" if MENU[fault.request.key].mended else "Remove",
            }
            for fault in self.active
        ]
