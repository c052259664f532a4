"""`kakou centre …`: what an officer at the centre does by hand or by a script. Parses and dispatches; the
work is `sync.hub.centre`'s. Exit 0 done, 1 refused or unanswered, 2 wrong use.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sync.hub import centre, drawing
from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused, CommandRow
from sync.hub.centre import By, CentreRefused
from sync.hub.config import ConfigRefused, HubConfig, read_hub_config
from sync.hub.console.accounts import (
    AccountRefused,
    Role,
    account,
    accounts,
    close_account,
    confirm_account,
    set_account,
)
from sync.hub.moving import NotMoved, move_archive
from sync.hub.pins import Pins
from sync.policy import lots
from sync.store.journal import utc_now
from sync.vocabulary.codec import Malformed, from_json, to_builtins, to_json
from sync.vocabulary.commands import (
    BOARD_PRESETS,
    Act,
    AskStatus,
    BoardText,
    LaneClose,
    ManualRelease,
    Resync,
    Revoke,
    Supplement,
    TakePictures,
    Wipe,
)
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import InspectionMethod, InspectionOrder, OrderCause, OrderPart

centre_app = typer.Typer(
    no_args_is_help=True,
    help="The centre's side by hand: commands to lanes, claims, inspection orders. Needs the hub's archive; "
    "a running hub says what is written there and keeps what comes back.",
)
order_app = typer.Typer(no_args_is_help=True, help="Inspection orders: issue, withdraw, list.")
centre_app.add_typer(order_app, name="order")

Json = Annotated[bool, typer.Option("--json", help="machine-readable lines on stdout")]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="the hub's TOML file")]
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="the lane's name")]
Officers = Annotated[
    list[str], typer.Option("--officer", help="number of who gives it; twice where two are asked for")
]
Reason = Annotated[str, typer.Option("--reason", help="why; stays in the facts")]
Valid = Annotated[int, typer.Option("--valid", help="seconds it may wait for the lane", min=1, max=300)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not wait for the answer")]
Passage = Annotated[
    str, typer.Option("--passage", help="its number, or `held`: the one that is held now, as its facts say")
]
Scope = Annotated[str | None, typer.Option(help="scope; the hub's only one if left out")]

LONGER_S = 6.0
"""An answer may come a little after the command's time is over; then the hub gives it up."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _say_json(value: object) -> None:
    _say(json.dumps(value, ensure_ascii=False))


def _refuse(why: object, code: int = 1) -> typer.Exit:
    sys.stderr.write(f"{why}\n")
    return typer.Exit(code)


