"""A machine with an export of its own: picture pairs and sidecars in a folder, from its page.

The one device that writes files: its line is a folder. Each file goes under a temporary name and is renamed,
or grows in place; the sidecar comes last.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from hardware_sims.xray_machine import Taken, XrayMachine

Way = Literal["renamed", "growing", "raw", "tiff"]
"""Pairs as PNG renamed when they are whole, or growing in place; one raw file; pairs as TIFF, growing."""
PNG_QUICK = [cv2.IMWRITE_PNG_COMPRESSION, 1]
TIFF_PLAIN = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
CHUNKS = 4
"""A growing file comes in so many pieces."""


def contents(
    machine: XrayMachine, taken: Taken, unix_of: Callable[[float], float], *, way: Way = "renamed"
) -> dict[str, bytes]:
    """The files of one picture by name, the sidecar last."""
    name = f"P{taken.number:06d}"
    low, high = (np.ascontiguousarray(layer.T) for layer in (taken.low, taken.high))
    files: dict[str, bytes] = {}
    if way == "raw":
        head = np.array([2, low.shape[0], low.shape[1], 2, 65_535], "<i4").tobytes()
        # Column after column, which is line after line of the belt: high, then low.
        files[f"{name}.raw"] = head + taken.high.astype("<u2").tobytes() + taken.low.astype("<u2").tobytes()
    else:
        kind, settings = ("tif", TIFF_PLAIN) if way == "tiff" else ("png", PNG_QUICK)
        for energy, layer in (("low", low), ("high", high)):
            _, encoded = cv2.imencode(f".{kind}", layer, settings)
            files[f"{name}_{energy}.{kind}"] = encoded.tobytes()
    detector = machine.detector.settings
    sidecar: dict[str, Any] = {
        "version": 1,
        "columns": low.shape[1],
        "rows": low.shape[0],
        "encoder_first": machine.encoder_of(taken.first_mm),
        "encoder_last": machine.encoder_of(taken.last_mm),
        "nanometres_per_count": machine.belt.settings.nanometres_per_count,
        "mm_per_pixel": detector.pixel_mm,
        "mm_per_column": detector.line_mm,
        "begun": _utc(unix_of(taken.first_s)),
        "ended": _utc(unix_of(taken.last_s)),
        "air_low": 60_000,
        "air_high": 60_000,
        "status": taken.status.name,
        "sha256": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
        "kilovolts": 160.0,
        "microamperes": 700,
        "serial": "SIM-001",
    }
    files[f"{name}.json"] = json.dumps(sidecar).encode()
    return files


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class _Piece:
    due_s: float
    path: Path
    data: bytes
    append: bool
    rename_to: Path | None


class XrayFolder:
    """Writes the machine's pictures; `serve` does what is due."""

    def __init__(
        self,
        machine: XrayMachine,
        folder: Path,
        *,
        way: Way = "renamed",
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        export_s: float = 0.15,
    ) -> None:
        """`export_s`: between the last line and the first file, and between pieces of a growing one."""
        self.address = str(folder)
        self._machine = machine
        self._folder = folder
        self._way = way
        self._unix_of = unix_of
        self._export_s = export_s
        self._pieces: deque[_Piece] = deque()
        folder.mkdir(parents=True, exist_ok=True)

    def next_event_s(self) -> float:
        return self._pieces[0].due_s if self._pieces else float("inf")

    def serve(self, at_s: float) -> None:
        while self._machine.pictures:
            self._plan(at_s, self._machine.pictures.popleft())
        while self._pieces and self._pieces[0].due_s <= at_s:
            self._write(self._pieces.popleft())

    def _plan(self, at_s: float, taken: Taken) -> None:
        due_s = at_s + self._export_s
        for name, data in contents(self._machine, taken, self._unix_of, way=self._way).items():
            path = self._folder / name
            if self._way not in ("growing", "tiff"):
                self._pieces.append(_Piece(due_s, path.with_name(name + ".part"), data, False, path))
                continue
            size = -(-len(data) // CHUNKS)
            for at in range(0, len(data), size):
                self._pieces.append(_Piece(due_s, path, data[at : at + size], at > 0, None))
                due_s += self._export_s / CHUNKS

    def _write(self, piece: _Piece) -> None:
        with piece.path.open("ab" if piece.append else "wb") as file:
            file.write(piece.data)
        if piece.rename_to is not None:
            piece.path.replace(piece.rename_to)
