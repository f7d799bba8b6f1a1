"""The sandbox's page in a real browser, against the real template: what `make sandbox` opens, as a person uses it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from handler.enrichment import RULES_FILE
from sandbox.console.serve import page_socket
from support.browser import browsing
from support.opened import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page

    from support.opened import Opened

pytestmark = pytest.mark.without_relay("the page is what is tested, in a process of its own")

PATIENCE_MS = 45_000
OWN_SECRET = "an-access-key-of-the-users-own"
COST_CENTER = '"Cost Center" = "form_field(billing_address.form_fields, \'Cost Center\')"'
ANY_ORDER = re.compile(r"Order (\d+) is placed\.")
TABBABLE = "a[href], button, input, select, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rules, to be edited."""
    copy = tmp_path_factory.mktemp("rules") / "enrichment.toml"
    shutil.copy(RULES_FILE, copy)
    return copy


@pytest.fixture(scope="module")
def sandbox(rules: Path) -> Iterator[Opened]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", OWN_SECRET)
        with opened(f"--rules={rules}") as sandbox:
            yield sandbox


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    expect.set_options(timeout=PATIENCE_MS)
    with browsing(viewport={"width": 1440, "height": 1000}) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def page(sandbox: Opened, browser: BrowserContext) -> Iterator[Page]:
    """The page, opened afresh; whatever the browser complains about fails the test."""
    complaints: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text) if complains(message) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(sandbox.url)
    expect(page.locator("#rules-state")).to_have_text(re.compile(r"v\d+"))
    yield page
    remove_faults(page)
    page.close()
    assert complaints == []


def complains(message: ConsoleMessage) -> bool:
    """Whether something is wrong; a request that was refused for what was typed is not."""
    return message.type in {"error", "warning"} and "status of 400" not in message.text


def remove_faults(page: Page) -> None:
    faults = page.locator("#faults button")
    while faults.count():
        left = faults.count() - 1
        faults.first.click()
        expect(faults).to_have_count(left)


def place(page: Page, po_number: str, **more: str) -> Locator:
    """Places an order through the form; its card."""
    page.get_by_label("PO number").fill(po_number)
    for label, value in more.items():
        field = page.get_by_label(label.replace("_", " "), exact=True)
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Place order").click()
    card = page.locator("li.order", has_text=f"{po_number} ·")
    expect(card).to_be_visible()
    return card


def let_fail(page: Page, fault: str, extent: str = "the next order, one call", where: str = "Create Order") -> None:
    page.get_by_label("Fault", exact=True).select_option(label=fault)
    if page.get_by_label("Where").is_visible():
        page.get_by_label("Where").select_option(label=where)
        page.get_by_label("For", exact=True).select_option(label=extent)
    page.get_by_role("button", name="Add fault").click()
    expect(page.locator("#faults li", has_text=fault)).to_be_visible()


def verdict(card: Locator) -> Locator:
    return card.locator(".pill")


def state(card: Locator, step: str) -> Locator:
    return card.locator(".step", has_text=step)


def number(card: Locator) -> str:
    return (card.locator(".pick").text_content() or "").removeprefix("Order ")


def letter_of(page: Page, card: Locator) -> Locator:
    return page.locator("#letters li", has_text=f"Order {number(card)}")


def test_an_order_is_placed_and_its_whole_way_is_seen(page: Page) -> None:
    card = place(page, "PO-WAY-1", Cost_Center="CC-42", ERP_order_id="ERP-9")

    expect(verdict(card)).to_contain_text("created in the window")
    for step in ("Webhook", "Event bus", "Look-up", "Create Order"):
        expect(state(card, step)).to_have_attribute("data-state", "done")
    expect(card.locator(".left")).to_contain_text("s to spare")
    expect(page.locator("#record")).to_contain_text("PO-WAY-1")
    expect(page.locator("#record")).to_contain_text("CC-42")
    expect(page.locator("#record")).to_contain_text("ERP-9")
    expect(page.locator("#requests")).to_contain_text("Create Order")
    expect(page.locator("#log")).to_contain_text("order created")
    expect(page.locator("#said")).to_contain_text(f"Order {number(card)}: created in the window")
    expect(page.get_by_label("PO number")).to_have_value("PO-WAY-2")


