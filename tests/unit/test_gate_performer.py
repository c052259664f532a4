"""The performer's side of a complete lane: codes that lead aside or enter a value, cards and cartons looked
up, the site's own time, a green light that dies with the program, and the customs platform."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.devices.readings import (
    AnswerDeviceOrder,
    Gather,
    Order,
    PulseRelay,
    SendPictures,
    SetRelay,
)
from edge.gate.config import RelaysPart, lane_settings, read_gate_config
from edge.gate.effects import (
    AnswerPlatform,
    AskPlatform,
    CheckCommand,
    CheckReleaseCode,
    Commit,
    Effect,
    LookUp,
    SetLights,
    ShowPlatform,
    TakePicture,
    Told,
)
from edge.gate.events import (
    CommandChecked,
    Event,
    Findings,
    OfficerReleased,
    RecordsFound,
    ReleaseRefused,
    SupplementGiven,
)
from edge.gate.lane import PlatformAddress
from edge.gate.performer import LanePerformer, Things
from edge.runtime.clock import UNKNOWN_MS
from edge.runtime.config_reading import ConfigRefused
from edge.runtime.loop import EffectFailed
from edge.runtime.ports import OrderNotTaken
from hardware_sims.site import write_site
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.journal import BlobOwed, Journal
from sync.store.records import Records, StoreRefused, new_generation
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.commands import Act, Command, ManualRelease, Supplement
from sync.vocabulary.facts import Alarm, AlarmCode, LaneClosed, PictureTaken, RulingMade, Stream
from sync.vocabulary.numbers import Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import COLLECTIONS, OfficerState, Recall, Record, Site, Waybill, key_of
from sync.vocabulary.release_codes import MAX_VALUE, ReleaseCode, parse
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.unit.test_gate_findings import OFTEN, PLATE, SLIPS, TAG, vehicle
from tests.unit.test_release_codes import CODE, NOW, officer, shown

SITE = Site(site="site-a", name_zh="卡口", name_en="Checkpoint", manual_release_officers=2)
CARTON, UNKNOWN_CARTON = WaybillNo("SF1234567890123"), WaybillNo("SF1234567890124")
WAYBILL = Waybill(waybill_no=CARTON, slip_no=SLIPS[0].slip_no)
CARDED = msgspec.structs.replace(SLIPS[3], card_no="1A2B3C4D", plate=None)
RECALL = Recall(recall_no="ZH1", reason_zh="召回", reason_en="recall")


@dataclass
class SetClock:
    """Shows what it is set to."""

    utc: str = NOW
    unsure_ms: int = 5

    def monotonic_s(self) -> float:
        return 0.0

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return self.unsure_ms


class NoLink:
    def claim(
        self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]
    ) -> None: ...
    def withdraw(self, claim_id: str) -> None: ...
    def facts_waiting(self) -> None: ...


@dataclass
class Album:
    """Pictures by their hash, and what was asked for."""

    kept: dict[str, bytes] = field(default_factory=dict)
    wanted: list[TakePicture] = field(default_factory=list)

    def take(self, request: TakePicture) -> None:
        self.wanted.append(request)

    def read(self, sha256: str) -> bytes | None:
        return self.kept.get(sha256)


@dataclass
class Room:
    """A performer over a real journal and real records."""

    folder: Path
    journal: Journal
    clock: SetClock = field(default_factory=SetClock)
    album: Album = field(default_factory=Album)
    relays: RelaysPart = field(default_factory=lambda: RelaysPart(open=0, green=2, red=3))
    records: Callable[[], Records | None] = lambda: None
    answers: list[Event] = field(default_factory=list)
    sent: list[tuple[str, Order]] = field(default_factory=list)
    port_is_gone: bool = False

    def performer(self) -> LanePerformer:
        return LanePerformer(
            Things(
                lane_id="lane-in-1",
                journal=self.journal,
                records=self.records,
                link=NoLink(),
                order=self._order,
                put=self.answers.append,
                wake_after=lambda timer, seconds: None,
                clock=self.clock,
                relays=self.relays,
                draw_key=None,
                clock_must_be_known=True,
                has_board=False,
                pictures=self.album,
            )
        )

    def _order(self, device: str, order_id: str, order: Order) -> None:
        if self.port_is_gone:
            raise OrderNotTaken(f"{device}: the port is not open")
        self.sent.append((device, order))

    def perform(self, *effects: Effect) -> list[Order]:
        """What was ordered of the devices."""
        performer = self.performer()
        for effect in effects:
            performer.perform(effect)
        return [order for _, order in self.sent]

    def answer(self, effect: Effect) -> Event:
        self.perform(effect)
        return self.answers[-1]

    def holding(self, *known: Record) -> Room:
        """With these records in force."""
        path = new_generation(self.folder, len(list(self.folder.glob("records-*"))) + 1, "site-a", "e" * 32)
        names = {kind: name for name, kind in COLLECTIONS.items()}
        changes = tuple(
            Change(number, names[type(record)], key_of(record), ChangeOp.PUT, to_json(record).decode())
            for number, record in enumerate(known, start=1)
        )
        records = Records.open(path, writable=True)
        records.apply(FeedBatch("site-a", "e" * 32, 1, len(changes), changes))
        records.note_verified(NOW)
        self.records = lambda: records
        return self


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-in-1", reserve_bytes=0) as journal:
        made = Room(tmp_path, journal)
        yield made
        records = made.records()
        if records is not None:
            records.close()


# --- codes (S8) -------------------------------------------------------------------------------------------


def code(**changes: object) -> ReleaseCode:
    return msgspec.structs.replace(CODE, **changes)


WEIGHT = code(action="supplement", field="weight", value="20000")


def test_a_code_says_whether_to_release_to_lead_aside_or_what_to_enter(room: Room) -> None:
    room.holding(SITE, officer(authorisations=("manual_release", "supplement")))
    assert room.answer(CheckReleaseCode(1, shown())) == OfficerReleased(1, "4604001", "称重设备故障", 2)
    aside = room.answer(CheckReleaseCode(1, shown(code(action="aside"))))
    assert aside == OfficerReleased(1, "4604001", "称重设备故障", 2, aside=True)
    entered = room.answer(CheckReleaseCode(1, shown(WEIGHT)))
    assert entered == SupplementGiven(1, "4604001", "weight", "20000", "称重设备故障", 2)


@pytest.mark.parametrize(
    ("made", "may", "why"),
    [
        (WEIGHT, ("manual_release",), "no authorisation supplement"),
        (code(), ("supplement",), "no authorisation manual_release"),
        (code(action="aside"), ("supplement",), "no authorisation manual_release"),
        (WEIGHT, (), "no authorisation supplement"),
    ],
)
def test_to_release_and_to_enter_are_two_authorisations(
    room: Room, made: ReleaseCode, may: tuple[str, ...], why: str
) -> None:
    room.holding(SITE, officer(authorisations=may))
    refused = room.answer(CheckReleaseCode(1, shown(made)))
    assert isinstance(refused, ReleaseRefused)
    assert why in refused.why


def test_an_officer_who_may_only_enter_may_enter(room: Room) -> None:
    room.holding(SITE, officer(authorisations=("supplement",)))
    assert isinstance(room.answer(CheckReleaseCode(1, shown(WEIGHT))), SupplementGiven)


def test_a_supplement_is_as_old_as_its_code_and_for_its_passage_alone(room: Room) -> None:
    room.holding(SITE, officer(authorisations=("supplement",)))
    room.clock.utc = "2026-11-22T03:01:01.000000Z"
    late = room.answer(CheckReleaseCode(1, shown(WEIGHT)))
    assert isinstance(late, ReleaseRefused)
    assert "issued" in late.why
    room.clock.utc = NOW
    other = room.answer(CheckReleaseCode(2, shown(WEIGHT)))
    assert isinstance(other, ReleaseRefused)
    assert "passage 1" in other.why


@pytest.mark.parametrize(
    "made",
    [
        code(action="supplement"),
        code(action="supplement", field="weight"),
        code(action="supplement", value="20000"),
        code(action="supplement", field="weight", value="1" * (MAX_VALUE + 1)),
        code(field="weight", value="20000"),
        code(action="aside", field="plate", value="豫A12345"),
    ],
    ids=["nothing", "no value", "no field", "too long", "with a release", "with leading aside"],
)
def test_a_code_enters_something_exactly_where_it_is_a_supplement(made: ReleaseCode) -> None:
    with pytest.raises(Malformed, match="supplement"):
        parse(shown(made))


@pytest.mark.parametrize("word", ["open", "RELEASE", ""])
def test_a_code_for_anything_else_is_none(word: str) -> None:
    with pytest.raises(Malformed):
        parse(shown(code(action=word)))
    with pytest.raises(Malformed):
        parse(shown(code(action="supplement", field=word or "colour", value="x")))


def test_without_a_roster_nobody_is_believed(room: Room) -> None:
    refused = room.answer(CheckReleaseCode(1, shown()))
    assert isinstance(refused, ReleaseRefused)
    assert "not on this lane's roster" in refused.why
    room.holding(SITE)
    assert isinstance(room.answer(CheckReleaseCode(1, shown())), ReleaseRefused)


@pytest.mark.parametrize("error", [StoreRefused("damaged"), Malformed("no such column")])
def test_a_roster_that_cannot_be_read_is_said_and_stops_nobody_else(room: Room, error: Exception) -> None:
    def unreadable() -> Records | None:
        raise error

    room.records = unreadable
    refused = room.answer(CheckReleaseCode(1, shown()))
    room.records = lambda: None
    assert isinstance(refused, ReleaseRefused)
    assert str(error) in refused.why


def test_a_site_that_says_nothing_of_officers_leaves_their_number_open(room: Room) -> None:
    """S8: then the lane asks for none, and releases nobody."""
    room.holding(officer())
    released = room.answer(CheckReleaseCode(1, shown()))
    assert isinstance(released, OfficerReleased)
    assert released.needed is None


# --- look-ups ---------------------------------------------------------------------------------------------


def found(room: Room, look: LookUp) -> Findings:
    answer = room.answer(look)
    assert isinstance(answer, RecordsFound)
    return answer.findings


def look_up(*, cards: tuple[str, ...] = (), waybills: tuple[WaybillNo, ...] = ()) -> LookUp:
    return LookUp(1, 1, (), (), (), cards, waybills)


def test_a_card_leads_to_the_slips_that_carry_its_number(room: Room) -> None:
    room.holding(SITE, OFTEN, CARDED, SLIPS[4])
    findings = found(room, look_up(cards=("1A2B3C4D", "FFFFFFFF")))
    assert findings.slips == (CARDED,)
    assert findings.enterprises == {OFTEN.code: OFTEN}
    assert (findings.by_plate, findings.by_tag) == ({}, {})


def test_a_slip_found_by_plate_and_by_card_is_found_once(room: Room) -> None:
    both = msgspec.structs.replace(SLIPS[0], card_no="1A2B3C4D")
    room.holding(SITE, vehicle(PLATE, TAG), both)
    assert found(room, LookUp(1, 1, (PLATE,), (TAG,), (both.slip_no,), ("1A2B3C4D",))).slips == (both,)


def test_a_carton_is_looked_up_and_one_nobody_knows_is_named_so(room: Room) -> None:
    room.holding(SITE, WAYBILL, RECALL)
    findings = found(room, look_up(waybills=(CARTON, UNKNOWN_CARTON)))
    assert findings.waybills == {CARTON: WAYBILL, UNKNOWN_CARTON: None}
    assert findings.recalls == (RECALL,)


@pytest.mark.parametrize(
    ("zone", "local", "day"),
    [
        ("Asia/Shanghai", "20261123003000", "2026-11-23"),
        ("UTC", "20261122163000", "2026-11-22"),
        ("America/New_York", "20261122113000", "2026-11-22"),
        ("Pacific/Kiritimati", "20261123063000", "2026-11-23"),
    ],
)
def test_day_and_clock_are_the_sites_own(room: Room, zone: str, local: str, day: str) -> None:
    """S11: the draw's day; and what the customs platform is asked under."""
    room.clock.utc = "2026-11-22T16:30:00.000000Z"
    room.holding(msgspec.structs.replace(SITE, zone=zone))
    findings = found(room, look_up())
    assert (findings.local_time, findings.day) == (local, day)


