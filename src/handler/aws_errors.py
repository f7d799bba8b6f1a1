"""The name of an AWS failure, for logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError


def error_code(error: ClientError | BotoCoreError) -> str:
    """AWS's own error code, such as `ThrottlingException`; the class name where AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__
