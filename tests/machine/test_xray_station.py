"""Plays of the X-ray station: what passes, by whom, and everything that keeps a parcel from passing."""

from __future__ import annotations

from edge.xray_bridge.effects import Commit, Pulse
from edge.xray_bridge.values import Verdict
from sync.vocabulary.xray_facts import DivertOrdered, ParcelSorted, ParcelXRayed
from tests.machine.xray_plays import Play, goods, kinds, of_kind, pulses

# --- passing ----------------------------------------------------------------------------------------------


def test_a_parcel_against_which_nothing_speaks_passes_by_itself() -> None:
    play = Play()
    play.put()
    new = play.roll(12_000.0)
    assert pulses(new) == [("pass", 1)]
    assert kinds(new) == [
        "parcel_seen",
        "picture_told",
        "parcel_x_rayed",
        "divert_ordered",
        "parcel_sorted",
    ]
    told = of_kind(new, ParcelXRayed)[0]
    assert (told.verdict, told.by, told.reasons) == ("passed", "machine", ("clear",))
    ended = of_kind(new, ParcelSorted)[0]
    assert (ended.verdict, ended.ordered, ended.seen, ended.confirmed) == ("passed", "pass", "pass", True)


def test_the_order_is_durable_before_the_pulse() -> None:
    play = Play()
    play.put()
    new = play.roll(12_000.0)
    at = next(n for n, effect in enumerate(new) if isinstance(effect, Pulse))
    commit = new[at - 1]
    assert isinstance(commit, Commit)
    assert any(isinstance(told.data, DivertOrdered) for told in commit.facts)


def test_an_officer_passes_what_the_machine_does_not() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(text, control="C-1")
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    assert play.in_hand() is not None
    new = [*play.judge(Verdict.PASSED), *play.roll(8_000.0)]
    assert pulses(new) == [("pass", 1)]
    told = of_kind(new, ParcelXRayed)[0]
    assert (told.verdict, told.by, told.officer) == ("passed", "officer", "0017")
    assert told.reasons == ("judged", "control: C-1")
