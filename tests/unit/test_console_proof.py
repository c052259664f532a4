"""One page proves a passage, a parcel, a fact: what it says is what the archive holds, and the file it gives
is accepted by `kakou journal verify` with nothing else at hand."""

from __future__ import annotations

import hashlib
import html
import json
import re
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from edge.cli import app as kakou
from sync.hub.archive import RecordChange
from sync.hub.blob_files import BlobFiles
from sync.hub.console.telling import fact_lines
from sync.hub.console.words import WORDS
from sync.hub.console.words.facts import FIELDS, KINDS
from sync.store.journal import utc_now
from sync.vocabulary.facts import (
    CommandTaken,
    FactData,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    RaiseOrdered,
    ReadingKept,
    RulingMade,
    SupplementEntered,
    VehicleCrossed,
)
from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Binding,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    ReleaseSlip,
    SlipKind,
    SlipState,
    Vehicle,
    Waybill,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed
from tests.console_rig import SCOPE, ConsoleRig, console_rig

PLATE = Plate("豫A12345")
SLIP = SlipNo("Z4604E261122007000000001")
FIRM = EnterpriseCode("4101960001")
PARCEL = WaybillNo("SF1234567890123")
LATE = UtcText("2099-01-01T00:00:00Z")
JPEG = b"\xff\xd8\xff\xe0 a picture of a lane"
PICTURE = hashlib.sha256(JPEG).hexdigest()


def slip(**more: object) -> ReleaseSlip:
    return ReleaseSlip(
        **{  # type: ignore[arg-type]
            "slip_no": SLIP,
            "direction": Direction.OUT,
            "kind": SlipKind.SECOND_LINE,
            "binding": Binding.ONE_SLIP,
            "plate": PLATE,
            "vehicle_kg": Decimal(8000),
            "cargo_gross_kg": Decimal(2000),
            "total_kg": Decimal(10000),
            "enterprise": FIRM,
            "state": SlipState.APPROVED,
            "valid_from": UtcText("2026-01-01T00:00:00Z"),
            "valid_until": LATE,
            **more,
        }
    )


def waybill(number: WaybillNo = PARCEL, **more: object) -> Waybill:
    return Waybill(
        **{  # type: ignore[arg-type]
            "waybill_no": number,
            "slip_no": SLIP,
            "enterprise": FIRM,
            "batch_no": "B7",
            "lines": ({"no": "1", "sku": "MILK-900", "name": "奶粉", "quantity": "2", "batch": "B7"},),
            **more,
        }
    )


def ruled(rig: ConsoleRig, passage: int, verdict: Verdict, reason: Because, **more: object) -> RulingMade:
    scope = rig.archive.scope(SCOPE)
    assert scope is not None
    return RulingMade(
        **{  # type: ignore[arg-type]
            "passage": passage,
            "ruling": Ruling(verdict, (reason,)),
            "direction": "E",
            "plate": PLATE,
            "slips": (SLIP,),
            "enterprise": FIRM,
            "gross_kg": "10040",
            "expected_kg": "10000",
            "readings": (ReadingKept("plate", PLATE, 0.4, "97"), ReadingKept("weight", "10040", 2.5)),
            "records_scope": SCOPE,
            "records_epoch": scope.epoch,
            "records_number": scope.number,
            "records_age_s": 3.0,
            **more,
        }
    )


def stocked(rig: ConsoleRig) -> None:
    rig.record("vehicles", PLATE, Vehicle(plate=PLATE, tare_kg=Decimal(8000), valid_until=LATE))
    rig.record("release_slips", SLIP, slip())
    firm = Enterprise(code=FIRM, name="中原商贸", tier=CreditTier.HIGH, spot_check_per_mille=5)
    rig.record("enterprises", FIRM, firm)
    rig.record("waybills", PARCEL, waybill())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path, ("4604001", "4604003")) as made:
        stocked(made)
        yield made


