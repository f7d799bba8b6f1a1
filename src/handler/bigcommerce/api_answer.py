"""Decides what counts as an answer of BigCommerce's APIs (docs/decisions/0014-the-apis-own-answer.md).

A proxy, a firewall or an edge server can answer in place of the API with any status. Only an answer in the API's
documented format says something about an order or a customer. Everything else is `UnexpectedAnswer`, and is retried.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handler.errors import Cause
from handler.http.exchange import NO_CONTENT, NoAnswer
from handler.http.retries import TRANSIENT
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from collections.abc import Collection

    from handler.http.exchange import Response

UNAUTHORISED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, CONFLICT, GONE, UNPROCESSABLE = (
    401,
    403,
    404,
    405,
    409,
    410,
    422,
)
SUCCESS = range(200, 300)
CLIENT_ERRORS = range(400, 500)
ERRORS = range(400, 600)
ABOUT_THE_ADDRESS = frozenset({NOT_FOUND, METHOD_NOT_ALLOWED, GONE})
"""A proxy without a route also answers these statuses; only the documented format distinguishes the two."""

LONGEST_MESSAGE = 300
LONGEST_READ = 2_000
"""The most that the patterns below search: their time grows with the square of the length."""

EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
ERROR_TEXTS = ("errMsg", "errors", "error", "message", "msg", "detail", "error_description", "title")
"""Keys that hold an error's message, the most specific first (bigcommerce/docs: user.yaml, channel.yaml; V2 and V3 errors)."""


class UnexpectedAnswer(NoAnswer):
    """Something other than the API answered. Unless it refused the request (4xx), the API may have processed it."""

    def __init__(self, detail: str, *, may_have_arrived: bool) -> None:
        super().__init__(detail, may_have_arrived=may_have_arrived, cause=Cause.UNEXPECTED_ANSWER)


def b2b_answer(response: Response, sent: Collection[str] = ()) -> Response:
    """Checks an answer of the B2B API (documented: `code` with `meta` or `message`, and `data`, an object or a list).

    Its status becomes the `code` in the body where that contradicts an HTTP 2xx. `sent` are the request's values, which
    are removed from error messages. Raises UnexpectedAnswer.
    """
    whole = response.json()
    if response.status in SUCCESS:
        if not isinstance(whole, dict) or not whole.keys() & {"code", "data"}:
            raise _unexpected("B2B API", response, sent)
        code = whole.get("code")
        status = response.status if code is None else whole_number(code)
        if status in SUCCESS:
            return response
        if status is None or status not in ERRORS:
            raise _unexpected("B2B API", response, sent)
        response = replace(response, status=status)
    return _own_error("B2B API", response, sent, own=_is_error_of_b2b(whole, response.status))


def core_answer(response: Response) -> Response:
    """Checks an answer of the core API: JSON, or 204 for an empty list; errors in the format of V2 (list) or V3 (object).

    Raises UnexpectedAnswer.
    """
    whole = response.json()
    if response.status in SUCCESS:
        if response.status == NO_CONTENT or isinstance(whole, dict | list):
            return response
        raise _unexpected("core API", response, ())
    first = whole[0] if isinstance(whole, list) and whole else whole
    own = isinstance(first, dict) and whole_number(first.get("status")) == response.status
    return _own_error("core API", response, (), own=own)


def message_of(answer: Response, sent: Collection[str] = ()) -> str:
    """The message of an answer in any format, shortened, without the values in `sent` and e-mail addresses."""
    whole = answer.json()
    page = answer.body[:LONGEST_READ].decode(errors="replace")
    text = _message_in(whole) if isinstance(whole, dict | list) else TAGS.sub(" ", page)
    for value in sorted({value for value in sent if value}, key=len, reverse=True):
        text = text.replace(value, "[value]")
    return EMAIL.sub("[email]", " ".join(text.split())[:LONGEST_READ])[:LONGEST_MESSAGE]


def _own_error(api: str, response: Response, sent: Collection[str], *, own: bool) -> Response:
    status = response.status
    if status in TRANSIENT or status == UNAUTHORISED:
        return response
    if status == FORBIDDEN and (not response.body.strip() or isinstance(response.json(), dict | list)):
        return response
    if status not in CLIENT_ERRORS or not own:
        raise _unexpected(api, response, sent)
    return response


def _is_error_of_b2b(whole: Any, status: int) -> bool:
    if not isinstance(whole, dict):
        return False
    code = whole_number(whole.get("code"))
    if code is not None and code != status:
        return False
    if (code is not None and isinstance(whole.get("meta"), dict)) or isinstance(whole.get("data"), dict | list):
        return True
    # Some pages of the documentation have `code` with `message` (channel.yaml), as gateways also do.
    return code is not None and status not in ABOUT_THE_ADDRESS and bool(_message_in(whole))


def _message_in(value: Any) -> str:
    """The message of an error, from the most specific key that has one, with the names of nested keys."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_message_in, value)))
    if not isinstance(value, dict):
        return value.strip() if isinstance(value, str) else ""
    for part in (value.get("data"), value, value.get("meta")):
        for key in ERROR_TEXTS:
            if isinstance(part, dict) and (text := _flat(part.get(key))):
                return text
    return _message_in(value["data"]) if isinstance(value.get("data"), list) else ""


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(filter(None, map(_flat, value)))
    if isinstance(value, dict):
        parts = ((key, _flat(part)) for key, part in value.items())
        return "; ".join(
            text if key.isdecimal() or key in ERROR_TEXTS else f"{key}: {text}" for key, text in parts if text
        )
    return "" if value is None else str(value).strip()


def _unexpected(api: str, response: Response, sent: Collection[str]) -> UnexpectedAnswer:
    message = message_of(response, sent)
    return UnexpectedAnswer(
        f"{api}: HTTP {response.status} with a body that is not in the API's format"
        + (f": {message}" if message else " (empty)"),
        # After a 4xx or a redirect, the request did not reach the API.
        may_have_arrived=response.status in SUCCESS,
    )
