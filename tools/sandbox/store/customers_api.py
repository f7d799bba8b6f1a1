"""Customers of one store, as the core API shows them to a token with "Customers: read-only". Pure: no HTTP, no waiting."""

from typing import Any

from sandbox.store.messages import Answer, Call, v3_error, v3_page
from sandbox.store.orders import Order
from sandbox.store.settings import Store

_DATE = "2023-11-14T22:13:20Z"


class Customers:
    """The customers of one store: the company users, and everybody who has placed an order."""

    def __init__(self, store: Store, orders: dict[int, Order]) -> None:
        self._store, self._orders = store, orders
        self._attribute_ids: dict[str, int] = {}

    def listing(self, call: Call) -> Answer:
        """`GET /v3/customers`: attributes and form fields only for who includes them."""
        try:
            wanted = {int(number) for number in call.query.get("id:in", "").split(",") if number}
            rows = [
                self._as_json(customer_id, set(call.query.get("include", "").split(",")))
                for customer_id in self._ids()
                if not wanted or customer_id in wanted
            ]
        except ValueError:
            return v3_error(422, "id:in takes numbers.")
        return v3_page(rows, call.query)

    def attributes(self, call: Call) -> Answer:
        """`GET /v3/customers/attributes`: the names that belong to the ids."""
        for customer_id in self._ids():
            for name in self._store.buyer(customer_id).attributes:
                self._attribute_id(name)
        dates = {"type": "string", "date_created": _DATE, "date_modified": _DATE}
        rows = [
            {"id": number, "name": name} | dates
            for name, number in self._attribute_ids.items()
            if call.query.get("name", name) == name
        ]
        return v3_page(rows, call.query)

    def _ids(self) -> list[int]:
        guests = {0}
        return sorted(self._store.company_customers | {order.customer_id for order in self._orders.values()} - guests)

    def _attribute_id(self, name: str) -> int:
        """The id of an attribute, the same for as long as the store is open."""
        return self._attribute_ids.setdefault(name, len(self._attribute_ids) + 2)

    def _as_json(self, customer_id: int, include: set[str]) -> dict[str, Any]:
        buyer = self._store.buyer(customer_id)
        shown: dict[str, Any] = {
            "id": self._store.shown_id(customer_id),
            "email": "ada.buyer@example.com",
            "first_name": "Ada",
            "last_name": "Buyer",
            "company": buyer.company_name if customer_id in self._store.company_customers else "",
            "phone": "",
            "registration_ip_address": "",
            "notes": buyer.notes,
            "tax_exempt_category": "",
            "customer_group_id": buyer.group_id,
            "date_created": _DATE,
            "date_modified": _DATE,
            "address_count": 0,
            "attribute_count": len(buyer.attributes),
            "authentication": {"force_password_reset": False},
            "accepts_product_review_abandoned_cart_emails": False,
            "origin_channel_id": 1,
            "channel_ids": [1],
        }
        if "attributes" in include:
            shown["attributes"] = [
                {
                    "id": 1000 * customer_id + self._attribute_id(name),
                    "attribute_id": self._attribute_id(name),
                    "attribute_value": value,
                    "customer_id": self._store.shown_id(customer_id),
                    "date_created": _DATE,
                    "date_modified": _DATE,
                }
                for name, value in buyer.attributes.items()
            ]
        if "formfields" in include:
            shown["form_fields"] = [
                {"name": name, "value": value, "customer_id": self._store.shown_id(customer_id)}
                for name, value in buyer.form_fields.items()
            ]
        return shown