@pytest.mark.parametrize(
    "zone", ["Asia/Nowhere", "", "../../etc/passwd", "/etc/localtime", "Asia/Shanghai\0"]
)
def test_a_site_whose_day_cannot_be_told_is_no_ground_for_a_ruling(room: Room, zone: str) -> None:
    """S10: as if there were no records at all; and no crash (G11)."""
    room.holding(msgspec.structs.replace(SITE, zone=zone), OFTEN)
    findings = found(room, look_up())
    assert (findings.site, findings.age_s) == (None, None)


def test_before_there_is_a_site_the_day_is_that_of_greenwich(room: Room) -> None:
    room.clock.utc = "2026-11-22T16:30:00.000000Z"
    assert found(room, look_up()).day == "2026-11-22"
    room.holding(OFTEN)
    findings = found(room, look_up())
    assert (findings.site, findings.day, findings.local_time) == (None, "2026-11-22", "20261122163000")


@pytest.mark.parametrize(
    ("utc", "unsure_ms", "age_s"),
    [
        ("2026-11-22T03:00:40.000000Z", 5, 10.0),
        ("2026-11-22T03:00:00.000000Z", 5, 0.0),
        ("2026-11-22T02:55:00.000000Z", 5, None),
        ("2026-11-22T03:00:40.000000Z", UNKNOWN_MS, None),
        ("2000-01-01T00:00:10.000000Z", 5, None),
    ],
    ids=[
        "later",
        "a little ahead",
        "far ahead",
        "nobody vouches for the clock",
        "not set since it was switched on",
    ],
)
def test_an_age_no_clock_can_tell_is_unknown(
    room: Room, utc: str, unsure_ms: int, age_s: float | None
) -> None:
    """S10: unknown is too old."""
    room.holding(SITE)
    room.clock.utc, room.clock.unsure_ms = utc, unsure_ms
    assert found(room, look_up()).age_s == age_s


