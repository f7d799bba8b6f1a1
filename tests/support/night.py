"""A night at the relay with CloudWatch watching: what happens is done by the functions' own code, minute by minute.

The functions' metrics are what they write; AWS's own are put as AWS would, from the state of the queues or by the test.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

from handler.dates import rfc2822, unix_seconds
from handler.enrichment import Rules
from support.aws import DEAD_LETTER_URL, RECOVERY_URL, FakeContext
from support.aws_metrics import PUBLISHED
from support.cloudwatch import Alarm, Metrics
from support.events import BUYER, STORE_HASH, request, webhook
from support.exchange import Sent, Step, answer
from support.telemetry import SERVICE, Written
from support.template import STACK, Resolved
from support.world import SECRET_NAME, SETTINGS, World

KEY = {"name": "X-Relay-Key", "value": "a-long-random-text"}
WEBHOOK_URL = "https://relay.example.com/live/webhooks"
HOOKS = f"/stores/{STORE_HASH}/v3/hooks"
ORDERS = f"/stores/{STORE_HASH}/v2/orders"
RECEIVES_THAT_HIDE_AGE = 3
SERVER_ERROR = 500

assert SERVICE == STACK, "the functions' service is the stack's name"


@dataclass
class Night:
    """One store's relay, its metrics, and the alarms of the template."""

    world: World
    written: Written
    template: Resolved
    metrics: Metrics = field(default_factory=Metrics)
    recovery_runs: bool = True
    _orders: int = 1000
    _read: int = 0

    def __post_init__(self) -> None:
        self.alarms = {name: Alarm(spec) for name, spec in self.template.of_type("AWS::CloudWatch::Alarm").items()}
        # The signature library reads the real clock; the header is the proof that knows none.
        secret = {"access_token": self.world.store.access_token, "webhook_header": KEY}
        self.world.secrets.put(SECRET_NAME, json.dumps(secret))
        self.world.stores.note(STORE_HASH)
        self.mend()

    # --- time -----------------------------------------------------------------------------------------------------

    def pass_minutes(self, minutes: int) -> None:
        """Minute by minute: late orders are worked on, what was written becomes metrics, AWS adds its own, alarms look."""
        for _ in range(minutes):
            if self.recovery_runs:
                self._recover()
            self._collect()
            self.world.clock.advance(60)
            for alarm in self.alarms.values():
                alarm.evaluate(self.metrics, self.world.clock.now)

    def ringing(self) -> set[str]:
        """The alarms in state ALARM."""
        return {name for name, alarm in self.alarms.items() if alarm.state == "ALARM"}

    def rung(self) -> set[str]:
        """The alarms that have rung at any time."""
        return {name for name, alarm in self.alarms.items() if "ALARM" in alarm.history}

    def aws(self, namespace: str, name: str, value: float, **dimensions: str) -> None:
        """A value of a metric that AWS publishes."""
        assert PUBLISHED[namespace, name] == dimensions.keys(), "AWS publishes no such metric"
        self.metrics.put(namespace, name, dimensions, value, self.world.clock.now)

    def function(self, function: str, name: str, value: float = 1.0) -> None:
        """A value of one of Lambda's own metrics."""
        self.aws("AWS/Lambda", name, value, FunctionName=f"{STACK}-{function}")

    def _collect(self) -> None:
        blobs = self.written.blobs()
        for blob in blobs[self._read :]:
            self.metrics.put_embedded(blob, self.world.clock.now)
        self._read = len(blobs)
        for url, queue in ((RECOVERY_URL, f"{STACK}-recovery"), (DEAD_LETTER_URL, f"{STACK}-dead-letters")):
            now, messages = self.world.clock.now, self.world.sqs.queues[url]
            visible = sum(message.visible_at <= now for message in messages)
            self.aws("AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, QueueName=queue)
            # SQS: what was received more often is not counted in.
            ages = [now - message.sent_at for message in messages if message.receipts <= RECEIVES_THAT_HIDE_AGE]
            self.aws("AWS/SQS", "ApproximateAgeOfOldestMessage", max(ages, default=0), QueueName=queue)
        for function in ("order", "recovery", "reconcile"):
            for name in ("Errors", "Throttles"):
                self.function(function, name, 0)
        self.aws("AWS/ApiGateway", "5XXError", 0, ApiName=STACK, Stage="live")

    # --- what happens ---------------------------------------------------------------------------------------------

    def place(self) -> int:
        """An order in the store, and nobody is told."""
        self._orders += 1
        self.world.place(order_id=self._orders, automatic_record_after=30.0)
        return self._orders

    def order(self, *, age_seconds: float = 0.5, **changes: Any) -> int:
        """An order of its own, announced by a genuine webhook; the bus brings its event to the live path at once."""
        self.place()
        created_at = self.world.clock.now - age_seconds
        detail = webhook(created_at, data={"type": "order", "id": self._orders}, **changes)
        self.webhook(detail)
        if self.world.bus.entries:
            self.world.bus.entries.clear()
            self.world.create(created_at=created_at, data={"type": "order", "id": self._orders}, **changes)
        return self._orders

    def webhook(self, detail: Any, *, key: str = KEY["value"]) -> int:
        """A webhook through API Gateway; answers the status, which API Gateway counts."""
        answered = self.world.intake.handle(request(json.dumps(detail), {KEY["name"]: key}))
        status: int = answered["statusCode"]
        if status >= SERVER_ERROR:
            self.aws("AWS/ApiGateway", "5XXError", 1, ApiName=STACK, Stage="live")
        return status

    def _recover(self) -> None:
        """RecoveryFunction works on what is visible, as often as there is something."""
        while any(message.visible_at <= self.world.clock.now for message in self.world.waiting):
            self.world.recover()

    def use_rules(self, rules: Rules) -> None:
        """What a deployment with other rules does."""
        self.world.rules = rules
        self.world.__dict__.pop("relay", None)

    def reconcile(self) -> None:
        """ReconcileFunction's look."""
        self.world.reconcile_stores.handle(cast("Any", FakeContext(self.world.clock, seconds=300.0)))

    def mend(self) -> None:
        """Both APIs answer as they should, the store has its hook, and no order without a webhook."""
        self.world.exchange.mend()
        self.hook(is_active=True)
        self.store_lists([])

    def hook(self, *, is_active: bool | None) -> None:
        """The store's hook is there, active or not; None: there is none."""
        hook = {"id": 1, "scope": "store/order/created", "destination": WEBHOOK_URL, "is_active": is_active}
        self.world.exchange.always("GET", HOOKS, answer(200, {"data": [] if is_active is None else [hook]}))
        self.world.exchange.always("PUT", f"{HOOKS}/1", answer(200, {"data": hook}))

    def store_lists(self, orders: list[int], status: int = 200) -> None:
        """What the store answers to the question for its recent orders: these, created this moment."""
        created_at = self.world.clock.now
        rows = [{"id": order, "customer_id": BUYER, "date_created": rfc2822(created_at)} for order in orders]

        def listing(sent: Sent) -> Step:
            first, last = (unix_seconds(sent.query[f"{end}_date_created"]) or 0.0 for end in ("min", "max"))
            return answer(status, rows if first <= int(created_at) <= last else [])

        self.world.exchange.always("GET", ORDERS, listing)


def new_night(written: Written, **parameters: Any) -> Night:
    """A night with these template parameters."""
    world = World(settings=replace(SETTINGS, webhook_url=WEBHOOK_URL))
    return Night(world, written, Resolved(**parameters))
