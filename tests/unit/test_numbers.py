"""Numbers against facts from outside (`tests/golden/numbers.json`), and against any text at all."""

from __future__ import annotations

import copy
import json
import pickle
import string
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.numbers import (
    Carrier,
    ContainerNo,
    EnterpriseCode,
    Epc,
    Gtin,
    NumberText,
    Plate,
    PlateKind,
    S10No,
    SlipNo,
    Sscc,
    UtcText,
    WaybillNo,
    sf_check_digit_right,
)
from sync.vocabulary.records import Site, Vehicle, Waybill
from sync.vocabulary.weights import MAX_KG, is_kilograms, kilograms

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "numbers.json").read_text(encoding="utf-8"))

READ_WITH: dict[str, Callable[[str], object]] = {
    "iso6346": ContainerNo.parse,
    "s10": S10No.parse,
    "sf": sf_check_digit_right,
    "sscc": Sscc.parse_scan,
    "gtin": Gtin.parse_scan,
    "cn_plate": Plate.parse,
    "carrier_pattern": lambda text: WaybillNo(text).carrier,
}

ALL_KINDS: tuple[type[NumberText], ...] = (
    Plate,
    Epc,
    ContainerNo,
    S10No,
    Sscc,
    Gtin,
    SlipNo,
    WaybillNo,
    EnterpriseCode,
    UtcText,
)

# Half of the texts look like a number, or properties would only ever see refusals.
number_like = st.text(alphabet="ABCDEFUIOZTXYEI0123456789豫粤黑黄使领港挂-:.TZ()·", max_size=30)
any_text = st.one_of(st.text(max_size=60), number_like, st.text(alphabet=string.digits, max_size=40))


def row_name(row: dict[str, Any]) -> str:
    return f"{row['kind']}-{row['value']}"


@pytest.mark.parametrize("row", GOLDEN["numbers"], ids=row_name)
def test_each_number_from_outside_is_taken_or_refused_as_its_source_says(row: dict[str, Any]) -> None:
    assert bool(READ_WITH[row["kind"]](row["value"])) is row["valid"]


def test_the_golden_file_has_rows_of_every_kind_and_names_every_source() -> None:
    rows = GOLDEN["numbers"]
    assert {row["kind"] for row in rows} == set(READ_WITH)
    assert [row["value"] for row in rows if not row["source"]] == []
    assert len(rows) == 37


# --- any text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_KINDS)
@given(text=any_text)
@example(text="")
@example(text="\ud800")
@example(text="豫A12345\n")
@example(text="٢٠٢٦-٠١-٣١T٠٨:٠٠:٠٠Z")
@example(text="9" * 5000)
def test_a_constructor_makes_the_same_text_or_raises_value_error_and_parse_never_raises(
    kind: type[NumberText], text: str
) -> None:
    parsed = kind.parse(text)
    try:
        made: str | None = kind(text)
    except ValueError:
        made = None
    assert parsed == made
    assert parsed in (None, text)


WITH_PROPERTIES = {
    Plate: st.from_regex(Plate.pattern, fullmatch=True),
    SlipNo: st.from_regex(SlipNo.pattern, fullmatch=True),
    EnterpriseCode: st.from_regex(EnterpriseCode.pattern, fullmatch=True),
    WaybillNo: st.one_of(
        st.from_regex(WaybillNo.pattern, fullmatch=True),
        st.from_regex(r"(?:SF|YT|JT|JDVA|7[0-9]|[A-Z]{2})[0-9]{9,16}[A-Z]{0,2}", fullmatch=True),
    ),
}


@pytest.mark.parametrize("kind", WITH_PROPERTIES)
@given(data=st.data())
def test_properties_of_a_number_never_raise(kind: type[NumberText], data: st.DataObject) -> None:
    number = kind(data.draw(WITH_PROPERTIES[kind]))
    values = [getattr(number, name) for name, member in vars(kind).items() if isinstance(member, property)]
    assert values


