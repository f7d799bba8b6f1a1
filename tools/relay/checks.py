"""Findings, and the ones about a store's token: whether each API takes it, and what it lacks if not."""

from __future__ import annotations

import email.utils
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.bigcommerce.api_answer import FORBIDDEN, NOT_FOUND, SUCCESS, UNAUTHORISED, b2b_answer, core_answer
from handler.bigcommerce.b2b_api import ORDERS, USER_OF_CUSTOMER
from handler.deadline import Deadline
from handler.errors import Cause, RelayError, RetryLater
from relay.errors import CliError, explained
from relay.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console

    from handler.bigcommerce.credentials import StoreSecret
    from handler.http.client import Response
    from relay.context import Context

ACCOUNTS = "store admin: Settings > Store-level API accounts"
STATUS_PAGE = "https://status.bigcommerce.com"
OUTAGE = f"nothing to do; orders wait and are finished when the API answers again ({STATUS_PAGE})"
ADDRESSES = "check the parameters StoreApiUrl and B2BApiUrl, and any proxy or firewall on the way"
PROBE_SECONDS = 6.0
GOOD_CLOCK_SECONDS = 5.0
ANY_CUSTOMER = 1
"""Whether there is such a customer does not matter: 200 and 404 both show that the token may ask."""


class State(StrEnum):
    """What was seen of something."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """Neither was seen; nothing is claimed."""


class Who(StrEnum):
    """Who mends what is wrong, or finds out what is not known."""

    YOU = "you"
    BIGCOMMERCE = "BigCommerce"
    NOBODY = "nobody"
    """It ends by itself."""


MARKS = {State.GOOD: "[green]✓[/]", State.BAD: "[red]✗[/]", State.UNKNOWN: "[yellow]?[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, what was seen, what mends it, and who does.

    `because` names the check whose failure this one follows from; such a finding is not counted.
    """

    step: str
    state: State
    what: str
    mend: str = ""
    who: Who = Who.YOU
    because: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "step": self.step,
            "state": self.state,
            "what": self.what,
            "mend": self.mend,
            "who": None if self.state is State.GOOD else self.who,
            "because": self.because or None,
        }

    def print(self, console: Console) -> None:
        """For people: one line, and a second one if something is to be done."""
        name = f"└ {self.step}" if self.because else self.step
        console.print(f"{MARKS[self.state]} {plain(name):<18} {plain(self.what)}", soft_wrap=True)
        if self.mend:
            who = "by itself" if self.who is Who.NOBODY else self.who
            console.print(f"  {'':<18} → {who}: {plain(self.mend)}", soft_wrap=True)


def not_looked_at(step: str, why: str, because: str) -> Finding:
    """A check that could not be made, since `because` failed; `why` says in words how that failed."""
    return Finding(step, State.UNKNOWN, f"not looked at: {why}", because=because)


