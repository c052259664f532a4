"""`kakou decode`: a row a picture, in the order given; no picture is a finding, no file wrong use."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner

from bench.labels import code, frame, waybill
from edge.cli import app
from edge.reading import decoders as library

NUMBER = "YT1234567890123"

pytestmark = pytest.mark.skipif(
    not library.found().capabilities.is_whole, reason=f"missing: {library.found().capabilities.en}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "label.png"), frame(waybill(NUMBER), tilt_deg=30))
    cv2.imwrite(str(tmp_path / "slip.jpg"), code("运单号：1", "QRCode", scale=5))
    cv2.imwrite(str(tmp_path / "nothing.webp"), code("X", "QRCode", scale=5)[:40, :40])
    (tmp_path / "notes.png").write_text("no picture")
    return tmp_path


def say(*args: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    result = CliRunner().invoke(app, ["decode", *map(str, args)])
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result.exit_code, rows, result.stderr


def test_a_row_a_picture_in_the_order_given(folder: Path) -> None:
    names = [folder / "slip.jpg", folder / "label.png", folder / "nothing.webp"]
    code_, rows, said = say(*names)
    assert (code_, said) == (0, "")
    assert [row["file"] for row in rows] == [str(name) for name in names]
    assert [[(read["text"], read["symbology"], read["aim"]) for read in row["reads"]] for row in rows] == [
        [("运单号：1", "qrcode", rows[0]["reads"][0]["aim"])],
        [(NUMBER, "code128", "]C0")],
        [],
    ]
    assert {tuple(sorted(row)) for row in rows} == {("file", "ms", "reads")}
    assert [len(read["polygon"]) for row in rows for read in row["reads"]] == [4, 4]
    assert all(row["ms"] >= 0 for row in rows)


def test_what_is_no_picture_is_a_finding_and_stops_no_other(folder: Path) -> None:
    code_, rows, _ = say(folder / "notes.png", folder / "slip.jpg")
    assert code_ == 1
    assert "expected a picture" in rows[0]["error"]
    assert [len(row["reads"]) for row in rows] == [0, 1]


def test_a_file_that_is_not_there_is_wrong_use_and_nothing_is_read(folder: Path) -> None:
    code_, rows, said = say(folder / "slip.jpg", folder / "absent.png")
    assert (code_, rows) == (2, [])
    assert "absent.png is not there" in said
    code_, rows, said = say(folder)
    assert (code_, rows) == (2, [])
    assert "is a folder" in said
    assert say()[0] == 2


def test_on_a_terminal_it_is_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(SystemExit) as ended:
        app(["decode", str(folder / "slip.jpg"), str(folder / "nothing.webp"), str(folder / "notes.png")])
    assert ended.value.code == 1
    said = screen.getvalue()
    assert [word in said for word in ("运单号：1", "nothing read", "expected a picture", "{")] == [
        True
    ] * 3 + [False]


def test_a_missing_decoder_is_told_on_stderr_in_both_languages(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = library.found()
    poor = library.Decoders(None, found.zbar, found.tilt)
    monkeypatch.setattr(library, "found", lambda: poor)
    code_, rows, said = say(folder / "label.png")
    assert (code_, [read["text"] for read in rows[0]["reads"]]) == (0, [NUMBER])
    assert "缺少 zxing-cpp" in said
    assert "zxing-cpp is missing" in said
