"""Where the glass finds its core: a small file in the app's private folder, made anew by each core.

Not by the service's argument: Android restarts a sticky service with an empty one (python-for-android,
`PythonService.onStartCommand`: the intent is null), and the glass must find that core too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from edge.handheld.joint.wire import TOKEN_BYTES
from sync.store.whole_files import replace_whole

_FILE: Final = "joint.json"


class Place(msgspec.Struct, frozen=True):
    port: int
    """On 127.0.0.1."""
    token: str
    """64 hex digits. Whoever can read them is this app."""


def say_place(folder: Path, port: int, token: bytes) -> None:
    """Readable by the app's own user alone. Raises `OSError`."""
    replace_whole(folder / _FILE, msgspec.json.encode(Place(port, token.hex())))


def find_place(folder: Path) -> tuple[int, bytes] | None:
    """None while there is none that can be used."""
    try:
        place = msgspec.json.decode((folder / _FILE).read_bytes(), type=Place)
        token = bytes.fromhex(place.token)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    usable = len(token) == TOKEN_BYTES and 0 < place.port < 65_536
    return (place.port, token) if usable else None


def forget_place(folder: Path) -> None:
    (folder / _FILE).unlink(missing_ok=True)