def test_guests_and_customers_without_a_company_are_skipped(page: Page) -> None:
    for buyer, po_number, why in (("Guest", "PO-GUEST", "guest"), ("No company", "PO-NONE", "belongs to no company")):
        page.get_by_label(buyer, exact=True).check()
        card = place(page, po_number)
        expect(verdict(card)).to_contain_text(f"skipped: {'a ' if why == 'guest' else 'the customer '}{why}")
        expect(page.locator("#no-record")).to_be_visible()


def test_an_order_whose_webhook_comes_many_times_is_worked_on_once(page: Page) -> None:
    card = place(page, "PO-MANY", Deliveries="5")

    # On a busy machine five environments take their time to start, and the automatic record may be there first.
    expect(verdict(card)).to_contain_text(re.compile("created|updated"))
    expect(state(card, "Webhook")).to_contain_text("5 deliveries")
    expect(page.locator("#requests tbody tr", has_text="Create Order")).to_have_count(1)


def test_an_order_made_long_ago_is_late_and_updated(page: Page) -> None:
    card = place(page, "PO-OLD", Age_in_seconds="15")

    expect(verdict(card)).to_contain_text("updated after the window")
    expect(card.locator(".left")).to_have_text("window closed")
    expect(page.locator("#record")).to_contain_text("PO-OLD")


def test_a_fault_strikes_the_next_order_and_no_other(page: Page) -> None:
    let_fail(page, "503 Service Unavailable", "the next order, one call")
    struck = place(page, "PO-STRUCK")
    expect(verdict(struck)).to_contain_text("created in the window")
    expect(page.locator("#requests")).to_contain_text("fault: status 503")
    expect(page.locator("#no-faults")).to_be_visible()

    spared = place(page, "PO-SPARED")
    expect(verdict(spared)).to_contain_text("created in the window")
    expect(page.locator("#requests")).not_to_contain_text("fault:")


def test_an_order_is_late_while_the_api_is_down_and_finished_when_it_is_up_again(page: Page) -> None:
    let_fail(page, "B2B API down")
    card = place(page, "PO-DOWN")

    expect(verdict(card)).to_have_text("late, waiting in RecoveryQueue")
    expect(card.locator(".why")).to_contain_text("api_unavailable")
    expect(page.locator("#late")).to_contain_text(f"Order {number(card)}")
    expect(page.locator("#recovery-count")).not_to_have_text("0")

    remove_faults(page)
    expect(verdict(card)).to_contain_text("updated after the window")
    expect(page.locator("#record")).to_contain_text("PO-DOWN")
    expect(page.locator("#no-late")).to_be_visible()


def test_a_refused_order_is_a_dead_letter_until_the_cause_is_mended_and_it_is_redriven(page: Page) -> None:
    let_fail(page, "required extra field")
    card = place(page, "PO-REFUSED")

    expect(verdict(card)).to_have_text("dead letter")
    expect(card.locator(".why")).to_contain_text("api_refused")
    expect(letter_of(page, card)).to_contain_text("Approver is a required extra field")
    expect(page.locator("#dead-count")).not_to_have_text("0")

    redrive = page.get_by_role("button", name=f"Redrive order {number(card)}")
    redrive.click()
    updates = page.locator("#requests tbody tr", has_text="Update Order")
    expect(updates).to_have_count(1)
    expect(updates).to_contain_text("422")
    expect(letter_of(page, card)).to_contain_text("Approver is a required extra field")

    remove_faults(page)
    redrive.click()
    expect(verdict(card)).to_contain_text("updated after the window")
    expect(page.locator("#record")).to_contain_text("PO-REFUSED")
    expect(letter_of(page, card)).to_have_count(0)


def test_a_dead_letter_is_dropped_only_when_one_is_sure_and_focus_goes_to_the_heading(page: Page) -> None:
    let_fail(page, "required extra field")
    card = place(page, "PO-DROPPED")
    drop = page.get_by_role("button", name=f"Drop order {number(card)}")

    drop.click()
    page.get_by_role("button", name="Keep it").click()
    expect(drop).to_be_focused()

    drop.click()
    page.get_by_role("button", name="Drop it").click()
    expect(letter_of(page, card)).to_have_count(0)
    expect(verdict(card)).to_have_text("dropped by the operator")
    expect(page.locator("#dead-title")).to_be_focused()


def test_a_forged_webhook_is_refused(page: Page) -> None:
    let_fail(page, "webhook forged")
    card = place(page, "PO-FORGED")

    expect(verdict(card)).to_have_text("webhook rejected with 401")
    expect(page.locator("#no-requests")).to_be_visible()


