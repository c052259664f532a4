"""The enrolment desk: what `kakou enrol` does to a site folder, one function a command. No MQTT, no SQL.

Each reads the register, does its whole work or nothing that matters, and answers with what was made and what
a person must do next. Time comes in. Raises `EnrolmentRefused`.
"""

from __future__ import annotations

import functools
import io
import secrets
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Concatenate, ParamSpec

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sync.enrolment.brokers import Listed, Listener, mosquitto_acl, mosquitto_conf, nats_conf
from sync.enrolment.certificates import (
    CertificateRefused,
    TlsKey,
    Usage,
    authority_problems,
    certificate_problems,
    key_pem,
    make_authority,
    make_certificate,
    make_request,
    make_revocations,
    make_tls_key,
    name_of,
    pem_of,
    read_certificates,
    read_key,
    read_revocations,
    revocation_problems,
)
from sync.enrolment.folder import (
    BROKER_FOLDER_MODE,
    OPEN_MODE,
    REGISTER,
    SECRET_MODE,
    SETTINGS,
    EnrolmentRefused,
    alone,
    make_folder,
    new_file,
    optional_file,
    read_file,
    read_register,
    read_settings,
    replace_file,
    set_aside,
    write_register,
)
from sync.enrolment.fragments import device_fragment, hub_fragment
from sync.enrolment.register import (
    BROKER,
    DEVICE_KINDS,
    HUB,
    NAME,
    NAME_EXPECTED,
    RESERVED,
    Enrolled,
    Kind,
    Place,
    Register,
    Serial,
    Settings,
    settings_text,
)
from sync.link.keys import KeyRefused, load_private, make_private, private_pem, public_pem
from sync.link.trust import RollRefused, known_kids, rolled, signing_kid
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import utc_text

SIGN_KEY, SIGN_PUB, STATEMENTS = "sign.key", "sign.pub", "keys.json"
TLS_KEY, TLS_PEM, TLS_CSR = "tls.key", "tls.pem", "tls.csr"
NATS, OLD_NATS = "nats", "nats-2.9"
BROKERS = ("mosquitto", NATS, OLD_NATS)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    said: tuple[str, ...]
    """What was made, a line each."""
    todo: tuple[str, ...] = ()
    """What is left for a person."""


_P = ParamSpec("_P")


def _alone(work: Callable[Concatenate[Path, _P], Done]) -> Callable[Concatenate[Path, _P], Done]:
    """A command that has its site folder for itself."""

    @functools.wraps(work)
    def locked(folder: Path, /, *args: _P.args, **kwargs: _P.kwargs) -> Done:
        with alone(folder):
            return work(folder, *args, **kwargs)

    return locked


# --- the site ---------------------------------------------------------------------------------------------


def init(
    folder: Path,
    settings: Settings,
    now: datetime,
    *,
    authority: Path | None = None,
    authority_key: Path | None = None,
) -> Done:
    """Begin a site folder. Without `authority` one is made here; with it (signing certificate first, its root
    last) and its key, that one signs; with it alone, requests go out and certificates come in."""
    if (folder / SETTINGS).exists() or (folder / REGISTER).exists():
        raise EnrolmentRefused(f"{folder} is a site folder already: go on with `kakou enrol device`")
    if folder.is_dir() and any(folder.iterdir()):
        raise EnrolmentRefused(
            f"{folder} is not empty: name a new folder (nothing of an unfinished one was given out)"
        )
    problems = _settings_problems(settings)
    if problems:
        raise EnrolmentRefused("; ".join(problems))
    if authority_key is not None and authority is None:
        raise EnrolmentRefused("--ca-key: expected beside --ca, the certificate of that key")
    key: TlsKey | None = None
    if authority is None:
        key = make_tls_key()
        chain: tuple[x509.Certificate, ...] = (
            make_authority(key, settings.site, now, settings.authority_days),
        )
    else:
        chain = _certificates(authority)
        problems = authority_problems(chain, now)
        if authority_key is not None:
            key = _tls_key(authority_key)
            if key.public_key() != chain[0].public_key():
                problems.append(f"{authority_key} is not the key of its first certificate")
        if problems:
            raise EnrolmentRefused(f"{authority}: {'; '.join(problems)}")
    new_file(folder / "ca" / "ca.pem", pem_of(*chain), OPEN_MODE)
    if key is not None:
        new_file(folder / "ca" / "ca.key", key_pem(key))
    new_file(folder / "draw.key", secrets.token_hex(32).encode() + b"\n")
    register = Register(made_here=key is not None)
    if key is not None:
        register = _write_revocations(folder, register, now)
    write_register(folder, register)
    # Last: a folder without it is none.
    new_file(folder / SETTINGS, settings_text(settings).encode())
    ends = chain[0].not_valid_after_utc
    said = [f"site {settings.site} in {folder}; its authority is {name_of(chain[0])}, until {ends:%Y-%m-%d}"]
    todo = ["`kakou enrol hub`, `kakou enrol device NAME --kind lane`, `kakou enrol broker mosquitto`"]
    if key is None:
        todo.append("the authority's revocation list: `kakou enrol crl FILE`")
    return Done(tuple(said), tuple(todo))


