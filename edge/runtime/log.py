"""What a program says about itself, to stderr. Never a secret, and never a reason to wait.

Lines are written by a thread of their own: whoever reads stderr and stops reading must not stop a lane.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error", "critical"]

HIDDEN: Final = "(not logged)"

_MOST_WAITING: Final = 10_000


def set_up_log(level: Level = "info", *, stream: TextIO | None = None) -> LogWriter:
    """Send structlog and the standard library's logging to `stream` (stderr): lines for people on a
    terminal, one JSON object a line elsewhere, with its priority in front where the journal of systemd reads
    them. Called again, it replaces what was set up before."""
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    render: Processor
    if out.isatty():
        render = structlog.dev.ConsoleRenderer(timestamp_key="time")
    elif goes_to_journal(out, os.environ):
        render = for_journal
    else:
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, LogWriter):
            handler.close()
    writer = LogWriter(out)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide_secrets, render],
        )
    )
    root.addHandler(writer)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return writer


PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog, as sd-daemon(3) wants them in front of a line."""


def goes_to_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether systemd's journal reads what is written there, in the way of systemd.exec(5): a program that
    was started by another, its stderr in a file, has the same variable and must not believe it."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (str(there.st_dev), str(there.st_ino)) == (device, inode)


_json_line = structlog.processors.JSONRenderer(ensure_ascii=False)


def for_journal(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """A structlog processor, the last: one line of JSON behind its priority. The journal has times itself."""
    event.pop("time", None)
    return f"<{PRIORITIES.get(str(event.get('level')), 6)}>{_json_line(logger, method, event)!s}"


class LogWriter(logging.Handler):
    """Hands lines to a thread that writes them. What cannot be written is counted, not waited for."""

    def __init__(self, stream: TextIO, *, most_waiting: int = _MOST_WAITING) -> None:
        super().__init__()
        self.lost = 0
        """Lines not written: too many waited, the stream refused them, or they could not be rendered."""
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except Exception:  # noqa: BLE001 - a line that cannot be said must not break what it is about
            self.lost += 1

    def close(self) -> None:
        """Write out what waits, for two seconds at most. Done at program exit too."""
        atexit.unregister(self.close)
        logging.getLogger().removeHandler(self)
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=1.0)
            except queue.Full:
                return
            self._thread.join(2.0)
        super().close()

    def _write(self) -> None:
        told = 0
        while (line := self._lines.get()) is not None:
            lost = self.lost
            try:
                if lost > told:
                    lines_lost = {"level": "error", "event": "log lines lost", "count": lost}
                    front = f"<{PRIORITIES['error']}>" if line.startswith("<") else ""
                    self._stream.write(front + json.dumps(lines_lost) + "\n")
                    told = lost
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # a full disk, a closed pipe, a closed file
                self.lost += 1


# Keys are compared word by word, so that `pin` is told from `pinned` and `draw_key` from `key_path`.
_SECRET_WORDS: Final = frozenset(
    {"password", "passwd", "passphrase", "secret", "secrets", "token", "pin", "pepper"}
    | {"credential", "credentials"}
)
_SECRET_PAIRS: Final = frozenset({("private", "key"), ("draw", "key"), ("api", "key"), ("signing", "key")})
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_SAID: Final = re.compile(r"(?i)\b(password|passwd|passphrase|secret|token|pin)(\s*[=:]\s*)[^\s,;\"'}]+")
_DEEPEST: Final = 8


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: values under keys that name secrets, private keys and passwords within text."""
    return {key: HIDDEN if _names_a_secret(key) else _hidden(value, 0) for key, value in event.items()}


def _hidden(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEEPEST:
        if isinstance(value, dict):
            return {
                str(key): HIDDEN if _names_a_secret(str(key)) else _hidden(inner, depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [_hidden(inner, depth + 1) for inner in value]
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return _SAID.sub(rf"\1\2{HIDDEN}", _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", _PEM.sub(HIDDEN, text)))


def _names_a_secret(key: str) -> bool:
    words = [word for word in re.split(r"[^a-z0-9]+", key.lower()) if word]
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairwise(words))
