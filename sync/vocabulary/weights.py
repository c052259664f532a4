"""Weights as text -> exact kilograms. Decimals only: no float ever comes near a weight the law looks at."""

from __future__ import annotations

import re
from decimal import Decimal

MAX_KG = Decimal("999999.999")
"""No vehicle, slip or parcel weighs a thousand tonnes; whatever says so is wrong or hostile."""

_KILOGRAMS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_GRAM = Decimal("0.001")
_ZERO = Decimal(0)


def kilograms(text: str) -> Decimal | None:
    """Plain decimal text, 0 to 999999.999, at most 3 decimals (grams), ASCII digits. None for anything else.

    No sign, exponent, separator, blank, NaN or infinity. `292.80` keeps its zero.
    """
    return Decimal(text) if _KILOGRAMS.fullmatch(text) else None


def is_kilograms(value: Decimal) -> bool:
    """Whether a decimal made elsewhere is one `kilograms` could have made: finite, bounded, whole grams."""
    return value.is_finite() and _ZERO <= value <= MAX_KG and value.quantize(_GRAM) == value
