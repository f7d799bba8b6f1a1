"""AWS errors as logs and queue messages show them."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError


def error_code(error: ClientError | BotoCoreError) -> str:
    """The AWS error code, such as `ThrottlingException`, or the name of the exception when no answer came.

    Not the error's message, which can hold names that do not belong in a log.
    """
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
