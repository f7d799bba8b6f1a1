"""What the functions' logs say of each order, kept up to date at little cost however many ask."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.aws.cloud import Cloud

FUNCTIONS = ("OrderFunction", "RecoveryFunction")
FRESH_SECONDS = 0.5
"""Whoever asks again within this time is told what is known."""
OVERLAP_MS = 2_000
"""Read again each time, because a line can arrive after a later one."""


class LogBook:
    """Reads only what is new, and for all who ask at the same time once."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._since_ms = dict.fromkeys(FUNCTIONS, 0)
        self._seen: set[tuple[str, int, str]] = set()
        self._entries: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)

    def entries(self, store_hash: str, order_id: int) -> list[dict[str, Any]]:
        """The structured lines about an order, oldest first."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                for function in FUNCTIONS:
                    self._read(function)
                self._read_at = time.monotonic()
            return list(self._entries[store_hash, order_id])

    def _read(self, function: str) -> None:
        for event in self._cloud.log_events(function, self._since_ms[function]):
            if self._is_new(event):
                self._keep(event["message"])
                self._since_ms[function] = max(self._since_ms[function], event["timestamp"] - OVERLAP_MS)

    def _is_new(self, event: dict[str, Any]) -> bool:
        key = (event["logStreamName"], event["timestamp"], event["message"])
        known = key in self._seen
        self._seen.add(key)
        return not known

    def _keep(self, line: str) -> None:
        if line.startswith("{"):
            entry = json.loads(line)
            if "store" in entry and "order" in entry:
                self._entries[entry["store"], entry["order"]].append(entry)
