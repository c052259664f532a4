"""Keeps evidence: asked by the station, whose thread only enqueues, answered by events. One thread makes
the files, writes them, sheds old ones, and says in time when there is no more room. Decides nothing about a
parcel."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

import msgspec
import structlog

from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.xray_bridge.effects import KeepEvidence, SavePicture
from edge.xray_bridge.events import (
    Event,
    EvidenceFailed,
    EvidenceKept,
    EvidenceShed,
    FileUp,
    Room,
    Saved,
)
from edge.xray_bridge.evidence.dicos import Level, Scan, Whose, picture_file, report_file
from edge.xray_bridge.evidence.library import Entry, Library, goods_key, quantity_in
from edge.xray_bridge.evidence.manifest import (
    MAX_DESCRIPTOR_BYTES,
    KeepClass,
    Manifest,
    Said,
    read_said,
)
from edge.xray_bridge.evidence.previewing import grey_preview, png_of
from edge.xray_bridge.evidence.reporting import machine_report, officer_report
from edge.xray_bridge.evidence.store import EvidenceStore, ShedParcels, Space, Stored
from edge.xray_bridge.values import Association
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.xray_facts import RegionTold

CALM_EVERY_S: Final = 600.0
TIGHT_EVERY_S: Final = 30.0
RETRY_EVERY_S: Final = 2.0
MOST_GOODS: Final = 400
_LOOK_EVERY_S: Final = 0.5
_SHED_AT_ONCE_S: Final = 1.0
_CLOSE_S: Final = 10.0
_STANDING: Final = (
    "seen", "match", "rule", "confidence", "length_by_eye_mm", "length_by_picture_mm", "belt_mm_s", "goods",
    "machine",
)  # fmt: skip
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""In a text: many programs end it there, so no manifest holds one."""


@dataclass(frozen=True, slots=True)
class Settings:
    station: str
    site: str = ""
    version: str = ""
    """Of this program: what the machine's report names as its algorithm."""
    most_waiting: int = 32
    """Parcels waiting for the disk; from half of it on the feed is withheld."""
    raw_png: bool = False
    """Also both energies as 16-bit PNG: for those who cannot read DICOS. They cost more time than all
    else."""
    held_pictures_go_up: bool = True
    """Of held parcels the centre gets the DICOS files too, not only preview and manifest."""
    routine_previews_go_up: bool = True


@dataclass(frozen=True, slots=True)
class _Save:
    effect: SavePicture
    scan: Scan
    calibration: str
    utc: str


@dataclass(frozen=True, slots=True)
class _Asked:
    effect: KeepEvidence
    scan: Scan | None
    utc: str
    uncertainty_ms: int


