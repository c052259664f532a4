"""`python -m tests.alone`: what failed beside other tests is run once more, with the machine to itself.

Programs that talk to each other within seconds fail on a build machine that stands still for as long. A test
that fails twice has found something; one that fails once is named here, in sight, and somebody looks for why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
MOST = 5
"""More than so many is no machine that stood still."""


def main(file: Path = FAILED) -> int:
    try:
        failed = sorted(map(_without_group, json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        print("tests.alone: pytest left no list of what failed", file=sys.stderr)
        return 1
    if not 0 < len(failed) <= MOST:
        print(f"tests.alone: {len(failed)} failed; expected 1 to {MOST}: not tried again", file=sys.stderr)
        return 1
    print(f"tests.alone: {len(failed)} failed beside others, each once more alone:", *failed, sep="\n  ")
    again = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark-disable", "-p", "no:cacheprovider", *failed]
    )
    said = (
        "passed alone; they failed beside others, look for why" if again.returncode == 0 else "failed again"
    )
    print(f"tests.alone: {said}:", *failed, sep="\n  ")
    return again.returncode


def _without_group(test: str) -> str:
    """pytest-xdist writes a test's group behind its name."""
    return test.rpartition("@")[0] if test.rfind("@") > test.rfind("]") else test


if __name__ == "__main__":
    sys.exit(main())
