"""A machine's export of pictures of known goods, as a site has them of what went over its line before: files
as in a hot folder, and a table of what lies on each. Drawn and photographed like everything on a belt.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hardware_sims.devices.xray_folder import contents
from hardware_sims.xray_belt import BeltSettings, XrayBelt
from hardware_sims.xray_cast import STAPLES, XrayCast
from hardware_sims.xray_goods import BY_SKU, pack
from hardware_sims.xray_machine import EDGE_LINES, Status, Taken, XrayMachine, render
from hardware_sims.xray_physics import DetectorSettings, flattened

TABLE = "references.csv"
REFERENCES_EACH = 6
PARCELS_AN_ARTICLE = 8
"""One article is known to so many parcels that come."""
LEAST_ARTICLES = 3
YESTERDAY_S = 86_400.0
_WEIGHTS = {"extra": 5, "belt_stop": 2, "jam": 2, "reversal": 2, "ordinary": 1, "slip": 1, "short": 1}
"""Cases whose goods are known: what should pass by itself, and what differs from what it should look like."""


def known_goods(cast: XrayCast) -> list[tuple[str, int]]:
    """(SKU, pieces) as declared: what a site has met often enough to know."""
    declared = {row["waybill_no"]: row["lines"][0] for row in cast.records["waybills"]}
    found: Counter[str] = Counter()
    pieces: dict[str, list[int]] = {}
    for parcel in cast.scenario.parcels:
        weight, line = _WEIGHTS.get(parcel.case, 0), declared.get(parcel.waybill_no)
        if weight and line is not None:
            found[line["sku"]] += weight
            counts = pieces.setdefault(line["sku"], [])
            counts += [int(line["quantity"])] if int(line["quantity"]) not in counts else []
    most = max(LEAST_ARTICLES, len(cast.scenario.parcels) // PARCELS_AN_ARTICLE)
    others = [sku for sku, _ in found.most_common() if sku not in STAPLES]
    known = [sku for sku in STAPLES if sku in pieces] + others
    return [(sku, count) for sku in known[:most] for count in sorted(pieces[sku])]


def write_references(
    folder: Path,
    known: Sequence[tuple[str, int]],
    *,
    detector: DetectorSettings,
    seed: int,
    unix_s: float,
    cache: Path | None = None,
) -> None:
    """`REFERENCES_EACH` pictures of each SKU in each number of pieces it comes in. `unix_s`: now."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = XrayMachine(
        XrayBelt(BeltSettings(), [], lambda at_s, kind, fields: None),
        lambda parcel: None,  # type: ignore[arg-type,return-value]
        detector=detector,
        seed=seed,
    )
    noise = np.random.default_rng((seed, 0x4EF5))
    rows: list[list[str]] = []
    number = 0
    for sku, pieces in known:
        article = BY_SKU[sku]
        for _ in range(REFERENCES_EACH):
            number += 1
            rendered = render(pack(900_000 + 100 * seed + number, sku, pieces), detector, cache)
            free = np.ones((EDGE_LINES, detector.pixels), np.float32)
            counted = machine.detector.counts(
                np.concatenate([free, rendered.low, free]), np.concatenate([free, rendered.high, free]), noise
            )
            low, high = (
                flattened(
                    counted[layer], machine.detector.dark[layer], machine.detector.gain[layer], 60_000.0
                )
                for layer in (0, 1)
            )
            lines = low.shape[0]
            at_s = 30.0 * number - YESTERDAY_S
            at_mm = 1_000.0 * number
            taken = Taken(
                number,
                at_s,
                at_s + 2.0,
                at_mm,
                at_mm + lines * detector.line_mm,
                low,
                high,
                Status.SUCCESSFUL,
            )
            for name, data in contents(machine, taken, lambda at_s: unix_s + at_s).items():
                (folder / name).write_bytes(data)
            rows.append([f"P{number:06d}", article.sku, article.hs_code, article.name_zh, str(pieces)])
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", "sku", "hs_code", "goods", "quantity"])
        table.writerows(rows)
