"""Findings, and the ones about a store's token: whether each API takes it, and what it lacks if not."""

from __future__ import annotations

import email.utils
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from handler.deadline import Deadline
from handler.errors import RetryLater
from relay.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

    from handler.credentials import StoreSecret
    from handler.transport import Response
    from relay.desk import Desk

ACCOUNTS = "store admin: Settings > Store-level API accounts"
PROBE_SECONDS = 6.0
GOOD_CLOCK_SECONDS, BAD_CLOCK_SECONDS = 5.0, 60.0
SUCCESS = range(200, 300)


class State(StrEnum):
    """How a step of the way is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    """It works, and should be looked at."""
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be found out; nothing is claimed."""


MARKS = {
    State.GOOD: "[green]✓[/]",
    State.DOUBTFUL: "[yellow]![/]",
    State.BAD: "[red]✗[/]",
    State.UNKNOWN: "[dim]?[/]",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of the way, how it is, and what mends it."""

    step: str
    state: State
    what: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def print(self, console: Console) -> None:
        """For people: one line, and a second one if something is to be done."""
        console.print(f"{MARKS[self.state]} {plain(self.step):<16} {plain(self.what)}", soft_wrap=True)
        if self.mend:
            console.print(f"  {'':<16} → {plain(self.mend)}", soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Probe:
    """One harmless request: what its success shows, and what a 403 means."""

    step: str
    works: str
    lacks: str
    in_doubt: str = ""
    """Said of an API that fails on its own account."""


_CORE = _Probe("core API", "the token reads orders", "the token lacks the scope Orders: read-only")
_B2B = _Probe(
    "B2B API",
    "the token reads B2B orders",  # that it may write them, only writing would show
    "the token lacks the scope B2B Edition: modify",
    " It answers so, too, when the token is another store's.",
)
_HOOKS = _Probe(
    "hooks API",
    "the token manages webhooks",
    "the token may not manage webhooks, which BigCommerce grants every API account by default",
)


def check_core(desk: Desk, store_hash: str, secret: StoreSecret) -> tuple[Finding, Response | None]:
    """Whether the token reads core orders; and the answer, for its clock."""
    url = f"{desk.settings.store_api_url}/stores/{store_hash}/v2/orders?limit=1"
    return _probe(desk, _CORE, url, {"X-Auth-Token": secret.access_token}, store_hash)


def check_hooks(desk: Desk, store_hash: str, secret: StoreSecret) -> Finding:
    """Whether the token sees the store's webhooks."""
    url = f"{desk.settings.store_api_url}/stores/{store_hash}/v3/hooks?limit=1"
    return _probe(desk, _HOOKS, url, {"X-Auth-Token": secret.access_token}, store_hash)[0]


def check_b2b(desk: Desk, store_hash: str, secret: StoreSecret) -> Finding:
    """Whether the token reads B2B orders."""
    url = f"{desk.settings.b2b_api_url}/api/v3/io/orders?limit=1"
    return _probe(desk, _B2B, url, {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store_hash}, store_hash)[0]


def _probe(
    desk: Desk, probe: _Probe, url: str, headers: dict[str, str], store_hash: str
) -> tuple[Finding, Response | None]:
    outage = "Try again in a minute; https://status.bigcommerce.com tells of outages."
    new_account = (
        f"Make an API account with Orders: read-only and B2B Edition: modify ({ACCOUNTS}), then: relay store add"
    )
    try:
        answer = desk.transport.call(
            "GET", url, headers | {"Accept": "application/json"}, Deadline.after(PROBE_SECONDS, desk.clock)
        )
    except RetryLater as error:
        what = f"no proper answer ({error.detail}).{probe.in_doubt}"
        return Finding(probe.step, State.BAD, what, outage), None
    if answer.status in SUCCESS:
        return Finding(probe.step, State.GOOD, probe.works), answer
    what, mend = {
        401: ("the token is wrong or was revoked", f"{new_account} {store_hash}"),
        403: (probe.lacks, f"{new_account} {store_hash}"),
        404: (
            f"there is no store {store_hash}",
            "Check the hash: it stands in the API path that BigCommerce shows with an API account.",
        ),
    }.get(answer.status, ("not an answer that was expected", outage))
    return Finding(probe.step, State.BAD, f"HTTP {answer.status}: {what}", mend), answer


def clock_finding(answer: Response, before: float, after: float) -> Finding:
    """How far this machine's clock is from the API's, by its Date header."""
    date = email.utils.parsedate_tz(answer.headers.get("date", ""))
    if date is None:
        return Finding("clock", State.UNKNOWN, "the API's answer carries no date to compare with")
    theirs = email.utils.mktime_tz(date)
    # The header has whole seconds, and the answer took a while.
    ahead = before - (theirs + 1.0) if before > theirs + 1.0 else min(after - theirs, 0.0)
    state = State.GOOD if abs(ahead) <= GOOD_CLOCK_SECONDS else State.DOUBTFUL
    if abs(ahead) > BAD_CLOCK_SECONDS:
        state = State.BAD
    if state is State.GOOD:
        return Finding("clock", state, "this machine and BigCommerce agree on the time")
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        state,
        f"this machine is {abs(ahead):.0f} s {direction} BigCommerce",
        "Ages and log times shown here are off by that; set this machine's clock (NTP).",
    )