@contextlib.contextmanager
def _opened(config: Path) -> Iterator[tuple[HubConfig, Archive]]:
    """What goes wrong inside becomes words on stderr and an exit code."""
    try:
        hub_config = read_hub_config(config)
        place = hub_config.archive
        if isinstance(place, Path) and not place.is_file():
            raise CentreRefused(
                f"{place}：没有此文件，应为中心的库",
                f"{place}: expected a hub's archive, there is no such file",
            )
        archive = Archive.open(hub_config.archive)
        try:
            yield hub_config, archive
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (CentreRefused, ArchiveRefused, Malformed, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused


# --- commands ---------------------------------------------------------------------------------------------


def _command(
    config: Path,
    device: str,
    act: Callable[[Archive], Act],
    by: By,
    valid_s: int,
    no_wait: bool,
    as_json: bool,
) -> None:
    with _opened(config) as (_, archive):
        try:
            made = act(archive)
        except CentreRefused:
            raise
        except ValueError as error:
            raise _refuse(error, 2) from error
        row = centre.give(archive, device, made, by, valid_s=valid_s, at_utc=utc_now())
        if not no_wait:
            within_s = valid_s + LONGER_S
            row = centre.answered(archive, row.command_id, within_s=within_s, sleep=time.sleep)
    _tell(row, as_json)
    raise typer.Exit(0 if no_wait or row.state == "done" else 1)


def _tell(row: CommandRow, as_json: bool) -> None:
    if as_json:
        _say_json(centre.told(row))
    else:
        _say(f"{row.state}  {row.kind}  {row.device}  {row.command_id}  {row.why}".rstrip())


def _passage(archive: Archive, device: str, text: str) -> int:
    if text.isdecimal():
        return int(text)
    if text != "held":
        raise ValueError(f"passage: expected a number or `held`, got {text[:20]}")
    held = centre.held_now(archive, device)
    if held is None:
        raise _nobody_held(device)
    return held.passage


def _nobody_held(device: str) -> CentreRefused:
    return CentreRefused(
        f"就已到的记录，{device} 内无待处置车辆",
        f"nobody is held in {device}, as far as its facts have come",
    )


@centre_app.command()
def release(
    config: ConfigFile,
    device: Device,
    officer: Officers,
    reason: Reason,
    passage: Passage = "held",
    aside: Annotated[bool, typer.Option("--aside", help="lead it to the waiting area instead")] = False,
    valid: Valid = 30,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Let the held vehicle go (人工放行) under the officer's number; the lane checks it like a code shown."""

    def act(archive: Archive) -> Act:
        return ManualRelease(passage=_passage(archive, device, passage), aside=aside)

    _command(config, device, act, By(tuple(officer), reason), valid, no_wait, as_json)


@centre_app.command()
def supplement(
    config: ConfigFile,
    device: Device,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="plate, weight, slip or container")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="what could not be read")],
    officer: Officers,
    reason: Reason,
    passage: Passage = "held",
    valid: Valid = 30,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Enter what the lane could not read (补采)."""

    def act(archive: Archive) -> Act:
        number = _passage(archive, device, passage)
        return msgspec.convert(
            {"type": "supplement", "passage": number, "field": field, "value": value}, Supplement
        )

    _command(config, device, act, By(tuple(officer), reason), valid, no_wait, as_json)


@centre_app.command()
def board(
    config: ConfigFile,
    device: Device,
    officer: Officers,
    reason: Reason,
    preset: Annotated[
        int, typer.Option(help="; ".join(f"{n}: {zh} {en}" for n, (zh, en) in BOARD_PRESETS.items()))
    ] = 0,
    zh: Annotated[str, typer.Option(help="the text in Chinese, where no preset is meant")] = "",
    en: Annotated[str, typer.Option(help="and in English")] = "",
    seconds: Annotated[int, typer.Option(help="how long, at most: the lane's own words come first")] = 30,
    passage: Annotated[
        str,
        typer.Option(help="who alone is shown it: a number, or `held`; whoever is there where none is named"),
    ] = "",
    valid: Valid = 30,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Show a text on the lane's board."""
    by = By(tuple(officer), reason)
    _command(
        config,
        device,
        lambda archive: BoardText(
            preset=preset,
            zh=zh,
            en=en,
            seconds=seconds,
            passage=_passage(archive, device, passage) if passage else 0,
        ),
        by,
        valid,
        no_wait,
        as_json,
    )


