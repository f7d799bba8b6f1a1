"""`relay doctor`: checks everything between the store and the B2B record, and says how to fix problems."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from relay import function_checks
from relay.checks import Finding, State, Who, guarded, not_checked
from relay.command import UNKNOWN, WRONG, AllStoresArgument, DestinationOption
from relay.context import Context
from relay.deployment_checks import (
    RECOVERY_AT_ONCE,
    check_concurrency,
    check_endpoint,
    check_secret_prefix,
    check_sqs_trigger,
    check_stack,
)
from relay.errors import CliError
from relay.order_checks import check_alarm_recipients, check_alarms, check_dead, check_late, root_causes
from relay.store import known_stores
from relay.store_checks import check_store
from relay.text import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from handler.enrichment import Rules

Found = dict[str, list[Finding]]
"""The findings so far, by section."""

BeforeDeploy = Annotated[
    bool,
    typer.Option("--before-deploy", help="Check the prerequisites of a deployment instead; needs no stack."),
]


def doctor(
    context: Context,
    store: AllStoresArgument = "",
    *,
    destination: DestinationOption = "",
    before_deploy: BeforeDeploy = False,
) -> int:
    """Check everything between the store and the B2B record, and show how to fix problems.

    ✓ passed, ✗ failed, ? no result, └ caused by another failed check. Nothing is changed.

    Exit codes: 0 all checks passed; 1 a check failed; 3 no check failed, but some have no result.

    Examples:
      relay doctor
      relay doctor abc123
      relay doctor --before-deploy
    """
    found: Found = {}
    if before_deploy:
        if store:
            raise typer.BadParameter("--before-deploy takes no store")
        from relay.preflight import sections  # noqa: PLC0415  reads the template and the prices

        checks = sections(context)
    else:
        checks = _sections(context, store, destination, found)
    for section, findings in checks:
        if not context.as_json:
            context.out.print(f"[bold]{escaped(section)}[/]")
        for finding in findings:
            found.setdefault(section, []).append(finding)
            if not context.as_json:
                finding.print(context.out)
    counted = [finding for findings in found.values() for finding in findings if not finding.because]
    bad = Counter(finding.who for finding in counted if finding.state is State.BAD)
    unknown = sum(finding.state is State.UNKNOWN for finding in counted)
    result = {
        "ok": not bad and not unknown,
        "failed": bad.total(),
        "unknown": unknown,
        "sections": {section: [finding.as_json() for finding in findings] for section, findings in found.items()},
    }
    context.show(result, lambda: context.out.print(f"\n{_summary(bad, unknown)}"))
    return WRONG if bad else UNKNOWN if unknown else 0


def _summary(bad: Counter[Who], unknown: int) -> str:
    if not bad:
        return (
            f"[bold]No check failed; {unknown} without a result.[/]" if unknown else "[bold green]All checks passed.[/]"
        )
    parts = [f"{bad[who]} {words}" for who, words in OWNERS.items() if bad[who]]
    return f"[bold red]{bad.total()} failed[/]: {', '.join(parts)}" + (
        f"; {unknown} without a result." if unknown else "."
    )


OWNERS = {
    Who.YOU: "for you to fix",
    Who.BIGCOMMERCE: "for BigCommerce to fix",
    Who.NOBODY: "resolving automatically",
}


def _sections(context: Context, store: str, destination: str, found: Found) -> Iterator[tuple[str, Iterable[Finding]]]:
    """The sections in order. The last one reads the others' findings in `found`."""
    try:
        stack = context.stack
    except CliError as failure:
        yield "Deployment", [Finding("stack", State.BAD, failure.what, failure.fix)]
        return
    url = destination or stack.destination
    rules: list[Rules] = []
    yield "Deployment", _deployment(context, url, rules)
    stores = list(known_stores(context))
    if store and store not in stores:
        fix = f"the stores are {', '.join(stores)}" if stores else f"add it: relay store add {store}"
        yield "Stores", [Finding("stores", State.BAD, f"there is no store {store}", fix)]
    elif not stores:
        fix = "add one: relay store add, with the store hash"
        yield "Stores", [Finding("stores", State.BAD, "no store is registered", fix)]
    for each in stores if not store else [store] if store in stores else []:
        yield f"Store {each}", check_store(context, each, url, rules[0] if rules else None)
    yield "Orders and alarms", _orders_and_alarms(context, found)


def _deployment(context: Context, url: str, rules: list[Rules]) -> Iterator[Finding]:
    """Checks of what all stores share; puts the rules to test with into `rules`."""
    yield check_stack(context)
    yield from guarded("webhook URL", lambda: [check_endpoint(context, url)])
    at_once: list[int] = []
    yield from guarded("SQS trigger", lambda: [check_sqs_trigger(context, at_once)])
    yield from guarded("concurrency", lambda: [check_concurrency(context, max(at_once, default=RECOVERY_AT_ONCE))])
    yield from guarded("secret prefix", lambda: [check_secret_prefix(context)])
    yield from _functions(context, rules)


def _functions(context: Context, rules: list[Rules]) -> Iterator[Finding]:
    live: dict[str, Mapping[str, Any]] = {}
    denied = list(guarded("functions", lambda: function_checks.read_functions(context, live)))
    yield from denied
    for finding in denied:
        for step in ("settings", "architecture"):
            yield not_checked(step, "the functions cannot be read", finding.step)
    text: list[str] = []
    if live:
        yield from guarded("settings", lambda: [function_checks.check_settings(context, live)])
        yield from guarded("architecture", lambda: [function_checks.check_architecture(context, live)])
        denied = list(guarded("deployed code", lambda: function_checks.read_rules(context, live, text)))
        yield from denied
    yield from function_checks.check_rules(text, rules, because=denied[0].step if denied else "")


def _orders_and_alarms(context: Context, found: Found) -> Iterator[Finding]:
    """Checks of waiting orders and alarms, marked as caused by earlier findings where they are."""
    topics = root_causes(found)
    orders = [
        *guarded("late orders", lambda: [check_late(context, topics)]),
        *guarded("dead letters", lambda: [check_dead(context, topics)]),
    ]
    yield from orders
    yield from guarded("alarms", lambda: check_alarms(context, topics, orders))
    yield from guarded("alarm recipients", lambda: [check_alarm_recipients(context)])