# --- lights -----------------------------------------------------------------------------------------------

GREEN, DARK, RED, NOT_RED = (
    PulseRelay(2, 5.0),
    SetRelay(2, on=False),
    SetRelay(3, on=True),
    SetRelay(3, on=False),
)


def test_green_is_a_pulse_that_ends_by_itself_and_is_renewed_while_it_is_meant(room: Room) -> None:
    """A program that hangs or died renews nothing: the light goes out."""
    performer = room.performer()
    performer.renew_green()
    performer.perform(SetLights(green=True))
    performer.renew_green()
    performer.renew_green()
    performer.perform(SetLights(green=False))
    performer.renew_green()
    assert [order for _, order in room.sent] == [GREEN, NOT_RED, GREEN, GREEN, DARK, RED]
    assert {device for device, _ in room.sent} == {"io"}


def test_lights_of_a_board_that_was_lost_are_renewed_only_after_they_were_set_again(room: Room) -> None:
    performer = room.performer()
    performer.perform(SetLights(green=True))
    room.sent.clear()
    performer.io_is_back()
    performer.renew_green()
    assert room.sent == []
    performer.say_again()
    performer.renew_green()
    assert [order for _, order in room.sent] == [GREEN, NOT_RED, GREEN]


def test_how_long_green_lasts_is_the_configs(room: Room) -> None:
    room.relays = RelaysPart(open=0, green=4, green_pulse_s=9.0)
    assert room.perform(SetLights(green=True)) == [PulseRelay(4, 9.0)]


