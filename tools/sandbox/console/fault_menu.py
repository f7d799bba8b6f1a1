"""The faults that the page offers, in words, and what each is made of."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.demo.scenarios import STORE_HASH
from sandbox.store import faults
from sandbox.store.settings import ExtraField

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.store_secrets import StoreSecrets
    from sandbox.store.faults import Fault
    from sandbox.store.server import SandboxStore
    from sandbox.store.settings import Store

ENDPOINTS = {
    "b2b.create": "Create Order",
    "core.get_order": "the order look-up",
    "b2b.company": "the company",
    "b2b.user": "the company user",
    "core.customer": "the customer",
    "core.attributes": "the names of customer attributes",
    "core.metafields": "the order's metafields",
    "b2b": "every call of the B2B API",
    "*": "every call of both APIs",
}
EXTENTS: dict[str, tuple[str, int | None]] = {
    "next-1": ("the next order, one call", 1),
    "next-3": ("the next order, three calls", 3),
    "next-all": ("the next order, every call", None),
    "all": ("every order, until removed", None),
}
"""For whom and how often; with `all` for everybody."""

NOT_READABLE_SECONDS = 3.0
REQUIRED_FIELD = ExtraField(name="Approver", required=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the menu. Without `make` it is nothing that a call meets, but something about the order or the store."""

    label: str
    hint: str
    make: Callable[[str], Fault] | None = None
    """Makes the fault for an endpoint."""
    outage: str = ""
    """These endpoints answer every call 503, from now on until it is removed."""
    of_store: Callable[[FaultyStore], None] | None = None
    """Makes the fault part of the store, from now on until `end`, or until an operator has mended it."""
    end: Callable[[FaultyStore], None] = lambda _: None
    mended: str = ""
    """What `end` does in an operator's place."""
    is_mended: Callable[[FaultyStore], bool] = lambda _: False

    @property
    def for_order(self) -> bool:
        """Whether it is for one order or for all; otherwise it is in force at once."""
        return not self.outage and self.of_store is None


@dataclass(frozen=True, slots=True)
class FaultyStore:
    """A store that can have faults of its own; `store_secrets` holds what the relay knows of it."""

    sandbox: SandboxStore
    store: Store
    store_secrets: StoreSecrets

    def configure_fields(self, *more: ExtraField) -> None:
        """Let the store have these extra fields beside its own."""
        fields = tuple(field for field in self.store.extra_fields if field != REQUIRED_FIELD)
        self.sandbox.configure(self.store, extra_fields=fields + more)

    def revoke_token(self) -> None:
        """Give the store a new token, of which the relay does not know."""
        self.sandbox.configure(self.store, access_token=f"{self.store.hash}-{secrets.token_hex(12)}")

    def known(self) -> dict[str, object]:
        """What the relay knows of the store."""
        return self.store_secrets.read(self.store.hash) or {}

    def tell_token(self) -> None:
        """Let the relay know the store's token."""
        self.store_secrets.write(self.store.hash, self.known() | {"access_token": self.store.access_token})

    def switch_hooks(self, *, on: bool) -> None:
        """Activate or deactivate the store's hooks."""
        for hook in self.sandbox.hooks(self.store):
            hook.is_active = on


MENU = {
    "503": Choice("503 Service Unavailable", "The API is down.", lambda _: faults.status(503)),
    "hang": Choice("hangs", "No answer for two minutes, and nothing done.", lambda _: faults.hang()),
    "drip": Choice("drips", "The answer comes one byte a second.", lambda _: faults.drip(1.0)),
    "reset": Choice("connection reset", "Cut before anything is done.", lambda _: faults.reset()),
    "lost": Choice("answer lost", "Done, and then cut: did it happen?", lambda _: faults.reset_after()),
    "garbage": Choice("garbage", "200 with a page that is no JSON.", lambda _: faults.garbage()),
    "429-soon": Choice(
        "429, resets in 2 s",
        "Too many requests, and the window still allows another.",
        lambda _: faults.status(429, headers={"X-Request-Window-Resets-After": "2.0 s"}),
    ),
    "429-late": Choice(
        "429, resets in 15 s",
        "Too many requests until after the window.",
        lambda _: faults.status(429, headers={"X-Request-Window-Resets-After": "15.0 s"}),
    ),
    "slow": Choice("slow", "The answer comes after four seconds.", faults.SOURCE_FAULTS["slow"]),
    "403": Choice("403, scope missing", "The API refuses: the token lacks the scope.", faults.SOURCE_FAULTS["403"]),
    "404": Choice("404 Not Found", "The API knows nothing of it.", faults.SOURCE_FAULTS["404"]),
    "not-readable": Choice(
        "order not readable at first", f"The look-up answers 404 for {NOT_READABLE_SECONDS:g} seconds."
    ),
    "forged": Choice("webhook forged", "Somebody who does not know the secrets sends it."),
    "b2b-down": Choice(
        "B2B API down", "Every call of the B2B API is answered 503, until this is removed.", outage="b2b"
    ),
    "both-down": Choice(
        "both APIs down", "Every call of both APIs is answered 503, until this is removed.", outage="*"
    ),
    "required": Choice(
        "required extra field",
        f"The store {STORE_HASH} requires the field {REQUIRED_FIELD.name}. Create Order and Update Order without it are "
        "answered 422, a redrive included, until this is removed.",
        of_store=lambda faulty: faulty.configure_fields(REQUIRED_FIELD),
        end=lambda faulty: faulty.configure_fields(),
    ),
    "token": Choice(
        "token revoked",
        f"All APIs refuse the token of the store {STORE_HASH}. The new one is shown under Stores.",
        of_store=lambda faulty: faulty.revoke_token(),
        end=lambda faulty: faulty.tell_token(),
        mended="the relay's secret has the new token",
        is_mended=lambda faulty: faulty.known().get("access_token") == faulty.store.access_token,
    ),
    "hook-off": Choice(
        "webhook off",
        f"The hook of the store {STORE_HASH} is deactivated, as BigCommerce does after two days of failed deliveries.",
        of_store=lambda faulty: faulty.switch_hooks(on=False),
        end=lambda faulty: faulty.switch_hooks(on=True),
        mended="the hook is active again",
        is_mended=lambda faulty: any(hook.is_active for hook in faulty.sandbox.hooks(faulty.store)),
    ),
}
"""By the word that stands for each in requests."""


def menu_as_json() -> dict[str, object]:
    """The menu for the page."""
    return {
        "faults": [
            {"key": key, "label": choice.label, "hint": choice.hint, "of_api": choice.make is not None}
            | {"of_store": not choice.for_order}
            for key, choice in MENU.items()
        ],
        "endpoints": [{"key": key, "label": label} for key, label in ENDPOINTS.items()],
        "extents": [{"key": key, "label": label} for key, (label, _) in EXTENTS.items()],
    }
