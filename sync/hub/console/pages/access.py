"""Who may open the console, who is signed in, and what people read and did there."""

from __future__ import annotations

import csv
import io
import math
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from sync.hub.archive import Archive, CentreAct
from sync.hub.console import audit
from sync.hub.console.accounts import (
    Account,
    AccountRefused,
    Role,
    account,
    accounts,
    close_account,
    confirm_account,
    proved,
    set_account,
    set_own_password,
    standing,
)
from sync.hub.console.context import Console, Session, commanding, console_of, needs, signed_in
from sync.hub.console.pages.doors import Throttle
from sync.hub.console.refusing import Refused, words_of
from sync.hub.console.statistics import safe_cell
from sync.hub.console.words import WORDS
from sync.hub.console.words.acts import act_detail, act_reason, act_subject, read_detail, read_subject
from sync.hub.pins import has_pin, is_pin
from sync.store.journal import utc_now
from sync.vocabulary.numbers import utc_text

router = APIRouter(include_in_schema=False)
MOST_CSV: Final = 100_000
CODE_DIGITS: Final = 8
CODE_S: Final = 600.0
"""For the officer to go to an administrator and tell it."""

Auditing = Annotated[Session, Depends(needs(Role.AUDIT))]
Administering = Annotated[Session, Depends(needs(Role.ADMIN))]
Commanding = Annotated[Session, Depends(commanding)]


def administering(session: Commanding, _: Administering) -> Session:
    """An administrator, and it is their own page that asks."""
    return session


AdminCommanding = Annotated[Session, Depends(administering)]
SignedIn = Annotated[Session, Depends(signed_in)]
Short = Annotated[str, Form(max_length=64)]
Secret = Annotated[str, Form(max_length=1_000)]
Word = Annotated[str, Query(max_length=200)]


@router.get("/access")
def first(request: Request, session: SignedIn) -> Response:
    """The first of these pages that who asks may see."""
    place = (
        "confirm"
        if not session.is_confirmed
        else "accounts"
        if Role.ADMIN in session.roles
        else "reads"
        if Role.AUDIT in session.roles
        else "password"
    )
    return RedirectResponse(f"/access/{place}", 303)


# --- accounts ---------------------------------------------------------------------------------------------


@router.get("/access/accounts")
def accounts_page(request: Request, session: Administering) -> Response:
    return _accounts(request, None)


def _accounts(
    request: Request, said: tuple[Any, ...] | None, *, officer: str = "", roles: Sequence[str] = ()
) -> Response:
    """`officer`, `roles`: as they were typed by who was refused. The password is typed again."""
    console = console_of(request)
    now = utc_now()
    with console.archive() as archive:
        known = [(each, _state(archive, each, now)) for each in accounts(archive)]
    return console.page(
        request, "accounts.html", status=200 if said is None else 422, tab="accounts",
        accounts=known, said=said, all_roles=[role.value for role in Role],
        officer=officer, roles_typed=roles,
    )  # fmt: skip


def _state(archive: Archive, known: Account, now_utc: str) -> str:
    if not known.active:
        return "closed"
    if standing(archive, known.officer_no, now_utc) is None:
        return "not_rostered"
    return "active" if known.confirmed_utc else "not_confirmed"


@router.post("/access/accounts")
def put_account(
    request: Request,
    session: AdminCommanding,
    officer: Short,
    password: Secret,
    again: Secret,
    roles: Annotated[list[str], Form(max_length=5)] = [],  # noqa: B006  FastAPI copies it
) -> Response:
    """Made, or changed: then every session of that officer is over, and the officer is to be confirmed. Not
    one's own: whoever found a console open cannot make it theirs."""
    console = console_of(request)
    number = officer.strip()
    if number == session.officer:
        return _accounts(request, ("access.not_own",))
    if password != again:
        return _accounts(request, ("access.password.differ",), officer=number, roles=roles)
    try:
        wanted = frozenset(map(Role, roles))
        with console.archive() as archive:
            if Role.ADMIN not in wanted:
                _keep_an_administrator(archive, number)
            set_account(archive, number, password, wanted, by=session.officer, at_utc=utc_now())
    except ValueError as refused:
        return _accounts(request, ("access.refused", words_of(refused)), officer=number, roles=roles)
    end_sessions(console, number)
    return RedirectResponse("/access/accounts", 303)


