"""Keyed draws: which vehicles are spot-checked today. Pure: no clock, no random source, no memory.

The draw of a vehicle is fixed by the key, its enterprise, its plate and the site's calendar day, so backing
out and coming again changes nothing, every lane and the centre get the same answer, and nobody without the
key can foretell it (S11). What stays over midnight is the lane's own note of an undischarged check.

To reproduce it: HMAC-SHA256 with the site's draw key over the UTF-8 bytes of

    kakou/spot-check/v1 LF enterprise LF plate LF day

(LF is one byte 0x0A, none at the end; day is YYYY-MM-DD in the site's zone), read the 32 bytes as one
big-endian number, take it modulo 1000. For the key of 32 bytes 00 01 … 1f, enterprise 330260A000, plate
豫A12345 and day 2026-01-31 the digest begins 749747320e6eb834 and the draw is 403.
"""

from __future__ import annotations

import hmac

from sync.vocabulary.records import Enterprise

_PURPOSE = "kakou/spot-check/v1"
_PARCEL_PURPOSE = "kakou/parcel-check/v1"
_X_RAY_PURPOSE = "kakou/x-ray-check/v1"
_SECOND_PURPOSE = "kakou/second-look/v1"


def draw_per_mille(key: bytes, enterprise: str, plate: str, day: str) -> int:
    """0 to 999, each as likely. `day` is YYYY-MM-DD in the site's zone.

    Raises `ValueError` on an empty key, or a line feed in a part.
    """
    return _drawn(key, (_PURPOSE, enterprise, plate, day))


def _drawn(key: bytes, parts: tuple[str, ...]) -> int:
    if not key:
        raise ValueError("expected a draw key, got no bytes: anyone could foretell the draw")
    message = "\n".join(parts)
    if message.count("\n") != len(parts) - 1:
        raise ValueError("expected parts without line feeds, which separate them")
    digest = hmac.digest(key, message.encode(), "sha256")
    return int.from_bytes(digest, "big") % 1000


def parcel_draw_per_mille(key: bytes, enterprise: str, waybill_no: str) -> int:
    """0 to 999, each as likely, of a parcel: with no day in it, so that scanning it again tomorrow changes
    nothing. The same HMAC over `kakou/parcel-check/v1 LF enterprise LF waybill number`.

    Raises `ValueError` as `draw_per_mille` does.
    """
    return _drawn(key, (_PARCEL_PURPOSE, enterprise, waybill_no))


def parcel_check_due(key: bytes, enterprise: Enterprise, waybill_no: str) -> bool:
    """Whether the enterprise's rate draws this parcel: 0 never, 1000 always."""
    return parcel_draw_per_mille(key, enterprise.code, waybill_no) < enterprise.spot_check_per_mille


def x_ray_draw_per_mille(key: bytes, enterprise: str, waybill_no: str) -> int:
    """0 to 999, each as likely, of a parcel on an X-ray line: whether an officer looks at its picture
    whatever the machine says. The same HMAC over `kakou/x-ray-check/v1 LF enterprise LF waybill number`, so
    that being drawn here says nothing of being drawn for opening.

    Raises `ValueError` as `draw_per_mille` does.
    """
    return _drawn(key, (_X_RAY_PURPOSE, enterprise, waybill_no))


def x_ray_due(key: bytes, enterprise: Enterprise, waybill_no: str) -> bool:
    """Whether the enterprise's X-ray rate draws this parcel for an officer: 0 never, 1000 always."""
    return x_ray_draw_per_mille(key, enterprise.code, waybill_no) < enterprise.x_ray_per_mille


def spot_check_due(key: bytes, enterprise: Enterprise, plate: str, day: str) -> bool:
    """Whether the enterprise's rate draws this vehicle today: 0 never, 1000 always."""
    return draw_per_mille(key, enterprise.code, plate, day) < enterprise.spot_check_per_mille


def second_look_due(key: bytes, picture: str, per_mille: int) -> bool:
    """Whether another officer looks at this X-ray picture too: of a thousand, `per_mille` are drawn. The same
    HMAC over `kakou/second-look/v1 LF picture`; a picture's id is unique for ever.

    Raises `ValueError` as `draw_per_mille` does.
    """
    return _drawn(key, (_SECOND_PURPOSE, picture)) < per_mille
