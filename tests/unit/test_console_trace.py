"""Trace codes: given once to what goes out, signed so that nobody else's label passes, printed as a sheet
whose codes a camera reads; looked up with the path; recalled by batch."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from hardware_sims.site import write_site
from sync.hub.config import read_hub_config
from sync.hub.console.words import WORDS
from sync.hub.label_font import LabelFont
from sync.hub.label_sheet import label_sheet
from sync.hub.slips import SlipSettings
from sync.hub.tracing import Label, hits_of, labels_of
from sync.link.messages import Status
from sync.link.shown_traces import code_on_label
from sync.vocabulary import slip_codes
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.facts import VehicleCrossed
from sync.vocabulary.numbers import SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import Direction, Recall, SlipKey
from sync.vocabulary.rulings import Because, Reason, Verdict
from sync.vocabulary.trace_codes import ALPHABET, TraceClaims, code_in, is_ours, new_code, parse, unsigned
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.console_rig import SCOPE, ConsoleRig, console_rig
from tests.unit.test_console_proof import PARCEL, SLIP, ruled, slip, text_of, waybill
from tests.unit.test_slip_codes import CLAIMS as SLIP_CLAIMS

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
OTHER = WaybillNo("SF1234567890124")
COMES_IN = WaybillNo("SF1234567890125")
RECALL = Recall(recall_no="R-1", batch_nos=("B7",), reason_zh="铅超标", reason_en="Lead")
SLIP_IN = SlipNo("Z4604I261122007000000002")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path, ("4604001", "4604003")) as made:
        made.console.config = replace(
            made.console.config, slips=SlipSettings(key_file=tmp_path / "k", issuer="hub-1"), slip_key=KEY
        )
        made.record("release_slips", SLIP, slip())
        made.record("release_slips", SLIP_IN, slip(slip_no=SLIP_IN, direction=Direction.IN))
        made.record("waybills", PARCEL, waybill())
        made.record("waybills", OTHER, waybill(OTHER, batch_no="B8", lines=({"no": "1", "name": "茶"},)))
        made.record("waybills", COMES_IN, waybill(COMES_IN, slip_no=SLIP_IN))
        yield made


HOUSE = Path(__file__).resolve().parents[2]
FONT = HOUSE / "sync/hub/fonts/NotoSansCJKsc-Regular-subset.otf"
HANDHELDS = HOUSE / "edge/handheld/screens/fonts"


def give(client: TestClient, **fields: str) -> str:
    answer = client.post("/trace/codes", data={"reason": "packed", **fields})
    assert answer.status_code == 200, answer.text
    return answer.text


def record(rig: ConsoleRig, collection: str, key: str) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads(rig.archive.record(collection, key, SCOPE) or "{}")  # type: ignore[type-arg]
    return found


def label_of(rig: ConsoleRig, number: str) -> str:
    assert rig.console.config.slips is not None
    (label,) = labels_of(rig.archive, SCOPE, [number], KEY, rig.console.config.slips)
    return label.text


def test_each_parcel_that_goes_out_gets_one_code_and_keeps_it(rig: ConsoleRig) -> None:
    client = rig.client()
    assert "2 codes given, 2 labels" in text_of(give(client, slip_no=SLIP))
    first = record(rig, "waybills", PARCEL)["trace_code"]
    assert is_ours(first)
    assert first != record(rig, "waybills", OTHER)["trace_code"]
    assert record(rig, "traces", first)["waybill_no"] == PARCEL
    text = label_of(rig, PARCEL)
    assert "0 codes given, 2 labels" in text_of(give(client, slip_no=SLIP))
    assert (record(rig, "waybills", PARCEL)["trace_code"], label_of(rig, PARCEL)) == (first, text)
    (act, *_) = rig.archive.acts(1)
    assert (act.act, act.officers, act.reason) == ("issue_trace_codes", ("4604001",), "packed")


def test_what_comes_in_or_nobody_knows_gets_none(rig: ConsoleRig) -> None:
    told = text_of(give(rig.client(), waybill_nos=f"{COMES_IN} NO-SUCH {PARCEL}"))
    assert "1 codes given, 1 labels" in told
    assert f"{COMES_IN} it comes in" in told
    assert "NO-SUCH no record of it" in told
    assert record(rig, "waybills", COMES_IN).get("trace_code", "") == ""


def test_a_code_that_somebody_else_gave_stays_and_is_only_signed(rig: ConsoleRig) -> None:
    rig.record("waybills", PARCEL, waybill(trace_code="PLATFORM-77"))
    give(rig.client(), waybill_nos=PARCEL)
    assert record(rig, "waybills", PARCEL)["trace_code"] == "PLATFORM-77"
    assert parse(label_of(rig, PARCEL)).claims.trace_code == "PLATFORM-77"


def test_only_a_shift_leader_gives_codes(rig: ConsoleRig) -> None:
    client = rig.client("4604003")
    assert client.post("/trace/codes", data={"reason": "x", "slip_no": SLIP}).status_code == 403
    assert client.post("/trace/labels.pdf", data={"waybill_nos": PARCEL}).status_code == 403
    assert "Give trace codes" not in client.get("/trace").text
    del client.headers["x-kakou-token"]
    assert client.post("/trace/codes", data={"reason": "x", "slip_no": SLIP}).status_code == 403


def test_a_label_is_genuine_a_changed_or_foreign_one_is_not(rig: ConsoleRig) -> None:
    client = rig.client()
    give(client, waybill_nos=PARCEL)
    text = label_of(rig, PARCEL)
    assert "A genuine label" in client.get("/trace", params={"q": text}).text
    claims = parse(text).claims
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    own = unsigned(claims, parse(text).kid)
    forged = own.text(stranger.sign(own.signed))
    page = client.get("/trace", params={"q": forged}).text
    assert "This label is not to be believed" in page
    assert "A genuine label" not in page
    assert "The label cannot be read" in client.get("/trace", params={"q": text[:-9]}).text


def test_a_slips_code_is_no_trace_code_though_one_key_signs_both() -> None:
    made = slip_codes.unsigned(SLIP_CLAIMS, "00" * 8)
    text = made.text(KEY.sign(made.signed))
    with pytest.raises(Malformed):
        parse(text.replace(slip_codes.PREFIX, "KT1:", 1))
    trace = unsigned(
        TraceClaims(trace_code="KT1", waybill_no=PARCEL, issuer="i", issued=UtcText("2026-11-22T00:00:00Z")),
        "00" * 8,
    )
    with pytest.raises(Malformed):
        slip_codes.parse(trace.text(KEY.sign(trace.signed)).replace("KT1:", slip_codes.PREFIX, 1))


@given(st.text(max_size=60))
def test_whatever_is_scanned_only_malformed_comes_of_it(text: str) -> None:
    assert code_in(text) == text
    with pytest.raises(Malformed):
        parse(f"KT1:{text}")


@settings(max_examples=40)
@given(st.lists(st.integers(0, 31), min_size=10, max_size=10), st.integers(2, 18), st.integers(1, 31))
def test_one_wrong_character_of_a_code_is_noticed(drawn: list[int], place: int, by: int) -> None:
    left = list(drawn)
    code = new_code("2026-11-22", lambda most: left.pop() % most)
    assert is_ours(code)
    other = ALPHABET[(ALPHABET.index(code[place]) + by) % 32]
    assert not is_ours(code[:place] + other + code[place + 1 :])


def painted(pdf: bytes) -> Image.Image:
    """The first page's rectangles at 300 dpi: what a printer makes of them."""
    streams = (
        zlib.decompress(part) for part in re.findall(rb"stream\n(.*?)\nendstream", pdf, flags=re.DOTALL)
    )
    scale = 300 / 72
    page = Image.new("L", (2480, 3508), 255)
    draw = ImageDraw.Draw(page)
    for x, y, wide, high in re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", next(streams)):
        left, top = float(x) * scale, 3508 - (float(y) + float(high)) * scale
        draw.rectangle((left, top, left + float(wide) * scale - 0.5, top + float(high) * scale - 0.5), fill=0)
    return page


