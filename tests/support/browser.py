"""The browser in which the page is tested and portrayed: this machine's Chromium, driven by Playwright.

Run `python -m support.browser` to have one installed where that is possible, and to be told how where it is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext

VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
USUAL_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
APT = (
    ("apt-get", "update"),
    ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends", "chromium"),
)
FLAGS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-dev-shm-usage",
)
HOW_TO = f"""The page's tests need a Chromium, and none was found on this machine.
  Debian:  apt install chromium
  Ubuntu:  install Google Chrome (google.com/chrome); Ubuntu's own chromium is a snap
  Fedora:  dnf install chromium
  macOS:   brew install --cask google-chrome
or say where one is:  {VARIABLE}=/path/to/chromium make test"""


class NoBrowser(Exception):  # noqa: N818  says what is missing
    """There is no Chromium; the text says how to get one."""


def find() -> str:
    """The path of this machine's Chromium. Raises NoBrowser."""
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return found
        raise NoBrowser(f"{VARIABLE} names {named}, which is no program.")
    for name in (*NAMES, *USUAL_PLACES):
        if found := shutil.which(name):
            return found
    raise NoBrowser(HOW_TO)


def install() -> None:
    """Installs Debian's own. Raises NoBrowser where this machine or this user does not allow it."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not Path("/etc/debian_version").exists() or (as_root and not shutil.which("sudo")):
        raise NoBrowser(HOW_TO)
    for command in APT:
        print(f"Installing Chromium for the page's tests: {' '.join([*as_root, *command])}", flush=True)
        if subprocess.run([*as_root, *command], check=False).returncode != 0:
            raise NoBrowser(f"`{' '.join(command)}` failed.\n{HOW_TO}")


@contextmanager
def browsing(**settings: object) -> Iterator[BrowserContext]:
    """A headless Chromium with an empty profile. `settings` are those of Playwright's contexts. Raises NoBrowser."""
    # Only here: what merely looks for the program shall not need Playwright.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    program = find()
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        tempfile.TemporaryDirectory(prefix="sandbox-browser-", ignore_cleanup_errors=True) as profile,
        sync_playwright() as playwright,
    ):
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program,
            headless=True,
            args=[*FLAGS, *as_root],
            **settings,  # type: ignore[arg-type]  # a list of fifty named settings
        )
        try:
            yield context
        finally:
            context.close()


def main() -> int:
    """Finds a Chromium, or installs one; the exit code."""
    try:
        try:
            program = find()
        except NoBrowser:
            if os.environ.get(VARIABLE):
                raise
            install()
            program = find()
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Chromium: {program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
