"""Hot folder: whole pictures once and never twice, half ones never, and no file can do harm (G11)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.devices.readings import DeviceFault, Reading, XrayPictureFailed, XrayPictureSeen
from edge.devices.settings import SettingsRefused, settings_table
from edge.devices.xray_folder import wire
from edge.devices.xray_folder.watching import HotFolder, Settings, folder_settings
from tests.wire.test_device_settings import shown

PAGE = (Path(__file__).parents[2] / "docs" / "devices" / "xray_folder.md").read_text(encoding="utf-8")
MOST = wire.Most(columns=2000, rows=1000)
ROWS, COLUMNS = 24, 40
LOW = np.random.default_rng(3).integers(1, 60000, (ROWS, COLUMNS)).astype(np.uint16)
HIGH = np.random.default_rng(4).integers(1, 60000, (ROWS, COLUMNS)).astype(np.uint16)


def png(values: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", values)[1])


def tiff(values: NDArray[Any], *, compression: int = 1) -> bytes:
    return bytes(cv2.imencode(".tif", values, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1])


def raw(low: NDArray[Any], high: NDArray[Any], **head: int) -> bytes:
    words = {"channels": 2, "rows": low.shape[0], "columns": low.shape[1], "bytes": 2, "most": 65535} | head
    return (
        struct.pack("<5i", *words.values()) + high.T.astype("<u2").tobytes() + low.T.astype("<u2").tobytes()
    )


def sidecar(files: dict[str, bytes] | None = None, **more: object) -> bytes:
    said: dict[str, object] = {
        "version": 1, "columns": COLUMNS, "rows": ROWS, "encoder_first": 1000, "encoder_last": 1312,
        "nanometres_per_count": 100_000, "mm_per_pixel": 0.8, "mm_per_column": 0.8,
        "begun": "2026-11-22T08:15:30.250Z", "ended": "2026-11-22T08:15:32.381Z", "air_low": 60000,
        "air_high": 60000, "status": "SUCCESSFUL",
    }  # fmt: skip
    if files:
        said["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json.dumps({key: value for key, value in (said | more).items() if value is not ...}).encode()


def picture(name: str, *, hashed: bool = True, **more: object) -> dict[str, bytes]:
    """The files of one picture, the sidecar last."""
    files = {f"{name}_low.png": png(LOW), f"{name}_high.png": png(HIGH)}
    return files | {f"{name}.json": sidecar(files if hashed else None, **more)}


class Watched:
    """A real folder, looked at when the test says so, at times the test says."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.now_s = 100.0
        self.told: list[Reading] = []
        self.news: list[str] = []
        self.hot = HotFolder(
            "xray",
            folder,
            folder_settings(settings),
            monotonic_s=lambda: self.now_s,
            on_reading=lambda _, __, reading: self.told.append(reading),
            on_news=lambda _, __, why: self.news.append(why),
        )

    def put(self, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            (self.folder / name).write_bytes(data)

    def look(self, after_s: float = 0.05) -> list[Reading]:
        before = len(self.told)
        self.now_s += after_s
        self.hot.look()
        return self.told[before:]

    def names(self, below: str = ".") -> list[str]:
        return sorted(
            p.name for p in (self.folder / below).iterdir() if p.name not in ("taken", "quarantine")
        )


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    one = Watched(tmp_path)
    assert one.look() == []
    return one


def seen(readings: list[Reading]) -> list[XrayPictureSeen]:
    return [reading for reading in readings if isinstance(reading, XrayPictureSeen)]


def failed(readings: list[Reading]) -> list[tuple[str, str]]:
    return [(r.picture, r.code) for r in readings if isinstance(r, XrayPictureFailed)]


# --- files --------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_read() -> None:
    (raw_hex,) = re.findall(r"\n\n((?:    [0-9a-f]{2} .*\n)+)", PAGE)
    low, high = wire.read_raw(bytes.fromhex(raw_hex.replace("\n", " ")), MOST)
    assert high.T.tolist() == [[7000, 7001, 7002], [6000, 6001, 6002]]
    assert low.T.tolist() == [[5000, 5001, 5002], [4000, 4001, 4002]]
    (said,) = re.findall(r'\n\n(    \{"version.*?\})\n\n', PAGE, re.DOTALL)
    found = wire.read_sidecar(re.sub(r"…64 hex…", "0" * 64, said).encode(), MOST)
    assert (found.columns, found.rows, found.status, found.counts) == (800, 640, "SUCCESSFUL", 6392)


def test_the_page_lists_every_setting() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{r.key}` | {shown(r.default)} | {r.expected} | {r.says} |" for r in settings_table(Settings)
    ]
    assert [row for row in rows if row in expected] == expected


@pytest.mark.parametrize("write", [png, tiff, lambda values: tiff(values, compression=8)])
def test_png_and_tiff_as_a_library_writes_them_are_read_to_the_last_value(
    write: Callable[[NDArray[Any]], bytes],
) -> None:
    data = write(LOW)
    read = wire.read_png if data.startswith(b"\x89PNG") else wire.read_tiff
    assert (read(data, MOST) == LOW).all()


def test_public_scans_of_real_machines_are_read_and_their_raw_form_is_the_same_picture() -> None:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("KAKOU_SHARED_DATA", beside)) / "xray" / "raw_dual_energy_16bit"
    if not folder.exists():
        pytest.skip("the shared scans are not here; KAKOU_SHARED_DATA may name their folder")
    most = wire.Most(6000, 4096)
    shapes = []
    for path in sorted(folder.glob("*_low.png")):
        high_path = path.with_name(path.name.replace("_low", "_high"))
        low, high = (wire.read_png(each.read_bytes(), most) for each in (path, high_path))
        again = wire.read_raw(raw(low, high), most)
        assert (again[0] == low).all()
        assert (again[1] == high).all()
        shapes.append(low.shape)
    assert len(shapes) >= 4
    assert {rows for rows, _ in shapes} == {640}


def big_endian_tiff(values: NDArray[Any]) -> bytes:
    """By hand from TIFF 6.0: two strips, differences of neighbours, Deflate."""
    rows, columns = values.shape
    differences = np.diff(values.astype(np.int64), axis=1, prepend=0).astype(">u2")
    strips = [zlib.compress(part.tobytes()) for part in (differences[: rows - 1], differences[rows - 1 :])]
    data_at = 8
    at = data_at + sum(len(s) for s in strips)
    starts = [data_at, data_at + len(strips[0])]
    tags = [
        (256, 3, 1, struct.pack(">HH", columns, 0)), (257, 3, 1, struct.pack(">HH", rows, 0)),
        (258, 3, 1, struct.pack(">HH", 16, 0)), (259, 3, 1, struct.pack(">HH", 8, 0)),
        (262, 3, 1, struct.pack(">HH", 1, 0)), (273, 4, 2, struct.pack(">I", at)),
        (278, 3, 1, struct.pack(">HH", rows - 1, 0)), (279, 4, 2, struct.pack(">I", at + 8)),
        (317, 3, 1, struct.pack(">HH", 2, 0)),
    ]  # fmt: skip
    directory = at + 16
    out = b"MM\0*" + struct.pack(">I", directory) + b"".join(strips)
    out += struct.pack(">II", *starts) + struct.pack(">II", *(len(s) for s in strips))
    out += struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHI", *t[:3]) + t[3] for t in tags)
    return out + struct.pack(">I", 0)


def test_a_tiff_by_hand_with_strips_predictor_and_the_other_byte_order_is_read() -> None:
    assert (wire.read_tiff(big_endian_tiff(LOW), MOST) == LOW).all()


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (wire.read_png, png(LOW)),
        (wire.read_tiff, tiff(LOW)),
        (wire.read_tiff, big_endian_tiff(LOW)),
        (wire.read_raw, raw(LOW, HIGH)),
        (wire.read_sidecar, sidecar()),
    ],
    ids=["png", "tiff", "deflated", "raw", "sidecar"],
)
def test_every_cut_of_a_file_is_unfinished(read: Callable[[bytes, wire.Most], object], data: bytes) -> None:
    for length in {*range(0, len(data), 37), *range(max(0, len(data) - 40), len(data))}:
        with pytest.raises(wire.Unfinished):
            read(data[:length], MOST)


def test_a_png_whose_own_check_is_wrong_is_no_picture() -> None:
    data = bytearray(png(LOW))
    data[29] ^= 1  # the check of its header
    with pytest.raises(wire.Unfinished, match="check of a PNG's part at byte 8 is wrong"):
        wire.read_png(bytes(data), MOST)


@given(at=st.integers(0, 2**20), value=st.integers(0, 255))
def test_a_byte_changed_in_a_png_never_gives_another_picture(at: int, value: int) -> None:
    data = bytearray(png(LOW))
    data[at % len(data)] = value
    try:
        found = wire.read_png(bytes(data), MOST)
    except (wire.Unfinished, wire.Refused):
        return
    assert (found == LOW).all()


@given(
    at=st.integers(0, 400), change=st.binary(min_size=1, max_size=8), kind=st.sampled_from(["tiff", "raw"])
)
def test_no_change_of_a_tiff_or_raw_file_raises_anything_else(at: int, change: bytes, kind: str) -> None:
    data = bytearray(big_endian_tiff(LOW) if kind == "tiff" else raw(LOW, HIGH))
    place = len(data) - 1 - at if kind == "tiff" else at
    data[place : place + len(change)] = change
    read: Callable[[bytes, wire.Most], object] = wire.read_tiff if kind == "tiff" else wire.read_raw
    try:
        found = read(bytes(data), MOST)
    except (wire.Unfinished, wire.Refused):
        return
    assert found is not None


@given(data=st.binary(max_size=300))
def test_no_bytes_raise_anything_but_unfinished_and_refused(data: bytes) -> None:
    readers: tuple[Callable[[bytes, wire.Most], object], ...] = (
        wire.read_png, wire.read_tiff, wire.read_raw, wire.read_sidecar,
    )  # fmt: skip
    heads = (b"", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", struct.pack("<5i", 2, 4, 4, 2, 65535))
    refused = 0
    for head in heads:
        for read in readers:
            try:
                read(head + data, MOST)
            except (wire.Unfinished, wire.Refused):
                refused += 1
    assert refused >= len(heads) * len(readers) - 1


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def hostile_png(columns: int, rows: int, packed: bytes, *, bits: int = 16, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (hostile_png(2**31 - 1, 2**31 - 1, zlib.compress(b"")), "at most 2000 of 1000"),
        (hostile_png(0, 5, zlib.compress(b"")), "0 columns"),
        (hostile_png(4, 4, zlib.compress(bytes(50_000_000), 9)), "more than its size"),
        (hostile_png(4, 4, zlib.compress(bytes(36)), bits=8), "16 bits grey expected"),
        (hostile_png(4, 4, zlib.compress(bytes(36)), colour=2), "16 bits grey expected"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7))), "first chunk"),
        (
            hostile_png(4, 4, b"")[:33] + chunk(b"PLTE", bytes(12)) + chunk(b"IEND", b""),
            "which a grey picture does not have",
        ),
    ],
)
def test_hostile_pngs_are_refused_before_anything_is_made_of_them(data: bytes, says: str) -> None:
    with pytest.raises(wire.Refused, match=re.escape(says)):
        wire.read_png(data, MOST)


def hostile_tiff(*tags: tuple[int, int, int, int], after: bytes = b"") -> bytes:
    out = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    return out + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0) + after


GREY_TIFF = ((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 16), (262, 3, 1, 1))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (hostile_tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1)), "at most 2000 of 1000"),
        (hostile_tiff(*GREY_TIFF, (273, 4, 2**31, 8), after=bytes(100)), "values"),
        (hostile_tiff(*GREY_TIFF), "without strips"),
        (hostile_tiff(*GREY_TIFF, (273, 4, 1, 8), (278, 3, 1, 0), (279, 4, 1, 128)), "do not make"),
        (hostile_tiff(*GREY_TIFF, (273, 4, 1, 8), (279, 4, 1, 100), after=bytes(128)), "128 expected"),
        (hostile_tiff(*GREY_TIFF, (259, 3, 1, 7)), "compression 7"),
        (hostile_tiff(*GREY_TIFF[:3], (262, 3, 1, 0)), "photometric interpretation 0"),
        (hostile_tiff(*GREY_TIFF[:2], (258, 3, 1, 8)), "bits 8"),
        (hostile_tiff(*GREY_TIFF, (277, 3, 1, 3)), "samples 3"),
    ],
)
def test_hostile_tiffs_are_refused_before_anything_is_made_of_them(data: bytes, says: str) -> None:
    with pytest.raises(wire.Refused, match=re.escape(says)):
        wire.read_tiff(data, MOST)


def test_a_bomb_unpacks_no_further_than_its_picture() -> None:
    packer = zlib.compressobj(1)
    bomb = b"".join(packer.compress(bytes(10**6)) for _ in range(60)) + packer.flush()
    tags = (*GREY_TIFF, (259, 3, 1, 8), (273, 4, 1, 8 + 2 + 7 * 12 + 4), (279, 4, 1, len(bomb)))
    files = (hostile_png(100, 100, bomb), hostile_tiff(*tags, after=bomb))
    tracemalloc.start()
    for read, data in zip((wire.read_png, wire.read_tiff), files, strict=True):
        with pytest.raises(wire.Refused, match="more than its size"):
            read(data, MOST)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ({"channels": 1}, "1 channels of 2 bytes"),
        ({"bytes": 4}, "2 channels of 4 bytes"),
        ({"rows": 2**31 - 1, "columns": 2**31 - 1}, "at most 2000 of 1000"),
        ({"rows": -4}, "of -4"),
        ({"most": 0}, "largest value is 0"),
        ({"columns": COLUMNS - 1}, "bytes, "),
    ],
)
def test_hostile_raw_files_are_refused(head: dict[str, int], says: str) -> None:
    with pytest.raises(wire.Refused, match=re.escape(says)):
        wire.read_raw(raw(LOW, HIGH, **head), MOST)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"version": 2}, "version 2, 1 expected"),
        ({"version": True}, "version True"),
        ({"columns": 2001}, "columns 2001, a whole number from 1 to 2000"),
        ({"columns": ...}, "columns None"),
        ({"rows": 1.0}, "rows 1.0"),
        ({"encoder_first": -1}, "encoder_first -1"),
        ({"encoder_last": 2**32}, "encoder_last 4294967296"),
        ({"mm_per_pixel": float("nan")}, "mm_per_pixel nan"),
        ({"mm_per_column": 10**400}, "mm_per_column 1000"),
        ({"mm_per_column": 8.0}, "0.8 mm by the encoder"),
        ({"begun": "yesterday"}, "begun 'yesterday', UTC such as"),
        ({"ended": "2026-13-01T00:00:00Z"}, "ended '2026-13"),
        ({"air_low": 0}, "air_low 0"),
        ({"status": "GOOD"}, "status 'GOOD', one of SUCCESSFUL"),
        ({"sha256": {"a": "xyz"}}, "sha256"),
        ({"sha256": ["a"]}, "sha256"),
        ({"serial": "x" * 41}, "serial"),
        ({"kilovolts": "160"}, "kilovolts 160"),
    ],
)
def test_a_sidecar_that_says_what_cannot_be_is_refused_in_words(more: dict[str, object], says: str) -> None:
    with pytest.raises(wire.Refused, match=re.escape(says)):
        wire.read_sidecar(sidecar(None, **more), MOST)


def test_a_sidecar_nested_or_padded_by_malice_is_refused() -> None:
    with pytest.raises(wire.Unfinished):
        wire.read_sidecar(b"[" * 60_000, MOST)
    with pytest.raises(wire.Unfinished):
        wire.read_sidecar(b'{"version": ' + b"1" * 60_000 + b"}", MOST)
    with pytest.raises(wire.Refused):
        wire.read_sidecar(b" " * 70_000, MOST)


# --- a real folder ------------------------------------------------------------------------------------------


def test_a_picture_is_told_once_with_its_counts_and_its_files_are_moved(watched: Watched) -> None:
    watched.put(picture("P000017", encoder_first=2**32 - 100, encoder_last=212, serial="M-1", kilovolts=160))
    (told,) = watched.look()
    assert isinstance(told, XrayPictureSeen)
    assert (told.low == LOW).all()
    assert (told.high == HIGH).all()
    assert (told.picture, told.status, told.calibration) == (
        "P000017@2026-11-22T08:15:30.250Z",
        "SUCCESSFUL",
        "good",
    )
    assert np.diff(told.counts).tolist() == [8] * (COLUMNS - 1)
    assert (told.before_start, told.serial, told.kilovolts, told.air_low) == (False, "M-1", 160.0, 60000)
    assert watched.names() == []
    assert watched.names("taken") == ["P000017.json", "P000017_high.png", "P000017_low.png"]
    assert watched.look(20.0) == []


@pytest.mark.parametrize("kind", ["tif", "tiff", "raw", "pkg"])
def test_the_other_forms_are_read_as_well(watched: Watched, kind: str) -> None:
    files = (
        {f"A_low.{kind}": tiff(LOW), f"A_high.{kind}": tiff(HIGH)}
        if kind.startswith("tif")
        else {f"A.{kind}": raw(LOW, HIGH)}
    )
    watched.put(files | {"A.json": sidecar(files)})
    (told,) = seen(watched.look())
    assert (told.low == LOW).all()
    assert (told.high == HIGH).all()


@pytest.mark.parametrize("hashed", [True, False])
def test_a_picture_written_in_place_in_any_order_waits_until_it_is_whole(
    watched: Watched, hashed: bool
) -> None:
    """Half-written files wait; no cut, and no order of the files, is ever a picture of its own."""
    files = list(picture("B", hashed=hashed).items())
    for order in (files, files[::-1]):
        for name, data in order:
            for at in range(0, len(data), 700):
                with (watched.folder / name).open("ab") as growing:
                    growing.write(data[at : at + 700])
                whole = all((watched.folder / n).exists() for n, _ in files) and all(
                    (watched.folder / n).stat().st_size == len(d) for n, d in files
                )
                assert (seen(watched.look()) == []) or whole
        watched.look(0.2)
        assert len(seen(watched.told)) == 1
        assert failed(watched.told) == []
        assert watched.names() == []
        watched.told.clear()


def test_without_hashes_files_must_stay_as_they_are_for_a_while(watched: Watched) -> None:
    watched.put(picture("C", hashed=False))
    assert watched.look() == []
    assert watched.look(0.05) == []
    assert len(seen(watched.look(0.15))) == 1


def test_files_whose_hash_is_right_are_read_at_once(watched: Watched) -> None:
    watched.put(picture("C"))
    assert len(seen(watched.look(0.001))) == 1


def test_a_file_given_its_size_before_its_bytes_is_no_picture_until_they_are_there(watched: Watched) -> None:
    files = picture("D")
    watched.put(files | {"D_low.png": bytes(len(files["D_low.png"]))})
    assert watched.look() == []
    assert watched.look(0.3) == []
    watched.put({"D_low.png": files["D_low.png"]})
    assert len(seen(watched.look())) == 1


def test_names_that_are_being_written_are_left_alone(watched: Watched) -> None:
    watched.put({f"{name}.tmp": data for name, data in picture("E").items()})
    watched.put({f"{name}.part": data for name, data in picture("E").items()})
    watched.put({".E_low.png": png(LOW)})
    assert watched.look(30.0) == []
    for path in list(watched.folder.glob("*.tmp")):
        path.rename(path.with_suffix(""))
    assert len(seen(watched.look())) == 1


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"F_low.png": png(LOW), "F_high.png": png(HIGH)}, "no_sidecar"),
        ({"F_low.png": png(LOW), "F.json": sidecar()}, "no_partner"),
        ({"F.json": sidecar()}, "no_partner"),
        ({"F_low.png": png(LOW), "F_high.png": png(HIGH)[:-30], "F.json": sidecar()}, "cut_off"),
        ({"F_low.png": png(LOW), "F_high.png": png(HIGH[:, :-1]), "F.json": sidecar()}, "mismatch"),
        ({"F_low.png": b"JFIF" * 99, "F_high.png": png(HIGH), "F.json": sidecar()}, "garbled"),
        (picture("F") | {"F_low.png": png(HIGH)}, "mismatch"),
        (picture("F") | {"F.json": b'{"version": 1, '}, "garbled"),
    ],
)
def test_what_stays_unfinished_is_set_aside_in_its_time_and_told(
    watched: Watched, files: dict[str, bytes], code: str
) -> None:
    watched.put(files)
    assert watched.look() == []
    assert watched.look(0.5) == []
    assert watched.look(9.3) == []
    assert failed(watched.look(0.2)) == [("F", code)]
    assert watched.names() == []
    assert watched.names("quarantine") == sorted(files)
    assert watched.look(20.0) == []


def test_the_time_to_give_up_begins_anew_with_every_byte(watched: Watched) -> None:
    for _ in range(5):
        with (watched.folder / "G_low.png").open("ab") as growing:
            growing.write(b"x")
        assert watched.look(9.0) == []
    assert failed(watched.look(10.1)) == [("G", "no_sidecar")]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (picture("H") | {"H_low.png": hostile_png(100_000, 9, zlib.compress(b""))}, "at most 6000 of 4096"),
        (picture("H", version=7), "version 7"),
        (picture("H") | {"H.raw": raw(LOW, HIGH)}, "several pictures of one name"),
        (picture("H", columns=COLUMNS + 7000), "columns 7040"),
    ],
)
def test_what_can_never_be_a_picture_is_set_aside_at_once(
    watched: Watched, files: dict[str, bytes], says: str
) -> None:
    watched.put(files)
    (reading,) = watched.look()
    assert isinstance(reading, XrayPictureFailed)
    assert reading.code == "refused"
    assert says in reading.why
    assert watched.names() == []


def test_a_belt_that_ran_back_is_told_as_such(watched: Watched) -> None:
    watched.put(picture("I", encoder_first=5000, encoder_last=4700))
    assert failed(watched.look()) == [("I", "reversed")]


def test_links_pipes_and_folders_under_a_pictures_name_are_never_opened(
    watched: Watched, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(LOW))
    outside.rename(tmp_path / "quarantine" / "outside.png")
    files = picture("J")
    del files["J_low.png"]
    watched.put(files)
    (watched.folder / "J_low.png").symlink_to(tmp_path / "quarantine" / "outside.png")
    os.mkfifo(watched.folder / "K_low.png")
    (watched.folder / "L_low.png").mkdir()
    (watched.folder / "M.json").symlink_to("/dev/zero")
    assert sorted(failed(watched.look())) == [(name, "refused") for name in "JKLM"]
    assert watched.names() == []
    assert (tmp_path / "quarantine" / "outside.png").read_bytes() == png(LOW)


def test_a_link_put_in_place_of_a_file_after_the_look_is_not_followed(watched: Watched) -> None:
    files = picture("N")
    watched.put(files)
    secret = watched.folder / "quarantine" / "secret"
    secret.write_bytes(files["N_low.png"])
    (watched.folder / "N_low.png").unlink()
    (watched.folder / "N_low.png").symlink_to(secret)
    with pytest.raises(wire.Refused, match="no plain file"):
        watched.hot._bytes("N_low.png", 10**6)


def test_a_link_in_place_of_our_own_folders_is_refused(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "hot", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "taken").symlink_to(elsewhere)
    one = Watched(folder, look_s=0.01)
    one.put(picture("Y"))
    one.hot.start()
    assert until(lambda: one.news != [])
    one.hot.stop()
    assert one.hot.join(3.0)
    assert "taken is a link" in one.news[0]
    assert list(elsewhere.iterdir()) == []
    assert one.told == []


def test_a_file_larger_than_allowed_is_never_read(watched: Watched, tmp_path: Path) -> None:
    files = picture("O")
    watched.put(files)
    with (watched.folder / "O_low.png").open("ab") as huge:
        huge.truncate(10**12)
    before_s = time.process_time()
    assert failed(watched.look()) == [("O", "refused")]
    assert time.process_time() - before_s < 1.0


def test_names_that_are_none_of_ours_are_left_alone_and_told_once(watched: Watched) -> None:
    names = [
        "readme.txt",
        "P1_LOW.PNG",
        "../x",
        "P" * 90 + "_low.png",
        "P\n_low.png",
        "Ü_low.png",
        "a b.json",
    ]
    watched.put({name.replace("/", "_"): b"x" for name in names})
    (fault,) = watched.look()
    assert isinstance(fault, DeviceFault)
    assert (fault.code, fault.detail[:2]) == ("foreign_files", "6:")
    assert watched.look(30.0) == []
    assert len(watched.names()) == 7


def test_too_many_files_are_told_and_read_all_the_same(tmp_path: Path) -> None:
    one = Watched(tmp_path, most_files=12)
    one.look()
    for n in range(8):
        one.put(picture(f"Q{n}"))
    first = one.look()
    assert [r.code for r in first if isinstance(r, DeviceFault)] == ["folder_full"]
    for _ in range(30):
        one.look()
    assert len(seen(one.told)) == 8
    assert [r.code for r in one.told if isinstance(r, DeviceFault)] == ["folder_full"]


def test_pictures_that_lay_there_at_the_start_say_so_and_none_is_read_twice(tmp_path: Path) -> None:
    first = Watched(tmp_path)
    first.put(picture("R1"))
    assert [told.before_start for told in seen(first.look())] == [True]
    first.put(picture("R2"))
    assert [told.before_start for told in seen(first.look())] == [False]
    first.put(picture("R3"))
    again = Watched(tmp_path)
    assert [(told.picture[:2], told.before_start) for told in seen(again.look())] == [("R3", True)]


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_killed_at_any_move_a_picture_is_told_once_or_as_lost_and_never_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    first = Watched(tmp_path)
    first.look()
    first.put(picture("S"))
    honest, done = Path.rename, 0

    class Killed(BaseException):
        pass

    def rename(path: Path, to: Path) -> Path:
        nonlocal done
        if done == moves:
            raise Killed
        done += 1
        return honest(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    killed = 0
    try:
        first.look()
    except Killed:
        killed = 1
    monkeypatch.undo()
    again = Watched(tmp_path)
    again.look()
    again.look(11.0)
    told = len(seen(first.told)) + len(seen(again.told))
    assert killed == (moves < 3)
    assert told == (1 if moves in (0, 3) else 0)
    assert len(failed(again.told)) == (1 if moves in (1, 2) else 0)


def test_two_readers_of_one_folder_never_both_tell_a_picture(tmp_path: Path) -> None:
    one, other = Watched(tmp_path), Watched(tmp_path)
    one.look()
    other.look()
    for n in range(6):
        one.put(picture(f"T{n}"))
    for _ in range(3):
        one.look()
        other.look()
    names = [told.picture for told in seen(one.told) + seen(other.told)]
    assert len(names) == len(set(names)) == 6
    assert failed(one.told) + failed(other.told) == []


def test_the_oldest_of_what_was_taken_go_beyond_the_bound(tmp_path: Path) -> None:
    one = Watched(tmp_path, keep_taken=2, keep_quarantine=1)
    one.look()
    for n in range(5):
        one.put(picture(f"U{n}"))
        one.put({f"V{n}.raw": raw(LOW, HIGH), f"V{n}.json": b"[]"})
        one.look()
    assert {name[:2] for name in one.names("taken")} == {"U3", "U4"}
    assert {name[:2] for name in one.names("quarantine")} == {"V4"}
    again = Watched(tmp_path, keep_taken=2, keep_quarantine=1)
    again.put(picture("U5"))
    again.look()
    assert {name[:2] for name in again.names("taken")} == {"U4", "U5"}


def test_the_same_name_again_hides_nothing(watched: Watched) -> None:
    watched.put(picture("W"))
    watched.look()
    watched.put(picture("W", begun="2026-11-22T09:00:00Z"))
    assert [told.picture for told in seen(watched.look())] == ["W@2026-11-22T09:00:00Z"]
    assert len(watched.names("taken")) == 6


# --- the thread ---------------------------------------------------------------------------------------------


def until(holds: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end_s = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


def test_a_folder_that_comes_later_and_goes_and_comes_again_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    one = Watched(folder, look_s=0.01)
    one.hot.start()
    assert until(lambda: len(one.news) == 1)
    folder.mkdir()
    assert until(lambda: len(one.news) == 2)
    one.put(picture("X1"))
    assert until(lambda: len(seen(one.told)) == 1)
    folder.rename(tmp_path / "gone")
    assert until(lambda: len(one.news) == 3)
    (tmp_path / "gone").rename(folder)
    one.put(picture("X2"))
    assert until(lambda: len(seen(one.told)) == 2)
    one.hot.stop()
    assert one.hot.join(2.0)
    assert [bool(why) for why in one.news] == [True, False, True, False]
    assert one.hot.health().pictures == 2


def test_settings_of_the_folder_are_checked_whole() -> None:
    with pytest.raises(SettingsRefused) as caught:
        folder_settings({"look_s": 0, "deep": True, "most_rows": 5000}, "folder.settings")
    assert [str(error).split(":")[0] for error in caught.value.errors] == [
        "folder.settings.look_s",
        "folder.settings.deep",
        "folder.settings.most_rows",
    ]
