"""`kakou enrol …`: parses, dispatches to `sync.enrolment`, prints. Exit 0 good, 1 a finding, 2 wrong use."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sync.enrolment import desk
from sync.enrolment.desk import Done
from sync.enrolment.folder import EnrolmentRefused, read_settings
from sync.enrolment.register import Kind, Settings

enrol_app = typer.Typer(
    no_args_is_help=True,
    help="Device identities: keys, certificates, and the lists a broker goes by. All in one site folder, "
    "which holds every private key: keep it in the office.",
)

Folder = Annotated[Path, typer.Option("--folder", "-C", help="the site folder", envvar="KAKOU_SITE_FOLDER")]
Json = Annotated[bool, typer.Option("--json", help="machine-readable lines on stdout")]
DeviceName = Annotated[str, typer.Argument(metavar="NAME", help="the device's name")]
Days = Annotated[int | None, typer.Option(min=1, max=3650, help="how long the certificate is valid")]
HERE = Path()

_COLOURS = {"expired": "bold red", "revoked": "red", "soon": "yellow", "waiting": "cyan", "enrolled": "green"}


def _now() -> datetime:
    return datetime.now(UTC)


def _do(work: Callable[[], Done], *, as_json: bool = False) -> None:
    try:
        done = work()
    except EnrolmentRefused as refused:
        _complain(refused)
        raise typer.Exit(1) from refused
    _tell(done, as_json=as_json)


def _tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(done), ensure_ascii=False) + "\n")
        return
    for line in done.said:
        sys.stdout.write(f"{line}\n")
    for line in done.todo:
        sys.stdout.write(f"to do: {line}\n")


def _complain(why: object) -> None:
    sys.stderr.write(f"{why}\n")


@enrol_app.command()
def init(
    site: Annotated[str, typer.Option(help="the site's name, as in every config")],
    broker: Annotated[list[str], typer.Option(help="name or address of the broker; the first is in configs")],
    port: Annotated[int, typer.Option(help="the broker's port")] = 8883,
    listen: Annotated[str, typer.Option(help="address the broker listens on")] = "0.0.0.0",  # noqa: S104
    scope: Annotated[
        list[str] | None, typer.Option(help="scopes of records; the site's name if none")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="an existing authority: its certificate, then its root (PEM)")
    ] = None,
    ca_key: Annotated[
        Path | None, typer.Option(help="its key, if it may sign here; otherwise requests go out")
    ] = None,
    hub_config: Annotated[str, typer.Option(help="the hub's config, if it is on this machine")] = "",
    broker_pid_file: Annotated[str, typer.Option(help="the broker's, if it is on this machine")] = "",
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Begin a site folder: settings, authority, key of the spot check."""
    settings = Settings(
        site=site,
        broker_hosts=tuple(broker),
        broker_port=port,
        listen=listen,
        scopes=tuple(scope or [site]),
        hub_config=hub_config,
        broker_pid_file=broker_pid_file,
    )
    _do(
        lambda: desk.init(folder, settings, _now(), authority=ca, authority_key=ca_key),
        as_json=as_json,
    )


@enrol_app.command()
def hub(folder: Folder = HERE, as_json: Json = False) -> None:
    """Enrol the centre's end: the key that signs records and acknowledgements, and its certificate."""
    _do(lambda: desk.enrol_hub(folder, _now()), as_json=as_json)


