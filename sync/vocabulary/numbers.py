"""Numbers that parse themselves: holding one is proof that it was checked. No clock, no records, no I/O.

A number type says only that its text is well formed. Whether the thing exists is the records' business.
Where a rule is unofficial it is a hint (`carrier`, `check_digit_right`) and never a reason to refuse.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Self

_made = str.__new__


class NumberText(str):
    """A string that matched its pattern. `parse` answers None, the constructor raises `ValueError`."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]] = re.compile(r".+")
    expected: ClassVar[str] = "text"
    _fits: ClassVar[Callable[[str], object | None]] = pattern.fullmatch
    _pattern_is_all: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        # Looked up once: a record has up to nine numbers, and every one that arrives is made here.
        cls._fits = cls.pattern.fullmatch
        cls._pattern_is_all = cls.checked.__func__ is NumberText.checked.__func__  # type: ignore[attr-defined]

    def __new__(cls, text: str) -> Self:
        if cls._fits(text) is None or not (cls._pattern_is_all or cls.checked(text)):
            raise ValueError(f"expected {cls.expected}, got {text[:40]!r}")
        return _made(cls, text)

    @classmethod
    def checked(cls, text: str) -> bool:
        """Check digits and the like, after the pattern matched."""
        return True

    @classmethod
    def parse(cls, text: str) -> Self | None:
        try:
            return cls(text)
        except ValueError:
            return None


# --- vehicles ---------------------------------------------------------------------------------------------

_PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
_OFFICE = "[A-HJ-Z]"
"""Issuing office: never I; O only on old police plates."""
_SERIAL = "[A-HJ-NP-Z0-9]"
"""Serial characters have neither I nor O, so that nobody can take them for 1 and 0."""
_NEW_ENERGY_LETTERS = "DABCEFGHJK"
_COLOUR_WORDS = re.compile(r"(?:渐变绿|黄绿双拼|黄绿|蓝|黄|绿|黑|白)(?:色|牌|底)?")
_LONGEST_VENDOR_TEXT = 40
_BETWEEN_PARTS = re.compile(r"[\s··•・.]")


class PlateKind(enum.StrEnum):
    STANDARD = "standard"
    """7 characters, whatever its colour: the text alone does not tell a lorry from a car."""
    NEW_ENERGY_SMALL = "new_energy_small"
    """8 characters, the type letter comes first."""
    NEW_ENERGY_LARGE = "new_energy_large"
    """8 characters, the type letter comes last."""
    TRAILER = "trailer"
    """挂"""
    TRAINING = "training"
    """学"""
    POLICE = "police"
    """警"""
    CONSULATE = "consulate"
    """领"""
    EMBASSY = "embassy"
    """使"""
    CROSS_BORDER = "cross_border"
    """粤Z … 港 or 澳: a Hong Kong or Macau vehicle allowed on the mainland."""


class Plate(NumberText):
    """A civil Chinese vehicle plate (GA 36-2018), 7 or 8 characters. No check digit: it can only reject.

    Military, armed police (WJ), 民航 and 应急 plates follow other standards and are refused: an officer
    decides.
    """

    __slots__ = ()
    expected = "a vehicle plate of 7 or 8 characters such as 豫A12345 or 粤BD12345"
    pattern = re.compile(
        rf"[{_PROVINCES}](?:"
        rf"{_OFFICE}{_SERIAL}{{5}}"
        rf"|{_OFFICE}(?:[{_NEW_ENERGY_LETTERS}]{_SERIAL}[0-9]{{4}}|[0-9]{{5}}[{_NEW_ENERGY_LETTERS}])"
        rf"|{_OFFICE}{_SERIAL}{{4}}[挂学警]"
        rf"|{_SERIAL}{{5}}领"
        r")"
        rf"|粤Z{_SERIAL}{{4}}[港澳]"
        r"|使[0-9]{6}|[0-9]{6}使"
    )

    @classmethod
    def parse_vendor(cls, text: str) -> Self | None:
        """A plate as cameras and gate front ends write it: `黄闽D66681`, `粤B·12345`.

        The whole text is tried before a colour is taken off it, since 黑 is both black and Heilongjiang.
        """
        if len(text) > _LONGEST_VENDOR_TEXT:
            return None
        bare = _BETWEEN_PARTS.sub("", text)
        colour = _COLOUR_WORDS.match(bare)
        return cls.parse(bare) or (cls.parse(bare[colour.end() :]) if colour else None)

    @property
    def kind(self) -> PlateKind:
        if len(self) == 8:
            return PlateKind.NEW_ENERGY_LARGE if self[-1].isalpha() else PlateKind.NEW_ENERGY_SMALL
        by_last = _KIND_BY_LAST.get(self[-1])
        if by_last is not None:
            return by_last
        return PlateKind.EMBASSY if self[0] == "使" else PlateKind.STANDARD

    @property
    def new_energy(self) -> bool:
        """By length alone: `粤BD1234` has the letter but 7 characters, and is a standard plate."""
        return len(self) == 8


