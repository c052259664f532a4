"""A line in memory for the officer's page: parcels with pictures, deadlines that run, verdicts that stand or
are refused. It is the other side of the page's ports, small, and answers as a station must."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from edge.runtime.clock import Clock, SystemClock
from edge.xray_bridge.contract import (
    AlarmShown,
    BeltShown,
    CountsShown,
    DeskPart,
    FeedShown,
    Found,
    FoundShown,
    JudgedShown,
    Looks,
    ModeShown,
    OfficerShown,
    PaceShown,
    ParcelShown,
    Part,
    PictureShown,
    QueuedShown,
    ReferenceShown,
    Scores,
    StationView,
    WedgeShown,
    Why,
)
from edge.xray_bridge.effects import AnswerDesk
from edge.xray_bridge.events import (
    Event,
    Judged,
    OfficerCame,
    OfficerLeft,
    SaveAsked,
    Shown,
    Undone,
    WedgeAsked,
)
from edge.xray_bridge.page.door import Door
from edge.xray_bridge.page.ports import Differs, NotAligned, SearchBy, Standing
from edge.xray_bridge.page.server import PageSettings, StationPage
from edge.xray_bridge.values import (
    Association,
    Box,
    DeclaredLine,
    Goods,
    Likeness,
    Material,
    MaterialShare,
    Suspect,
    Verdict,
)
from sync.policy.pins import Cost, PinSecret, made, stretched
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, OfficerState, Site
from sync.vocabulary.rulings import Text

PIN = "4091735"
PEPPER = bytes(range(32))
DEVICE = "xray-1"
UNDO_S = 5.0
MODES = (
    ("colour", "彩色", "Colour"),
    ("organic_only", "只看有机物", "Organic only"),
    ("metal_only", "只看金属", "Metal only"),
    ("high_penetration", "高穿", "High penetration"),
    ("low_penetration", "低穿", "Low penetration"),
    ("grey", "灰度", "Grey"),
    ("negative", "反色", "Negative"),
)


# --- pictures ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def planes_of(seed: int, width: int = 1000, height: int = 800) -> NDArray[np.uint8]:
    """Red low code, green high code: a carton with things in it, different for each seed."""
    dice = np.random.default_rng(seed)
    high = np.zeros((height, width), np.float32)
    low = np.zeros((height, width), np.float32)
    y, x = np.ogrid[0:height, 0:width]
    left, top = int(width * 0.12), int(height * 0.16)
    right, bottom = int(width * 0.88), int(height * 0.86)
    carton = (x > left) & (x < right) & (y > top) & (y < bottom)
    high[carton] += 0.10
    low[carton] += 0.13
    for _ in range(9):
        cx, cy = dice.uniform(left + 60, right - 60), dice.uniform(top + 60, bottom - 60)
        wide, tall = dice.uniform(30, 130), dice.uniform(25, 100)
        ratio, thick = [(1.22, 0.5), (1.7, 0.5), (2.4, 1.4), (1.25, 0.9)][int(dice.integers(4))]
        inside = ((x - cx) / wide) ** 2 + ((y - cy) / tall) ** 2 < 1
        if dice.uniform() < 0.5:
            inside = (abs(x - cx) < wide) & (abs(y - cy) < tall)
        inside &= carton
        high[inside] += thick
        low[inside] += thick * ratio
    coded = [
        np.clip(np.rint(255.0 * (1.0 - np.sqrt(np.exp(-part)))), 0, 255).astype(np.uint8)
        for part in (low, high)
    ]
    return np.dstack([coded[0], coded[1], np.zeros_like(coded[0])])


def png(rgb: NDArray[np.uint8]) -> bytes:
    ok, content = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return bytes(content)


@lru_cache(maxsize=16)
def table_of(mode: str) -> bytes:
    """Orange, green, blue by ratio, as bright as it is thin."""
    code = np.arange(256) / 255.0
    attenuation = -2.0 * np.log(np.clip(1.0 - code, 0.5 / 255, 1.0))
    low, high = np.meshgrid(attenuation, attenuation, indexing="ij")
    ratio = low / np.maximum(high, 0.02)
    kind = np.select([high < 0.03, ratio < 1.45, ratio < 2.0], [0, 1, 2], 3).astype(np.uint8)
    hues = np.array([[255, 255, 255], [255, 138, 12], [40, 170, 40], [20, 60, 200]], dtype=np.float64)
    thick = {"high_penetration": 5.0, "low_penetration": 0.8}.get(mode, 2.2)
    bright = np.exp(-((high / thick) ** 1.2))[..., None]
    hue = 1.0 - np.exp(-high / 0.4)[..., None]
    full = hues[kind]
    if mode in ("organic_only", "metal_only"):
        keep = (kind == 1) if mode == "organic_only" else (kind > 1)
        full = np.where(keep[..., None], full, 200.0)
    rgb = (255.0 * (1.0 - hue) + full * hue) * (0.1 + 0.9 * bright)
    if mode in ("grey", "negative"):
        rgb = np.repeat(255.0 * np.exp(-0.8 * high)[..., None], 3, axis=2)
    if mode == "negative":
        rgb = 255.0 - rgb
    return np.dstack([rgb.astype(np.uint8), kind]).astype(np.uint8).tobytes()


class Album:
    """The page's `Pictures` and `Library`."""

    def __init__(self, size: tuple[int, int] = (1000, 800)) -> None:
        self.size = size
        self.asked: list[str] = []
        self.compared: list[tuple[str, str]] = []
        self.may_compare = threading.Event()
        """Cleared: a difference takes long."""
        self.may_compare.set()
        self.calibration = "cal-1"
        """Another one: the table of colours has another name, and pictures differ a little otherwise."""
        self._lock = threading.Lock()

    def planes(self, picture: str) -> bytes | None:
        with self._lock:
            self.asked.append(picture)
        name, _, number = picture.rpartition("-")
        if name not in ("pic", "ref", "past") or not number.isdecimal():
            return None
        return png(planes_of(int(number), *self.size))

    def preview(self, picture: str) -> bytes | None:
        if self.planes(picture) is None:
            return None
        codes = planes_of(int(picture.rpartition("-")[2]), *self.size)[::4, ::4]
        table = np.frombuffer(table_of("colour"), np.uint8).reshape(65_536, 4)
        rgb = table[codes[..., 0].astype(np.uint32) * 256 + codes[..., 1]][..., :3]
        ok, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))
        assert ok
        return bytes(jpeg)

    def difference(self, picture: str, reference: str) -> Differs | NotAligned | None:
        """Where their codes differ; `past-4` is of another carton."""
        self.may_compare.wait(30.0)
        one, other = self.planes(picture), self.planes(reference)
        if one is None or other is None:
            return None
        with self._lock:
            self.compared.append((picture, reference))
        if "past-4" in (picture, reference):
            return NotAligned(Text("包装大小不同，无法对齐", "Cartons of another size"))
        high = [
            planes_of(int(each.rpartition("-")[2]), *self.size)[::4, ::4, 1].astype(int)
            for each in (picture, reference)
        ]
        more, less = (np.clip(part - 40, 0, 255) for part in (high[0] - high[1], high[1] - high[0]))
        common = 0.62 if self.calibration == "cal-1" else 0.71
        return Differs(png(np.dstack([more, less, 0 * more]).astype(np.uint8)), common)

    def looks(self) -> Looks | None:
        return Looks(
            table=self.calibration, modes=tuple(ModeShown(mode=m, words=Text(zh, en)) for m, zh, en in MODES)
        )

    def table(self, table: str, mode: str) -> bytes | None:
        return (
            table_of(mode)
            if table in ("cal-1", self.calibration) and mode in {each[0] for each in MODES}
            else None
        )

    def search(self, by: SearchBy, text: str, limit: int) -> Found:
        if text == "nothing":
            return Found()
        rows = tuple(
            FoundShown(
                picture=f"past-{n}",
                waybill_no=f"SF10{n:08d}",
                verdict=Verdict.FLAGGED if n % 3 == 0 else Verdict.PASSED,
                category="undeclared" if n % 3 == 0 else "",
                sku="SKU-77120",
                enterprise="4101986X01",
                goods="婴儿配方奶粉 900 g",
                utc=f"2026-11-21T0{n}:12:44.000000Z",
                distance=0.4 * n if by == "picture" else None,
            )
            for n in range(1, 9)
        )
        return Found(rows=rows[:limit], more=False)