@enrol_app.command()
def device(
    name: DeviceName,
    kind: Annotated[Kind, typer.Option(help="lane, handheld or xray")],
    scope: Annotated[list[str] | None, typer.Option(help="scope of records it may read")] = None,
    days: Days = None,
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Enrol a device: signing key, TLS key and certificate, and its rows in the brokers' lists."""
    _do(lambda: desk.enrol_device(folder, name, kind, scope or [], _now(), days), as_json=as_json)
    _reload(folder, as_json=as_json)


@enrol_app.command()
def accept(
    name: DeviceName,
    certificate: Annotated[Path, typer.Argument(help="PEM, as the authority made it")],
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Take a certificate an existing authority made for a request of ours."""
    _do(lambda: desk.accept(folder, name, certificate, _now()), as_json=as_json)


@enrol_app.command()
def renew(
    name: DeviceName,
    signing_key: Annotated[
        bool, typer.Option("--signing-key", help="a new signing key too; the old one vouches for it")
    ] = False,
    days: Days = None,
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """A new TLS key and certificate before the old one ends; the old one stays valid meanwhile."""
    _do(
        lambda: desk.renew(folder, name, _now(), signing_key=signing_key, days=days),
        as_json=as_json,
    )
    _reload(folder, as_json=as_json)


@enrol_app.command()
def retire(name: DeviceName, folder: Folder = HERE, as_json: Json = False) -> None:
    """Say, signed by the key in force, that earlier signing keys of this name are believed no more."""
    _do(lambda: desk.retire(folder, name, _now()), as_json=as_json)


@enrol_app.command("draw-key")
def draw_key(folder: Folder = HERE, as_json: Json = False) -> None:
    """A new key of the spot check, after one was in strange hands."""
    _do(lambda: desk.renew_draw_key(folder, _now()), as_json=as_json)


@enrol_app.command()
def revoke(
    name: DeviceName,
    hub_config: Annotated[
        Path | None, typer.Option("--hub", help="the hub's config: mark the device in its archive")
    ] = None,
    broker_pid: Annotated[int | None, typer.Option(help="tell this process to read its lists")] = None,
    only_at_hub: Annotated[
        bool, typer.Option("--only-at-hub", help="on the hub's machine, without a site folder; needs --hub")
    ] = False,
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Turn a device away in one step: revocation list, brokers' lists, hub. A stolen one, for instance."""
    if only_at_hub:
        if hub_config is None:
            _complain("--only-at-hub: expected --hub CONFIG beside it")
            raise typer.Exit(2)
        at_hub = _mark(name, hub_config)
        _tell(Done((at_hub[1],)), as_json=as_json)
        raise typer.Exit(0 if at_hub[0] else 1)
    # The hub first: whatever of the rest fails, nothing it sends is believed any more.
    marked, at = True, hub_config
    try:
        configured = read_settings(folder).hub_config
    except EnrolmentRefused as refused:
        _complain(refused)
        raise typer.Exit(1) from refused
    if at is None and configured:
        at = Path(configured)
    said: tuple[str, ...] = ()
    todo: tuple[str, ...] = (f"on the hub's machine: kakou enrol revoke {name} --only-at-hub --hub CONFIG",)
    if at is not None:
        marked, text = _mark(name, at)
        said, todo = ((text,), ()) if marked else ((), (text,))
    try:
        done = desk.revoke(folder, name, _now())
    except EnrolmentRefused as refused:
        _complain("\n".join([*said, str(refused)]))
        raise typer.Exit(1) from refused
    _tell(Done((*done.said, *said), (*todo, *done.todo)), as_json=as_json)
    _reload(folder, broker_pid, as_json=as_json)
    if not marked:
        raise typer.Exit(1)


def _mark(name: str, hub_config: Path) -> tuple[bool, str]:
    """Whether the hub's archive now turns it away, and a line about it."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.config import ConfigRefused, read_hub_config

    try:
        config = read_hub_config(hub_config)
        archive = Archive.open(config.archive)
    except (ConfigRefused, ArchiveRefused) as refused:
        return False, f"not marked at the hub: {refused}"
    try:
        if name not in config.devices and archive.enrolled(name) is None:
            return False, f"the hub of {hub_config} knows no {name}"
        if archive.enrolled(name) is None:
            # Not started since it was named there: pinned now, so that the mark holds when it is.
            archive.enrol(name, config.devices[name])
        archive.revoke(name)
    except STORAGE_ERRORS as error:
        # The broker's lists must be written all the same.
        return False, f"not marked at the hub: {type(error).__name__}: {error}; try again"
    finally:
        archive.close()
    return True, f"the hub takes nothing of {name} any more"


@enrol_app.command()
def crl(
    file: Annotated[Path, typer.Argument(help="PEM, as the authority made it")],
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Take the revocation list of an existing authority, and give it to the brokers."""
    _do(lambda: desk.take_revocations(folder, file, _now()), as_json=as_json)
    _reload(folder, as_json=as_json)


@enrol_app.command()
def lists(folder: Folder = HERE, as_json: Json = False) -> None:
    """Write the brokers' lists again, after a place could not be written."""
    _do(lambda: desk.write_lists(folder), as_json=as_json)
    _reload(folder, as_json=as_json)


@enrol_app.command()
def broker(
    kind: Annotated[str, typer.Argument(metavar="mosquitto|nats|nats-2.9", help="which broker")],
    into: Annotated[
        Path | None, typer.Option(help="where the broker's files go, and are kept up to date from then on")
    ] = None,
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Write a broker's config, certificate and access lists."""
    _do(lambda: desk.broker(folder, kind, into, _now()), as_json=as_json)


@enrol_app.command()
def bundle(
    name: DeviceName,
    out: Annotated[Path | None, typer.Option(help="the tar to write; it must not be there yet")] = None,
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """One file to carry to a machine: its keys and certificates, and the lines of its config."""
    _do(lambda: desk.bundle(folder, name, out, _now()), as_json=as_json)


@enrol_app.command("list")
def list_(folder: Folder = HERE, as_json: Json = False) -> None:
    """Who is enrolled, and until when. Exit code 1 when something ends soon, has ended, or waits."""
    try:
        rows = desk.listing(folder, _now())
    except EnrolmentRefused as refused:
        _complain(refused)
        raise typer.Exit(1) from refused
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
    else:
        table = Table("name", "kind", "scopes", "state", "until", "days left", "signs as")
        for row in rows:
            left = "" if row.days_left is None else str(row.days_left)
            colour = _COLOURS[row.state]
            state = f"[{colour}]{row.state}[/]"
            table.add_row(row.name, row.kind, " ".join(row.scopes), state, row.ends, left, row.key)
        Console().print(table)
    if any(row.state in ("soon", "expired", "waiting") for row in rows):
        raise typer.Exit(1)


def _reload(folder: Path, broker_pid: int | None = None, *, as_json: bool) -> None:
    """Tell a broker of this machine to read its lists again."""
    pid = broker_pid
    try:
        file = read_settings(folder).broker_pid_file
    except EnrolmentRefused:
        return
    if pid is None and file:
        try:
            pid = int(Path(file).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            _complain(f"the broker was not told: {file}: {error}; kill -HUP it by hand")
            raise typer.Exit(1) from error
    if pid is None:
        return
    if os.name != "posix" or pid <= 1:
        _complain(f"the broker was not told: {pid} is no process to signal; restart it")
        raise typer.Exit(1)
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        _complain(f"the broker was not told: process {pid}: {error.strerror}; kill -HUP it by hand")
        raise typer.Exit(1) from error
    if not as_json:
        sys.stdout.write(f"the broker (process {pid}) was told to read its lists\n")
