"""An X-ray machine of the line-scan kind around a belt: when it takes lines, which are one picture. No port.

It begins a picture when something enters the beam and ends it when the beam has been free for as long as two
parcels may be apart and still be one picture to it. Lines are started by the belt's encoder, forward only.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hardware_sims.xray_belt import BeltParcel, TroubleKind, XrayBelt
from hardware_sims.xray_goods import Packed
from hardware_sims.xray_physics import (
    Counts,
    Detector,
    DetectorSettings,
    Picture,
    blurred,
    flattened,
    transmission,
)

LINES_A_BLOCK = 16
EDGE_LINES = 16
"""Empty lines before and behind an object, where the gap allows."""
CALIBRATION_LINES = 64
CALIBRATION_ROOM_MM = 500.0
"""So much free belt before the beam is enough for it."""
EMPTY_EVERY_S = 4.0
MOST_LINES = 1_400
PLAIN = DetectorSettings()


class Status(enum.IntEnum):
    SUCCESSFUL = 0
    JAM = 1
    OVERSIZE = 2
    SLIP = 3
    INCOMPLETE = 4
    CUT = 5
    MERGED = 6


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other. `picture` 0: lines for offset or gain."""

    first_s: float
    last_s: float
    first_mm: float
    last_mm: float
    low: Counts
    high: Counts
    picture: int = 0
    begin: bool = False
    end: bool = False
    status: Status = Status.SUCCESSFUL
    dark: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A whole picture, offset and gain taken out, as a machine with an export of its own keeps it."""

    number: int
    first_s: float
    last_s: float
    first_mm: float
    last_mm: float
    low: Counts
    high: Counts
    status: Status


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is left of the beam behind a parcel: lines from its leading edge x pixels of the detector."""

    low: Picture
    high: Picture


def render(packed: Packed, settings: DetectorSettings, folder: Path | None = None) -> Rendered:
    """`folder`: where pictures are kept from run to run; a changed parcel is another picture."""
    kept = None
    if folder is not None:
        name = hashlib.sha256(repr((packed, settings)).encode()).hexdigest()[:32]
        kept = folder / f"{name}.npz"
        if kept.is_file():
            with np.load(kept) as stored:
                return Rendered(stored["low"].astype(np.float32), stored["high"].astype(np.float32))
    plan = packed.plan(settings.line_mm, settings.pixel_mm)
    layers = []
    for seen in transmission(plan.thickness_cm):
        wide = np.ones((seen.shape[0], settings.pixels), np.float32)
        left = (settings.pixels - seen.shape[1]) // 2 + packed.seed % 7 - 3
        left = max(0, min(left, settings.pixels - seen.shape[1]))
        across = min(seen.shape[1], settings.pixels)
        wide[:, left : left + across] = seen[:, :across]
        layers.append(blurred(wide, settings.blur_px))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new.npz")
        np.savez(fresh, low=layers[0].astype(np.float16), high=layers[1].astype(np.float16))
        fresh.replace(kept)
        return Rendered(*(layer.astype(np.float16).astype(np.float32) for layer in layers))
    return Rendered(*layers)


@dataclass(frozen=True, slots=True)
class _Line:
    at_s: float
    belt_mm: float
    shown: tuple[tuple[str, float], ...]
    """(parcel, mm behind its leading edge) of what is in the beam."""


