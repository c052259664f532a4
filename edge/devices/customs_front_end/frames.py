"""How `kakou frames` shows what lane and customs platform say: frames, or XML alone. Names only."""

from __future__ import annotations

from edge.devices.customs_front_end import documents, wire
from edge.devices.readings import ReadGarbled, ReadTruncated

MOST_BYTES = 16 << 20
_FROM_LANES = (wire.GATHER, wire.SUPPLEMENT)


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    if wire.MAGIC not in data and b"<" in data:
        return [_bare(data[data.index(b"<") :])]
    decoder = wire.decoder(MOST_BYTES)
    return [
        found if isinstance(found, ReadGarbled | ReadTruncated) else _shown(found)
        for found in decoder.feed(data) + decoder.quiet()
    ]


def _bare(xml: bytes) -> dict[str, object] | ReadGarbled:
    try:
        document = documents.read(xml, mend=True)
    except documents.Unreadable as error:
        return ReadGarbled(xml[:256], str(error))
    return {"type": "xml", **_document_fields(document)}


def _shown(frame: wire.Frame) -> dict[str, object] | ReadGarbled:
    head: dict[str, object] = {"type": f"{frame.kind:02X}", "name": wire.TYPES[frame.kind]}
    if frame.kind not in wire.WITH_XML:
        return head | {
            "message": wire.TYPES[frame.kind],
            "area_id": frame.area_id,
            "chnl_no": frame.channel_no,
            "i_e_type": frame.direction,
            "flag": frame.flag.hex(),
            "body": frame.body[:256].hex(),
        }
    try:
        document = documents.read(frame.body, mend=frame.kind in _FROM_LANES)
    except documents.Unreadable as error:
        return ReadGarbled(frame.body[:256], str(error))
    inside = (document.area_id, document.channel_no, document.direction)
    outside = (frame.area_id, frame.channel_no, frame.direction)
    if inside != outside:
        return ReadGarbled(frame.body[:256], f"XML of {inside} in a frame of {outside}")
    shown = head | _document_fields(document) | {"flag": frame.flag.hex(), "xml_len": len(frame.body)}
    shown["xml"] = frame.body.rstrip(b"\0\r\n").decode(document.encoding)
    if frame.kind == wire.PICTURES:
        shown["pictures"] = [{"place": each.place, "size": len(each.jpeg)} for each in frame.pictures]
    return shown


def _document_fields(document: documents.Document) -> dict[str, object]:
    shown: dict[str, object] = {
        "message": document.root,
        "area_id": document.area_id,
        "chnl_no": document.channel_no,
        "i_e_type": document.direction,
        "seq_no": document.seq_no,
        "fields": dict(document.fields),
    }
    return shown | ({"mended": True} if document.mended else {})
