"""What `relay late` and `relay failed` have in common: groups by store and cause, tables, and results of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relay.text import counted, escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.table import Table

    from relay.context import Context

MAX_ROWS = 50


class Unfinished(Protocol):
    """A late order or a dead letter."""

    @property
    def store(self) -> str: ...  # noqa: D102  empty if unknown

    @property
    def cause(self) -> str: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102  for people

    def as_json(self) -> dict[str, Any]: ...  # noqa: D102


Item = TypeVar("Item", bound=Unfinished)


def groups(items: Iterable[Item]) -> list[list[Item]]:
    """The items of each store and cause, the largest group first."""
    found: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.store, item.cause), []).append(item)
    return sorted(found.values(), key=len, reverse=True)


def print_rows(context: Context, table: Table, items: Sequence[Item], cells: Callable[[Item], Iterable[str]]) -> None:
    """Prints the table with a row of `cells` for each item, MAX_ROWS at most."""
    for item in items[:MAX_ROWS]:
        table.add_row(*cells(item))
    context.out.print(table)
    if len(items) > MAX_ROWS:
        context.out.print(f"... and {len(items) - MAX_ROWS} more; filter with --store or --cause, or show all: --json")


def print_fixes(context: Context, items: Iterable[Item], fix: Callable[[list[Item]], str]) -> None:
    """Prints for each group what to do."""
    for group in groups(items):
        name = ", ".join(filter(None, (group[0].store, group[0].cause)))
        context.out.print(f"{name}: {escaped(fix(group))}", soft_wrap=True)


def show_results(
    context: Context, results: Sequence[tuple[Item, str]], done: str, noun: str, key: str, **extra: Any
) -> None:
    """Shows what a command did to each item. A result is empty on success and says otherwise why not.

    `done` is the success in words, `noun` the name of an item, `key` the name of their list in JSON.
    """
    not_done = [result for _, result in results if result]
    succeeded = len(results) - len(not_done)
    value = {
        "done": done,
        "count": succeeded,
        "not_done": len(not_done),
        key: [item.as_json() | {"result": result or done} for item, result in results],
    }

    def print_text() -> None:
        for item, result in results:
            mark = "[yellow]![/]" if result else "[green]✓[/]"
            context.out.print(f"{mark} {item.name:<30} {item.cause:<20} {escaped(result or done)}", soft_wrap=True)
        more = f"; {len(not_done)} not" if not_done else ""
        context.out.print(f"{counted(succeeded, noun)} {done}{more}.")

    context.show(value | extra, print_text)
