"""Findings, and the checks of a store's token against each API."""

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
from relay.text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console

    from handler.bigcommerce.credentials import StoreSecret
    from handler.http.exchange import Response
    from relay.context import Context

ACCOUNTS = "store admin: Settings > Store-level API accounts"
STATUS_PAGE = "https://status.bigcommerce.com"
OUTAGE = f"nothing to do; orders wait and are retried until the API answers again ({STATUS_PAGE})"
ADDRESSES = "check the parameters StoreApiUrl and B2BApiUrl, and any proxy or firewall between"
PROBE_SECONDS = 6.0
GOOD_CLOCK_SECONDS = 5.0
ANY_CUSTOMER = 1
"""Any customer number works: 200 and 404 both show that the token has the scope."""


class State(StrEnum):
    """The result of a check."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """The check has no result."""


class Who(StrEnum):
    """Who can fix a problem."""

    YOU = "you"
    BIGCOMMERCE = "BigCommerce"
    NOBODY = "nobody"
    """It resolves without action."""


MARKS = {State.GOOD: "[green]✓[/]", State.BAD: "[red]✗[/]", State.UNKNOWN: "[yellow]?[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check (`step`): `what` was found, how to `fix` it, and `who` can.

    `because` names the check whose failure caused this one; such a finding is not counted.
    """

    step: str
    state: State
    what: str
    fix: str = ""
    who: Who = Who.YOU
    because: str = ""

    def as_json(self) -> dict[str, Any]:
        """The finding for --json."""
        return {
            "step": self.step,
            "state": self.state,
            "what": self.what,
            "fix": self.fix,
            "who": None if self.state is State.GOOD else self.who,
            "because": self.because or None,
        }

    def print(self, console: Console) -> None:
        """Prints one line, and a second one with the fix, if any."""
        name = f"└ {self.step}" if self.because else self.step
        console.print(f"{MARKS[self.state]} {escaped(name):<18} {escaped(self.what)}", soft_wrap=True)
        if self.fix:
            who = "automatically" if self.who is Who.NOBODY else self.who
            console.print(f"  {'':<18} → {who}: {escaped(self.fix)}", soft_wrap=True)


def not_checked(step: str, why: str, because: str) -> Finding:
    """A check that was not made because the check `because` failed; `why` says how that one failed."""
    return Finding(step, State.UNKNOWN, f"not checked: {why}", because=because)


