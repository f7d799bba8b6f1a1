"""Undoes what `Content-Encoding` says was done to a body, within bounds: a kilobyte can unpack to a gigabyte."""

from __future__ import annotations

import zlib
from typing import Final

ACCEPTED = "gzip, deflate"
"""For Accept-Encoding: what `decoded` undoes."""

NONE = frozenset({"", "identity", "none", "utf-8"})
"""Names that mean: not compressed. The last two are none of HTTP's, and are sent all the same."""

GZIP_MAGIC = b"\x1f\x8b"
MOST_LAYERS = 3
MOST_MEMBERS = 100
"""Of one gzip body; a server that flushes makes a few."""

# `wbits` of zlib, which tells the formats apart
GZIP: Final = 31
ZLIB: Final = 15
RAW: Final = -15


class Undecodable(Exception):  # noqa: N818  says what the body is
    """The body's coding is unknown, or its compressed data are broken, cut off, or too large once unpacked."""


def decoded(body: bytes, content_encoding: str, largest_bytes: int) -> bytes:
    """The body as it was before `content_encoding` (the header's value), at most `largest_bytes` at every step.

    Gzip is known by its first bytes, whatever the header says: bodies come packed without the header
    (node-bigcommerce #66), and unpacked with it. Raises Undecodable.
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
            raise Undecodable("a coding that nobody asked for")
    return _unzipped(body, largest_bytes)


def _unzipped(body: bytes, largest_bytes: int) -> bytes:
    """The members of a gzip body one after the other (RFC 1952, 2.2); what is not gzip, as it is."""
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
    """The content of a deflate body: zlib's format (RFC 9110, 8.4.1.2), or the bare one that some servers send."""
    # No encoder begins bare deflate data with the mark of zlib's format (RFC 1950, 2.2).
    is_zlib = bool(body) and body[0] & 0x0F == zlib.DEFLATED
    return _decompressed(body, ZLIB if is_zlib else RAW, largest_bytes)[0]


def _decompressed(body: bytes, wbits: int, largest_bytes: int) -> tuple[bytes, bytes]:
    """The content of the first compressed stream in `body`, and what follows it."""
    stream = zlib.decompressobj(wbits)
    try:
        content = stream.decompress(body, largest_bytes + 1)
    except zlib.error as error:
        raise Undecodable("broken compressed data") from error
    if len(content) > largest_bytes:
        raise Undecodable(f"more than {largest_bytes} bytes once unpacked")
    if not stream.eof:
        raise Undecodable("compressed data that were cut off")
    return content, stream.unused_data
