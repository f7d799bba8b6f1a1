"""Decodes `Content-Encoding`, with a size limit: a kilobyte can decompress to a gigabyte."""

from __future__ import annotations

import zlib
from typing import Final

ACCEPTED = "gzip, deflate"
"""The value of Accept-Encoding: what `decoded` supports."""

NONE = frozenset({"", "identity", "none", "utf-8"})
"""Not compressed. The last two are not HTTP's, but servers send them."""

GZIP_MAGIC = b"\x1f\x8b"
MOST_LAYERS = 3
MOST_MEMBERS = 100
"""In one gzip body; a server that flushes makes several."""

# `wbits` of zlib, which tells the formats apart
GZIP: Final = 31
ZLIB: Final = 15
RAW: Final = -15


class Undecodable(Exception):  # noqa: N818  an outcome, not a fault
    """The coding is unknown, or the data is corrupt, truncated, or too large when decompressed."""


def decoded(body: bytes, content_encoding: str, largest_bytes: int) -> bytes:
    """The body without `content_encoding` (the header's value), at most `largest_bytes` after each step.

    Gzip is recognized by its first bytes, since servers also send gzip without the header (node-bigcommerce #66), and
    the header without gzip. Raises Undecodable.
    """
    if not body:
        return body
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    if len(codings) > MOST_LAYERS:
        raise Undecodable(f"more than {MOST_LAYERS} codings")
    for coding in reversed(codings):
        if coding == "deflate":
            body = _inflated(body, largest_bytes)
        elif coding in {"gzip", "x-gzip"}:
            body = _unzipped(body, largest_bytes)
        elif coding not in NONE:
            raise Undecodable("an unsupported coding")
    return _unzipped(body, largest_bytes)


def _unzipped(body: bytes, largest_bytes: int) -> bytes:
    """Decompresses all members of a gzip body (RFC 1952, 2.2); returns any other body unchanged."""
    if not body.startswith(GZIP_MAGIC):
        return body
    unpacked = b""
    for _ in range(MOST_MEMBERS):
        member, body = _decompressed(body, GZIP, largest_bytes - len(unpacked))
        unpacked += member
        if not body.startswith(GZIP_MAGIC):
            return unpacked  # what follows is padding
    raise Undecodable(f"more than {MOST_MEMBERS} gzip members")


def _inflated(body: bytes, largest_bytes: int) -> bytes:
    """Decompresses a deflate body: zlib's format (RFC 9110, 8.4.1.2), or raw deflate, which some servers send."""
    # No encoder begins raw deflate data with the first byte of the zlib format (RFC 1950, 2.2).
    is_zlib = bool(body) and body[0] & 0x0F == zlib.DEFLATED
    return _decompressed(body, ZLIB if is_zlib else RAW, largest_bytes)[0]


def _decompressed(body: bytes, wbits: int, largest_bytes: int) -> tuple[bytes, bytes]:
    """The decompressed first stream in `body`, and the bytes after it."""
    stream = zlib.decompressobj(wbits)
    try:
        content = stream.decompress(body, largest_bytes + 1)
    except zlib.error as error:
        raise Undecodable("corrupt compressed data") from error
    if len(content) > largest_bytes:
        raise Undecodable(f"more than {largest_bytes} bytes when decompressed")
    if not stream.eof:
        raise Undecodable("truncated compressed data")
    return content, stream.unused_data