# --- parcels ------------------------------------------------------------------------------------------------

GOODS = Goods(
    waybill_no="",
    enterprise="4101986X01",
    enterprise_name="郑州跨境电商有限公司",
    credit="medium",
    gross_kg="2.460",
    lines=(
        DeclaredLine("婴儿配方奶粉 900 g", "SKU-77120", "1901101000", "2", "罐"),
        DeclaredLine("硅胶围兜", "SKU-20114", "3924100000", "1", "件"),
    ),
    records_number=4711,
    records_age_s=12.0,
)


def part_of(part: Literal["materials", "mass", "layout"], z: float, words: Text) -> Part:
    return Part(part=part, z=z, raised=z > 3.0, words=words)


def parcel_of(number: int, **changes: object) -> ParcelShown:
    """Number 1 is the interesting one: suspects, few references; others are plainer."""
    waybill = f"SF14{number:09d}"
    raised = number % 2 == 1
    suspects = (
        (
            Suspect(
                "other_material",
                Text("下部有未申报金属", "Metal at the bottom, none declared"),
                5.4,
                Box(0.52, 0.55, 0.2, 0.18),
            ),
            Suspect(
                "heavier", Text("比同类重 0.8 kg", "0.8 kg over its like"), 3.6, Box(0.2, 0.25, 0.16, 0.2)
            ),
        )
        if raised
        else ()
    )
    made_of = ParcelShown(
        parcel=number,
        waybill_no=waybill,
        association=Association.MATCHED,
        association_words=Text("位置、长度相符", "Position and length agree"),
        picture=PictureShown(
            picture=f"pic-{number}", width_px=1000, height_px=800, mm_per_column=0.8, mm_per_row=0.8
        ),
        goods=replace(GOODS, waybill_no=waybill),
        why=(
            Why(code="suspect", words=Text("图像有可疑处", "Something suspicious in the picture")),
            Why(code="score_high", words=Text("与参考图差异大 7.9", "Far from its references, 7.9")),
        )
        if raised
        else (Why(code="spot_check", words=Text("抽中抽核", "Drawn for a spot check")),),
        suspects=suspects,
        shares=(
            MaterialShare(Material.ORGANIC, 0.71, 1.9),
            MaterialShare(Material.LIGHT_INORGANIC, 0.18, 0.4),
            MaterialShare(Material.METAL, 0.09, 0.9),
            MaterialShare(Material.IMPENETRABLE, 0.02, None),
        ),
        scores=Scores(
            on=Likeness.SKU,
            references=3 if raised else 14,
            few=raised,
            score=7.9 if raised else 1.2,
            parts=(
                part_of("materials", 5.4 if raised else 0.6, Text("材质", "Materials")),
                part_of("mass", 3.6 if raised else 0.2, Text("重量", "Mass")),
                part_of("layout", 0.9, Text("布局", "Layout")),
            ),
            words=Text("同 SKU 参考图 3 张，偏少", "3 references of this SKU: few")
            if raised
            else Text("同 SKU 参考图 14 张", "14 references of this SKU"),
        ),
        references=tuple(
            ReferenceShown(
                reference_no=f"ref-{n}",
                picture=PictureShown(picture=f"ref-{n}", width_px=1000, height_px=800),
                words=Text(f"同 SKU · 2026-11-1{n} · 第 {n} 版", f"Same SKU · 2026-11-1{n} · version {n}"),
            )
            for n in range(1, 4)
        ),
        left_s=0.0,
        length_mm=612.0,
        height_mm=455.0,
        mass_kg=3.2 if raised else 2.5,
        calibration="cal-1",
    )
    return msgspec.structs.replace(made_of, **changes)