class XrayMachine:
    """Takes lines while the belt runs under its beam; `blocks` and `pictures` wait to be taken."""

    def __init__(
        self,
        belt: XrayBelt,
        rendered: Callable[[str], Rendered],
        *,
        detector: DetectorSettings = PLAIN,
        merge_mm: float = 15.0,
        seed: int = 0,
        keep_pictures: bool = False,
    ) -> None:
        """`rendered`: by parcel. `keep_pictures`: whole ones are kept in `pictures` for a folder."""
        self.belt = belt
        self.detector = Detector(detector, seed)
        self.blocks: deque[Block] = deque()
        self.pictures: deque[Taken] = deque()
        self.pictures_taken = 0
        self._rendered = rendered
        self._settings = detector
        self._noise = np.random.default_rng((seed, 0x0B5E))
        self._line_mm = detector.line_mm
        self._next_mm = self._line_mm
        self._merge_lines = math.ceil(merge_mm / self._line_mm)
        self._before: deque[_Line] = deque(maxlen=EDGE_LINES)
        self._empty: list[_Line] = []
        self._empty_from_s = 0.0
        self._open: list[_Line] = []
        self._begun = False
        self._lines = 0
        self._free = 0
        self._parcels: list[str] = []
        self._first: _Line | None = None
        self._split: set[str] = set()
        self._dark_left = 0
        self._keep = keep_pictures
        self._kept: list[tuple[Counts, Counts]] = []
        self._calibrate_when_free = False
        belt.on_travel = self._travel

    # --- asked from outside ---

    @property
    def in_picture(self) -> bool:
        return bool(self._open) or self._begun

    def calibrate(self) -> None:
        """When the beam is free next: source off, dark lines, source on, empty lines."""
        self._calibrate_when_free = True

    def encoder_of(self, belt_mm: float) -> int:
        return self.belt.count_at(belt_mm)

    # --- lines ---

    def _travel(self, from_s: float, to_s: float, from_mm: float, to_mm: float) -> None:
        if to_mm < from_mm:
            if self.in_picture:
                self._end(Status.INCOMPLETE)
            self._next_mm = to_mm + self._line_mm
            self._before.clear()
            self._empty.clear()
            return
        while self._next_mm <= to_mm:
            at_mm = self._next_mm
            self._next_mm += self._line_mm
            share = (at_mm - from_mm) / (to_mm - from_mm)
            self._line(from_s + share * (to_s - from_s), at_mm)

    def _line(self, at_s: float, at_mm: float) -> None:
        found = self.belt.at_plane(at_mm)
        seen = [(parcel, depth) for parcel, depth in found if parcel.trouble(TroubleKind.MISSED) is None]
        line = _Line(at_s, at_mm, tuple((parcel.id, depth) for parcel, depth in found))
        if self._dark_left:
            self._take_dark(line)
            return
        if not self.belt.source_on:
            if self.in_picture:
                self._end(Status.INCOMPLETE)
            self._before.clear()
            return
        if self.in_picture:
            self._go_on(line, seen)
        elif seen:
            self._begin(line, seen)
        else:
            self._idle(line, bool(found))

    def _begin(self, line: _Line, seen: list[tuple[BeltParcel, float]]) -> None:
        self._empty.clear()
        self._open = [*self._before, line]
        self._first = self._open[0]
        self._before.clear()
        self._begun, self._lines, self._free = False, len(self._open), 0
        self.pictures_taken += 1
        self._parcels = [parcel.id for parcel, _ in seen]

    def _go_on(self, line: _Line, seen: list[tuple[BeltParcel, float]]) -> None:
        if seen and self._free >= self._merge_lines:
            self._end(self._status())
            self._begin(line, seen)
            return
        for parcel, depth in seen:
            cut = parcel.trouble(TroubleKind.SPLIT)
            if cut is not None and parcel.id not in self._split and depth >= cut.mm:
                self._split.add(parcel.id)
                self._end(Status.CUT)
                self._begin(line, seen)
                return
            if parcel.id not in self._parcels:
                self._parcels.append(parcel.id)
        self._open.append(line)
        self._lines += 1
        self._free = 0 if seen else self._free + 1
        if self._free >= EDGE_LINES:
            self._end(self._status())
        elif self._lines >= MOST_LINES:
            self._end(Status.OVERSIZE)
        elif len(self._open) > LINES_A_BLOCK:
            self._send(self._open[:LINES_A_BLOCK], end=False)
            del self._open[:LINES_A_BLOCK]

    def _status(self) -> Status:
        """It knows of two objects where it saw daylight between them, and not always then."""
        knows = len(self._parcels) > 1 and self._noise.random() < 0.5
        return Status.MERGED if knows else Status.SUCCESSFUL

    def _idle(self, line: _Line, hidden: bool) -> None:
        self._before.append(line)
        if hidden:
            self._empty.clear()
            return
        if self._calibrate_when_free and self.belt.is_free(self.belt.settings.xray_mm, CALIBRATION_ROOM_MM):
            self._calibrate_when_free = False
            self._dark_left = CALIBRATION_LINES
            self.belt.source_wanted = False
            self._empty.clear()
            self._empty_from_s = 0.0
            return
        if line.at_s < self._empty_from_s:
            return
        self._empty.append(line)
        if len(self._empty) == CALIBRATION_LINES:
            for at in range(0, CALIBRATION_LINES, LINES_A_BLOCK):
                self._send_clear(self._empty[at : at + LINES_A_BLOCK], dark=False)
            self._empty.clear()
            self._empty_from_s = line.at_s + EMPTY_EVERY_S

    def _take_dark(self, line: _Line) -> None:
        if self.belt.source_on:
            return
        self._empty.append(line)
        if len(self._empty) == LINES_A_BLOCK:
            self._send_clear(self._empty, dark=True)
            self._empty.clear()
            self._dark_left -= LINES_A_BLOCK
            if self._dark_left <= 0:
                self._dark_left = 0
                self.belt.source_wanted = True

    # --- counts ---

    def _send_clear(self, lines: list[_Line], *, dark: bool) -> None:
        take = self.detector.dark_lines if dark else self.detector.air_lines
        low, high = take(len(lines), self._noise)
        first, last = lines[0], lines[-1]
        self.blocks.append(Block(first.at_s, last.at_s, first.belt_mm, last.belt_mm, low, high, dark=dark))

    def _send(self, lines: list[_Line], *, end: bool, status: Status = Status.SUCCESSFUL) -> None:
        low = np.ones((len(lines), self._settings.pixels), np.float32)
        high = np.ones_like(low)
        for place, line in enumerate(lines):
            for parcel, depth in line.shown:
                rendered = self._rendered(parcel)
                row = min(int(depth / self._line_mm), rendered.low.shape[0] - 1)
                low[place] *= rendered.low[row]
                high[place] *= rendered.high[row]
        counts = self.detector.counts(low, high, self._noise)
        first, last = lines[0], lines[-1]
        self.blocks.append(
            Block(
                first.at_s,
                last.at_s,
                first.belt_mm,
                last.belt_mm,
                *counts,
                picture=self.pictures_taken,
                begin=not self._begun,
                end=end,
                status=status,
            )
        )
        self._begun = True
        if self._keep:
            self._kept.append(counts)

    def _end(self, status: Status) -> None:
        lines, self._open = self._open, []
        last = lines[-1]
        first = self._first
        assert first is not None  # noqa: S101  a picture has begun
        while len(lines) > LINES_A_BLOCK:
            self._send(lines[:LINES_A_BLOCK], end=False)
            del lines[:LINES_A_BLOCK]
        self._send(lines, end=True, status=status)
        self._begun = False
        self._before.clear()
        self.belt.log(
            self.belt.now_s,
            "picture",
            {
                "picture": self.pictures_taken,
                "parcels": list(self._parcels),
                "first_mm": round(first.belt_mm, 1),
                "last_mm": round(last.belt_mm, 1),
                "status": status.name,
            },
        )
        if self._keep:
            kept, self._kept = self._kept, []
            flat = []
            for layer in (0, 1):
                raw: Any = np.concatenate([counts[layer] for counts in kept])
                detector = self.detector
                flat.append(flattened(raw, detector.dark[layer], detector.gain[layer], 60_000.0))
            self.pictures.append(
                Taken(
                    self.pictures_taken,
                    first.at_s,
                    last.at_s,
                    first.belt_mm,
                    last.belt_mm,
                    flat[0],
                    flat[1],
                    status,
                )
            )
