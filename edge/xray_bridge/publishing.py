"""Keeps what the desks see of a station fresh, on the station's own thread: its state as `StationView`,
whole, in words of both languages. Never a reason to stop a station: what cannot be gathered is unknown.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from edge.runtime.clock import Clock
from edge.xray_bridge.contract import (
    MOST_ALARMS,
    MOST_QUEUED,
    MOST_REFERENCES,
    AlarmShown,
    BeltShown,
    CountsShown,
    DeskPart,
    FeedShown,
    JudgedShown,
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
from edge.xray_bridge.deciding.desks import rest_due, waiting
from edge.xray_bridge.deciding.due import left_s
from edge.xray_bridge.deciding.state import Desk, Parcel, Station, wedge_valid
from edge.xray_bridge.deciding.verdicts import may_pass, undo_left_s
from edge.xray_bridge.effects import Commit, Effect
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.values import Association, Compared, Likeness
from sync.vocabulary.facts import Alarm
from sync.vocabulary.rulings import Text
from sync.vocabulary.xray_reasons import TEXTS, Because, XRayReason

EVERY_S: Final = 0.25
"""Where nothing changed but time."""
GATHER_EVERY_S: Final = 2.0
RAISED_Z: Final = 3.0
JUDGED_SHOWN: Final = 6

_FEED: Final = {
    "closed": Text("本机已停用", "Taken out of service"),
    "fault": Text("分拣机异常，请关员查看", "Diverter at fault: an officer must look"),
    "journal": Text("无法记录", "Nothing can be recorded"),
    "belt_unknown": Text("皮带位置未知", "Nobody knows where the belt stands"),
    "emergency": Text("急停", "Emergency stop"),
    "device": Text("设备失联", "Device lost"),
    "evidence_full": Text("证据磁盘已满", "No room left for evidence"),
    "clearing": Text("清空皮带中", "The belt is being cleared"),
    "jam": Text("卡包", "Jam"),
    "queue": Text("待判包裹过多", "Too many parcels wait for an officer"),
    "nobody": Text("无人判图", "Nobody is there to judge"),
    "too_fast": Text("判图过快，请休息", "Judging too fast: take a rest"),
}
_BELT: Final = {
    "": Text("皮带状态未知", "Belt not known"),
    "running": Text("运行", "Running"),
    "stopped": Text("停止", "Standing"),
    "reversed": Text("反转", "Running back"),
    "emergency": Text("急停", "Emergency stop"),
    "jam": Text("卡包", "Jam"),
    "unknown": Text("皮带状态未知", "Belt not known"),
}
_ASSOCIATION: Final = {
    Association.MATCHED: Text("图像与运单一致", "Picture and waybill match"),
    Association.AMBIGUOUS: TEXTS[XRayReason.AMBIGUOUS],
    Association.UNMATCHED: TEXTS[XRayReason.UNMATCHED],
    Association.MERGED: TEXTS[XRayReason.MERGED],
    Association.SPLIT: TEXTS[XRayReason.SPLIT],
}
_ON: Final = {
    Likeness.SKU_QUANTITY: Text("同款同数量参考", "the same article and number"),
    Likeness.SKU: Text("同款参考", "the same article"),
    Likeness.CHAPTER: Text("同章参考", "the same HS chapter"),
    Likeness.NONE: Text("无参考图像", "No reference pictures"),
}
_PARTS: Final[dict[Literal["materials", "mass", "layout"], Text]] = {
    "materials": Text("材质", "Materials"),
    "mass": Text("质量", "Mass"),
    "layout": Text("布局", "Layout"),
}


@dataclass(frozen=True, slots=True)
class Around:
    """What is not the station's own to know."""

    records_age_s: float | None = None
    zone: str = ""


