"""Faults that the simulated store can be told to have, and the rules by which they strike."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Literal

from sandbox.store.b2b_api import refusal_body
from sandbox.store.messages import Call, Clock, v2_error, v3_error

_WAIT_HEADERS = {True: "X-Request-Window-Resets-After", False: "X-Retry-After"}
"""Where the B2B API and the core API say when to come again, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a call. Made by the functions below."""

    name: str
    effect: bool = True
    """Whether a call that meets it does what it asks for."""
    delay_seconds: float = 0.0
    cut: bool = False
    """The connection is reset instead of an answer."""
    status: int | None = None
    """This answer instead of the real one, with `headers` and `content`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    edge: bool = False
    """Something between the caller and the API answers: nothing is counted, and no header of the API's is there."""
    first: bytes = b""
    """Goes over the wire before the answer, and before the delay."""
    alter: Callable[[bytes], bytes] | None = None
    """Changes the body of the answer."""
    closes_after_seconds: float | None = None
    """The connection is closed, politely, so long after the answer."""
    drip_seconds: float = 0.0
    """One byte of the answer's body in each interval of this length."""
    drip_from_headers: bool = False
    """Drip the header, too."""
    ends_in: Literal["", "start", "headers", "body"] = ""
    """The connection is closed, politely, before the answer, or in the middle of its headers or its body."""


def delay(seconds: float) -> Fault:
    """Answer slowly. The effect comes at once."""
    return Fault(name="delay", delay_seconds=seconds)


def hang(seconds: float = 120.0, *, effect: bool = False) -> Fault:
    """No answer for so long, then a reset. The effect comes at once (`effect=True`) or never."""
    return Fault(name="hang", effect=effect, delay_seconds=seconds, cut=True)


def drip(seconds: float = 1.0) -> Fault:
    """Give the real answer, its body one byte in each interval."""
    return Fault(name="drip", drip_seconds=seconds)


def drip_headers(seconds: float = 1.0) -> Fault:
    """Give the real answer, one byte in each interval from the status line on."""
    return Fault(name="drip_headers", drip_seconds=seconds, drip_from_headers=True)


def reset() -> Fault:
    """Reset the connection before anything happens."""
    return Fault(name="reset", effect=False, cut=True)


def reset_after() -> Fault:
    """Let the call have its effect, then reset the connection: the answer is lost."""
    return Fault(name="reset_after", cut=True)


def status(code: int, headers: Mapping[str, str] | None = None, body: Any = None, *, effect: bool = False) -> Fault:
    """Give this answer instead of the real one; `body` is text as it is, or JSON."""
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return Fault(name=f"status {code}", effect=effect, status=code, headers=dict(headers or {}), content=content)