def test_a_revoked_token_makes_orders_late_until_it_is_mended(page: Page) -> None:
    let_fail(page, "token revoked")
    card = place(page, "PO-TOKEN")
    expect(verdict(card)).to_have_text("late, waiting in RecoveryQueue")
    expect(card.locator(".why")).to_contain_text("unauthorized")

    page.get_by_role("button", name=re.compile("Mend: token revoked")).click()
    expect(verdict(card)).to_contain_text("updated after the window")


def test_a_revoked_token_is_mended_with_the_relay_command_and_the_token_on_the_page(
    page: Page, sandbox: Opened
) -> None:
    before = shown_token(page)
    let_fail(page, "token revoked")
    card = place(page, "PO-TOKEN-CLI")
    expect(verdict(card)).to_have_text("late, waiting in RecoveryQueue")
    expect(page.locator("#stores")).not_to_contain_text(before)

    done = in_a_shell(sandbox, "relay store add sandbox", typed=f"{shown_token(page)}\n\n\n")

    assert done.returncode == 0, done.stdout + done.stderr
    expect(page.locator("#no-faults")).to_be_visible()
    expect(verdict(card)).to_contain_text("updated after the window")


def shown_token(page: Page) -> str:
    """The access token of the first store, as the page shows it."""
    return page.locator("#stores dt", has_text="Access token").first.locator("+ dd").inner_text()


def test_an_order_of_a_store_whose_webhook_is_off_is_fetched(page: Page, sandbox: Opened) -> None:
    let_fail(page, "webhook off")
    card = place(page, "PO-OFF")
    expect(verdict(card)).to_contain_text("no webhook")

    assert in_a_shell(sandbox, "relay hook enable").returncode == 0
    expect(page.locator("#no-faults")).to_be_visible()
    assert in_a_shell(sandbox, f"relay backfill --order {number(card)}").returncode == 0
    expect(verdict(card)).to_contain_text("updated")


def test_a_second_store_has_orders_and_an_outage_of_its_own_token_alone(page: Page, sandbox: Opened) -> None:
    let_fail(page, "token revoked")
    card = place(page, "PO-OUTLET", Store="outlet")

    expect(verdict(card)).to_contain_text("created")
    expect(card.locator(".about")).to_contain_text("store outlet")
    expect(page.locator("#record")).to_contain_text("PO-OUTLET")
    assert in_a_shell(sandbox, f"relay status {number(card)}").returncode == 1  # the default store has no such order
    assert in_a_shell(sandbox, f"relay status {number(card)} --store outlet").returncode == 0


def test_edited_rules_are_followed_by_the_next_order_and_wrong_ones_are_explained(page: Page, rules: Path) -> None:
    text = rules.read_text(encoding="utf-8")
    assert COST_CENTER in text
    live = page.locator("#rules-live").text_content()

    rules.write_text(text.replace(COST_CENTER, '"Cost Center" = "first_match("'), encoding="utf-8")
    expect(page.locator("#rules-problem")).to_contain_text("enrichment.toml: stores.sandbox.extra_fields.Cost Center")
    expect(page.locator("#rules-live")).to_have_text(live or "")
    card = place(page, "PO-RULE-A", Cost_Center="CC-A")
    expect(verdict(card)).to_contain_text("created")
    expect(page.locator("#record")).to_contain_text("CC-A")

    rules.write_text(
        text.replace(COST_CENTER, "\"Cost Center\" = \"join('-', ['by rule', external_order_id])\""), "utf-8"
    )
    expect(page.locator("#rule-list")).to_contain_text("by rule")
    expect(page.locator("#rules-problem")).to_be_hidden()
    card = place(page, "PO-RULE-B", Cost_Center="CC-B", ERP_order_id="ERP-B")
    expect(verdict(card)).to_contain_text("created")
    expect(page.locator("#record")).to_contain_text("by rule-ERP-B")
    version = page.locator("#log tbody tr", has_text="order created").locator("td:nth-child(2) small")
    expect(page.locator("#rules-state")).to_have_text(version.text_content() or "no version")

    rules.write_text(text, encoding="utf-8")  # the sandbox runs this folder's rules again, which doctor compares
    expect(page.locator("#rule-list")).not_to_contain_text("by rule")


def test_wrong_input_is_explained_at_the_form(page: Page) -> None:
    page.get_by_label("Deliveries").fill("500")
    page.get_by_role("button", name="Place order").click()

    expect(page.locator("#place [role=alert]")).to_have_text("The number of deliveries is a number from 1 to 20.")


