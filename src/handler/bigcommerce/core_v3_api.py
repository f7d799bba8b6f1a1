"""The core API V3: an order's metafields, and customers (bigcommerce/docs: orders.v3, customers.v3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from handler.bigcommerce.api_answer import NOT_FOUND, SUCCESS, UnexpectedAnswer, core_answer
from handler.bigcommerce.api_client import AuthorizedApi
from handler.errors import Cause, RetryLater
from handler.http.exchange import NO_CONTENT
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from handler.deadline import Deadline
    from handler.http.exchange import Response

PAGE_SIZE = 250
LIKELY_PAGE_SIZE = 50
"""The API's default. A page with a multiple of it may be full, also where the API returns fewer rows than requested."""

MOST_PAGES = 4
"""An order has at most 250 metafields of each app, and a store 50 attributes."""


class _CoreV3Api(AuthorizedApi):
    """Reads lists below `/v3`. All methods raise RetryLater, Unauthorized, or Refused, also for a missing scope (403)."""

    NOT_FOUND_CAUSE: ClassVar[Cause | None] = None
    """The cause of a 404 that may be temporary; None when a 404 is permanent."""

    def _rows(self, store_hash: str, path: str, deadline: Deadline, endpoint: str) -> list[dict[str, Any]]:
        """The rows of one page."""
        url = f"/stores/{store_hash}/v3/{path}"
        answer = self._authorized(
            "GET", store_hash, url, deadline, read=lambda answer: self._permitted(_read_rows(answer)), endpoint=endpoint
        )
        if answer.status == NOT_FOUND and self.NOT_FOUND_CAUSE:
            raise RetryLater(self.NOT_FOUND_CAUSE, f"{self.NAME}: HTTP {NOT_FOUND}")
        return _rows_in(self._successful(answer)) or []

    def _all_rows(self, store_hash: str, path: str, deadline: Deadline, endpoint: str) -> list[dict[str, Any]]:
        """The rows of all pages."""
        found: list[dict[str, Any]] = []
        for page in range(1, MOST_PAGES + 1):
            query = urlencode({"limit": PAGE_SIZE, "page": page})
            rows = self._rows(store_hash, f"{path}?{query}", deadline, endpoint)
            if rows == found:  # the first page again, or none
                break
            found += rows
            if len(rows) % LIKELY_PAGE_SIZE:
                break
        return found


class MetafieldsApi(_CoreV3Api):
    """Reads orders' metafields. Those of other apps with the permission set `app_only` are not returned."""

    NAME: ClassVar[str] = "core Metafields API"
    SCOPE: ClassVar[str] = "Orders: read-only"
    NOT_FOUND_CAUSE: ClassVar[Cause | None] = Cause.ORDER_NOT_FOUND

    def of_order(self, store_hash: str, order_id: int, deadline: Deadline) -> list[dict[str, Any]]:
        """The order's metafields: {namespace, key, value} and more.

        Raises RetryLater with cause ORDER_NOT_FOUND for an order that cannot be read (yet).
        """
        return self._all_rows(store_hash, f"orders/{order_id}/metafields", deadline, "core.metafields")


class CustomersApi(_CoreV3Api):
    """Reads customers."""

    NAME: ClassVar[str] = "core Customers API"
    SCOPE: ClassVar[str] = "Customers: read-only"

    def get_customer(self, store_hash: str, customer_id: int, deadline: Deadline) -> dict[str, Any] | None:
        """The customer with `attributes` ({attribute_id, attribute_value}) and `form_fields`, or None when there is none."""
        query = urlencode({"id:in": customer_id, "include": "attributes,formfields"})
        rows = self._rows(store_hash, f"customers?{query}", deadline, "core.customer")
        return next((row for row in rows if whole_number(row.get("id")) == customer_id), None)

    def attribute_names(self, store_hash: str, deadline: Deadline) -> dict[int, str]:
        """The names of the store's customer attributes by id."""
        rows = self._all_rows(store_hash, "customers/attributes", deadline, "core.attributes")
        ids = [(whole_number(row.get("id")), row.get("name")) for row in rows]
        return {number: name for number, name in ids if number is not None and isinstance(name, str)}


def _read_rows(response: Response) -> Response:
    answer = core_answer(response)
    if answer.status in SUCCESS and _rows_in(answer) is None:
        raise UnexpectedAnswer("core API: the answer is not a list", may_have_arrived=True)
    return answer


def _rows_in(answer: Response) -> list[dict[str, Any]] | None:
    """The rows of a V3 list, or None when the answer is not a list. An empty body (204) is an empty list."""
    if answer.status == NO_CONTENT:
        return []
    whole = answer.json()
    rows = whole.get("data") if isinstance(whole, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None