def passes(rig: ConsoleRig, passage: int = 7) -> None:
    held = Because(Reason.WEIGHT_OVER, "400 kg")
    rig.say(
        "lane-1",
        PassageOpened(passage=passage),
        PictureTaken(passage=passage, moment="arrival", camera="cam-1", sha256=PICTURE, size_bytes=len(JPEG)),
        PictureTaken(passage=passage, moment="arrival", camera="cam-1", sha256=PICTURE, size_bytes=len(JPEG)),
        ruled(rig, passage, Verdict.HOLD, held, texts_zh=("重量超差 400 kg",), texts_en=("400 kg over",)),
        SupplementEntered(passage=passage, officer="4604002", field="weight", value="10000", reason="复磅"),
        CommandTaken(
            command_id="c-1",
            kind="manual_release",
            officers=("4604001", "4604002"),
            reason="papers seen",
            passage=passage,
            outcome="done",
        ),
        ruled(
            rig,
            passage,
            Verdict.RELEASE,
            Because(Reason.MANUAL_RELEASE),
            officer="4604001",
            texts_zh=("关员放行",),
            texts_en=("Released by an officer",),
        ),
        RaiseOrdered(passage, "o-1", "admit"),
        VehicleCrossed(passage, "o-1", ("u-1",)),
        PassageClosed(passage=passage, outcome="crossed", lane_s=21.5),
        PassageOpened(passage=passage + 1),
    )
    rig.caught_up()


def bodies(rig: ConsoleRig, where: str, *values: object) -> list[dict]:  # type: ignore[type-arg]
    rows = rig.archive.engine.execute(
        f"SELECT body FROM facts WHERE {where} ORDER BY position",  # noqa: S608  words of these tests
        values,
    )
    return [json.loads(body) for (body,) in rows.fetchall()]


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_page_of_a_passage_tells_all_that_its_facts_tell(rig: ConsoleRig) -> None:
    passes(rig)
    page = rig.client().get("/passage/lane-1/7", follow_redirects=True).text
    facts = bodies(rig, "device = 'lane-1' AND passage = 7")
    assert re.findall(r'data-kind="(\w+)"', page) == [fact["data"]["type"] for fact in facts]
    told = text_of(page)
    assert f"All that was told ({len(facts)})" in told
    (closed,) = (fact["data"] for fact in facts if fact["data"]["type"] == "passage_closed")
    assert f"{closed['lane_s']:.1f} s" in told
    ruling = [fact["data"] for fact in facts if fact["data"]["type"] == "ruling_made"][-1]
    assert f"{ruling['gross_kg']} / {ruling['expected_kg']} kg" in told
    for said in (ruling["plate"], ruling["gross_kg"], *ruling["slips"], *ruling["texts_en"]):
        assert said in told
    for reading in ruling["readings"]:
        assert f"{reading['after_s']:.3f} {reading['kind']} {reading['value']}" in told
    assert "400 kg over" in told
    assert "4604001 4604002 Command of the centre papers seen" in told


def test_records_are_shown_as_they_were_and_what_became_of_them(rig: ConsoleRig) -> None:
    passes(rig)
    rig.record("release_slips", SLIP, slip(state=SlipState.PASSED))
    told = text_of(rig.client().get("/passage/lane-1/7", follow_redirects=True).text)
    assert "Total, kg 10000" in told
    assert "State 1 approved 2 passed" in told
    number = rig.archive.scope(SCOPE)
    assert number is not None
    assert f"number {number.number - 1}, 3 s old" in told
    written = rig.archive.record_versions(SCOPE, "release_slips", SLIP)[0]
    of_slip = told.partition(f"{WORDS['search.release_slips'][1]} {SLIP} ")[2]
    records = re.findall(rf"{WORDS['proof.written'][1]} [\d-]+ [\d:]+ · #(\d+) ", of_slip)
    assert records[:1] == [str(written.number)]


