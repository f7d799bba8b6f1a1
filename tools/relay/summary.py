"""Aggregates outcome log lines: counts of orders, and observations of the APIs."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from handler.deadline import WINDOW_SECONDS
from handler.errors import Cause
from handler.http.retries import TOO_MANY_REQUESTS

SUCCESS = range(200, 300)
BAD_REQUEST = 400
FINISHED = frozenset({"created", "updated", "unchanged"})
AFTERWARDS = {("created", "updated"), ("created", "unchanged")}


class Numbers:
    """A list of numbers that takes eight bytes for each."""

    def __init__(self) -> None:
        self._numbers = array("d")

    def add(self, number: Any) -> None:
        """Adds a number; ignores anything else, because the log can contain lines of other versions."""
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
            self._numbers.append(number)

    def as_json(self) -> dict[str, Any]:
        """Count, lowest, highest and percentiles (nearest rank); None if there are no numbers."""
        ordered = sorted(self._numbers)
        ranks = {f"p{percent}": max(math.ceil(percent / 100 * len(ordered)) - 1, 0) for percent in (50, 90, 99)}
        ranks |= {"lowest": 0, "highest": -1}
        return {"times": len(ordered)} | {
            name: round(ordered[rank], 2) if ordered else None for name, rank in ranks.items()
        }


@dataclass
class _Endpoint:
    answers: Counter[tuple[int | None, str]] = field(default_factory=Counter)
    ms: Numbers = field(default_factory=Numbers)
    lowest_remaining: int | None = None


@dataclass(slots=True)
class _Order:
    at: float
    outcome: str
    why: str
    first_late: tuple[float, str] | None = None
    in_window: bool = False
    created_age: float = math.inf
    """The order's age (seconds) when the relay itself may first have made the record."""
    found_age: float = math.inf
    """The order's age when a record was first found inside the window."""

    @property
    def record_was_there(self) -> bool:
        """Whether the record was made by the checkout or by B2B Edition, before the relay could make it."""
        return self.found_age < self.created_age


class Summary:
    """Aggregates outcome lines, in any order."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, int], _Order] = {}
        self._to_created, self._to_updated, self._to_first_call = Numbers(), Numbers(), Numbers()
        self._rules_applied = self._without_po_number = 0
        self._failed: Counter[str] = Counter()
        self._empty: Counter[str] = Counter()
        self._endpoints: defaultdict[str, _Endpoint] = defaultdict(_Endpoint)
        self._resets: defaultdict[str, Numbers] = defaultdict(Numbers)
        self._rate_limited = 0
        self._seen: defaultdict[str, Numbers] = defaultdict(Numbers)

    def add(self, line: dict[str, Any]) -> None:
        """Adds one log line; ignores lines that are not an outcome of an order."""
        outcome, order = line.get("outcome"), line.get("order")
        if not isinstance(outcome, str) or not isinstance(order, int) or outcome == "duplicate":
            return
        known = self._add_order((intern(str(line.get("store", ""))), order), intern(outcome), line)
        if outcome in FINISHED and isinstance(found := line.get("po_number_found"), bool):
            self._rules_applied += 1
            self._without_po_number += not found
            for name, counter in (("rules_failed", self._failed), ("rules_empty", self._empty)):
                if isinstance(rules := line.get(name), list):
                    counter.update(map(str, rules))
        calls = line.get("calls")
        calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        self._add_calls(calls, line)
        _add_record(known, calls)
        if outcome == "created" and isinstance(left := line.get("window_left_seconds"), int | float):
            self._to_created.add(WINDOW_SECONDS - left)
        if outcome in FINISHED - {"created"} and calls and isinstance(age := calls[-1].get("age"), int | float):
            self._to_updated.add(age)

    def _add_order(self, key: tuple[str, int], outcome: str, line: dict[str, Any]) -> _Order:
        at, why = line["at"], intern(str(line.get("cause") or line.get("reason") or "unknown"))
        order = self._orders.setdefault(key, _Order(at, outcome, why))
        # The newest line counts, but an order that was created stays created if its record is updated later, also while
        # it waits for a source.
        waits = outcome == "late" and why == Cause.SOURCE_UNAVAILABLE
        if (order.outcome, outcome) in AFTERWARDS or (order.outcome == "created" and waits):
            pass
        elif at >= order.at or (outcome, order.outcome) in AFTERWARDS:
            order.at, order.outcome, order.why = at, outcome, why
            left = line.get("window_left_seconds")
            order.in_window = isinstance(left, int | float) and left >= 0
        if outcome == "late" and (order.first_late is None or at < order.first_late[0]):
            order.first_late = (at, why)
        return order

    def _add_calls(self, calls: list[dict[str, Any]], line: dict[str, Any]) -> None:
        if calls and "receipts" not in line:  # only lines of the late path have the receive count
            self._to_first_call.add(calls[0].get("age"))
        for call in calls:
            self._add_call(call)
        for fact, age in _facts(calls, str(line.get("cause", ""))):
            self._seen[fact].add(age)

    def _add_call(self, call: dict[str, Any]) -> None:
        endpoint = self._endpoints[str(call.get("endpoint"))]
        status = call.get("status")
        endpoint.answers[status if isinstance(status, int) else None, str(call.get("shape"))] += 1
        if status is not None:
            endpoint.ms.add(call.get("ms"))
        if isinstance(left := call.get("remaining"), int):
            endpoint.lowest_remaining = min(
                left, left if endpoint.lowest_remaining is None else endpoint.lowest_remaining
            )
        if status == TOO_MANY_REQUESTS:
            self._rate_limited += 1
        resets = call.get("resets")
        for name, wait in (resets if isinstance(resets, dict) else {}).items():
            self._resets[str(name)].add(wait)

    def as_json(self) -> dict[str, Any]:
        """The summary; it always has all keys."""
        orders = self._orders.values()
        ended = Counter(order.outcome for order in orders)
        in_window = sum(order.in_window and order.outcome == "created" for order in orders)
        concerned = len(orders) - ended["skipped"]
        found = Numbers()
        for order in orders:
            if order.record_was_there:
                found.add(order.found_age)
        return {
            "orders": {
                "all": len(orders),
                "created_in_window": in_window,
                "share_created_in_window": round(in_window / concerned, 4) if concerned else None,
                "created_after_window": ended["created"] - in_window,
                "updated": ended["updated"],
                "unchanged": ended["unchanged"],
                "skipped": ended["skipped"],
                "late": ended["late"],
                "dead": ended["dead"],
                "late_by_cause": _by_number(Counter(o.first_late[1] for o in orders if o.first_late)),
                "dead_by_cause": _by_number(Counter(o.why for o in orders if o.outcome == "dead")),
                "skipped_by_reason": _by_number(Counter(o.why for o in orders if o.outcome == "skipped")),
                "seconds_to_created": self._to_created.as_json(),
                "seconds_to_updated": self._to_updated.as_json(),
            },
            "rules": {
                "applied": self._rules_applied,
                "without_po_number": self._without_po_number,
                "failed": _by_number(self._failed),
                "brought_nothing": _by_number(self._empty),
            },
            "api": {
                "seconds_to_first_call": self._to_first_call.as_json(),
                **{fact: self._seen[fact].as_json() for fact in FACTS},
                "record_already_there": found.as_json()
                | {"of": sum(order.record_was_there or order.created_age <= WINDOW_SECONDS for order in orders)},
                "rate_limit": {
                    "refused": self._rate_limited,
                    "reset_headers": {name: waits.as_json() for name, waits in sorted(self._resets.items())},
                },
                "endpoints": [
                    {
                        "endpoint": name,
                        "answers": [
                            {"status": status, "shape": shape, "times": times}
                            for (status, shape), times in endpoint.answers.most_common()
                        ],
                        "ms": endpoint.ms.as_json(),
                        "lowest_remaining": endpoint.lowest_remaining,
                    }
                    for name, endpoint in sorted(self._endpoints.items())
                ],
            },
        }


FACTS = (
    "order_not_readable",
    "create_accepted",
    "create_refused_record_there",
    "create_refused_no_record",
    "record_missing",
)
"""Observations, each with the order's age in seconds."""


