"""What proves that a webhook is genuine: its signature, its secret header, or both."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from handler.bigcommerce.credentials import StoreSecret
from handler.bigcommerce.signature import authenticate
from handler.errors import Unauthenticated
from sandbox.store.webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b'{"producer": "stores/abcde"}'


def secret(**values: Any) -> StoreSecret:
    return StoreSecret.parse(json.dumps({"access_token": "token"} | values))


BOTH = secret(client_secret="shh", webhook_header={"name": "X-Relay-Key", "value": "key"})


def test_a_valid_signature_with_a_valid_header_is_accepted() -> None:
    authenticate(sign(BODY, "shh", time.time()) | {"x-relay-key": "key"}, BODY, BOTH)


def test_a_secret_header_alone_is_enough_for_a_store_without_a_client_secret() -> None:
    header_only = secret(webhook_header={"name": "X-Relay-Key", "value": "key"})

    authenticate({"x-relay-key": "key"}, BODY, header_only)
    for headers in ({"x-relay-key": "other"}, {}):
        with pytest.raises(Unauthenticated, match=r"^the secret header is missing or has another value$"):
            authenticate(headers, BODY, header_only)


def signed(secret: str = "shh", body: bytes = BODY, seconds: float = 0.0) -> dict[str, str]:
    return sign(body, secret, time.time() + seconds) | {"x-relay-key": "key"}


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: {"x-relay-key": "key"},
        lambda: sign(BODY, "shh", time.time()),
        lambda: signed() | {"x-relay-key": "other"},
        lambda: signed() | {"x-relay-key": "k\u00e9y\ud800"},
        lambda: signed("other"),
        lambda: signed(body=b"{}"),
        lambda: signed(seconds=-400),
        lambda: signed(seconds=400),
        lambda: signed() | {"webhook-timestamp": "soon"},
    ],
)
def test_missing_expired_and_forged_headers_are_refused(headers: Callable[[], dict[str, str]]) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(headers(), BODY, BOTH)


@pytest.mark.parametrize(
    "signature",
    ["", "v1", "v1,", "v1,!", "v1,\u00e9", "v2,abc", "v1,YWJj v1", "a,b,c", "\ud800"],
    ids=lambda signature: ascii(signature).replace("\\", ""),  # a backslash in a name cannot be given to pytest again
)
def test_a_malformed_signature_is_refused(signature: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(signed() | {"webhook-signature": signature}, BODY, BOTH)


@pytest.mark.parametrize(
    ("headers", "client_secret", "words"),
    [
        (lambda: signed(seconds=-400), "shh", "stale"),
        (lambda: signed(seconds=400), "shh", "stale"),
        (lambda: signed("other", seconds=-400), "shh", "does not match the body"),
        (lambda: signed(body=b"{}"), "shh", "does not match the body"),
        (lambda: {"webhook-id": "1"}, "shh", "headers are missing"),
        (lambda: signed("shh"), base64.b64encode(b"shh").decode(), "decoded from base64"),
        (lambda: signed("shh"), base64.b64encode(b"shh").decode().rstrip("="), "decoded from base64"),
        (lambda: signed("shh"), "whsec_" + base64.b64encode(b"shh").decode(), "decoded from base64"),
        (lambda: signed("shh", seconds=-400), "whsec_" + base64.b64encode(b"shh").decode(), "decoded from base64"),
        (lambda: signed("shh"), "whsec_shh", "without its prefix"),
        (lambda: signed("shh"), "whsec_", "does not match the body"),
        (lambda: signed("shh"), "=", "does not match the body"),
        (lambda: signed() | {"webhook-timestamp": "nan"}, "shh", "does not match the body"),
        (lambda: signed() | {"webhook-timestamp": "1e300"}, "shh", "does not match the body"),
    ],
)
def test_the_log_is_told_why_a_signature_fails(
    headers: Callable[[], dict[str, str]], client_secret: str, words: str
) -> None:
    with pytest.raises(Unauthenticated, match=words):
        authenticate(headers(), BODY, secret(client_secret=client_secret))


def test_a_body_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        authenticate(sign(b"\xff", "shh", time.time()), b"\xff", secret(client_secret="shh"))


def test_a_secret_without_client_secret_and_header_accepts_nothing() -> None:
    with pytest.raises(Unauthenticated, match="neither client_secret nor webhook_header"):
        authenticate({}, BODY, secret())
