"""What many seeds reached together, what they did not, and how fast they ran. Adds up; judges no run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.devices.catalogue import PROTOCOLS
from edge.gate.transitions import TRANSITIONS
from hardware_sims.devices.customs_platform import ANSWERS
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.rulings import Reason
from tests.world.chaos import STAGED, TROUBLES, Outcome
from tests.world.traffic import CASES

PHASES = (
    "Waking",
    "Free",
    "Reading",
    "Consulting",
    "Claiming",
    "Raising",
    "Passing",
    "Lowering",
    "Holding",
    "Shut",
)

CHECKED = (
    "G2",
    "G5",
    "G6 restored",
    "G9",
    "S10",
    "S11",
    "S12 crossings",
    "S12 fire",
    "S12 hand",
    "S12 power",
    "S2 lowered",
    "S2 reopened",
    "S3",
    "S4",
    "S4 reserved by policy",
    "S5",
    "S7 weight",
    "S7 jump",
    "S8",
    "S8 aside",
    "S8 supplement",
    "S9 owner",
    "not forbidden",
    "platform before",
    "platform after",
    "platform instead",
    "platform lost",
)
"""Checks that look only when there is something to look at: each must have looked."""

UNREACHED: dict[str, dict[str, str]] = {
    "supplements": {
        "container": "an officer must be there in the seconds before the driver gives up; "
        "tests/machine/test_lane_complete.py enters one",
    },
    "alarms": {
        AlarmCode.DOUBLE_USE.value: "raised at the hub, which lists double uses; lanes do not raise it",
        AlarmCode.SCALE_FAULT.value: "nobody here is too heavy for an indicator; "
        "tests/machine/test_lane_complete.py, an overloaded vehicle",
        AlarmCode.CLOSED_BY_CENTRE.value: "nobody at the centre of the world closes a lane; "
        "tests/machine/test_lane_commands.py closes it in every phase",
        AlarmCode.CERTIFICATE_ENDS.value: "no TLS in the world; tests/system/test_production_profile.py",
        AlarmCode.RECORDS_DIFFER.value: "needs a damaged records file; tests/machine/test_session_model.py",
        **{
            code.value: "an X-ray station's; tests/machine/test_xray_*.py"
            for code in (
                AlarmCode.PARCEL_REMOVED,
                AlarmCode.PARCEL_ADDED,
                AlarmCode.WRONG_CHUTE,
                AlarmCode.BELT_FAULT,
                AlarmCode.WEDGE_FAILED,
                AlarmCode.EVIDENCE_FULL,
            )
        },
    },
    "reasons": {
        Reason.SLIP_CODE_REFUSED.value: "no driver of the world shows a signed code; "
        "tests/unit/test_slip_codes_lane.py shows them to a real lane's machine",
        Reason.TRAILER_MISMATCH.value: "no camera of the world sees a rear plate; "
        "tests/machine/test_lane_complete.py, another trailer than the registered one",
        Reason.SCALE_FAULT.value: "nobody here is too heavy for an indicator; "
        "tests/machine/test_lane_complete.py, an overloaded vehicle",
    },
    "transitions": {
        "Lowering -> Waking": "an order to lower for nobody has to be refused at that moment; "
        "tests/machine/test_lane_complete.py plays it",
        "Consulting -> Shut": "fire within the seconds in which the platform is asked comes in few seeds; "
        "tests/machine/test_lane_platform.py plays it",
        "Claiming -> Free": "a vehicle needs longer to leave than a claim may take; tests/machine plays it",
    },
}
"""What the world does not reach, and why that is so."""

UNREACHED["reasons"] |= dict.fromkeys(
    (
        Reason.PARCEL_UNKNOWN.value,
        Reason.CODE_AMBIGUOUS.value,
        Reason.NOT_DECLARED.value,
        Reason.DECLARATION_CANCELLED.value,
        Reason.DOCUMENTS_DIFFER.value,
        Reason.X_RAY_FLAGGED.value,
        Reason.X_RAY_RECHECK.value,
        Reason.INSPECTION_ORDERED.value,
        Reason.KEPT_BACK.value,
    ),
    "of one parcel, and no lane rules on one: edge/handheld/rules.py has tests of its own",
)


class Tally:
    """Sums over seeds."""

    def __init__(self) -> None:
        self.seeds = 0
        self.failed: list[int] = []
        self.seen: dict[str, Counter[str]] = defaultdict(Counter)
        self.virtual_s = 0.0
        self.lane_s = 0.0
        self.lived_s = 0.0
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.events = 0
        self.passages = 0

    def add(self, outcome: Outcome) -> None:
        figures = outcome.figures
        self.seeds += 1
        if outcome.breaches:
            self.failed.append(outcome.seed)
        for what, counts in outcome.seen.items():
            self.seen[what].update(counts)
        self.virtual_s += figures.virtual_s
        self.lane_s += figures.lane_s
        self.lived_s += figures.lived_s
        self.cpu_s += figures.cpu_s
        self.events += figures.events
        self.passages += figures.passages

    def as_json(self) -> dict[str, Any]:
        return {
            "failed": self.failed,
            "virtual_h": round(self.virtual_s / 3600, 3),
            "lane_h": round(self.lane_s / 3600, 3),
            "lived_lane_h": round(self.lived_s / 3600, 3),
            "cpu_s": round(self.cpu_s, 1),
            "wall_s": round(self.wall_s, 1),
            "events": self.events,
            "passages": self.passages,
            "events_per_s_core": round(self.events / self.cpu_s) if self.cpu_s else 0,
            "passages_per_s_core": round(self.passages / self.cpu_s, 2) if self.cpu_s else 0,
            "lane_h_per_min_core": round(self.lane_s / 60 / self.cpu_s, 2) if self.cpu_s else 0,
            "seen": {what: dict(sorted(counts.items())) for what, counts in sorted(self.seen.items())},
        }

    @classmethod
    def from_json(cls, parts: Mapping[str, Any]) -> Tally:
        """What `to_add` wrote."""
        tally = cls()
        for name in ("seeds", "failed", "virtual_s", "lane_s", "lived_s", "cpu_s", "events", "passages"):
            setattr(tally, name, parts[name])
        for what, counts in parts["seen"].items():
            tally.seen[what].update(counts)
        return tally

    def to_add(self) -> dict[str, Any]:
        names = ("seeds", "failed", "virtual_s", "lane_s", "lived_s", "cpu_s", "events", "passages")
        return {name: getattr(self, name) for name in names} | {
            "seen": {what: dict(counts) for what, counts in self.seen.items()}
        }

    def join(self, other: Tally) -> None:
        for name in ("seeds", "failed", "virtual_s", "lane_s", "lived_s", "cpu_s", "events", "passages"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for what, counts in other.seen.items():
            self.seen[what].update(counts)

    def missing(self) -> list[str]:
        """What should have been reached and was not."""
        wanted: dict[str, list[str]] = {
            "phases": list(PHASES),
            "transitions": [f"{row.before} -> {row.after}" for row in TRANSITIONS],
            "trouble": sorted(TROUBLES | STAGED),
            "cases": sorted(CASES),
            "reasons": [reason.value for reason in Reason],
            "alarms": [code.value for code in AlarmCode],
            "checked": list(CHECKED),
            "protocols": list(PROTOCOLS),
            "platform answers": list(ANSWERS),
            "supplements": ["plate", "weight", "slip", "container"],
        }
        return [
            f"{what}: {name}"
            for what, names in wanted.items()
            for name in names
            if not self.seen[what][name] and name not in UNREACHED.get(what, {})
        ]

    def table(self) -> str:
        """For people."""
        figures = self.as_json()
        rows = [
            ("seeds", f"{self.seeds}, {len(self.failed)} failed"),
            ("virtual", f"{figures['virtual_h']:.1f} h of the site, {figures['lane_h']:.1f} lane-hours"),
            (
                "lived",
                f"{figures['lived_lane_h']:.1f} lane-hours with every byte; the rest was idle and skipped",
            ),
            ("passages", f"{self.passages}, {figures['passages_per_s_core']:.1f} a second a core"),
            ("events", f"{self.events}, {figures['events_per_s_core']} a second a core"),
            ("speed", f"{figures['lane_h_per_min_core']:.1f} lane-hours a minute a core"),
        ]
        if self.wall_s:
            rows.append(("time", f"{self.wall_s:.0f} s, {self.cpu_s:.0f} s of processors"))
        lines = [f"{name:10}{text}" for name, text in rows]
        missing = self.missing()
        if missing:
            lines.append("not reached in these seeds: " + ", ".join(missing))
        return "\n".join(lines)


def repeat_with(seed: int, site: Path | None = None) -> str:
    """The one command that repeats a seed."""
    rest = f" --site {site}" if site is not None else ""
    return f".venv/bin/python -m tests.world --seeds {seed}-{seed}{rest} --story"
