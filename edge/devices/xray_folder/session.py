"""What to do about what lies in a hot folder: wait, read, move away. Pure: listings and time are arguments.

A group is the files of one NAME. It is tried when its sidecar and its pictures are there, again when any of
them changed, and once more when they stayed still; what stays wrong for `give_up_s` is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{0,79}?)"
    r"(?:_(?P<energy>low|high)\.(?P<kind>png|tif|tiff)|\.(?P<whole>raw|pkg|json))"
)

FailureCode = Literal["no_sidecar", "no_partner", "cut_off", "garbled", "mismatch", "refused", "reversed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one look says of one file."""

    size_bytes: int
    modified_ns: int
    regular: bool
    """Not a link, a folder, a pipe, a device."""


@dataclass(frozen=True, slots=True)
class TryIt:
    """Read this picture, if it can be. `still`: its files did not change for `stable_s`."""

    name: str
    sidecar: str
    pictures: tuple[str, ...]
    """(low, high), or one raw file."""
    still: bool
    before_start: bool


@dataclass(frozen=True, slots=True)
class SetAside:
    """Move these files to quarantine, and tell."""

    name: str
    files: tuple[str, ...]
    code: FailureCode
    why: str


Action = TryIt | SetAside


@dataclass(slots=True)
class _Group:
    changed_s: float
    before_start: bool
    files: dict[str, Entry] = field(default_factory=dict)
    tried: tuple[dict[str, Entry], bool] | None = None
    code: FailureCode | None = None
    why: str = ""


class FolderSession:
    def __init__(self, *, stable_s: float, give_up_s: float) -> None:
        self._stable_s = stable_s
        self._give_up_s = give_up_s
        self._groups: dict[str, _Group] = {}
        self._looked = False
        self.foreign: frozenset[str] = frozenset()
        """Names that are none of ours, of the last look."""

    def looked(self, at_s: float, entries: Mapping[str, Entry]) -> list[Action]:
        """What to do now, the oldest first. Every `TryIt` is answered with `not_yet` or `gone`."""
        found: dict[str, dict[str, Entry]] = {}
        foreign = set()
        for file, entry in entries.items():
            match = _NAME.fullmatch(file)
            if match is not None:
                found.setdefault(match["name"], {})[file] = entry
            elif not (file.startswith(".") or file.endswith((".tmp", ".part"))):
                foreign.add(file)
        self.foreign = frozenset(foreign)
        self._groups = {name: group for name, group in self._groups.items() if name in found}
        for name, files in found.items():
            group = self._groups.get(name)
            if group is None:
                self._groups[name] = _Group(at_s, not self._looked, files)
            elif group.files != files:
                group.changed_s, group.files = at_s, files
        self._looked = True
        by_age = sorted(
            self._groups.items(), key=lambda item: min(e.modified_ns for e in item[1].files.values())
        )
        return [action for name, group in by_age if (action := self._about(at_s, name, group)) is not None]

    def not_yet(self, name: str, code: FailureCode, why: str) -> None:
        """The picture was tried, and is not whole or not right as it stands."""
        group = self._groups.get(name)
        if group is not None:
            group.code, group.why = code, why

    def again(self, name: str) -> None:
        """It could not be tried: the folder was lost meanwhile."""
        group = self._groups.get(name)
        if group is not None:
            group.tried = None

    def gone(self, name: str) -> None:
        """Its files were moved away."""
        self._groups.pop(name, None)

    def _about(self, at_s: float, name: str, group: _Group) -> Action | None:
        files = tuple(sorted(group.files))
        odd = [file for file in files if not group.files[file].regular]
        if odd:
            return SetAside(name, files, "refused", f"{odd[0]} is no plain file")
        sidecar = f"{name}.json" if f"{name}.json" in group.files else ""
        pictures = _pictures(name, files)
        if isinstance(pictures, str):
            return SetAside(name, files, "refused", pictures)
        still = at_s - group.changed_s >= self._stable_s
        if sidecar and pictures and group.tried != (group.files, still):
            group.tried = (group.files, still)
            return TryIt(name, sidecar, pictures, still, group.before_start)
        if at_s - group.changed_s < self._give_up_s:
            return None
        if not sidecar:
            return SetAside(name, files, "no_sidecar", f"{name}.json did not come")
        if not pictures:
            return SetAside(name, files, "no_partner", f"only {', '.join(files)[:200]} came")
        return SetAside(name, files, group.code or "garbled", group.why or "it could not be read")


def _pictures(name: str, files: tuple[str, ...]) -> tuple[str, ...] | str:
    """(low, high) or (raw,); empty where one is missing; a text where there are several."""
    pairs = [
        (f"{name}_low.{kind}", f"{name}_high.{kind}")
        for kind in ("png", "tif", "tiff")
        if f"{name}_low.{kind}" in files or f"{name}_high.{kind}" in files
    ]
    raws = [(file,) for file in (f"{name}.raw", f"{name}.pkg") if file in files]
    if len(pairs) + len(raws) > 1:
        return f"several pictures of one name: {', '.join(files)[:200]}"
    found: list[tuple[str, ...]] = [*pairs, *raws]
    return found[0] if found and all(file in files for file in found[0]) else ()