def test_an_order_is_placed_with_the_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the orders")).to_be_focused()
    while not page.evaluate("document.activeElement.name === 'buyer'"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("PO-KEYS")
    page.keyboard.press("Enter")

    card = page.locator("li.order", has_text="PO-KEYS ·")
    expect(verdict(card)).to_contain_text("skipped: the customer belongs to no company")


def test_the_keyboard_reaches_everything_and_each_place_is_seen(page: Page) -> None:
    let_fail(page, "required extra field")
    card = place(page, "PO-REACH")
    expect(letter_of(page, card)).to_be_visible()
    let_fail(page, "503 Service Unavailable", "every order, until removed")
    reachable = page.evaluate(
        f"""() => [...document.querySelectorAll("{TABBABLE}")]
            .filter(element => element.checkVisibility() && (element.type !== "radio" || element.checked)).length"""
    )
    page.evaluate("document.activeElement.blur()")

    reached = set()
    unseen = []
    for _ in range(reachable + 5):
        page.keyboard.press("Tab")
        seen, name = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (at === document.body) return [true, ""];
                window.places ??= new Map();
                if (!window.places.has(at)) window.places.set(at, window.places.size);
                const marks = [at, at.nextElementSibling].filter(Boolean).flatMap(
                    (element) => [getComputedStyle(element), getComputedStyle(element, "::after")]);
                return [marks.some((mark) => mark.outlineStyle !== "none"), `${window.places.get(at)} ${at.outerHTML}`];
            }"""
        )
        if name:
            reached.add(name)
        if not seen:
            unseen.append(name)

    assert len(reached) == reachable
    assert unseen == []
    page.get_by_role("button", name=f"Drop order {number(card)}").click()
    page.get_by_role("button", name="Drop it").click()
    expect(letter_of(page, card)).to_have_count(0)


def test_focus_stays_where_it_is_when_the_lists_change(page: Page) -> None:
    card = place(page, "PO-FOCUS")
    expect(verdict(card)).to_contain_text("created")
    pick = card.get_by_role("button")
    pick.focus()

    page.evaluate(
        """() => fetch("/api/orders", {method: "POST", headers: {"Content-Type": "application/json"},
            body: JSON.stringify({po_number: "PO-OTHER"})})"""
    )
    other = page.locator("li.order", has_text="PO-OTHER ·")
    expect(verdict(other)).to_contain_text("created")

    expect(pick).to_be_focused()
    pick.press("Enter")
    expect(pick).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#details-title")).to_have_text(f"Order {number(card)}")


def test_nothing_stands_in_the_way_of_a_screen_reader_in_light_and_in_dark(page: Page) -> None:
    let_fail(page, "required extra field")
    dead = place(page, "PO-AXE")
    expect(letter_of(page, dead)).to_be_visible()
    let_fail(page, "503 Service Unavailable", "every order, until removed", where="every call of the B2B API")
    underway = place(page, "PO-AXE-FAILS")
    expect(state(underway, "Create Order")).to_have_attribute("data-state", "now")

    assert problems(page) == ""
    page.emulate_media(color_scheme="dark")
    assert problems(page) == ""

    page.get_by_role("button", name=f"Drop order {number(dead)}").click()
    assert problems(page) == ""
    page.get_by_role("button", name="Drop it").click()
    expect(letter_of(page, dead)).to_have_count(0)


def problems(page: Page) -> str:
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""


def test_one_who_wants_no_motion_gets_none(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    card = place(page, "PO-STILL", Webhook="6 s later")
    expect(state(card, "Webhook")).to_have_attribute("data-state", "now")

    assert page.evaluate("document.getAnimations().length") == 0
    expect(card.get_by_role("meter")).to_have_attribute("aria-valuetext", re.compile(r"\d+ seconds left"))
    expect(verdict(card)).to_contain_text("existing record updated")  # B2B Edition's own, after five seconds


def test_it_works_on_a_small_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1440, "height": 1000})


def ask(sandbox: Opened, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and text of the answer to a request with exactly these headers."""
    address = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=10)
    try:
        sent = {"Host": address.netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=sent)
        answer = connection.getresponse()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/state", "/api/about"])
def test_another_host_is_refused(sandbox: Opened, path: str) -> None:
    for host in ("sandbox.example.com", f"sandbox.example.com:{urlsplit(sandbox.url).port}", "127.0.0.1:1", ""):
        assert ask(sandbox, "GET", path, Host=host)[0] == 421


