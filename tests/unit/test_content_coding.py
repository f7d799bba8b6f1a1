"""Unpacking what a server packed, within bounds."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.content_coding import MOST_MEMBERS, Undecodable, decoded

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
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "X-GZIP"),
        (gzip.compress(BODY), ""),  # node-bigcommerce #66
        (gzip.compress(BODY), "identity"),
        (BODY, "gzip"),  # unpacked on the way, and the header left
        (gzip.compress(gzip.compress(BODY)), "gzip, gzip"),
        (gzip.compress(gzip.compress(BODY)), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (raw_deflate(BODY), "deflate"),
        (gzip.compress(zlib.compress(BODY)), "deflate, gzip"),
        (zlib.compress(gzip.compress(BODY)), "gzip, deflate"),
        (gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]), "gzip"),
        (gzip.compress(b"") + gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY) + bytes(20), "gzip"),
        (gzip.compress(BODY) + b"\r\n", ""),
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
        (gzip.compress(BODY), "gzip, br"),
        (gzip.compress(BODY)[:-1], "gzip"),
        (gzip.compress(BODY)[:12], ""),
        (gzip.compress(BODY)[:2], ""),
        (gzip.compress(BODY)[:-8] + bytes(8), "gzip"),  # a wrong checksum
        (zlib.compress(BODY)[:-1], "deflate"),
        (raw_deflate(BODY)[:-1], "deflate"),
        (BODY, "deflate"),
        (gzip.compress(b""), "deflate, gzip"),
        (gzip.compress(BODY) + gzip.compress(BODY)[:-1], "gzip"),
        (BODY, "gzip, gzip, gzip, gzip"),
        (gzip.compress(b"") * (MOST_MEMBERS + 1), "gzip"),
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
    assert len(decoded(gzip.compress(bytes(LARGEST)), "gzip", LARGEST)) == LARGEST
    halves = gzip.compress(bytes(LARGEST)) + gzip.compress(b"")
    assert len(decoded(halves, "gzip", LARGEST)) == LARGEST
    for packed in (gzip.compress(bytes(LARGEST + 1)), gzip.compress(bytes(LARGEST)) + gzip.compress(b"x")):
        with pytest.raises(Undecodable, match="more than"):
            decoded(packed, "gzip", LARGEST)


BOMB = bytes(200 * LARGEST)


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (gzip.compress(BOMB), "gzip"),
        (gzip.compress(BOMB), ""),
        (zlib.compress(BOMB), "deflate"),
        (raw_deflate(BOMB), "deflate"),
        (gzip.compress(gzip.compress(BOMB)), "gzip, gzip"),
        (gzip.compress(gzip.compress(BOMB)), "gzip"),
        (zlib.compress(gzip.compress(BOMB)), "gzip, deflate"),
        (gzip.compress(BOMB[: LARGEST // 2]) * 50, "gzip"),
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
