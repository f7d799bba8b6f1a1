"""Takes the README's picture of the sandbox's page: `python -m support.screenshot docs/images/sandbox.png`."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  typer reads it at run time
from typing import TYPE_CHECKING

import typer

from sandbox.aws.cloud import CloudError
from support.browser import NoBrowser, browsing
from support.opened import opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE = {"width": 1440, "height": 1080}
PATIENCE_MS = 60_000.0


def _order(page: Page, *, buyer: str = "Company", age: int = 0, erp: str = "", copies: int = 1) -> None:
    page.get_by_label(buyer, exact=True).check()
    page.get_by_label("Age in seconds").fill(str(age))
    page.get_by_label("ERP order id").fill(erp)
    page.get_by_label("Deliveries").fill(str(copies))
    page.get_by_role("button", name="Place order").click()
    page.wait_for_timeout(400)


def _fault(page: Page, fault: str, extent: str = "") -> None:
    page.get_by_label("Fault", exact=True).select_option(label=fault)
    if extent:
        page.get_by_label("For", exact=True).select_option(label=extent)
    page.get_by_role("button", name="Add fault").click()
    page.wait_for_timeout(400)


def _settled(page: Page, order: int, words: str) -> None:
    page.locator(f'[data-key="{order}"] .pill', has_text=words).wait_for(timeout=PATIENCE_MS)


def portray(page: Page, address: str) -> None:
    """Brings the page into a state worth a picture: orders that went well, one that failed, one under way."""
    page.goto(address)
    _order(page, erp="ERP-9")
    _settled(page, 101, "created in the window")
    _order(page, buyer="Guest")
    _order(page, age=15)
    _settled(page, 103, "updated after the window")
    _fault(page, "503 Service Unavailable", "the next order, three calls")
    _order(page, copies=3)
    _settled(page, 104, "created in the window")
    _fault(page, "required extra field")
    _order(page)
    _settled(page, 105, "dead letter")
    page.get_by_role("button", name="Remove: required extra field").click()
    page.get_by_role("button", name="Redrive order 105").wait_for(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Order 104").click()
    _fault(page, "hangs", "every order, until removed")
    _order(page, buyer="Company")
    page.get_by_role("button", name="Order 104").click()
    page.locator('[data-key="106"] .step[data-state="now"]').first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(2500)
    page.mouse.move(0, 0)


def main(picture: Path, *, dark: bool = False) -> None:
    """Takes the picture."""
    scheme = "dark" if dark else "light"
    try:
        with (
            opened() as sandbox,
            browsing(viewport=SIZE, color_scheme=scheme) as context,
        ):
            page = context.pages[0]
            portray(page, sandbox.url)
            picture.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=picture, full_page=False, animations="disabled")
    except (NoBrowser, CloudError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    typer.echo(f"{picture}: {picture.stat().st_size // 1024} KB")


if __name__ == "__main__":
    typer.run(main)
