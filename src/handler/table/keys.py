"""Every key of the table. An item is `id` (text) and its attributes; `expiration` (unix seconds) lets DynamoDB delete it.

order#<md5>                      an order is finished, or being processed (Powertools' idempotency record)
journal#<store>/<order>          the note of an order that is late or dead (`order_notes`)
stores                           the stores that the relay knows (`store_registry`)
reconciled#<store>               how far the store was reconciled (`store_registry`)
pace#<store>#<quarter minute>    requests of the late path in 15 seconds (`rate_limit`)
refused#<store>                  the sources that the store has refused, and until when not to ask again (`refused_sources`)
"""

from __future__ import annotations

import hashlib
import json

ORDER_PREFIX = "order"
"""Shared by all functions; without it, Powertools puts the function's own name into the key."""

NOTE_PREFIX = "journal#"
STORES_ID = "stores"


def order_key(store_hash: str, order: int, values_digest: str = "") -> str:
    """What makes an order the same order; with `values_digest`, an event that brings values (`OrderEvent`)."""
    return f"{store_hash}/{order}" + (f"#{values_digest}" if values_digest else "")


def order_id(store_hash: str, order: int, values_digest: str = "") -> str:
    """The id under which Powertools keeps an order's record: its prefix and the MD5 of the key in JSON."""
    key = json.dumps(order_key(store_hash, order, values_digest))
    return f"{ORDER_PREFIX}#{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"


def note_id(store_hash: str, order: int) -> str:
    """The id of an order's note."""
    return f"{NOTE_PREFIX}{store_hash}/{order}"


def progress_id(store_hash: str) -> str:
    """The id under which it stands how far a store was reconciled."""
    return f"reconciled#{store_hash}"


def rate_limit_id(store_hash: str, slice_number: int) -> str:
    """The id of the late path's requests to a store in one slice of time."""
    return f"pace#{store_hash}#{slice_number}"


def refused_sources_id(store_hash: str) -> str:
    """The id of the sources that a store has refused lately."""
    return f"refused#{store_hash}"
