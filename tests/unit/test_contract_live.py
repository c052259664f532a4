"""The page about live picture and sound: its example is of a real run, reads with our codec, is signed."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link import live_wire as wire
from sync.link.keys import verify
from sync.link.live_wire import Decoder, Kind, encode, read_opening
from sync.link.messages import Context, Signed

HERE = Path(__file__).resolve().parents[2] / "docs" / "contract"
EXAMPLE: dict[str, dict[str, str]] = json.loads((HERE / "live_example.json").read_text(encoding="utf-8"))
WAYS = [way for way in EXAMPLE if way != "public_keys"]


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_live", HERE / "record_live.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["record_live"] = module
    spec.loader.exec_module(module)
    return module


def _messages(way: str) -> list[wire.Message]:
    data = b"".join(bytes.fromhex(frame) for frame in EXAMPLE[way].values())
    return Decoder(frozenset(Kind)).feed(data)


@pytest.mark.parametrize("way", WAYS)
def test_every_frame_of_the_example_is_what_our_codec_writes(way: str) -> None:
    frames = b"".join(bytes.fromhex(frame) for frame in EXAMPLE[way].values())
    assert b"".join(part for message in _messages(way) for part in encode(message)) == frames


def test_the_example_shows_every_kind_there_is() -> None:
    assert {kind for way in WAYS for kind in EXAMPLE[way]} == {kind.name for kind in Kind}


def test_the_openings_quote_their_nonce_and_hold_under_the_keys() -> None:
    keys: dict[str, Any] = {
        name: Ed25519PublicKey.from_public_bytes(base64.b64decode(raw))
        for name, raw in EXAMPLE["public_keys"].items()
    }
    for side in ("device", "watcher"):
        (greeting,) = [each for each in _messages(f"hub to {side}") if isinstance(each, wire.Greeting)]
        (signed,) = [each for each in _messages(f"{side} to hub") if isinstance(each, Signed)]
        assert read_opening(verify(keys, signed, Context.LIVE)).nonce == greeting.nonce


def test_the_picture_is_one() -> None:
    (picture,) = [each for each in _messages("device to hub") if isinstance(each, wire.Picture)]
    pixels = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (picture.rows, picture.columns, 3)


def test_the_page_prints_the_example_and_names_every_kind() -> None:
    page = (HERE / "live.md").read_text(encoding="utf-8")
    recorder = _recorder()
    assert f"{recorder.BEGIN}{recorder.shown(EXAMPLE)}{recorder.END}" in page
    for kind in Kind:
        assert f"`{kind:02x}`" in page