def _settings_problems(settings: Settings) -> list[str]:
    try:
        # What was put together in code is checked like what is read.
        msgspec.convert(msgspec.to_builtins(settings), Settings)
    except msgspec.ValidationError as error:
        return [str(error)]
    return []


# --- machines ---------------------------------------------------------------------------------------------


@_alone
def enrol_hub(folder: Path, now: datetime) -> Done:
    return _enrol(folder, HUB, Kind.HUB, (), now)


@_alone
def enrol_device(
    folder: Path, name: str, kind: Kind, scopes: Sequence[str], now: datetime, days: int | None = None
) -> Done:
    settings = read_settings(folder)
    if name in RESERVED:
        raise EnrolmentRefused(f"{name} is a name of the site itself: choose another")
    for each in (name, *scopes):
        _check_name(each)
    if kind not in DEVICE_KINDS:
        raise EnrolmentRefused(f"--kind: expected one of {', '.join(DEVICE_KINDS)}")
    unknown = [scope for scope in scopes if scope not in settings.scopes]
    if unknown:
        raise EnrolmentRefused(
            f"--scope {unknown[0]}: expected one of {', '.join(settings.scopes)}, or name it in {SETTINGS}"
        )
    return _enrol(folder, name, kind, tuple(scopes) or settings.scopes[:1], now, days)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise EnrolmentRefused(f"{name!r} is no name: expected {NAME_EXPECTED}")


def _enrol(
    folder: Path, name: str, kind: Kind, scopes: tuple[str, ...], now: datetime, days: int | None = None
) -> Done:
    settings, register = read_settings(folder), read_register(folder)
    known = register.find(name)
    if known is not None:
        if known.revoked:
            raise EnrolmentRefused(
                f"{name} was revoked on {known.revoked[:10]}: a revoked name never comes back, choose another"
            )
        raise EnrolmentRefused(
            f"{name} is enrolled already: `kakou enrol renew {name}`, or choose another name"
        )
    place = _place(folder, name)
    if place.exists():
        # Left by a command that was stopped half-way: nothing of it was given out.
        set_aside(place, _stamp(now))
    private = make_private()
    new_file(place / SIGN_KEY, private_pem(private))
    new_file(place / SIGN_PUB, public_pem(private.public_key()), OPEN_MODE)
    serials, said, todo = _certify(folder, settings, register, name, now, days)
    row = Enrolled(name=name, kind=kind, scopes=scopes, enrolled=_utc(now), serials=serials)
    register = register.with_(row)
    write_register(folder, register)
    rewritten = _write_lists(folder, settings, register)
    todo += ["tell the broker: SIGHUP (`kakou enrol broker …` says how)"] if rewritten else []
    if kind in DEVICE_KINDS:
        todo += [f'hub: bundle it anew, or name {name} = "…/{SIGN_PUB}" in [devices], and restart it']
    todo.append(f"`kakou enrol bundle {name}` makes the file to carry there")
    return Done((f"{kind.value} {name} is enrolled", *said, *rewritten), tuple(todo))