_KIND_BY_LAST = {
    "挂": PlateKind.TRAILER,
    "学": PlateKind.TRAINING,
    "警": PlateKind.POLICE,
    "领": PlateKind.CONSULATE,
    "使": PlateKind.EMBASSY,
    "港": PlateKind.CROSS_BORDER,
    "澳": PlateKind.CROSS_BORDER,
}


class Epc(NumberText):
    """Tag EPC as upper-case hex, 2 to 31 words of 16 bits."""

    __slots__ = ()
    expected = "an EPC of 8 to 124 upper-case hex digits, a multiple of 4"
    pattern = re.compile(r"(?:[0-9A-F]{4}){2,31}")


# --- containers, pieces, goods ----------------------------------------------------------------------------

_CONTAINER_VALUES = {str(digit): digit for digit in range(10)} | dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (n for n in range(10, 39) if n % 11), strict=True)
)


class ContainerNo(NumberText):
    """ISO 6346 container number, check digit right.

    The check is modulo 11 with remainder 10 written 0, so a slip between those two remainders goes unseen.
    """

    __slots__ = ()
    expected = "an ISO 6346 container number with a right check digit such as CSQU3054383"
    pattern = re.compile(r"[A-Z]{3}[UJZ][0-9]{7}")

    @classmethod
    def checked(cls, text: str) -> bool:
        weighted = sum(_CONTAINER_VALUES[char] << place for place, char in enumerate(text[:10]))
        return weighted % 11 % 10 == int(text[10])


_S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_COUNTRIES = frozenset(
    re.findall(
        "[A-Z]{2}",
        """
                AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN
        BO BQ BR BS BT BV BW         BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
        DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI         FJ FK FM FO FR GA GB GD GE GF GG GH GI GL
        GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN         IO IQ IR IS IT JE JM
        JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME
        MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ
        OM PA PE PF         PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH
        SI SJ SK SL SM SN SO SR SS ST SV         SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
        TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE         YT ZA ZM ZW
        """,
    )
)
"""ISO 3166-1 alpha-2, which S10 prescribes for the last two letters."""


class S10No(NumberText):
    """UPU S10 postal item number, check digit and country right.

    An unknown country is refused, not warned of: two wrongly read letters would otherwise be the one part of
    the number nothing checks. `WaybillNo` still takes such a text, so no parcel is lost by it.
    """

    __slots__ = ()
    expected = "a UPU S10 item number with a right check digit and an ISO 3166 country such as RB123456785GB"
    pattern = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")

    @classmethod
    def checked(cls, text: str) -> bool:
        weighted = sum(int(d) * weight for d, weight in zip(text[2:10], _S10_WEIGHTS, strict=True))
        check = 11 - weighted % 11
        right = {10: 0, 11: 5}.get(check, check)
        return right == int(text[10]) and text[11:] in _COUNTRIES


def _gs1_check_right(digits: str) -> bool:
    """GS1 modulo 10: weights 3, 1, 3 … from the digit left of the check digit."""
    total = sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(reversed(digits)))
    return total % 10 == 0


