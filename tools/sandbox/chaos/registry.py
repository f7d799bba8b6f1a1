"""The list that the fault scenarios enter themselves into. Each has a store of its own, so they can play side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.chaos.field import ChaosStore, Field

Scenario = Callable[[Field], None]
"""Plays on a field. Raises Violated, or TimeoutError, when something does not come out as promised."""

SCENARIOS: dict[str, Scenario] = {}
LONG: set[str] = set()
"""Those that wait for a minute or more: they begin first."""
HEAVY: set[str] = set()
"""Those that keep the whole late path busy, or take minutes: they play after the others, and only in `make chaos`."""


def scenario(
    name: str, *, long: bool = False, heavy: bool = False, **settings: Any
) -> Callable[[Callable[[ChaosStore], None]], Callable[[ChaosStore], None]]:
    """Enter a scenario into the list; it is given a store of its own, with these settings."""

    def enter(play: Callable[[ChaosStore], None]) -> Callable[[ChaosStore], None]:
        if name in SCENARIOS:
            raise ValueError(f"there are two scenarios {name!r}")
        store_hash = f"chaos{len(SCENARIOS):02}"
        SCENARIOS[name] = lambda field: play(field.open_store(store_hash, **settings))
        if long:
            LONG.add(name)
        if heavy:
            HEAVY.add(name)
        return play

    return enter
