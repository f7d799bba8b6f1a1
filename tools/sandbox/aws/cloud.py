"""The relay, deployed from its real template into an AWS on this machine.

with Cloud({"B2BApiUrl": store.url, "StoreApiUrl": store.url}, progress=print) as cloud:
    cloud.put_secret("abc123", {"access_token": "...", "client_secret": "..."})
    requests.post(cloud.webhook_url, ...)
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
import zipfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from handler.table.store_registry import StoreRegistry
from relay.store_secrets import StoreSecrets
from sandbox.aws import sam
from sandbox.aws.emulator import LOOPBACK, CloudError, Emulator
from sandbox.aws.logs import LogFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from sandbox.aws.proxy import AwsProxy

__all__ = ["Cloud", "CloudError"]

BUCKET = "sandbox-deployments"
FUNCTIONS = ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
ALIAS = "live"
ENOUGH_MEMORY_BYTES = 4 * 1024**3


def _say_nothing(_text: str) -> None:
    """Report no progress."""


class Cloud:
    """One deployment of the relay in an emulator of its own. Several can run at the same time."""

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        stack: str = "b2b-order-relay",
        host: str = LOOPBACK,
        progress: Callable[[str], None] = _say_nothing,
        proxy: AwsProxy | None = None,
        alter: Callable[[Path], None] | None = None,
    ) -> None:
        """Nothing happens yet. `parameters` override those of the template; `progress` is told each step.

        The emulator listens on the address `host` of this machine. With a `proxy`, the functions (and they alone) reach AWS through it. `alter` may change the build before it is
        deployed: it is given the folder.
        """
        self._host = host
        self._proxy = proxy
        self._alter = alter
        self.stack = stack
        self.outputs: dict[str, str] = {}
        self._parameters = dict(parameters or {})
        self._progress = progress
        self._folder: Path | None = None
        self._emulator: Emulator | None = None

    def __enter__(self) -> Self:
        """Build what has changed, start the emulator, deploy. Raises CloudError, with nothing left running."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything and remove its files."""
        self.close()

    def close(self) -> None:
        """End the emulator with its workers, and remove its files. May be called twice."""
        if self._emulator:
            self._emulator.stop()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def emulator(self) -> Emulator:
        """The process behind it."""
        if self._emulator is None:
            raise CloudError("the cloud has not been started; use it in a `with` statement")
        return self._emulator

    @property
    def endpoint_url(self) -> str:
        """Where every AWS service of this cloud answers."""
        return self.emulator.url

    @property
    def webhook_url(self) -> str:
        """`WebhookUrl` as it is reached on this machine."""
        api, _, path = self.outputs["WebhookUrl"].removeprefix("https://").partition(".")
        return f"{self.endpoint_url}/_aws/execute-api/{api}/{path.partition('/')[2]}"

    def client(self, service: str) -> Any:
        """A boto3 client of this cloud; made once for each service, and safe to share between threads."""
        return self.emulator.client(service)

    def put_secret(self, store_hash: str, secret: Mapping[str, Any]) -> None:
        """Create or replace the secret of a store and put the store on the table's list, as `relay store add` does."""
        self.store_secrets.write(store_hash, dict(secret))
        StoreRegistry(self.outputs["IdempotencyTableName"], self.client("dynamodb")).note(store_hash)

    def variables(self, function: str) -> dict[str, str]:
        """The environment variables that a function was deployed with."""
        config = self.client("lambda").get_function_configuration(FunctionName=self.outputs[f"{function}Name"])
        variables: dict[str, str] = config["Environment"]["Variables"]
        return variables

    @property
    def store_secrets(self) -> StoreSecrets:
        """The stores' secrets, as `relay` reads and writes them."""
        return StoreSecrets(self.client("secretsmanager"), self._parameters.get("SecretPrefix") or self.stack)

    def replace_file(self, name: str, content: bytes) -> str:
        """Bring a file of `src` with this content into the running functions; the version that OrderFunction has then.

        It is done as a deployment does it: new code, a new version, the alias moved. What has begun ends with the old.
        """
        functions = self.client("lambda")
        names = {function: self.outputs[f"{function}Name"] for function in FUNCTIONS}
        for function, function_name in names.items():
            code = _zipped(self._built / function, name, content)
            functions.update_function_code(FunctionName=function_name, ZipFile=code)
        versions = {}
        for function, function_name in names.items():
            functions.get_waiter("function_updated_v2").wait(FunctionName=function_name, WaiterConfig={"Delay": 1})
            old = functions.get_alias(FunctionName=function_name, Name=ALIAS)["FunctionVersion"]
            new = versions[function] = functions.publish_version(FunctionName=function_name)["Version"]
            functions.update_alias(FunctionName=function_name, Name=ALIAS, FunctionVersion=new)
            self._retire(function_name, {"$LATEST", old, new})
        return str(versions["OrderFunction"])

    def deployed_file(self, name: str) -> bytes:
        """A file of OrderFunction as it was deployed."""
        return (self._built / "OrderFunction" / name).read_bytes()

    def version(self) -> str:
        """The version of OrderFunction that events go to."""
        alias = self.client("lambda").get_alias(FunctionName=self.outputs["OrderFunctionName"], Name=ALIAS)
        return str(alias["FunctionVersion"])

    @cached_property
    def log_follower(self) -> LogFollower:
        """The logs of all functions."""
        groups = {function: f"/aws/lambda/{self.outputs[f'{function}Name']}" for function in FUNCTIONS}
        return LogFollower(self.client("logs"), groups)

    def logs(self, function: str) -> list[str]:
        """Everything that a function has written so far, oldest first."""
        self.log_follower.refresh()
        return [message for _, message in self.log_follower.events(function)]

    def log_entries(self, *functions: str) -> list[dict[str, Any]]:
        """The structured lines of these functions, embedded metrics among them."""
        return [json.loads(line) for function in functions for line in self.logs(function) if line.startswith("{")]

    def queue_depths(self) -> dict[str, tuple[int, int]]:
        """Messages of RecoveryQueue and DeadLetterQueue: (waiting, hidden while being worked on or delayed)."""
        depths = {}
        for queue in ("RecoveryQueue", "DeadLetterQueue"):
            attributes = self.client("sqs").get_queue_attributes(
                QueueUrl=self.outputs[f"{queue}Url"], AttributeNames=["All"]
            )["Attributes"]
            hidden = ("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
            depths[queue] = (
                int(attributes["ApproximateNumberOfMessages"]),
                sum(int(attributes.get(name, 0)) for name in hidden),
            )
        return depths

    def dead_letters(self) -> list[dict[str, Any]]:
        """The messages in DeadLetterQueue as SQS gives them; they stay there."""
        client, url = self.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        found: dict[str, dict[str, Any]] = {}
        try:
            while messages := client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=60,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", []):
                found.update({message["MessageId"]: message for message in messages})
        finally:
            for message in found.values():
                client.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                )
        return list(found.values())

    def _retire(self, function_name: str, keep: set[str]) -> None:
        """Remove older versions, whose idle workers the emulator would keep for ever."""
        functions = self.client("lambda")
        for found in functions.list_versions_by_function(FunctionName=function_name)["Versions"]:
            if found["Version"] not in keep:
                functions.delete_function(FunctionName=function_name, Qualifier=found["Version"])

    @property
    def _built(self) -> Path:
        """What was deployed, as `sam build` left it."""
        if self._folder is None:
            raise CloudError("the cloud has not been started; use it in a `with` statement")
        return self._folder / "build"

    def _start(self) -> None:
        began = time.monotonic()
        self._folder = Path(tempfile.mkdtemp(prefix="b2b-order-relay-", dir=_fast_folder()))
        self._progress("Starting an AWS on this machine (ministack)")
        self._emulator = Emulator(
            self._folder, host=self._host, endpoint_for_functions=self._proxy.url if self._proxy else ""
        )
        if self._proxy:
            self._proxy.target = self._emulator.url
        sam.build(self._progress, self._built)
        if self._alter:
            self._alter(self._built)
        self._emulator.wait_until_ready()
        self.client("s3").create_bucket(Bucket=BUCKET)
        sam.deploy(self._built, self.stack, BUCKET, self._parameters, self.endpoint_url, self._progress)
        stack = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self._progress(f"Deployed after {time.monotonic() - began:.1f} s")


def _zipped(folder: Path, name: str, content: bytes) -> bytes:
    """The folder as a zip file, one of its files with another content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = path.relative_to(folder).as_posix()
            archive.writestr(inside, content if inside == name else path.read_bytes())
    return packed.getvalue()


def _fast_folder() -> str | None:
    """Memory, where there is plenty: every Lambda worker unpacks the layer, ten times as fast there as on a disk."""
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a private folder below it
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ENOUGH_MEMORY_BYTES:
        return str(memory)
    return None
