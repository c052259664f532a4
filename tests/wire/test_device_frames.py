"""Every decoder against facts from outside (`tests/golden/*/frames.json`, shared vectors) and any bytes."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import PROTOCOLS, UnknownProtocol, decode_frames

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = (
    "weighbridge",
    "rfid",
    "io",
    "led",
    "plate_camera",
    "container_camera",
    "scanner",
    "customs",
    "xray",
)
ROWS: list[dict[str, Any]] = [
    row
    for folder in FOLDERS
    for row in json.loads((GOLDEN / folder / "frames.json").read_text(encoding="utf-8"))["frames"]
]
VALID = [row for row in ROWS if row["valid"]]
INVALID = [row for row in ROWS if not row["valid"]]


def data_of(row: dict[str, Any]) -> bytes:
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    if "text" in row:
        return str(row["text"]).encode()
    return json.dumps(row["body"], ensure_ascii=False).encode()


def messages_in(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for row in rows if row["ok"] for message in row["messages"]]


def only(message: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    return {key: message.get(key, "absent") for key in keys}


# --- golden -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", VALID, ids=lambda row: row["id"])
def test_a_golden_frame_decodes_to_what_its_source_says(row: dict[str, Any]) -> None:
    rows = decode_frames(row["protocol"], data_of(row))
    assert [each["ok"] for each in rows] == [True] * int(row.get("rows", 1))
    found = messages_in(rows)
    assert [only(message, keys) for message, keys in zip(found, row["expect"], strict=True)] == row["expect"]


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row["id"])
def test_a_golden_frame_that_is_none_is_refused_and_says_why(row: dict[str, Any]) -> None:
    rows = decode_frames(row["protocol"], data_of(row))
    assert [each["ok"] for each in rows] == [False]
    assert row.get("error", "") in rows[0]["error"]
    assert rows[0]["error"] != ""


def test_every_golden_row_names_its_source() -> None:
    assert [row["id"] for row in ROWS if not row.get("source")] == []


def test_every_protocol_has_golden_frames_of_both_kinds() -> None:
    assert {row["protocol"] for row in VALID} == set(PROTOCOLS)
    assert {row["protocol"] for row in INVALID} == set(PROTOCOLS)


def test_rows_are_json_lines() -> None:
    rows = [line for row in ROWS for line in decode_frames(row["protocol"], data_of(row))]
    assert json.loads(json.dumps(rows)) == rows


# --- the shared vectors -------------------------------------------------------------------------------------

SHARED_NAMES = {
    "yaohua_tf0": "weighbridge.yaohua_tf0",
    "toledo_continuous": "weighbridge.toledo_continuous",
    "yaohua_command": "weighbridge.yaohua_command",
    "yaohua_tf_eq": "weighbridge.yaohua_tf_eq",
    "yaohua_a12_ascii": "weighbridge.yaohua_a12_ascii",
    "yaohua_a12e_15": "weighbridge.yaohua_a12e",
    "mt_sics": "weighbridge.mt_sics",
    "st_gs_ascii": "weighbridge.st_gs_ascii",
    "impinj_r2000_A0": "rfid.r2000",
    "uhfreader18": "rfid.uhfreader18",
    "uhfreader288": "rfid.uhfreader288",
    "EM125 ASCII (02 + 10 hex chars + 2 check chars + 03)": "rfid.em125",
    "EM-18 (12 ASCII, no frame chars in most dumps)": "rfid.em125",
    "serial EM/IC 10-byte reader": "rfid.em125",
    "wiegand26": "rfid.wiegand26",
    "wiegand34": "rfid.wiegand34",
    "modbus_rtu": "io.modbus_rtu",
    "fk_led_00_64": "led.fk",
    "honeywell": "scanner.honeywell",
    "gm65_7E": "scanner.gm65",
    "sick_cola_a": "scanner.sick",
}
FRAME_FILES = (
    "weighbridge_frames.json",
    "rfid_frames.json",
    "modbus_frames.json",
    "led_frames.json",
    "scanner_frames.json",
)
BY_BYTES = {data_of(row): row for row in ROWS}


def shared_file(name: str) -> list[dict[str, Any]]:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("KAKOU_SHARED_DATA", beside)) / "protocols" / name
    if not path.exists():
        pytest.skip(f"{name}: the shared vectors are not here; KAKOU_SHARED_DATA may name their folder")
    vectors: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    # bits are given to `kakou frames` as they stand there
    return [{"hex": vector["bits"], **vector} if "bits" in vector else vector for vector in vectors]


PROSE = ("cmd", "data", "note", "pc_len_matches_epc")
"""Which message it is stands in the golden file."""


def told_by(vector: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of each message a vector speaks of: one a tag where it lists tags."""
    fields = {key: value for key, value in vector["decode"].items() if key not in (*PROSE, "tags")}
    tags = vector["decode"].get("tags", [{}])
    return [fields | tag | ({"epc": tag["epc"].upper()} if "epc" in tag else {}) for tag in tags]


