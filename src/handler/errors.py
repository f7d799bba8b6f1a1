"""The exceptions. Callers distinguish them by type and `cause`, never by their text.

RelayError
├── RejectedWebhook          the webhook is answered with an error and not published
│   ├── MalformedEvent       not the published format (400)
│   └── Unauthenticated      signature or secret header missing or invalid (401)
├── IgnoredScope             a valid webhook of another scope (200)
├── RetryLater               temporary: the order goes to RecoveryQueue, or stays there
│   └── Unauthorized         a token was refused: the secret is read again first
├── Refused                  permanent: the order goes to DeadLetterQueue
│   └── OrderAlreadyExists   B2B Edition has a record, or the window has closed: update instead
└── ConfigurationError       a setting or rule is wrong: the function does not start
"""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why an order is late or dead. Operators filter by these values, so they are stable."""

    WINDOW_MISSED = "window_missed"
    RATE_LIMITED = "rate_limited"
    NO_ANSWER = "no_answer"
    API_UNAVAILABLE = "api_unavailable"
    UNAUTHORISED = "unauthorized"
    UNEXPECTED_ANSWER = "unexpected_answer"
    DEFERRED = "deferred"
    NOT_THERE_YET = "not_there_yet"
    RECORD_UNREADABLE = "record_unreadable"
    IN_PROGRESS = "in_progress"
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105  a cause, not a secret
    BUS_REFUSED = "bus_refused"
    FUNCTION_FAILED = "function_failed"
    NOT_DELIVERED = "not_delivered"
    RECONCILED = "reconciled"
    API_REFUSED = "api_refused"
    ORDER_NOT_FOUND = "order_not_found"
    UNREADABLE = "unreadable"


class RelayError(Exception):
    """Base class of all exceptions of this project."""


class RejectedWebhook(RelayError):  # noqa: N818  an outcome, not a fault
    """The webhook is not accepted. The text says what was expected, and holds no secret."""


class MalformedEvent(RejectedWebhook):
    """The event is not JSON, or not in the published format."""


class Unauthenticated(RejectedWebhook):
    """The signature or the secret header is missing or invalid."""


class IgnoredScope(RelayError):  # noqa: N818  an outcome, not a fault
    """A well-formed event of an unsupported scope."""


class RetryLater(RelayError):  # noqa: N818  an outcome, not a fault
    """The order could not be finished now, and is retried.

    `retry_after_seconds` is the API's Retry-After, or None. `holds`: the store itself is down (HTTP 503), so the order
    is kept for longer than GiveUpAfterMinutes.
    """

    def __init__(
        self, cause: Cause, detail: str, *, retry_after_seconds: float | None = None, holds: bool = False
    ) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.holds = holds


class Unauthorized(RetryLater):
    """An API answered 401 or 403: the token is wrong, revoked or lacks a scope."""

    def __init__(self, detail: str) -> None:
        super().__init__(Cause.UNAUTHORISED, detail)


class Refused(RelayError):  # noqa: N818  an outcome, not a fault
    """The API will not accept the order as it is. `detail` has the API's message."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class OrderAlreadyExists(Refused):
    """Create Order's answer for "the record exists" and for "older than 10 seconds" (docs/bigcommerce.md, Create Order)."""

    def __init__(self) -> None:
        super().__init__(Cause.API_REFUSED, "The order already exists.")


class ConfigurationError(RelayError):
    """A setting or rule is wrong. The text says which, what was expected and how to correct it."""