@router.post("/access/accounts/confirm")
def confirm(request: Request, session: AdminCommanding, officer: Short, code: Short) -> Response:
    """The officer stands before this administrator and tells the code of their own screen. Not by who gave
    the password: the code proves a session, and the giver could have opened it."""
    console = console_of(request)
    throttle: Throttle = request.app.state.throttle
    number = officer.strip()
    names = (f"code {number}", f"code by {session.officer}")
    wait_s = throttle.takes(names, time.monotonic())
    if wait_s > 0:
        return _accounts(request, ("access.password.wait", round(wait_s) + 1))
    theirs = next(
        (
            each
            for each in list(console.sessions.kept.values())
            if each.officer == number and _is_code(each, code)
        ),
        None,
    )
    with console.archive() as archive:
        known = standing(archive, number, utc_now())
        if theirs is None or known is None or not console.stands(theirs):
            return _accounts(request, ("access.confirm.wrong_code",))
        throttle.right(names)
        if session.officer in (number, known.given_by):
            return _accounts(request, ("access.confirm.another",))
        if not known.is_own:
            return _accounts(request, ("access.confirm.own_first",))
        try:
            confirm_account(archive, known, by=session.officer, how="code", at_utc=utc_now())
        except AccountRefused as refused:
            return _accounts(request, ("access.refused", words_of(refused)))
    _confirmed(console, theirs)
    return RedirectResponse("/access/accounts", 303)


def _is_code(session: Session, code: str) -> bool:
    made, until_s = session.code
    right = secrets.compare_digest(made.encode(), code.strip().encode())
    return bool(made) and right and time.monotonic() <= until_s


def _confirmed(console: Console, session: Session) -> None:
    """Who signed in with the password of before is out; this session may act from its next request."""
    end_sessions(console, session.officer, but=session.cookie)
    session.code = ("", 0.0)
    session.checked_s = -math.inf


@router.post("/access/accounts/close")
def close(request: Request, session: AdminCommanding, officer: Short) -> Response:
    console = console_of(request)
    try:
        with console.archive() as archive:
            _keep_an_administrator(archive, officer)
            done = close_account(archive, officer, by=session.officer, at_utc=utc_now())
    except AccountRefused as refused:
        return _accounts(request, ("access.refused", words_of(refused)))
    if not done:
        raise Refused(404, "no_such_account")
    end_sessions(console, officer)
    return RedirectResponse("/access/accounts", 303)


def _keep_an_administrator(archive: Archive, officer_no: str) -> None:
    """Raises `AccountRefused` where nobody else could make accounts at the console."""
    known = account(archive, officer_no)
    others = [each for each in accounts(archive) if each.officer_no != officer_no]
    is_one = known is not None and known.active and Role.ADMIN in known.may
    if is_one and not any(each.active and Role.ADMIN in each.may for each in others):
        raise AccountRefused(*WORDS["access.last_admin"])


def end_sessions(console: Console, officer_no: str, but: str = "") -> None:
    for session in list(console.sessions.kept.values()):
        if session.officer == officer_no and session.cookie != but:
            console.sessions.end(session.cookie)


# --- sessions ---------------------------------------------------------------------------------------------


@router.get("/access/sessions")
def sessions_page(request: Request, session: Administering) -> Response:
    console = console_of(request)
    now, now_s = datetime.now(UTC), time.monotonic()

    def at(of_s: float) -> str:
        return utc_text(now - timedelta(seconds=now_s - of_s))

    open_now = sorted(console.sessions.kept.values(), key=lambda each: each.since_s)
    rows = [
        # The cookie is a secret: a session is named by where it began, and by its officer.
        (
            each.officer,
            sorted(each.roles),
            at(each.since_s),
            at(each.touched_s),
            f"{each.since_s:.6f}",
            each is session,
        )
        for each in open_now
        if now_s - each.since_s <= console.part.session_s and now_s - each.touched_s <= console.part.lock_s
    ]
    return console.page(request, "sessions.html", tab="sessions", sessions=rows)


@router.post("/access/sessions/end")
def end_session(request: Request, session: AdminCommanding, officer: Short, since: Short) -> Response:
    console = console_of(request)
    for each in list(console.sessions.kept.values()):
        if each.officer == officer and f"{each.since_s:.6f}" == since:
            console.sessions.end(each.cookie)
            console.log.info("session ended", officer=officer, by=session.officer)
            act = CentreAct(utc_now(), "console_session", officer, (session.officer,), "ended", "")
            with console.archive() as archive, archive.transaction():
                archive.add_act(act)
    return RedirectResponse("/access/sessions", 303)