class Sscc(NumberText):
    """GS1 serial shipping container code: 18 digits, check digit right."""

    __slots__ = ()
    expected = "an SSCC of 18 digits with a right check digit such as 340435061352161527"
    pattern = re.compile(r"[0-9]{18}")

    @classmethod
    def checked(cls, text: str) -> bool:
        return _gs1_check_right(text)

    @classmethod
    def parse_scan(cls, text: str) -> Self | None:
        """As scanned or printed: bare, or behind application identifier 00 with or without brackets."""
        found = _SSCC_SCAN.fullmatch(text)
        return cls.parse(found.group(1)) if found else None


_SSCC_SCAN = re.compile(r"(?:\(00\)|00)?([0-9]{18})")


class Gtin(NumberText):
    """GS1 trade item number: 8, 12, 13 or 14 digits, check digit right."""

    __slots__ = ()
    expected = "a GTIN of 8, 12, 13 or 14 digits with a right check digit such as 38425876095074"
    pattern = re.compile(r"[0-9]{8}|[0-9]{12,14}")

    @classmethod
    def checked(cls, text: str) -> bool:
        return _gs1_check_right(text)

    @classmethod
    def parse_scan(cls, text: str) -> Self | None:
        """As scanned or printed: bare, or behind application identifier 01 in a GS1 text.

        In brackets (`(01)38425876095074(17)181119`) anything may follow; without brackets the identifier and
        14 digits must be the whole text, or end at a group separator (0x1D).
        """
        found = _GTIN_SCAN.fullmatch(text)
        return cls.parse(found.group(1) or found.group(2)) if found else cls.parse(text)


_GTIN_SCAN = re.compile(r"\(01\)([0-9]{14})(?:\([0-9]{2,4}\)[^()]{1,90})*|01([0-9]{14})(?:\x1d.*)?")


# --- paper ------------------------------------------------------------------------------------------------


class SlipNo(NumberText):
    """`passportNo`: letter, customs code (4), I or E, date yymmdd, serial; 24 characters.

    The serial is 12 digits, or T and 11 digits in the two-step form (SAS251, SAS253). The date is customs'
    own and is not judged: a slip number is looked up, never computed with.
    """

    __slots__ = ()
    expected = "a release slip number of 24 characters such as Z3111I240728000000000003"
    pattern = re.compile(r"[A-Z][0-9]{4}[IE][0-9]{6}(?:[0-9]{12}|T[0-9]{11})")

    @property
    def customs_code(self) -> str:
        return self[1:5]

    @property
    def direction_letter(self) -> str:
        """`I` or `E`, as `ioTypecd`."""
        return self[5]

    @property
    def two_step(self) -> bool:
        return self[12] == "T"


class Carrier(enum.StrEnum):
    SF = "SF"
    """顺丰"""
    YTO = "YTO"
    """圆通"""
    JT = "JT"
    """极兔"""
    JD = "JD"
    """京东"""
    ZTO = "ZTO"
    """中通"""
    STO = "STO"
    """申通"""
    EMS = "EMS"
    """邮政"""


# Unofficial: shapes found in public carrier-detection code. Bare 12 and 13 digits fit several: no guess.
_CARRIER_SHAPES: tuple[tuple[Carrier, re.Pattern[str]], ...] = (
    (Carrier.SF, re.compile(r"SF[0-9]{13}")),
    (Carrier.YTO, re.compile(r"YT(?:[0-9]{13}|[0-9]{16})")),
    (Carrier.JT, re.compile(r"JT[0-9]{13}")),
    (Carrier.JD, re.compile(r"JD[A-Z]{0,2}[0-9]{11,15}(?:-[0-9]{1,4}){0,3}-?")),
    (Carrier.STO, re.compile(r"77[0-9]{13}")),
    (Carrier.ZTO, re.compile(r"7[3-68][0-9]{12}")),
)


