"""What every page stands on: archives and `shown` to read from, who is signed in, the pulse of what changed,
and how a page is written in the reader's language and theme."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from sync.hub.archive import Archive
from sync.hub.config import HubConfig
from sync.hub.console.accounts import Role, note_read, standing
from sync.hub.console.refusing import Refused
from sync.hub.console.settings import ConsolePart
from sync.hub.console.shown import Shown
from sync.hub.console.words import WORDS
from sync.hub.console.words.details import as_told
from sync.hub.terms import BROKER_LOST
from sync.store.journal import utc_now
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Site
from sync.vocabulary.rulings import Text

T = TypeVar("T")
MOST_SESSIONS: Final = 32
"""Of one officer; another one ends the oldest."""
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
NOTED_FOR_S: Final = 600.0
"""A page that brings itself up to date is one look, not one a second."""
CONNECTION_WITHIN_S: Final = 10.0
MOST_CONNECTIONS: Final = 8
"""Of each kind."""
MOST_HEAVY: Final = 2
"""Questions that take long, at the same time: the other connections stay for the pages of all."""
HEAVY_WAITS_S: Final = 2.0
HEAVY_WITHIN_S: Final = 60.0
"""A trial over 20,000 passages takes a third of it."""
COOKIE: Final = "kakou_console"
LANGUAGES: Final = ("zh", "en")
THEMES: Final = ("dark", "light")
_PICTURES: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))
_STANDING_EVERY_S: Final = 5.0
"""How long a session goes on after its officer was revoked."""


@dataclass(slots=True)
class Session:
    officer: str
    roles: frozenset[Role]
    cookie: str
    token: str
    """Every request that changes something carries it (CSRF): field `csrf`, or header X-Kakou-Token."""
    since_s: float
    touched_s: float
    checked_s: float
    password_of_utc: str = ""
    """When the password it was opened with was set: with another one it is over."""
    noted: dict[tuple[str, str], float] = field(default_factory=dict)
    """What `note_seen` has written down, and when."""
    is_confirmed: bool = True
    """Its officer is known to be who uses it; else it only looks."""
    code: tuple[str, float] = ("", 0.0)
    """By which another administrator confirms who sits here, and until when it is good."""
    streams: int = 0
    """Open ones that push to this session's screens."""


@dataclass(slots=True)
class Sessions:
    """In memory: a console that is started again asks everybody to sign in."""

    kept: dict[str, Session] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, officer: str, roles: frozenset[Role], now_s: float, password_of_utc: str = "") -> Session:
        cookie, token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        session = Session(officer, roles, cookie, token, now_s, now_s, now_s, password_of_utc)
        with self.lock:
            self.kept[session.cookie] = session
            of_officer = [each for each in self.kept.values() if each.officer == officer]
            for oldest in of_officer[:-MOST_SESSIONS]:
                del self.kept[oldest.cookie]
        return session

    def end(self, cookie: str) -> None:
        with self.lock:
            self.kept.pop(cookie, None)


class Pool:
    """Connections for threads that come and go: each is used by one thread at a time. One that is no longer
    `good` (its file was replaced) is closed and another made."""

    def __init__(
        self, make: Callable[[], Any], most: int, good: Callable[[Any], bool] = lambda connection: True
    ) -> None:
        self._make = make
        self._good = good
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        self._left = threading.Semaphore(most)

    @contextlib.contextmanager
    def one(self) -> Iterator[Any]:
        """Raises `OSError` where all are in use for too long: whoever waits for one while holding one must
        not wait for ever."""
        if not self._left.acquire(timeout=CONNECTION_WITHIN_S):
            raise OSError("expected a free connection; all are in use")
        try:
            got = self._one_free()
            try:
                yield got
            except BaseException:
                got.close()
                raise
            self._free.put(got)
        finally:
            self._left.release()

    def _one_free(self) -> Any:
        while True:
            try:
                got = self._free.get_nowait()
            except queue.Empty:
                return self._make()
            if self._good(got):
                return got
            got.close()

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait().close()


class Busy(Exception):
    """Others ask what takes long already."""


class Heavy:
    """One question that takes long: where it reads, and when it is given up."""

    def __init__(self, console: Console, within_s: float) -> None:
        self._console = console
        self._until_s = time.monotonic() + within_s

    def over(self) -> bool:
        return time.monotonic() > self._until_s or self._console.ending.is_set()

    @contextlib.contextmanager
    def archive(self) -> Iterator[Archive]:
        """Raises `TookTooLong`."""
        left_s = max(0.001, self._until_s - time.monotonic())
        with self._console.archive() as archive, archive.engine.bounded(left_s, self.over):
            yield archive

    @contextlib.contextmanager
    def shown(self) -> Iterator[Shown]:
        """Raises `TookTooLong`."""
        with self._console.shown() as shown, shown.bounded(self.over):
            yield shown


