"""Codes in pictures: the cascade beside each decoder alone, on real photographs and on tilted labels.

CPU of this process, one thread. A decoder alone is used as its makers set it, its own texts compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.barcodes import Photograph, listed, photographs
from bench.harness import Bench, Figure
from bench.labels import frame, waybill
from edge.devices.fixed_camera.source import cv2
from edge.reading import decoders as library
from edge.reading.cascade import Plan, read_frame, read_still
from edge.reading.pictures import load_grey

if TYPE_CHECKING:
    from edge.reading.decoders import Grey

Read = Callable[["Grey"], list[str]]

RIGHT_ASKED: Final = 145
WRONG_ASKED: Final = 1
MS_ASKED: Final = 10.0
TILTS: Final = range(0, 91, 5)
NUMBER: Final = "YT1234567890123"
DEGREES: Final = (
    (3.0, 0.7, 5.0, "3 dots a module"),
    (2.0, 1.2, 12.0, "2 dots a module, blurred, in poor light"),
)


@dataclass(frozen=True, slots=True)
class Score:
    right: int
    wrong: int
    phantoms: int
    ms: float
    """Median CPU of a picture, the file's own decoding included."""


def run(folder: Path, scale: float) -> Bench:
    """All photographs at any scale; labels at 19 tilts, each `10 × scale` times, once at least."""
    readers = _readers()
    where = photographs()
    figures = _on_photographs(listed(where), readers) if where else []
    figures += _on_labels(readers, max(1, round(10 * scale)))
    figures += _on_frames()
    missing = "" if where else "; the photographs are not here (KAKOU_BARCODES)"
    versions = ", ".join(
        f"{name} {_version(name)}" for name in ("zxing-cpp", "pyzbar", "opencv-python-headless")
    )
    return Bench("reading", figures, f"{versions}; CPU of one thread{missing}")


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _readers() -> dict[str, Read]:
    found = library.found()
    readers: dict[str, Read] = {"cascade": lambda grey: [each.text for each in read_still(grey, found)]}
    if found.zxing:
        readers["zxing-cpp alone"] = _zxing_alone
    if found.zbar:
        readers["pyzbar alone"] = _pyzbar_alone
    readers["OpenCV alone"] = _opencv_alone
    return readers


def _zxing_alone(grey: Grey) -> list[str]:
    import zxingcpp

    return [each.text for each in zxingcpp.read_barcodes(grey, text_mode=zxingcpp.TextMode.Plain)]


def _pyzbar_alone(grey: Grey) -> list[str]:
    pyzbar: Any = import_module("pyzbar.pyzbar")
    return [each.data.decode("utf-8", "replace") for each in pyzbar.decode(grey)]


def _opencv_alone(grey: Grey) -> list[str]:
    texts: list[str] = []
    for detector in (cv2().barcode.BarcodeDetector(), cv2().QRCodeDetector()):
        try:
            _, found, *_ = detector.detectAndDecodeMulti(grey)
        except (UnicodeDecodeError, cv2().error):
            # What it does with bytes that are not UTF-8, and with some finders.
            continue
        texts += [text for text in found if text]
    return texts


def _score(photographs: Sequence[Photograph], read: Read) -> Score:
    right = wrong = phantoms = 0
    spent_ms = []
    read(load_grey(photographs[0].path))
    for each in photographs:
        started_s = time.process_time()
        texts = read(load_grey(each.path))
        spent_ms.append((time.process_time() - started_s) * 1000)
        if not each.symbology:
            phantoms += bool(texts)
        elif each.shows(texts):
            right += 1
        else:
            wrong += bool(texts)
    return Score(right, wrong, phantoms, statistics.median(spent_ms))


def _on_photographs(photographs: Sequence[Photograph], readers: dict[str, Read]) -> list[Figure]:
    scores = {name: _score(photographs, read) for name, read in readers.items()}
    coded = sum(bool(each.symbology) for each in photographs)
    ours = scores["cascade"]
    asked = Figure(
        "right", ours.right, f"of {coded}", ours.right / RIGHT_ASKED, f"the {RIGHT_ASKED} asked", at_least=1.0
    )
    figures = [
        asked,
        Figure("wrong", ours.wrong, "pictures", float(ours.wrong), "picture", at_most=WRONG_ASKED),
        Figure("a code where none is", ours.phantoms, "pictures", float(ours.phantoms), "picture", at_most=0),
        Figure("CPU a picture", ours.ms, "ms", ours.ms / MS_ASKED, f"the {MS_ASKED:g} ms asked", at_most=1.0),
    ]
    for name, score in scores.items():
        if name != "cascade":
            note = f"{score.wrong} wrong, {score.phantoms} where none is, {score.ms:.1f} ms"
            figures.append(Figure(f"right, {name}", score.right, f"of {coded}", note=note))
    return figures


def _on_labels(readers: dict[str, Read], rounds: int) -> list[Figure]:
    figures = []
    for module, blur, noise, said in DEGREES:
        label = waybill(NUMBER, module)
        pictures = [
            frame(label, tilt_deg=tilt, seed=100 * turn + tilt, blur=blur, noise=noise)
            for turn in range(rounds)
            for tilt in TILTS
        ]
        for name, read in readers.items():
            share = sum(NUMBER in read(each) for each in pictures) / len(pictures)
            is_ours = name == "cascade"
            figures.append(
                Figure(
                    f"tilted 0–90°, {said}, {name}", 100 * share, "%", share if is_ours else None,
                    "all of them" if is_ours else "", at_least=1.0 if is_ours else None,
                )
            )  # fmt: skip
    return figures


def _on_frames() -> list[Figure]:
    """CPU of each look at a frame of 1280 × 720 in which there is nothing to read: the dearest case."""
    found = library.found()
    empty = frame(waybill(NUMBER)[:4, :4])
    plans = {
        "the aiming region only": Plan(whole_every=0, tilt_every=0, retail_every=0),
        "and the whole frame": Plan(whole_every=1, tilt_every=0, retail_every=0),
        "and tilted codes": Plan(whole_every=0, tilt_every=1, retail_every=0),
        "and zbar for EAN and UPC": Plan(whole_every=0, tilt_every=0, retail_every=1),
    }
    return [
        Figure(f"CPU a frame, {name}", _median_ms(partial(read_frame, empty, 0, plan, found)), "ms")
        for name, plan in plans.items()
    ]


def _median_ms(work: Callable[[], object]) -> float:
    spent_ms = []
    for _ in range(7):
        started_s = time.process_time()
        work()
        spent_ms.append((time.process_time() - started_s) * 1000)
    return statistics.median(spent_ms)
