"""Who may open the console: officers with a password (Argon2id) and roles. SQL and words, no HTTP, no clock.

An account is of a rostered officer: one that the records call revoked or whose time is over signs in no more,
whatever the account says.

A password somebody else gave proves nothing about who types it: until its officer is confirmed by what
the giver does not have, the account only looks (S8,
docs/decisions/0024-a-given-password-is-nobodys-signature.md).
"""

from __future__ import annotations

import enum
import functools
import json
import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from sync.hub.archive import Archive, CentreAct
from sync.hub.refusals import SaidRefusal
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Officer, OfficerState

LEAST_PASSWORD: Final = 10
MOST_PASSWORD: Final = 200
_HASHER: Final = PasswordHasher()
_HASHING: Final = threading.BoundedSemaphore(2)
"""Each takes 64 MiB and a core: however many try at once, the others' pages and the machine stay quick."""


class Role(enum.StrEnum):
    """What a person may do at the console. Everybody who signs in may look at the wall."""

    WATCH = "watch"
    """Look at wall, passages, parcels, statistics."""
    DUTY = "duty"
    """Exception desk: holds, commands, orders, alarms; judge pictures remotely."""
    LEAD = "lead"
    """Write controls, recalls, spot-check rates, draw orders, issue trace codes."""
    AUDIT = "audit"
    """See who read and did what."""
    ADMIN = "admin"
    """Accounts."""


class AccountRefused(SaidRefusal):
    """It cannot be done so with an account."""


@dataclass(frozen=True, slots=True)
class Account:
    officer_no: str
    roles: frozenset[Role]
    active: bool
    changed_utc: str
    changed_by: str
    given_by: str
    """Who made it or reset its password."""
    confirmed_utc: str
    """Since when its officer is known to be who uses it; empty: not yet."""
    confirmed_by: str

    @property
    def may(self) -> frozenset[Role]:
        """What it may do now."""
        return self.roles if self.confirmed_utc else self.roles & {Role.WATCH}

    @property
    def is_own(self) -> bool:
        """Its officer has set the password, as far as the centre knows."""
        return self.changed_by == self.officer_no


def set_account(
    archive: Archive,
    officer_no: str,
    password: str,
    roles: Collection[Role],
    *,
    by: str,
    at_utc: str,
    hasher: PasswordHasher = _HASHER,
) -> None:
    """Makes it, or gives it another password; its officer is to be confirmed from now on. Raises
    `AccountRefused`."""
    _must_be_password(password)
    if not roles:
        raise AccountRefused("至少选一个角色", f"roles: expected at least one of {', '.join(Role)}")
    if archive.record("officers", officer_no) is None:
        raise AccountRefused(
            f"关员 {officer_no[:64]} 不在名册内，请先导入",
            f"officer: {officer_no[:64]} is not rostered; import the officer first",
        )
    verifier = hasher.hash(password)
    with archive.transaction():
        archive.engine.execute(
            "INSERT INTO console_accounts VALUES (?, ?, ?, 'active', ?, ?, ?, '', '') "
            "ON CONFLICT (officer_no) DO UPDATE SET "
            "roles = excluded.roles, verifier = excluded.verifier, state = 'active', "
            "changed_utc = excluded.changed_utc, changed_by = excluded.changed_by, "
            "given_by = excluded.given_by, confirmed_utc = '', confirmed_by = ''",
            (officer_no, json.dumps(sorted(roles)), verifier, at_utc, by, by),
        )
        archive.add_act(
            CentreAct(at_utc, "console_account", officer_no, (by,), "set", ", ".join(sorted(roles)))
        )


def set_own_password(
    archive: Archive, officer_no: str, new: str, *, at_utc: str, hasher: PasswordHasher = _HASHER
) -> None:
    """By its officer, who has proved the one of before; what the account may do stays. Raises
    `AccountRefused`."""
    _must_be_password(new)
    verifier = hasher.hash(new)
    with archive.transaction():
        archive.engine.execute(
            "UPDATE console_accounts SET verifier = ?, changed_utc = ?, changed_by = officer_no "
            "WHERE officer_no = ?",
            (verifier, at_utc, officer_no),
        )
        archive.add_act(CentreAct(at_utc, "console_account", officer_no, (officer_no,), "own password", ""))


