"""The whole handheld as one value: every room's state, the page, what is known of the surroundings.

`step` hands each event to the rooms it is for, and fills the memory into what is committed, so that a kill at
any moment keeps every draft with the facts it belongs to. Requests and timers of a room come back to that
room alone. No clock, no file, no widget.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from edge.handheld import (
    batch,
    comparing_screen,
    inspection,
    lane_help,
    live,
    obeying,
    patrol,
    preferences,
    scanning,
    signing_in,
    stock_take,
    tracing,
    words,
)
from edge.handheld.context import Battery, Context, ScannerSource, Settings, SignedIn, Sync
from edge.handheld.effects import Commit, Effect, Sound, Told, Tone, WakeAfter
from edge.handheld.events import (
    BatteryChanged,
    CommandGiven,
    Committed,
    EffectFailed,
    Paused,
    ReadGarbled,
    Resumed,
    Scanned,
    SettingsChanged,
    SignInAsked,
    SignOutAsked,
    SiteChanged,
    SyncChanged,
    SyncTold,
    TimePassed,
    Touched,
    Wiped,
)
from edge.handheld.memory import Memory, write
from edge.handheld.signing_in import LockAsked
from edge.handheld.view import Bar, Door, GoTo, Notice, NoticePutAway, Page, Sign
from sync.policy.ages import is_too_old
from sync.vocabulary import commands
from sync.vocabulary.facts import Alarm, AlarmCode, Stream
from sync.vocabulary.handheld_facts import HandheldStarted
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.records import Site
from sync.vocabulary.rulings import Text

# --- the rooms ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Room:
    """One room of the machine, by what every room has."""

    name: str
    begin: Any
    """Its state with nothing going on."""
    step: Callable[[Any, Context, Any], tuple[Any, tuple[Effect, ...]]]
    hears: frozenset[type]
    """Types of events it knows."""
    intents: frozenset[type]
    page: Page | None = None


def _types_of(union: Any) -> frozenset[type]:
    if get_origin(union) in (Union, types.UnionType):
        return frozenset(kind for each in get_args(union) for kind in _types_of(each))
    return frozenset({union})


def _room(module: Any, page: Page | None = None, hears: Any = None) -> Room:
    intents = _types_of(getattr(module, "Intent", None)) - {None}
    return Room(
        name=module.__name__.rpartition(".")[2],
        begin=module.State(),
        step=module.step,
        hears=_types_of(module.Event if hears is None else hears),
        intents=intents,
        page=page,
    )


ROOMS: Final = (
    _room(signing_in, Page.SIGN_IN),
    _room(obeying),
    _room(scanning, Page.SCAN),
    _room(batch, Page.BATCH),
    _room(inspection, Page.INSPECTION),
    _room(patrol, Page.PATROL),
    _room(stock_take, Page.STOCK_TAKE),
    _room(lane_help, Page.LANE_HELP),
    _room(tracing, Page.TRACE),
    _room(comparing_screen, Page.COMPARE),
    _room(live, Page.LIVE),
)
"""Their order is the order in which they hear of what concerns several."""

_BY_NAME: Final = {room.name: room for room in ROOMS}
_BY_PAGE: Final = {room.page: room for room in ROOMS if room.page is not None}
_NUMBERS: Final = {room.name: number for number, room in enumerate(ROOMS, start=1)}
_INTENT_OF: Final = {kind: room for room in ROOMS for kind in room.intents}
_WITHOUT_OFFICER: Final = frozenset({SignInAsked, GoTo, NoticePutAway, SettingsChanged})
_ROOM_BITS: Final = 5
_APP: Final = (1 << _ROOM_BITS) - 1
"""No room's: the request of a commit that nobody but the app waits for."""
_JOURNAL_TIMER: Final = "app:journal"
JOURNAL_AGAIN_S: Final = 5.0

_NEEDS: Final[dict[Page, frozenset[str]]] = {
    Page.INSPECTION: frozenset({"inspect"}),
    Page.PATROL: frozenset({"patrol"}),
    Page.STOCK_TAKE: frozenset({"stock_take"}),
    Page.LANE_HELP: frozenset({lane_help.RELEASE, lane_help.SUPPLEMENT}),
}
"""The authorisations (施检授权) a page asks for: one of them opens it."""

