"""The step wedge: whether the next parcel is one, and how long the machine may pass on the strength of it."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import refused_at_desk
from edge.xray_bridge.deciding.judging import not_to_pass
from edge.xray_bridge.deciding.state import Acts, Station
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.effects import AnswerDesk
from edge.xray_bridge.events import WedgeChecked
from edge.xray_bridge.values import Verdict
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import WedgeJudged
from sync.vocabulary.xray_reasons import Because, XRayReason


def wedge_asked(station: Station, desk: str, officer: str, on: bool, command: str) -> tuple[Station, Acts]:
    why = refused_at_desk(station, desk, officer)
    answer = AnswerDesk(desk, 0, not why, why, command)
    return (station if why else replace(station, wedge_next=on)), [answer]


def wedge_checked(station: Station, at_s: float, checked: WedgeChecked) -> tuple[Station, Acts]:
    """One that fails ends automatic passing at once."""
    until_s = at_s + station.settings.wedge_valid_s if checked.ok else -1e9
    station = replace(station, wedge_until_s=until_s, wedge_calibration=checked.calibration)
    judged = WedgeJudged(
        ok=checked.ok, picture=checked.picture, calibration=checked.calibration, why=checked.why
    )
    effects: Acts = [commit(judged)]
    if not checked.ok:
        for parcel in [p for p in station.parcels if p.verdict is Verdict.PASSED and p.by == "machine"]:
            station, more = not_to_pass(station, at_s, parcel.number, Because(XRayReason.WEDGE_INVALID))
            effects += more
        effects.append(
            alarm(AlarmCode.WEDGE_FAILED, checked.why, "阶梯楔校验不合格", "The wedge check failed")
        )
    return station, effects
