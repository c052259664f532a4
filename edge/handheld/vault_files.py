"""The vault of a handheld on its disk: the wrapped key, the device's own pepper, the count of wrong PINs.
What they mean is `vault`'s; this room reads, writes and destroys them, and holds the data key while the
stores are open.

No record and no fact is kept here, and nothing is logged: what an officer tried comes back as a value.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from edge.handheld.vault import Keystore, KeystoreRefused, WrappedKeys, unwrapped, wrapped
from sync.policy.pin_tries import (
    FREE_TRIES,
    FREE_TRIES_OF_DEVICE,
    NONE_YET,
    Hindrance,
    Moment,
    Tries,
    anchored,
    counted,
    hindrance,
    left_s,
    wait_after,
)
from sync.policy.pins import (
    NONCE_BYTES,
    PEPPER_BYTES,
    SALT_BYTES,
    STANDARD,
    Cost,
    PinRefused,
    must_stretch,
    proved,
)
from sync.store.enciphered import KEY_BYTES, DataKey
from sync.store.folders import make_folder, sync_folder
from sync.store.opening import StoreRefused
from sync.store.whole_files import replace_whole, write_new
from sync.vocabulary.records import Officer, Site

KEYS, PEPPER, TRIES, WIPING = "vault.keys", "vault.pepper", "vault.tries", "vault.wiping"
MAX_FILE_BYTES = 512 * 1024
_DEVICE = ""
"""Under it all tries on this device are counted, whoever's."""

_read_keys = msgspec.json.Decoder(WrappedKeys)
_read_tries = msgspec.json.Decoder(dict[str, Tries])


class VaultRefused(Exception):
    """The vault's files cannot be used; the text says what to do."""


class VaultState(enum.StrEnum):
    FRESH = "fresh"
    """Nothing was ever wrapped here. Stores found beside it are of a run that nobody signed in to: no key of
    theirs exists, and they are to be destroyed (`begin`)."""
    LOCKED = "locked"
    OPEN = "open"
    WIPING = "wiping"
    """A wipe was begun: whatever is left is to be destroyed, and nothing is opened any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records say when a PIN is checked."""

    officer: Officer | None
    site: Site | None
    utc: str
    age_s: float | None
    """Of the records, since their last verified head."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a PIN, for the machine to show and to write down as a fact."""

    outcome: Literal["right", "wrong", "wait"] | Hindrance
    tries: int = 0
    """In a row, this one with them."""
    wait_s: float = 0.0
    """Before the next may be tried."""
    officer: Officer | None = None
    """With `right`."""
    seed: bytes = field(default=b"", repr=False)
    """With `right`: of the officer's signing key; empty where the centre gave this device none."""
    opened: bool = False
    """The stores were locked and are open now, by this PIN."""


