"""What the centre tells a device to do, and what the device answers. Values that check themselves.

No signature, topic or clock enters here. A command names the device, the connection it is meant for (`nonce`)
and how long it may wait (`valid_s`); whoever receives it checks all three before looking at what it wants.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import Count, Digest, Name, Number
from sync.vocabulary.numbers import UtcText

MAX_REASON = 200
MAX_VALUE = 60
MAX_BOARD_TEXT = 40
"""Characters of each language: what a driver can read at a glance, and a board can hold."""
MAX_OFFICERS = 2
LONGEST_VALID_S = 300
"""No command waits longer than this to be carried out."""
LONGEST_BOARD_S = 600
LEAST_ANSWER_S = 5
LONGEST_ANSWER_S = 120
LONGEST_LIVE_S = 1_800

BoardWords = Annotated[str, Meta(max_length=MAX_BOARD_TEXT)]

MAX_PASSAGE = 2**62

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_OFFICER = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")


class ManualRelease(msgspec.Struct, frozen=True, kw_only=True, tag="manual_release"):
    """Let the held vehicle of exactly this passage go (S8), or lead it aside."""

    passage: Number
    aside: bool = False

    def __post_init__(self) -> None:
        _must_be_passage(self.passage)


class Supplement(msgspec.Struct, frozen=True, kw_only=True, tag="supplement"):
    """补采: what the lane could not read of exactly this passage."""

    passage: Number
    field: Literal["plate", "weight", "slip", "container"]
    value: Annotated[str, Meta(min_length=1, max_length=MAX_VALUE)]

    def __post_init__(self) -> None:
        _must_be_passage(self.passage)
        _must_be_text("value", self.value, 1, MAX_VALUE)


class BoardText(msgspec.Struct, frozen=True, kw_only=True, tag="board_text"):
    """Show this for a while; whatever the lane itself has to say takes its place at once."""

    preset: Count = 0
    """A number of `BOARD_PRESETS`; 0: the text is given."""
    zh: BoardWords = ""
    en: BoardWords = ""
    seconds: Annotated[int, Meta(ge=1, le=LONGEST_BOARD_S)] = 30
    passage: Count = 0
    """Who it is meant for: nobody else is shown it. 0: whoever is there."""

    def __post_init__(self) -> None:
        if self.passage:
            _must_be_passage(self.passage)
        if not 1 <= self.seconds <= LONGEST_BOARD_S:
            raise ValueError(f"seconds: expected 1 to {LONGEST_BOARD_S}, got {self.seconds}")
        if self.preset:
            if self.preset not in BOARD_PRESETS or self.zh or self.en:
                raise ValueError(
                    f"preset: expected one of {', '.join(map(str, BOARD_PRESETS))} and no text beside it"
                )
            return
        for name, text in (("zh", self.zh), ("en", self.en)):
            _must_be_text(name, text, 1, MAX_BOARD_TEXT)

    def text(self) -> tuple[str, str]:
        """(Chinese, English)."""
        return BOARD_PRESETS[self.preset] if self.preset else (self.zh, self.en)


BOARD_PRESETS: dict[int, tuple[str, str]] = {
    1: ("请稍候 关员马上到", "Please wait, an officer is coming"),
    2: ("请熄火等候", "Switch off the engine and wait"),
    3: ("请退出 换其他通道", "Back out, use another lane"),
    4: ("请到人工窗口", "Go to the office window"),
    5: ("请出示核放单二维码", "Show the QR code of the slip"),
    6: ("请拨打电话联系关员", "Call the officer on duty"),
}


class TakePictures(msgspec.Struct, frozen=True, kw_only=True, tag="take_pictures"):
    """现场拍照: every evidence camera takes one now, of exactly the passage that is in the lane. Without
    sound: a lane has no microphone."""

    passage: Number

    def __post_init__(self) -> None:
        _must_be_passage(self.passage)


ASKED: Final = "asked"
"""The moment of a picture that was taken for it."""


class LaneClose(msgspec.Struct, frozen=True, kw_only=True, tag="lane_close"):
    """Take the lane out of service. Only an officer at the lane takes it back into service (S12)."""


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="revoke"):
    """This device is trusted no more: it stops, and stays stopped until it is enrolled with another key."""


class Wipe(msgspec.Struct, frozen=True, kw_only=True, tag="wipe"):
    """Stop as with `Revoke`, and delete records and keys once the hub has every fact."""

    force: bool = False
    """Without waiting for that: facts not acknowledged stay on the disk, and can be sent no more."""


class Resync(msgspec.Struct, frozen=True, kw_only=True, tag="resync"):
    """Take all records anew; the lane rules on the old ones meanwhile."""


class AskStatus(msgspec.Struct, frozen=True, kw_only=True, tag="ask_status"):
    """Say how you are, now."""


class RequestAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="request_answered"):
    """To a handheld: what became of the release code it asked the centre to carry out (`release_asked`)."""

    code_sha256: Annotated[str, Meta(min_length=64, max_length=64)]
    """Of the code's text, as hex digits."""
    outcome: Literal["given", "accepted", "done", "refused"]
    """`given`: the lane is being told; `accepted`: it waits for a second officer."""
    why: Annotated[str, Meta(max_length=MAX_REASON)] = ""


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True, tag="live_request"):
    """实时音视频: whoever holds the handheld is asked to show the centre what it sees. Nothing goes out
    before that officer has said yes. The command's id is the session's."""

    sound: bool = True
    record: bool = False
    """The centre wants to keep it; the officer is asked for that too."""
    answer_within_s: Annotated[int, Meta(ge=LEAST_ANSWER_S, le=LONGEST_ANSWER_S)] = 30
    """No answer is no."""
    limit_s: Annotated[int, Meta(ge=1, le=LONGEST_LIVE_S)] = 300

    def __post_init__(self) -> None:
        if not LEAST_ANSWER_S <= self.answer_within_s <= LONGEST_ANSWER_S:
            raise ValueError(f"answer_within_s: expected {LEAST_ANSWER_S} to {LONGEST_ANSWER_S}")
        if not 1 <= self.limit_s <= LONGEST_LIVE_S:
            raise ValueError(f"limit_s: expected 1 to {LONGEST_LIVE_S}, got {self.limit_s}")


