"""Java from Python: classes when they are needed, the app's context, this thread's end. No device's thing
here.

`jnius` exists inside the packaged app alone. A native thread that has called Java must leave it again
before it ends (pyjnius documentation, "Detaching"): Android ends the whole process otherwise, see
`visiting`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

SERVICE_CLASS: Final = "org.kivy.android.PythonService"
ACTIVITY_CLASS: Final = "org.kivy.android.PythonActivity"


class NotOnAndroid(RuntimeError):
    """This program does not run inside the packaged app."""


def java(name: str) -> Any:
    """The class of this name. Raises `NotOnAndroid`, and what Java throws for one that is not there."""
    try:
        from jnius import autoclass
    except ImportError as error:
        raise NotOnAndroid(f"{name}: Java is only there inside the Android app") from error
    return autoclass(name)


def is_service() -> bool:
    """In the service's process. python-for-android sets the variable there, be it empty, and nowhere else."""
    return "PYTHON_SERVICE_ARGUMENT" in os.environ


def context() -> Any:
    """The service or the activity of this process (`android.content.Context`)."""
    return java(SERVICE_CLASS).mService if is_service() else activity()


def activity() -> Any:
    """Raises `NotOnAndroid` in the service's process: it has no window."""
    shown = java(ACTIVITY_CLASS).mActivity
    if shown is None:
        raise NotOnAndroid("no activity: this is the service's process")
    return shown


def system_service(name: str) -> Any:
    """`Context.getSystemService`; None where the device has none of it."""
    return context().getSystemService(name)


def sdk() -> int:
    """API level of the device, 24 to 36 and on."""
    return int(java("android.os.Build$VERSION").SDK_INT)


def app_id() -> str:
    """Such as `org.kakou.kakouhandheld`: Android's name for an app."""
    return str(context().getPackageName())


def maker() -> str:
    """Such as `Zebra Technologies`."""
    return str(java("android.os.Build").MANUFACTURER)


@contextmanager
def visiting() -> Iterator[None]:
    """Around the whole work of a thread of ours that calls Java."""
    try:
        yield
    finally:
        import jnius

        jnius.detach()


def as_bytes(array: Any) -> bytes | None:
    """A `byte[]` that Java gave: pyjnius' `ByteArray`, whose bytes come by `tostring` (pyjnius 1.7.0,
    `jnius_nativetypes3.pxi`), or a plain list of numbers, signed or not."""
    if array is None:
        return None
    if hasattr(array, "tostring"):
        return bytes(array.tostring())
    return bytes(each & 0xFF for each in array)
