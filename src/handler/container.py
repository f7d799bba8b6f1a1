"""The composition root: builds every part with its client, clock and retry policy."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from handler.background import Background, in_thread
from handler.bigcommerce.b2b_api import B2BApi
from handler.bigcommerce.core_v3_api import CustomersApi, MetafieldsApi
from handler.bigcommerce.credentials import Credentials
from handler.bigcommerce.hooks_api import HooksApi
from handler.bigcommerce.store_api import StoreApi
from handler.create import CreateOrder
from handler.endings import Endings
from handler.http.retries import LATE, LIVE, LIVE_SOURCE, HttpClient
from handler.intake import Intake
from handler.outcome_events import OutcomeEvents
from handler.queues import Queues
from handler.reconcile import ReconcileStores
from handler.recover import RecoverOrders
from handler.sources import Sources
from handler.table.idempotency import OrderIdempotency
from handler.table.order_notes import OrderNotes
from handler.table.rate_limit import LateRateLimit
from handler.table.refused_sources import RefusedSources
from handler.table.store_registry import StoreRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from handler.deadline import Clock
    from handler.enrichment import Rules
    from handler.http.exchange import Exchange
    from handler.http.retries import RetryPolicy
    from handler.settings import Settings

AWS_CALLS = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
"""AWS usually answers in milliseconds. botocore's default timeout of a minute is six times the window."""

TABLE_CALLS = AWS_CALLS.merge(Config(connect_timeout=0.5, read_timeout=0.7))
"""The second attempt is for a kept connection that AWS has closed meanwhile; `idempotency` recognizes a claim that was
sent twice. When the table does not answer, the order is processed without it, within 1.5 seconds.
"""

REREAD_SECRET = Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1, "mode": "standard"})
"""Short, since the secret in memory can be used when a newer one cannot be read in time."""

HAND_OVER = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 4, "mode": "standard"})
"""More attempts: when SQS fails, nothing else can keep the order."""

ONE_ATTEMPT = Config(connect_timeout=0.5, read_timeout=1, retries={"total_max_attempts": 1, "mode": "standard"})
"""An outcome event is worth no more: its order is settled already."""


