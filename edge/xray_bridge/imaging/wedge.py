"""The step wedge: found in a picture, read step by step, made into a calibration, and looked at every day.

A daily look that fails blocks automatic passing: materials would be told wrongly without a sign of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import (
    Calibration,
    CalibrationRefused,
    Limits,
    StepReading,
    calibrate,
)
from edge.xray_bridge.imaging.describing import Upright, upright_of
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.physics import MATTER, attenuations
from edge.xray_bridge.imaging.pictures import LEAST_AIR, RawPicture, without_silent_rows
from edge.xray_bridge.imaging.segmenting import outlined
from edge.xray_bridge.imaging.tables import IMPENETRABLE, LIGHT, METAL, ORGANIC, codes_of, tables_of
from edge.xray_bridge.imaging.views import develop
from sync.vocabulary.rulings import Text

Floats = NDArray[np.float64]
Millimetres = Annotated[float, Meta(ge=0.0, le=1000.0)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]


class WedgeRefused(ValueError):
    """What was expected of the wedge's text."""


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rectangle on the wedge, mm from its upper left corner."""

    left: Millimetres
    top: Millimetres
    length: Millimetres
    """Along the wedge's own length."""
    width: Millimetres


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    matter: Name
    thickness_mm: Annotated[float, Meta(gt=0.0, le=400.0)]
    place: Place


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Along the length, anywhere inside its place."""

    matter: Name
    diameter_mm: Annotated[float, Meta(gt=0.0, le=5.0)]
    place: Place


class Wedge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is screwed to what. Not symmetric, so that its pose can be told."""

    name: Name
    length_mm: Annotated[float, Meta(gt=20.0, le=1000.0)]
    width_mm: Annotated[float, Meta(gt=20.0, le=1000.0)]
    frame_matter: Name = "pmma"
    """A plate under everything."""
    frame_mm: Annotated[float, Meta(ge=0.0, le=20.0)] = 3.0
    steps: Annotated[tuple[Step, ...], Meta(min_length=6, max_length=100)]
    wires: Annotated[tuple[Wire, ...], Meta(max_length=20)] = ()
    plain: Place
    """The plate alone, as large as a wire's place: what a wire is told from."""
    block: Place | None = None
    """Of lead: through it nothing comes."""
    least_wire_mm: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.5
    """This one must be seen, and all thicker ones."""

    def __post_init__(self) -> None:
        named = {
            self.frame_matter,
            *(each.matter for each in self.steps),
            *(each.matter for each in self.wires),
        }
        unknown = named - MATTER.keys()
        if unknown:
            raise ValueError(f"matter: expected one of {', '.join(MATTER)}, got {', '.join(sorted(unknown))}")

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | bytes) -> Wedge:
        """Raises WedgeRefused, naming the field and what was expected of it."""
        if len(text) > 100_000:
            raise WedgeRefused(f"expected 100000 characters at most, got {len(text)}")
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise WedgeRefused(f"wedge: {wrong}") from wrong


def _standard() -> Wedge:
    stairs = (
        ("pmma", (10.0, 20.0, 40.0, 60.0, 80.0)),
        ("aluminium", (2.0, 5.0, 10.0, 20.0, 40.0)),
        ("iron", (0.5, 1.0, 3.0, 6.0, 12.0)),
    )
    return Wedge(
        name="standard",
        length_mm=230.0,
        width_mm=300.0,
        steps=tuple(
            Step(
                matter=matter,
                thickness_mm=thickness,
                place=Place(left=15.0 + 40.0 * column, top=10.0 + 62.0 * row, length=40.0, width=60.0),
            )
            for row, (matter, thicknesses) in enumerate(stairs)
            for column, thickness in enumerate(thicknesses)
        ),
        wires=tuple(
            Wire(
                matter="copper",
                diameter_mm=diameter,
                place=Place(left=25.0, top=220.0 + 14.0 * n, length=130.0, width=12.0),
            )
            for n, diameter in enumerate((1.6, 1.0, 0.5, 0.25))
        ),
        plain=Place(left=25.0, top=278.0, length=130.0, width=12.0),
        block=Place(left=171.0, top=228.0, length=44.0, width=44.0),
    )


STANDARD: Final = _standard()
"""Three stairs of five steps, 40 x 60 mm each, of acrylic, aluminium and steel; four copper wires; a block of
lead; on 3 mm of acrylic. As drawn in docs/xray-imaging.md."""


