"""Names of AWS errors, for logs and decisions."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError


def error_code(error: ClientError | BotoCoreError) -> str:
    """AWS's own code (`ThrottlingException`), or the class when AWS gave no answer (`ConnectTimeoutError`).

    The message stays out: it names accounts, roles and resources.
    """
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__