def sf_check_digit_right(text: str) -> bool:
    """The unofficial SF rule: 12 or more digits, with or without `SF`. A warning at most, never a refusal.

    Of the digits between the first three and the last, taken from the right, multiply by 1, 3, 5 …; add the
    tens and units digit of each product (hundreds are dropped); the last digit brings the sum to a multiple
    of 10.
    """
    digits = text.removeprefix("SF")
    if not re.fullmatch(r"[0-9]{12,15}", digits):
        return False
    products = (int(d) * (2 * place + 1) for place, d in enumerate(reversed(digits[3:-1])))
    total = sum(product // 10 % 10 + product % 10 for product in products)
    return -total % 10 == int(digits[-1])


class WaybillNo(NumberText):
    """`logisticsNo`: 6 to 40 capital letters, digits, hyphens. Carriers publish no rules."""

    __slots__ = ()
    expected = "a waybill number of 6 to 40 capital letters, digits or hyphens"
    pattern = re.compile(r"[A-Z0-9][A-Z0-9-]{5,39}")

    @property
    def carrier(self) -> Carrier | None:
        """A guess by shape for screens; None where the shape is unknown or fits several carriers."""
        for carrier, shape in _CARRIER_SHAPES:
            if shape.fullmatch(self):
                return carrier
        return Carrier.EMS if S10No.parse(self) else None

    @property
    def check_digit_right(self) -> bool | None:
        """False is worth a second look at the label, never a refusal; None where no rule is known."""
        if self.carrier is Carrier.SF:
            return sf_check_digit_right(self)
        if S10No.pattern.fullmatch(self):
            return S10No.checked(self)
        return None


_CREDIT_CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


class EnterpriseCode(NumberText):
    """Customs registration code (10) or unified social credit code (18, GB 32100-2015)."""

    __slots__ = ()
    expected = "an enterprise code of 10 or 18 capital letters and digits"
    pattern = re.compile(r"[0-9A-Z]{10}(?:[0-9A-Z]{8})?")

    @property
    def check_digit_right(self) -> bool | None:
        """Of a social credit code, modulo 31. A hint: the code is a key, and customs' own files bend it.

        None for the 10-character code, which has no check digit.
        """
        if len(self) == 10:
            return None
        values = [_CREDIT_CODE_ALPHABET.find(char) for char in self]
        weighted = sum(value * pow(3, place, 31) for place, value in enumerate(values[:17]))
        return min(values) >= 0 and -weighted % 31 == values[17]


# --- time -------------------------------------------------------------------------------------------------


def utc_text(moment: datetime, *, whole_seconds: bool = False) -> str:
    """A moment of any zone as this project writes times: UTC, ISO 8601, six decimals or none, `Z`. Texts of
    one length compare as their moments do. Not checked: `UtcText` is, where a record takes it."""
    form = "seconds" if whole_seconds else "microseconds"
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=form)}Z"


class UtcText(NumberText):
    """A real calendar time in ISO 8601 UTC, to the second or finer (at most 6 decimals), ending in Z.

    `<`, `<=`, `>` and `>=` compare instants, also with fractions of different length (as text `00.5Z` would
    come before `00Z`). `==` compares the text, since a record's exact bytes matter. No leap second.
    """

    __slots__ = ()
    expected = "a UTC time such as 2026-01-31T08:00:00Z"
    pattern = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")

    @classmethod
    def checked(cls, text: str) -> bool:
        try:
            datetime.fromisoformat(text[:19])
        except ValueError:
            return False
        return text[11:13] != "24"  # newer Pythons take 24:00:00 for the next day, which would sort wrongly

    def __lt__(self, other: str) -> bool:
        return _instant(self) < _instant(other)

    def __le__(self, other: str) -> bool:
        return _instant(self) <= _instant(other)

    def __gt__(self, other: str) -> bool:
        return _instant(self) > _instant(other)

    def __ge__(self, other: str) -> bool:
        return _instant(self) >= _instant(other)


def _instant(text: str) -> str:
    """Sorts as time: the Z and trailing zeros of a fraction carry no time."""
    whole = text[:-1]
    return whole.rstrip("0").rstrip(".") if "." in whole else whole