_TITLES: Final[dict[Page, Text]] = {
    Page.SIGN_IN: Text("登录", "Sign in"),
    Page.SCAN: Text("扫描", "Scan"),
    Page.BATCH: Text("批量", "Batch"),
    Page.INSPECTION: Text("查验", "Inspect"),
    Page.PATROL: Text("巡查", "Patrol"),
    Page.STOCK_TAKE: Text("盘库", "Stock-take"),
    Page.LANE_HELP: Text("卡口", "Lane"),
    Page.TRACE: Text("溯源", "Trace"),
    Page.COMPARE: Text("比对", "Compare"),
    Page.LIVE: Text("视频", "Live"),
    Page.SETTINGS: Text("设置", "Settings"),
}
_PAGES: Final = (*(page for page in Page if page in _BY_PAGE), Page.SETTINGS)


@dataclass(frozen=True, slots=True)
class Device:
    """What does not change while the program runs."""

    name: str
    key_id: str = ""
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    sources: frozenset[ScannerSource] = frozenset(ScannerSource)
    about: tuple[Text, ...] = ()
    lacks: Text | None = None
    """What its camera does not read for want of a decoder: said wherever somebody aims it."""


@dataclass(frozen=True, slots=True)
class App:
    device: Device
    states: Mapping[str, Any]
    """By the room's name."""
    settings: Settings = field(default_factory=Settings)
    site: Site | None = None
    sync: Sync = field(default_factory=Sync)
    battery: Battery = field(default_factory=Battery)
    page: Page = Page.SIGN_IN
    page_before: Page = Page.SCAN
    """Where whoever signs in stands."""
    is_hidden: bool = False
    """The system shows something else."""
    acting: tuple[str, ...] = ()
    """Rooms whose effects are being performed: they hear of one that failed."""
    not_recorded: str = ""
    """Why the last commit failed; empty once one succeeds."""
    owes_memory: bool = False
    """It was in a commit that failed."""
    kept: Memory = field(default_factory=Memory)
    """As it was put into the last commit."""
    is_open: bool = False
    """Journal and records are readable: without a keystore they are not before somebody's PIN opened them."""

    @property
    def officer(self) -> SignedIn | None:
        signing: signing_in.State = self.states["signing_in"]
        return signing.officer


Step = tuple[App, tuple[Effect, ...]]

_KEPT: Final = ("batch", "inspection", "patrol", "stock_take", "lane_help")
"""Rooms whose state the memory holds as it is."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stores are open: what the memory in them held, and what of it could not be read."""

    memory: Memory
    problems: tuple[str, ...] = ()


def begun(device: Device) -> App:
    """Before the stores are open: somebody may sign in, nothing else happens."""
    return App(device, {room.name: room.begin for room in ROOMS})


def _opened(app: App, opened: Opened) -> tuple[App, list[Effect]]:
    """The machine as the memory left it. Whose PIN opened the stores is still to be told."""
    memory = opened.memory
    states = {**app.states}
    states |= {name: getattr(memory, name) for name in _KEPT}
    states["obeying"] = obeying.woken(memory.obeying, app.device.key_id)
    signing: signing_in.State = app.states["signing_in"]
    states["signing_in"] = msgspec.structs.replace(
        signing,
        last_officer=memory.signing_in.last_officer,
        locked=memory.signing_in.locked,
        stopped=memory.signing_in.stopped if states["obeying"].stopped_by is not None else "",
    )
    app = replace(
        app,
        states=states,
        settings=memory.settings,
        page_before=memory.page if memory.page in _BY_PAGE else Page.SCAN,
        kept=memory,
        is_open=True,
    )
    started = HandheldStarted(
        version=app.device.version,
        config_digest=app.device.config_digest,
        boot_id=app.device.boot_id,
        drafts=_drafts(app),
    )
    facts = [Told(Stream.ROUTINE, started)]
    if opened.problems:
        lost = Alarm(
            code=AlarmCode.INPUT_REFUSED,
            detail="; ".join(opened.problems)[:400],
            zh="本机记忆无法读取，草稿可能丢失",
            en="The device's memory could not be read, drafts may be lost",
        )
        facts.append(Told(Stream.ALARM, lost))
    return app, [Commit(tuple(facts))]


INTENTS: Final = tuple(sorted(_INTENT_OF, key=lambda kind: kind.__name__))
"""Everything an officer can want of a room, by type: what a glass may say."""


