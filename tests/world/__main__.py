"""`python -m tests.world --seeds A-B`: run seeds, say what broke and how to see it again."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict

from tests.world.chaos import run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.world")
    parser.add_argument("--seeds", default="1-20")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--stop", action="store_true")
    args = parser.parse_args()
    low, _, high = args.seeds.partition("-")
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    bad = 0
    cpu = virtual = lived = 0.0
    events = passages = 0
    for seed in range(int(low), int(high or low) + 1):
        outcome = run_seed(seed)
        f = outcome.figures
        cpu += f.cpu_s
        virtual += f.virtual_s
        lived += f.lived_s
        events += f.events
        passages += f.passages
        for what, counts in outcome.seen.items():
            seen[what].update(counts)
        if args.story:
            print("\n".join(outcome.plan))
            print("\n".join(outcome.story))
        if outcome.breaches:
            bad += 1
            print(f"seed {seed}:")
            for breach in outcome.breaches[:8]:
                print("   ", str(breach)[:1200])
            if args.stop:
                break
    for what in sorted(seen):
        print(what, dict(sorted(seen[what].items())), file=sys.stderr)
    print(json.dumps({"bad": bad, "cpu_s": cpu, "virtual_s": virtual, "lived_s": lived, "events": events, "passages": passages, "lane_h_per_min": 2*virtual/3600/(cpu/60)}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
