"""The core Orders API, V2 (docs/bigcommerce.md, The order in the core API)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from handler.bigcommerce.api_answer import NOT_FOUND, SUCCESS, core_answer
from handler.bigcommerce.api_client import AuthorizedApi
from handler.bigcommerce.rows import usable_rows
from handler.dates import rfc2822, unix_seconds
from handler.errors import Cause, RetryLater
from handler.http.exchange import NO_CONTENT
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handler.deadline import Deadline
    from handler.http.exchange import Response

PAGE_SIZE = 250
LIKELY_PAGE_SIZE = 50
"""The API's default. A page with a multiple of it may be full, also where the API returns fewer rows than requested."""

WITH_CONSIGNMENTS = "?include=consignments.line_items&consignment_structure=object"

DATE_TOLERANCE_SECONDS = 60.0
"""How far outside the requested period an order may be dated: the filter may round."""


class StoreApi(AuthorizedApi):
    """Reads core orders."""

    NAME = "core Orders API"
    SCOPE = "Orders: read-only"

    def get_order(
        self, store_hash: str, order_id: int, deadline: Deadline, *, with_consignments: bool = False
    ) -> dict[str, Any]:
        """The core order, as the API returns it, with `id` and `customer_id` as ints.

        `with_consignments` fills `consignments` (addresses and products), at the cost of no further request.

        An order may not be readable at the moment its webhook arrives, so a 404 is retried until `deadline`. Raises
        RetryLater (with cause ORDER_NOT_FOUND for a 404), Unauthorized, or Refused.
        """

        def read(response: Response) -> Response:
            answer = core_answer(response)
            if answer.status == NOT_FOUND:
                raise RetryLater(Cause.ORDER_NOT_FOUND, "core Orders API: the order cannot be read (HTTP 404)")
            if answer.status in SUCCESS and _order_in(answer, order_id) is None:
                raise RetryLater(Cause.UNEXPECTED_ANSWER, "core Orders API: the answer is not the order")
            return answer

        path = f"orders/{order_id}{WITH_CONSIGNMENTS if with_consignments else ''}"
        answer = self._get(store_hash, path, deadline, read, endpoint="core.get_order")
        return _order_in(answer, order_id) or {}

    def list_orders(
        self, store_hash: str, since: float, until: float, deadline: Deadline
    ) -> Iterator[list[dict[str, Any]]]:
        """The core orders created between `since` and `until` (unix seconds), oldest first, in pages.

        `id` is an int, and so is `customer_id` where it can be converted. Raises RetryLater, also when the list is not
        the requested one; Unauthorized or Refused.
        """
        before: list[Any] = []
        for page in itertools.count(1):
            query = urlencode(
                {
                    "min_date_created": rfc2822(since),
                    "max_date_created": rfc2822(until),
                    "sort": "date_created:asc",
                    "limit": PAGE_SIZE,
                    "page": page,
                }
            )
            answer = self._get(store_hash, f"orders?{query}", deadline, core_answer)
            rows = [] if answer.status == NO_CONTENT else answer.json()
            if not isinstance(rows, list):
                raise RetryLater(Cause.API_UNAVAILABLE, "core Orders API: the answer is not a list of orders")
            if rows and rows == before:
                raise RetryLater(Cause.API_UNAVAILABLE, "core Orders API: the list repeats a page")
            orders = usable_rows(rows, self.NAME)
            if rows and not orders:
                raise RetryLater(Cause.UNEXPECTED_ANSWER, "core Orders API: the answer is not a list of orders")
            _check_dates(orders, since, until)
            yield [order | _customer_id(order) for order in orders]
            if not rows or len(rows) % LIKELY_PAGE_SIZE:
                return
            before = rows

    def _get(
        self,
        store_hash: str,
        path: str,
        deadline: Deadline,
        read: Callable[[Response], Response],
        *,
        endpoint: str = "core.list_orders",
    ) -> Response:
        """The answer to a GET below `/v2`. Raises Unauthorized, and Refused for an error status."""
        url = f"/stores/{store_hash}/v2/{path}"
        return self._successful(self._authorized("GET", store_hash, url, deadline, read=read, endpoint=endpoint))


def _order_in(answer: Response, order_id: int) -> dict[str, Any] | None:
    """The order in an answer, with `customer_id` as an int; None when the answer is not this order."""
    order = answer.json()
    if not isinstance(order, dict) or whole_number(order.get("id")) != order_id:
        return None
    customer_id = whole_number(order.get("customer_id"))
    return None if customer_id is None else order | {"id": order_id, "customer_id": customer_id}


def date_created(order: dict[str, Any]) -> float | None:
    """When the core order was created (unix seconds), or None when it has no valid date."""
    return unix_seconds(str(order.get("date_created", "")))


def _customer_id(order: dict[str, Any]) -> dict[str, Any]:
    customer_id = whole_number(order.get("customer_id"))
    return {} if customer_id is None else {"customer_id": customer_id}


def _check_dates(orders: list[dict[str, Any]], since: float, until: float) -> None:
    """Raises RetryLater when the list has orders outside the period: the API ignored the filter.

    Such a list begins with the store's oldest orders (bigcommerce-api-php #89).
    """
    dates = [date for order in orders if (date := date_created(order)) is not None]
    if orders and not dates:
        raise RetryLater(Cause.API_UNAVAILABLE, "core Orders API: no order of the list has a valid date")
    if any(not since - DATE_TOLERANCE_SECONDS <= date <= until + DATE_TOLERANCE_SECONDS for date in dates):
        raise RetryLater(Cause.API_UNAVAILABLE, "core Orders API: the list has orders outside the requested period")
