"""Officers' PINs at the centre: set by whoever hands one out, given to further handhelds, taken back. Each
becomes a record of the scope and goes down like any other; the PIN itself is nowhere. No MQTT; chance and
time come in.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.hub.archive import Archive, CentreAct, RecordChange
from sync.hub.centre import By, CentreRefused
from sync.hub.refusals import expectation
from sync.hub.terms import Refused
from sync.hub.trusts import Trusts
from sync.link.keys import KeyRefused, own_secret, shared_secret
from sync.policy import pins
from sync.policy.pins import (
    NONCE_BYTES,
    PEPPER_PURPOSE,
    SALT_BYTES,
    SEED_BYTES,
    STANDARD,
    Cost,
    PinRefused,
    PinSecret,
    must_be_pin,
    stretched,
)
from sync.vocabulary.bounds import MAX_BODY
from sync.vocabulary.codec import Malformed, decoder, to_builtins, to_json
from sync.vocabulary.records import MAX_PIN_DEVICES, Officer, OfficerPin

KEPT_PURPOSE = "pins-kept/v1"

_read_officer = decoder(Officer)


def is_pin(archive: Archive, private: Ed25519PrivateKey, officer_no: str, pin: str) -> bool:
    """Whether this is the officer's PIN on handhelds, by what only the centre's key opens. Costs as much as a
    try on a handheld."""
    found = _kept(archive, private, officer_no)
    if found is None or len(pin) > pins.MAX_DIGITS:
        return False
    salt, cost, known = found
    return hmac.compare_digest(stretched(pin, salt, cost), known.stretched)


def has_pin(archive: Archive, private: Ed25519PrivateKey, officer_no: str) -> bool:
    """Whether there is one that `is_pin` can look at."""
    return _kept(archive, private, officer_no) is not None


def _kept(
    archive: Archive, private: Ed25519PrivateKey, officer_no: str
) -> tuple[bytes, Cost, PinSecret] | None:
    body = archive.record("officers", officer_no)
    try:
        officer = None if body is None else _read_officer(body)
        if officer is None or officer.pin is None:
            return None
        pins.must_stretch()
        of_record = officer.pin
        known = pins.kept_open(of_record.kept, officer_no, own_secret(private, KEPT_PURPOSE))
        return base64.b64decode(of_record.salt), Cost(of_record.memory_kib, of_record.passes), known
    except (Malformed, PinRefused, ValueError):
        return None


class Pins:
    """Of one archive, by the centre's own key."""

    def __init__(
        self,
        archive: Archive,
        private: Ed25519PrivateKey,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        cost: Cost = STANDARD,
    ) -> None:
        self._archive = archive
        self._private = private
        self._trusts = Trusts(archive)
        self._random = random
        self._cost = cost

    def set(
        self,
        scope: str,
        officer_no: str,
        pin: str,
        devices: Sequence[str],
        by: By,
        at_utc: str,
        *,
        new_key: bool = False,
    ) -> int:
        """This PIN, on these handhelds; on those it was on before where none is named. `new_key`: a signing
        key too, whose public part goes into the record (S8); without it the one that is kept stays. The
        number of the scope's log. Raises `CentreRefused`.
        """
        by.checked()
        try:
            pins.must_stretch()
            must_be_pin(pin)
        except PinRefused as error:
            raise CentreRefused(f"PIN：{expectation(str(error)).zh}", f"PIN: {error}") from error
        body, officer = self._officer(scope, officer_no)
        named = devices or (tuple(officer.pin.devices) if officer.pin is not None else ())
        if not named:
            raise CentreRefused(
                f"关员 {officer_no[:64]} 尚无可登录的设备：须指明 --device",
                f"officer {officer_no[:64]} signs in on no device yet: expected --device",
            )
        seed = self._random(SEED_BYTES) if new_key else self._kept_seed(officer)
        salt = self._random(SALT_BYTES)
        secret = PinSecret(stretched(pin, salt, self._cost), seed)
        made = self._made(officer_no, secret, salt, self._cost, named, at_utc)
        fields = {**msgspec.json.decode(body), "pin": to_builtins(made)}
        if new_key:
            public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
            fields["public_key"] = base64.b64encode(public).decode()
        act = CentreAct(at_utc, "set_pin", officer_no, by.officers, by.reason, ", ".join(named)[:400])
        return self._write(scope, [(officer_no, fields)], act, at_utc)

    def refresh(
        self, scope: str, add: Sequence[str], drop: Sequence[str], by: By, at_utc: str
    ) -> tuple[int, tuple[str, ...]]:
        """Every officer's entries anew, by the keys devices have today, for `add` too, without `drop` and
        whatever was revoked: after a handheld was enrolled, lost, or got another signing key. No PIN is
        needed. How many officers, and why not the others. Raises `CentreRefused`.
        """
        by.checked()
        written: list[tuple[str, dict[str, object]]] = []
        left: list[str] = []
        for officer_no in sorted(self._archive.record_keys(scope, "officers")):
            try:
                body, officer = self._officer(scope, officer_no)
                if officer.pin is None:
                    continue
                known = [name for name in officer.pin.devices if name not in drop and self._is_enrolled(name)]
                named = dict.fromkeys((*known, *add))
                secret = pins.kept_open(officer.pin.kept, officer_no, own_secret(self._private, KEPT_PURPOSE))
                salt = base64.b64decode(officer.pin.salt)
                cost = Cost(officer.pin.memory_kib, officer.pin.passes)
                made = self._made(officer_no, secret, salt, cost, named, str(officer.pin.set_at))
            except (CentreRefused, PinRefused, ValueError) as error:
                left.append(f"{officer_no}: {error}")
                continue
            written.append((officer_no, {**msgspec.json.decode(body), "pin": to_builtins(made)}))
        detail = f"{len(written)} officers; + {', '.join(add)}; - {', '.join(drop)}"[:400]
        self._write(
            scope, written, CentreAct(at_utc, "refresh_pins", scope, by.officers, by.reason, detail), at_utc
        )
        return len(written), tuple(left)

    def clear(self, scope: str, officer_no: str, by: By, at_utc: str) -> int:
        """No PIN any more: this officer signs in on no handheld. Raises `CentreRefused`."""
        by.checked()
        body, _ = self._officer(scope, officer_no)
        fields = {name: value for name, value in msgspec.json.decode(body).items() if name != "pin"}
        act = CentreAct(at_utc, "clear_pin", officer_no, by.officers, by.reason, scope)
        return self._write(scope, [(officer_no, fields)], act, at_utc)

    # --- inside -------------------------------------------------------------------------------------------

    def _officer(self, scope: str, officer_no: str) -> tuple[str, Officer]:
        body = self._archive.record("officers", officer_no, scope)
        if body is None:
            raise CentreRefused(
                f"关员 {officer_no[:64]} 不在 {scope} 名册内：请先导入",
                f"officer {officer_no[:64]} is not on the roster of {scope}: import it first",
            )
        try:
            return body, _read_officer(body)
        except Malformed as error:
            raise CentreRefused(
                f"关员 {officer_no[:64]} 的记录无法读取：{error}",
                f"officer {officer_no[:64]}: its record cannot be read: {error}",
            ) from error

    def _kept_seed(self, officer: Officer) -> bytes:
        if officer.pin is None:
            return b""
        try:
            key = own_secret(self._private, KEPT_PURPOSE)
            return pins.kept_open(officer.pin.kept, officer.officer_no, key).seed
        except PinRefused as error:
            raise CentreRefused(
                "中心密钥打不开所存 PIN：请重设 PIN 并换签名密钥（--new-key）",
                f"{error}, with a new signing key (--new-key)",
            ) from error

    def _made(
        self,
        officer_no: str,
        secret: PinSecret,
        salt: bytes,
        cost: Cost,
        devices: Iterable[str],
        at_utc: str,
    ) -> OfficerPin:
        peppers = {device: self._pepper(device) for device in devices}
        if len(peppers) > MAX_PIN_DEVICES:
            raise CentreRefused(
                f"每名关员至多 {MAX_PIN_DEVICES} 台设备，实为 {len(peppers)} 台",
                f"expected at most {MAX_PIN_DEVICES} devices an officer, got {len(peppers)}",
            )
        kept_key = own_secret(self._private, KEPT_PURPOSE)
        return pins.made(
            secret,
            officer_no=officer_no,
            salt=salt,
            cost=cost,
            peppers=peppers,
            nonces={device: self._random(NONCE_BYTES) for device in peppers},
            kept=pins.keep(secret, officer_no, kept_key, self._random(NONCE_BYTES)),
            at_utc=at_utc,
        )

    def _is_enrolled(self, device: str) -> bool:
        enrolled = self._archive.enrolled(device)
        return enrolled is not None and not enrolled.revoked

    def _pepper(self, device: str) -> bytes:
        """By the key the device signs with today."""
        try:
            trust = self._trusts.of(device)
            return shared_secret(self._private, trust.keys[trust.current], PEPPER_PURPOSE)
        except (Refused, KeyRefused) as error:
            raise CentreRefused(
                f"设备 {device[:64]} 无可用密钥：{error}", f"device {device[:64]}: {error}"
            ) from error

    def _write(
        self, scope: str, officers: list[tuple[str, dict[str, object]]], act: CentreAct, at_utc: str
    ) -> int:
        changes = []
        for officer_no, fields in officers:
            text = to_json(fields).decode()
            _read_officer(text)
            if len(text) > MAX_BODY // 2:
                raise CentreRefused(
                    f"关员 {officer_no}：设备过多，一条记录放不下（{len(text)} 字节）",
                    f"officer {officer_no}: too many devices for one record ({len(text)} bytes)",
                )
            changes.append(RecordChange("officers", officer_no, text))
        with self._archive.transaction():
            applied = self._archive.apply_changes(scope, changes, at_utc)
            self._archive.add_act(act)
        return applied.number
