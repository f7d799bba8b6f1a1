# ruff: noqa: INP001  # a script alone in its folder, not a package
"""Take out of the layer what the functions never read: it costs time at every cold start.

Boto3 describes more than 400 AWS services; the relay talks to four of them, and the check of a new release to two more.
"""

import json
import re
import shutil
import sys
from pathlib import Path

SERVICES = {"codedeploy", "dynamodb", "events", "lambda", "secretsmanager", "sqs"}


def trim(packages: Path) -> None:
    """Trim the packages in this folder, in place."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    shutil.rmtree(packages / "boto3" / "data")  # the `boto3.resource` descriptions; only clients are used
    shutil.rmtree(packages / "boto3" / "examples")
    trim_service_models(packages / "botocore" / "data")
    trim_endpoints(packages / "botocore" / "data" / "endpoints.json")
    for record in packages.glob("*.dist-info/*"):
        if record.name in {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"}:
            record.unlink()


def refuse_native_code(packages: Path) -> None:
    """Exit when there is code for one processor: the layer serves both architectures, and pip can install wheels with either."""
    native = sorted(path for path in packages.rglob("*") if re.search(r"\.(so|pyd|dylib)(\.|$)", path.name))
    if native:
        sys.exit(
            f"The layer must be pure Python, and {native[0].relative_to(packages)} is compiled (docs/decisions/0006)."
        )


def trim_service_models(data: Path) -> None:
    """Keep the newest model of each service in use."""
    for service in [folder for folder in data.iterdir() if folder.is_dir()]:
        versions = sorted(service.iterdir())
        unused = versions[:-1] if service.name in SERVICES else [service]
        for folder in unused:
            shutil.rmtree(folder)
    for examples in data.rglob("examples-1.json"):
        examples.unlink()


def trim_endpoints(path: Path) -> None:
    """Keep all regions and partitions, but only the services in use. Without the file no client can be made."""
    endpoints = json.loads(path.read_text(encoding="utf-8"))
    for partition in endpoints["partitions"]:
        partition["services"] = {name: value for name, value in partition["services"].items() if name in SERVICES}
    path.write_text(json.dumps(endpoints, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    refuse_native_code(Path(sys.argv[1]))
    trim(Path(sys.argv[1]))