def test_a_lane_without_a_green_light_renews_none(room: Room) -> None:
    room.relays = RelaysPart(open=0, red=3)
    performer = room.performer()
    performer.perform(SetLights(green=True))
    performer.renew_green()
    assert [order for _, order in room.sent] == [NOT_RED]


# --- the customs platform, pictures -----------------------------------------------------------------------

ASK = AskPlatform(
    passage=1,
    seq_no="20261122110000000101",
    plate="豫A12345",
    epc="E2001111",
    trailer_plate="豫A1234挂",
    card_no="C1",
    slip_nos=("Z1",),
    gross_kg=Decimal(20_000),
    containers=("MSCU6639870", "TGHU7599330", "CSQU3054383"),
    supplement=True,
)


def test_the_platform_is_asked_with_all_that_was_collected(room: Room) -> None:
    assert room.perform(ASK) == [
        Gather(
            seq_no="20261122110000000101",
            plate="豫A12345",
            epc="E2001111",
            trailer_plate="豫A1234挂",
            card_no="C1",
            slip_nos=("Z1",),
            gross_kg=Decimal(20_000),
            container_front="MSCU6639870",
            container_back="TGHU7599330",
            supplement=True,
        )
    ]
    assert [device for device, _ in room.sent] == ["platform"]
    one, none = room.perform(replace(ASK, containers=("MSCU6639870",)), replace(ASK, containers=()))[1:]
    assert isinstance(one, Gather)
    assert isinstance(none, Gather)
    assert [(g.container_front, g.container_back) for g in (one, none)] == [("MSCU6639870", ""), ("", "")]


