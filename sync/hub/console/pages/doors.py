"""Signing in and out, language and theme, the pages' own files, /healthz: all that is answered to
somebody not signed in."""

from __future__ import annotations

import mimetypes
import threading
import time
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from sync.hub.console.accounts import proved
from sync.hub.console.context import COOKIE, LANGUAGES, THEMES, Session, commanding, console_of
from sync.store.journal import utc_now

router = APIRouter(include_in_schema=False)
TRIES: Final = 5
"""Wrong ones in a row, by number and by address; then each costs twice the wait of the one before."""
FIRST_WAIT_S: Final = 5.0
LONGEST_WAIT_S: Final = 900.0
MOST_DOUBLINGS: Final = 16
"""Beyond `LONGEST_WAIT_S`, and no number is too large for it after some thousand tries."""


class Throttle:
    """Who has tried too often. Of numbers and addresses, at most so many. Any thread."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def takes(self, names: tuple[str, ...], now_s: float) -> float:
        """How long to wait; 0: now, and it counts as a wrong one until it was `right`. Counted before it is
        looked at: else any number that come at once cost no more than one."""
        with self._lock:
            waits = [0.0]
            for name in names:
                wrong, last_s = self._wrong.get(name, (0, 0.0))
                if wrong >= TRIES:
                    doubled = min(wrong - TRIES, MOST_DOUBLINGS)
                    waits.append(last_s + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**doubled) - now_s)
            if max(waits) <= 0:
                for name in names:
                    self._wrong[name] = (self._wrong.pop(name, (0, 0.0))[0] + 1, now_s)
                while len(self._wrong) > 10_000:
                    del self._wrong[next(iter(self._wrong))]
            return max(waits)

    def right(self, names: tuple[str, ...]) -> None:
        with self._lock:
            for name in names:
                self._wrong.pop(name, None)


@router.api_route("/healthz", methods=["GET", "HEAD"])
def health(request: Request) -> JSONResponse:
    tail = request.app.state.tail
    ok = tail is None or tail.caught_up
    return JSONResponse({"ok": ok}, 200 if ok else 503)


@router.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    content = console_of(request).asset(name)
    if content is None:
        return Response(status_code=404)
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(
        content, media_type=media, headers={"Cache-Control": "public, max-age=31536000, immutable"}
    )


@router.get("/favicon.ico")
def icon(request: Request) -> Response:
    """What a browser asks for beside a picture or a file; pages name theirs."""
    return asset(request, "icon.svg")


@router.get("/sign-in")
def sign_in_page(request: Request, to: str = "/") -> Response:
    return console_of(request).page(request, "sign_in.html", to=to, said="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    officer: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=200)],
    to: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    console = console_of(request)
    throttle: Throttle = request.app.state.throttle
    # The same number, however it is written, is one officer's.
    officer = officer.strip()
    names = (f"officer {officer}", f"address {request.client.host if request.client else ''}")
    wait_s = throttle.takes(names, time.monotonic())
    if wait_s > 0:
        said = ("sign_in.wait", round(wait_s) + 1)
        return console.page(request, "sign_in.html", status=429, to=to, said=said)
    with console.archive() as archive:
        account = proved(archive, officer, password, utc_now())
    if account is None:
        console.log.warning("sign-in refused", officer=officer[:64])
        return console.page(request, "sign_in.html", status=403, to=to, said=("sign_in.wrong",))
    throttle.right(names)
    session = console.sessions.open(account.officer_no, account.may, time.monotonic(), account.changed_utc)
    session.is_confirmed = bool(account.confirmed_utc)
    console.log.info("signed in", officer=account.officer_no)
    answer = RedirectResponse(_own(to) if session.is_confirmed else "/access/confirm", 303)
    answer.set_cookie(
        COOKIE,
        session.cookie,
        httponly=True,
        samesite="strict",
        secure=console.part.encrypted,
        path="/",
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, session: Annotated[Session, Depends(commanding)]) -> Response:
    console_of(request).sessions.end(session.cookie)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/prefer")
def prefer(language: str = "", theme: str = "", to: str = "/") -> Response:
    """Language and theme are this browser's."""
    answer = RedirectResponse(_own(unquote(to)), 303)
    for name, value, known in (("kakou_language", language, LANGUAGES), ("kakou_theme", theme, THEMES)):
        if value in known:
            answer.set_cookie(name, value, max_age=31_536_000, httponly=True, samesite="strict", path="/")
    return answer


def _own(to: str) -> str:
    """Never to somebody else's page."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
