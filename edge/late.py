"""Groups of `kakou`'s commands whose rooms are imported when they are asked for: a lane starts without the
hub's archive. Knows no command itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

PLACES: dict[str, str] = {}
"""Name of a group -> `module:attribute` of its Typer. Filled by whoever has the groups, before the first
command is looked for."""


class LateCommands(TyperGroup):
    """A group with those of `PLACES` behind its own commands; the help, which tells of all, imports all."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _OnDemand(dict(self.commands))


class _OnDemand(MutableMapping[str, Any]):
    def __init__(self, there: dict[str, Any]) -> None:
        self._there: dict[str, Any] = {**there, **dict.fromkeys(PLACES)}

    def __getitem__(self, name: str) -> Any:
        found = self._there[name]
        if found is None:
            module, _, attribute = PLACES[name].partition(":")
            found = self._there[name] = get_group(getattr(importlib.import_module(module), attribute))
            found.name = name
        return found

    def __setitem__(self, name: str, command: Any) -> None:
        self._there[name] = command

    def __delitem__(self, name: str) -> None:
        del self._there[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)