def test_a_picture_is_shown_to_the_platform_if_it_is_still_there(room: Room) -> None:
    room.album.kept["a" * 64] = b"jpeg"
    assert room.perform(ShowPlatform("20", "a" * 64), ShowPlatform("20", "b" * 64)) == [
        SendPictures("20", (("vehicle", b"jpeg"),))
    ]


def test_an_order_of_the_platform_is_answered_as_it_was_done(room: Room) -> None:
    assert room.perform(AnswerPlatform("OP1", True), AnswerPlatform("OP2", False)) == [
        AnswerDeviceOrder("OP1", True),
        AnswerDeviceOrder("OP2", False),
    ]


def test_a_platform_whose_port_is_gone_holds_nobody_up(room: Room) -> None:
    """Its silence is reported by whoever watches the port; its time limit runs (S9)."""
    room.album.kept["a" * 64] = b"jpeg"
    room.port_is_gone = True
    assert room.perform(ASK, ShowPlatform("20", "a" * 64), AnswerPlatform("OP1", True)) == []
    assert room.answers == []


def test_pictures_are_asked_for_and_not_waited_for(room: Room) -> None:
    wanted = TakePicture(1, "arrival", "豫A12345")
    room.perform(wanted)
    assert (room.album.wanted, room.answers) == ([wanted], [])


# --- what the config makes of it --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, seed=1, vehicles=2, speed=1.0)
    return next((folder / "configs").glob("lane-in*.toml"))


def settings_of(config: Path, change: Callable[[str], str] = lambda text: text) -> object:
    changed = config.with_name("changed.toml")
    changed.write_text(change(config.read_text("utf-8")), "utf-8")
    return lane_settings(read_gate_config(changed), version="1", digest="d", boot_id="b", run="r")


