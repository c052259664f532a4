"""The phone's keystore behind `edge.handheld.vault.Keystore`: an AES key that never leaves it wraps the
data key.

The key is made in hardware where there is some (StrongBox first, API 28). It asks for no finger and no
unlocked screen: the service must open the journal when the system starts it again in a pocket. Who may see
anything is decided by the officer's PIN, and a stolen device is revoked and wiped. Sources:
developer.android.com, "Android Keystore system", `KeyGenParameterSpec.Builder`.
"""

from __future__ import annotations

from typing import Any, Final

from edge.handheld.android.java import as_bytes, java, sdk
from edge.handheld.vault import KeystoreRefused

_PROVIDER: Final = "AndroidKeyStore"
_TRANSFORMATION: Final = "AES/GCM/NoPadding"
_ENCRYPT: Final = 1
_DECRYPT: Final = 2
_PURPOSES: Final = 3
"""`PURPOSE_ENCRYPT | PURPOSE_DECRYPT`"""
_TAG_BITS: Final = 128
_IV_BYTES: Final = 12
_KEY_BITS: Final = 256
_API_STRONG_BOX: Final = 28
_API_SECURITY_LEVEL: Final = 31
_LEVELS: Final = {0: "software", 1: "trusted environment", 2: "StrongBox"}


class AndroidKeystore:
    def __init__(self, alias: str, device: str) -> None:
        """`device` is bound to what is wrapped: a file carried to another device does not open there."""
        self._alias = alias
        self._device = device.encode()

    def wrap(self, secret: bytes) -> bytes:
        try:
            cipher = java("javax.crypto.Cipher").getInstance(_TRANSFORMATION)
            # The keystore draws the IV itself and refuses one of ours.
            cipher.init(_ENCRYPT, self._key(make=True))
            cipher.updateAAD(self._device)
            return (as_bytes(cipher.getIV()) or b"") + (as_bytes(cipher.doFinal(secret)) or b"")
        except KeystoreRefused:
            raise
        except Exception as error:  # a Java exception of any class
            raise KeystoreRefused(f"the phone's keystore does not wrap: {error}") from error

    def unwrap(self, wrapped: bytes) -> bytes:
        if len(wrapped) <= _IV_BYTES:
            raise KeystoreRefused(f"expected a wrapped key, got {len(wrapped)} bytes")
        try:
            key = self._key(make=False)
            spec = java("javax.crypto.spec.GCMParameterSpec")(_TAG_BITS, wrapped[:_IV_BYTES])
            cipher = java("javax.crypto.Cipher").getInstance(_TRANSFORMATION)
            cipher.init(_DECRYPT, key, spec)
            cipher.updateAAD(self._device)
            return as_bytes(cipher.doFinal(wrapped[_IV_BYTES:])) or b""
        except KeystoreRefused:
            raise
        except Exception as error:  # wrong tag, key invalidated, keystore gone: all Java's
            raise KeystoreRefused(f"the phone's keystore does not open this: {error}") from error

    def destroy(self) -> None:
        try:
            store = _store()
            if store.containsAlias(self._alias):
                store.deleteEntry(self._alias)
        except Exception as error:  # a Java exception of any class
            raise KeystoreRefused(f"the phone's keystore does not delete its key: {error}") from error

    def level(self) -> str:
        """Where the key lives: `StrongBox`, `trusted environment`, `software`; for the page of settings."""
        try:
            key = self._key(make=True)
            factory = java("javax.crypto.SecretKeyFactory").getInstance(key.getAlgorithm(), _PROVIDER)
            info = factory.getKeySpec(key, java("android.security.keystore.KeyInfo"))
            if sdk() >= _API_SECURITY_LEVEL:
                return _LEVELS.get(int(info.getSecurityLevel()), "secure hardware")
            return "secure hardware" if info.isInsideSecureHardware() else "software"
        except Exception as error:  # a Java exception of any class
            raise KeystoreRefused(f"the phone's keystore says nothing of its key: {error}") from error

    def _key(self, *, make: bool) -> Any:
        store = _store()
        if store.containsAlias(self._alias):
            return store.getKey(self._alias, None)
        if not make:
            raise KeystoreRefused("the phone's keystore has no key of this app: it was wiped or reset")
        if sdk() >= _API_STRONG_BOX:
            try:
                return self._made(strong_box=True)
            except Exception as error:  # StrongBoxUnavailableException, which few phones spare us
                if "StrongBox" not in f"{error!r} {error}":
                    raise
        return self._made(strong_box=False)

    def _made(self, *, strong_box: bool) -> Any:
        builder = java("android.security.keystore.KeyGenParameterSpec$Builder")(self._alias, _PURPOSES)
        builder.setBlockModes("GCM")
        builder.setEncryptionPaddings("NoPadding")
        builder.setKeySize(_KEY_BITS)
        if strong_box:
            builder.setIsStrongBoxBacked(True)
        generator = java("javax.crypto.KeyGenerator").getInstance("AES", _PROVIDER)
        generator.init(builder.build())
        return generator.generateKey()


def _store() -> Any:
    store = java("java.security.KeyStore").getInstance(_PROVIDER)
    store.load(None)
    return store