# --- one's own password -----------------------------------------------------------------------------------


@router.get("/access/password")
def password_page(request: Request, session: SignedIn) -> Response:
    return console_of(request).page(request, "password.html", tab="password", said=None)


@router.post("/access/password")
def change_password(
    request: Request, session: Commanding, now: Secret, new: Secret, again: Secret
) -> Response:
    """Whoever found a console open cannot make it theirs: the password of now is asked for, as slowly as at
    the sign-in page."""
    console = console_of(request)
    throttle: Throttle = request.app.state.throttle
    names = (f"officer {session.officer}",)
    said: tuple[Any, ...] | None = ("access.password.differ",) if new != again else None
    if said is None:
        wait_s = throttle.takes(names, time.monotonic())
        said = ("access.password.wait", round(wait_s) + 1) if wait_s > 0 else None
    if said is None:
        with console.archive() as archive:
            if proved(archive, session.officer, now, utc_now()) is None:
                said = ("access.password.wrong",)
            else:
                throttle.right(names)
                said = _changed(archive, session, new)
    if said is not None:
        return console.page(request, "password.html", status=422, tab="password", said=said)
    end_sessions(console, session.officer, but=session.cookie)
    return RedirectResponse("/" if session.is_confirmed else "/access/confirm", 303)


def _changed(archive: Archive, session: Session, new: str) -> tuple[Any, ...] | None:
    at_utc = utc_now()
    # Not looked at between the new password and what this session knows of it.
    session.checked_s = time.monotonic()
    try:
        set_own_password(archive, session.officer, new, at_utc=at_utc)
    except AccountRefused as refused:
        return ("access.refused", words_of(refused))
    session.password_of_utc = at_utc
    return None


# --- one's own account, confirmed -------------------------------------------------------------------------


@router.get("/access/confirm")
def confirm_page(request: Request, session: SignedIn) -> Response:
    return _confirm(request, session, None)


def _confirm(request: Request, session: Session, said: tuple[Any, ...] | None) -> Response:
    """First a password of one's own; then the PIN of handhelds, or a code for another administrator where the
    roster has no PIN."""
    console = console_of(request)
    with console.archive() as archive:
        known = account(archive, session.officer)
        by_pin = has_pin(archive, console.config.private_key, session.officer)
    is_own = known is not None and known.is_own
    if is_own and not by_pin and time.monotonic() > session.code[1]:
        made = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        session.code = (made, time.monotonic() + CODE_S)
    return console.page(
        request, "confirm.html", status=200 if said is None else 422, tab="confirm", said=said,
        done=known is not None and bool(known.confirmed_utc), is_own=is_own, by_pin=by_pin,
        code=session.code[0], given_by="" if known is None else known.given_by,
    )  # fmt: skip


@router.post("/access/confirm")
def confirm_by_pin(request: Request, session: Commanding, pin: Short) -> Response:
    """The PIN is the officer's alone, and no administrator of the console has it. It is tried as slowly as a
    password, and every wrong one is kept."""
    console = console_of(request)
    throttle: Throttle = request.app.state.throttle
    names = (f"pin {session.officer}",)
    wait_s = throttle.takes(names, time.monotonic())
    if wait_s > 0:
        return _confirm(request, session, ("access.password.wait", round(wait_s) + 1))
    with console.archive() as archive:
        known = standing(archive, session.officer, utc_now())
        if known is None or not known.is_own:
            return _confirm(request, session, ("access.confirm.own_first",))
        if not is_pin(archive, console.config.private_key, session.officer, pin.strip()):
            act = CentreAct(
                utc_now(), "console_account", session.officer, (session.officer,), "wrong PIN", ""
            )
            with archive.transaction():
                archive.add_act(act)
            return _confirm(request, session, ("access.confirm.wrong_pin",))
        throttle.right(names)
        try:
            confirm_account(archive, known, by=session.officer, how="pin", at_utc=utc_now())
        except AccountRefused as refused:
            return _confirm(request, session, ("access.refused", words_of(refused)))
    _confirmed(console, session)
    return RedirectResponse("/", 303)


# --- who looked, who did ----------------------------------------------------------------------------------


