"""Docker on this machine, for the containers of `sam local`: where it is, and how its containers reach this machine."""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from sandbox.emulator import LOOPBACK, CloudError, free_port

WITHOUT = "`make run` and `make sandbox` need no Docker."
START = {
    "darwin": "Start Docker Desktop",
    "linux": "Start it (`sudo systemctl start docker`), and see that this user may use it (group `docker`)",
}


@dataclass(frozen=True)
class Docker:
    """`endpoint` is the daemon's address (DOCKER_HOST), `architecture` the containers', as Lambda names it.

    `gateway` is the address of this machine on the containers' network. It is empty with Docker Desktop and on macOS:
    there host.docker.internal leads to 127.0.0.1 of this machine.
    """

    endpoint: str
    architecture: str
    gateway: str = ""

    @property
    def address(self) -> str:
        """The address of this machine on which a server has to listen for the containers."""
        return self.gateway or LOOPBACK


def find() -> Docker:
    """The Docker of this machine. Raises CloudError, with what to do, when there is none or it does not answer."""
    if shutil.which("docker") is None:
        raise CloudError(
            f"the functions run in containers, and there is no `docker` command on this machine.\n"
            f"Install Docker (https://docs.docker.com/get-docker/). {WITHOUT}"
        )
    info = _ask("info", "--format", "{{json .}}")
    endpoint = _ask("context", "inspect")[0]["Endpoints"]["docker"]["Host"]
    architecture = "arm64" if info["Architecture"] in {"aarch64", "arm64"} else "x86_64"
    if sys.platform == "darwin" or info["OperatingSystem"] == "Docker Desktop":
        return Docker(endpoint, architecture)
    gateway = gateway_of(_ask("network", "inspect", "bridge")[0])
    try:
        free_port(gateway)
    except OSError as error:
        raise CloudError(
            f"Docker's containers reach their host at {gateway}, which is no address of this machine"
            f" (rootless Docker, or Docker in a virtual machine).\nUse Docker Engine or Docker Desktop. {WITHOUT}"
        ) from error
    return Docker(endpoint, architecture, gateway)


def gateway_of(network: dict[str, Any]) -> str:
    """The host's IPv4 address on a bridge network; a daemon that has chosen the subnet itself may not name it."""
    for config in network["IPAM"]["Config"]:
        subnet = ipaddress.ip_network(config["Subnet"], strict=False)
        if subnet.version == 4:  # noqa: PLR2004  IPv4
            return str(config.get("Gateway") or subnet[1]).partition("/")[0]
    raise CloudError(
        f"Docker's network `bridge` has no IPv4 addresses; the functions cannot reach this machine. {WITHOUT}"
    )


def _ask(*arguments: str) -> Any:
    """What the docker command answers, as JSON. Raises CloudError when the daemon does not answer."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    answer = json.loads(result.stdout) if result.returncode == 0 else {}
    errors = answer.get("ServerErrors") if isinstance(answer, dict) else None
    if result.returncode != 0 or errors:
        said = (errors or result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CloudError(f"Docker does not answer: {said}\n{START.get(sys.platform, 'Start it')}. {WITHOUT}")
    return answer
