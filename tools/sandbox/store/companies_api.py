"""Companies and company users of one store, as the B2B Edition API shows them. Pure: no HTTP, no waiting."""

from sandbox.store.b2b_api import Refused, paged, success
from sandbox.store.messages import Answer, Call
from sandbox.store.settings import Store


class Companies:
    """The companies of one store: one for each company user. Every call returns an answer or raises Refused."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def company(self, call: Call) -> Answer:
        """`GET /companies` and `GET /companies/{companyId}`."""
        return self._listing(call) if call.company_id is None else self._detail(call.company_id)

    def user(self, call: Call) -> Answer:
        """`GET /users/customer/{customerId}`."""
        customer_id = call.customer_id or 0
        company_id = self._store.company_of(customer_id)
        if company_id is None:
            raise Refused(404, "Not Found Error", "User matching query does not exist.")
        shown_id = self._store.shown_id(customer_id)
        return success(self._store.buyer(customer_id).user_json(customer_id, shown_id, company_id))

    def _detail(self, company_id: int) -> Answer:
        customer_id = self._customers().get(company_id)
        if customer_id is None:
            raise Refused(404, "This resource is not found.")
        shown = self._store.buyer(customer_id).company_json(self._store.shown_id(company_id), extra_fields=True)
        return success(shown | {"bcGroupId": str(shown["bcGroupId"])})  # a text here, an integer in the list

    def _listing(self, call: Call) -> Answer:
        """The companies, or that of `customerId`, from the highest id to the lowest; extra fields only with `isIncludeExtraFields=1`."""
        extra_fields = call.query.get("isIncludeExtraFields") == "1"
        wanted = call.query.get("customerId")
        rows = [
            self._store.buyer(customer_id).company_json(self._store.shown_id(company_id), extra_fields=extra_fields)
            for company_id, customer_id in sorted(self._customers().items(), reverse=True)
            if wanted in {None, str(customer_id)}
        ]
        return paged(rows, call)

    def _customers(self) -> dict[int, int]:
        """The customer of each company."""
        ids = {customer_id: self._store.company_of(customer_id) for customer_id in self._store.company_customers}
        return {company_id: customer_id for customer_id, company_id in ids.items() if company_id is not None}
