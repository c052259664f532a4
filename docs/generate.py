"""Writes what the guides take from the code: `python docs/generate.py` (`--check` only compares)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from edge.devices.catalogue import PROTOCOLS, settings_of  # noqa: E402
from edge.gate.config import INPUT_NAMES, GateConfig  # noqa: E402
from edge.gate.transitions import diagram, table  # noqa: E402
from edge.runtime.config_reading import reference_table  # noqa: E402
from sync.vocabulary.rulings import TEXTS  # noqa: E402


def lane_states() -> str:
    return f"```mermaid\n{diagram()}\n```\n\n{table()}\n"


def gate_keys() -> str:
    return reference_table(GateConfig)


def device_settings() -> str:
    parts: list[str] = []
    for protocol in PROTOCOLS:
        parts += [f"#### `{protocol}`", "", "| key | expected | default | means |", "|---|---|---|---|"]
        parts += [
            f"| `{row.key}` | {row.expected} | `{row.default!r}` | {row.says} |".replace("|0", "0")
            for row in settings_of(protocol)
        ]
        parts.append("")
    return "\n".join(parts)


def signals() -> str:
    return "\n".join(f"- `{name}`" for name in INPUT_NAMES) + "\n"


def reasons() -> str:
    rows = ["| code | the driver sees (zh) | (en) |", "|---|---|---|"]
    rows += [f"| `{reason.value}` | {text.zh} | {text.en} |" for reason, text in TEXTS.items()]
    return "\n".join(rows) + "\n"


SECTIONS = {
    "architecture.md": {"lane-states": lane_states},
    "configuration.md": {
        "gate-keys": gate_keys,
        "device-settings": device_settings,
        "signals": signals,
        "reasons": reasons,
    },
}


def generated(name: str) -> tuple[str, str]:
    """(the guide as it stands, as it should stand)."""
    now = (DOCS / name).read_text(encoding="utf-8")
    then = now
    for marker, make in SECTIONS[name].items():
        pattern = re.compile(rf"(<!-- {marker}:begin -->\n).*?(<!-- {marker}:end -->)", re.DOTALL)
        if not pattern.search(then):
            raise SystemExit(f"{name}: expected the markers <!-- {marker}:begin --> and :end")
        text = make()
        then = pattern.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", then)  # type: ignore[misc]
    return now, then


def main() -> int:
    stale = []
    for name in SECTIONS:
        now, then = generated(name)
        if now != then:
            stale.append(name)
            if "--check" not in sys.argv:
                (DOCS / name).write_text(then, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.stderr.write(f"stale, run python docs/generate.py: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