# --- finding and reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WedgeFault:
    code: str
    """`not_found`, `steps`, `materials`, `wire`, `block`, `noise`, `gain`, `stripe`."""
    words: Text


@dataclass(frozen=True, slots=True)
class StepSeen:
    reading: StepReading
    """What the picture shows of the step alone, its plate taken off."""
    expected_low: float
    expected_high: float
    right_amount: bool
    right_material: bool


@dataclass(frozen=True, slots=True)
class WedgeCheck:
    """`ok` False blocks automatic passing."""

    ok: bool
    calibration: str
    steps: tuple[StepSeen, ...]
    thinnest_wire_mm: float | None
    photons_low: float
    """Of a dot in air, from the noise on the steps; 0 where no wedge was found."""
    photons_high: float
    drift_low: float
    """Of the air around the wedge from the air value, as a share; below 0: darker."""
    drift_high: float
    faults: tuple[WedgeFault, ...]

    @property
    def why(self) -> Text:
        """All faults in one line; empty when there is none."""
        return Text(
            "；".join(each.words.zh for each in self.faults), "; ".join(each.words.en for each in self.faults)
        )


@dataclass(frozen=True, slots=True)
class Tolerances:
    attenuation: float = 0.10
    """Of a step's, beside 0.04."""
    photons: float = 0.5
    """Of the calibration's: fewer is a tired tube or detector."""
    drift: float = 0.03
    stripe: float = 0.04
    """Of one diode's air from its neighbours': gain has to be renewed."""
    steps_missed: int = 1
    wire_z: float = 4.0
    size: float = 0.15
    """Of the wedge's sides."""


STANDARD_TOLERANCES: Final = Tolerances()


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The wedge lies in the picture, and how."""

    picture: RawPicture
    """3 x 3 medians."""
    raw: RawPicture
    matrix: Floats
    """(2, 3): mm along length and width of the wedge, 1 -> column and row."""

    def dots(
        self, place: Place, share: float, across: int, along: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(across, along) rows and columns of the picture, over the middle `share` of a place."""
        rest = (1.0 - share) / 2.0
        x = place.left + place.length * np.linspace(rest, 1.0 - rest, along)
        y = place.top + place.width * np.linspace(rest, 1.0 - rest, across)
        grid = np.stack([*np.meshgrid(x, y), np.ones((across, along))], axis=-1)
        column, row = np.rint(self.matrix @ grid[..., None])[..., 0].transpose(2, 0, 1).astype(np.intp)
        rows, columns = self.raw.low.shape
        return np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)

    def attenuation(self, place: Place) -> tuple[float, float]:
        at = self.dots(place, 0.5, 9, 9)
        return (
            -float(np.log(max(0.25, float(np.median(self.picture.low[at]))) / self.raw.air_low)),
            -float(np.log(max(0.25, float(np.median(self.picture.high[at]))) / self.raw.air_high)),
        )


def read_steps(picture: RawPicture, wedge: Wedge = STANDARD) -> tuple[StepReading, ...]:
    """Each step's attenuations, its plate taken off. Empty: no wedge was found in the picture."""
    found = _find(picture, wedge)
    return () if found is None else _readings(found, wedge, Calibration())


def calibrated(
    picture: RawPicture,
    wedge: Wedge = STANDARD,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    made: str = "",
    machine: str = "",
) -> Calibration:
    """A calibration from a picture of the wedge. Raises CalibrationRefused, saying why not."""
    found = _find(picture, wedge)
    if found is None:
        raise CalibrationRefused("no wedge was found in the picture")
    photons = _photons(found, wedge)
    # Twice: the plate's share is taken off with the beam of the first time.
    first = calibrate(
        _readings(found, wedge, Calibration()), photons_low=photons[0], photons_high=photons[1], limits=limits
    )
    return calibrate(
        _readings(found, wedge, first),
        photons_low=photons[0],
        photons_high=photons[1],
        limits=limits,
        wedge=wedge.name,
        made=made,
        machine=machine,
    )


