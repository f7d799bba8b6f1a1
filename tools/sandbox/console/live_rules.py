"""The enrichment rules: their file is watched, what is valid is brought into the running functions, the rest is explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from handler.enrichment import Rules
from handler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.deadline import Clock
    from handler.enrichment import Rule

RULES_IN_CODE = "handler/enrichment.toml"


class LiveRules:
    """Knows which rules run. Not for two threads at once; what it tells may be read by any."""

    def __init__(self, path: Path, running: str, version: str, bring: Callable[[bytes], str], clock: Clock) -> None:
        """`running`: the text of the rules that were deployed, as `version`; `bring` deploys others."""
        self.path = path
        self._bring = bring
        self._clock = clock
        self._running, self._rules = running, Rules.parse(running, path.name)
        self._version, self._since = version, clock()
        self._read: str | None = running
        self._decided: str | None = running
        self.problem = ""
        self.arriving = False

    def refresh(self) -> None:
        """Reads the file; what has come to rest is checked, and if it is valid and new, brought in."""
        read = self._text()
        came_to_rest, self._read = read == self._read, read
        # An editor may empty a file before it writes it, and an empty one would be valid.
        if came_to_rest and read != self._decided:
            self.decide(read)

    def decide(self, text: str | None) -> None:
        """Checks this text, brings it in, or says what is wrong with it. Raises what `bring` raises."""
        self.problem = ""
        try:
            rules = Rules.load(self.path) if text is None else Rules.parse(text, self.path.name)
        except ConfigurationError as error:
            self.problem = str(error)
            self._decided = text
            return
        if text is not None and text != self._running:
            self.arriving = True
            try:
                self._version = self._bring(text.encode())
            finally:
                self.arriving = False
            self._running, self._rules, self._since = text, rules, self._clock()
        self._decided = text

    def as_json(self, store_hash: str) -> dict[str, Any]:
        """For the page: where the rules are, which ones run for this store since when, and what is wrong with the file."""
        rules = self._rules.of_store(store_hash)
        named = [("PO number", rules.po_number), *rules.extra_fields, ("skip when", rules.skip_when)]
        return {
            "path": self.shown_path,
            "version": self._version,
            "since": self._since,
            "arriving": self.arriving,
            "problem": self.problem,
            "rules": [{"name": name, "expression": _expression(rule)} for name, rule in named if rule],
        }

    @property
    def shown_path(self) -> str:
        """Where the file is, as one types it in this folder."""
        try:
            return str(self.path.resolve().relative_to(Path.cwd()))
        except ValueError:
            return str(self.path)

    def _text(self) -> str | None:
        """The file's content; None when it cannot be read, which `Rules.load` explains better."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None


def _expression(rule: Rule) -> str:
    return str(rule.expression.expression)
