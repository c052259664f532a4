"""Handheld and hub over a line of virtual time: the pure session against the pure desk, bytes and all."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.handheld.live import session as live
from edge.handheld.live.consent import LiveFlow
from edge.handheld.live.pacing import Shot
from edge.handheld.live.session import LiveSession, SessionConfig
from sync.hub.live import GAP_S, Close, LiveDesk, LiveLimits, Note, Order, Write
from sync.hub.terms import HubAlarm, Refused
from sync.link import live_wire as wire
from sync.link.keys import KeySigner, make_private
from sync.link.live_wire import Codec, Decoder, encode
from sync.link.messages import Context, Signed
from sync.vocabulary.codec import to_json

DEVICE, OFFICER, WATCHER = "hand-1", "4604001", "4604009"
DEVICE_KEY, HUB_KEY, OTHER_KEY = make_private(), make_private(), make_private()
STEP_S = 0.005
SHOW, WATCH, ROGUE = 1, 2, 3


def _jpeg(shot: Shot) -> bytes:
    """As long as a picture of the kind would be."""
    size = int(shot.weight * 0.09)
    return b"\xff\xd8\xff" + bytes(size - 5) + b"\xff\xd9"


@dataclass
class Line:
    """Bytes one way: a queue, a rate, a delay. 0 bits a second: stalled."""

    bits_a_s: float = 20e6
    delay_s: float = 0.02
    waiting: collections.deque[bytes] = field(default_factory=collections.deque)
    flying: collections.deque[tuple[float, bytes]] = field(default_factory=collections.deque)
    credit: float = 0.0

    def put(self, data: bytes) -> None:
        self.waiting.extend(data[at : at + 1_400] for at in range(0, len(data), 1_400))

    @property
    def unsent(self) -> int:
        return sum(map(len, self.waiting))

    def pass_on(self, at_s: float) -> bytes:
        self.credit = min(self.credit + self.bits_a_s * STEP_S, max(24_000.0, 2 * self.bits_a_s * STEP_S))
        while self.waiting and self.credit >= 8 * len(self.waiting[0]):
            self.credit -= 8 * len(self.waiting[0])
            self.flying.append((at_s + self.delay_s, self.waiting.popleft()))
        arrived = b""
        while self.flying and self.flying[0][0] <= at_s:
            arrived += self.flying.popleft()[1]
        return arrived


class Site:
    """A desk, a device that shows over a line, and somebody who watches beside the hub."""

    def __init__(self, *, sound: bool = True, limit_s: float = 600.0, may_be_recorded: bool = False) -> None:
        self.at_s = 0.0
        self.up, self.down = Line(), Line()
        self.revoked: set[str] = set()
        self.desk = LiveDesk(
            site="s1",
            limits=LiveLimits(),
            keys=self._keys,
            centre_keys={"hub": HUB_KEY.public_key()},
            new_nonce=lambda: f"{random.Random(self.at_s).getrandbits(128):032x}",
            unsent=lambda number: self.unsent.get(number, 0),
        )
        self.unsent: dict[int, int] = {}
        self.config = SessionConfig(
            site="s1",
            device=DEVICE,
            session="live-1",
            officer=OFFICER,
            sound=sound,
            may_be_recorded=may_be_recorded,
            limit_s=limit_s,
            began_utc="2026-11-22T06:00:00.000000Z",
        )
        self.session = LiveSession(self.config, KeySigner(DEVICE_KEY, DEVICE), 0.0)
        self.connect_s: float | None = None
        self.number = SHOW - 100
        self.can_connect = True
        self.urgent: list[bytes] = []
        self.frames: list[bytes] = []
        self.owes = False
        self.shot: tuple[float, Shot] | None = None
        self.shots = 0
        self.openings: list[wire.ShowOpening] = []
        self.microphone = False
        self.sound_s = 0.0
        self.flow = LiveFlow()
        self.ended: live.Ended | None = None
        self.notes: list[Note] = []
        self.closed: set[int] = set()
        self.others: dict[int, Decoder] = {}
        self.heard: dict[int, list[tuple[float, wire.Message]]] = collections.defaultdict(list)
        self._device(self.session.begin())

    def _keys(self, device: str) -> Mapping[str, Ed25519PublicKey]:
        if device in self.revoked:
            raise Refused(HubAlarm.DEVICE_REVOKED, "this device was revoked", device)
        if device != DEVICE:
            raise Refused(HubAlarm.DEVICE_UNKNOWN, f"{device} is not enrolled")
        return {DEVICE: DEVICE_KEY.public_key()}

    # --- time ---

    def run(self, seconds: float, every: Callable[[], None] = lambda: None) -> None:
        until_s = self.at_s + seconds
        while self.at_s < until_s:
            self.at_s += STEP_S
            self._turn()
            every()

    def _turn(self) -> None:
        if self.connect_s is not None and self.at_s >= self.connect_s:
            self.connect_s = None
            if self.can_connect:
                self.up.waiting.clear()
                self.down.waiting.clear()
                self.number += 100
                self._device(self.session.step(self.at_s, live.Connected()))
                self._hub(self.desk.opened(self.at_s, self.number, None))
            else:
                self._device(self.session.step(self.at_s, live.Lost("nobody there")))
        while (self.urgent or self.frames) and self.up.unsent < 32_000:
            self.up.put((self.urgent or self.frames).pop(0))
        if self.owes and not self.frames:
            self.owes = False
            self._device(self.session.step(self.at_s, live.Waiting(0)))
        if came := self.up.pass_on(self.at_s):
            self._hub(self.desk.came(self.at_s, self.number, came))
        if came := self.down.pass_on(self.at_s):
            self._device(self.session.step(self.at_s, live.Bytes(came)))
        if self.shot is not None and self.at_s >= self.shot[0]:
            shot, self.shot = self.shot[1], None
            taken = live.PictureTaken(self.at_s, shot.side, shot.side * 3 // 4, _jpeg(shot))
            self._device(self.session.step(self.at_s, taken))
        if self.microphone and self.at_s >= self.sound_s:
            self.sound_s = self.at_s + 0.04
            self._device(self.session.step(self.at_s, live.SoundTaken(self.at_s - 0.04, bytes(320))))
        if self.at_s >= self.session.wake_s(self.at_s - STEP_S):
            self._device(self.session.step(self.at_s, live.Tick()))
        self._hub(self.desk.tick(self.at_s))

    def _device(self, orders: list[live.Order]) -> None:
        for order in orders:
            match order:
                case live.Connect(after_s):
                    self.connect_s = self.at_s + after_s
                case live.Send(frames, urgent):
                    if frames[0][2] == wire.Kind.OPENING:
                        (signed,) = Decoder({wire.Kind.OPENING}).feed(frames[0])
                        assert isinstance(signed, Signed)
                        opened = wire.read_opening(signed.body)
                        assert isinstance(opened, wire.ShowOpening)
                        self.openings.append(opened)
                    self.owes = self.owes or not urgent
                    (self.urgent if urgent else self.frames).extend(frames)
                case live.TakePicture(shot):
                    self.shots += 1
                    self.shot = (self.at_s + 0.015, shot)
                case live.Listen(on):
                    self.microphone = on
                case live.Tell(flow):
                    self.flow = flow
                case live.Hang():
                    self.frames.clear()
                    if not isinstance(orders[-1], live.Ended):
                        self.urgent.clear()
                        self._hub(self.desk.closed(self.at_s, self.number))
                case live.Ended():
                    self.ended = order

    def _hub(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Write(number, data) if number == self.number:
                    self.down.put(data)
                case Write(number, data):
                    for message in self.others[number].feed(data):
                        self.heard[number].append((self.at_s, message))
                case Close(number):
                    self.closed.add(number)
                    if number == self.number and self.session.has_ended is False:
                        self.cut("closed by the hub")
                case Note():
                    self.notes.append(order)

    def cut(self, why: str = "cable pulled") -> None:
        left = b"".join(self.down.waiting) + b"".join(part for _, part in self.down.flying)
        self.down.waiting.clear()
        self.down.flying.clear()
        if why == "closed by the hub" and left:
            self._device(self.session.step(self.at_s, live.Bytes(left)))
        self.up.waiting.clear()
        self._hub(self.desk.closed(self.at_s, self.number))
        self._device(self.session.step(self.at_s, live.Lost(why)))

    # --- others ---

    def other(self, number: int, *, peer: str | None = None) -> str:
        """Somebody connects; the nonce."""
        self.others[number] = Decoder(frozenset(wire.Kind))
        self._hub(self.desk.opened(self.at_s, number, peer))
        greeting = self.heard[number][-1][1]
        assert isinstance(greeting, wire.Greeting)
        return greeting.nonce

    def say(self, number: int, *messages: wire.Message) -> None:
        self._hub(self.desk.came(self.at_s, number, b"".join(part for m in messages for part in encode(m))))

    def watch(
        self, number: int = WATCH, *, record: bool = False, session: str = "", wait_s: float = 60.0
    ) -> None:
        opening = wire.WatchOpening(
            site="s1",
            device=DEVICE,
            nonce=self.other(number),
            session=session,
            officer=WATCHER,
            record=record,
            wait_s=wait_s,
        )
        self.say(number, KeySigner(HUB_KEY, "hub").sign(Context.LIVE, to_json(opening).decode()))

    def seen(self, kind: type, number: int = WATCH, *, since_s: float = 0.0) -> list[wire.Message]:
        return [each for at_s, each in self.heard[number] if isinstance(each, kind) and at_s >= since_s]

    def a_s(self, seconds: float) -> float:
        return len(self.seen(wire.Picture, since_s=self.at_s - seconds)) / seconds

    def noted(self) -> list[str]:
        return [note.what for note in self.notes]


# --- what goes out, and when ------------------------------------------------------------------------------


def test_nothing_is_seen_or_heard_until_somebody_watches() -> None:
    site = Site()
    site.run(5.0)
    assert (site.flow.is_connected, site.flow.watchers, site.microphone) == (True, (), False)
    before = site.desk.latest(DEVICE)
    site.watch()
    site.run(3.0)
    assert before == (None, ())
    assert site.flow.watchers == (WATCHER,)
    assert site.a_s(1.0) >= 8
    assert len(site.seen(wire.Sound, since_s=2.0)) >= 50
    assert site.desk.latest(DEVICE)[0] is not None


def test_who_leaves_is_seen_no_more_and_nothing_is_sent_then() -> None:
    site = Site()
    site.watch()
    site.run(3.0)
    site._hub(site.desk.closed(site.at_s, WATCH))
    site.run(0.5)
    sent = site.desk.latest(DEVICE)
    site.run(3.0)
    assert (site.flow.watchers, site.microphone) == ((), False)
    assert site.desk.latest(DEVICE) == sent


def test_a_thin_line_gets_smaller_pictures_within_four_seconds_and_a_wide_one_larger_ones_again() -> None:
    site = Site()
    site.watch()
    site.run(10.0)
    wide, wide_a_s = site.flow.columns, site.a_s(2.0)
    site.up.bits_a_s = 500e3
    site.run(4.0)
    thin = site.flow.columns
    site.run(4.0)
    assert site.a_s(3.0) >= 2.0
    assert site.flow.delay_s < 0.6
    assert site.flow.bits_a_s < 500e3
    site.up.bits_a_s = 20e6
    site.run(8.0)
    assert (wide >= 800, thin <= 320, site.flow.columns >= 800) == (True, True, True)
    assert (wide_a_s >= 10, site.a_s(2.0) >= 10) == (True, True)


def test_a_line_that_stalls_piles_nothing_up_and_goes_on_when_it_moves() -> None:
    site = Site()
    site.watch()
    site.run(5.0)
    site.up.bits_a_s = 0.0
    site.run(6.0)
    waiting = site.up.unsent + sum(map(len, site.frames)) + sum(map(len, site.urgent))
    site.up.bits_a_s = 20e6
    site.run(2.0)
    assert waiting < 300_000
    assert site.a_s(1.0) >= 4
    site.run(6.0)
    assert site.a_s(1.0) >= 10
    # Whoever listens can tell that words are missing.
    numbers = [each.seq for each in site.seen(wire.Sound) if isinstance(each, wire.Sound)]
    assert max(b - a for a, b in itertools.pairwise(numbers)) > 50


def test_sound_arrives_soon_even_while_a_picture_fills_the_line() -> None:
    site = Site()
    site.up.bits_a_s = 300e3
    site.watch()
    site.run(10.0)
    sounds = [(at, each) for at, each in site.heard[WATCH] if isinstance(each, wire.Sound) and at > 5]
    late = sorted(at - each.at_ms / 1000 - 0.04 for at, each in sounds)
    assert len(sounds) > 100
    assert late[len(late) // 2] < 0.6


def test_where_others_use_the_line_it_gives_way() -> None:
    site = Site()
    site.up.bits_a_s = 2e6
    site.watch()
    site.run(8.0)
    alone = site.flow.bits_a_s
    carried = 0

    def someone_else() -> None:
        # A queue that is never empty, as a download's.
        nonlocal carried
        queued = sum(len(part) for part in site.up.waiting if part[:1] == b"\xee")
        if queued < 24_000:
            site.up.put(b"\xee" * 1_400)

    def without_others(at_s: float, number: int, data: bytes) -> list[Order]:
        nonlocal carried
        carried += data.count(b"\xee" * 1_400) * 1_400
        return came(at_s, number, data.replace(b"\xee" * 1_400, b""))

    came, site.desk.came = site.desk.came, without_others  # type: ignore[method-assign]
    site.run(6.0, someone_else)
    carried = 0
    site.run(6.0, someone_else)
    beside = site.flow.bits_a_s
    assert alone > 0.8e6
    assert beside < 0.5 * alone
    assert carried * 8 / 6.0 > 1.4e6


def test_while_this_devices_facts_wait_it_takes_a_small_share() -> None:
    site = Site()
    site.watch()
    site.run(6.0)
    site._device(site.session.step(site.at_s, live.SyncBusy(True)))
    site.run(4.0)
    assert site.flow.bits_a_s <= 260e3
    site._device(site.session.step(site.at_s, live.SyncBusy(False)))
    site.run(8.0)
    assert site.flow.bits_a_s > 1e6


def test_muted_and_hidden_nothing_of_the_kind_goes_out() -> None:
    site = Site()
    site.watch()
    site.run(3.0)
    site._device(site.session.step(site.at_s, live.Set(muted=True, hidden=True)))
    site.run(0.5)
    since_s, shots = site.at_s, site.shots
    site.run(2.0)
    assert site.shots == shots
    assert (site.seen(wire.Picture, since_s=since_s), site.seen(wire.Sound, since_s=since_s)) == ([], [])
    assert site.microphone is False
    assert site.seen(wire.State)[-1] == wire.State(muted=True, hidden=True)


# --- how it ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["officer", "locked", "failed"])
def test_the_device_ends_it_and_everybody_is_told(why: str) -> None:
    site = Site()
    site.watch()
    site.run(2.0)
    site._device(site.session.step(site.at_s, live.Stop(why)))  # type: ignore[arg-type]
    site.run(0.5)
    assert site.ended is not None
    assert site.ended.why == why
    assert [each.why for each in site.seen(wire.End) if isinstance(each, wire.End)] == [why]
    assert site.desk.devices() == ()
    assert site.ended.tally.pictures > 5


def test_the_centre_ends_it() -> None:
    site = Site()
    site.watch()
    site.run(2.0)
    site.say(WATCH, wire.End(why="centre"))
    site.run(0.5)
    assert site.ended is not None
    assert (site.ended.why, site.desk.devices()) == ("centre", ())


def test_a_watcher_who_only_leaves_ends_nothing() -> None:
    site = Site()
    site.watch()
    site.run(2.0)
    site.say(WATCH, wire.End(why="stopping"))
    site.run(1.0)
    assert (site.ended, site.desk.devices()) == (None, (DEVICE,))


def test_both_sides_keep_to_the_time_limit() -> None:
    site = Site(limit_s=5.0)
    site.watch()
    site.run(5.5)
    assert site.ended is not None
    assert site.ended.why == "time"
    silent = Site(limit_s=5.0)
    silent.watch()
    silent.run(2.0)
    silent.session.step = lambda at_s, event: []  # type: ignore[method-assign]
    silent.run(7.0)
    assert silent.desk.devices() == ()


def test_unwatched_for_long_it_ends_by_itself() -> None:
    site = Site()
    site.run(live.UNWATCHED_S + 2.0)
    assert site.ended is not None
    assert site.ended.why == "unwatched"


def test_a_pulled_cable_is_a_pause_and_who_watches_stays() -> None:
    site = Site()
    site.watch()
    site.run(3.0)
    site.cut()
    site.run(3.0)
    assert (site.ended, site.flow.watchers) == (None, (WATCHER,))
    assert "came back" in site.noted()
    assert site.a_s(1.0) >= 4


def test_a_hub_that_is_gone_for_good_ends_it_as_lost() -> None:
    site = Site()
    site.watch()
    site.run(3.0)
    site.can_connect = False
    site.cut()
    site.run(live.LOST_AFTER_S + live.LONGEST_AGAIN_S + 1.0)
    assert site.ended is not None
    assert site.ended.why == "lost"
    site.run(GAP_S)
    assert [each.why for each in site.seen(wire.End) if isinstance(each, wire.End)] == ["lost"]


def test_coming_back_wins_no_time() -> None:
    site = Site(limit_s=10.0)
    site.watch()
    site.run(4.0)
    site.cut()
    site.run(20.0)
    assert site.ended is not None
    assert site.ended.why == "time"
    assert site.desk.devices() == ()
    first, second = site.openings
    assert first.left_s > 9.9
    assert 5.0 < second.left_s < 6.0


def test_a_device_that_says_otherwise_when_it_comes_back_wins_no_time_either() -> None:
    site = Site()
    site.can_connect = False
    for number, left_s in ((ROGUE, 5.0), (ROGUE + 1, 600.0)):
        nonce = site.other(number)
        body = to_json(opening(nonce, left_s=left_s)).decode()
        site.say(number, KeySigner(DEVICE_KEY, DEVICE).sign(Context.LIVE, body))
    assert site.desk.devices() == (DEVICE,)
    site.run(9.0)
    assert site.desk.devices() == ()


def test_a_revoked_device_is_cut_off_within_seconds() -> None:
    site = Site()
    site.watch()
    site.run(3.0)
    site.revoked.add(DEVICE)
    site.run(2.5)
    assert site.ended is not None
    assert site.ended.why == "refused"
    assert [each.why for each in site.seen(wire.End) if isinstance(each, wire.End)] == ["revoked"]


# --- who may ----------------------------------------------------------------------------------------------


def opening(told: str, **changes: object) -> wire.ShowOpening:
    fields: dict[str, object] = {
        "site": "s1",
        "device": DEVICE,
        "nonce": told,
        "session": "live-9",
        "officer": OFFICER,
        "sound": True,
        "may_be_recorded": False,
        "left_s": 60.0,
        "began": "2026-11-22T06:00:00.000000Z",
    }
    return wire.ShowOpening(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_stolen_certificate_alone_does_not_speak() -> None:
    site = Site()
    nonce = site.other(ROGUE, peer=DEVICE)
    site.say(ROGUE, KeySigner(OTHER_KEY, DEVICE).sign(Context.LIVE, to_json(opening(nonce)).decode()))
    assert (site.closed, site.desk.counts["forged"], site.desk.devices()) == ({ROGUE}, 1, ())


@pytest.mark.parametrize(
    "changes", [{"nonce": "0" * 32}, {"site": "s2"}, {"device": "hand-2"}], ids=["nonce", "site", "device"]
)
def test_an_opening_for_elsewhere_does_not_speak(changes: dict[str, object]) -> None:
    site = Site()
    nonce = site.other(ROGUE)
    body = to_json(opening(nonce, **changes)).decode()
    site.say(ROGUE, KeySigner(DEVICE_KEY, DEVICE).sign(Context.LIVE, body))
    assert site.closed == {ROGUE}
    assert sum(site.desk.counts.values()) == 1


def test_a_devices_key_over_anothers_certificate_does_not_speak() -> None:
    site = Site()
    nonce = site.other(ROGUE, peer="hand-2")
    site.say(ROGUE, KeySigner(DEVICE_KEY, DEVICE).sign(Context.LIVE, to_json(opening(nonce)).decode()))
    assert (site.closed, site.desk.counts["forged"]) == ({ROGUE}, 1)


def test_a_signature_made_for_another_purpose_does_not_open() -> None:
    site = Site()
    nonce = site.other(ROGUE)
    site.say(ROGUE, KeySigner(DEVICE_KEY, DEVICE).sign(Context.STATUS, to_json(opening(nonce)).decode()))
    assert site.closed == {ROGUE}


def test_a_device_may_not_watch_another() -> None:
    site = Site()
    watch = wire.WatchOpening(
        site="s1", device=DEVICE, nonce=site.other(ROGUE), officer=WATCHER, record=False, wait_s=5.0
    )
    site.say(ROGUE, KeySigner(DEVICE_KEY, DEVICE).sign(Context.LIVE, to_json(watch).decode()))
    assert (site.closed, site.desk.counts["forged"]) == ({ROGUE}, 1)


def test_who_says_nothing_is_sent_away() -> None:
    site = Site()
    site.other(ROGUE)
    site.run(6.0)
    assert (ROGUE in site.closed, site.desk.counts["late"]) == (True, 1)


def test_before_its_opening_nobody_is_heard() -> None:
    site = Site()
    site.other(ROGUE)
    site.say(ROGUE, wire.Sound(0, 0, Codec.MU_LAW, bytes(320)))
    assert (site.closed, site.desk.counts["malformed"]) == ({ROGUE}, 1)


def test_who_sends_more_than_was_allowed_is_cut_off() -> None:
    site = Site()
    nonce = site.other(ROGUE)
    site.say(ROGUE, KeySigner(DEVICE_KEY, DEVICE).sign(Context.LIVE, to_json(opening(nonce)).decode()))
    jpeg = b"\xff\xd8\xff" + bytes(400_000) + b"\xff\xd9"
    for number in range(8):
        site.say(ROGUE, wire.Picture(number, 0, 640, 480, jpeg))
    assert (ROGUE in site.closed, site.desk.counts["too_fast"]) == (True, 1)


def test_what_the_officer_did_not_allow_to_be_kept_is_not_shown_to_who_keeps_it() -> None:
    site = Site(may_be_recorded=False)
    site.run(1.0)
    site.watch(record=True)
    site.run(2.0)
    assert (WATCH in site.closed, site.flow.watchers) == (True, ())
    allowed = Site(may_be_recorded=True)
    allowed.watch(record=True)
    allowed.run(2.0)
    assert (allowed.flow.watchers, allowed.flow.is_recorded) == ((WATCHER,), True)


def test_a_watcher_who_reads_slowly_misses_pictures_and_slows_nobody() -> None:
    site = Site()
    site.watch()
    site.watch(WATCH + 1)
    site.run(2.0)
    site.unsent[WATCH + 1] = 300_000
    since_s = site.at_s + STEP_S / 2
    site.run(3.0)
    slow = site.seen(wire.Picture, WATCH + 1, since_s=since_s)
    assert (slow, site.a_s(2.0) >= 8) == ([], True)
    site.unsent[WATCH + 1] = 3_000_000
    site.run(0.5)
    assert WATCH + 1 in site.closed


def test_more_connections_than_are_served_are_turned_away() -> None:
    site = Site()
    for number in range(1000, 1040):
        site.others[number] = Decoder(frozenset(wire.Kind))
        site._hub(site.desk.opened(site.at_s, number, None))
    assert site.desk.counts["crowded"] >= 8


def test_a_hub_that_says_what_it_must_not_is_left_and_tried_again() -> None:
    site = Site()
    site.run(1.0)
    site._device(site.session.step(site.at_s, live.Bytes(b"GET / HTTP/1.1\r\n\r\n")))
    assert (site.session.refused_frames, site.connect_s is not None) == (1, True)
    site.run(2.0)
    assert site.flow.is_connected


def test_a_hub_of_another_site_is_not_spoken_to() -> None:
    site = Site()
    site.can_connect = False
    greeting = wire.Greeting(site="s2", nonce="0" * 32)
    site._device(site.session.step(0.0, live.Connected()))
    site._device(site.session.step(0.0, live.Bytes(encode(greeting)[0])))
    assert site.ended is not None
    assert site.ended.why == "refused"