def test_the_kinds_with_properties_are_all_tried() -> None:
    having = {k for k in ALL_KINDS if any(isinstance(member, property) for member in vars(k).values())}
    assert having == set(WITH_PROPERTIES)


@given(text=any_text)
@example(text="黄")
@example(text="黄" * 10_000)
@example(text="(01)38425876095074" + "(17)1" * 3000)
def test_lenient_readings_never_raise_and_give_only_checked_numbers(text: str) -> None:
    for read, kind in ((Plate.parse_vendor, Plate), (Sscc.parse_scan, Sscc), (Gtin.parse_scan, Gtin)):
        found = [number for number in [read(text)] if number is not None]
        assert [kind(str(number)) for number in found] == found


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_refusals_say_what_was_expected_and_stay_short(kind: type[NumberText]) -> None:
    with pytest.raises(ValueError) as refused:
        kind("?" * 10_000)
    assert kind.expected in str(refused.value)
    assert len(str(refused.value)) < 200


def test_numbers_survive_copying_and_pickling() -> None:
    plate = Plate("豫A12345")
    assert copy.deepcopy(plate) == plate
    assert type(pickle.loads(pickle.dumps(plate))) is Plate  # noqa: S301  our own bytes
    assert plate == "豫A12345"


def test_a_trailing_line_feed_is_not_part_of_a_number() -> None:
    assert [kind for kind, text in EXAMPLES.items() if kind.parse(text + "\n")] == []
    assert [kind for kind, text in EXAMPLES.items() if not kind.parse(text)] == []


EXAMPLES: dict[type[NumberText], str] = {
    Plate: "豫A12345",
    Epc: "E2801160600002040000A1B2",
    ContainerNo: "CSQU3054383",
    S10No: "RB123456785GB",
    Sscc: "340435061352161527",
    Gtin: "38425876095074",
    SlipNo: "Z3111I240728000000000003",
    WaybillNo: "SF6047789135544",
    EnterpriseCode: "330260A000",
    UtcText: "2026-01-31T08:00:00Z",
}


# --- plates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "new_energy"),
    [
        ("鄂AJL300", PlateKind.STANDARD, False),
        ("粤BD1234", PlateKind.STANDARD, False),
        ("粤BD12345", PlateKind.NEW_ENERGY_SMALL, True),
        ("粤BDF2345", PlateKind.NEW_ENERGY_SMALL, True),
        ("沪A12345D", PlateKind.NEW_ENERGY_LARGE, True),
        ("闽D0000挂", PlateKind.TRAILER, False),
        ("京A0001学", PlateKind.TRAINING, False),
        ("京A0001警", PlateKind.POLICE, False),
        ("沪A0023领", PlateKind.CONSULATE, False),
        ("使014578", PlateKind.EMBASSY, False),
        ("224578使", PlateKind.EMBASSY, False),
        ("粤Z1234港", PlateKind.CROSS_BORDER, False),
        ("粤Z9000澳", PlateKind.CROSS_BORDER, False),
    ],
)
def test_plates_know_their_kind(text: str, kind: PlateKind, new_energy: bool) -> None:
    plate = Plate(text)
    assert plate.kind is kind
    assert plate.new_energy is new_energy


@pytest.mark.parametrize(
    "text",
    [
        "豫I12345",  # no office I
        "豫A1234I",
        "豫AO2345",
        "豫A12345挂",  # eight characters with a mark
        "豫A123456",  # eight characters need a new-energy letter
        "粤BI12345",
        "粤BL12345",  # L is not a new-energy letter
        "粤BD1234A",  # small ones end in four digits
        "豫Z1234港",  # only Guangdong issues these
        "粤A1234澳",
        "使01457",
        "豫a12345",
        "台A12345",
        "A12345",
        "WJ京1234X",
    ],
)
def test_texts_that_are_no_plate_are_refused(text: str) -> None:
    assert Plate.parse(text) is None


