"""The console's pages put together: who may ask at all, what a browser may do with the answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync.hub.archive import STORAGE_ERRORS, ArchiveTaken
from sync.hub.console.context import COOKIE, Busy, Console, SignInFirst
from sync.hub.console.limits import MOST_BODY_BYTES, Limits
from sync.hub.console.live_rooms import LiveRooms
from sync.hub.console.pages import (
    access,
    api,
    controls,
    desk,
    doors,
    judging,
    live,
    proof,
    search,
    statistics,
    trace,
    wall,
)
from sync.hub.console.refusing import Refused, bare, fields_not_understood, in_json, said, wants_page
from sync.hub.console.stations import Stations
from sync.hub.console.tail import Tail
from sync.hub.console.watching import Wall
from sync.hub.console.words import WORDS
from sync.hub.engine import TookTooLong
from sync.link.page_hosts import is_this_host, name_and_port
from sync.vocabulary.rulings import Text

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = [
    (name.encode(), value.encode())
    for name, value in (
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), usb=(), serial=()"),
    )
]
_KEPT_NOWHERE: Final = (b"cache-control", b"no-store")
"""Of what does not say itself how long it may be kept: plates and persons are nobody's cache's."""
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
ROUTERS: Final = (
    api.reads,
    api.router,
    access.router,
    controls.router,
    desk.router,
    doors.router,
    judging.router,
    live.router,
    proof.router,
    search.router,
    statistics.router,
    trace.router,
    wall.router,
)


def build_app(console: Console, tail: Tail | None = None) -> FastAPI:
    app = FastAPI(title="kakou console", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = console
    app.state.tail = tail
    app.state.throttle = doors.Throttle()
    app.state.wall = Wall(console, lambda: tail is None or tail.caught_up)
    part = console.part
    app.state.stations = Stations(part.stations, part.station_ca_file or console.config.sync.ca_file)
    app.state.live = LiveRooms(console)
    for router in ROUTERS:
        app.include_router(router)

    @app.exception_handler(SignInFirst)
    async def _sign_in_first(request: Request, _: Exception) -> Response:
        if request.method == "GET" and wants_page(request):
            return RedirectResponse(f"/sign-in?to={request.url.path}", 303)
        return await run_in_threadpool(_told, request, 401, "not_signed_in")

    @app.exception_handler(StarletteHTTPException)
    async def _refused(request: Request, error: StarletteHTTPException) -> Response:
        if isinstance(error, Refused):
            return await run_in_threadpool(_told, request, error.status_code, error.key, *error.more)
        # Of the framework itself: no such address, or not to be asked so.
        key = {404: "nothing_here", 405: "method"}.get(error.status_code, "other")
        return await run_in_threadpool(_told, request, error.status_code, key)

    @app.exception_handler(RequestValidationError)
    async def _not_understood(request: Request, error: RequestValidationError) -> Response:
        told = fields_not_understood(error.errors())
        return await run_in_threadpool(_answer, request, 422, "not_understood", told)

    async def _no_archive(request: Request, error: Exception) -> Response:
        # Locked, full or lost: said to who asks, who may ask again; the next one is answered by itself.
        console.log.warning(
            "not answered", path=request.url.path, why=f"{type(error).__name__}: {str(error)[:200]}"
        )
        return bare(request, 503, "storage", retry_after_s=2)

    for kind in (*STORAGE_ERRORS, ArchiveTaken):
        app.add_exception_handler(kind, _no_archive)

    @app.exception_handler(Exception)
    async def _internal(request: Request, error: Exception) -> Response:
        # A fault of ours: it is raised on, into the log. Nothing stands around this answer any more.
        answer = bare(request, 500, "internal")
        answer.raw_headers.extend(_HEADERS)
        return answer

    @app.exception_handler(Busy)
    @app.exception_handler(TookTooLong)
    async def _not_now(request: Request, error: Exception) -> Response:
        key = "busy" if isinstance(error, Busy) else "took_too_long"
        console.log.info("not answered", path=request.url.path, why=key)
        answer = await run_in_threadpool(_told, request, 503, key)
        answer.headers["Retry-After"] = "10"
        return answer

    def _told(request: Request, status: int, key: str, *more: object) -> Response:
        return _answer(request, status, key, [said(f"refused.{key}", *more)])

    def _answer(request: Request, status: int, code: str, told: Sequence[Text]) -> Response:
        """A page in the reader's language; to programs a code that stays, and an English sentence."""
        if not wants_page(request):
            return in_json(status, code, told)
        request.state.session = console.session(request)
        key = f"error.{status}" if f"error.{status}" in WORDS else "error.other"
        return console.page(request, "error.html", status=status, key=key, told=told)

    app.add_middleware(Guard, console=console)
    return app


class Guard:
    """Before every answer: is the asker our own page or a program, and does not ask too much. After it: what
    browsers may do with it."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._sessions = console.sessions
        self._limits = Limits()
        self._part = console.part
        self._headers = [*_HEADERS, *([_HSTS] if console.part.encrypted else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        taken = 0

        async def bounded() -> Message:
            # A form without a stated length ends here too: the rest of it is as if the asker had gone.
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= MOST_BODY_BYTES else {"type": "http.disconnect"}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                kept = [] if b"cache-control" in said else [_KEPT_NOWHERE]
                message["headers"] = [*message["headers"], *kept, *self._headers]
            await send(message)

        await (self._app if refusal is None else refusal)(scope, bounded, guarded)

    def _refusal(self, request: Request) -> Response | None:
        if not self._is_ours(request.headers.get("host", "")):
            return bare(request, 421, "not_this_host")
        session = self._sessions.kept.get(request.cookies.get(COOKIE, ""))
        address = request.client.host if request.client else ""
        bucket, name = (
            (self._limits.strangers, address) if session is None else (self._limits.known, session.cookie)
        )
        if not bucket.takes(name, time.monotonic()):
            return bare(request, 429, "too_many", retry_after_s=1)
        if request.method in ("GET", "HEAD"):
            return None
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return bare(request, 403, "other_origin")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > MOST_BODY_BYTES:
            return bare(request, 413, "too_long")
        return None

    def _is_ours(self, host: str) -> bool:
        """TLS refuses another name by itself, plain HTTP does not. A proxy may have another port."""
        name, _ = name_and_port(host, "")
        return self._part.encrypted or is_this_host(name, self._part.host.lower())