def test_a_sheet_of_labels_is_read_by_a_camera_code_by_code(rig: ConsoleRig) -> None:
    client = rig.client()
    give(client, slip_no=SLIP)
    answer = client.post("/trace/labels.pdf", data={"waybill_nos": f"{PARCEL} {OTHER}"})
    assert (answer.headers["content-type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
    read = {each.text for each in zxingcpp.read_barcodes(painted(answer.content))}
    assert read == {label_of(rig, PARCEL), label_of(rig, OTHER)}
    assert (
        client.post("/trace/labels.pdf", data={"waybill_nos": f"{PARCEL} {OTHER}"}).content == answer.content
    )


def _streams(pdf: bytes) -> list[bytes]:
    return [zlib.decompress(part) for part in re.findall(rb"stream\n(.*?)\nendstream", pdf, flags=re.DOTALL)]


def _lines_of(sheet: bytes) -> list[str]:
    """The words of a sheet, as a reader copies them: codes through the font's own ToUnicode."""
    streams = _streams(sheet)
    (told,) = [each for each in streams if b"begincmap" in each]
    letters = {
        code: bytes.fromhex(letter.decode()).decode("utf-16-be")
        for code, letter in re.findall(rb"^<(\w{4})> <(\w+)>$", told, flags=re.MULTILINE)
    }
    shown = [each for content in streams for each in re.findall(rb"<(\w+)> Tj", content)]
    return ["".join(letters[line[at : at + 4]] for at in range(0, len(line), 4)) for line in shown]


def test_25_labels_take_two_pages_and_chinese_stands_in_them() -> None:
    labels = [Label(f"C{each}", f"W{each}", f"KT1:{each}", "奶粉", "B7", "") for each in range(25)]
    sheet = label_sheet(labels, "示范口岸")
    assert b"/Count 2" in sheet
    assert _lines_of(sheet)[:5] == ["示范口岸", "奶粉", "B7", "W0", "C0"]
    assert len(_lines_of(sheet)) == 125


def test_a_label_cuts_what_has_no_room_and_says_what_it_has_no_letter_for() -> None:
    long = Label("C", "W", "KT1:1", "超长的商品名称需要截断才能放得下标签的宽度", "😀", "")
    assert _lines_of(label_sheet([long], "口岸"))[1:3] == ["超长的商品名称需要截…", "?"]


def test_a_sheet_brings_the_outlines_of_its_own_letters_and_no_others() -> None:
    font = LabelFont(FONT.read_bytes())
    used = [font.glyph(letter) for letter in "奶粉B7"]
    assert 0 not in used
    cut, whole = font.cut_to(used), font.cut_to(range(len(font._cids)))
    assert len(cut) == len(whole)
    for glyph, (begin, end) in enumerate(font._outlines):
        empty = b"\x0e" * (end - begin)
        assert cut[begin:end] == (whole[begin:end] if glyph in (0, *used) else empty)
    assert whole in FONT.read_bytes()
    assert len(zlib.compress(cut)) < len(zlib.compress(whole)) / 4


def test_the_labels_letters_are_the_handhelds() -> None:
    assert FONT.read_bytes() == (HANDHELDS / FONT.name).read_bytes()


def test_the_path_goes_from_the_declaration_to_the_gate(rig: ConsoleRig) -> None:
    client = rig.client()
    give(client, waybill_nos=PARCEL)
    rig.say(
        "xray-1",
        ParcelXRayed(parcel=1, waybill_no=PARCEL, verdict="passed", by="machine", reasons=("clear",)),
    )
    rig.say(
        "lane-1",
        ruled(rig, 4, Verdict.RELEASE, Because(Reason.RELEASED)),
        VehicleCrossed(4, "o-1", ("u-1",)),
    )
    rig.caught_up()
    code = record(rig, "waybills", PARCEL)["trace_code"]
    for asked in (code, code.lower(), PARCEL, label_of(rig, PARCEL)):
        page = client.get("/trace", params={"q": asked}).text
        told = [text_of(step) for step in re.findall(r"<li>(.*?)</li>", page, flags=re.DOTALL)]
        assert len(told) == 5, asked
        for words in (
            "Declared to the centre",
            f"On release slip {SLIP}",
            "Trace code given Demo port",
            "X-ray judged: passed",
            "Left with 豫A12345",
        ):
            assert sum(words in each for each in told) == 1, words


def test_a_batch_shows_its_parcels_and_its_recall_who_knows_of_it(rig: ConsoleRig) -> None:
    rig.record("waybills", "YT9999999999999", waybill(WaybillNo("YT9999999999999"), batch_no="B7"))
    client = rig.client()
    page = client.get("/trace", params={"q": "B7"}).text
    waybills = [
        json.loads(body)
        for (body,) in rig.archive.engine.execute("SELECT body FROM records WHERE collection = 'waybills'")
    ]
    assert f"{sum(each['batch_no'] == 'B7' for each in waybills)} parcels" in text_of(page)
    assert "/controls/recalls?batch=B7" in page
    rig.record(
        "recalls", "R-1", Recall(recall_no="R-1", batch_nos=("B7",), reason_zh="铅超标", reason_en="Lead")
    )
    scope = rig.archive.scope(SCOPE)
    assert scope is not None
    for name, number in (("hand-1", scope.number), ("lane-1", scope.number - 1)):
        rig.device(name)
        status = Status(device=name, online=True, records={SCOPE: number})
        with rig.archive.transaction():
            rig.archive.set_status(name, to_json(status).decode(), "2026-11-22T00:00:00Z")
    recall = Recall(recall_no="-", batch_nos=("B7",), reason_zh="-", reason_en="-")
    few = hits_of(rig.archive, recall, most=1, within_s=60.0)
    assert (few.seen, len(few.waybills), few.is_whole) == (
        sum(each["batch_no"] == "B7" for each in waybills), 1, True,
    )  # fmt: skip
    page = client.get("/trace/recall/R-1").text
    told = text_of(page)
    assert f"{sum(each['batch_no'] == 'B7' for each in waybills)} parcels" in told
    assert f", number {scope.number} 1 / 2 " in told
    assert [f"knows #{scope.number} " in told, f"not yet #{scope.number - 1} " in told] == [True, True]
    assert "hand-1 knows" in told
    assert "lane-1 not yet" in told
    assert PARCEL in told
    assert OTHER not in told
    assert "Recalled R-1" in text_of(client.get("/trace", params={"q": PARCEL}).text)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_speak_one_language_and_no_key(rig: ConsoleRig, language: str) -> None:
    client = rig.client(language=language)
    rig.record(
        "recalls", "R-1", Recall(recall_no="R-1", batch_nos=("B7",), reason_zh="铅超标", reason_en="Lead")
    )
    pages = [give(client, slip_no=SLIP)]
    pages += [
        client.get(path).text for path in ("/trace", f"/trace?q={PARCEL}", "/trace?q=B7", "/trace/recall/R-1")
    ]
    other = 1 - ("zh", "en").index(language)
    mine = {words[1 - other] for words in WORDS.values()}
    foreign = {
        words[other]
        for key, words in WORDS.items()
        if key.startswith("trace.")
        and "{" not in words[other]
        and len(words[other]) > (3 if other == 0 else 9)
    } - mine
    for page in map(text_of, pages):
        assert [key for key in WORDS if "." in key and key in page] == []
        assert [words for words in foreign if words in page] == []


def test_a_device_takes_a_genuine_label_for_its_code_and_a_forged_one_for_none(rig: ConsoleRig) -> None:
    give(rig.client(), waybill_nos=PARCEL)
    text = label_of(rig, PARCEL)

    def known(collection: str, key: str) -> SlipKey | None:
        body = rig.archive.record(collection, key, SCOPE)
        return None if body is None else from_json(body, SlipKey)

    assert code_on_label(known, text) == record(rig, "waybills", PARCEL)["trace_code"]
    own = unsigned(parse(text).claims, parse(text).kid)
    forged = own.text(Ed25519PrivateKey.from_private_bytes(bytes(32)).sign(own.signed))
    assert code_on_label(known, forged) == forged
    assert code_on_label(lambda collection, key: None, text) == text
    assert code_on_label(known, PARCEL) == PARCEL


def test_the_demo_gives_its_hub_a_key_for_trace_codes(tmp_path: Path) -> None:
    site = write_site(tmp_path, seed=7, vehicles=1, speed=1.0, console=8080)
    config = read_hub_config(site.hub_config)
    assert config.slip_key is not None
    assert config.slips is not None
    assert config.slips.issuer == config.site
