"""What `relay` says, and how it reads what it is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError
from typer.main import get_command
from typer.testing import CliRunner

from handler.errors import Cause, Refused, RetryLater, Unauthorized
from relay.cli import app
from relay.errors import CliError, explained
from relay.text import escaped
from relay.timespan import clock_time, moment, rough, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_795_000_000.0
ASKS_FOR_SECRETS = re.compile(r"token|secret|password|header")


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *path, name)
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(commands(get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_has_an_example_that_begins_with_it(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "120", "TERM": "dumb"})

    assert result.exit_code == 0
    assert re.search(rf"Examples?:\s+(\S+ .*\| )?relay {' '.join(path)}", result.output)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_command_takes_a_secret_as_an_argument(path: tuple[str, ...]) -> None:
    names = [option for parameter in COMMANDS[path].params for option in parameter.opts]

    assert names
    assert not [name for name in names if ASKS_FOR_SECRETS.search(name)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_can_be_pointed_at_a_deployment(path: tuple[str, ...]) -> None:
    names = {option for parameter in COMMANDS[path].params for option in parameter.opts}

    assert {"--stack", "--region", "--profile", "--json"} <= names


@pytest.mark.parametrize("path", [("hook", "delete"), ("hook", "disable"), ("store", "remove"), ("failed", "drop")])
def test_what_destroys_can_be_told_not_to_ask(path: tuple[str, ...]) -> None:
    assert "--yes" in {option for parameter in COMMANDS[path].params for option in parameter.opts}


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5d", 129_600), ("1W", 604_800)]
)
def test_lengths_of_time_are_read(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "two hours", "2hh"])
def test_what_is_no_length_of_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s, 15m, 2h or 3d"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOW - 7200),
        ("2026-11-01", 1_793_491_200.0),
        ("2026-11-01T08:30", 1_793_521_800.0),
        ("2026-11-01T08:30+02:00", 1_793_514_600.0),
    ],
)
def test_moments_are_read_in_utc_unless_they_say_otherwise(text: str, at: float) -> None:
    assert moment(text, NOW) == at


def test_what_is_no_moment_is_refused_with_examples() -> None:
    with pytest.raises(typer.BadParameter, match="2026-11-01"):
        moment("yesterday", NOW)


@pytest.mark.parametrize(
    ("length", "words"),
    [(-3, "0 s"), (90, "90 s"), (150, "2 m"), (7300, "2 h"), (3 * 86_400, "3 d"), (30 * 86_400, "30 d")],
)
def test_lengths_of_time_are_told_roughly(length: float, words: str) -> None:
    assert rough(length) == words


def test_moments_are_told_in_utc() -> None:
    assert clock_time(0) == "1970-01-01 00:00:00 UTC"


def aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "ReceiveMessage")


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (NoCredentialsError(), "No AWS credentials", "aws sso login"),
        (NoRegionError(), "No AWS region", "--region"),
        (aws_error("ExpiredToken"), "credentials have expired", "aws sso login"),
        (aws_error("AccessDenied"), "call ReceiveMessage", "--profile"),
        (Unauthorized("core Orders API: HTTP 401"), "HTTP 401", "relay doctor"),
        (RetryLater(Cause.SECRET_UNAVAILABLE, "the store has no secret"), "no secret", "relay store add"),
        (RetryLater(Cause.NO_ANSWER, "timed out"), "timed out", "status.bigcommerce.com"),
        (RetryLater(Cause.NOT_THERE_YET, "HTTP 404"), "HTTP 404", "--store"),
        (Refused(Cause.API_REFUSED, "HTTP 422"), "HTTP 422", "relay doctor"),
    ],
)
def test_every_failure_says_what_is_wrong_and_what_mends_it(error: Exception, what: str, fix: str) -> None:
    trouble = explained(error, "abc123")

    assert trouble is not None
    assert what in trouble.what
    assert fix in trouble.fix


def test_a_fault_of_our_own_is_not_explained_away() -> None:
    assert explained(KeyError("x")) is None
    assert explained(CliError("x")) is not None
    assert explained(aws_error("Odd")) is not None


def test_a_moment_beyond_all_calendars_is_told_as_it_is() -> None:
    assert clock_time(2.0**53) == "9007199254740992 unix seconds"


def test_a_buyers_text_cannot_steer_the_terminal() -> None:
    assert escaped("PO\x1b]0;owned\x07[red]1[/]") == "PO�]0;owned�\\[red]1\\[/]"