def guarded(step: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of `check`; if AWS or BigCommerce fails during it, a finding about that failure."""
    try:
        yield from check()
    except RetryLater as error:
        yield Finding(step, State.UNKNOWN, f"not checked: no answer ({error.detail})", OUTAGE, Who.BIGCOMMERCE)
    except (ClientError, BotoCoreError) as error:
        failure = explained(error)
        what, fix = (failure.what, failure.fix) if failure else (str(error), "")
        yield Finding(step, State.UNKNOWN, f"not checked: {what}", fix)
    except (RelayError, CliError) as error:
        failure = explained(error)
        what, fix = (failure.what, failure.fix) if failure else (str(error), "")
        yield Finding(step, State.BAD, what, fix)


@dataclass(frozen=True, slots=True)
class _Probe:
    """A read-only request: what its success (`works`) and a 403 (`lacks`) mean."""

    step: str
    works: str
    lacks: str
    read: Callable[[Response], Response]
    in_doubt: str = ""
    """Appended to the finding if the API fails."""


OTHER_STORES = " (also the answer to the token of another store)"
_CORE = _Probe("core API", "the token reads orders", "the token lacks the scope Orders: read-only", core_answer)
_B2B = _Probe(
    "B2B API",
    "the token reads B2B orders",  # only a write would show that it may write
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
    "the token may not manage webhooks, which API accounts may by default",
    core_answer,
)


def check_core(context: Context, store_hash: str, secret: StoreSecret) -> tuple[Finding, Response | None]:
    """Checks that the token reads core orders; also returns the answer, whose Date header is checked."""
    url = f"{context.settings.store_api_url}/stores/{store_hash}/v2/orders?limit=1"
    return _probe(context, _CORE, url, {"X-Auth-Token": secret.access_token}, store_hash)


def check_hooks(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Checks that the token reads the store's webhooks."""
    url = f"{context.settings.store_api_url}/stores/{store_hash}/v3/hooks?limit=1"
    return _probe(context, _HOOKS, url, {"X-Auth-Token": secret.access_token}, store_hash)[0]


def check_b2b(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Checks that the token reads B2B orders."""
    return _probe_b2b(context, _B2B, f"{ORDERS}?limit=1", store_hash, secret)


def check_users(context: Context, store_hash: str, secret: StoreSecret) -> Finding:
    """Checks that the token reads company users, which the relay needs to recognize B2B orders."""
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
    what, fix = _refused(probe, answer.status, store_hash)
    return Finding(probe.step, State.BAD, f"HTTP {answer.status}: {what}", fix), answer


def _no_answer(probe: _Probe, error: RetryLater) -> Finding:
    if error.cause is Cause.RATE_LIMITED:
        what = "the store's rate limit is exceeded (HTTP 429)"
        return Finding(probe.step, State.UNKNOWN, what, "try again in a minute", Who.NOBODY)
    if error.cause is Cause.UNEXPECTED_ANSWER:
        return Finding(probe.step, State.BAD, f"the answer is not the API's ({error.detail})", ADDRESSES)
    return Finding(probe.step, State.BAD, f"no answer ({error.detail}){probe.in_doubt}", OUTAGE, Who.BIGCOMMERCE)


def _refused(probe: _Probe, status: int, store_hash: str) -> tuple[str, str]:
    """What a refusal means, and how to fix it."""
    enter = f"relay store add {store_hash}"
    account = f"an API account with the scopes Orders: read-only and B2B Edition: modify ({ACCOUNTS})"
    if status == UNAUTHORISED:
        return (
            "the token is wrong or was revoked",
            f"enter the complete token again: {enter}. If it is rejected again, create {account} and enter its token",
        )
    if status == FORBIDDEN:
        return probe.lacks, f"create {account}, then: {enter}"
    if status == NOT_FOUND:
        return (
            f"there is no store {store_hash}",
            "check the hash in the API path that BigCommerce shows with the API account",
        )
    return "unexpected answer", ADDRESSES


def follows(finding: Finding, root: Finding, secret: StoreSecret) -> Finding:
    """`finding` of the B2B API, marked as caused by `root` of the core API if both have the same reason."""
    same_token = secret.b2b_token == secret.access_token
    both_refused = finding.who is root.who is Who.YOU and same_token and "HTTP 401" in root.what
    both_down = finding.who is root.who is Who.BIGCOMMERCE
    if State.GOOD in {finding.state, root.state} or not (both_down or both_refused):
        return finding
    return replace(finding, fix="", because=root.step)


def clock_finding(answer: Response, before: float, after: float) -> Finding:
    """Checks this machine's clock against the API's Date header."""
    date = email.utils.parsedate_tz(answer.headers.get("date", ""))
    if date is None:
        return Finding("clock", State.UNKNOWN, "the API's answer has no Date header", who=Who.BIGCOMMERCE)
    theirs = email.utils.mktime_tz(date)
    # The header has whole seconds, and the answer was written between `before` and `after`.
    ahead = before - (theirs + 1.0) if before > theirs + 1.0 else min(after - theirs, 0.0)
    if abs(ahead) <= GOOD_CLOCK_SECONDS:
        return Finding("clock", State.GOOD, "this machine's clock agrees with BigCommerce's")
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        State.BAD,
        f"this machine's clock is {abs(ahead):.0f} s {direction} BigCommerce's",
        "synchronize this machine's clock (NTP); ages shown here are wrong by that, but the functions are not affected",
    )
