"""Makes `xray_manifest.json` from the code: `python docs/contract/make_xray_manifest.py`.

What lies beside a parcel's pictures as `manifest.json`. Nobody edits the schema; `docs/xray-evidence.md`
explains it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import msgspec  # noqa: E402
from written import written  # noqa: E402

from edge.xray_bridge.evidence.manifest import FORMAT, Manifest  # noqa: E402

FILE = HERE / "xray_manifest.json"


def schema() -> dict[str, Any]:
    (reference,), parts = msgspec.json.schema_components([Manifest], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "kakou/xray-manifest/v1.json",
        "title": FORMAT,
        **reference,
        "$defs": dict(sorted(parts.items())),
    }


def text() -> str:
    return written(schema())


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
