"""`python -m hardware_sims serve SITE.toml`: simulated devices on ptys and sockets. Parses, dispatches."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_sims.scenario import ScenarioRefused, read_scenario
from hardware_sims.shell import Shell, teller

if TYPE_CHECKING:
    from hardware_sims.xray_shell import XrayShell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "site",
        type=Path,
        metavar="SITE.toml",
        help="scenario file: lanes, vehicles, faults; or an X-ray line and its parcels",
    )
    parser.add_argument(
        "--folder", type=Path, help="where ports/ and physics.jsonl go (default: beside SITE.toml)"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds per second (default 1)")
    parser.add_argument("--hold", action="store_true", help="no vehicle comes before the line `go` on stdin")
    parser.add_argument("--until-idle", action="store_true", help="end when the last vehicle has gone")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")


def serve(args: argparse.Namespace) -> int:
    """Exit code: 0 ended as asked, 2 wrong use."""
    if not 0.01 <= args.speed <= 1000:
        sys.stderr.write(f"--speed: expected 0.01 to 1000, got {args.speed:g}\n")
        return 2
    folder = args.folder if args.folder is not None else args.site.resolve().parent
    told = teller(args.json)
    shell: Shell | XrayShell
    try:
        if _is_xray(args.site):
            # Numpy and OpenCV with it: lanes do without.
            from hardware_sims.xray_scenario import read_xray_scenario
            from hardware_sims.xray_shell import XrayShell

            line = read_xray_scenario(args.site)
            shell = XrayShell(line, folder, speed=args.speed, released=not args.hold, tell=told)
        else:
            scenario = read_scenario(args.site)
            shell = Shell(scenario, folder, speed=args.speed, released=not args.hold, tell=told)
    except (ScenarioRefused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    commands_fd = -1 if sys.stdin is None or sys.stdin.closed else sys.stdin.fileno()
    shell.run(commands_fd=commands_fd, until_idle=args.until_idle)
    return 0


def _is_xray(path: Path) -> bool:
    """A file that is no TOML is refused by whoever reads it next."""
    try:
        return "xray" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hardware_sims serve", description=__doc__)
    add_arguments(parser)
    return serve(parser.parse_args(argv))
