"""Which answers are the APIs' own, and what they say in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.bigcommerce.api_answer import LONGEST_MESSAGE, UnexpectedAnswer, b2b_answer, core_answer, message_of
from handler.errors import Cause
from handler.http.exchange import Response


def response(status: int, body: Any = b"") -> Response:
    return Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


DOCUMENTED = {"code": 404, "data": {}, "meta": {"message": "Not found."}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"code": 200, "data": {}}),
        (200, {"data": []}),
        (201, {"code": "200", "meta": {"message": "SUCCESS"}}),
        (404, DOCUMENTED),
        (404, {"code": "404", "data": [], "meta": {"message": "Not found."}}),
        (404, {"data": {"errMsg": "no such order"}}),
        (400, {"code": 400, "data": [], "meta": {"message": "The order already exists."}}),
        (422, {"code": 422, "data": {"errMsg": {"roles": {"0": ["bad"]}}}, "meta": {}}),
        (422, {"code": 422, "message": "top level"}),
        (409, {"code": "409", "errors": ["one", "two"]}),
        (401, b""),
        (403, b""),
        (403, {"message": "Forbidden"}),
        (429, b"<html>slow down</html>"),
        (503, b""),
    ],
)
def test_an_answer_of_the_b2b_api_is_its_own(status: int, body: Any) -> None:
    assert b2b_answer(response(status, body)).status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (204, b""),
        (200, b"null"),
        (200, []),
        (200, "ok"),
        (200, {}),
        (200, {"status": "maintenance"}),
        (200, {"code": 0, "data": {}}),
        (200, {"code": 302, "data": {}}),
        (200, {"code": "ok", "data": {}}),
        (200, {"code": True, "data": {}}),
        (404, b""),
        (404, {}),
        (404, []),
        (404, {"message": "no Route matched with those values"}),
        (404, {"code": 404, "message": "no Route matched"}),
        (404, {"error": "Not Found"}),
        (404, {"meta": {"message": "Not Found"}}),
        (404, {"status": 404, "title": "Not Found"}),
        (404, [{"status": 404, "message": "The requested resource was not found."}]),
        (404, {"code": 5, "meta": {"message": "Not found."}}),
        (404, {"code": 200, "data": {}, "meta": {}}),
        (405, {"code": 405, "message": "Method Not Allowed"}),
        (400, b"<html>Bad Request</html>"),
        (400, {"message": "Bad Request"}),
        (400, {"error": "Bad Request"}),
        (413, b"<html>"),
        (421, b""),
        (451, {"message": "unavailable for legal reasons"}),
        (422, b""),
        (422, {}),
        (422, {"code": 422}),
        (422, {"code": 400, "data": {}, "meta": {"message": "another status"}}),
        (400, [{"status": 400, "message": "as the core API has it"}]),
        (400, {"status": 400, "title": "as the core API has it", "errors": {"field": "bad"}}),
        (422, {"error": "words alone"}),
        (422, {"errors": ["one", "two"]}),
        (409, {"message": "words alone"}),
        (400, {"meta": {"message": "words alone"}}),
        (422, b"<html>"),
        (403, b"<html>Attention Required!</html>"),
        (100, b""),
        (301, b""),
        (302, DOCUMENTED),
        (304, b""),
    ],
)
def test_an_answer_in_the_b2b_apis_place_is_not(status: int, body: Any) -> None:
    with pytest.raises(UnexpectedAnswer) as unexpected:
        b2b_answer(response(status, body))

    assert unexpected.value.cause is Cause.UNEXPECTED_ANSWER
    assert unexpected.value.may_have_arrived is (200 <= status < 300)


@pytest.mark.parametrize("code", [301, 401, 429, 500, 503, "500", 422.0])
def test_the_code_in_a_successs_body_is_its_status(code: Any) -> None:
    body = {"code": code, "data": {}, "meta": {"message": "?"}}
    if int(code) < 400:
        with pytest.raises(UnexpectedAnswer):
            b2b_answer(response(200, body))
    else:
        assert b2b_answer(response(200, body)).status == int(code)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"id": 7}),
        (200, []),
        (204, b""),
        (404, [{"status": 404, "message": "The requested resource was not found."}]),
        (404, {"status": 404, "title": "Not found", "type": "about:blank"}),
        (422, {"status": 422, "title": "Bad", "errors": {"scope": "bad"}}),
        (401, b"no token"),
        (503, b"<html>maintenance</html>"),
    ],
)
def test_an_answer_of_the_core_api_is_its_own(status: int, body: Any) -> None:
    assert core_answer(response(status, body)).status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, "ok"),
        (404, b""),
        (404, []),
        (404, {"message": "no Route matched with those values"}),
        (404, [{"status": 500, "message": "?"}]),
        (422, {"error": "words alone"}),
        (404, {"code": 404, "data": {}, "meta": {"message": "as the B2B API has it"}}),
        (405, b"<html>"),
        (400, b"<html>"),
        (307, b""),
    ],
)
def test_an_answer_in_the_core_apis_place_is_not(status: int, body: Any) -> None:
    with pytest.raises(UnexpectedAnswer):
        core_answer(response(status, body))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"code": 400, "data": {}, "meta": {"message": "in meta"}}, "in meta"),
        ({"code": 422, "data": {"errMsg": "in data"}, "meta": {"message": "in meta"}}, "in data"),
        ({"code": 422, "data": {"errMsg": {"roles": {"0": ["a role", "is bad"]}}}}, "roles: a role; is bad"),
        ({"code": 403, "message": "at the top"}, "at the top"),
        ([{"status": 409, "message": "one"}, {"status": 409, "message": "two"}], "one; two"),
        ({"error": "an error"}, "an error"),
        ({"error": {"message": "nested"}}, "nested"),
        ({"errors": {"price": "is no number"}, "title": "Bad"}, "price: is no number"),
        ({"errors": [{"message": "listed"}, "bare"]}, "listed; bare"),
        ({"status": 422, "title": "a title"}, "a title"),
        ({"code": 400, "data": [{"errMsg": "in a list"}], "meta": {}}, "in a list"),
        ({"meta": {"message": 7}}, "7"),
        ({"code": 400, "data": {}, "meta": {}}, ""),
        (b"<html><head><style>x{}</style></head><h1>403</h1> Forbidden</html>", "403 Forbidden"),
        (b"", ""),
    ],
)
def test_an_answer_is_told_in_its_own_words_whatever_their_shape(body: Any, said: str) -> None:
    assert message_of(response(400, body)) == said


def test_words_hold_neither_what_was_sent_nor_an_address() -> None:
    body = {"message": "PO-77 of ada@example.com is not PO-777 (Blue)"}

    assert (
        message_of(response(422, body), {"PO-77", "PO-777", "Blue", ""})
        == "[value] of [email] is not [value] ([value])"
    )


def test_words_are_short() -> None:
    assert len(message_of(response(422, {"message": "x" * 5000}))) == LONGEST_MESSAGE


@pytest.mark.parametrize("part", [b"<", b"<script", b"x", b"@", b"a@"])
@pytest.mark.parametrize("envelope", [b"%s", b'{"code": 400, "message": "%s"}'], ids=["page", "JSON"])
def test_a_hostile_answer_of_any_length_is_told_in_a_few_words(part: bytes, envelope: bytes) -> None:
    said = message_of(Response(400, {}, envelope % (part * (3_000_000 // len(part)))))  # would take minutes, read whole

    assert len(said) <= LONGEST_MESSAGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "data", "meta", "message", "errMsg", "errors", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.integers(100, 599), JSON)
def test_any_answer_is_either_the_apis_or_unexpected(status: int, body: Any) -> None:
    for read in (b2b_answer, core_answer):
        try:
            answer = read(response(status, body))
        except UnexpectedAnswer as unexpected:
            assert unexpected.detail  # noqa: PT017  raising is one of two right ends
            continue
        assert answer.status >= 400 or 200 <= answer.status < 300
        assert len(message_of(answer)) <= LONGEST_MESSAGE


@given(JSON)
def test_a_404_is_believed_only_in_the_documented_shape(body: Any) -> None:
    try:
        b2b_answer(response(404, body))
    except UnexpectedAnswer:
        return
    assert isinstance(body, dict)
    assert body.keys() & {"data", "meta"}
