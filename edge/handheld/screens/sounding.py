"""The tones, made of sine waves: one per class, apart in pitch and in rhythm. Pure: no Kivy, no sound device.

`python -m edge.handheld.screens.sounding FOLDER` writes the files that lie in `sounds/`.
"""

from __future__ import annotations

import io
import sys
import wave
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.handheld.effects import Tone

RATE_HZ: Final = 22_050
FADE_S: Final = 0.006
LOUDNESS: Final = 0.8

_Note = tuple[float, float]
"""(hertz, seconds); 0 Hz is silence."""

NOTES: Final[dict[Tone, tuple[_Note, ...]]] = {
    Tone.RELEASE: ((880.0, 0.09), (1_320.0, 0.16)),
    Tone.INSPECT: ((740.0, 0.16), (0.0, 0.09), (740.0, 0.16)),
    Tone.HOLD: ((415.0, 0.28), (0.0, 0.07), (415.0, 0.28), (0.0, 0.07), (415.0, 0.28)),
    Tone.UNKNOWN: ((587.0, 0.12), (494.0, 0.12), (587.0, 0.12), (494.0, 0.12)),
    Tone.DUPLICATE: ((1_760.0, 0.05), (0.0, 0.05), (1_760.0, 0.05)),
    Tone.ERROR: ((330.0, 0.18), (262.0, 0.38)),
}
"""Up for go, twice level for look, low and long for stop: told apart without knowing the pitch."""

OVERTONES: Final = {1: 1.0, 2: 0.35, 3: 0.2}
"""Small loudspeakers give little below 500 Hz: the overtones carry the low ones."""

PULSES_MS: Final[dict[Tone, tuple[int, ...]]] = {
    Tone.RELEASE: (60,),
    Tone.INSPECT: (140, 90, 140),
    Tone.HOLD: (400, 120, 400, 120, 400),
    Tone.UNKNOWN: (90, 60, 90, 60, 220),
    Tone.DUPLICATE: (30, 50, 30),
    Tone.ERROR: (600,),
}
"""Vibration: on, off, on."""


def samples(tone: Tone) -> NDArray[np.int16]:
    return np.concatenate([_note(hertz, seconds) for hertz, seconds in NOTES[tone]])


def wav(tone: Tone) -> bytes:
    """A whole WAV file: one channel, 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples(tone).astype("<i2").tobytes())
    return file.getvalue()


def _note(hertz: float, seconds: float) -> NDArray[np.int16]:
    count = round(seconds * RATE_HZ)
    if not hertz:
        return np.zeros(count, np.int16)
    at_s = np.arange(count) / RATE_HZ
    sound = sum(share * np.sin(2 * np.pi * hertz * n * at_s) for n, share in OVERTONES.items())
    edge = np.minimum(1.0, np.minimum(at_s, at_s[::-1]) / FADE_S)
    return np.asarray(LOUDNESS * 32_767 * sound / sum(OVERTONES.values()) * edge, np.int16)


if __name__ == "__main__":
    for name in Tone:
        (Path(sys.argv[1]) / f"{name}.wav").write_bytes(wav(name))