def check_wedge(
    picture: RawPicture,
    calibration: Calibration,
    wedge: Wedge = STANDARD,
    tolerances: Tolerances = STANDARD_TOLERANCES,
) -> WedgeCheck:
    """The daily look: are steps, materials, wire and noise what they were at calibration?"""
    found = _find(picture, wedge, tolerances)
    if found is None:
        fault = WedgeFault("not_found", Text("图像中未找到测试阶梯块", "No step wedge found in the picture"))
        return WedgeCheck(False, calibration.id, (), None, 0.0, 0.0, 0.0, 0.0, (fault,))
    steps = tuple(_steps_seen(found, wedge, calibration, tolerances))
    wires = _wires_seen(found, wedge, tolerances)
    photons = _photons(found, wedge)
    drift, stripe = _air(found, wedge)
    faults = [
        *_step_faults(steps, tolerances),
        *_wire_faults(wires, wedge),
        *_block_faults(found, wedge, calibration),
        *_beam_faults(photons, drift, stripe, calibration, tolerances),
    ]
    return WedgeCheck(
        not faults,
        calibration.id,
        steps,
        min((each.diameter_mm for each in wires), default=None),
        round(photons[0], 1),
        round(photons[1], 1),
        round(drift[0], 5),
        round(drift[1], 5),
        tuple(faults),
    )


def _find(picture: RawPicture, wedge: Wedge, tolerances: Tolerances = STANDARD_TOLERANCES) -> _Found | None:
    library = cv2()
    seen, _ = without_silent_rows(picture)
    developed = develop(_with_its_own_air(seen))
    outlines = outlined(developed, Calibration())
    upright = upright_of(developed, outlines)
    if upright is None or not _sized(upright, wedge, tolerances):
        return None
    quiet = RawPicture(
        library.medianBlur(seen.low, 3),
        library.medianBlur(seen.high, 3),
        seen.air_low,
        seen.air_high,
        seen.mm_per_column,
        seen.mm_per_row,
    )
    best, least = None, _UNLIKE
    for matrix in _poses(upright, wedge, seen):
        found = _Found(quiet, seen, matrix)
        differences = [
            abs(each.high - high) / (high + 0.2)
            for each, (_, high) in zip(
                _readings(found, wedge, Calibration()), _expected(wedge, Calibration()), strict=True
            )
        ]
        unlike = float(np.median(differences))
        if unlike < least:
            best, least = found, unlike
    return best


def _with_its_own_air(picture: RawPicture) -> RawPicture:
    """To find the wedge although the gain has drifted, which is then told as that."""
    airs = []
    for counts, air in ((picture.low, picture.air_low), (picture.high, picture.air_high)):
        some = counts[::3, ::3]
        bright = int(np.median(some[some > 0.9 * np.percentile(some, 90)]))
        airs.append(bright if bright >= LEAST_AIR and 0.7 * air < bright < 0.995 * air else air)
    low, high = airs
    return RawPicture(picture.low, picture.high, low, high, picture.mm_per_column, picture.mm_per_row)


_UNLIKE: Final = 0.35
"""Median difference of the steps from the prior at which it is something else."""


def _sized(upright: Upright, wedge: Wedge, tolerances: Tolerances) -> bool:
    long, short = max(wedge.length_mm, wedge.width_mm), min(wedge.length_mm, wedge.width_mm)
    return (
        abs(upright.length_mm / long - 1.0) <= tolerances.size
        and abs(upright.height_mm / short - 1.0) <= tolerances.size
    )


def _poses(upright: Upright, wedge: Wedge, picture: RawPicture) -> Iterator[Floats]:
    """Four: turned half round, and upside down. The wedge's nominal size, around the middle found."""
    pitch = np.array([picture.mm_per_column, picture.mm_per_row])
    along, across = upright.along, upright.across
    by_length, by_width = (along, across) if wedge.length_mm >= wedge.width_mm else (across, along)
    for first in (1.0, -1.0):
        for then in (1.0, -1.0):
            x, y = first * by_length / pitch, then * by_width / pitch
            start = upright.middle_mm / pitch - x * wedge.length_mm / 2 - y * wedge.width_mm / 2 - 0.5
            yield np.stack([x, y, start], axis=1)


def _plate(wedge: Wedge, step: Step, calibration: Calibration) -> tuple[float, float]:
    """What the plate adds below a step: less than alone, the step having hardened the beam."""
    beam = calibration.beam
    low, high = attenuations(beam, step.matter, np.array([step.thickness_mm]))
    both_low, both_high = attenuations(
        beam, step.matter, np.array([step.thickness_mm]), under=(wedge.frame_matter, wedge.frame_mm)
    )
    return float(both_low[0] - low[0]), float(both_high[0] - high[0])


def _readings(found: _Found, wedge: Wedge, calibration: Calibration) -> tuple[StepReading, ...]:
    readings = []
    for step in wedge.steps:
        low, high = found.attenuation(step.place)
        plate_low, plate_high = _plate(wedge, step, calibration)
        readings.append(StepReading(step.matter, step.thickness_mm, low - plate_low, high - plate_high))
    return tuple(readings)


