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
from edge.handheld.config import HandheldConfig  # noqa: E402
from edge.runtime.config_reading import reference_table  # noqa: E402
from edge.xray_bridge.config import XRayConfig  # noqa: E402
from sync.vocabulary.rulings import GUIDES, OWNERS, TEXTS, WAYS, Guide, Reason, Text, Way  # noqa: E402
from sync.vocabulary.xray_reasons import (  # noqa: E402
    AT_THE_DIVERTER,
    NOBODY_PASSES,
    TO_AN_OFFICER,
    XRayReason,
)
from sync.vocabulary.xray_reasons import TEXTS as XRAY_TEXTS  # noqa: E402
from tests.unit.test_lane_rules_site import shown_by  # noqa: E402


def lane_states() -> str:
    return f"```mermaid\n{diagram()}\n```\n\n{table()}\n"


def gate_keys() -> str:
    return reference_table(GateConfig)


def handheld_keys() -> str:
    return reference_table(HandheldConfig)


def xray_keys() -> str:
    return reference_table(XRayConfig)


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


LET_GO = frozenset({Reason.RELEASED, Reason.RELEASED_EMPTY, Reason.MANUAL_RELEASE, Reason.MANUAL_ASIDE})
"""Nobody has to end these."""


def reason_rows(
    texts: dict[Reason, Text], guides: dict[Reason, Guide], shown: dict[Reason, str]
) -> list[str]:
    """One row a reason. Raises `SystemExit` naming the reason that nobody wrote words or a test for."""
    rows: list[str] = []
    for reason in Reason:
        missing = [
            what
            for what, there in (
                ("text for the driver", reason in texts),
                ("guide for the officer", reason in guides or reason in LET_GO),
                ("test that shows it", reason in shown),
            )
            if not there
        ]
        if missing:
            raise SystemExit(f"reason {reason.value}: expected a {', a '.join(missing)}")
        text, guide = texts[reason], guides.get(reason)
        owner = "" if guide is None else _both(OWNERS[guide.owner])
        ways = "" if guide is None else "<br>".join(_beside(WAYS[way]) for way in Way if way in guide.ways)
        done = "" if guide is None else f"{guide.zh}<br>{guide.en}"
        cells = (f"`{reason.value}`", _both(text), owner, ways, done, _test(shown[reason]))
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _both(text: Text) -> str:
    return f"{text.zh}<br>{text.en}"


def _beside(text: Text) -> str:
    return f"{text.zh} {text.en}"


def _test(shown: str) -> str:
    path, _, name = shown.partition("::" if "::" in shown else ": ")
    link = f"[{Path(path).name}](../{path})"
    return f"{link} `{name}`" if "::" in shown else f"{link}: {name}"


def reasons() -> str:
    head = [
        "| code | 司机看到 the driver reads | 负责 owner | 出路 ways out | 处置 what is done | shown by |"
    ]
    return "\n".join([*head, "|---|---|---|---|---|---|", *reason_rows(TEXTS, GUIDES, shown_by())]) + "\n"


def x_ray_reasons() -> str:
    rows = ["| code | 关员看到 the officer reads | 去向 where it leads |", "|---|---|---|"]
    rows += [f"| `{code.value}` | {_both(text)} | {_leads(code)} |" for code, text in XRAY_TEXTS.items()]
    return "\n".join(rows) + "\n"


def _leads(code: XRayReason) -> str:
    if code in (XRayReason.CLEAR, XRayReason.JUDGED):
        return "判定成立 the verdict stands"
    if code in NOBODY_PASSES:
        return "关员判图，不得机检通过 to an officer, who cannot pass it"
    if code in TO_AN_OFFICER:
        return "关员判图 to an officer"
    if code in AT_THE_DIVERTER:
        return "已判也转复检 to recheck, whatever was judged"
    return "复检 to recheck"


SECTIONS = {
    "architecture.md": {"lane-states": lane_states},
    "configuration.md": {
        "gate-keys": gate_keys,
        "handheld-keys": handheld_keys,
        "xray-keys": xray_keys,
        "device-settings": device_settings,
        "signals": signals,
    },
    "reasons.md": {"reasons": reasons, "x-ray-reasons": x_ray_reasons},
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
