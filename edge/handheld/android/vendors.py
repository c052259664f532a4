"""What makers' scan services broadcast: the table, and what a broadcast of theirs says. Pure; no Android
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec

from edge.reading.charsets import text_of
from edge.reading.scans import (
    LONGEST_TEXT,
    NotACode,
    ScanSeen,
    Source,
    symbology_named,
    symbology_of_aim,
)
from edge.runtime.config_reading import read_config

SHIPPED: Final = Path(__file__).with_name("scan_vendors.toml")

AUTO: Final = "auto"
"""The vendor whose makers name this device; where none does, every action of the table is listened to."""

_LONGEST_RAW: Final = 4 * LONGEST_TEXT
_KEPT_OF_REFUSED: Final = 64

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A broadcast of ours to the maker's service."""

    action: _Name
    package: str = ""
    """To this app alone; empty: whoever listens."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Texts, whole numbers, true and false; tables become bundles, arrays of texts and of tables stay
    arrays.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    id: _Name
    zh: str
    en: str
    makers: tuple[str, ...] = ()
    actions: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1)]
    text: tuple[str, ...] = ()
    """Keys of the code as text; the first that is there."""
    bytes: tuple[str, ...] = ()
    """Keys of the code's bytes. They are believed before the text: makers' services guess character sets."""
    byte_lists: tuple[str, ...] = ()
    """As `bytes`, a list of arrays whose pieces belong together."""
    length: str = ""
    """Key of how many of the bytes count; the rest of the array is of an earlier code."""
    symbology: str = ""
    """Key of the symbology's name."""
    aim: str = ""
    """Key of its AIM identifier, such as `]C1`."""
    state: str = ""
    state_is: str = ""
    """Where `state` says anything else, nothing was read."""
    senders: tuple[str, ...] = ()
    permission: str = ""
    """The maker's own, which the app must declare."""
    on_start: tuple[Message, ...] = ()
    on_stop: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    vendors: Annotated[tuple[Vendor, ...], msgspec.Meta(min_length=1)]


class VendorRefused(ValueError):
    """No such row; the text names those there are."""


class Extras(Protocol):
    """What came with a broadcast. Every answer is None where the key is missing or of another type."""

    def text(self, key: str) -> str | None: ...
    def raw(self, key: str) -> bytes | None: ...
    def raw_pieces(self, key: str) -> bytes | None:
        """The pieces joined."""

    def number(self, key: str) -> int | None: ...


def read_vendors(path: Path = SHIPPED) -> tuple[Vendor, ...]:
    """Raises `ConfigRefused`, `VendorRefused` when an id or an action stands twice: it could not be told
    whose words they are."""
    vendors = read_config(path, _File).vendors
    named = [vendor.id for vendor in vendors] + [action for vendor in vendors for action in vendor.actions]
    twice = sorted({each for each in named if named.count(each) > 1})
    if twice:
        raise VendorRefused(f"{path}: {', '.join(twice)} stands twice")
    return vendors


def chosen(vendors: tuple[Vendor, ...], wanted: str, maker: str) -> tuple[Vendor, ...]:
    """The rows to listen to: one, or all of them when `auto` finds no row for this maker. Raises
    `VendorRefused`.

    Nobody is configured by guessing: with all rows nothing is sent, they are only listened to.
    """
    if wanted != AUTO:
        named = tuple(vendor for vendor in vendors if vendor.id == wanted)
        if not named:
            known = ", ".join(vendor.id for vendor in vendors)
            raise VendorRefused(f"no scan vendor {wanted!r}: expected auto or one of {known}")
        return named
    made = tuple(v for v in vendors if maker.casefold() in {each.casefold() for each in v.makers})
    return made or vendors


def expanded(value: Any, package: str) -> Any:
    """With the app's package in place of `{package}`, everywhere inside."""
    match value:
        case str():
            return value.replace("{package}", package)
        case list() | tuple():
            return [expanded(each, package) for each in value]
        case dict():
            return {key: expanded(each, package) for key, each in value.items()}
        case _:
            return value


def actions_of(vendors: tuple[Vendor, ...], package: str) -> Mapping[str, Vendor]:
    """Action -> the row that explains it."""
    return {expanded(action, package): vendor for vendor in vendors for action in vendor.actions}


def heard(vendor: Vendor, extras: Extras, sender: str | None, at_s: float) -> ScanSeen | NotACode | None:
    """What a broadcast says. `sender`: its package where the system tells. None: the service says that it
    read nothing.

    Any app may send such a broadcast: it is input, never a permission.
    """
    if sender is not None and vendor.senders and sender not in vendor.senders:
        return NotACode(Source.INTENT, f"{vendor.en}: sent by {sender[:80]}, which is not its service", at_s)
    if vendor.state and (extras.text(vendor.state) or "").casefold() != vendor.state_is.casefold():
        return None
    said = next((text for key in vendor.text if (text := extras.text(key))), "")
    raw = _raw(vendor, extras)
    if len(said) > LONGEST_TEXT or len(raw) > _LONGEST_RAW:
        count = max(len(said), len(raw))
        why = f"{vendor.en}: {count} characters, at most {LONGEST_TEXT} are a code"
        return NotACode(Source.INTENT, why, at_s, raw[:_KEPT_OF_REFUSED])
    symbology, aim = _kind(vendor, extras)
    text = (text_of(raw, said, symbology) if raw else said).replace("\0", "").strip("\r\n")
    if not text:
        return NotACode(Source.INTENT, f"{vendor.en}: a broadcast without a code", at_s)
    if len(text) > LONGEST_TEXT:
        return NotACode(Source.INTENT, f"{vendor.en}: {len(text)} characters", at_s, raw[:_KEPT_OF_REFUSED])
    return ScanSeen(text, symbology, Source.INTENT, at_s, aim, raw)


def _raw(vendor: Vendor, extras: Extras) -> bytes:
    for key in vendor.bytes:
        data = extras.raw(key)
        if data:
            count = extras.number(vendor.length) if vendor.length else None
            return data[:count] if count is not None and 0 < count <= len(data) else data
    return next((data for key in vendor.byte_lists if (data := extras.raw_pieces(key))), b"")


def _kind(vendor: Vendor, extras: Extras) -> tuple[str, str]:
    aim = (extras.text(vendor.aim) or "")[:3] if vendor.aim else ""
    name = (extras.text(vendor.symbology) or "")[:60] if vendor.symbology else ""
    return symbology_named(name) or symbology_of_aim(aim), aim