class Vault:
    """One of a device. One thread: a check takes some 0.2 s."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        boot_id: str,
        keystore: Keystore | None,
        random: Callable[[int], bytes],
        cost: Cost,
    ) -> None:
        """Use `open`."""
        self._folder = folder
        self._device = device
        self._boot_id = boot_id
        self._keystore = keystore
        self._random = random
        self._cost = cost
        self._keys = WrappedKeys()
        self._pepper = b""
        self._tries: dict[str, Tries] = {}
        self._key: DataKey | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        device: str,
        boot_id: str,
        at_s: float,
        keystore: Keystore | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        cost: Cost = STANDARD,
    ) -> Vault:
        """Read what is there; with a keystore that has the key, the stores are open at once. `boot_id` and
        `at_s` are the clock's (`edge.runtime.clock`). Raises `VaultRefused`."""
        try:
            must_stretch()
            make_folder(folder)
        except PinRefused as error:
            raise VaultRefused(str(error)) from error
        except OSError as error:
            raise VaultRefused(
                f"{folder} cannot be made ({error.strerror}): check the path and the disk"
            ) from error
        vault = cls(folder, device=device, boot_id=boot_id, keystore=keystore, random=random, cost=cost)
        vault._look(Moment(boot_id, at_s))
        if vault.state is VaultState.LOCKED and keystore is not None and vault._keys.keystore:
            vault._open_by_keystore(keystore)
        return vault

    @property
    def state(self) -> VaultState:
        if (self._folder / WIPING).exists():
            return VaultState.WIPING
        if self._key is not None:
            return VaultState.OPEN
        return VaultState.LOCKED if self._keys != WrappedKeys() else VaultState.FRESH

    @property
    def key(self) -> DataKey:
        """For `sync.store.enciphered.Enciphered`. Raises `StoreRefused` while nobody opened it."""
        if self._key is None:
            raise StoreRefused("the stores of this device are locked: sign in first")
        return self._key

    def begin(self) -> DataKey:
        """A new data key, where nothing was ever wrapped: the caller has destroyed what stores there were.

        With a keystore it is wrapped before this returns. Without, it is in memory alone until the first
        officer has signed in, so that a device nobody has signed in to keeps nothing that can be read. Raises
        `VaultRefused`."""
        if self.state is not VaultState.FRESH:
            raise VaultRefused(f"{self._folder}: the vault is {self.state.value}, expected a fresh one")
        self._key = DataKey(self._random(KEY_BYTES))
        if self._keystore is not None:
            try:
                kept = self._keystore.wrap(self._key.for_wrapping())
            except KeystoreRefused as error:
                self._key = None
                raise VaultRefused(f"the keystore of this device wraps nothing: {error}") from error
            self._write_keys(WrappedKeys(keystore=base64.b64encode(kept).decode()))
        return self._key

    def check(
        self,
        officer_no: str,
        pin: str,
        *,
        at_s: float,
        peppers: Sequence[bytes],
        find: Callable[[], Standing],
    ) -> Checked:
        """Whether this is the officer's PIN; it opens the stores where they are locked, and wraps their key
        for the officer where it was not.

        `peppers`: what this device shares with the centre (`sync.link.keys.shared_secret`, purpose
        `PEPPER_PURPOSE`), one for each of its keys that is believed. `find` is asked when the stores are
        open, and opens them. Raises `VaultRefused` when the try cannot be counted: then nobody tries; and
        what `find` raises.
        """
        was_open = self._key is not None
        told = self._unlocked(officer_no, pin, Moment(self._boot_id, at_s))
        if told is not None:
            return told
        opened = not was_open
        standing = find()
        hindered = hindrance(standing.officer, standing.site, standing.utc, standing.age_s)
        officer = standing.officer
        if hindered is not None or officer is None or officer.pin is None:
            if hindered == "revoked":
                self.forget(officer_no)
            return self._told(hindered or "unknown", officer_no, opened=opened)
        try:
            right = proved(pin, officer_no, officer.pin, self._device, peppers)
        except PinRefused:
            return self._told("unknown", officer_no, opened=opened)
        if right is None:
            return self._told("wrong", officer_no, opened=opened)
        if self._keystore is None:
            self._wrap_for(officer_no, pin, opened=opened)
        self._clear(officer_no)
        return Checked("right", 0, 0.0, officer, right.seed, opened)

    def unlock(self, officer_no: str, pin: str, *, at_s: float) -> Checked:
        """Only open the stores, whoever may sign in: for tools that read what is in them. `unknown` where
        they were never opened by this officer. Raises `VaultRefused`."""
        told = self._unlocked(officer_no, pin, Moment(self._boot_id, at_s))
        if told is not None:
            return told
        self._clear(officer_no)
        return Checked("right", opened=True)

    def forget(self, officer_no: str) -> None:
        """This officer's PIN opens the stores of this device no more; where it is the only one that does, not
        any more once another officer has signed in. Raises `VaultRefused`."""
        if self._keys.slot(officer_no) is not None:
            self._write_keys(self._keys.without(officer_no))

    def officers(self) -> tuple[str, ...]:
        """Whose PINs open the stores."""
        return tuple(slot.officer_no for slot in self._keys.officers)

    def shred(self) -> str:
        """Destroy all there is of the data key, so that what it enciphers is read by nobody any more; the
        answer is why it could not be, or empty. What is open stays open until it is closed; a program that
        starts again finds the vault wiping. Never raises."""
        try:
            if not (self._folder / WIPING).exists():
                write_new(self._folder / WIPING, b"")
        except OSError as error:
            return f"{WIPING}: {error.strerror}"
        left = [told for name in (KEYS, PEPPER) if (told := _destroyed(self._folder / name))]
        self._keys, self._pepper = WrappedKeys(), b""
        if self._keystore is not None:
            try:
                self._keystore.destroy()
            except KeystoreRefused as error:
                left.append(f"keystore: {error}")
        return "; ".join(left)[:200]

    def forget_wipe(self) -> str:
        """All is destroyed: this device may be set up anew. Why not, or empty."""
        try:
            for name in (TRIES, WIPING):
                (self._folder / name).unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:
            return str(error.strerror)
        return ""

    def close(self) -> None:
        """The data key leaves memory, as far as that can be said of Python."""
        if self._key is not None:
            self._key.zero()
            self._key = None

    # --- inside -------------------------------------------------------------------------------------------

    def _look(self, now: Moment) -> None:
        if (self._folder / WIPING).exists():
            return
        keys = _read(self._folder / KEYS)
        if keys:
            try:
                self._keys = _read_keys.decode(keys)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise VaultRefused(
                    f"{self._folder / KEYS} is damaged ({error}): without it nobody opens the stores of this "
                    "device; wipe it, it fetches its records again"
                ) from error
        self._pepper = _read(self._folder / PEPPER)
        if len(self._pepper) != PEPPER_BYTES:
            if self._keys.officers:
                raise VaultRefused(
                    f"{self._folder / PEPPER} is missing or damaged: without it no PIN opens the stores of "
                    "this device; wipe it, it fetches its records again"
                )
            self._pepper = self._random(PEPPER_BYTES)
            self._write(PEPPER, self._pepper)
        tries = _read(self._folder / TRIES)
        try:
            self._tries = _read_tries.decode(tries) if tries else {}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Whoever spoils the count gains nothing by it.
            self._tries = {_DEVICE: Tries(count=FREE_TRIES_OF_DEVICE + 7)}
        moved = {name: anchored(tries, now) for name, tries in self._tries.items()}
        if moved != self._tries:
            self._write_tries(moved)

    def _unlocked(self, officer_no: str, pin: str, now: Moment) -> Checked | None:
        """Count the try, and open the stores where they are locked; what hindered it, or None."""
        if self.state is VaultState.WIPING:
            return Checked("revoked")
        wait_s = self._left_s(officer_no, now)
        if wait_s > 0:
            return Checked("wait", self._of(officer_no).count, wait_s)
        self._count(officer_no, now)
        if self.state is VaultState.LOCKED:
            slot = self._keys.slot(officer_no)
            if slot is None:
                return self._told("unknown", officer_no)
            self._key = unwrapped(slot, pin, self._pepper)
            if self._key is None:
                return self._told("wrong", officer_no)
        return None

    def _open_by_keystore(self, keystore: Keystore) -> None:
        try:
            self._key = DataKey(keystore.unwrap(base64.b64decode(self._keys.keystore)))
        except (KeystoreRefused, ValueError) as error:
            raise VaultRefused(
                f"the keystore of this device does not unwrap its key ({error}): if it was reset, wipe the "
                "device; it fetches its records again"
            ) from error

    def _wrap_for(self, officer_no: str, pin: str, *, opened: bool) -> None:
        """Unless this PIN opens it already: a PIN changed at the centre wraps anew."""
        slot = self._keys.slot(officer_no)
        if slot is not None and (opened or unwrapped(slot, pin, self._pepper) == self._key):
            if any(one.leaving for one in self._keys.officers):
                self._write_keys(self._keys.with_slot(msgspec.structs.replace(slot, leaving=False)))
            return
        made = wrapped(
            self.key,
            officer_no,
            pin,
            pepper=self._pepper,
            salt=self._random(SALT_BYTES),
            nonce=self._random(NONCE_BYTES),
            cost=self._cost,
        )
        self._write_keys(self._keys.with_slot(made))

    def _of(self, name: str) -> Tries:
        return self._tries.get(name, NONE_YET)

    def _left_s(self, officer_no: str, now: Moment) -> float:
        return max(
            left_s(self._of(officer_no), now, FREE_TRIES),
            left_s(self._of(_DEVICE), now, FREE_TRIES_OF_DEVICE),
        )

    def _count(self, officer_no: str, now: Moment) -> None:
        more = {name: counted(self._of(name), now) for name in (officer_no[:200], _DEVICE)}
        kept = {name: tries for name, tries in self._tries.items() if name not in more}
        # Numbers nobody has, tried one by one, must not fill the file; the device's count has them all.
        self._write_tries(dict([*kept.items()][-200:]) | more)

    def _clear(self, officer_no: str) -> None:
        self._write_tries(
            {name: tries for name, tries in self._tries.items() if name not in (officer_no, _DEVICE)}
        )

    def _told(
        self, outcome: Literal["wrong"] | Hindrance, officer_no: str, *, opened: bool = False
    ) -> Checked:
        count = self._of(officer_no).count
        wait_s = max(wait_after(count, FREE_TRIES), wait_after(self._of(_DEVICE).count, FREE_TRIES_OF_DEVICE))
        return Checked(outcome, count, wait_s, opened=opened)

    def _write_keys(self, keys: WrappedKeys) -> None:
        self._write(KEYS, msgspec.json.encode(keys))
        self._keys = keys

    def _write_tries(self, tries: dict[str, Tries]) -> None:
        self._write(TRIES, msgspec.json.encode(tries))
        self._tries = tries

    def _write(self, name: str, content: bytes) -> None:
        try:
            replace_whole(self._folder / name, content)
        except OSError as error:
            raise VaultRefused(
                f"{self._folder / name} cannot be written ({error.strerror}): check the disk; nobody signs in"
            ) from error


def _read(path: Path) -> bytes:
    """Empty where there is none. Raises `VaultRefused`."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise VaultRefused(f"{path} cannot be read ({error.strerror}): give this user the file") from error


def _destroyed(path: Path) -> str:
    """Overwritten, then removed; why not, or empty. A flash disk may keep the old blocks for a while: what
    the pepper and the keystore hold is destroyed with it, and two of the three are needed."""
    try:
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            file.write(secrets.token_bytes(size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink(missing_ok=True)
        for beside in path.parent.glob(f".{path.name}.*"):
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return ""