def _expected(wedge: Wedge, calibration: Calibration) -> list[tuple[float, float]]:
    expected = []
    for step in wedge.steps:
        _, high = attenuations(calibration.beam, step.matter, np.array([step.thickness_mm]))
        low = calibration.low_at(step.matter, high)
        expected.append((float(low[0]), float(high[0])))
    return expected


def _steps_seen(
    found: _Found, wedge: Wedge, calibration: Calibration, tolerances: Tolerances
) -> Iterator[StepSeen]:
    tables, limits = tables_of(calibration), calibration.limits
    raw = found.raw
    for step, reading, (low, high) in zip(
        wedge.steps, _readings(found, wedge, calibration), _expected(wedge, calibration), strict=True
    ):
        slack = 0.04 + tolerances.attenuation * high
        slack_low = 0.04 + tolerances.attenuation * low
        # What neither channel can tell any more is not asked.
        told = np.exp(-high) * calibration.photons_high > 20.0
        near = abs(reading.high - high) <= slack and abs(reading.low - low) <= slack_low
        at_low, at_high = (np.exp(-each) for each in found.attenuation(step.place))
        cell = int(codes_of(raw.air_low)[round(at_low * raw.air_low)]) * 256
        cell += int(codes_of(raw.air_high)[round(at_high * raw.air_high)])
        z = MATTER[step.matter].z
        wanted = ORGANIC if z < limits.organic_z else LIGHT if z < limits.metal_z else METAL
        material = int(tables.material_half[cell])
        yield StepSeen(reading, low, high, bool(near or not told), bool(material == wanted or not told))


def _wires_seen(found: _Found, wedge: Wedge, tolerances: Tolerances) -> list[Wire]:
    """Whose dark line stands out of the plate's noise, slice by slice along it."""
    plain = _peaks(found, wedge.plain)
    seen = []
    for wire in wedge.wires:
        peaks = _peaks(found, wire.place)
        error = float(np.sqrt(peaks.var() / peaks.size + plain.var() / plain.size)) + 1e-6
        if (float(peaks.mean()) - float(plain.mean())) / error > tolerances.wire_z:
            seen.append(wire)
    return seen


def _peaks(found: _Found, place: Place) -> Floats:
    """(slices,) of the low channel: how far the darkest dot of a slice lies below its middle."""
    along = max(8, int(0.9 * place.length / max(found.raw.mm_per_column, found.raw.mm_per_row)))
    across = max(3, int(place.width / min(found.raw.mm_per_column, found.raw.mm_per_row)) + 1)
    counts = np.maximum(found.raw.low[found.dots(place, 0.9, across, along)], 1)
    attenuation = -np.log(counts / found.raw.air_low)
    smooth = (attenuation[:, :-1] + attenuation[:, 1:]) / 2.0
    return np.asarray(smooth.max(axis=0) - np.median(smooth, axis=0))


def _photons(found: _Found, wedge: Wedge) -> tuple[float, float]:
    """Of a dot in air: from the noise between neighbours on the thinner steps, medians over the steps."""
    told = []
    for counts, air in ((found.raw.low, found.raw.air_low), (found.raw.high, found.raw.air_high)):
        estimates = []
        for step in wedge.steps:
            dots = counts[_block_of(found, step.place)].astype(np.float64)
            if dots.shape[1] < 3 or dots.shape[0] < 3:
                continue
            through = float(np.median(dots)) / air
            noise = float(np.var(dots[:, 1:] - dots[:, :-1])) / 2.0 / max(float(np.median(dots)), 1.0) ** 2
            if through > 0.15 and noise > 0.0:
                estimates.append(1.0 / (noise * through))
        told.append(float(np.clip(np.median(estimates), 100.0, 1e7)) if estimates else 100.0)
    return told[0], told[1]


