"""The contract says what the code does: schemas, AsyncAPI document and topic table are fresh and whole, and
what a real run published fits them, signatures included."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import base45
import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.contract import CARRIED, Carried, Wrapping
from sync.link.rights import topic_names
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import hash_of
from sync.vocabulary.trace_codes import is_ours
from tests.unit.test_bounds import samples

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "docs" / "contract"
EXAMPLES = sorted(path for path in (HERE / "examples").glob("*.json") if path.name != "public_keys.json")


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["contract_make"] = module
    spec.loader.exec_module(module)
    return module


MAKER = _maker()
SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (HERE / "schemas").glob("*.json")
}
DOCUMENT = yaml.safe_load((HERE / "asyncapi.yaml").read_text(encoding="utf-8"))


def fits(name: str, value: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(value)


# --- fresh and whole --------------------------------------------------------------------------------------


def test_the_contract_is_what_the_code_says() -> None:
    assert MAKER.stale() == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_a_schema_that_stands_alone(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    known = SCHEMAS[name]["$defs"]
    assert [ref for ref in references(SCHEMAS[name]) if ref.removeprefix("#/$defs/") not in known] == []


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    for reference in found:
        if reference.startswith("./"):
            assert (HERE / reference).is_file(), reference
            continue
        place = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert len(found) > 60


def test_the_document_has_what_asyncapi_3_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert set(DOCUMENT["channels"]) == set(DOCUMENT["operations"]) == topic_names()
    for name, channel in DOCUMENT["channels"].items():
        braces = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
        assert braces == set(channel["parameters"]), name
        operation = DOCUMENT["operations"][name]
        assert operation["action"] in ("send", "receive")
        assert operation["channel"] == {"$ref": f"#/channels/{name}"}
        assert operation["bindings"]["mqtt"]["qos"] == 1
    assert DOCUMENT["operations"]["facts"]["action"] == "receive"
    assert DOCUMENT["operations"]["ack"]["bindings"]["mqtt"]["retain"] is True


def test_a_topic_without_a_row_stops_the_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MAKER, "CARRIED", tuple(row for row in CARRIED if row.topic != "claim"))
    assert "asyncapi.yaml" in MAKER.stale()
    assert "ClaimRequest.json" in MAKER.stale()


# --- every message fits its schema, and what is no message does not ---------------------------------------


@pytest.mark.parametrize("kind", samples("d", "s", "e" * 32), ids=lambda kind: kind.__name__)
def test_a_whole_message_fits_its_schema_and_a_spoilt_one_does_not(kind: type[Any]) -> None:
    value = json.loads(to_json(samples("d", "s", "e" * 32)[kind]))
    fits(kind.__name__, value)
    fits(kind.__name__, {**value, "a field of tomorrow": {"x": [1]}})
    first = next(name for name in value if name != "type")
    for wrong in ({**value, first: {"no": "such"}}, {k: v for k, v in value.items() if k != first}):
        with pytest.raises(jsonschema.ValidationError):
            fits(kind.__name__, wrong)


# --- what a real run said ---------------------------------------------------------------------------------

KEYS = {
    name: Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
    for name, key in json.loads((HERE / "examples" / "public_keys.json").read_text()).items()
}


def opened(signed: Any, context: str) -> Any:
    fits("Signed", signed)
    KEYS[signed["kid"]].verify(base64.b64decode(signed["sig"]), f"{context}\n{signed['body']}".encode())
    return json.loads(signed["body"])


def test_there_are_examples_of_what_a_lane_and_its_centre_say_every_day() -> None:
    usual = {"feed", "feed_head", "pull", "facts", "ack", "head", "status", "hub_birth", "claim"}
    assert usual | {"claim_answer"} <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_recorded_example_fits_its_schema_and_its_signature_holds(path: Path) -> None:
    row = next(row for row in CARRIED if row.topic == path.stem)
    said = json.loads(path.read_text(encoding="utf-8"))
    assert 1 <= len(said) <= 2
    for each in said:
        assert each["retain"] is row.retain
        payload = json.loads(each["payload"])
        if row.wrapping is Wrapping.FACTS:
            facts_fit(payload)
        else:
            message_fits(row, payload)


def message_fits(row: Carried, payload: Any) -> None:
    (kind, context), *others = row.kinds
    assert others == [], "a recorded topic with several messages: say here how to tell them apart"
    fits(kind.__name__, opened(payload, context.value))


def facts_fit(payload: Any) -> None:
    *events, closing = payload
    for event in payload:
        fits("CloudEvent", event)
    checkpoint = opened(json.loads(closing["data"]), "kakou/checkpoint/v1")
    fits("Checkpoint", checkpoint)
    for event in events:
        fits("Fact", json.loads(event["data"]))
        assert hash_of(event["data"]) == event["hash"]
    assert events[-1]["hash"] in [head["hash"] for head in checkpoint["heads"]]


# --- a trace code, by whoever has the page alone ----------------------------------------------------------


def test_the_pages_own_lines_read_a_label_and_refuse_another_one(tmp_path: Path) -> None:
    page = (HERE / "README.md").read_text(encoding="utf-8")
    lines = page.partition("## Trace codes")[2].partition("```python\n")[2].partition("```")[0]
    example = json.loads((HERE / "trace_code.json").read_text(encoding="utf-8"))
    claims = example["claims"]

    def read(text: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "label.json"
        file.write_text(json.dumps({**example, "text": text}))
        return subprocess.run(
            [sys.executable, "-c", lines, str(file)], capture_output=True, text=True, timeout=60, check=False
        )

    seconds = int(datetime.fromisoformat(claims["issued"]).timestamp())
    told = [example["kid"], claims["issuer"], claims["trace_code"], str(seconds), claims["waybill_no"]]
    assert read(example["text"]).stdout.split() == told
    assert is_ours(claims["trace_code"])
    packed = base45.b45decode(example["text"].removeprefix("KT1:"))
    forged = zlib.decompress(packed).replace(b"YT0000000000011", b"YT0000000000012")
    assert "InvalidSignature" in read(f"KT1:{base45.b45encode(zlib.compress(forged)).decode()}").stderr
