"""Puts the parts together: which client, clock and policy each of the paths works with."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from handler.bigcommerce.b2b_api import B2BApi
from handler.bigcommerce.credentials import Credentials
from handler.bigcommerce.hooks_api import HooksApi
from handler.bigcommerce.store_api import StoreApi
from handler.create import CreateOrder
from handler.enrichment import Rules
from handler.http.client import LATE, LIVE, HttpClient, HttpExchange
from handler.intake import Intake
from handler.queues import Queues
from handler.reconcile import ReconcileStores
from handler.recover import RecoverOrders
from handler.table.idempotency import OrderIdempotency
from handler.table.order_notes import OrderNotes
from handler.table.rate_limit import LateRateLimit
from handler.table.store_registry import StoreRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from handler.deadline import Clock
    from handler.settings import Settings

AWS_CALLS = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
"""AWS answers in milliseconds or not at all: botocore's own minute would outlive the window six times."""

TABLE_CALLS = AWS_CALLS.merge(Config(connect_timeout=0.5, read_timeout=0.7))
"""DynamoDB answers in milliseconds. The second attempt is for a kept connection that AWS has closed meanwhile; `once`
recognises a claim that was made twice. When the table does not answer, the order goes on without it, within 1.5 seconds.
"""

REREAD_SECRET = Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1, "mode": "standard"})
"""With a secret in memory, an order's window is worth more than a newer secret."""

HAND_OVER = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 4, "mode": "standard"})
"""Handing over is the last thing that can be done for an order, so SQS is asked more often."""


class Container:
    """The three paths, ready for use. What every invocation needs is made at once, the rest when first needed."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        sleep: Callable[[float], None],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._rules = Rules.load()
        self._exchange = HttpExchange()
        self._dynamodb = boto3.client("dynamodb", config=TABLE_CALLS)
        self._stores = StoreRegistry(settings.idempotency_table, self._dynamodb)
        self._credentials = Credentials(
            boto3.client("secretsmanager", config=AWS_CALLS),
            lambda: self._reread_secretsmanager,
            settings.secret_prefix,
            self._stores.all,
            clock,
        )
        self._idempotency = OrderIdempotency(settings.idempotency_table, self._dynamodb, settings.remember_done_days)
        self._order_notes = OrderNotes(settings.idempotency_table, self._dynamodb, settings.remember_done_days, clock)
        self.queues = Queues(lambda: self._sqs, settings.recovery_queue_url, settings.dead_letter_queue_url, clock)
        live = HttpClient(self._exchange, LIVE, clock, sleep, uniform)
        self.create_order = CreateOrder(
            idempotency=self._idempotency,
            store_api=StoreApi(settings.store_api_url, live, self._credentials),
            b2b_api=B2BApi(settings.b2b_api_url, live, self._credentials),
            rules=self._rules,
            queues=self.queues,
            order_notes=self._order_notes,
            stores=self._stores,
            clock=clock,
            first_delay_seconds=settings.recovery_first_delay_seconds,
        )

    @cached_property
    def intake(self) -> Intake:
        """Webhook → bus."""
        events = boto3.client("events", config=AWS_CALLS)
        return Intake(self._settings.event_bus_name, events, self._credentials, self.queues, self._clock)

    @cached_property
    def recover_orders(self) -> RecoverOrders:
        """RecoveryQueue → Update Order."""
        late = HttpClient(self._exchange, LATE, self._clock, self._sleep, self._uniform)
        settings = self._settings
        return RecoverOrders(
            settings=settings,
            sqs=self._sqs,
            idempotency=self._idempotency,
            store_api=StoreApi(settings.store_api_url, late, self._credentials),
            b2b_api=B2BApi(settings.b2b_api_url, late, self._credentials),
            rules=self._rules,
            queues=self.queues,
            order_notes=self._order_notes,
            rate_limit=LateRateLimit(
                settings.idempotency_table, self._dynamodb, settings.late_requests_per_minute, self._clock
            ),
            clock=self._clock,
            uniform=self._uniform,
        )

    @cached_property
    def reconcile_stores(self) -> ReconcileStores:
        """Orders whose webhook never came."""
        late = HttpClient(self._exchange, LATE, self._clock, self._sleep, self._uniform)
        return ReconcileStores(
            webhook_url=self._settings.webhook_url,
            remember_done_days=self._settings.remember_done_days,
            store_api=StoreApi(self._settings.store_api_url, late, self._credentials),
            hooks_api=HooksApi(self._settings.store_api_url, late, self._credentials),
            order_notes=self._order_notes,
            stores=self._stores,
            queues=self.queues,
            clock=self._clock,
        )

    @cached_property
    def _reread_secretsmanager(self) -> SecretsManagerClient:
        return boto3.client("secretsmanager", config=REREAD_SECRET)

    @cached_property
    def _sqs(self) -> SQSClient:
        return boto3.client("sqs", config=HAND_OVER)