def test_a_passage_is_verified_on_the_spot_and_its_file_is_proved_offline(
    rig: ConsoleRig, tmp_path: Path
) -> None:
    passes(rig)
    client = rig.client()
    assert "Verified just now" in client.get("/passage/lane-1/7", follow_redirects=True).text
    answer = client.get("/passage/lane-1/7/proof", follow_redirects=True)
    assert "attachment" in answer.headers["content-disposition"]
    file = tmp_path / "proof.json"
    file.write_bytes(answer.content)
    assert CliRunner().invoke(kakou, ["journal", "verify", str(file)]).exit_code == 0
    held = {fact["event_id"] for fact in map(json.loads, json.loads(answer.text)["runs"][-1]["facts"])}
    assert {fact["event_id"] for fact in bodies(rig, "device = 'lane-1' AND passage = 7")} <= held
    file.write_text(answer.text.replace("10040", "10041", 1), "utf-8")
    assert CliRunner().invoke(kakou, ["journal", "verify", str(file)]).exit_code == 1


DONE = (
    (
        "UPDATE facts SET body = replace(body, 'passage\":7', 'passage\":6') WHERE kind = 'passage_closed'",
        "one bit flipped",
    ),
    ("UPDATE facts SET hash = 'f' || substr(hash, 2) WHERE kind = 'ruling_made'", "its bytes hash to"),
    ("UPDATE facts SET body = replace(body, '10040', '10041') WHERE kind = 'ruling_made'", "changed"),
    ("UPDATE facts SET passage = 9 WHERE kind = 'supplement_entered'", "hides"),
    ("DELETE FROM facts WHERE kind = 'raise_ordered'", "expected here"),
    ("UPDATE facts SET time = '2026-01-01T00:00:00Z' WHERE kind = 'passage_closed'", "time"),
)


_NAMES = re.compile(
    r"lane-1\S*|\b(epoch|routine|alarm)\b|\b[0-9a-f]{7,}\b|'[^']*'|\b(time|passage|seq|hash)\b"
)


def assert_chinese_problems(page: str, what: str) -> None:
    told = re.findall(r'<p class="bad">(.*?)</p>', page) + re.findall(r"<small>(lane-1 .*?)</small>", page)
    assert told, what
    for line in told:
        assert not re.search("[A-Za-z]{3,}", _NAMES.sub("", html.unescape(line))), line


def test_what_was_done_to_a_row_is_named_and_nothing_is_exported(rig: ConsoleRig) -> None:
    passes(rig)
    client, chinese = rig.client(), rig.client(language="zh")
    run = rig.archive.engine.execute
    with rig.archive.transaction():
        run("CREATE TABLE untouched AS SELECT * FROM facts")
    for sql, named in DONE:
        with rig.archive.transaction():
            run(sql)
        page = client.get("/passage/lane-1/7", follow_redirects=True).text
        assert "The proof does not hold" in page, sql
        assert named in text_of(page), sql
        assert "Export the signed file" not in page
        assert_chinese_problems(chinese.get("/passage/lane-1/7", follow_redirects=True).text, sql)
        exported = client.get(
            "/passage/lane-1/7/proof", follow_redirects=True, headers={"accept": "application/json"}
        )
        assert exported.status_code == 409
        with rig.archive.transaction():
            run("DELETE FROM facts")
            run("INSERT INTO facts SELECT * FROM untouched")
    assert "Verified just now" in client.get("/passage/lane-1/7", follow_redirects=True).text


def test_facts_that_nothing_signed_covers_yet_are_said_to_be_so(rig: ConsoleRig) -> None:
    passes(rig)
    with rig.archive.transaction():
        rig.archive.engine.execute("DELETE FROM checkpoints")
    page = rig.client().get("/passage/lane-1/7", follow_redirects=True).text
    assert "Nothing signed covers the last fact yet" in page
    assert "does not hold" not in page
    chinese = rig.client(language="zh").get("/passage/lane-1/7", follow_redirects=True).text
    assert_chinese_problems(chinese.replace("尚无签名覆盖", "", 1), "uncovered")


