"""All that the page shows, as one JSON value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from relay.context import USER_AGENT
from sandbox.console.order_seen import Seen, line_as_json, record_as_json, request_as_json
from sandbox.console.order_steps import STEP_NAMES, steps_of
from sandbox.console.order_verdict import Verdict, verdict_of, window_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handler.deadline import Clock
    from sandbox.aws.logs import LogFollower
    from sandbox.console.commands import Commands, Placed
    from sandbox.console.live_rules import LiveRules
    from sandbox.console.queues import QueueFollower
    from sandbox.store.server import SandboxStore
    from sandbox.store.settings import Store

MOST_ORDERS = 40
"""Orders that are shown, the newest; the older ones go on all the same."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One order as it stands."""

    placed: Placed
    seen: Seen
    verdict: Verdict


@dataclass
class Snapshots:
    """Everything that the page shows. `errors` are those of the last refresh, by what was refreshed."""

    sandbox: SandboxStore
    stores: Sequence[Store]
    commands: Commands
    logs: LogFollower
    letters: QueueFollower
    rules: LiveRules
    clock: Clock
    errors: dict[str, str] = field(default_factory=dict)

    def take(self, chosen: int | None) -> dict[str, Any]:
        """How everything stands now, with all that is known of the chosen order."""
        shown = [self._scene(placed) for placed in reversed(self.commands.placed[-MOST_ORDERS:])]
        selected = next((scene for scene in shown if scene.placed.order.id == chosen), None)
        return {
            "now": self.clock(),
            "state": {
                "error": next(iter(self.errors.values()), ""),
                "orders": [_order(scene) for scene in shown],
                "selected": _details(selected) if selected else None,
                "faults": self.commands.faults_as_json(),
                "queues": self._queues(shown),
                "rules": self.rules.as_json(self.stores[0].hash),
                "stores": [_credentials(store) for store in self.stores],
            },
        }

    def _scene(self, placed: Placed) -> Scene:
        order = placed.order
        seen = Seen(
            order=order,
            deliveries=self.sandbox.deliveries(order),
            requests=[r for r in self.sandbox.requests(order=order) if r.user_agent != USER_AGENT],
            lines=self.logs.of_order(order.store_hash, order.id),
            record=self.sandbox.record(order.store_hash, order.id),
            dead_letter=self.letters.of_order(order.store_hash, order.id),
            announced=placed.announced,
            dropped=placed.dropped,
            redriven=self.letters.has_left(order.store_hash, order.id),
            window_seconds=self.stores[0].window_seconds,
        )
        return Scene(placed, seen, verdict_of(seen))

    def _queues(self, shown: list[Scene]) -> dict[str, Any]:
        late = [
            {"order": scene.placed.order.id, "words": scene.verdict.why}
            for scene in shown
            if scene.verdict.key == "late"
        ]
        letters = [letter.as_json() for letter in self.letters.letters]
        return {
            "recovery": asdict(self.letters.recovery) | {"orders": late},
            "dead": asdict(self.letters.dead) | {"letters": letters},
        }


def _credentials(store: Store) -> dict[str, str]:
    """What an operator is asked for by `relay store add`; made up, and good for nothing but this store."""
    return {"hash": store.hash, "access_token": store.access_token, "client_secret": store.client_secret}


def _order(scene: Scene) -> dict[str, Any]:
    placed, seen, verdict = scene.placed, scene.seen, scene.verdict
    return {
        "id": placed.order.id,
        "store": placed.order.store_hash,
        "buyer": placed.request.buyer,
        "po_number": placed.request.po_number,
        "created_at": placed.order.created_at,
        "notes": placed.words,
        "verdict": {"key": verdict.key, "tone": verdict.tone, "words": verdict.words, "why": verdict.why},
        "window": window_of(seen, verdict),
        "steps": [
            {"key": step.key, "name": STEP_NAMES[step.key], "state": step.state, "words": step.words}
            | {"after": None if step.at is None else seen.after(step.at)}
            for step in steps_of(seen, verdict)
        ],
    }


def _details(scene: Scene) -> dict[str, Any]:
    seen = scene.seen
    return {
        "id": scene.placed.order.id,
        "record": record_as_json(seen.record),
        "requests": [request_as_json(seen, request) for request in seen.requests],
        "log": [line_as_json(seen, line) for line in seen.lines],
    }
