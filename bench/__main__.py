"""`kakou bench [NAME]`: measures, prints a table, exits 1 when a figure that is asked for is missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import drain, durable, records, ruling
from bench.harness import Bench, show

BENCHES: dict[str, Callable[[Path, float], Bench]] = {
    "ruling": ruling.run,
    "durable": durable.run,
    "records": records.run,
    "drain": drain.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="kakou bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES), help="one bench; all if left out")
    parser.add_argument(
        "--scale", type=float, default=0.1, help="share of the full table sizes (default 0.1)"
    )
    parser.add_argument("--folder", type=Path, help="where the files go: the disk that is measured")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    names = [args.name] if args.name else list(BENCHES)
    benches: list[Bench] = []
    with tempfile.TemporaryDirectory(prefix="kakou-bench-", dir=args.folder) as folder:
        for name in names:
            sys.stderr.write(f"{name} …\n")
            benches.append(BENCHES[name](Path(folder), args.scale))
    show(benches, as_json=args.json)
    missed = [figure.name for bench in benches for figure in bench.figures if figure.met is False]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
