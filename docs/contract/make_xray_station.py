"""Makes `xray_station.json` from the code: `python docs/contract/make_xray_station.py`.

The messages are `edge.xray_bridge.contract`'s; nobody edits the schema. `docs/xray-station.md` explains them.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import msgspec  # noqa: E402
from written import written  # noqa: E402

from edge.xray_bridge.contract import MESSAGES, VERSION  # noqa: E402

FILE = HERE / "xray_station.json"


def schema() -> dict[str, Any]:
    """One document: each message by its name under `$defs`, with all that it is made of. What a station says
    may have further fields; what a desk says may not."""
    kinds = list(MESSAGES.values())
    references, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    named = dict(zip(MESSAGES, references, strict=True))
    parts |= {name: each for name, each in named.items() if each != {"$ref": f"#/$defs/{name}"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"kakou/xray-station/v{VERSION}.json",
        "title": "The judgement contract of an X-ray station",
        "description": inspect.cleandoc(__doc__ or "").partition("\n\n")[2],
        "messages": sorted(MESSAGES),
        "$defs": dict(sorted(parts.items())),
    }


def text() -> str:
    return written(schema())


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
