"""The stores' secrets, from Secrets Manager, kept in memory for a while."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from handler import strict_json
from handler.errors import Cause, MalformedEvent, RetryLater, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from handler.deadline import Clock

KEPT_SECONDS = 300.0
"""A known store's secret is read again after this long even when nothing was refused."""

UNKNOWN_KEPT_SECONDS = 60.0
"""A store without a secret is not asked for again within this time."""

REFRESH_SECONDS = 10.0
"""However many refusals and bad signatures come in, one store's secret is read afresh at most this often."""

MOST_UNKNOWN = 60
"""Made-up store hashes cost at most this many reads a minute; those beyond are unknown without being asked for."""

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Answer = TypeVar("Answer")


class UnknownStore(RetryLater):
    """Secrets Manager holds no secret for this store."""

    def __init__(self) -> None:
        super().__init__(
            Cause.SECRET_UNAVAILABLE, "the store has no secret; add it with the name <SecretPrefix>/<store hash>"
        )


class SecretInvalid(RetryLater):
    """The store's secret is there and not of the published form."""

    def __init__(self, expected: str) -> None:
        super().__init__(Cause.SECRET_UNAVAILABLE, f"the store's secret is malformed: {expected}")


@dataclass(frozen=True, slots=True)
class StoreSecret:
    """What one store's secret holds. Nothing of it is shown by `repr`."""

    access_token: str = field(repr=False)
    b2b_token: str = field(repr=False)
    client_secret: str | None = field(repr=False)
    webhook_header: tuple[str, str] | None = field(repr=False)

    @property
    def tokens(self) -> frozenset[str]:
        """What the APIs are called with."""
        return frozenset({self.access_token, self.b2b_token})

    @classmethod
    def parse(cls, text: str) -> StoreSecret:
        """The secret in JSON form, as docs/configuration.md has it. Raises SecretInvalid, which repeats no value."""
        try:
            values = strict_json.parse(text)
        except MalformedEvent as error:
            raise SecretInvalid("it must be a JSON object") from error
        if not isinstance(values, dict):
            raise SecretInvalid("it must be a JSON object")
        access_token = _sendable(values, "access_token")
        if access_token is None:
            raise SecretInvalid('"access_token" is missing')
        return cls(
            access_token=access_token,
            b2b_token=_sendable(values, "b2b_token") or access_token,
            client_secret=_sendable(values, "client_secret"),
            webhook_header=_header(values.get("webhook_header")),
        )


@dataclass(slots=True)
class _Kept:
    secret: StoreSecret | None
    read_at: float
    error: RetryLater | None = None
    previous: StoreSecret | None = None
    previous_read_at: float | None = None


class Credentials:
    """Reads and remembers stores' secrets, sparing Secrets Manager whatever an attacker sends."""

    def __init__(self, client: SecretsManagerClient, prefix: str, clock: Clock) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def get(self, store_hash: str) -> StoreSecret:
        """The store's secret. Raises UnknownStore, SecretInvalid, or RetryLater when Secrets Manager does not answer."""
        kept = self._kept.get(store_hash)
        if kept is None or self._age(kept) >= (KEPT_SECONDS if kept.secret else UNKNOWN_KEPT_SECONDS):
            kept = self._read(store_hash)
        return _secret_of(kept)

    def refreshed(self, store_hash: str) -> StoreSecret:
        """The store's secret, read afresh unless that was done moments ago. Raises as `get` does."""
        kept = self._kept.get(store_hash)
        if kept is None or (kept.secret is not None and self._age(kept) >= REFRESH_SECONDS):
            kept = self._read(store_hash)
        return _secret_of(kept)

    def authorised(self, store_hash: str, call: Callable[[StoreSecret], Answer]) -> Answer:
        """What `call` answers; once more with the secret read afresh when the first token was refused (Unauthorised)."""
        try:
            return call(self.get(store_hash))
        except Unauthorised:
            return call(self.refreshed(store_hash))

    def for_proof(self, store_hash: str) -> Iterator[StoreSecret]:
        """The secrets that may prove a webhook: the one in memory, the current one, and the one before (AWSPREVIOUS)."""
        first = self.get(store_hash)
        yield first
        current = self.refreshed(store_hash)
        if current != first:
            yield current
        previous = self._previous(store_hash)
        if previous is not None and previous != current:
            yield previous

    def _age(self, kept: _Kept) -> float:
        return self._clock() - kept.read_at

    def _read(self, store_hash: str) -> _Kept:
        before = self._kept.get(store_hash)
        if before is None and self._unknown_lately() >= MOST_UNKNOWN:
            raise UnknownStore
        try:
            kept = _Kept(self._fetch(store_hash, "AWSCURRENT"), self._clock())
        except (UnknownStore, SecretInvalid) as error:
            kept = _Kept(None, self._clock(), error=error)
        except (ClientError, BotoCoreError) as error:
            # A token that worked moments ago most likely still does: better than no order at all.
            if before is not None and before.secret is not None:
                before.read_at = self._clock()
                return before
            raise RetryLater(Cause.SECRET_UNAVAILABLE, f"Secrets Manager: {_short(error)}") from error
        self._kept[store_hash] = kept
        return kept

    def _unknown_lately(self) -> int:
        """How many unknown stores are remembered; forgets those whose time is over."""
        over = [
            name for name, kept in self._kept.items() if kept.secret is None and self._age(kept) >= UNKNOWN_KEPT_SECONDS
        ]
        for name in over:
            del self._kept[name]
        return sum(kept.secret is None for kept in self._kept.values())

    def _previous(self, store_hash: str) -> StoreSecret | None:
        kept = self._kept[store_hash]
        if kept.previous_read_at is None or self._clock() - kept.previous_read_at >= KEPT_SECONDS:
            kept.previous_read_at = self._clock()
            try:
                kept.previous = self._fetch(store_hash, "AWSPREVIOUS")
            except (RetryLater, ClientError, BotoCoreError):
                kept.previous = None
        return kept.previous

    def _fetch(self, store_hash: str, stage: str) -> StoreSecret:
        try:
            answer = self._client.get_secret_value(SecretId=f"{self._prefix}/{store_hash}", VersionStage=stage)
        except (
            self._client.exceptions.ResourceNotFoundException,
            self._client.exceptions.InvalidRequestException,  # it is waiting for its deletion
        ) as error:
            raise UnknownStore from error
        return StoreSecret.parse(answer.get("SecretString") or "")


def _secret_of(kept: _Kept) -> StoreSecret:
    if kept.secret is None:
        raise kept.error or UnknownStore()
    return kept.secret


def _sendable(values: dict[str, Any], name: str) -> str | None:
    """A value that can stand in an HTTP header, or None when it is not given."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or not value.isascii():
        raise SecretInvalid(f'"{name}" must be a text of printable ASCII characters')
    return value.strip()


def _header(value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    expected = '"webhook_header" must be {"name": a header\'s name, "value": a text}'
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise SecretInvalid(expected)
    text = _sendable(value, "value")
    if text is None or not HEADER_NAME.fullmatch(value["name"]):
        raise SecretInvalid(expected)
    return value["name"].lower(), text


def _short(error: ClientError | BotoCoreError) -> str:
    """An AWS error by its code; the message may name more than a log should hold."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
