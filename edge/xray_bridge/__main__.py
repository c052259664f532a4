"""`python -m edge.xray_bridge CONFIG`: read the config, wire, run."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.xray_bridge.starting import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) == 2 else None))