@pytest.mark.parametrize(
    ("written", "plate"),
    [
        ("黄闽D66681", "闽D66681"),
        ("闽D66681", "闽D66681"),
        ("蓝豫A12345", "豫A12345"),
        ("绿粤BD12345", "粤BD12345"),
        ("黄绿沪A12345D", "沪A12345D"),
        ("渐变绿粤BD12345", "粤BD12345"),
        ("黄牌闽D66681", "闽D66681"),
        ("白色京A0001警", "京A0001警"),
        ("黑A12345", "黑A12345"),  # Heilongjiang, not a black plate A12345
        ("黑粤Z1234港", "粤Z1234港"),
        ("蓝黑A12345", "黑A12345"),
        ("黑黑A12345", "黑A12345"),
        ("粤B·12345", "粤B12345"),
        (" 粤B 12345 ", "粤B12345"),
    ],
)
def test_a_vendor_colour_and_separators_are_taken_off(written: str, plate: str) -> None:
    assert Plate.parse_vendor(written) == plate


@pytest.mark.parametrize(
    "text", ["", "_无_", "黄", "黄黄闽D66681", "无牌车", "粤B12345,粤B54321", "粤B12345" + " " * 50 + "x"]
)
def test_a_vendor_text_that_holds_no_one_plate_is_refused(text: str) -> None:
    assert Plate.parse_vendor(text) is None


# --- check digits -----------------------------------------------------------------------------------------

LETTER_VALUES = dict(
    zip(
        string.ascii_uppercase,
        [10, *range(12, 22), *range(23, 33), *range(34, 39)],
        strict=True,
    )
)


def container_remainder(text: str) -> int:
    """ISO 6346 by hand: remainder modulo 11 of letters and serial, without the check digit."""
    return sum((LETTER_VALUES.get(c) or int(c)) << i for i, c in enumerate(text[:10])) % 11


