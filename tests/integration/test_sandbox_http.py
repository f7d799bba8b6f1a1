"""The simulated store over real sockets: the APIs, the faults on the wire, and the delivery of webhooks."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from sandbox.store import faults
from sandbox.store.bigcommerce import Request
from sandbox.store.faults import Fault
from sandbox.store.orders import Order
from sandbox.store.server import SandboxStore
from sandbox.store.settings import Store
from sandbox.store.webhooks import DeliveryOptions
from support.ports import closed_port

BUYER = 7


class Shopper:
    """A running sandbox with one store, and a client that knows its token."""

    def __init__(self, sandbox: SandboxStore) -> None:
        self.sandbox = sandbox
        self.store = sandbox.add_store(
            Store(
                hash="abc",
                company_customers={BUYER},
                automatic_record_after=None,
                read_lag_seconds=0.0,
                create_writes_customer_message=False,
            )
        )

    def order(self, **options: Any) -> Order:
        return self.sandbox.place_order(self.store, customer_id=BUYER, **options)

    def call(self, method: str, path: str, *, timeout: float = 5, **more: Any) -> requests.Response:
        headers = {"X-Auth-Token": self.store.access_token, "X-Store-Hash": "abc"}
        return requests.request(method, self.sandbox.url + path, headers=headers, timeout=timeout, **more)

    def create(self, order: Order, *, timeout: float = 5, **body: Any) -> requests.Response:
        sent = {"bcOrderId": order.id, "customerId": BUYER} | body
        return self.call("POST", "/api/v3/io/orders", json=sent, timeout=timeout)

    def look_up(self, order: Order, *, timeout: float = 5) -> requests.Response:
        return self.call("GET", f"/stores/abc/v2/orders/{order.id}", timeout=timeout)

    def answered(self, number: int) -> Request:
        """The n-th request, once it has been answered or cut off."""
        self.sandbox.wait_until(lambda: self.sandbox.requests()[number].status is not None, 5)
        return self.sandbox.requests()[number]


class Receiver:
    """A webhook destination that answers as it is told, 200 when nothing is left to say."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.received: list[tuple[dict[str, str], bytes]] = []
        lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    receiver.received.append((dict(self.headers), body))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks"


@pytest.fixture
def shopper() -> Iterator[Shopper]:
    with SandboxStore.run() as sandbox:
        yield Shopper(sandbox)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


class TestTheApis:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/stores/abc/v2/time", 200),
            ("/stores/abc/v2/orders", 204),
            ("/stores/abc/v2/orders/5", 404),
            ("/stores/abc/v3/orders/5/metafields", 404),
            ("/stores/abc/v3/hooks", 200),
            ("/stores/abc/v3/hooks/admin", 200),
            ("/stores/abc/v3/hooks/5", 404),
            ("/stores/elsewhere/v2/time", 401),
            ("/api/v3/io/orders", 200),
            ("/api/v3/io/orders/extra-fields", 200),
            ("/api/v3/io/orders/5", 404),
            ("/api/v3/io/users/customer/7", 200),
            ("/api/v3/io/companies", 200),
            ("/api/v3/io/companies/7007", 200),
            ("/stores/abc/v3/customers", 200),
            ("/stores/abc/v3/customers/attributes", 200),
            ("/api/v3/io/nowhere", 404),
        ],
    )
    def test_are_where_bigcommerce_has_them(self, shopper: Shopper, path: str, status: int) -> None:
        assert shopper.call("GET", path).status_code == status

    def test_cannot_be_had_on_a_port_that_is_taken(self, shopper: Shopper) -> None:
        port = int(shopper.sandbox.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=str(port)), SandboxStore.run(port=port):
            pass


