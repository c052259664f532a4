"""Bytes of codes -> texts: Chinese is what undeclared bytes are, unless they plainly are not."""

from __future__ import annotations

import io

import cv2
import numpy
import pytest
import segno

from edge.reading import decoders as library
from edge.reading.cascade import read_still
from edge.reading.charsets import text_of

ALL = library.found()

CHINESE = [
    "运单号：YT1234567890123",
    "中文",
    "商品名称：奶粉",
    "郑州海关 豫A12345",
    "一",
    "圆通",
    "目录",
    "去皮",
    "朱镕基",
]
JAPANESE = ["今度のバージョン", "ｲﾗｽﾄ入りｶﾗｰ", "*ﾃﾞｻﾞｲﾝQR*"]
OTHER = ["Größe Müller", "naïve café", "25°C", "Привет", "λόγος", "¥100", "YT1234567890123", "🎁 礼物"]


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize("charset", ["gb18030", "utf-8"])
def test_chinese_is_read_as_it_was_written(text: str, charset: str) -> None:
    raw = text.encode(charset)
    assert text_of(raw, raw.decode("latin-1"), "qrcode") == text
    assert text_of(raw, "", "qrcode") == text


@pytest.mark.parametrize("text", ["运单号", "运单", "商品"])
def test_chinese_that_a_decoder_takes_for_narrow_kana_is_chinese(text: str) -> None:
    raw = text.encode("gb18030")
    kana = raw.decode("cp932", "replace")
    assert text_of(raw, kana, "qrcode") == text


@pytest.mark.parametrize("text", JAPANESE)
def test_japanese_stays_japanese(text: str) -> None:
    raw = text.encode("cp932")
    assert text_of(raw, text, "qrcode") == text
    assert text_of(raw, "", "qrcode") == text


@pytest.mark.parametrize("text", OTHER)
def test_other_texts_in_utf_8_stay_what_they_are(text: str) -> None:
    assert text_of(text.encode(), "", "qrcode") == text


@pytest.mark.parametrize("text", ["naïve café", "señor", "Müller AG"])
def test_single_western_letters_are_not_taken_for_halves_of_chinese(text: str) -> None:
    assert text_of(text.encode("latin-1"), text, "qrcode") == text


def test_a_declared_character_set_is_believed() -> None:
    assert text_of("運單".encode("big5"), "運單", "qrcode") == "運單"


def test_linear_codes_carry_western_letters_by_their_standard() -> None:
    assert text_of(b"\xf3\xf31234", "óó1234", "code128") == "óó1234"


def test_bytes_of_no_character_set_are_handed_on() -> None:
    assert text_of(b"\xff\xfe\xff", "ÿþÿ", "qrcode") == "ÿþÿ"


@pytest.mark.skipif(not ALL.capabilities.is_whole, reason=f"decoders missing: {ALL.capabilities.en}")
@pytest.mark.parametrize("text", [*CHINESE[:4], "运单号", "今度のバージョン"])
@pytest.mark.parametrize("alone", ["zxing", "zbar"])
def test_a_qr_code_without_a_declared_character_set_is_read_right_by_either_decoder(
    text: str, alone: str
) -> None:
    charset = "cp932" if text in JAPANESE else "gb18030"
    made = io.BytesIO()
    segno.make_qr(text, mode="byte", encoding=charset, eci=False).save(made, kind="png", scale=5)
    picture = cv2.imdecode(numpy.frombuffer(made.getvalue(), numpy.uint8), cv2.IMREAD_GRAYSCALE)
    decoders = library.Decoders(
        ALL.zxing if alone == "zxing" else None, ALL.zbar if alone == "zbar" else None, tilt=False
    )
    assert [each.text for each in read_still(numpy.asarray(picture, numpy.uint8), decoders)] == [text]
