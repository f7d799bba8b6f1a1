"""The sandbox's simulated BigCommerce behind a `FakeExchange`: the same behaviour as over HTTP, without a socket."""

import json
import re
from collections.abc import Iterator

from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.messages import Call
from support.exchange import Sent, Step, answer

ROUTES = (
    ("GET", re.compile(r"/stores/(?P<store_hash>[^/]+)/v2/orders/(?P<order_id>\d+)"), "core.get_order"),
    ("GET", re.compile(r"/stores/(?P<store_hash>[^/]+)/v2/orders"), "core.list_orders"),
    ("GET", re.compile(r"/stores/(?P<store_hash>[^/]+)/v3/hooks"), "core.hooks"),
    ("PUT", re.compile(r"/stores/(?P<store_hash>[^/]+)/v3/hooks/(?P<hook_id>\d+)"), "core.hooks"),
    ("POST", re.compile(r"/api/v3/io/orders"), "b2b.create"),
    ("GET", re.compile(r"/api/v3/io/orders/(?P<order_id>\d+)"), "b2b.get"),
    ("PUT", re.compile(r"/api/v3/io/orders/(?P<order_id>\d+)"), "b2b.update"),
    ("GET", re.compile(r"/api/v3/io/users/customer/(?P<customer_id>\d+)"), "b2b.user"),
)


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
    for method, path, endpoint in ROUTES:
        found = path.fullmatch(sent.path)
        if found and method == sent.method:
            ids = found.groupdict()
            yield Call(
                endpoint=endpoint,
                method=method,
                path=sent.path,
                store_hash=ids.get("store_hash") or sent.headers.get("X-Store-Hash", ""),
                token=sent.headers["X-Auth-Token"],
                query=sent.query,
                body=b"" if sent.body is None else json.dumps(sent.body).encode(),
                order_id=int(ids["order_id"]) if "order_id" in ids else None,
                customer_id=int(ids["customer_id"]) if "customer_id" in ids else None,
                hook_id=int(ids["hook_id"]) if "hook_id" in ids else None,
            )
    raise AssertionError(f"the relay has no business with {sent.method} {sent.path}")