class Container:
    """All parts of the relay. Each is made when it is first used."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: Callable[[Any, Config], Any],
        exchange: Exchange,
        rules: Callable[[], Rules],
        clock: Clock,
        sleep: Callable[[float], None],
        uniform: Callable[[float, float], float],
        background: Background = in_thread,
    ) -> None:
        """`client` makes an AWS client from a service name and a Config; `exchange` does one HTTP exchange.

        `rules` loads the rules, `clock` returns unix seconds, `sleep` takes seconds, and `uniform` returns a random
        number between two. `background` begins work in a thread.
        """
        self._settings = settings
        self._client = client
        self._exchange = exchange
        self._load_rules = rules
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._background = background

    # --- the paths ------------------------------------------------------------------------------------------------

    @cached_property
    def intake(self) -> Intake:
        """Webhook → event bus."""
        events = self._client("events", AWS_CALLS)
        return Intake(self._settings.event_bus_name, events, self.credentials, self.endings, self._clock)

    @cached_property
    def create_order(self) -> CreateOrder:
        """Event bus → Create Order."""
        return CreateOrder(
            idempotency=self.idempotency,
            store_api=self.store_api(LIVE),
            b2b_api=self.b2b_api(LIVE),
            rules=self.rules,
            sources=self.sources(LIVE_SOURCE),
            endings=self.endings,
            stores=self.stores,
            clock=self._clock,
            sleep=self._sleep,
            first_delay_seconds=self._settings.recovery_first_delay_seconds,
        )

    @cached_property
    def recover_orders(self) -> RecoverOrders:
        """RecoveryQueue → Update Order."""
        settings = self._settings
        return RecoverOrders(
            settings=settings,
            queues=self.queues,
            idempotency=self.idempotency,
            store_api=self.store_api(LATE),
            b2b_api=self.b2b_api(LATE),
            rules=self.rules,
            sources=self.sources(LATE),
            endings=self.endings,
            order_notes=self.order_notes,
            rate_limit=LateRateLimit(
                settings.idempotency_table, self._dynamodb, settings.late_requests_per_minute, self._clock
            ),
            clock=self._clock,
            uniform=self._uniform,
        )

    @cached_property
    def reconcile_stores(self) -> ReconcileStores:
        """Finds orders whose webhook was lost."""
        return ReconcileStores(
            webhook_url=self._settings.webhook_url,
            remember_done_days=self._settings.remember_done_days,
            store_api=self.store_api(LATE),
            hooks_api=self.hooks_api(LATE),
            order_notes=self.order_notes,
            stores=self.stores,
            endings=self.endings,
            clock=self._clock,
        )

    @cached_property
    def rules(self) -> Rules:
        """The rules of all stores."""
        return self._load_rules()

    # --- BigCommerce ----------------------------------------------------------------------------------------------

    def http(self, policy: RetryPolicy) -> HttpClient:
        """An HTTP client with this retry policy."""
        return HttpClient(self._exchange, policy, self._clock, self._sleep, self._uniform)

    def store_api(self, policy: RetryPolicy) -> StoreApi:
        """The core Orders API."""
        return StoreApi(self._settings.store_api_url, self.http(policy), self.credentials)

    def b2b_api(self, policy: RetryPolicy) -> B2BApi:
        """The B2B Edition API."""
        return B2BApi(self._settings.b2b_api_url, self.http(policy), self.credentials)

    def sources(self, policy: RetryPolicy, refused_sources: RefusedSources | None = None) -> Sources:
        """What rules read beside the order. `refused_sources`: another memory of refusals than the table."""
        http = self.http(policy)
        return Sources(
            B2BApi(self._settings.b2b_api_url, http, self.credentials),
            MetafieldsApi(self._settings.store_api_url, http, self.credentials),
            CustomersApi(self._settings.store_api_url, http, self.credentials),
            refused_sources or RefusedSources(self._settings.idempotency_table, self._dynamodb, self._clock),
            self._background,
            self._clock,
        )

    def hooks_api(self, policy: RetryPolicy) -> HooksApi:
        """The core Webhooks API."""
        return HooksApi(self._settings.store_api_url, self.http(policy), self.credentials)

    @cached_property
    def credentials(self) -> Credentials:
        """The stores' tokens and secrets."""
        return Credentials(
            self._client("secretsmanager", AWS_CALLS),
            lambda: self._reread_secretsmanager,
            self._settings.secret_prefix,
            self.stores.all,
            self._clock,
        )

    # --- AWS ------------------------------------------------------------------------------------------------------

    @cached_property
    def queues(self) -> Queues:
        """RecoveryQueue and DeadLetterQueue."""
        settings = self._settings
        return Queues(lambda: self._sqs, settings.recovery_queue_url, settings.dead_letter_queue_url, self._clock)

    @cached_property
    def endings(self) -> Endings:
        """Sends orders to a queue and reports their outcome."""
        return Endings(self.queues, self.order_notes, self.outcome_events)

    @cached_property
    def outcome_events(self) -> OutcomeEvents:
        """What became of orders, for other systems."""
        settings = self._settings
        return OutcomeEvents(
            lambda: self._outcome_bus, settings.event_bus_name, self._clock, is_enabled=settings.publish_outcomes
        )

    @cached_property
    def idempotency(self) -> OrderIdempotency:
        """Which orders are finished."""
        settings = self._settings
        return OrderIdempotency(settings.idempotency_table, self._dynamodb, settings.remember_done_days)

    @cached_property
    def order_notes(self) -> OrderNotes:
        """Notes on unfinished orders."""
        settings = self._settings
        return OrderNotes(settings.idempotency_table, self._dynamodb, settings.remember_done_days, self._clock)

    @cached_property
    def stores(self) -> StoreRegistry:
        """The stores that the relay knows."""
        return StoreRegistry(self._settings.idempotency_table, self._dynamodb)

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        client: DynamoDBClient = self._client("dynamodb", TABLE_CALLS)
        return client

    @cached_property
    def _reread_secretsmanager(self) -> SecretsManagerClient:
        client: SecretsManagerClient = self._client("secretsmanager", REREAD_SECRET)
        return client

    @cached_property
    def _outcome_bus(self) -> EventBridgeClient:
        client: EventBridgeClient = self._client("events", ONE_ATTEMPT)
        return client

    @cached_property
    def _sqs(self) -> SQSClient:
        client: SQSClient = self._client("sqs", HAND_OVER)
        return client
