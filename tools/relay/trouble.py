"""What went wrong, in words for somebody woken at night: what it is, and how to mend it."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  botocore's own name
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from handler.errors import Cause, Refused, RelayError, RetryLater, Unauthorised

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


class Trouble(Exception):  # noqa: N818  what an operator calls it
    """Something is wrong (`what`), and this mends it (`mend`). Neither holds a secret."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def explained(error: Exception, store: str = "") -> Trouble | None:  # noqa: PLR0911  one return for each kind
    """`error` as a Trouble, or None when it is none that an operator can mend. `store` is the command's, if it has one."""
    match error:
        case Trouble():
            return error
        case RelayError():
            return _of_relay(error, store)
        case ClientError():
            return _of_aws(error)
        case NoCredentialsError():
            return Trouble(
                "There are no AWS credentials.",
                "Log in (`aws sso login`), or choose a profile: AWS_PROFILE, or --profile.",
            )
        case NoRegionError():
            return Trouble("No AWS region is set.", "Add --region, or set AWS_REGION.")
        case ProfileNotFound():
            return Trouble(str(error), "`aws configure list-profiles` names those that there are.")
        case ConnectionError() | HTTPClientError():
            return Trouble(f"AWS does not answer: {error}", "Check the network, --region and AWS_ENDPOINT_URL.")
        case BotoCoreError():
            return Trouble(f"AWS could not be called: {error}", "Check --profile and --region.")
        case _:
            return None


def _of_relay(error: RelayError, store: str) -> Trouble:
    doctor = f"relay doctor {store}".strip()
    match error:
        case Unauthorised(detail=detail):
            return Trouble(f"The token was refused. {detail}", f"See what it lacks: {doctor}")
        case RetryLater(cause=Cause.SECRET_UNAVAILABLE, detail=detail):
            mend = f"Enter it: relay store add {store}" if store else "See which one: relay store list"
            return Trouble(f"The store's secret cannot be used: {detail}.", mend)
        case RetryLater(cause=Cause.ORDER_NOT_FOUND | Cause.NOT_THERE_YET, detail=detail):
            return Trouble(f"{detail}.", "Check the order's number and --store.")
        case RetryLater(cause=cause, detail=detail):
            return Trouble(
                f"BigCommerce does not answer as it should ({cause}): {detail}",
                "Try again in a minute; https://status.bigcommerce.com tells of outages.",
            )
        case Refused(detail=detail):
            return Trouble(f"BigCommerce refused: {detail}", f"Look at everything on the way: {doctor}")
        case _:
            return Trouble(str(error))


def _of_aws(error: ClientError) -> Trouble:
    code = str(error.response["Error"]["Code"])
    if code in EXPIRED:
        return Trouble(
            f"Your AWS login is over ({code}).",
            "Log in again (`aws sso login`), or choose another profile: AWS_PROFILE, or --profile.",
        )
    if code in DENIED:
        return Trouble(
            f"AWS does not let you call {error.operation_name} ({code}).",
            "Use a role that may (--profile), or have the permission added to yours.",
        )
    return Trouble(f"AWS refused {error.operation_name} ({code}): {error.response['Error'].get('Message', '')}")