class TestFaults:
    @pytest.mark.parametrize(
        "fault", [faults.reset(), faults.reset_after(), faults.hang(0.1), faults.hang(0.1, effect=True)]
    )
    def test_that_cut_the_connection_have_an_effect_or_none(self, shopper: Shopper, fault: Fault) -> None:
        order = shopper.order()
        rule = shopper.sandbox.fault(fault, "b2b.create", order=order)
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            shopper.create(order)
        happened = shopper.sandbox.effects("abc", order.id).creates
        assert happened == int(fault.effect)
        [request] = shopper.sandbox.requests("b2b.create")
        assert (request.fault, request.status) == (fault.name, 0)
        assert rule.struck == 1
        assert shopper.create(order).status_code == (400 if happened else 200)

    def test_that_delay_have_their_effect_at_once(self, shopper: Shopper) -> None:
        order = shopper.order()
        shopper.sandbox.fault(faults.delay(0.5), "b2b.create")
        with pytest.raises(requests.ReadTimeout):
            shopper.create(order, timeout=0.1)
        assert shopper.sandbox.effects("abc", order.id).creates == 1
        assert shopper.answered(0).status == 0

    @pytest.mark.parametrize("fault", [faults.drip(0.01), faults.drip_headers(0.01)])
    def test_that_drip_outlast_a_time_limit_for_single_reads(self, shopper: Shopper, fault: Fault) -> None:
        order = shopper.order()
        shopper.sandbox.fault(fault)
        started = time.monotonic()
        with requests.get(
            f"{shopper.sandbox.url}/stores/abc/v2/orders/{order.id}",
            headers={"X-Auth-Token": shopper.store.access_token},
            timeout=0.25,
            stream=True,
        ) as response:
            assert response.raw.read(30).startswith(b'{"id": 101')
        assert time.monotonic() - started > 0.25
        assert shopper.answered(0).status == 0

    def test_that_answer_carry_status_headers_and_body(self, shopper: Shopper) -> None:
        order = shopper.order()
        shopper.sandbox.fault(faults.status(429, {"X-Request-Window-Resets-After": "2.50 s"}, {"code": 429}))
        answer = shopper.create(order)
        assert (answer.status_code, answer.json()) == (429, {"code": 429})
        assert answer.headers["X-Request-Window-Resets-After"] == "2.50 s"
        assert "X-Requests-Remaining" not in answer.headers
        assert shopper.sandbox.record("abc", order.id) is None
        shopper.sandbox.fault(faults.status(503, body={"code": 503}))
        assert shopper.create(order).headers["X-Requests-Remaining"] == "148 times"

    def test_that_hang_do_not_keep_the_sandbox_from_ending(self) -> None:
        with SandboxStore.run() as sandbox:
            shopper = Shopper(sandbox)
            order = shopper.order()
            sandbox.fault(faults.hang(3600))
            with pytest.raises(requests.ReadTimeout):
                shopper.look_up(order, timeout=0.1)
            started = time.monotonic()
        assert time.monotonic() - started < 5


class TestWebhooks:
    def test_come_again_until_they_are_acknowledged(self, shopper: Shopper, receiver: Receiver) -> None:
        receiver.answers = [500, 302]
        options = DeliveryOptions(time_compression=2000)
        [delivery] = shopper.sandbox.deliver(shopper.order(), receiver.url, options)
        delivery.wait(5)
        assert [attempt.status for attempt in delivery.attempts] == [500, 302, 200]
        assert delivery.acknowledged is delivery.attempts[2]
        gaps = [second.at - first.at for first, second in zip(delivery.attempts, delivery.attempts[1:], strict=False)]
        assert gaps[0] >= 60 / 2000
        assert gaps[1] >= 180 / 2000

    def test_go_to_active_hooks_by_themselves(self, shopper: Shopper, receiver: Receiver) -> None:
        hook = shopper.sandbox.add_hook("abc", receiver.url, headers={"X-Own": "hook"})
        shopper.sandbox.add_hook("abc", receiver.url).is_active = False
        shopper.sandbox.add_hook("abc", receiver.url, "store/channel/1/order/created")
        order = shopper.order()
        assert shopper.order(notify=False)
        for delivery in shopper.sandbox.deliveries():
            delivery.first(5)
        whole, channel = shopper.sandbox.deliveries(order)
        assert (whole.hook, len(shopper.sandbox.deliveries())) == (hook, 2)
        assert whole.attempts[0].headers["X-Own"] == "hook"
        assert b'"order_id"' in channel.content

    def test_tell_of_the_update_that_create_order_makes(self, shopper: Shopper, receiver: Receiver) -> None:
        shopper.sandbox.configure("abc", create_writes_customer_message=True)
        shopper.sandbox.add_hook("abc", receiver.url, "store/order/updated")
        order = shopper.order()
        shopper.create(order, poNumber="4711")
        [delivery] = shopper.sandbox.wait_until(lambda: shopper.sandbox.deliveries(order), 5)
        delivery.first(5)
        assert b'"store/order/updated"' in receiver.received[0][1]

    def test_that_keep_failing_deactivate_their_hook(self, shopper: Shopper) -> None:
        shopper.sandbox.hook_options = DeliveryOptions(time_compression=1e7)
        hook = shopper.sandbox.add_hook("abc", f"http://127.0.0.1:{closed_port()}/")
        [delivery] = shopper.sandbox.deliveries(shopper.order())
        delivery.wait(10)
        assert len(delivery.attempts) == 12
        assert not hook.is_active
        assert shopper.sandbox.deliveries(shopper.order()) == []

    def test_are_held_back_from_a_blocked_domain(self, shopper: Shopper, receiver: Receiver) -> None:
        shopper.sandbox.block_domain("abc", "127.0.0.1")
        options = DeliveryOptions(retries=0)
        [delivery] = shopper.sandbox.deliver(shopper.order(), receiver.url, options)
        assert delivery.wait(5).error == "the destination is blocked"
        assert receiver.received == []
