"""`relay doctor`: everything between the store and the record, check by check, with what mends it and who does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from relay import deployed
from relay.checks import Finding, State, Who, known, not_looked_at
from relay.command import UNKNOWN, WRONG, AllStoresArgument, DestinationOption
from relay.context import Context
from relay.deployment_checks import (
    RECOVERY_AT_ONCE,
    check_concurrency,
    check_endpoint,
    check_late_trigger,
    check_secret_prefix,
    check_stack,
)
from relay.errors import CliError
from relay.order_checks import check_alarms, check_dead, check_late, check_told, roots
from relay.plain import plain
from relay.store import known_stores
from relay.store_checks import look_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from handler.enrichment import Rules

Found = dict[str, list[Finding]]
"""What was found so far, by section."""

BeforeDeploy = Annotated[
    bool,
    typer.Option("--before-deploy", help="Look at what a deployment needs instead; there may be no stack yet."),
]


def doctor(
    context: Context,
    store: AllStoresArgument = "",
    *,
    destination: DestinationOption = "",
    before_deploy: BeforeDeploy = False,
) -> int:
    """Look at everything between the store and the B2B record, and say what is wrong and who mends it.

    ✓ was seen to be well, ✗ was seen to be wrong, ? is not known. Below a ✗ is what follows from
    it. Nothing is changed.

    Exit codes: 0 all is well; 1 something is wrong; 3 nothing is wrong, but something is not known.

    Examples:
      relay doctor
      relay doctor abc123
      relay doctor --before-deploy
    """
    found: Found = {}
    if before_deploy:
        if store:
            raise typer.BadParameter("--before-deploy is about no store")
        from relay.preflight import sections  # noqa: PLC0415  reads the template and the prices

        looks = sections(context)
    else:
        looks = _sections(context, store, destination, found)
    for section, findings in looks:
        if not context.as_json:
            context.out.print(f"[bold]{plain(section)}[/]")
        for finding in findings:
            found.setdefault(section, []).append(finding)
            if not context.as_json:
                finding.print(context.out)
    counted = [finding for findings in found.values() for finding in findings if not finding.because]
    bad = Counter(finding.who for finding in counted if finding.state is State.BAD)
    unknown = sum(finding.state is State.UNKNOWN for finding in counted)
    result = {
        "well": not bad and not unknown,
        "wrong": bad.total(),
        "unknown": unknown,
        "sections": {section: [finding.as_json() for finding in findings] for section, findings in found.items()},
    }
    context.show(result, lambda: context.out.print(f"\n{_summary(bad, unknown)}"))
    return WRONG if bad else UNKNOWN if unknown else 0


def _summary(bad: Counter[Who], unknown: int) -> str:
    if not bad:
        return f"[bold]Nothing wrong was seen; {unknown} not known.[/]" if unknown else "[bold green]All is well.[/]"
    parts = [f"{bad[who]} {words}" for who, words in MENDERS.items() if bad[who]]
    return f"[bold red]{bad.total()} wrong[/]: {', '.join(parts)}" + (f"; {unknown} not known." if unknown else ".")


MENDERS = {
    Who.YOU: "for you to mend",
    Who.BIGCOMMERCE: "for BigCommerce (nothing to do)",
    Who.NOBODY: "that ends by itself",
}


def _sections(context: Context, store: str, destination: str, found: Found) -> Iterator[tuple[str, Iterable[Finding]]]:
    """The sections in their order. The last one reads in `found` what the others have found."""
    try:
        stack = context.stack
    except CliError as failure:
        yield "Deployment", [Finding("stack", State.BAD, failure.what, failure.mend)]
        return
    url = destination or stack.destination
    rules: list[Rules] = []
    yield "Deployment", _deployment(context, url, rules)
    stores = list(known_stores(context))
    if store and store not in stores:
        mend = f"the stores: {', '.join(stores)}" if stores else f"add it: relay store add {store}"
        yield "Stores", [Finding("stores", State.BAD, f"there is no store {store}", mend)]
    elif not stores:
        mend = "add the first one: relay store add, with the store's hash"
        yield "Stores", [Finding("stores", State.BAD, "there is no store yet", mend)]
    for each in stores if not store else [store] if store in stores else []:
        yield f"Store {each}", look_at(context, each, url, rules[0] if rules else None)
    yield "Orders and alarms", _orders_and_alarms(context, found)


def _deployment(context: Context, url: str, rules: list[Rules]) -> Iterator[Finding]:
    """Findings about what all stores share; puts the rules that orders are tried with into `rules`."""
    yield check_stack(context)
    yield from known("webhook URL", lambda: [check_endpoint(context, url)])
    at_once: list[int] = []
    yield from known("late trigger", lambda: [check_late_trigger(context, at_once)])
    yield from known("concurrency", lambda: [check_concurrency(context, max(at_once, default=RECOVERY_AT_ONCE))])
    yield from known("secret prefix", lambda: [check_secret_prefix(context)])
    yield from _functions(context, rules)


def _functions(context: Context, rules: list[Rules]) -> Iterator[Finding]:
    live: dict[str, Mapping[str, Any]] = {}
    denied = list(known("functions", lambda: deployed.read_functions(context, live)))
    yield from denied
    for finding in denied:
        for step in ("settings", "architecture"):
            yield not_looked_at(step, "the functions cannot be read", finding.step)
    text: list[str] = []
    if live:
        yield from known("settings", lambda: [deployed.check_settings(context, live)])
        yield from known("architecture", lambda: [deployed.check_architecture(context, live)])
        denied = list(known("deployed code", lambda: deployed.read_rules(context, live, text)))
        yield from denied
    yield from deployed.check_rules(text, rules, because=denied[0].step if denied else "")


def _orders_and_alarms(context: Context, found: Found) -> Iterator[Finding]:
    """Findings about orders that wait and about the alarms; what follows from what was `found` before names it."""
    topics = roots(found)
    orders = [
        *known("late orders", lambda: [check_late(context, topics)]),
        *known("dead letters", lambda: [check_dead(context, topics)]),
    ]
    yield from orders
    yield from known("alarms", lambda: check_alarms(context, topics, orders))
    yield from known("who is told", lambda: [check_told(context)])
