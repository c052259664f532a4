"""Real dual-energy scans: where they lie and how they are read. Analyses none.

They are no part of the house, nobody having licensed them: they stand beside the checkout, in
shared/data/xray/raw_dual_energy_16bit, or where `KAKOU_XRAY` says.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.pictures import RawPicture

BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "xray" / "raw_dual_energy_16bit"
MACHINE: Final = Calibration(aluminium_mm=2.0, copper_mm=-0.4, scatter=0.0006)
"""No wedge goes with the scans. This beam gives the ratios of their water bottles and of a PC's steel case at
all thicknesses; how large a dot is nobody says."""


def scans() -> Path | None:
    """None where they are not here."""
    folder = Path(os.environ.get("KAKOU_XRAY", BESIDE))
    return folder if (folder / "meta.json").is_file() else None


def listed(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix("_low.png") for path in folder.glob("*_low.png"))


def load(folder: Path, name: str) -> RawPicture:
    air = int(json.loads((folder / "meta.json").read_text(encoding="utf-8"))[name]["air_value"])
    low, high = (
        np.asarray(cv2.imread(str(folder / f"{name}_{channel}.png"), cv2.IMREAD_UNCHANGED), dtype=np.uint16)
        for channel in ("low", "high")
    )
    return RawPicture(low, high, air, air, 1.0, 1.0, name)
