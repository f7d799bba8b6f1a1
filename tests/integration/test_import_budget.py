"""What a cold start loads, counted: modules and their source, not seconds. Against the built function and a clean interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from sandbox.aws import sam
from sandbox.aws.emulator import CREDENTIALS, REGION

# A few percent above what was counted. Who needs more says so here, and measures with bench/cold_start.py before.
MOST_FILES = 315
MOST_BYTES = 3_750_000
LIBRARIES = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "certifi",
    "charset_normalizer",
    "dateutil",
    "idna",
    "jmespath",
    "requests",
    "s3transfer",
    "six.py",
    "standardwebhooks",
    "typing_extensions.py",
    "urllib3",
}
"""What may be loaded at start. Not on the list: pydantic, aws_xray_sdk, any validator of schemas."""

LOAD = """
import importlib, json, os, sys
importlib.import_module(sys.argv[1])
paths = {module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)}
print(json.dumps({"modules": sorted(sys.modules), "bytes": {path: os.path.getsize(path) for path in paths}}))
"""


@dataclass(frozen=True)
class Loaded:
    """What is in memory once a function has started."""

    modules: set[str]
    of_the_build: dict[str, int]
    """Bytes of source by path in the build."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam.build(print, folder)
    return folder


@pytest.fixture(scope="module", params=["OrderFunction", "RecoveryFunction", "ReconcileFunction"])
def loaded(request: pytest.FixtureRequest, built: Path) -> Loaded:
    template = yaml.safe_load((built / "template.yaml").read_text(encoding="utf-8"))
    entry_point = template["Resources"][request.param]["Properties"]["Handler"].rpartition(".")[0]
    path = (built / request.param, built / "DependenciesLayer" / "python")
    result = subprocess.run(
        # Without `site`, the interpreter finds the standard library and the build alone.
        [sys.executable, "-S", "-s", "-B", "-c", LOAD, entry_point],
        env={
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "POWERTOOLS_SERVICE_NAME": "relay",
            "AWS_DEFAULT_REGION": REGION,
            **CREDENTIALS,
            **dict.fromkeys(variables(template, request.param), "1"),
            "STORE_API_URL": "https://api.example.com",
            "B2B_API_URL": "https://api.example.com",
            "LOG_LEVEL": "INFO",
            "LATE_REQUESTS_PER_MINUTE": "60",
        },
        cwd=built,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not result.stderr
    found = json.loads(result.stdout)
    root = f"{built}{os.sep}"
    return Loaded(
        set(found["modules"]),
        {file.removeprefix(root): size for file, size in found["bytes"].items() if file.startswith(root)},
    )


def variables(template: dict[str, Any], function: str) -> set[str]:
    """The names of a function's environment variables."""
    own: dict[str, Any] = template["Resources"][function]["Properties"].get("Environment", {}).get("Variables", {})
    return {*template["Globals"]["Function"]["Environment"]["Variables"], *own}


def test_starting_loads_no_more_modules_and_source_than_the_budget(loaded: Loaded) -> None:
    assert len(loaded.of_the_build) <= MOST_FILES
    assert sum(loaded.of_the_build.values()) <= MOST_BYTES


def test_starting_loads_the_libraries_it_needs_and_no_other(loaded: Loaded) -> None:
    paths = [PurePath(path).parts for path in loaded.of_the_build]

    assert {path[2] for path in paths if path[0] == "DependenciesLayer"} <= LIBRARIES


def test_starting_does_not_load_what_powertools_has_beside_logs_metrics_and_idempotency(loaded: Loaded) -> None:
    utilities = {name.split(".")[2] for name in loaded.modules if name.startswith("aws_lambda_powertools.utilities.")}

    assert utilities <= {"idempotency", "jmespath_utils"}


def test_the_layer_describes_the_services_in_use_and_no_other(built: Path) -> None:
    data = built / "DependenciesLayer" / "python" / "botocore" / "data"

    assert {folder.name for folder in data.iterdir() if folder.is_dir()} == {
        "codedeploy",  # this and lambda for the check before a gradual deployment
        "dynamodb",
        "events",
        "lambda",
        "secretsmanager",
        "sqs",
    }
