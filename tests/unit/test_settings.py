"""The functions' environment variables."""

from __future__ import annotations

import pytest

from handler.errors import ConfigurationError
from handler.settings import Settings

ENVIRONMENT = {
    "EVENT_BUS_NAME": "bus",
    "RECOVERY_QUEUE_URL": "https://sqs/recovery",
    "DEAD_LETTER_QUEUE_URL": "https://sqs/dead",
    "IDEMPOTENCY_TABLE": "table",
    "SECRET_PREFIX": "relay",
    "STORE_API_URL": "https://api.bigcommerce.com/",
    "B2B_API_URL": "http://127.0.0.1:8080",
    "LATE_REQUESTS_PER_MINUTE": "60",
    "RECOVERY_FIRST_DELAY_SECONDS": "5",
    "RECOVERY_LONGEST_DELAY_SECONDS": "3600",
    "GIVE_UP_AFTER_MINUTES": "1440",
    "REMEMBER_DONE_DAYS": "35",
}


def test_the_environment_becomes_settings() -> None:
    settings = Settings.from_environment(ENVIRONMENT)

    assert settings.store_api_url == "https://api.bigcommerce.com"
    assert settings.late_requests_per_minute == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_BUS_NAME", " "),
        ("GIVE_UP_AFTER_MINUTES", "soon"),
        ("GIVE_UP_AFTER_MINUTES", "0"),
        ("GIVE_UP_AFTER_MINUTES", "inf"),
        ("STORE_API_URL", "http://api.bigcommerce.com"),
        ("STORE_API_URL", "http://host.docker.internal:8080"),
        ("STORE_API_URL", "ftp://127.0.0.1"),
        ("STORE_API_URL", "https://"),
        ("STORE_API_URL", "https://me:pw@api.bigcommerce.com"),
        ("STORE_API_URL", "https://api.bigcommerce.com?x=1"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment(ENVIRONMENT | {name: value})


def test_in_a_container_of_sam_local_this_machine_may_be_reached_without_tls() -> None:
    url = "http://host.docker.internal:8080"

    assert Settings.from_environment(ENVIRONMENT | {"AWS_SAM_LOCAL": "true", "B2B_API_URL": url}).b2b_api_url == url
    with pytest.raises(ConfigurationError, match="STORE_API_URL"):
        Settings.from_environment(ENVIRONMENT | {"AWS_SAM_LOCAL": "true", "STORE_API_URL": "http://example.com"})
