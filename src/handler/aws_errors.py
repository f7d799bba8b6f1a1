"""AWS errors as logs and reasons show them."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError


def error_code(error: ClientError | BotoCoreError) -> str:
    """AWS's own code, such as `ThrottlingException`, or the class where no answer came.

    The message may name more than a log should hold.
    """
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