def s10_remainder(digits: str) -> int:
    return sum(int(d) * w for d, w in zip(digits[:8], (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11


containers = st.builds(
    lambda owner, group, serial: f"{owner}{group}{serial}{container_remainder(owner + group + serial) % 10}",
    st.text(string.ascii_uppercase, min_size=3, max_size=3),
    st.sampled_from("UJZ"),
    st.text(string.digits, min_size=6, max_size=6),
)

S10_CHECK = {0: 5, 1: 0, **{r: 11 - r for r in range(2, 11)}}
s10_numbers = st.builds(
    lambda service, serial, country: f"{service}{serial}{S10_CHECK[s10_remainder(serial)]}{country}",
    st.text(string.ascii_uppercase, min_size=2, max_size=2),
    st.text(string.digits, min_size=8, max_size=8),
    st.sampled_from(["CN", "GB", "HK", "DE", "US", "MO"]),
)


def with_digit(text: str, place: int, digit: int) -> str:
    return f"{text[:place]}{digit}{text[place + 1 :]}"


@given(number=containers, place=st.integers(4, 10), digit=st.integers(0, 9))
def test_a_container_number_with_one_wrong_digit_is_refused_unless_remainders_ten_and_zero_meet(
    number: str, place: int, digit: int
) -> None:
    assert ContainerNo.parse(number) == number
    wrong = with_digit(number, place, digit)
    assume(wrong != number)
    unseen = {container_remainder(wrong), container_remainder(number)} == {0, 10}
    assert (ContainerNo.parse(wrong) is not None) is unseen


def test_the_one_blind_spot_of_a_container_number_is_real_and_known() -> None:
    """TASU1170000 leaves remainder 10, written 0; a digit that makes the remainder 0 cannot be seen."""
    twins = [with_digit("TASU1170000", place, d) for place in range(4, 10) for d in range(10)]
    accepted = {twin for twin in twins if twin != "TASU1170000" and ContainerNo.parse(twin)}
    assert accepted
    assert {container_remainder(twin) for twin in accepted} == {0}


@given(number=s10_numbers, place=st.integers(2, 10), digit=st.integers(0, 9))
def test_an_s10_number_with_one_wrong_digit_is_refused_unless_remainders_six_and_zero_meet(
    number: str, place: int, digit: int
) -> None:
    assert S10No.parse(number) == number
    wrong = with_digit(number, place, digit)
    assume(wrong != number)
    unseen = place < 10 and {s10_remainder(wrong[2:10]), s10_remainder(number[2:10])} == {0, 6}
    assert (S10No.parse(wrong) is not None) is unseen


@given(kind=st.sampled_from([(Sscc, 18), (Gtin, 8), (Gtin, 12), (Gtin, 13), (Gtin, 14)]), data=st.data())
def test_a_gs1_number_with_one_wrong_digit_is_always_refused(
    kind: tuple[type[NumberText], int], data: st.DataObject
) -> None:
    number_type, length = kind
    body = data.draw(st.text(string.digits, min_size=length - 1, max_size=length - 1))
    right = [body + check for check in string.digits if number_type.parse(body + check)]
    assert len(right) == 1
    place = data.draw(st.integers(0, length - 1))
    wrong = with_digit(right[0], place, data.draw(st.integers(0, 9)))
    assume(wrong != right[0])
    assert number_type.parse(wrong) is None


def test_the_country_of_an_s10_number_is_one_of_iso_3166() -> None:
    refused = [code for code in ("XX", "ZZ", "AA", "UK", "EU") if S10No.parse(f"RB123456785{code}")]
    taken = [code for code in ("CN", "HK", "MO", "TW", "SS", "ME", "GB") if S10No.parse(f"RB123456785{code}")]
    assert refused == []
    assert len(taken) == 7


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("340435061352161527", "340435061352161527"),
        ("00340435061352161527", "340435061352161527"),
        ("(00)340435061352161527", "340435061352161527"),
        ("(00340435061352161527", None),
        ("01340435061352161527", None),
        ("00340435061352161528", None),
    ],
)
def test_an_sscc_is_found_behind_its_application_identifier(text: str, number: str | None) -> None:
    assert Sscc.parse_scan(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("38425876095074", "38425876095074"),
        ("4006381333931", "4006381333931"),
        ("(01)38425876095074", "38425876095074"),
        ("(01)38425876095074(17)181119(37)1", "38425876095074"),
        ("0138425876095074", "38425876095074"),
        ("0138425876095074\x1d37123", "38425876095074"),
        ("(01)38425876095075(17)181119", None),
        ("(01)38425876095074 and more", None),
        ("0138425876095074371", None),
        ("4006381333932", None),
    ],
)
def test_a_gtin_is_found_behind_its_application_identifier(text: str, number: str | None) -> None:
    assert Gtin.parse_scan(text) == number


# --- waybills, slips, enterprises, tags -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "carrier"),
    [
        ("SF1234567890123", Carrier.SF),
        ("YT1234567890123", Carrier.YTO),
        ("YT1234567890123456", Carrier.YTO),
        ("JT1234567890123", Carrier.JT),
        ("JD0012345678901", Carrier.JD),
        ("JDVA00123456789-1-2-", Carrier.JD),
        ("771234567890123", Carrier.STO),
        ("78123456789012", Carrier.ZTO),
        ("LZ449705219CN", Carrier.EMS),
        ("LZ449705218CN", None),
        ("133938675660", None),
        ("1234567890123", None),
        ("QX-2026-000001", None),
    ],
)
def test_a_waybill_guesses_its_carrier_by_shape(text: str, carrier: Carrier | None) -> None:
    assert WaybillNo(text).carrier is carrier


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("SF6047789135544", True),
        ("SF6042542297687", True),
        ("SF6047789135545", False),
        ("SF8888888888888", False),
        ("LZ449705219CN", True),
        ("LZ449705218CN", False),
        ("YT1234567890123", None),
        ("QX-2026-000001", None),
    ],
)
def test_a_doubtful_check_digit_is_said_and_the_waybill_is_taken_all_the_same(
    text: str, right: bool | None
) -> None:
    assert WaybillNo(text).check_digit_right is right


