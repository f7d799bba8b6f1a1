"""The file that lets a terminal use `relay` with the sandbox: `source .sandbox/env`."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.emulator import CREDENTIALS, REGION, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.cloud import Cloud

FILE = ROOT / ".sandbox" / "env"


def variables(cloud: Cloud, store_hash: str, webhook_url: str = "") -> dict[str, str]:
    """What `relay` finds in the environment; the credentials are made up. `webhook_url`, if it is not the emulator's."""
    return {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "RELAY_STACK": cloud.stack,
        "RELAY_STORE": store_hash,
        "RELAY_DESTINATION": webhook_url or cloud.webhook_url,
    }


@contextmanager
def written(file: Path, cloud: Cloud, store_hash: str, webhook_url: str = "") -> Iterator[None]:
    """The file, for bash and zsh, until the end of the block. Raises OSError when it cannot be written."""
    lines = [
        "# For a terminal that works with the sandbox; `make sandbox` writes it anew. All values are made up.",
        # They would take precedence over what follows, or be sent along with it.
        "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        *(f"export {name}={shlex.quote(value)}" for name, value in variables(cloud, store_hash, webhook_url).items()),
        f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"',
    ]
    text = "\n".join(lines) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        # Another sandbox may have written its own meanwhile.
        if file.exists() and file.read_text(encoding="utf-8") == text:
            file.unlink()


def shown(file: Path) -> str:
    """The file's path as it is typed in the project's folder."""
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)