def _asked(
    console: Console, officer: str, what: str, subject: str, days: tuple[str, str], before: int
) -> audit.Asked:
    first, last = (_midnight(console, day) for day in days)
    try:
        since = "" if first is None else _utc(first)
        until = "" if last is None else _utc(last + timedelta(days=1))
    except OverflowError as error:
        raise Refused(422, "day_years") from error
    return audit.Asked(
        officer=officer.strip(),
        what=what.strip(),
        subject=subject.strip(),
        from_utc=since,
        until_utc=until,
        before=before,
    )


def _midnight(console: Console, day: str) -> datetime | None:
    """The site's own day."""
    if not day:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=console.zone)
    except ValueError as error:
        raise Refused(422, "day_form", day) from error


def _utc(at: datetime) -> str:
    return utc_text(at)


Before = Annotated[int, Query(ge=0, le=2**62)]


@router.get("/access/reads")
def reads_page(
    request: Request,
    session: Auditing,
    officer: Word = "",
    what: Word = "",
    subject: Word = "",
    from_day: Word = "",
    until_day: Word = "",
    before: Before = 0,
    form: Word = "",
) -> Response:
    """Who looked at what concerns a person or a firm. Looking here is kept too."""
    console = console_of(request)
    asked = _asked(console, officer, what, subject, (from_day, until_day), before)
    with console.heavy() as heavy, heavy.archive() as archive:
        rows, count = audit.reads(archive, asked, MOST_CSV if form == "csv" else audit.A_PAGE)
    console.note_read(session, "reads", subject or officer or "list")
    if form == "csv":
        names = ("time", "officer", "what", "subject", "detail")
        return _csv("reads", names, [row[1:] for row in rows], count)
    filled = _filled(officer, what, subject, from_day, until_day)
    more = rows[-1].id if len(rows) == audit.A_PAGE else 0
    return console.page(
        request,
        "reads.html",
        tab="reads",
        subject_of=read_subject,
        detail_of=read_detail,
        rows=rows,
        count=count,
        filled=filled,
        more=more,
        **_whats("read.", what),
    )


@router.get("/access/acts")
def acts_page(
    request: Request,
    session: Auditing,
    officer: Word = "",
    what: Word = "",
    subject: Word = "",
    from_day: Word = "",
    until_day: Word = "",
    before: Before = 0,
    form: Word = "",
) -> Response:
    """What people did at the centre, and why."""
    console = console_of(request)
    asked = _asked(console, officer, what, subject, (from_day, until_day), before)
    with console.heavy() as heavy, heavy.archive() as archive:
        rows, count = audit.acts(archive, asked, MOST_CSV if form == "csv" else audit.A_PAGE)
    console.note_read(session, "acts", subject or officer or "list")
    if form == "csv":
        names = ("time", "officers", "act", "subject", "reason", "detail")
        told = [
            (act.at_utc, " ".join(act.officers), act.act, act.subject, act.reason, act.detail)
            for _, act in rows
        ]
        return _csv("acts", names, told, count)
    filled = _filled(officer, what, subject, from_day, until_day)
    more = rows[-1].id if len(rows) == audit.A_PAGE else 0
    return console.page(
        request,
        "acts.html",
        tab="acts",
        subject_of=act_subject,
        reason_of=act_reason,
        detail_of=act_detail,
        rows=rows,
        count=count,
        filled=filled,
        more=more,
        **_whats("act.", what),
    )


def _whats(prefix: str, asked: str) -> dict[str, Any]:
    """What there is to choose from, and what was asked for though this version has no word for it."""
    known = [key.removeprefix(prefix) for key in WORDS if key.startswith(prefix) and key.count(".") == 1]
    return {"has": WORDS.__contains__, "whats": known if not asked or asked in known else [*known, asked]}


def _filled(*values: str) -> dict[str, str]:
    return dict(zip(("officer", "what", "subject", "from_day", "until_day"), values, strict=True))


def _csv(name: str, names: tuple[str, ...], rows: list[tuple[Any, ...]], count: int) -> Response:
    """With a mark that a spreadsheet takes it for UTF-8, and no cell it would take for a formula. Where there
    are more than it may have, the last line says how many it leaves out, in both languages."""
    file = io.StringIO()
    written = csv.writer(file)
    written.writerow(names)
    written.writerows([safe_cell(str(cell)) for cell in row] for row in rows)
    if count > len(rows) == MOST_CSV:
        written.writerow([words.format(count - len(rows)) for words in WORDS["access.left_out"]])
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return Response("\ufeff" + file.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