class Publisher:
    """Used by the station's thread, except `latest`."""

    def __init__(
        self,
        *,
        station_id: str,
        clock: Clock,
        picture: Callable[[str], Held | None],
        reference: Callable[[str], ReferenceShown | None],
        around: Callable[[], Around],
        changed: Callable[[], None],
    ) -> None:
        self._station_id = station_id
        self._clock = clock
        self._picture = picture
        self._reference = reference
        self._around_now = around
        self._changed = changed
        self._around = Around()
        self._alarms: deque[AlarmShown] = deque(maxlen=MOST_ALARMS)
        self._alarm_number = 0
        self._of_s: dict[int, float] = {}
        self._latest: StationView | None = None
        self._number = 0
        self._published_s = self._gathered_s = float("-inf")
        self._before: tuple[object, ...] = ()
        self._told = ""

    def latest(self) -> StationView | None:
        """Any thread."""
        return self._latest

    def stepped(self, station: Station, effects: Sequence[Effect]) -> None:
        """After a step's effects: what changed is shown at once, all else now and then. Never raises."""
        try:
            self._stepped(station, effects)
        except Exception as error:  # noqa: BLE001 - a page is no reason to stop a station
            if str(error) != self._told:
                self._told = str(error)
                structlog.get_logger("page").error("nothing new is shown", exc_info=error)

    def _stepped(self, station: Station, effects: Sequence[Effect]) -> None:
        at_s = self._clock.monotonic_s()
        for effect in effects:
            if isinstance(effect, Commit):
                self._note(effect)
        now = (station.parcels, station.desks, station.permit, station.feed_reasons, station.online,
               station.closed, station.wedge_calibration, station.wedge_next, station.counts,
               self._alarm_number)  # fmt: skip
        same = len(now) == len(self._before) and all(
            a is b or a == b for a, b in zip(now, self._before, strict=True)
        )
        if same and at_s - self._published_s < EVERY_S:
            return
        if at_s - self._gathered_s >= GATHER_EVERY_S:
            self._gathered_s, self._around = at_s, self._around_now()
        self._before, self._published_s = now, at_s
        self._number += 1
        self._latest = self._view(station, at_s)
        self._changed()

    def _note(self, commit: Commit) -> None:
        for told in commit.facts:
            if isinstance(told.data, Alarm):
                self._alarm_number += 1
                data = told.data
                self._alarms.append(
                    AlarmShown(
                        number=self._alarm_number,
                        utc=self._clock.utc_text(),
                        code=data.code.value,
                        words=Text(data.zh, data.en),
                        detail=neutral(data.detail)[:200],
                    )
                )

    # --- the view ---------------------------------------------------------------------------------------

    def _view(self, station: Station, at_s: float) -> StationView:
        queue = waiting(station)
        numbers = {parcel.number for parcel in station.parcels}
        self._of_s = {number: left for number, left in self._of_s.items() if number in numbers}
        belt = station.belt
        known = station.belt_mm is not None
        return StationView(
            station=self._station_id,
            number=self._number,
            at_s=at_s,
            utc=self._clock.utc_text(),
            zone=self._around.zone,
            belt=BeltShown(
                running=belt.running if belt is not None else None,
                forward=belt.forward if belt is not None else None,
                source_on=belt.source_on if belt is not None else None,
                emergency=belt.emergency if belt is not None else None,
                speed_mm_s=round(station.speed_mm_s, 1) if known else None,
                on_belt=len(station.parcels),
                words=_BELT.get(station.state_told, _BELT[""]),
            ),
            feed=FeedShown(permitted=bool(station.permit), why=tuple(map(_feed_why, station.feed_reasons))),
            wedge=_wedge(station, at_s),
            online=station.online,
            records_age_s=self._around.records_age_s,
            queue=tuple(self._queued(station, parcel) for parcel in station.parcels[:MOST_QUEUED]),
            desks=tuple(self._desk(station, at_s, desk, queue) for desk in station.desks),
            officers=tuple(
                OfficerShown(
                    desk=desk.desk,
                    officer=desk.officer,
                    remote=desk.remote,
                    in_hand=int(bool(desk.parcel)),
                    at_work_s=round(at_s - desk.since_s, 1),
                    rest_due=rest_due(station, at_s, desk),
                )
                for desk in station.desks
            ),
            alarms=tuple(reversed(self._alarms)),
            counts=CountsShown(
                passed=station.counts.passed,
                passed_unseen=station.counts.passed_by_machine,
                flagged=station.counts.flagged,
                recheck=station.counts.recheck,
                late=station.counts.late,
            ),
        )

    def _queued(self, station: Station, parcel: Parcel) -> QueuedShown:
        desk = next((desk.desk for desk in station.desks if desk.parcel == parcel.number), "")
        left = left_s(station, parcel)
        state: Literal["analysing", "waiting", "in_hand", "judged", "late"]
        if parcel.verdict is not None:
            state = "judged"
        elif not parcel.waits:
            state = "analysing"
        elif left is not None and left < 0:
            state = "late"
        else:
            state = "in_hand" if desk else "waiting"
        return QueuedShown(
            parcel=parcel.number,
            waybill_no=parcel.waybill_no,
            picture=parcel.picture,
            desk=desk,
            left_s=_rounded(left),
            state=state,
            verdict=parcel.verdict,
        )

    def _desk(self, station: Station, at_s: float, desk: Desk, queue: Sequence[Parcel]) -> DeskPart:
        in_hand = [parcel for parcel in queue if parcel.number == desk.parcel]
        in_hand += [parcel for parcel in queue if parcel.number == desk.ahead]
        rests = rest_due(station, at_s, desk)
        return DeskPart(
            desk=desk.desk,
            officer=desk.officer,
            in_hand=tuple(self._parcel(station, parcel) for parcel in in_hand),
            judged=tuple(_judged(station, at_s, desk)),
            pace=PaceShown(
                judged=desk.judged,
                median_s=_rounded(desk.median_s()),
                floor_s=station.settings.floor_s,
                hurried=at_s < desk.paused_until_s,
                at_work_s=round(at_s - desk.since_s, 1),
                rest_due=rests,
                rest_words=Text("请换岗休息", "Time to change places") if rests else None,
            ),
        )

    def _parcel(self, station: Station, parcel: Parcel) -> ParcelShown:
        analysis, left = parcel.analysis, left_s(station, parcel)
        if left is not None:
            self._of_s.setdefault(parcel.number, max(left, 0.0))
        passes = may_pass(station, parcel)
        association = parcel.association or Association.UNMATCHED
        compared = None if analysis is None else analysis.compared
        return ParcelShown(
            parcel=parcel.number,
            waybill_no=parcel.waybill_no,
            association=association,
            association_words=_ASSOCIATION[association],
            picture=self._picture_shown(parcel.picture),
            goods=parcel.goods,
            why=tuple(dict.fromkeys(map(_why, parcel.reasons))),
            suspects=() if analysis is None else analysis.suspects,
            shares=() if analysis is None else analysis.shares,
            scores=None if compared is None else scores_of(compared),
            references=tuple(self._references(compared)),
            length_mm=None if analysis is None else analysis.length_mm,
            height_mm=None if analysis is None else analysis.height_mm,
            mass_kg=None if analysis is None else analysis.mass_kg,
            calibration="" if analysis is None else analysis.calibration,
            noisy=analysis is not None and analysis.noisy,
            may_pass=passes,
            no_pass_words=None if passes else _no_pass(parcel),
            second_review=parcel.first is not None,
            left_s=_rounded(left),
            of_s=_rounded(self._of_s.get(parcel.number)),
        )

    def _picture_shown(self, picture: str) -> PictureShown | None:
        held = self._picture(picture) if picture else None
        if held is None:
            return None
        rows, columns = held.seen.low.shape
        return PictureShown(
            picture=picture,
            width_px=columns,
            height_px=rows,
            mm_per_column=held.seen.mm_per_column,
            mm_per_row=held.seen.mm_per_pixel,
        )

    def _references(self, compared: Compared | None) -> Iterable[ReferenceShown]:
        numbers = () if compared is None else compared.reference_nos
        found = (self._reference(number) for number in numbers[:MOST_REFERENCES])
        return (each for each in found if each is not None)


