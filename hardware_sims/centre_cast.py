"""Who sits at the demo's command centre: officers with an account at the console. Values; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class CentreOfficer:
    number: str
    roles: tuple[str, ...]
    password: str
    pin: str = ""
    """At the X-ray station, of who may judge its pictures from the centre."""


CENTRE_OFFICERS = (
    CentreOfficer("ZZ1001", ("watch", "duty", "lead", "audit", "admin"), "demo-leader-1001", "482915"),
    CentreOfficer("ZZ1002", ("watch", "duty"), "demo-duty-1002", "730268"),
    CentreOfficer("ZZ1003", ("watch", "audit"), "demo-audit-1003"),
)
"""The shift leader, an officer on duty, an auditor. Of a simulated site on this machine alone."""


def centre_records(today: datetime) -> dict[str, list[dict[str, Any]]]:
    """The roster's lines for them: only rostered officers sign in."""
    return {
        "officers": [
            {
                "officer_no": each.number,
                "authorisations": ["inspect", "manual_release", "supplement", "x_ray"] if each.pin else [],
                "roles": list(each.roles),
                "public_key": "",
                "valid_until": (today + timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for each in CENTRE_OFFICERS
        ]
    }
