"""What goes into the simulated APIs and what comes out of them: plain values, no HTTP library."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], float]
"""Gives the time as unix seconds; injected, so that tests of time rules need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to one endpoint, already taken apart."""

    endpoint: str
    """Name of the endpoint: `core.get_order`, `b2b.create`, ... (see `http_server.ROUTES`)."""
    method: str = "GET"
    path: str = ""
    store_hash: str = ""
    """From the path (core API) or from `X-Store-Hash` (B2B API)."""
    token: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    order_id: int | None = None
    customer_id: int | None = None
    company_id: int | None = None
    hook_id: int | None = None
    caller_port: int | None = None
    """The caller's end of the connection."""
    user_agent: str = ""

    def json(self) -> Any:
        """Parse the body; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: a JSON body (None: no body) with its status and headers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the body as it goes over the wire."""
        return b"" if self.body is None else json.dumps(self.body).encode()


def v2_error(status: int, message: str) -> Answer:
    """Make an error of the core API, version 2."""
    return Answer(status, [{"status": status, "message": message}])


def v3_error(status: int, title: str, errors: Mapping[str, str] | None = None) -> Answer:
    """Make an error of the core API, version 3."""
    kind = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes"
    return Answer(status, {"status": status, "title": title, "type": kind, "errors": dict(errors or {})})


def v3_page(rows: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> Answer:
    """Make the page of a list that a query asks for, as the core API's version 3 does."""
    try:
        page, limit = page_of(query)
    except ValueError as error:
        return v3_error(422, str(error))
    shown = [dict(row) for row in rows[(page - 1) * limit : page * limit]]
    pages = max(1, -(-len(rows) // limit))
    pagination = {
        "total": len(rows),
        "count": len(shown),
        "per_page": limit,
        "current_page": page,
        "total_pages": pages,
    }
    return Answer(200, {"data": shown, "meta": {"pagination": pagination}})


def page_of(query: Mapping[str, str], default_limit: int = 50, longest: int = 250) -> tuple[int, int]:
    """Page number (from 1) and page length out of a query; ValueError when they are no positive numbers."""
    page, limit = int(query.get("page", 1)), int(query.get("limit", default_limit))
    if page < 1 or limit < 1:
        raise ValueError("page and limit start at 1")
    return page, min(limit, longest)
