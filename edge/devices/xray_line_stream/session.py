"""What the frames of an X-ray line stream come to: pictures, states, losses. Pure: time is an argument.

A picture is whole only if every one of its frames came: a gap, a missing end, a lost connection make it
`INCOMPLETE` or `CUT`, a belt that ran back makes it none at all. What is held of one picture is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

from edge.devices.readings import (
    AcquisitionStatus,
    DeviceFault,
    ReadGarbled,
    Reading,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.devices.xray_line_stream import wire
from edge.devices.xray_line_stream.gain import Correction, Limits, Raw

if TYPE_CHECKING:
    from edge.devices.readings import Counts

_BACK_MM = 2.0
"""A belt that settles is not running back."""


@dataclass(frozen=True, slots=True)
class Bounds:
    gain: Limits
    least_lines: int
    most_lines: int


@dataclass(slots=True)
class _Picture:
    number: int
    part: int
    """Above 0: what came of the same picture after a loss."""
    begun: bool
    frames: list[wire.Lines] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    lines: int = 0
    lost: int = 0
    fell: bool = False
    oversize: bool = False


class LineSession:
    """One connection after another with one machine."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._hello: wire.Hello | None = None
        self._greeted = False
        self._expected = 0
        self._count = 0
        """Of the machine's encoder, without its wrap."""
        self._correction: Correction | None = None
        self._picture: _Picture | None = None
        self._last_told: tuple[int, int] = (0, 0)
        """(number, part) of the picture told last."""
        self._tube: tuple[float, int] | None = None
        self._refused: set[str] = set()
        self._dead: tuple[int, ...] = ()
        self._fault = 0

    def opened(self) -> None:
        """A new connection. What became of the picture under way, its hello and numbers tell."""
        self._greeted = False

    def came(self, at_s: float, message: wire.Message) -> list[Reading]:
        """Readings; none where there is nothing to tell."""
        out: list[Reading] = []
        match message:
            case wire.Hello():
                self._hello_came(at_s, message, out)
            case wire.Lines() | wire.State() if self._hello is None or not self._greeted:
                out.append(ReadGarbled(b"", f"frame {message.number} before a hello"))
            case wire.Lines():
                if message.pixels != self._hello.pixels or message.lines > self._hello.most_lines:
                    size = f"{message.lines} lines of {message.pixels} pixels"
                    said = f"{self._hello.most_lines} of {self._hello.pixels} at most"
                    out.append(ReadGarbled(b"", f"frame {message.number}: {size}, the hello said {said}"))
                    return out
                self._in_order(at_s, message.number, out)
                self._lines_came(at_s, message, out)
            case wire.State():
                self._in_order(at_s, message.number, out)
                self._state_came(at_s, message, out)
            case _:
                assert_never(message)
        return out

    # --- frames ---

    def _hello_came(self, at_s: float, hello: wire.Hello, out: list[Reading]) -> None:
        if self._greeted:
            out.append(ReadGarbled(b"", "a second hello on one connection"))
            return
        self._greeted = True
        before = self._hello
        shape = (hello.pixels, hello.bits, hello.count_nm, hello.pixel_um)
        if (
            before is None
            or before.start != hello.start
            or shape != (before.pixels, before.bits, before.count_nm, before.pixel_um)
        ):
            self._end_picture(at_s, "CUT", out)
            self._hello = hello
            self._expected = hello.number
            self._count = 0
            self._last_told = (0, 0)
            self._correction = Correction(self._bounds.gain, hello.pixels, (1 << hello.bits) - 1)
            self._dead, self._tube = (), None
            self._refused.clear()
            return
        self._hello = hello
        self._in_order(at_s, hello.number, out)
        self._expected = hello.number

    def _in_order(self, at_s: float, number: int, out: list[Reading]) -> None:
        missing = (number - self._expected) % wire.COUNTS
        self._expected = (number + 1) % wire.COUNTS
        if not missing:
            return
        back = missing >= wire.COUNTS // 2
        what = "numbers went back" if back else f"{missing} frames lost"
        out.append(DeviceFault("frames_lost", f"{what} before frame {number}"))
        if self._correction is not None:
            self._correction.interrupted()
        if self._picture is not None:
            self._picture.lost += 1 if back else missing

    def _state_came(self, at_s: float, state: wire.State, out: list[Reading]) -> None:
        assert self._hello is not None  # noqa: S101  asked before
        assert self._correction is not None  # noqa: S101
        self._correction.source(at_s, on=state.source_on)
        count = self._unwrapped(state.count)
        picture = self._picture
        if picture is not None and picture.counts:
            back_mm = (int(picture.counts[-1][-1]) - count) * self._mm_per_count
            picture.fell = picture.fell or back_mm > _BACK_MM
        self._tube = (state.decivolts_k / 10, state.microamperes)
        out.append(
            XrayStateSeen(
                count=count,
                mm_per_count=self._mm_per_count,
                source_on=state.source_on,
                belt_running=state.belt_running,
                belt_forward=state.belt_forward,
                jam=state.jam,
                emergency_stop=state.emergency_stop,
                interlock_open=state.interlock_open,
                warming_up=state.warming_up,
                fault_code=state.fault_code,
                kilovolts=state.decivolts_k / 10,
                microamperes=state.microamperes,
                start=self._start,
            )
        )
        fault = state.fault_code or int(state.fault)
        if fault and fault != self._fault:
            out.append(DeviceFault("machine_fault", str(state.fault_code)))
        self._fault = fault

    def _lines_came(self, at_s: float, lines: wire.Lines, out: list[Reading]) -> None:
        assert self._correction is not None  # noqa: S101  asked before
        first = self._unwrapped(lines.first_count)
        last = self._unwrapped(lines.last_count)
        if lines.flags & wire.SOURCE_ON:
            self._correction.source(at_s, on=True)
        if lines.flags & wire.OBJECT:
            self._correction.interrupted()
            self._object(at_s, lines, first, last, out)
            return
        self._end_picture(at_s, "CUT", out)
        if lines.flags & wire.DARK:
            self._correction.source(at_s, on=False)
            self._tell(self._correction.dark(_raw([lines])), "offset_refused", out)
        elif lines.flags & wire.EMPTY and not lines.flags & wire.CORRECTED:
            self._gain(at_s, lines, out)

    def _object(self, at_s: float, lines: wire.Lines, first: int, last: int, out: list[Reading]) -> None:
        begins = bool(lines.flags & wire.BEGIN)
        picture = self._picture
        if picture is not None and (begins or picture.number != lines.picture):
            self._end_picture(at_s, "CUT", out)
            picture = None
        if picture is None:
            told, part = self._last_told
            part = part + 1 if told == lines.picture else 0
            picture = self._picture = _Picture(lines.picture, part, begun=begins and not part)
        before = int(picture.counts[-1][-1]) if picture.counts else first
        picture.fell = picture.fell or max(before - first, first - last) * self._mm_per_count > _BACK_MM
        if picture.lines + lines.lines > self._bounds.most_lines:
            picture.oversize = True
        if not picture.fell and not picture.oversize:
            picture.frames.append(lines)
            picture.counts.append(np.rint(np.linspace(first, last, lines.lines)).astype(np.int64))
            picture.lines += lines.lines
        if lines.flags & wire.END:
            self._end_picture(at_s, wire.STATUSES[lines.status], out)

    # --- what they come to ---

    def _end_picture(self, at_s: float, status: AcquisitionStatus, out: list[Reading]) -> None:
        """`status`: the machine's word, or `CUT` where its last lines never came."""
        picture, self._picture = self._picture, None
        if picture is None or self._hello is None or self._correction is None:
            return
        self._last_told = (picture.number, picture.part)
        name = f"{self._start}-{picture.number}" + (f"-{picture.part}" if picture.part else "")
        failed: tuple[Literal["reversed", "too_short"], str] | None = None
        if picture.fell:
            failed = ("reversed", "the belt ran back while it was taken")
        elif picture.lines < self._bounds.least_lines:
            failed = ("too_short", f"{picture.lines} lines, {self._bounds.least_lines} at least")
        if failed is not None:
            counts = (
                (int(picture.counts[0][0]), int(picture.counts[-1][-1])) if picture.counts else (None, None)
            )
            out.append(XrayPictureFailed(name, failed[0], failed[1], *counts))
            return
        if picture.oversize:
            status = "OVERSIZE"
        elif not picture.begun:
            status = "CUT"
        elif picture.lost and status == "SUCCESSFUL":
            status = "INCOMPLETE"
        out.append(self._seen(at_s, name, picture, status))

    def _seen(self, at_s: float, name: str, picture: _Picture, status: AcquisitionStatus) -> XrayPictureSeen:
        assert self._hello is not None  # noqa: S101  asked before
        assert self._correction is not None  # noqa: S101
        raw = _raw(picture.frames)
        by_machine = all(lines.flags & wire.CORRECTED for lines in picture.frames)
        mixed = not by_machine and any(lines.flags & wire.CORRECTED for lines in picture.frames)
        state, age_s = ("good", None) if by_machine else self._correction.state(at_s)
        values = raw if by_machine else self._correction.corrected(raw)
        low, high = (np.ascontiguousarray(channel.T) for channel in values)
        counts = np.maximum.accumulate(np.concatenate(picture.counts))
        for array in (low, high, counts):
            array.setflags(write=False)
        frames = picture.frames
        kilovolts, microamperes = self._tube or (None, None)
        air = self._bounds.gain.air_value
        return XrayPictureSeen(
            picture=name,
            low=low,
            high=high,
            counts=counts,
            air_low=air,
            air_high=air,
            mm_per_count=self._mm_per_count,
            mm_per_pixel=self._hello.pixel_um / 1000,
            mm_per_column=_pitch(counts) * self._mm_per_count,
            status=status,
            calibration="none" if mixed else state,
            gain_age_s=age_s,
            lost_frames=picture.lost,
            taken_s=(frames[-1].last_us - frames[0].first_us) / 1e6,
            serial=self._hello.serial,
            kilovolts=kilovolts,
            microamperes=microamperes,
        )

    def _gain(self, at_s: float, lines: wire.Lines, out: list[Reading]) -> None:
        assert self._correction is not None  # noqa: S101  asked before
        why = self._correction.empty(at_s, _raw([lines]))
        if why is None:
            return
        self._tell(why, "gain_refused", out)
        if not why and self._correction.dead != self._dead:
            self._dead = self._correction.dead
            places = ", ".join(str(at) for at in self._dead[:20])
            out.append(DeviceFault("dead_pixels", f"{len(self._dead)}: {places}" if self._dead else "none"))

    def _tell(self, why: str, code: str, out: list[Reading]) -> None:
        """A refusal, once until there is none."""
        if not why:
            self._refused.discard(code)
        elif code not in self._refused:
            self._refused.add(code)
            out.append(DeviceFault(code, why))

    def _unwrapped(self, count: int) -> int:
        """The encoder's count without its wrap: what is nearest to the last one."""
        half = wire.COUNTS // 2
        self._count += (count - self._count + half) % wire.COUNTS - half
        return self._count

    @property
    def _mm_per_count(self) -> float:
        return self._hello.count_nm / 1e6 if self._hello is not None else 0.0

    @property
    def _start(self) -> str:
        return f"{self._hello.start:016x}" if self._hello is not None else ""


def _raw(frames: list[wire.Lines]) -> Raw:
    """(2, lines, pixels)"""
    return np.stack(
        [
            np.concatenate([np.frombuffer(lines.low, "<u2") for lines in frames]),
            np.concatenate([np.frombuffer(lines.high, "<u2") for lines in frames]),
        ]
    ).reshape(2, -1, frames[0].pixels)


def _pitch(counts: Counts) -> float:
    """Counts from one column to the next. The median: a stop or a lost frame does not stretch a picture."""
    return float(np.median(np.diff(counts))) if len(counts) > 1 else 0.0
