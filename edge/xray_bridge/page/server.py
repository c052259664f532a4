"""The judgement contract over HTTP, for the page at the station and for remote desks: decision 0020.

Starlette under uvicorn, on a thread of its own with a loop of its own; the station is never waited for and
never made to wait. Nothing but signing in, the page's own files and `/healthz` is answered to somebody not
signed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.runtime.clock import Clock
from edge.xray_bridge.contract import (
    NO_COMMON_GROUND,
    PICTURE_PATTERN,
    SEARCH_BY,
    Accepted,
    Answer,
    Category,
    DeskCommand,
    DeskView,
    Judge,
    Mark,
    Refusal,
    Reset,
    Save,
    Show,
    SignedIn,
    SignIn,
    StationView,
    Touched,
    Undo,
    WedgeNext,
)
from edge.xray_bridge.effects import AnswerDesk
from edge.xray_bridge.events import (
    Event,
    Judged,
    OfficerCame,
    OfficerLeft,
    ResetAsked,
    SaveAsked,
    Shown,
    Undone,
    WedgeAsked,
)
from edge.xray_bridge.page.desks import MOST_STREAMS, Bucket, Desks, Seat
from edge.xray_bridge.page.door import MOST_PLACES, Checked, Door, place_of
from edge.xray_bridge.page.ports import (
    TABLE_BYTES,
    Differs,
    Library,
    NotAligned,
    Pictures,
    SearchBy,
)
from edge.xray_bridge.values import Box, Region, Verdict
from edge.xray_bridge.view import CATEGORIES, answer_words, desk_view
from sync.link import page_callers
from sync.link.page_callers import Listening, listen, numbers_of, patient
from sync.link.page_hosts import is_this_host, name_and_port
from sync.vocabulary.rulings import Text

MOST_BODY_BYTES: Final = 32_768
MOST_CONNECTIONS: Final = 64
MOST_FROM_ONE: Final = 32
"""Of those, from one address that is not this machine's."""
PATIENCE_S: Final = 10.0
"""For a client to say what it wants, and to take what it is given."""
HEARTBEAT_S: Final = 1.0
LEAST_BETWEEN_S: Final = 0.05
"""Between two views of one desk: nobody reads faster."""
STANDS_STILL_S: Final = 5.0
"""A station publishes several times a second: one that has not for so long hangs."""
CACHE_BYTES: Final = 96_000_000
MOST_DIFFERENCES: Final = 200
"""Kept of those worked out last; each a few kB."""
MOST_DIFFERENCES_WAITING: Final = 8
COOKIE: Final = "kakou_desk"
_AGAIN_EVERY_S: Final = 10.0
_STANDING_EVERY_S: Final = 5.0
_ANSWERS_KEPT: Final = 64
_PICTURE: Final = re.compile(PICTURE_PATTERN)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_ASSETS: Final = {
    "index.html": "text/html; charset=utf-8",
    "station.css": "text/css; charset=utf-8",
    "station.js": "text/javascript; charset=utf-8",
    "picture.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageSettings:
    host: str = "127.0.0.1"
    port: int = 8079
    certificate_file: Path | None = None
    key_file: Path | None = None
    """Both, or neither: without them it is plain HTTP, for this machine alone."""
    lock_s: float = 300.0
    """A desk no key was touched at for so long is nobody's."""
    desks: Mapping[str, bool] = field(default_factory=lambda: {"desk-1": False})
    """Name -> whether it stands elsewhere (集中判图)."""
    categories: tuple[Category, ...] = CATEGORIES


@dataclass(slots=True)
class _Stream:
    """One open stream of a desk."""

    seat: Seat
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str = ""


class StationPage:
    """Started and stopped by the wiring. A port that is taken is said and tried again, and stops nothing.

    `latest` gives what the station published last; `put` is the inbox's and must not block. `changed` and
    `answered` may be called on any thread.
    """

    def __init__(
        self,
        settings: PageSettings,
        *,
        clock: Clock,
        latest: Callable[[], StationView | None],
        put: Callable[[Event], None],
        pictures: Pictures,
        library: Library,
        door: Door,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._latest = latest
        self._put = put
        self._pictures = pictures
        self._library = library
        self._door = door
        self._desks = Desks()
        self._streams: list[_Stream] = []
        self._answers: dict[str, deque[tuple[int, Answer]]] = {}
        self._answer_number = 0
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._differences: OrderedDict[tuple[str, str, str], Differs | NotAligned] = OrderedDict()
        """By both pictures and the table of colours: another calibration sees them a little otherwise."""
        self._differences_waiting = 0
        self._assets = _read_assets()
        self._tries: OrderedDict[str, Bucket] = OrderedDict()
        """By place: strangers who try without a pause keep nobody elsewhere from trying."""
        self._rates: dict[str, Bucket] = {}
        self._working = asyncio.Semaphore(4)
        self._searching = asyncio.Semaphore(1)
        self._differing = asyncio.Semaphore(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._bound_port: int | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("page")

    # --- any thread ---

    @property
    def bound_port(self) -> int | None:
        """None while it does not listen."""
        return self._bound_port

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="station-page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._soon(self._end)
        if self._thread is not None:
            self._thread.join(5.0)

    def changed(self) -> None:
        """Something new was published: streams look at once, not at their next heartbeat."""
        self._soon(self._wake_all)

    def answered(self, answer: AnswerDesk) -> None:
        self._soon(lambda: self._answer(answer))

    def _soon(self, what: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(what)

    # --- its own thread ---

    def _run(self) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                listener = listen(self._settings.host, self._settings.port, has_room, MOST_CONNECTIONS)
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    self._log.warning(
                        "page not served", host=self._settings.host, port=self._settings.port, why=told
                    )
                self._stopping.wait(_AGAIN_EVERY_S)
                continue
            try:
                asyncio.run(self._serve(listener))
            finally:
                self._bound_port = None
                self._loop = None
                listener.close()
            return

    async def _serve(self, listener: Listening) -> None:
        settings = self._settings
        config = uvicorn.Config(
            self._app(),
            http=patient(lambda: PATIENCE_S),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
            ssl_certfile=None if settings.certificate_file is None else str(settings.certificate_file),
            ssl_keyfile=None if settings.key_file is None else str(settings.key_file),
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.get_running_loop()
        self._bound_port = int(listener.getsockname()[1])
        if self._stopping.is_set():
            return
        self._log.info("page served", host=settings.host, port=self._bound_port)
        minder = asyncio.create_task(self._mind(listener, self._server))
        try:
            await self._server.serve(sockets=[listener])
        finally:
            minder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await minder

    def _end(self) -> None:
        for stream in self._streams:
            stream.ended = "stopping"
            stream.wake.set()
        if self._server is not None:
            self._server.should_exit = True

    def _wake_all(self) -> None:
        for stream in self._streams:
            stream.wake.set()

    def _answer(self, answer: AnswerDesk) -> None:
        self._answer_number += 1
        told = Answer(
            id=answer.command_id,
            parcel=answer.parcel,
            ok=answer.ok,
            words=answer_words(answer.why, ok=answer.ok),
        )
        kept = self._answers.setdefault(answer.desk, deque(maxlen=_ANSWERS_KEPT))
        kept.append((self._answer_number, told))
        self._wake_all()

    async def _mind(self, listener: Listening, server: uvicorn.Server) -> None:
        """Time passes for desks: locks, ended shifts, closed browsers, revoked officers; and for
        who calls and says nothing."""
        looked_s = self._clock.monotonic_s()
        while True:
            await asyncio.sleep(0.5)
            listener.hang_up(numbers_of(server), PATIENCE_S)
            now_s = self._clock.monotonic_s()
            for seat, why in self._desks.overdue(now_s, self._settings.lock_s):
                self._leave(seat, why)
            for seat in self._desks.gone(now_s):
                self._absent(seat, "gone")
            if now_s - looked_s >= _STANDING_EVERY_S:
                looked_s = now_s
                for seat in list(self._desks.seats.values()):
                    standing = await self._worker(self._door.standing, seat.officer)
                    # Records that cannot be read or grew old end no shift; what they say of an officer does.
                    if standing in ("unknown", "revoked", "expired", "not_authorised"):
                        self._leave(seat, standing)

    def _leave(self, seat: Seat, why: str) -> None:
        if not self._desks.leave(seat):
            return
        self._gone_from(seat, why)

    def _gone_from(self, seat: Seat, why: str) -> None:
        self._absent(seat, why)
        self._answers.pop(seat.desk, None)
        self._rates.pop(seat.cookie, None)
        for stream in self._streams:
            if stream.seat is seat:
                stream.ended = why
                stream.wake.set()

    def _absent(self, seat: Seat, why: str) -> None:
        if seat.present:
            seat.present = False
            self._put(OfficerLeft(desk=seat.desk, officer=seat.officer, why=why))

    async def _worker(self, do: Callable[..., T], *args: Any) -> T:
        async with self._working:
            return await asyncio.to_thread(do, *args)

    # --- what is answered ---

    def _app(self) -> ASGIApp:
        routes = [
            Route("/", self._index),
            Route("/assets/{name}", self._asset),
            Route("/healthz", self._health),
            Route("/v1/sign_in", self._sign_in, methods=["POST"]),
            Route("/v1/sign_out", self._sign_out, methods=["POST"]),
            Route("/v1/session", self._session),
            Route("/v1/view", self._view),
            Route("/v1/stream", self._stream),
            Route("/v1/commands", self._command, methods=["POST"]),
            Route("/v1/pictures/{picture}/planes.png", self._planes),
            Route("/v1/pictures/{picture}/preview.jpg", self._preview),
            Route("/v1/pictures/{picture}/differences/{reference}.png", self._difference),
            Route("/v1/tables/{table}/{mode}.bin", self._table),
            Route("/v1/search", self._search),
        ]
        inner = Starlette(routes=routes)
        return _Guard(inner, self._settings)

    async def _index(self, request: Request) -> Response:
        return self._file("index.html", request)

    async def _asset(self, request: Request) -> Response:
        return self._file(str(request.path_params["name"]), request)

    def _file(self, name: str, request: Request) -> Response:
        found = self._assets.get(name)
        if found is None:
            return _refused(404, "nothing_here", "没有此页", "Nothing here")
        content, media, tag = found
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media, headers=headers)

    async def _health(self, request: Request) -> Response:
        whole = self._latest()
        stale_s = self._stale_s(whole)
        ok = stale_s is not None and stale_s < STANDS_STILL_S
        return _json({"ok": ok, "stale_s": stale_s}, 200 if ok else 503)

    def _stale_s(self, whole: StationView | None) -> float | None:
        return None if whole is None else max(0.0, round(self._clock.monotonic_s() - whole.at_s, 3))

    async def _sign_in(self, request: Request) -> Response:
        address = request.client.host if request.client is not None else ""
        if not self._may_try(place_of(address)):
            return _refused(429, "too_fast", "请稍候再试", "Too many tries, wait a moment", wait_s=1.0)
        asked = await _body_of(request, SignIn)
        if isinstance(asked, Response):
            return asked
        desks = self._settings.desks
        if asked.desk and asked.desk not in desks:
            return _refused(422, "desk_unknown", "没有此席位", "There is no such desk")
        whole = self._latest()
        if whole is None:
            return _refused(503, "starting", "系统启动中", "The station is starting")
        checked = await self._worker(self._door.check, asked.officer.strip(), asked.pin, address)
        if checked.outcome != "right" or checked.officer is None:
            self._log.warning(
                "sign-in refused", why=checked.outcome, tries=checked.tries, place=place_of(address)
            )
            return _turned_away(checked)
        now_s = self._clock.monotonic_s()
        officer_no = checked.officer.officer_no
        # Without a name: the desk this officer left open elsewhere, or the first free one.
        desk = asked.desk or self._desks.of(officer_no, desks, remote=asked.remote)
        desk = desk or self._desks.free(name for name in desks if desks[name] is asked.remote)
        if desk is None:
            return _refused(503, "no_desk", "席位已满", "All desks are taken")
        seat = Seat(
            desk=desk,
            officer=officer_no,
            authorisations=tuple(checked.officer.authorisations),
            remote=desks[desk],
            cookie=secrets.token_urlsafe(32),
            token=secrets.token_urlsafe(32),
            since_s=now_s,
            touched_s=now_s,
            gone_s=now_s,
        )
        for other, why in self._desks.sit(seat):
            self._gone_from(other, why)
        answer = _json(self._signed_in(seat, whole.station))
        answer.set_cookie(
            COOKIE,
            seat.cookie,
            httponly=True,
            samesite="strict",
            secure=self._settings.certificate_file is not None,
            path="/",
        )
        return answer

    def _may_try(self, place: str) -> bool:
        now_s = self._clock.monotonic_s()
        bucket = self._tries.setdefault(place, Bucket(10.0, 1.0, 10.0, now_s))
        self._tries.move_to_end(place)
        while len(self._tries) > MOST_PLACES:
            self._tries.popitem(last=False)
        return bucket.take(now_s)

    def _signed_in(self, seat: Seat, station: str) -> SignedIn:
        return SignedIn(
            station=station,
            desk=seat.desk,
            officer=seat.officer,
            authorisations=seat.authorisations,
            token=seat.token,
        )

    def _seat(self, request: Request) -> Seat | Response:
        seat = self._desks.seat(request.cookies.get(COOKIE, ""))
        return seat if seat is not None else _refused(401, "not_signed_in", "请先登录", "Sign in first")

    def _commanding(self, request: Request) -> Seat | Response:
        """The cookie alone commands nothing: another page's form could send it."""
        seat = self._seat(request)
        if isinstance(seat, Seat) and not secrets.compare_digest(
            request.headers.get("x-kakou-token", "").encode(), seat.token.encode()
        ):
            return _refused(403, "no_token", "请求来源不明", "Expected the desk's own token")
        return seat

    async def _session(self, request: Request) -> Response:
        """Whose session it is, for a page that was loaded again; 204: nobody's."""
        seat, whole = self._seat(request), self._latest()
        if isinstance(seat, Response):
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return _json(self._signed_in(seat, "" if whole is None else whole.station))

    async def _sign_out(self, request: Request) -> Response:
        seat = self._commanding(request)
        if isinstance(seat, Response):
            return seat
        self._leave(seat, "asked")
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def _view(self, request: Request) -> Response:
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        shown = await self._shown(seat)
        return _json(shown) if shown is not None else _refused(503, "starting", "系统启动中", "Starting")

    async def _shown(self, seat: Seat) -> DeskView | None:
        whole = self._latest()
        stale_s = self._stale_s(whole)
        if whole is None or stale_s is None:
            return None
        return desk_view(
            whole,
            seat.desk,
            seat.officer,
            stale_s=stale_s,
            categories=self._settings.categories,
            looks=self._pictures.looks(),
        )

    async def _stream(self, request: Request) -> Response:
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        if seat.streams >= MOST_STREAMS:
            return _refused(
                429, "too_many_streams", "席位已在别处打开", "This desk is open elsewhere already"
            )
        return _Pushed(lambda send: self._push(seat, send))

    async def _push(self, seat: Seat, send: Callable[[bytes], Awaitable[None]]) -> None:
        stream = _Stream(seat)
        self._streams.append(stream)
        seat.streams += 1
        seat.gone_s = None
        if not seat.present:
            seat.present = True
            self._put(
                OfficerCame(
                    desk=seat.desk,
                    officer=seat.officer,
                    authorisations=seat.authorisations,
                    remote=seat.remote,
                )
            )
        # What was answered while no stream was open is told now; a desk knows its own ids.
        answered = 0
        try:
            await send(b"retry: 500\n\n")
            while not stream.ended and self._desks.seat(seat.cookie) is seat:
                stream.wake.clear()
                for number, answer in tuple(self._answers.get(seat.desk, ())):
                    if number > answered:
                        answered = number
                        await send(_event("answer", answer))
                shown = await self._shown(seat)
                if shown is not None:
                    await send(_event("view", shown))
                await asyncio.sleep(LEAST_BETWEEN_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stream.wake.wait(), HEARTBEAT_S)
            await send(_event("ended", {"why": stream.ended or "elsewhere"}))
        finally:
            self._streams.remove(stream)
            seat.streams -= 1
            if seat.streams == 0:
                seat.gone_s = self._clock.monotonic_s()

    async def _command(self, request: Request) -> Response:
        seat = self._commanding(request)
        if isinstance(seat, Response):
            return seat
        now_s = self._clock.monotonic_s()
        if not self._rates.setdefault(seat.cookie, Bucket(60.0, 20.0, 60.0, now_s)).take(now_s):
            return _refused(429, "too_fast", "操作过快", "Too many commands", wait_s=1.0)
        body = await _bytes_of(request)
        if isinstance(body, Response):
            return body
        command = _read(body, DeskCommand)
        if isinstance(command, Response):
            return command
        wrong = self._wrong(command, seat)
        if wrong is not None:
            return wrong
        if self._desks.seat(seat.cookie) is not seat:  # signed out while the body was on its way
            return _refused(401, "not_signed_in", "请先登录", "Sign in first")
        first = self._desks.first_time(seat.desk, command.id, hashlib.sha256(body).digest())
        if first is None:
            return _refused(409, "id_used", "编号已用于另一操作", "This id was used for another command")
        seat.touched_s = now_s
        if first:
            event = _as_event(command, seat)
            if event is not None:
                self._put(event)
        return _json(Accepted(id=command.id, again=not first), 202)

    def _wrong(self, command: DeskCommand, seat: Seat) -> Response | None:
        """What no station needs to be asked about."""
        if isinstance(command, Judge):
            known = {each.code for each in self._settings.categories}
            if command.verdict is Verdict.FLAGGED and command.category not in known:
                return _refused(422, "no_category", "标为异常须选类别", "A flag needs one of the categories")
        if not seat.present:
            return _refused(409, "not_watching", "画面未连接", "Open the desk's stream before judging")
        return None

    async def _planes(self, request: Request) -> Response:
        return await self._picture(request, "planes", "image/png", self._pictures.planes)

    async def _preview(self, request: Request) -> Response:
        return await self._picture(request, "preview", "image/jpeg", self._pictures.preview)

    async def _picture(
        self, request: Request, kind: str, media: str, make: Callable[[str], bytes | None]
    ) -> Response:
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        picture = str(request.path_params["picture"])
        if _PICTURE.fullmatch(picture) is None:
            return _refused(404, "nothing_here", "没有此图", "No such picture")
        content = await self._kept(f"{kind}/{picture}", make, picture)
        return _for_ever(content, media)

    async def _difference(self, request: Request) -> Response:
        """On request only, and one at a time: no picture on its way to a screen waits for it."""
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        pair = str(request.path_params["picture"]), str(request.path_params["reference"])
        if not all(_PICTURE.fullmatch(each) for each in pair):
            return _refused(404, "nothing_here", "没有此图", "No such picture")
        looks = self._pictures.looks()
        asked = (*pair, "" if looks is None else looks.table)
        if asked not in self._differences and self._differences_waiting >= MOST_DIFFERENCES_WAITING:
            return _refused(429, "too_fast", "请稍候再试", "Too many at once, wait a moment", wait_s=0.5)
        found = await self._differs(asked)
        if isinstance(found, NotAligned):
            return _refused(422, NO_COMMON_GROUND, found.words.zh, found.words.en)
        if found is None:
            return _for_ever(None, "image/png")
        # Not for ever, as a picture: a new calibration sees it a little otherwise.
        tag = f'"{hashlib.sha256("/".join(asked).encode()).hexdigest()[:32]}"'
        headers = {"Cache-Control": "private, no-cache", "ETag": tag, "X-Kakou-Common": f"{found.common:.3f}"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(found.png, media_type="image/png", headers=headers)

    async def _differs(self, asked: tuple[str, str, str]) -> Differs | NotAligned | None:
        self._differences_waiting += 1
        try:
            async with self._differing:
                kept = self._differences.get(asked)
                if kept is not None:
                    self._differences.move_to_end(asked)
                    return kept
                picture, reference, _ = asked
                found = await asyncio.to_thread(self._pictures.difference, picture, reference)
        finally:
            self._differences_waiting -= 1
        if found is not None:
            self._differences[asked] = found
            while len(self._differences) > MOST_DIFFERENCES:
                self._differences.popitem(last=False)
        return found

    async def _table(self, request: Request) -> Response:
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        table, mode = str(request.path_params["table"]), str(request.path_params["mode"])
        if _NAME.fullmatch(table) is None or _NAME.fullmatch(mode) is None:
            return _refused(404, "nothing_here", "没有此表", "No such table")
        content = await self._kept(f"table/{table}/{mode}", self._pictures.table, table, mode)
        if content is not None and len(content) != TABLE_BYTES:
            self._log.error("a table of colours is no table", size_bytes=len(content))
            content = None
        return _for_ever(content, "application/octet-stream")

    async def _kept(self, key: str, make: Callable[..., bytes | None], *args: str) -> bytes | None:
        """From memory, or made on a worker thread. What an id names never changes."""
        kept = self._cache.get(key)
        if kept is not None:
            self._cache.move_to_end(key)
            return kept
        content = await self._worker(make, *args)
        if content is not None and key not in self._cache:
            self._cache[key] = content
            self._cached_bytes += len(content)
            while self._cached_bytes > CACHE_BYTES:
                _, dropped = self._cache.popitem(last=False)
                self._cached_bytes -= len(dropped)
        return content

    async def _search(self, request: Request) -> Response:
        seat = self._seat(request)
        if isinstance(seat, Response):
            return seat
        by, text = request.query_params.get("by", ""), request.query_params.get("text", "").strip()
        if by not in SEARCH_BY or not 1 <= len(text) <= 80:
            return _refused(
                422,
                "bad_search",
                "请输入查询内容",
                f"Expected by={'|'.join(SEARCH_BY)} and 1 to 80 characters",
            )
        if self._searching.locked():
            return _refused(429, "too_fast", "查询进行中", "A search is under way", wait_s=0.5)
        async with self._searching:
            return _json(await asyncio.to_thread(self._library.search, _by(by), text, 40))


def _by(text: str) -> SearchBy:
    by: SearchBy = msgspec.convert(text, SearchBy)
    return by


def _as_event(command: DeskCommand, seat: Seat) -> Event | None:
    match command:
        case Judge():
            return Judged(
                parcel=command.parcel,
                picture=command.picture,
                officer=seat.officer,
                desk=seat.desk,
                verdict=command.verdict,
                category=command.category,
                note=command.note,
                regions=_regions(command.regions),
                took_s=command.took_s,
                command_id=command.id,
            )
        case Undo():
            return Undone(parcel=command.parcel, officer=seat.officer, desk=seat.desk, command_id=command.id)
        case Show():
            return Shown(parcel=command.parcel, picture=command.picture, desk=seat.desk)
        case Save():
            return SaveAsked(
                parcel=command.parcel,
                picture=command.picture,
                officer=seat.officer,
                desk=seat.desk,
                kind=command.kind,
                category=command.category,
                note=command.note,
                regions=_regions(command.regions),
                command_id=command.id,
            )
        case WedgeNext():
            return WedgeAsked(on=command.on, officer=seat.officer, desk=seat.desk, command_id=command.id)
        case Reset():
            return ResetAsked(officer=seat.officer, desk=seat.desk, command_id=command.id)
        case Touched():
            return None


def _regions(marks: Iterable[Mark]) -> tuple[Region, ...]:
    return tuple(
        Region(Box(mark.left, mark.top, mark.width, mark.height), mark.category, mark.note) for mark in marks
    )


# --- HTTP -----------------------------------------------------------------------------------------------


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _refused(status: int, code: str, zh: str, en: str, *, wait_s: float = 0.0) -> Response:
    answer = _json(Refusal(code=code, words=Text(zh, en), wait_s=wait_s), status)
    if wait_s:
        answer.headers["Retry-After"] = str(max(1, round(wait_s)))
    return answer


_TURNED_AWAY: Final = {
    "wrong": Text("工号或密码错误", "Wrong number or PIN"),
    "wait": Text("密码多次错误，请稍候", "Too many wrong PINs, please wait"),
    "unknown": Text("本机无此关员", "Officer not rostered on this device"),
    "revoked": Text("关员授权已撤销", "Officer's authorisation was revoked"),
    "expired": Text("关员授权已到期", "Officer's authorisation has ended"),
    "too_long_offline": Text("离线过久，联网后登录", "Offline for too long, sign in with a network"),
    "not_authorised": Text("无判图授权", "Not authorised to judge X-ray pictures"),
    "not_checked": Text("本机存储故障，无法登录", "Storage fault: nobody can sign in now"),
}


def _turned_away(checked: Checked) -> Response:
    words = _TURNED_AWAY.get(checked.outcome, _TURNED_AWAY["unknown"])
    status = 429 if checked.outcome == "wait" else 503 if checked.outcome == "not_checked" else 403
    return _refused(status, checked.outcome, words.zh, words.en, wait_s=round(checked.wait_s, 1))


def _for_ever(content: bytes | None, media: str) -> Response:
    if content is None:
        return _refused(404, "nothing_here", "没有此图", "No such picture")
    return Response(
        content, media_type=media, headers={"Cache-Control": "private, max-age=31536000, immutable"}
    )


async def _bytes_of(request: Request) -> bytes | Response:
    """The whole body, or why not."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refused(415, "not_json", "须为 JSON", "Expected application/json")
    told = request.headers.get("content-length", "")
    if not told.isascii() or not told.isdecimal():
        return _refused(411, "no_length", "须说明长度", "Expected a Content-Length")
    if int(told) > MOST_BODY_BYTES:
        return _refused(413, "too_large", "内容过大", f"Expected {MOST_BODY_BYTES} bytes at most")
    body = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BODY_BYTES:
                    return _refused(413, "too_large", "内容过大", f"Expected {MOST_BODY_BYTES} bytes at most")
    except (TimeoutError, ClientDisconnect):
        return _refused(408, "too_slow", "超时", "Too slow")
    return body


async def _body_of(request: Request, kind: type[T]) -> T | Response:
    body = await _bytes_of(request)
    return body if isinstance(body, Response) else _read(body, kind)


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refused(422, "not_this_shape", "内容格式不符", f"Expected another shape: {str(error)[:200]}")


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"


class _Pushed(Response):
    """Server-sent events for as long as `run` sends, the client listens and takes what it is given."""

    def __init__(self, run: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]) -> None:
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

        async def say(piece: bytes) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        running = asyncio.ensure_future(self._run(say))
        watching = asyncio.create_task(watch())
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, watching):
                task.cancel()
            results = await asyncio.gather(running, watching, return_exceptions=True)
        failed = next((each for each in results if isinstance(each, Exception)), None)
        if failed is not None and not isinstance(failed, TimeoutError | OSError):
            raise failed
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(PATIENCE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Guard:
    """Before every answer: is this host ours, is the asker our own page or a program, is the method known.
    After it: what a browser may do with it."""

    def __init__(self, inner: ASGIApp, settings: PageSettings) -> None:
        self._inner = inner
        self._host = settings.host.lower()
        self._scheme = "http" if settings.certificate_file is None else "https"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._turned_away(Request(scope))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await (refusal if refusal is not None else self._inner)(scope, receive, guarded)

    def _turned_away(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        server = request.scope.get("server") or ("", 0)
        if not _is_ours(host, self._host, int(server[1] or 0), self._scheme):
            return _refused(421, "not_this_host", "此处非彼处", "Not this host")
        if request.method not in ("GET", "HEAD", "POST"):
            return _refused(405, "no_such_method", "方法不支持", "Expected GET, HEAD or POST")
        origin = request.headers.get("origin")
        # A program says no Origin; a browser always does with a POST, and no page can hide its own.
        if origin is not None and origin.lower() != f"{self._scheme}://{host.lower()}":
            return _refused(403, "other_origin", "请求来源不明", "Asked by another site's page")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _refused(403, "other_origin", "请求来源不明", "Asked by another site's page")
        return None


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


def _is_ours(host: str, configured: str, port: int, scheme: str) -> bool:
    name, told = name_and_port(host, "443" if scheme == "https" else "80")
    return told == str(port) and is_this_host(name, configured)


def has_room(address: str, others: Sequence[str]) -> bool:
    """Whether one more may call from there. One machine elsewhere cannot keep all others out."""
    return page_callers.has_room(address, others, MOST_CONNECTIONS, MOST_FROM_ONE)


def _read_assets() -> dict[str, tuple[bytes, str, str]]:
    """Name -> content, media type, tag. They ship with the package: no page of ours needs a network."""
    folder = files("edge.xray_bridge.page") / "assets"
    found = {}
    for name, media in _ASSETS.items():
        content = (folder / name).read_bytes()
        found[name] = (content, media, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found