@pytest.mark.parametrize(
    "text", ["SF123", "sf1234567890123", "SF 123456789", "-SF123456", "A" * 41, "运单123456"]
)
def test_texts_that_are_no_waybill_are_refused(text: str) -> None:
    assert WaybillNo.parse(text) is None


def test_a_slip_number_tells_its_customs_office_direction_and_steps() -> None:
    one = SlipNo("Z3111E240726000000000456")
    two = SlipNo("Z3105I241030T00000000075")
    assert (one.customs_code, one.direction_letter, one.two_step) == ("3111", "E", False)
    assert (two.customs_code, two.direction_letter, two.two_step) == ("3105", "I", True)


@pytest.mark.parametrize(
    "text",
    [
        "Z3111I24072800000000000",
        "Z3111I2407280000000000003",
        "Z3111X240728000000000003",
        "Z3111I24072800000000T003",
        "Z3111I240728TT0000000003",
        "z3111I240728000000000003",
        "Z311 I240728000000000003",
    ],
)
def test_texts_that_are_no_slip_number_are_refused(text: str) -> None:
    assert SlipNo.parse(text) is None


def test_an_enterprise_code_says_whether_its_check_digit_is_right_but_is_taken_without() -> None:
    assert EnterpriseCode("91350100M000100Y43").check_digit_right is True  # example in GB 32100-2015
    assert EnterpriseCode("91330200000000000X").check_digit_right is False  # as in the anonymised samples
    assert EnterpriseCode("9135I100M000100Y4N").check_digit_right is False  # I is not in the alphabet
    assert EnterpriseCode("330260A000").check_digit_right is None
    assert EnterpriseCode.parse("330260A0001") is None


def test_an_epc_is_whole_words_of_upper_case_hex() -> None:
    assert Epc.parse("E2801160600002040000A1B2") is not None
    assert [text for text in ("E280", "e2801160", "E28011606", "E280116", "F" * 128) if Epc.parse(text)] == []
    assert Epc.parse("F" * 124) is not None


# --- time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:00:60Z",
        "2026-01-31T08:00:00",
        "2026-01-31T08:00:00+00:00",
        "2026-01-31T08:00:00.Z",
        "2026-01-31T08:00:00.1234567Z",
        "2026-01-31 08:00:00Z",
        "26-01-31T08:00:00Z",
    ],
)
def test_a_time_that_is_on_no_calendar_is_refused(text: str) -> None:
    assert UtcText.parse(text) is None


@pytest.mark.parametrize(
    "text", ["2024-02-29T23:59:59Z", "2026-01-31T08:00:00.123456Z", "9999-12-31T00:00:00Z"]
)
def test_a_time_on_the_calendar_is_taken(text: str) -> None:
    assert UtcText.parse(text) == text


@given(
    times=st.lists(st.datetimes(), min_size=2, max_size=2), decimals=st.lists(st.integers(0, 6), min_size=2)
)
def test_times_compare_as_instants_whatever_their_decimals(times: list[Any], decimals: list[int]) -> None:
    def written(time: Any, places: int) -> tuple[UtcText, Decimal]:
        fraction = f"{time.microsecond:06d}"[:places]
        base = f"{time.year:04d}-{time:%m-%dT%H:%M:%S}"
        seconds = Decimal(int(f"{time.year:04d}{time:%m%d%H%M%S}")) + Decimal(f"0.{fraction or 0}")
        return UtcText(f"{base}.{fraction}Z" if fraction else f"{base}Z"), seconds

    (a, when_a), (b, when_b) = (written(t, p) for t, p in zip(times, decimals, strict=False))
    assert ((a < b), (a <= b), (a > b), (a >= b)) == (
        when_a < when_b,
        when_a <= when_b,
        when_a > when_b,
        when_a >= when_b,
    )


