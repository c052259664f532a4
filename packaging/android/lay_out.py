"""Lays out what the Android app is made of: the two programs beside this file, every module of ours that
they can reach (imports inside functions too), and the data beside those modules. `python
packaging/android/lay_out.py`, then buildozer; see docs/handheld-android.md. Standard library alone.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
TREE = HERE / "tree"
OURS = ("edge", "sync")
PROGRAMS = ("main.py", "service/sync_main.py")
DATA = {".kv", ".toml", ".sql", ".ttf", ".otf", ".ttc", ".png", ".wav", ".json", ".txt", ".md"}
NOT_DATA = {"README.md"}


@dataclass(frozen=True)
class Reached:
    files: frozenset[Path]
    """Of ours, relative to the checkout."""
    foreign: dict[str, frozenset[str]]
    """Top-level name of anybody else's module -> the files that import it."""


def reach(programs: Iterable[Path], checkout: Path = CHECKOUT) -> Reached:
    """What the programs can import, by their syntax alone. What stands under `if TYPE_CHECKING:` is not
    imported.
    """
    files: set[Path] = set()
    foreign: dict[str, set[str]] = {}
    waiting = [(path, "") for path in programs]
    while waiting:
        path, module = waiting.pop()
        for name in imported(ast.parse(path.read_text(encoding="utf-8")), module, path.name == "__init__.py"):
            top = name.split(".", 1)[0]
            if top in OURS:
                for each, file in ours(name, checkout):
                    if file.relative_to(checkout) not in files:
                        files.add(file.relative_to(checkout))
                        waiting.append((file, each))
            elif top not in sys.stdlib_module_names:
                shown = path.relative_to(checkout) if path.is_relative_to(checkout) else path
                foreign.setdefault(top, set()).add(str(shown))
    return Reached(frozenset(files), {name: frozenset(users) for name, users in foreign.items()})


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Names of modules, and of what is taken from them: `a.b` and `a.b.c` for `from a.b import c`."""
    for node in walked(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def walked(tree: ast.AST) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def ours(name: str, checkout: Path) -> Iterator[tuple[str, Path]]:
    """The files a module's name stands for: its packages' `__init__.py` and itself. A name in a module is
    none.
    """
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        base = checkout.joinpath(*parts[:count])
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file():
                yield ".".join(parts[:count]), file


def data_of(files: Iterable[Path], checkout: Path) -> Iterator[Path]:
    """What lies beside the modules and in folders below them that are no packages."""
    for folder in sorted({file.parent for file in files}):
        for path in sorted((checkout / folder).rglob("*")):
            inner = [checkout / folder, *reversed(path.parents)][1:]
            in_package = any(
                (each / "__init__.py").is_file()
                for each in inner
                if each != checkout / folder and each.is_relative_to(checkout / folder)
            )
            if path.suffix in DATA and path.name not in NOT_DATA and path.is_file() and not in_package:
                yield path.relative_to(checkout)


def lay_out(tree: Path = TREE, checkout: Path = CHECKOUT, reached: Reached | None = None) -> tuple[Path, ...]:
    """A fresh tree; the files in it, relative to it."""
    reached = reached or reach([HERE / name for name in PROGRAMS], checkout)
    shutil.rmtree(tree, ignore_errors=True)
    sources = {Path(name): HERE / name for name in PROGRAMS}
    for file in (*reached.files, *data_of(reached.files, checkout)):
        sources[file] = checkout / file
    for name in ("icon.png", "presplash.png", "LICENSE"):
        source = (HERE if name.endswith(".png") else checkout) / name
        sources[Path(name)] = source
    for name, source in sources.items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return tuple(sorted(sources))


if __name__ == "__main__":
    laid = lay_out()
    size_kb = sum((TREE / name).stat().st_size for name in laid) // 1000
    sys.stdout.write(f"{TREE}: {len(laid)} files, {size_kb} kB\n")
