"""Officers of the world's site and the release codes they show: good ones, and every kind that must not hold."""

from __future__ import annotations

import base64
import random
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.vocabulary.commands import Act, ManualRelease, Supplement
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, OfficerState, Record
from sync.vocabulary.release_codes import ReleaseCode, body_of, signed_bytes, text_of

if TYPE_CHECKING:
    from tests.world.harness import LanePc

GOOD = ("GY0001", "GY0002")
UNAUTHORISED, REVOKED, STRANGER = "GY0003", "GY0004", "GY0099"
SUPPLEMENTS = "GY0005"
"""May enter what was not read, and release nobody."""
REASON = "人工核验通过"
Action = Literal["release", "aside", "supplement"]
Field = Literal["", "plate", "weight", "slip", "container"]


def _key(officer: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(random.Random(f"officer/{officer}").randbytes(32))


def roster(today: datetime) -> list[Record]:
    """Who is on duty; the stranger is not."""

    def officer(number: str, authorisations: tuple[str, ...], state: OfficerState) -> Officer:
        public = (
            _key(number).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        )
        return Officer(
            officer_no=number,
            authorisations=authorisations,
            public_key=base64.b64encode(public).decode(),
            state=state,
            valid_until=UtcText((today + timedelta(days=900)).strftime("%Y-%m-%dT%H:%M:%SZ")),
        )

    return [
        *(officer(number, ("manual_release",), OfficerState.ACTIVE) for number in GOOD),
        officer(SUPPLEMENTS, ("supplement",), OfficerState.ACTIVE),
        officer(UNAUTHORISED, ("inspect",), OfficerState.ACTIVE),
        officer(REVOKED, ("manual_release",), OfficerState.REVOKED),
    ]


@dataclass(frozen=True, slots=True)
class ShownByOfficer:
    """A code to be shown, signed when it is shown. `holds`: it is what it should be."""

    what: str
    officer: str
    lane: str
    passage: int
    holds: bool
    issued_ago_s: float = 0.0
    signed_by: str = ""
    spoiled: bool = False
    action: Action = "release"
    field: Field = ""
    value: str = ""

    def text(self, now_utc: str) -> str:
        """`now_utc`: what the lane's clock says; handhelds are set by the same source."""
        issued = datetime.fromisoformat(now_utc) - timedelta(seconds=self.issued_ago_s)
        code = ReleaseCode(
            lane=self.lane,
            passage=self.passage,
            officer=self.officer,
            reason=REASON,
            issued=UtcText(issued.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
            action=self.action,
            field=self.field,
            value=self.value,
        )
        body = body_of(code)
        text = text_of(body, _key(self.signed_by or self.officer).sign(signed_bytes(body)))
        return text[: len(text) // 2] if self.spoiled else text


def commanded(code: ShownByOfficer, lane: str) -> Act | None:
    """Every second is given at the centre instead of shown at the lane; None for all others, and for what
    only a code can be (old, forged, cut off, of another lane)."""
    if code.issued_ago_s or code.signed_by or code.spoiled or code.lane != lane:
        return None
    if zlib.crc32(f"{lane}/{code.passage}/{code.officer}/{code.action}".encode()) % 2:
        return None
    match code.action, code.field:
        case "supplement", ("plate" | "weight" | "slip" | "container") as field:
            return Supplement(passage=code.passage, field=field, value=code.value)
        case (("release" | "aside"), _):
            return ManualRelease(passage=code.passage, aside=code.action == "aside")
        case _:
            return None


def pictures_wanted(lane: str, passage: int) -> tuple[float, ...]:
    """Seconds from now at which the centre wants pictures of every second of them: while it is held, twice in
    a moment, and when it drives or has gone."""
    return () if zlib.crc32(f"pictures/{lane}/{passage}".encode()) % 2 else (0.5, 0.7, 4.0, 9.0, 30.0)


def good_codes(lane: LanePc, passage: int) -> list[ShownByOfficer]:
    """Two officers, one after the other: where one is enough, the second comes too late to matter."""
    return [ShownByOfficer(f"good {number}", number, lane.name, passage, True) for number in GOOD]


def aside_codes(lane: LanePc, passage: int) -> list[ShownByOfficer]:
    """The same two lead it to the waiting area."""
    return [
        ShownByOfficer(f"aside {number}", number, lane.name, passage, True, action="aside") for number in GOOD
    ]


def supplement_codes(
    draw: random.Random, lane: LanePc, passage: int, values: dict[Field, str]
) -> list[ShownByOfficer]:
    """What is lacking, entered by who may; before it by who may not, or may no more."""
    codes: list[ShownByOfficer] = []
    for field, value in values.items():
        for what, officer, holds in (
            ("supplement by one who may only release", GOOD[0], False),
            ("supplement by a stranger", STRANGER, False),
            ("supplement", SUPPLEMENTS, True),
        ):
            if holds or draw.random() < 0.5:
                codes.append(
                    ShownByOfficer(
                        what,
                        officer,
                        lane.name,
                        passage,
                        holds,
                        action="supplement",
                        field=field,
                        value=value,
                    )
                )
    return codes


def bad_codes(draw: random.Random, lane: LanePc, passage: int) -> list[ShownByOfficer]:
    """All that must not hold, in any order. The same officer twice is one officer."""
    other = "lane-2" if lane.name == "lane-1" else "lane-1"
    bad = [
        ShownByOfficer("unauthorised", UNAUTHORISED, lane.name, passage, False),
        ShownByOfficer("revoked", REVOKED, lane.name, passage, False),
        ShownByOfficer("may only supplement", SUPPLEMENTS, lane.name, passage, False),
        ShownByOfficer("unauthorised aside", SUPPLEMENTS, lane.name, passage, False, action="aside"),
        ShownByOfficer("stranger", STRANGER, lane.name, passage, False),
        ShownByOfficer("old", GOOD[0], lane.name, passage, False, issued_ago_s=75.0),
        ShownByOfficer("from the future", GOOD[0], lane.name, passage, False, issued_ago_s=-75.0),
        ShownByOfficer("other lane", GOOD[0], other, passage, False),
        # Far enough that it cannot become this lane's passage while the officer is still showing codes.
        ShownByOfficer("other passage", GOOD[0], lane.name, passage + 100, False),
        ShownByOfficer("forged", GOOD[0], lane.name, passage, False, signed_by=STRANGER),
        ShownByOfficer("cut off", GOOD[0], lane.name, passage, False, spoiled=True),
    ]
    if lane.world.watch.officers_needed > 1:
        bad += [ShownByOfficer("one officer twice", GOOD[0], lane.name, passage, True)] * 2
        # One lets it go, the other only leads it aside: neither has two officers behind it.
        bad.append(ShownByOfficer("only aside", GOOD[1], lane.name, passage, True, action="aside"))
    draw.shuffle(bad)
    return bad
