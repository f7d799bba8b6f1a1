"""What all `relay` commands have in common: the store, exit codes, errors, and silence about metrics."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from handler import telemetry
from handler.http.exchange import HttpExchange, Response
from handler.telemetry import Metric, count, count_by, measure_seconds
from relay import cli, main
from relay.command import (
    AllStoresArgument,
    AnyStoreOption,
    NamedStoreArgument,
    StoreArgument,
    StoreOption,
    YesOption,
    command,
    confirm,
)
from relay.context import AWS_CALLS, Context
from relay.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Callable

Run = Any


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `relay <words>` in this process with one command, `it`; answers its exit code and what it printed."""
    monkeypatch.delenv("RELAY_STORE", raising=False)
    monkeypatch.setattr("relay.store.known_stores", lambda _context: {"abc123": True})
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def run(function: Callable[..., bool | int], *words: str) -> SimpleNamespace:
        app = typer.Typer(callback=lambda: None)
        command(app, "it")(function)
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr("sys.argv", ["relay", "it", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=printed.out, err=printed.err)

    return run


def one(_context: Context, *, store: StoreOption) -> bool:
    typer.echo(store)
    return True


def about(_context: Context, store: StoreArgument) -> bool:
    typer.echo(store)
    return True


def named(_context: Context, store: NamedStoreArgument) -> bool:
    typer.echo(store)
    return True


def every(_context: Context, store: AllStoresArgument = "") -> bool:
    typer.echo(store or "all")
    return True


def some(_context: Context, *, store: AnyStoreOption = None) -> bool:
    typer.echo("any" if store is None else store)
    return True


@pytest.mark.parametrize(
    ("function", "words", "store"),
    [
        (one, ["--store", "def456"], "def456"),
        (one, [], "abc123"),
        (about, ["def456"], "def456"),
        (about, ["--store", "def456"], "def456"),
        (about, ["def456", "--store", "def456"], "def456"),
        (about, [], "abc123"),
        (named, ["def456"], "def456"),
        (named, ["--store", "def456"], "def456"),
        (every, [], "all"),
        (every, ["--store", "def456"], "def456"),
        (some, [], "any"),
        (some, ["--store", "def456"], "def456"),
    ],
)
def test_the_store_is_the_argument_the_option_or_the_only_one(
    run: Run, function: Callable[..., bool], words: list[str], store: str
) -> None:
    ended = run(function, *words)

    assert (ended.code, ended.out) == (0, f"{store}\n")


@pytest.mark.parametrize(("function", "store"), [(one, "ghi789"), (about, "ghi789"), (every, "all"), (some, "any")])
def test_relay_store_is_the_default_where_one_store_is_needed(
    run: Run, monkeypatch: pytest.MonkeyPatch, function: Callable[..., bool], store: str
) -> None:
    monkeypatch.setenv("RELAY_STORE", "ghi789")

    assert run(function).out == f"{store}\n"


def test_a_malformed_relay_store_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_STORE", "Not A Hash")

    ended = run(one)

    assert ended.code == 1
    assert "RELAY_STORE is 'Not A Hash'" in ended.err


@pytest.mark.parametrize(
    ("stores", "said"),
    [({}, ["No store is registered."]), ({"abc123": True, "def456": False}, ["There are 2 stores", "abc123, def456"])],
)
def test_without_one_store_the_command_says_which_there_are(
    run: Run, monkeypatch: pytest.MonkeyPatch, stores: dict[str, bool], said: list[str]
) -> None:
    monkeypatch.setattr("relay.store.known_stores", lambda _context: stores)

    ended = run(one)

    assert (ended.code, ended.out) == (1, "")
    assert all(words in ended.err for words in said)


@pytest.mark.parametrize(
    ("function", "words"),
    [(named, []), (about, ["abc123", "--store", "def456"]), (about, ["ABC"]), (one, ["--store", "a/b"]), (one, ["-x"])],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(run: Run, function: Callable[..., bool], words: list[str]) -> None:
    ended = run(function, *words)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("✗ ")
    assert "→ relay it" in ended.err
    assert ended.err.count("\n") == 2


def test_wrong_usage_with_json_is_an_object(run: Run) -> None:
    ended = run(one, "--nope", "--json")

    assert (ended.code, ended.err) == (2, "")
    assert json.loads(ended.out)["error"].keys() == {"message", "fix"}


def test_an_error_with_json_is_an_object(run: Run) -> None:
    def fails(_context: Context) -> bool:
        raise CliError("It is broken.", "relay doctor")

    ended = run(fails, "--json")

    assert (ended.code, ended.err) == (1, "")
    assert json.loads(ended.out) == {"error": {"message": "It is broken.", "fix": "relay doctor"}}


@pytest.mark.parametrize(("result", "code"), [(True, 0), (False, 1), (0, 0), (1, 1), (3, 3)])
def test_what_a_command_returns_is_its_exit_code(run: Run, result: bool | int, code: int) -> None:
    def ends(_context: Context) -> bool | int:
        return result

    assert run(ends).code == code


def test_ctrl_c_ends_quietly(run: Run) -> None:
    def interrupted(_context: Context) -> bool:
        raise KeyboardInterrupt

    ended = run(interrupted)

    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_a_fault_of_the_command_shows_no_traceback_and_no_value(run: Run) -> None:
    def broken(_context: Context) -> bool:
        raise KeyError("the-token")

    ended = run(broken)

    assert ended.code == 1
    assert "Unexpected KeyError" in ended.err
    assert "RELAY_DEBUG=1" in ended.err
    assert "the-token" not in ended.err


def test_a_fault_of_the_command_is_shown_whole_when_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_context: Context) -> bool:
        raise KeyError("where")

    monkeypatch.setenv("RELAY_DEBUG", "1")

    with pytest.raises(KeyError):
        run(broken)


def asks(_context: Context, *, yes: YesOption = False) -> bool:
    confirm("Delete it?", yes=yes)
    typer.echo("deleted")
    return True


def test_without_a_terminal_a_question_asks_for_yes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    ended = run(asks)

    assert (ended.code, ended.out.strip()) == (1, "")
    assert "add --yes" in ended.err
    assert run(asks, "--yes").out == "deleted\n"


def test_no_is_an_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)

    ended = run(asks)

    assert ended.code == 1
    assert "Nothing was changed." in ended.err


