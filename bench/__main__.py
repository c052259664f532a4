"""`kakou bench [NAME]`: measures, prints a table, exits 1 when a figure that is asked for is missed."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import Bench, missed, show


class NotInstalled(Exception):
    """A bench, or its peer, needs what an installation for use does not have."""


def _late(module: str, **more: Any) -> Callable[[Path, float], Bench]:
    """Imported when it is run: one that needs a tool which is not here stops no other."""

    def run(folder: Path, scale: float) -> Bench:
        try:
            found = importlib.import_module(f"bench.{module}")
        except (ImportError, RuntimeError) as error:
            raise NotInstalled(str(error).strip().splitlines()[0]) from error
        measured: Bench = found.run(folder, scale, **more)
        return measured

    return run


BENCHES: Mapping[str, Callable[[Path, float], Bench]] = {
    name: _late(name.replace("-", "_"))
    for name in (
        "ruling", "durable", "records", "storing", "ingest", "drain", "alarms", "console", "lane", "live",
        "reading", "vault", "handheld", "xray", "xray-station",
    )
}  # fmt: skip
SCALE = 0.1


def main(
    arguments: Sequence[str] | None = None, benches: Mapping[str, Callable[[Path, float], Bench]] = BENCHES
) -> int:
    """The exit code: 0 when every figure is what is asked, 1 when one is not, 2 when one cannot be taken."""
    parser = argparse.ArgumentParser(prog="kakou bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(benches), help="one bench; all if left out")
    parser.add_argument(
        "--scale",
        type=_scale,
        default=SCALE,
        help=f"share of the full sizes, 1 M slips and 10 M waybills (default {SCALE})",
    )
    parser.add_argument(
        "--folder", type=_folder, help="where the files go, made where it is not: the disk that is measured"
    )
    parser.add_argument(
        "--peers",
        type=Path,
        help="a venv for ThingsBoard's gateway, made where there is none",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a figure instead of the table")
    given = parser.parse_args(arguments)
    if given.peers is not None and "storing" in benches:
        benches = {**benches, "storing": _late("storing", peers=given.peers.resolve())}
    measured: list[Bench] = []
    for name in [given.name] if given.name else list(benches):
        sys.stderr.write(f"{name} …\n")
        with tempfile.TemporaryDirectory(prefix=f"kakou-bench-{name}-", dir=given.folder) as folder:
            try:
                measured.append(benches[name](Path(folder), given.scale))
            except NotInstalled as error:
                sys.stderr.write(f"{name}: needs what `make bench` installs ({error})\n")
                return 2
    show(measured, as_json=given.json)
    return 1 if missed(measured) else 0


def _folder(text: str) -> Path:
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"expected a folder, or where one can be made; {text}: {error.strerror}"
        ) from error
    return folder


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 < scale <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0, at most 1, got {text}")
    return scale


if __name__ == "__main__":
    sys.exit(main())