def _certify(
    folder: Path, settings: Settings, register: Register, name: str, now: datetime, days: int | None
) -> tuple[tuple[Serial, ...], list[str], list[str]]:
    """A new TLS key, and its certificate or the request for one."""
    place = _place(folder, name)
    usage, hosts = _purpose(settings, name)
    key = make_tls_key()
    new_file(place / TLS_KEY, key_pem(key))
    if not register.made_here:
        new_file(place / TLS_CSR, pem_of(make_request(key, settings.site, name, usage, hosts)), OPEN_MODE)
        return (
            (),
            [f"its certificate request is {place / TLS_CSR}"],
            [f"have it signed, then `kakou enrol accept {name} CERTIFICATE`"],
        )
    made = _made_certificate(folder, settings, name, key.public_key(), now, days)
    new_file(place / TLS_PEM, _with_chain(folder, made), OPEN_MODE)
    return (_serial(made),), [f"its certificate is valid until {made.not_valid_after_utc:%Y-%m-%d}"], []


def _made_certificate(
    folder: Path,
    settings: Settings,
    name: str,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    days: int | None,
) -> x509.Certificate:
    usage, hosts = _purpose(settings, name)
    authority = _certificates(folder / "ca" / "ca.pem")[0]
    try:
        return make_certificate(
            _tls_key(folder / "ca" / "ca.key"),
            authority,
            public,
            settings.site,
            name,
            usage,
            hosts,
            now,
            days or settings.days,
        )
    except CertificateRefused as error:
        raise EnrolmentRefused(str(error)) from error


@_alone
def accept(folder: Path, name: str, certificate: Path, now: datetime) -> Done:
    """A certificate that an authority elsewhere made for a request of ours."""
    settings, register = read_settings(folder), read_register(folder)
    row = _welcome(register, name)
    place = _place(folder, name)
    request = place / TLS_CSR
    if not request.exists():
        raise EnrolmentRefused(f"{name} waits for no certificate: `kakou enrol renew {name}` makes a request")
    chain = _certificates(certificate)
    usage, hosts = _purpose(settings, name)
    authorities = _certificates(folder / "ca" / "ca.pem")[:1]
    problems = certificate_problems(chain[0], _tls_key(place / TLS_KEY), authorities, name, usage, hosts, now)
    if problems:
        raise EnrolmentRefused(f"{certificate}: {'; '.join(problems)}")
    new_file(place / TLS_PEM, _with_chain(folder, chain[0]), OPEN_MODE)
    set_aside(request, _stamp(now))
    row = msgspec.structs.replace(row, serials=(*row.serials, _serial(chain[0])))
    write_register(folder, register.with_(row))
    ends = chain[0].not_valid_after_utc
    return Done(
        (f"{name}: certificate taken, valid until {ends:%Y-%m-%d}",),
        (f"`kakou enrol bundle {name}` makes the file to carry there",),
    )


# --- renewal ----------------------------------------------------------------------------------------------


@_alone
def renew(
    folder: Path, name: str, now: datetime, *, signing_key: bool = False, days: int | None = None
) -> Done:
    """A new TLS key and certificate, and a new signing key where asked for, vouched for by the old one.

    What was given out before stays valid until it ends, so that the machine may change over when it suits."""
    settings, register = read_settings(folder), read_register(folder)
    row = _welcome(register, name)
    place, stamp = _place(folder, name), _stamp(now)
    said: list[str] = []
    todo: list[str] = []
    if signing_key:
        if row.kind is Kind.BROKER:
            raise EnrolmentRefused("the broker signs nothing: leave --signing-key out")
        said.append(_roll(folder, name, now))
    for file in (TLS_KEY, TLS_PEM, TLS_CSR):
        set_aside(place / file, stamp)
    serials, certified, waiting = _certify(folder, settings, register, name, now, days)
    write_register(folder, register.with_(msgspec.structs.replace(row, serials=(*row.serials, *serials))))
    rewritten = _write_lists(folder, settings, read_register(folder))
    todo += waiting
    if row.kind is Kind.BROKER:
        todo.append("the broker reads its new certificate on SIGHUP")
    else:
        todo.append(
            f"`kakou enrol bundle {name}`, carry it there before {_ends(row)}; TLS files are read again"
        )
        todo[-1] += " at the next connection" + (", the signing key at the next start" if signing_key else "")
    return Done((*said, *certified, *rewritten), tuple(todo))