# --- stepping -----------------------------------------------------------------------------------------------


def step(app: App, at_s: float, utc: str, event: object) -> Step:
    """Pure. `at_s` is monotonic, `utc` the text of the same moment."""
    before, recipients = app, _recipients(app, event)
    app, effects = _surroundings(replace(app, acting=()), event)
    for room, heard in recipients:
        app, more = _enter(app, room, at_s, utc, heard)
        effects += more
    if _is_touch(event) and app.officer is not None:
        app, more = _enter(app, _BY_NAME["signing_in"], at_s, utc, Touched())
        effects += more
    app, more = _followed(before, app, at_s, utc, event)
    effects += more
    if isinstance(event, EffectFailed) and isinstance(event.effect, Commit):
        # What could not be written is not tried again at once: the disk is as full as it was.
        return app, tuple(effect for effect in effects if not isinstance(effect, Commit))
    return _remembered(app, effects)


def context(app: App, at_s: float, utc: str) -> Context:
    return Context(
        at_s=at_s,
        utc=utc,
        device=app.device.name,
        key_id=app.device.key_id,
        officer=app.officer,
        settings=app.settings,
        site=app.site,
        sync=app.sync,
        battery=app.battery,
        ended_orders=tuple((out.order_no, out.handling) for out in app.states["inspection"].outbox),
        is_live=live.is_live(app.states["live"]),
    )


def _surroundings(app: App, event: object) -> tuple[App, list[Effect]]:
    match event:
        case Opened():
            return _opened(app, event)
        case SyncChanged(sync):
            return replace(app, sync=sync), []
        case SiteChanged(site):
            return replace(app, site=site), []
        case BatteryChanged(battery):
            return replace(app, battery=battery), []
        case SettingsChanged(settings):
            return replace(app, settings=settings), []
        case SyncTold(stream, data):
            return app, [Commit((Told(stream, data),))]
        case Paused():
            return replace(app, is_hidden=True), []
        case Resumed():
            return replace(app, is_hidden=False), []
        case EffectFailed(Commit(), why):
            again = WakeAfter(_JOURNAL_TIMER, JOURNAL_AGAIN_S)
            return replace(app, not_recorded=why, owes_memory=True), [again]
        case Committed(request) if request:
            return replace(app, not_recorded=""), []
        case GoTo(page):
            return _go(app, page)
        case _:
            return app, []


def _go(app: App, page: Page) -> tuple[App, list[Effect]]:
    is_open = any(door.page is page and door.is_open for door in doors(app))
    return (replace(app, page=page), []) if is_open else (app, [Sound(Tone.ERROR)])


def _recipients(app: App, event: object) -> list[tuple[Room, object]]:
    """Which rooms hear of it, and as what. Nothing but signing in is heard while nobody holds the device."""
    intent_of = _INTENT_OF.get(type(event))
    if intent_of is not None:
        if app.officer is None and type(event) not in _WITHOUT_OFFICER:
            return []
        return [(intent_of, event)]
    match event:
        case Scanned() | ReadGarbled():
            return [] if app.officer is None else _read(app, event)
        case TimePassed(name):
            owner, _, own = name.partition(":")
            return [(_BY_NAME[owner], TimePassed(own))] if owner in _BY_NAME else []
        case EffectFailed(effect, why):
            failed = EffectFailed(_untagged(effect), why)
            return [(_BY_NAME[name], failed) for name in app.acting if EffectFailed in _BY_NAME[name].hears]
        case CommandGiven(command):
            return [(_commanded(command), event)]
        case Wiped():
            return [(_BY_NAME["obeying"], event)]
        case Committed(request=0):
            return [(room, event) for room in ROOMS if Committed in room.hears]
        case _:
            request = getattr(event, "request", 0)
            if isinstance(request, int) and request > 0:
                asker = _named(request)
                answer = _with_request(event, request >> _ROOM_BITS)
                return [] if asker is None else [(_BY_NAME[asker], answer)]
            return [(room, event) for room in ROOMS if type(event) in room.hears]


