"""Unpacking what a server packed, within bounds."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.http.content_coding import MOST_MEMBERS, Undecodable, decoded


def gzipped(body: bytes) -> bytes:
    """Without the moment of packing: the tests' names hold these bytes."""
    return gzip.compress(body, mtime=0)


BODY = b'{"code": 200}'
LARGEST = 100_000


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (BODY, "utf-8"),
        (BODY, " , identity,"),
        (gzipped(BODY), "gzip"),
        (gzipped(BODY), "X-GZIP"),
        (gzipped(BODY), ""),  # node-bigcommerce #66
        (gzipped(BODY), "identity"),
        (BODY, "gzip"),  # unpacked on the way, and the header left
        (gzipped(gzipped(BODY)), "gzip, gzip"),
        (gzipped(gzipped(BODY)), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (raw_deflate(BODY), "deflate"),
        (gzipped(zlib.compress(BODY)), "deflate, gzip"),
        (zlib.compress(gzipped(BODY)), "gzip, deflate"),
        (gzipped(BODY[:5]) + gzipped(BODY[5:]), "gzip"),
        (gzipped(b"") + gzipped(BODY), "gzip"),
        (gzipped(BODY) + bytes(20), "gzip"),
        (gzipped(BODY) + b"\r\n", ""),
    ],
)
def test_a_body_is_unpacked(packed: bytes, header: str) -> None:
    assert decoded(packed, header, LARGEST) == BODY


@pytest.mark.parametrize("header", ["", "gzip", "deflate", "br"])
def test_an_empty_body_stays_empty(header: str) -> None:
    assert decoded(b"", header, LARGEST) == b""


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (BODY, "br"),
        (BODY, "zstd"),
        (BODY, "compress"),
        (gzipped(BODY), "gzip, br"),
        (gzipped(BODY)[:-1], "gzip"),
        (gzipped(BODY)[:12], ""),
        (gzipped(BODY)[:2], ""),
        (gzipped(BODY)[:-8] + bytes(8), "gzip"),  # a wrong checksum
        (zlib.compress(BODY)[:-1], "deflate"),
        (raw_deflate(BODY)[:-1], "deflate"),
        (BODY, "deflate"),
        (gzipped(b""), "deflate, gzip"),
        (gzipped(BODY) + gzipped(BODY)[:-1], "gzip"),
        (BODY, "gzip, gzip, gzip, gzip"),
        (gzipped(b"") * (MOST_MEMBERS + 1), "gzip"),
    ],
)
def test_what_cannot_be_unpacked_says_so(packed: bytes, header: str) -> None:
    with pytest.raises(Undecodable):
        decoded(packed, header, LARGEST)


@given(st.binary(), st.text(alphabet="gzipdeflatbr,- ") | st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_whatever_comes_is_unpacked_or_said_to_be_undecodable(packed: bytes, header: str) -> None:
    try:
        body = decoded(packed, header, LARGEST)
    except Undecodable:
        return
    assert len(body) <= max(LARGEST, len(packed))


def test_the_largest_body_is_unpacked_and_one_byte_more_is_not() -> None:
    assert len(decoded(gzipped(bytes(LARGEST)), "gzip", LARGEST)) == LARGEST
    halves = gzipped(bytes(LARGEST)) + gzipped(b"")
    assert len(decoded(halves, "gzip", LARGEST)) == LARGEST
    for packed in (gzipped(bytes(LARGEST + 1)), gzipped(bytes(LARGEST)) + gzipped(b"x")):
        with pytest.raises(Undecodable, match="more than"):
            decoded(packed, "gzip", LARGEST)


BOMB = bytes(200 * LARGEST)


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (gzipped(BOMB), "gzip"),
        (gzipped(BOMB), ""),
        (zlib.compress(BOMB), "deflate"),
        (raw_deflate(BOMB), "deflate"),
        (gzipped(gzipped(BOMB)), "gzip, gzip"),
        (gzipped(gzipped(BOMB)), "gzip"),
        (zlib.compress(gzipped(BOMB)), "gzip, deflate"),
        (gzipped(BOMB[: LARGEST // 2]) * 50, "gzip"),
    ],
)
def test_a_bomb_takes_no_more_memory_than_a_few_of_the_largest_bodies(packed: bytes, header: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable, match="more than"):
            decoded(packed, header, LARGEST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak / LARGEST < 4
