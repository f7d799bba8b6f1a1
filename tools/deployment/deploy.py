"""`make deploy`: deploys an environment of samconfig.toml. Prompts for the region if none is set.

SAM publishes a new version of a function for new code, a new layer or a changed property, but not for a changed
parameter value (serverless-application-model #3820). Therefore this module writes a fingerprint of the build and of the
parameter values into the built template. The fingerprint is not a parameter: CloudFormation would keep its last value,
and a later `sam deploy` without this module would publish no version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from deployment.build import BUILD, ROOT
from relay.command import INTERRUPTED, UNKNOWN, WRONG, report
from relay.context import AWS_CALLS, AwsSession
from relay.errors import CliError, explained
from relay.stack import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STACK_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9-]{{0,{LONGEST_NAME - 1}}}")
OVERRIDE = re.compile(r"(?:ParameterKey=)?(\w+)(?:,ParameterValue)?=(.*)", re.DOTALL)
"""Either form of a parameter in samconfig.toml: `Name=value`, `ParameterKey=Name,ParameterValue=value`."""

NEXT = """
Deployed. Next:
  source .venv/bin/activate
  export AWS_REGION={region} RELAY_STACK={stack}
  relay doctor
For a new stack, continue with step 3 of docs/deployment.md: add a store."""


@dataclass(frozen=True)
class Environment:
    """An environment of samconfig.toml; `region` and `profile` are empty if the file does not have them."""

    name: str
    stack: str
    region: str
    profile: str
    overrides: tuple[str, ...]

    @classmethod
    def read(cls, text: str, name: str) -> Environment:
        """The environment of this name in samconfig.toml. Raises CliError if it is missing or its stack name is invalid."""
        config = tomllib.loads(text)
        config.pop("version", None)
        if name not in config:
            raise CliError(
                f"samconfig.toml has no environment {name}.", f"Choose one with CONFIG_ENV: {', '.join(config)}"
            )
        tables = [config[name].get(command, {}).get("parameters", {}) for command in ("global", "deploy")]
        known: dict[str, Any] = {**tables[0], **tables[1]}
        stack = known.get("stack_name", "")
        if not STACK_NAME.fullmatch(stack):
            raise CliError(
                f"{stack!r} is not a valid stack name.",
                f"Set stack_name in [{name}.global.parameters] of samconfig.toml: a letter, then letters, digits and "
                f"-, {LONGEST_NAME} characters at most.",
            )
        overrides = known.get("parameter_overrides", [])
        if isinstance(overrides, dict):
            overrides = [f'{parameter}="{value}"' for parameter, value in overrides.items()]
        return cls(
            name,
            stack,
            known.get("region", ""),
            known.get("profile", ""),
            (overrides,) if isinstance(overrides, str) else tuple(overrides),
        )


def overridden(overrides: Sequence[str]) -> dict[str, str]:
    """The parameters in overrides of samconfig.toml or the command line, in either form of the SAM CLI."""
    found = {}
    for word in shlex.split(" ".join(overrides)):
        name, value = match.groups() if (match := OVERRIDE.fullmatch(word)) else (word, "")
        found[name] = value
    return found


def values(template: Mapping[str, Any], deployed: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The parameter values after the deployment: given, else as deployed, else the defaults."""
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    known = {name: value for name, value in deployed.items() if name in defaults}
    return {**defaults, **known, **given}


def fingerprint(build: Path, parameters: Mapping[str, str]) -> str:
    """SHA-256 of the names and contents of all files in the folder, and of the parameters."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in sorted(path for path in build.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(build).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stamped(template: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """The template, with the mark as AutoPublishCodeSha256 of each function that has an alias."""
    resources = {
        name: {**resource, "Properties": {**resource["Properties"], "AutoPublishCodeSha256": mark}}
        if resource["Type"] == "AWS::Serverless::Function"
        else resource
        for name, resource in template["Resources"].items()
    }
    return {**template, "Resources": resources}


def deployed_parameters(session: AwsSession, region: str, stack: str) -> dict[str, str]:
    """The parameters of the stack; empty if it does not exist. Raises botocore's errors."""
    client: Any = session.client("cloudformation", region_name=region, config=AWS_CALLS)
    try:
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":  # the stack does not exist
            raise
        return {}
    return {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in found.get("Parameters", [])}


def region_of(environment: Environment, given: str, session: AwsSession) -> str:
    """The region of REGION, samconfig.toml, the shell, the profile or a prompt, in this order. Raises CliError."""
    shell = os.environ.get("AWS_REGION", "")
    region = given or environment.region or shell or session.get_config_variable("region") or ""
    if not region and sys.stdin.isatty():
        region = input("AWS region, such as eu-west-1: ").strip()
    if not region:
        raise CliError("No AWS region is set.", "Set it: make deploy REGION=eu-west-1")
    return str(region)


def deploy(environment: Environment, options: argparse.Namespace) -> int:
    """Checks, builds and deploys; returns the exit code. Raises CliError and botocore's errors."""
    session = AwsSession(profile=environment.profile or None)
    region = region_of(environment, options.region, session)
    # Overrides on the command line replace those of samconfig.toml, so pass both.
    overrides = [*environment.overrides, f"AlarmEmail={options.email}"] if options.email else environment.overrides
    deployed = deployed_parameters(session, region, environment.stack)
    where = ["--region", region, *(["--profile", session.profile] if session.profile else [])]
    checks = [sys.executable, "-m", "relay.main", "doctor", "--before-deploy", "--stack", environment.stack, *where]
    if (code := subprocess.run(checks, check=False).returncode) and code != UNKNOWN:
        return code
    if code := subprocess.run(["make", "--no-print-directory", "build"], cwd=ROOT, check=False).returncode:
        return code
    path = BUILD / "template.yaml"
    template = yaml.safe_load(path.read_text(encoding="utf-8"))
    parameters = values(template, deployed, overridden(overrides))
    if options.guided:
        parameters["guided"] = str(time.time())  # the answers are not known yet
    path.write_text(
        yaml.safe_dump(stamped(template, fingerprint(BUILD, parameters)), sort_keys=False), encoding="utf-8"
    )
    code = subprocess.run(
        [
            ROOT / ".env-sam" / "bin" / "sam",
            "deploy",
            *("--config-env", environment.name, *where),
            *(["--guided"] if options.guided else []),
            *(["--no-confirm-changeset"] if options.yes else []),
            *(["--parameter-overrides", *overrides] if options.email else []),
        ],
        cwd=ROOT,
        check=False,
    ).returncode
    if not code:
        print(NEXT.format(stack=environment.stack, region=region))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploys, or prints the stack name; reports errors with their fix."""
    parser = argparse.ArgumentParser(prog="make deploy")
    parser.add_argument("--config-env", default="default")
    parser.add_argument("--print-stack", action="store_true")
    for text in ("region", "email"):
        parser.add_argument(f"--{text}", default="")
    for flag in ("guided", "yes"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args(arguments)
    try:
        environment = Environment.read((ROOT / "samconfig.toml").read_text(encoding="utf-8"), options.config_env)
        if options.print_stack:
            print(environment.stack)
            return 0
        return deploy(environment, options)
    except (CliError, BotoCoreError, ClientError) as error:
        report(explained(error) or CliError(str(error)), as_json=False)
        return WRONG
    except (KeyboardInterrupt, EOFError):
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
