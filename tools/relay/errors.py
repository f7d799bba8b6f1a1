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

from handler.errors import Cause, Refused, RelayError, RetryLater, Unauthorized

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


class CliError(Exception):
    """Something is wrong (`what`), and this mends it (`mend`). Neither holds a secret."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def explained(error: Exception, store: str = "") -> CliError | None:  # noqa: PLR0911  one return for each kind
    """`error` as a CliError, or None when it is none that an operator can mend. `store` is the command's, if it has one."""
    match error:
        case CliError():
            return error
        case RelayError():
            return _of_relay(error, store)
        case ClientError():
            return _of_aws(error)
        case NoCredentialsError():
            return CliError(
                "There are no AWS credentials.",
                "Log in (`aws sso login`), or choose a profile: AWS_PROFILE, or --profile.",
            )
        case NoRegionError():
            return CliError("No AWS region is set.", "Add --region, or set AWS_REGION.")
        case ProfileNotFound():
            return CliError(str(error), "`aws configure list-profiles` names those that there are.")
        case ConnectionError() | HTTPClientError():
            return CliError(f"AWS does not answer: {error}", "Check the network, --region and AWS_ENDPOINT_URL.")
        case BotoCoreError():
            return CliError(f"AWS could not be called: {error}", "Check --profile and --region.")
        case _:
            return None


def _of_relay(error: RelayError, store: str) -> CliError:
    doctor = f"relay doctor {store}".strip()
    match error:
        case Unauthorized(detail=detail):
            return CliError(f"The token was refused. {detail}", f"See what it lacks: {doctor}")
        case RetryLater(cause=Cause.SECRET_UNAVAILABLE, detail=detail):
            mend = f"Enter it: relay store add {store}" if store else "See which one: relay store list"
            return CliError(f"The store's secret cannot be used: {detail}.", mend)
        case RetryLater(cause=Cause.ORDER_NOT_FOUND | Cause.NOT_THERE_YET, detail=detail):
            return CliError(f"{detail}.", "Check the order's number and --store.")
        case RetryLater(cause=cause, detail=detail):
            return CliError(
                f"BigCommerce does not answer as it should ({cause}): {detail}",
                "Try again in a minute; https://status.bigcommerce.com tells of outages.",
            )
        case Refused(detail=detail):
            return CliError(f"BigCommerce refused: {detail}", f"Look at everything on the way: {doctor}")
        case _:
            return CliError(str(error))


def _of_aws(error: ClientError) -> CliError:
    code = str(error.response["Error"]["Code"])
    if code in EXPIRED:
        return CliError(
            f"Your AWS login is over ({code}).",
            "Log in again (`aws sso login`), or choose another profile: AWS_PROFILE, or --profile.",
        )
    if code in DENIED:
        return CliError(
            f"AWS does not let you call {error.operation_name} ({code}).",
            "Use a role that may (--profile), or have the permission added to yours.",
        )
    return CliError(f"AWS refused {error.operation_name} ({code}): {error.response['Error'].get('Message', '')}")