def _read(app: App, event: Scanned | ReadGarbled) -> list[tuple[Room, object]]:
    room = _reads(app, event)
    counting: batch.State = app.states["batch"]
    is_slip = isinstance(event, Scanned) and SlipNo.parse(event.text.strip()) is not None
    if is_slip and room.page in (Page.SCAN, Page.BATCH) and counting.batch is None:
        # A slip is no parcel: whoever scans one wants to check its load (卡口抽核).
        slips = _BY_NAME["batch"]
        return [(slips, batch.SlipCheckBegun()), (slips, event)]
    return [(room, event)]


def _reads(app: App, event: Scanned | ReadGarbled) -> Room:
    """The page that is open reads, where it can; else the scan page does."""
    room = _BY_PAGE.get(app.page)
    return room if room is not None and type(event) in room.hears else _BY_NAME["scanning"]


def _commanded(command: commands.Command) -> Room:
    match command.act:
        case commands.LiveRequest():
            return _BY_NAME["live"]
        case commands.RequestAnswered():
            return _BY_NAME["lane_help"]
        case _:
            return _BY_NAME["obeying"]


def _is_touch(event: object) -> bool:
    """The officer did something, a label was read in the officer's hand, or the centre sees what it does."""
    if isinstance(event, live.LiveChanged):
        return bool(event.flow.watchers)
    return isinstance(event, Scanned | GoTo | SettingsChanged | NoticePutAway | Touched) or (
        type(event) in _INTENT_OF and not isinstance(event, SignOutAsked | LockAsked | SignInAsked)
    )


def _enter(app: App, room: Room, at_s: float, utc: str, event: object) -> tuple[App, list[Effect]]:
    state, asked = room.step(app.states[room.name], context(app, at_s, utc), event)
    if state is not app.states[room.name]:
        app = replace(app, states={**app.states, room.name: state})
    if asked:
        app = replace(app, acting=(*app.acting, room.name))
    return app, [_tagged(effect, room.name) for effect in asked]


def _followed(before: App, app: App, at_s: float, utc: str, event: object) -> tuple[App, list[Effect]]:
    """What follows for the whole from what a room made of an event."""
    effects: list[Effect] = []
    obeyed: obeying.State = app.states["obeying"]
    signing: signing_in.State = app.states["signing_in"]
    if obeyed.stopped_by is not None and not signing.stopped:
        why = f"{', '.join(obeyed.stopped_by.officers)}: {obeyed.stopped_by.reason}"
        stopped, asked = signing_in.stop(signing, why)
        app = replace(app, states={**app.states, "signing_in": stopped})
        effects += [_tagged(effect, "signing_in") for effect in asked]
    if (app.officer is None) is not (before.officer is None):
        app = _changed_hands(app)
    if live.is_live(app.states["live"]) and app.officer != before.officer:
        app, more = _enter(app, _BY_NAME["live"], at_s, utc, live.HolderChanged())
        effects += more
    if isinstance(event, Scanned) and before.officer is not None and app.officer is not None:
        app = replace(app, page=_read(before, event)[-1][0].page or app.page)
    match event:
        case scanning.OfferTaken("trace", value):
            app, more = _elsewhere(app, Page.TRACE, at_s, utc, tracing.TraceAsked(value))
            effects += more
        case scanning.OfferTaken("compare", value):
            wanted = comparing_screen.ComparisonAsked(value)
            app, more = _elsewhere(app, Page.COMPARE, at_s, utc, wanted)
            effects += more
        case scanning.OfferTaken("take_order", value):
            app, more = _elsewhere(app, Page.INSPECTION, at_s, utc, inspection.wants.OrderTakeAsked(value))
            effects += more
        case _:
            pass
    if app.page is Page.PATROL and before.page is not Page.PATROL:
        # Whoever comes to walk a route finds the routes there are.
        app, more = _enter(app, _BY_NAME["patrol"], at_s, utc, patrol.RoutesAsked())
        effects += more
    if app.page is Page.LANE_HELP and before.page is not Page.LANE_HELP:
        app, more = _enter(app, _BY_NAME["lane_help"], at_s, utc, lane_help.HeldAsked())
        effects += more
    state, aimed = scanning.camera(app.states["scanning"], _camera_is_wanted(app))
    if state is not app.states["scanning"]:
        app = replace(app, states={**app.states, "scanning": state})
        effects += aimed
    return app, effects


def _elsewhere(app: App, page: Page, at_s: float, utc: str, event: object) -> tuple[App, list[Effect]]:
    """Another page takes over, with what it is to do there."""
    app, effects = _go(app, page)
    if effects:
        return app, effects
    return _enter(app, _INTENT_OF[type(event)], at_s, utc, event)


