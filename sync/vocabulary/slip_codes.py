"""A release slip as a signed code on paper or a screen: what the centre approved, and when. Text <-> claims.

`KS1:` + base45 of zlib of a COSE_Sign1 (RFC 9052) whose payload is a CWT (RFC 8392), as the EU's health
certificates did it, with EdDSA (-8) and a prefix of our own. Everything is bounded, and read in one form
only. Nothing here says who signed: `parse` answers a code as read, and whoever believes it checks `signed`
against `signature` with the key the centre's records name (`sync.policy.shown_slips`). No clock, no records.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from sync.vocabulary import cbor, signed_codes
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, Plate, SlipNo, UtcText, utc_text
from sync.vocabulary.records import Binding, Direction, ReleaseSlip, SlipKind, SlipState
from sync.vocabulary.signed_codes import CWT as CWT
from sync.vocabulary.signed_codes import KID_BYTES as KID_BYTES
from sync.vocabulary.signed_codes import MAX_INFLATED as MAX_INFLATED
from sync.vocabulary.signed_codes import MAX_TEXT as MAX_TEXT
from sync.vocabulary.signed_codes import SIGNATURE_BYTES as SIGNATURE_BYTES
from sync.vocabulary.signed_codes import Unsigned, read_code
from sync.vocabulary.signed_codes import kid_of as kid_of
from sync.vocabulary.weights import MAX_KG

PREFIX = "KS1:"
MAX_CONTAINERS = 4
MAX_ISSUER = 64
MAX_CARD = 40
MAX_USES = 1_000
MAX_NUMBER = 2**62
MAX_TIME_S = 253_402_300_799
"""The last second of the year 9999."""
EPOCH_TAG_BYTES = 8

_ISSUER, _SUBJECT, _EXPIRES, _NOT_BEFORE, _ISSUED = 1, 2, 4, 5, 6
_SLIP = -65_537
"""A claim of our own: below -65536 is private use (RFC 8392, 9.1.1)."""
_CLAIMS = frozenset({_ISSUER, _SUBJECT, _EXPIRES, _NOT_BEFORE, _ISSUED, _SLIP})
_PLATE, _DIRECTION, _KIND, _BINDING, _AREA, _ENTERPRISE, _GRAMS, _USES = 1, 2, 3, 4, 5, 6, 7, 8
_CONTAINERS, _CARD, _EPOCH, _NUMBER = 9, 10, 11, 12
_REQUIRED = frozenset({_PLATE, _DIRECTION, _KIND, _BINDING, _AREA, _ENTERPRISE, _GRAMS, _EPOCH, _NUMBER})
_FIELDS = _REQUIRED | {_USES, _CONTAINERS, _CARD}
_GRAM = Decimal("0.001")


class SlipClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre approved. A slip for one named vehicle: a paper any vehicle may show can be copied."""

    slip_no: SlipNo
    plate: Plate
    direction: Direction
    kind: SlipKind
    binding: Binding
    customs_code: str
    enterprise: EnterpriseCode
    vehicle_kg: Decimal
    frame_kg: Decimal
    container_kg: Decimal
    cargo_gross_kg: Decimal
    uses_allowed: int = 1
    container_nos: tuple[ContainerNo, ...] = ()
    card_no: str = ""
    issuer: str
    issued: UtcText
    valid_from: UtcText
    expires: UtcText
    """Of the code; never after the slip itself."""
    feed_epoch: str
    """16 hex digits, the beginning of the scope's epoch when it was issued."""
    feed_number: int
    """The scope's number then: records that reached it in that epoch know all that the code knows."""


class ShownSlip(msgspec.Struct, frozen=True):
    """A code as read. Not yet believed."""

    claims: SlipClaims
    kid: str
    """16 hex digits."""
    signed: bytes
    """What the signature covers (Sig_structure)."""
    signature: bytes
    sha256: str
    """Of the whole COSE message, 64 hex digits: the same signed content always has the same one."""


def epoch_tag(epoch: str) -> str:
    """16 hex digits of a scope's epoch; an epoch that is no hex has a tag all the same."""
    tag = epoch[: 2 * EPOCH_TAG_BYTES].lower()
    try:
        whole = len(bytes.fromhex(tag)) == EPOCH_TAG_BYTES
    except ValueError:
        whole = False
    return tag if whole else hashlib.sha256(epoch.encode()).hexdigest()[: 2 * EPOCH_TAG_BYTES]


def as_slip(claims: SlipClaims) -> ReleaseSlip:
    """The slip as the lane's rules read one: approved, with what the code says and nothing else."""
    return ReleaseSlip(
        slip_no=claims.slip_no,
        direction=claims.direction,
        kind=claims.kind,
        binding=claims.binding,
        plate=claims.plate,
        card_no=claims.card_no,
        container_nos=claims.container_nos,
        vehicle_kg=claims.vehicle_kg,
        frame_kg=claims.frame_kg,
        container_kg=claims.container_kg,
        cargo_gross_kg=claims.cargo_gross_kg,
        total_kg=claims.vehicle_kg + claims.frame_kg + claims.container_kg + claims.cargo_gross_kg,
        enterprise=claims.enterprise,
        customs_code=claims.customs_code,
        state=SlipState.APPROVED,
        valid_from=claims.valid_from,
        valid_until=claims.expires,
        uses_allowed=claims.uses_allowed,
    )


# --- claims -> text ---------------------------------------------------------------------------------------


def text_of(message: bytes) -> str:
    """A COSE message as the text of a code."""
    return signed_codes.text_of(PREFIX, message)


