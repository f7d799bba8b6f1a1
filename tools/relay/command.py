"""How a function becomes a command: the options that all have in common, a desk to work at, and errors in plain words."""

from __future__ import annotations

import inspect
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from handler.errors import RelayError
from handler.order_event import STORE_HASH
from handler.telemetry import logger, metrics
from relay.desk import Desk
from relay.plain import printable
from relay.trouble import Trouble, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPLOYMENT = "Which deployment"
WRONG = 1
"""Exit code for: something is wrong, or could not be done. (2, for wrong usage, is typer's own.)"""


def store_hash(value: str | None) -> str | None:
    """The value, when it can be a store's hash. Raises typer.BadParameter."""
    if value and not STORE_HASH.fullmatch(value):
        raise typer.BadParameter(
            "a store hash is lower-case letters and digits, such as abc123; it stands in the API path that "
            "BigCommerce shows with an API account: https://api.bigcommerce.com/stores/<store hash>/v3/"
        )
    return value


StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", callback=store_hash, show_default=False, help="The store's hash: abc123.")
]
StoreOption = Annotated[
    str, typer.Option("--store", metavar="HASH", callback=store_hash, show_default=False, help="The store's hash.")
]
AnyStoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="HASH", callback=store_hash, show_default=False, help="Only this store's."),
]
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
    "as_json": Annotated[bool, typer.Option("--json", help="Print the result as JSON.")],
}
_DEFAULTS = {"stack": "b2b-order-relay", "region": None, "profile": None, "as_json": False}


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Adds a function `(desk, ...) -> bool` to `app`: its own parameters and the common options, exit code 1 on False."""

    def decorate(function: Callable[..., bool]) -> Callable[..., bool]:
        signature = inspect.signature(function, eval_str=True)
        _, *own = signature.parameters.values()
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[key], annotation=annotation)
            for key, annotation in _COMMON.items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        def run(*, stack: str, region: str | None, profile: str | None, as_json: bool, **given: Any) -> None:
            with _in_plain_words(), _functions_silenced():
                session = boto3.Session(region_name=region, profile_name=profile)
                if not function(Desk(session, stack, as_json, time.time, time.sleep), **given):
                    raise typer.Exit(WRONG)

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
    """Goes on only when the operator wants it. Raises typer.Abort otherwise."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except (Trouble, RelayError, ClientError, BotoCoreError) as error:
        trouble = explained(error)
        if trouble is None:
            raise
        # Not the desk's console: there may be none yet, when the profile or the region is what is wrong.
        typer.secho(f"✗ {printable(trouble.what)}", fg=typer.colors.RED, err=True)
        if trouble.mend:
            typer.echo(f"  → {printable(trouble.mend)}", err=True)
        raise typer.Exit(WRONG) from None


@contextmanager
def _functions_silenced() -> Iterator[None]:
    """The functions' log lines and metrics are for CloudWatch, not for a terminal."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        metrics.clear_metrics()
