"""The whole relay on fakes: a simulated store behind `FakeExchange`, small AWS stand-ins, one clock for everything."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Unpack, cast

from handler.background import Background
from handler.bigcommerce.credentials import Credentials
from handler.container import Container
from handler.create import CreateOrder
from handler.enrichment import Rules
from handler.intake import Intake
from handler.order_event import parse_detail
from handler.outcomes import Outcome
from handler.queues import Queues
from handler.reconcile import ReconcileStores
from handler.recover import RecoverOrders
from handler.settings import Settings
from handler.table.order_notes import OrderNotes
from handler.table.store_registry import StoreRegistry
from sandbox.store.b2b_api import Effects, Record
from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.orders import Order, OrderOptions
from sandbox.store.settings import Store
from support.aws import (
    DEAD_LETTER_URL,
    RECOVERY_URL,
    FakeContext,
    FakeEventBridge,
    FakeSecretsManager,
    FakeSqs,
    FakeTable,
    InMemoryIdempotency,
)
from support.clock import FakeClock, at_once, middle
from support.events import BUYER, ORDER_ID, STORE_HASH, webhook
from support.exchange import FakeExchange
from support.simulation import SimulatedApis

SETTINGS = Settings(
    event_bus_name="orders",
    recovery_queue_url=RECOVERY_URL,
    dead_letter_queue_url=DEAD_LETTER_URL,
    idempotency_table="idempotency",
    secret_prefix="relay",
    store_api_url="https://api.bigcommerce.com",
    b2b_api_url="https://api-b2b.bigcommerce.com",
    late_requests_per_minute=60,
    recovery_first_delay_seconds=5,
    recovery_longest_delay_seconds=900,
    give_up_after_minutes=1440,
    remember_done_days=35,
    publish_outcomes=False,
    webhook_url="",
)
SECRET_NAME = f"relay/{STORE_HASH}"
LOOK_UP = f"/stores/{STORE_HASH}/v2/orders/{ORDER_ID}"
RECORDS = "/api/v3/io/orders"
RECORD = f"{RECORDS}/{ORDER_ID}"
COMPANIES = "/api/v3/io/companies"
USER = f"/api/v3/io/users/customer/{BUYER}"


def secret_text(store: Store, **more: Any) -> str:
    """A store's secret as it stands in Secrets Manager."""
    return json.dumps({"access_token": store.access_token, "client_secret": store.client_secret} | more)


@dataclass
class World:
    """One store and one relay. Orders get their automatic record only when a test says so."""

    store: Store = field(default_factory=lambda: Store(hash=STORE_HASH, company_customers={BUYER}))
    rules: Rules = field(default_factory=Rules.load)
    settings: Settings = SETTINGS
    clock: FakeClock = field(default_factory=FakeClock)
    table: Any = field(default_factory=FakeTable)
    """The fake one, or a client of moto's."""
    aws: Callable[[str, Any], Any] | None = None
    """Makes the AWS client of a service with a Config, of moto's; without it every client is a fake."""
    background: Background | None = None
    """How work begins in the background; without it the work takes fake time."""

    def __post_init__(self) -> None:
        self.bigcommerce = BigCommerce(self.clock)
        self.shop = self.bigcommerce.add_store(self.store)
        self.exchange = FakeExchange(self.clock, SimulatedApis(self.bigcommerce))
        self.secrets = FakeSecretsManager()
        self.secrets.put(SECRET_NAME, secret_text(self.store))
        self.sqs = FakeSqs(self.clock)
        self.bus = FakeEventBridge()
        self.idempotency = InMemoryIdempotency()
        self.clients: list[str] = []
        """The AWS services of which the relay made a fake client."""

    # --- the relay ------------------------------------------------------------------------------------------------

    @cached_property
    def relay(self) -> Container:
        """The genuine composition root, on fakes; made when first needed, of the settings and rules of that moment."""
        relay = Container(
            self.settings,
            client=self.aws or self._fake_client,
            exchange=self.exchange,
            rules=lambda: self.rules,
            clock=self.clock,
            sleep=self.clock.sleep,
            uniform=middle,
            background=self.background or at_once(self.clock),
        )
        if self.aws is None:
            relay.idempotency = self.idempotency  # in place of the cached property
        return relay

    def _fake_client(self, service: str, _config: Any) -> Any:
        self.clients.append(service)
        fakes = {"events": self.bus, "dynamodb": self.table, "secretsmanager": self.secrets, "sqs": self.sqs}
        return fakes[service]

    @property
    def queues(self) -> Queues:
        return self.relay.queues

    @property
    def stores(self) -> StoreRegistry:
        return self.relay.stores

    @property
    def credentials(self) -> Credentials:
        return self.relay.credentials

    @property
    def order_notes(self) -> OrderNotes:
        return self.relay.order_notes

    @property
    def intake(self) -> Intake:
        return self.relay.intake

    @property
    def create_order(self) -> CreateOrder:
        return self.relay.create_order

    @property
    def recover_orders(self) -> RecoverOrders:
        return self.relay.recover_orders

    @property
    def reconcile_stores(self) -> ReconcileStores:
        return self.relay.reconcile_stores

    # --- what happens ---------------------------------------------------------------------------------------------

    def place(self, **options: Unpack[OrderOptions]) -> Order:
        """A company order with the number that the events of `support.events` speak of."""
        merged: OrderOptions = {
            "order_id": ORDER_ID,
            "customer_id": BUYER,
            "automatic_record_after": None,
            **options,
        }
        return self.bigcommerce.place_order(self.store.hash, merged)

    def create(self, **changes: Any) -> Outcome:
        """The live path meets the order's event, created this moment unless told otherwise."""
        event = parse_detail(webhook(self.clock.now, **changes), self.clock.now)
        return self.create_order.handle(event, cast("Any", FakeContext(self.clock)))

    def put_late(self, **changes: Any) -> None:
        """The order's message in RecoveryQueue."""
        reason = {"cause": "window_missed", "detail": "", "failed_at": self.clock.now}
        order = webhook(self.clock.now, **changes)
        self.sqs.send_message(QueueUrl=RECOVERY_URL, MessageBody=json.dumps({"order": order, "reason": reason}))

    def recover(self) -> None:
        """One invocation of the late path with whatever is visible in RecoveryQueue."""
        event = self.sqs.receive(RECOVERY_URL)
        answer = self.recover_orders.handle(event, cast("Any", FakeContext(self.clock, seconds=60.0)))
        self.sqs.settle(RECOVERY_URL, event, answer)

    def wait_for_late(self) -> None:
        """Until the next message in RecoveryQueue becomes visible; then one invocation."""
        self.clock.now = max(self.clock.now, min(message.visible_at for message in self.waiting))
        self.recover()

    # --- what became of it ----------------------------------------------------------------------------------------

    @property
    def waiting(self) -> list[Any]:
        """The messages in RecoveryQueue."""
        return self.sqs.queues[RECOVERY_URL]

    @property
    def dead(self) -> list[Any]:
        """The messages in DeadLetterQueue."""
        return self.sqs.queues[DEAD_LETTER_URL]

    def record(self) -> Record | None:
        return self.shop.b2b.record(ORDER_ID)

    @property
    def effects(self) -> Effects:
        return self.shop.b2b.effects[ORDER_ID]