def test_a_half_second_comes_after_its_whole_second_also_beside_plain_text() -> None:
    whole, half = UtcText("2026-01-31T08:00:00Z"), UtcText("2026-01-31T08:00:00.5Z")
    assert sorted([half, whole]) == [whole, half]
    assert str(whole) < half
    assert half > str(whole)
    assert whole <= UtcText("2026-01-31T08:00:00.000Z") <= whole


# --- weights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("14292.8", "14292.8"),
        ("16245.335", "16245.335"),
        ("0.001", "0.001"),
        ("007", "7"),
        ("999999.999", "999999.999"),
    ],
)
def test_plain_decimal_text_is_exact_kilograms(text: str, value: str) -> None:
    assert kilograms(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", "+1", "-1", "1.", ".5", "1.2345", "1e3", "1E3", "NaN", "Infinity", "1_0", "1,000",
     "1000000", "٣", "１", "1\n", "0x10", "1.5kg", "9" * 10_000],
)  # fmt: skip
def test_other_text_is_no_weight(text: str) -> None:
    assert kilograms(text) is None


@given(text=st.one_of(st.text(max_size=12), st.text(alphabet="0123456789.eE+-_", max_size=12)))
def test_no_text_raises_and_every_weight_is_bounded_and_in_whole_grams(text: str) -> None:
    weights = [weight for weight in [kilograms(text)] if weight is not None]
    assert [w for w in weights if not 0 <= w <= MAX_KG or w * 1000 % 1 or not is_kilograms(w)] == []


@given(grams=st.integers(0, 999_999_999))
def test_every_weight_of_whole_grams_up_to_the_bound_is_taken_exactly(grams: int) -> None:
    assert kilograms(f"{grams // 1000}.{grams % 1000:03d}") == Decimal(grams) / 1000


@given(value=st.decimals(allow_nan=True, allow_infinity=True))
def test_is_kilograms_never_raises_on_any_decimal(value: Decimal) -> None:
    assert is_kilograms(value) in (True, False)


HOSTILE_WEIGHTS = [
    '"NaN"',
    '"sNaN"',
    '"Infinity"',
    '"1e999999999"',
    "1e400",
    '"-5"',
    "-0.5",
    '"0.0001"',
    "1000000",
]


@pytest.mark.parametrize("weight", HOSTILE_WEIGHTS)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Vehicle, '{"plate":"豫A12345","valid_until":"2026-01-31T08:00:00Z","tare_kg":%s}'),
        (Waybill, '{"waybill_no":"SF6047789135544","gross_kg":%s}'),
        (Site, '{"site":"a","name_zh":"","name_en":"","weight_tolerance_kg":%s}'),
        (Site, '{"site":"a","name_zh":"","name_en":"","empty_tolerance_kg":%s}'),
    ],
)
def test_a_record_with_an_impossible_weight_is_refused_naming_the_field(
    kind: type[Any], text: str, weight: str
) -> None:
    with pytest.raises(Malformed, match=r"_kg: expected 0 to 999999\.999 kg"):
        from_json(text % weight, kind)
    assert from_json(text % '"200"', kind) == from_json(text % "200", kind)


# --- in messages ------------------------------------------------------------------------------------------


def test_numbers_travel_as_plain_text_and_are_checked_on_arrival() -> None:
    vehicle = Vehicle(
        plate=Plate("豫A12345"), tare_kg=Decimal(13000), valid_until=UtcText("2026-01-31T08:00:00Z")
    )
    text = to_json(vehicle).decode()
    assert from_json(text, Vehicle) == vehicle
    assert type(from_json(text, Vehicle).plate) is Plate
    with pytest.raises(Malformed, match=r"expected a vehicle plate.*\$\.plate"):
        from_json(text.replace("豫A12345", "豫I12345"), Vehicle)
    with pytest.raises(Malformed, match=r"expected a UTC time.*\$\.valid_until"):
        from_json(text.replace("01-31", "02-31"), Vehicle)
