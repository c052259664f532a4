"""Codes from the scan service of a PDA, by broadcast. What a broadcast says is told in `vendors`.

The receiver is registered here and not by python-for-android's `BroadcastReceiver`: its `start()` (2026.5.9
and HEAD) names no flag, which throws `SecurityException` on Android 14 for apps that target API 34. `start`
on resume,
`stop` on pause: codes read into another app are none of ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from edge.handheld.android.java import app_id, as_bytes, context, java, maker, sdk
from edge.handheld.android.vendors import (
    AUTO,
    Message,
    Vendor,
    actions_of,
    chosen,
    expanded,
    heard,
)
from edge.reading.scans import NotACode, ScanSeen, Source
from edge.runtime.clock import Clock

RECEIVER_EXPORTED: Final = 2
"""`Context.RECEIVER_EXPORTED`, of API 33. Exported it must be: the sender is another app."""

_API_FLAGS: Final = 33
_API_SENDER: Final = 34


class IntentExtras:
    """The extras of an `android.content.Intent`."""

    def __init__(self, intent: Any) -> None:
        self._intent = intent

    def text(self, key: str) -> str | None:
        said = self._intent.getStringExtra(key)
        return None if said is None else str(said)

    def raw(self, key: str) -> bytes | None:
        return as_bytes(self._intent.getByteArrayExtra(key))

    def raw_pieces(self, key: str) -> bytes | None:
        pieces = self._intent.getSerializableExtra(key)
        if pieces is None or not hasattr(pieces, "size"):
            return None
        return b"".join(as_bytes(pieces.get(n)) or b"" for n in range(pieces.size()))

    def number(self, key: str) -> int | None:
        return int(self._intent.getIntExtra(key, 0)) if self._intent.hasExtra(key) else None


class ScanIntents:
    def __init__(
        self,
        vendors: tuple[Vendor, ...],
        told: Callable[[ScanSeen | NotACode], None],
        clock: Clock,
        *,
        wanted: str = AUTO,
    ) -> None:
        """`told` is called on a thread of Android's: it only hands on. Raises `VendorRefused`."""
        self._told = told
        self._clock = clock
        self._app_id = app_id()
        self._rows = chosen(vendors, wanted, maker())
        self._by_action: Mapping[str, Vendor] = actions_of(self._rows, self._app_id)
        self._lock = threading.Lock()
        self._receiver: Any = None
        self._callback: Any = None
        self._thread: Any = None
        self._log = structlog.get_logger("scan-intents")

    @property
    def rows(self) -> tuple[Vendor, ...]:
        """What is listened to; more than one where the maker is not known."""
        return self._rows

    def start(self) -> None:
        """Listen, and tell the maker's service how to speak. Idempotent."""
        with self._lock:
            if self._receiver is not None:
                return
            self._register()
        if len(self._rows) == 1:
            self._send(self._rows[0].on_start)

    def stop(self) -> None:
        """Idempotent; a receiver the system has forgotten already is no trouble."""
        with self._lock:
            receiver, self._receiver = self._receiver, None
            thread, self._thread = self._thread, None
        if receiver is None:
            return
        if len(self._rows) == 1:
            self._send(self._rows[0].on_stop)
        try:
            context().unregisterReceiver(receiver)
        except Exception as unknown:  # noqa: BLE001  a Java exception of any class: it is gone, which was wanted
            self._log.warning("the receiver was not registered any more", why=str(unknown))
        thread.quitSafely()

    def received(self, intent: Any, sender: str | None) -> None:
        """A broadcast; on Android's thread. Nothing in it may end the app (G11)."""
        at_s = self._clock.monotonic_s()
        try:
            vendor = self._by_action.get(str(intent.getAction()))
            if vendor is None:
                return
            said = heard(vendor, IntentExtras(intent), sender, at_s)
        except Exception as broken:  # noqa: BLE001  a hostile sender's parcel throws what it likes when unpacked
            said = NotACode(
                Source.INTENT, f"a broadcast that cannot be unpacked: {type(broken).__name__}", at_s
            )
        if said is not None:
            self._told(said)

    def _register(self) -> None:
        intent_filter = java("android.content.IntentFilter")()
        for action in self._by_action:
            intent_filter.addAction(action)
        thread = java("android.os.HandlerThread")("kakou-scan-intents")
        thread.start()
        handler = java("android.os.Handler")(thread.getLooper())
        # Kept as long as it is registered: Java holds no reference that Python sees, and calls what was
        # freed.
        self._callback = receiver_callback(self)
        receiver = java("org.kivy.android.GenericBroadcastReceiver")(self._callback)
        self._callback.receiver = receiver
        if sdk() >= _API_FLAGS:
            context().registerReceiver(receiver, intent_filter, None, handler, RECEIVER_EXPORTED)
        else:
            context().registerReceiver(receiver, intent_filter, None, handler)
        self._receiver, self._thread = receiver, thread
        self._log.info("listening for broadcasts", rows=[row.id for row in self._rows])

    def _send(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            intent = java("android.content.Intent")(message.action)
            if message.package:
                intent.setPackage(message.package)
            extras = expanded(message.extras, self._app_id)
            if extras:
                intent.putExtras(bundle_of(extras))
            context().sendBroadcast(intent)


def receiver_callback(intents: ScanIntents) -> Any:
    """The Java interface of python-for-android's `GenericBroadcastReceiver`, made when Java is there."""
    from jnius import PythonJavaClass, java_method

    asks_sender = sdk() >= _API_SENDER

    class Callback(PythonJavaClass):  # type: ignore[misc]
        __javainterfaces__ = ("org/kivy/android/GenericBroadcastReceiverCallback",)
        __javacontext__ = "app"
        receiver: Any = None

        @java_method("(Landroid/content/Context;Landroid/content/Intent;)V")  # type: ignore[untyped-decorator]
        def onReceive(self, _: Any, intent: Any) -> None:  # noqa: N802  Java's name
            # Told of the broadcast in hand only, and only where its sender agreed to be named.
            sender = self.receiver.getSentFromPackage() if asks_sender else None
            intents.received(intent, None if sender is None else str(sender))

    return Callback()


def bundle_of(extras: Mapping[str, Any]) -> Any:
    """An `android.os.Bundle`. By its typed methods: `Intent.putExtra` has so many overloads that a bridge
    picks a wrong one for arrays. Raises `TypeError` for what a bundle of ours does not hold."""
    bundle = java("android.os.Bundle")()
    for key, value in extras.items():
        match value:
            case bool():
                bundle.putBoolean(key, value)
            case int():
                bundle.putInt(key, value)
            case str():
                bundle.putString(key, value)
            case dict():
                bundle.putBundle(key, bundle_of(value))
            case [str(), *_] if all(isinstance(each, str) for each in value):
                bundle.putStringArray(key, list(value))
            case [dict(), *_] if all(isinstance(each, dict) for each in value):
                bundle.putParcelableArray(key, [bundle_of(each) for each in value])
            case _:
                raise TypeError(f"{key}: expected text, number, truth, table or an array of one of these")
    return bundle
