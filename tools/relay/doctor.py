"""`relay doctor`: everything between the store and the record, step by step, with a tick or what mends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws_errors import error_code
from handler.credentials import SecretInvalid, StoreSecret
from handler.enrichment import Rules
from handler.errors import ConfigurationError, RelayError
from relay.checks import Finding, State, check_b2b, check_core, check_hooks, clock_finding
from relay.command import AllStoresArgument, DestinationOption
from relay.deployment_checks import check_alarms, check_endpoint, check_queues, check_stack
from relay.desk import Desk
from relay.field_checks import check_fields, field_configs, recent_orders
from relay.hook_checks import check_hook, check_refusals
from relay.plain import plain
from relay.po_checks import check_po_number
from relay.store import known_stores
from relay.trouble import DENIED, Trouble, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from handler.enrichment import StoreRules


def doctor(desk: Desk, store: AllStoresArgument = "", *, destination: DestinationOption = "") -> bool:
    """Look at everything between the store and the B2B record, and say what to do about what is wrong.

    Green is well, yellow should be looked at, red has to be mended (and makes the exit code 1), and
    a question mark could not be found out. Nothing is changed.

    Examples:
      relay doctor
      relay doctor abc123
    """
    found: dict[str, list[Finding]] = {}
    for section, findings in _sections(desk, store, destination):
        if not desk.as_json:
            desk.out.print(f"[bold]{plain(section)}[/]")
        for finding in findings:
            found.setdefault(section, []).append(finding)
            if not desk.as_json:
                finding.print(desk.out)
    everything = [finding for findings in found.values() for finding in findings]
    bad = sum(finding.state is State.BAD for finding in everything)
    doubtful = sum(finding.state is State.DOUBTFUL for finding in everything)

    def picture() -> None:
        if bad:
            desk.out.print(
                f"\n[bold red]{bad} to be mended[/]" + (f", {doubtful} to be looked at" if doubtful else "") + "."
            )
        else:
            desk.out.print("\n[bold green]All is well[/]" + (f", {doubtful} to be looked at" if doubtful else "") + ".")

    sections = {section: [finding.as_json() for finding in findings] for section, findings in found.items()}
    desk.show({"well": not bad, "sections": sections}, picture)
    return not bad


def _sections(desk: Desk, store: str, destination: str) -> Iterator[tuple[str, Iterable[Finding]]]:
    try:
        stack = desk.stack
    except Trouble as trouble:
        yield "Deployment", [Finding("stack", State.BAD, trouble.what, trouble.mend)]
        return
    url = destination or stack.destination
    rules: list[Rules] = []
    yield "Deployment", _deployment(desk, url, rules)
    stores = [store] if store else list(known_stores(desk))
    if not stores:
        yield "Stores", [Finding("stores", State.BAD, "there is no store yet", "Add one: relay store add STORE")]
    for each in stores:
        yield f"Store {each}", _store(desk, each, url, rules[0] if rules else None)


def _deployment(desk: Desk, url: str, rules: list[Rules]) -> Iterator[Finding]:
    """Findings about what all stores share; puts the rules, if they are valid, into `rules`."""
    yield check_stack(desk)
    yield from _known("webhook URL", lambda: [check_endpoint(desk, url)])
    yield from _known("queues", lambda: check_queues(desk))
    yield from _known("alarms", lambda: check_alarms(desk))
    try:
        rules.append(Rules.load())
    except ConfigurationError as error:
        yield Finding("rules", State.BAD, str(error), "Mend src/handler/enrichment.toml and deploy.")
    else:
        yield Finding("rules", State.GOOD, "the rules in this folder are valid")


def _store(desk: Desk, store: str, url: str, rules: Rules | None) -> Iterator[Finding]:
    """Findings about one store. Without a usable secret there is nothing more to be seen."""
    secret: list[StoreSecret] = []
    yield from _known("secret", lambda: [_check_secret(desk, store, secret)])
    if not secret:
        return
    yield from _known("list of stores", lambda: _check_listed(desk, store))
    [token] = secret
    before = desk.clock()
    core, answer = check_core(desk, store, token)
    after = desk.clock()
    yield core
    if answer is not None:
        yield clock_finding(answer, before, after)
    b2b = check_b2b(desk, store, token)
    yield b2b
    if core.state is State.GOOD:  # else the same token would be refused for the same reason
        hooks = check_hooks(desk, store, token)
        yield hooks
        if hooks.state is State.GOOD:
            yield from _known("webhook", lambda: check_hook(desk, store, url, token))
    yield from _known("refusals", lambda: [check_refusals(desk, store, token)])
    if rules is not None and core.state is State.GOOD and b2b.state is State.GOOD:
        of_store = rules.of_store(store)
        yield from _known("extra fields", lambda: _check_rules(desk, store, token, of_store))


def _check_rules(desk: Desk, store: str, secret: StoreSecret, rules: StoreRules) -> Iterator[Finding]:
    """Findings about the store's rules, tried on its newest orders."""
    orders = recent_orders(desk, store, secret)
    yield check_po_number(rules, orders)
    yield from check_fields(rules, field_configs(desk, store, secret), orders)


def _check_secret(desk: Desk, store: str, secret: list[StoreSecret]) -> Finding:
    """Whether the store's secret is complete; puts it, if it can be used, into `secret`."""
    mend = f"Write it: relay store add {store}"
    try:
        values = desk.vault.read(store)
    except ClientError as error:
        if error_code(error) not in DENIED:
            raise
        return Finding(
            "secret",
            State.UNKNOWN,
            f"AWS denies you the secret {desk.vault.name(store)} ({error_code(error)}): "
            "your role may not read or decrypt it, or there is none",
            "Use a role that may (--profile).",
        )
    if values is None:
        return Finding("secret", State.BAD, desk.vault.why_none(store), mend)
    try:
        secret.append(StoreSecret.parse(json.dumps(values)))
    except SecretInvalid as error:
        return Finding("secret", State.BAD, error.detail, mend)
    proofs = {"client_secret": "signatures", "webhook_header": "a secret header"}
    checks = [what for key, what in proofs.items() if values.get(key)]
    if not checks:
        return Finding(
            "secret",
            State.BAD,
            "it holds neither client_secret nor webhook_header: every webhook is refused (401)",
            f"Have a secret header made: relay hook create {store}",
        )
    return Finding("secret", State.GOOD, f"complete; webhooks are proven by {' and '.join(checks)}")


def _check_listed(desk: Desk, store: str) -> list[Finding]:
    """A finding when the relay's list lacks the store: then it is known only by its secret."""
    if store in desk.stores.all():
        return []
    return [
        Finding(
            "list of stores",
            State.DOUBTFUL,
            "the store is not on the relay's list until its first order: reconcile does not look at it, "
            "and a flood of forged webhooks may have its own refused",
            f"Put it on the list (its values stay as they are): relay store add {store}",
        )
    ]


def _known(step: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What `look` finds; when AWS or BigCommerce does not let it look, a finding of that."""
    try:
        yield from look()
    except (ClientError, BotoCoreError) as error:
        trouble = explained(error)
        what, mend = (trouble.what, trouble.mend) if trouble else (str(error), "")
        yield Finding(step, State.UNKNOWN, what, mend)
    except (RelayError, Trouble) as error:
        trouble = explained(error)
        what, mend = (trouble.what, trouble.mend) if trouble else (str(error), "")
        yield Finding(step, State.BAD, what, mend)