def _judged(station: Station, at_s: float, desk: Desk) -> Iterable[JudgedShown]:
    """What this desk's officer judged of what is still on the belt, the newest first."""
    mine = [
        (judgement, parcel)
        for parcel in station.parcels
        if (judgement := parcel.judged or parcel.first) is not None and judgement.desk == desk.desk
    ]
    mine.sort(key=lambda each: -each[0].at_s)
    for judgement, parcel in mine[:JUDGED_SHOWN]:
        undo_s = undo_left_s(station, at_s, parcel)
        yield JudgedShown(
            parcel=parcel.number,
            waybill_no=parcel.waybill_no,
            verdict=judgement.verdict,
            category=judgement.category,
            undo_left_s=round(undo_s, 2),
            outcome="undoable" if undo_s > 0 else "stands",
            words=_WORDS[judgement.verdict.value],
        )


_WORDS: Final = {
    "passed": Text("机检通过", "Passed"),
    "flagged": Text("机检异常", "Flagged"),
    "recheck": Text("送复检", "Recheck"),
}


def scores_of(compared: Compared) -> Scores:
    """The comparison in words: on what it stands, and which part raised it."""
    on = _ON[compared.on]
    words = on
    if compared.on is not Likeness.NONE:
        few = Text("，参考不足", ", few") if compared.few else Text("", "")
        if compared.on is Likeness.SKU and compared.of_quantity is not None:
            held = compared.of_quantity
            few = Text(
                f"，其中同数量 {held} 幅：少件可能看不出",
                f", {held} of this number: a missing piece may not show",
            )
        words = Text(f"{compared.references} 幅{on.zh}{few.zh}", f"{compared.references} of {on.en}{few.en}")
    measured = {"materials": compared.materials_z, "mass": compared.mass_z, "layout": compared.layout_z}
    parts = tuple(
        Part(part=part, z=round(z, 2), raised=z >= RAISED_Z, words=text)
        for part, text in _PARTS.items()
        if (z := measured[part]) is not None
    )
    return Scores(
        on=compared.on,
        references=compared.references,
        few=compared.few,
        score=_rounded(compared.score),
        parts=parts,
        words=words,
    )


