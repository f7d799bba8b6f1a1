"""Proof of origin: Standard Webhooks signatures and secret headers (domain: the webhook, proof of origin)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

from handler.errors import NotProven

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handler.credentials import StoreSecret


def prove(headers: Mapping[str, str], body: bytes, secret: StoreSecret) -> None:
    """Returns when everything that `secret` can check holds; raises NotProven, naming the check, when something does not.

    `headers` have lower-case names. A secret that can check nothing proves nothing.
    """
    if secret.client_secret is None and secret.webhook_header is None:
        raise NotProven("the store's secret has neither client_secret nor webhook_header")
    if secret.client_secret is not None:
        _check_signature(headers, body, secret.client_secret)
    if secret.webhook_header is not None:
        _check_header(headers, *secret.webhook_header)


def _check_signature(headers: Mapping[str, str], body: bytes, client_secret: str) -> None:
    try:
        # The key is the raw client secret; given as text, the library would take it for base64.
        Webhook(client_secret.encode()).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError, TypeError) as error:
        # On malformed headers `verify` also raises binascii.Error and UnicodeDecodeError (ValueErrors), and
        # compare_digest a TypeError: all of them mean that nothing was proven.
        raise NotProven("the signature headers are missing, stale or do not match the body") from error


def _check_header(headers: Mapping[str, str], name: str, value: str) -> None:
    if not hmac.compare_digest(headers.get(name.lower(), "").encode(errors="replace"), value.encode()):
        raise NotProven("the secret header is missing or has another value")