def _add_record(order: _Order, calls: list[dict[str, Any]]) -> None:
    """When the record was there, and when the relay may have made it: by a Create Order that was not clearly refused."""
    for call in calls:
        age, status, is_clear = call.get("age"), call.get("status"), call.get("shape") == "api"
        if not isinstance(age, int | float):
            continue
        if call.get("endpoint") == "b2b.create" and not (is_clear and status not in SUCCESS):
            order.created_age = min(order.created_age, age)
        if call.get("endpoint") == "b2b.get" and is_clear and status in SUCCESS and age <= WINDOW_SECONDS:
            order.found_age = min(order.found_age, age)


def _facts(calls: list[dict[str, Any]], cause: str) -> list[tuple[str, Any]]:
    """The observations in an order's calls, each with the order's age.

    "The order already exists." has two causes: the record exists, or the window has closed. The following Get Order
    tells which. After a Create Order without a clear answer, the record may be the relay's own, so nothing is counted.
    """
    found = []
    for call in calls:
        kind = (call.get("endpoint"), call.get("status"), call.get("shape"))
        match kind:
            case ("core.get_order", 404, "api"):
                found.append(("order_not_readable", call.get("age")))
            case ("b2b.get", 404, "api"):
                found.append(("record_missing", call.get("age")))
            case ("b2b.create", status, "api") if status in SUCCESS:
                found.append(("create_accepted", call.get("age")))
    creates = [call for call in calls if call.get("endpoint") == "b2b.create"]
    if not creates or any(call.get("shape") != "api" for call in creates[:-1]):
        return found
    if (creates[-1].get("status"), creates[-1].get("shape")) == (BAD_REQUEST, "api"):
        later = calls[calls.index(creates[-1]) :]
        record = [
            call.get("status") for call in later if (call.get("endpoint"), call.get("shape")) == ("b2b.get", "api")
        ]
        if record and record[0] in SUCCESS:
            found.append(("create_refused_record_there", creates[-1].get("age")))
        elif record and cause == "not_there_yet":
            found.append(("create_refused_no_record", creates[-1].get("age")))
    return found


def _by_number(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())