def _roll(folder: Path, name: str, now: datetime) -> str:
    place = _place(folder, name)
    chain = optional_file(place / STATEMENTS)
    new = make_private()
    try:
        old = load_private(place / SIGN_KEY)
        after = rolled(name, old, new.public_key(), chain, issued=_utc(now))
    except (KeyRefused, RollRefused, Malformed) as error:
        raise EnrolmentRefused(str(error)) from error
    kid = signing_kid(name, new.public_key(), after)
    stamp = _stamp(now)
    # Copies in `old` first: stopped at any line below, key and statements of before can be put back by hand.
    new_file(place / "old" / f"{stamp}.{SIGN_KEY}", private_pem(old))
    if chain:
        new_file(place / "old" / f"{stamp}.{STATEMENTS}", chain, OPEN_MODE)
    replace_file(place / STATEMENTS, after, OPEN_MODE)
    replace_file(place / SIGN_KEY, private_pem(new))
    return f"{name} signs with a new key, which the old one vouches for: {kid}"


@_alone
def retire(folder: Path, name: str, now: datetime) -> Done:
    """Say, signed by the key in force, that no earlier key of this name is to be believed any more."""
    register = read_register(folder)
    _welcome(register, name)
    place = _place(folder, name)
    chain = optional_file(place / STATEMENTS)
    try:
        private = load_private(place / SIGN_KEY)
        former = known_kids(name, private.public_key(), chain)[:-1]
        if not former:
            raise EnrolmentRefused(f"{name} has had one key only: `kakou enrol renew {name} --signing-key`")
        after = rolled(name, private, private.public_key(), chain, issued=_utc(now), revoke=former)
    except (KeyRefused, RollRefused, Malformed) as error:
        raise EnrolmentRefused(str(error)) from error
    set_aside(place / STATEMENTS, _stamp(now))
    new_file(place / STATEMENTS, after, OPEN_MODE)
    return Done(
        (f"{name}: {len(former)} earlier key{'s' if len(former) > 1 else ''} revoked",),
        (f"`kakou enrol bundle {name}`, carry it there, restart the program",),
    )


@_alone
def renew_draw_key(folder: Path, now: datetime) -> Done:
    """A new key of the spot check: whoever had the old one can foretell no more draws."""
    read_settings(folder)
    set_aside(folder / "draw.key", _stamp(now))
    new_file(folder / "draw.key", secrets.token_hex(32).encode() + b"\n")
    lanes = [each.name for each in read_register(folder).devices() if each.kind is Kind.LANE]
    return Done(
        ("the draw key is new",),
        (f"bundle every lane anew ({', '.join(lanes) or 'none yet'}) and restart them, the centre's too",),
    )


# --- revocation -------------------------------------------------------------------------------------------


@_alone
def revoke(folder: Path, name: str, now: datetime) -> Done:
    """Out in one step: register, revocation list and every broker's lists. Twice is as good as once."""
    settings, register = read_settings(folder), read_register(folder)
    row = register.find(name)
    if row is None:
        raise EnrolmentRefused(f"{name} is not enrolled: `kakou enrol list` shows who is")
    if row.kind not in DEVICE_KINDS:
        raise EnrolmentRefused(f"{name} is the site's own: replace its key with `kakou enrol renew {name}`")
    row = msgspec.structs.replace(row, revoked=row.revoked or _utc(now))
    register = register.with_(row)
    if register.made_here:
        register = _write_revocations(folder, register, now)
    write_register(folder, register)
    rewritten = _write_lists(folder, settings, register)
    todo = []
    if not register.made_here:
        todo.append(
            f"have the authority revoke {', '.join(each.number for each in row.serials) or 'nothing'}"
        )
        todo.append("then `kakou enrol crl FILE` with its new list")
    if row.kind is Kind.LANE:
        todo.append("it held the draw key: `kakou enrol draw-key`, if it may be in strange hands")
    return Done((f"{name} is revoked", *rewritten), tuple(todo))


@_alone
def take_revocations(folder: Path, file: Path, now: datetime) -> Done:
    """The list of an authority elsewhere."""
    settings, register = read_settings(folder), read_register(folder)
    if register.made_here:
        raise EnrolmentRefused("this site's authority is here: `kakou enrol revoke NAME` writes its list")
    authority = _certificates(folder / "ca" / "ca.pem")[0]
    try:
        found = read_revocations(read_file(file), str(file))
    except CertificateRefused as error:
        raise EnrolmentRefused(str(error)) from error
    problems = revocation_problems(found, authority, now)
    if problems:
        raise EnrolmentRefused(f"{file}: {'; '.join(problems)}")
    replace_file(folder / "ca" / "crl.pem", pem_of(found), OPEN_MODE)
    ends = found.next_update_utc
    until = f"until {ends:%Y-%m-%d}: brokers refuse everybody after that" if ends else "without end"
    return Done(
        (f"{len(list(found))} revoked certificates, {until}", *_write_lists(folder, settings, register))
    )