def _block_of(found: _Found, place: Place) -> tuple[slice, slice]:
    """The upright block of dots inside the middle of a place, whichever way the wedge is turned."""
    rows, columns = found.dots(place, 0.45, 2, 2)
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def _air(found: _Found, wedge: Wedge) -> tuple[tuple[float, float], float]:
    """(low, high) drift of the air beside the wedge, and the worst diode's difference from its neighbours."""
    raw = found.raw
    corners = np.array(
        [[0, 0, 1], [wedge.length_mm, 0, 1], [0, wedge.width_mm, 1], [wedge.length_mm, wedge.width_mm, 1]]
    )
    columns = (found.matrix @ corners.T)[0]
    margin = round(12.0 / raw.mm_per_column)
    before, after = int(columns.min()) - margin, int(columns.max()) + margin
    free = np.ones(raw.low.shape[1], bool)
    free[max(0, before) : max(0, after)] = False
    if int(free.sum()) < 8:
        return (0.0, 0.0), 0.0
    drifts, worst = [], 0.0
    for counts, air in ((raw.low, raw.air_low), (raw.high, raw.air_high)):
        diodes = counts[:, free].mean(axis=1) / air
        drifts.append(float(np.median(diodes)) - 1.0)
        smooth = cv2().medianBlur(diodes.astype(np.float32).reshape(-1, 1), 5).ravel()
        worst = max(worst, float(np.abs(diodes - smooth).max()))
    return (drifts[0], drifts[1]), worst


# --- what is wrong ----------------------------------------------------------------------------------------


def _step_faults(steps: Sequence[StepSeen], tolerances: Tolerances) -> Iterator[WedgeFault]:
    amount = [each for each in steps if not each.right_amount]
    if len(amount) > tolerances.steps_missed:
        said = ", ".join(_named(each) for each in amount[:4])
        yield WedgeFault(
            "steps",
            Text(
                f"{len(steps)} 级中 {len(amount)} 级衰减不符（{said}）",
                f"{len(amount)} of {len(steps)} steps absorb otherwise than at calibration ({said})",
            ),
        )
    material = [each for each in steps if not each.right_material]
    if len(material) > tolerances.steps_missed:
        said = ", ".join(_named(each) for each in material[:4])
        yield WedgeFault(
            "materials",
            Text(
                f"{len(steps)} 级中 {len(material)} 级材质颜色不符（{said}）",
                f"{len(material)} of {len(steps)} steps show another material ({said})",
            ),
        )


def _named(step: StepSeen) -> str:
    return f"{step.reading.matter} {step.reading.thickness_mm:g} mm"


def _wire_faults(seen: Sequence[Wire], wedge: Wedge) -> Iterator[WedgeFault]:
    lost = [each for each in wedge.wires if each not in seen and each.diameter_mm >= wedge.least_wire_mm]
    if lost:
        thick = max(each.diameter_mm for each in lost)
        yield WedgeFault("wire", Text(f"看不到 {thick:g} mm 金属丝", f"The {thick:g} mm wire cannot be seen"))


def _block_faults(found: _Found, wedge: Wedge, calibration: Calibration) -> Iterator[WedgeFault]:
    if wedge.block is None:
        return
    raw, tables = found.raw, tables_of(calibration)
    at = found.dots(wedge.block, 0.5, 7, 7)
    low = codes_of(raw.air_low)[found.picture.low[at]].astype(np.intp)
    high = codes_of(raw.air_high)[found.picture.high[at]].astype(np.intp)
    if float((tables.material_half[low * 256 + high] == IMPENETRABLE).mean()) < 0.8:
        yield WedgeFault(
            "block", Text("铅块未显示为不可穿透", "The lead block does not show as impenetrable")
        )


def _beam_faults(
    photons: tuple[float, float],
    drift: tuple[float, float],
    stripe: float,
    calibration: Calibration,
    tolerances: Tolerances,
) -> Iterator[WedgeFault]:
    for now, then, zh, en in (
        (photons[0], calibration.photons_low, "低能", "low"),
        (photons[1], calibration.photons_high, "高能", "high"),
    ):
        if now < tolerances.photons * then:
            yield WedgeFault(
                "noise",
                Text(
                    f"{zh}通道噪声过大（光子数 {now:.0f}，标定时 {then:.0f}）",
                    f"Noise in the {en}-energy channel: {now:.0f} photons a dot, {then:.0f} at calibration",
                ),
            )
    for change, zh, en in ((drift[0], "低能", "low"), (drift[1], "高能", "high")):
        if abs(change) > tolerances.drift:
            yield WedgeFault(
                "gain",
                Text(
                    f"{zh}通道空气值漂移 {change:+.1%}",
                    f"Air of the {en}-energy channel drifted by {change:+.1%}",
                ),
            )
    if stripe > tolerances.stripe:
        yield WedgeFault(
            "stripe",
            Text(f"有探测单元偏差 {stripe:.1%}，请更新增益", f"A diode is {stripe:.1%} off: renew the gain"),
        )
