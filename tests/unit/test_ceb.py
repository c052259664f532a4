"""CEB621 and CEB511 become waybills; nobody's name, number or address comes along, whatever is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.vocabulary.ceb import CANCELLED, CARRIED, DECLARED, MAX_BYTES, Entry, merged, read_message
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.records import Waybill

SPACE = 'xmlns:ceb="http://www.chinaport.gov.cn/ceb"'
PEOPLE = {
    "buyerIdType": "1",
    "buyerIdNumber": "110101199001011234",
    "buyerName": "张三丰",
    "buyerTelephone": "13800138000",
    "consigneeAddress": "北京市东城区某街1号",
    "consignee": "李四光",
    "consigneeTelephone": "13900139000",
    "note": "转交王五娘",
    "goodsInfo": "送给赵六叔",
}
HEAD = {
    "guid": "4CDE1CFD-EDED-46B1-946C-B8022E42FC94",
    "appType": "1",
    "appTime": "20240728004427",
    "appStatus": "2",
    "orderNo": "ORD-1",
    "ebpCode": "4601630004",
    "ebcCode": "330260A000",
    "logisticsNo": "SF6047789135544",
    "invtNo": "31112024I000000001",
    "ieFlag": "I",
    "billNo": "BILL9",
    "packNo": "2",
    "grossWeight": "1.23456",
}
LINE = {
    "gnum": "1",
    "itemNo": "SKU-1",
    "itemName": "圣诞饰品",
    "gcode": "9505100090",
    "gname": "节日用品",
    "gmodel": "型号",
    "country": "142",
    "qty": "3",
    "unit": "011",
    "price": "9.90",
}
CARRIER = {
    "appType": "1",
    "appStatus": "2",
    "logisticsNo": "SF6047789135544",
    "billNo": "BILL9",
    "weight": "1.5",
    "packNo": "2",
}


def group(name: str, leaves: dict[str, str], prefix: str) -> str:
    inner = "".join(f"<{prefix}{leaf}>{text}</{prefix}{leaf}>" for leaf, text in leaves.items())
    return f"<{prefix}{name}>{inner}</{prefix}{name}>"


def inventory(*lines: dict[str, str], prefix: str = "ceb:", **change: str) -> str:
    head = group("InventoryHead", HEAD | PEOPLE | change, prefix)
    rows = "".join(group("InventoryList", LINE | line, prefix) for line in lines)
    return f"<{prefix}Inventory>{head}{rows}</{prefix}Inventory>"


def declaration(*entries: str) -> str:
    base = "<ceb:BaseTransfer><ceb:copName>某公司</ceb:copName></ceb:BaseTransfer>"
    return f'<ceb:CEB621Message guid="g" version="1.0" {SPACE}>{"".join(entries)}{base}</ceb:CEB621Message>'


def carrier(**change: str) -> str:
    head = group("LogisticsHead", CARRIER | PEOPLE | change, "ceb:")
    return f"<ceb:CEB511Message {SPACE}><ceb:Logistics>{head}</ceb:Logistics></ceb:CEB511Message>"


def only(text: str) -> Entry:
    message = read_message(text.encode())
    assert message.problems == ()
    (entry,) = message.entries
    return entry


def problem(text: str) -> str:
    message = read_message(text.encode())
    assert message.entries == ()
    return message.problems[0].what


# --- what a waybill gets ----------------------------------------------------------------------------------


def test_a_declaration_becomes_a_waybill_with_every_field_in_its_place() -> None:
    assert only(declaration(inventory({}))).waybill == Waybill(
        waybill_no="SF6047789135544",  # type: ignore[arg-type]
        declarations=("31112024I000000001",),
        order_no="ORD-1",
        bill_no="BILL9",
        enterprise="330260A000",  # type: ignore[arg-type]
        platform="4601630004",
        pieces=2,
        gross_kg=Decimal("1.235"),
        direction="import",
        state=DECLARED,
        lines=(
            {
                "order": "ORD-1",
                "declaration": "31112024I000000001",
                "no": "1",
                "sku": "SKU-1",
                "name": "圣诞饰品",
                "hs_code": "9505100090",
                "declared_name": "节日用品",
                "origin": "142",
                "quantity": "3",
                "unit": "011",
            },
        ),
    )


def test_a_carriers_message_becomes_a_waybill_nothing_is_declared_of() -> None:
    entry = only(carrier())
    assert (entry.message, entry.waybill.state, entry.waybill.gross_kg) == ("CEB511", CARRIED, Decimal("1.5"))
    assert (entry.waybill.bill_no, entry.waybill.pieces, entry.waybill.declarations) == ("BILL9", 2, ())


@pytest.mark.parametrize("prefix", ["", "ceb:", "x:"])
def test_any_prefix_is_understood_and_another_name_space_is_not(prefix: str) -> None:
    name = f"{prefix}CEB621Message"
    binding = {"": 'xmlns="http://www.chinaport.gov.cn/ceb"'}.get(
        prefix, f'xmlns:{prefix[:-1]}="%s"' % SPACE[11:-1]
    )
    assert only(f"<{name} {binding}>{inventory(prefix=prefix)}</{name}>").waybill.order_no == "ORD-1"
    with pytest.raises(Malformed, match="CEB: expected one of CEB621Message, CEB511Message"):
        read_message(f"<{name} {binding.replace('chinaport', 'elsewhere')}/>".encode())


def test_no_name_space_at_all_is_what_some_send() -> None:
    assert only(f"<CEB621Message>{inventory(prefix='')}</CEB621Message>").waybill.order_no == "ORD-1"


@pytest.mark.parametrize(
    ("text", "grams"), [("0.53000", "0.53"), ("0", "0"), ("12", "12"), ("0.0005", "0.001"), ("0.00049", "0")]
)
def test_weights_of_five_decimals_become_grams(text: str, grams: str) -> None:
    found = only(declaration(inventory(grossWeight=text))).waybill.gross_kg
    assert str(found) == grams


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
@pytest.mark.parametrize("said", ["utf-8", "GB2312"])
def test_a_message_is_read_whatever_encoding_it_declares(encoding: str, said: str) -> None:
    text = f'<?xml version="1.0" encoding="{said}"?>{declaration(inventory({}))}'
    (entry,) = read_message(text.encode(encoding)).entries
    assert entry.waybill.lines[0]["name"] == "圣诞饰品"


# --- nobody comes along -----------------------------------------------------------------------------------


def test_no_person_leaves_the_parser() -> None:
    for text in (declaration(inventory({})), carrier()):
        told = repr(read_message(text.encode()))
        assert [value for value in PEOPLE.values() if len(value) > 1 and value in told] == []


def test_what_is_said_of_people_is_not_even_looked_at() -> None:
    """Twice, and longer than any field may be: no problem, since nobody reads it."""
    text = declaration(inventory({}, note="王五娘" * 200))
    twice = text.replace("<ceb:buyerName>", "<ceb:buyerName>钱七</ceb:buyerName><ceb:buyerName>")
    assert only(twice).waybill == only(declaration(inventory({}))).waybill


def test_no_person_stands_in_any_error() -> None:
    spoilt = [
        declaration(inventory(logisticsNo="x")),
        declaration(inventory({}, ebcCode="")),
        declaration(inventory({}))[:-20],
        declaration(inventory(buyerName="&张三丰;")),
        declaration(inventory(buyerName="张三丰<")),
        declaration(inventory(buyerName="张三丰" * 50_000)),
        '<!DOCTYPE x [<!ENTITY buyer "13800138000">]>' + declaration(inventory(buyerTelephone="&buyer;")),
        declaration(inventory()).replace("</ceb:buyerIdNumber>", "</ceb:张三丰>"),
    ]
    told = []
    for text in spoilt:
        try:
            told.append(repr(read_message(text.encode()).problems))
        except Malformed as error:
            told.append(str(error))
    assert len(told) == len(spoilt)
    assert [
        (value, text) for value in PEOPLE.values() if len(value) > 1 for text in told if value in text
    ] == []


@given(where=st.integers(0, 3000), put=st.text(max_size=4), cut=st.integers(0, 80))
def test_whatever_is_damaged_no_person_is_told_and_nothing_else_is_raised(
    where: int, put: str, cut: int
) -> None:
    whole = declaration(inventory({}), inventory({"gnum": "2"}, logisticsNo="YT1234567890123"))
    at = where % len(whole)
    try:
        told = repr(read_message((whole[:at] + put + whole[at + cut :]).encode("utf-8", "replace")).problems)
    except Malformed as error:
        told = str(error)
    secrets = ("110101199001011234", "张三丰", "13800138000", "某街1号")
    assert [secret for secret in secrets if secret in told] == []


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        read_message(junk)


# --- what is refused --------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, str], str]] = [
    ({"appType": "9"}, "appType: expected 1 (new) | 2 (changed) | 3 (deleted), got '9'"),
    ({"appStatus": "1"}, "appStatus: expected 2 (declared, 申报): a draft is no declaration, got '1'"),
    ({"logisticsNo": "sf 1"}, "logisticsNo: expected a waybill number"),
    ({"orderNo": ""}, "orderNo: expected an order number"),
    ({"ebcCode": "33"}, "ebcCode: expected an enterprise code"),
    ({"ieFlag": "X"}, "ieFlag: expected I (in) | E (out), got 'X'"),
    ({"packNo": "0"}, "packNo: expected a whole number from 1"),
    ({"packNo": "1.5"}, "packNo: expected a whole number from 1"),
    ({"grossWeight": ""}, "grossWeight: expected kilograms with at most 5 decimals"),
    ({"grossWeight": "NaN"}, "grossWeight: expected kilograms"),
    ({"grossWeight": "-1"}, "grossWeight: expected kilograms"),
    ({"grossWeight": "99999999"}, "grossWeight: expected less than a thousand tonnes"),
    ({"billNo": "9" * 300}, "billNo: expected at most 256 characters"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_a_bad_entry_is_a_problem_with_field_and_expectation(change: dict[str, str], words: str) -> None:
    assert problem(declaration(inventory(**change))).startswith(f"Inventory: {words}")


def test_a_bad_entry_has_its_line_and_the_good_ones_are_taken() -> None:
    text = declaration(
        "\n", inventory(), "\n", inventory(grossWeight="x"), "\n", inventory(logisticsNo="YT1234567890123")
    )
    message = read_message(text.encode())
    assert [str(entry.waybill.waybill_no) for entry in message.entries] == [
        "SF6047789135544",
        "YT1234567890123",
    ]
    assert [(each.line, each.what[:22]) for each in message.problems] == [(3, "Inventory: grossWeight")]


def test_elements_said_twice_or_heads_too_many_are_refused() -> None:
    twice = inventory().replace("<ceb:packNo>2", "<ceb:packNo>2</ceb:packNo><ceb:packNo>2")
    assert problem(declaration(twice)) == "Inventory: packNo: expected one element, got several"
    two_heads = inventory().replace("</ceb:Inventory>", "<ceb:InventoryHead/></ceb:Inventory>")
    assert problem(declaration(two_heads)) == "Inventory: InventoryHead: expected one element, got 2"
    assert problem(declaration("<ceb:Inventory/>")) == "Inventory: InventoryHead: expected one element, got 0"


def test_the_same_names_elsewhere_in_the_message_are_not_taken() -> None:
    inner = f"<ceb:Other>{group('InventoryHead', HEAD | {'packNo': '9'}, 'ceb:')}</ceb:Other>"
    text = declaration(inventory().replace("</ceb:Inventory>", f"{inner}</ceb:Inventory>"))
    assert only(text).waybill.pieces == 2


BOMB = '<!DOCTYPE l [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f"{BOMB}]><CEB621Message>&j;</CEB621Message>".encode(), "CEB: expected plain XML without DTD"),
        (b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><CEB621Message/>', "CEB: expected plain XML without DTD"),
        (b"<CEB621Message>" + b"<a>" * 50, "CEB: expected elements at most 12 deep"),
        (declaration(inventory())[:-5].encode(), "CEB: expected well-formed XML"),
        (b"<CEB312Message/>", "CEB: expected one of CEB621Message, CEB511Message"),
        (b"\xff\xff\xff", "CEB: expected text in utf-8 or gb18030"),
        (b" " * (MAX_BYTES + 1), f"CEB: expected at most {MAX_BYTES} bytes"),
        (b"<CEB621Message>" + b"<Inventory/>" * 20_001, "CEB: expected at most 20000 of Inventory"),
    ],
)
def test_what_is_no_whole_message_is_refused_at_once(data: bytes, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_message(data)
    assert str(refused.value).startswith(words)


# --- merging ----------------------------------------------------------------------------------------------


def entry(**change: Any) -> Entry:
    lines = change.pop("lines", ({},))
    return only(declaration(inventory(*lines, **change)))


def after(*entries: Entry) -> Waybill:
    waybill: Waybill | None = None
    for each in entries:
        waybill = merged(waybill, each)
    assert waybill is not None
    return waybill


def test_two_declarations_in_one_parcel_are_both_kept_and_each_replaces_its_own() -> None:
    second = entry(orderNo="ORD-2", invtNo="I2", lines=({"itemNo": "SKU-2"},))
    again = entry(orderNo="ORD-1", lines=({"itemNo": "SKU-9"}, {"itemNo": "SKU-8"}))
    both = after(entry(), second)
    assert both.declarations == ("31112024I000000001", "I2")
    assert [line["sku"] for line in both.lines] == ["SKU-1", "SKU-2"]
    assert [line["sku"] for line in after(entry(), second, again).lines] == ["SKU-9", "SKU-8", "SKU-2"]
    assert after(entry(), second, entry()) == after(entry(), second)


def test_a_declaration_that_gets_its_number_later_is_one_declaration() -> None:
    waybill = after(entry(invtNo=""), entry(invtNo="I1"))
    assert (waybill.declarations, len(waybill.lines)) == (("I1",), 1)


def test_a_withdrawn_declaration_takes_its_lines_and_the_last_one_the_waybill() -> None:
    second = entry(orderNo="ORD-2", invtNo="I2", lines=({"itemNo": "SKU-2"},))
    gone = entry(appType="3")
    one_left = after(entry(), second, gone)
    assert (one_left.declarations, one_left.state) == (("I2",), DECLARED)
    assert [line["sku"] for line in one_left.lines] == ["SKU-2"]
    none_left = after(entry(), gone)
    assert (none_left.declarations, none_left.lines, none_left.state) == ((), (), CANCELLED)
    assert after(gone).state == CANCELLED


def test_a_carriers_word_stands_behind_a_declaration_whichever_comes_first() -> None:
    word = only(carrier(weight="9", packNo="7", billNo="B2"))
    for waybill in (after(word, entry()), after(entry(), word)):
        assert (waybill.state, waybill.pieces, waybill.gross_kg) == (DECLARED, 2, Decimal("1.235"))
    assert after(word, entry(billNo="")).bill_no == "B2"
    assert after(word, only(carrier(appType="3"))).state == CANCELLED
    assert after(entry(), only(carrier(appType="3"))).state == DECLARED


def test_what_other_sources_said_of_a_waybill_stays() -> None:
    known = Waybill(
        waybill_no="SF6047789135544",  # type: ignore[arg-type]
        slip_no="Z3111I240728000000000003",  # type: ignore[arg-type]
        quarantine="required",
        control="C1",
        trace_code="T",
        three_documents="matched",
    )
    waybill = merged(known, entry())
    assert (waybill.slip_no, waybill.quarantine, waybill.control) == (known.slip_no, "required", "C1")
    assert (waybill.trace_code, waybill.three_documents) == ("T", "matched")
    assert to_json(merged(waybill, entry())) == to_json(waybill)
