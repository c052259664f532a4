"""`python -m edge.handheld [--headless] CONFIG`: read the config, wire, run."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.handheld.starting import main

if __name__ == "__main__":
    paths = [Path(each) for each in sys.argv[1:] if not each.startswith("--")]
    sys.exit(main(paths[0] if paths else None, headless="--headless" in sys.argv))
