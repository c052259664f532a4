"""`python -m tests.world --seeds A-B`: runs seeds, says what did not hold and how to see it again. No asserts.

Seeds run in as many processes as there are processors; what a seed does depends on its number alone.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.world.chaos import Outcome, plan_of_file, run_seed
from tests.world.tally import Tally, repeat_with

SHOWN = 6
"""Breaches shown of one seed."""


def main(arguments: list[str] | None = None) -> int:
    """0 when every guarantee held in every seed, 1 otherwise, 2 for arguments that make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.world", description="A whole site under a virtual clock, by seed."
    )
    parser.add_argument("--seeds", default="1-20", metavar="A-B", help="seeds to run (default 1-20)")
    parser.add_argument(
        "--site", type=Path, metavar="FILE", help="a scenario file instead of the seed's own traffic"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a seed, then one for all")
    parser.add_argument("--story", action="store_true", help="what happened in each seed, line by line")
    parser.add_argument("--stop", action="store_true", help="end with the first seed that fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all)")
    args = parser.parse_args(arguments)
    try:
        seeds = _seeds(args.seeds)
        if args.site is not None:
            plan_of_file(seeds[0], args.site)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    began_s = time.monotonic()
    tally = Tally()
    for outcome in _outcomes(seeds, args.site, max(1, min(args.jobs, len(seeds)))):
        tally.add(outcome)
        _tell(outcome, args)
        if args.stop and outcome.breaches:
            break
    tally.wall_s = time.monotonic() - began_s
    if args.json:
        print(json.dumps({"seeds": tally.seeds, **tally.as_json()}, ensure_ascii=False))
    else:
        print(tally.table())
    return 1 if tally.failed else 0


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise ValueError(f"--seeds: expected A-B or one number, got {text!r}")
    seeds = range(int(first), int(last if dash else first) + 1)
    if not seeds:
        raise ValueError(f"--seeds: expected the first not above the last, got {text!r}")
    return seeds


def _outcomes(seeds: Iterable[int], site: Path | None, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        for seed in seeds:
            yield _run((seed, site))
        return
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run, ((seed, site) for seed in seeds))


def _run(what: tuple[int, Path | None]) -> Outcome:
    seed, site = what
    return run_seed(seed, plan=plan_of_file(seed, site) if site is not None else None)


def _tell(outcome: Outcome, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False), flush=True)
        return
    if args.story:
        print("\n".join([f"seed {outcome.seed}", *outcome.plan, *outcome.story]))
    if not outcome.breaches:
        return
    print(f"seed {outcome.seed}: {len(outcome.breaches)} breaches")
    for breach in outcome.breaches[:SHOWN]:
        print(f"  {breach}")
    print(f"  see it again: {repeat_with(outcome.seed, args.site)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