@pytest.mark.parametrize("name", FRAME_FILES)
def test_every_shared_vector_of_our_protocols_decodes_or_is_refused(name: str) -> None:
    wrong = []
    checked = 0
    for vector in shared_file(name):
        protocol = SHARED_NAMES.get(vector["proto"])
        if protocol is None:
            continue
        checked += 1
        data = bytes.fromhex(vector["hex"])
        decoded = [row["ok"] for row in decode_frames(protocol, data)] == [True]
        if decoded != vector["expected_valid"] and not vector.get("either"):
            wrong.append(f"{vector['id']}: decoded {decoded}, expected {vector['expected_valid']}")
    assert wrong == []
    assert checked > 0


@pytest.mark.parametrize("name", FRAME_FILES)
def test_what_a_shared_vector_says_field_by_field_is_what_we_decode(name: str) -> None:
    wrong = []
    for vector in shared_file(name):
        protocol, says = SHARED_NAMES.get(vector["proto"]), vector["decode"]
        if protocol is None or not vector["expected_valid"] or not isinstance(says, dict):
            continue
        messages = messages_in(decode_frames(protocol, bytes.fromhex(vector["hex"])))
        expected = told_by(vector)
        found = [only(message, expected[0]) for message in messages]
        if found[: len(expected)] != expected or ("tags" in says and len(found) != len(expected)):
            wrong.append(f"{vector['id']}: {found} instead of {expected}")
    assert wrong == []


@pytest.mark.parametrize("name", FRAME_FILES)
def test_every_shared_vector_stands_in_the_golden_files(name: str) -> None:
    ours = [vector for vector in shared_file(name) if vector["proto"] in SHARED_NAMES]
    assert [vector["id"] for vector in ours if bytes.fromhex(vector["hex"]) not in BY_BYTES] == []


def test_shared_camera_samples_decode_field_by_field_or_are_refused() -> None:
    wrong = []
    for vector in shared_file("lpr_samples.json"):
        body = vector["body"]
        content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        rows = decode_frames(f"plate_camera.{vector['vendor']}", content.encode())
        # prose about what an answer does has its fields in the golden file
        prose = ("gate", "meaning", "note")
        fields = {key: value for key, value in vector["expect"].items() if key not in prose}
        if [row["ok"] for row in rows] != [True] or only(messages_in(rows)[0], fields) != fields:
            wrong.append(f"{vector['id']}: {rows} instead of {fields}")
    assert wrong == []


def test_shared_aim_identifiers_are_taken_off_the_text() -> None:
    for vector in shared_file("aim_ids.json"):
        rows = decode_frames("scanner.line", f"{vector['aim']}12345\r".encode())
        assert [only(m, {"text": 0, "aim": 0}) for m in messages_in(rows)] == [
            {"text": "12345", "aim": vector["aim"]}
        ]


# --- noise and many frames ----------------------------------------------------------------------------------

# noise in front of a text without a check is part of that text: scanners are here with their own frames only
SCANNER_FRAMES = ("scanner.honeywell", "scanner.gm65", "scanner.newland")


def is_framed(row: dict[str, Any]) -> bool:
    kinds = [message.get("type") for message in row["expect"]]
    return row["protocol"] in SCANNER_FRAMES and len(kinds) == 1 and kinds[0] not in ("code", "no_read")


