"""The set of real barcode photographs: where it lies, what is on each, whether a text is that. Reads none.

The set is no part of the house: it stands beside the checkout, in shared/data/barcodes, or where
`KAKOU_BARCODES` says. Its page tells how texts compare.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.reading.scans import RETAIL

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "barcodes"


def photographs() -> Path | None:
    """None where they are not here."""
    folder = Path(os.environ.get("KAKOU_BARCODES", BESIDE))
    return folder if (folder / "truth.json").is_file() else None


@dataclass(frozen=True, slots=True)
class Photograph:
    path: Path
    symbology: str
    """Empty: there is no code in it."""
    texts: frozenset[str]
    """As `alike` writes them; more than one where the set's page cut the text short."""

    def shows(self, read: Iterable[str]) -> bool:
        return any(alike(text, self.symbology) in self.texts for text in read)


def listed(folder: Path) -> list[Photograph]:
    rows = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return [
        Photograph(
            folder / row["file"],
            row["symbology"],
            frozenset(
                alike(text, row["symbology"])
                for text in (row["text"], bytes.fromhex(row["text_hex"]).decode("utf-8", "replace"))
            ),
        )
        for row in rows
    ]


def alike(text: str, symbology: str) -> str:
    """EAN and UPC without leading zeros, Codabar without its start and stop letters, lines ended alike."""
    text = text.replace("\r\n", "\n").rstrip()
    if symbology in RETAIL:
        return text.lstrip("0")
    return text.strip("ABCDabcd") if symbology == "codabar" else text
