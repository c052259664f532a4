"""Stand-ins: of the same shape, one for one, always the same; and of every text it is said whose it is."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gate.effects import Memory
from edge.gate.events import (
    CardRead,
    CodeRead,
    ContainerRead,
    Event,
    Inputs,
    InputsRead,
    OfficerReleased,
    OfficerReset,
    ParcelCodeRead,
    PlateRead,
    ReadFailed,
    ReleaseCodeShown,
    ReleaseRefused,
    SyncSaid,
    TagRead,
    WeightRead,
)
from edge.gate.scrubbing import _FIELDS, Scrubber, Substitutes, container, other, plate, slip, tag
from edge.runtime.plain import fields_of, hints_of
from sync.vocabulary.facts import Alarm, AlarmCode, Stream
from sync.vocabulary.numbers import (
    ContainerNo,
    EnterpriseCode,
    Epc,
    NumberText,
    Plate,
    SlipNo,
    WaybillNo,
)
from sync.vocabulary.release_codes import PREFIX
from sync.vocabulary.uses import SlipUse
from sync.vocabulary.xray_facts import ParcelSeen, ParcelXRayed, PictureTold, RegionTold

KEY = bytes(range(32))


def numbers(kind: type[NumberText]) -> st.SearchStrategy[str]:
    if kind is ContainerNo:
        whole = st.from_regex(re.compile("[A-Z]{3}[UJZ][0-9]{6}"), fullmatch=True)
        return whole.map(lambda ten: next(t for d in "0123456789" if kind.parse(t := ten + d) is not None))
    return st.from_regex(kind.pattern, fullmatch=True).filter(lambda text: kind.parse(text) is not None)


SHAPES: list[tuple[type[NumberText], Callable[[Substitutes, str], str]]] = [
    (Plate, plate), (Epc, tag), (SlipNo, slip), (ContainerNo, container), (WaybillNo, other),
    (EnterpriseCode, other),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "make"), SHAPES, ids=lambda each: getattr(each, "__name__", str(each)))
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stand_in_has_the_same_shape_and_is_the_same_every_time(
    kind: type[NumberText], make: Callable[[Substitutes, str], str], data: st.DataObject
) -> None:
    text = data.draw(numbers(kind))
    made = make(Substitutes(KEY), text)
    parsed = kind.parse(made)
    assert parsed is not None
    assert len(made) == len(text)
    assert make(Substitutes(KEY), text) == made
    if isinstance(parsed, Plate):
        assert parsed.kind is Plate(text).kind


@pytest.mark.parametrize(("kind", "make"), SHAPES, ids=lambda each: getattr(each, "__name__", str(each)))
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_two_numbers_never_become_one(
    kind: type[NumberText], make: Callable[[Substitutes, str], str], data: st.DataObject
) -> None:
    texts = data.draw(st.sets(numbers(kind), min_size=2, max_size=20))
    subs = Substitutes(KEY)
    assert len({make(subs, text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("alphabets", "size"), [(("0123456789",) * 2, 100), (("ABC", "01"), 6), (("01",) * 5, 32)]
)
def test_a_whole_shape_is_permuted(alphabets: tuple[str, ...], size: int) -> None:
    texts = [""]
    for alphabet in alphabets:
        texts = [text + char for text in texts for char in alphabet]
    made = {Substitutes(KEY).of("x", text, alphabets) for text in texts}
    assert made == set(texts)
    assert len(made) == size
    assert [text for text in texts if Substitutes(KEY).of("x", text, alphabets) == text] != texts


def test_neighbours_do_not_stay_neighbours() -> None:
    """A stand-in tells nothing of its number: not even that two were printed one after the other."""
    made = [slip(Substitutes(KEY), f"Z3111I240728{n:012d}") for n in range(200)]
    steps = {int(b[12:]) - int(a[12:]) for a, b in pairwise(made)}
    assert len(steps) == 199
    assert 60 < sum(later > earlier for earlier, later in pairwise(made)) < 140
    assert sum(a[-3:] == f"{n:03d}" for n, a in enumerate(made)) < 10


def test_without_the_key_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Substitutes(b"short")
    assert plate(Substitutes(KEY), "豫A12345") != plate(Substitutes(bytes(32)), "豫A12345")


def test_what_the_lane_needs_of_a_number_stays() -> None:
    made = SlipNo(slip(Substitutes(KEY), "Z3111E240728T00000000003"))
    assert (made[:12], made.two_step, made.direction_letter) == ("Z3111E240728", True, "E")
    assert container(Substitutes(KEY), "CSQU3054383")[3] == "U"


def alarm(detail: str) -> SyncSaid:
    return SyncSaid(Stream.ALARM, Alarm(code=AlarmCode.DOUBLE_USE, detail=detail))


# --- events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        PlateRead(Plate("豫A12345"), 0.9), TagRead(Epc("E2004074850A0103163070E1")),
        CodeRead(SlipNo("Z3111I240728000000000003")), ContainerRead(ContainerNo("CSQU3054383"), "front"),
        CardRead("0007654321"), ParcelCodeRead(WaybillNo("SF1234567890123")),
    ],
)  # fmt: skip
def test_an_event_stays_what_it_is_with_another_number_in_it(event: Event) -> None:
    made = Scrubber(KEY)(event)
    assert type(made) is type(event)
    assert made != event
    assert Scrubber(KEY)(event) == made


@pytest.mark.parametrize(
    "event", [InputsRead(Inputs(arrival=True)), WeightRead(Decimal(20000), None), OfficerReset("key switch")]
)
def test_what_names_nobody_is_left_as_it_is(event: Event) -> None:
    assert Scrubber(KEY)(event) == event


@pytest.mark.parametrize(
    ("event", "hidden"),
    [
        (ReadFailed("plate_camera", "not a plate: 豫A1234"), ("豫A", "1234")),
        (ReadFailed("rfid", "bad checksum: E2 00 40 74 85"), ("E2", "40")),
        (ReadFailed("scanner", "nothing read"), ()),
        (ReleaseRefused(3, "officer 410133 is not active"), ("410133",)),
        (ReleaseRefused(3, "the signature is not officer 410133's"), ("410133",)),
        (OfficerReleased(3, "410133", "王师傅 known to us"), ("410133", "王", "known")),
        (OfficerReset("410133"), ("410133",)),
        (ReleaseCodeShown(f"{PREFIX}eyJvZmZpY2VyIjoiNDEwMTMzIn0.c2ln"), ("eyJ", "c2ln")),
        (
            SyncSaid(
                Stream.ALARM,
                Alarm(code=AlarmCode.DOUBLE_USE, detail="豫A12345 Z3111I240728000000000003 twice"),
            ),
            ("豫A12345", "000000000003"),
        ),
    ],
)
def test_text_loses_who_it_names(event: Event, hidden: tuple[str, ...]) -> None:
    said = repr(Scrubber(KEY)(event))
    assert [each for each in hidden if each in said] == []


def test_a_number_in_text_is_the_same_stand_in_as_the_number_itself() -> None:
    scrub = Scrubber(KEY)
    read = scrub(PlateRead(Plate("豫A12345")))
    said = scrub(alarm("豫A12345, Z3111I240728000000000003"))
    code = scrub(CodeRead(SlipNo("Z3111I240728000000000003")))
    assert said.data.detail == f"{read.plate}, {code.slip_no}"


def test_the_memory_of_a_lane_is_scrubbed_like_its_events() -> None:
    scrub = Scrubber(KEY)
    memory = Memory(
        next_passage=4,
        phase="Raising",
        plates=("豫A12345",),
        tags=("202600000000000000000001",),
        uses=(SlipUse("lane-1-r1-3-u0", SlipNo("Z3111I240728000000000003"), 3, "c1", "reserved"),),  # type: ignore[arg-type]
    )
    made = scrub(memory)
    assert made.plates == (scrub(PlateRead(Plate("豫A12345"))).plate,)
    assert made.tags == (scrub(TagRead(Epc("202600000000000000000001"))).epc,)
    assert made.uses[0].slip_no == scrub(CodeRead(SlipNo("Z3111I240728000000000003"))).slip_no
    assert (made.uses[0].use_id, made.phase, made.next_passage) == ("lane-1-r1-3-u0", "Raising", 4)


def test_what_an_x_ray_station_tells_names_nobody_and_still_joins() -> None:
    """A hot folder's picture may be called by its waybill; a late second code is one."""
    scrub = Scrubber(KEY)
    told = scrub(
        ParcelXRayed(
            parcel=7, waybill_no="YT1910099127295", picture="YT1910099127295@81", verdict="recheck",
            by="officer", officer="ZZ2026", second_of="ZZ2027", note="王师傅的包裹", preview="/9j/4AAQ",
            reasons=("two_codes: YT3684037193395", "score_high: 4.2"),
            regions=(RegionTold(0, 0, 1, 1, note="李"),),
        )
    )  # fmt: skip
    both = ("YT1910099127295", "YT3684037193395")
    seen = scrub(ParcelSeen(parcel=7, leading_mm=1.0, waybill_no=both[0], texts=both))
    drawn = scrub(PictureTold(picture="YT1910099127295@81", association="matched"))
    hidden = ("1910099127295", "3684037193395", "ZZ2026", "ZZ2027", "王", "李", "4AAQ")
    assert [each for each in hidden if each in repr((told, seen, drawn))] == []
    assert (told.waybill_no, told.picture) == (seen.waybill_no, drawn.picture)
    assert told.reasons == (f"two_codes: {seen.texts[1]}", "score_high: 4.2")
    assert told.preview == ""


