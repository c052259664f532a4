"""Programs that may read at the console's API: a token each, with an end. SQL and words, no HTTP, no clock.

A token is 256 random bits, told once where it is made; kept is its hash alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final, NamedTuple

from sync.hub.archive import Archive, CentreAct
from sync.hub.refusals import SaidRefusal

PREFIX: Final = "kakou_"
LONGEST_DAYS: Final = 400
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}")


class TokenRefused(SaidRefusal):
    """No token can be made so."""


class Token(NamedTuple):
    """Columns of `console_tokens` but the hash."""

    name: str
    made_utc: str
    made_by: str
    valid_until_utc: str
    revoked_utc: str


def make_token(archive: Archive, name: str, valid_until_utc: str, *, by: str, at_utc: str) -> str:
    """The token, to be handed to the program. A name is given once for ever: what it read stands under it.
    Raises `TokenRefused`."""
    if not _NAME.fullmatch(name):
        raise TokenRefused(
            "系统名称应为 2 至 64 位字母、数字、点、连字符",
            "name: expected 2 to 64 letters, digits, dots, dashes",
        )
    if valid_until_utc <= at_utc:
        raise TokenRefused("有效期须晚于今天", "valid until: expected a day to come")
    token = PREFIX + secrets.token_urlsafe(32)
    with archive.transaction():
        made = archive.engine.execute(
            "INSERT INTO console_tokens VALUES (?, ?, ?, ?, ?, '') ON CONFLICT (name) DO NOTHING",
            (name, _hash(token), at_utc, by, valid_until_utc),
        ).rowcount
        if not made:
            raise TokenRefused(f"系统名称 {name} 已用过，不得再用", f"name: {name} was given before")
        archive.add_act(CentreAct(at_utc, "console_token", name, (by,), "made", f"until {valid_until_utc}"))
    return token


def revoke_token(archive: Archive, name: str, *, by: str, at_utc: str) -> bool:
    """False: there is none, or it is revoked already."""
    with archive.transaction():
        done = archive.engine.execute(
            "UPDATE console_tokens SET revoked_utc = ? WHERE name = ? AND revoked_utc = ''", (at_utc, name)
        ).rowcount
        if done:
            archive.add_act(CentreAct(at_utc, "console_token", name, (by,), "revoked", ""))
    return bool(done)


def tokens(archive: Archive) -> tuple[Token, ...]:
    rows = archive.engine.execute(
        "SELECT name, made_utc, made_by, valid_until_utc, revoked_utc FROM console_tokens ORDER BY name"
    )
    return tuple(map(Token._make, rows.fetchall()))


def holder_of(archive: Archive, token: str, at_utc: str) -> str | None:
    """Whose token it is, if it may be used now."""
    row = archive.engine.execute(
        "SELECT name FROM console_tokens WHERE sha256 = ? AND revoked_utc = '' AND valid_until_utc > ?",
        (_hash(token[:200]), at_utc),
    ).fetchone()
    return None if row is None else str(row[0])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
