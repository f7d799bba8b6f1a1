"""The sandbox's simulated BigCommerce behind a `FakeExchange`: the same behaviour as over HTTP, without a socket."""

import json
import re
from collections.abc import Iterator

from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.http_server import CUSTOMER_IN_QUERY, ROUTES
from sandbox.store.messages import Call
from support.exchange import Sent, Step, answer

PATTERNS = [
    (method, re.compile(re.sub(r"\{(\w+)(?::([^}]+))?\}", r"(?P<\1>\2)", path)), endpoint)
    for method, path, endpoint in ROUTES
    if endpoint != "unknown"
]
"""The routes of the simulated store as regular expressions."""


class SimulatedApis:
    """Answers what was sent as the simulated stores would."""

    def __init__(self, bigcommerce: BigCommerce) -> None:
        self._bigcommerce = bigcommerce

    def __call__(self, sent: Sent) -> Step:
        call = next(_calls(sent))
        request = self._bigcommerce.arrived(call)
        answered = self._bigcommerce.answer(call)
        request.status = answered.status
        return answer(answered.status, answered.content(), answered.headers)


def _calls(sent: Sent) -> Iterator[Call]:
    for method, path, endpoint in PATTERNS:
        found = path.fullmatch(sent.path)
        if found and method == sent.method:
            ids = found.groupdict()
            customer = ids.get("customer_id") or sent.query.get(CUSTOMER_IN_QUERY.get(endpoint, ""))
            yield Call(
                endpoint=endpoint,
                method=method,
                path=sent.path,
                store_hash=ids.get("store_hash") or sent.headers.get("X-Store-Hash", ""),
                token=sent.headers["X-Auth-Token"],
                query=sent.query,
                body=b"" if sent.body is None else json.dumps(sent.body).encode(),
                order_id=int(ids["order_id"]) if "order_id" in ids else None,
                customer_id=int(customer) if customer else None,
                company_id=int(ids["company_id"]) if "company_id" in ids else None,
                hook_id=int(ids["hook_id"]) if "hook_id" in ids else None,
            )
    raise AssertionError(f"the relay has no business with {sent.method} {sent.path}")
