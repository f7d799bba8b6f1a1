"""B2B Edition's Orders API, REST management v3 (docs/bigcommerce.md, B2B Edition API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from handler.bigcommerce.api_answer import NOT_FOUND, SUCCESS, UnexpectedAnswer, b2b_answer, message_of
from handler.bigcommerce.api_client import AuthorizedApi
from handler.content import Record, values_in
from handler.errors import Cause, OrderAlreadyExists, Refused, RetryLater
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from collections.abc import Collection

    from handler.bigcommerce.credentials import StoreSecret
    from handler.content import Content
    from handler.deadline import Deadline
    from handler.http.exchange import Response

ORDERS = "/api/v3/io/orders"
COMPANIES = "/api/v3/io/companies"
USER_OF_CUSTOMER = "/api/v3/io/users/customer"
ALREADY_EXISTS = "the order already exists"
RECORD_KEYS = frozenset({"id", "bcOrderId", "poNumber", "extraFields"})


class B2BApi(AuthorizedApi):
    """Creates, reads and updates B2B order records. All order ids are core order ids.

    All methods raise RetryLater for a temporary failure, Unauthorized for a refused token, and Refused for a permanent one.
    """

    NAME = "B2B API"
    SCOPE = "B2B Edition: modify"

    def _headers(self, store_hash: str, secret: StoreSecret) -> dict[str, str]:
        return super()._headers(store_hash, secret) | {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store_hash}

    def create_order(
        self, store_hash: str, order_id: int, customer_id: int, content: Content, deadline: Deadline
    ) -> None:
        """Create Order. Raises OrderAlreadyExists when the API answers so, which it also does after the window.

        After a lost answer it reads the record before it calls again, since two calls at the same moment might make two
        records (docs/bigcommerce.md, Create Order).
        """
        body = {"bcOrderId": order_id, "customerId": customer_id, **content.as_json()}
        sent = values_in(content.as_json())

        def read(response: Response) -> Response:
            answer = b2b_answer(response, sent)
            if answer.status == NOT_FOUND:
                # The path names no order, so a 404 says nothing about one.
                raise UnexpectedAnswer(f"B2B API: HTTP {NOT_FOUND}: {message_of(answer, sent)}", may_have_arrived=False)
            return _about(order_id, answer)

        def before_repeat() -> None:
            if self.get_record(store_hash, order_id, deadline) is not None:
                raise OrderAlreadyExists

        answer = self._authorized(
            "POST",
            store_hash,
            ORDERS,
            deadline,
            read=read,
            body=body,
            before_repeat=before_repeat,
            endpoint="b2b.create",
        )
        if answer.status not in SUCCESS:
            if message_of(answer).rstrip(".").casefold() == ALREADY_EXISTS:
                raise OrderAlreadyExists
            raise _refusal(answer, sent)

    def get_record(self, store_hash: str, order_id: int, deadline: Deadline) -> Record | None:
        """Get Order: the record, or None when the order has none."""

        def read(response: Response) -> Response:
            answer = b2b_answer(response)
            if answer.status in SUCCESS:
                _record_in(answer, order_id)
            return answer

        answer = self._authorized("GET", store_hash, f"{ORDERS}/{order_id}", deadline, read=read, endpoint="b2b.get")
        if answer.status == NOT_FOUND:
            return None
        if answer.status not in SUCCESS:
            raise _refusal(answer, ())
        return _record_in(answer, order_id)

    def update_order(self, store_hash: str, order_id: int, body: dict[str, Any], deadline: Deadline) -> None:
        """Update Order with this request body. Raises RetryLater (cause NOT_THERE_YET) when the order has no record (404)."""
        sent = values_in(body)

        def read(response: Response) -> Response:
            return _about(order_id, b2b_answer(response, sent))

        path = f"{ORDERS}/{order_id}"
        answer = self._authorized("PUT", store_hash, path, deadline, read=read, body=body, endpoint="b2b.update")
        if answer.status == NOT_FOUND:
            raise RetryLater(Cause.NOT_THERE_YET, "B2B API: the order has no record to update yet (HTTP 404)")
        if answer.status not in SUCCESS:
            raise _refusal(answer, sent)

    def has_company_user(self, store_hash: str, customer_id: int, deadline: Deadline) -> bool:
        """Get User by Customer ID: whether the customer belongs to a company."""
        return self.get_user(store_hash, customer_id, deadline) is not None

    def get_user(
        self, store_hash: str, customer_id: int, deadline: Deadline, *, forbidden_is_final: bool = False
    ) -> dict[str, Any] | None:
        """Get User by Customer ID: the company user, or None when the customer has none. Its `id` is not the customer's.

        With `forbidden_is_final` a missing scope (403) is Refused.
        """

        def read(response: Response) -> Response:
            answer = b2b_answer(response)
            if answer.status in SUCCESS and not _data_of(answer):
                raise UnexpectedAnswer("B2B API: the answer has no user", may_have_arrived=True)
            return self._permitted(answer) if forbidden_is_final else answer

        answer = self._authorized(
            "GET",
            store_hash,
            f"{USER_OF_CUSTOMER}/{customer_id}",
            deadline,
            read=read,
            endpoint="b2b.user",
        )
        if answer.status == NOT_FOUND:
            return None
        if answer.status not in SUCCESS:
            raise _refusal(answer, ())
        user = _data_of(answer)
        return user if isinstance(user, dict) else {}

    def get_company(self, store_hash: str, customer_id: int, deadline: Deadline) -> dict[str, Any] | None:
        """Get All Companies, of this customer: the company with its extra fields, or None when there is none.

        A missing scope (403) is Refused.
        """
        query = urlencode({"customerId": customer_id, "isIncludeExtraFields": 1})
        answer = self._authorized(
            "GET",
            store_hash,
            f"{COMPANIES}?{query}",
            deadline,
            read=lambda answer: self._permitted(_read_companies(answer)),
            endpoint="b2b.company",
        )
        if answer.status not in SUCCESS:
            raise _refusal(answer, ())
        companies = _data_of(answer)
        # A customer belongs to one company. More than one means that the filter was not applied: any could be wrong.
        return companies[0] if len(companies) == 1 else None

    def assign_orders(self, store_hash: str, customer_id: int, deadline: Deadline) -> int:
        """Assign Customer Orders to Company: how many orders of the customer were assigned to the buyer's company.

        Raises Refused for a customer that belongs to no company.
        """

        def read(response: Response) -> Response:
            answer = b2b_answer(response)
            if answer.status in SUCCESS and _total_in(answer) is None:
                raise UnexpectedAnswer(
                    "B2B API: the answer does not say how many orders were assigned", may_have_arrived=True
                )
            return answer

        path = f"/api/v3/io/customers/{customer_id}/orders/b2b"
        answer = self._authorized("PUT", store_hash, path, deadline, read=read, endpoint="b2b.assign")
        if answer.status not in SUCCESS:
            raise _refusal(answer, ())
        return _total_in(answer) or 0


def _read_companies(response: Response) -> Response:
    answer = b2b_answer(response)
    if answer.status in SUCCESS:
        companies = _data_of(answer)
        if not isinstance(companies, list) or not all(isinstance(company, dict) for company in companies):
            raise UnexpectedAnswer("B2B API: the answer is not a list of companies", may_have_arrived=True)
    return answer


def _total_in(answer: Response) -> int | None:
    data = _data_of(answer)
    return whole_number(data.get("total")) if isinstance(data, dict) else None


def _data_of(answer: Response) -> Any:
    whole = answer.json()
    return whole.get("data") if isinstance(whole, dict) else None


def _about(order_id: int, answer: Response) -> Response:
    """Returns the answer. Raises UnexpectedAnswer for a success about another order."""
    data = _data_of(answer)
    for row in data if isinstance(data, list) else [data]:
        if answer.status in SUCCESS and isinstance(row, dict) and not _is_of_order(row, order_id):
            raise UnexpectedAnswer("B2B API: the answer is about another order", may_have_arrived=True)
    return answer


def _is_of_order(record: dict[str, Any], order_id: int) -> bool:
    return record.get("bcOrderId") is None or whole_number(record["bcOrderId"]) == order_id


def _record_in(answer: Response, order_id: int) -> Record | None:
    """The order's record in an answer, or None when `data` is empty.

    `data` is an array in the specification and an object in live reports. Raises UnexpectedAnswer.
    """
    data = _data_of(answer)
    rows = data if isinstance(data, list) else [data]
    if all(row in ({}, None) for row in rows):
        return None
    for row in rows:
        if isinstance(row, dict) and row.keys() & RECORD_KEYS and _is_of_order(row, order_id):
            return Record(row.get("poNumber"), _fields_of(row.get("extraFields")))
    raise UnexpectedAnswer("B2B API: the answer does not have the order's record", may_have_arrived=True)


def _fields_of(rows: Any) -> tuple[tuple[str, Any], ...] | None:
    """Extra fields as (name, value), or None when the format is not the documented one."""
    if not rows and rows is not False and rows != 0:
        return ()
    if not isinstance(rows, list):
        return None
    fields = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("fieldName"), str) or "fieldValue" not in row:
            return None
        fields.append((row["fieldName"], row["fieldValue"]))
    return tuple(fields)


def _refusal(answer: Response, sent: Collection[str]) -> Refused:
    """The refusal with the API's message, without the values that were sent: logs and queues hold no buyer's data."""
    return Refused(Cause.API_REFUSED, f"B2B API: HTTP {answer.status}: {message_of(answer, sent) or 'no message'}")