Act = (
    ManualRelease
    | Supplement
    | BoardText
    | TakePictures
    | LaneClose
    | Revoke
    | Wipe
    | Resync
    | AskStatus
    | RequestAnswered
    | LiveRequest
)

NEEDS_OFFICER = (
    ManualRelease | Supplement | BoardText | TakePictures | LaneClose | Revoke | Wipe | LiveRequest
)
"""A person answers for these and is named in them."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    command_id: Annotated[str, Meta(min_length=8, max_length=64)]
    """Random; the same id is the same command, however often it comes."""
    device: Annotated[str, Meta(min_length=1, max_length=MAX_VALUE)]
    nonce: Digest
    """32 hex digits, as the device's status of this connection gave them."""
    issued: UtcText
    valid_s: Annotated[int, Meta(ge=1, le=LONGEST_VALID_S)]
    officers: Annotated[tuple[Name, ...], Meta(max_length=MAX_OFFICERS)] = ()
    """Numbers, keys of the `officers` collection."""
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    act: Act

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.command_id):
            raise ValueError("command_id: expected 8 to 64 letters, digits, dots and dashes")
        if not _NONCE.fullmatch(self.nonce):
            raise ValueError("nonce: expected 32 hex digits")
        if not 0 < len(self.device) <= MAX_VALUE:
            raise ValueError(f"device: expected 1 to {MAX_VALUE} characters")
        if not 1 <= self.valid_s <= LONGEST_VALID_S:
            raise ValueError(f"valid_s: expected 1 to {LONGEST_VALID_S}, got {self.valid_s}")
        if len(self.officers) > MAX_OFFICERS or len(set(self.officers)) != len(self.officers):
            raise ValueError(f"officers: expected at most {MAX_OFFICERS}, no one twice")
        if not all(_OFFICER.fullmatch(officer) for officer in self.officers):
            raise ValueError("officers: expected numbers of 1 to 32 letters, digits, dots and dashes")
        if isinstance(self.act, NEEDS_OFFICER) and not (self.officers and self.reason.strip()):
            raise ValueError(f"{kind_of_act(self.act)}: expected an officer and a reason (S8)")
        _must_be_text("reason", self.reason, 0, MAX_REASON)


class Outcome(enum.StrEnum):
    ACCEPTED = "accepted"
    """Taken, and not done yet: `why` says what it waits for."""
    DONE = "done"
    REFUSED = "refused"
    """Nothing was done; `why` says why."""


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """The device's answer, signed by it; the same command always gets the same answer."""

    command_id: Annotated[str, Meta(min_length=8, max_length=64)]
    device: Annotated[str, Meta(min_length=1, max_length=MAX_VALUE)]
    outcome: Outcome
    why: Annotated[str, Meta(max_length=MAX_REASON)] = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.command_id) or not 0 < len(self.device) <= MAX_VALUE:
            raise ValueError("expected a command id of 8 to 64 characters and a device")
        if len(self.why) > MAX_REASON:
            raise ValueError(f"why: expected at most {MAX_REASON} characters")


def kind_of_act(act: Act) -> str:
    """The tag it travels under, such as `manual_release`."""
    tag = act.__struct_config__.tag
    assert isinstance(tag, str)  # noqa: S101  every act declares a string tag
    return tag


def passage_of(act: Act) -> int | None:
    """The passage a command is about; None where it is about the whole device."""
    match act:
        case ManualRelease(passage=passage) | Supplement(passage=passage) | TakePictures(passage=passage):
            return passage
        case BoardText(passage=passage) if passage:
            return passage
        case _:
            return None


def _must_be_passage(passage: int) -> None:
    if not 1 <= passage <= MAX_PASSAGE:
        raise ValueError(f"passage: expected 1 to 2^62, got {passage}")


def _must_be_text(name: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or not all(char.isprintable() for char in text):
        raise ValueError(f"{name}: expected {least} to {most} printable characters")
