"""Which calls a fault strikes, and how often; what each fault is made of."""

import json

import pytest

from sandbox.store import faults
from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.faults import Effect, Fault, FaultBoard, Rule, pattern_of
from sandbox.store.messages import Call
from sandbox.store.settings import Store

CREATE = Call(endpoint="b2b.create", store_hash="abc", order_id=101)
LOOK_UP = Call(endpoint="core.get_order", store_hash="abc", order_id=101)


class Board:
    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self.board = FaultBoard(lambda: self.now, seed)

    def add(self, **conditions: object) -> Rule:
        return self.board.add(Rule(fault=faults.reset(), **conditions))  # type: ignore[arg-type]

    def strikes(self, call: Call = CREATE, tries: int = 1) -> list[bool]:
        return [self.board.strike(call) is not None for _ in range(tries)]


@pytest.fixture
def board() -> Board:
    return Board()


def test_nothing_happens_without_a_rule(board: Board) -> None:
    assert board.strikes() == [False]


def test_a_fault_strikes_as_often_as_it_was_told(board: Board) -> None:
    rule = board.add(times=2)
    assert board.strikes(tries=4) == [True, True, False, False]
    assert rule.struck == 2


def test_a_fault_without_a_number_strikes_until_it_is_removed(board: Board) -> None:
    rule = board.add(times=None)
    assert board.strikes(tries=3) == [True] * 3
    board.board.remove(rule)
    board.board.remove(rule)
    assert board.strikes() == [False]


def test_clearing_ends_all_faults(board: Board) -> None:
    board.add(times=None)
    board.add(times=None)
    board.board.clear()
    assert board.strikes() == [False]


def test_an_outage_ends_when_its_time_is_over(board: Board) -> None:
    board.add(times=None, until=1030.0)
    assert board.strikes() == [True]
    board.now = 1030.0
    assert board.strikes() == [False]


@pytest.mark.parametrize(
    ("conditions", "struck"),
    [
        ({"endpoint": "*"}, True),
        ({"endpoint": "b2b.*"}, True),
        ({"endpoint": "b2b.create"}, True),
        ({"endpoint": "b2b.get"}, False),
        ({"endpoint": "core.*"}, False),
        ({"store_hash": "abc"}, True),
        ({"store_hash": "xyz"}, False),
        ({"order_id": 101}, True),
        ({"order_id": 102}, False),
        ({"customer_id": 7}, False),
    ],
)
def test_a_fault_strikes_only_what_matches(board: Board, conditions: dict[str, object], struck: bool) -> None:
    board.add(**conditions)
    assert board.strikes() == [struck]


def test_the_first_rule_that_still_strikes_decides(board: Board) -> None:
    board.board.add(Rule(fault=faults.status(503), endpoint="b2b.create"))
    board.board.add(Rule(fault=faults.status(429), times=None))
    struck = [board.board.strike(call) for call in (LOOK_UP, CREATE, CREATE)]
    assert [fault.status if fault else None for fault in struck] == [429, 503, 429]


def test_a_probability_is_about_kept(board: Board) -> None:
    board.add(times=None, probability=0.3)
    calls = [Call(endpoint="b2b.create", store_hash="abc", order_id=number) for number in range(1000)]
    assert 250 < sum(board.strikes(call)[0] for call in calls) < 350


def test_chance_is_the_same_for_a_seed_whatever_the_order_of_calls() -> None:
    orders = range(60)

    def drawn(seed: int, *, backwards: bool) -> dict[int, list[bool]]:
        board = Board(seed)
        board.add(times=None, probability=0.5)
        sequence = reversed(orders) if backwards else orders
        return {n: board.strikes(Call(endpoint="b2b.create", store_hash="abc", order_id=n), 3) for n in sequence}

    assert drawn(1, backwards=False) == drawn(1, backwards=True)
    assert drawn(1, backwards=False) != drawn(2, backwards=False)