def _write_revocations(folder: Path, register: Register, now: datetime) -> Register:
    authority = _certificates(folder / "ca" / "ca.pem")[0]
    number = register.revocations + 1
    serials = [
        (int(serial.number, 16), datetime.fromisoformat(row.revoked))
        for row in register.enrolled
        if row.revoked
        for serial in row.serials
    ]
    try:
        made = make_revocations(_tls_key(folder / "ca" / "ca.key"), authority, serials, number, now)
    except ValueError as error:
        raise EnrolmentRefused(f"the revocation list cannot be made: {error}") from error
    replace_file(folder / "ca" / "crl.pem", pem_of(made), OPEN_MODE)
    return msgspec.structs.replace(register, revocations=number)


# --- brokers ----------------------------------------------------------------------------------------------


@_alone
def broker(folder: Path, kind: str, into: Path | None, now: datetime) -> Done:
    """Everything a broker reads, into a folder of its own; lists are kept up to date there from then on."""
    settings, register = read_settings(folder), read_register(folder)
    if kind not in BROKERS:
        raise EnrolmentRefused(f"expected one of {', '.join(BROKERS)}, got {kind!r}")
    if register.find(HUB) is None:
        raise EnrolmentRefused("the hub is not enrolled: `kakou enrol hub` first")
    if not (folder / "ca" / "crl.pem").exists():
        raise EnrolmentRefused("there is no revocation list yet: `kakou enrol crl FILE` first")
    said: list[str] = []
    if register.find(BROKER) is None:
        for file in (TLS_KEY, TLS_PEM, TLS_CSR):
            # Left by a command that was stopped half-way.
            set_aside(_place(folder, BROKER) / file, _stamp(now))
        serials, made, todo = _certify(folder, settings, register, BROKER, now, None)
        said += made
        row = Enrolled(name=BROKER, kind=Kind.BROKER, enrolled=_utc(now), serials=serials)
        register = register.with_(row)
        write_register(folder, register)
        if todo:
            return Done(tuple(said), (*todo, f"then `kakou enrol broker {kind}` again"))
    if not (_place(folder, BROKER) / TLS_PEM).exists():
        raise EnrolmentRefused(
            "the broker waits for its certificate: `kakou enrol accept broker CERTIFICATE`"
        )
    place = (into or folder / "broker" / kind).resolve()
    make_folder(place, BROKER_FOLDER_MODE)
    make_folder(place / "data", BROKER_FOLDER_MODE)
    for path, content in _configs(settings, kind, place):
        new_file(path, content, OPEN_MODE)
        said.append(f"{path}: yours to edit")
    where = Place(kind, str(place))
    if where not in register.places:
        register = msgspec.structs.replace(register, places=(*register.places, where))
        write_register(folder, register)
    said += _write_lists(folder, settings, register)
    program = f"mosquitto -c {place}/mosquitto.conf"
    if kind != "mosquitto":
        program = f"nats-server -c {place}/nats.conf"
    return Done(
        tuple(said),
        (
            f"give the folder to the broker's user (chown -R), then {program}",
            "after a change of lists: kill -HUP PID, or systemctl reload",
        ),
    )


def _configs(settings: Settings, kind: str, place: Path) -> list[tuple[Path, bytes]]:
    """What is written once."""
    if kind != "mosquitto":
        return []
    text = mosquitto_conf(settings.site, _listener(settings, place))
    return [(place / "mosquitto.conf", text.encode())]


@_alone
def write_lists(folder: Path) -> Done:
    """Again what every broker reads, after one could not be written."""
    return Done(_write_lists(folder, read_settings(folder), read_register(folder)), ("the brokers: SIGHUP",))


