"""SAS221 approvals become release slips; everything else is refused in words an importer can act on."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.records import Binding, Direction, ReleaseSlip, SlipKind, SlipState
from sync.vocabulary.sas import MAX_BYTES, MAX_DEPTH, read_approval

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "numbers.json").read_text(encoding="utf-8"))
SHARED = Path(os.environ.get("KAKOU_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")

HEAD: dict[str, str] = {
    "passportNo": "Z3111I240728000000000003",
    "chgTmsCnt": "0",
    "passportTypecd": "3",
    "sasPassportPreentNo": "202400000069440319",
    "dclTypecd": "1",
    "ioTypecd": "I",
    "bindTypecd": "2",
    "masterCuscd": "3111",
    "rltTbTypecd": "1",
    "rltNo": "QD311124I000067647",
    "areainEtpsno": "330260A000",
    "areainEtpsNm": "某物流有限公司",
    "areainEtpsSccd": "91330200000000000X",
    "vehicleNo": "豫A12345",
    "vehicleIcNo": "",
    "containerNo": "",
    "vehicleWt": "13000",
    "vehicleFrameNo": "",
    "vehicleFrameWt": "1000",
    "containerWt": "",
    "totalWt": "14292.8",
    "totalGrossWt": "292.8",
    "totalNetWt": "292.8",
    "dclErConc": "张三",
    "dclTime": "2024-07-28 00:43:59",
    "passTime": "",
    "stucd": "1",
    "emapvMarkcd": "1",
}
RESULT: dict[str, str] = {
    "businessId": "Z3111I240728000000000003",
    "manageResult": "1",
    "manageDate": "2024-07-28 00:44:26",
}
PROLOG = '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n'


def elements(fields: dict[str, str]) -> str:
    return "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())


def message(
    *,
    result: dict[str, str] | None = None,
    related: tuple[str, ...] = (),
    kind: str = "SAS221",
    body: str = "SAS221",
    pockets: str = "1",
    prolog: str = PROLOG,
    **head: str,
) -> str:
    rows = "".join(f"<SasPassportRlt>{elements({'rltNo': number})}</SasPassportRlt>" for number in related)
    return (
        f"{prolog}<Package><EnvelopInfo><message_type>{kind}</message_type></EnvelopInfo><DataInfo>"
        f"<PocketInfo><total_pocket_qty>{pockets}</total_pocket_qty></PocketInfo><BussinessData><{body}>"
        f"<HdeApprResult>{elements(RESULT | (result or {}))}</HdeApprResult>"
        f"<SasPassportBsc>{elements(HEAD | head)}</SasPassportBsc>{rows}"
        f"</{body}></BussinessData></DataInfo></Package>"
    )


def slip(**head: Any) -> ReleaseSlip:
    return read_approval(message(**head).encode()).slip


def refusal(text: str | bytes) -> str:
    with pytest.raises(Malformed) as refused:
        read_approval(text.encode() if isinstance(text, str) else text)
    return str(refused.value)


# --- what a slip says -------------------------------------------------------------------------------------


def test_an_approval_becomes_a_slip_with_every_field_in_its_place() -> None:
    approval = read_approval(
        message(
            related=("QD1", "QD2"),
            rltNo="QD1\\QD2",
            vehicleIcNo="IC77",
            vehicleFrameNo="F1",
            containerNo="CSQU3054383",
            containerWt="2200.5",
            totalWt="16493.3",
        ).encode()
    )
    assert json.loads(to_json(approval.slip)) == {
        "slip_no": "Z3111I240728000000000003",
        "direction": "I",
        "kind": "3",
        "binding": "2",
        "related_type": "1",
        "related_nos": ["QD1", "QD2"],
        "plate": "豫A12345",
        "card_no": "IC77",
        "frame_no": "F1",
        "container_nos": ["CSQU3054383"],
        "vehicle_kg": "13000",
        "frame_kg": "1000",
        "container_kg": "2200.5",
        "cargo_gross_kg": "292.8",
        "total_kg": "16493.3",
        "enterprise": "330260A000",
        "customs_code": "3111",
        "state": "1",
        "valid_from": "2024-07-27T16:44:26Z",
        "valid_until": "2024-08-03T16:44:26Z",
        "control": "",
        "quarantine": "",
        "uses_allowed": 1,
        "waybill_count": 0,
    }
    assert from_json(to_json(approval.slip), ReleaseSlip) == approval.slip


def test_what_has_no_place_in_a_slip_is_named_without_its_content() -> None:
    approval = read_approval(message().encode())
    assert approval.unmapped == (
        "SasPassportBsc/chgTmsCnt",
        "SasPassportBsc/sasPassportPreentNo",
        "SasPassportBsc/areainEtpsNm",
        "SasPassportBsc/areainEtpsSccd",
        "SasPassportBsc/totalNetWt",
        "SasPassportBsc/dclErConc",
    )
    assert "张三" not in repr(approval)


def test_an_element_nobody_knows_is_named_too() -> None:
    text = message().replace("<stucd>", "<newField>7</newField><stucd>")
    assert "SasPassportBsc/newField" in read_approval(text.encode()).unmapped


@pytest.mark.parametrize(
    ("joined", "numbers"),
    [
        ("", ()),
        ("QD1", ("QD1",)),
        ("QD1\\QD2\\QD3", ("QD1", "QD2", "QD3")),
        ("QD1\\ QD2 \\", ("QD1", "QD2")),
        ("QD1/QD2", ("QD1/QD2",)),
    ],
)
def test_related_numbers_are_split_at_the_backslash_only(joined: str, numbers: tuple[str, ...]) -> None:
    assert slip(rltNo=joined).related_nos == numbers


def test_several_containers_are_read_whatever_separates_them() -> None:
    assert slip(containerNo="CSQU3054383\\TCNU7200794").container_nos == ("CSQU3054383", "TCNU7200794")
    assert slip(containerNo="CSQU3054383, TCNU7200794").container_nos == ("CSQU3054383", "TCNU7200794")


def test_a_slip_for_several_vehicles_keeps_the_plate_it_names_and_gets_the_uses_asked_for() -> None:
    named = read_approval(message(bindTypecd="3").encode(), uses_for_many_vehicles=4).slip
    unnamed = read_approval(message(bindTypecd="3", vehicleNo="").encode(), uses_for_many_vehicles=4).slip
    assert (named.binding, named.plate, named.uses_allowed) == (Binding.MANY_VEHICLES, "豫A12345", 4)
    assert (unnamed.plate, unnamed.uses_allowed) == (None, 4)
    assert read_approval(message(bindTypecd="3").encode()).slip.uses_allowed == 1


@pytest.mark.parametrize("binding", ["1", "2"])
def test_other_slips_are_used_once_and_must_name_their_vehicle(binding: str) -> None:
    once = read_approval(message(bindTypecd=binding).encode(), uses_for_many_vehicles=4).slip
    assert once.uses_allowed == 1
    assert refusal(message(bindTypecd=binding, vehicleNo="")).startswith(
        "SasPassportBsc/vehicleNo: expected a vehicle"
    )


def test_a_plate_with_its_colour_before_it_is_read() -> None:
    assert slip(vehicleNo="黄豫A12345").plate == "豫A12345"


def test_validity_counts_from_the_approval_in_beijing_time_and_without_one_from_the_application() -> None:
    approved = read_approval(message().encode(), validity_hours=2).slip
    applied = read_approval(message(result={"manageDate": ""}).encode(), validity_hours=2).slip
    assert (approved.valid_from, approved.valid_until) == ("2024-07-27T16:44:26Z", "2024-07-27T18:44:26Z")
    assert (applied.valid_from, applied.valid_until) == ("2024-07-27T16:43:59Z", "2024-07-27T18:43:59Z")


def test_an_empty_vehicle_needs_no_cargo_weight_and_any_other_does() -> None:
    empty = slip(passportTypecd="6", totalGrossWt="", totalWt="14000", rltNo="", rltTbTypecd="")
    assert (empty.kind, empty.cargo_gross_kg, empty.total_kg) == (
        SlipKind.EMPTY_VEHICLE,
        Decimal(0),
        Decimal(14000),
    )
    assert refusal(message(totalGrossWt="", totalWt="14000")).startswith(
        "SasPassportBsc/totalGrossWt: expected kilo"
    )


def test_the_social_credit_code_stands_in_for_a_missing_registration_code() -> None:
    assert slip(areainEtpsno="").enterprise == "91330200000000000X"


@pytest.mark.parametrize("state", [state for state in SlipState if state is not SlipState.APPROVED])
def test_a_slip_in_another_state_is_read_with_that_state(state: SlipState) -> None:
    assert (
        slip(stucd=state.value, dclTypecd="3", emapvMarkcd="3", result={"manageResult": "3"}).state is state
    )


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "what"),
    [("SAS223", "a gate receipt"), ("SAS224", "a later receipt"), ("SAS253", "a two-step receipt"),
     ("SAS121", "an application"), ("INV201", "another message")],
)  # fmt: skip
def test_messages_that_are_no_approval_are_refused_saying_what_they_are(kind: str, what: str) -> None:
    words = refusal(message(kind=kind, body=kind))
    assert "expected SAS221, a release slip approval (核放单审批)" in words
    assert f"'{kind}' is {what}" in words
    assert words.endswith("not an approval")


MISSING = [
    ("passportNo", "a release slip number"),
    ("ioTypecd", "I (in) | E (out)"),
    ("passportTypecd", "1 (goods_first)"),
    ("bindTypecd", "1 (many_slips)"),
    ("masterCuscd", "a customs code of 4 digits"),
    ("vehicleNo", "a vehicle plate"),
    ("vehicleWt", "kilograms"),
    ("totalWt", "kilograms"),
    ("totalGrossWt", "kilograms"),
    ("stucd", "0 (applied)"),
]


@pytest.mark.parametrize(("field", "expected"), MISSING)
def test_a_missing_field_is_named_with_what_it_should_hold(field: str, expected: str) -> None:
    change: dict[str, Any] = {field: ""}
    empty = refusal(message(**change))
    absent = refusal(message().replace(f"<{field}>{HEAD[field]}</{field}>", ""))
    assert empty == absent
    assert empty.startswith(f"SasPassportBsc/{field}: expected {expected}")
    assert empty.endswith("found nothing")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"passportNo": "Z3111I24072800000000003"}, "passportNo: expected a release slip number"),
    ({"ioTypecd": "X"}, "ioTypecd: expected I (in) | E (out), got 'X'"),
    ({"passportTypecd": "7"}, "passportTypecd: expected 1 (goods_first)"),
    ({"bindTypecd": "０"}, "bindTypecd: expected 1 (many_slips)"),
    ({"stucd": "9"}, "stucd: expected 0 (applied)"),
    ({"masterCuscd": "311"}, "masterCuscd: expected a customs code of 4 digits, got '311'"),
    ({"vehicleNo": "无牌车"}, "vehicleNo: expected a vehicle plate"),
    ({"containerNo": "CSQU3054384"}, "containerNo: expected an ISO 6346 container number"),
    ({"areainEtpsno": "330260"}, "areainEtpsno: expected an enterprise code"),
    ({"areainEtpsno": "", "areainEtpsSccd": ""}, "areainEtpsno: expected an enterprise code"),
    (
        {"vehicleWt": "13e3"},
        "vehicleWt: expected kilograms with at most 3 decimals such as 14292.8, got '13e3'",
    ),
    ({"vehicleWt": "-13000"}, "vehicleWt: expected kilograms"),
    ({"vehicleWt": "NaN"}, "vehicleWt: expected kilograms"),
    ({"vehicleFrameWt": "1,000"}, "vehicleFrameWt: expected kilograms"),
    ({"containerWt": "1.2345"}, "containerWt: expected kilograms"),
    ({"totalWt": "99999999"}, "totalWt: expected kilograms"),
    (
        {"dclTime": "28/07/2024"},
        "dclTime: expected a Beijing time of this century such as 2024-07-28 00:44:26",
    ),
    ({"dclTime": "2024-02-30 00:00:00"}, "dclTime: expected a Beijing time"),
    ({"rltNo": "Q" * 401}, "rltNo: expected at most 2000 numbers of at most 400 characters"),
    ({"rltNo": "Q\\" * 2001}, "rltNo: expected at most 2000 numbers"),
    ({"vehicleIcNo": "7" * 401}, "vehicleIcNo: expected at most 400 characters, got 401"),
]


@pytest.mark.parametrize(("head", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_a_field_that_cannot_be_right_is_named_with_what_was_expected(
    head: dict[str, Any], words: str
) -> None:
    told = refusal(message(**head))
    assert told.startswith(f"SasPassportBsc/{words}")
    assert len(told) < 400


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"totalWt": "14292.9"},
        "SasPassportBsc/totalWt: expected 14292.8 (vehicleWt 13000 + vehicleFrameWt 1000 + containerWt 0 + "
        "totalGrossWt 292.8), got 14292.9",
    ),
    (
        {"ioTypecd": "E"},
        "SasPassportBsc/ioTypecd: expected I as in passportNo Z3111I240728000000000003, got E",
    ),
    ({"result": {"businessId": "Z3111I240728000000000004"}}, "HdeApprResult/businessId: expected passportNo"),
    ({"result": {"manageResult": "3"}}, "HdeApprResult/manageResult: expected 1 (passed) while stucd is 1"),
    ({"result": {"manageResult": ""}}, "HdeApprResult/manageResult: expected 1 (passed) while stucd is 1"),
    ({"emapvMarkcd": "3"}, "SasPassportBsc/emapvMarkcd: expected 1 (通过) or nothing while stucd is 1"),
    ({"dclTypecd": "3"}, "SasPassportBsc/dclTypecd: expected 1 (备案) or nothing while stucd is 1"),
    ({"passTime": "2024-07-28 01:00:00"}, "SasPassportBsc/passTime: expected nothing, not having passed"),
    ({"related": ("QD9",)}, "SasPassportRlt/rltNo: expected the numbers of SasPassportBsc/rltNo"),
    ({"pockets": "2"}, "DataInfo/PocketInfo/total_pocket_qty: expected 1, a whole message, got '2'"),
    (
        {"body": "SAS223"},
        "DataInfo/BussinessData: expected one SAS221 element as message_type says, got 'SAS223'",
    ),
    ({"result": {"manageDate": ""}, "dclTime": ""}, "HdeApprResult/manageDate: expected a Beijing time"),
]


@pytest.mark.parametrize(("change", "words"), CONTRADICTIONS, ids=[words[:50] for _, words in CONTRADICTIONS])
def test_a_message_that_contradicts_itself_is_refused_naming_both_sides(
    change: dict[str, Any], words: str
) -> None:
    assert refusal(message(**change)).startswith(words)


def test_a_field_said_twice_is_refused_even_when_both_say_the_same() -> None:
    twice = message().replace("<stucd>1</stucd>", "<stucd>1</stucd><stucd>1</stucd>")
    assert refusal(twice) == "SasPassportBsc/stucd: expected one element, got 2"


def test_two_slips_in_one_message_are_refused() -> None:
    text = message()
    group = text[text.index("<SAS221>") : text.index("</BussinessData>")]
    head = text[text.index("<SasPassportBsc>") : text.index("</SAS221>")]
    assert refusal(text.replace(group, group * 2)).startswith("DataInfo/BussinessData/SAS221: expected one")
    assert refusal(text.replace(head, head * 2)) == "SasPassportBsc: expected one element, got 2"
    assert refusal(text.replace(head, "")) == "SasPassportBsc: expected one element, got 0"


@pytest.mark.parametrize("hours", [0, -1, 10**9])
def test_a_validity_nobody_can_mean_is_the_callers_mistake(hours: int) -> None:
    with pytest.raises(ValueError, match="expected validity_hours of 1 to 87840"):
        read_approval(message().encode(), validity_hours=hours)
    with pytest.raises(ValueError, match="expected uses_for_many_vehicles of 1 or more"):
        read_approval(message().encode(), uses_for_many_vehicles=0)


# --- hostile and broken bytes -----------------------------------------------------------------------------

BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(10))
    + "]><Package>&k;</Package>"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BILLION_LAUGHS, "SAS221: expected plain XML without DTD or entities"),
        (
            '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Package>&e;</Package>',
            "SAS221: expected plain XML without DTD or entities",
        ),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><Package/>', "SAS221: expected plain XML without DTD"),
        ("<!DOCTYPE x><Package/>", "SAS221: expected plain XML without DTD"),
        ("", "SAS221: expected well-formed XML"),
        ("<Package>", "SAS221: expected well-formed XML"),
        ("not XML at all", "SAS221: expected well-formed XML"),
        ("<Package>&undefined;</Package>", "SAS221: expected well-formed XML"),
        ("<Package>\x00</Package>", "SAS221: expected well-formed XML"),
        ("<html/>", "SAS221: expected a Package element"),
        ("<Package/>", "EnvelopInfo/message_type: expected SAS221"),
        ("<a>" * 1000, f"SAS221: expected elements at most {MAX_DEPTH} deep"),
        (" " * (MAX_BYTES + 1), f"SAS221: expected at most {MAX_BYTES} bytes, got {MAX_BYTES + 1}"),
    ],
    ids=lambda value: value[:24],
)
def test_hostile_or_broken_xml_is_refused_at_once(text: str, words: str) -> None:
    assert refusal(text).startswith(words)


@pytest.mark.parametrize(
    "declared", ["utf-8", "gb2312", "GBK", "gb18030", "iso-8859-1", "x-made-up", "unicode_escape"]
)
@pytest.mark.parametrize("real", ["utf-8", "gb18030"])
@pytest.mark.parametrize("plate", ["豫A12345", "鄂AJL300", "粤BD12345"])
def test_a_message_is_read_whatever_encoding_it_declares(declared: str, real: str, plate: str) -> None:
    text = message(prolog=f'<?xml version="1.0" encoding="{declared}"?>', vehicleNo=plate)
    approval = read_approval(text.encode(real))
    assert approval.slip.plate == plate
    assert approval.encoding == real


def test_gb_bytes_that_happen_to_be_valid_utf8_are_still_read_as_gb() -> None:
    """豫 in GB 18030 is D4 A5, which is also a letter in UTF-8."""
    text = message(prolog="", areainEtpsNm="", dclErConc="")
    assert read_approval(text.encode("gb18030")).slip.plate == "豫A12345"


@pytest.mark.parametrize("real", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_outweighs_the_declaration(real: str) -> None:
    assert slip() == read_approval(message().encode(real)).slip


def test_bytes_in_no_known_encoding_are_refused_saying_which_were_tried() -> None:
    assert "expected text in utf-8 or gb18030" in refusal(b"<Package>\xff\xff\xff</Package>")


def test_the_error_told_is_that_of_the_declared_encoding() -> None:
    """无牌 in UTF-8 is 鏃犵墝 in GB 18030: no plate either way, and the sender's own word is shown."""
    text = message(vehicleNo="无牌", areainEtpsNm="", dclErConc="")
    assert "鏃犵墝" in text.encode().decode("gb18030")
    assert refusal(text).endswith("got '无牌'")


