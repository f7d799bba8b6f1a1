"""The stores' secrets: read from Secrets Manager and cached in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from handler import strict_json
from handler.aws_errors import error_code
from handler.errors import Cause, MalformedEvent, RetryLater, Unauthorized
from handler.telemetry import Metric, count, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from handler.deadline import Clock

KEPT_SECONDS = 300.0
"""How long a secret is cached when nothing was refused."""

UNKNOWN_KEPT_SECONDS = 60.0
"""How long the failure to find a usable secret is cached."""

REFRESH_SECONDS = 10.0
"""After refused tokens and bad signatures, a store's secret is read again at most this often."""

MOST_UNKNOWN = 60
"""At most this many stores without a secret are cached. While the cache is full, no secret is read for further stores
that the table does not list. So invented store hashes cost at most this many reads a minute."""

LIST_KEPT_SECONDS = 60.0
"""The table's list of stores is read at most this often."""

ACCESS_DENIED = "AccessDeniedException"
"""The answer for a missing secret, too: a role limited to `secret:<prefix>/*` does not cover a name without the suffix of
an ARN. A KMS key that the role may not use has the same code."""

NO_SECRET_CODES = frozenset(
    {
        "ResourceNotFoundException",
        "InvalidRequestException",  # scheduled for deletion
        "InvalidParameterException",  # not a valid name of a secret
        "ValidationException",
    }
)

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Answer = TypeVar("Answer")


class UnknownStore(RetryLater):
    """Secrets Manager has no secret of this store, or seems to have none."""

    def __init__(self, reason: str) -> None:
        super().__init__(Cause.SECRET_UNAVAILABLE, f"the store has no secret ({reason})")
        self.reason = reason


class SecretInvalid(RetryLater):
    """The store's secret is not in the documented format."""

    def __init__(self, reason: str) -> None:
        super().__init__(Cause.SECRET_UNAVAILABLE, f"the store's secret is invalid: {reason}")
        self.reason = reason


class _Unreadable(RetryLater):
    """Secrets Manager did not answer, or refused the read with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(Cause.SECRET_UNAVAILABLE, f"Secrets Manager: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class StoreSecret:
    """A store's secret. `repr` shows none of its values."""

    access_token: str = field(repr=False)
    b2b_token: str = field(repr=False)
    client_secret: str | None = field(repr=False)
    webhook_header: tuple[str, str] | None = field(repr=False)

    @property
    def tokens(self) -> frozenset[str]:
        """The tokens that are sent to the APIs."""
        return frozenset({self.access_token, self.b2b_token})

    @classmethod
    def parse(cls, text: str) -> StoreSecret:
        """Parses the JSON described in docs/configuration.md. Raises SecretInvalid, whose message has no values."""
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
    """A cached secret. `previous` is the version before it (AWSPREVIOUS), to be read again at `previous_due`."""

    secret: StoreSecret
    read_at: float
    previous: StoreSecret | None = None
    previous_due: float = 0.0


@dataclass(frozen=True, slots=True)
class _Failure:
    """A store without a usable secret. Not the exception itself, which would keep the request in memory."""

    kind: type[UnknownStore | SecretInvalid]
    reason: str
    seen_at: float


