"""The X-ray analysis beside the plain float-numpy one; and what comparison finds in simulated goods.

CPU of this process, one thread of OpenCV. 1000 x 800 dots, two energies of 16 bit, a parcel in the frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.harness import Bench, Figure, in_turns
from bench.xray_goods import EXTRAS, packed, photograph
from bench.xray_plain import PlainAnalysis, PlainReferences, analyse_plainly, curves_of
from edge.xray_bridge.imaging.analysis import analyse, analyse_developed
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.comparing import Kept, References, compared
from edge.xray_bridge.imaging.describing import Descriptor
from edge.xray_bridge.imaging.palettes import CHINESE
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.views import coloured_and_classed, develop, drawn
from edge.xray_bridge.imaging.wedge import calibrated
from hardware_sims.xray_goods import ARTICLES, Article, wedge

TIMES_ASKED: Final = 10.0
P95_MS_ASKED: Final = 60.0
RATE_ASKED: Final = 20.0
ROUNDS: Final = 60
REFERENCES: Final = 8
SKU: Final = "SKU-SHOE-42"
COLUMNS, ROWS = 1000, 800
DETECTION_REFERENCES: Final = (5, 10)
NUMBERS: Final = (1, 2, 3)
"""Of pieces, in which the goods of a mixed library come."""
OF_EACH_NUMBER: Final = 6
FALSE_ALARMS: Final = 0.05


def run(folder: Path, scale: float) -> Bench:
    """Timing in 12 to 60 rounds; comparison over 13 articles (fewer below 0.1), 24 parcels of a kind at 1."""
    calibration = calibrated(photograph(wedge(), 1))
    figures = _timed(calibration, max(12, min(ROUNDS, round(600 * scale))))
    articles = ARTICLES[: max(3, min(len(ARTICLES), round(130 * scale)))]
    figures += _detected(calibration, articles, max(2, round(24 * scale)))
    figures += _missed(calibration, articles, max(2, round(24 * scale)))
    setting = (
        f"{COLUMNS} x {ROWS}, two 16-bit channels, one {SKU} parcel, {REFERENCES} references; "
        "simulated goods, 4,000 photons a dot; CPU of one thread"
    )
    return Bench("xray", figures, setting)


def large(seed: int) -> RawPicture:
    return photograph(packed(SKU, seed), seed, line_mm=0.8, pixel_mm=0.45, pixels=ROWS, lines=COLUMNS)


def colours_and_analysis(picture: RawPicture, calibration: Calibration, references: References) -> float:
    """What the bridge does with a whole picture before anything is on a screen."""
    developed = develop(picture)
    coloured_and_classed(developed, calibration, CHINESE)
    analysis, _ = analyse_developed(developed, calibration, references)
    return analysis.compared.score or 0.0


def _timed(calibration: Calibration, rounds: int) -> list[Figure]:
    pictures = [large(seed) for seed in range(3)]
    kept = [analyse(large(10 + n), calibration)[1] for n in range(REFERENCES)]
    references = References.of([Kept(f"R{n}", each) for n, each in enumerate(kept)])
    curves = curves_of(calibration)
    plain = [analyse_plainly(large(10 + n), calibration, curves, None) for n in range(REFERENCES)]
    plain_references = _plain_references(plain)
    walls: list[float] = []
    turn = {"ours": 0, "plain": 0}

    def ours() -> float:
        turn["ours"] += 1
        picture = pictures[turn["ours"] % len(pictures)]
        wall_s = time.perf_counter()
        spent = _cpu_ms(lambda: colours_and_analysis(picture, calibration, references))
        walls.append((time.perf_counter() - wall_s) * 1000)
        return spent

    def plainly() -> float:
        turn["plain"] += 1
        picture = pictures[turn["plain"] % len(pictures)]
        return _cpu_ms(lambda: analyse_plainly(picture, calibration, curves, plain_references))

    ours(), plainly()
    walls.clear()
    found = in_turns(rounds, [("ours", ours), ("plain", plainly)])
    times = found.ratio("plain", "ours")
    median_ms, p95_ms = found.median("ours"), float(np.quantile(found.found["ours"], 0.95))
    wall_p95_ms = float(np.quantile(walls, 0.95))
    developed = develop(pictures[0])
    switch_ms = float(np.median([_cpu_ms(lambda: drawn(developed, calibration)) for _ in range(15)]))
    plain_ms = found.median("plain")
    return [
        Figure(
            "colours, materials, score",
            median_ms,
            "ms CPU",
            times,
            "as quick as the plain path",
            at_least=TIMES_ASKED,
        ),
        Figure("the plain float-numpy path", plain_ms, "ms CPU"),
        Figure(
            "p95",
            p95_ms,
            "ms CPU",
            p95_ms / P95_MS_ASKED,
            f"the {P95_MS_ASKED:g} ms asked",
            at_most=1.0,
        ),
        Figure("p95 on the wall", wall_p95_ms, "ms", note="beside whatever else the machine does"),
        Figure(
            "pictures a second a core",
            1000.0 / median_ms,
            "/s",
            1000.0 / median_ms / RATE_ASKED,
            f"the {RATE_ASKED:g} asked",
            at_least=1.0,
        ),
        Figure("another view of the same picture", switch_ms, "ms CPU"),
    ]


def _cpu_ms(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return (time.process_time() - started_s) * 1000


def _plain_references(found: Sequence[PlainAnalysis]) -> PlainReferences:
    return PlainReferences(
        np.stack([each.histogram for each in found]),
        np.stack([each.grid for each in found]),
        np.array([each.mass_g for each in found]),
    )


# --- what comparison finds ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Scores by number of references, for one kind of parcel."""

    normal: list[float]
    wrong: dict[str, list[float]]

    def border(self) -> float:
        """The score above which 5 % of normal parcels lie."""
        return float(np.quantile(self.normal, 1.0 - FALSE_ALARMS))


