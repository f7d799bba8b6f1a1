"""What BigCommerce's webhooks look like, how they are signed, and when they come again. Needs no HTTP library."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.store.hooks import Hook
from sandbox.store.orders import Order

ORDER_CREATED = "store/order/created"
RETRY_DELAYS_SECONDS = (60, 180, 300, 600, 900, 1800, 3600, 7200, 21600, 50400, 86400)
"""How long BigCommerce waits before each further try; after the last one it gives the hook up."""


def webhook_body(
    order: Order,
    scope: str = ORDER_CREATED,
    *,
    channel_scoped: bool = False,
    created_at: bool = True,
) -> dict[str, Any]:
    """Make the published payload for an order.

    `channel_scoped`: as a hook on one channel gets it, with `data.order_id`. `created_at=False`: without that field,
    as in some published examples.
    """
    data = {"type": "order", "order_id" if channel_scoped else "id": order.id}
    if channel_scoped:
        scope = scope.replace("store/", f"store/channel/{order.channel_id}/", 1)
    body: dict[str, Any] = {"scope": scope, "store_id": order.store_id, "data": data}
    body["hash"] = hashlib.sha1(  # noqa: S324 - BigCommerce's own choice; it proves nothing and need not
        json.dumps([scope, order.store_hash, data, int(order.created_at)]).encode()
    ).hexdigest()
    if created_at:
        body["created_at"] = int(order.created_at)
    body["producer"] = f"stores/{order.store_hash}"
    return body


def sign(body: bytes, secret: str, at: float) -> dict[str, str]:
    """Make the three Standard Webhooks headers for a body sent at a time (unix seconds).

    The key is the raw client secret. Written out instead of calling `standardwebhooks`, which the relay uses: two
    independent readings of the specification check each other.
    """
    message_id = f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
    timestamp = str(int(at))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    signature = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def tries_seconds(compression: float, retries: int) -> Iterator[float]:
    """Yield the wait before each try of a delivery, the first included; `compression` 60 makes a minute a second."""
    yield 0.0
    for wait in RETRY_DELAYS_SECONDS[:retries]:
        yield wait / compression


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How a webhook is delivered; the defaults are what BigCommerce does."""

    scope: str = ORDER_CREATED
    channel_scoped: bool = False
    created_at: bool = True
    """False: the payload lacks `created_at`."""
    body: bytes | None = None
    """Sent instead of the payload (and signed all the same)."""
    forged: bool = False
    """Signed by somebody who does not know the secrets; the custom header is wrong, too."""
    stale_seconds: float = 0.0
    """How old the signature is on arrival."""
    copies: int = 1
    """Delivered so many times at the same moment."""
    delay_seconds: float = 0.0
    """Wait before the first try."""
    retries: int = len(RETRY_DELAYS_SECONDS)
    time_compression: float = 1.0
    """Divides the waits between tries."""
    timeout_seconds: float = 30.0
    """How long an acknowledgement may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to deliver, with what came back."""

    at: float
    headers: dict[str, str]
    body: bytes
    status: int | None
    """None: no answer, see `error`."""
    seconds: float
    """How long the acknowledgement took."""
    error: str = ""

    @property
    def acknowledged(self) -> bool:
        """Any 2xx is."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the class of codes


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One webhook on its way to one destination, over all its tries."""

    order: Order
    url: str
    options: DeliveryOptions
    content: bytes
    secret: str
    """Empty: not signed."""
    headers: dict[str, str]
    """The custom headers."""
    hook: Hook | None = None
    """None: sent to an address given by hand."""
    attempts: list[Attempt] = field(default_factory=list)
    tried: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def acknowledged(self) -> Attempt | None:
        """The try that succeeded, if one did."""
        return next((attempt for attempt in self.attempts if attempt.acknowledged), None)

    def first(self, timeout_seconds: float = 30.0) -> Attempt:
        """Wait for the outcome of the first try."""
        if not self.tried.wait(timeout_seconds) or not self.attempts:
            raise TimeoutError(f"order {self.order.id}: not even tried within {timeout_seconds} s")
        return self.attempts[0]

    def wait(self, timeout_seconds: float = 30.0) -> Attempt:
        """Wait until it was acknowledged or given up; the last try."""
        if not self.finished.wait(timeout_seconds) or not self.attempts:
            raise TimeoutError(f"order {self.order.id}: no end of the delivery within {timeout_seconds} s")
        return self.attempts[-1]

    def request_headers(self, at: float) -> dict[str, str]:
        """Make the headers of a try, signed afresh."""
        headers = {"Content-Type": "application/json", "User-Agent": "bigcommerce-sandbox"}
        headers |= {name: "forged" if self.options.forged else value for name, value in self.headers.items()}
        if self.secret:
            key = "not-the-secret" if self.options.forged else self.secret
            headers |= sign(self.content, key, at - self.options.stale_seconds)
        return headers