class Credentials:
    """Reads the stores' secrets and caches them.

    `client` reads a secret for the first time. `reread_client` refreshes a cached one, with one short attempt.
    `listed_stores` returns the stores that the table lists; it may raise botocore's errors.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        reread_client: Callable[[], SecretsManagerClient],
        prefix: str,
        listed_stores: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._client = client
        self._reread_client = reread_client
        self._prefix = prefix
        self._listed_stores = listed_stores
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._failures: dict[str, _Failure] = {}
        """Oldest first."""
        self._listed: frozenset[str] | None = None
        self._list_due = 0.0

    def get(self, store_hash: str) -> StoreSecret:
        """The store's secret. Raises UnknownStore, SecretInvalid, or RetryLater when Secrets Manager does not answer."""
        return self._get(store_hash, KEPT_SECONDS)

    def refreshed(self, store_hash: str) -> StoreSecret:
        """The store's secret, read again unless it was read in the last REFRESH_SECONDS. Raises as `get` does."""
        return self._get(store_hash, REFRESH_SECONDS)

    def authorized(self, store_hash: str, call: Callable[[StoreSecret], Answer]) -> Answer:
        """The result of `call`. When the token was refused (Unauthorized), repeats the call once with the secret read again."""
        try:
            return call(self.get(store_hash))
        except Unauthorized:
            return call(self.refreshed(store_hash))

    def for_webhook(self, store_hash: str) -> Iterator[StoreSecret]:
        """The secrets that may authenticate a webhook: the cached, the current and the previous one (AWSPREVIOUS).

        Anybody can send webhooks, so reads for unknown stores are limited here (MOST_UNKNOWN). Raises as `get`.
        """
        if store_hash not in self._kept and self._is_limited() and not self._may_be_listed(store_hash):
            raise UnknownStore("not read: too many unknown stores within a minute")
        first = self.get(store_hash)
        yield first
        current = self.refreshed(store_hash)
        if current != first:
            yield current
        previous = self._previous(store_hash)
        if previous is not None and previous != current:
            yield previous

    def _get(self, store_hash: str, longest_seconds: float) -> StoreSecret:
        kept = self._kept.get(store_hash)
        if kept is None:
            return self._read(store_hash)
        if self._clock() - kept.read_at < longest_seconds:
            return kept.secret
        return self._read_again(store_hash, kept)

    def _read(self, store_hash: str) -> StoreSecret:
        """Reads a secret that is not cached."""
        self._forget_old_failures()
        if (failure := self._failures.get(store_hash)) is not None:
            raise failure.kind(failure.reason)
        try:
            secret = self._fetch(self._client, store_hash, "AWSCURRENT")
        except _Unreadable as error:
            if error.code != ACCESS_DENIED or self._may_be_listed(store_hash):
                raise
            unknown = UnknownStore(f"{error.code}: it does not exist, or the role may not read or decrypt it")
            self._remember(store_hash, unknown)
            raise unknown from error
        except (UnknownStore, SecretInvalid) as error:
            self._remember(store_hash, error)
            raise
        self._kept[store_hash] = _Kept(secret, self._clock())
        return secret

    def _read_again(self, store_hash: str, kept: _Kept) -> StoreSecret:
        """Refreshes a cached secret; returns the cached one when Secrets Manager does not answer or denies the read."""
        try:
            secret = self._fetch_quickly(store_hash, "AWSCURRENT")
        except _Unreadable as error:
            # The cached token most likely still works.
            logger.warning(
                "could not refresh the secret; using the cached one", event="secret.refresh_failed", error=error.code
            )
            kept.read_at = self._clock()
            return kept.secret
        except (UnknownStore, SecretInvalid) as error:
            del self._kept[store_hash]
            self._remember(store_hash, error)
            raise
        self._kept[store_hash] = _Kept(secret, self._clock())
        return secret

    def _previous(self, store_hash: str) -> StoreSecret | None:
        kept = self._kept[store_hash]
        now = self._clock()
        if now >= kept.previous_due:
            try:
                kept.previous_due = now + KEPT_SECONDS
                kept.previous = self._fetch_quickly(store_hash, "AWSPREVIOUS")
            except (UnknownStore, SecretInvalid):
                kept.previous = None
            except _Unreadable:
                kept.previous_due = now + REFRESH_SECONDS
        return kept.previous

    def _fetch_quickly(self, store_hash: str, stage: str) -> StoreSecret:
        client = self._reread_client()
        try:
            return self._fetch(client, store_hash, stage)
        finally:
            # A kept connection may be dead after the environment was frozen, and there is no second attempt.
            client.close()

    def _fetch(self, client: SecretsManagerClient, store_hash: str, stage: str) -> StoreSecret:
        try:
            answer = client.get_secret_value(SecretId=f"{self._prefix}/{store_hash}", VersionStage=stage)
        except (ClientError, BotoCoreError) as error:
            code = error_code(error)
            if code in NO_SECRET_CODES:
                raise UnknownStore(code) from error
            count(Metric.SECRET_ACCESS_DENIED if code == ACCESS_DENIED else Metric.SECRET_READ_FAILED)
            raise _Unreadable(code) from error
        return StoreSecret.parse(answer.get("SecretString") or "")

    def _remember(self, store_hash: str, error: UnknownStore | SecretInvalid) -> None:
        if len(self._failures) >= MOST_UNKNOWN:
            del self._failures[next(iter(self._failures))]
        self._failures[store_hash] = _Failure(type(error), error.reason, self._clock())

    def _forget_old_failures(self) -> None:
        now = self._clock()
        over = [name for name, each in self._failures.items() if now - each.seen_at >= UNKNOWN_KEPT_SECONDS]
        for name in over:
            del self._failures[name]

    def _is_limited(self) -> bool:
        self._forget_old_failures()
        return len(self._failures) >= MOST_UNKNOWN

    def _may_be_listed(self, store_hash: str) -> bool:
        """Whether the table lists the store; True when the list cannot be read.

        Without the list, real and invented stores look alike. Reading the secret of each costs some reads, which API
        Gateway's throttling limits; reading none would reject real stores.
        """
        now = self._clock()
        if now >= self._list_due:
            self._list_due = now + LIST_KEPT_SECONDS
            try:
                self._listed = frozenset(self._listed_stores())
            except (ClientError, BotoCoreError) as error:
                self._listed = None
                count(Metric.TABLE_UNAVAILABLE)
                logger.warning("could not read the list of stores", event="stores.unavailable", error=error_code(error))
        return self._listed is None or store_hash in self._listed


def _sendable(values: dict[str, Any], name: str) -> str | None:
    """A value that an HTTP header can have, or None when it is missing."""
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