WHOLE = message().encode()


@given(start=st.integers(0, len(WHOLE)), length=st.integers(0, 60), put=st.binary(max_size=8))
def test_damaged_bytes_give_a_slip_that_is_whole_or_malformed_and_nothing_else(
    start: int, length: int, put: bytes
) -> None:
    damaged = WHOLE[:start] + put + WHOLE[start + length :]
    try:
        read = read_approval(damaged).slip
    except Malformed:
        read = slip()
    parts = read.vehicle_kg + read.frame_kg + read.container_kg + read.cargo_gross_kg
    assert read.total_kg == parts
    assert read.slip_no.direction_letter == read.direction.value


@given(
    junk=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
)
def test_any_bytes_at_all_raise_only_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        read_approval(junk)


# --- facts from outside -----------------------------------------------------------------------------------


@pytest.mark.parametrize("check", GOLDEN["sas_weights"]["checks"], ids=lambda check: check["msg"])
def test_public_messages_have_totals_that_are_the_sum_of_their_parts(check: dict[str, str]) -> None:
    assert Decimal(check["totalWt"]) == Decimal(check["sum_of_parts"])
    cargo = str(Decimal(check["totalWt"]) - 14000)
    read = slip(totalWt=check["totalWt"], totalGrossWt=cargo, vehicleNo=check["vehicleNo"])
    assert read.plate == check["vehicleNo"]
    assert str(read.total_kg) == check["totalWt"]


def sample(name: str) -> bytes:
    path = SHARED / "protocols" / f"sample_{name}.xml"
    if not path.exists():
        pytest.skip(f"no shared data beside this checkout: {path.name} not found (set KAKOU_SHARED_DATA)")
    return path.read_bytes()


def test_the_public_sas221_sample_becomes_the_slip_it_approves() -> None:
    read = read_approval(sample("SAS221")).slip
    assert read.slip_no == "Z3111I240728000000000003"
    assert (read.direction, read.kind, read.binding) == (
        Direction.IN,
        SlipKind.SECOND_LINE,
        Binding.MANY_VEHICLES,
    )
    assert (read.plate, read.state, read.related_nos) == (
        "鄂AJL300",
        SlipState.APPROVED,
        ("QD311124I000067647",),
    )
    assert (read.total_kg, read.cargo_gross_kg) == (Decimal("14292.8"), Decimal("292.8"))
    assert (read.valid_from, read.valid_until) == ("2024-07-27T16:44:26Z", "2024-08-03T16:44:26Z")


@pytest.mark.parametrize("name", ["SAS223", "SAS224", "SAS253"])
def test_the_public_receipts_are_refused_as_no_approval(name: str) -> None:
    assert f"'{name}' is a" in refusal(sample(name))
