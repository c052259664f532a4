"""`kakou decode`: one picture file -> one row, by the cascade alone. No guard, nothing printed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edge.reading.cascade import read_still
from edge.reading.decoders import Decoders
from edge.reading.pictures import NotAPicture, load_grey


def decoded(path: Path, decoders: Decoders) -> dict[str, Any]:
    """`ms`: CPU of this process from opening the file to the last code. `error` where it is no picture."""
    started_s = time.process_time()
    row: dict[str, Any] = {"file": str(path), "reads": []}
    try:
        found = read_still(load_grey(path), decoders)
    except NotAPicture as refused:
        row["error"] = str(refused)
    else:
        row["reads"] = [
            {
                "text": each.text,
                "symbology": each.symbology,
                "aim": each.aim,
                "polygon": [[round(x), round(y)] for x, y in each.polygon],
            }
            for each in found
        ]
    row["ms"] = round((time.process_time() - started_s) * 1000, 1)
    return row