def known(step: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What `look` finds; when AWS or BigCommerce does not let it look, a finding of that."""
    try:
        yield from look()
    except RetryLater as error:
        yield Finding(step, State.UNKNOWN, f"not looked at: no answer ({error.detail})", OUTAGE, Who.BIGCOMMERCE)
    except (ClientError, BotoCoreError) as error:
        failure = explained(error)
        what, mend = (failure.what, failure.mend) if failure else (str(error), "")
        yield Finding(step, State.UNKNOWN, f"not looked at: {what}", mend)
    except (RelayError, CliError) as error:
        failure = explained(error)
        what, mend = (failure.what, failure.mend) if failure else (str(error), "")
        yield Finding(step, State.BAD, what, mend)


@dataclass(frozen=True, slots=True)
class _Probe:
    """One harmless request: what its success shows, and what a 403 means."""

    step: str
    works: str
    lacks: str
    read: Callable[[Response], Response]
    in_doubt: str = ""
    """Said of an API that fails on its own account."""


OTHER_STORES = " (it answers so, too, when the token is another store's)"
_CORE = _Probe("core API", "the token reads orders", "the token lacks the scope Orders: read-only", core_answer)
_B2B = _Probe(
    "B2B API",
    "the token reads B2B orders",  # that it may write them, only writing would show
    "the token lacks the scope B2B Edition: modify",
    b2b_answer,
    OTHER_STORES,
)
_USERS = _Probe(
    "B2B users",
    "the token reads company users",
    "the token lacks the scope B2B Edition: modify",
    b2b_answer,
    OTHER_STORES,
)
_HOOKS = _Probe(
    "hooks API",
    "the token manages webhooks",
    "the token may not manage webhooks, which every API account may by default",
    core_answer,
)


def check_core(context: Context, store_hash: str, secret: StoreSecret) -> tuple[Finding, Response | None]:
    """Whether the token reads core orders; and the answer, for its clock."""
    url = f"{context.settings.store_api_url}/stores/{store_hash}/v2/orders?limit=1"
    return _probe(context, _CORE, url, {"X-Auth-Token": secret.access_token}, store_hash)


def check_hooks(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Whether the token sees the store's webhooks."""
    url = f"{context.settings.store_api_url}/stores/{store_hash}/v3/hooks?limit=1"
    return _probe(context, _HOOKS, url, {"X-Auth-Token": secret.access_token}, store_hash)[0]


def check_b2b(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Whether the token reads B2B orders."""
    return _probe_b2b(context, _B2B, f"{ORDERS}?limit=1", store_hash, secret)


def check_users(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Whether the token reads the companies' users, by which the relay knows whose orders are B2B."""
    return _probe_b2b(context, _USERS, f"{USER_OF_CUSTOMER}/{ANY_CUSTOMER}", store_hash, secret)


def _probe_b2b(context: Context, probe: _Probe, path: str, store_hash: str, secret: StoreSecret) -> Finding:
    headers = {"X-Auth-Token": secret.b2b_token, "X-Store-Hash": store_hash}
    return _probe(context, probe, f"{context.settings.b2b_api_url}{path}", headers, store_hash)[0]


def _probe(
    context: Context, probe: _Probe, url: str, headers: dict[str, str], store_hash: str
) -> tuple[Finding, Response | None]:
    try:
        answer = context.http.call(
            "GET",
            url,
            headers | {"Accept": "application/json"},
            Deadline.after(PROBE_SECONDS, context.clock),
            read=probe.read,
        )
    except RetryLater as error:
        return _no_answer(probe, error), None
    if answer.status in SUCCESS or (answer.status == NOT_FOUND and probe is _USERS):
        return Finding(probe.step, State.GOOD, probe.works), answer
    what, mend = _refused(probe, answer.status, store_hash)
    return Finding(probe.step, State.BAD, f"HTTP {answer.status}: {what}", mend), answer


def _no_answer(probe: _Probe, error: RetryLater) -> Finding:
    if error.cause is Cause.RATE_LIMITED:
        what = "the store's requests are used up for the moment (HTTP 429)"
        return Finding(probe.step, State.UNKNOWN, what, "try again in a minute", Who.NOBODY)
    if error.cause is Cause.UNEXPECTED_ANSWER:
        return Finding(probe.step, State.BAD, f"something else answers ({error.detail})", ADDRESSES)
    return Finding(probe.step, State.BAD, f"no answer ({error.detail}){probe.in_doubt}", OUTAGE, Who.BIGCOMMERCE)


def _refused(probe: _Probe, status: int, store_hash: str) -> tuple[str, str]:
    """What a refusal means, and what mends it."""
    enter = f"relay store add {store_hash}"
    account = f"an API account with the scopes Orders: read-only and B2B Edition: modify ({ACCOUNTS})"
    if status == UNAUTHORISED:
        return (
            "the token is wrong or was revoked",
            f"enter the token again, whole: {enter}. If it is refused again, make {account} and enter its token",
        )
    if status == FORBIDDEN:
        return probe.lacks, f"make {account}, then: {enter}"
    if status == NOT_FOUND:
        return (
            f"there is no store {store_hash}",
            "check the hash: it is in the API path that BigCommerce shows with an API account",
        )
    return "not an expected answer", ADDRESSES


def follows(finding: Finding, root: Finding, secret: StoreSecret) -> Finding:
    """`finding` of the B2B API, as a consequence of `root` of the core API when both have the same reason."""
    same_token = secret.b2b_token == secret.access_token
    both_refused = finding.who is root.who is Who.YOU and same_token and "HTTP 401" in root.what
    both_down = finding.who is root.who is Who.BIGCOMMERCE
    if State.GOOD in {finding.state, root.state} or not (both_down or both_refused):
        return finding
    return replace(finding, mend="", because=root.step)


def clock_finding(answer: Response, before: float, after: float) -> Finding:
    """How far this machine's clock is from the API's, by its Date header."""
    date = email.utils.parsedate_tz(answer.headers.get("date", ""))
    if date is None:
        return Finding("clock", State.UNKNOWN, "the API's answer has no date to compare with", who=Who.BIGCOMMERCE)
    theirs = email.utils.mktime_tz(date)
    # The header has whole seconds, and the answer took a while.
    ahead = before - (theirs + 1.0) if before > theirs + 1.0 else min(after - theirs, 0.0)
    if abs(ahead) <= GOOD_CLOCK_SECONDS:
        return Finding("clock", State.GOOD, "this machine and BigCommerce agree on the time")
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        State.BAD,
        f"this machine is {abs(ahead):.0f} s {direction} BigCommerce",
        "set this machine's clock (NTP): ages and times shown here are off by that; the functions are not concerned",
    )
