"""The page at the lane: listens, answers GET, and can do nothing else. It sees snapshots, never the lane.

The standard library's listener under a strict, small handler (decision 0008): one thread a visitor, few at a
time, each with a few seconds; no body is ever read, no path but two kinds exists, nothing is written.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import structlog

from edge.gate.screen import POLICY, page, zone_of
from edge.gate.showing import Snapshot
from edge.runtime.clock import Clock
from sync.link.page_hosts import is_this_host, name_and_port

MOST_VISITORS: Final = 8
PATIENCE_S: Final = 5.0
"""For a visitor to say what it wants, and to take it."""
MOST_PICTURE_BYTES: Final = 16_000_000
_AGAIN_EVERY_S: Final = 10.0
_PICTURE: Final = re.compile(r"/pictures/([0-9a-f]{64})\.jpg")


class Page:
    """Started and stopped by the wiring. A port that is taken is said and tried again, and stops nothing."""

    def __init__(
        self, host: str, port: int, latest: Callable[[], Snapshot | None], pictures: Path, clock: Clock
    ) -> None:
        self._where = (host, port)
        self._latest = latest
        self._pictures = pictures
        self._clock = clock
        self._stopping = threading.Event()
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("page")

    @property
    def host_name(self) -> str:
        return self._where[0].lower()

    @property
    def bound_port(self) -> int | None:
        """None while it does not listen."""
        listener = self._listener
        return None if listener is None else int(listener.server_address[1])

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._listener is not None:
            self._listener.shutdown()
        if self._thread is not None:
            self._thread.join(2.0)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and content for a path. Never raises."""
        if path == "/":
            snapshot = self._latest()
            zone = zone_of(snapshot.around.zone) if snapshot is not None else None
            shown = page(snapshot, self._clock.monotonic_s(), zone, lambda each: self._file(each) is not None)
            return 200, "text/html; charset=utf-8", shown.encode()
        found = _PICTURE.fullmatch(path)
        file = self._file(found[1]) if found is not None else None
        if file is not None:
            with contextlib.suppress(OSError):
                return 200, "image/jpeg", file.read_bytes()
        return 404, "text/plain; charset=utf-8", "没有此页 nothing here\n".encode()

    def _file(self, sha256: str) -> Path | None:
        """`<folder>/<day>/<sha256>.jpg`, where it is there and no larger than a picture is."""
        with contextlib.suppress(OSError):
            for file in (self._pictures / f"{sha256}.jpg", *self._pictures.glob(f"????-??-??/{sha256}.jpg")):
                if file.is_file() and file.stat().st_size <= MOST_PICTURE_BYTES:
                    return file
        return None

    def _run(self) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                listener = _Listener(self._where, self)
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    self._log.warning("page not shown", host=self._where[0], port=self._where[1], why=told)
                self._stopping.wait(_AGAIN_EVERY_S)
                continue
            with listener:
                self._listener = listener
                if self._stopping.is_set():
                    return
                self._log.info("page shown", host=self._where[0], port=self.bound_port)
                listener.serve_forever(poll_interval=0.2)
            return


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = MOST_VISITORS

    def __init__(self, where: tuple[str, int], page: Page) -> None:
        self.address_family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.page = page
        self.room = threading.BoundedSemaphore(MOST_VISITORS)
        super().__init__(where, _Visit)

    def server_bind(self) -> None:
        # The library would look its own name up in the DNS, which may take a minute where there is none.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that went away, or said nonsense, is nobody's business."""


class _Visit(BaseHTTPRequestHandler):
    timeout = PATIENCE_S
    server_version = "kakou"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        self._give(body=True)

    def do_HEAD(self) -> None:
        self._give(body=False)

    def _give(self, *, body: bool) -> None:
        listener = self.server
        assert isinstance(listener, _Listener)  # noqa: S101  made by it
        if not _is_ours(self.headers.get("Host", ""), listener):
            self._send(421, "text/plain; charset=utf-8", "此处非彼处 not this host\n".encode(), body=body)
            return
        status, media, content = listener.page.answer(self.path)
        self._send(status, media, content, body=body)

    def _send(self, status: int, media: str, content: bytes, *, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A method that does not exist here is not allowed, in the words of HTTP."""
        if code == 501:
            code, message = 405, "只可查看 look, and nothing else"
        content = f"{code} {message or ''}\n".encode()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response(code, "Refused")
            if code == 405:
                self.send_header("Allow", "GET, HEAD")
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Who looks at a page is not worth a line."""


def _is_ours(host: str, listener: _Listener) -> bool:
    name, port = name_and_port(host, "80")
    return port == str(listener.server_address[1]) and is_this_host(name, listener.page.host_name)
