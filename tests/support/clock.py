"""Time that passes only when a test says so."""

from collections.abc import Callable
from dataclasses import dataclass, field

NOON = 1_785_000_000.0
"""When every fake world begins (unix seconds)."""


@dataclass(slots=True)
class FakeClock:
    """Call it for the present moment; `sleep` moves it and remembers by how much."""

    now: float = NOON
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "nobody can sleep backwards"
        self.slept.append(seconds)
        self.now += seconds

    def advance(self, seconds: float) -> None:
        self.now += seconds


def middle(low: float, high: float) -> float:
    """In place of `random.uniform`: jitter that a test can compute."""
    return (low + high) / 2


def at_once(clock: FakeClock) -> Callable[[Callable[[], None]], Callable[[float], None]]:
    """In place of `in_thread`: the work takes its fake time beside whatever is done until its end is waited for."""

    def begin(work: Callable[[], None]) -> Callable[[float], None]:
        began = clock.now
        work()
        ended, clock.now = clock.now, began

        def wait(seconds: float) -> None:
            clock.now = max(clock.now, min(ended, clock.now + max(seconds, 0.0)))

        return wait

    return begin