class EvidenceKeeper:
    """`keep` and `read` may be called by any thread."""

    def __init__(
        self,
        store: EvidenceStore,
        settings: Settings,
        *,
        clock: Clock,
        put: Callable[[Event], None],
        forget_blobs: Callable[[Sequence[str]], None] = lambda sha256s: None,
        library: Library | None = None,
    ) -> None:
        """`put(event)` is called on the keeper's thread: it may only enqueue. `forget_blobs(sha256s)`: they
        are owed to nobody any more."""
        self._store = store
        self._settings = settings
        self._clock = clock
        self._put = put
        self._forget_blobs = forget_blobs
        self._library = library
        self._waiting: queue.Queue[_Asked | _Save] = queue.Queue(settings.most_waiting)
        self._stuck: deque[_Asked] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._forgotten: list[str] = []
        """Blobs that went, and that the journal may still think are owed."""
        self._room: bool | None = None
        self._why = "not open yet"

    def start(self) -> None:
        """Once. Returns at once; a folder that cannot be used is a `Room` that is not ok."""
        self._thread.start()

    def close(self) -> None:
        """What was asked for is written, as far as the disk takes it; the rest is said to have failed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    # --- any thread ---

    def keep(self, effect: KeepEvidence, scan: Scan | None) -> None:
        """`scan` None: the picture is no longer in memory; then it must have been kept before. Never
        waits."""
        effect = replace(effect, picture=_clean(effect.picture), waybill_no=_clean(effect.waybill_no))
        asked = _Asked(effect, scan, self._clock.utc_text(), self._clock.uncertainty_ms())
        why = "the program is ending" if self._stopping.is_set() else ""
        if not why:
            try:
                self._waiting.put_nowait(asked)
            except queue.Full:
                why = f"{self._settings.most_waiting} parcels wait for the disk already"
        if why:
            self._put(EvidenceFailed(effect.parcel, effect.picture, why))

    def save(self, effect: SavePicture, scan: Scan, *, calibration: str = "") -> None:
        """Into the library; answered with `Saved`. Never waits."""
        why = "the program is ending" if self._stopping.is_set() else ""
        if not why:
            try:
                self._waiting.put_nowait(_Save(effect, scan, calibration, self._clock.utc_text()))
            except queue.Full:
                why = f"{self._settings.most_waiting} parcels wait for the disk already"
        if why:
            self._put(Saved(effect.parcel, effect.picture, effect.kind, "", why))

    def read(self, sha256: str) -> bytes | None:
        """A kept file that goes to the centre, its hash proved. Raises `OSError` where it cannot be read
        now."""
        return self._store.read(sha256)

    # --- the keeper's own thread ---

    def _run(self) -> None:
        opened = False
        tend_s = retry_s = self._clock.monotonic_s()
        while True:
            ending = self._stopping.is_set()
            now_s = self._clock.monotonic_s()
            if not opened:
                opened = self._opened()
            if opened and self._stuck and (now_s >= retry_s or ending):
                retry_s = now_s + RETRY_EVERY_S
                self._do(self._stuck.popleft(), again=True)
            if opened and not self._stuck:
                try:
                    asked = self._waiting.get(block=not ending, timeout=_LOOK_EVERY_S)
                except queue.Empty:
                    if ending:
                        break
                else:
                    self._take(asked)
            elif ending:
                break
            else:
                self._stopping.wait(_LOOK_EVERY_S)
            if opened and not ending:
                tend_s = self._tended(tend_s)
        self._give_up()
        if opened:
            with contextlib.suppress(OSError):
                self._store.close()

    def _opened(self) -> bool:
        try:
            untold = self._store.open()
            if self._library is not None:
                self._library.open()
        except Exception as error:  # noqa: BLE001 - a folder that cannot be used must not end the thread
            _logger().error("the folder of the evidence cannot be used", why=str(error))
            self._say_room(Space(ok=False, free_bytes=0))
            self._stopping.wait(RETRY_EVERY_S)
            return False
        for shed in self._store.gone_untold():
            self._tell(shed)
        for stored in untold:
            self._put(_kept(stored))
        self._why = ""
        self._look_at_room()
        return True

    def _take(self, asked: _Asked | _Save) -> None:
        match asked:
            case _Asked():
                self._do(asked)
            case _Save():
                self._put(self._saved(asked))
            case _:
                assert_never(asked)

    def _saved(self, asked: _Save) -> Saved:
        effect = asked.effect
        entry, why = "", ""
        try:
            if self._library is None:
                raise ValueError("this station has no library")
            whose = Whose(
                self._settings.station,
                effect.parcel,
                "" if effect.goods is None else effect.goods.waybill_no,
                Association.MATCHED,
                site=self._settings.site,
            )
            drafted = entry_of(effect, asked.scan, whose, calibration=asked.calibration, utc=asked.utc)
            entry = self._library.save(*drafted).key
        except (OSError, ValueError, msgspec.ValidationError) as error:
            why = str(error)[:200] or type(error).__name__
            _logger().error("a picture was not saved", picture=effect.picture, why=why)
        return Saved(effect.parcel, effect.picture, effect.kind, entry, why)

    def _do(self, asked: _Asked, *, again: bool = False) -> None:
        effect = asked.effect
        try:
            stored = self._kept(asked)
        except OSError as error:
            # It stays in hand, and the feed waits: it is lost only if the program ends without a disk.
            if not again:
                _logger().error("evidence cannot be written", picture=effect.picture, why=str(error))
            self._why = str(error)[:200]
            self._stuck.appendleft(asked)
            self._shed()
        except Exception as error:  # noqa: BLE001 - one picture's fault must not end all others
            _logger().error("evidence failed", picture=effect.picture, exc_info=error)
            self._put(EvidenceFailed(effect.parcel, effect.picture, str(error)[:200] or type(error).__name__))
        else:
            if not self._stuck:
                self._why = ""
            self._put(_kept(stored))
        self._look_at_room()

    def _kept(self, asked: _Asked) -> Stored:
        effect = asked.effect
        said = read_said(_NUL.sub(rb"\1\\ufffd", bytes(effect.manifest)))
        if asked.scan is not None and asked.scan.descriptor:
            said = msgspec.structs.replace(said, descriptor=_bounded(asked.scan.descriptor))
        former = self._store.latest(effect.picture)
        if former is None:
            if asked.scan is None:
                raise ValueError("the picture is no longer in memory, and was never kept")
            return self._first(asked, asked.scan, said)
        if len(bytes(said.descriptor)) <= len(b"null"):
            said = msgspec.structs.replace(said, descriptor=former.manifest.said.descriptor)
        return self._later(asked, said, former)

    def _first(self, asked: _Asked, scan: Scan, said: Said) -> Stored:
        effect, settings = asked.effect, self._settings
        whose = self._whose(effect)
        draft = self._draft(asked, said, scan)
        held_up = draft.keep_class == "held" and settings.held_pictures_go_up
        report = machine_report(said, decided_utc=draft.machine_utc, algorithm=settings.version)
        files: dict[str, tuple[bytes, bool]] = {
            "low.dcs": (picture_file(scan, whose, Level.LOW), held_up),
            "high.dcs": (picture_file(scan, whose, Level.HIGH), held_up),
            "machine.dcs": (report_file(scan.taken, whose, report), held_up),
        }
        judged = officer_report(said.judged, 1, decided_utc=draft.judged_utc)
        if judged is not None:
            files["operator.dcs"] = (report_file(scan.taken, whose, judged), held_up)
        preview = scan.preview or grey_preview(scan.high, scan.taken.air_high)
        files["preview.jpg"] = (preview, draft.keep_class == "held" or settings.routine_previews_go_up)
        if settings.raw_png:
            files["low.png"] = (png_of(scan.low), False)
            files["high.png"] = (png_of(scan.high), False)
        return self._store.keep(draft, files)

    def _later(self, asked: _Asked, said: Said, former: Stored) -> Stored:
        """Another judgement of a picture that is kept; the same words again are none, and silence takes no
        judgement back."""
        effect, before = asked.effect, former.manifest
        if said.judged is None and before.said.judged is not None:
            return former
        # What is not said again still stands.
        silent = {name: getattr(before.said, name) for name in _STANDING if not getattr(said, name)}
        said = msgspec.structs.replace(said, **silent)
        draft = msgspec.structs.replace(
            self._draft(asked, said, None, before), machine_utc=before.machine_utc, taken=before.taken
        )
        if _same(draft, before):
            return former
        held_up = draft.keep_class == "held" and self._settings.held_pictures_go_up
        files: dict[str, tuple[bytes, bool]] = {}
        number = 1 + sum(file.name.startswith("operator") for file in before.files)
        judged = officer_report(said.judged, number, decided_utc=draft.judged_utc)
        if judged is not None and _ageless(said).judged != _ageless(before.said).judged:
            name = "operator.dcs" if number == 1 else f"operator-{number}.dcs"
            files[name] = (report_file(before.taken, self._whose(effect), judged), held_up)
        up = {"preview.jpg"} if draft.keep_class == "held" else set()
        if held_up:
            up |= {file.name for file in before.files if file.name.endswith(".dcs")}
        return self._store.amend(draft, files, up=frozenset(up))

    def _draft(
        self, asked: _Asked, said: Said, scan: Scan | None, before: Manifest | None = None
    ) -> Manifest:
        effect = asked.effect
        if said.judged is not None and said.judged.preview:
            said = msgspec.structs.replace(said, judged=msgspec.structs.replace(said.judged, preview=""))
        if said.machine is not None and said.machine.preview:
            said = msgspec.structs.replace(said, machine=msgspec.structs.replace(said.machine, preview=""))
        taken = scan.taken if scan is not None else before.taken if before is not None else None
        if taken is None:
            raise ValueError("expected a picture")
        keep_class: KeepClass = "held" if effect.keep_class == "held" else "routine"
        if before is not None and before.keep_class == "held":
            keep_class = "held"
        return Manifest(
            station=self._settings.station,
            picture=effect.picture,
            day=asked.utc[:10],
            parcel=effect.parcel,
            waybill_no=effect.waybill_no,
            association=effect.association.value,
            verdict=effect.verdict.value,
            keep_class=keep_class,
            taken=taken,
            machine_utc=earlier(asked.utc, said.machine_ago_s or 0.0),
            judged_utc="" if said.judged is None else earlier(asked.utc, said.judged_ago_s or 0.0),
            kept_utc=asked.utc,
            clock_uncertainty_ms=asked.uncertainty_ms,
            said=_ageless(said),
            files=(),
        )

    def _whose(self, effect: KeepEvidence) -> Whose:
        return Whose(
            station=self._settings.station,
            parcel=effect.parcel,
            waybill_no=effect.waybill_no,
            association=effect.association,
            site=self._settings.site,
        )

    # --- room ---

    def _tended(self, tend_s: float) -> float:
        now_s = self._clock.monotonic_s()
        if now_s < tend_s:
            return tend_s
        went = self._shed()
        self._forget()
        self._look_at_room()
        if went:
            return now_s + _SHED_AT_ONCE_S
        return now_s + (CALM_EVERY_S if self._room else TIGHT_EVERY_S)

    def _shed(self) -> bool:
        try:
            known = self._clock.uncertainty_ms() != UNKNOWN_MS
            gone = self._store.shed(self._clock.utc_text(), clock_is_known=known)
        except Exception as error:  # noqa: BLE001 - what cannot be shed now is shed later
            _logger().error("evidence not shed", why=str(error))
            return False
        for shed in gone:
            self._tell(shed)
        return bool(gone)

    def _tell(self, shed: ShedParcels) -> None:
        _logger().warning(
            "evidence shed",
            parcels=len(shed.pictures),
            size_bytes=shed.size_bytes,
            first_day=shed.first_day,
            last_day=shed.last_day,
            keep_class=shed.keep_class,
        )
        self._put(
            EvidenceShed(shed.pictures, shed.size_bytes, shed.first_day, shed.last_day, shed.keep_class)
        )
        self._forgotten += shed.sha256s
        self._forget()

    def _forget(self) -> None:
        """The journal writes that down, and a disk that is full for it is why something was shed."""
        if not self._forgotten:
            return
        try:
            self._forget_blobs(tuple(self._forgotten))
        except Exception as error:  # noqa: BLE001 - asked again; until then the centre is offered what is not there
            _logger().warning("what was shed is still owed", blobs=len(self._forgotten), why=str(error))
        else:
            self._forgotten.clear()

    def _look_at_room(self) -> None:
        try:
            space = self._store.space()
            if not space.ok and self._room is not False and self._shed():
                space = self._store.space()
        except OSError as error:
            _logger().error("the folder of the evidence cannot be looked at", why=str(error))
            space = Space(ok=False, free_bytes=0)
        behind = self._waiting.qsize() + len(self._stuck) >= max(1, self._settings.most_waiting // 2)
        self._say_room(Space(space.ok and not self._stuck and not behind, space.free_bytes))

    def _say_room(self, space: Space) -> None:
        if space.ok is not self._room:
            self._room = space.ok
            self._put(Room(space.ok, space.free_bytes))

    def _give_up(self) -> None:
        left: list[_Asked | _Save] = list(self._stuck)
        while not self._waiting.empty():
            left.append(self._waiting.get_nowait())
        why = self._why or "the program is ending"
        for asked in left:
            match asked:
                case _Asked(effect):
                    self._put(EvidenceFailed(effect.parcel, effect.picture, why))
                case _Save(effect):
                    self._put(Saved(effect.parcel, effect.picture, effect.kind, "", why))
                case _:
                    assert_never(asked)


def entry_of(
    effect: SavePicture, scan: Scan, whose: Whose, *, calibration: str, utc: str
) -> tuple[Entry, dict[str, bytes]]:
    """(draft, files) of a picture for the library."""
    goods = effect.goods
    lines = () if goods is None else goods.lines
    sku, hs_code = goods_key((line.sku, line.hs_code) for line in lines)
    draft = Entry(
        number="F-000000" if effect.kind == "find" else "R-000000",
        kind="find" if effect.kind == "find" else "reference",
        picture=_clean(effect.picture),
        parcel=effect.parcel,
        waybill_no="" if goods is None else goods.waybill_no,
        enterprise="" if goods is None else goods.enterprise,
        sku=sku,
        hs_code=hs_code,
        quantity=quantity_in(goods),
        goods="; ".join(line.name for line in lines)[:MOST_GOODS],
        category=_clean(effect.category),
        note=_clean(effect.note),
        regions=tuple(
            RegionTold(
                region.box.left,
                region.box.top,
                region.box.width,
                region.box.height,
                _clean(region.category),
                _clean(region.note),
            )
            for region in effect.regions
        ),
        officer=effect.officer,
        saved_utc=utc,
        calibration=calibration,
        taken=scan.taken,
        descriptor=scan.descriptor.decode(),
    )
    return draft, {
        "low.dcs": picture_file(scan, whose, Level.LOW),
        "high.dcs": picture_file(scan, whose, Level.HIGH),
        "preview.jpg": scan.preview or grey_preview(scan.high, scan.taken.air_high),
    }


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")


def earlier(utc: str, seconds: float) -> str:
    """The moment so many seconds before, in the same words."""
    moment = datetime.fromisoformat(utc) - timedelta(seconds=seconds)
    return utc_text(moment)


def _kept(stored: Stored) -> EvidenceKept:
    manifest = stored.manifest
    return EvidenceKept(
        parcel=manifest.parcel,
        picture=manifest.picture,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        waybill_no=manifest.waybill_no,
        keep_class=manifest.keep_class,
        files=len(manifest.files),
        up=tuple(FileUp(file.name, file.sha256, file.size_bytes) for file in stored.up),
    )


def _ageless(said: Said) -> Said:
    """Ages became times; told again later they are others, and nothing else is."""
    return msgspec.structs.replace(said, machine_ago_s=None, judged_ago_s=None)


def _same(draft: Manifest, before: Manifest) -> bool:
    def bare(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(
            manifest,
            version=1,
            former_sha256="",
            day="2000-01-01",
            judged_utc="",
            kept_utc="",
            clock_uncertainty_ms=0,
            said=msgspec.structs.replace(manifest.said, descriptor=msgspec.Raw(b"null")),
            files=(),
        )

    return bare(draft) == bare(before)


def _bounded(descriptor: bytes) -> msgspec.Raw:
    if len(descriptor) > MAX_DESCRIPTOR_BYTES:
        raise Malformed(f"descriptor: expected at most {MAX_DESCRIPTOR_BYTES} bytes, got {len(descriptor)}")
    msgspec.json.decode(descriptor)
    return msgspec.Raw(descriptor)


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("evidence")
    return log
