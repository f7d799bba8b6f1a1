"""B2B Edition's Orders API, REST management v3 (domain: Create Order and its neighbours)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.authorised_api import NOT_FOUND, AuthorisedApi
from handler.errors import Cause, OrderAlreadyExists, Refused, RetryLater
from handler.telemetry import Metric

if TYPE_CHECKING:
    from handler.credentials import StoreSecret
    from handler.deadline import Deadline
    from handler.transport import Response

ORDERS = "/api/v3/io/orders"
USER_OF_CUSTOMER = "/api/v3/io/users/customer"
ALREADY_EXISTS = "The order already exists."
SUCCESS = range(200, 300)
CLIENT_ERRORS = range(400, 500)
LONGEST_WORDS = 300
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True)
class Content:
    """What a record carries, or shall carry, of ours: the PO number and extra fields by name. Empty means: nothing."""

    po_number: str = ""
    extra_fields: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields of a request body; what is empty is left out, so that nothing is ever overwritten with nothing."""
        body: dict[str, Any] = {}
        if self.po_number:
            body["poNumber"] = self.po_number
        if self.extra_fields:
            body["extraFields"] = [{"fieldName": name, "fieldValue": value} for name, value in self.extra_fields]
        return body


class B2BApi(AuthorisedApi):
    """Creates, reads and updates B2B order records. Ids are core order ids throughout.

    All methods raise RetryLater for what will heal, Unauthorised for a refused token, Refused for what will not heal.
    """

    NAME = "B2B API"
    SCOPE = "B2B Edition: modify"
    REQUESTS = Metric.B2B_API_REQUEST

    def _headers(self, store_hash: str, secret: StoreSecret) -> dict[str, str]:
        return super()._headers(store_hash, secret) | {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store_hash}

    def create_order(
        self, store_hash: str, order_id: int, customer_id: int, content: Content, deadline: Deadline
    ) -> None:
        """Create Order. Raises OrderAlreadyExists when the API says that, which it also does once the window is over."""
        body = {"bcOrderId": order_id, "customerId": customer_id, **content.as_json()}
        answer = self._call("POST", store_hash, ORDERS, deadline, body)
        if answer.status not in SUCCESS:
            if _message(answer) == ALREADY_EXISTS:
                raise OrderAlreadyExists
            raise _refusal(answer, content)

    def get_record(self, store_hash: str, order_id: int, deadline: Deadline) -> Content | None:
        """Get Order: what the record carries, or None when there is no record."""
        answer = self._call("GET", store_hash, f"{ORDERS}/{order_id}", deadline)
        if answer.status == NOT_FOUND:
            return None
        if answer.status not in SUCCESS:
            raise _refusal(answer, Content())
        return _record(answer)

    def update_order(self, store_hash: str, order_id: int, content: Content, deadline: Deadline) -> None:
        """Update Order. A 404 means that there is no record yet, and is RetryLater."""
        answer = self._call("PUT", store_hash, f"{ORDERS}/{order_id}", deadline, content.as_json())
        if answer.status == NOT_FOUND:
            raise RetryLater(Cause.NOT_THERE_YET, "B2B Orders API: there is no record to update yet (HTTP 404)")
        if answer.status not in SUCCESS:
            raise _refusal(answer, content)

    def has_company_user(self, store_hash: str, customer_id: int, deadline: Deadline) -> bool:
        """Get User by Customer ID: whether the customer belongs to a company."""
        answer = self._call("GET", store_hash, f"{USER_OF_CUSTOMER}/{customer_id}", deadline)
        if answer.status == NOT_FOUND:
            return False
        if answer.status not in SUCCESS:
            raise _refusal(answer, Content())
        return True

    def _call(self, method: str, store_hash: str, path: str, deadline: Deadline, body: Any = None) -> Response:
        answer = self._authorised(method, store_hash, path, deadline, body=body)
        if answer.status not in SUCCESS and answer.status not in CLIENT_ERRORS:
            raise RetryLater(Cause.API_UNAVAILABLE, f"B2B API: unexpected HTTP {answer.status}")
        telling = answer.status in SUCCESS or answer.status == NOT_FOUND
        if telling and answer.body.strip() and not isinstance(answer.json(), dict):
            # This is not the API talking: something between us answered in its place, and knows of no record, there or not.
            raise RetryLater(Cause.NO_ANSWER, f"B2B API: HTTP {answer.status} with an answer that is not the API's")
        return answer


def _record(answer: Response) -> Content:
    """The record in an answer; `data` is an array in the specification and an object in live reports."""
    whole = answer.json()
    data = whole.get("data") if isinstance(whole, dict) else None
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict) or not data:
        raise RetryLater(Cause.API_UNAVAILABLE, "B2B Orders API: the answer holds no record")
    fields = data.get("extraFields")
    return Content(
        po_number=_as_text(data.get("poNumber")),
        extra_fields=tuple(
            (field["fieldName"], _as_text(field.get("fieldValue")))
            for field in (fields if isinstance(fields, list) else [])
            if isinstance(field, dict) and isinstance(field.get("fieldName"), str)
        ),
    )


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _message(answer: Response) -> str:
    """The API's own words: `data.errMsg` where there is one, else `meta.message` (domain: error shape)."""
    whole = answer.json()
    if not isinstance(whole, dict):
        return ""
    data, meta = whole.get("data"), whole.get("meta")
    words = data.get("errMsg") if isinstance(data, dict) else None
    if not words and isinstance(meta, dict):
        words = meta.get("message")
    return words if isinstance(words, str) else ""


def _refusal(answer: Response, sent: Content) -> Refused:
    """The refusal in the API's words, without what we sent: a buyer's values may not reach a log or a queue's reason."""
    words = _message(answer)
    for value in sorted({sent.po_number, *(value for _, value in sent.extra_fields)} - {""}, key=len, reverse=True):
        words = words.replace(value, "[value]")
    words = EMAIL.sub("[email]", words)[:LONGEST_WORDS]
    return Refused(Cause.API_REFUSED, f"B2B API: HTTP {answer.status}: {words or 'no message'}")
