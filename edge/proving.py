"""What `kakou journal` proves and exports, whatever file it is given: a journal, a hub's archive or its
config, an exported segment. Reads only; says what is wrong by raising or by a list of problems."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive
from sync.hub.config import read_hub_config
from sync.hub.engine_sqlite import APPLICATION_ID
from sync.hub.proving import NothingToExport, Wanted, archive_runs, keys_of, signed_heads
from sync.link.envelope import open_signed
from sync.link.keys import KeySigner, load_private, load_public
from sync.link.messages import Checkpoint, Context, StreamHead
from sync.link.segments import (
    MAX_SEGMENT_BYTES,
    SegmentRun,
    keys_in,
    problems_of,
    read_segment,
    run_of,
    segment_text,
)
from sync.link.trust import Trust
from sync.store.exporting import device_of, exported_facts, journal_runs
from sync.store.opening import PLAIN, Opener
from sync.store.verify import SignedHead
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.facts import FactBody, read_body


class Kind(enum.StrEnum):
    JOURNAL = "journal"
    ARCHIVE = "archive"
    SEGMENT = "segment"


def kind_of(file: Path) -> Kind:
    """By what stands in it. What cannot be read is taken for a journal, which then says why."""
    if file.suffix == ".toml":
        return Kind.ARCHIVE
    try:
        with file.open("rb") as opened:
            begin = opened.read(100)
    except OSError:
        return Kind.JOURNAL
    if begin.lstrip()[:1] == b"{":
        return Kind.SEGMENT
    ours = begin.startswith(b"SQLite format 3") and int.from_bytes(begin[68:72]) == APPLICATION_ID
    return Kind.ARCHIVE if ours else Kind.JOURNAL


@contextmanager
def archive_at(file: Path) -> Iterator[Archive]:
    """A hub's archive by its file or by the hub's config."""
    if file.suffix != ".toml" and not file.is_file():
        raise ValueError(f"{file}: expected a hub's archive, there is no such file")
    archive = Archive.open(read_hub_config(file).archive if file.suffix == ".toml" else file)
    try:
        yield archive
    finally:
        archive.close()


def _keys_given(key: Path | None, device: str) -> Mapping[str, Ed25519PublicKey]:
    return {} if key is None else Trust.of(device, load_public(key)).keys


def segment_problems(file: Path, key: Path | None) -> list[str]:
    """Everything wrong with a segment, under the key given or, without one, those it brings along."""
    if file.stat().st_size > MAX_SEGMENT_BYTES:
        raise Malformed(f"{file}: expected a segment of at most {MAX_SEGMENT_BYTES} bytes")
    segment = read_segment(file.read_bytes())
    return list(problems_of(segment, _keys_given(key, segment.device) or keys_in(segment)))


def signed_elsewhere(against: Path, device: str, key: Path | None) -> list[SignedHead]:
    """What somebody else keeps of a device's signatures: a hub, a segment, or a payload of its head topic."""
    if kind_of(against) is Kind.ARCHIVE:
        with archive_at(against) as archive:
            return signed_heads(archive, device)
    payloads = [against.read_bytes()]
    keys = _keys_given(key, device)
    if b'"format"' in payloads[0][:40]:
        segment = read_segment(payloads[0])
        keys = keys or keys_in(segment)
        payloads = [to_json(run.checkpoint) for run in segment.runs]
    if not keys:
        raise ValueError(f"{against}: expected --key with the device's public key to check its signature")
    heads: list[SignedHead] = []
    for payload in payloads:
        signed = open_signed(payload, keys, Context.CHECKPOINT, Checkpoint)
        if signed.device != device:
            raise ValueError(f"{against}: signed by {signed.device}, the journal is of {device}")
        heads += [
            SignedHead(signed.epoch, head.stream, head.seq, head.hash) for head in signed.heads if head.seq
        ]
    return heads


def segment_of(
    file: Path,
    device: str | None,
    wanted: Wanted,
    key: Path | None,
    utc: str,
    *,
    opener: Opener = PLAIN,
) -> str:
    """A segment's text. Raises `NothingToExport`, or `ValueError` for what is missing or not whole."""
    if opener is PLAIN and kind_of(file) is Kind.ARCHIVE:
        with archive_at(file) as archive:
            if device is None:
                raise ValueError(f"--device: expected one of {', '.join(archive.speakers())}")
            keys = keys_of(archive, device)
            runs = archive_runs(archive, device, wanted)
    elif key is None:
        raise ValueError("--key: expected the device's private key: a journal holds no signatures")
    else:
        private, device = load_private(key), device_of(file, opener=opener)
        keys = {device: private.public_key()}
        runs = _signed_now(file, KeySigner(private, device), wanted, utc, opener)
    text = segment_text(device, keys, runs)
    wrong = list(problems_of(read_segment(text), keys))
    if wrong:
        raise ValueError(f"{file} is not whole there: {wrong[0]}")
    return text


def facts_in(file: Path, device: str | None, *, opener: Opener = PLAIN) -> Iterator[FactBody]:
    """Every fact of a file that can be read, whatever the file is; what is wrong with the others, the proof
    of the file itself says. Raises `StoreRefused`, `ValueError`."""
    for body in _bodies_in(file, device, opener):
        try:
            yield read_body(body)
        except Malformed:
            continue


def _bodies_in(file: Path, device: str | None, opener: Opener) -> Iterator[str]:
    kind = kind_of(file) if opener is PLAIN else Kind.JOURNAL
    match kind:
        case Kind.JOURNAL:
            for line in exported_facts(file, opener=opener):
                yield json.loads(line)["body"]
        case Kind.SEGMENT:
            for run in read_segment(file.read_bytes()).runs:
                yield from run.facts
        case Kind.ARCHIVE:
            with archive_at(file) as archive:
                speakers = archive.speakers() if device is None else (device,)
                if len(speakers) != 1:
                    raise ValueError(f"--device: expected one of {', '.join(speakers)}")
                for epoch, stream in archive.streams_of(speakers[0]):
                    for fact in archive.facts_between(speakers[0], epoch, stream):
                        yield fact.body
        case _:
            assert_never(kind)


def _signed_now(file: Path, signer: KeySigner, wanted: Wanted, utc: str, opener: Opener) -> list[SegmentRun]:
    runs: list[SegmentRun] = []
    for part in journal_runs(file, wanted.first, wanted.last, wanted.passage, opener=opener):
        heads = (StreamHead(part.stream, part.last_seq, part.last_hash),)
        checkpoint = Checkpoint(signer.kid, part.epoch, part.last_position, heads, utc)
        signed = signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode())
        runs.append(run_of(part.epoch, part.stream, part.bodies, signed))
    if not runs:
        raise NothingToExport(f"{file} has no such facts")
    return runs
