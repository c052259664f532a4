"""Messages of the joint <-> bytes (JSON), for the app's own events, views and effects. No socket, no key.

Which values may come is said once, when the codec is made: what names another class is refused, so the other
half can make nothing here that was not meant to travel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from edge.handheld.joint.messages import Asked, Downward, Said, Shown, Upward
from edge.runtime.plain import NotThisShape, plain, value_of

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


class NoSuchMessage(ValueError):
    """Sealed rightly and yet no message of this version: the halves are of different versions."""


class Codec:
    def __init__(self, *, events: Any, views: Any, effects: Any) -> None:
        """Types or unions of dataclasses and structs: what goes up in `Said`, down in `Shown` and `Asked`."""
        self._inside: dict[type, tuple[str, Any]] = {
            Said: ("event", events),
            Shown: ("view", views),
            Asked: ("effect", effects),
        }

    def encode(self, message: Upward | Downward) -> bytes:
        return _ENCODER.encode(plain(message))

    def upward(self, content: bytes) -> Upward:
        """Raises `NoSuchMessage`."""
        message: Upward = self._decoded(Upward, content)
        return message

    def downward(self, content: bytes) -> Downward:
        """Raises `NoSuchMessage`."""
        message: Downward = self._decoded(Downward, content)
        return message

    def _decoded(self, kind: Any, content: bytes) -> Any:
        try:
            message = value_of(kind, _DECODER.decode(content))
            inside = self._inside.get(type(message))
            if inside is None:
                return message
            name, inner = inside
            return replace(message, **{name: value_of(inner, getattr(message, name))})
        except (msgspec.DecodeError, NotThisShape, RecursionError) as error:
            raise NoSuchMessage(str(error)) from error
