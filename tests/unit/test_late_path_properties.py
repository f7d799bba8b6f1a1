"""Properties of the pure parts: the retry policy inside a deadline, queue messages, intake on arbitrary bytes."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from handler.deadline import Deadline
from handler.errors import Cause, IgnoredScope, MalformedEvent, RetryLater
from handler.intake import Intake
from handler.order_event import OrderEvent
from handler.queues import Letter, read_letter
from handler.transport import LIVE, NoAnswer, Response, Transport, reset_after_seconds

VALUES = st.text(min_size=1, max_size=30).map(str.strip).filter(bool)
QUICK = settings(max_examples=150, derandomize=True, deadline=None)


@QUICK
@given(VALUES, VALUES, st.sampled_from(list(Cause)), st.integers(1, 10**9))
def test_a_letter_survives_the_queue(detail: str, po_number: str, cause: Cause, order_id: int) -> None:
    letter = Letter(OrderEvent("abcde", order_id, 1000.0, "c", 7, po_number, (("f", detail),)), cause, detail, 1001.0)
    try:
        body = letter.as_body()
        body.encode()
        read = read_letter(body, 2000.0)
    except MalformedEvent:
        assert not (detail + po_number).isprintable()  # unpaired surrogates cannot be written out again
        return

    assert read == letter


@QUICK
@given(st.text(max_size=80) | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)).map(json.dumps))
def test_an_arbitrary_message_is_read_or_malformed_or_ignored(body: str) -> None:
    try:
        letter = read_letter(body, 2000.0)
    except (MalformedEvent, IgnoredScope):
        return
    assert letter.event.store_hash


@QUICK
@given(
    st.sampled_from([429, 503]),
    st.dictionaries(
        st.sampled_from(
            ["retry-after", "x-retry-after", "x-rate-limit-time-reset-ms", "x-request-window-resets-after"]
        ),
        st.text(max_size=12) | st.integers().map(str) | st.floats().map(str),
    ),
)
def test_whatever_the_reset_headers_say_the_wait_is_bounded(status: int, headers: dict[str, str]) -> None:
    seconds = reset_after_seconds(Response(status, headers, b""), 1000.0)

    assert seconds is None or 0 <= seconds <= 3600


class AttemptsInADeadline(RuleBasedStateMachine):
    """A call inside a deadline against a server that does whatever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.answers: list[tuple[float, int | None]] = []

    @rule(seconds=st.floats(0, 5), status=st.sampled_from([None, 200, 404, 429, 503]))
    def will_answer(self, seconds: float, status: int | None) -> None:
        self.answers.append((seconds, status))

    @precondition(lambda self: bool(self.answers))
    @rule(left=st.floats(0, 10), jitter=st.floats(0, 1))
    def call(self, left: float, jitter: float) -> None:
        deadline = Deadline.after(left, lambda: self.now)
        script = iter(self.answers)

        def exchange(_m: str, _u: str, _h: Any, _b: Any, seconds: float) -> Response:
            assert seconds <= deadline.remaining_seconds
            takes, status = next(script, (seconds, None))
            self.now += min(takes, seconds)
            if status is None or takes > seconds:
                raise NoAnswer("made to fail")
            return Response(status, {"retry-after": "1"}, b"{}")

        def sleep(seconds: float) -> None:
            assert seconds < deadline.remaining_seconds
            self.now += seconds

        transport = Transport(exchange, LIVE, lambda: self.now, sleep, lambda low, high: low + (high - low) * jitter)
        try:
            answer = transport.call("GET", "https://x", {}, deadline)
        except RetryLater as error:
            assert error.cause in {  # noqa: PT017  raising is one of two right ends
                Cause.NO_ANSWER,
                Cause.RATE_LIMITED,
                Cause.API_UNAVAILABLE,
                Cause.WINDOW_MISSED,
            }
        else:
            assert answer.status in {200, 404}
        assert self.now <= deadline.ends_at + 1e-6 or left <= 0

    @invariant()
    def time_goes_on(self) -> None:
        assert self.now >= 1000.0


TestAttemptsInADeadline = AttemptsInADeadline.TestCase
TestAttemptsInADeadline.settings = settings(max_examples=60, stateful_step_count=12, derandomize=True, deadline=None)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.binary(max_size=200) | st.just(b'{"producer": "stores/abcde"}'),
    st.booleans(),
    st.dictionaries(st.text(max_size=20), st.text(max_size=40) | st.none(), max_size=4) | st.none(),
)
def test_arbitrary_bytes_at_the_door_are_never_an_exception_nor_a_5xx(
    body: bytes, encoded: bool, headers: dict[str, Any] | None
) -> None:
    class Nobody:
        def for_proof(self, _store: str) -> list[Any]:
            return []

    intake = Intake("bus", cast("Any", None), cast("Any", Nobody()), cast("Any", None), lambda: 1000.0)
    text = base64.b64encode(body).decode() if encoded else body.decode("latin-1")

    answer = intake.handle({"httpMethod": "POST", "headers": headers, "body": text, "isBase64Encoded": encoded})

    assert answer["statusCode"] in {400, 401}
