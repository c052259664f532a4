"""Evidence pictures: the words under them, the hash in their fact, the disk they may take, how they fail."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.devices.fixed_camera.camera import FixedCamera
from edge.devices.fixed_camera.source import decode
from edge.devices.fixed_camera.strips import Item, local_time, strip
from edge.gate.effects import TakePicture
from edge.gate.events import DeviceSpoke, DeviceWentSilent, Event, PictureFailed, PictureKept
from edge.gate.overlay import Caption, earlier, evidence
from edge.gate.pictures import CameraOf, Pictures
from edge.gate.pictures_config import CameraPart, PicturesPart, address_of, camera_errors, limits_of
from edge.gate.taking import CameraHere
from edge.runtime.clock import UNKNOWN_MS
from edge.runtime.config_reading import ConfigRefused, SecretFile, parse_config
from edge.runtime.supervisor import BackOff
from sync.store.evidence_files import DiskNearlyFull, EvidenceFiles, Shed
from sync.store.journal import COMMITS_PER_DISK_CHECK, Journal, JournalFull, StoreRefused
from sync.vocabulary.facts import FactDraft, PassageOpened, Stream

Pixels = NDArray[np.uint8]
WAIT_S = 20.0
SHANGHAI = ZoneInfo("Asia/Shanghai")
UTC_TEXT = "2025-03-01T08:00:00.120000Z"
CAPTION = Caption(
    utc=UTC_TEXT,
    lane="lane-in",
    passage=12,
    moment="weighing",
    camera="front",
    plate="豫A12345",
    gross_kg="23460",
    slip_no="I4604I250000000001",
)


class StillClock:
    """Real patience, told wall time."""

    def __init__(self, utc: str = UTC_TEXT, uncertainty_ms: int = 5) -> None:
        self.utc = utc
        self.uncertain_ms = uncertainty_ms

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return self.uncertain_ms


def picture(dot: int = 0, rows: int = 360, columns: int = 640) -> Pixels:
    pixels = np.full((rows, columns, 3), 120, np.uint8)
    pixels[::8, ::8] = (dot * 37 % 200 + 30, 90, 200)
    return pixels


def jpeg(pixels: Pixels) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def put_file(folder: Path, name: str, data: bytes) -> None:
    new = folder / f"{name}.new"
    new.write_bytes(data)
    new.replace(folder / name)


def decoded(data: bytes | None) -> Pixels:
    assert data is not None
    pixels = decode(data)
    assert pixels is not None
    return pixels


# --- what is written under a picture ------------------------------------------------------------------------


def grey(text: str, columns: int) -> Pixels:
    """One item alone, cropped to its letters."""
    drawn = strip([Item(text)], columns).max(axis=2)
    rows, places = np.nonzero(drawn)
    return np.asarray(drawn[rows.min() : rows.max() + 1, places.min() : places.max() + 1], np.uint8)


def likeness(band: Pixels, text: str) -> float:
    """How well the best place of a band shows a text, to 1."""
    found = cv2.matchTemplate(band.max(axis=2), grey(text, band.shape[1]), cv2.TM_CCOEFF_NORMED)
    return float(found.max())


def read(band: Pixels, *candidates: str) -> str:
    """Which of the candidates is written there."""
    return max(candidates, key=lambda text: likeness(band, text))


@pytest.mark.parametrize(("rows", "columns"), [(360, 640), (1080, 1920), (480, 480)])
def test_every_word_can_be_read_back_from_the_picture(rows: int, columns: int) -> None:
    seen = picture(rows=rows, columns=columns)
    whole = decoded(evidence(seen, CAPTION.items(SHANGHAI), widest=1920, quality=85))
    band = whole[rows:]
    for text in (
        "2025-03-01 16:00:00.120 +08:00",
        "通道 lane-in",
        "过卡 12",
        "称重 weighing",
        "镜头 front",
        "车牌 豫A12345",
        "毛重 23460 kg",
        "核放单 I4604I250000000001",
    ):
        assert likeness(band, text) > 0.93, text


def test_one_character_more_or_less_is_told_apart() -> None:
    whole = decoded(evidence(picture(), CAPTION.items(SHANGHAI), widest=1920, quality=85))
    band = whole[360:]
    plates = ("车牌 豫A12345", "车牌 沪A12345", "车牌 渝A12345", "车牌 豫A12346", "车牌 豫B12345")
    assert read(band, *plates) == "车牌 豫A12345"
    assert read(band, "毛重 23460 kg", "毛重 23480 kg", "毛重 28460 kg") == "毛重 23460 kg"
    assert read(band, "到达 arrival", "称重 weighing", "判定 ruling", "通过 passing") == "称重 weighing"
    assert read(band, "过卡 12", "过卡 13", "过卡 72") == "过卡 12"


def test_every_province_is_drawn_as_itself() -> None:
    provinces = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新挂学警港澳使领"
    drawn = {letter: strip([Item(letter)], 640).tobytes() for letter in provinces}
    assert len(set(drawn.values())) == len(provinces)


def test_the_scene_is_not_covered() -> None:
    seen = picture()
    whole = decoded(evidence(seen, CAPTION.items(SHANGHAI), widest=1920, quality=95))
    assert whole.shape[0] > 360
    assert np.abs(whole[:350].astype(int) - seen[:350]).mean() < 6


def test_a_wide_picture_is_made_smaller() -> None:
    whole = decoded(
        evidence(picture(rows=1080, columns=1920), CAPTION.items(SHANGHAI), widest=960, quality=85)
    )
    assert whole.shape[1] == 960
    assert 540 < whole.shape[0] < 700


def test_what_is_not_known_is_left_out_and_an_older_frame_says_so() -> None:
    bare = [item.text for item in Caption(UTC_TEXT, "lane-in", 3, "arrival", "front").items(SHANGHAI)]
    assert [text.split()[0] for text in bare[1:]] == ["通道", "过卡", "到达", "镜头"]
    late = Caption(UTC_TEXT, "lane-in", 3, "arrival", "front", late_s=3.24).items(SHANGHAI)[-1]
    assert late == Item("画面早 3.2 秒 3.2 s before", warns=True)
    assert Caption(UTC_TEXT, "lane-in", 3, "arrival", "front", fault="dark").items(SHANGHAI)[-1].warns


def test_no_text_makes_the_strip_fail_or_grow_without_bound() -> None:
    for text in ("", "\x00\n\t", "豫" * 5000, "𠮷🚛", "A" * 5000, "%s{}"):
        drawn = strip([Item(text)] * 3, 320)
        assert drawn.shape[0] <= 120
        assert drawn.shape[1] == 320


def test_times_are_the_sites_and_say_so() -> None:
    assert local_time(UTC_TEXT, SHANGHAI) == "2025-03-01 16:00:00.120 +08:00"
    assert local_time(UTC_TEXT, ZoneInfo("UTC")) == "2025-03-01 08:00:00.120 +00:00"
    assert earlier(UTC_TEXT, 1.5) == "2025-03-01T07:59:58.620000Z"


# --- files --------------------------------------------------------------------------------------------------

MB = 1_000_000


def files(
    folder: Path,
    *,
    most_bytes: int = 100 * MB,
    keep_days: int = 90,
    keep_free_bytes: int = 0,
    keep_held_days: int | None = None,
    may_shed: Callable[[str], bool] = lambda sha256: False,
    is_held: Callable[[str], bool] = lambda sha256: False,
    free_bytes: Callable[[Path], int] = lambda folder: 10**12,
) -> EvidenceFiles:
    made = EvidenceFiles(
        folder,
        most_bytes=most_bytes,
        keep_days=keep_days,
        keep_free_bytes=keep_free_bytes,
        keep_held_days=keep_held_days,
        may_shed=may_shed,
        is_held=is_held,
        free_bytes=free_bytes,
    )
    made.open()
    return made


def block(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def stored(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def filled(made: EvidenceFiles, folder: Path, count: int, day: str = "2025-03-01") -> list[str]:
    """`count` blocks of a day, each written a second after the one before; their hashes in that order."""
    hashes = []
    for number in range(count):
        kept = made.keep(block(number), f"{day}T08:00:00.000000Z")
        os.utime(kept.path, (1_700_000_000 + number, 1_700_000_000 + number))
        hashes.append(kept.sha256)
    return hashes


def test_a_picture_is_named_by_its_hash_in_the_folder_of_its_day(tmp_path: Path) -> None:
    kept = files(tmp_path).keep(b"abc", UTC_TEXT)
    assert kept.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert stored(tmp_path) == [f"2025-03-01/{kept.sha256}.jpg"]
    assert kept.path.read_bytes() == b"abc"


def test_the_same_picture_twice_is_one_file_and_counts_once(tmp_path: Path) -> None:
    made = files(tmp_path)
    made.keep(block(1), UTC_TEXT)
    made.keep(block(1), UTC_TEXT)
    assert made.size_bytes == 1000
    assert len(stored(tmp_path)) == 1


def test_what_was_there_before_is_counted(tmp_path: Path) -> None:
    filled(files(tmp_path), tmp_path, 7)
    assert files(tmp_path).size_bytes == 7000


def test_a_picture_is_read_back_and_another_under_its_name_is_none(tmp_path: Path) -> None:
    made = files(tmp_path)
    kept = made.keep(b"abc", UTC_TEXT)
    assert made.read(kept.sha256) == b"abc"
    kept.path.write_bytes(b"abd")
    assert made.read(kept.sha256) is None
    (tmp_path / "secret.jpg").write_bytes(b"x")
    assert made.read("../secret") is None
    assert made.read("0" * 64) is None


def test_evidence_of_a_hold_goes_after_all_other_however_old_it_is(tmp_path: Path) -> None:
    """G8: blobs are shed by class; also where nothing has reached the centre."""
    held: set[str] = set()
    made = files(tmp_path, most_bytes=6_000, may_shed=lambda sha256: False, is_held=held.__contains__)
    hashes = filled(made, tmp_path, 8)
    held |= set(hashes[:6])
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed is not None
    assert (shed.sha256s, shed.needed) == ((hashes[6], hashes[7], hashes[0]), 3)


def test_what_the_centre_has_goes_before_what_it_has_not_whatever_the_class(tmp_path: Path) -> None:
    made = files(
        tmp_path,
        most_bytes=6_000,
        may_shed=lambda sha256: sha256 in there,
        is_held=lambda sha256: sha256 in there,
    )
    hashes = filled(made, tmp_path, 8)
    there = set(hashes[3:])
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed is not None
    assert (shed.sha256s, shed.needed) == (tuple(hashes[3:6]), 0)


def test_evidence_of_a_hold_is_kept_for_its_own_time(tmp_path: Path) -> None:
    held: set[str] = set()
    made = files(
        tmp_path, keep_days=30, keep_held_days=60, may_shed=lambda sha256: True, is_held=held.__contains__
    )
    hashes = filled(made, tmp_path, 4, day="2025-01-20")
    held |= set(hashes[2:])
    made.shed("2025-03-01T08:00:00.000000Z", clock_is_known=True)
    assert {Path(name).stem for name in stored(tmp_path)} == set(hashes[2:])
    made.shed("2025-03-25T08:00:00.000000Z", clock_is_known=True)
    assert stored(tmp_path) == []


def test_pictures_end_before_the_journals_reserve_and_the_lane_goes_on_committing(tmp_path: Path) -> None:
    """G8 on a disk of 10 MB that only pictures fill: the journal never meets its reserve because of them."""
    disk = [10 * MB]
    folder = tmp_path / "pictures"

    def free(_: Path) -> int:
        return disk[0] - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    made = files(folder, keep_free_bytes=3 * MB, free_bytes=free)
    with Journal.open(
        tmp_path / "journal.sqlite", device="lane-1", reserve_bytes=2 * MB, free_bytes=lambda: free(folder)
    ) as journal:
        refused = 0
        for number in range(40):
            try:
                made.keep(block(number, 400_000), UTC_TEXT)
            except DiskNearlyFull:
                refused += 1
            draft = FactDraft(f"e{number}", Stream.ROUTINE, UTC_TEXT, "boot", 1, PassageOpened(number))
            assert len(journal.commit([draft])) == 1
        assert refused == 40 - 17
        disk[0] -= 2 * MB
        for _ in range(COMMITS_PER_DISK_CHECK):
            with suppress(JournalFull):
                journal.commit([draft])
        with pytest.raises(JournalFull, match="kept in reserve"):
            journal.commit([draft])
        assert journal.commit([draft], into_reserve=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from sync.store.evidence_files import EvidenceFiles

folder, moment = Path(sys.argv[1]), sys.argv[2]
made = EvidenceFiles(folder, most_bytes=10**9, keep_days=9, keep_free_bytes=0, may_shed=lambda sha256: False)
made.open()
made.keep(b"first" * 1000, "2025-03-01T08:00:00.000000Z")

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before fsync":
    os.fsync = killed
elif moment == "before rename":
    Path.replace = killed
else:
    real = Path.replace
    Path.replace = lambda self, target: (real(self, target), killed())
made.keep(b"second" * 1000, "2025-03-01T08:00:01.000000Z")
"""


