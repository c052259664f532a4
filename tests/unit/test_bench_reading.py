"""The bench of reading: its judgement of a set, and, in `make prove`, the whole of it in small."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import pytest

from bench import reading
from bench.barcodes import Photograph, alike, listed, photographs
from bench.labels import code
from edge.reading import decoders as library

IN_PROVE = pytest.mark.skipif("KAKOU_PROVE" not in os.environ, reason="long: in `make prove`")

pytestmark = pytest.mark.skipif(
    not library.found().capabilities.is_whole, reason=f"missing: {library.found().capabilities.en}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two codes, one of them with another text than the set says, and a picture without a code."""
    rows = []
    for file, text, symbology, shows in (
        ("right.png", "036000291452", "upca", code("036000291452", "UPCA", scale=3)),
        ("wrong.png", "AAA-1", "code128", code("BBB-2", "Code128", scale=3)),
        ("none.png", "", "", code("X", "QRCode", scale=9)[:60, :60]),
    ):
        cv2.imwrite(str(tmp_path / file), shows)
        rows.append({"file": file, "text": text, "text_hex": text.encode().hex(), "symbology": symbology})
    (tmp_path / "truth.json").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv("KAKOU_BARCODES", str(tmp_path))
    return tmp_path


def test_right_wrong_and_phantoms_are_counted_apart(folder: Path) -> None:
    pictures = listed(photographs() or Path())
    readers = reading._readers()
    score = reading._score(pictures, readers["cascade"])
    assert (score.right, score.wrong, score.phantoms) == (1, 1, 0)
    assert score.ms > 0
    ghost = reading._score(pictures, lambda grey: ["036000291452"])
    assert (ghost.right, ghost.wrong, ghost.phantoms) == (1, 1, 1)
    blind = reading._score(pictures, lambda grey: [])
    assert (blind.right, blind.wrong, blind.phantoms) == (0, 0, 0)


def test_what_is_asked_of_the_set_is_missed_where_it_is_missed(folder: Path) -> None:
    figures = reading._on_photographs(listed(folder), {"cascade": lambda grey: ["036000291452"]})
    assert {figure.name: figure.met for figure in figures} == {
        "right": False,
        "wrong": True,
        "a code where none is": False,
        "CPU a picture": True,
    }


def test_where_there_is_no_set_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKOU_BARCODES", str(tmp_path / "nowhere"))
    assert photographs() is None


@pytest.mark.parametrize(
    ("text", "symbology", "same"),
    [
        ("0036000291452", "upca", "36000291452"),
        ("A1234567B", "codabar", "1234567"),
        ("one\r\ntwo\r\n", "qrcode", "one\ntwo"),
        ("007", "code128", "007"),
    ],
)
def test_texts_compare_as_the_sets_page_says(text: str, symbology: str, same: str) -> None:
    assert alike(text, symbology) == same
    assert Photograph(Path(), symbology, frozenset({same})).shows([text])


@IN_PROVE
@pytest.mark.timeout(600)
def test_the_bench_runs_through_and_meets_what_is_asked_of_labels(folder: Path) -> None:
    bench = reading.run(folder, 0.0005)
    asked = {
        figure.name: figure.met
        for figure in bench.figures
        if "tilted" in figure.name and "cascade" in figure.name
    }
    assert list(asked.values()) == [True, True]
    assert len([figure for figure in bench.figures if figure.name.startswith("CPU a frame")]) == 4
