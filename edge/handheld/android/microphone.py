"""Sound from the phone: `android.media.AudioRecord`, one channel, 16 bits, 8 kHz."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from edge.handheld.android.java import java
from edge.handheld.ports import PortFailed

if TYPE_CHECKING:
    from numpy import int16
    from numpy.typing import NDArray

RATE_HZ: Final = 8_000
FRAME_SAMPLES: Final = 160
"""20 ms, a G.711 packet."""

_VOICE_COMMUNICATION: Final = 7
"""With the phone's echo cancelling and gain control where it has them (`MediaRecorder.AudioSource`)."""
_CHANNEL_IN_MONO: Final = 16
_ENCODING_PCM_16BIT: Final = 2
_INITIALIZED: Final = 1
_RECORDING: Final = 3
_BUFFER_FRAMES: Final = 50
"""One second: a decoder that keeps the processor busy costs no sound."""
_ERRORS: Final = {-1: "error", -2: "bad value", -3: "invalid operation", -6: "the audio service died"}


class AndroidMicrophone:
    """Opened only while it is used: Android shows a green dot, and other apps hear nothing meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorder: Any = None
        self._buffer = bytearray(2 * FRAME_SAMPLES)
        """pyjnius takes a `bytearray` for `byte[]` and copies what Java wrote back into it (1.7.0,
        `jnius_conversion.pxi`, `release_args`); a `bytes` it would not."""

    def open(self) -> None:
        with self._lock:
            if self._recorder is not None:
                return
            kind = java("android.media.AudioRecord")
            least = kind.getMinBufferSize(RATE_HZ, _CHANNEL_IN_MONO, _ENCODING_PCM_16BIT)
            if least <= 0:
                raise PortFailed(f"the microphone does not do {RATE_HZ} Hz ({_ERRORS.get(least, least)})")
            size = max(least, _BUFFER_FRAMES * len(self._buffer))
            try:
                recorder = kind(_VOICE_COMMUNICATION, RATE_HZ, _CHANNEL_IN_MONO, _ENCODING_PCM_16BIT, size)
            except Exception as error:  # a Java exception of any class
                raise PortFailed(f"the microphone cannot be opened: {error}") from error
            # Without the permission nothing is thrown: the object is there and was never initialised.
            if recorder.getState() != _INITIALIZED:
                recorder.release()
                raise PortFailed("the microphone is not allowed to this app, or another app has it")
            recorder.startRecording()
            if recorder.getRecordingState() != _RECORDING:
                recorder.release()
                raise PortFailed("another app has the microphone")
            self._recorder = recorder

    def read(self) -> NDArray[int16]:
        import numpy

        recorder = self._recorder
        if recorder is None:
            raise PortFailed("the microphone is closed")
        had = 0
        piece = self._buffer
        heard = bytearray()
        while had < 2 * FRAME_SAMPLES:
            count = recorder.read(piece, 0, 2 * FRAME_SAMPLES - had)
            if count <= 0:
                raise PortFailed(f"the microphone stopped ({_ERRORS.get(count, count)})")
            heard += piece[:count]
            had += count
        return numpy.frombuffer(bytes(heard), "<i2").astype(numpy.int16)

    def close(self) -> None:
        with self._lock:
            recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.stop()
            recorder.release()
