"""Commands at the device's end of the link: whose are believed, for how long, and how often (G10, G11)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.link.commands import MAX_COMMANDS
from sync.link.envelope import open_signed, signed_payload
from sync.link.keys import KeySigner, make_private
from sync.link.messages import Context
from sync.link.session import EdgeSession
from sync.link.words import (
    CommandAnswered,
    CommandCame,
    Connected,
    Connection,
    Disconnected,
    LinkEffect,
    Opened,
    Received,
    Refused,
    StatusWanted,
)
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.commands import (
    Act,
    AskStatus,
    BoardText,
    Command,
    CommandResult,
    LaneClose,
    ManualRelease,
    Outcome,
    Supplement,
)
from sync.vocabulary.numbers import UtcText
from tests.unit.test_link_session import (
    CONFIG,
    DEVICE,
    DEVICE_KEY,
    EPOCH,
    HUB,
    HUB_KEY,
    TOPICS,
    Story,
    notices,
    sent,
    status_of,
    utc,
)

COMMAND, RESULT = TOPICS.command(DEVICE), TOPICS.result(DEVICE)
FOREIGN = KeySigner(make_private(), "hub")
STATUS = TOPICS.status(DEVICE)


def nonces() -> Iterator[str]:
    return (f"{number:032x}" for number in itertools.count(1))


class Commanded(Story):
    """A session whose nonces are known beforehand: 1, 2, 3 …"""

    def __init__(self) -> None:
        super().__init__()
        made = nonces()
        self.session = EdgeSession(
            CONFIG,
            signer=KeySigner(DEVICE_KEY, DEVICE),
            keys={"hub": HUB_KEY.public_key(), DEVICE: DEVICE_KEY.public_key()},
            utc_at=utc,
            opened=Opened(EPOCH, 0, (), ()),
            new_nonce=lambda: next(made),
        )

    def told(self, command: Command, signer: KeySigner = HUB) -> list[LinkEffect]:
        return self.hears(COMMAND, Context.COMMAND, command, signer)

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.session.counts)


def command(connection: int = 1, **changes: Any) -> Command:
    made = Command(
        command_id="command-1",
        device=DEVICE,
        nonce=f"{connection:032x}",
        issued=UtcText("2026-01-31T08:00:00Z"),
        valid_s=30,
        officers=("4604001",),
        reason="checked",
        act=ManualRelease(passage=7),
    )
    return msgspec.structs.replace(made, **changes)


def came(effects: list[LinkEffect]) -> list[Command]:
    return [notice.command for notice in notices(effects) if isinstance(notice, CommandCame)]


def refused(effects: list[LinkEffect]) -> list[str]:
    return [notice.why for notice in notices(effects) if isinstance(notice, Refused)]


def results(effects: list[LinkEffect]) -> list[CommandResult]:
    keys = {DEVICE: DEVICE_KEY.public_key()}
    return [open_signed(payload, keys, Context.RESULT, CommandResult) for payload in sent(effects, RESULT)]


@pytest.fixture
def story() -> Commanded:
    story = Commanded()
    story.up()
    return story


# --- whose are believed -----------------------------------------------------------------------------------


def test_a_command_of_the_centre_for_this_connection_is_handed_on(story: Commanded) -> None:
    assert came(story.told(command())) == [command()]
    assert story.counts.get("refused", 0) == 0


def test_the_device_says_at_every_connect_what_a_command_must_quote() -> None:
    story = Commanded()
    first = status_of(sent(story.up(), STATUS)[-1])
    story.tell(Disconnected(Connection.ALARM, "gone"))
    second = status_of(sent(story.tell(Connected(Connection.ALARM)), STATUS)[-1])
    assert (first.nonce, second.nonce) == (f"{1:032x}", f"{2:032x}")


def test_a_device_that_hears_no_commands_says_none_to_quote(story: Commanded) -> None:
    story.tell(Disconnected(Connection.ALARM, "gone"))
    assert status_of(sent(story.tell(StatusWanted()), STATUS)[-1]).nonce == ""
    assert status_of(story.session.will(0.0)[1]).nonce == ""
    assert came(story.told(command(connection=0))) == []


def test_two_sessions_never_quote_the_same() -> None:
    told = [status_of(sent(Story().up(), STATUS)[-1]).nonce for _ in range(20)]
    assert len(set(told)) == 20
    assert {len(nonce) for nonce in told} == {32}


def test_yesterdays_command_is_void_in_todays_connection(story: Commanded) -> None:
    yesterday = command()
    story.told(yesterday)
    story.tell(Disconnected(Connection.ALARM, "gone"), Connected(Connection.ALARM))
    effects = story.told(yesterday)
    assert came(effects) == []
    assert refused(effects) == ["command command-1 is of another connection: void"]
    assert (story.counts["refused"], story.counts["commands_void"]) == (1, 1)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (command(device="lane-2"), "expected a command for lane-1"),
        (command(connection=2), "is of another connection"),
    ],
)
def test_what_is_not_for_us_now_is_refused_and_counted(story: Commanded, made: Command, why: str) -> None:
    effects = story.told(made)
    assert (came(effects), results(effects)) == ([], [])
    assert why in refused(effects)[0]
    assert story.counts["refused"] == 1


def test_without_the_centres_signature_for_commands_nothing_is_believed(story: Commanded) -> None:
    forged = [
        signed_payload(FOREIGN, Context.COMMAND, command()),
        signed_payload(KeySigner(DEVICE_KEY, DEVICE), Context.COMMAND, command()),
        signed_payload(HUB, Context.CLAIM_ANSWER, command()),
        to_json(command()),
    ]
    for payload in forged:
        assert came(story.tell(Received(COMMAND, payload))) == []
    assert story.counts["refused"] == len(forged)


def test_a_command_that_is_too_long_is_refused_unread(story: Commanded) -> None:
    effects = story.tell(Received(COMMAND, b"x" * 9_000))
    assert refused(effects) == ["9000 bytes, expected at most 8192"]


@given(payload=st.binary(max_size=300))
@settings(max_examples=30)
def test_garbage_is_refused_and_never_raises(payload: bytes) -> None:
    story = Commanded()
    story.up()
    assert came(story.tell(Received(COMMAND, payload))) == []
    assert story.counts.get("refused", 0) + story.counts.get("cleared", 0) == 1


@given(
    act=st.dictionaries(
        st.sampled_from(["type", "passage", "zh", "seconds", "field"]), st.text() | st.integers()
    )
)
@settings(max_examples=30)
def test_a_signed_command_that_makes_no_sense_is_refused_and_never_raises(act: dict[str, object]) -> None:
    story = Commanded()
    story.up()
    value = {**from_json(to_json(command()), dict), "act": act}
    effects = story.tell(Received(COMMAND, signed_payload(HUB, Context.COMMAND, value)))
    assert [isinstance(made.act, Act) for made in came(effects)] == [True] * len(came(effects))


# --- for how long -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issued", "valid_s", "good"),
    [
        ("2026-01-31T08:00:30Z", 30, True),
        ("2026-01-31T08:00:00Z", 30, True),
        ("2026-01-31T07:59:59Z", 30, False),
        ("2026-01-31T08:00:40Z", 30, True),
        ("2026-01-31T08:00:41Z", 30, False),
        ("2026-01-30T08:00:30Z", 300, False),
    ],
)
def test_a_command_is_good_for_its_time_and_no_longer(
    story: Commanded, issued: str, valid_s: int, good: bool
) -> None:
    story.at_s = 30.0
    effects = story.told(command(issued=UtcText(issued), valid_s=valid_s))
    assert bool(came(effects)) is good
    assert [result.outcome for result in results(effects)] == [Outcome.REFUSED] * (not good)


def test_one_that_came_too_late_is_not_done_when_it_comes_again(story: Commanded) -> None:
    story.at_s = 31.0
    story.told(command())
    story.at_s = 1.0
    effects = story.told(command())
    assert came(effects) == []
    assert [result.outcome for result in results(effects)] == [Outcome.REFUSED]


# --- how often --------------------------------------------------------------------------------------------


def test_the_same_command_is_handed_on_once_and_answered_as_often_as_it_comes(story: Commanded) -> None:
    story.told(command())
    assert (came(story.told(command())), results(story.effects)) == ([], [])
    first = results(story.tell(CommandAnswered("command-1", Outcome.DONE)))
    again = results(story.told(command()))
    assert first == again == [CommandResult(command_id="command-1", device=DEVICE, outcome=Outcome.DONE)]
    assert story.counts["commands_again"] == 2


def test_the_last_word_is_the_one_repeated(story: Commanded) -> None:
    story.told(command())
    story.tell(CommandAnswered("command-1", Outcome.ACCEPTED, "when the arm is down"))
    story.tell(CommandAnswered("command-1", Outcome.DONE))
    assert [result.outcome for result in results(story.told(command()))] == [Outcome.DONE]


def test_what_was_done_is_answered_also_after_the_connection_it_came_over(story: Commanded) -> None:
    story.told(command())
    story.tell(Disconnected(Connection.ALARM, "gone"))
    assert results(story.tell(CommandAnswered("command-1", Outcome.DONE))) == []
    story.tell(Connected(Connection.ALARM))
    assert len(results(story.tell(CommandAnswered("command-1", Outcome.DONE)))) == 1


def test_a_long_answer_is_cut_and_never_lost(story: Commanded) -> None:
    story.told(command())
    (result,) = results(story.tell(CommandAnswered("command-1", Outcome.REFUSED, "x" * 5_000)))
    assert len(result.why) == 200


def test_so_many_commands_that_the_first_would_be_forgotten_void_them_all(story: Commanded) -> None:
    """No command is done twice because it was pushed out of a memory."""
    for number in range(MAX_COMMANDS):
        effects = story.told(command(command_id=f"command-{number}", act=AskStatus()))
        assert len(came(effects)) == 1
    assert status_of(sent(effects, STATUS)[-1]).nonce == f"{2:032x}"
    assert came(story.told(command(command_id="command-0"))) == []
    assert story.counts["commands_void"] == 1
    assert len(came(story.told(command(connection=2, command_id="command-0")))) == 1


# --- what a command may say -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"command_id": "short"},
        {"command_id": "x" * 65},
        {"nonce": "0" * 31},
        {"nonce": "G" * 32},
        {"valid_s": 0},
        {"valid_s": 301},
        {"officers": ()},
        {"officers": ("1", "2", "3")},
        {"officers": ("1", "1")},
        {"officers": ("no such number!",)},
        {"reason": " "},
        {"reason": "x" * 201},
        {"reason": "line\nbreak"},
        {"device": ""},
    ],
)
def test_every_field_is_bounded(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        command(1, **changes)


@pytest.mark.parametrize(
    "act",
    [
        lambda: ManualRelease(passage=0),
        lambda: ManualRelease(passage=2**63),
        lambda: Supplement(passage=1, field="weight", value=""),
        lambda: Supplement(passage=1, field="weight", value="x" * 61),
        lambda: BoardText(preset=99),
        lambda: BoardText(preset=1, passage=-1),
        lambda: BoardText(preset=1, passage=2**63),
        lambda: BoardText(preset=1, zh="等", en="wait"),
        lambda: BoardText(zh="等" * 41, en="wait"),
        lambda: BoardText(zh="等", en=""),
        lambda: BoardText(zh="等\x1b[2J", en="wait"),
        lambda: BoardText(preset=1, seconds=601),
    ],
)
def test_every_field_of_an_act_is_bounded(act: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        act()  # type: ignore[operator]


def test_what_nobody_need_answer_for_needs_no_officer() -> None:
    assert command(act=AskStatus(), officers=(), reason="").officers == ()
    with pytest.raises(ValueError, match="an officer and a reason"):
        command(act=LaneClose(), officers=(), reason="")


def test_a_command_of_a_later_version_is_refused_and_told_and_the_next_one_is_taken(story: Commanded) -> None:
    """What an older lane does with an act it does not know: the centre hears nothing, and gives it up."""
    later = {**from_json(to_json(command()), dict), "act": {"type": "of_tomorrow", "passage": 7}}
    effects = story.hears(COMMAND, Context.COMMAND, later, HUB)
    assert (came(effects), results(effects)) == ([], [])
    (why,) = refused(effects)
    assert "of_tomorrow" in why
    # Said again every second, it is told no more often.
    assert refused(story.hears(COMMAND, Context.COMMAND, later, HUB)) == []
    assert len(came(story.told(command(command_id="command-2")))) == 1


def test_an_unknown_kind_is_malformed() -> None:
    value = {**from_json(to_json(command()), dict), "act": {"type": "lane_reset"}}
    with pytest.raises(Malformed, match="lane_reset"):
        from_json(to_json(value), Command)
