"""A voice note: packets of a microphone until somebody ends it or its time is over, as a WAV file. Which
microphone, the caller knows.
"""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Callable
from typing import Any, Final

import numpy

from edge.handheld.ports import Microphone

RATE_HZ: Final = 8_000
LONGEST_S: Final = 300.0
"""Whoever asks for longer gets so much: five megabytes."""


def recorded(microphone: Microphone, longest_s: float, is_over: Callable[[], bool]) -> bytes:
    """Opens and closes it. Raises `PortFailed`."""
    packets: list[Any] = []
    try:
        microphone.open()
        until_s = time.monotonic() + min(longest_s, LONGEST_S)
        while time.monotonic() < until_s and not is_over():
            packets.append(microphone.read())
    finally:
        microphone.close()
    return wav_of(packets)


def wav_of(packets: list[Any]) -> bytes:
    """One channel, 16 bits, 8,000 samples a second."""
    samples = numpy.concatenate(packets) if packets else numpy.zeros(0, numpy.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
