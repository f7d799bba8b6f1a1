"""How long the functions' AWS clients may take: botocore's own defaults would outlive an order's window."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from handler.container import Container
from handler.enrichment import Rules
from handler.http.exchange import HttpExchange
from handler.outcome_events import LEAST_MS
from support.clock import FakeClock, middle
from support.world import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SECONDS = {"dynamodb": 4.0, "events": 6.0, "secretsmanager": 6.0, "sqs": 12.0}
"""All attempts together, at worst. SQS is the last resort, so it gets more, and still less than a function's 15 s."""


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every client that the three paths make, the ones made later included."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")  # what the environment says does not count
    made: list[Any] = []
    genuine: Any = boto3.client

    def client(service: str, config: Any) -> Any:
        made.append(genuine(service, config=config))
        return made[-1]

    clock = FakeClock()
    relay = Container(
        SETTINGS,
        client=client,
        exchange=HttpExchange(),
        rules=Rules.load,
        clock=clock,
        sleep=clock.sleep,
        uniform=middle,
    )
    for name, part in vars(Container).items():
        if isinstance(part, cached_property):
            getattr(relay, name)
    yield made
    for each in made:
        each.close()


def test_each_client_makes_few_and_short_attempts(clients: list[Any]) -> None:
    services = [client.meta.service_model.service_name for client in clients]
    assert sorted(services) == ["dynamodb", "events", "events", "secretsmanager", "secretsmanager", "sqs"]

    for service, client in zip(services, clients, strict=True):
        config = client.meta.config
        attempts = config.retries["total_max_attempts"]
        assert 0 < (config.connect_timeout + config.read_timeout) * attempts <= LONGEST_SECONDS[service]
        assert attempts > (1 if service == "sqs" else 0)


def test_a_webhooks_event_is_sent_twice_and_an_outcomes_event_once(clients: list[Any]) -> None:
    configs = [client.meta.config for client in clients if client.meta.service_model.service_name == "events"]

    assert sorted(config.retries["total_max_attempts"] for config in configs) == [1, 2]
    [once] = [config for config in configs if config.retries["total_max_attempts"] == 1]
    assert (once.connect_timeout + once.read_timeout) * 1000 < LEAST_MS


def test_a_secret_is_read_again_with_one_attempt_of_half_a_second(clients: list[Any]) -> None:
    first, again = [c.meta.config for c in clients if c.meta.service_model.service_name == "secretsmanager"]

    assert (first.retries["total_max_attempts"], again.retries["total_max_attempts"]) == (2, 1)
    assert (again.connect_timeout, again.read_timeout) == (0.5, 0.5)
