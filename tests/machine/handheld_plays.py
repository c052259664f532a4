"""A stage for one room of the handheld: what the officer does and what is found goes in, effects are kept,
and the state goes through its JSON after every step, as if the power had gone. It asserts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from edge.handheld.context import Context, SignedIn, Sync
from edge.handheld.effects import Commit, Effect, LookUp, Sound, Tone
from edge.handheld.events import Committed, Found, ParcelFindings, RecordsRead
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.facts import kind_of
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    InspectionMethod,
    ReleaseSlip,
    Site,
    SiteLane,
    SlipKind,
    SlipState,
    Waybill,
)

UTC = UtcText("2026-11-22T08:00:00Z")
LATER = UtcText("2027-01-01T00:00:00Z")
SLIP, OTHER_SLIP = SlipNo("Z3111I240728000000000003"), SlipNo("Z3111I240728000000000004")
FIRM = EnterpriseCode("4101960001")
SITE = Site(
    site="zz",
    name_zh="郑州",
    name_en="Zhengzhou",
    lanes=(SiteLane(lane="lane-in-1", direction=Direction.IN, name_zh="1号", name_en="1"),),
    two_officer_methods=(InspectionMethod.SAMPLE,),
)
ALL = ("inspect", "manual_release", "supplement", "patrol", "stock_take")
RECORDS = RecordsRead(utc=UTC, site=SITE, scope="zz", epoch="e1", number=42, age_s=60.0)


def waybill_no(number: int) -> WaybillNo:
    return WaybillNo(f"SF{number:013d}")


def waybill(number: int, slip: SlipNo | None = SLIP, **changes: Any) -> Waybill:
    fields: dict[str, Any] = {
        "waybill_no": waybill_no(number),
        "declarations": (f"QD{number}",),
        "slip_no": slip,
        "enterprise": FIRM,
        "batch_no": "B7",
        "lines": (
            {"no": "1", "sku": "SKU-1", "name": "面霜", "quantity": "2", "unit": "瓶"},
            {"no": "2", "sku": "SKU-2", "name": "口红", "quantity": "0.5", "unit": "千克"},
        ),
    }
    return Waybill(**{**fields, **changes})


def slip(slip_no: SlipNo = SLIP, state: SlipState = SlipState.APPROVED) -> ReleaseSlip:
    return ReleaseSlip(
        slip_no=slip_no,
        direction=Direction.OUT,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        vehicle_kg=Decimal(9000),
        cargo_gross_kg=Decimal(100),
        total_kg=Decimal(9100),
        enterprise=FIRM,
        state=state,
        valid_from=UtcText("2026-01-01T00:00:00Z"),
        valid_until=LATER,
    )


def parcel(*waybills: Waybill, code: str = "") -> ParcelFindings:
    firm = Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=0)
    return ParcelFindings(
        code=code or (str(waybills[0].waybill_no) if waybills else "?"),
        waybills=waybills,
        slips=(slip(), slip(OTHER_SLIP)),
        enterprises=(firm,),
    )


class Play:
    """One room on its own."""

    def __init__(
        self, state: Any, step: Callable[[Any, Context, Any], tuple[Any, tuple[Effect, ...]]]
    ) -> None:
        self.kind = type(state)
        self.state = state
        self._step = step
        self.at_s = 1_000.0
        self.officer: str | None = "4604001"
        self.authorisations: tuple[str, ...] = ALL
        self.site: Site | None = SITE
        self.online = True
        self.effects: list[Effect] = []
        """All so far."""
        self.last: tuple[Effect, ...] = ()

    @property
    def context(self) -> Context:
        officer = None
        if self.officer is not None:
            officer = SignedIn(officer_no=self.officer, authorisations=self.authorisations, since_s=0.0)
        return Context(
            at_s=self.at_s,
            utc=UTC,
            device="handheld-1",
            officer=officer,
            site=self.site,
            sync=Sync(online=self.online, records_epoch="e1", records_number=42, records_age_s=60.0),
        )

    def tell(self, *events: Any) -> Play:
        """Each stepped, and the state read back from what a memory would hold of it."""
        for event in events:
            self.state, self.last = self._step(self.state, self.context, event)
            self.effects += self.last
            self.reload()
        return self

    def reload(self) -> None:
        self.state = from_json(to_json(self.state), self.kind)

    def power_cut(self, head: int = 1_000) -> Play:
        """The program comes back: its clock began anew, and the journal says how far it stands."""
        self.at_s = 5.0
        return self.tell(Committed(0, head))

    def found(self, findings: Any, records: RecordsRead = RECORDS) -> Play:
        """Answers the last look-up."""
        (asked,) = [effect for effect in self.last if isinstance(effect, LookUp)]
        return self.tell(Found(asked.request, findings, records))

    def only(self, kind: type[Any]) -> Any:
        """The one effect of this kind in the last step."""
        (effect,) = [effect for effect in self.last if isinstance(effect, kind)]
        return effect

    def facts(self, *names: str) -> list[Any]:
        """Of these kinds, all that were ever committed, in order."""
        told = [told.data for effect in self.effects if isinstance(effect, Commit) for told in effect.facts]
        return [data for data in told if not names or kind_of(data) in names]

    def kinds(self) -> list[str]:
        return [kind_of(data) for data in self.facts()]

    def tones(self) -> list[Tone]:
        """Of the last step."""
        return [effect.tone for effect in self.last if isinstance(effect, Sound)]


def struct(data: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.structs.asdict(data)
    return made
