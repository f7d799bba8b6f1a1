"""Faults of the simulated store itself: they begin at once and last until they are removed, or until an operator has mended them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.store.settings import ExtraField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.store_secrets import StoreSecrets
    from sandbox.store.faults import Rule
    from sandbox.store.server import SandboxStore
    from sandbox.store.settings import Store

REQUIRED_FIELD = ExtraField(name="Approver", required=True)


@dataclass(frozen=True, slots=True)
class StoreFault:
    """How a fault begins, how it is taken back, and whether somebody has mended it otherwise."""

    begin: Callable[[], None]
    end: Callable[[], None]
    mended: Callable[[], bool] = lambda: False


def store_faults(sandbox: SandboxStore, store: Store, store_secrets: StoreSecrets) -> Mapping[str, StoreFault]:
    """The faults of a store, by their words on the menu; `store_secrets` holds what the relay knows of the store."""
    return {
        "b2b-down": _outage(sandbox, "b2b"),
        "both-down": _outage(sandbox, "*"),
        "required": StoreFault(
            lambda: _configure_fields(sandbox, store, REQUIRED_FIELD), lambda: _configure_fields(sandbox, store)
        ),
        "token": StoreFault(
            lambda: _revoke_token(sandbox, store),
            lambda: store_secrets.write(
                store.hash, (store_secrets.read(store.hash) or {}) | {"access_token": store.access_token}
            ),
            lambda: (store_secrets.read(store.hash) or {}).get("access_token") == store.access_token,
        ),
        "hook-off": StoreFault(
            lambda: _switch_hooks(sandbox, store, active=False),
            lambda: _switch_hooks(sandbox, store, active=True),
            lambda: any(hook.is_active for hook in sandbox.hooks(store)),
        ),
    }


def _outage(sandbox: SandboxStore, endpoint: str) -> StoreFault:
    rules: list[Rule] = []
    return StoreFault(
        lambda: rules.append(sandbox.down(endpoint)),
        lambda: sandbox.remove_fault(rules.pop()),
    )


def _configure_fields(sandbox: SandboxStore, store: Store, *more: ExtraField) -> None:
    fields = tuple(field for field in store.extra_fields if field != REQUIRED_FIELD)
    sandbox.configure(store, extra_fields=fields + more)


def _revoke_token(sandbox: SandboxStore, store: Store) -> None:
    sandbox.configure(store, access_token=f"{store.hash}-{secrets.token_hex(12)}")


def _switch_hooks(sandbox: SandboxStore, store: Store, *, active: bool) -> None:
    for hook in sandbox.hooks(store):
        hook.is_active = active
