"""`python -m hardware_sims COMMAND …`. Dispatches, nothing else."""

from __future__ import annotations

import sys

from hardware_sims import demo, reconciliation, serve


def main(argv: list[str]) -> int:
    match argv:
        case ["serve", *rest]:
            return serve.main(rest)
        case ["demo", *rest]:
            return demo.main(rest)
        case ["reconcile", *rest]:
            return reconciliation.main(rest)
        case _:
            sys.stderr.write("expected: python -m hardware_sims serve …, demo … or reconcile …\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