def _changed_hands(app: App) -> App:
    """Signed in, or out: what was on the screen was for somebody else; drafts stay."""
    states = {
        **app.states,
        "scanning": scanning.signed_out(app.states["scanning"]),
        "tracing": tracing.State(request=app.states["tracing"].request + 1),
        "comparing_screen": comparing_screen.signed_out(app.states["comparing_screen"]),
    }
    if app.officer is None:
        return replace(app, states=states, page=Page.SIGN_IN, page_before=app.page)
    page = app.page_before
    opened = replace(app, states=states, page=Page.SCAN)
    is_open = any(door.page is page and door.is_open for door in doors(opened))
    return replace(opened, page=page) if is_open and page is not Page.SIGN_IN else opened


def _camera_is_wanted(app: App) -> bool:
    """Frames are read for codes only where a code means something, and somebody is there to aim."""
    room = _BY_PAGE.get(app.page)
    return (
        app.officer is not None
        and not app.is_hidden
        and app.settings.source is ScannerSource.CAMERA
        and room is not None
        and Scanned in room.hears
    )


# --- requests and timers belong to their room ---------------------------------------------------------------


def _tagged(effect: Effect, room: str) -> Effect:
    if isinstance(effect, WakeAfter):
        return WakeAfter(f"{room}:{effect.name}", effect.seconds)
    request = getattr(effect, "request", 0)
    if not request:
        return effect
    tagged: Effect = _with_request(effect, request << _ROOM_BITS | _NUMBERS[room])
    return tagged


def _untagged(effect: Any) -> Any:
    request = getattr(effect, "request", 0)
    return _with_request(effect, request >> _ROOM_BITS) if request else effect


def _named(request: int) -> str | None:
    number = request & ((1 << _ROOM_BITS) - 1)
    return ROOMS[number - 1].name if 0 < number <= len(ROOMS) else None


def _with_request(value: Any, request: int) -> Any:
    return replace(value, request=request)


# --- the memory ---------------------------------------------------------------------------------------------


def memory_of(app: App) -> Memory:
    signing: signing_in.State = app.states["signing_in"]
    return Memory(
        settings=app.settings,
        page=app.page if app.page is not Page.SIGN_IN else app.page_before,
        signing_in=signing_in.kept(signing),
        obeying=app.states["obeying"],
        batch=app.states["batch"],
        inspection=inspection.kept(app.states["inspection"]),
        patrol=app.states["patrol"],
        stock_take=app.states["stock_take"],
        lane_help=lane_help.kept(app.states["lane_help"]),
    )


def _remembered(app: App, effects: list[Effect]) -> Step:
    """One transaction a step (G1): facts of every room in it, evidence, and the memory as it is after it."""
    if not app.is_open:
        # The facts wait with the performer; there is no memory yet that could be kept.
        return app, tuple(effects)
    commits = [effect for effect in effects if isinstance(effect, Commit)]
    memory = memory_of(app)
    if not commits and not app.owes_memory and memory == app.kept:
        return app, tuple(effects)
    facts = tuple(told for commit in commits for told in commit.facts)
    evidence = tuple(each for commit in commits for each in commit.evidence)
    asked = [commit.request for commit in commits if commit.request]
    if app.not_recorded and not asked:
        asked = [_APP]
    whole = Commit(facts, evidence, asked[0] if asked else 0, write(memory))
    at = effects.index(commits[0]) if commits else len(effects)
    ahead = [effect for effect in effects[:at] if not isinstance(effect, Commit)]
    behind = [effect for effect in effects[at:] if not isinstance(effect, Commit)]
    answered = [Commit(request=request) for request in asked[1:]]
    return replace(app, kept=memory, owes_memory=False), (*ahead, whole, *answered, *behind)


# --- what is shown ------------------------------------------------------------------------------------------


Shown = (
    signing_in.SigningInView
    | scanning.ScanningView
    | batch.BatchView
    | inspection.InspectionView
    | patrol.PatrolView
    | stock_take.StockTakeView
    | lane_help.LaneHelpView
    | tracing.TracingView
    | comparing_screen.ComparingView
    | live.LiveView
    | preferences.PreferencesView
)


