"""The state of one order, and what is left of its ten seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.aws.logs import LogLine
    from sandbox.console.order_seen import Seen

FINISHED = ("created", "updated", "unchanged", "skipped")
REFUSED = range(400, 500)
SKIPPED_WORDS = {
    "guest": "a guest's order has no B2B record",
    "no_company": "the customer belongs to no company",
    "rule": "the rule skip_when applies",
}
WINDOW_USE = {
    "underway": "open",
    "late": "open",
    "created": "made",
    "updated": "made",
    "unchanged": "made",
    "dead": "stopped",
}
"""What the window is to an order, by its verdict; to all others it is nothing."""


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
        return Verdict("late", "warn", "late, waiting in RecoveryQueue", last.at, why)
    # Reading the queue takes a moment longer than reading the log.
    if seen.dead_letter is None and seen.redriven:
        return Verdict("underway", "busy", "redriven, in progress")
    return Verdict("dead", "bad", "dead letter", last.at, why)


def _unheard_of(seen: Seen) -> Verdict:
    if not seen.announced or not seen.deliveries:
        return Verdict("silent", "quiet", "no webhook; relay backfill or reconcile finds it")
    answers = [delivery.attempts[-1] for delivery in seen.deliveries if delivery.attempts]
    if len(answers) == len(seen.deliveries) and all(answer.status in REFUSED for answer in answers):
        return Verdict("refused", "quiet", f"webhook rejected with {answers[-1].status}", answers[-1].at)
    return Verdict("underway", "busy", "in progress")


def _finished(seen: Seen, line: LogLine) -> Verdict:
    after = f"after {seen.after(line.at):.1f} s"
    match line.outcome:
        case "created":
            left = float(line.facts.get("window_left_seconds", 0.0))
            words = f"created in the window, {after}" if left > 0 else f"created late, {after}"
            return Verdict("created", "good", words, line.at)
        case "updated":
            late = seen.line("late", "dead") is not None
            words = f"updated after the window, {after}" if late else f"existing record updated, {after}"
            return Verdict("updated", "good", words, line.at)
        case "unchanged":
            return Verdict("unchanged", "good", f"record already complete, {after}", line.at)
        case _:
            reason = str(line.facts.get("reason", ""))
            return Verdict("skipped", "quiet", f"skipped: {SKIPPED_WORDS.get(reason, reason)}", line.at)


def window_of(seen: Seen, verdict: Verdict) -> dict[str, Any]:
    """The ten seconds: when they end, and how much was left when the order came to its end (None: they still run)."""
    closes_at = seen.order.created_at + seen.window_seconds
    use = WINDOW_USE.get(verdict.key, "none")
    ended = verdict.at if use != "open" else None
    left = None if use == "open" else 0.0 if ended is None else round(max(0.0, closes_at - ended), 1)
    return {"closes_at": closes_at, "seconds": seen.window_seconds, "left": left, "use": use}
