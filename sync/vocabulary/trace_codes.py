"""溯源码: one outbound parcel's own code, and the signed text of it on its label. Text <-> claims.

The code itself is what records know the parcel by; the label's text is the same code under the centre's
signature (`sync.vocabulary.signed_codes`, prefix `KT1:`), so that a label nobody issued is known without any
record. No clock, no records, no key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from sync.vocabulary import cbor, signed_codes
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import UtcText, WaybillNo, utc_text
from sync.vocabulary.signed_codes import Unsigned, read_code

PREFIX: Final = "KT1:"
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's 32: no I, L, O, U."""
RANDOM_CHARACTERS: Final = 10
"""50 bits besides the day: nobody guesses another parcel's code."""
_CODE: Final = re.compile(rf"KT[0-9]{{6}}[{ALPHABET}]{{{RANDOM_CHARACTERS + 1}}}")
MAX_CODE: Final = 64
"""Of codes that others gave and that are only signed here."""
MAX_ISSUER: Final = 64
MAX_TIME_S: Final = 253_402_300_799

_ISSUER, _SUBJECT, _ISSUED = 1, 2, 6
_TRACE: Final = -65_538
"""A claim of our own, beside that of slips: private use (RFC 8392, 9.1.1). It keeps the two apart under
one key."""
_CLAIMS: Final = frozenset({_ISSUER, _SUBJECT, _ISSUED, _TRACE})
_WAYBILL: Final = 1


class TraceClaims(msgspec.Struct, frozen=True, kw_only=True):
    trace_code: str
    waybill_no: WaybillNo
    issuer: str
    issued: UtcText


class ShownTrace(msgspec.Struct, frozen=True):
    """A label's text as read. Not yet believed."""

    claims: TraceClaims
    kid: str
    signed: bytes
    signature: bytes


def new_code(day: str, pick: Callable[[int], int]) -> str:
    """`day` as `2026-11-22`; `pick(n)` draws from 0 to n - 1, unpredictably."""
    drawn = "".join(ALPHABET[pick(32)] for _ in range(RANDOM_CHARACTERS))
    body = f"{day[2:4]}{day[5:7]}{day[8:10]}{drawn}"
    return f"KT{body}{_check(body)}"


def is_ours(code: str) -> bool:
    """Whether it is a code made here, whole and typed right."""
    return _CODE.fullmatch(code) is not None and _check(code[2:-1]) == code[-1]


def _check(body: str) -> str:
    """Luhn's sum over 32 characters: any one wrong is noticed, and all neighbours exchanged but 0 and Z."""
    total = 0
    for place, each in enumerate(reversed(body)):
        value = ALPHABET.index(each) * (2 if place % 2 == 0 else 1)
        total += value // 32 + value % 32
    return ALPHABET[-total % 32]


def code_in(text: str) -> str:
    """The trace code a label's text carries, whoever signed it; any other text as it is."""
    if not text.startswith(PREFIX):
        return text
    try:
        return parse(text).claims.trace_code
    except Malformed:
        return text


def unsigned(claims: TraceClaims, kid: str) -> Unsigned:
    """Raises `Malformed` where a claim is beyond what a code may say."""
    payload = {
        _ISSUER: claims.issuer,
        _SUBJECT: claims.trace_code,
        _ISSUED: int(datetime.fromisoformat(claims.issued).timestamp()),
        _TRACE: {_WAYBILL: str(claims.waybill_no)},
    }
    made = signed_codes.unsigned(PREFIX, payload, kid)
    if _claims(made.payload) != claims:
        raise Malformed("a trace code has its time in whole seconds")
    return made


def parse(text: str) -> ShownTrace:
    """Raises `Malformed` naming what was expected. Says nothing of who signed."""
    code = read_code(PREFIX, text, "trace code")
    return ShownTrace(_claims(code.payload), code.kid, code.signed, code.signature)


def _claims(payload: bytes) -> TraceClaims:
    claims = cbor.read(payload)
    if not isinstance(claims, dict) or claims.keys() != _CLAIMS:
        raise Malformed(f"expected the claims {sorted(_CLAIMS)}")
    trace = claims[_TRACE]
    if not isinstance(trace, dict) or trace.keys() != {_WAYBILL}:
        raise Malformed(f"expected the field {_WAYBILL} of a trace code")
    issued = claims[_ISSUED]
    if not isinstance(issued, int) or not 0 <= issued <= MAX_TIME_S:
        raise Malformed(f"iat: expected a whole number from 0 to {MAX_TIME_S}")
    try:
        return TraceClaims(
            trace_code=_text("sub", claims[_SUBJECT], MAX_CODE),
            waybill_no=WaybillNo(_text("waybill", trace[_WAYBILL], MAX_CODE)),
            issuer=_text("iss", claims[_ISSUER], MAX_ISSUER),
            issued=UtcText(utc_text(datetime.fromtimestamp(issued, UTC), whole_seconds=True)),
        )
    except ValueError as error:
        raise Malformed(f"trace code: {error}") from error


def _text(name: str, value: cbor.Value, longest: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise Malformed(f"{name}: expected text that can be printed, of at most {longest} characters")
    return value