@pytest.mark.parametrize(
    ("fault", "effect", "cut"),
    [
        (faults.delay(7), Effect.AT_ONCE, False),
        (faults.delay(7, effect=False), Effect.AFTER_DELAY, False),
        (faults.hang(), Effect.NEVER, True),
        (faults.hang(effect=True), Effect.AT_ONCE, True),
        (faults.drip(), Effect.AT_ONCE, False),
        (faults.drip_headers(), Effect.AT_ONCE, False),
        (faults.reset(), Effect.NEVER, True),
        (faults.reset_after(), Effect.AT_ONCE, True),
        (faults.status(503), Effect.NEVER, False),
        (faults.status(503, effect=True), Effect.AT_ONCE, False),
        (faults.garbage(), Effect.NEVER, False),
        (faults.garbage(effect=True), Effect.AT_ONCE, False),
        (faults.no_route(), Effect.NEVER, False),
        (faults.refusal(400, "no"), Effect.NEVER, False),
        (faults.gzip_bomb(), Effect.NEVER, False),
        (faults.endless(), Effect.NEVER, False),
        (faults.hang_up(), Effect.NEVER, False),
        (faults.hints(), Effect.AT_ONCE, False),
        (faults.about_order(102), Effect.AT_ONCE, False),
        (faults.byte_order_mark(), Effect.AT_ONCE, False),
        (faults.half_emoji(), Effect.AT_ONCE, False),
        (faults.gzip_unlabelled(), Effect.AT_ONCE, False),
        (faults.latin_1(), Effect.AT_ONCE, False),
        (faults.close_idle(), Effect.AT_ONCE, False),
    ],
)
def test_each_fault_says_whether_the_call_has_its_effect(fault: Fault, effect: Effect, cut: bool) -> None:
    assert (fault.effect, fault.cut) == (effect, cut)


@pytest.mark.parametrize(
    ("body", "content"), [(None, b""), ("plain", b"plain"), ({"code": 422}, b'{"code": 422}'), ([], b"[]")]
)
def test_a_status_carries_text_or_json(body: object, content: bytes) -> None:
    fault = faults.status(422, {"Retry-After": "3"}, body)
    assert (fault.status, fault.headers, fault.content) == (422, {"Retry-After": "3"}, content)


def test_garbage_is_a_success_with_a_wrong_body() -> None:
    assert (faults.garbage({"data": "?"}).status, faults.garbage({"data": "?"}).content) == (200, b'{"data": "?"}')


@pytest.mark.parametrize("name", faults.SOURCE_FAULTS)
@pytest.mark.parametrize("endpoint", faults.SOURCES.values())
def test_each_source_can_fail_in_each_way(name: str, endpoint: str) -> None:
    fault = faults.SOURCE_FAULTS[name](endpoint)
    assert (fault.cut, fault.delay_seconds, fault.status) == {
        "hang": (True, 30.0, None),
        "slow": (False, 4.0, None),
    }.get(name, (False, 0.0, int(name) if name.isdecimal() else None))
    assert not fault.edge


@pytest.mark.parametrize(
    ("endpoint", "kind", "words"),
    [
        ("b2b.company", dict, "meta"),
        ("core.customer", dict, "title"),
        ("core.get_order", list, "message"),
    ],
)
def test_a_source_refuses_in_the_words_of_its_own_api(endpoint: str, kind: type, words: str) -> None:
    refusal = faults.SOURCE_FAULTS["403"](endpoint).content
    assert isinstance(json.loads(refusal), kind)
    assert f'"{words}"' in refusal.decode()


@pytest.mark.parametrize(
    ("group", "pattern"), [("b2b", "b2b.*"), ("core", "core.*"), ("*", "*"), ("b2b.get", "b2b.get")]
)
def test_a_group_names_all_its_endpoints(group: str, pattern: str) -> None:
    assert pattern_of(group) == pattern


def test_requests_that_a_fault_answers_are_counted_by_the_rate_limit() -> None:
    bigcommerce = BigCommerce(lambda: 1000.0)
    bigcommerce.add_store(Store(hash="abc", rate_limit=5, core_rate_limit=7))
    assert bigcommerce.limit_headers(CREATE)["X-Requests-Remaining"] == "4 times"
    assert bigcommerce.limit_headers(LOOK_UP)["X-Rate-Limit-Requests-Left"] == "6"
    assert bigcommerce.limit_headers(Call(endpoint="unknown")) == {}