def without_infrared(text: str) -> str:
    lines = text.splitlines()
    begin = next(n for n, line in enumerate(lines) if "scale_infrared" in line)
    end = begin + 1
    if lines[begin].startswith("["):
        end = next((n for n in range(begin + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    return "\n".join([*lines[:begin], *lines[end:]])


def test_a_jump_is_looked_for_only_where_a_beam_tells_that_all_wheels_are_on(written: Path) -> None:
    with_beam, without = settings_of(written), settings_of(written, without_infrared)
    assert [s.jump_kg for s in (with_beam, without)] == [Decimal(200), None]  # type: ignore[attr-defined]


PLATFORM = """
[devices.platform]
protocol = "customs.front_end"
role = "optional"
serial = { url = "socket://127.0.0.1:9" }
settings = { area_id = "4604001ABC", channel_no = "4604001101" }
"""


def test_what_the_platform_calls_this_lane_is_in_the_settings_of_its_device(written: Path) -> None:
    made = settings_of(written, lambda text: text + PLATFORM)
    assert made.platform == PlatformAddress("4604001ABC", "4604001101", "I")  # type: ignore[attr-defined]
    assert settings_of(written).platform is None  # type: ignore[attr-defined]


def test_a_green_light_that_would_go_out_between_two_renewals_is_refused(written: Path) -> None:
    def slow(text: str) -> str:
        return re.sub(r"green_renew_s = .*", "green_renew_s = 60.0", text)

    with pytest.raises(ConfigRefused, match="green_renew_s"):
        settings_of(written, slow)


def test_how_long_the_platform_may_be_waited_for_has_a_limit() -> None:
    """S9: whatever the centre writes."""
    for seconds in (0, -1, 301, 10**9):
        with pytest.raises(ValueError, match="platform_timeout_s"):
            msgspec.structs.replace(SITE, platform_timeout_s=seconds)
    assert msgspec.structs.replace(SITE, platform_timeout_s=300).platform_timeout_s == 300


# --- commands of the centre (S8) --------------------------------------------------------------------------


def commanded(act: Act, *officers: str) -> Command:
    return Command(
        command_id="command-1",
        device="lane-in-1",
        nonce="0" * 32,
        issued=UtcText(NOW),
        valid_s=30,
        officers=officers or ("4604001",),
        reason="checked on camera",
        act=act,
    )


RELEASING = commanded(ManualRelease(passage=1))
ENTERING = commanded(Supplement(passage=1, field="weight", value="20000"))


@pytest.mark.parametrize(
    ("told", "changes", "why"),
    [
        (RELEASING, {}, ""),
        (ENTERING, {"authorisations": ("supplement",)}, ""),
        (ENTERING, {}, "officer 4604001 has no authorisation supplement"),
        (
            RELEASING,
            {"authorisations": ("supplement",)},
            "officer 4604001 has no authorisation manual_release",
        ),
        (RELEASING, {"state": OfficerState.REVOKED}, "officer 4604001 is not active"),
        (RELEASING, {"valid_until": UtcText(NOW)}, "officer 4604001 is not active"),
        (commanded(ManualRelease(passage=1), "4604009"), {}, "officer 4604009 is not on this lane's roster"),
        (
            commanded(ManualRelease(passage=1), "4604001", "4604009"),
            {},
            "officer 4604009 is not on this lane's roster",
        ),
    ],
)
def test_officers_of_a_command_are_checked_like_those_of_a_code(
    room: Room, told: Command, changes: dict[str, Any], why: str
) -> None:
    room.holding(SITE, officer(**{"authorisations": ("manual_release",), **changes}))
    assert room.answer(CheckCommand(told)) == CommandChecked(told, 2, why)


def test_without_a_roster_no_command_lets_anybody_go(room: Room) -> None:
    checked = room.answer(CheckCommand(RELEASING))
    assert checked == CommandChecked(RELEASING, None, "officer 4604001 is not on this lane's roster")


# --- evidence ---------------------------------------------------------------------------------------------


def taken(passage: int, digit: str) -> Commit:
    data = PictureTaken(
        passage=passage, moment="arrival", camera="front", sha256=digit * 64, size_bytes=int(digit, 16)
    )
    return Commit((Told(Stream.ROUTINE, data),))


def ruled(passage: int, verdict: Verdict) -> Commit:
    ruling = Ruling(verdict, (Because(Reason.SLIP_NOT_FOUND),))
    return Commit((Told(Stream.ROUTINE, RulingMade(passage=passage, ruling=ruling, direction="in")),))


def test_a_picture_is_owed_to_the_centre_from_the_commit_of_its_fact_on(room: Room) -> None:
    room.perform(taken(1, "a"), ruled(1, Verdict.RELEASE), taken(1, "b"))
    assert room.journal.owed_blobs(9) == (
        BlobOwed("a" * 64, 10, BlobClass.ROUTINE, 1),
        BlobOwed("b" * 64, 11, BlobClass.ROUTINE, 1),
    )


def test_pictures_of_a_held_inspected_or_alarming_passage_are_evidence_before_and_after_it_is_known(
    room: Room,
) -> None:
    alarming = Commit((Told(Stream.ALARM, Alarm(code=AlarmCode.TAILGATER, passage=4)),))
    nobodys = Commit((Told(Stream.ALARM, Alarm(code=AlarmCode.DEVICE_LOST)),))
    room.perform(
        *(taken(passage, f"{passage}") for passage in range(1, 6)),
        ruled(1, Verdict.RELEASE), ruled(2, Verdict.HOLD), ruled(3, Verdict.INSPECT), alarming, nobodys,
        *(taken(passage, f"{passage + 5:x}") for passage in range(1, 6)),
    )  # fmt: skip
    held: dict[int | None, list[BlobClass]] = {}
    for owed in room.journal.owed_blobs(99):
        held.setdefault(owed.passage, []).append(owed.blob_class)
    assert {passage: set(classes) for passage, classes in held.items()} == {
        1: {BlobClass.ROUTINE}, 2: {BlobClass.HELD}, 3: {BlobClass.HELD}, 4: {BlobClass.HELD},
        5: {BlobClass.ROUTINE},
    }  # fmt: skip
    assert {len(classes) for classes in held.values()} == {2}


def test_a_fact_too_long_to_travel_fails_its_commit_loudly(room: Room) -> None:
    with pytest.raises(EffectFailed, match=r"would take \d+ bytes, at most"):
        room.perform(Commit((Told(Stream.ROUTINE, LaneClosed("很" * 30_000)),)))
    assert room.journal.backlog()[Stream.ROUTINE] == 0
