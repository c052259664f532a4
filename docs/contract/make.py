"""Makes the contract from the code: `python docs/contract/make.py` (`--check` only compares).

AsyncAPI document, JSON Schemas and the table of topics come from `sync.link.contract`, `sync.link.rights`
and the vocabulary; nobody edits them. What is written by hand stands in `README.md` around the table.
"""

from __future__ import annotations

import inspect
import json
import sys
import typing
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import msgspec  # noqa: E402
import yaml  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402

from sync.link.contract import CARRIED, QOS, Carried, Wrapping  # noqa: E402
from sync.link.messages import CloudEvent, Signed, Topics  # noqa: E402
from sync.link.rights import RIGHTS, Party, TopicRight  # noqa: E402
from sync.vocabulary.codec import to_builtins  # noqa: E402
from sync.vocabulary.facts import VERSION, FactBody, Stream  # noqa: E402
from sync.vocabulary.numbers import NumberText, UtcText, WaybillNo  # noqa: E402
from sync.vocabulary.records import COLLECTIONS  # noqa: E402
from sync.vocabulary.signed_codes import kid_of  # noqa: E402
from sync.vocabulary.slip_codes import SlipClaims  # noqa: E402
from sync.vocabulary.trace_codes import TraceClaims, unsigned  # noqa: E402

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BEGIN, END = "<!-- topics: made by make.py -->", "<!-- end of topics -->"
CONTRACT_VERSION = "1.0.0"


def _own_texts(kind: type) -> dict[str, Any]:
    """Our number types in a schema: text of a pattern."""
    if isinstance(kind, type) and issubclass(kind, NumberText):
        return {"type": "string", "pattern": f"^(?:{kind.pattern.pattern})$", "description": _first(kind)}
    raise NotImplementedError(kind)


def _first(kind: type) -> str:
    """The first paragraph of a docstring."""
    text = inspect.cleandoc(kind.__doc__ or "")
    return " ".join(text.partition("\n\n")[0].split())


def roots() -> dict[str, Any]:
    """Name -> type of every schema that has a file of its own."""
    kinds: dict[str, Any] = {"Signed": Signed, "CloudEvent": CloudEvent, "Fact": FactBody}
    for row in CARRIED:
        kinds |= {kind.__name__: kind for kind, _ in row.kinds}
    kinds |= {f"record.{name}": kind for name, kind in COLLECTIONS.items()}
    return kinds | {"SlipClaims": SlipClaims}


def schemas() -> dict[str, dict[str, Any]]:
    """Name -> a JSON Schema that stands alone. Unknown fields are allowed: versions are additive."""
    made: dict[str, dict[str, Any]] = {}
    for name, kind in roots().items():
        (reference,), parts = msgspec.json.schema_components(
            [kind], schema_hook=_own_texts, ref_template="#/$defs/{name}"
        )
        made[name] = {
            "$schema": DIALECT,
            "$id": f"kakou/v1/{name}.json",
            "title": name,
            **reference,
            "$defs": dict(sorted(parts.items())),
        }
    return made


# --- AsyncAPI ---------------------------------------------------------------------------------------------


def right_of(row: Carried) -> TopicRight:
    return next(right for right in RIGHTS if right.topic == row.topic)


def address_of(row: Carried) -> tuple[str, tuple[str, ...]]:
    """The topic with its parameters in braces, and their names."""
    method = getattr(Topics("{site}"), row.topic)
    names = tuple(inspect.signature(method).parameters)

    class Braces:
        value = "{stream}"

    given = [Braces() if name == "stream" else f"{{{name}}}" for name in names]
    return str(method(*given)), ("site", *names)


_PARAMETERS: dict[str, dict[str, Any]] = {
    "site": {"description": "the site's name"},
    "device": {"description": "the device's name; it writes only under its own"},
    "scope": {"description": "a closed set of records with one numbered log"},
    "stream": {"description": "of facts", "enum": [stream.value for stream in Stream]},
}