def test_a_hundred_metrics_print_nothing(run: Run) -> None:
    def counts(_context: Context) -> bool:
        for _ in range(150):
            count(Metric.B2B_API_REQUEST)
            measure_seconds(Metric.WINDOW_LEFT, 1.0)
        count_by(Metric.RULE_FAILED, "rule", "po_number")
        telemetry.logger.warning("a line of the functions")
        return True

    ended = run(counts)

    assert (ended.out, ended.err) == ("", "")


def test_help_does_not_show_a_value_for_flags(run: Run) -> None:
    ended = run(one, "--help")

    assert ended.code == 0
    assert "--json" in ended.out
    assert "bool" not in ended.out


class AtOnce:
    """In place of threading.Timer: the time is over as soon as it begins, unless the answer is `quick`."""

    quick = False

    def __init__(self, _seconds: float, then: Callable[[], None]) -> None:
        self.start = (lambda: None) if self.quick else then

    def cancel(self) -> None:
        pass


def aws_fails(context: Context) -> bool:
    context.session.client("sqs", config=AWS_CALLS).list_queues()
    return True


@pytest.mark.parametrize("quick", [True, False])
def test_a_slow_call_says_what_it_waits_for(run: Run, monkeypatch: pytest.MonkeyPatch, *, quick: bool) -> None:
    def answers(_exchange: HttpExchange, *_: Any) -> Response:
        return Response(200, {}, b"{}")

    def asks_api(context: Context) -> bool:
        context.http.call("GET", "https://api.example.com/x", {}, context.deadline())
        return True

    monkeypatch.setattr(AtOnce, "quick", quick)
    monkeypatch.setattr("relay.context.threading.Timer", AtOnce)
    monkeypatch.setattr(HttpExchange, "__call__", answers)
    monkeypatch.setattr(Context, "settings", SimpleNamespace())  # no stack is needed for a call

    ended = run(asks_api)

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == ("" if quick else "Waiting for api.example.com, 8 s at most\n")


def test_a_slow_call_of_aws_says_what_it_waits_for_also_when_it_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr("relay.context.threading.Timer", AtOnce)

    with mock_aws():
        monkeypatch.setattr("botocore.client.BaseClient._make_request", refuses)
        ended = run(aws_fails)

    assert ended.code == 1
    assert ended.err.splitlines()[0] == "Waiting for AWS: sqs ListQueues"
    assert "✗" in ended.err


def refuses(*_: Any) -> None:
    raise EndpointConnectionError(endpoint_url="https://sqs")


def test_where_no_terminal_is_each_step_of_long_work_is_a_line(run: Run) -> None:
    def works(context: Context) -> bool:
        with context.progress() as progress:
            progress.add_task("Reading the orders", total=3)
        return True

    assert run(works).err == "Reading the orders ...\n"
