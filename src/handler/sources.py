"""Sources: what rules read besides the order. They are fetched in parallel, with a time limit that keeps the window.

A source that is late, down or rate-limited is `unavailable`: the order is finished without the fields that need it, and
completed afterwards. A source that the store refuses (a missing scope, the API's own 4xx) is `refused`: its fields are
left out, and it is not requested again for ten minutes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from handler.errors import Cause, Refused, RetryLater
from handler.rule_sources import FROM_B2B, Source
from handler.telemetry import Metric, count, logger, metrics_aside, record_aside
from handler.whole_number import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from handler.background import Background
    from handler.bigcommerce.b2b_api import B2BApi
    from handler.bigcommerce.core_v3_api import CustomersApi, MetafieldsApi
    from handler.deadline import Clock, Deadline
    from handler.table.refused_sources import RefusedSources

BUYER_KEPT_SECONDS = 300.0
"""How long a buyer's company and user are cached, also when there is none: several orders of a buyer cost one request."""

NAMES_KEPT_SECONDS = 3600.0
"""How long the names of a store's customer attributes are cached."""

MOST_KEPT = 256
LARGEST_KEPT_CHARACTERS = 20_000
"""The size of the cache: the number of values, and the length of each. About 5 MB at most."""

WAIT_BEYOND_SECONDS = 0.1
"""Requests end at their deadline; their threads are joined with this much more time, so that none outlives the order."""

SCOPES = {
    Source.COMPANY: "B2B Edition: modify",
    Source.USER: "B2B Edition: modify",
    Source.CUSTOMER: "Customers: read-only",
    Source.ATTRIBUTES: "Customers: read-only",
    Source.METAFIELDS: "Orders: read-only",
}
"""The scope that a token needs for a source."""


@dataclass(frozen=True, slots=True)
class SourceValues:
    """The results by source: a value, why it was refused, or why it is unavailable.

    `b2b_requests` is the number of sources that were requested from the B2B API.
    """

    values: dict[Source, Any]
    refused: dict[Source, str] = field(default_factory=dict)
    unavailable: dict[Source, RetryLater] = field(default_factory=dict)
    b2b_requests: int = 0

    @property
    def missing(self) -> frozenset[Source]:
        """The sources without a value: rules that mention them are left out."""
        return frozenset(self.refused.keys() | self.unavailable.keys())

    def beside(self, order: dict[str, Any]) -> dict[str, Any]:
        """The input of the rules: the order with the values of the sources."""
        values: dict[str, Any] = {source.value: value for source, value in self.values.items()}
        names = values.pop(Source.ATTRIBUTES, None)
        if isinstance(customer := values.get(Source.CUSTOMER), dict) and names:
            values[Source.CUSTOMER] = customer | {"attributes": _named(customer.get("attributes"), names)}
        return order | values


class Sources:
    """Fetches sources, and caches what several orders share."""

    def __init__(
        self,
        b2b_api: B2BApi,
        metafields_api: MetafieldsApi,
        customers_api: CustomersApi,
        refused_sources: RefusedSources,
        background: Background,
        clock: Clock,
    ) -> None:
        self._b2b_api = b2b_api
        self._metafields_api = metafields_api
        self._customers_api = customers_api
        self._refused_sources = refused_sources
        self._background = background
        self._clock = clock
        self._kept: dict[tuple[Source, str, int], tuple[float, Any]] = {}
        """Values with the end of their caching (unix seconds), oldest first."""
        self._lock = threading.Lock()

    def begin(self, store_hash: str, order_id: int, needed: Collection[Source], deadline: Deadline) -> Fetching:
        """Starts to fetch the sources of `needed` that do not depend on the buyer. Use it in a `with` statement.

        `deadline` is that of these requests.
        """
        fetching = Fetching(self, store_hash, frozenset(needed) - {Source.CONSIGNMENTS})
        fetching.begin(order_id, deadline)
        return fetching

    # --- one source ----------------------------------------------------------------------------------------------

    def request(self, source: Source, store_hash: str, subject: int, deadline: Deadline) -> Any:
        """Requests a source. `subject` is the order's id for metafields, and the customer's id otherwise.

        Raises RetryLater or Refused.
        """
        match source:
            case Source.COMPANY:
                value: Any = self._b2b_api.get_company(store_hash, subject, deadline)
            case Source.USER:
                value = self._b2b_api.get_user(store_hash, subject, deadline, forbidden_is_final=True)
            case Source.CUSTOMER:
                value = self._customers_api.get_customer(store_hash, subject, deadline)
            case Source.ATTRIBUTES:
                value = self._customers_api.attribute_names(store_hash, deadline)
            case _:
                value = self._metafields_api.of_order(store_hash, subject, deadline)
        self._refused_sources.note_success(store_hash, source)
        if source in FROM_B2B:
            self._keep((source, store_hash, subject), value, BUYER_KEPT_SECONDS)
        elif source is Source.ATTRIBUTES:
            self._keep((source, store_hash, 0), value, NAMES_KEPT_SECONDS)
        return value

    def kept(self, source: Source, store_hash: str, subject: int) -> tuple[Any] | None:
        """The cached value as a tuple, or None when there is none."""
        until, value = self._kept.get((source, store_hash, subject), (0.0, None))
        return (value,) if until > self._clock() else None

    def refused(self, store_hash: str, sources: Collection[Source]) -> frozenset[str]:
        """The `sources` that the store has refused recently."""
        return self._refused_sources.of_store(store_hash, sources) if sources else frozenset()

    def note_refused(self, store_hash: str, source: Source) -> None:
        """Notes that the store refused the source."""
        self._refused_sources.note(store_hash, source)

    def start(self, work: Callable[[], None]) -> Callable[[float], None]:
        """Starts work in the background."""
        return self._background(work)

    def _keep(self, key: tuple[Source, str, int], value: Any, seconds: float) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if len(str(value)) > LARGEST_KEPT_CHARACTERS:
                return
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._clock() + seconds, value


