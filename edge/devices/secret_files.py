"""Passwords and tokens of devices, from files: read once, when drivers are made. Never inline, never told."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge.devices.settings import SettingError, SettingsRefused

MOST_BYTES = 1024


def read_secret(key: str, path: str) -> str:
    """The one line of the file at `path`; empty where no path is set. Raises `SettingsRefused`, which says
    what an administrator must change and never what stands in the file."""
    if not path:
        return ""
    problem, secret = _read(Path(path))
    if problem:
        # what stands there may be the secret itself, put in by mistake: it is not repeated
        raise SettingsRefused(
            (SettingError(key, "the absolute path of a file with one line", f"one that {problem}"),)
        )
    return secret


def _read(path: Path) -> tuple[str, str]:
    """(what is wrong, the secret)."""
    if not path.is_absolute():
        return "is not absolute", ""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return "is not a file", ""
        if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
            return "is open to every user of this machine; chmod 600", ""
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'no path'}", ""
    try:
        secret = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "is not UTF-8", ""
    if not secret or len(content) > MOST_BYTES or not secret.isprintable():
        return "holds no single line of at most 1000 characters", ""
    return "", secret
