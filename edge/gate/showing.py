"""What a lane shows of itself: one immutable value, made on the lane's thread and swapped whole.

Whoever shows it to people (`page.py`) reads that value and nothing else; nothing leads back to the lane.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge.devices.readings import (
    CardSeen,
    CodeSeen,
    ContainerSeen,
    PlateSeen,
    Reading,
    TagSeen,
    WeightSeen,
)
from edge.gate.effects import Commit, Effect, Show, ShowForAWhile, ShowOwnAgain
from edge.gate.events import Inputs
from edge.gate.lane import Lane, Shut
from edge.runtime.supervisor import DeviceHealth
from sync.vocabulary.commands import ASKED
from sync.vocabulary.facts import (
    Alarm,
    FactData,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    RulingMade,
)
from sync.vocabulary.rulings import GUIDES, Verdict

PASSAGES_SHOWN: Final = 12
ALARMS_SHOWN: Final = 4
PICTURES_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class DeviceShown:
    name: str
    protocol: str
    role: str
    port: Literal["not tried", "open", "lost"]
    why: str
    """Why the port was lost, where it is."""
    speech: Literal["not heard", "speaking", "silent"]
    heard_at_s: float | None
    """Monotonic; the latest valid reading."""
    said: str
    """That reading, in a word or two."""
    must_speak: bool
    """It is silent when it says nothing for some seconds; others speak only when there is reason to."""


@dataclass(frozen=True, slots=True)
class PassageShown:
    number: int
    utc: str
    gated: bool = True
    plate: str = ""
    slips: tuple[str, ...] = ()
    gross_kg: str = ""
    verdict: str = ""
    """`release`, `inspect`, `hold`; empty before the ruling."""
    codes: tuple[str, ...] = ()
    reasons_zh: tuple[str, ...] = ()
    reasons_en: tuple[str, ...] = ()
    guides_zh: tuple[str, ...] = ()
    """What an officer does about each reason."""
    guides_en: tuple[str, ...] = ()
    outcome: str = ""
    """Empty while it is in the lane."""
    pictures: tuple[tuple[str, str], ...] = ()
    """(moment, SHA-256)"""


@dataclass(frozen=True, slots=True)
class AlarmShown:
    utc: str
    code: str
    zh: str
    en: str
    detail: str


@dataclass(frozen=True, slots=True)
class RecordsShown:
    scope: str
    number: int
    rows: int
    age_s: float | None
    """Since they were last proved equal to the centre's; None: unknown, which is too old (S10)."""
    max_age_s: float | None
    """None: there is no row of this site to say it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the wiring knows and the lane does not; gathered every other second."""

    records: RecordsShown | None = None
    backlog: int = 0
    """Facts the centre has not acknowledged."""
    free_mb: int | None = None
    reserve_mb: int = 0
    clock_set: bool = True
    uncertainty_ms: int = -1
    zone: str = ""
    """The site's, in which times are told; empty where no record says it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    lane_id: str
    site: str
    direction: str
    version: str
    began_utc: str
    utc: str
    at_s: float
    """Monotonic: by it the ages of everything here are reckoned."""
    phase: str
    shut_why: str
    passage: int | None
    inputs: Inputs
    inputs_s: float
    says_zh: str
    """On the board."""
    says_en: str
    colour: str
    online: bool
    devices: tuple[DeviceShown, ...]
    passages: tuple[PassageShown, ...]
    """Latest first."""
    alarms: tuple[AlarmShown, ...]
    """Latest first."""
    around: Surroundings


class Showing:
    """Gathers what is worth showing. Used by the lane's thread, except `heard` and `latest`."""

    def __init__(
        self, *, lane_id: str, site: str, direction: str, version: str, began_utc: str,
        devices: Mapping[str, tuple[str, str, bool]],
    ) -> None:  # fmt: skip
        """`devices`: by name, (protocol, role, whether it must speak)."""
        self._lane_id, self._site, self._direction = lane_id, site, direction
        self._version, self._began_utc = version, began_utc
        self._devices = dict(devices)
        self._said: dict[str, Reading] = {}
        self._passages: dict[int, PassageShown] = {}
        self._alarms: deque[AlarmShown] = deque(maxlen=ALARMS_SHOWN)
        self._show = self._own = Show("", "", "")
        self._latest: Snapshot | None = None

    def heard(self, device: str, reading: Reading) -> None:
        """On a device's thread: a valid reading."""
        self._said[device] = reading

    def asked(self, utc: str, effects: Iterable[Effect]) -> bool:
        """What a step asked for. True where it changed what is shown."""
        changed = False
        for effect in effects:
            if isinstance(effect, Show):
                self._show, self._own, changed = effect, effect, True
            elif isinstance(effect, ShowForAWhile):
                self._show, changed = Show(effect.zh, effect.en, "amber"), True
            elif isinstance(effect, ShowOwnAgain):
                self._show, changed = self._own, True
            elif isinstance(effect, Commit):
                self.told(utc, [told.data for told in effect.facts])
                changed = True
        return changed

    def told(self, utc: str, facts: Sequence[FactData]) -> None:
        for data in facts:
            match data:
                case PassageOpened(passage, gated):
                    self._passages[passage] = PassageShown(passage, utc, gated)
                    while len(self._passages) > PASSAGES_SHOWN:
                        del self._passages[min(self._passages)]
                case RulingMade():
                    self._ruled(utc, data)
                case PassageClosed():
                    self._change(data.passage, utc, outcome=data.outcome)
                case PictureTaken():
                    self._picture(utc, data)
                case Alarm():
                    self._alarms.appendleft(AlarmShown(utc, data.code.value, data.zh, data.en, data.detail))
                case _:
                    pass

    def publish(
        self, lane: Lane, *, at_s: float, utc: str, health: Mapping[str, DeviceHealth], around: Surroundings
    ) -> None:
        phase = lane.phase
        self._latest = Snapshot(
            lane_id=self._lane_id,
            site=self._site,
            direction=self._direction,
            version=self._version,
            began_utc=self._began_utc,
            utc=utc,
            at_s=at_s,
            phase=type(phase).__name__,
            shut_why=phase.why if isinstance(phase, Shut) else "",
            passage=lane.passage.number if lane.passage is not None else None,
            inputs=lane.inputs,
            inputs_s=lane.inputs_s,
            says_zh=self._show.zh,
            says_en=self._show.en,
            colour=self._show.colour,
            online=lane.online,
            devices=tuple(self._device(name, health.get(name, DeviceHealth())) for name in self._devices),
            passages=tuple(self._passages[number] for number in sorted(self._passages, reverse=True)),
            alarms=tuple(self._alarms),
            around=around,
        )

    def latest(self) -> Snapshot | None:
        """On any thread. None before the first was published."""
        return self._latest

    def _device(self, name: str, health: DeviceHealth) -> DeviceShown:
        protocol, role, must_speak = self._devices[name]
        reading = self._said.get(name)
        return DeviceShown(
            name=name,
            protocol=protocol,
            role=role,
            port=health.port,
            why=health.why if health.port == "lost" else "",
            speech=health.speech,
            heard_at_s=health.heard_at_s,
            said="" if reading is None else in_a_word(reading),
            must_speak=must_speak,
        )

    def _ruled(self, utc: str, made: RulingMade) -> None:
        guides = [
            guide
            for because in made.ruling.reasons
            if made.ruling.verdict is not Verdict.RELEASE and (guide := GUIDES.get(because.code)) is not None
        ]
        self._change(
            made.passage,
            utc,
            plate=made.plate or "",
            slips=made.slips,
            gross_kg=made.gross_kg or "",
            verdict=made.ruling.verdict.value,
            codes=made.ruling.codes(),
            reasons_zh=tuple(because.zh() for because in made.ruling.reasons),
            reasons_en=tuple(because.en() for because in made.ruling.reasons),
            guides_zh=tuple(guide.zh for guide in guides),
            guides_en=tuple(guide.en for guide in guides),
        )

    def _picture(self, utc: str, taken: PictureTaken) -> None:
        before = self._passages.get(taken.passage)
        picture = (taken.moment, taken.sha256)
        # A camera may send one picture under two names.
        others = () if before is None else tuple(each for each in before.pictures if each != picture)
        pictures = [*others, picture]
        while len(pictures) > PICTURES_SHOWN:
            # What the centre asked for gives way to what the ruling saw.
            pictures.remove(next((each for each in pictures if each[0] == ASKED), pictures[0]))
        self._change(taken.passage, utc, pictures=tuple(pictures))

    def _change(self, number: int, utc: str, **changes: object) -> None:
        before = self._passages.get(number, PassageShown(number, utc))
        self._passages[number] = replace(before, **changes)  # type: ignore[arg-type]
        while len(self._passages) > PASSAGES_SHOWN:
            del self._passages[min(self._passages)]


def in_a_word(reading: Reading) -> str:
    match reading:
        case WeightSeen(value_kg):
            return f"{value_kg} kg"
        case TagSeen(epc):
            return epc
        case PlateSeen(text):
            return text if text is not None else "?"
        case CodeSeen(text):
            return text[:40]
        case CardSeen(number):
            return number
        case ContainerSeen(text):
            return text if text is not None else "?"
        case _:
            return ""
