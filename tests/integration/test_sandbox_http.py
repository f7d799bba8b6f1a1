"""The simulated store over real sockets: the APIs, the faults on the wire, and the delivery of webhooks."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from standardwebhooks.webhooks import Webhook

from sandbox.store import faults
from sandbox.store.bigcommerce import Request
from sandbox.store.faults import Fault
from sandbox.store.orders import PO_LINE, Order
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
                webhook_header=("X-Relay", "let-me-in"),
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
    def test_take_an_order_from_look_up_to_update(self, shopper: Shopper) -> None:
        order = shopper.order(customer_message=f"{PO_LINE}4711")
        assert shopper.look_up(order).json()["customer_message"] == f"{PO_LINE}4711"
        created = shopper.create(order, poNumber="4711")
        assert created.json()["data"]["poNumber"] == "4711"
        assert created.headers["X-Requests-Remaining"] == "149 times"
        fields = [{"fieldName": "Dock", "fieldValue": "3"}]
        assert shopper.call("PUT", f"/api/v3/io/orders/{order.id}", json={"extraFields": fields}).ok
        assert shopper.call("GET", f"/api/v3/io/orders/{order.id}").json()["data"]["extraFields"] == fields
        record = shopper.sandbox.record(shopper.store, order.id)
        assert record is not None
        assert (record.po_number, record.extra_fields) == ("4711", {"Dock": "3"})
        effects = shopper.sandbox.effects("abc", order.id)
        assert (effects.creates, effects.updates) == (1, 1)

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
            ("/api/v3/io/nowhere", 404),
        ],
    )
    def test_are_where_bigcommerce_has_them(self, shopper: Shopper, path: str, status: int) -> None:
        assert shopper.call("GET", path).status_code == status

    def test_can_be_set_up_anew_while_they_run(self, shopper: Shopper) -> None:
        order = shopper.order()
        old = shopper.store.access_token
        shopper.sandbox.configure("abc", access_token="rotated")
        headers = {"X-Auth-Token": old}
        url = f"{shopper.sandbox.url}/stores/abc/v2/orders/{order.id}"
        assert requests.get(url, headers=headers, timeout=5).status_code == 401
        assert shopper.look_up(order).ok
        with pytest.raises(TypeError, match="acess_token"):
            shopper.sandbox.configure("abc", acess_token="typo")

    def test_remember_every_request(self, shopper: Shopper) -> None:
        order, other = shopper.order(), shopper.order(created_ago_seconds=60)
        shopper.look_up(order)
        shopper.create(order, poNumber="4711")
        shopper.create(other)
        looked_up, created = shopper.sandbox.requests(order=order)
        assert (looked_up.endpoint, looked_up.method, looked_up.status) == ("core.get_order", "GET", 200)
        assert created.body == {"bcOrderId": order.id, "customerId": BUYER, "poNumber": "4711"}
        assert created.customer_id == BUYER
        assert created.window_left is not None
        assert 5 < created.window_left < 10
        [late] = shopper.sandbox.requests("b2b", order=other)
        assert late.status == 400
        assert late.window_left is not None
        assert late.window_left < 0
        assert len(shopper.sandbox.requests(store="abc")) == 3
        assert shopper.sandbox.requests(store="xyz") == []

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
        assert happened == (1 if fault.effect is faults.Effect.AT_ONCE else 0)
        [request] = shopper.sandbox.requests("b2b.create")
        assert (request.fault, request.status) == (fault.name, 0)
        assert rule.struck == 1
        assert shopper.create(order).status_code == (400 if happened else 200)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_that_delay_have_their_effect_before_or_after(self, shopper: Shopper, at_once: bool) -> None:
        order = shopper.order()
        shopper.sandbox.fault(faults.delay(1.0, effect=at_once), "b2b.create")
        with pytest.raises(requests.ReadTimeout):
            shopper.create(order, timeout=0.1)
        assert shopper.sandbox.effects("abc", order.id).creates == int(at_once)
        # The store goes on although nobody is listening any more.
        assert shopper.answered(0).status == 0
        assert shopper.sandbox.effects("abc", order.id).creates == 1

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

    def test_of_an_outage_hold_until_they_are_lifted(self, shopper: Shopper) -> None:
        order = shopper.order()
        outage = shopper.sandbox.down("core")
        assert [shopper.look_up(order).status_code for _ in range(2)] == [503, 503]
        assert shopper.create(order).status_code == 200
        shopper.sandbox.remove_fault(outage)
        assert shopper.look_up(order).ok
        shopper.sandbox.down(fault=faults.reset(), seconds=60)
        with pytest.raises(requests.ConnectionError):
            shopper.look_up(order)
        shopper.sandbox.clear_faults()
        assert shopper.look_up(order).ok

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
    def test_arrive_signed_and_with_the_custom_header(self, shopper: Shopper, receiver: Receiver) -> None:
        order = shopper.order()
        [delivery] = shopper.sandbox.deliver(order, receiver.url)
        attempt = delivery.first(5)
        assert (attempt.status, attempt.acknowledged, delivery.wait(5)) == (200, True, attempt)
        assert 0 < attempt.seconds < 5
        [(headers, body)] = receiver.received
        assert headers["X-Relay"] == "let-me-in"
        lower = {name.lower(): value for name, value in headers.items()}
        verified: Any = Webhook(shopper.store.client_secret.encode()).verify(body, lower)
        assert verified["data"] == {"type": "order", "id": order.id}
        assert shopper.sandbox.deliveries(order) == [delivery]

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

    def test_that_nobody_receives_are_given_up_in_the_end(self, shopper: Shopper) -> None:
        options = DeliveryOptions(retries=2, time_compression=1e6)
        [delivery] = shopper.sandbox.deliver(shopper.order(), f"http://127.0.0.1:{closed_port()}/", options)
        assert delivery.wait(5).status is None
        assert len(delivery.attempts) == 3
        assert "ClientConnector" in delivery.attempts[0].error
        assert delivery.acknowledged is None

    def test_come_several_times_at_the_same_moment(self, shopper: Shopper, receiver: Receiver) -> None:
        deliveries = shopper.sandbox.deliver(shopper.order(), receiver.url, DeliveryOptions(copies=10))
        starts = [delivery.first(5).at for delivery in deliveries]
        assert len(starts) == 10
        assert max(starts) - min(starts) < 1
        assert len({body for _, body in receiver.received}) == 1

    def test_may_carry_anything_else(self, shopper: Shopper, receiver: Receiver) -> None:
        options = DeliveryOptions(body=b"\xff not json", signed=False, custom_header=False)
        [delivery] = shopper.sandbox.deliver(shopper.order(), receiver.url, options)
        delivery.first(5)
        [(headers, body)] = receiver.received
        assert body == b"\xff not json"
        assert "X-Relay" not in headers
        assert "webhook-signature" not in headers

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

    def test_end_when_their_hook_is_deactivated_in_between(self, shopper: Shopper, receiver: Receiver) -> None:
        receiver.answers = [500] * 20
        shopper.sandbox.hook_options = DeliveryOptions(time_compression=200)
        hook = shopper.sandbox.add_hook("abc", receiver.url)
        [delivery] = shopper.sandbox.deliveries(shopper.order())
        delivery.first(5)
        hook.is_active = False
        delivery.wait(5)
        assert len(delivery.attempts) == 1

    def test_are_held_back_from_a_blocked_domain(self, shopper: Shopper, receiver: Receiver) -> None:
        shopper.sandbox.block_domain("abc", "127.0.0.1")
        options = DeliveryOptions(retries=0)
        [delivery] = shopper.sandbox.deliver(shopper.order(), receiver.url, options)
        assert delivery.wait(5).error == "the destination is blocked"
        assert receiver.received == []