@dataclass(eq=False)
class Placed:
    shown: ParcelShown
    due_s: float
    verdict: Verdict | None = None
    judged_s: float = 0.0
    desk: str = ""
    category: str = ""
    on_screen: set[str] = field(default_factory=set)


class Line:
    """The station's side: `put` takes events, `latest` gives views; `answered` is the page's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._number = 0
        self._changes: dict[str, object] = {}
        self.placed: list[Placed] = []
        self.came: dict[str, str] = {}
        self.events: list[Event] = []
        self.judged: list[Judged] = []
        self.saved: list[SaveAsked] = []
        self.ended: list[tuple[int, Verdict]] = []
        self.alarms: tuple[AlarmShown, ...] = ()
        self.silent = False
        self.frozen = False
        """Desks are shown what they were shown before."""
        self._before: StationView | None = None
        self._stands_s: float | None = None
        self.strict = False
        """As the station's machine: only what is in hand, and was on that desk's screen."""
        self.changed: Callable[[], None] = lambda: None
        self.answered: Callable[[AnswerDesk], None] = lambda answer: None

    def reset(self) -> None:
        """An empty belt, and nothing wrong. Who is there stays."""
        with self._lock:
            self._changes.clear()
            self.placed, self.events, self.judged, self.saved, self.alarms = [], [], [], [], ()
            self.frozen, self._stands_s = False, None
        self.changed()

    def stand_still(self, seconds: float) -> None:
        """As a station that said its last word so long ago."""
        with self._lock:
            self._stands_s = seconds
        self.changed()

    def show(self, **changes: object) -> None:
        """Other values than the usual in the view of the whole station."""
        with self._lock:
            self._changes.update(changes)
        self.changed()

    def place(self, parcel: ParcelShown, left_s: float) -> None:
        with self._lock:
            self.placed.append(Placed(parcel, self._clock.monotonic_s() + left_s))
        self.changed()

    def swap(self, number: int, picture: str) -> None:
        """The picture of a parcel is another from now on."""
        with self._lock:
            for each in self.placed:
                if each.shown.parcel == number and each.shown.picture is not None:
                    other = msgspec.structs.replace(each.shown.picture, picture=picture)
                    each.shown = msgspec.structs.replace(each.shown, picture=other)

    def put(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)
            match event:
                case OfficerCame(desk, officer):
                    self.came[desk] = officer
                case OfficerLeft(desk):
                    self.came.pop(desk, None)
                case Shown(parcel=parcel, desk=desk):
                    if not self.strict or self._waiting(self._clock.monotonic_s())[:1] == self._at(parcel):
                        for each in self._at(parcel):
                            each.on_screen.add(desk)
                case Judged():
                    self._judge(event)
                case Undone(parcel, _, desk, command_id):
                    self._undo(parcel, desk, command_id)
                case SaveAsked(parcel=parcel, desk=desk, command_id=command_id):
                    self.saved.append(event)
                    self.answered(AnswerDesk(desk, parcel, ok=True, command_id=command_id))
                case WedgeAsked(desk=desk, command_id=command_id):
                    self.answered(AnswerDesk(desk, 0, ok=True, command_id=command_id))
                case _:
                    pass
        self.changed()

    def _waiting(self, now_s: float) -> list[Placed]:
        waiting = [each for each in self.placed if each.verdict is None and each.due_s > now_s]
        return sorted(waiting, key=lambda each: each.due_s)

    def _at(self, parcel: int) -> list[Placed]:
        return [each for each in self.placed if each.shown.parcel == parcel]

    def _judge(self, event: Judged) -> None:
        def answer(why: str) -> None:
            self.answered(
                AnswerDesk(event.desk, event.parcel, ok=not why, why=why, command_id=event.command_id)
            )

        found = self._at(event.parcel)
        now_s = self._clock.monotonic_s()
        if not found:
            answer("parcel_unknown")
        elif found[0].shown.picture is None or found[0].shown.picture.picture != event.picture:
            answer("other_picture")
        elif found[0].verdict is not None:
            answer("judged_already")
        elif self.strict and self._waiting(now_s)[:1] != found:
            answer("not_in_hand")
        elif self.strict and event.desk not in found[0].on_screen:
            answer("not_shown")
        elif now_s > found[0].due_s:
            answer("late")
        elif event.verdict is Verdict.PASSED and not found[0].shown.may_pass:
            answer("may_not_pass")
        else:
            found[0].verdict, found[0].desk = event.verdict, event.desk
            found[0].judged_s, found[0].category = now_s, event.category
            self.judged.append(event)
            answer("")

    def _undo(self, parcel: int, desk: str, command_id: str) -> None:
        found = self._at(parcel)
        late = not found or self._clock.monotonic_s() - found[0].judged_s > UNDO_S
        if late or found[0].verdict is None:
            self.answered(AnswerDesk(desk, parcel, ok=False, why="undo_over", command_id=command_id))
            return
        found[0].verdict = None
        found[0].on_screen.clear()
        self.answered(AnswerDesk(desk, parcel, ok=True, command_id=command_id))

    def latest(self) -> StationView | None:
        with self._lock:
            if self.silent:
                return None
            if not self.frozen or self._before is None:
                self._before = self._view()
            if self._stands_s is not None:
                return msgspec.structs.replace(self._before, at_s=self._before.at_s - self._stands_s)
            return self._before

    def _view(self) -> StationView:
        now_s = self._clock.monotonic_s()
        self._number += 1
        waiting = self._waiting(now_s)
        judged = sorted((e for e in self.placed if e.verdict is not None), key=lambda e: -e.judged_s)

        def timed(each: Placed) -> ParcelShown:
            left_s = round(each.due_s - now_s, 2) if each.shown.left_s is not None else None
            return msgspec.structs.replace(each.shown, left_s=left_s, of_s=20.0)

        desks = tuple(
            DeskPart(
                desk=desk,
                officer=officer,
                in_hand=tuple(timed(each) for each in waiting[:2]),
                judged=tuple(
                    JudgedShown(
                        parcel=each.shown.parcel,
                        waybill_no=each.shown.waybill_no,
                        verdict=each.verdict,
                        category=each.category,
                        undo_left_s=max(0.0, round(UNDO_S - (now_s - each.judged_s), 2)),
                        outcome="undoable" if now_s - each.judged_s < UNDO_S else "stands",
                        words=Text("已判", "Judged"),
                    )
                    for each in judged[:3]
                    if each.verdict is not None
                ),
                pace=PaceShown(judged=len(judged), median_s=3.4, floor_s=1.5, at_work_s=540.0),
            )
            for desk, officer in self.came.items()
        )
        view = StationView(
            station=DEVICE,
            number=self._number,
            at_s=now_s,
            utc=self._clock.utc_text(),
            zone="Asia/Shanghai",
            belt=BeltShown(
                running=True,
                forward=True,
                source_on=True,
                emergency=False,
                speed_mm_s=300.0,
                on_belt=len(waiting),
                words=Text("运行 0.30 m/s", "Running 0.30 m/s"),
            ),
            feed=FeedShown(permitted=True),
            wedge=WedgeShown(
                ok=True, calibration="cal-1", words=Text("楔块校验有效至 18:00", "Wedge valid until 18:00")
            ),
            online=True,
            records_age_s=12.0,
            queue=tuple(
                QueuedShown(
                    parcel=each.shown.parcel,
                    waybill_no=each.shown.waybill_no,
                    picture="" if each.shown.picture is None else each.shown.picture.picture,
                    left_s=round(each.due_s - now_s, 2),
                    state="in_hand" if n < 2 and self.came else "waiting",
                )
                for n, each in enumerate(waiting)
            ),
            desks=desks,
            officers=tuple(
                OfficerShown(desk=desk, officer=officer, in_hand=min(2, len(waiting)), at_work_s=540.0)
                for desk, officer in self.came.items()
            ),
            alarms=self.alarms,
            counts=CountsShown(passed=812, passed_unseen=690, flagged=9, recheck=31, late=2),
        )
        return msgspec.structs.replace(view, **self._changes)


# --- officers -----------------------------------------------------------------------------------------------

CHEAP = Cost(memory_kib=1024, passes=1)


def officer_of(number: str, *authorisations: str, pin: str = PIN, device: str = DEVICE) -> Officer:
    salt = bytes(16)
    secret = PinSecret(stretched(pin, salt, CHEAP), b"")
    return Officer(
        officer_no=number,
        authorisations=authorisations,
        public_key=base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode(),
        valid_until=UtcText("2030-01-01T00:00:00.000000Z"),
        pin=made(
            secret,
            officer_no=number,
            salt=salt,
            cost=CHEAP,
            peppers={device: PEPPER},
            nonces={device: bytes(12)},
            kept="",
            at_utc="2026-11-22T08:00:00.000000Z",
        ),
    )


class Roll:
    """The page's `Roster`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.age_s: float | None = 12.0
        self.officers = {
            each.officer_no: each
            for each in (
                officer_of("4604009", "x_ray", "inspect"),
                officer_of("4604010", "x_ray"),
                officer_of("4604011", "patrol"),
            )
        }

    def standing(self, officer_no: str) -> Standing:
        return Standing(self.officers.get(officer_no), self.site, "2026-11-22T08:00:00.000000Z", self.age_s)

    def revoke(self, officer_no: str) -> None:
        self.officers[officer_no] = msgspec.structs.replace(
            self.officers[officer_no], state=OfficerState.REVOKED
        )


