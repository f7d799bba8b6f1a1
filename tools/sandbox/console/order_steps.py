"""The five steps of an order: webhook, bus, look-up, Create Order, and the late path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.console.order_seen import answer_of

if TYPE_CHECKING:
    from sandbox.console.order_seen import Seen
    from sandbox.console.order_verdict import Verdict

WAITING, NOW, DONE, FAILED, LEFT_OUT = "waiting", "now", "done", "failed", "left out"
"""How a step can be."""

SUCCESS = range(200, 300)
STEP_NAMES = {"webhook": "Webhook", "bus": "Event bus", "look_up": "Look-up", "create": "Create Order", "late": "Late"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order."""

    key: str
    state: str
    words: str = ""
    at: float | None = None


def steps_of(seen: Seen, verdict: Verdict) -> list[Step]:
    """The five steps, each in its state."""
    return [
        _webhook(seen),
        _bus(seen),
        _look_up(seen, verdict),
        _create(seen, verdict),
        _late(seen, verdict),
    ]


def _webhook(seen: Seen) -> Step:
    if not seen.announced:
        return Step("webhook", LEFT_OUT, "not sent")
    if not seen.deliveries:
        return Step("webhook", LEFT_OUT, "no active hook")
    attempts = [attempt for delivery in seen.deliveries for attempt in delivery.attempts]
    if not attempts:
        delay = seen.deliveries[0].options.delay_seconds
        return Step("webhook", NOW, f"delayed by {delay:g} s" if delay else "being delivered")
    last = attempts[-1]
    if last.status is None:
        return Step("webhook", FAILED, "no answer; BigCommerce will retry", last.at)
    times = f", {len(attempts)} deliveries" if len(attempts) > 1 else ""
    state = DONE if last.status in SUCCESS else FAILED
    return Step("webhook", state, f"{last.status} after {last.seconds:.2f} s{times}", last.at + last.seconds)


def _bus(seen: Seen) -> Step:
    events = {line.facts.get("event"): line for line in seen.lines}
    if refused := events.get("bus.refused"):
        return Step("bus", FAILED, "refused; sent to RecoveryQueue", refused.at)
    if accepted := events.get("webhook.accepted"):
        return Step("bus", DONE, "published", accepted.at)
    # The functions' lines come when an invocation ends, their requests at once.
    return Step("bus", DONE if seen.requests or seen.lines else WAITING)


def _look_up(seen: Seen, verdict: Verdict) -> Step:
    asked = seen.of("core.get_order")
    if not asked:
        return Step("look_up", LEFT_OUT if verdict.settled else WAITING)
    last = asked[-1]
    tries = f" at attempt {len(asked)}" if len(asked) > 1 else ""
    if last.status in SUCCESS:
        return Step("look_up", DONE, f"read{tries}", last.at + (last.seconds or 0.0))
    if last.status is None or not (verdict.settled or verdict.key == "late"):
        return Step("look_up", NOW, f"in progress{f', attempt {len(asked)}' if tries else ''}", last.at)
    return Step("look_up", FAILED, answer_of(last) + tries, last.at)


def _create(seen: Seen, verdict: Verdict) -> Step:
    asked = seen.of("b2b.create")
    created = seen.line("created")
    if created:
        tries = f" at attempt {len(asked)}" if len(asked) > 1 else ""
        return Step("create", DONE, f"accepted{tries}", created.at)
    if not asked:
        return Step("create", LEFT_OUT if verdict.settled or verdict.key == "late" else WAITING)
    last, tries = asked[-1], f" at attempt {len(asked)}" if len(asked) > 1 else ""
    if verdict.settled or verdict.key == "late":
        return Step("create", FAILED, answer_of(last) + tries, last.at)
    return Step("create", NOW, f"in progress{f', attempt {len(asked)}' if tries else ''}", last.at)


def _late(seen: Seen, verdict: Verdict) -> Step:
    late = [line for line in seen.lines if line.outcome == "late"]
    tries = f"{len(late)} times" if len(late) > 1 else "once"
    match verdict.key:
        case "late":
            return Step("late", NOW, f"queued {tries}", late[-1].at)
        case "dead":
            return Step("late", FAILED, "in DeadLetterQueue", verdict.at)
        case "updated" | "unchanged":
            return Step("late", DONE, "Update Order" if verdict.key == "updated" else "nothing to do", verdict.at)
        case "underway" if seen.line("dead"):
            return Step("late", NOW, "back in RecoveryQueue")
        case _:
            return Step("late", LEFT_OUT if verdict.settled else WAITING)