def _write_lists(folder: Path, settings: Settings, register: Register) -> tuple[str, ...]:
    """Lists, revocations and the broker's certificate, at every place a broker reads. A place that cannot be
    written is told, last, so that the others are right."""
    said: list[str] = []
    failed: list[str] = []
    for place in register.places:
        try:
            _write_place(folder, settings, register, place)
        except EnrolmentRefused as error:
            failed.append(str(error))
        else:
            said.append(f"{place.broker}: lists written to {place.folder}")
    if failed:
        raise EnrolmentRefused(
            f"done, but a broker does not know yet: {'; '.join(failed)}. "
            "Make it writable, then `kakou enrol lists`"
        )
    return tuple(said)


def _write_place(folder: Path, settings: Settings, register: Register, place: Place) -> None:
    into = Path(place.folder)
    if not into.is_dir():
        raise EnrolmentRefused(f"{into}: there is no such folder any more")
    tls = _place(folder, BROKER)
    if (tls / TLS_PEM).exists():
        replace_file(into / "server.key", read_file(tls / TLS_KEY), SECRET_MODE)
        replace_file(into / "server.pem", read_file(tls / TLS_PEM), OPEN_MODE)
    replace_file(into / "ca.pem", read_file(folder / "ca" / "ca.pem"), OPEN_MODE)
    replace_file(into / "crl.pem", read_file(folder / "ca" / "crl.pem"), OPEN_MODE)
    listed = [Listed(each.name, each.scopes) for each in register.devices()]
    if place.broker == "mosquitto":
        replace_file(into / "mosquitto.acl", mosquitto_acl(settings.site, listed).encode(), OPEN_MODE)
    else:
        text = nats_conf(settings.site, _listener(settings, into), listed, since_2_10=place.broker == NATS)
        replace_file(into / "nats.conf", text.encode(), OPEN_MODE)


def _listener(settings: Settings, place: Path) -> Listener:
    return Listener(host=settings.listen, port=settings.broker_port, place=place)


# --- what is carried --------------------------------------------------------------------------------------


@_alone
def bundle(folder: Path, name: str, out: Path | None, now: datetime) -> Done:
    """One tar to unpack where the machine's config lies: a folder of its name, with everything it needs."""
    settings, register = read_settings(folder), read_register(folder)
    row = _welcome(register, name)
    if row.kind is Kind.BROKER:
        raise EnrolmentRefused(
            "the broker's files are in its own folder: `kakou enrol broker mosquitto --into`"
        )
    place = _place(folder, name)
    if not (place / TLS_PEM).exists():
        raise EnrolmentRefused(f"{name} waits for its certificate: `kakou enrol accept {name} CERTIFICATE`")
    if row.kind is not Kind.HUB and not (_place(folder, HUB) / SIGN_KEY).exists():
        raise EnrolmentRefused("the hub is not enrolled: `kakou enrol hub` first")
    files = {
        "sign.key": read_file(place / SIGN_KEY),
        "tls.key": read_file(place / TLS_KEY),
        "tls.pem": read_file(place / TLS_PEM),
        "ca.pem": read_file(folder / "ca" / "ca.pem"),
    }
    statements = optional_file(place / STATEMENTS)
    if statements:
        files["keys.json"] = statements
    if row.kind is Kind.HUB:
        devices = register.devices()
        files |= {
            f"devices/{each.name}.pub": read_file(_place(folder, each.name) / SIGN_PUB) for each in devices
        }
        fragment = hub_fragment(settings, name, devices, statements=bool(statements))
    else:
        try:
            # The key in force now: a device needs no history of keys from before its time.
            hub_key = load_private(_place(folder, HUB) / SIGN_KEY).public_key()
        except KeyRefused as error:
            raise EnrolmentRefused(str(error)) from error
        files["hub.pub"] = public_pem(hub_key)
        if row.kind is Kind.LANE:
            files["draw.key"] = read_file(folder / "draw.key")
        fragment = device_fragment(settings, row, statements=bool(statements))
    files[f"{name}.fragment.toml"] = fragment.encode()
    target = out or folder / "bundles" / f"{name}.tar"
    if out is None:
        set_aside(target, _stamp(now))
    new_file(target, _tar(name, files, now))
    return Done(
        (f"{target}: carry it by hand, it holds private keys; delete it when it is there",),
        (
            f"there: tar -xpf {target.name} -C /etc/kakou, chown it to the program's user, "
            f"put {name}/{name}.fragment.toml into its config, `kakou doctor CONFIG`, restart",
        ),
    )