def test_a_picture_is_shown_when_its_bytes_are_what_the_fact_names(rig: ConsoleRig) -> None:
    passes(rig)
    client = rig.client()
    assert "Not at the centre yet" in client.get("/passage/lane-1/7", follow_redirects=True).text
    assert rig.console.config.blobs is not None
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add("lane-1", PICTURE, 0, JPEG)
    files.complete("lane-1", PICTURE, len(JPEG))
    with rig.archive.transaction():
        rig.archive.store_blob(PICTURE, "2026-11-22T00:00:00Z")
    page = client.get("/passage/lane-1/7", follow_redirects=True).text
    assert page.count(f'<img src="/blob/{PICTURE}"') == 1
    assert page.count('data-kind="picture_taken"') == 2
    shown = client.get(f"/blob/{PICTURE}")
    assert (shown.content, shown.headers["content-type"]) == (JPEG, "image/jpeg")
    files.path(PICTURE).write_bytes(JPEG + b"!")
    assert client.get(f"/blob/{PICTURE}", headers={"accept": "*/*"}).status_code == 404


def test_a_file_that_no_fact_names_is_not_given_out(rig: ConsoleRig) -> None:
    client = rig.client()
    client.headers["accept"] = "*/*"
    for name in ("0" * 64, "..%2F..%2Fhub.key", "ab"):
        assert client.get(f"/blob/{name}").status_code == 404
    assert rig.console.config.blobs is not None
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add("lane-1", PICTURE, 0, JPEG)
    files.complete("lane-1", PICTURE, len(JPEG))
    assert files.read(PICTURE) == JPEG
    assert client.get(f"/blob/{PICTURE}").status_code == 404


def test_the_page_of_a_parcel_tells_what_every_device_told_of_it(rig: ConsoleRig, tmp_path: Path) -> None:
    passes(rig)
    x_rayed = ParcelXRayed(
        parcel=3,
        waybill_no=PARCEL,
        picture="p-3",
        association="matched",
        verdict="flagged",
        by="officer",
        reasons=("judged", "score_high"),
        officer="4604002",
        took_s=4.2,
        preview="/9j/4AAQ",
    )
    told: tuple[FactData, ...] = (
        x_rayed,
        ParcelSorted(
            parcel=3, waybill_no=PARCEL, verdict="flagged", ordered="flag", seen="flag", confirmed=True
        ),
    )
    rig.say("xray-1", *told)
    rig.caught_up()
    client = rig.client()
    page = client.get(f"/parcel/{PARCEL}").text
    kinds = [fact["data"]["type"] for fact in bodies(rig, "device = 'xray-1' AND body LIKE ?", f"%{PARCEL}%")]
    assert re.findall(r'data-kind="(\w+)"', page) == kinds == ["parcel_x_rayed", "parcel_sorted"]
    assert f"({len(kinds)})</h2>" in page
    assert 'src="data:image/jpeg;base64,/9j/4AAQ"' in page
    assert "Unlike the references of the same goods" in page
    assert f'href="/passage/lane-1/{"e" * 32}/7"' in page
    assert "奶粉" in page
    file = tmp_path / "parcel.json"
    file.write_bytes(client.get(f"/parcel/{PARCEL}/proof/xray-1").content)
    assert CliRunner().invoke(kakou, ["journal", "verify", str(file)]).exit_code == 0


def test_a_parcel_whose_record_is_gone_still_has_its_past(rig: ConsoleRig) -> None:
    with rig.archive.transaction():
        rig.archive.apply_changes(SCOPE, [RecordChange("waybills", PARCEL, None)], utc_now())
    page = rig.client().get(f"/parcel/{PARCEL}").text
    assert "No record of this waybill" in page
    assert "No device has told anything of it yet" in page
    assert SLIP in page


def test_what_nobody_knows_is_not_found(rig: ConsoleRig) -> None:
    client = rig.client()
    for path in ("/passage/lane-1/99", "/parcel/NO-SUCH", "/fact/lane-1/ab/routine/1"):
        assert client.get(path).status_code == 404


