"""Turns functions into commands: common options, the context, and error messages."""

from __future__ import annotations

import inspect
import json
import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from botocore.exceptions import BotoCoreError, ClientError

from handler import telemetry
from handler.errors import RelayError
from handler.order_event import STORE_HASH
from relay.context import AwsSession, Context
from relay.errors import CliError, explained
from relay.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import boto3

DEPLOYMENT = "Deployment"
WRONG, USAGE, UNKNOWN, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: a problem was found or the command failed; usage error; no problem, but checks without a result; Ctrl-C."""


def store_hash(value: str | None) -> str | None:
    """Validates a store hash. Raises typer.BadParameter."""
    if value and not STORE_HASH.fullmatch(value):
        raise typer.BadParameter(
            "a store hash has lower-case letters and digits, such as abc123; it is part of the API path that "
            "BigCommerce shows with an API account: https://api.bigcommerce.com/stores/<store hash>/v3/"
        )
    return value


def _argument(*, default: str | bool) -> Any:
    return typer.Argument(metavar="STORE", callback=store_hash, show_default=default, help="The store's hash: abc123.")


def _option(help_text: str) -> Any:
    return typer.Option("--store", metavar="HASH", callback=store_hash, show_default=False, help=help_text)


# The type of a command's parameter `store`. A store that is an argument can also be given as --store.
ONE_STORE = "The store's hash. Default: RELAY_STORE, or the only store."
StoreArgument = Annotated[str, _argument(default="RELAY_STORE, or the only store")]
StoreOption = Annotated[str, _option(ONE_STORE)]
NamedStoreArgument = Annotated[str, _argument(default=False)]
"""Without a default: for commands that add, remove or disable."""
AllStoresArgument = Annotated[str, _argument(default="all stores")]
AnyStoreOption = Annotated[str | None, _option("Only this store.")]

OrderArgument = Annotated[
    int, typer.Argument(metavar="ORDER", min=1, show_default=False, help="The order number in the store.")
]
DestinationOption = Annotated[
    str,
    typer.Option(
        "--destination",
        metavar="URL",
        envvar="RELAY_DESTINATION",
        show_default=False,
        help="The webhook's URL. Default: the stack's CustomWebhookUrl or WebhookUrl.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]

_COMMON = {
    "stack": Annotated[
        str,
        typer.Option("--stack", envvar="RELAY_STACK", rich_help_panel=DEPLOYMENT, help="The stack name."),
    ],
    "region": Annotated[
        str | None,
        typer.Option(
            "--region",
            envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
            rich_help_panel=DEPLOYMENT,
            show_default=False,
            help="The AWS region of the stack.",
        ),
    ],
    "profile": Annotated[
        str | None,
        typer.Option("--profile", rich_help_panel=DEPLOYMENT, show_default=False, help="The AWS profile to use."),
    ],
    "as_json": Annotated[bool, typer.Option("--json", help="Print the result or the error as JSON.")],
}
_DEFAULTS = {"stack": "b2b-order-relay", "region": None, "profile": None, "as_json": False}


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., bool | int]], Callable[..., bool | int]]:
    """Adds a function `(context, ...) -> bool | int` to `app` as a command with the common options.

    True is exit code 0, False is WRONG, a number is the exit code.
    """

    def decorate(function: Callable[..., bool | int]) -> Callable[..., bool | int]:
        signature = inspect.signature(function, eval_str=True)
        _, *own = signature.parameters.values()
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        store_type = next((parameter.annotation for parameter in own if parameter.name == "store"), None)
        own = [p.replace(default="") if p.name == "store" and p.default is p.empty else p for p in own]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[key], annotation=annotation)
            for key, annotation in _COMMON.items()
        ]
        if store_type in {StoreArgument, NamedStoreArgument, AllStoresArgument}:
            by_option = Annotated[str, _option("Same as the argument.")]
            common.insert(
                0,
                inspect.Parameter("store_option", inspect.Parameter.KEYWORD_ONLY, default="", annotation=by_option),
            )

        def run(*, stack: str, region: str | None, profile: str | None, as_json: bool, **given: Any) -> None:
            named = given.pop("store_option", "")
            if named:
                if given["store"] not in {"", named}:
                    raise typer.BadParameter(f"the argument is {given['store']}, but --store is {named}: give only one")
                given["store"] = named
            if store_type is NamedStoreArgument and not given["store"]:
                raise typer.BadParameter("this command needs a store hash: give STORE or --store")
            with _errors_reported(given, as_json=as_json), _function_logs_off():
                session = AwsSession(profile=profile)
                session.set_config_variable("region", region)
                context = Context(cast("boto3.Session", session), stack, as_json, time.time, time.sleep)
                session.announce(context.waiting)
                if store_type in {StoreArgument, StoreOption}:
                    given["store"] = given["store"] or context.default_store()
                result = function(context, **given)
            code = result if type(result) is int else (0 if result else WRONG)
            if code:
                raise typer.Exit(code)

        run.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]  # read by typer
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *common]}
        run.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return decorate


def group(name: str, help_text: str, app: typer.Typer) -> typer.Typer:
    """Adds a group of subcommands to `app`."""
    below = typer.Typer(no_args_is_help=True, help=help_text, rich_markup_mode="rich")
    app.add_typer(below, name=name)
    return below


def confirm(question: str, *, yes: bool) -> None:
    """Asks for confirmation. Raises CliError when the operator declines or cannot be asked."""
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise KeyboardInterrupt from None
        raise CliError("Cannot ask for confirmation without a terminal.", "To confirm, add --yes.") from None
    if not agreed:
        raise CliError("Nothing was changed.")


def report(failure: CliError, *, as_json: bool) -> None:
    """Prints an error and its fix to standard error; with --json, as an object to standard output."""
    if as_json:
        typer.echo(json.dumps({"error": {"message": failure.what, "fix": failure.fix}}))
        return
    # The context may not exist yet, for example if the profile is wrong.
    typer.secho(f"✗ {printable(failure.what)}", fg=typer.colors.RED, err=True)
    if failure.fix:
        typer.echo(f"  → {printable(failure.fix)}", err=True)


@contextmanager
def _errors_reported(given: dict[str, Any], *, as_json: bool) -> Iterator[None]:
    try:
        yield
    except (CliError, RelayError, ClientError, BotoCoreError) as error:
        failure = explained(error, given.get("store") or "")
        if failure is None:
            raise
        report(failure, as_json=as_json)
        raise typer.Exit(WRONG) from None


@contextmanager
def _function_logs_off() -> Iterator[None]:
    """Keeps the functions' log lines and metrics, which are meant for CloudWatch, off the terminal."""
    level = telemetry.logger.log_level
    telemetry.logger.setLevel(logging.CRITICAL)
    try:
        with telemetry.no_metrics():
            yield
    finally:
        telemetry.logger.setLevel(level)
