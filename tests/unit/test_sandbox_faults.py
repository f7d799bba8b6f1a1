"""Which calls a fault strikes, and how often; what each fault is made of."""

import json

import pytest

from sandbox.store import faults
from sandbox.store.bigcommerce import BigCommerce
from sandbox.store.faults import FaultBoard, Rule
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


def test_requests_that_a_fault_answers_are_counted_by_the_rate_limit() -> None:
    bigcommerce = BigCommerce(lambda: 1000.0)
    bigcommerce.add_store(Store(hash="abc", rate_limit=5, core_rate_limit=7))
    assert bigcommerce.limit_headers(CREATE)["X-Requests-Remaining"] == "4 times"
    assert bigcommerce.limit_headers(LOOK_UP)["X-Rate-Limit-Requests-Left"] == "6"
    assert bigcommerce.limit_headers(Call(endpoint="unknown")) == {}
