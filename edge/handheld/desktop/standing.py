"""How a PC stands: battery and network from the kernel's own files; elsewhere unknown. Only reads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.handheld.context import Battery
from edge.handheld.ports import NetworkKind, NetworkState, Spot

_POWER: Final = Path("/sys/class/power_supply")
_INTERFACES: Final = Path("/sys/class/net")


class PcGauge:
    def __init__(self, folder: Path = _POWER) -> None:
        self._folder = folder

    def read(self) -> Battery:
        """Of several batteries the first by name. Without one: all unknown, as on a desk."""
        for supply in _folders(self._folder):
            if _word(supply / "type") == "Battery" and _word(supply / "scope") != "Device":
                capacity = _word(supply / "capacity")
                per_cent = int(capacity) if capacity.isdecimal() else None
                return Battery(per_cent=per_cent, charging=_word(supply / "status") in ("Charging", "Full"))
        return Battery()


class PcNetwork:
    def __init__(self, folder: Path = _INTERFACES) -> None:
        self._folder = folder

    def read(self) -> NetworkState:
        """Where the kernel does not list interfaces, something is assumed to be there: the link knows
        better.
        """
        if not self._folder.is_dir():
            return NetworkState(NetworkKind.OTHER)
        up = [each for each in _folders(self._folder) if _word(each / "operstate") == "up"]
        if not up:
            return NetworkState(NetworkKind.NONE)
        is_wifi = all((each / "wireless").exists() for each in up)
        return NetworkState(NetworkKind.WIFI if is_wifi else NetworkKind.OTHER)


class NoLocator:
    """A PC stands where it stands."""

    def read(self) -> Spot | None:
        return None


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _word(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace").strip()
    except OSError:
        return ""
