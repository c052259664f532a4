"""Photos, marked copies and voice notes: asked for, kept, failed."""

from __future__ import annotations

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import (
    Commit,
    Evidence,
    MarkPhoto,
    RecordVoice,
    Sound,
    StopVoice,
    TakePhoto,
    Told,
    Tone,
)
from edge.handheld.events import EvidenceKept
from edge.handheld.inspection.state import (
    MOST_EVIDENCE,
    MOST_POINTS,
    MOST_STROKES,
    MOST_TEXT,
    Draft,
    Item,
    State,
    Stepped,
    changed,
    edited,
    not_done,
    put,
)
from edge.handheld.inspection.wants import PhotoAsked, PhotoMarked, VoiceBegun, VoiceEnded
from edge.handheld.said import said
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import Stream
from sync.vocabulary.rulings import Text


def _photo(number: int, subject: str, draft: Draft, context: Context) -> TakePhoto:
    officer = "" if context.officer is None else context.officer.officer_no
    zone = "" if context.site is None else context.site.zone
    return TakePhoto(number, subject, officer, draft.order_no[:MOST_TEXT], zone)


def capture(
    state: State,
    draft: Draft,
    context: Context,
    event: PhotoAsked | PhotoMarked | VoiceBegun | VoiceEnded,
) -> Stepped:
    if isinstance(event, VoiceEnded):
        return state, (StopVoice(draft.recording),) if draft.recording else ()
    if len(draft.evidence) >= MOST_EVIDENCE:
        return not_done(state, Text("证据过多", "Too many pictures for one inspection"))
    number = state.request + 1
    match event:
        case PhotoAsked(subject):
            subject = (subject or draft.parcel or draft.order_no)[:MOST_TEXT]
            item, effect = Item(number, "photo", subject), _photo(number, subject, draft, context)
            return edited(state, draft, effect, number, evidence=(*draft.evidence, item))
        case PhotoMarked(sha256, strokes):
            plain = next(
                (each for each in draft.evidence if each.sha256 == sha256 and each.kind != "voice"), None
            )
            if plain is None or not 0 < len(strokes) <= MOST_STROKES:
                return not_done(state, Text("没有这张照片", "There is no such picture"))
            cut = tuple(stroke[:MOST_POINTS] for stroke in strokes)
            item = Item(number, "marked", plain.subject, of=plain.of or sha256)
            mark = MarkPhoto(number, sha256, cut)
            return edited(state, draft, mark, number, evidence=(*draft.evidence, item))
        case VoiceBegun():
            if draft.recording:
                return state, ()
            item = Item(number, "voice", draft.parcel or draft.order_no)
            record = RecordVoice(number)
            return edited(state, draft, record, number, evidence=(*draft.evidence, item), recording=number)


def evidence_kept(state: State, context: Context, event: EvidenceKept) -> Stepped:
    """In the journal as soon as it is on the disk, whatever becomes of the inspection."""
    draft = _with_item(state, event.request)
    if draft is None:
        return state, ()
    item = next(each for each in draft.evidence if each.request == event.request)
    kept = msgspec.structs.replace(item, state="kept", sha256=event.sha256, taken=event.taken, why="")
    told = fact.EvidenceTaken(
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        kind=event.kind,
        of=item.of,
        subject=item.subject,
        officer="" if context.officer is None else context.officer.officer_no,
        order_no=draft.order_no,
        waybill_no=draft.parcel,
        taken=event.taken,
    )
    draft = msgspec.structs.replace(
        draft,
        evidence=tuple(kept if each is item else each for each in draft.evidence),
        recording=0 if draft.recording == event.request else draft.recording,
    )
    owed = Evidence(event.sha256, event.size_bytes, BlobClass.HELD)
    return put(state, draft), (Commit((Told(Stream.ROUTINE, told),), (owed,), request=event.request),)


def evidence_failed(state: State, request: int, why: str) -> Stepped:
    draft = _with_item(state, request)
    if draft is None:
        return state, ()
    words_of_it = said(why)
    told = Text(f"未能保存：{words_of_it.zh[:80]}", f"Not kept: {words_of_it.en[:80]}")
    return changed(put(state, failed(draft, request, why)), told=told), (Sound(Tone.ERROR),)


def failed(draft: Draft, request: int, why: str) -> Draft:
    evidence = tuple(
        msgspec.structs.replace(each, state="failed", why=why[:MOST_TEXT])
        if each.request == request
        else each
        for each in draft.evidence
    )
    return msgspec.structs.replace(
        draft, evidence=evidence, recording=0 if draft.recording == request else draft.recording
    )


def _with_item(state: State, request: int) -> Draft | None:
    """The draft that waits for it."""
    return next(
        (
            draft
            for draft in state.drafts
            if any(item.request == request and item.state == "taking" for item in draft.evidence)
        ),
        None,
    )
