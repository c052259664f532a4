"""What will come over a simulated X-ray line: a TOML file a person can write. No device, no clock.

Unknown keys are refused; every error is listed with its key path and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_args

from hardware_sims.devices.xray_folder import Way
from hardware_sims.scenario import Table, refuse_errors, toml_document, toml_value
from hardware_sims.xray_belt import BeltParcel, BeltSettings, Label, Trouble, TroubleKind
from hardware_sims.xray_goods import BY_SKU, Extra, Packed, pack, wedge
from hardware_sims.xray_line import PictureFeed
from hardware_sims.xray_physics import DetectorSettings

WEDGE = "wedge"
"""In the place of an SKU: the step wedge."""
EXTRAS: tuple[Extra, ...] = get_args(Extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParcel:
    """A parcel: what is in it, and what befalls it. Its length follows from what is in it."""

    id: str
    sku: str
    pieces: int = 1
    room_for: int = 0
    """Pieces its carton was made for; 0: those that are in it."""
    extra: Extra | None = None
    beside: str = ""
    """An SKU of which one piece lies in it too."""
    seed: int = 0
    turn: float | None = None
    gap_mm: float = 300.0
    waybill_no: str = ""
    labels: tuple[Label, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    case: str = "ordinary"

    def packed(self) -> Packed:
        if self.sku == WEDGE:
            return wedge(self.seed)
        added = ((self.beside, 1),) if self.beside else ()
        return pack(
            self.seed,
            self.sku,
            self.pieces,
            extra=self.extra,
            added=added,
            room_for=self.room_for or None,
            turn=self.turn,
        )

    def on_belt(self, packed: Packed) -> BeltParcel:
        return BeltParcel(
            id=self.id,
            length_mm=packed.length_mm,
            gap_mm=self.gap_mm,
            waybill_no=self.waybill_no,
            labels=self.labels,
            troubles=self.troubles,
            case=self.case,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class XrayScenario:
    """One X-ray line and its parcels in the order they are fed."""

    station: str = "xray-1"
    seed: int = 0
    pictures: PictureFeed = "stream"
    folder_way: Way = "renamed"
    """How files come into a folder."""
    io_port: int = 0
    """Of the belt's board (Modbus TCP) on 127.0.0.1; 0: any free one."""
    xray_port: int = 0
    """Of the machine's line stream."""
    belt: BeltSettings = field(default=BeltSettings())
    detector: DetectorSettings = field(default=DetectorSettings())
    parcels: tuple[PlannedParcel, ...] = ()

    def problems(self) -> list[str]:
        found = [f"belt.{problem}" for problem in self.belt.problems()]
        seen: set[str] = set()
        for place, parcel in enumerate(self.parcels):
            at = f"parcels[{place}]"
            if parcel.id in seen:
                found.append(f"{at}.id: expected each id once, got {parcel.id!r} again")
            seen.add(parcel.id)
            if parcel.sku != WEDGE and parcel.sku not in BY_SKU:
                found.append(f"{at}.sku: expected wedge or one of {', '.join(BY_SKU)}, got {parcel.sku!r}")
            if parcel.beside and parcel.beside not in BY_SKU:
                found.append(f"{at}.beside: expected one of {', '.join(BY_SKU)}, got {parcel.beside!r}")
            if not 0 <= parcel.pieces <= 12 or not 0 <= parcel.room_for <= 12:
                found.append(f"{at}: expected 0 to 12 pieces")
        return found


def read_xray_scenario(path: Path) -> XrayScenario:
    """Reads a file. Raises `ScenarioRefused` listing every error, `OSError` when it cannot be read."""
    return xray_scenario_from(toml_document(path), where=str(path))


def xray_scenario_from(document: Mapping[str, Any], *, where: str = "scenario") -> XrayScenario:
    reader = _Reader()
    scenario = reader.scenario(document)
    refuse_errors(where, reader.errors or scenario.problems())
    return scenario