@dataclass(frozen=True, slots=True)
class View:
    """All that is on the screen at one moment."""

    bar: Bar
    page: Page
    doors: tuple[Door, ...]
    settings: Settings
    shown: Shown
    """The page's own view; `SigningInView` over any page while nobody is signed in."""


def view(app: App, at_s: float, utc: str) -> View:
    return View(
        bar=_bar(app, at_s),
        page=app.page,
        doors=doors(app),
        settings=app.settings,
        shown=_shown(app, context(app, at_s, utc)),
    )


def doors(app: App) -> tuple[Door, ...]:
    """Every page that is built, and whether this officer may open it. Settings are anybody's."""
    found = []
    for page in _PAGES:
        if page is Page.SIGN_IN:
            continue
        why: Text | None = None
        needed = _NEEDS.get(page)
        if page is not Page.SETTINGS and app.officer is None:
            why = Text("请先登录", "Sign in first")
        elif needed is not None and app.officer is not None and needed.isdisjoint(app.officer.authorisations):
            why = Text("无此授权", "You are not authorised for this")
        found.append(Door(page, _TITLES[page], why is None, why, _waiting(app, page)))
    if app.officer is None:
        found.append(Door(Page.SIGN_IN, _TITLES[Page.SIGN_IN], True))
    return tuple(found)


def _bar(app: App, at_s: float) -> Bar:
    sync = app.sync
    unsent = sync.unsent + sync.unsent_blobs
    age_s = sync.age_s(at_s)
    notices = []
    if app.not_recorded:
        told = Text("本机存储故障，未能记录", "Storage fault: this device cannot record")
        notices.append(Notice(Sign.HOLD, told, stays=True))
    if live.is_asked(app.states["live"]) and app.page is not Page.LIVE:
        told = Text(
            "中心请求实时画面：点此答复",
            "The centre asks for a live picture: touch here to answer",
        )
        notices.append(Notice(Sign.INSPECT, told, stays=True, leads_to=Page.LIVE))
    return Bar(
        online=sync.online,
        link=Text("在线", "Online") if sync.online else Text("离线", "Offline"),
        unsent=unsent,
        unsent_text=Text(f"未发送 {unsent}", f"{unsent} unsent"),
        age=words.age(age_s),
        age_is_too_old=is_too_old(age_s, app.site),
        battery_per_cent=app.battery.per_cent,
        is_charging=app.battery.charging,
        officer="" if app.officer is None else app.officer.officer_no,
        is_live=live.is_live(app.states["live"]),
        live=live.mark(app.states["live"]),
        notices=tuple(notices),
    )


def _shown(app: App, now: Context) -> Shown:
    if app.page is Page.SETTINGS:
        return preferences.view(
            app.settings, app.device.about, app.device.sources, is_signed_in=app.officer is not None
        )
    if app.page is Page.SIGN_IN or app.officer is None:
        return signing_in.view(app.states["signing_in"], now, _drafts(app))
    room = _BY_PAGE[app.page]
    shown: Shown = _VIEWS[room.name](app.states[room.name], now)
    if isinstance(shown, scanning.ScanningView) and app.settings.source is ScannerSource.CAMERA:
        return replace(shown, hint=app.device.lacks or shown.hint)
    return shown


_VIEWS: Final[dict[str, Callable[[Any, Context], Any]]] = {
    "scanning": scanning.view,
    "batch": batch.view,
    "inspection": inspection.view,
    "patrol": patrol.view,
    "stock_take": stock_take.view,
    "lane_help": lane_help.view,
    "tracing": tracing.view,
    "comparing_screen": comparing_screen.view,
    "live": live.view,
}


def _waiting(app: App, page: Page) -> int:
    """Drafts of that room that are not sent."""
    match page:
        case Page.INSPECTION:
            working: inspection.State = app.states["inspection"]
            return len(working.drafts) + sum(1 for out in working.outbox if not out.is_sent)
        case Page.BATCH:
            scanning_many: batch.State = app.states["batch"]
            return 0 if scanning_many.batch is None else 1
        case Page.PATROL:
            walking: patrol.State = app.states["patrol"]
            return 0 if walking.walk is None else 1
        case Page.STOCK_TAKE:
            counting: stock_take.State = app.states["stock_take"]
            return 0 if counting.take is None else 1
        case _:
            return 0


def _drafts(app: App) -> int:
    return sum(_waiting(app, page) for page in _PAGES)