def test_one_fact_is_shown_by_its_exact_bytes_and_proved(rig: ConsoleRig, tmp_path: Path) -> None:
    passes(rig)
    (fact,) = bodies(rig, "kind = 'raise_ordered'")
    client = rig.client()
    address = f"/fact/lane-1/{fact['epoch']}/routine/{fact['seq']}"
    page = client.get(address).text
    assert fact["prev"] in page
    assert f"routine #{fact['seq']} · {fact['position']} · {fact['epoch']}" in text_of(page)
    assert "Verified just now" in page
    file = tmp_path / "fact.json"
    file.write_bytes(client.get(f"{address}/proof").content)
    assert CliRunner().invoke(kakou, ["journal", "verify", str(file)]).exit_code == 0


def test_who_looked_at_a_passage_is_kept(rig: ConsoleRig) -> None:
    passes(rig)
    rig.client("4604003").get("/passage/lane-1/7", follow_redirects=True)
    rows = rig.archive.engine.execute("SELECT officer, what, subject FROM console_reads").fetchall()
    assert [tuple(row) for row in rows] == [("4604003", "passage", "lane-1/7")]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_speak_one_language_and_no_key(rig: ConsoleRig, language: str) -> None:
    passes(rig)
    client = rig.client(language=language)
    (fact,) = bodies(rig, "kind = 'raise_ordered'")
    for path in (
        "/passage/lane-1/7",
        f"/parcel/{PARCEL}",
        f"/fact/lane-1/{fact['epoch']}/routine/{fact['seq']}",
    ):
        page = text_of(client.get(path, follow_redirects=True).text)
        other = 1 - ("zh", "en").index(language)
        assert [key for key in WORDS if "." in key and key in page] == []
        mine = {words[1 - other] for words in WORDS.values()}
        told = [
            words[other] for key, words in WORDS.items() if key.startswith("proof.") and len(words[other]) > 7
        ]
        assert [each for each in told if each in page and each not in mine] == []


def test_every_kind_and_field_of_a_fact_has_words() -> None:
    kinds = {kind.__struct_config__.tag for kind in typing.get_args(FactData)}
    assert kinds <= KINDS.keys()
    lines = fact_lines(PassageClosed(passage=1, outcome="crossed", lane_s=1.0))
    assert [line.label.en for line in lines] == ["Outcome", "Time in the lane, s"]
    assert all(zh and en for zh, en in (*KINDS.values(), *FIELDS.values()))


def test_a_control_is_shown_as_the_version_that_matched_whatever_became_of_it(rig: ConsoleRig) -> None:
    first = Control(
        control_id="C-7",
        version=1,
        mode=Mode.LIVE,
        condition=Condition(plates=(PLATE,)),
        action=ControlAction.HOLD,
        valid_from=UtcText("2026-01-01T00:00:00Z"),
        valid_until=LATE,
        reason_zh="奶粉夹藏",
        reason_en="milk powder",
    )
    rig.record("controls", "C-7", first)
    matched = Because(Reason.CONTROL_HOLD, "C-7")
    rig.say(
        "lane-1",
        PassageOpened(passage=7),
        ruled(rig, 7, Verdict.HOLD, matched, control_versions=("C-7@1:live",)),
        PassageOpened(passage=8),
    )
    rig.record(
        "controls", "C-7", replace(first, version=2, action=ControlAction.INSPECT, reason_en="tobacco")
    )
    rig.caught_up()
    told = text_of(rig.client().get("/passage/lane-1/7", follow_redirects=True).text)
    assert "milk powder tobacco" in told
    with rig.archive.transaction():
        rig.archive.apply_changes(SCOPE, [RecordChange("controls", "C-7", None)], utc_now())
    told = text_of(rig.client().get("/passage/lane-1/7", follow_redirects=True).text)
    assert "milk powder" in told
    assert "tobacco" not in told