class _Reader:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def scenario(self, document: Mapping[str, Any]) -> XrayScenario:
        top = Table(self, "", document)
        given = top.table("xray") or Table(self, "xray", {})
        parcels = tuple(self.parcel(each) for each in top.tables("parcels"))
        top.nothing_else()
        pictures = given.choice("pictures", "stream", get_args(PictureFeed))
        scenario = XrayScenario(
            station=given.text("station", "xray-1"),
            seed=given.whole("seed", 0),
            pictures=cast(PictureFeed, pictures),
            folder_way=cast(Way, given.choice("folder_way", "renamed", get_args(Way))),
            io_port=given.whole("io_port", 0),
            xray_port=given.whole("xray_port", 0),
            belt=BeltSettings(**self.numbers(given, "belt", BeltSettings())),
            detector=DetectorSettings(**self.numbers(given, "detector", DetectorSettings())),
            parcels=parcels,
        )
        given.nothing_else()
        return scenario

    def numbers(self, given: Table, key: str, plain: BeltSettings | DetectorSettings) -> dict[str, Any]:
        """The keys of a table of settings that are all numbers or flags."""
        table = given.table(key)
        if table is None:
            return {}
        found: dict[str, Any] = {}
        for each in fields(plain):
            value = table.take(each.name, getattr(plain, each.name))
            expected = type(getattr(plain, each.name))
            fits = isinstance(value, int | float) and (expected is bool) == isinstance(value, bool)
            if not fits:
                table.expected(each.name, "a number" if expected is not bool else "true or false", value)
                continue
            found[each.name] = expected(value)
        table.nothing_else()
        return found

    def parcel(self, given: Table) -> PlannedParcel:
        turn = given.take("turn", None)
        extra = given.maybe_choice("extra", EXTRAS)
        parcel = PlannedParcel(
            id=given.text("id"),
            sku=given.text("sku"),
            pieces=given.whole("pieces", 1),
            room_for=given.whole("room_for", 0),
            extra=cast("Extra | None", extra or None),
            beside=given.text("beside", ""),
            seed=given.whole("seed", 0),
            turn=float(turn) if isinstance(turn, int | float) else None,
            gap_mm=given.number("gap_mm", 300.0),
            waybill_no=given.text("waybill_no", ""),
            labels=tuple(self.label(each) for each in given.tables("labels")),
            troubles=tuple(self.trouble(each) for each in given.tables("troubles")),
            case=given.text("case", "ordinary"),
        )
        given.nothing_else()
        return parcel

    def label(self, given: Table) -> Label:
        label = Label(
            text=given.text("text"), behind_mm=given.number("behind_mm", 0.0), aim=given.text("aim", "]C0")
        )
        given.nothing_else()
        return label

    def trouble(self, given: Table) -> Trouble:
        kind = given.choice("kind", None, tuple(TroubleKind))
        trouble = Trouble(
            kind=TroubleKind(kind or "slip"),
            at_mm=given.number("at_mm", 0.0),
            mm=given.number("mm", 0.0),
            for_s=given.number("for_s", 0.0),
        )
        given.nothing_else()
        return trouble


def xray_scenario_to_toml(scenario: XrayScenario) -> str:
    """The file `read_xray_scenario` reads back to an equal value."""
    plain_keys = ("station", "seed", "pictures", "folder_way", "io_port", "xray_port")
    lines = ["[xray]", *(f"{name} = {toml_value(getattr(scenario, name))}" for name in plain_keys)]
    for name, plain in (("belt", BeltSettings()), ("detector", DetectorSettings())):
        changed = _changed(getattr(scenario, name), plain)
        if changed:
            lines.append(f"{name} = {{ {', '.join(changed)} }}")
    for parcel in scenario.parcels:
        lines += ["", "[[parcels]]", *_changed(parcel, PlannedParcel(id="", sku=""))]
        for key, rows in (("labels", parcel.labels), ("troubles", parcel.troubles)):
            told = [f"{{ {', '.join(_all(row))} }}" for row in rows]
            if told:
                lines.append(f"{key} = [{', '.join(told)}]")
    return "\n".join(lines) + "\n"


def _changed(value: Any, plain: Any) -> list[str]:
    return [
        f"{each.name} = {toml_value(getattr(value, each.name))}"
        for each in fields(value)
        if each.name not in ("labels", "troubles") and getattr(value, each.name) != getattr(plain, each.name)
    ]


def _all(value: Label | Trouble) -> list[str]:
    return [f"{each.name} = {_word(getattr(value, each.name))}" for each in fields(value)]


def _word(value: Any) -> str:
    return toml_value(value.value if isinstance(value, TroubleKind) else value)