def detection(calibration: Calibration, articles: Sequence[Article], each: int, references: int) -> Found:
    """`each`: parcels of every kind for every article."""
    found = Found([], {"wrong goods": [], "one of two pieces missing": [], **{name: [] for name in EXTRAS}})

    def described(sku: str, seed: int, *, pieces: int = 2, extra: str | None = None) -> Descriptor:
        return analyse(photograph(packed(sku, seed, pieces=pieces, extra=extra), seed), calibration)[1]

    for number, article in enumerate(articles):
        seed = 10_000 * (number + 1)
        kept = References.of([Kept(f"R{n}", described(article.sku, seed + n)) for n in range(references)])

        def score(descriptor: Descriptor, against: References = kept) -> float:
            return compared(descriptor, against).score or 0.0

        for n in range(2 * each):
            found.normal.append(score(described(article.sku, seed + 1_000 + n)))
        for n in range(each):
            other = ARTICLES[(number + 1 + (seed + n) % (len(ARTICLES) - 1)) % len(ARTICLES)].sku
            found.wrong["wrong goods"].append(score(described(other, seed + 2_000 + n)))
            found.wrong["one of two pieces missing"].append(
                score(described(article.sku, seed + 3_000 + n, pieces=1))
            )
        for place, extra in enumerate(EXTRAS):
            for n in range(max(1, each // 2)):
                found.wrong[extra].append(
                    score(described(article.sku, seed + 4_000 + 100 * place + n, extra=extra))
                )
    return found


def _detected(calibration: Calibration, articles: Sequence[Article], each: int) -> list[Figure]:
    figures = []
    for references in DETECTION_REFERENCES:
        found = detection(calibration, articles, each, references)
        border = found.border()
        count = len(found.normal)
        note = f"{count} normal parcels of {len(articles)} articles, simulated: real goods differ more"
        name = f"score that 5 % of normal parcels pass, {references} references"
        figures.append(Figure(name, border, "", note=note))
        for kind, scores in found.wrong.items():
            caught = 100.0 * float(np.mean(np.array(scores) > border))
            figures.append(Figure(f"  {kind} found", caught, f"% of {len(scores)}"))
    return figures


def pieces_missing(
    calibration: Calibration, articles: Sequence[Article], each: int
) -> tuple[dict[str, Found], dict[str, Found]]:
    """Two pieces declared, `OF_EACH_NUMBER` references of each of `NUMBERS`: parcels of two and of one, the
    latter in a carton of two and in one of its own. Scores (against all of them, against those of two), by
    article."""
    of_all: dict[str, Found] = {}
    of_two: dict[str, Found] = {}

    def described(sku: str, seed: int, pieces: int, declared: int) -> Descriptor:
        return analyse(photograph(packed(sku, seed, pieces=pieces, declared=declared), seed), calibration)[1]

    for number, article in enumerate(articles):
        seed = 10_000 * (number + 1)
        kept = [
            Kept(
                f"R{pieces}-{n}", described(article.sku, seed + 100 * pieces + n, pieces, pieces), str(pieces)
            )
            for pieces in NUMBERS
            for n in range(OF_EACH_NUMBER)
        ]
        whole = [described(article.sku, seed + 1_000 + n, 2, 2) for n in range(2 * each)]
        wrong = {
            "one of two pieces missing": [
                described(article.sku, seed + 3_000 + n, 1, 2) for n in range(each)
            ],
            "one sent for two, in its own carton": [
                described(article.sku, seed + 5_000 + n, 1, 1) for n in range(each)
            ],
        }
        for into, against in ((of_all, References.of(kept)), (of_two, References.of(kept, quantity="2"))):
            into[article.sku] = Found(
                [compared(one, against).score or 0.0 for one in whole],
                {
                    kind: [compared(one, against).score or 0.0 for one in found]
                    for kind, found in wrong.items()
                },
            )
    return of_all, of_two


def _missed(calibration: Calibration, articles: Sequence[Article], each: int) -> list[Figure]:
    figures = []
    names = ("of 1, 2 and 3 pieces", "of the declared number")
    for name, by_article in zip(names, pieces_missing(calibration, articles, each), strict=True):
        normal = [score for found in by_article.values() for score in found.normal]
        border = float(np.quantile(normal, 1.0 - FALSE_ALARMS))
        note = f"{len(normal)} normal parcels of two pieces"
        figures.append(
            Figure(f"score that 5 % of normal parcels pass, references {name}", border, "", note=note)
        )
        for kind in next(iter(by_article.values())).wrong:
            scores = np.array([score for found in by_article.values() for score in found.wrong[kind]])
            caught = 100.0 * float(np.mean(scores > border))
            figures.append(Figure(f"  {kind}, found", caught, f"% of {scores.size}"))
    return figures
