"""Slip uses: reserved -> raised -> crossed, or returned (S4)."""

from __future__ import annotations

import enum

import msgspec

from sync.vocabulary.bounds import Count, Name, NameOrNone
from sync.vocabulary.numbers import SlipNo


class UseState(enum.StrEnum):
    RESERVED = "reserved"
    RAISED = "raised"
    CROSSED = "crossed"
    RETURNED = "returned"


class SlipUse(msgspec.Struct, frozen=True):
    use_id: Name
    slip_no: SlipNo
    passage: Count
    claim_id: NameOrNone
    """The hub's grant it stands on; empty where the offline policy decided."""
    state: UseState
