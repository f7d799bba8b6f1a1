"""Errors as an operator sees them: what is wrong, and how to fix it."""

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
    """An error: `what` is wrong and how to `fix` it. Neither contains a secret."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def explained(error: Exception, store: str = "") -> CliError | None:  # noqa: PLR0911  one return for each kind
    """`error` as a CliError, or None if it is a defect of this command line. `store`: the command's store, if any."""
    match error:
        case CliError():
            return error
        case RelayError():
            return _of_relay(error, store)
        case ClientError():
            return _of_aws(error)
        case NoCredentialsError():
            return CliError(
                "No AWS credentials were found.",
                "Log in (`aws sso login`), or choose a profile with --profile or AWS_PROFILE.",
            )
        case NoRegionError():
            return CliError("No AWS region is set.", "Add --region, or set AWS_REGION.")
        case ProfileNotFound():
            return CliError(str(error), "List the profiles: `aws configure list-profiles`")
        case ConnectionError() | HTTPClientError():
            return CliError(f"AWS does not answer: {error}", "Check the network, --region and AWS_ENDPOINT_URL.")
        case BotoCoreError():
            return CliError(f"The AWS call failed: {error}", "Check --profile and --region.")
        case _:
            return None


def _of_relay(error: RelayError, store: str) -> CliError:
    doctor = f"relay doctor {store}".strip()
    match error:
        case Unauthorized(detail=detail):
            return CliError(f"The API rejected the token. {detail}", f"Check the token's scopes: {doctor}")
        case RetryLater(cause=Cause.SECRET_UNAVAILABLE, detail=detail):
            fix = f"Enter it: relay store add {store}" if store else "List the secrets: relay store list"
            return CliError(f"The store's secret cannot be used: {detail}.", fix)
        case RetryLater(cause=Cause.ORDER_NOT_FOUND | Cause.NOT_THERE_YET, detail=detail):
            return CliError(f"{detail}.", "Check the order number and --store.")
        case RetryLater(cause=cause, detail=detail):
            return CliError(
                f"BigCommerce did not answer as expected ({cause}): {detail}",
                "Try again in a minute. Outages are listed on https://status.bigcommerce.com.",
            )
        case Refused(detail=detail):
            return CliError(f"BigCommerce refused the request: {detail}", f"Check the store: {doctor}")
        case _:
            return CliError(str(error))


def _of_aws(error: ClientError) -> CliError:
    code = str(error.response["Error"]["Code"])
    if code in EXPIRED:
        return CliError(
            f"Your AWS credentials have expired or are invalid ({code}).",
            "Log in again (`aws sso login`), or choose another profile with --profile or AWS_PROFILE.",
        )
    if code in DENIED:
        return CliError(
            f"Your role may not call {error.operation_name} ({code}).",
            "Use a role that may (--profile), or add the permission to yours.",
        )
    return CliError(f"AWS refused {error.operation_name} ({code}): {error.response['Error'].get('Message', '')}")