def _must_be_password(password: str) -> None:
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise AccountRefused(
            f"密码应为 {LEAST_PASSWORD} 至 {MOST_PASSWORD} 个字符",
            f"password: expected {LEAST_PASSWORD} to {MOST_PASSWORD} characters",
        )


def confirm_account(archive: Archive, known: Account, *, by: str, how: str, at_utc: str) -> None:
    """Its officer was proved to be who uses it, as the account stands in `known`; `how`: pin, code or hub.
    Raises `AccountRefused`."""
    with archive.transaction():
        done = archive.engine.execute(
            "UPDATE console_accounts SET confirmed_utc = ?, confirmed_by = ? "
            "WHERE officer_no = ? AND state = 'active' AND changed_utc = ? AND changed_by = ?",
            (at_utc, by, known.officer_no, known.changed_utc, known.changed_by),
        ).rowcount
        if done:
            archive.add_act(
                CentreAct(at_utc, "console_account", known.officer_no, (by,), f"confirmed by {how}", "")
            )
    if not done:
        raise AccountRefused("账户已被变更或停用", "the account was changed meanwhile, or is closed")


def close_account(archive: Archive, officer_no: str, *, by: str, at_utc: str) -> bool:
    """False: there is no such account."""
    with archive.transaction():
        done = archive.engine.execute(
            "UPDATE console_accounts SET state = 'closed', changed_utc = ?, changed_by = ? "
            "WHERE officer_no = ?",
            (at_utc, by, officer_no),
        ).rowcount
        if done:
            archive.add_act(CentreAct(at_utc, "console_account", officer_no, (by,), "closed", ""))
    return bool(done)


def accounts(archive: Archive) -> tuple[Account, ...]:
    rows = archive.engine.execute(
        "SELECT officer_no, roles, state, changed_utc, changed_by, given_by, confirmed_utc, confirmed_by "
        "FROM console_accounts ORDER BY officer_no"
    )
    return tuple(
        Account(no, frozenset(map(Role, json.loads(roles))), state == "active", *rest)
        for no, roles, state, *rest in rows.fetchall()
    )


def account(archive: Archive, officer_no: str) -> Account | None:
    return next((each for each in accounts(archive) if each.officer_no == officer_no), None)


def standing(archive: Archive, officer_no: str, at_utc: str) -> Account | None:
    """The account if it may be used now."""
    found = account(archive, officer_no)
    if found is None or not found.active:
        return None
    body = archive.record("officers", officer_no)
    try:
        officer = from_json(body, Officer) if body is not None else None
    except Malformed:
        return None
    if officer is None or officer.state is not OfficerState.ACTIVE or str(officer.valid_until) <= at_utc:
        return None
    return found


def proved(
    archive: Archive, officer_no: str, password: str, at_utc: str, hasher: PasswordHasher = _HASHER
) -> Account | None:
    """The account, where number and password are right. As slow for a number that does not exist."""
    row = archive.engine.execute(
        "SELECT verifier FROM console_accounts WHERE officer_no = ?", (officer_no[:64],)
    ).fetchone()
    try:
        with _HASHING:
            hasher.verify(_nobody() if row is None else row[0], password[:MOST_PASSWORD])
    except (Argon2Error, InvalidHashError):
        return None
    return None if row is None else standing(archive, officer_no, at_utc)


@functools.cache
def _nobody() -> str:
    """Nobody has this password: a number that does not exist costs as much."""
    return _HASHER.hash(secrets.token_hex(16))


def note_read(archive: Archive, officer: str, what: str, subject: str, at_utc: str, detail: str = "") -> None:
    """Somebody looked at what concerns a person or a firm."""
    with archive.transaction():
        row = archive.engine.execute("SELECT coalesce(max(id), 0) + 1 FROM console_reads").fetchone()
        archive.engine.execute(
            "INSERT INTO console_reads VALUES (?, ?, ?, ?, ?, ?)",
            (row[0], at_utc, officer, what, subject[:200], detail[:500]),
        )
