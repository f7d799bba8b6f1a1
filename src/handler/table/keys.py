"""All keys of the table. An item has `id` (text) and its attributes; DynamoDB deletes it after `expiration` (unix seconds).

order#<md5>                      an order that is finished or in progress (Powertools' idempotency record)
note#<store>/<order>             the note of an order that is late or dead (`order_notes`)
stores                           the stores that the relay knows (`store_registry`)
reconciled#<store>               how far the store was reconciled (`store_registry`)
rate#<store>#<quarter minute>    requests of the late path in 15 seconds (`rate_limit`)
refused#<store>                  the sources that the store refused, and until when not to request them (`refused_sources`)
"""

from __future__ import annotations

import hashlib
import json

ORDER_PREFIX = "order"
"""Shared by all functions; without it, Powertools uses the function's name."""

NOTE_PREFIX = "note#"
STORES_ID = "stores"


def order_key(store_hash: str, order: int, values_digest: str = "") -> str:
    """The idempotency key of an order; with `values_digest`, of an event with its own values (`OrderEvent`)."""
    return f"{store_hash}/{order}" + (f"#{values_digest}" if values_digest else "")


def order_id(store_hash: str, order: int, values_digest: str = "") -> str:
    """The id of an order's idempotency record: Powertools' prefix and the MD5 of the key in JSON."""
    key = json.dumps(order_key(store_hash, order, values_digest))
    return f"{ORDER_PREFIX}#{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"


def note_id(store_hash: str, order: int) -> str:
    """The id of an order's note."""
    return f"{NOTE_PREFIX}{store_hash}/{order}"


def progress_id(store_hash: str) -> str:
    """The id of a store's reconcile progress."""
    return f"reconciled#{store_hash}"


def rate_limit_id(store_hash: str, slice_number: int) -> str:
    """The id of the number of late requests to a store in one slice of time."""
    return f"rate#{store_hash}#{slice_number}"


def refused_sources_id(store_hash: str) -> str:
    """The id of the sources that a store has refused recently."""
    return f"refused#{store_hash}"
