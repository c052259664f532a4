"""Says aloud what the board shows, with espeak-ng on the lane PC itself. Optional; holds nobody up.

No device and no port: a program that may be installed, run once a sentence on a thread of its own. What is to
be said waits in one place, and what is newer replaces it: a driver needs what counts now. Nothing is recorded
and nothing is decided here; a lane without a voice is a lane.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from typing import Annotated, Final

import msgspec
import structlog

MOST_CHARACTERS: Final = 200
"""Longest sentence; the rest is left out."""
_NOTICE_S: Final = 0.05
"""How soon a running sentence notices that a newer one waits."""


class VoicePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voice on the lane PC itself, beside or instead of the board's."""

    program: str = "espeak-ng"
    """Its name on the PATH, or its whole path."""
    voice_zh: str = "cmn"
    """espeak-ng's voice for Chinese; empty: Chinese is not spoken."""
    voice_en: str = "en"
    """For English; empty: English is not spoken."""
    words_per_minute: Annotated[int, msgspec.Meta(ge=80, le=450)] = 150
    volume: Annotated[int, msgspec.Meta(ge=0, le=200)] = 100
    longest_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 20.0
    """A sentence that takes longer is ended: the program hangs, or the sound card does."""
    interrupt: bool = True
    """A newer sentence ends the one being spoken; otherwise it waits for its end."""


def missing(part: VoicePart) -> str | None:
    """For `kakou doctor`: why nothing will be heard, or None."""
    if shutil.which(part.program) is None:
        return f"{part.program} is not installed: nothing is spoken (Debian: apt install espeak-ng)"
    if not part.voice_zh and not part.voice_en:
        return "voice_zh and voice_en are both empty: nothing is spoken"
    return None


class Speaker:
    """`say` may be called from any thread and returns at once. Failures are counted, told once, and kept in
    `trouble`; none is raised."""

    def __init__(self, part: VoicePart) -> None:
        self._part = part
        self._changed = threading.Condition()
        self._waiting: tuple[tuple[str, str], ...] | None = None
        """(voice, text) one after another."""
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("voice")
        self.trouble = ""
        """Why the latest sentence was not spoken; empty while all is well."""
        self.spoken = 0
        """Sentences spoken to their end."""
        self.failed = 0
        self.replaced = 0
        """Texts a newer one took the place of before they began."""

    def start(self) -> None:
        """Once."""
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)
        self._thread.start()

    def say(self, text_zh: str, text_en: str) -> None:
        """Chinese, then English; an empty text, or one of a language without a voice, is left out."""
        part = self._part
        texts = ((part.voice_zh, _spoken(text_zh)), (part.voice_en, _spoken(text_en)))
        sentences = tuple((voice, text) for voice, text in texts if voice and text)
        if not sentences:
            return
        with self._changed:
            if self._waiting is not None:
                self.replaced += 1
            self._waiting = sentences
            self._changed.notify_all()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ends what is being spoken. False: the thread did not end in time; it ends with the process."""
        with self._changed:
            self._stopping = True
            self._waiting = None
            self._changed.notify_all()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- on the thread ---

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                sentences, self._waiting = self._waiting or (), None
            for voice, text in sentences:
                if not self._speak(voice, text):
                    break

    def _speak(self, voice: str, text: str) -> bool:
        """False: the rest of this text is not worth saying."""
        part = self._part
        program = shutil.which(part.program)
        if program is None:
            self._failed(f"{part.program} is not installed")
            return False
        # the text goes in by stdin: nothing in it can be taken for an option
        command = [
            program, "-v", voice, "-s", str(part.words_per_minute), "-a", str(part.volume), "--stdin",
        ]  # fmt: skip
        try:
            running = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            self._failed(f"{program}: {error.strerror or error}")
            return False
        with running:
            return self._listen(running, text)

    def _listen(self, running: subprocess.Popen[bytes], text: str) -> bool:
        data: bytes | None = text.encode()
        left_s = self._part.longest_s
        while True:
            try:
                running.communicate(data, timeout=min(_NOTICE_S, max(left_s, 0.001)))
            except subprocess.TimeoutExpired:
                data = None
                left_s -= _NOTICE_S
            except OSError as error:
                running.kill()
                self._failed(f"{self._part.program}: {error.strerror or error}")
                return False
            else:
                break
            if left_s <= 0:
                running.kill()
                self._failed(f"{self._part.program} did not end in {self._part.longest_s:g} s")
                return False
            if self._newer():
                running.kill()
                return False
        if running.returncode != 0:
            self._failed(
                f"{self._part.program} ended with {running.returncode}: has it this voice, a sound card?"
            )
            # one voice may be missing and the other there
            return True
        self.spoken += 1
        self.trouble = ""
        return True

    def _newer(self) -> bool:
        with self._changed:
            return self._stopping or (self._part.interrupt and self._waiting is not None)

    def _failed(self, why: str) -> None:
        self.failed += 1
        if why != self.trouble:
            self._log.warning("not spoken", why=why)
        self.trouble = why


def _spoken(text: str) -> str:
    """One line, nothing that is no text: control characters become spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_CHARACTERS]
