"""However a stream is cut into reads, a decoder answers the same; what it holds is bounded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.customs_front_end import wire as customs
from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire as modbus
from edge.devices.led_ascii import wire as text_board
from edge.devices.led_ascii.frames import WORDS
from edge.devices.led_fk import wire as led
from edge.devices.plate_camera_vzenith.driver import Settings as CameraSettings
from edge.devices.plate_camera_vzenith.driver import VzenithDriver
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_em125 import wire as em125
from edge.devices.rfid_r2000 import wire as r2000
from edge.devices.rfid_uhfreader import wire as uhfreader
from edge.devices.rfid_wiegand import wire as wiegand
from edge.devices.scanner_gm65 import wire as gm65
from edge.devices.scanner_honeywell import wire as honeywell
from edge.devices.scanner_keyence import wire as keyence
from edge.devices.scanner_line import wire as scanner
from edge.devices.scanner_newland import wire as newland
from edge.devices.scanner_sick import wire as sick
from edge.devices.weighbridge_mt_sics import wire as mt_sics
from edge.devices.weighbridge_st_gs import wire as st_gs
from edge.devices.weighbridge_toledo import wire as toledo
from edge.devices.weighbridge_yaohua import wire as yaohua
from edge.devices.weighbridge_yaohua_a12_ascii import wire as a12_ascii
from edge.devices.weighbridge_yaohua_a12e import wire as a12e
from edge.devices.weighbridge_yaohua_command import wire as yaohua_command
from edge.devices.weighbridge_yaohua_tf_eq import wire as tf_eq

GOLDEN = Path(__file__).parents[1] / "golden"


def frames_in(folder: str, protocol: str) -> list[bytes]:
    rows = json.loads((GOLDEN / folder / "frames.json").read_text(encoding="utf-8"))["frames"]
    return [bytes.fromhex(row["hex"]) for row in rows if row["protocol"] == protocol]


class Decoder(Protocol):
    @property
    def holding(self) -> bool: ...
    def feed(self, data: bytes) -> list[Any]: ...
    def quiet(self) -> list[Any]: ...


def lines(ending: scanner.Ending) -> Callable[[], Decoder]:
    rules = scanner.Rules(ending, scanner.Aim.ALLOWED, ("NoRead",), 40)
    return lambda: scanner.decoder(rules)


def said(
    make: Callable[[scanner.Rules], Decoder], ending: scanner.Ending = scanner.Ending.CR
) -> Callable[[], Decoder]:
    return lambda: make(scanner.Rules(ending, scanner.Aim.ALLOWED, ("NoRead",), 40))


def scanner_frames(make: str) -> list[bytes]:
    return [*frames_in("scanner", f"scanner.{make}"), b"x" * 50 + b"\r", b"\n", b"\x02\x03"]


POLL = modbus.ReadRequest(1, modbus.READ_INPUTS, 0, 16)
ANSWERS = [
    modbus.encode(modbus.BitsReply(1, 2, (True, False) * 8)),
    modbus.encode(modbus.ExceptionReply(1, 2, 2)),
]
TCP_ANSWERS = [
    modbus.encode_tcp(modbus.BitsReply(1, 2, (True, False) * 8), 1),
    modbus.encode_tcp(modbus.ExceptionReply(1, 2, 2), 1),
    modbus.encode_tcp(modbus.BitsReply(1, 2, (True, False) * 8), 2),
]
TEXTS = [b"ABC\r", b"\n", b"]C0123\r\n", b"NoRead\t", b"x" * 50 + b"\r\n", "核放单".encode(), b"\r\r\n"]

SUBJECTS: dict[str, tuple[Callable[[], Decoder], list[bytes]]] = {
    "yaohua": (yaohua.decoder, frames_in("weighbridge", "weighbridge.yaohua_tf0")),
    "toledo with CHK": (
        lambda: toledo.decoder(toledo.Check.SENT),
        frames_in("weighbridge", "weighbridge.toledo_continuous"),
    ),
    "toledo without CHK": (
        lambda: toledo.decoder(toledo.Check.NOT_SENT),
        frames_in("weighbridge", "weighbridge.toledo_continuous"),
    ),
    "yaohua command": (yaohua_command.decoder, frames_in("weighbridge", "weighbridge.yaohua_command")),
    "tF = by shape": (
        lambda: tf_eq.decoder(tf_eq.Digits.BY_SHAPE),
        frames_in("weighbridge", "weighbridge.yaohua_tf_eq"),
    ),
    "tF = forward": (
        lambda: tf_eq.decoder(tf_eq.Digits.FORWARD),
        frames_in("weighbridge", "weighbridge.yaohua_tf_eq"),
    ),
    "A12 lines": (
        a12_ascii.decoder,
        [line + b"\r\n" for line in frames_in("weighbridge", "weighbridge.yaohua_a12_ascii")],
    ),
    "A12(E)": (a12e.decoder, frames_in("weighbridge", "weighbridge.yaohua_a12e")),
    "mt_sics": (mt_sics.decoder, frames_in("weighbridge", "weighbridge.mt_sics")),
    "comma lines": (st_gs.decoder, frames_in("weighbridge", "weighbridge.st_gs_ascii")),
    "r2000": (r2000.decoder, frames_in("rfid", "rfid.r2000")),
    "uhfreader18": (
        lambda: uhfreader.decoder(uhfreader.Make.UHFREADER18, 0),
        frames_in("rfid", "rfid.uhfreader18"),
    ),
    "uhfreader288": (
        lambda: uhfreader.decoder(uhfreader.Make.UHFREADER288),
        frames_in("rfid", "rfid.uhfreader288"),
    ),
    "em125 ascii": (lambda: em125.decoder(em125.Framing.ASCII), frames_in("rfid", "rfid.em125")),
    "em125 binary": (lambda: em125.decoder(em125.Framing.BINARY), frames_in("rfid", "rfid.em125")),
    "lines of em125": (lambda: em125.decoder(em125.Framing.BARE), frames_in("rfid", "rfid.em125")),
    "lines of wiegand": (
        lambda: wiegand.decoder(26, (wiegand.Framing.BITS, wiegand.Framing.HEX), quiet_ends=True),
        frames_in("rfid", "rfid.wiegand26"),
    ),
    "wiegand bytes": (
        lambda: wiegand.decoder(34, (wiegand.Framing.BYTES,), quiet_ends=False),
        frames_in("rfid", "rfid.wiegand34"),
    ),
    "modbus answers": (lambda: Cutter(modbus.answers_to(POLL)), ANSWERS),
    "modbus, any": (lambda: Cutter(modbus.look_any), frames_in("io", "io.modbus_rtu")),
    "modbus tcp, any": (lambda: Cutter(modbus.look_any_tcp), frames_in("io", "io.modbus_rtu")),
    "modbus tcp answers": (lambda: Cutter(modbus.tcp_answers_to(POLL, 1)), TCP_ANSWERS),
    "led": (led.decoder, frames_in("led", "led.fk")),
    "led ascii": (lambda: text_board.decoder(WORDS), frames_in("led", "led.ascii")),
    "lines ended by CR": (lines(scanner.Ending.CR), TEXTS),
    "lines ended by CR LF": (lines(scanner.Ending.CRLF), TEXTS),
    "lines ended by quiet": (lines(scanner.Ending.QUIET), TEXTS),
    "lines ended anyhow": (lines(scanner.Ending.ANY), TEXTS),
    "lines of honeywell": (said(honeywell.decoder), scanner_frames("honeywell")),
    "lines of newland": (said(newland.decoder), scanner_frames("newland")),
    "lines of gm65": (said(gm65.decoder), scanner_frames("gm65")),
    "lines of gm65 ended by quiet": (said(gm65.decoder, scanner.Ending.QUIET), scanner_frames("gm65")),
    "lines of keyence": (said(keyence.decoder), scanner_frames("keyence")),
    "lines of keyence ended by ETX": (
        said(keyence.decoder, scanner.Ending.ETX),
        scanner_frames("keyence"),
    ),
    "lines of sick": (said(sick.decoder, scanner.Ending.ETX), scanner_frames("sick")),
    "customs": (lambda: customs.decoder(2000), frames_in("customs", "customs.front_end")),
}

noises = st.one_of(st.binary(max_size=6), st.binary(min_size=60, max_size=150))


def streams(name: str) -> st.SearchStrategy[bytes]:
    """Frames, cut frames and noise in any order."""
    frames = st.sampled_from(SUBJECTS[name][1])
    cut = st.builds(lambda frame, kept: frame[:kept], frames, st.integers(0, 30))
    return st.lists(st.one_of(frames, frames, cut, noises), max_size=6).map(b"".join)


def slices(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("name", SUBJECTS)
@given(drawn=st.data())
def test_any_slicing_gives_the_same_messages(name: str, drawn: st.DataObject) -> None:
    data = drawn.draw(streams(name))
    cuts = drawn.draw(st.lists(st.integers(0, 1000), max_size=8))
    make = SUBJECTS[name][0]
    at_once, sliced, bytewise = make(), make(), make()
    expected = at_once.feed(data) + at_once.quiet()
    found = [message for piece in slices(data, cuts) for message in sliced.feed(piece)] + sliced.quiet()
    one_by_one = [message for byte in data for message in bytewise.feed(bytes([byte]))] + bytewise.quiet()
    assert found == expected
    assert one_by_one == expected


@pytest.mark.parametrize("name", [name for name in SUBJECTS if not name.startswith("lines")])
@given(drawn=st.data())
def test_no_byte_is_lost_or_told_twice(name: str, drawn: st.DataObject) -> None:
    data = drawn.draw(streams(name))
    decoder = SUBJECTS[name][0]()
    told = decoder.feed(data) + decoder.quiet()
    spoilt = sum(len(m.raw) for m in told if isinstance(m, ReadGarbled | ReadTruncated))
    frames = [m for m in told if not isinstance(m, ReadGarbled | ReadTruncated)]
    assert not decoder.holding
    assert spoilt <= len(data)
    assert bool(frames) or spoilt == len(data)


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_a_decoder_holds_is_bounded(name: str) -> None:
    make, frames = SUBJECTS[name]
    starts = {frame[:1] for frame in frames} | {b"\x00", b"\xff", b"A"}
    for start in starts:
        decoder = make()
        for _ in range(3000):
            decoder.feed(start * 7)
        left = decoder.quiet()
        held = sum(len(m.raw) for m in left if isinstance(m, ReadGarbled | ReadTruncated))
        assert held <= 600


@pytest.mark.parametrize("name", SUBJECTS)
def test_nothing_half_read_survives_a_quiet_line(name: str) -> None:
    make, frames = SUBJECTS[name]
    for frame in frames:
        for kept in range(len(frame)):
            decoder = make()
            decoder.feed(frame[:kept])
            decoder.quiet()
            assert decoder.feed(b"") == []
            assert not decoder.holding


BODY = json.dumps(
    {
        "AlarmInfoPlate": {
            "serialno": "s-1",
            "result": {"PlateResult": {"license": "粤Z9000澳", "plateid": 7, "confidence": 96}},
        }
    },
    ensure_ascii=False,
).encode()
HEAD = b"POST /plate HTTP/1.1\r\nHost: lane\r\nContent-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = (
    b"POST /plate HTTP/1.1\r\nHost: lane\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
)  # fmt: skip
HTTP = [
    HEAD + BODY,
    HEAD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + BODY,
    HEAD + b"[" + BODY[1:],
    CHUNKED,
]


@given(
    requests=st.lists(st.sampled_from(HTTP), min_size=1, max_size=4),
    tail=st.binary(max_size=30),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_any_slicing_of_http_gives_the_same_readings_and_answers(
    requests: list[bytes], tail: bytes, cuts: list[int]
) -> None:
    data = b"".join(requests) + tail
    at_once, sliced = VzenithDriver(CameraSettings()), VzenithDriver(CameraSettings())
    whole = [at_once.received(0.0, data), at_once.due(100.0)]
    pieces = [sliced.received(0.0, piece) for piece in slices(data, cuts)] + [sliced.due(100.0)]

    def told(outputs: list[Any]) -> list[object]:
        # how much of a refused request is kept for the report may differ; that it is refused may not
        return [
            type(r) if isinstance(r, ReadGarbled | ReadTruncated) else r for o in outputs for r in o.readings
        ]

    assert told(pieces) == told(whole)
    assert b"".join(o.send for o in pieces) == b"".join(o.send for o in whole)
