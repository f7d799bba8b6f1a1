"""Authenticates webhooks: Standard Webhooks signatures and secret headers (docs/bigcommerce.md, Webhook signatures)."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from handler.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handler.bigcommerce.credentials import StoreSecret

SIGNATURE_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def authenticate(headers: Mapping[str, str], body: bytes, secret: StoreSecret) -> None:
    """Raises Unauthenticated, which names the check, unless everything that `secret` can check is valid.

    `headers` have lower-case names. A secret that can check nothing authenticates nothing.
    """
    if secret.client_secret is None and secret.webhook_header is None:
        raise Unauthenticated("the store's secret has neither client_secret nor webhook_header")
    if secret.client_secret is not None:
        _check_signature(headers, body, secret.client_secret)
    if secret.webhook_header is not None:
        _check_header(headers, *secret.webhook_header)


def _check_signature(headers: Mapping[str, str], body: bytes, client_secret: str) -> None:
    try:
        # The key is the raw client secret. As text, the library would decode it from base64.
        Webhook(client_secret.encode()).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError, TypeError) as error:
        # On malformed headers `verify` also raises binascii.Error and UnicodeDecodeError (ValueErrors), and
        # compare_digest a TypeError.
        raise Unauthenticated(_why_unsigned(headers, body, client_secret)) from error


def _why_unsigned(headers: Mapping[str, str], body: bytes, client_secret: str) -> str:
    """Why a signature is invalid, for the log only."""
    if not all(headers.get(name) for name in SIGNATURE_HEADERS):
        return "the signature headers are missing"
    if _has_signed(client_secret.encode(), headers, body):
        return "the signature matches the body, but it is stale: its timestamp is more than five minutes off"
    bare = client_secret.removeprefix("whsec_")
    if bare != client_secret and _has_signed(bare.encode(), headers, body):
        return "the signature does not match, but it would with the client secret without its prefix whsec_"
    # Given as text, the library decodes the secret from base64, without the prefix if there is one.
    if _has_signed(client_secret, headers, body):
        return "the signature does not match, but it would with the client secret decoded from base64"
    return "the signature does not match the body, or its headers are malformed"


def _has_signed(key: bytes | str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures was made with this key, at any time."""
    try:
        timestamp = datetime.fromtimestamp(float(headers["webhook-timestamp"]), UTC)
        expected = Webhook(key).sign(headers["webhook-id"], timestamp, body.decode())
        return any(hmac.compare_digest(expected, signature) for signature in headers["webhook-signature"].split(" "))
    except (EmptyWebhookSecretError, ValueError, TypeError, OverflowError, OSError):
        return False  # malformed headers, body or secret


def _check_header(headers: Mapping[str, str], name: str, value: str) -> None:
    if not hmac.compare_digest(headers.get(name.lower(), "").encode(errors="replace"), value.encode()):
        raise Unauthenticated("the secret header is missing or has another value")
