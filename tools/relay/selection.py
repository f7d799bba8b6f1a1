"""Selects dead letters or late orders: the options of a command and the selection that they make."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handler.errors import Cause
from relay.command import AnyStoreOption
from relay.timespan import moment, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.context import Context

OTHER_SCOPE = "other_scope"
"""The cause shown for a dead letter with an event of an unsupported scope."""

CAUSES = (*(str(cause) for cause in Cause), OTHER_SCOPE)


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters; an empty one matches everything. `since` and `until` are in Unix seconds."""

    store: str = ""
    orders: tuple[int, ...] = ()
    cause: str = ""
    ids: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None

    def takes(self, *, store: str, order: int | None, cause: str, at: float, message_id: str = "") -> bool:
        """Whether an order with these properties matches; `at` is when it became late or dead (Unix seconds)."""
        return (
            self.store in {"", store}
            and (not self.orders or order in self.orders)
            and self.cause in {"", cause}
            and (not self.ids or message_id in self.ids)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
        )


def _cause(value: str | None) -> str | None:
    if value and value not in CAUSES:
        raise typer.BadParameter(f"the causes are {', '.join(CAUSES)}")
    return value


_OPTIONS = {
    "store": AnyStoreOption,
    "order": Annotated[
        list[int] | None,
        typer.Option("--order", metavar="ORDER", min=1, show_default=False, help="Only this order; repeatable."),
    ],
    "cause": Annotated[
        str | None,
        typer.Option(
            "--cause", metavar="CAUSE", callback=_cause, show_default=False, help="Only this cause: unauthorized, ..."
        ),
    ],
    "message_id": Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", show_default=False, help="Only this message id; repeatable."),
    ],
    "since": Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", show_default=False, help="Only newer: 2h, 2026-11-25T10:00."),
    ],
    "older_than": Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", show_default=False, help="Only older: 30m, 6h, 2d.")
    ],
    "everything": Annotated[bool, typer.Option("--all", help="Select all.")],
}


def selecting(*, by_id: bool, needed: bool) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Replaces a command's parameter `selection` by the options of a selection.

    `needed`: a call without a selection and without --all is a usage error (exit code 2).
    """
    options = dict(_OPTIONS)
    if not by_id:
        del options["message_id"]
    if not needed:
        del options["everything"]

    def decorate(function: Callable[..., bool]) -> Callable[..., bool]:
        def run(context: Context, **given: Any) -> bool:
            values = {name: given.pop(name) for name in options}
            now = context.clock()
            selection = Selection(
                values["store"] or "",
                tuple(values["order"] or ()),
                values["cause"] or "",
                tuple(values.get("message_id") or ()),
                moment(values["since"], now) if values["since"] else None,
                now - seconds(values["older_than"]) if values["older_than"] else None,
            )
            if needed and (selection == Selection()) is not values["everything"]:
                raise typer.BadParameter("select with --store, --order, --cause and so on, or give --all, but not both")
            return function(context, selection=selection, **given)

        context, *own = inspect.signature(function, eval_str=True).parameters.values()
        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if name == "everything" else None,
                annotation=annotation,
            )
            for name, annotation in options.items()
        ]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by `command`
            [context, *added, *(parameter for parameter in own if parameter.name != "selection")]
        )
        run.__doc__ = function.__doc__
        return run

    return decorate
