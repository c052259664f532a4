"""The judgement contract as the other end sees it: the schema is the code's, and what is said fits it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from edge.xray_bridge.contract import MESSAGES, DeskCommand, SignIn
from edge.xray_bridge.rules import REFUSALS
from edge.xray_bridge.view import CATEGORIES, answer_words, desk_view
from tests.unit.test_xray_page import Client, wait
from tests.xray_desk import DeskSite, desk_site, parcel_of

HERE = Path(__file__).resolve().parents[2] / "docs" / "contract"


def _maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_xray_station", HERE / "make_xray_station.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def _validator(name: str) -> Draft202012Validator:
    told = json.loads((HERE / "xray_station.json").read_text("utf-8"))
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": told["$defs"]})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DeskSite]:
    built = desk_site(tmp_path)
    yield built
    built.page.stop()


def test_the_schema_is_what_the_code_says() -> None:
    assert (HERE / "xray_station.json").read_text("utf-8") == _maker().text()


def test_what_a_desk_hears_and_says_fits_the_schema(site: DeskSite) -> None:
    site.line.place(parcel_of(1), 30.0)
    site.line.place(parcel_of(2, goods=None, scores=None, picture=None), 40.0)
    client = Client(site)
    told = client.sign_in()
    del told["status"]
    _validator("SignedIn").validate(told)
    client.listen()
    wait(lambda: bool(client.views[-1]["me"]["in_hand"]))
    _validator("DeskView").validate(client.views[-1])
    command = {"do": "judge", "id": "a1", "parcel": 1, "picture": "pic-1", "verdict": "passed"}
    _validator("DeskCommand").validate(command)
    _validator("Accepted").validate(client.told("POST", "/v1/commands", command)[1])
    wait(lambda: bool(client.answers))
    _validator("Answer").validate(client.answers[0])
    _validator("Refusal").validate(client.told("POST", "/v1/commands", {**command, "id": "a b"})[1])
    _validator("Found").validate(client.told("GET", "/v1/search?by=picture&text=pic-1")[1])
    client.hang_up()
    assert client.answers[0]["id"] == "a1"


@pytest.mark.parametrize(
    "command",
    [
        {"do": "judge", "id": "a", "parcel": 1, "picture": "p", "verdict": "released"},
        {"do": "judge", "id": "a", "parcel": 0, "picture": "p", "verdict": "passed"},
        {"do": "judge", "id": "", "parcel": 1, "picture": "p", "verdict": "passed"},
        {"do": "judge", "id": "a", "parcel": 1, "picture": "p", "verdict": "passed", "note": "x" * 501},
        {"do": "start", "id": "a"},
        {"do": "undo", "id": "a"},
    ],
)
def test_schema_and_program_refuse_the_same(command: dict[str, Any]) -> None:
    assert not _validator("DeskCommand").is_valid(command)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(command), type=DeskCommand)


def test_every_message_has_a_place_in_the_schema_and_no_pin_is_ever_said() -> None:
    told = json.loads((HERE / "xray_station.json").read_text("utf-8"))
    assert set(MESSAGES) <= set(told["$defs"])
    assert "4091735" not in repr(SignIn(officer="1", pin="4091735"))


def test_whatever_was_refused_is_said_in_both_languages() -> None:
    for why in (*REFUSALS, "", "disk is full"):
        for ok in (True, False):
            words = answer_words(why, ok=ok)
            assert words.zh
            assert words.en


def test_categories_have_one_key_each() -> None:
    assert len(CATEGORIES) == len({each.code for each in CATEGORIES}) == 9


def test_a_desk_is_shown_its_own_part_only(site: DeskSite) -> None:
    site.line.place(parcel_of(1), 30.0)
    site.line.came = {"desk-1": "4604009", "desk-2": "4604010"}
    whole = site.line.latest()
    assert whole is not None
    shown = desk_view(whole, "desk-2", "4604010", stale_s=0.0)
    assert (shown.me.desk, shown.me.officer) == ("desk-2", "4604010")
    stranger = desk_view(whole, "desk-2", "4604009", stale_s=0.0)
    assert stranger.me.in_hand == ()