@centre_app.command()
def pictures(
    config: ConfigFile,
    device: Device,
    passage: Annotated[
        str, typer.Argument(metavar="PASSAGE", help="its number, or `held`: the one that is held now")
    ],
    officer: Officers,
    reason: Reason,
    valid: Valid = 30,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Have every evidence camera of a lane take a picture of the passage in it now (现场拍照). They come as
    all others do; there is no sound: a lane has no microphone."""

    def act(archive: Archive) -> Act:
        return TakePictures(passage=_passage(archive, device, passage))

    _command(config, device, act, By(tuple(officer), reason), valid, no_wait, as_json)


@centre_app.command()
def close(
    config: ConfigFile,
    device: Device,
    officer: Officers,
    reason: Reason,
    valid: Valid = 120,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Take a lane out of service. Only an officer at the lane takes it back (S12)."""
    by = By(tuple(officer), reason)
    _command(config, device, lambda _: LaneClose(), by, valid, no_wait, as_json)


@centre_app.command()
def revoke(
    config: ConfigFile,
    device: Device,
    officer: Officers,
    reason: Reason,
    valid: Valid = 300,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Trust a device no more, from now on (G10), and tell it to stop. It serves again only enrolled anew."""
    by = By(tuple(officer), reason)
    _command(config, device, lambda _: Revoke(), by, valid, no_wait, as_json)


@centre_app.command()
def wipe(
    config: ConfigFile,
    device: Device,
    officer: Officers,
    reason: Reason,
    force: Annotated[
        bool, typer.Option("--force", help="do not wait until every fact is here; they stay on its disk")
    ] = False,
    valid: Valid = 300,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Have a device stop and delete its records and keys. Its journal stays."""
    by = By(tuple(officer), reason)
    _command(config, device, lambda _: Wipe(force=force), by, valid, no_wait, as_json)


@centre_app.command()
def resync(
    config: ConfigFile,
    device: Device,
    officer: Annotated[list[str] | None, typer.Option("--officer", help="number of who asks")] = None,
    valid: Valid = 30,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Have a device take all its records anew; it rules on the old ones meanwhile."""
    by = By(tuple(officer or ()), "")
    _command(config, device, lambda _: Resync(), by, valid, no_wait, as_json)


@centre_app.command()
def ask(config: ConfigFile, device: Device, valid: Valid = 30, as_json: Json = False) -> None:
    """Have a device tell its status now."""
    _command(config, device, lambda _: AskStatus(), By((), ""), valid, False, as_json)


@centre_app.command("commands")
def list_commands(
    config: ConfigFile,
    most: Annotated[int, typer.Option(help="at most so many", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """The last commands and what became of them, the latest first."""
    with _opened(config) as (_, archive):
        for row in archive.last_commands(most):
            _tell(row, as_json)


@centre_app.command()
def lanes(config: ConfigFile, as_json: Json = False) -> None:
    """Every enrolled lane and handheld: whether it hears, what it says of itself, who is held and why."""
    with _opened(config) as (_, archive):
        for device in archive.devices():
            seen = centre.lane(archive, device)
            if as_json:
                _say_json(asdict(seen))
                continue
            state = "hears" if seen.hears else "online" if seen.online else "silent"
            held = f"passage {seen.held} held: {', '.join(seen.reasons)}" if seen.held else ""
            _say(f"{device}  {state}  {seen.said}  {held}".rstrip())


# --- claims -----------------------------------------------------------------------------------------------


@centre_app.command()
def claims(
    config: ConfigFile,
    older_than: Annotated[float, typer.Option(help="only those older than so many hours", min=0)] = 0.0,
    as_json: Json = False,
) -> None:
    """Claims granted and uses reserved without one, not ended, the oldest first; exit 1 where there is one
    older than asked for."""
    with _opened(config) as (_, archive):
        now = utc_now()
        grants, uses = centre.open_grants(archive, now), centre.open_uses(archive, now)
    lines = [
        (seen.age_s, grant._asdict(), f"{grant.claim_id}  {', '.join(grant.slip_nos)}")
        for seen in grants
        for grant in (seen.grant,)
    ] + [
        (seen.age_s, use._asdict(), f"use {use.use_id}  {use.slip_no}  without a grant")
        for seen in uses
        for use in (seen.use,)
    ]
    old = sorted((line for line in lines if line[0] >= older_than * 3600.0), key=lambda line: -line[0])
    for age_s, row, what in old:
        if as_json:
            _say_json({**row, "age_s": round(age_s, 1)})
        else:
            _say(f"{age_s / 3600.0:8.1f} h  {row['device']} passage {row['passage']}  {what}")
    raise typer.Exit(1 if old and older_than else 0)


@centre_app.command("release-claim")
def release_claim(
    config: ConfigFile,
    claim_id: Annotated[str, typer.Argument(metavar="CLAIM", help="as `centre claims` lists it")],
    officer: Officers,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """End a grant by an officer's word: that vehicle did not cross, and will not (S4)."""
    with _opened(config) as (_, archive):
        freed = centre.release_claim(archive, claim_id, By(tuple(officer), reason), utc_now())
    if as_json:
        _say_json({"claim_id": claim_id, "slip_nos": list(freed)})
    else:
        _say(f"returned  {claim_id}  {', '.join(freed)}")


@centre_app.command("release-use")
def release_use(
    config: ConfigFile,
    device: Device,
    use_id: Annotated[str, typer.Argument(metavar="USE", help="as `centre claims` lists it")],
    officer: Officers,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """End a use that was reserved without a grant: that vehicle did not cross, and will not (S4)."""
    with _opened(config) as (_, archive):
        slip_no = centre.release_use(archive, device, use_id, By(tuple(officer), reason), utc_now())
    if as_json:
        _say_json({"device": device, "use_id": use_id, "slip_no": slip_no})
    else:
        _say(f"returned  {device}  {use_id}  {slip_no}")


@centre_app.command()
def alarms(
    config: ConfigFile,
    code: Annotated[str, typer.Option(help="only this one, such as double_use or grant_old")] = "",
    most: Annotated[int, typer.Option(help="at most so many", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """What the hub itself has found, the latest first: double uses, old grants, forgeries, clones."""
    with _opened(config) as (_, archive):
        for at_utc, device, each, detail in archive.alarms(most, code):
            if as_json:
                _say_json({"time": at_utc, "device": device, "code": each, "detail": detail})
            else:
                _say(f"{at_utc}  {device}  {each}  {detail}")


@centre_app.command()
def acts(
    config: ConfigFile,
    most: Annotated[int, typer.Option(help="at most so many", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """What people did at the centre itself, and who: claims ended, orders issued and withdrawn."""
    with _opened(config) as (_, archive):
        for act in archive.acts(most):
            if as_json:
                _say_json(act._asdict())
            else:
                _say(f"{act.at_utc}  {act.act}  {act.subject}  {', '.join(act.officers)}  {act.reason}")


# --- inspection orders ------------------------------------------------------------------------------------


def _scope(given: str | None, config: HubConfig) -> str:
    known = config.sync.scopes
    if given is None and len(known) == 1:
        return known[0]
    if given not in known:
        raise _refuse(f"--scope: expected one of {', '.join(known)}", 2)
    return given


@order_app.command("issue")
def order_issue(
    config: ConfigFile,
    order_no: Annotated[str, typer.Argument(metavar="ORDER", help="its number")],
    officer: Officers,
    reason: Reason,
    cause: Annotated[
        str, typer.Option(help="control, spot_check, credit, recall, x_ray or officer")
    ] = "officer",
    slip: Annotated[str | None, typer.Option(help="slip to inspect")] = None,
    plate: Annotated[str | None, typer.Option(help="vehicle to inspect")] = None,
    waybill: Annotated[list[str] | None, typer.Option(help="parcels; all of them if left out")] = None,
    authorisation: Annotated[str, typer.Option(help="what who carries it out must be allowed")] = "inspect",
    by_officer: Annotated[list[str] | None, typer.Option(help="only these may carry it out")] = None,
    scope: Scope = None,
    as_json: Json = False,
) -> None:
    """Issue an inspection order (查验指令) as a record of a scope."""
    fields = {
        "order_no": order_no,
        "slip_no": slip,
        "plate": plate,
        "waybill_nos": waybill or [],
        "cause": cause,
        "cause_detail": reason,
        "authorisation": authorisation,
        "officers": by_officer or [],
        "issued": UtcText(utc_now()),
        "issued_by": ",".join(officer),
    }
    with _opened(config) as (hub_config, archive):
        try:
            order = from_json(to_json(fields), InspectionOrder)
        except Malformed as error:
            raise _refuse(error, 2) from error
        number = centre.issue_order(archive, _scope(scope, hub_config), order, By(tuple(officer), reason))
    _told_order(order_no, "issued", number, as_json)


@order_app.command("withdraw")
def order_withdraw(
    config: ConfigFile,
    order_no: Annotated[str, typer.Argument(metavar="ORDER", help="its number")],
    officer: Officers,
    reason: Reason,
    scope: Scope = None,
    as_json: Json = False,
) -> None:
    """Withdraw an inspection order."""
    with _opened(config) as (hub_config, archive):
        number = centre.withdraw_order(
            archive, _scope(scope, hub_config), order_no, By(tuple(officer), reason), utc_now()
        )
    _told_order(order_no, "withdrawn", number, as_json)


def _told_order(order_no: str, state: str, number: int, as_json: bool) -> None:
    if as_json:
        _say_json({"order_no": order_no, "state": state, "number": number})
    else:
        _say(f"{state}  {order_no}  log at {number}")


@order_app.command("list")
def order_list(config: ConfigFile, scope: Scope = None, as_json: Json = False) -> None:
    """Every inspection order and how far it got: issued, taken, inspected, found, withdrawn."""
    with _opened(config) as (hub_config, archive):
        for seen in centre.orders(archive, _scope(scope, hub_config)):
            if as_json:
                _say_json({**to_builtins(seen.order), "state": seen.state, "steps": list(seen.steps)})
            else:
                _say(f"{seen.state}  {seen.order.order_no}  {seen.order.cause.value}")
                for step in seen.steps:
                    _say(f"    {step}")


# --- live picture and sound -------------------------------------------------------------------------------


@centre_app.command()
def live(
    config: ConfigFile,
    device: Annotated[
        str, typer.Argument(metavar="[DEVICE]", help="a handheld; left out: list sessions")
    ] = "",
    officer: Annotated[list[str] | None, typer.Option("--officer", help="number of who watches")] = None,
    reason: Annotated[str, typer.Option("--reason", help="with --ask: why; the handheld shows it")] = "",
    ask: Annotated[bool, typer.Option("--ask", help="ask the officer who holds it for a session")] = False,
    for_s: Annotated[float, typer.Option("--for", help="seconds to watch", min=0.1, max=1800)] = 10.0,
    wait_s: Annotated[float, typer.Option("--wait", help="seconds for it to begin", min=0, max=300)] = 30.0,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="keep it as AVI; the handheld shows that")
    ] = None,
    sound: Annotated[bool, typer.Option(help="with --ask: sound too")] = True,
    as_json: Json = False,
) -> None:
    """Watch what a handheld shows (实时音视频): what its officer began, or is asked for. Exit 1 where nothing
    came."""
    from sync.hub.live_receiving import Wish, watch
    from sync.hub.live_watching import WatchRefused, sessions

    by = By(tuple(officer or ()), reason)
    with _opened(config) as (hub_config, archive):
        if hub_config.live is None:
            raise _refuse(f"{config}: expected a table [live]", 2)
        if not by.officers:
            raise _refuse("--officer: expected the number of who watches", 2)
        try:
            if not device:
                for each in sessions(hub_config, by.officers[0]):
                    if as_json:
                        _say_json(to_builtins(each))
                    else:
                        _say(f"{each.device}  {each.session}  officer {each.officer}  since {each.began}")
                raise typer.Exit(0)
            wish = Wish(device, by, ask, for_s, wait_s, save, sound)
            told = watch(hub_config, archive, wish)
        except (WatchRefused, OSError) as refused:
            raise _refuse(refused) from refused
    if as_json:
        _say_json(asdict(told))
    else:
        _say(told.line())
    raise typer.Exit(0 if told.pictures else 1)


# --- officers' PINs ---------------------------------------------------------------------------------------

Handhelds = Annotated[list[str] | None, typer.Option("--device", help="a handheld it is for; several times")]


@centre_app.command("officer-pin")
def officer_pin(
    config: ConfigFile,
    officer_no: Annotated[str, typer.Argument(metavar="OFFICER", help="whose PIN, as on the roster")],
    officer: Officers,
    reason: Reason,
    device: Handhelds = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="and a new signing key for release codes")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="no PIN any more: signs in on no handheld")] = False,
    scope: Scope = None,
    as_json: Json = False,
) -> None:
    """Set an officer's PIN for handhelds: asked for twice, or one line of stdin. It is kept nowhere; what
    goes down proves it to the handhelds named, and to nobody else."""
    by = By(tuple(officer), reason)
    with _opened(config) as (hub_config, archive):
        pins = Pins(archive, hub_config.private_key)
        in_scope = _scope(scope, hub_config)
        if clear:
            number = pins.clear(in_scope, officer_no, by, utc_now())
        else:
            pin = _asked("PIN").strip()
            number = pins.set(in_scope, officer_no, pin, device or (), by, utc_now(), new_key=new_key)
    if as_json:
        _say_json({"officer_no": officer_no, "pin": not clear, "number": number})
    else:
        _say(f"{'no PIN' if clear else 'PIN set'}  {officer_no}  log at {number}")


@centre_app.command("pin-devices")
def pin_devices(
    config: ConfigFile,
    officer: Officers,
    reason: Reason,
    add: Annotated[list[str] | None, typer.Option("--add", help="a handheld that was enrolled")] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="one that is none any more")] = None,
    scope: Scope = None,
    as_json: Json = False,
) -> None:
    """Let every officer's PIN be good on further handhelds, by the keys devices have today; nobody types one.
    After enrolling a handheld, renewing its signing key, or revoking it. Exit 1 where an officer is left
    out."""
    with _opened(config) as (hub_config, archive):
        pins = Pins(archive, hub_config.private_key)
        by = By(tuple(officer), reason)
        count, left = pins.refresh(_scope(scope, hub_config), add or (), drop or (), by, utc_now())
    if as_json:
        _say_json({"officers": count, "left": list(left)})
    else:
        _say(f"PINs of {count} officers are good on the devices named")
        for line in left:
            _say(f"left out: {line}")
    raise typer.Exit(1 if left else 0)


def _asked(what: str) -> str:
    """Never from the command line: other users of the machine could read it there."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


# --- the console's accounts -------------------------------------------------------------------------------


@centre_app.command("console-account")
def console_account(
    config: ConfigFile,
    officer_no: Annotated[str, typer.Argument(metavar="OFFICER", help="whose, as on the roster")],
    by: Annotated[str, typer.Option("--by", help="number of who makes, changes or closes it")],
    role: Annotated[
        list[Role] | None,
        typer.Option("--role", help="what the officer may do at the console; several times"),
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="may sign in no more")] = False,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="you have seen that its officer uses it: it may act, not only look"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let an officer sign in at the console: the password is asked for twice, or one line of stdin. The way
    to the first account; later ones can be made at the console. Until its officer is confirmed, here or at
    the console, an account only looks."""
    roles = frozenset(role or ())
    if close == bool(roles or confirm):
        raise _refuse("expected --role, at least once, --confirm, or --close", 2)
    with _opened(config) as (_, archive):
        try:
            if roles:
                set_account(archive, officer_no, _asked("password"), roles, by=by, at_utc=utc_now())
            if close and not close_account(archive, officer_no, by=by, at_utc=utc_now()):
                raise AccountRefused(
                    f"没有 {officer_no[:64]} 的账户", f"there is no account of {officer_no[:64]}"
                )
            if confirm:
                known = account(archive, officer_no)
                if known is None:
                    raise AccountRefused(
                        f"没有 {officer_no[:64]} 的账户", f"there is no account of {officer_no[:64]}"
                    )
                confirm_account(archive, known, by=by, how="hub", at_utc=utc_now())
                roles = known.roles
        except AccountRefused as refused:
            raise _refuse(refused) from refused
    if as_json:
        _say_json({"officer_no": officer_no, "active": not close, "roles": sorted(roles)})
    else:
        _say(f"{'closed' if close else 'account'}  {officer_no}  {', '.join(sorted(roles))}".rstrip())


@centre_app.command("console-accounts")
def console_accounts(config: ConfigFile, as_json: Json = False) -> None:
    """Who may sign in at the console, and as what."""
    with _opened(config) as (_, archive):
        for each in accounts(archive):
            if as_json:
                _say_json({**asdict(each), "roles": sorted(each.roles)})
                continue
            state = ("active" if each.confirmed_utc else "not confirmed") if each.active else "closed"
            by = f"by {each.changed_by} {each.changed_utc}"
            _say(f"{each.officer_no}  {state}  {', '.join(sorted(each.roles))}  {by}")


@centre_app.command("move-archive")
def move(
    config: ConfigFile,
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="the archive on SQLite that the hub had", dir_okay=False)
    ],
    as_json: Json = False,
) -> None:
    """Move the hub's archive from SQLite to the empty PostgreSQL database the config names, with its
    identity: devices send nothing again. Stop the hub first. Every row is compared on both sides; whatever
    ends it in the middle, nothing was moved."""
    try:
        place = read_hub_config(config).archive
        if isinstance(place, Path):
            raise _refuse("store.archive: expected a PostgreSQL database to move to", 2)
        if not source.is_file():
            raise _refuse(f"{source}: expected a hub's archive, there is no such file", 2)
        with (
            contextlib.closing(Archive.open(source, own=True)) as old,
            contextlib.closing(Archive.open(place)) as new,
        ):
            moved = move_archive(old, new, _progress)
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (NotMoved, ArchiveRefused, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    if as_json:
        _say_json(asdict(moved))
    else:
        _say(f"moved  {moved.rows} rows of {moved.tables} tables  {source} -> {place}")
        _say("start the hub with this config; keep the old file until the first backup of the new database")


def _progress(table: str, done: int, wanted: int) -> None:
    sys.stderr.write(f"\r{table}: {done} of {wanted}" + ("\n" if done == wanted else ""))


@centre_app.command()
def draw(
    config: ConfigFile,
    draw_no: Annotated[str, typer.Argument(metavar="DRAW", help="its number; its orders are DRAW-0001 ...")],
    officer: Officers,
    reason: Reason,
    count: Annotated[int, typer.Option(help="parcels to draw", min=1, max=drawing.MOST)],
    officers_each: Annotated[int, typer.Option(help="officers to each parcel", min=1, max=2)] = 1,
    authorisation: Annotated[str, typer.Option(help="what they must be allowed")] = "inspect",
    slip: Annotated[str, typer.Option(help="only parcels of this slip")] = "",
    enterprise: Annotated[str, typer.Option(help="only parcels of this enterprise")] = "",
    cause: Annotated[str, typer.Option(help="a parcel is drawn once for each cause")] = "spot_check",
    part: Annotated[
        list[str] | None,
        typer.Option(help="what to bring back: quantities, photos, measurements, seal, sample, voice"),
    ] = None,
    method: Annotated[str | None, typer.Option(help="opened, x_ray, seal, papers or sample")] = None,
    due: Annotated[
        str | None, typer.Option(help="to be done by then, UTC such as 2026-11-22T10:00:00Z")
    ] = None,
    seed: Annotated[str, typer.Option(help="64 hex digits; drawn if left out, and told")] = "",
    only_show: Annotated[bool, typer.Option("--only-show", help="issue nothing: to repeat a draw")] = False,
    scope: Scope = None,
    as_json: Json = False,
) -> None:
    """Draw parcels and officers by lot (双随机) and issue the orders; by the seed anybody can repeat it."""
    seed = seed or lots.new_seed()
    with _opened(config) as (hub_config, archive):
        try:
            wish = drawing.Wish(
                draw_no=draw_no,
                count=count,
                officers_each=officers_each,
                authorisation=authorisation,
                slip_no=slip,
                enterprise=enterprise,
                cause=OrderCause(cause),
                parts=tuple(OrderPart(each) for each in part or ()),
                method=None if method is None else InspectionMethod(method),
                due=None if due is None else UtcText(due),
            )
            if len(bytes.fromhex(seed)) != lots.SEED_DIGITS // 2:
                raise ValueError(f"--seed: expected {lots.SEED_DIGITS} hex digits")
        except ValueError as error:
            raise _refuse(error, 2) from error
        by = By(tuple(officer), reason)
        made = drawing.draw(
            archive, _scope(scope, hub_config), wish, by, seed=seed, at_utc=utc_now(), issue=not only_show
        )
    for order in made:
        if as_json:
            _say_json(to_builtins(order))
        else:
            _say(f"{order.order_no}  {' '.join(order.waybill_nos)}  {', '.join(order.officers)}")
    if not as_json:
        _say(f"{'shown' if only_show else 'issued'} {len(made)}, seed {seed}")


# --- scripts ----------------------------------------------------------------------------------------------


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a script."""

    do: str
    """`manual_release`, `supplement`, `board_text`, `take_pictures`, `lane_close`, `revoke`, `wipe`,
    `resync`, `ask_status`, `release_claim` or `release_use`."""
    at_s: float = 0.0
    """Seconds after the script began; steps are done in the order written, none before its time."""
    device: str = ""
    officers: tuple[str, ...] = ()
    reason: str = ""
    valid_s: int = 30
    wait_held_s: float = 0.0
    """With `passage = "held"` in `act`: so long for somebody to be held."""
    expect: str = "done"
    act: dict[str, Any] = {}
    """The act's own fields; `passage` may be `held`."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    step: tuple[Step, ...]


@centre_app.command()
def script(
    config: ConfigFile,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML or JSON: `step` tables")],
    as_json: Json = False,
) -> None:
    """Play a list of steps with times, each waited for; exit 1 where one did not end as it says it should."""
    try:
        raw = file.read_bytes()
        table = json.loads(raw) if file.suffix == ".json" else tomllib.loads(raw.decode("utf-8-sig"))
        steps = msgspec.convert(table, Script).step
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise _refuse(f"{file}: {error}", 2) from error
    unexpected = 0
    with _opened(config) as (_, archive):
        began_s = time.monotonic()
        for number, step in enumerate(steps, start=1):
            time.sleep(max(0.0, step.at_s - (time.monotonic() - began_s)))
            played = _played(archive, step)
            unexpected += played.outcome != step.expect
            line = {"step": number, "do": step.do, "device": step.device, **asdict(played)}
            if as_json:
                _say_json(line)
            else:
                _say(f"{number}  {step.do}  {played.outcome}  {played.took_s:.2f} s  {played.why}".rstrip())
    raise typer.Exit(1 if unexpected else 0)


@dataclass(frozen=True, slots=True)
class _Played:
    outcome: str
    why: str
    took_s: float
    command_id: str = ""


def _played(archive: Archive, step: Step) -> _Played:
    began_s = time.monotonic()
    by = By(step.officers, step.reason)
    try:
        if step.do == "release_claim":
            freed = centre.release_claim(archive, str(step.act.get("claim_id", "")), by, utc_now())
            return _Played("done", ", ".join(freed), time.monotonic() - began_s)
        if step.do == "release_use":
            use_id = str(step.act.get("use_id", ""))
            slip_no = centre.release_use(archive, step.device, use_id, by, utc_now())
            return _Played("done", slip_no, time.monotonic() - began_s)
        fields = dict(step.act)
        if fields.get("passage") == "held":
            fields["passage"] = _wait_held(archive, step)
            began_s = time.monotonic()
        act = msgspec.convert({"type": step.do, **fields}, Act)
        row = centre.give(archive, step.device, act, by, valid_s=step.valid_s, at_utc=utc_now())
        row = centre.answered(
            archive, row.command_id, within_s=step.valid_s + LONGER_S, sleep=time.sleep, every_s=0.02
        )
    except (CentreRefused, ValueError) as error:
        return _Played("refused", str(error), time.monotonic() - began_s)
    return _Played(row.state, row.why, time.monotonic() - began_s, row.command_id)


def _wait_held(archive: Archive, step: Step) -> int:
    until_s = time.monotonic() + step.wait_held_s
    while (held := centre.held_now(archive, step.device)) is None:
        if time.monotonic() >= until_s:
            raise _nobody_held(step.device)
        time.sleep(0.05)
    return held.passage
