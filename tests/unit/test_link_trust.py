"""Keys that vouch for the next one (G6, G10): what is believed, and what never is."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.link.keys import Forged, make_private, sign
from sync.link.messages import MAX_STATEMENTS, Context, KeyChain, KeyStatement
from sync.link.trust import (
    RollRefused,
    Trust,
    kid_of,
    known_kids,
    read_chain,
    rolled,
    signing_kid,
)
from sync.vocabulary.codec import Malformed, to_json

NAME, UTC = "hub", "2026-03-01T08:00:00Z"
FIRST, SECOND, THIRD = make_private(), make_private(), make_private()
KID = {key: kid_of(NAME, key.public_key()) for key in (FIRST, SECOND, THIRD)}
ONE = rolled(NAME, FIRST, SECOND.public_key(), b"", issued=UTC)
TWO = rolled(NAME, SECOND, THIRD.public_key(), ONE, issued=UTC)


def pinned(key: Ed25519PrivateKey = FIRST) -> Trust:
    return Trust.of(NAME, key.public_key())


def statement(signer: Ed25519PrivateKey, signs_as: str, **fields: object) -> bytes:
    """A chain of one statement, with whatever a liar writes into it."""
    given: dict[str, object] = {
        "name": NAME,
        "number": 2,
        "replaces": KID[FIRST],
        "kid": KID[SECOND],
        "public_key": base64.b64encode(SECOND.public_key().public_bytes_raw()).decode(),
        "issued": UTC,
    } | fields
    body = to_json(KeyStatement(**given))  # type: ignore[arg-type]
    return to_json(KeyChain((sign(signer, signs_as, Context.KEYS, body),)))


def test_a_pinned_key_is_believed_under_its_own_and_the_bare_name() -> None:
    assert set(pinned().keys) == {NAME, KID[FIRST]}


def test_the_old_key_vouches_for_the_new_and_both_are_believed() -> None:
    trust = pinned().told(ONE)
    assert (trust.current, trust.number) == (KID[SECOND], 2)
    assert set(trust.keys) == {NAME, KID[FIRST], KID[SECOND]}


def test_a_chain_of_several_is_followed_in_one_go_and_step_by_step() -> None:
    assert pinned().told(TWO) == pinned().told(ONE).told(TWO)
    assert pinned().told(TWO).current == KID[THIRD]


def test_a_chain_that_says_nothing_new_changes_nothing() -> None:
    trust = pinned().told(TWO)
    assert trust.told(TWO) is trust


def test_an_older_chain_is_refused() -> None:
    with pytest.raises(Forged, match="1 statements, 2 are known already"):
        pinned().told(TWO).told(ONE)
    with pytest.raises(Forged, match="0 statements"):
        pinned().told(ONE).told(to_json(KeyChain(())))


def test_another_history_is_refused() -> None:
    """A thief of the first key vouches for one of his own, after the second was known."""
    theirs = rolled(NAME, FIRST, THIRD.public_key(), b"", issued=UTC)
    longer = rolled(NAME, THIRD, make_private().public_key(), theirs, issued=UTC)
    for chain in (theirs, longer):
        with pytest.raises(Forged, match="another history"):
            pinned().told(ONE).told(chain)


def test_a_revoked_key_is_believed_under_no_name() -> None:
    chain = rolled(NAME, SECOND, SECOND.public_key(), ONE, issued=UTC, revoke=[KID[FIRST]])
    trust = pinned().told(chain)
    assert set(trust.keys) == {KID[SECOND]}
    assert trust.revoked == {KID[FIRST]}


def test_revoked_stays_revoked_with_every_later_statement() -> None:
    chain = rolled(NAME, SECOND, SECOND.public_key(), ONE, issued=UTC, revoke=[KID[FIRST]])
    later = rolled(NAME, SECOND, THIRD.public_key(), chain, issued=UTC)
    assert set(pinned().told(later).keys) == {KID[SECOND], KID[THIRD]}


def test_a_machine_enrolled_later_begins_with_the_key_it_was_given() -> None:
    assert pinned(SECOND).told(TWO).current == KID[THIRD]
    assert pinned(THIRD).told(TWO).current == KID[THIRD]
    assert pinned(THIRD).told(TWO) == pinned(THIRD)


def test_a_stranger_vouches_for_nobody() -> None:
    stranger = make_private()
    for chain in (
        statement(stranger, NAME),
        statement(stranger, KID[FIRST]),
        statement(stranger, kid_of(NAME, stranger.public_key())),
    ):
        with pytest.raises(Forged):
            pinned().told(chain)


def test_a_key_that_is_no_longer_in_force_vouches_for_nobody() -> None:
    body = to_json(
        KeyStatement(
            name=NAME, number=3, replaces=KID[SECOND], kid=KID[THIRD], issued=UTC,
            public_key=base64.b64encode(THIRD.public_key().public_bytes_raw()).decode(),
        )
    )  # fmt: skip
    for kid in (NAME, KID[FIRST]):
        chain = KeyChain((*read_chain(ONE).statements, sign(FIRST, kid, Context.KEYS, body)))
        with pytest.raises(Forged):
            pinned().told(to_json(chain))


@pytest.mark.parametrize(
    "lie",
    [
        {"name": "lane-1"},
        {"number": 1},
        {"number": 3},
        {"kid": KID[THIRD]},
        {"replaces": KID[THIRD]},
        {"public_key": "AAAA"},
        {"public_key": "not base64!"},
        {"issued": "yesterday"},
        {"revoked": (KID[SECOND],)},
        {"revoked": tuple(f"hub-{number}" for number in range(100))},
    ],
)
def test_a_statement_that_contradicts_itself_is_refused(lie: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        pinned().told(statement(FIRST, NAME, **lie))


def test_a_statement_made_for_another_purpose_is_none() -> None:
    body = read_chain(ONE).statements[0].body
    chain = KeyChain((sign(FIRST, NAME, Context.STATUS, body),))
    with pytest.raises(Forged):
        pinned().told(to_json(chain))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff\xfe", b'{"statements":{}}', b"[" * 50_000])
def test_what_is_no_chain_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        pinned().told(payload)


def test_a_chain_too_long_is_refused_by_its_maker_and_by_its_reader() -> None:
    chain, key = b"", FIRST
    for _ in range(MAX_STATEMENTS):
        new = make_private()
        chain, key = rolled(NAME, key, new.public_key(), chain, issued=UTC), new
    assert pinned().told(chain).number == MAX_STATEMENTS + 1
    with pytest.raises(RollRefused, match="pin its key anew"):
        rolled(NAME, key, make_private().public_key(), chain, issued=UTC)
    statements = read_chain(chain).statements
    with pytest.raises(Malformed, match="length <= 32"):
        read_chain(to_json(KeyChain((*statements, statements[0]))))


def test_the_first_key_signs_in_the_bare_name_and_a_later_one_in_its_own() -> None:
    assert signing_kid(NAME, FIRST.public_key(), b"") == NAME
    assert signing_kid(NAME, SECOND.public_key(), ONE) == KID[SECOND]
    with pytest.raises(RollRefused, match="expected"):
        signing_kid(NAME, FIRST.public_key(), ONE)


def test_only_the_key_in_force_makes_statements_and_no_key_comes_back() -> None:
    with pytest.raises(RollRefused):
        rolled(NAME, FIRST, THIRD.public_key(), ONE, issued=UTC)
    with pytest.raises(RollRefused, match="in force before"):
        rolled(NAME, SECOND, FIRST.public_key(), ONE, issued=UTC)
    with pytest.raises(RollRefused, match="no longer in force"):
        rolled(NAME, SECOND, SECOND.public_key(), ONE, issued=UTC, revoke=[KID[SECOND]])
    with pytest.raises(RollRefused, match="no longer in force"):
        rolled(NAME, SECOND, SECOND.public_key(), ONE, issued=UTC, revoke=["hub-0000000000000000"])
    assert known_kids(NAME, THIRD.public_key(), TWO) == (KID[FIRST], KID[SECOND], KID[THIRD])
