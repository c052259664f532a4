"""The handheld's root: who holds it, one scan and one verdict, what a kill keeps, what the centre says.

Answers are put in by hand, as the performer would; every event is stepped through the whole app.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import pytest

from edge.handheld import app as machine
from edge.handheld import inspection, lane_help, scanning, signing_in, tracing
from edge.handheld.app import App, Device, Opened, View
from edge.handheld.context import Battery, Language, ScannerSource, Settings, SignedIn, Sync
from edge.handheld.effects import (
    AnswerCommand,
    CheckPin,
    Commit,
    Effect,
    LockVault,
    LookUp,
    Resync,
    SignCode,
    Sound,
    TellStatus,
    Tone,
    UseCamera,
    WakeAfter,
    Wanted,
    WipeDevice,
)
from edge.handheld.events import (
    BatteryChanged,
    CommandGiven,
    Committed,
    EffectFailed,
    Found,
    OfficerFindings,
    ParcelFindings,
    Paused,
    PinChecked,
    ReadGarbled,
    RecordsRead,
    Resumed,
    Scanned,
    SettingsChanged,
    SignInAsked,
    SignOutAsked,
    SiteChanged,
    SyncChanged,
    TimePassed,
    Touched,
    TraceFindings,
    Wiped,
)
from edge.handheld.live import LiveDeclined
from edge.handheld.memory import Memory, read, write
from edge.handheld.scanning import OfferTaken, PutAway, ScanningView
from edge.handheld.signing_in import LockAsked, SigningInView
from edge.handheld.view import GoTo, Page, Sign
from sync.vocabulary.commands import (
    Act,
    AskStatus,
    BoardText,
    Command,
    LiveRequest,
    Outcome,
    RequestAnswered,
    Revoke,
    TakePictures,
    Wipe,
)
from sync.vocabulary.commands import Resync as ResyncAct
from sync.vocabulary.facts import Alarm, CommandTaken, FactData, Stream
from sync.vocabulary.handheld_facts import (
    DeviceLocked,
    HandheldStarted,
    OfficerSignedIn,
    OfficerSignedOut,
    ParcelJudged,
    ReadsGarbled,
    SignInRefused,
    UnknownScanned,
)
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import ControlAction
from sync.vocabulary.rulings import Text
from tests.unit.test_parcel_rules import KNOWN, NUMBER, READ, SITE, SLIP, control, ordered, recalled, waybill

T = TypeVar("T")
DEVICE = Device("handheld-1", key_id="key-1", version="0.1.0")
OFFICER, OTHER = "4604001", "4604002"
MAY = ("inspect", "patrol", "stock_take", "manual_release")
UTC = "2026-11-22T08:00:00.000000Z"


class Held:
    """An app and the hands it is in."""

    def __init__(self, memory: Memory | None = None, problems: tuple[str, ...] = ()) -> None:
        self.app: App = machine.begun(DEVICE)
        self.at_s = 100.0
        self.last: tuple[Effect, ...] = ()
        self.told: list[FactData] = []
        self.memory = b""
        self.put(Opened(memory or Memory(), problems))
        self.put(SiteChanged(SITE))

    def put(self, event: object, after_s: float = 0.5) -> tuple[Effect, ...]:
        self.at_s += after_s
        self.app, self.last = machine.step(self.app, self.at_s, UTC, event)
        for effect in self.of(Commit):
            self.told += [told.data for told in effect.facts]
            self.memory = effect.memory or b""
        return self.last

    def of(self, kind: type[T]) -> list[T]:
        return [effect for effect in self.last if isinstance(effect, kind)]

    def sign_in(self, officer: str = OFFICER, may: Iterable[str] = MAY) -> None:
        self.put(SignInAsked(officer, "493027"))
        (asked,) = self.of(CheckPin)
        self.put(PinChecked(asked.request, "right", tuple(may)))

    def refuse(self, outcome: Any, wait_s: float = 0.0, tries: int = 1) -> None:
        self.put(SignInAsked(OFFICER, "000000"))
        (asked,) = self.of(CheckPin)
        self.put(PinChecked(asked.request, outcome, (), wait_s, tries))

    def scan(
        self, findings: ParcelFindings = KNOWN, records: RecordsRead = READ, after_s: float = 5.0
    ) -> None:
        self.put(Scanned(findings.code, "code128", "camera"), after_s)
        (asked,) = self.of(LookUp)
        self.put(Found(asked.request, findings, records), 0.01)

    def page(self) -> Page:
        return self.view.page

    def holder(self) -> SignedIn | None:
        return self.app.officer

    @property
    def view(self) -> View:
        return machine.view(self.app, self.at_s, UTC)

    @property
    def verdict(self) -> scanning.VerdictShown:
        shown = self.view.shown
        assert isinstance(shown, ScanningView)
        assert shown.verdict is not None
        return shown.verdict

    def facts(self, kind: type[T]) -> list[T]:
        return [data for data in self.told if isinstance(data, kind)]


@pytest.fixture
def held() -> Held:
    made = Held()
    made.sign_in()
    return made


@pytest.mark.parametrize(
    ("handling", "verdict"), [("seized", "hold"), ("sample_sent", "hold"), ("released", "release")]
)
def test_what_was_found_on_this_device_stands_before_the_records_know(
    held: Held, handling: str, verdict: str
) -> None:
    (order,) = ordered().orders
    held.scan(ordered())
    assert held.verdict.sign is Sign.INSPECT
    sent = inspection.state.Outgoing(
        order_no=order.order_no, finding="x", handling=handling, utc=UTC, request=1
    )
    states = {**held.app.states, "inspection": inspection.State(outbox=(sent,))}
    held.app = replace(held.app, states=states)
    held.scan(ordered(), after_s=120.0)
    assert held.verdict.sign == verdict


# --- who holds it -------------------------------------------------------------------------------------------


def test_the_start_is_a_fact_and_nobody_is_in() -> None:
    held = Held()
    assert held.facts(HandheldStarted) == [HandheldStarted("0.1.0", "", "", 0)]
    assert isinstance(held.view.shown, SigningInView)
    assert [door.page for door in held.view.doors if door.is_open] == [Page.SETTINGS, Page.SIGN_IN]


def test_a_right_pin_lets_in_and_is_a_fact_without_the_pin() -> None:
    held = Held()
    held.sign_in()
    assert held.facts(OfficerSignedIn) == [OfficerSignedIn(officer=OFFICER, authorisations=MAY, offline=True)]
    assert held.page() is Page.SCAN
    assert held.view.bar.officer == OFFICER
    assert "493027" not in repr(held.app) + held.memory.decode() + repr(held.told)


@pytest.mark.parametrize("outcome", ["wrong", "unknown", "revoked", "expired", "too_long_offline"])
def test_what_is_not_right_is_a_fact_and_says_why(outcome: Any) -> None:
    held = Held()
    held.refuse(outcome, tries=2)
    assert held.facts(SignInRefused) == [SignInRefused(officer=OFFICER, why=outcome, tries=2)]
    shown = held.view.shown
    assert isinstance(shown, SigningInView)
    assert shown.phase == "nobody"
    assert shown.message is not None


def test_after_too_many_wrong_pins_nobody_tries_before_the_time_is_over() -> None:
    held = Held()
    held.refuse("wait", wait_s=30.0, tries=4)
    assert held.put(SignInAsked(OFFICER, "493027"), 29.0) == ()
    shown = held.view.shown
    assert isinstance(shown, SigningInView)
    assert shown.phase == "waiting"
    held.put(Touched(), 1.0)
    held.sign_in()
    assert held.holder() is not None


def test_an_answer_to_another_question_lets_nobody_in() -> None:
    held = Held()
    held.put(SignInAsked(OFFICER, "493027"))
    (asked,) = held.of(CheckPin)
    held.put(PinChecked(asked.request + 32, "right", MAY))
    assert held.holder() is None


def test_a_pin_that_could_not_be_checked_keeps_nobody_out_for_good() -> None:
    held = Held()
    held.put(SignInAsked(OFFICER, "493027"))
    (asked,) = held.of(CheckPin)
    held.put(EffectFailed(asked, "vault.tries cannot be written (No space left on device)"))
    shown = held.view.shown
    assert isinstance(shown, SigningInView)
    assert (shown.phase, shown.message is None) == ("nobody", False)
    held.sign_in()
    assert held.holder() is not None


def test_it_locks_when_nobody_touches_it_and_a_touch_puts_that_off(held: Held) -> None:
    assert held.app.site is not None
    wait_s = float(held.app.site.auto_lock_s)
    timer = "signing_in:untouched"
    held.put(Touched(), wait_s - 10.0)
    held.put(TimePassed(timer), 10.5)
    (again,) = held.of(WakeAfter)
    assert again.name == timer
    assert again.seconds == pytest.approx(wait_s - 10.5)
    assert held.holder() is not None
    held.put(TimePassed(timer), wait_s)
    assert held.holder() is None
    assert held.facts(DeviceLocked) == [DeviceLocked(officer=OFFICER, why="untouched")]
    assert held.of(LockVault) == [LockVault()]


def test_whoever_signs_in_after_a_lock_stands_where_the_other_stood_and_that_is_a_fact(held: Held) -> None:
    held.put(GoTo(Page.PATROL))
    held.put(LockAsked())
    assert held.page() is Page.SIGN_IN
    held.sign_in(OTHER)
    assert held.page() is Page.PATROL
    assert held.facts(OfficerSignedOut) == [OfficerSignedOut(officer=OFFICER, why="other_officer")]


def test_whoever_comes_in_does_not_stand_in_a_room_that_is_shut_to_them(held: Held) -> None:
    held.put(GoTo(Page.PATROL))
    held.put(LockAsked())
    held.sign_in(OTHER, may=())
    assert held.page() is Page.SCAN


def test_who_signs_out_leaves_no_verdict_on_the_screen(held: Held) -> None:
    held.scan()
    held.put(SignOutAsked())
    assert held.facts(OfficerSignedOut) == [OfficerSignedOut(officer=OFFICER, why="asked")]
    held.sign_in()
    shown = held.view.shown
    assert isinstance(shown, ScanningView)
    assert (shown.verdict, shown.count) == (None, 0)


@pytest.mark.parametrize("standing", ["revoked", "expired", "unknown"])
def test_an_officer_whom_the_records_let_go_is_out_at_the_next_contact(held: Held, standing: Any) -> None:
    held.put(SyncChanged(Sync(online=True, records_number=8)))
    asked = next(each for each in held.of(LookUp) if each.wanted is Wanted.OFFICER)
    held.put(Found(asked.request, OfficerFindings(OFFICER, standing), READ))
    assert held.holder() is None
    assert held.of(LockVault) == [LockVault()]
    assert held.facts(OfficerSignedOut)[-1].why == standing


def test_an_officer_whose_time_on_the_roster_ends_meanwhile_is_out_without_any_contact(held: Held) -> None:
    held.put(Touched(), 299.0)
    held.put(TimePassed("signing_in:untouched"), 1.0)
    (asked,) = held.of(LookUp)
    assert (asked.wanted, asked.text) == (Wanted.OFFICER, OFFICER)
    held.put(Found(asked.request, OfficerFindings(OFFICER, "expired"), READ))
    assert held.holder() is None
    assert held.facts(OfficerSignedOut)[-1].why == "expired"


def test_records_nobody_can_read_put_nobody_out_and_new_authorisations_hold_at_once(held: Held) -> None:
    for number, findings in (
        (8, OfficerFindings(OFFICER, "untold")),
        (9, OfficerFindings(OFFICER, "active", ("patrol",))),
    ):
        held.put(SyncChanged(Sync(records_number=number)))
        asked = next(each for each in held.of(LookUp) if each.wanted is Wanted.OFFICER)
        held.put(Found(asked.request, findings, READ))
    assert held.app.officer is not None
    assert held.app.officer.authorisations == ("patrol",)
    assert held.put(GoTo(Page.INSPECTION)) == (Sound(Tone.ERROR),)


def test_a_number_that_was_given_to_somebody_else_meanwhile_puts_the_old_holder_out() -> None:
    held = Held()
    held.put(SignInAsked(OFFICER, "493027"))
    (asked,) = held.of(CheckPin)
    held.put(PinChecked(asked.request, "right", MAY, public_key="old"))
    held.put(SyncChanged(Sync(online=True, records_number=8)))
    asked_of = next(each for each in held.of(LookUp) if each.wanted is Wanted.OFFICER)
    held.put(Found(asked_of.request, OfficerFindings(OFFICER, "active", MAY, "new"), READ))
    assert (held.holder(), held.facts(OfficerSignedOut)[-1].why) == (None, "revoked")


def aged(hours: float | None, at_s: float) -> SyncChanged:
    age_s = None if hours is None else hours * 3_600.0
    return SyncChanged(Sync(records_epoch="e1", records_number=7, records_age_s=age_s, told_s=at_s))


@pytest.mark.parametrize("event", [Touched(), TimePassed("signing_in:untouched"), Scanned("YT1")])
def test_the_limit_of_offline_work_locks_who_is_in_and_keeps_the_drafts(held: Held, event: object) -> None:
    held.put(aged(71.99, held.at_s))
    held.put(event, 30.0)
    assert held.holder() is not None
    page = held.page()
    held.put(event, 30.0)
    assert (held.holder(), held.of(LockVault)) == (None, [LockVault()])
    assert held.facts(DeviceLocked) == [DeviceLocked(officer=OFFICER, why="too_long_offline")]
    shown = held.view.shown
    assert isinstance(shown, SigningInView)
    assert (shown.phase, shown.message) == (
        "locked", Text("离线过久，联网后登录", "Offline for too long, sign in with a network"),
    )  # fmt: skip
    held.put(aged(0.1, held.at_s))
    held.sign_in()
    assert held.page() is page


def test_s10_an_age_that_is_unknown_is_too_long_and_before_the_first_word_nothing_is_known(
    held: Held,
) -> None:
    held.put(Touched())
    assert held.holder() is not None
    held.put(aged(None, held.at_s))
    assert held.holder() is None


def test_nothing_but_signing_in_is_heard_while_nobody_is_in() -> None:
    held = Held()
    for event in (
        Scanned("YT1"),
        ReadGarbled("camera", "cut"),
        PutAway(),
        lane_help.LaneChosen("lane-1"),
        tracing.TraceAsked("T1"),
    ):
        assert held.put(event) == ()
    assert held.put(GoTo(Page.SCAN)) == (Sound(Tone.ERROR),)


# --- one scan, one verdict ----------------------------------------------------------------------------------


def test_a_scan_is_looked_up_shown_sounded_and_then_written_down(held: Held) -> None:
    held.put(Scanned(NUMBER, "code128", "camera"))
    (asked,) = held.of(LookUp)
    assert (asked.wanted, asked.text) == (Wanted.PARCEL, NUMBER)
    held.put(Found(asked.request, KNOWN, READ))
    assert [type(effect) for effect in held.last] == [Sound, Commit]
    assert held.of(Sound) == [Sound(Tone.RELEASE)]
    assert held.verdict.sign is Sign.RELEASE
    (judged,) = held.facts(ParcelJudged)
    assert (judged.waybill_no, judged.verdict, judged.reasons) == (NUMBER, "release", ("released",))
    assert (judged.slip, judged.officer, judged.source) == (SLIP, OFFICER, "camera")
    assert (judged.records_scope, judged.records_epoch, judged.records_number) == ("zz", "e1", 7)
    assert judged.records_age_s == 60.0


def test_s7_a_garbled_read_is_heard_and_counted_and_never_looked_up(held: Held) -> None:
    held.scan()
    held.put(ReadGarbled("camera", "cut off"))
    assert held.of(Sound) == [Sound(Tone.ERROR)]
    assert held.of(LookUp) == []
    shown = held.view.shown
    assert isinstance(shown, ScanningView)
    assert shown.garbled is not None
    assert shown.verdict is None
    held.put(ReadGarbled("camera", "checksum"))
    held.put(TimePassed("scanning:garbled"))
    assert held.facts(ReadsGarbled) == [ReadsGarbled(source="camera", count=2, why="checksum")]


def test_a_late_answer_is_not_another_scans_verdict(held: Held) -> None:
    held.put(Scanned("YT0000000000009"))
    (old,) = held.of(LookUp)
    held.put(Scanned(NUMBER))
    assert held.put(Found(old.request, replace(KNOWN, code="YT0000000000009"), READ)) == ()


def test_a_label_that_stays_in_view_is_one_scan_and_one_that_comes_again_is_told_so(held: Held) -> None:
    held.scan()
    assert held.put(Scanned(NUMBER, "code128", "camera"), 1.0) == ()
    held.scan(after_s=5.0)
    assert held.of(Sound) == [Sound(Tone.DUPLICATE)]
    assert held.of(Commit) == []
    assert held.verdict.again is not None
    shown = held.view.shown
    assert isinstance(shown, ScanningView)
    assert shown.count == 1
    held.scan(after_s=31.0)
    assert held.of(Sound) == [Sound(Tone.RELEASE)]
    assert len(held.facts(ParcelJudged)) == 2


def test_a_verdict_that_changed_meanwhile_is_no_repetition(held: Held) -> None:
    held.scan()
    held.scan(replace(KNOWN, waybills=(waybill(state="cancelled"),)))
    assert held.of(Sound) == [Sound(Tone.HOLD)]
    assert [each.verdict for each in held.facts(ParcelJudged)] == ["release", "hold"]
    assert held.verdict.again is None


def test_a_number_nobody_knows_is_a_fact_with_what_can_be_said_of_it(held: Held) -> None:
    unknown = ParcelFindings(code="SF1234567890129", nearest=("SF1234567890123",))
    held.scan(unknown)
    (fact,) = held.facts(UnknownScanned)
    assert (fact.text, fact.nearest, fact.kind) == (
        "SF1234567890129",
        ("SF1234567890123",),
        "wrong_check_digit",
    )
    assert held.verdict.sign is Sign.UNKNOWN
    assert held.verdict.unknown is not None
    assert held.verdict.unknown.nearest == ("SF1234567890123",)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("YT0000000000001", "yto"),
        ("RB123456785GB", "ems"),
        ("RB123456784GB", "wrong_check_digit"),
        ("ABCDEF123", "waybill"),
        ("http://x", "no_waybill"),
    ],
)
def test_what_a_number_looks_like(text: str, kind: str) -> None:
    assert scanning.kind_of(text) == kind


def test_a_recall_is_an_alarm_wherever_it_is_scanned(held: Held) -> None:
    held.scan(recalled(waybill_nos=(NUMBER,)))
    assert [each.code.value for each in held.facts(Alarm)] == ["recall_hit"]
    held.put(GoTo(Page.TRACE))
    held.put(Scanned(NUMBER))
    (asked,) = held.of(LookUp)
    held.put(Found(asked.request, TraceFindings(recalled(waybill_nos=(NUMBER,))), READ))
    shown = held.view.shown
    assert isinstance(shown, tracing.TracingView)
    assert shown.sign is Sign.HOLD


def test_g8_a_verdict_that_could_not_be_written_down_is_held(held: Held) -> None:
    held.scan()
    (commit,) = held.of(Commit)
    held.put(EffectFailed(commit, "disk full"))
    assert held.verdict.sign is Sign.HOLD
    assert held.verdict.why[0].en == "This device cannot record: storage fault"
    assert held.of(Commit) == []
    (again,) = held.of(WakeAfter)
    assert [notice.stays for notice in held.view.bar.notices] == [True]
    held.put(TimePassed(again.name))
    (retried,) = held.of(Commit)
    held.put(Committed(retried.request, 9))
    assert held.view.bar.notices == ()


def test_g8_what_could_not_be_written_down_is_no_repetition_when_it_is_scanned_again(held: Held) -> None:
    held.scan()
    (commit,) = held.of(Commit)
    held.put(EffectFailed(commit, "disk full"))
    held.scan()
    (commit,) = held.of(Commit)
    assert [type(told.data) for told in commit.facts] == [ParcelJudged]
    assert (held.verdict.again, held.view.shown.count) == (None, 1)  # type: ignore[union-attr]
    held.put(EffectFailed(commit, "disk full"))
    assert held.verdict.sign is Sign.HOLD


def test_two_reasons_with_the_same_advice_say_it_once(held: Held) -> None:
    twice = tuple(
        msgspec.structs.replace(control(ControlAction.INSPECT), control_id=name) for name in ("c1", "c2")
    )
    held.scan(replace(KNOWN, controls=twice))
    assert [each.en for each in held.verdict.to_do] == ["Open and inspect as the control asks"]
    assert len(held.verdict.why) == 2


@pytest.mark.parametrize("page", [Page.SCAN, Page.BATCH])
def test_a_slip_that_is_scanned_opens_the_check_of_its_load(held: Held, page: Page) -> None:
    held.put(GoTo(page))
    held.put(Scanned(SLIP))
    (asked,) = held.of(LookUp)
    assert (asked.wanted, asked.text) == (Wanted.SLIP, SLIP)
    assert held.page() is Page.BATCH


def test_the_settings_lead_back_to_signing_in_while_nobody_is_in() -> None:
    held = Held()
    held.put(GoTo(Page.SETTINGS))
    assert held.view.shown.is_signed_in is False  # type: ignore[union-attr]
    held.put(GoTo(Page.SIGN_IN))
    assert held.page() is Page.SIGN_IN


def test_whoever_comes_to_the_patrol_page_finds_the_routes_there_are(held: Held) -> None:
    held.put(GoTo(Page.PATROL))
    assert [asked.wanted for asked in held.of(LookUp)] == [Wanted.ROUTES]
    held.put(GoTo(Page.PATROL))
    assert held.of(LookUp) == []


@pytest.mark.parametrize("may", ["manual_release", "supplement"])
def test_help_at_a_lane_is_open_to_whoever_may_do_some_of_it(may: str) -> None:
    held = Held()
    held.sign_in(may=(may,))
    held.put(GoTo(Page.LANE_HELP))
    assert held.page() is Page.LANE_HELP


def test_help_at_a_lane_is_shut_to_whoever_may_do_nothing_of_it() -> None:
    held = Held()
    held.sign_in(may=("inspect",))
    held.put(GoTo(Page.LANE_HELP))
    assert held.page() is not Page.LANE_HELP


def test_a_scan_where_nothing_reads_codes_goes_to_the_scan_page(held: Held) -> None:
    held.put(GoTo(Page.SETTINGS))
    held.put(Scanned(NUMBER))
    assert held.page() is Page.SCAN
    assert len(held.of(LookUp)) == 1


def test_the_trace_of_a_verdict_is_one_touch_away(held: Held) -> None:
    held.scan()
    held.put(OfferTaken("trace", "T1"))
    assert held.page() is Page.TRACE
    assert [(each.wanted, each.text) for each in held.of(LookUp)] == [(Wanted.TRACE, "T1")]


def test_frames_are_read_only_while_somebody_aims() -> None:
    held = Held()
    held.sign_in()
    assert held.of(UseCamera) == [UseCamera(on=True)]
    for event, on in (
        (GoTo(Page.SETTINGS), False),
        (GoTo(Page.SCAN), True),
        (Paused(), False),
        (Resumed(), True),
        (LockAsked(), False),
    ):
        held.put(event)
        assert held.of(UseCamera) == [UseCamera(on)]


# --- what a kill keeps --------------------------------------------------------------------------------------


def test_a_change_of_a_draft_is_committed_by_itself_and_read_back(held: Held) -> None:
    held.put(GoTo(Page.LANE_HELP))
    held.put(lane_help.ReasonGiven("scale fault"))
    assert [commit.facts for commit in held.of(Commit)] == [()]
    memory, problems = read(held.memory)
    assert problems == ()
    again = Held(memory)
    again.sign_in()
    assert again.page() is Page.LANE_HELP
    shown = again.view.shown
    assert isinstance(shown, lane_help.LaneHelpView)
    assert shown.reason == "scale fault"


def test_what_changes_no_draft_is_not_committed(held: Held) -> None:
    held.put(Touched())
    held.put(BatteryChanged(Battery(per_cent=40)))
    assert held.last == ()
    assert held.view.bar.battery_per_cent == 40


def test_settings_hold_over_a_restart_and_take_effect_at_once(held: Held) -> None:
    wanted = Settings(language=Language.EN, gloves=True)
    held.put(SettingsChanged(wanted))
    assert held.view.settings == wanted
    assert Held(read(held.memory)[0]).view.settings == wanted


def test_nobody_is_signed_in_after_a_restart_and_it_is_known_who_was(held: Held) -> None:
    again = Held(read(held.memory)[0])
    shown = again.view.shown
    assert isinstance(shown, SigningInView)
    assert (shown.phase, shown.officer_no) == ("locked", OFFICER)


def test_a_room_that_cannot_be_read_back_costs_nobody_elses_draft(held: Held) -> None:
    held.put(SettingsChanged(Settings(language=Language.EN)))
    parts = msgspec.json.decode(held.memory)
    parts["patrol"] = {"walk": 7}
    memory, problems = read(msgspec.json.encode(parts))
    assert [problem.split(":")[0] for problem in problems] == ["patrol"]
    again = Held(memory, problems)
    assert again.view.settings.language is Language.EN
    assert [each.code.value for each in again.facts(Alarm)] == ["input_refused"]


def test_an_unreadable_memory_is_told_and_nothing_stops() -> None:
    memory, problems = read(b"\xff{")
    assert memory == Memory()
    assert Held(memory, problems).facts(Alarm) != []
    assert read(write(Memory())) == (Memory(), ())


def test_before_the_stores_are_open_facts_wait_and_no_memory_is_written() -> None:
    app = machine.begun(DEVICE)
    app, effects = machine.step(app, 1.0, UTC, SignInAsked(OFFICER, "000000"))
    (asked,) = (effect for effect in effects if isinstance(effect, CheckPin))
    app, effects = machine.step(app, 1.1, UTC, PinChecked(asked.request, "wrong", (), 0.0, 1))
    (commit,) = (effect for effect in effects if isinstance(effect, Commit))
    assert commit.memory is None
    assert len(commit.facts) == 1


def test_requests_and_timers_come_back_to_the_room_that_asked(held: Held) -> None:
    """Two rooms may count alike: an answer to one is none to the other."""
    held.put(GoTo(Page.LANE_HELP))
    held.put(lane_help.LaneChosen("lane-1"))
    held.put(lane_help.PassageGiven("12"))
    held.put(lane_help.ReasonGiven("scale fault"))
    held.put(lane_help.CodeAsked())
    (sign,) = held.of(SignCode)
    held.put(Scanned(NUMBER))
    (look,) = held.of(LookUp)
    assert sign.request != look.request
    assert held.put(Found(sign.request, KNOWN, READ)) == ()


# --- what the centre tells it -------------------------------------------------------------------------------


def command(act: Act, number: str = "c-0000001") -> CommandGiven:
    return CommandGiven(
        Command(
            command_id=number,
            device="handheld-1",
            nonce="0" * 32,
            issued=UtcText("2026-11-22T08:00:00Z"),
            valid_s=60,
            officers=("leader-1",),
            reason="lost",
            act=act,
        )
    )


def answers(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    return [(each.outcome, each.why) for each in effects if isinstance(each, AnswerCommand)]


@pytest.mark.parametrize(("act", "deed"), [(ResyncAct(), Resync()), (AskStatus(), TellStatus())])
def test_what_needs_no_officer_is_done_and_answered_after_its_fact(
    held: Held, act: Act, deed: Effect
) -> None:
    held.put(command(act))
    assert [type(effect) for effect in held.last] == [Commit, AnswerCommand, type(deed)]
    assert answers(held.last) == [("done", "")]
    assert held.put(command(act)) == (AnswerCommand("c-0000001", "done", ""),)


@pytest.mark.parametrize("act", [BoardText(preset=1), TakePictures(passage=1)])
def test_what_is_for_a_lane_is_refused(held: Held, act: Act) -> None:
    held.put(command(act))
    assert answers(held.last) == [("refused", "this is a handheld: it has no lane")]


def test_a_revoked_device_lets_nobody_in_also_after_a_restart_until_it_has_another_key(held: Held) -> None:
    held.put(command(Revoke()))
    assert answers(held.last) == [("done", "")]
    assert LockVault() in held.last
    assert held.holder() is None
    assert [each.code.value for each in held.facts(Alarm)] == ["closed_by_centre"]
    again = Held(read(held.memory)[0])
    again.put(SignInAsked(OFFICER, "493027"))
    assert again.of(CheckPin) == []
    shown = again.view.shown
    assert isinstance(shown, SigningInView)
    assert shown.phase == "stopped"
    new = machine.begun(replace(DEVICE, key_id="key-2"))
    new, _ = machine.step(new, 1.0, UTC, Opened(read(held.memory)[0]))
    _, effects = machine.step(new, 2.0, UTC, SignInAsked(OFFICER, "493027"))
    assert [type(effect) for effect in effects] == [CheckPin]


def test_a_wipe_is_accepted_begun_and_answered_when_it_is_over(held: Held) -> None:
    held.put(command(Wipe(force=True)))
    assert held.of(WipeDevice) == [WipeDevice("c-0000001", force=True)]
    assert answers(held.last) == [("accepted", "")]
    held.put(command(Wipe(force=True)))
    assert held.of(WipeDevice) == [WipeDevice("c-0000001", force=True)]
    held.put(Wiped("c-0000001", ""))
    assert answers(held.last) == [("done", "")]
    outcomes = [each.outcome for each in held.facts(CommandTaken)]
    assert outcomes == [Outcome.ACCEPTED.value, Outcome.DONE.value]


def test_an_answer_nobody_asked_for_changes_nothing_and_is_answered(held: Held) -> None:
    held.put(command(RequestAnswered(code_sha256="0" * 64, outcome="done")))
    assert len(answers(held.last)) == 1


def test_a_request_for_live_pictures_stands_on_every_page_until_it_is_answered(held: Held) -> None:
    def stands() -> list[tuple[str, bool, Page | None]]:
        return [(notice.text.en, notice.stays, notice.leads_to) for notice in held.view.bar.notices]

    held.put(GoTo(Page.TRACE))
    assert stands() == []
    held.put(command(LiveRequest()))
    told = "The centre asks for a live picture: touch here to answer"
    assert stands() == [(told, True, Page.LIVE)]
    held.put(GoTo(Page.LIVE))
    assert stands() == []
    held.put(GoTo(Page.TRACE))
    held.put(LiveDeclined())
    assert stands() == []


def test_wrong_pins_that_slow_down_are_alarms() -> None:
    held = Held()
    held.put(SignInAsked(OFFICER, "000000"))
    (asked,) = held.of(CheckPin)
    held.put(PinChecked(asked.request, "wait", (), 30.0, 4))
    (commit,) = held.of(Commit)
    assert [told.stream for told in commit.facts] == [Stream.ALARM]


def test_the_second_officers_words_belong_to_nobody_who_did_not_ask(held: Held) -> None:
    assert held.put(signing_in.SecondOfficerSigned(OTHER, "820461")) == ()


# --- what the camera cannot read ----------------------------------------------------------------------------


def hint(held: Held) -> str:
    shown = machine.view(held.app, held.at_s, UTC).shown
    assert isinstance(shown, ScanningView)
    return shown.hint.en


def test_a_device_without_a_decoder_says_so_where_the_camera_is_aimed_and_nowhere_else() -> None:
    lacks = Text("缺少 zxing-cpp", "zxing-cpp is missing")
    held = Held()
    held.sign_in()
    held.put(GoTo(Page.SCAN))
    assert "missing" not in hint(held)
    held.app = replace(held.app, device=replace(DEVICE, lacks=lacks))
    assert hint(held) == lacks.en
    held.put(SettingsChanged(msgspec.structs.replace(held.app.settings, source=ScannerSource.SERIAL)))
    assert "missing" not in hint(held)
