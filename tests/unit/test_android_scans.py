"""Codes by broadcast, a test per row of the vendor table, on a phone made of Python."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.handheld.android.scan_intents import ScanIntents
from edge.handheld.android.vendors import VendorRefused, chosen, read_vendors
from edge.reading.scans import LONGEST_TEXT, NotACode, ScanSeen
from edge.runtime.clock import SystemClock
from edge.runtime.config_reading import ConfigRefused
from tests.android_phone import JavaException, Phone, put_into

VENDORS = read_vendors()
ZEBRA = "org.kakou.kakouhandheld.ZEBRA_SCAN"
HONEYWELL = "org.kakou.kakouhandheld.HONEYWELL_SCAN"
GBK = "运单号SF1234567890123"

ROWS: dict[str, tuple[str, str, dict[str, Any], tuple[str, str]]] = {
    # id: (maker, action, extras, (text, symbology))
    "zebra": (
        "Zebra Technologies",
        ZEBRA,
        {
            "com.symbol.datawedge.data_string": "SF1234567890123",
            "com.symbol.datawedge.label_type": "LABEL-TYPE-CODE128",
            "com.symbol.datawedge.source": "scanner",
            "com.symbol.datawedge.decode_data": [b"SF12345", b"67890123"],
        },
        ("SF1234567890123", "code128"),
    ),
    "honeywell": (
        "Honeywell",
        HONEYWELL,
        {"data": "SF1234567890123", "dataBytes": b"SF1234567890123", "codeId": "j", "aimId": "]C0"},
        ("SF1234567890123", "code128"),
    ),
    "urovo": (
        "UBX",
        "android.intent.ACTION_DECODE_DATA",
        {"barcode_string": "SF12", "barcode": b"SF12OLDER", "barcodeType": 73, "length": 4},
        ("SF12", ""),
    ),
    "idata": (
        "iData",
        "android.intent.action.SCANRESULT",
        {"value": "SF1234567890123\n", "length": 15},
        ("SF1234567890123", ""),
    ),
    "newland": (
        "Newland",
        "nlscan.action.SCANNER_RESULT",
        {"SCAN_BARCODE1": "SF12", "SCAN_BARCODE2": "", "SCAN_BARCODE_TYPE": 4, "SCAN_STATE": "ok"},
        ("SF12", ""),
    ),
    "chainway": (
        "Chainway",
        "com.scanner.broadcast",
        {"data": "SF12", "SCAN_STATE": "success"},
        ("SF12", ""),
    ),
    "seuic": (
        "SEUIC",
        "com.android.server.scannerservice.broadcast",
        {"scannerdata": "SF12"},
        ("SF12", ""),
    ),
    "sunmi": (
        "SUNMI",
        "com.sunmi.scanner.ACTION_DATA_CODE_RECEIVED",
        {"data": "SF12", "source_byte": b"SF12"},
        ("SF12", ""),
    ),
    "cipherlab": (
        "CipherLab",
        "com.cipherlab.barcodebaseapi.PASS_DATA_2_APP",
        {"Decoder_Data": "SF12", "Decoder_CodeType_String": "QR Code"},
        ("SF12", "qrcode"),
    ),
    "unitech": ("unitech", "unitech.scanservice.data", {"text": "SF12"}, ("SF12", "")),
    "generic": (
        "whoever",
        "scan.rcv.message",
        {"barocode": b"SF12    ", "length": 4, "barcodeType": 1},
        ("SF12", ""),
    ),
}

SENT: dict[str, tuple[list[tuple[str, str | None, dict[str, Any]]], list[tuple[str, str | None]]]] = {
    # id: (on start: action, package, what its extras must hold), (on stop)
    "zebra": (
        [
            (
                "com.symbol.datawedge.api.ACTION",
                None,
                {
                    "com.symbol.datawedge.api.SET_CONFIG": {
                        "PROFILE_NAME": "kakou",
                        "PROFILE_ENABLED": "true",
                        "CONFIG_MODE": "CREATE_IF_NOT_EXIST",
                        "APP_LIST": [{"PACKAGE_NAME": "org.kakou.kakouhandheld", "ACTIVITY_LIST": ["*"]}],
                        "PLUGIN_CONFIG": {
                            "PLUGIN_NAME": "BARCODE",
                            "RESET_CONFIG": "true",
                            "PARAM_LIST": {"scanner_selection": "auto", "scanner_input_enabled": "true"},
                        },
                    }
                },
            ),
            (
                "com.symbol.datawedge.api.ACTION",
                None,
                {
                    "com.symbol.datawedge.api.SET_CONFIG": {
                        "PROFILE_NAME": "kakou",
                        "PROFILE_ENABLED": "true",
                        "CONFIG_MODE": "UPDATE",
                        "PLUGIN_CONFIG": {
                            "PLUGIN_NAME": "INTENT",
                            "RESET_CONFIG": "true",
                            "PARAM_LIST": {
                                "intent_output_enabled": "true",
                                "intent_action": ZEBRA,
                                "intent_delivery": "2",
                            },
                        },
                    }
                },
            ),
            (
                "com.symbol.datawedge.api.ACTION",
                None,
                {
                    "com.symbol.datawedge.api.SET_CONFIG": {
                        "PROFILE_NAME": "kakou",
                        "PROFILE_ENABLED": "true",
                        "CONFIG_MODE": "UPDATE",
                        "PLUGIN_CONFIG": {
                            "PLUGIN_NAME": "KEYSTROKE",
                            "RESET_CONFIG": "true",
                            "PARAM_LIST": {"keystroke_output_enabled": "false"},
                        },
                    }
                },
            ),
        ],
        [],
    ),
    "honeywell": (
        [
            (
                "com.honeywell.aidc.action.ACTION_CLAIM_SCANNER",
                "com.intermec.datacollectionservice",
                {
                    "com.honeywell.aidc.extra.EXTRA_SCANNER": "dcs.scanner.imager",
                    "com.honeywell.aidc.extra.EXTRA_PROFILE": "DEFAULT",
                    "com.honeywell.aidc.extra.EXTRA_PROPERTIES": {
                        "DPR_DATA_INTENT": True,
                        "DPR_DATA_INTENT_ACTION": HONEYWELL,
                    },
                },
            )
        ],
        [("com.honeywell.aidc.action.ACTION_RELEASE_SCANNER", "com.intermec.datacollectionservice")],
    ),
    "idata": (
        [
            (
                "android.intent.action.BARCODEOUTPUT",
                None,
                {"android.intent.action.BARCODEOUTPUT": 1},
            )
        ],
        [],
    ),
    "newland": (
        [("ACTION_BAR_SCANCFG", None, {"EXTRA_SCAN_MODE": 3, "EXTRA_SCAN_AUTOENT": 0})],
        [("ACTION_BAR_SCANCFG", None)],
    ),
    "seuic": (
        [
            (
                "com.android.scanner.service_settings",
                None,
                {
                    "action_barcode_broadcast": "com.android.server.scannerservice.broadcast",
                    "key_barcode_broadcast": "scannerdata",
                    "barcode_send_mode": "BROADCAST",
                    "endchar": "NONE",
                },
            )
        ],
        [],
    ),
}


@pytest.fixture
def listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Phone, ScanIntents, list[Any]]]:
    monkeypatch.delenv("PYTHON_SERVICE_ARGUMENT", raising=False)

    def made(wanted: str = "auto", **given: Any) -> tuple[Phone, ScanIntents, list[Any]]:
        phone = Phone(folder=tmp_path, **given)
        put_into(monkeypatch, phone)
        told: list[Any] = []
        return phone, ScanIntents(VENDORS, told.append, SystemClock(), wanted=wanted), told

    return made


Listen = Callable[..., tuple[Phone, ScanIntents, list[Any]]]


def test_every_row_of_the_table_has_its_test() -> None:
    assert [vendor.id for vendor in VENDORS] == list(ROWS)


@pytest.mark.parametrize("sdk", [24, 30, 33, 34, 36])
@pytest.mark.parametrize("row", ROWS)
def test_a_code_of_every_maker_arrives_on_every_android(listen: Listen, row: str, sdk: int) -> None:
    _, action, extras, (text, symbology) = ROWS[row]
    phone, intents, told = listen(row, sdk=sdk, target=34)
    intents.start()
    assert phone.broadcast_extras(action, extras) == 1
    assert [(type(each), each.text, each.symbology, each.source) for each in told] == [
        (ScanSeen, text, symbology, "intent")
    ]


@pytest.mark.parametrize("row", ROWS)
def test_the_maker_is_known_by_the_device_and_is_told_how_to_speak(listen: Listen, row: str) -> None:
    maker = ROWS[row][0]
    phone, intents, _ = listen(maker=maker)
    intents.start()
    intents.start()
    started, stopped = SENT.get(row, ([], []))
    assert [(each.action, each.package, _plain(each.extras)) for each in phone.sent] == started
    phone.sent.clear()
    intents.stop()
    intents.stop()
    assert [(each.action, each.package) for each in phone.sent] == stopped


def _plain(extras: dict[str, Any]) -> dict[str, Any]:
    return {key: value.plain() if hasattr(value, "plain") else value for key, value in extras.items()}


def test_where_the_maker_is_unknown_all_are_listened_to_and_nobody_is_configured(listen: Listen) -> None:
    phone, intents, told = listen(maker="Nobody Ltd")
    intents.start()
    assert phone.sent == []
    for _, action, extras, _ in ROWS.values():
        phone.broadcast_extras(action, extras)
    assert len(told) == len(ROWS)
    assert all(isinstance(each, ScanSeen) for each in told)


def test_codes_read_during_a_pause_are_none_of_ours(listen: Listen) -> None:
    phone, intents, told = listen("seuic")
    intents.start()
    intents.stop()
    assert phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="A") == 0
    intents.start()
    assert phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="B") == 1
    assert [each.text for each in told] == ["B"]
    assert [thread.alive for thread in phone.threads] == [False, True]


def test_registering_as_python_for_android_does_would_throw_on_android_14(listen: Listen) -> None:
    """The trap this room exists for: the fake phone has it."""
    phone, _, _ = listen("seuic", sdk=34, target=34)
    assert phone.activity is not None
    with pytest.raises(JavaException, match="One of RECEIVER_EXPORTED"):
        phone.activity.registerReceiver(object(), _filter(), None, None)


def _filter() -> Any:
    from tests.android_phone import IntentFilter

    return IntentFilter("x")


def test_the_callback_lives_as_long_as_it_is_registered(listen: Listen) -> None:
    phone, intents, told = listen("seuic")
    intents.start()
    gc.collect()
    phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="A")
    assert [each.text for each in told] == ["A"]


def test_a_receiver_the_system_forgot_is_stopped_all_the_same(listen: Listen) -> None:
    phone, intents, _ = listen("seuic")
    intents.start()
    phone.registered.clear()
    intents.stop()
    intents.start()
    assert len(phone.registered) == 1


# --- hostile senders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("com.symbol.datawedge", ScanSeen),
        ("com.evil.sender", NotACode),
        (None, ScanSeen),
    ],
)
def test_where_the_system_names_the_sender_it_must_be_the_makers_service(
    listen: Listen, sender: str | None, kind: type
) -> None:
    phone, intents, told = listen("zebra", sdk=34)
    intents.start()
    phone.broadcast_extras(ZEBRA, ROWS["zebra"][2], sender=sender)
    assert [type(each) for each in told] == [kind]


def test_before_android_14_nobody_names_the_sender_and_the_code_counts(listen: Listen) -> None:
    phone, intents, told = listen("zebra", sdk=33)
    intents.start()
    phone.broadcast_extras(ZEBRA, ROWS["zebra"][2], sender="com.evil.sender")
    assert [type(each) for each in told] == [ScanSeen]


@pytest.mark.parametrize(
    ("extras", "why"),
    [
        ({"scannerdata": "x" * (LONGEST_TEXT + 1)}, "at most 4096"),
        ({"scannerdata": ""}, "without a code"),
        ({"scannerdata": "\0\0"}, "without a code"),
        ({"scannerdata": 12}, "without a code"),
        ({}, "without a code"),
    ],
)
def test_what_is_no_code_is_told_as_none(listen: Listen, extras: dict[str, Any], why: str) -> None:
    phone, intents, told = listen("seuic")
    intents.start()
    phone.broadcast_extras("com.android.server.scannerservice.broadcast", extras)
    (said,) = told
    assert isinstance(said, NotACode)
    assert why in said.why


def test_a_text_of_the_longest_length_still_is_a_code_and_nuls_are_dropped(listen: Listen) -> None:
    phone, intents, told = listen("seuic")
    intents.start()
    phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="x" * LONGEST_TEXT)
    phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="SF\x0012\r\n")
    assert [each.text for each in told] == ["x" * LONGEST_TEXT, "SF12"]


class Bomb(dict[str, Any]):
    """Extras of a class nobody has: Android throws when they are unpacked."""

    def get(self, *_: object) -> Any:
        raise JavaException("android.os.BadParcelableException", "ClassNotFoundException when unmarshalling")


def test_a_parcel_that_throws_when_unpacked_ends_nothing(listen: Listen) -> None:
    phone, intents, told = listen("seuic")
    intents.start()
    phone.broadcast_extras("com.android.server.scannerservice.broadcast", Bomb())
    phone.broadcast("com.android.server.scannerservice.broadcast", scannerdata="A")
    assert [type(each) for each in told] == [NotACode, ScanSeen]


def test_newlands_word_of_failure_is_no_code_and_no_garble(listen: Listen) -> None:
    phone, intents, told = listen("newland")
    intents.start()
    phone.broadcast("nlscan.action.SCANNER_RESULT", SCAN_BARCODE1="OLD", SCAN_STATE="fail")
    assert told == []


@pytest.mark.parametrize(
    ("row", "extras"),
    [
        (
            "sunmi",
            {
                "data": "\u00d4\u00cb\u00b5\u00a5\u00ba\u00c5SF1234567890123",
                "source_byte": GBK.encode("gb18030"),
            },
        ),
        ("sunmi", {"data": "???SF1234567890123", "source_byte": GBK.encode("utf-8")}),
    ],
)
def test_chinese_bytes_are_believed_before_the_services_guess(
    listen: Listen, row: str, extras: dict[str, Any]
) -> None:
    phone, intents, told = listen(row)
    intents.start()
    phone.broadcast_extras(ROWS[row][1], extras)
    assert told[0].raw == extras["source_byte"]
    assert told[0].text in (GBK, extras["data"])


def test_chinese_qr_of_zebra_is_decoded_by_us(listen: Listen) -> None:
    phone, intents, told = listen("zebra")
    intents.start()
    raw = GBK.encode("gb18030")
    phone.broadcast_extras(
        ZEBRA,
        {
            "com.symbol.datawedge.data_string": raw.decode("latin-1"),
            "com.symbol.datawedge.label_type": "LABEL-TYPE-QRCODE",
            "com.symbol.datawedge.decode_data": [raw],
        },
    )
    assert (told[0].text, told[0].symbology) == (GBK, "qrcode")


# --- the table --------------------------------------------------------------------------------------------


def test_a_site_may_hand_in_a_table_of_its_own(tmp_path: Path) -> None:
    table = tmp_path / "vendors.toml"
    table.write_text(
        '[[vendors]]\nid = "own"\nzh = "自有"\nen = "own"\nactions = ["a.b"]\ntext = ["t"]\n', "utf-8"
    )
    assert [vendor.id for vendor in read_vendors(table)] == ["own"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[vendors]]\nid = "a"\nzh = "x"\nen = "x"\nactions = []\n', "actions"),
        ('[[vendors]]\nid = "a"\nzh = "x"\nen = "x"\nactions = ["b"]\nsymbolgy = "c"\n', "symbolgy"),
        ("", "vendors"),
    ],
)
def test_a_table_with_a_mistake_is_refused_by_its_key(tmp_path: Path, text: str, why: str) -> None:
    table = tmp_path / "vendors.toml"
    table.write_text(text, "utf-8")
    with pytest.raises(ConfigRefused, match=why):
        read_vendors(table)


def test_a_row_that_stands_twice_and_a_vendor_nobody_knows_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "vendors.toml"
    row = '[[vendors]]\nid = "a"\nzh = "x"\nen = "x"\nactions = ["b"]\n'
    table.write_text(row + row, "utf-8")
    with pytest.raises(VendorRefused, match="a, b stands twice"):
        read_vendors(table)
    table.write_text(row + row.replace('"a"', '"c"'), "utf-8")
    with pytest.raises(VendorRefused, match="b stands twice"):
        read_vendors(table)
    with pytest.raises(VendorRefused, match="expected auto or one of zebra, honeywell"):
        chosen(VENDORS, "zebre", "x")