class Fetching:
    """The sources of one order while they are fetched."""

    def __init__(self, sources: Sources, store_hash: str, needed: frozenset[Source]) -> None:
        self._sources = sources
        self._store_hash = store_hash
        self._needed = needed
        self._values: dict[Source, Any] = {}
        self._refusals: dict[Source, str] = {}
        self._failures: dict[Source, RetryLater] = {}
        self._metrics: list[Any] = []
        self._order_id = 0
        self._waiting: list[tuple[Callable[[float], None], Deadline]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()

    def begin(self, order_id: int, deadline: Deadline) -> None:
        """Fetches metafields and attribute names in parallel with the look-up, and reads which sources were refused."""
        if Source.ATTRIBUTES in self._needed and (kept := self._sources.kept(Source.ATTRIBUTES, self._store_hash, 0)):
            [self._values[Source.ATTRIBUTES]] = kept
        self._order_id = order_id
        due = self._needed - self._values.keys()
        first: list[Source | None] = [each for each in (Source.METAFIELDS, Source.ATTRIBUTES) if each in due]

        def work(source: Source | None) -> None:
            refused = self._sources.refused(self._store_hash, self._needed)
            if source is not None:
                self._fetch(source, order_id, deadline, refused)

        if self._needed:
            for source in first or [None]:  # each on its own: one that hangs must not delay the other
                self._start(partial(work, source), deadline)

    def finish(self, customer_id: int, deadline: Deadline) -> SourceValues:
        """All values. Fetches those that depend on the buyer in parallel, until `deadline`."""
        due = []
        for source in (Source.COMPANY, Source.USER, Source.CUSTOMER):
            if source not in self._needed:
                continue
            if kept := self._sources.kept(source, self._store_hash, customer_id):
                [self._values[source]] = kept
            else:
                due.append(source)
        refused = self._sources.refused(self._store_hash, due)
        for source in due:
            self._start(partial(self._fetch, source, customer_id, deadline, refused), deadline)
        self._wait()
        if (failure := self._failures.get(Source.METAFIELDS)) and failure.cause is Cause.ORDER_NOT_FOUND:
            # They were requested before the look-up succeeded. Now the order is readable, so another 404 is a refusal.
            del self._failures[Source.METAFIELDS]
            self._start(partial(self._fetch, Source.METAFIELDS, self._order_id, deadline, ()), deadline)
            self._wait()
        values, refusals, failures = dict(self._values), dict(self._refusals), dict(self._failures)
        if (failure := failures.get(Source.METAFIELDS)) and failure.cause is Cause.ORDER_NOT_FOUND:
            refusals[Source.METAFIELDS] = failures.pop(Source.METAFIELDS).detail
            self._sources.note_refused(self._store_hash, Source.METAFIELDS)
        for source in self._needed - values.keys() - refusals.keys():
            failures.setdefault(source, RetryLater(Cause.NO_ANSWER, "no answer in time"))
        asked = [source for source in due if source in FROM_B2B and source not in refused]
        return SourceValues(values, refusals, failures, len(asked))

    def _fetch(self, source: Source, subject: int, deadline: Deadline, refused: Collection[str]) -> None:
        """Requests a source and stores the result; raises nothing."""
        if source in refused:
            self._refusals[source] = "refused within the last ten minutes; not requested again"
            return
        try:
            self._values[source] = self._sources.request(source, self._store_hash, subject, deadline)
        except RetryLater as error:
            self._failures[source] = error
        except Refused as error:
            self._refusals[source] = error.detail
            self._sources.note_refused(self._store_hash, source)
        except Exception as fault:  # noqa: BLE001  a bug delays this source's fields, not the order
            logger.exception("source failed unexpectedly", event="source.unexpected", source=source)
            count(Metric.UNEXPECTED_ERROR)
            self._failures[source] = RetryLater(Cause.FUNCTION_FAILED, f"an unexpected {type(fault).__name__}")

    def _start(self, work: Callable[[], None], deadline: Deadline) -> None:
        def counted() -> None:
            with metrics_aside(self._metrics):
                work()

        self._waiting.append((self._sources.start(counted), deadline))

    def _wait(self) -> None:
        for join, deadline in self._waiting:
            join(deadline.remaining_seconds + WAIT_BEYOND_SECONDS)
        self._waiting.clear()
        record_aside(self._metrics)


def _named(attributes: Any, names: dict[int, str]) -> Any:
    """A customer's attributes with their names as `attribute_name`."""
    if not isinstance(attributes, list):
        return attributes
    return [
        row | {"attribute_name": names.get(whole_number(row.get("attribute_id")) or 0)}
        if isinstance(row, dict)
        else row
        for row in attributes
    ]