@pytest.mark.parametrize(
    ("moment", "pictures"), [("before fsync", 1), ("before rename", 1), ("after rename", 2)]
)
def test_killed_at_any_moment_no_half_picture_is_left(tmp_path: Path, moment: str, pictures: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], check=False)
    assert killed.returncode == -9
    made = files(tmp_path)
    names = stored(tmp_path)
    assert len(names) == pictures
    assert all(made.read(Path(name).stem) for name in names)
    assert made.size_bytes == sum((tmp_path / name).stat().st_size for name in names)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    made = files(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    made_day = tmp_path / "2025-03-01"
    made_day.mkdir()
    with pytest.raises(OSError, match="No space"):
        made.keep(b"abc", UTC_TEXT)
    assert stored(tmp_path) == []
    assert made.size_bytes == 0


# --- the budget ---------------------------------------------------------------------------------------------


def test_within_budget_and_days_nothing_goes(tmp_path: Path) -> None:
    made = files(tmp_path, most_bytes=10_000, may_shed=lambda sha256: True)
    filled(made, tmp_path, 10)
    assert made.shed(UTC_TEXT, clock_is_known=True) is None
    assert len(stored(tmp_path)) == 10


def test_over_budget_the_oldest_go_first(tmp_path: Path) -> None:
    made = files(tmp_path, most_bytes=10_000, may_shed=lambda sha256: True)
    hashes = filled(made, tmp_path, 12)
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed == Shed(3, 3000, "2025-03-01", "2025-03-01", 0, tuple(hashes[:3]))
    assert {Path(name).stem for name in stored(tmp_path)} == set(hashes[3:])
    assert made.size_bytes == 9000


def test_an_older_day_goes_before_a_younger_whatever_the_files_say(tmp_path: Path) -> None:
    made = files(tmp_path, most_bytes=2_000, may_shed=lambda sha256: True)
    young = made.keep(block(1), "2025-03-02T08:00:00.000000Z")
    old = made.keep(block(2), "2025-03-01T08:00:00.000000Z")
    os.utime(young.path, (1, 1))
    made.keep(block(3), "2025-03-03T08:00:00.000000Z")
    shed = made.shed("2025-03-03T08:00:00.000000Z", clock_is_known=True)
    assert shed is not None
    assert made.read(old.sha256) is None
    assert (shed.first_day, shed.last_day) == ("2025-03-01", "2025-03-02")


def test_what_the_centre_does_not_have_stays_longest(tmp_path: Path) -> None:
    there: set[str] = set()
    made = files(tmp_path, most_bytes=10_000, may_shed=there.__contains__)
    hashes = filled(made, tmp_path, 12)
    there |= {hashes[4], hashes[9], hashes[11]}
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed is not None
    assert (shed.pictures, shed.needed) == (3, 0)
    assert {Path(name).stem for name in stored(tmp_path)} == set(hashes) - there


def test_where_nothing_may_go_the_oldest_needed_go_and_are_counted_as_such(tmp_path: Path) -> None:
    there: set[str] = set()
    made = files(tmp_path, most_bytes=10_000, may_shed=there.__contains__)
    hashes = filled(made, tmp_path, 14)
    there |= {hashes[13]}
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed is not None
    assert shed.pictures == shed.needed + 1
    assert shed.needed == 4
    assert {Path(name).stem for name in stored(tmp_path)} == set(hashes[4:13])


def test_old_pictures_go_when_the_centre_has_them(tmp_path: Path) -> None:
    there: set[str] = set()
    made = files(tmp_path, keep_days=30, may_shed=there.__contains__)
    old = filled(made, tmp_path, 3, "2025-01-29")
    edge_of_it = made.keep(block(100), "2025-01-30T08:00:00.000000Z").sha256
    there |= {old[0], old[1], edge_of_it}
    shed = made.shed("2025-03-01T08:00:00.000000Z", clock_is_known=True)
    assert shed == Shed(2, 2000, "2025-01-29", "2025-01-29", 0, (old[0], old[1]))
    assert made.read(old[2]) is not None
    assert made.read(edge_of_it) is not None


def test_by_a_clock_nobody_vouches_for_nothing_grows_old(tmp_path: Path) -> None:
    made = files(tmp_path, keep_days=30, may_shed=lambda sha256: True)
    filled(made, tmp_path, 3)
    assert made.shed("2099-01-01T00:00:00.000000Z", clock_is_known=False) is None
    assert made.shed("2099-01-01T00:00:00.000000Z", clock_is_known=True) is not None
    assert stored(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    made = files(tmp_path, most_bytes=1_000, may_shed=lambda sha256: True)
    filled(made, tmp_path, 3)
    (tmp_path / "2025-03-01" / "notes.txt").write_bytes(b"x" * 5000)
    (tmp_path / "readme.txt").write_bytes(b"x")
    made.shed(UTC_TEXT, clock_is_known=True)
    assert stored(tmp_path) == ["2025-03-01/notes.txt", "readme.txt"]


def test_the_last_of_the_disk_belongs_to_the_journal(tmp_path: Path) -> None:
    free = [5_000]
    there: set[str] = set()
    made = files(
        tmp_path, keep_free_bytes=3_000, may_shed=there.__contains__, free_bytes=lambda folder: free[0]
    )
    kept = made.keep(block(1), UTC_TEXT)
    free[0] = 3_500
    with pytest.raises(DiskNearlyFull):
        made.keep(block(2), UTC_TEXT)
    free[0] = 2_000
    assert made.shed(UTC_TEXT, clock_is_known=True) is None
    there.add(kept.sha256)
    shed = made.shed(UTC_TEXT, clock_is_known=True)
    assert shed is not None
    assert (shed.pictures, shed.needed) == (1, 0)


# --- the lane asks ------------------------------------------------------------------------------------------


class Site:
    """Pictures of one lane with what they said."""

    def __init__(
        self,
        folder: Path,
        cameras: dict[str, CameraPart],
        settings: PicturesPart,
        shed_to: Callable[[Shed], None] | None = None,
        **more: Any,
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.shed: list[Shed] = []
        self.clock = StillClock()
        self.folder = folder / "pictures"
        more.setdefault("camera_of", self._here(settings))
        self.pictures = Pictures(
            self.folder,
            cameras,
            settings,
            lane_id="lane-in",
            clock=self.clock,
            put=self.events.put,
            on_shed=shed_to or self.shed.append,
            **more,
        )

    def _here(self, settings: PicturesPart) -> CameraOf:
        def make(name: str, part: CameraPart) -> CameraHere:
            camera = FixedCamera(
                name,
                address_of(part),
                limits_of(part),
                monotonic_s=time.monotonic,
                delay_s=BackOff().delay_s,
            )
            return CameraHere(camera, settings, lane_id="lane-in", monotonic_s=time.monotonic)

        return make

    def next(self, *kinds: type) -> Any:
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            event = self.events.get(timeout=WAIT_S)
            if isinstance(event, kinds):
                return event
        raise AssertionError(f"no {kinds}")

    def ready(self, name: str = "front") -> None:
        deadline_s = time.monotonic() + WAIT_S
        while self.pictures.health()[name].age_s is None:
            assert time.monotonic() < deadline_s, "no frame"
            time.sleep(0.01)


@contextmanager
def site(
    folder: Path,
    cameras: dict[str, CameraPart] | None = None,
    settings: PicturesPart | None = None,
    **more: Any,
) -> Iterator[Site]:
    made = Site(folder, cameras or {}, settings or PicturesPart(keep_free_mb=0), **more)
    made.pictures.start()
    try:
        yield made
    finally:
        made.pictures.close()


def still(folder: Path, name: str = "still.jpg", **more: Any) -> CameraPart:
    put_file(folder, name, jpeg(picture()))
    return CameraPart(path=folder / name, frame_every_s=0.04, **more)


def uploads(folder: Path, **more: Any) -> CameraPart:
    folder.mkdir(exist_ok=True)
    return CameraPart(path=folder, frame_every_s=0.04, **more)


ARRIVAL = TakePicture(12, "arrival", "豫A12345", "I4604I250000000001", "23460")
ANSWERS = (PictureKept, PictureFailed)


def test_a_picture_is_taken_and_its_fact_names_the_file(tmp_path: Path) -> None:
    with site(tmp_path, {"front": still(tmp_path)}) as lane:
        lane.ready()
        lane.pictures.take(ARRIVAL)
        kept = lane.next(*ANSWERS)
        assert isinstance(kept, PictureKept)
        assert (kept.passage, kept.moment, kept.camera) == (12, "arrival", "front")
        file = lane.folder / "2025-03-01" / f"{kept.sha256}.jpg"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == kept.sha256
        assert file.stat().st_size == kept.size_bytes
        assert lane.pictures.read(kept.sha256) == file.read_bytes()
        band = decoded(file.read_bytes())[360:]
        assert read(band, "车牌 豫A12345", "车牌 豫A12346", "车牌 沪A12345") == "车牌 豫A12345"
        assert likeness(band, "毛重 23460 kg") > 0.93
        assert likeness(band, "核放单 I4604I250000000001") > 0.93
        assert likeness(band, "到达 arrival") > 0.93
        assert likeness(band, "s before") < 0.8


def test_every_camera_of_the_moment_is_asked_and_no_other(tmp_path: Path) -> None:
    cameras = {
        "front": still(tmp_path, "1.jpg", moments=("arrival", "passing")),
        "back": still(tmp_path, "2.jpg", moments=("passing",)),
    }
    with site(tmp_path, cameras) as lane:
        lane.ready("front")
        lane.ready("back")
        lane.pictures.take(ARRIVAL)
        lane.pictures.take(TakePicture(12, "ruling"))
        lane.pictures.take(TakePicture(12, "passing"))
        told = [lane.next(*ANSWERS) for _ in range(3)]
        assert sorted((kept.moment, kept.camera) for kept in told) == [
            ("arrival", "front"),
            ("passing", "back"),
            ("passing", "front"),
        ]
        time.sleep(0.3)
        assert lane.events.empty()


ASKED = TakePicture(12, "asked", "豫A12345", "I4604I250000000001", "23460")


def test_where_the_centre_asks_every_camera_answers_whatever_its_moments(tmp_path: Path) -> None:
    cameras = {
        "front": still(tmp_path, "1.jpg", moments=("arrival",)),
        "back": still(tmp_path, "2.jpg", moments=("passing",)),
        "mast": uploads(tmp_path / "none"),
    }
    with site(tmp_path, cameras, PicturesPart(keep_free_mb=0, wait_s=0.2)) as lane:
        lane.ready("front")
        lane.ready("back")
        lane.pictures.take(ASKED)
        told = [lane.next(*ANSWERS) for _ in range(3)]
        assert sorted((each.camera, type(each).__name__) for each in told) == [
            ("back", "PictureKept"),
            ("front", "PictureKept"),
            ("mast", "PictureFailed"),
        ]
        assert {each.moment for each in told} == {"asked"}
        (front,) = [each for each in told if each.camera == "front"]
        band = decoded(lane.pictures.read(front.sha256))[360:]
        assert likeness(band, "中心调取 asked") > 0.93


def test_what_the_centre_asks_for_takes_no_place_from_the_steps_of_a_passage(tmp_path: Path) -> None:
    """Three may wait, and three do; of the centre's there is room for one a camera."""
    made = Site(tmp_path, {"front": still(tmp_path)}, PicturesPart(keep_free_mb=0, most_waiting=3))
    for _ in range(3):
        made.pictures.take(ASKED)
    for _ in range(4):
        made.pictures.take(ARRIVAL)
    full = [made.events.get_nowait() for _ in range(3)]
    assert made.events.empty()
    assert full == [
        PictureFailed(12, "asked", "front", "1 pictures wait for the disk already"),
        PictureFailed(12, "asked", "front", "1 pictures wait for the disk already"),
        PictureFailed(12, "arrival", "front", "3 pictures wait for the disk already"),
    ]


def test_the_steps_of_a_passage_are_kept_before_what_the_centre_asked_for(tmp_path: Path) -> None:
    made = Site(tmp_path, {"front": still(tmp_path)}, PicturesPart(keep_free_mb=0))
    made.pictures.take(ASKED)
    made.pictures.take(ARRIVAL)
    made.pictures.keep(12, b"spoiled", "plate_camera", "vehicle")
    made.pictures.start()
    try:
        told = [made.next(*ANSWERS) for _ in range(3)]
    finally:
        made.pictures.close()
    assert [each.moment for each in told] == ["arrival", "recognised", "asked"]


def test_asking_takes_no_time_whatever_the_cameras_do(tmp_path: Path) -> None:
    with site(
        tmp_path, {"front": uploads(tmp_path / "none")}, PicturesPart(keep_free_mb=0, wait_s=3.0)
    ) as lane:
        began_s = time.monotonic()
        lane.pictures.take(ARRIVAL)
        lane.pictures.keep(12, b"\xff" * 4_000_000, "plate_camera", "vehicle")
        assert time.monotonic() - began_s < 0.05


def test_without_a_frame_it_fails_and_says_so(tmp_path: Path) -> None:
    settings = PicturesPart(keep_free_mb=0, wait_s=0.2)
    with site(tmp_path, {"front": uploads(tmp_path / "none")}, settings) as lane:
        lane.pictures.take(ARRIVAL)
        failed = lane.next(*ANSWERS)
        assert failed == PictureFailed(12, "arrival", "front", "no picture yet")


def test_a_frame_that_comes_soon_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    settings = PicturesPart(keep_free_mb=0, wait_s=WAIT_S)
    with site(tmp_path, {"front": uploads(folder)}, settings) as lane:
        lane.pictures.take(ARRIVAL)
        time.sleep(0.2)
        put_file(folder, "1.jpg", jpeg(picture()))
        assert isinstance(lane.next(*ANSWERS), PictureKept)


def an_upload_of(age_s: float, folder: Path) -> None:
    put_file(folder, "0.part", jpeg(picture()))
    then = time.time() - age_s
    os.utime(folder / "0.part", (then, then))
    (folder / "0.part").rename(folder / "0.jpg")


OLD_ONES = PicturesPart(keep_free_mb=0, fresh_s=0.5, wait_s=0.2, oldest_s=10.0)


def test_an_older_frame_is_kept_with_its_own_time_and_said_to_be_older(tmp_path: Path) -> None:
    part = uploads(tmp_path / "frames", silent_after_s=600.0)
    with site(tmp_path, {"front": part}, OLD_ONES) as lane:
        an_upload_of(3.0, tmp_path / "frames")
        lane.ready()
        lane.pictures.take(ARRIVAL)
        kept = lane.next(*ANSWERS)
        assert isinstance(kept, PictureKept)
        band = decoded(lane.pictures.read(kept.sha256))[360:]
        assert likeness(band, "s before") > 0.93
        assert read(band, "15:59:56", "15:59:57", "16:00:00") != "16:00:00"


def test_a_frame_too_old_may_show_another_vehicle_and_is_not_kept(tmp_path: Path) -> None:
    part = uploads(tmp_path / "frames", silent_after_s=600.0)
    with site(tmp_path, {"front": part}, OLD_ONES) as lane:
        an_upload_of(30.0, tmp_path / "frames")
        lane.ready()
        lane.pictures.take(ARRIVAL)
        failed = lane.next(*ANSWERS)
        assert isinstance(failed, PictureFailed)
        assert failed.why.startswith("its newest picture is 3")


def test_a_frame_that_came_much_later_is_of_somebody_else(tmp_path: Path) -> None:
    """The disk hung, and meanwhile the vehicle went on."""
    folder = tmp_path / "frames"
    hangs, goes_on = threading.Event(), threading.Event()

    def may_shed(sha256: str) -> bool:
        hangs.set()
        return not goes_on.wait(WAIT_S)

    put_file(tmp_path, "seed.jpg", jpeg(picture()))
    settings = PicturesPart(keep_free_mb=0, fresh_s=0.2, wait_s=0.2, most_mb=10, keep_days=1)
    old = tmp_path / "pictures" / "2024-01-01"
    old.mkdir(parents=True)
    (old / f"{'0' * 64}.jpg").write_bytes(b"x")
    with site(tmp_path, {"front": uploads(folder)}, settings, may_shed=may_shed) as lane:
        assert hangs.wait(WAIT_S)
        lane.pictures.take(ARRIVAL)
        time.sleep(1.0)
        put_file(folder, "1.jpg", jpeg(picture()))
        lane.ready()
        goes_on.set()
        failed = lane.next(*ANSWERS)
        assert isinstance(failed, PictureFailed)
        assert "after" in failed.why


def test_a_frozen_camera_proves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    part = uploads(folder, frozen_after_s=0.2)
    with site(tmp_path, {"front": part}) as lane:
        ended = threading.Event()

        def same_again() -> None:
            number = 0
            while not ended.wait(0.05):
                number += 1
                put_file(folder, f"{number:06d}.jpg", jpeg(picture()))

        writer = threading.Thread(target=same_again)
        writer.start()
        try:
            silent = lane.next(DeviceWentSilent)
            assert silent.device == "front"
            assert "the same picture" in silent.why
            lane.pictures.take(ARRIVAL)
            failed = lane.next(*ANSWERS)
            assert isinstance(failed, PictureFailed)
            assert "the same picture" in failed.why
        finally:
            ended.set()
            writer.join()


def test_a_lost_camera_is_an_alarm_and_its_return_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    part = CameraPart(path=folder, silent_after_s=0.5)
    with site(tmp_path, {"front": part}) as lane:
        silent = lane.next(DeviceWentSilent)
        assert silent.device == "front"
        assert "no such file or folder" in silent.why
        folder.mkdir()
        for number in range(400):
            put_file(folder, f"{number:06d}.jpg", jpeg(picture(number)))
            time.sleep(0.05)
            if any(isinstance(event, DeviceSpoke) for event in list(lane.events.queue)):
                break
        assert lane.next(DeviceSpoke) == DeviceSpoke("front")


def test_a_full_queue_is_said_and_waited_for_by_nobody(tmp_path: Path) -> None:
    made = Site(tmp_path, {"front": still(tmp_path)}, PicturesPart(keep_free_mb=0, most_waiting=3))
    began_s = time.monotonic()
    for _ in range(5):
        made.pictures.take(ARRIVAL)
    took_s = time.monotonic() - began_s
    told = [made.events.get_nowait() for _ in range(2)]
    assert made.events.empty()
    assert took_s < 0.5
    assert told == [PictureFailed(12, "arrival", "front", "3 pictures wait for the disk already")] * 2


def test_a_picture_sent_by_a_camera_is_kept_as_it_came(tmp_path: Path) -> None:
    sent = jpeg(picture())
    with site(tmp_path) as lane:
        lane.pictures.keep(7, sent, "plate_camera", "vehicle")
        kept = lane.next(*ANSWERS)
        sha256 = hashlib.sha256(sent).hexdigest()
        assert kept == PictureKept(7, "recognised", "plate_camera", sha256, len(sent))
        assert lane.pictures.read(sha256) == sent


@pytest.mark.parametrize(
    "sent", [b"", b"no picture", jpeg(picture())[:-300], b"\xff\xd8\xff" + b"x" * 9_000_000]
)
def test_a_sent_picture_that_is_none_fails(tmp_path: Path, sent: bytes) -> None:
    with site(tmp_path) as lane:
        lane.pictures.keep(7, sent, "plate_camera", "plate")
        failed = lane.next(*ANSWERS)
        assert isinstance(failed, PictureFailed)
        assert failed.moment == "recognised"
        assert failed.why.startswith("no whole picture of the plate")
        assert not lane.folder.exists() or stored(lane.folder) == []


def test_a_folder_that_cannot_be_used_fails_each_picture_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_bytes(b"a file where the folder should be")
    with site(tmp_path) as lane:
        lane.pictures.keep(7, jpeg(picture()), "plate_camera", "vehicle")
        lane.pictures.keep(8, jpeg(picture()), "plate_camera", "vehicle")
        assert [lane.next(*ANSWERS).passage for _ in range(2)] == [7, 8]


def test_what_the_budget_sheds_is_reported(tmp_path: Path) -> None:
    with site(tmp_path, settings=PicturesPart(keep_free_mb=0, most_mb=10)) as lane:
        noise = np.random.default_rng(1)
        for number in range(6):
            sent = jpeg(noise.integers(0, 255, (1400, 1400, 3), dtype=np.uint8))
            lane.pictures.keep(number, sent, "plate_camera", "vehicle")
            assert isinstance(lane.next(*ANSWERS), PictureKept)
    size = sum(path.stat().st_size for path in lane.folder.rglob("*.jpg"))
    assert size <= 10 * MB
    assert lane.shed
    assert all(shed.needed == shed.pictures for shed in lane.shed)


def test_a_centre_that_cannot_be_asked_ends_nothing(tmp_path: Path) -> None:
    def unreadable(sha256: str) -> bool:
        raise RuntimeError("the journal is closed")

    old = tmp_path / "pictures" / "2020-01-01"
    old.mkdir(parents=True)
    (old / f"{'0' * 64}.jpg").write_bytes(b"x")
    with site(tmp_path, may_shed=unreadable) as lane:
        for passage in range(2):
            lane.pictures.keep(passage, jpeg(picture()), "plate_camera", "vehicle")
            assert isinstance(lane.next(*ANSWERS), PictureKept)


def test_by_an_unknown_clock_old_pictures_stay(tmp_path: Path) -> None:
    old = tmp_path / "pictures" / "2020-01-01"
    old.mkdir(parents=True)
    name = f"{hashlib.sha256(b'x').hexdigest()}.jpg"
    (old / name).write_bytes(b"x")
    made = Site(tmp_path, {}, PicturesPart(keep_free_mb=0, keep_days=1), may_shed=lambda sha256: True)
    made.clock.uncertain_ms = UNKNOWN_MS
    made.pictures.start()
    made.pictures.keep(1, jpeg(picture()), "plate_camera", "vehicle")
    made.next(*ANSWERS)
    made.pictures.close()
    assert (old / name).exists()


def test_a_camera_that_does_not_answer_holds_up_no_end_for_long(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/stream"
        made = Site(
            tmp_path, {"front": CameraPart(url=url, open_timeout_s=0.5)}, PicturesPart(keep_free_mb=0)
        )
        made.pictures.start()
        time.sleep(0.2)
        began_s = time.monotonic()
        assert made.pictures.close() == ()
        assert time.monotonic() - began_s < 2.0


def test_closing_finishes_what_was_asked(tmp_path: Path) -> None:
    with site(tmp_path, {"front": still(tmp_path)}) as lane:
        lane.ready()
        for passage in range(10):
            lane.pictures.take(TakePicture(passage, "arrival"))
    told = [lane.next(*ANSWERS) for _ in range(10)]
    assert [type(each) for each in told] == [PictureKept] * 10
    lane.pictures.take(ARRIVAL)
    assert lane.next(*ANSWERS).why == "the program is ending"


# --- config -------------------------------------------------------------------------------------------------


def errors_of(toml: str, folder: Path, **taken: Any) -> list[str]:
    """What is wrong with `[cameras.front]`."""
    try:
        part = parse_config(textwrap.dedent(toml), CameraPart, path=folder / "lane.toml")
    except ConfigRefused as refused:
        return [str(error) for error in refused.errors]
    return [str(error) for error in camera_errors({"front": part}, PicturesPart(), **taken)]


def secret(folder: Path) -> Path:
    path = folder / "camera.password"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "toml",
    [
        'url = "rtsp://10.0.0.20/stream1"',
        'url = "rtsp://h:8554/stream1?profile=2"\nusername = "gate"\npassword_file = "camera.password"',
        'url = "rtsp://10.0.0.20/password={password}_channel=1"\npassword_file = "camera.password"',
        'url = "http://10.0.0.21/video.mjpg"\nmoments = ["passing"]',
        'device = "/dev/v4l/by-id/usb-camera"\ncolumns = 1920\nrows = 1080',
        'device = "0"',
        'path = "."',
    ],
)
def test_a_camera_may_be_written_so(tmp_path: Path, toml: str) -> None:
    secret(tmp_path)
    assert errors_of(toml, tmp_path) == []


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("", "cameras.front: expected exactly one of"),
        ('url = "rtsp://h/s"\ndevice = "0"', "cameras.front: expected exactly one of"),
        ('url = "ftp://h/s"', "cameras.front.url: expected rtsp://host/... or"),
        ('url = "rtsp:///s"', "cameras.front.url: expected rtsp://host/... or"),
        ('url = "rtsp://h:99999/s"', "cameras.front.url: expected rtsp://host/... or"),
        ('url = "rtsp://a:b@h/s"', "cameras.front.url: expected no user in it"),
        ('url = "http://h/s?pwd=letmein"', "cameras.front.url: expected `{password}` in place of"),
        ('url = "rtsp://h/password={password}"', "cameras.front.url: `{password}` needs `password_file`"),
        ('url = "rtsp://h/s"\npassword_file = "camera.password"', "cameras.front.password_file: expected"),
        ('device = "0"\nusername = "a"', "cameras.front.username: only with `url`"),
        ('device = "camera"', "device: expected text matching"),
        ('path = "nowhere"', "cameras.front.path: expected a folder or file"),
        ('device = "0"\nmoments = []', "moments: expected an array of at least 1"),
        ('device = "0"\nmoments = ["leaving"]', "moments[0]: expected one of"),
        (
            'device = "0"\nframe_every_s = 5\nsilent_after_s = 5',
            "cameras.front.silent_after_s: expected more",
        ),
        ('device = "0"\nfps = 5', "fps: unknown key"),
    ],
)
def test_a_camera_written_otherwise_is_refused(tmp_path: Path, toml: str, error: str) -> None:
    secret(tmp_path)
    said = errors_of(toml, tmp_path)
    assert any(each.startswith(error) for each in said), said
    assert not any("letmein" in each for each in said)


def test_a_camera_may_not_bear_a_devices_name() -> None:
    found = camera_errors({"io": CameraPart(device="0")}, PicturesPart(), taken={"io", "rfid"})
    assert [error.key for error in found] == ["cameras.io"]


@pytest.mark.parametrize(("silent_after_s", "wait_s"), [(0.9, 1.8), (5.0, 10.0), (60.0, 10.0)])
def test_a_stream_is_given_time_for_its_next_key_frame(silent_after_s: float, wait_s: float) -> None:
    part = CameraPart(url="rtsp://10.0.0.20/stream1", silent_after_s=silent_after_s)
    assert limits_of(part).read_timeout_s == wait_s


def test_pictures_must_fit_together() -> None:
    found = camera_errors({}, PicturesPart(fresh_s=5.0, oldest_s=1.0, time_zone="Asia/Nowhere"))
    assert [error.key for error in found] == ["pictures.oldest_s", "pictures.time_zone"]


def test_the_password_is_read_from_its_file(tmp_path: Path) -> None:
    part = CameraPart(url="rtsp://h/s", username="gate", password_file=SecretFile(secret(tmp_path)))
    address = address_of(part)
    assert "s3cret" not in repr(address)
    assert getattr(address, "password", "") == "s3cret"


def test_a_picture_that_cannot_be_read_now_is_not_one_that_is_gone(tmp_path: Path) -> None:
    """What is gone is never owed again: a disk that fails once must not cost evidence (G8)."""
    made = files(tmp_path)
    (sha256,) = filled(made, tmp_path, 1)
    file = tmp_path / "2025-03-01" / f"{sha256}.jpg"
    data = file.read_bytes()
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match=sha256):
        made.read(sha256)
    file.rmdir()
    assert made.read(sha256) is None
    file.write_bytes(data)
    assert made.read(sha256) == data


def test_pictures_go_on_when_what_was_shed_cannot_be_noted(tmp_path: Path) -> None:
    """The journal is as full as the disk that sheds: that ends no thread."""

    def refuse(_shed: Shed) -> None:
        raise StoreRefused("the disk is full")

    settings = PicturesPart(keep_free_mb=0, most_mb=1)
    camera = still(tmp_path)
    (tmp_path / "pictures" / "2025-03-01").mkdir(parents=True)
    for number in range(3):
        data = block(number, 600_000)
        put_file(tmp_path / "pictures" / "2025-03-01", f"{hashlib.sha256(data).hexdigest()}.jpg", data)
    with site(tmp_path, {"front": camera}, settings, shed_to=refuse) as lane:
        lane.ready()
        for _ in range(2):
            lane.pictures.take(ARRIVAL)
            assert isinstance(lane.next(*ANSWERS), PictureKept)