def asyncapi() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for row in CARRIED:
        address, names = address_of(row)
        listed = _messages(row)
        messages |= listed
        channels[row.topic] = {
            "address": address,
            "summary": row.says,
            "parameters": {name: dict(_PARAMETERS[name]) for name in names},
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in listed},
        }
        up = right_of(row).writer is Party.DEVICE
        operations[row.topic] = {
            "action": "receive" if up else "send",
            "channel": {"$ref": f"#/channels/{row.topic}"},
            "summary": row.says,
            "bindings": {"mqtt": {"qos": QOS, "retain": row.retain, "bindingVersion": "0.2.0"}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "kakou: lanes, handhelds and stations with their centre",
            "version": CONTRACT_VERSION,
            "description": "Written from the centre's side: it receives what devices send. Complete on "
            "MQTT 3.1.1, QoS 1, clean sessions. What no schema can say stands in README.md beside this.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _messages(row: Carried) -> dict[str, Any]:
    if row.wrapping is Wrapping.FACTS:
        return {
            "FactsBatch": {
                "summary": "CloudEvents 1.0, structured JSON batch: facts, closed by a signed checkpoint",
                "contentType": "application/cloudevents-batch+json",
                "payload": {"type": "array", "minItems": 2, "items": {"$ref": "./schemas/CloudEvent.json"}},
                "x-kakou-data": {
                    "kakou.fact.*": {"$ref": "./schemas/Fact.json"},
                    "kakou.checkpoint.v1": {"$ref": "./schemas/Signed.json"},
                },
            }
        }
    made: dict[str, Any] = {}
    for kind, context in row.kinds:
        body: dict[str, Any] = {
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"./schemas/{kind.__name__}.json"},
        }
        payload: dict[str, Any] = {
            "allOf": [{"$ref": "./schemas/Signed.json"}, {"properties": {"body": body}}],
        }
        if row.wrapping is Wrapping.CHAIN:
            if kind.__name__ != "KeyChain":
                continue
            payload = {"$ref": "./schemas/KeyChain.json"}
        made[kind.__name__] = {
            "summary": _first(kind),
            "contentType": "application/octet-stream"
            if row.wrapping is Wrapping.LINE_AND_BYTES
            else "application/json",
            "payload": payload,
            "x-kakou-context": context.value,
            "x-kakou-wrapping": row.wrapping.value,
        }
    return made


# --- the table of topics ----------------------------------------------------------------------------------


def table() -> str:
    lines = [
        "| topic below `kakou/v1/{site}/` | from → to | retained | carries | schema | signed for |",
        "|---|---|---|---|---|---|",
    ]
    for row in CARRIED:
        right = right_of(row)
        address = address_of(row)[0].removeprefix("kakou/v1/{site}/")
        kinds = [kind.__name__ for kind, _ in row.kinds]
        if row.wrapping is Wrapping.FACTS:
            kinds = ["CloudEvent", "Fact", *kinds]
        links = ", ".join(f"[{name}](schemas/{name}.json)" for name in kinds)
        contexts = ", ".join(dict.fromkeys(f"`{context.value}`" for _, context in row.kinds))
        writer, reader = right.writer.value, right.reader.value
        retained = "yes" if row.retain else ""
        lines.append(
            f"| `{address}` | {writer} → {reader} | {retained} | {row.says} | {links} | {contexts} |"
        )
    return "\n".join(lines)


# --- a trace code -----------------------------------------------------------------------------------------


def trace_code() -> dict[str, Any]:
    """A label to check a reader by; its private key is the bytes 0 to 31."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes_raw()
    claims = TraceClaims(
        trace_code="KT26112201234567893",
        waybill_no=WaybillNo("YT0000000000011"),
        issuer="demo-port",
        issued=UtcText("2026-11-22T08:00:00Z"),
    )
    made = unsigned(claims, kid_of(public))
    return {
        "text": made.text(private.sign(made.signed)),
        "public_key": public.hex(),
        "kid": kid_of(public),
        "signed": made.signed.hex(),
        "claims": to_builtins(claims),
    }


# --- files ------------------------------------------------------------------------------------------------


def files() -> dict[Path, str]:
    """Path -> what it should hold."""
    made = {
        HERE / "schemas" / f"{name}.json": json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True)
        + "\n"
        for name, schema in schemas().items()
    }
    made[HERE / "asyncapi.yaml"] = (
        "# Made by docs/contract/make.py from the code; a test fails when they drift.\n"
        + yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=110)
    )
    made[HERE / "trace_code.json"] = json.dumps(trace_code(), indent=1) + "\n"
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    made[page] = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    return made


def stale() -> list[str]:
    """Files that do not hold what they should, and schemas nobody makes any more."""
    made = files()
    wrong = [
        path.name
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return wrong + [path.name for path in sorted((HERE / "schemas").glob("*.json")) if path not in made]


def main() -> int:
    if "--check" in sys.argv:
        for name in stale():
            sys.stderr.write(f"{name} is not what the code says; run docs/contract/make.py\n")
        return 1 if stale() else 0
    made = files()
    for path in (HERE / "schemas").glob("*.json"):
        if path not in made:
            path.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


assert typing.TYPE_CHECKING or VERSION == 1, "a new version of facts needs a word in README.md"  # noqa: S101

if __name__ == "__main__":
    sys.exit(main())