def edge(code: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Fault:
    """Something between the caller and the API answers in its place; no body, text as it is (HTML), or JSON."""
    fault = status(code, headers, body)
    html = {"Content-Type": "text/html"} if fault.content.startswith(b"<") else {}
    return replace(fault, name=f"edge {code}", edge=True, headers=html | dict(fault.headers))


def no_route() -> Fault:
    """A gateway's 404: JSON, but not the API's (docs.konghq.com: no route matched)."""
    return edge(404, {"message": "no Route matched with those values"})


def refusal(code: int, words: str) -> Fault:
    """Let the B2B API refuse a call."""
    return status(code, body=refusal_body(code, words))


def hints(count: int = 1) -> Fault:
    """Send answers of status 103 before the real one (RFC 8297)."""
    return Fault(name="103 first", first=b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" * count)


def byte_order_mark() -> Fault:
    """Put a byte order mark before the answer's JSON."""
    return Fault(name="byte order mark", alter=lambda body: b"\xef\xbb\xbf" + body)


def hang_up() -> Fault:
    """Close the connection without a byte, as when the server had closed a kept connection that is used once more."""
    return Fault(name="hang up", effect=False, ends_in="start")


def close_idle(seconds: float = 0.0) -> Fault:
    """Give the real answer, then close the connection, which the caller may have kept."""
    return Fault(name="close idle", closes_after_seconds=seconds)


def cut_headers(*, effect: bool = True) -> Fault:
    """Close the connection in the middle of the headers; without an effect, of an answer that claims success."""
    return _cut_off("headers", effect=effect)


def cut_body(*, effect: bool = True) -> Fault:
    """Close the connection in the middle of the body whose length was told before; see `cut_headers`."""
    return _cut_off("body", effect=effect)


def _cut_off(part: Literal["headers", "body"], *, effect: bool) -> Fault:
    if effect:
        return Fault(name=f"cut {part}", ends_in=part)
    success = b'{"code": 200, "data": {}, "meta": {"message": "SUCCESS"}}'
    return Fault(name=f"cut {part}", effect=False, status=200, content=success, ends_in=part)


def garbage(body: Any = "<html>It works!</html>") -> Fault:
    """Status 200 with a body that is no JSON, or JSON of an unexpected shape."""
    return replace(status(200, body=body), name="garbage")


SOURCES = {
    "company": "b2b.company",
    "user": "b2b.user",
    "customer": "core.customer",
    "attribute names": "core.attributes",
    "metafields": "core.metafields",
    "consignments": "core.get_order",
}
"""The endpoint of each source that rules can read."""
BY_CUSTOMER = frozenset({"b2b.company", "b2b.user", "core.customer"})
"""Endpoints that are asked about a customer, not about an order."""


def _api_refusal(code: int, words: str) -> Callable[[str], Fault]:
    """Refuse as the API of the endpoint does."""

    def make(endpoint: str) -> Fault:
        version = v2_error if endpoint == "core.get_order" else v3_error
        body = refusal_body(code, words) if endpoint.startswith("b2b.") else version(code, words).body
        return status(code, body=body)

    return make


SOURCE_FAULTS: dict[str, Callable[[str], Fault]] = {
    "hang": lambda _endpoint: hang(30.0),
    "slow": lambda _endpoint: delay(4.0),
    "503": lambda _endpoint: status(503),
    "429": lambda endpoint: status(429, headers={_WAIT_HEADERS[endpoint.startswith("b2b.")]: "20"}),
    "403": _api_refusal(403, "You don't have a required scope to access the endpoint."),
    "404": _api_refusal(404, "The requested resource was not found."),
}
"""What can go wrong with a source, by name; each takes the source's endpoint."""


@dataclass(slots=True, kw_only=True, eq=False)
class Rule:
    """When a fault strikes. Whatever is None matches everything."""

    fault: Fault
    endpoint: str = "*"
    """Name or pattern: `b2b.create`, `core.*`, `*`."""
    store_hash: str | None = None
    order_id: int | None = None
    customer_id: int | None = None
    times: int | None = 1
    """How often; None: until it is removed."""
    until: float | None = None
    probability: float = 1.0
    struck: int = 0
    """How often it has struck so far."""
    number: int = 0
    seen: Counter[tuple[str, str, int | None, int | None]] = field(default_factory=Counter)

    def matches(self, call: Call, now: float) -> bool:
        """Whether the rule is about this call and still in force."""
        return (
            fnmatchcase(call.endpoint, self.endpoint)
            and self.store_hash in {None, call.store_hash}
            and self.order_id in {None, call.order_id}
            and self.customer_id in {None, call.customer_id}
            and (self.times is None or self.struck < self.times)
            and (self.until is None or now < self.until)
        )


class FaultBoard:
    """All rules in force. The first rule that matches and strikes decides."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock, self.seed = clock, seed
        self._rules: list[Rule] = []
        self._numbered = 0

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force."""
        self._numbered += 1
        rule.number = self._numbered
        self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Take a rule back; harmless when it is gone already."""
        self._rules = [other for other in self._rules if other is not rule]

    def strike(self, call: Call) -> Fault | None:
        """Return the fault that this call meets."""
        now = self._clock()
        for rule in self._rules:
            if rule.matches(call, now) and self._drawn(rule, call):
                rule.struck += 1
                return rule.fault
        return None

    def _drawn(self, rule: Rule, call: Call) -> bool:
        """Draw for a rule with a probability.

        Drawn from the seed, the order and how often it was tried, not from one stream of random numbers: so a run
        can be repeated although its calls arrive in another order.
        """
        if rule.probability >= 1.0:
            return True
        key = (call.store_hash, call.endpoint, call.order_id, call.customer_id)
        rule.seen[key] += 1
        text = f"{self.seed}:{rule.number}:{key}:{rule.seen[key]}"
        number = int.from_bytes(sha256(text.encode()).digest()[:8])
        return number / 2**64 < rule.probability


def pattern_of(group: str) -> str:
    """`b2b` and `core` name all their endpoints; anything else is a pattern already."""
    return f"{group}.*" if group in {"b2b", "core"} else group