BINARY = [
    row
    for row in VALID
    if row["protocol"] != "plate_camera.vzenith"
    and not row.get("alone")
    and (not row["protocol"].startswith("scanner.") or is_framed(row))
]


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row["id"])
def test_noise_before_a_frame_is_skipped_and_the_frame_decoded(row: dict[str, Any]) -> None:
    data = data_of(row)
    for noise in (b"\x00", b"\xff\xfe", b"\x01\x01", data[:1], data[:4], data[1:], b"hello world " * 20):
        rows = decode_frames(row["protocol"], noise + data)
        assert messages_in(rows)[-1] == messages_in(decode_frames(row["protocol"], data))[-1]
        assert [each["ok"] for each in rows if each["ok"]] == [each["ok"] for each in rows]


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row["id"])
def test_two_frames_are_two_rows_and_a_cut_frame_behind_them_a_third(row: dict[str, Any]) -> None:
    data = data_of(row)
    rows = decode_frames(row["protocol"], data + data + data[: len(data) // 2])
    assert [each["ok"] for each in rows] == [True, True, False]


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row["id"])
def test_every_cut_of_a_frame_is_refused(row: dict[str, Any]) -> None:
    data = data_of(row)
    # a Toledo frame without its CHK is the 17-byte form of the same frame
    shortest_whole = 17 if row["protocol"] == "weighbridge.toledo_continuous" else len(data)
    for length in range(min(len(data), shortest_whole)):
        assert [each["ok"] for each in decode_frames(row["protocol"], data[:length])] == [False]


def test_a_raw_http_request_decodes_like_its_body() -> None:
    row = next(row for row in VALID if row["id"] == "vz-normal")
    body = data_of(row)
    request = b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert decode_frames(row["protocol"], request) == decode_frames(row["protocol"], body)
    assert decode_frames(row["protocol"], b"\x00noise" + request) == decode_frames(row["protocol"], body)
    assert [each["ok"] for each in decode_frames(row["protocol"], request[:-1])] == [False]
    twice = decode_frames(row["protocol"], request + request)
    assert [each["ok"] for each in twice] == [True, True]


def test_a_raw_http_answer_decodes_like_its_body() -> None:
    body = b'{"Response_AlarmInfoPlate":{"info":"no"}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert decode_frames("plate_camera.vzenith", answer) == decode_frames("plate_camera.vzenith", body)
    assert [each["ok"] for each in decode_frames("plate_camera.vzenith", answer[:-1])] == [False]


def test_no_bytes_are_no_frame() -> None:
    assert [decode_frames(name, b"")[0]["error"] for name in PROTOCOLS] == ["no bytes"] * len(PROTOCOLS)


def test_an_unknown_protocol_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownProtocol, match=re.escape("weighbridge.yaohua_tf0")):
        decode_frames("weighbridge.yaohua", b"")


# --- any bytes ----------------------------------------------------------------------------------------------

TRIES = int(os.environ.get("KAKOU_FUZZ", "20000"))


def spoilt(rng: random.Random, frames: list[bytes]) -> bytes:
    """Half of the time plain noise, half of the time a frame with something wrong."""
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(24))
    frame = bytearray(rng.choice(frames)[:80])
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(frame)) if frame else 0
        match rng.randrange(4):
            case 0 if frame:
                frame[at] = rng.randrange(256)
            case 1 if frame:
                del frame[at]
            case 2:
                frame.insert(at, rng.randrange(256))
            case _:
                frame = frame[:at]
    return bytes(frame)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_bytes_whatever_make_a_decoder_raise(protocol: str) -> None:
    rng = random.Random(7)
    frames = [data_of(row) for row in ROWS if row["protocol"] == protocol]
    answered = 0
    for _ in range(TRIES):
        answered += len(decode_frames(protocol, spoilt(rng, frames))) >= 1
    assert answered == TRIES


@given(protocol=st.sampled_from(sorted(PROTOCOLS)), data=st.binary(max_size=2000))
def test_long_noise_does_not_make_a_decoder_raise(protocol: str, data: bytes) -> None:
    assert decode_frames(protocol, data) != []
