"""Controls (布控), spot-check rates, recalls, inspection orders: what a shift leader sets, looked at before
it goes down to the lanes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from msgspec.structs import replace

from sync.hub import controls as kept
from sync.hub import drawing
from sync.hub.archive import Archive, CentreAct
from sync.hub.centre import By, CentreRefused, issue_order, orders, withdraw_order
from sync.hub.console.accounts import Role
from sync.hub.console.context import Console, Session, commanding, console_of, needs
from sync.hub.console.refusing import Refused, field_words, said, words_of
from sync.hub.console.words import WORDS
from sync.hub.console.words.acts import act_detail
from sync.hub.trial import MOST_EXAMPLES, Address, told_by_lanes, try_control
from sync.policy import lots
from sync.store.journal import utc_now
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText, WaybillNo, utc_text
from sync.vocabulary.records import (
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    InspectionMethod,
    InspectionOrder,
    Mode,
    OrderCause,
    OrderPart,
    Recall,
    SlipKind,
)
from sync.vocabulary.rulings import Text

T = TypeVar("T")
router = APIRouter(include_in_schema=False)
DAYS: Final = 7
MOST_PASSAGES: Final = 20_000
"""Of a trial: some 20 s on one core; the latest ones."""
MOST_ORDERS_SHOWN: Final = 300
TRIAL_GOOD_S: Final = 3600.0
_BETWEEN: Final = re.compile(r"[\s,，、;；]+")

Leading = Annotated[Session, Depends(needs(Role.LEAD))]


def leading(session: Annotated[Session, Depends(commanding)], _: Leading) -> Session:
    """A shift leader, and it is their own page that asks."""
    return session


Commanding = Annotated[Session, Depends(leading)]
Short = Annotated[str, Form(max_length=64)]
Line = Annotated[str, Form(max_length=300)]
Lines = Annotated[str, Form(max_length=4_000)]


class NotUnderstood(ValueError):
    """What stood in a field of a form, by its name there, can be read as nothing it may be."""

    def __init__(self, field: str, got: str) -> None:
        super().__init__(f"{field}: {got}")
        self.field = field
        self.got = got[:64]


def _scope(console: Console, asked: str = "") -> str:
    known = console.config.sync.scopes
    if asked and asked not in known:
        raise Refused(404, "no_such_scope")
    return asked or known[0]


def _list(name: str, text: str, parse: Callable[[str], T | None]) -> tuple[T, ...]:
    found = []
    for each in filter(None, _BETWEEN.split(text.strip())):
        value = parse(each)
        if value is None:
            raise NotUnderstood(name, each)
        found.append(value)
    return tuple(dict.fromkeys(found))


def _plain(text: str) -> str | None:
    return text if len(text) <= 64 else None


def _of(kind: Callable[[str], T], name: str, values: Sequence[str]) -> tuple[T, ...]:
    try:
        return tuple(kind(each) for each in values)
    except ValueError as error:
        raise NotUnderstood(name, ", ".join(values)) from error


def _moment(name: str, text: str, console: Console) -> UtcText:
    """A time as a browser's field gives it, by the site's clock."""
    try:
        local = datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=console.zone)
    except ValueError as error:
        raise NotUnderstood(name, text) from error
    return UtcText(utc_text(local))


def _said(refused: Exception) -> tuple[str, Text]:
    """Why it was not done, for the page: key and words."""
    return ("controls.refused", _why(refused))


def _why(refused: Exception) -> Text:
    if isinstance(refused, NotUnderstood):
        return said("controls.field", field_words(refused.field), refused.got)
    return words_of(refused)


def passages_of_late(console: Console, now_utc: str) -> tuple[list[Address], bool]:
    """Addresses of the passages of the last days, the latest first; whether there are more."""
    since = datetime.fromisoformat(now_utc) - timedelta(days=DAYS)
    with console.shown() as shown:
        rows = shown.passages_between(utc_text(since), "9999", MOST_PASSAGES + 1)
    return [(row.device, row.epoch, row.passage) for row in rows[:MOST_PASSAGES]], len(rows) > MOST_PASSAGES


# --- controls ---------------------------------------------------------------------------------------------


@router.get("/controls")
def controls_page(request: Request, session: Leading, scope: str = "", done: str = "") -> Response:
    console = console_of(request)
    now = utc_now()
    with console.archive() as archive:
        found = kept.controls(archive, _scope(console, scope))
    console.note_read(session, "controls", "list")
    rows = sorted(found, key=lambda each: (not each.valid_until > UtcText(now), each.control_id))
    return console.page(
        request, "controls.html", controls=rows, over=_over(now), tab="controls", done=bool(done)
    )


def _over(now_utc: str) -> Callable[[Control], bool]:
    return lambda control: not control.valid_until > UtcText(now_utc)


@router.get("/controls/new")
def control_page_to_fill(request: Request, session: Leading, number: str = "") -> Response:
    """Empty, or filled with what a control says now."""
    console = console_of(request)
    known = None
    if number:
        with console.archive() as archive:
            known = kept.control(archive, _scope(console), number)
        if known is None:
            raise Refused(404, "no_such_control")
        console.note_read(session, "control", known.control_id)
    return _to_fill(request, _filled(console, known), said=None)


def _to_fill(request: Request, filled: dict[str, Any], said: tuple[Any, ...] | None) -> Response:
    return console_of(request).page(
        request,
        "control_form.html",
        status=200 if said is None else 422,
        filled=filled,
        said=said,
        tab="controls",
        kinds=[kind.value for kind in SlipKind],
    )


def _filled(console: Console, known: Control | None) -> dict[str, Any]:
    now = datetime.now(console.zone)

    def shown(at: datetime) -> str:
        return f"{at:%Y-%m-%dT%H:%M}"

    if known is None:
        return {
            "control_id": f"BK{now:%y%m%d%H%M%S}",
            "plates": "", "slip_nos": "", "enterprises": "", "directions": [], "slip_kinds": [],
            "action": "inspect", "valid_from": shown(now), "valid_until": shown(now + timedelta(days=30)),
            "reason_zh": "风险布控", "reason_en": "Risk control",
        }  # fmt: skip
    local = [
        datetime.fromisoformat(at).astimezone(console.zone) for at in (known.valid_from, known.valid_until)
    ]
    condition = known.condition
    return {
        "control_id": known.control_id,
        "plates": "\n".join(condition.plates),
        "slip_nos": "\n".join(condition.slip_nos),
        "enterprises": "\n".join(condition.enterprises),
        "directions": [each.value for each in condition.directions],
        "slip_kinds": [each.value for each in condition.slip_kinds],
        "action": known.action.value,
        "valid_from": shown(local[0]),
        "valid_until": shown(max(local[1], now + timedelta(days=1))),
        "reason_zh": known.reason_zh,
        "reason_en": known.reason_en,
    }


@router.post("/controls/try")
def try_it(
    request: Request,
    session: Commanding,
    control_id: Short,
    action: Short,
    valid_from: Short,
    valid_until: Short,
    reason_zh: Line,
    reason_en: Line,
    plates: Lines = "",
    slip_nos: Lines = "",
    enterprises: Lines = "",
    directions: Annotated[list[str], Form(max_length=2)] = [],  # noqa: B006  FastAPI copies it
    slip_kinds: Annotated[list[str], Form(max_length=6)] = [],  # noqa: B006
) -> Response:
    """What it would have hit; nothing goes down yet."""
    console = console_of(request)
    filled = {
        "control_id": control_id, "plates": plates, "slip_nos": slip_nos, "enterprises": enterprises,
        "directions": directions, "slip_kinds": slip_kinds, "action": action, "valid_from": valid_from,
        "valid_until": valid_until, "reason_zh": reason_zh, "reason_en": reason_en,
    }  # fmt: skip
    try:
        control = Control(
            control_id=control_id.strip(),
            version=0,
            mode=Mode.SHADOW,
            condition=Condition(
                plates=_list("plates", plates, Plate.parse),
                slip_nos=_list("slip_nos", slip_nos, SlipNo.parse),
                enterprises=_list("enterprises", enterprises, EnterpriseCode.parse),
                directions=_of(Direction, "directions", directions),
                slip_kinds=_of(SlipKind, "slip_kinds", slip_kinds),
            ),
            action=_of(ControlAction, "action", [action])[0],
            valid_from=_moment("valid_from", valid_from, console),
            valid_until=_moment("valid_until", valid_until, console),
            reason_zh=reason_zh.strip(),
            reason_en=reason_en.strip(),
        )
        checked = from_json(to_json(control), Control)
    except (NotUnderstood, Malformed) as refused:
        return _to_fill(request, filled, said=_said(refused))
    now = utc_now()
    passages, cut = passages_of_late(console, now)
    with console.heavy() as heavy, heavy.archive() as archive:
        trial = try_control(archive, checked, passages, console.zone)
        known = kept.control(archive, _scope(console), checked.control_id)
    console.note_read(session, "control_trial", checked.control_id)
    said = f"{DAYS} days: {trial.matched} of {trial.looked_at} matched, {trial.would_stop} otherwise"
    body = to_json(checked).decode()
    return console.page(
        request,
        "control_trial.html",
        control=checked,
        known=known,
        tab="controls",
        trial=trial,
        cut=MOST_PASSAGES if cut else 0,
        most=MOST_EXAMPLES,
        body=body,
        told=said,
        at=now,
        seen=_seen(session, body, said, now),
    )


def _seen(session: Session, body: str, told: str, at_utc: str) -> str:
    """Proof that this session saw this trial of this control."""
    text = "\n".join((body, told, at_utc))
    return hmac.new(session.token.encode(), text.encode(), hashlib.sha256).hexdigest()


@router.post("/controls/put")
def put_it(
    request: Request,
    session: Commanding,
    body: Annotated[str, Form(max_length=200_000)],
    told: Line,
    at: Short,
    seen: Short,
    mode: Short,
    reason: Line,
) -> Response:
    """Down to the lanes, in the mode chosen: only what was tried, and as it was tried."""
    console = console_of(request)
    if (
        not hmac.compare_digest(seen.encode(), _seen(session, body, told, at).encode())
        or _age_s(at) > TRIAL_GOOD_S
    ):
        raise Refused(422, "stale_trial")
    try:
        control = replace(from_json(body, Control), mode=_of(Mode, "mode", [mode])[0])
        with console.archive() as archive:
            made = kept.put_control(
                archive, _scope(console), control, By((session.officer,), reason.strip()), utc_now(), told
            )
    except (CentreRefused, Malformed, NotUnderstood) as refused:
        raise Refused(422, "not_done", _why(refused)) from refused
    return RedirectResponse(f"/controls/of/{made.control_id}", 303)


def _age_s(utc: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(utc)).total_seconds()


@router.get("/controls/of/{control_id}")
def control_page(request: Request, session: Leading, control_id: str) -> Response:
    """One control, and what lanes wrote of it."""
    console = console_of(request)
    now = utc_now()
    passages, cut = passages_of_late(console, now)
    with console.heavy() as heavy, heavy.archive() as archive:
        control = kept.control(archive, _scope(console), control_id[:64])
        if control is None:
            raise Refused(404, "no_such_control")
        trial = told_by_lanes(archive, control.control_id, passages, console.zone)
        acts = acts_on(archive, control.control_id)
    console.note_read(session, "control", control.control_id)
    return console.page(
        request,
        "control.html",
        control=control,
        over=_over(now)(control),
        tab="controls",
        trial=trial,
        cut=MOST_PASSAGES if cut else 0,
        most=MOST_EXAMPLES,
        acts=acts,
        detail_of=act_detail,
        has=WORDS.__contains__,
    )


def acts_on(archive: Archive, subject: str) -> list[CentreAct]:
    """What people did about it, the latest first."""
    return [act for act in archive.acts(2_000) if act.subject == subject][:50]


@router.post("/controls/end")
def end_it(request: Request, session: Commanding, control_id: Short, reason: Line) -> Response:
    console = console_of(request)
    _do(
        lambda archive, scope, by: kept.end_control(archive, scope, control_id, by, utc_now()),
        console,
        session,
        reason,
    )
    return RedirectResponse(f"/controls/of/{control_id}", 303)


def _do(act: Callable[[Archive, str, By], T], console: Console, session: Session, reason: str) -> T:
    """An act that is done or refused in words."""
    try:
        with console.archive() as archive:
            return act(archive, _scope(console), By((session.officer,), reason.strip()))
    except CentreRefused as refused:
        raise Refused(422, "not_done", _why(refused)) from refused


# --- rates ------------------------------------------------------------------------------------------------


@router.get("/controls/rates")
def rates_page(request: Request, session: Leading, enterprise: str = "") -> Response:
    console = console_of(request)
    now = utc_now()
    since = datetime.fromisoformat(now) - timedelta(days=DAYS)
    with console.archive() as archive:
        firms = kept.enterprises(archive, _scope(console))
    with console.shown() as shown:
        of_firm = Counter(shown.vehicle_days(utc_text(since)))
    tiers = []
    for tier in CreditTier:
        mine = [firm for firm in firms if firm.tier is tier]
        rates = {(firm.spot_check_per_mille, firm.x_ray_per_mille) for firm in mine}
        expected = sum(of_firm[str(firm.code)] * firm.spot_check_per_mille for firm in mine) / 1000
        count = sum(of_firm[str(firm.code)] for firm in mine)
        tiers.append((tier.value, len(mine), count, sorted(rates), expected))
    console.note_read(session, "rates", enterprise[:64] or "tiers")
    asked = [firm for firm in firms if enterprise and enterprise.strip() in (str(firm.code), firm.name)]
    return console.page(
        request, "rates.html", tab="rates", tiers=tiers, firms=asked or firms[:100], of_firm=of_firm,
        most=len(firms), asked=enterprise,
    )  # fmt: skip


PerMille = Annotated[int, Form(ge=0, le=1000)]


@router.post("/controls/rates")
def set_rates(
    request: Request,
    session: Commanding,
    spot: PerMille,
    x_ray: PerMille,
    reason: Line,
    tier: Short = "",
    enterprise: Short = "",
) -> Response:
    """Of a tier, or of one enterprise."""
    console = console_of(request)
    try:
        tiers = tuple(CreditTier) if enterprise else _of(CreditTier, "tier", [tier])
    except NotUnderstood as refused:
        raise Refused(422, "not_done", _why(refused)) from refused
    wanted = dict.fromkeys(tiers, (spot, x_ray))
    _do(
        lambda archive, scope, by: kept.set_rates(archive, scope, wanted, by, utc_now(), enterprise),
        console,
        session,
        reason,
    )
    return RedirectResponse("/controls/rates", 303)


# --- recalls ----------------------------------------------------------------------------------------------


@router.get("/controls/recalls")
def recalls_page(request: Request, session: Leading, batch: str = "") -> Response:
    return _recalls(request, session, {"batch_nos": batch[:64]}, None)


def _recalls(
    request: Request, session: Session, filled: dict[str, str], said: tuple[Any, ...] | None
) -> Response:
    console = console_of(request)
    with console.archive() as archive:
        found = kept.recalls(archive, _scope(console))
    console.note_read(session, "recalls", "list")
    number = f"ZH{datetime.now(console.zone):%y%m%d%H%M%S}"
    known = sorted(found, key=lambda each: (each.state.value, str(each.issued or ""), each.recall_no))
    return console.page(
        request, "recalls.html", status=200 if said is None else 422, tab="recalls", recalls=known,
        filled={"recall_no": number, **filled}, said=said,
    )  # fmt: skip


@router.post("/controls/recalls")
def put_recall(
    request: Request,
    session: Commanding,
    recall_no: Short,
    reason_zh: Line,
    reason_en: Line,
    reason: Line,
    batch_nos: Lines = "",
    skus: Lines = "",
    waybill_nos: Lines = "",
    slip_nos: Lines = "",
    trace_codes: Lines = "",
    enterprises: Lines = "",
    cause: Line = "",
) -> Response:
    console = console_of(request)
    now = utc_now()
    filled = {
        "recall_no": recall_no, "batch_nos": batch_nos, "skus": skus, "waybill_nos": waybill_nos,
        "slip_nos": slip_nos, "trace_codes": trace_codes, "enterprises": enterprises, "cause": cause,
        "reason_zh": reason_zh, "reason_en": reason_en,
    }  # fmt: skip
    try:
        recall = Recall(
            recall_no=recall_no.strip(),
            slip_nos=_list("slip_nos", slip_nos, SlipNo.parse),
            waybill_nos=_list("waybill_nos", waybill_nos, WaybillNo.parse),
            trace_codes=_list("trace_codes", trace_codes, _plain),
            skus=_list("skus", skus, _plain),
            batch_nos=_list("batch_nos", batch_nos, _plain),
            enterprises=_list("enterprises", enterprises, EnterpriseCode.parse),
            cause=cause.strip(),
            issued=UtcText(now),
            reason_zh=reason_zh.strip(),
            reason_en=reason_en.strip(),
        )
        checked = from_json(to_json(recall), Recall)
        with console.archive() as archive:
            by = By((session.officer,), reason.strip())
            kept.put_recall(archive, _scope(console), checked, by, now)
    except (NotUnderstood, Malformed, CentreRefused) as refused:
        return _recalls(request, session, filled, _said(refused))
    return RedirectResponse("/controls/recalls", 303)


@router.post("/controls/recalls/end")
def end_recall(request: Request, session: Commanding, recall_no: Short, reason: Line) -> Response:
    console = console_of(request)
    _do(
        lambda archive, scope, by: kept.end_recall(archive, scope, recall_no, by, utc_now()),
        console,
        session,
        reason,
    )
    return RedirectResponse("/controls/recalls", 303)


# --- inspection orders ------------------------------------------------------------------------------------


@router.get("/controls/orders")
def orders_page(request: Request, session: Leading, draw: str = "") -> Response:
    return _orders(request, session, draw[:64], None)


def _orders(request: Request, session: Session, draw: str, said: tuple[Any, ...] | None) -> Response:
    console = console_of(request)
    scope = _scope(console)
    now = utc_now()
    with console.archive() as archive:
        seen = [
            each
            for each in orders(archive, scope)
            if not draw or (each.order.draw is not None and each.order.draw.draw_no == draw)
        ]
        known = tuple(each.order for each in seen)
        free = () if draw else drawing.free_officers(archive, scope, "inspect", known, now)
    console.note_read(session, "orders", draw or "list")
    seen.sort(key=lambda each: (str(each.order.issued), each.order.order_no), reverse=True)
    numbered = datetime.now(console.zone)
    return console.page(
        request, "orders.html", status=200 if said is None else 422, tab="orders",
        orders=seen[:MOST_ORDERS_SHOWN], free=free, said=said,
        draw_no=f"SJ{numbered:%y%m%d%H%M%S}", order_no=f"CY{numbered:%y%m%d%H%M%S}",
        causes=[each.value for each in OrderCause], parts=[each.value for each in OrderPart],
        methods=["", *(each.value for each in InspectionMethod)], draw=draw,
    )  # fmt: skip


Number = Annotated[int, Form(ge=1, le=drawing.MOST)]
Hours = Annotated[float, Form(ge=0.1, le=24 * 31)]


@router.post("/controls/orders/draw")
def draw_orders(
    request: Request,
    session: Commanding,
    draw_no: Annotated[str, Form(max_length=48)],
    count: Number,
    reason: Line,
    officers_each: Annotated[int, Form(ge=1, le=2)] = 1,
    authorisation: Short = "inspect",
    slip: Short = "",
    enterprise: Short = "",
    cause: Short = "spot_check",
    method: Short = "",
    due_h: Hours = 8.0,
    parts: Annotated[list[str], Form(max_length=6)] = [],  # noqa: B006
) -> Response:
    """Drawn and issued in one step, by a seed nobody chose (双随机)."""
    console = console_of(request)
    now = datetime.now(UTC)
    try:
        wish = drawing.Wish(
            draw_no=draw_no.strip(),
            count=count,
            officers_each=officers_each,
            authorisation=authorisation.strip(),
            slip_no=slip.strip(),
            enterprise=enterprise.strip(),
            cause=_of(OrderCause, "cause", [cause])[0],
            parts=_of(OrderPart, "parts", parts),
            method=_of(InspectionMethod, "method", [method])[0] if method else None,
            due=_utc(now + timedelta(hours=due_h)),
        )
        with console.archive() as archive:
            by = By((session.officer,), reason.strip())
            drawing.draw(archive, _scope(console), wish, by, seed=lots.new_seed(), at_utc=_utc(now))
    except (NotUnderstood, CentreRefused) as refused:
        return _orders(request, session, "", _said(refused))
    return RedirectResponse(f"/controls/orders?draw={wish.draw_no}", 303)


def _utc(at: datetime) -> UtcText:
    return UtcText(utc_text(at))


@router.post("/controls/orders/issue")
def issue_one(
    request: Request,
    session: Commanding,
    order_no: Short,
    waybills: Lines,
    reason: Line,
    cause: Short = "officer",
    officers: Lines = "",
    officers_needed: Annotated[int, Form(ge=1, le=2)] = 1,
    method: Short = "",
    due_h: Hours = 8.0,
    parts: Annotated[list[str], Form(max_length=6)] = [],  # noqa: B006
) -> Response:
    """For parcels named; none that was inspected or ordered for the same cause."""
    console = console_of(request)
    now = datetime.now(UTC)
    scope = _scope(console)
    try:
        order = InspectionOrder(
            order_no=order_no.strip(),
            waybill_nos=_list("waybill_nos", waybills, WaybillNo.parse),
            cause=_of(OrderCause, "cause", [cause])[0],
            cause_detail=reason.strip(),
            officers=_list("officers", officers, _plain),
            officers_needed=officers_needed,
            parts=_of(OrderPart, "parts", parts),
            method=_of(InspectionMethod, "method", [method])[0] if method else None,
            issued=_utc(now),
            issued_by=session.officer,
            due=_utc(now + timedelta(hours=due_h)),
        )
        checked = from_json(to_json(order), InspectionOrder)
        # One transaction: of two who order the same parcel at once one is told of the other's order.
        with console.archive() as archive, archive.transaction():
            again = drawing.ordered_before(archive, scope, checked)
            if again is None:
                issue_order(archive, scope, checked, By((session.officer,), reason.strip()))
    except (NotUnderstood, Malformed, CentreRefused, ValueError) as refused:
        return _orders(request, session, "", _said(refused))
    if again is not None:
        return _orders(request, session, "", ("orders.again", *again))
    return RedirectResponse("/controls/orders", 303)


@router.post("/controls/orders/withdraw")
def withdraw_one(request: Request, session: Commanding, order_no: Short, reason: Line) -> Response:
    console = console_of(request)
    _do(
        lambda archive, scope, by: withdraw_order(archive, scope, order_no, by, utc_now()),
        console,
        session,
        reason,
    )
    return RedirectResponse("/controls/orders", 303)
