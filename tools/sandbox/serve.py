"""`make sandbox`: the real template on this machine, with a pretended store, and a page to play with both."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from sandbox import sam_local
from sandbox.cloud import Cloud, CloudError
from sandbox.counter import Counter
from sandbox.emulator import CREDENTIALS, LOOPBACK, REGION
from sandbox.letter_watch import LetterWatch
from sandbox.live_rules import RULES_IN_CODE, LiveRules
from sandbox.log_watch import LogWatch
from sandbox.page_server import PageServer
from sandbox.scenarios import demo_store, secret_of
from sandbox.snapshot import Snapshots
from sandbox.store import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from sandbox.docker import Docker

PARAMETERS = {"RecoveryFirstDelaySeconds": "2", "RecoveryLongestDelaySeconds": "10", "LateRequestsPerMinute": "120"}
LOOK_SECONDS = 0.4
GRACE_SECONDS = 0.2
FUNCTIONS = {"order": "OrderFunction", "recovery": "RecoveryFunction"}


@dataclass(frozen=True)
class Desk:
    """A deployment with everything that the page needs."""

    cloud: Cloud
    logs: LogWatch
    letters: LetterWatch
    rules: LiveRules
    counter: Counter
    snapshots: Snapshots
    about: dict[str, Any]


def run(console: Console, *, port: int, rules: Path, containers: Docker | None = None) -> int:
    """Deploys, serves the page until it is told to stop, and ends everything; the exit code.

    With `containers`, the store's webhooks go to `sam local start-api` there in place of the emulator's API.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(_listener(port))
        desk = _open(stack, console, rules, containers)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        console.print(f"\nThe sandbox is open: [bold]{address}[/]", soft_wrap=True)
        if containers:
            console.print(
                f"Webhooks go to OrderFunction behind `sam local start-api`: {desk.about['webhook_url']}\n"
                "What it puts on the bus goes to the emulator's own OrderFunction and RecoveryFunction.\n"
                "Place an order on the page.",
                soft_wrap=True,
            )
        console.print(f"Edit {desk.rules.shown_path} and the next order follows it.\n", soft_wrap=True, highlight=False)
        console.print("To use `relay` with it, say this in another terminal:", highlight=False)
        for line in desk.about["environment"]:
            console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
        console.print("\nCtrl-C ends it.")
        trouble = asyncio.run(_serve(desk, listener))
    console.print(trouble or "\nThe sandbox is closed. Nothing is left running.")
    return 1 if trouble else 0


def _listener(port: int) -> socket.socket:
    """The page's own address, taken before anything else is started. Raises CloudError."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise CloudError(f"port {port} cannot be had ({error.strerror}); choose another with --port") from error
    return listener


def _open(stack: ExitStack, console: Console, rules_file: Path, containers: Docker | None) -> Desk:
    sandbox = stack.enter_context(SandboxStore.run(also_on=containers.gateway if containers else ""))
    store = demo_store()
    store.webhook_header = ("X-Relay-Key", secrets.token_urlsafe(24))
    sandbox.add_store(store)
    addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
    host = containers.address if containers else LOOPBACK
    cloud = stack.enter_context(Cloud(PARAMETERS | addresses, host=host, progress=console.print))
    cloud.put_secret(store.hash, secret_of(store))
    webhook_url = cloud.webhook_url
    if containers:
        environments = sam_local.variables(cloud, sandbox, ["OrderFunction"])
        local = stack.enter_context(sam_local.started(containers, "start-api", environments, console.print))
        webhook_url = local.url + sam_local.WEBHOOK_PATH
    sandbox.add_hook(store, webhook_url, headers=dict([store.webhook_header]))
    logs = LogWatch(
        cloud.client("logs"),
        {name: f"/aws/lambda/{cloud.outputs[f'{function}Name']}" for name, function in FUNCTIONS.items()},
    )
    letters = LetterWatch(cloud.client("sqs"), cloud.outputs, cloud.queue_depths, time.monotonic)
    rules = LiveRules(
        rules_file,
        cloud.deployed_file(RULES_IN_CODE).decode(),
        cloud.version(),
        lambda text: cloud.replace_file(RULES_IN_CODE, text),
        time.time,
    )
    counter = Counter(sandbox, store, letters, webhook_url, cloud.put_secret)
    about = {
        "store": store.hash,
        "store_url": sandbox.url,
        "webhook_url": webhook_url,
        "environment": environment(cloud, webhook_url),
    }
    return Desk(
        cloud, logs, letters, rules, counter, Snapshots(sandbox, store, counter, logs, letters, rules, time.time), about
    )


def environment(cloud: Cloud, webhook_url: str) -> list[str]:
    """The lines that let `relay` work with this sandbox; the credentials are made up."""
    values = {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "RELAY_DESTINATION": webhook_url,
    }
    return [f"export {name}={value}" for name, value in values.items()]


async def _serve(desk: Desk, listener: socket.socket) -> str:
    """Serves until SIGINT or SIGTERM; what went wrong, if it did not end because it was told to."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for told in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(told, stop.set)
    server = PageServer(desk.counter, desk.snapshots, desk.about)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    looks = {"logs": desk.logs.look, "queues": desk.letters.look, "rules": desk.rules.look}
    looking = [asyncio.create_task(_keep_looking(desk.snapshots, name, look)) for name, look in looks.items()]
    try:
        while not stop.is_set() and desk.cloud.emulator.running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        await runner.cleanup()
    return "" if stop.is_set() else f"The AWS on this machine has ended by itself:\n{desk.cloud.emulator.log_tail()}"


async def _keep_looking(snapshots: Snapshots, name: str, look: Callable[[], None]) -> None:
    """Looks again and again; what cannot be seen is told on the page, until it can be again."""
    while True:
        try:
            await asyncio.to_thread(look)
        except (ClientError, BotoCoreError) as error:
            snapshots.troubles[name] = f"The AWS on this machine does not answer: {error}"
        else:
            snapshots.troubles.pop(name, None)
        await asyncio.sleep(LOOK_SECONDS)
