"""`make sandbox`: the real template on this machine, with a simulated store, and a page to work with both."""

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

from sandbox.aws import sam_local
from sandbox.aws.cloud import Cloud, CloudError
from sandbox.aws.emulator import LOOPBACK
from sandbox.console import environment
from sandbox.console.commands import Commands
from sandbox.console.live_rules import RULES_IN_CODE, LiveRules
from sandbox.console.queues import QueueFollower
from sandbox.console.snapshot import Snapshots
from sandbox.console.web import PageServer
from sandbox.demo.scenarios import demo_store, outlet_store, secret_of
from sandbox.store.server import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from sandbox.aws.docker import Docker
    from sandbox.store.settings import Store

PORT = 8700
TUTORIAL = "docs/tutorial.md"
PARAMETERS = {"RecoveryFirstDelaySeconds": "2", "RecoveryLongestDelaySeconds": "10", "LateRequestsPerMinute": "120"}
POLL_SECONDS = 0.4
GRACE_SECONDS = 0.2


@dataclass(frozen=True)
class Sandbox:
    """A deployment with everything that the page needs."""

    cloud: Cloud
    letters: QueueFollower
    rules: LiveRules
    commands: Commands
    snapshots: Snapshots
    about: dict[str, Any]


def run(console: Console, *, port: int | None, rules: Path, env: Path, containers: Docker | None = None) -> int:
    """Deploys, serves the page until it is told to stop, and ends everything; the exit code.

    `port` None: PORT, or any free one if that is taken. `env` is written for `relay`, and removed at the end.
    With `containers`, `sam local start-api` takes the stores' webhooks there, in place of the emulator's API.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(page_socket(port))
        opened = _open(stack, console, rules, env, containers)
        own_port = listener.getsockname()[1]

        def say(line: str) -> None:
            console.print(line, soft_wrap=True, highlight=False, markup=False)

        if port is None and own_port != PORT:
            say(f"\nPort {PORT} is in use; the page uses another port.")
        say(f"\nThe sandbox is open: http://127.0.0.1:{own_port}/")
        if containers:
            say(
                "Webhooks go to OrderFunction in a container of `sam local start-api`. What it puts on the bus goes to the"
            )
            say("emulator's own OrderFunction and RecoveryFunction. Place an order on the page.")
        say(f"Edit {opened.rules.shown_path} and the next order uses the new rules.")
        say("\nTo use `relay` with it, in another terminal (again after each start of the sandbox):")
        say(f"  {opened.about['source']}\n  relay doctor")
        say("\nThe simulated stores' credentials, which open nothing else:")
        for store in opened.snapshots.stores:
            say(f"  {store.hash:<8} access token {store.access_token}, client secret {store.client_secret}")
        say(f"\nExercises for an operator: {TUTORIAL}")
        say("\nCtrl-C ends it.")
        error = asyncio.run(_serve(opened, listener))
    console.print(error or "\nThe sandbox is closed. Nothing is left running.")
    return 1 if error else 0


def page_socket(port: int | None) -> socket.socket:
    """The page's own address, taken before anything else is started; None: see `run`. Raises CloudError."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", PORT if port is None else port))
        listener.listen()  # at once: bound alone, the port could still be taken by another sandbox
    except OSError as error:
        listener.close()
        if port is None:
            return page_socket(0)
        raise CloudError(f"port {port} is not available ({error.strerror}); choose another with --port") from error
    return listener


def _open(stack: ExitStack, console: Console, rules_file: Path, env: Path, containers: Docker | None) -> Sandbox:
    sandbox = stack.enter_context(SandboxStore.run(also_on=containers.gateway if containers else ""))
    stores = [demo_store(), outlet_store()]
    addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
    host = containers.address if containers else LOOPBACK
    cloud = stack.enter_context(Cloud(PARAMETERS | addresses, host=host, progress=console.print))
    webhook_url = cloud.webhook_url
    if containers:
        environments = sam_local.variables(cloud, sandbox, ["OrderFunction"])
        api = stack.enter_context(sam_local.started(containers, "start-api", environments, console.print))
        webhook_url = api.url + sam_local.WEBHOOK_PATH
    for store in stores:
        add_store(sandbox, cloud, store, webhook_url)
    stack.enter_context(environment.written(env, cloud, stores[0].hash, webhook_url))
    letters = QueueFollower(cloud.client("sqs"), cloud.outputs, cloud.queue_depths, time.monotonic)
    rules = LiveRules(
        rules_file,
        cloud.deployed_file(RULES_IN_CODE).decode(),
        cloud.version(),
        lambda text: cloud.replace_file(RULES_IN_CODE, text),
        time.time,
    )
    commands = Commands(sandbox, stores[0], letters, webhook_url, cloud.store_secrets)
    about = {
        "source": f"source {environment.shown(env)}",
        "tutorial": TUTORIAL,
        "stores": [store.hash for store in stores],
    }
    snapshots = Snapshots(sandbox, stores, commands, cloud.log_follower, letters, rules, time.time)
    return Sandbox(cloud, letters, rules, commands, snapshots, about)


def add_store(sandbox: SandboxStore, cloud: Cloud, store: Store, webhook_url: str) -> None:
    """Opens a store with its secret and its hook, as `relay store add` and `relay hook create` leave them."""
    store.webhook_header = ("X-Relay-Key", secrets.token_urlsafe(24))
    sandbox.add_store(store)
    cloud.put_secret(store.hash, secret_of(store))
    sandbox.add_hook(store, webhook_url, headers=dict([store.webhook_header]))


async def _serve(opened: Sandbox, listener: socket.socket) -> str:
    """Serves until SIGINT or SIGTERM; what went wrong, if it did not end because it was told to."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = PageServer(opened.commands, opened.snapshots, opened.about)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    sources = {
        "logs": opened.cloud.log_follower.refresh,
        "queues": opened.letters.refresh,
        "rules": opened.rules.refresh,
    }
    polls = [asyncio.create_task(_poll(opened.snapshots, name, refresh)) for name, refresh in sources.items()]
    try:
        while not stop.is_set() and opened.cloud.emulator.running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    finally:
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        await runner.cleanup()
    return "" if stop.is_set() else f"The AWS on this machine has ended by itself:\n{opened.cloud.emulator.log_tail()}"


async def _poll(snapshots: Snapshots, name: str, refresh: Callable[[], None]) -> None:
    """Refresh again and again; the page shows the error of the last attempt."""
    while True:
        try:
            await asyncio.to_thread(refresh)
        except (ClientError, BotoCoreError) as error:
            snapshots.errors[name] = f"The AWS on this machine does not answer: {error}"
        else:
            snapshots.errors.pop(name, None)
        await asyncio.sleep(POLL_SECONDS)