def neutral(detail: str) -> str:
    """`parcel 14 at x_ray` as the desk numbers it, in no language: `#14 · x_ray`."""
    return re.sub(r"^parcel (\d+):?(?: (?:at|after))?(?= |$) ?", r"#\1 · ", detail).removesuffix(" · ")


def _why(because: Because) -> Why:
    text = TEXTS[because.code]
    # What is suspected stands in words of its own.
    if not because.detail or because.code is XRayReason.SUSPECT:
        return Why(code=because.code.value, words=text)
    return Why(
        code=because.code.value,
        words=Text(f"{text.zh}：{because.detail}", f"{text.en}: {because.detail}"),
    )


def _no_pass(parcel: Parcel) -> Text:
    if parcel.doubt is not None:
        return _why(parcel.doubt).words
    return _why(parcel.reasons[0]).words if parcel.reasons else TEXTS[XRayReason.UNMATCHED]


def _feed_why(reason: str) -> Why:
    code, _, detail = reason.partition(": ")
    text = _FEED.get(code, Text(reason, reason))
    return Why(code=code, words=Text(f"{text.zh} {detail}".strip(), f"{text.en} {detail}".strip()))


def _wedge(station: Station, at_s: float) -> WedgeShown:
    left = station.wedge_until_s - at_s
    valid = wedge_valid(station, at_s)
    if valid:
        hours = left / 3600
        words = Text(f"阶梯楔校验有效，剩 {hours:.0f} 小时", f"Wedge check valid, {hours:.0f} h left")
    else:
        words = Text("须做阶梯楔校验，否则不自动通过", "Wedge check due: nothing passes by itself")
    return WedgeShown(
        ok=valid,
        due=not valid,
        calibration=station.wedge_calibration,
        waiting=station.wedge_next,
        words=words,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