@dataclass(eq=False)
class DeskSite:
    """Page, line, album and roll, together and on a free port."""

    line: Line
    album: Album
    roll: Roll
    page: StationPage

    @property
    def port(self) -> int:
        port = self.page.bound_port
        assert port is not None
        return port


def desk_site(folder: Path, settings: PageSettings | None = None, clock: Clock | None = None) -> DeskSite:
    """Started, and listening. Stop its `page`."""
    clock = clock or SystemClock()
    line, album, roll = Line(clock), Album(), Roll(site_of())
    page = StationPage(
        settings or PageSettings(port=0, desks={"desk-1": False, "desk-2": False, "remote-1": True}),
        clock=clock,
        latest=line.latest,
        put=line.put,
        pictures=album,
        library=album,
        door=Door(device=DEVICE, folder=folder, clock=clock, roster=roll, peppers=lambda: (PEPPER,)),
    )
    line.changed, line.answered = page.changed, page.answered
    page.start()
    until_s = clock.monotonic_s() + 10.0
    while page.bound_port is None:
        assert clock.monotonic_s() < until_s, "the page does not listen"
        time.sleep(0.01)
    return DeskSite(line, album, roll, page)


def site_of() -> Site:
    return Site(site="demo", name_zh="示范", name_en="Demo", offline_sign_in_h=72)