class Pulse:
    """Counts up whenever something new is shown; whoever waits is woken. Any thread."""

    def __init__(self) -> None:
        self._number = 0
        self._condition = threading.Condition()

    @property
    def number(self) -> int:
        return self._number

    def beat(self) -> None:
        with self._condition:
            self._number += 1
            self._condition.notify_all()

    def wait(self, after: int, within_s: float) -> int:
        """The number, once it is another or time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._number != after, within_s)
            return self._number


class Console:
    """One to a process; pages get it as `request.app.state.console`."""

    def __init__(self, config: HubConfig, part: ConsolePart) -> None:
        self.config = config
        self.part = part
        self.log = structlog.get_logger("sync.hub.console")
        self.pulse = Pulse()
        self.sessions = Sessions()
        self.ending = threading.Event()
        """Set once; streams and long questions end by themselves."""
        self.broker_lost_utc = ""
        """Since when the hub is without its broker; empty: it is not, as far as it told."""
        self._told_of_end: dict[int, Callable[[], None]] = {}
        self._archives = Pool(lambda: Archive.open(config.archive), MOST_CONNECTIONS)
        self._shown = Pool(lambda: Shown.open(part.shown_file), MOST_CONNECTIONS, Shown.is_current)
        self._heavy = threading.Semaphore(MOST_HEAVY)
        self._assets = {path.name: path.read_bytes() for path in _assets()}
        self._templates = Environment(
            loader=PackageLoader("sync.hub.console"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["tojson_attr"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._templates.filters["from_json"] = json.loads
        self._site: tuple[float, Site] | None = None

    # --- to read from -------------------------------------------------------------------------------------

    def archive(self) -> contextlib.AbstractContextManager[Archive]:
        return self._archives.one()

    def shown(self) -> contextlib.AbstractContextManager[Shown]:
        return self._shown.one()

    @contextlib.contextmanager
    def heavy(self) -> Iterator[Heavy]:
        """For what may go through a good part of the archive. Raises `Busy`."""
        if not self._heavy.acquire(timeout=HEAVY_WAITS_S):
            raise Busy
        try:
            yield Heavy(self, HEAVY_WITHIN_S)
        finally:
            self._heavy.release()

    # --- the end ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def told_of_end(self, tell: Callable[[], None]) -> Iterator[None]:
        """`tell` is called once when the console ends, on another thread; at once where it has."""
        key = id(tell)
        self._told_of_end[key] = tell
        try:
            if self.ending.is_set():
                tell()
            yield
        finally:
            self._told_of_end.pop(key, None)

    def end(self) -> None:
        self.ending.set()
        for tell in tuple(self._told_of_end.values()):
            tell()
        self.pulse.beat()

    def hear_hub(self, line: bytes) -> None:
        """A line of the hub that keeps this console."""
        word, _, utc = line.decode("utf-8", "replace").strip().partition(" ")
        if word == BROKER_LOST:
            self.broker_lost_utc = utc
            self.pulse.beat()

    def site(self) -> Site:
        """The site's own record, at most some seconds old; a plain one where there is none."""
        now_s = time.monotonic()
        if self._site is None or now_s - self._site[0] > 5.0:
            found = Site(site=self.config.site, name_zh=self.config.site, name_en=self.config.site)
            with self.archive() as archive:
                body = archive.record("site", self.config.site)
            if body is not None:
                with contextlib.suppress(Malformed):
                    found = from_json(body, Site)
            self._site = (now_s, found)
        return self._site[1]

    @property
    def zone(self) -> ZoneInfo:
        """The site's; UTC where its record names none that is known here."""
        try:
            return ZoneInfo(self.site().zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo("UTC")

    def today(self) -> str:
        return f"{datetime.now(self.zone):%Y-%m-%d}"

    def close(self) -> None:
        self._archives.close()
        self._shown.close()

    # --- who asks -----------------------------------------------------------------------------------------

    def session(self, request: Request) -> Session | None:
        session = self.sessions.kept.get(request.cookies.get(COOKIE, ""))
        return session if session is not None and self.stands(session) else None

    def stands(self, session: Session) -> bool:
        """Not signed out, its time not over, its officer not revoked; else it is ended."""
        if self.sessions.kept.get(session.cookie) is not session:
            return False
        now_s = time.monotonic()
        if now_s - session.since_s > self.part.session_s or now_s - session.touched_s > self.part.lock_s:
            self.sessions.end(session.cookie)
            return False
        if now_s - session.checked_s > _STANDING_EVERY_S:
            session.checked_s = now_s
            with self.archive() as archive:
                account = standing(archive, session.officer, utc_now())
            # Another password, given at the hub's own machine too: who came in by the one before is out.
            if account is None or account.changed_utc != session.password_of_utc:
                self.sessions.end(session.cookie)
                return False
            session.roles = account.may
            session.is_confirmed = bool(account.confirmed_utc)
        return True

    def note_read(self, session: Session, what: str, subject: str) -> None:
        """To be called by every page that shows what concerns a person or a firm."""
        detail = "" if session.is_confirmed else "account not confirmed"
        with self.archive() as archive:
            note_read(archive, session.officer, what, subject, utc_now(), detail)

    def note_seen(self, session: Session, what: str, subject: str) -> None:
        """The same of what a page asks for again and again by itself: once in a while."""
        now_s = time.monotonic()
        if now_s - session.noted.get((what, subject), -NOTED_FOR_S) < NOTED_FOR_S:
            return
        self.note_read(session, what, subject)
        while len(session.noted) > 1_000:
            del session.noted[next(iter(session.noted))]
        session.noted[what, subject] = now_s

    # --- how it is said -----------------------------------------------------------------------------------

    def asset(self, name: str) -> bytes | None:
        return self._assets.get(name)

    def asset_address(self, name: str) -> str:
        """It changes with the content, so that it can be kept for ever."""
        return f"/assets/{name}?v={hashlib.sha256(self._assets[name]).hexdigest()[:12]}"

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """`say(key)` gives words of `words`, `both(text)` those of a `Text`, `plain(text)`
        a device's own words, `sign(device)` what drivers and officers call a lane (empty: nothing),
        `local(utc)` the site's time, `dated(text)` every time in a text as the site's."""
        language, theme = language_of(request), theme_of(request)
        site = self.site()
        session: Session | None = getattr(request.state, "session", None)
        content = self.fragment(
            language,
            template,
            theme=theme,
            site_name=site.name_zh if language == "zh" else site.name_en,
            session=session,
            broker_lost_utc=self.broker_lost_utc,
            roles=set() if session is None else {role.value for role in session.roles},
            csrf="" if session is None else session.token,
            path=request.url.path,
            here=quote(str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")),
            **values,
        )
        return HTMLResponse(content, status, headers={"Cache-Control": "no-store"})

    def fragment(self, language: str, template: str, **values: Any) -> str:
        """A part of a page, the same for everybody who reads this language."""
        number = LANGUAGES.index(language)
        zone = self.zone

        def say(key: str, *more: object) -> str:
            words = WORDS[key][number]
            return (
                words.format(*(both(each) if isinstance(each, Text) else each for each in more))
                if more
                else words
            )

        def both(text: Text | None) -> str:
            return "" if text is None else text.zh if language == "zh" else text.en

        def sign(device: str) -> str:
            lane = self.site().lane(device)
            return "" if lane is None else lane.name_zh if language == "zh" else lane.name_en

        def dated(text: str) -> str:
            return _INSTANT.sub(lambda found: local(found[0], "%Y-%m-%d %H:%M:%S"), text)

        def plain(text: str) -> str:
            return dated(as_told(text, language))

        def local(utc: str, form: str = "%m-%d %H:%M:%S") -> str:
            # A device's word for a time need not be one, and the end of time has no local one.
            try:
                return f"{datetime.fromisoformat(utc).astimezone(zone):{form}}" if utc else ""
            except (ValueError, OverflowError):
                return utc

        return self._templates.get_template(template).render(
            say=say,
            both=both,
            plain=plain,
            dated=dated,
            sign=sign,
            local=local,
            language=language,
            number=number,
            asset=self.asset_address,
            **values,
        )


def language_of(request: Request) -> str:
    asked = request.cookies.get("kakou_language", "")
    return asked if asked in LANGUAGES else "zh"


def theme_of(request: Request) -> str:
    asked = request.cookies.get("kakou_theme", "")
    return asked if asked in THEMES else "dark"


def console_of(request: Request) -> Console:
    found: Console = request.app.state.console
    return found


class SignInFirst(Exception):
    """A page was asked for by nobody: shown the sign-in page. For other requests it is 401."""


def signed_in(request: Request) -> Session:
    """A dependency: who asks. Raises `SignInFirst`."""
    session = console_of(request).session(request)
    if session is None:
        raise SignInFirst
    request.state.session = session
    if request.headers.get("x-kakou-watching") is None:
        session.touched_s = time.monotonic()
    return session


def needs(*roles: Role) -> Callable[[Request], Session]:
    """A dependency: who asks has one of these roles."""

    def allowed(request: Request) -> Session:
        session = signed_in(request)
        if not session.roles & set(roles):
            raise Refused(403, "role")
        return session

    return allowed


async def commanding(request: Request) -> Session:
    """A dependency of every request that changes something: the cookie alone commands nothing."""
    # It may look into the archive: never on the thread that serves everybody.
    session = await run_in_threadpool(signed_in, request)
    token = request.headers.get("x-kakou-token", "")
    if not token and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        token = str((await request.form()).get("csrf", ""))
    if not secrets.compare_digest(token.encode(), session.token.encode()):
        raise Refused(403, "csrf")
    return session


def evidence_answer(request: Request, content: bytes, sha256: str) -> Response:
    """A picture is shown, any other file kept. The browser may keep the bytes, and asks each time whether it
    may show them: who signed out, or sits there next, does not see them."""
    media = next((media for begin, media in _PICTURES if content.startswith(begin)), "")
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{sha256}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if not media:
        headers["Content-Disposition"] = f'attachment; filename="{sha256[:16]}"'
    return Response(content, media_type=media or "application/octet-stream", headers=headers)


def _assets() -> list[Any]:
    return [each for each in (files("sync.hub.console") / "assets").iterdir() if each.is_file()]
