"""What can go wrong, as one small tree. Callers look at types and causes, never into a message.

RelayError
├── RejectedWebhook          the sender is answered at once, nothing is published
│   ├── MalformedEvent       not the published shape (400)
│   └── Unauthenticated            no proof that the store sent it (401)
├── IgnoredScope             a healthy webhook about something else (200)
├── RetryLater               will heal with time: the order goes to, or stays in, RecoveryQueue
│   └── Unauthorised         a token was refused: the secret is read afresh first
├── Refused                  will never heal by itself: the order goes to DeadLetterQueue
│   └── OrderAlreadyExists   B2B Edition has a record, or the window has closed: update instead
└── ConfigurationError       the deployment is wrong: nothing can start
"""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why an order was not finished. Operators select dead letters by these words, so they are stable."""

    WINDOW_MISSED = "window_missed"
    RATE_LIMITED = "rate_limited"
    NO_ANSWER = "no_answer"
    API_UNAVAILABLE = "api_unavailable"
    UNAUTHORISED = "unauthorised"
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
    SOURCE_UNAVAILABLE = "source_unavailable"
    API_REFUSED = "api_refused"
    ORDER_NOT_FOUND = "order_not_found"
    UNREADABLE = "unreadable"


class RelayError(Exception):
    """The root of everything this project raises on purpose."""


class RejectedWebhook(RelayError):  # noqa: N818  reads as an outcome where it is caught
    """The webhook is not accepted; its text says what was expected and holds nothing secret."""


class MalformedEvent(RejectedWebhook):
    """The event is not JSON, or not of a published shape."""


class Unauthenticated(RejectedWebhook):
    """Nothing proves that the store sent this."""


class IgnoredScope(RelayError):  # noqa: N818  reads as an outcome where it is caught
    """A well-formed event of a scope the relay has no business with."""


class RetryLater(RelayError):  # noqa: N818  says what to do
    """The order could not be finished now and can be later.

    `retry_after_seconds` is the other side's own word on when to come back, where it gave one. `holds` says that the
    whole store is down (HTTP 503), which may last longer than an order is tried for.
    """

    def __init__(
        self, cause: Cause, detail: str, *, retry_after_seconds: float | None = None, holds: bool = False
    ) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.holds = holds


class Unauthorised(RetryLater):
    """An API answered 401 or 403: the token is wrong, revoked or lacks a scope."""

    def __init__(self, detail: str) -> None:
        super().__init__(Cause.UNAUTHORISED, detail)


class Refused(RelayError):  # noqa: N818  says what happened
    """The order will never be accepted as it is. `detail` carries the API's own words."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class OrderAlreadyExists(Refused):
    """Create Order's one answer for "a record is there" and for "older than ten seconds" (domain: Create Order)."""

    def __init__(self) -> None:
        super().__init__(Cause.API_REFUSED, "The order already exists.")


class ConfigurationError(RelayError):
    """A setting or rule is wrong; the text says which, what was expected and how to mend it."""
