"""The real `sam build` and `sam deploy`, and the template between them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.emulator import CREDENTIALS, REGION, ROOT, CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# ministack refuses a whole template for one resource of a type that it does not know.
# tests/e2e/test_cloud.py fails as soon as it has learned one of them.
UNKNOWN_TYPES = (
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Events::Archive",
    "AWS::Events::EventBusPolicy",
    "AWS::WAFv2::WebACLAssociation",
)
MATH_ALARM = "AWS::CloudWatch::Alarm with metric math"
# Apart from .aws-sam/build, where your own `sam build` goes, and `sam deploy` takes from.
BUILD = ROOT / ".aws-sam" / "sandbox"
BUILD_KEY = BUILD / ".inputs"  # `sam build` empties the folder first, so the key never outlives what it stands for


def build(progress: Callable[[str], None], destination: Path) -> None:
    """Copy a build of the working tree to `destination`; `sam build` runs only if something has changed since the last."""
    with _only_one_builds():
        key = _inputs()
        if not BUILD_KEY.exists() or BUILD_KEY.read_text(encoding="utf-8") != key:
            progress("Building with the SAM CLI")
            _sam("build", "--parallel", f"--build-dir={BUILD}", cwd=ROOT, environment={}, folder=destination.parent)
            _compile_for_emulator()
            BUILD_KEY.write_text(key, encoding="utf-8")
        shutil.copytree(BUILD, destination)


def without_unknown_types(template: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The template without what ministack does not know, and what was taken out: types, and alarms on expressions."""
    unknown = {
        name: MATH_ALARM if is_math_alarm(resource) else resource["Type"]
        for name, resource in template["Resources"].items()
        if resource["Type"] in UNKNOWN_TYPES or is_math_alarm(resource)
    }
    resources = {name: resource for name, resource in template["Resources"].items() if name not in unknown}
    return {**template, "Resources": resources}, sorted(set(unknown.values()))


def is_math_alarm(resource: dict[str, Any]) -> bool:
    """Whether it is an alarm on an expression, for which ministack refuses the template as well."""
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def deploy(
    built: Path, stack: str, bucket: str, parameters: Mapping[str, str], endpoint: str, progress: Callable[[str], None]
) -> None:
    """Deploy the build in this folder to the AWS at `endpoint`."""
    template, removed = without_unknown_types(yaml.safe_load((built / "template.yaml").read_text(encoding="utf-8")))
    for kind in removed:
        progress(f"Deploying without {kind}, which ministack does not know")
    derived = built / "sandbox-template.yaml"
    derived.write_text(yaml.safe_dump(template, sort_keys=False), encoding="utf-8")
    progress("Deploying with the SAM CLI")
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    _sam(
        "deploy",
        f"--template-file={derived}",
        f"--stack-name={stack}",
        f"--s3-bucket={bucket}",
        f"--region={REGION}",
        "--capabilities=CAPABILITY_IAM",
        "--no-confirm-changeset",
        "--no-progressbar",
        *(["--parameter-overrides", *overrides] if overrides else []),
        cwd=built,
        environment={"AWS_ENDPOINT_URL": endpoint},
        folder=built.parent,
    )


def _sam(*arguments: str, cwd: Path, environment: Mapping[str, str], folder: Path) -> None:
    """Run the SAM CLI. Raises CloudError with what it said."""
    result = subprocess.run(
        command(*arguments, folder=folder),
        cwd=cwd,
        env={**surroundings(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise CloudError(f"`sam {arguments[0]}` failed:\n{result.stdout[-4000:]}")


def command(*arguments: str, folder: Path) -> list[str]:
    """The command line of the SAM CLI with none of this user's settings; `folder` takes an empty file of settings."""
    sam = ROOT / ".env-sam" / "bin" / "sam"
    if not sam.exists():
        raise CloudError("the SAM CLI is not installed; `make setup` installs it")
    empty = folder / "samconfig.toml"
    empty.write_text("version = 0.1\n", encoding="utf-8")
    return [str(sam), *arguments, f"--config-file={empty}"]


def surroundings() -> dict[str, str]:
    """The environment of the SAM CLI: made-up credentials, and none of this user's AWS settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    return {
        **own,
        # The layer is built with the project's own Python, which surely has pip.
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        **CREDENTIALS,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _compile_for_emulator() -> None:
    """Add .pyc for ministack's Python: the runtime's own do not help it, and it starts many workers."""
    python = ROOT / ".env-ministack" / "bin" / "python"
    subprocess.run([python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", BUILD], check=True)


def _inputs() -> str:
    """A fingerprint of all that a build is made from."""
    files = [ROOT / "template.yaml"]
    for folder in (ROOT / "src", ROOT / "layers"):
        files += [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@contextmanager
def _only_one_builds() -> Iterator[None]:
    (ROOT / ".aws-sam").mkdir(exist_ok=True)
    with (ROOT / ".aws-sam" / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
