"""What an API's answer says, however oddly it is written."""

from __future__ import annotations

import codecs
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.http.exchange import Response
from handler.http.tolerant_json import parse

VALUE = {"code": 200, "data": {"name": "Müller 🛒", "list": [1, None, True]}}
WRITTEN = json.dumps(VALUE, ensure_ascii=False)


@pytest.mark.parametrize(
    "body",
    [
        WRITTEN.encode(),
        WRITTEN.encode("utf-8-sig"),
        WRITTEN.encode("utf-16"),
        codecs.BOM_UTF16_BE + WRITTEN.encode("utf-16-be"),
        WRITTEN.encode("utf-16-le"),
        WRITTEN.encode("utf-32"),
        codecs.BOM_UTF32_BE + WRITTEN.encode("utf-32-be"),
        codecs.BOM_UTF8 * 2 + WRITTEN.encode(),
        b"\r\n\t " + WRITTEN.encode() + b" \r\n",
        b"\n" + codecs.BOM_UTF8 + WRITTEN.encode(),
        WRITTEN.encode() + b"\0",
        json.dumps(VALUE).encode(),
    ],
)
def test_byte_order_marks_encodings_and_white_space_do_not_hide_a_value(body: bytes) -> None:
    assert parse(body) == VALUE
    assert parse(body, "application/json; charset=utf-8") == VALUE


@pytest.mark.parametrize(
    ("body", "content_type", "read"),
    [
        ('"é"'.encode("latin-1"), "application/json; charset=ISO-8859-1", "é"),
        ('"é"'.encode("latin-1"), 'application/json; charset="iso-8859-1"; x=y', "é"),
        ('"€"'.encode("cp1252"), "text/plain;charset=windows-1252", "€"),
        ('"語"'.encode("shift_jis"), "application/json; CHARSET=Shift_JIS", "語"),
        ('"é"'.encode(), "application/json; charset=ISO-8859-1", "é"),  # the header is a server's default
        ('"é"'.encode("latin-1"), "application/json", "\ufffd"),
        ('"é"'.encode("latin-1"), "application/json; charset=utf-8", "\ufffd"),
        ('"é"'.encode("latin-1"), "application/json; charset=cp-none", "\ufffd"),
        ('"é"'.encode("latin-1"), "application/json; charset=unicode_escape", "\ufffd"),
        (b'"\xed\xa0\xbd"', "application/json", "\ufffd" * 3),
    ],
)
def test_the_stated_charset_counts_where_the_body_is_not_utf_8(body: bytes, content_type: str, read: str) -> None:
    assert parse(body, content_type) == read


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"a": "\ud83d"}', {"a": "\ufffd"}),
        (rb'{"a": "x\uDC00y"}', {"a": "x\ufffdy"}),
        (rb'{"\ud83d": 1}', {"\ufffd": 1}),
        (rb'[{"a": [["\ud83d\ud83d\ude00"]]}]', [{"a": [["\ufffd😀"]]}]),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud83d"', r"\ud83d"),
        (b"\xff\xfe" + '"a'.encode("utf-16-le") + b"\x3d\xd8" + '"'.encode("utf-16-le"), "a\ufffd"),
    ],
)
def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(body: bytes, read: Any) -> None:
    assert parse(body) == read


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"a": NaN, "b": Infinity, "c": [-Infinity, 1e999, -1e999]}', {"a": None, "b": None, "c": [None] * 3}),
        (b'{"a": "NaN"}', {"a": "NaN"}),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"1.5", 1.5),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"line\nbreak\ttab"', "line\nbreak\ttab"),
        (b"[" * 100 + b"]" * 100, pytest.approx),
    ],
)
def test_what_is_almost_json_is_read(body: bytes, read: Any) -> None:
    value = parse(body)

    assert value == read if read is not pytest.approx else isinstance(value, list)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        codecs.BOM_UTF8,
        b"\0",
        b"<html>",
        b'{"a": 1',
        b"{} {}",
        b"{'a': 1}",
        b"null",
        b"9" * 5000,
        b"[" * 101 + b"]" * 101,
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"\x1f\x8b\x08",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_json_has_no_value(body: bytes) -> None:
    assert parse(body) is None


@given(st.binary() | st.text(alphabet=st.characters(codec=None)).map(lambda text: json.dumps(text).encode()))
def test_whatever_is_read_can_be_sent_on(body: bytes) -> None:
    json.dumps(parse(body), ensure_ascii=False, allow_nan=False).encode("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_json_is_read_as_it_was_written_in_value_and_type(value: Any, encoding: str) -> None:
    read = parse(json.dumps(value, ensure_ascii=False).encode(encoding))

    assert repr(read) == repr(value)


def test_large_integers_and_the_smallest_floats_survive() -> None:
    assert parse(b"[9007199254740993, 5e-324]") == [9007199254740993, math.ulp(0.0)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_a_secret_is_taken_out_of_an_answer_in_any_encoding(encoding: str) -> None:
    headers = {"content-type": f"application/json; charset={encoding}"}
    body = '{"message": "bad token s3cret for Müller"}'.encode(encoding)

    answer = Response(401, headers, body).without({"s3cret"})

    assert answer.json() == {"message": "bad token [secret] for Müller"}
    assert b"s3cret" not in answer.body
