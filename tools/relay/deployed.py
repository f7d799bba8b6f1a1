"""The functions as they run: settings, processor and rules of the version behind the alias `live`."""

from __future__ import annotations

import io
import tomllib
import zipfile
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from handler.enrichment import RULES_FILE, Rules
from handler.errors import ConfigurationError
from handler.settings import Settings
from relay.checks import Finding, State, not_looked_at
from relay.errors import CliError
from relay.stack import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.context import Context

ALIAS = "live"
RULES_IN_CODE = "handler/enrichment.toml"
SUCCEEDED = 200
OWN_DEFECT = "deploy again: make deploy"
RULES = "src/handler/enrichment.toml"


def read_functions(context: Context, live: dict[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Puts Lambda's description of each function's live version into `live`, by logical name. Raises botocore's errors."""
    for function in FUNCTIONS:
        name = context.stack.outputs[f"{function}Name"]
        live[function] = context.functions.get_function(FunctionName=name, Qualifier=ALIAS)
    yield from ()


def check_settings(context: Context, live: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Whether the functions that run have the stack's parameters."""
    wrong = []
    for function, described in live.items():
        environment = described["Configuration"].get("Environment", {}).get("Variables", {})
        try:
            settings = Settings.from_environment(environment)
        except ConfigurationError as error:
            wrong.append(f"{function}: {error}")
            continue
        # Only one function is told the webhook's URL.
        names = [field.name for field in fields(Settings) if field.name != "webhook_url"]
        different = [name.upper() for name in names if getattr(settings, name) != getattr(context.settings, name)]
        if different:
            wrong.append(f"{function}: {', '.join(different)}")
    if wrong:
        return Finding(
            "settings",
            State.BAD,
            f"the functions run with other values than the stack's: {'; '.join(wrong)}",
            OWN_DEFECT,
        )
    return Finding("settings", State.GOOD, "the functions run with the stack's parameters")


def check_architecture(context: Context, live: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Whether the layer is for the functions' processor, as far as Lambda's descriptions say. Raises botocore's errors."""
    expected = context.stack.parameters.get("Architecture", "")
    of_layers: dict[str, Sequence[str]] = {}
    for function, described in live.items():
        configuration = described["Configuration"]
        [architecture, *_] = configuration.get("Architectures") or ["x86_64"]
        if expected not in {"", architecture}:
            what = f"{function} runs on {architecture}, and the stack's parameter is {expected}"
            return Finding("architecture", State.BAD, what, OWN_DEFECT)
        for layer in configuration.get("Layers", []):
            arn = layer["Arn"]
            if arn not in of_layers:
                of_layers[arn] = context.functions.get_layer_version_by_arn(Arn=arn).get("CompatibleArchitectures", [])
            if of_layers[arn] and architecture not in of_layers[arn]:
                what = f"{function} runs on {architecture}, and its layer is for {', '.join(of_layers[arn])}"
                return Finding("architecture", State.BAD, what, OWN_DEFECT)
    if not of_layers or not all(of_layers.values()):
        return Finding("architecture", State.UNKNOWN, "the layer does not say which processors it is for", OWN_DEFECT)
    return Finding("architecture", State.GOOD, "the layer is for the functions' processor")


def read_rules(context: Context, live: Mapping[str, Mapping[str, Any]], text: list[str]) -> Iterator[Finding]:
    """Puts the rules that OrderFunction runs with into `text`. Raises RetryLater, and CliError if its code is unreadable."""
    location = live["OrderFunction"].get("Code", {}).get("Location", "")
    answer = context.http.call("GET", location, {}, context.deadline())
    if answer.status != SUCCEEDED:
        raise CliError(f"The deployed code cannot be downloaded: HTTP {answer.status}.")
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as code:
            text.append(code.read(RULES_IN_CODE).decode())
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise CliError(f"The deployed code has no readable {RULES_IN_CODE}.", OWN_DEFECT) from error
    yield from ()


def check_rules(deployed: list[str], chosen: list[Rules], because: str) -> Iterator[Finding]:
    """The deployed rules compared with this folder's; puts those that orders are tried with into `chosen`.

    `deployed` holds the deployed rules' text, or nothing when it could not be read, `because` of another check; then
    this folder's rules are tried.
    """
    here: list[Rules] = []
    try:
        here.append(Rules.load(RULES_FILE))
    except ConfigurationError as error:
        yield Finding("rules", State.BAD, f"in this folder: {error}", f"correct {RULES}, then: make check-rules")
    if not deployed:
        chosen += here
        if here:
            yield not_looked_at("rules", "whether the deployed ones are this folder's, which are valid", because)
        return
    try:
        chosen.append(Rules.parse(deployed[0]))
    except ConfigurationError as error:
        what = f"the deployed ones are invalid: {error}"
        yield Finding("rules", State.BAD, what, f"correct {RULES}, then: make deploy")
        return
    if not here:
        return
    if tomllib.loads(deployed[0]) == tomllib.loads(RULES_FILE.read_text(encoding="utf-8")):
        yield Finding("rules", State.GOOD, "the deployed ones are this folder's")
        return
    yield Finding(
        "rules",
        State.BAD,
        f"the deployed ones are not those of this folder's {RULES}; the checks below use the deployed ones",
        "to deploy this folder's: make deploy; if the deployed ones are newer, update this folder instead",
    )
