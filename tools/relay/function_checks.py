"""Checks of the deployed functions: settings, architecture and rules of the alias `live`."""

from __future__ import annotations

import io
import tomllib
import zipfile
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from handler.enrichment import RULES_FILE, Rules
from handler.errors import ConfigurationError
from handler.settings import Settings
from relay.checks import Finding, State, not_checked
from relay.errors import CliError
from relay.stack import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.context import Context

ALIAS = "live"
RULES_IN_CODE = "handler/enrichment.toml"
SUCCEEDED = 200
REDEPLOY = "deploy again: make deploy"
RULES = "src/handler/enrichment.toml"


def read_functions(context: Context, live: dict[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Reads the live version of each function into `live`, by logical name. Raises botocore's errors."""
    for function in FUNCTIONS:
        name = context.stack.outputs[f"{function}Name"]
        live[function] = context.functions.get_function(FunctionName=name, Qualifier=ALIAS)
    yield from ()


def check_settings(context: Context, live: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Checks that the live versions have the stack's parameters."""
    wrong = []
    for function, described in live.items():
        environment = described["Configuration"].get("Environment", {}).get("Variables", {})
        try:
            settings = Settings.from_environment(environment)
        except ConfigurationError as error:
            wrong.append(f"{function}: {error}")
            continue
        # Only one function has the webhook's URL.
        names = [field.name for field in fields(Settings) if field.name != "webhook_url"]
        different = [name.upper() for name in names if getattr(settings, name) != getattr(context.settings, name)]
        if different:
            wrong.append(f"{function}: {', '.join(different)}")
    if wrong:
        return Finding(
            "settings",
            State.BAD,
            f"the live functions differ from the stack's parameters: {'; '.join(wrong)}",
            REDEPLOY,
        )
    return Finding("settings", State.GOOD, "the live functions have the stack's parameters")


def check_architecture(context: Context, live: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Checks that the layer supports the functions' architecture. Raises botocore's errors."""
    expected = context.stack.parameters.get("Architecture", "")
    of_layers: dict[str, Sequence[str]] = {}
    for function, described in live.items():
        configuration = described["Configuration"]
        [architecture, *_] = configuration.get("Architectures") or ["x86_64"]
        if expected not in {"", architecture}:
            what = f"{function} runs on {architecture}, but the stack's parameter is {expected}"
            return Finding("architecture", State.BAD, what, REDEPLOY)
        for layer in configuration.get("Layers", []):
            arn = layer["Arn"]
            if arn not in of_layers:
                of_layers[arn] = context.functions.get_layer_version_by_arn(Arn=arn).get("CompatibleArchitectures", [])
            if of_layers[arn] and architecture not in of_layers[arn]:
                what = f"{function} runs on {architecture}, but its layer is for {', '.join(of_layers[arn])}"
                return Finding("architecture", State.BAD, what, REDEPLOY)
    if not of_layers or not all(of_layers.values()):
        return Finding("architecture", State.UNKNOWN, "the layer does not state its architectures", REDEPLOY)
    return Finding("architecture", State.GOOD, "the layer supports the functions' architecture")


def read_rules(context: Context, live: Mapping[str, Mapping[str, Any]], text: list[str]) -> Iterator[Finding]:
    """Reads OrderFunction's deployed rules into `text`. Raises RetryLater, and CliError if its code is unreadable."""
    location = live["OrderFunction"].get("Code", {}).get("Location", "")
    answer = context.http.call("GET", location, {}, context.deadline())
    if answer.status != SUCCEEDED:
        raise CliError(f"The deployed code cannot be downloaded: HTTP {answer.status}.")
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as code:
            text.append(code.read(RULES_IN_CODE).decode())
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise CliError(f"The deployed code has no readable {RULES_IN_CODE}.", REDEPLOY) from error
    yield from ()


def check_rules(deployed: list[str], chosen: list[Rules], because: str) -> Iterator[Finding]:
    """Compares the deployed rules with this folder's; puts the rules to test with into `chosen`.

    `deployed` has the text of the deployed rules. It is empty if they could not be read `because` of another check;
    then this folder's rules are tested.
    """
    here: list[Rules] = []
    try:
        here.append(Rules.load(RULES_FILE))
    except ConfigurationError as error:
        yield Finding("rules", State.BAD, f"in this folder: {error}", f"correct {RULES}, then: make check-rules")
    if not deployed:
        chosen += here
        if here:
            yield not_checked("rules", "the deployed rules cannot be read; this folder's are valid", because)
        return
    try:
        chosen.append(Rules.parse(deployed[0]))
    except ConfigurationError as error:
        what = f"the deployed rules are invalid: {error}"
        yield Finding("rules", State.BAD, what, f"correct {RULES}, then: make deploy")
        return
    if not here:
        return
    if tomllib.loads(deployed[0]) == tomllib.loads(RULES_FILE.read_text(encoding="utf-8")):
        yield Finding("rules", State.GOOD, "the deployed rules are the same as this folder's")
        return
    yield Finding(
        "rules",
        State.BAD,
        f"the deployed rules differ from this folder's {RULES}; the checks below use the deployed rules",
        "deploy this folder's rules: make deploy; if the deployed rules are newer, update this folder instead",
    )
