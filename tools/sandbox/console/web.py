"""The sandbox's page over HTTP, for this machine's own browser and nobody else.

Whoever can be made to visit a web page could otherwise send requests here: by a form, or by a name that resolves to
127.0.0.1 (DNS rebinding). So only requests for this very address, from this very page, are answered.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.console.fault_menu import menu_as_json
from sandbox.console.queues import NoDeadLetter
from sandbox.console.requests import FaultRequest, InvalidRequest, OrderRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.console.commands import Commands
    from sandbox.console.snapshot import Snapshots

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGE = Path(__file__).with_name("static")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LARGEST_BODY_BYTES = 16_384
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PageServer:
    """Serves the page's files, the picture of the moment, and what can be asked for at the commands."""

    def __init__(self, commands: Commands, snapshots: Snapshots, about: dict[str, Any]) -> None:
        """`about`: what does not change while the sandbox runs, shown as it is."""
        self._commands = commands
        self._snapshots = snapshots
        self._about = about

    def application(self) -> web.Application:
        """The routes, ready to be served."""
        app = web.Application(middlewares=[own_page_only], client_max_size=LARGEST_BODY_BYTES)
        for path, (name, kind) in FILES.items():
            app.router.add_get(path, partial(_file, PAGE / name, kind))
        app.router.add_get("/api/about", self._tell_about)
        app.router.add_get("/api/state", self._state)
        app.router.add_post("/api/orders", self._place)
        app.router.add_post("/api/faults", self._fault)
        app.router.add_post(r"/api/faults/{id:\d{1,9}}/remove", self._remove_fault)
        app.router.add_post(r"/api/letters/{id:[A-Za-z0-9-]{1,100}}/{what:redrive|drop}", self._letter)
        return app

    async def _tell_about(self, _request: web.Request) -> web.Response:
        return web.json_response(self._about | {"menu": menu_as_json()})

    async def _state(self, request: web.Request) -> web.Response:
        order = request.query.get("order", "")
        chosen = int(order) if order.isdecimal() else None
        return web.json_response(await asyncio.to_thread(self._snapshots.take, chosen))

    async def _place(self, request: web.Request) -> web.Response:
        asked = OrderRequest.parse(await request.read())
        placed, said = await asyncio.to_thread(self._commands.place, asked)
        return web.json_response({"said": said, "order": placed.order.id})

    async def _fault(self, request: web.Request) -> web.Response:
        asked = FaultRequest.parse(await request.read())
        return _said(await asyncio.to_thread(self._commands.fault, asked))

    async def _remove_fault(self, request: web.Request) -> web.Response:
        return _said(await asyncio.to_thread(self._commands.remove_fault, int(request.match_info["id"])))

    async def _letter(self, request: web.Request) -> web.Response:
        act = {"redrive": self._commands.redrive, "drop": self._commands.drop}[request.match_info["what"]]
        return _said(await asyncio.to_thread(act, request.match_info["id"]))


@web.middleware
async def own_page_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what is not for this address, or not from this page, and what is no JSON; every answer gets the headers."""
    try:
        _refuse_strangers(request)
        response = await handler(request)
    except web.HTTPException as answer:
        response = _error(answer.status, answer.text or answer.reason)
    except InvalidRequest as error:
        response = _error(400, str(error))
    except NoDeadLetter as error:
        response = _error(409, str(error))
    except (ClientError, BotoCoreError) as error:
        response = _error(502, f"The AWS on this machine did not answer: {type(error).__name__}.")
    response.headers.update(HEADERS)
    return response


def _refuse_strangers(request: web.Request) -> None:
    """Raises HTTPException for a request that this very page cannot have made."""
    assert request.transport is not None  # noqa: S101  a request that is being handled has one
    port = request.transport.get_extra_info("sockname")[1]
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    if request.headers.get("Host", "") not in hosts:
        raise web.HTTPMisdirectedRequest(text="This sandbox answers under its own address alone.")
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    foreign = origin is not None and origin not in {f"http://{host}" for host in hosts}
    asks = request.method not in {"GET", "HEAD"} or request.path.startswith("/api/")
    if asks and (foreign or site not in {"same-origin", "none"}):
        raise web.HTTPForbidden(text="This request does not come from the sandbox's own page.")
    if request.method == "POST" and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="The sandbox takes JSON alone.")


async def _file(path: Path, kind: str, _request: web.Request) -> web.Response:
    content = await asyncio.to_thread(path.read_bytes)
    return web.Response(body=content, content_type=kind, charset="utf-8")


def _said(sentence: str) -> web.Response:
    return web.json_response({"said": sentence})


def _error(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=json.dumps({"error": sentence}), content_type="application/json")