def _tar(name: str, files: dict[str, bytes], now: datetime) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        top = tarfile.TarInfo(name)
        top.type, top.mode, top.mtime = tarfile.DIRTYPE, 0o700, int(now.timestamp())
        tar.addfile(top)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mtime = len(content), int(now.timestamp())
            entry.mode = SECRET_MODE if path.endswith(".key") else OPEN_MODE
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


# --- looking ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `kakou enrol list`."""

    name: str
    kind: str
    scopes: tuple[str, ...]
    state: str
    """enrolled, waiting, soon, expired or revoked."""
    ends: str
    """UTC date of the newest certificate; empty where there is none."""
    days_left: int | None
    key: str
    """Name of the signing key in force."""


def listing(folder: Path, now: datetime) -> list[Row]:
    settings, register = read_settings(folder), read_register(folder)
    authority = _certificates(folder / "ca" / "ca.pem")[0].not_valid_after_utc
    rows = [_row("authority", "ca", (), "", authority, "", settings, now)]
    revocations = folder / "ca" / "crl.pem"
    if revocations.exists():
        ends = read_revocations(read_file(revocations), str(revocations)).next_update_utc
        rows.append(_row("revocations", "crl", (), "", ends, "", settings, now))
    for each in register.enrolled:
        ends = datetime.fromisoformat(each.serials[-1].ends) if each.serials else None
        waiting = (_place(folder, each.name) / TLS_CSR).exists()
        rows.append(
            _row(
                each.name,
                each.kind.value,
                each.scopes,
                "revoked" if each.revoked else "waiting" if waiting else "",
                ends,
                _key_name(folder, each),
                settings,
                now,
            )
        )
    return rows


def _row(
    name: str,
    kind: str,
    scopes: tuple[str, ...],
    state: str,
    ends: datetime | None,
    key: str,
    settings: Settings,
    now: datetime,
) -> Row:
    left = None if ends is None else (ends - now).days
    if not state and left is not None:
        state = "expired" if left < 0 else "soon" if left < settings.warn_days else "enrolled"
    return Row(name, kind, scopes, state or "waiting", f"{ends:%Y-%m-%d}" if ends else "", left, key)


def _key_name(folder: Path, row: Enrolled) -> str:
    place = _place(folder, row.name)
    if not (place / SIGN_KEY).exists():
        return ""
    try:
        public = load_private(place / SIGN_KEY).public_key()
        return signing_kid(row.name, public, optional_file(place / STATEMENTS))
    except (KeyRefused, RollRefused, Malformed) as error:
        return f"unusable: {error}"


# --- small things -----------------------------------------------------------------------------------------


def _place(folder: Path, name: str) -> Path:
    return folder / name if name in (HUB, BROKER) else folder / "devices" / name


def _purpose(settings: Settings, name: str) -> tuple[Usage, tuple[str, ...]]:
    return (Usage.SERVER, settings.broker_hosts) if name == BROKER else (Usage.CLIENT, ())


def _welcome(register: Register, name: str) -> Enrolled:
    row = register.find(name)
    if row is None:
        raise EnrolmentRefused(f"{name} is not enrolled: `kakou enrol list` shows who is")
    if row.revoked:
        raise EnrolmentRefused(
            f"{name} was revoked on {row.revoked[:10]}: enrol the machine under a new name"
        )
    return row


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return read_certificates(read_file(path), str(path))
    except CertificateRefused as error:
        raise EnrolmentRefused(str(error)) from error


def _tls_key(path: Path) -> TlsKey:
    try:
        return read_key(read_file(path), str(path))
    except CertificateRefused as error:
        raise EnrolmentRefused(str(error)) from error


def _with_chain(folder: Path, certificate: x509.Certificate) -> bytes:
    """The certificate and every authority between it and the root, which the other end has."""
    chain = _certificates(folder / "ca" / "ca.pem")
    return pem_of(certificate, *(each for each in chain if each.issuer != each.subject))


def _serial(certificate: x509.Certificate) -> Serial:
    return Serial(f"{certificate.serial_number:x}", _utc(certificate.not_valid_after_utc))


def _ends(row: Enrolled) -> str:
    return row.serials[-1].ends[:10] if row.serials else "it is needed"


def _utc(moment: datetime) -> str:
    return utc_text(moment, whole_seconds=True)


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%S-%f")
