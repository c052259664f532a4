"""What a step of the session comes to: effects in order, notices, counts, and who is connected to hear it.
One for all parts of a session; knows nothing of what they talk about.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.link.words import Connection, LinkEffect, LinkRefused, Notice, Notify, Refused, StoreTrouble, Work

MAX_WHY = 200


class Unfit(ValueError):
    """A signed message that makes no sense here; the text says what was expected."""


@dataclass(slots=True)
class _Muted:
    """A kind of notice that was given and waits before it is given again."""

    until_s: float
    times: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class MutedKey:
    kind: type[Refused] | type[LinkRefused] | type[StoreTrouble]
    name: str


class Outbox:
    """`take` what has gathered at the end of every step."""

    def __init__(self, refused_every_s: float) -> None:
        self.connected: set[Connection] = set()
        self.counts: dict[str, int] = {}
        self._refused_every_s = refused_every_s
        self._effects: list[LinkEffect] = []
        self._muted: dict[MutedKey, _Muted] = {}

    def take(self) -> tuple[LinkEffect, ...]:
        effects, self._effects = tuple(self._effects), []
        return effects

    def add(self, effect: LinkEffect) -> None:
        self._effects.append(effect)

    def notify(self, notice: Notice) -> None:
        self._effects.append(Notify(notice))

    def count(self, name: str, times: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + times

    def refuse(self, at_s: float, topic: str, why: str, *, times: int = 1) -> None:
        self.mutable(at_s, MutedKey(Refused, topic), why, times=times)

    def mutable(self, at_s: float, key: MutedKey, why: str, *, times: int = 1) -> None:
        """Tell now; what follows within `refused_every_s` is added up and told once after it (G11)."""
        self.count("refused" if key.kind is Refused else key.name, times)
        muted = self._muted.get(key)
        if muted is not None and at_s < muted.until_s:
            muted.times += times
            muted.why = why
            return
        self._muted[key] = _Muted(at_s + self._refused_every_s)
        self._tell(key, why, times + (muted.times if muted else 0))

    def run(self, at_s: float) -> None:
        """Tell what was added up and is due."""
        for key, muted in list(self._muted.items()):
            if muted.until_s <= at_s:
                del self._muted[key]
                if muted.times:
                    self._muted[key] = _Muted(at_s + self._refused_every_s)
                    self._tell(key, muted.why, muted.times)

    def due(self) -> list[float | None]:
        return [muted.until_s for muted in self._muted.values()]

    def _tell(self, key: MutedKey, why: str, times: int) -> None:
        why = why[:MAX_WHY]
        if key.kind is Refused:
            self.notify(Refused(key.name, why, times))
        elif key.kind is LinkRefused:
            self.notify(LinkRefused(Connection(key.name), why, times))
        else:
            self.notify(StoreTrouble(Work(key.name), why, times))


def is_due(time_s: float | None, at_s: float) -> bool:
    return time_s is not None and time_s <= at_s
