"""One order's way through the relay, told from what was seen of it: webhooks, requests, log lines, record, dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.dead_letters import DeadLetter
    from sandbox.b2b import Record
    from sandbox.bigcommerce import Request
    from sandbox.log_watch import LogLine
    from sandbox.orders import Order
    from sandbox.webhooks import Delivery

WAITING, NOW, DONE, FAILED, LEFT_OUT = "waiting", "now", "done", "failed", "left out"
"""How a step can be."""

FINISHED = ("created", "updated", "already_right", "skipped")
ACCEPTED, REFUSED, SUCCESS = "WebhookAccepted", range(400, 500), range(200, 300)
SKIPPED_WORDS = {
    "guest": "a guest's order has no B2B record",
    "no_company": "the customer belongs to no company",
    "rule": "skip_when says so",
}
ENDPOINT_NAMES = {
    "core.get_order": "Look-up",
    "b2b.create": "Create Order",
    "b2b.get": "Get Order",
    "b2b.update": "Update Order",
}
STEP_NAMES = {"webhook": "Webhook", "bus": "On the bus", "look_up": "Look-up", "create": "Create Order", "late": "Late"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen of one order so far."""

    order: Order
    deliveries: Sequence[Delivery] = ()
    requests: Sequence[Request] = ()
    lines: Sequence[LogLine] = ()
    record: Record | None = None
    dead_letter: DeadLetter | None = None
    announced: bool = True
    dropped: bool = False
    redriven: bool = False
    """Its dead letter was there and has gone."""
    window_seconds: float = 10.0

    def line(self, *outcomes: str) -> LogLine | None:
        """The last line that tells of one of these outcomes."""
        return next((line for line in reversed(self.lines) if line.outcome in outcomes), None)

    def of(self, *endpoints: str) -> list[Request]:
        """The requests to these endpoints."""
        return [request for request in self.requests if request.endpoint in endpoints]

    def after(self, at: float) -> float:
        """A moment in seconds since the order was made."""
        return round(at - self.order.created_at, 2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands with an order: a word for programs, a tone for the eye, a few words for people, and when and why."""

    key: str
    tone: str
    words: str
    at: float | None = None
    why: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.key not in {"underway", "late"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way."""

    key: str
    state: str
    words: str = ""
    at: float | None = None


def verdict_of(seen: Seen) -> Verdict:
    """How it stands with the order. Finished is finished; otherwise the last word counts."""
    if finished := seen.line(*FINISHED):
        return _finished(seen, finished)
    if seen.dropped:
        return Verdict("dropped", "quiet", "dropped by the operator")
    last = seen.line("late", "dead")
    return _unfinished(seen, last) if last else _unheard_of(seen)


def _unfinished(seen: Seen, last: LogLine) -> Verdict:
    why = f"{last.facts.get('cause', '')}: {last.facts.get('detail', '')}"
    if last.outcome == "late":
        return Verdict("late", "warn", "late, waits in the recovery queue", last.at, why)
    # Reading the queue takes a moment longer than reading the log.
    if seen.dead_letter is None and seen.redriven:
        return Verdict("underway", "busy", "on its way again")
    return Verdict("dead", "bad", "dead letter", last.at, why)


def _unheard_of(seen: Seen) -> Verdict:
    if not seen.announced or not seen.deliveries:
        return Verdict("silent", "quiet", "no webhook; relay backfill or reconcile finds it")
    answers = [delivery.attempts[-1] for delivery in seen.deliveries if delivery.attempts]
    if len(answers) == len(seen.deliveries) and all(answer.status in REFUSED for answer in answers):
        return Verdict("refused", "quiet", f"webhook refused with {answers[-1].status}", answers[-1].at)
    return Verdict("underway", "busy", "on its way")


def _finished(seen: Seen, line: LogLine) -> Verdict:
    after = f"after {seen.after(line.at):.1f} s"
    match line.outcome:
        case "created":
            left = float(line.facts.get("window_left_seconds", 0.0))
            words = f"created in the window, {after}" if left > 0 else f"created late, {after}"
            return Verdict("created", "good", words, line.at)
        case "updated":
            late = seen.line("late", "dead") is not None
            words = f"updated afterwards, {after}" if late else f"a record was there: updated, {after}"
            return Verdict("updated", "good", words, line.at)
        case "already_right":
            return Verdict("already_right", "good", f"the record was right already, {after}", line.at)
        case _:
            reason = str(line.facts.get("reason", ""))
            return Verdict("skipped", "quiet", f"skipped: {SKIPPED_WORDS.get(reason, reason)}", line.at)


def steps_of(seen: Seen, verdict: Verdict) -> list[Step]:
    """The five steps, each in its state."""
    return [
        _webhook(seen),
        _bus(seen),
        _look_up(seen, verdict),
        _create(seen, verdict),
        _late(seen, verdict),
    ]


def _webhook(seen: Seen) -> Step:
    if not seen.announced:
        return Step("webhook", LEFT_OUT, "none is sent")
    if not seen.deliveries:
        return Step("webhook", LEFT_OUT, "no active hook")
    attempts = [attempt for delivery in seen.deliveries for attempt in delivery.attempts]
    if not attempts:
        delay = seen.deliveries[0].options.delay_seconds
        return Step("webhook", NOW, f"held back for {delay:g} s" if delay else "being delivered")
    last = attempts[-1]
    if last.status is None:
        return Step("webhook", FAILED, "no answer; the store will come back", last.at)
    times = f", {len(attempts)} deliveries" if len(attempts) > 1 else ""
    state = DONE if last.status in SUCCESS else FAILED
    return Step("webhook", state, f"{last.status} after {last.seconds:.2f} s{times}", last.at + last.seconds)


def _bus(seen: Seen) -> Step:
    refused = next((line for line in seen.lines if line.message.startswith("the bus refused")), None)
    if refused:
        return Step("bus", FAILED, "refused it; straight to the recovery queue", refused.at)
    taken = next((line for line in seen.lines if line.facts.get("outcome") == ACCEPTED), None)
    if taken:
        return Step("bus", DONE, "put there", taken.at)
    # The functions' lines come when an invocation ends, their requests at once.
    return Step("bus", DONE if seen.requests or seen.lines else WAITING)


def _look_up(seen: Seen, verdict: Verdict) -> Step:
    asked = seen.of("core.get_order")
    if not asked:
        return Step("look_up", LEFT_OUT if verdict.settled else WAITING)
    last = asked[-1]
    tries = f" at try {len(asked)}" if len(asked) > 1 else ""
    if last.status in SUCCESS:
        return Step("look_up", DONE, f"read{tries}", last.at + (last.seconds or 0.0))
    if last.status is None or not (verdict.settled or verdict.key == "late"):
        return Step("look_up", NOW, f"asking{f', try {len(asked)}' if tries else ''}", last.at)
    return Step("look_up", FAILED, _answer(last) + tries, last.at)


def _create(seen: Seen, verdict: Verdict) -> Step:
    asked = seen.of("b2b.create")
    created = seen.line("created")
    if created:
        tries = f" at try {len(asked)}" if len(asked) > 1 else ""
        return Step("create", DONE, f"accepted{tries}", created.at)
    if not asked:
        return Step("create", LEFT_OUT if verdict.settled or verdict.key == "late" else WAITING)
    last, tries = asked[-1], f" at try {len(asked)}" if len(asked) > 1 else ""
    if verdict.settled or verdict.key == "late":
        return Step("create", FAILED, _answer(last) + tries, last.at)
    return Step("create", NOW, f"asking{f', try {len(asked)}' if tries else ''}", last.at)


def _late(seen: Seen, verdict: Verdict) -> Step:
    late = [line for line in seen.lines if line.outcome == "late"]
    tries = f"{len(late)} times" if len(late) > 1 else "once"
    match verdict.key:
        case "late":
            return Step("late", NOW, f"put off {tries}", late[-1].at)
        case "dead":
            return Step("late", FAILED, "given to a person", verdict.at)
        case "updated" | "already_right":
            return Step("late", DONE, "Update Order" if verdict.key == "updated" else "nothing to do", verdict.at)
        case "underway" if seen.line("dead"):
            return Step("late", NOW, "back in the recovery queue")
        case _:
            return Step("late", LEFT_OUT if verdict.settled else WAITING)


WINDOW_USE = {
    "underway": "open",
    "late": "open",
    "created": "made",
    "updated": "made",
    "already_right": "made",
    "dead": "stopped",
}
"""What the window is to an order, by its verdict; to all others it is nothing."""


def window_of(seen: Seen, verdict: Verdict) -> dict[str, Any]:
    """The ten seconds: when they end, and how much was left when the order came to its end (None: they still run)."""
    closes_at = seen.order.created_at + seen.window_seconds
    use = WINDOW_USE.get(verdict.key, "none")
    ended = verdict.at if use != "open" else None
    left = None if use == "open" else 0.0 if ended is None else round(max(0.0, closes_at - ended), 1)
    return {"closes_at": closes_at, "seconds": seen.window_seconds, "left": left, "use": use}


def request_as_json(seen: Seen, request: Request) -> dict[str, Any]:
    """One request that reached the store, and how it ended."""
    return {
        "after": seen.after(request.at),
        "name": ENDPOINT_NAMES.get(request.endpoint, request.endpoint),
        "answer": _answer(request),
        "status": request.status,
        "seconds": None if request.seconds is None else round(request.seconds, 2),
        "fault": request.fault or "",
        "sent": _sent(request.body),
    }


def line_as_json(seen: Seen, line: LogLine) -> dict[str, Any]:
    """One log line."""
    return {
        "after": seen.after(line.at),
        "function": line.function,
        "version": line.version,
        "level": line.level,
        "message": line.message,
        "facts": ", ".join(f"{name}={value}" for name, value in line.facts.items()),
    }


def record_as_json(record: Record | None) -> dict[str, Any] | None:
    """The B2B record as it is."""
    if record is None:
        return None
    return {
        "po_number": record.po_number,
        "extra_fields": record.extra_fields,
        "origin": "made by Create Order" if record.origin == "created" else "made by B2B Edition itself",
        "customer": record.customer_id,
    }


def _answer(request: Request) -> str:
    if request.status is None:
        return "no answer yet"
    return str(request.status) if request.status else "cut off"


def _sent(body: Any) -> str:
    """What of a body goes onto the record."""
    if not isinstance(body, dict):
        return ""
    texts = [f"PO number: {body['poNumber']}"] if body.get("poNumber") else []
    fields = body.get("extraFields") or []
    texts += [f"{field.get('fieldName')}: {field.get('fieldValue')}" for field in fields if isinstance(field, dict)]
    return ", ".join(texts)
