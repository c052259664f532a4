"""Raw pictures and lines: what is refused, and what offset, gain and dead diodes come to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.xray_bridge.imaging.pictures import (
    GainMap,
    PictureRefused,
    RawPicture,
    silent_rows,
    without_silent_rows,
)


def counts(rows: int = 20, columns: int = 30, value: int = 4000) -> NDArray[np.uint16]:
    return np.full((rows, columns), value, np.uint16)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"low": counts().astype(np.float32)}, "low: expected 16-bit counts"),
        ({"low": np.zeros(40, np.uint16)}, "low: expected 16-bit counts in rows and columns"),
        ({"high": counts(21)}, r"high: expected \(20, 30\) as low has"),
        ({"low": counts(8, 8), "high": counts(8, 8)}, "expected 16 rows and columns at least"),
        ({"low": counts(16, 20_000), "high": counts(16, 20_000)}, "16384 columns"),
        ({"air_low": 10}, "air_low: expected 255 to 65535, got 10"),
        ({"air_high": 70_000}, "air_high: expected 255 to 65535, got 70000"),
        ({"mm_per_row": 0.0}, "mm_per_row: expected 0.05 to 20 mm"),
        ({"mm_per_column": float("nan")}, "mm_per_column: expected 0.05 to 20 mm"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_was_expected(
    change: dict[str, object], expected: str
) -> None:
    parts: dict[str, object] = {
        "low": counts(),
        "high": counts(),
        "air_low": 4095,
        "air_high": 4095,
        "mm_per_column": 1.0,
        "mm_per_row": 1.0,
    }
    RawPicture(**parts)  # type: ignore[arg-type]
    with pytest.raises(PictureRefused, match=expected):
        RawPicture(**{**parts, **change})  # type: ignore[arg-type]


def lines(mean: NDArray[np.float64], count: int, seed: int, noise: float) -> NDArray[np.uint16]:
    draw = np.random.default_rng(seed)
    seen = mean + noise * draw.standard_normal((count, mean.size))
    return np.clip(np.rint(seen), 0, 65_535).astype(np.uint16)


def test_offset_and_gain_leave_the_same_air_on_every_diode() -> None:
    draw = np.random.default_rng(1)
    dark, air = 1_600 + 100 * draw.standard_normal(64), 48_000 * (1 + 0.06 * draw.standard_normal(64))
    gain = GainMap.measured(lines(dark, 64, 2, 8), lines(air, 256, 3, 400), 60_000)
    half = lines(dark + 0.5 * (air - dark), 400, 4, 300)
    assert np.abs(gain.corrected(half).mean(axis=0) / 30_000 - 1).max() < 0.01
    assert gain.corrected(lines(air, 400, 5, 400)).max() <= 60_000


def test_a_dead_diode_is_read_from_its_nearest_and_named() -> None:
    dark, air = np.full(40, 1000.0), np.full(40, 50_000.0)
    dark[7], air[7] = 200.0, 203.0
    gain = GainMap.measured(lines(dark, 32, 1, 2), lines(air, 32, 2, 50), 40_000)
    shadow = np.full(40, 25_500.0)
    shadow[7] = 200.0
    assert np.flatnonzero(gain.dead).tolist() == [7]
    assert np.abs(gain.corrected(lines(shadow, 50, 3, 50))[:, 7].mean() / 20_000 - 1) < 0.01


def test_lines_with_the_source_off_make_no_gain() -> None:
    dark = lines(np.full(40, 1000.0), 32, 1, 2)
    with pytest.raises(PictureRefused, match="is the source on"):
        GainMap.measured(dark, dark, 40_000)
    with pytest.raises(PictureRefused, match="16 lines"):
        GainMap.measured(dark[:4], dark, 40_000)
    with pytest.raises(PictureRefused, match="40 diodes"):
        GainMap.measured(dark, lines(np.full(41, 9000.0), 32, 1, 2), 40_000)


def test_a_gain_that_moved_is_told_as_a_share() -> None:
    dark, air = np.full(40, 1000.0), np.full(40, 50_000.0)
    first = GainMap.measured(lines(dark, 64, 1, 1), lines(air, 64, 2, 1), 40_000)
    air[3] *= 0.97
    assert first.drift(
        GainMap.measured(lines(dark, 64, 1, 1), lines(air, 64, 2, 1), 40_000)
    ) == pytest.approx(0.031, abs=0.003)


def test_a_row_that_is_dead_in_one_energy_does_not_become_lead() -> None:
    low, high = counts(40, 60), counts(40, 60)
    low[39] = 2
    picture = RawPicture(low, high, 4095, 4095, 1.0, 1.0)
    assert np.flatnonzero(silent_rows(picture)).tolist() == [39]
    seen, count = without_silent_rows(picture)
    assert count == 1
    assert seen.low[39].tolist() == seen.low[38].tolist()
