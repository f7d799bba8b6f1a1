"""Reads and changes the stores' secrets. The functions read them with `handler.bigcommerce.credentials`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from handler import strict_json
from handler.errors import MalformedEvent
from handler.order_event import STORE_HASH
from relay.errors import CliError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import CreateSecretRequestTypeDef

RECOVERY_WINDOW_DAYS = 7
"""Secrets Manager's recovery window of a deleted secret; 7 days is its minimum."""


class StoreSecrets:
    """Secrets named <prefix>/<store hash>, as JSON objects. Errors never contain their values."""

    def __init__(self, client: SecretsManagerClient, prefix: str, key: str = "") -> None:
        """`key`: ARN of the KMS key for new secrets; empty for the AWS managed key."""
        self._client = client
        self._prefix = prefix
        self._key = key

    def name(self, store_hash: str) -> str:
        """The name of a store's secret."""
        return f"{self._prefix}/{store_hash}"

    def read(self, store_hash: str) -> dict[str, Any] | None:
        """The store's secret; None if it does not exist or is scheduled for deletion. Raises CliError if it is not JSON."""
        name = self.name(store_hash)
        try:
            text = self._client.get_secret_value(SecretId=name).get("SecretString", "")
        except (
            self._client.exceptions.ResourceNotFoundException,
            self._client.exceptions.InvalidRequestException,
        ):
            return None
        fix = f"Delete the secret {name} in the AWS console, then: relay store add {store_hash}"
        try:
            values = strict_json.parse(text)
        except MalformedEvent:
            raise CliError(f"The secret {name} is not JSON.", fix) from None
        if not isinstance(values, dict):
            raise CliError(f"The secret {name} is not a JSON object.", fix)
        return values

    def why_none(self, store_hash: str) -> str:
        """Why `read` returned None. Raises botocore's errors."""
        name = self.name(store_hash)
        try:
            described = self._client.describe_secret(SecretId=name)
        except self._client.exceptions.ResourceNotFoundException:
            return f"the secret {name} does not exist"
        if described.get("DeletedDate"):
            return f"the secret {name} is scheduled for deletion"
        return f"the secret {name} has no value"

    def key(self, store_hash: str) -> str:
        """The KMS key of the store's secret; empty for the AWS managed key. Raises botocore's errors."""
        return self._client.describe_secret(SecretId=self.name(store_hash)).get("KmsKeyId", "")

    def stores(self) -> list[str]:
        """The stores that have a secret, sorted, without secrets scheduled for deletion. Raises botocore's errors."""
        prefix = self.name("")
        pages = self._client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
        names = [secret.get("Name", "") for page in pages for secret in page["SecretList"]]
        hashes = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return sorted(each for each in hashes if STORE_HASH.fullmatch(each))

    def write(self, store_hash: str, values: dict[str, Any]) -> None:
        """Creates or replaces the store's secret; restores one that is scheduled for deletion."""
        name, text = self.name(store_hash), json.dumps(values)
        errors = self._client.exceptions
        created: CreateSecretRequestTypeDef = {
            "Name": name,
            "SecretString": text,
            "Description": f"B2B Order Relay: API access to the store {store_hash}",
        }
        if self._key:
            created["KmsKeyId"] = self._key
        try:
            self._client.create_secret(**created)
        except (errors.ResourceExistsException, errors.InvalidRequestException):
            if "DeletedDate" in self._client.describe_secret(SecretId=name):
                self._client.restore_secret(SecretId=name)
            self._client.put_secret_value(SecretId=name, SecretString=text)

    def remove(self, store_hash: str) -> bool:
        """Schedules the secret for deletion after RECOVERY_WINDOW_DAYS; returns whether it existed."""
        try:
            self._client.delete_secret(SecretId=self.name(store_hash), RecoveryWindowInDays=RECOVERY_WINDOW_DAYS)
        except (
            self._client.exceptions.ResourceNotFoundException,
            self._client.exceptions.InvalidRequestException,
        ):
            return False
        return True
