"""How a function becomes a command: the options that all have in common, their context, and errors in plain words."""

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
from relay.plain import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import boto3

DEPLOYMENT = "Deployment"
WRONG, USAGE, UNKNOWN, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: something is wrong or could not be done; wrong usage; nothing is wrong, but something is not known; Ctrl-C."""


def store_hash(value: str | None) -> str | None:
    """The value, when it can be a store's hash. Raises typer.BadParameter."""
    if value and not STORE_HASH.fullmatch(value):
        raise typer.BadParameter(
            "a store hash is lower-case letters and digits, such as abc123; it stands in the API path that "
            "BigCommerce shows with an API account: https://api.bigcommerce.com/stores/<store hash>/v3/"
        )
    return value


def _argument(*, default: str | bool) -> Any:
    return typer.Argument(metavar="STORE", callback=store_hash, show_default=default, help="The store's hash: abc123.")


def _option(help_text: str) -> Any:
    return typer.Option("--store", metavar="HASH", callback=store_hash, show_default=False, help=help_text)


# A parameter `store` of a command has one of these types. Each that is an argument can be given as --store, too.
ONE_STORE = "The store's hash. Default: RELAY_STORE, or the only store there is."
StoreArgument = Annotated[str, _argument(default="RELAY_STORE, or the only store there is")]
StoreOption = Annotated[str, _option(ONE_STORE)]
NamedStoreArgument = Annotated[str, _argument(default=False)]
"""No default: for commands that add, remove or switch off."""
AllStoresArgument = Annotated[str, _argument(default="all stores")]
AnyStoreOption = Annotated[str | None, _option("Only this store's.")]

OrderArgument = Annotated[
    int, typer.Argument(metavar="ORDER", min=1, show_default=False, help="The order's number in the store.")
]
DestinationOption = Annotated[
    str,
    typer.Option(
        "--destination",
        metavar="URL",
        envvar="RELAY_DESTINATION",
        show_default=False,
        help="Where the webhook shall point, if not to the stack's CustomWebhookUrl or WebhookUrl.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

_COMMON = {
    "stack": Annotated[
        str,
        typer.Option("--stack", envvar="RELAY_STACK", rich_help_panel=DEPLOYMENT, help="The stack's name."),
    ],
    "region": Annotated[
        str | None,
        typer.Option(
            "--region",
            envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
            rich_help_panel=DEPLOYMENT,
            show_default=False,
            help="Its AWS region.",
        ),
    ],
    "profile": Annotated[
        str | None,
        typer.Option("--profile", rich_help_panel=DEPLOYMENT, show_default=False, help="Your AWS profile."),
    ],
    "as_json": Annotated[bool, typer.Option("--json", help="Print the result, or the error, as JSON.")],
}
_DEFAULTS = {"stack": "b2b-order-relay", "region": None, "profile": None, "as_json": False}


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., bool | int]], Callable[..., bool | int]]:
    """Adds a function `(context, ...) -> bool | int` to `app`: its own parameters and the common options.

    True is exit code 0, False is WRONG, and a number is the exit code itself.
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
            by_option = Annotated[str, _option("The same as the argument.")]
            common.insert(
                0,
                inspect.Parameter("store_option", inspect.Parameter.KEYWORD_ONLY, default="", annotation=by_option),
            )

        def run(*, stack: str, region: str | None, profile: str | None, as_json: bool, **given: Any) -> None:
            named = given.pop("store_option", "")
            if named:
                if given["store"] not in {"", named}:
                    raise typer.BadParameter(f"the argument is {given['store']}, and --store is {named}: give one")
                given["store"] = named
            if store_type is NamedStoreArgument and not given["store"]:
                raise typer.BadParameter("this command needs the store's hash: give STORE, or --store")
            with _in_plain_words(given, as_json=as_json), _functions_silenced():
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

        run.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *common]}
        run.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return decorate


def group(name: str, help_text: str, app: typer.Typer) -> typer.Typer:
    """A group of commands below `app`."""
    below = typer.Typer(no_args_is_help=True, help=help_text, rich_markup_mode="rich")
    app.add_typer(below, name=name)
    return below


def confirm(question: str, *, yes: bool) -> None:
    """Returns only when the operator agrees. Raises CliError otherwise."""
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise KeyboardInterrupt from None
        raise CliError("The question could not be asked, since there is no terminal.", "Add --yes to agree.") from None
    if not agreed:
        raise CliError("Nothing was changed.")


def report(failure: CliError, *, as_json: bool) -> None:
    """Prints an error: one sentence and how to mend it on standard error; with --json an object on standard output."""
    if as_json:
        typer.echo(json.dumps({"error": {"message": failure.what, "mend": failure.mend}}))
        return
    # Not the context's console: there may be none yet, when the profile or the region is what is wrong.
    typer.secho(f"✗ {printable(failure.what)}", fg=typer.colors.RED, err=True)
    if failure.mend:
        typer.echo(f"  → {printable(failure.mend)}", err=True)


@contextmanager
def _in_plain_words(given: dict[str, Any], *, as_json: bool) -> Iterator[None]:
    try:
        yield
    except (CliError, RelayError, ClientError, BotoCoreError) as error:
        failure = explained(error, given.get("store") or "")
        if failure is None:
            raise
        report(failure, as_json=as_json)
        raise typer.Exit(WRONG) from None


@contextmanager
def _functions_silenced() -> Iterator[None]:
    """The functions' log lines and metrics are for CloudWatch, not for a terminal."""
    level = telemetry.logger.log_level
    telemetry.logger.setLevel(logging.CRITICAL)
    try:
        with telemetry.no_metrics():
            yield
    finally:
        telemetry.logger.setLevel(level)
