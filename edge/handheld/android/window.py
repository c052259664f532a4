"""The phone's window: awake, concealed, bright. And what the person holding it allows the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from edge.handheld.android.java import activity, sdk

FLAG_KEEP_SCREEN_ON: Final = 0x80
FLAG_SECURE: Final = 0x2000
_AS_THE_DEVICE: Final = -1.0

_SINCE: Final = {
    "android.permission.POST_NOTIFICATIONS": 33,
}
"""API level from which a permission is known: asking an older device for it is answered with a refusal."""


class AndroidDisplay:
    """`android.view.Window` may be touched on the activity's own thread alone; calls go there and return."""

    def keep_awake(self, on: bool) -> None:
        self._flag(FLAG_KEEP_SCREEN_ON, on)

    def conceal(self, on: bool) -> None:
        self._flag(FLAG_SECURE, on)

    def brightness(self, share: float | None) -> None:
        wanted = _AS_THE_DEVICE if share is None else min(1.0, max(0.0, share))

        def set_it() -> None:
            window = activity().getWindow()
            attributes = window.getAttributes()
            attributes.screenBrightness = wanted
            window.setAttributes(attributes)

        _on_its_thread(set_it)

    def _flag(self, flag: int, on: bool) -> None:
        def set_it() -> None:
            window = activity().getWindow()
            if on:
                window.addFlags(flag)
            else:
                window.clearFlags(flag)

        _on_its_thread(set_it)


class AndroidGrants:
    """python-for-android's `android.permissions`, with its traps taken out: a dialogue that is interrupted
    answers with an empty list, and a permission newer than the device is refused without a question."""

    def missing(self, wanted: Sequence[str]) -> tuple[str, ...]:
        from android.permissions import check_permission

        known = [each for each in wanted if sdk() >= _SINCE.get(each, 0)]
        return tuple(each for each in known if not check_permission(each))

    def ask(self, wanted: Sequence[str], told: Callable[[tuple[str, ...]], None]) -> None:
        missing = self.missing(wanted)
        if not missing:
            told(())
            return
        from android.permissions import request_permissions

        def answered(_: Any, __: Any) -> None:
            # What the answer says is not believed: it may be empty. What is granted is asked anew.
            told(self.missing(wanted))

        request_permissions(list(missing), answered)


def _on_its_thread(work: Callable[[], None]) -> None:
    from android.runnable import run_on_ui_thread

    run_on_ui_thread(work)()