def unsigned(claims: SlipClaims, kid: str) -> Unsigned:
    """Raises `Malformed` where a claim is beyond what a code may say."""
    fields: dict[int, object] = {
        _PLATE: str(claims.plate),
        _DIRECTION: claims.direction.value,
        _KIND: int(claims.kind.value),
        _BINDING: int(claims.binding.value),
        _AREA: claims.customs_code,
        _ENTERPRISE: str(claims.enterprise),
        _GRAMS: [
            int(kg / _GRAM)
            for kg in (claims.vehicle_kg, claims.frame_kg, claims.container_kg, claims.cargo_gross_kg)
        ],
        _EPOCH: bytes.fromhex(claims.feed_epoch),
        _NUMBER: claims.feed_number,
    }
    if claims.uses_allowed != 1:
        fields[_USES] = claims.uses_allowed
    if claims.container_nos:
        fields[_CONTAINERS] = [str(number) for number in claims.container_nos]
    if claims.card_no:
        fields[_CARD] = claims.card_no
    payload = {
        _ISSUER: claims.issuer,
        _SUBJECT: str(claims.slip_no),
        _EXPIRES: _seconds(claims.expires),
        _NOT_BEFORE: _seconds(claims.valid_from),
        _ISSUED: _seconds(claims.issued),
        _SLIP: fields,
    }
    made = signed_codes.unsigned(PREFIX, payload, kid)
    if _claims(made.payload) != claims:
        raise Malformed("a slip code has times in whole seconds and weights in whole grams")
    return made


def _seconds(utc: UtcText) -> int:
    return int(datetime.fromisoformat(utc).timestamp())


# --- text -> claims ---------------------------------------------------------------------------------------


def parse(text: str) -> ShownSlip:
    """Raises `Malformed` naming what was expected. Says nothing of who signed."""
    code = read_code(PREFIX, text, "slip code")
    return ShownSlip(_claims(code.payload), code.kid, code.signed, code.signature, code.sha256)


def _claims(payload: bytes) -> SlipClaims:
    claims = cbor.read(payload)
    if not isinstance(claims, dict) or claims.keys() != _CLAIMS:
        raise Malformed(f"expected the claims {sorted(_CLAIMS)}")
    slip = claims[_SLIP]
    if not isinstance(slip, dict) or not _REQUIRED <= slip.keys() <= _FIELDS:
        raise Malformed(f"expected the fields {sorted(_REQUIRED)} of a slip")
    grams = slip[_GRAMS]
    containers = slip.get(_CONTAINERS, [])
    if not isinstance(grams, list) or len(grams) != 4:
        raise Malformed("expected four weights")
    if not isinstance(containers, list) or len(containers) > MAX_CONTAINERS:
        raise Malformed(f"expected at most {MAX_CONTAINERS} containers")
    vehicle_kg, frame_kg, container_kg, cargo_gross_kg = (
        Decimal(_whole("a weight in grams", each, 0, int(MAX_KG / _GRAM))) * _GRAM for each in grams
    )
    epoch = slip[_EPOCH]
    if not isinstance(epoch, bytes) or len(epoch) != EPOCH_TAG_BYTES:
        raise Malformed(f"expected {EPOCH_TAG_BYTES} bytes of the scope's epoch")
    try:
        made = SlipClaims(
            slip_no=SlipNo(_text("sub", claims[_SUBJECT], 24)),
            plate=Plate(_text("plate", slip[_PLATE], 8)),
            direction=Direction(_text("direction", slip[_DIRECTION], 1)),
            kind=SlipKind(str(_whole("kind", slip[_KIND], 1, 9))),
            binding=Binding(str(_whole("binding", slip[_BINDING], 1, 9))),
            customs_code=_text("customs code", slip[_AREA], 8, empty=True),
            enterprise=EnterpriseCode(_text("enterprise", slip[_ENTERPRISE], 18)),
            vehicle_kg=vehicle_kg,
            frame_kg=frame_kg,
            container_kg=container_kg,
            cargo_gross_kg=cargo_gross_kg,
            uses_allowed=_whole("uses", slip.get(_USES, 1), 1, MAX_USES),
            container_nos=tuple(ContainerNo(_text("container", each, 11)) for each in containers),
            card_no=_text("card", slip.get(_CARD, ""), MAX_CARD, empty=True),
            issuer=_text("iss", claims[_ISSUER], MAX_ISSUER),
            issued=_utc("iat", claims[_ISSUED]),
            valid_from=_utc("nbf", claims[_NOT_BEFORE]),
            expires=_utc("exp", claims[_EXPIRES]),
            feed_epoch=epoch.hex(),
            feed_number=_whole("number", slip[_NUMBER], 0, MAX_NUMBER),
        )
    except ValueError as error:
        raise Malformed(f"slip code: {error}") from error
    if not made.valid_from < made.expires or not made.issued < made.expires:
        raise Malformed("a slip code ends after it is issued and after it begins")
    return made


def _text(name: str, value: cbor.Value, longest: int, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (0 if empty else 1) <= len(value) <= longest:
        raise Malformed(f"{name}: expected text of at most {longest} characters")
    if not value.isprintable():
        raise Malformed(f"{name}: expected text that can be printed")
    return value


def _whole(name: str, value: cbor.Value, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise Malformed(f"{name}: expected a whole number from {least} to {most}")
    return value


def _utc(name: str, value: cbor.Value) -> UtcText:
    moment = datetime.fromtimestamp(_whole(name, value, 0, MAX_TIME_S), UTC)
    return UtcText(utc_text(moment, whole_seconds=True))
