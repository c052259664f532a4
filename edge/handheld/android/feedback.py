"""Vibration and tones of the phone. Which tone means what is told elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from edge.handheld.android.java import java, sdk, system_service
from edge.handheld.effects import Tone

_NO_REPEAT: Final = -1
_API_EFFECTS: Final = 26
_MODE_STATIC: Final = 0
_STATE_NO_STATIC_DATA: Final = 2
_PLAYING: Final = 3
_USAGE_ASSISTANCE_SONIFICATION: Final = 13
_CONTENT_SONIFICATION: Final = 4
_ENCODING_PCM_16BIT: Final = 2
_CHANNEL_OUT_MONO: Final = 4


class AndroidMotor:
    """`android.os.Vibrator`. Needs the permission VIBRATE, which nobody is asked for."""

    def __init__(self) -> None:
        found = system_service("vibrator")
        self._vibrator = found if found is not None and found.hasVibrator() else None

    def vibrate(self, pulses_ms: Sequence[int]) -> None:
        if self._vibrator is None or not pulses_ms:
            return
        # Android's pattern begins with a wait; ours begins with a pulse.
        timings = [0, *pulses_ms]
        if sdk() >= _API_EFFECTS:
            effect = java("android.os.VibrationEffect").createWaveform(timings, _NO_REPEAT)
            self._vibrator.vibrate(effect)
        else:
            self._vibrator.vibrate(timings, _NO_REPEAT)


class AndroidSpeaker:
    """One static `AudioTrack` a tone, filled once: it sounds within the mixer's own delay, without a
    decoder or a file (`SoundPool` and `MediaPlayer` have both)."""

    def __init__(self, samples: Callable[[Tone], Any], rate_hz: int) -> None:
        """`samples(tone)`: int16, one channel (`screens.sounding.samples`)."""
        self._lock = threading.Lock()
        self._tracks = {tone: _track(samples(tone).astype("<i2").tobytes(), rate_hz) for tone in Tone}
        self._log = structlog.get_logger("speaker")

    def play(self, tone: Tone) -> None:
        with self._lock:
            for each in self._tracks.values():
                if each is not None and each.getPlayState() == _PLAYING:
                    each.stop()
            track = self._tracks[tone]
            if track is None:
                self._log.warning("this device cannot play a tone", tone=tone.value)
                return
            # Back to the first sample: a static track that was played stands at its end.
            track.reloadStaticData()
            track.play()

    def close(self) -> None:
        with self._lock:
            for track in self._tracks.values():
                if track is not None:
                    track.release()
            self._tracks = dict.fromkeys(Tone)


def _track(content: bytes, rate_hz: int) -> Any:
    """None where the device refuses one (too many tracks of other apps)."""
    builder = java("android.media.AudioAttributes$Builder")()
    attributes = (
        builder.setUsage(_USAGE_ASSISTANCE_SONIFICATION).setContentType(_CONTENT_SONIFICATION).build()
    )
    described = java("android.media.AudioFormat$Builder")()
    audio_format = (
        described.setEncoding(_ENCODING_PCM_16BIT)
        .setSampleRate(rate_hz)
        .setChannelMask(_CHANNEL_OUT_MONO)
        .build()
    )
    track = java("android.media.AudioTrack")(attributes, audio_format, len(content), _MODE_STATIC, 0)
    if track.getState() != _STATE_NO_STATIC_DATA or track.write(content, 0, len(content)) != len(content):
        track.release()
        return None
    return track
