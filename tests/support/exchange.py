"""In place of `HttpExchange`: answers and faults by method and path, which take fake time."""

import json
import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from handler.http.exchange import NoAnswer, Response
from support.clock import FakeClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request that went out, and the time it was given."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str]
    body: Any
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one request: `response` after `seconds`, or none at all."""

    response: Response | None
    seconds: float
    arrives: bool = True


def answer(
    status: int = 200, body: Any = None, headers: Mapping[str, str] | None = None, *, seconds: float = 0.05
) -> Step:
    """An answer; `body` is nothing, bytes as they are, or JSON."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return Step(Response(status, {name.lower(): value for name, value in (headers or {}).items()}, content), seconds)


def reset(seconds: float = 0.05) -> Step:
    """The connection is cut."""
    return Step(None, seconds)


def unreachable(seconds: float = 0.05) -> Step:
    """No connection comes about: the request cannot have arrived."""
    return Step(None, seconds, arrives=False)


def hang() -> Step:
    """Nothing comes, however long one waits."""
    return Step(None, math.inf)


Otherwise = Callable[[Sent], Step]


@dataclass(slots=True)
class FakeExchange:
    """Plays the steps scripted for a method and path one after the other; what is not scripted goes to `otherwise`."""

    clock: FakeClock
    otherwise: Otherwise | None = None
    sent: list[Sent] = field(default_factory=list)
    _scripts: defaultdict[tuple[str, str], deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[tuple[str, str], Step | Otherwise] = field(default_factory=dict)

    def on(self, method: str, path: str, *steps: Step) -> None:
        """The next requests to this path meet these steps, in this order."""
        self._scripts[method, path].extend(steps)

    def always(self, method: str, path: str, step: Step | Otherwise) -> None:
        """Every request to this path meets this step, or what it answers, once its script is played."""
        self._always[method, path] = step

    def mend(self) -> None:
        """From now on nothing is scripted."""
        self._scripts.clear()
        self._always.clear()

    def paths(self, method: str) -> list[str]:
        """The paths that were asked with this method."""
        return [sent.path for sent in self.sent if sent.method == method]

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> Response:
        parts = urlsplit(url)
        sent = Sent(
            method=method,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers=headers,
            body=body,
            at=self.clock.now,
            seconds=seconds,
        )
        self.sent.append(sent)
        step = self._step(sent)
        self.clock.advance(min(step.seconds, seconds))
        if step.response is None or step.seconds > seconds:
            raise NoAnswer(f"simulated, after at most {seconds:.1f} s", may_have_arrived=step.arrives)
        return step.response

    def _step(self, sent: Sent) -> Step:
        key = sent.method, sent.path
        if self._scripts[key]:
            return self._scripts[key].popleft()
        if key in self._always:
            always = self._always[key]
            return always if isinstance(always, Step) else always(sent)
        assert self.otherwise is not None, f"nobody said what {sent.method} {sent.path} answers"
        return self.otherwise(sent)