def test_another_pages_requests_are_refused(sandbox: Opened) -> None:
    own, kind = sandbox.url.rstrip("/"), "application/json"

    assert ask(sandbox, "POST", "/api/orders", Content_Type=kind, Origin="https://example.com")[0] == 403
    assert ask(sandbox, "POST", "/api/orders", Content_Type=kind, Origin="null")[0] == 403
    assert ask(sandbox, "POST", "/api/orders", Content_Type=kind, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(sandbox, "GET", "/api/state", Origin="http://localhost:1")[0] == 403
    assert ask(sandbox, "GET", "/api/state", Sec_Fetch_Site="same-site")[0] == 403
    assert ask(sandbox, "POST", "/api/orders", Content_Type="text/plain", Origin=own)[0] == 415
    assert ask(sandbox, "POST", "/api/orders", Content_Type=kind, Origin=own)[0] == 200


def test_what_is_not_there_is_said_in_json(sandbox: Opened) -> None:
    kind = "application/json"

    assert ask(sandbox, "GET", "/etc/passwd")[0] == 404
    assert ask(sandbox, "POST", "/api/faults/999/remove", Content_Type=kind) == (
        400,
        json.dumps({"error": "This fault is over already."}),
    )
    assert ask(sandbox, "POST", "/api/letters/nobody/redrive", Content_Type=kind)[0] == 409


def in_a_shell(sandbox: Opened, command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """What a command does in a shell that has sourced the sandbox's file, and has credentials of its own."""
    return subprocess.run(
        ["bash", "-c", f'source "$0"; {command}', sandbox.env],
        env={**os.environ, "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "real-session"},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # no terminal to ask at, so that what is typed is read
    )


def test_relay_works_in_a_shell_that_has_sourced_the_file(sandbox: Opened) -> None:
    assert f"source {sandbox.env}\n" in sandbox.said

    done = in_a_shell(sandbox, "relay doctor")

    assert "✗" not in done.stdout, done.stdout + done.stderr
    assert "Store outlet" in done.stdout
    assert "Store sandbox" in done.stdout
    listed = in_a_shell(sandbox, "relay store list --json")
    assert [store["store"] for store in json.loads(listed.stdout)] == ["outlet", "sandbox"]


def test_what_relay_asks_is_not_among_the_relays_own_requests(page: Page, sandbox: Opened) -> None:
    card = place(page, "PO-PREVIEW")
    expect(verdict(card)).to_contain_text("created")
    rows = page.locator("#requests tbody tr")
    before = rows.count()

    assert in_a_shell(sandbox, f"relay preview {number(card)}").returncode == 0

    page.wait_for_timeout(1500)  # two pictures of the moment
    assert rows.count() == before


def test_the_only_credentials_shown_are_those_of_the_pretended_stores(sandbox: Opened, page: Page) -> None:
    place(page, "PO-SECRET")
    page_text = page.content()
    texts = [sandbox.said, page_text, sandbox.env.read_text(encoding="utf-8")]
    texts += [ask(sandbox, "GET", path)[1] for path in ("/api/about", "/api/state?order=101")]

    for text in texts:
        assert OWN_SECRET not in text
        assert "webhook-signature" not in text
        assert "X-Relay-Key" not in text
    for shown in (sandbox.said, page_text):
        assert "sandbox-client-secret" in shown
        assert "outlet-access-token" in shown
    assert shown_token(page) in page_text


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox.cli", "serve", f"--port={port}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert done.returncode == 1
    assert f"port {port} is not available" in done.stderr
    assert done.stdout == ""


def test_the_page_has_another_port_when_the_usual_one_is_taken() -> None:
    with page_socket(None) as one, page_socket(None) as other:
        ports = {listening.getsockname()[1] for listening in (one, other)}

    assert len(ports) == 2


def processes(column: str, value: int) -> set[str]:
    """The running processes with this parent (`ppid`) or of this group (`pgid`); not those that have ended already."""
    table = subprocess.run(
        ["ps", "-A", "-o", f"pid=,{column}=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [row.split() for row in table.splitlines()]
    return {pid for pid, found, state in rows if found == str(value) and not state.startswith("Z")}


def test_being_told_to_end_ends_everything(sandbox: Opened) -> None:
    """The last test here: it closes the sandbox."""
    [emulator] = processes("ppid", sandbox.process.pid)
    assert len(processes("pgid", int(emulator))) > 1  # with its workers

    assert sandbox.close() == 0

    assert "Nothing is left running." in sandbox.said
    assert processes("pgid", int(emulator)) == set()