# --- every field has been thought about ---------------------------------------------------------------------

NOBODYS = """
Alarm: zh en
ArmRaised: order_id
BatchClosed: batch_id
Because: detail
BeltChanged: detail state
ClaimAnswered: claim_id why
CodeJudged: kid sha256 why
Command: command_id device nonce
CommandTaken: command_id kind outcome
ContainerRead: place
Control: control_id
CountedLine: counted declared no unit
DeskChanged: desk why
DeviceBack: device role
DeviceLocked: why
DeviceLost: device role why
DeviceSpoke: device
DeviceWentSilent: device why
DivertOrdered: chute
DraftDropped: held what
EpochBegan: why old_epoch old_heads
EvidenceTaken: kind of order_no sha256 taken
FeedChanged: reasons
FindingMade: order_no finding handling sample_no
Findings: day local_time scope epoch
HandheldStarted: boot_id config_digest version
InspectionBegun: order_no
InspectionMade: order_no method pictures marked seal_no voice_notes
JudgementUndone: desk
LaboratoryResult: handling order_no report_no sample_no
LaneClosed: why
LaneStarted: version config_digest boot_id
LiveAnswered: answer session why
LiveBegan: by session
LiveEnded: session why
LiveRecorded: session
MeasuredValue: unit value what
Memory: phase order_id claim_id purpose shut_why revoked_key commands
MessageRefused: topic why
OfficerSignedIn: authorisations
OfficerSignedOut: why
OrderCarriedOut: order_id
OrderFailed: order_id why
OrderInterrupted: order_id why
OrderTaken: order_no
ParcelChecked: slip result
ParcelGone: after
ParcelJudged: batch_id control_versions order_nos reasons recall_nos records_epoch records_scope source
ParcelJudged: symbology verdict
ParcelSeen: entered read
ParcelSorted: ordered seen verdict
ParcelXRayed: association by calibration category compared_on control_versions desk
ParcelXRayed: recall_nos records_epoch verdict
PassageClosed: outcome stage_s
PatrolBegun: patrol_id route_no
PatrolEnded: patrol_id route_no
PictureFailed: moment camera why
PictureKept: moment camera sha256
PictureMissed: moment camera why
PictureSaved: category entry hs_code kind
PictureSpoiled: why
PictureTaken: moment camera sha256
PictureTold: acquisition association why
PicturesShed: first_day last_day
PlatformAnswered: seq_no check_result why
PlatformAsked: seq_no
PlatformOrderSeen: order_no command why
PlatformOrdered: area_id channel_no direction command order_no
PlatformRuled: area_id channel_no direction seq_no check_result
PointMissed: code patrol_id route_no
PointRemarked: code patrol_id route_no
PointSeen: code patrol_id route_no
RaiseOrdered: order_id purpose
ReadFailed: device
ReadingKept: kind value detail
ReadsGarbled: source why
Recall: recall_no
RecordsMoved: scope epoch why
RecordsRepaired: scope epoch
RegionTold: category
ReleaseCodeMade: action field lane sha256 value
ReleaseSlip: related_type customs_code control quarantine
RequestAnswered: code_sha256
RestDue: desk why
RulingMade: direction plate slips gross_kg expected_kg records_scope records_epoch control_versions would_be
RulingMade: owner ways platform claim claim_id use_ids stage_s texts_zh texts_en
SampleSent: laboratory order_no quantity sample_no tests unit
ScaleFault: code detail
ScanUndone: batch_id
ShareTold: material
SignInRefused: why
Site: site name_zh name_en zone customs_codes
SiteLane: lane name_zh name_en
SlipCodeShown: slip_no kid sha256 issued standing why
SlipParcelsChecked: batch_id records_epoch
SlipShown: kid sha256
SlipUse: use_id claim_id
SpotCheck: day
StationStarted: boot_id config_digest version
StockCounted: booked counted location records_epoch row_no take_id unit
StockTakeClosed: location take_id
Supplement: value
SupplementEntered: field value
SupplementGiven: field value
SuspectTold: code en zh
Timer: name
UnknownScanned: batch_id kind records_epoch source symbology
UsesReturned: use_ids claim_id why
Vehicle: plate_colour
VehicleCrossed: order_id use_ids claim_id
Waybill: three_documents direction state control quarantine regime
WedgeJudged: calibration why
Wiped: why
WriteFailed: why
XRayEvidenceKept: keep_class manifest_sha256
XRayEvidenceShed: first_day keep_class last_day
XRayFileKept: name sha256
"""
"""Text of no person: words of ours, numbers of ours, what a machine or the centre says. It is still searched
for plates, tags, slips and containers. A text field that is neither here nor in `edge/gate/scrubbing.py` has
not been thought about: does it hold somebody's number, name or words?"""


def text_fields() -> set[str]:
    found: set[str] = set()
    seen: set[object] = set()

    def holds_text(hint: object) -> bool:
        return hint is str or (
            typing.get_origin(hint) is not typing.Literal
            and any(holds_text(a) for a in typing.get_args(hint))
        )

    def walk(hint: object) -> None:
        for inner in typing.get_args(hint):
            walk(inner)
        if isinstance(hint, type) and fields_of(hint) is not None and hint not in seen:
            seen.add(hint)
            for name, each in hints_of(hint).items():
                if holds_text(each):
                    found.add(f"{hint.__name__}.{name}")
                walk(each)

    walk(Event)
    walk(Memory)
    return found


def test_of_every_text_a_lane_is_told_it_is_said_whose_it_is() -> None:
    rows = [row.partition(": ") for row in NOBODYS.strip().splitlines()]
    nobodys = {f"{kind}.{name}" for kind, _, names in rows for name in names.split()}
    assert nobodys & _FIELDS.keys() == set()
    assert text_fields() - nobodys - _FIELDS.keys() == set()
    assert (nobodys | _FIELDS.keys()) - text_fields() == set()
