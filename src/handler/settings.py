"""The functions' settings, read from the environment variables and validated at start-up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from handler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CONTAINER_HOST = "host.docker.internal"
"""The host of a `sam local` container. Allowed only where the SAM CLI sets AWS_SAM_LOCAL."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The functions' settings. template.yaml sets them; docs/configuration.md describes them."""

    event_bus_name: str
    recovery_queue_url: str
    dead_letter_queue_url: str
    idempotency_table: str
    secret_prefix: str
    store_api_url: str
    b2b_api_url: str
    late_requests_per_minute: int
    recovery_first_delay_seconds: float
    recovery_longest_delay_seconds: float
    give_up_after_minutes: float
    remember_done_days: float
    webhook_url: str
    """Destination of the stores' webhooks. Set for ReconcileFunction only; empty elsewhere."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Reads the settings from `environment`. Raises ConfigurationError, which names the variable and what it must be."""
        return cls(
            event_bus_name=_text(environment, "EVENT_BUS_NAME"),
            recovery_queue_url=_text(environment, "RECOVERY_QUEUE_URL"),
            dead_letter_queue_url=_text(environment, "DEAD_LETTER_QUEUE_URL"),
            idempotency_table=_text(environment, "IDEMPOTENCY_TABLE"),
            secret_prefix=_text(environment, "SECRET_PREFIX"),
            store_api_url=_api_url(environment, "STORE_API_URL"),
            b2b_api_url=_api_url(environment, "B2B_API_URL"),
            late_requests_per_minute=int(_number(environment, "LATE_REQUESTS_PER_MINUTE")),
            recovery_first_delay_seconds=_number(environment, "RECOVERY_FIRST_DELAY_SECONDS"),
            recovery_longest_delay_seconds=_number(environment, "RECOVERY_LONGEST_DELAY_SECONDS"),
            give_up_after_minutes=_number(environment, "GIVE_UP_AFTER_MINUTES"),
            remember_done_days=_number(environment, "REMEMBER_DONE_DAYS"),
            webhook_url=environment.get("WEBHOOK_URL", ""),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"environment variable {name} is not set; template.yaml sets it on the functions")
    return value


def _number(environment: Mapping[str, str], name: str) -> float:
    text = _text(environment, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigurationError(f"environment variable {name} must be a number above 0, not {text!r}")
    return value


def _api_url(environment: Mapping[str, str], name: str) -> str:
    """A base URL. Tokens are sent to it, so plain HTTP is allowed on this machine only."""
    url = _text(environment, name).rstrip("/")
    parts = urlsplit(url)
    own = LOOPBACK | {CONTAINER_HOST} if environment.get("AWS_SAM_LOCAL") == "true" else LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in own):
        raise ConfigurationError(f"environment variable {name} must be an https:// address (http:// only on loopback)")
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(
            f"environment variable {name} must be an address without query, fragment or credentials, such as https://api.bigcommerce.com"
        )
    return url
