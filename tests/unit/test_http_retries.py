"""Attempts inside a deadline: how long each may last, when the next one begins, when it is over."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  read by Hypothesis
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.deadline import Deadline
from handler.errors import Cause, OrderAlreadyExists, RetryLater
from handler.http.exchange import NoAnswer, Response
from handler.http.retries import LATE, LIVE, HttpClient, RetryPolicy, reset_after_seconds
from support.clock import NOON, FakeClock, middle
from support.exchange import FakeExchange, Step, answer, hang, reset, unreachable

if TYPE_CHECKING:
    from support.telemetry import Written

URL, PATH = "https://api.example.com/x", "/x"
WINDOW_SECONDS = 9.5


class World:
    def __init__(self, policy: RetryPolicy = LIVE) -> None:
        self.clock = FakeClock()
        self.exchange = FakeExchange(self.clock)
        self.http = HttpClient(self.exchange, policy, self.clock, self.clock.sleep, middle)
        self.deadline = Deadline.after(WINDOW_SECONDS, self.clock)

    def call(self, *steps: Step, last: Step | None = None, **options: Any) -> Response:
        """`last` is what every attempt after `steps` meets."""
        self.exchange.on("GET", PATH, *steps)
        if last is not None:
            self.exchange.always("GET", PATH, last)
        return self.http.call("GET", URL, {}, self.deadline, **options)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    "fault", [reset(), unreachable(), answer(503), answer(500, b"<html>"), answer(408), answer(425), answer(999)]
)
def test_a_transient_failure_is_tried_again(world: World, fault: Step) -> None:
    assert world.call(fault, answer(200, "fine")).json() == "fine"
    assert len(world.exchange.sent) == 2


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 409, 422])
def test_any_other_answer_is_given_back_at_once(world: World, status: int) -> None:
    assert world.call(answer(status)).status == status
    assert len(world.exchange.sent) == 1


@pytest.mark.parametrize("fault", [answer(503), answer(429), answer(408), unreachable()])
def test_a_request_that_was_answered_or_cannot_have_arrived_is_repeated_without_asking(
    world: World, fault: Step
) -> None:
    asked: list[float] = []

    assert world.call(fault, answer(200), before_repeat=lambda: asked.append(world.clock.now)).status == 200
    assert (len(world.exchange.sent), asked) == (2, [])


@pytest.mark.parametrize(("status", "holds"), [(503, True), (500, False), (502, False), (429, False), (408, False)])
def test_only_a_503_says_that_the_whole_store_is_down(world: World, status: int, holds: bool) -> None:
    with pytest.raises(RetryLater) as late:
        world.call(last=answer(status))

    assert late.value.holds is holds


def test_failures_are_tried_again_for_as_long_as_the_deadline_allows_and_not_for_a_count(world: World) -> None:
    with pytest.raises(RetryLater) as late:
        world.call(last=answer(503))

    assert late.value.cause is Cause.API_UNAVAILABLE
    assert len(world.exchange.sent) > 8
    assert world.clock.now <= world.deadline.ends_at


def test_a_hanging_attempt_is_cut_off_in_time_for_others(world: World) -> None:
    assert world.call(hang(), hang(), answer(200)).status == 200
    assert [sent.seconds for sent in world.exchange.sent][:2] == [3.0, 3.0]


def test_endless_hanging_ends_inside_the_deadline_with_no_remainder_too_short_to_be_of_use(world: World) -> None:
    with pytest.raises(NoAnswer):
        world.call(last=hang())

    first, second, third = (sent.seconds for sent in world.exchange.sent)
    assert (first, second) == (3.0, 3.0)
    assert third == pytest.approx(WINDOW_SECONDS - 6.0 - sum(world.clock.slept))  # 3 s would have left a useless rest
    assert world.clock.now <= world.deadline.ends_at


def test_an_attempt_gets_only_what_is_left(world: World) -> None:
    world.clock.advance(WINDOW_SECONDS - 1.0)

    assert world.call(answer(200)).status == 200
    assert world.exchange.sent[0].seconds == pytest.approx(1.0)


@pytest.mark.parametrize("left", [0.19, 0.0, -5.0])
def test_no_attempt_begins_when_there_is_no_time_for_one(world: World, left: float) -> None:
    world.clock.advance(WINDOW_SECONDS - left)

    with pytest.raises(RetryLater) as late:
        world.call(answer(200))

    assert late.value.cause is Cause.WINDOW_MISSED
    assert world.exchange.sent == []


def test_waits_grow_with_jitter_up_to_a_limit(world: World) -> None:
    with pytest.raises(RetryLater):
        world.call(last=answer(503, seconds=0.0))

    assert world.clock.slept[:4] == pytest.approx([0.2, 0.4, 0.75, 0.75])


def test_a_rate_limit_that_ends_inside_the_deadline_is_waited_for(world: World) -> None:
    limited = answer(429, headers={"X-Request-Window-Resets-After": "2.5 s"})

    assert world.call(limited, answer(200)).status == 200
    assert world.clock.slept[0] >= 2.5


def test_a_rate_limit_that_ends_after_the_deadline_is_told_at_once_with_its_end(world: World) -> None:
    with pytest.raises(RetryLater) as late:
        world.call(last=answer(429, headers={"Retry-After": "30"}))

    assert (late.value.cause, late.value.retry_after_seconds) == (Cause.RATE_LIMITED, 30.0)
    assert world.clock.slept == []


def refuse_404(response: Response) -> Response:
    if response.status == 404:
        raise RetryLater(Cause.ORDER_NOT_FOUND, "not yet")
    return response


def test_an_answer_that_its_reader_doubts_is_asked_for_again_until_the_deadline(world: World) -> None:
    with pytest.raises(RetryLater) as late:
        world.call(last=answer(404), read=refuse_404)

    assert late.value.cause is Cause.ORDER_NOT_FOUND
    assert len(world.exchange.sent) > 3


@pytest.mark.parametrize("fault", [reset(), hang()])
def test_before_a_request_is_repeated_that_may_have_arrived_the_caller_is_asked(world: World, fault: Step) -> None:
    asked: list[float] = []

    world.call(answer(503), fault, answer(429), last=answer(200), before_repeat=lambda: asked.append(world.clock.now))

    assert len(asked) == 1  # the answers of the API itself say that nothing was done


def test_a_caller_that_is_asked_can_prevent_the_repetition(world: World) -> None:
    def there_already() -> None:
        raise OrderAlreadyExists

    with pytest.raises(OrderAlreadyExists):
        world.call(hang(), last=answer(200), before_repeat=there_already)

    assert len(world.exchange.sent) == 1


def test_the_late_path_makes_one_long_attempt() -> None:
    late = World(LATE)
    late.deadline = Deadline.after(60.0, late.clock)

    with pytest.raises(NoAnswer):
        late.call(last=hang())

    assert [sent.seconds for sent in late.exchange.sent] == [12.0]
    assert late.clock.slept == []


def test_failed_attempts_and_rate_limits_are_counted(world: World, written: Written) -> None:
    world.call(reset(), answer(503), answer(429), answer(200))

    assert written.metrics == {"AttemptFailed": [1.0, 1.0], "RateLimited": [1.0]}


def test_a_failed_attempt_is_logged_with_its_cause(world: World, written: Written) -> None:
    world.call(reset(), answer(200))

    [line] = written.log
    assert {name: line[name] for name in ("message", "method", "attempt", "cause", "detail")} == {
        "message": "API attempt failed",
        "method": "GET",
        "attempt": 1,
        "cause": "no_answer",
        "detail": "simulated, after at most 3.0 s",
    }


def test_a_body_that_is_not_json_has_no_value() -> None:
    assert Response(200, {}, b"<html>").json() is None


STEPS = st.one_of(
    st.builds(reset, st.floats(0.1, 20)),
    st.builds(hang),
    st.builds(
        answer,
        st.sampled_from([200, 404, 429, 500, 503]),
        headers=st.dictionaries(st.sampled_from(["Retry-After"]), st.integers(0, 90).map(str)),
        seconds=st.floats(0.1, 20),
    ),
)


@given(
    st.lists(STEPS, max_size=30),
    STEPS,
    st.floats(-5, 70),
    st.sampled_from([LIVE, LATE]),
    st.sampled_from([lambda low, _: low, middle, lambda _, high: high]),
)
def test_whatever_happens_nothing_outlives_the_deadline(
    steps: list[Step], last: Step, seconds: float, policy: RetryPolicy, uniform: Callable[[float, float], float]
) -> None:
    clock = FakeClock()
    exchange = FakeExchange(clock)
    exchange.on("GET", PATH, *steps)
    exchange.always("GET", PATH, last)
    deadline = Deadline.after(seconds, clock)

    try:
        HttpClient(exchange, policy, clock, clock.sleep, uniform).call("GET", URL, {}, deadline, read=refuse_404)
    except RetryLater as late:
        assert late.retry_after_seconds is None or late.retry_after_seconds > 0  # noqa: PT017  raising is one of two right ends

    for sent in exchange.sent:
        assert sent.at + sent.seconds <= deadline.ends_at + 1e-6
        assert sent.seconds <= policy.attempt_seconds * 1.25
    assert clock.now <= max(NOON, deadline.ends_at) + 1e-6


# --- when to come back --------------------------------------------------------------------------------------------


def limited(status: int = 429, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x_request_window_resets_after": "0.39 s"}, 0.39),
        ({"x_rate_limit_time_reset_ms": "1500"}, 1.5),
        ({"x_retry_after": "7"}, 7.0),
        ({"retry_after": "12"}, 12.0),
        ({"retry_after": "Sat, 25 Jul 2026 17:20:30 GMT"}, 30.0),
        ({"retry_after": "Sat, 25 Jul 2020 17:20:30 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "999999999"}, 3600.0),
        ({"retry_after": "1m0s"}, 60.0),  # urllib3 #1822
        ({"retry_after": "1m"}, 60.0),
        ({"retry_after": "90s"}, 90.0),
        ({"retry_after": "2 min"}, 120.0),
        ({"retry_after": "2 minutes"}, 120.0),
        ({"retry_after": "1 Minute, 30 Seconds"}, 90.0),
        ({"retry_after": "1 minute and 1 second"}, 61.0),
        ({"retry_after": "0h2m3.5s"}, 123.5),
        ({"retry_after": "1h2m3.5s"}, 3600.0),
        ({"retry_after": "1 hr."}, 3600.0),
        ({"retry_after": "1d"}, 3600.0),
        ({"retry_after": "500ms"}, 0.5),
        ({"retry_after": "250 milliseconds"}, 0.25),
        ({"retry_after": "1500000µs"}, 1.5),
        ({"retry_after": "PT1M30S"}, 90.0),
        ({"retry_after": "P0DT0.5S"}, 0.5),
        ({"retry_after": "1m30"}, 90.0),
        ({"retry_after": "  7.5\t"}, 7.5),
        ({"retry_after": "+7"}, 7.0),
        ({"retry_after": "3, 5"}, 5.0),  # the header came twice
        ({"retry_after": "1785000030"}, 30.0),  # a moment, not a length of time
        ({"x_rate_limit_time_reset_ms": "1785000030000"}, 30.0),
        ({"x_rate_limit_time_reset_ms": "3 s"}, 3.0),
        ({"x_rate_limit_time_reset_ms": "1500 ms"}, 1.5),
        ({"x_rate_limit_time_reset_ms": "1m0s"}, 60.0),
        ({"x_request_window_resets_after": "390 ms"}, 0.39),
        ({"x_request_window_resets_after": "0,39 s"}, 0.39),
        ({"retry_after": "-5"}, 0.0),
        ({"retry_after": "-1m30s"}, 0.0),
        ({"retry_after": "5 times"}, None),
        ({"retry_after": "5 s later"}, None),
        ({"retry_after": "1:30"}, None),
        ({"retry_after": "1e3"}, None),
        ({"retry_after": "PT"}, None),
        ({"retry_after": "-"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "1 " * 5000}, None),
        ({"retry_after": "9" * 5000}, None),
        ({"retry_after": "3", "x_rate_limit_time_reset_ms": "900", "x_request_window_resets_after": "5 s"}, 5.0),
    ],
)
def test_whichever_header_is_there_is_read_and_the_longest_wins(headers: dict[str, str], seconds: float | None) -> None:
    assert reset_after_seconds(limited(**headers), NOON) == (None if seconds is None else pytest.approx(seconds))  # type: ignore[arg-type]  # drawn from what is allowed


def test_the_windows_headers_count_on_a_429_only() -> None:
    unavailable = limited(503, x_request_window_resets_after="40 s", retry_after="2")

    assert reset_after_seconds(unavailable, NOON) == 2.0


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Sat", "", "Xyz"]),
    st.integers(-1, 40),
    st.sampled_from(["Jul", "Foo", "0"]),
    st.integers(-1, 99_999),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["GMT", "+9999", "-0000", "EST", ""]),
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["retry-after", "x-retry-after", "x-rate-limit-time-reset-ms", "x-request-window-resets-after"]
        ),
        st.text(max_size=30) | DATES | st.floats().map(str),
    ),
    st.sampled_from([429, 503]),
)
def test_whatever_the_headers_say_the_wait_is_a_sensible_number_or_unknown(
    headers: dict[str, str], status: int
) -> None:
    seconds = reset_after_seconds(Response(status, headers, b""), NOON)

    assert seconds is None or 0.0 <= seconds <= 3600.0
