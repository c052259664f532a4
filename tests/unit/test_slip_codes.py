"""Signed slip codes: claims travel whole or not at all, and only what the hub's key signed is believed.

The other end is the `cwt` library in both directions; the tables repeat the rules of the EU's public test
cases (kid: CO22 and CO23, tags: CO28) with keys and claims of our own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import base45
import cbor2
import cwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSEKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sync.link.keys import private_pem, public_pem, signed_by
from sync.vocabulary import cbor
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, Plate, SlipNo, UtcText
from sync.vocabulary.records import Binding, Direction, SlipKind, SlipState
from sync.vocabulary.slip_codes import (
    MAX_INFLATED,
    MAX_TEXT,
    PREFIX,
    ShownSlip,
    SlipClaims,
    as_slip,
    epoch_tag,
    kid_of,
    parse,
    text_of,
    unsigned,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
KID = kid_of(PUBLIC.public_bytes_raw())
OTHER_KID = "00" * 8
CLAIMS = SlipClaims(
    slip_no=SlipNo("Z4604I261122000000000003"),
    plate=Plate("豫A12345"),
    direction=Direction.IN,
    kind=SlipKind.SECOND_LINE,
    binding=Binding.ONE_SLIP,
    customs_code="4604",
    enterprise=EnterpriseCode("4101960001"),
    vehicle_kg=Decimal("8000.000"),
    frame_kg=Decimal("0.000"),
    container_kg=Decimal("2300.000"),
    cargo_gross_kg=Decimal("12345.678"),
    issuer="zhengzhou-south",
    issued=UtcText("2026-11-22T03:00:00Z"),
    valid_from=UtcText("2026-11-22T00:00:00Z"),
    expires=UtcText("2026-11-23T00:00:00Z"),
    feed_epoch="ab" * 8,
    feed_number=12_345,
)
FULL = replace(
    CLAIMS,
    uses_allowed=3,
    container_nos=(ContainerNo("MSCU6639870"), ContainerNo("TGHU7599330")),
    card_no="0012345678",
)
PROTECTED = {1: -8, 4: bytes.fromhex(KID)}


def code(claims: SlipClaims = CLAIMS, key: Ed25519PrivateKey = KEY) -> str:
    made = unsigned(claims, kid_of(key.public_key().public_bytes_raw()))
    return made.text(key.sign(made.signed))


def holds(shown: ShownSlip) -> bool:
    return signed_by(PUBLIC, shown.signed, shown.signature)


def message_of(text: str) -> bytes:
    return zlib.decompress(base45.b45decode(text.removeprefix(PREFIX)))


def payload_of(text: str) -> Any:
    return cbor2.loads(cbor2.loads(message_of(text)).value[2])


def crafted(
    payload: Any = None,
    *,
    protected: Mapping[int, Any] | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    tags: tuple[int, ...] = (18,),
    raw_payload: bytes | None = None,
) -> str:
    """A code made by a general encoder and our key, whatever is in it."""
    signed = cbor2.dumps(PROTECTED if protected is None else protected)
    body = raw_payload if raw_payload is not None else cbor2.dumps(payload or payload_of(code()))
    signature = KEY.sign(cbor2.dumps(["Signature1", signed, b"", body]))
    value: Any = [signed, dict(unprotected or {}), body, signature]
    for tag in reversed(tags):
        value = cbor2.CBORTag(tag, value)
    return text_of(cbor2.dumps(value))


def changed(**claims: Any) -> str:
    """Signed by the right key, and one claim or field of the slip says something else."""
    payload = payload_of(code(FULL))
    for name, value in claims.items():
        table, key = (payload[-65_537], int(name[1:])) if name[0] == "f" else (payload, int(name[1:]))
        if value is None:
            del table[key]
        else:
            table[key] = value
    return crafted(payload)


# --- whole or not at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", [CLAIMS, FULL])
def test_what_was_signed_comes_back_and_the_signature_holds(claims: SlipClaims) -> None:
    shown = parse(code(claims))
    assert (shown.claims, shown.kid) == (claims, KID)
    assert holds(shown)


def test_a_slip_of_usual_size_fits_a_small_qr_code() -> None:
    """Version 11 with correction M holds 366 alphanumeric characters (ISO/IEC 18004, table 7)."""
    assert len(code()) <= 366
    assert set(code()) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
    assert code().strip() == code()


def test_the_slip_a_lane_reads_from_it_is_approved_and_says_what_the_code_says() -> None:
    slip = as_slip(FULL)
    assert (slip.state, slip.total_kg, slip.valid_until) == (
        SlipState.APPROVED,
        Decimal("22645.678"),
        FULL.expires,
    )
    assert (slip.slip_no, slip.plate, slip.uses_allowed) == (FULL.slip_no, FULL.plate, 3)
    assert (slip.container_nos, slip.card_no) == (FULL.container_nos, FULL.card_no)


def test_no_byte_of_a_code_can_be_changed() -> None:
    """Every character to every other one: refused, or not signed. What zlib ignores (fill bits before its
    check sum, its own level) may differ; then it is byte for byte the same signed message."""
    text, whole = code(), parse(code())
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
    believed = []
    for place in range(len(text)):
        for char in alphabet.replace(text[place], ""):
            spoilt = text[:place] + char + text[place + 1 :]
            try:
                shown = parse(spoilt)
            except Malformed:
                continue
            if holds(shown):
                believed.append(shown)
    assert {shown.sha256 for shown in believed} == {whole.sha256}
    assert all(shown == whole for shown in believed)


def test_no_bit_of_the_signed_message_can_be_flipped() -> None:
    message = message_of(code(FULL))
    refused = 0
    for bit in range(8 * len(message)):
        spoilt = bytearray(message)
        spoilt[bit // 8] ^= 1 << bit % 8
        try:
            refused += not holds(parse(text_of(bytes(spoilt))))
        except Malformed:
            refused += 1
    assert refused == 8 * len(message)


@pytest.mark.parametrize("cut", range(1, 330, 7))
def test_a_cut_off_code_is_no_code(cut: int) -> None:
    with pytest.raises(Malformed):
        parse(code()[:-cut])


@given(st.text(max_size=400))
def test_any_other_text_is_refused_and_nothing_else(text: str) -> None:
    for given_text in (text, PREFIX + text):
        with pytest.raises(Malformed):
            parse(given_text)


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_prefix_are_refused_and_nothing_else(data: bytes) -> None:
    for packed in (data, zlib.compress(data), zlib.compress(b"\xd2" + data)):
        with pytest.raises(Malformed):
            parse(PREFIX + base45.b45encode(packed).decode())


def test_what_inflates_to_more_than_a_slip_is_not_inflated() -> None:
    bomb = PREFIX + base45.b45encode(zlib.compress(bytes(600_000), 9)).decode()
    assert len(bomb) < MAX_TEXT
    with pytest.raises(Malformed, match=f"at most {MAX_INFLATED} bytes"):
        parse(bomb)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HC1:" + code()[4:], "beginning with KS1:"),
        (PREFIX + "A" * MAX_TEXT, "at most 1500 characters"),
        (PREFIX + base45.b45encode(zlib.compress(message_of(code())) + b"\0").decode(), "go on behind"),
        (PREFIX + base45.b45encode(zlib.compress(message_of(code()))[2:]).decode(), "expected zlib"),
        (code().replace("A", "a"), "expected base45"),
        (code() + "\u0661", "expected base45"),
        (text_of(message_of(code()) + b"\x00"), "behind the end of the value"),
    ],
)
def test_what_is_not_in_the_one_form_is_refused(text: str, expected: str) -> None:
    with pytest.raises(Malformed, match=expected):
        parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"c2": "Z4604X261122000000000003"},
        {"c1": ""},
        {"c1": "x" * 65},
        {"c1": "zheng\x00zhou"},
        {"c4": 2**60},
        {"c4": -1},
        {"c4": 1.5},
        {"c4": 0},
        {"c6": 4_102_444_800},
        {"c7": 1},
        {"c2": None},
        {"f1": "豫I12345"},
        {"f1": None},
        {"f2": "X"},
        {"f3": 7},
        {"f4": 0},
        {"f7": [1, 2, 3]},
        {"f7": [1, 2, 3, -1]},
        {"f7": [1, 2, 3, 1_000_000_000]},
        {"f7": [1, 2, 3, "4"]},
        {"f8": 0},
        {"f8": 1001},
        {"f9": ["MSCU6639871"]},
        {"f9": ["MSCU6639870"] * 5},
        {"f10": "1" * 41},
        {"f11": b"1234567"},
        {"f12": -1},
        {"f12": 2**63},
        {"f13": 1},
    ],
)
def test_a_claim_out_of_its_bounds_is_refused_though_it_is_signed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse(changed(**wrong))


def test_claims_that_a_code_cannot_carry_are_not_signed() -> None:
    for odd in (
        replace(CLAIMS, vehicle_kg=Decimal("0.0005")),
        replace(CLAIMS, issued=UtcText("2026-11-22T03:00:00.5Z")),
        replace(CLAIMS, expires=CLAIMS.issued),
        replace(CLAIMS, uses_allowed=0),
    ):
        with pytest.raises(Malformed):
            unsigned(odd, KID)


# --- CBOR -------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(-(2**40), 2**40), inner, max_size=4)
    ),
    max_leaves=8,
).filter(lambda value: len(cbor2.dumps(value)) <= 400)


@given(VALUES)
def test_the_strict_reader_agrees_with_a_general_one(value: Any) -> None:
    data = cbor2.dumps(value)
    try:
        assert cbor.read(data) == cbor2.loads(data) == value
    except Malformed as error:
        assert "deeper" in str(error)  # noqa: PT017  the only thing it may mind


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_the_strict_reader_refuses_or_reads_the_one_shortest_form(data: bytes) -> None:
    try:
        value = cbor.read(data)
    except Malformed:
        return
    assert cbor2.dumps(_general(value)) == data


def _general(value: cbor.Value) -> Any:
    match value:
        case cbor.Tagged(tag, inner):
            return cbor2.CBORTag(tag, _general(inner))
        case list():
            return [_general(each) for each in value]
        case dict():
            return {key: _general(each) for key, each in value.items()}
        case _:
            return value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a2010201 03", "key 1 twice"),
        ("f93c00", "floats"),
        ("fb3ff0000000000000", "floats"),
        ("f6", "floats and simple"),
        ("5f4101ff", "indefinite"),
        ("9fff", "indefinite"),
        ("1801", "longer than it need be"),
        ("1b0000000000000001", "longer than it need be"),
        ("a1616101", "whole numbers as keys"),
        ("62ff41", "not UTF-8"),
        ("9bffffffffffffffff", "middle of a value"),
        ("5bffffffffffffffff", "middle of a value"),
        ("81" * 8 + "00", "deeper"),
        ("d2" * 8 + "00", "deeper"),
        ("", "middle of a value"),
        ("00" * 3000, "at most 2048"),
    ],
)
def test_what_a_strict_reader_does_not_take(data: str, expected: str) -> None:
    with pytest.raises(Malformed, match=expected):
        cbor.read(bytes.fromhex(data.replace(" ", "")))


# --- the rules of the EU's test cases, with our own keys --------------------------------------------------


@pytest.mark.parametrize(
    ("case", "protected", "unprotected", "kid"),
    [
        ("in the protected header", {1: -8, 4: bytes.fromhex(KID)}, {}, KID),
        ("in the unprotected header only", {1: -8}, {4: bytes.fromhex(KID)}, KID),
        ("in both", {1: -8, 4: bytes.fromhex(KID)}, {4: bytes.fromhex(KID)}, KID),
        ("CO22: protected right, unprotected wrong", {1: -8, 4: bytes.fromhex(KID)}, {4: bytes(8)}, KID),
        (
            "CO23: protected wrong, unprotected right",
            {1: -8, 4: bytes(8)},
            {4: bytes.fromhex(KID)},
            OTHER_KID,
        ),
    ],
)
def test_the_protected_key_id_wins(
    case: str, protected: dict[int, Any], unprotected: dict[int, Any], kid: str
) -> None:
    assert parse(crafted(protected=protected, unprotected=unprotected)).kid == kid, case


@pytest.mark.parametrize(
    ("protected", "unprotected", "expected"),
    [
        ({1: -8}, {}, "key id of 8 bytes"),
        ({1: -8, 4: b"short"}, {}, "key id of 8 bytes"),
        ({1: -8, 4: 7}, {4: bytes.fromhex(KID)}, "key id of 8 bytes"),
        ({1: -7, 4: bytes.fromhex(KID)}, {}, "expected EdDSA"),
        ({4: bytes.fromhex(KID)}, {1: -8}, "expected EdDSA"),
        ({1: -8, 2: [99], 99: 1, 4: bytes.fromhex(KID)}, {}, "nothing but algorithm and key id"),
        (PROTECTED, {1: -8}, "nothing but algorithm and key id"),
    ],
)
def test_headers_that_are_refused(
    protected: dict[int, Any], unprotected: dict[int, Any], expected: str
) -> None:
    with pytest.raises(Malformed, match=expected):
        parse(crafted(protected=protected, unprotected=unprotected))


@pytest.mark.parametrize(("tags", "good"), [((18,), True), ((61, 18), True)])
def test_a_cwt_tag_may_stand_around_the_cose_tag(tags: tuple[int, ...], good: bool) -> None:
    """CO28."""
    shown = parse(crafted(tags=tags))
    assert (shown.claims, holds(shown)) == (CLAIMS, good)


@pytest.mark.parametrize("tags", [(), (61,), (18, 61), (61, 61, 18), (18, 18), (98,), (17,), (55799, 18)])
def test_other_tags_and_none_are_refused(tags: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        parse(crafted(tags=tags))


def test_two_equal_keys_in_signed_claims_are_refused_not_chosen_from() -> None:
    payload = cbor2.dumps(payload_of(code()))
    assert payload[0] == 0xA6
    twice = b"\xa7" + payload[1:] + cbor2.dumps(4) + cbor2.dumps(2_000_000_000)
    with pytest.raises(Malformed, match="key 4 twice"):
        parse(crafted(raw_payload=twice))


# --- the other implementation -----------------------------------------------------------------------------


def test_a_foreign_library_reads_our_code() -> None:
    key = COSEKey.from_pem(public_pem(PUBLIC), kid=bytes.fromhex(KID), alg="EdDSA")
    # It asks the clock of today.
    valid = code(replace(CLAIMS, expires=UtcText("2099-01-01T00:00:00Z")))
    assert cwt.decode(message_of(valid), keys=key) == payload_of(valid)


def test_we_read_what_a_foreign_library_signs() -> None:
    key = COSEKey.from_pem(private_pem(KEY), kid=bytes.fromhex(KID), alg="EdDSA")
    for tagged in (False, True):
        message = cwt.encode(payload_of(code(FULL)), key, tagged=tagged)
        shown = parse(text_of(message))
        assert shown.claims == FULL
        assert holds(shown)


def test_a_foreign_key_signs_nothing_for_us() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = unsigned(CLAIMS, KID)
    shown = parse(forged.text(other.sign(forged.signed)))
    assert shown.kid == KID
    assert not holds(shown)


def test_an_epoch_has_a_tag_whatever_it_looks_like() -> None:
    assert epoch_tag("AB" * 16) == "ab" * 8
    assert len(bytes.fromhex(epoch_tag("epoch-1"))) == 8
