"""`kakou …`: parses and dispatches, nothing else. Exit 0 good, 1 a finding, 2 wrong use.

JSON goes to stdout, logs to stderr. Simulated sites, the world test and the bench are programs of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import typer

from edge import VERSION
from edge.late import PLACES, LateCommands
from sync.vocabulary.numbers import utc_text

if TYPE_CHECKING:
    from edge.xray_bridge.evidence.proving import Proof
    from sync.hub.engine_postgres import PostgresPlace
    from sync.store.opening import Opener

app = typer.Typer(
    name="kakou",
    cls=LateCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="卡口 · Edge software of customs checkpoints: lanes, sync and the centre's end.",
)
records_app = typer.Typer(no_args_is_help=True, help="Load records into a hub, compare hub and edge.")
journal_app = typer.Typer(no_args_is_help=True, help="Prove or export a device's journal.")
references_app = typer.Typer(no_args_is_help=True, help="An X-ray station's library of labelled pictures.")
slips_app = typer.Typer(
    no_args_is_help=True, help="Slips as signed codes: issue, look at, verify; their keys."
)
BLOBS_LISTED = 1_000

PLACES.update(
    {
        "records": f"{__name__}:records_app",
        "references": f"{__name__}:references_app",
        "slips": f"{__name__}:slips_app",
        "journal": f"{__name__}:journal_app",
        "enrol": "edge.enrolling:enrol_app",
        "centre": "edge.commanding:centre_app",
    }
)

Json = Annotated[bool, typer.Option("--json", help="machine-readable lines on stdout")]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file")]


def main() -> None:
    app()


def _version(value: bool) -> None:
    if value:
        _say(f"kakou {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Options of `kakou` itself."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _say_json(value: object) -> None:
    _say(json.dumps(value, ensure_ascii=False))


def _refuse(why: object, code: int = 1) -> typer.Exit:
    sys.stderr.write(f"{why}\n")
    return typer.Exit(code)


def _become(*module_and_args: str) -> None:
    """Go on as another program of ours, so that signals and exit code are its own."""
    command = [sys.executable, "-m", *module_and_args]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606
    raise typer.Exit(subprocess.run(command, check=False).returncode)


# --- programs ---------------------------------------------------------------------------------------------


@app.command()
def demo(
    vehicles: Annotated[int, typer.Option(help="how many vehicles come")] = 30,
    parcels: Annotated[
        int | None,
        typer.Option(help="how many go over the X-ray line; 0: no line (default: 40; with --handheld 0)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="who comes, and what goes wrong")] = 7,
    speed: Annotated[float, typer.Option(help="virtual seconds per second")] = 4.0,
    as_json: Json = False,
    serve: Annotated[bool, typer.Option("--serve", help="leave the site running, print addresses")] = False,
    kills: Annotated[int, typer.Option(help="kill -9 a program at so many random instants")] = 0,
    broker: Annotated[str, typer.Option(help="amqtt, or mosquitto where it is installed")] = "amqtt",
    handheld: Annotated[
        bool, typer.Option("--handheld", help="with a warehouse and an officer's app in a window")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="lay the site out here and keep it")] = None,
) -> None:
    """A whole simulated site through the real programs; ends with the reconciliation."""
    args = ["--vehicles", str(vehicles), "--seed", str(seed), "--speed", f"{speed:g}"]
    args += ["--parcels", str(parcels)] if parcels is not None else []
    args += ["--kills", str(kills)] if kills else []
    args += ["--broker", broker]
    args += ["--json"] if as_json else []
    args += ["--serve"] if serve else []
    args += ["--handheld"] if handheld else []
    args += ["--folder", str(folder)] if folder is not None else []
    _become("hardware_sims", "demo", *args)


@app.command()
def gate(config: ConfigFile) -> None:
    """Run one lane."""
    from edge.gate.starting import main as run_gate

    raise typer.Exit(run_gate(config))


@app.command()
def xray(config: ConfigFile) -> None:
    """Run one X-ray station."""
    from edge.xray_bridge.starting import main as run_xray

    raise typer.Exit(run_xray(config))


@app.command()
def handheld(
    config: Annotated[
        Path | None,
        typer.Argument(help="TOML file; handheld.toml here or in ~/.config/kakou if left out"),
    ] = None,
    headless: Annotated[
        bool,
        typer.Option("--headless", help="no window: views as JSON lines on stdout, events as lines on stdin"),
    ] = False,
    run: Annotated[str, typer.Option(help="with --headless: names the numbering of the lines")] = "terminal",
) -> None:
    """Run one officer's handheld."""
    from edge.handheld.starting import main as run_handheld

    raise typer.Exit(run_handheld(config, headless=headless, run=run))


@app.command()
def hub(
    config: ConfigFile,
    worker: Annotated[
        int | None, typer.Option(metavar="N", help="which of the config's `workers` this is, from 1")
    ] = None,
) -> None:
    """Run the centre's end."""
    from sync.hub.__main__ import run as run_hub

    raise typer.Exit(run_hub(config, worker))


@app.command()
def sims(
    scenario: Annotated[Path, typer.Argument(metavar="CONFIG", help="scenario file")],
    folder: Annotated[Path | None, typer.Option(help="where ports/ and physics.jsonl go")] = None,
    speed: Annotated[float, typer.Option(help="virtual seconds per second")] = 1.0,
    hold: Annotated[bool, typer.Option("--hold", help="nobody comes before the line `go` on stdin")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="end when the last has gone")] = False,
    as_json: Json = False,
) -> None:
    """The simulated devices a scenario names, on ptys and sockets; prints each address."""
    args = [str(scenario), "--speed", f"{speed:g}"]
    args += ["--folder", str(folder)] if folder is not None else []
    args += ["--hold"] if hold else []
    args += ["--until-idle"] if until_idle else []
    args += ["--json"] if as_json else []
    _become("hardware_sims", "serve", *args)


@app.command()
def doctor(
    config: ConfigFile,
    live: Annotated[bool, typer.Option("--live", help="listen to the devices too")] = False,
    as_json: Json = False,
) -> None:
    """Check config, ports, devices, wiring, clock, disk, broker, keys, records; one line each."""
    from rich.console import Console
    from rich.markup import escape

    from edge.runtime.log import set_up_log

    # What the devices' threads log must not come between the lines on stdout.
    log_writer = set_up_log("error") if live else None
    try:
        findings = _examined(config, live)
    finally:
        if log_writer is not None:
            log_writer.close()
    bad = False
    console = Console(highlight=False)
    for finding in findings:
        bad = bad or finding.level == "bad"
        if as_json or not sys.stdout.isatty():
            _say_json(
                {"check": finding.check, "level": finding.level, "text": finding.text, "zh": finding.zh,
                 "en": finding.en}
            )  # fmt: skip
        else:
            mark = {"good": "[green]✔[/]", "note": "[yellow]•[/]", "bad": "[red]✘[/]"}[finding.level]
            to_do = f"  [cyan]→ {escape(finding.zh)} · {escape(finding.en)}[/]" if finding.en else ""
            console.print(f"{mark} [bold]{finding.check}[/]  {escape(finding.text)}{to_do}", soft_wrap=True)
    raise typer.Exit(1 if bad else 0)


def _examined(config: Path, live: bool) -> Any:
    """By what the file is of: a lane and a station have tables of their names. One that cannot be read is a
    lane's, which says why not."""
    import contextlib
    import tomllib

    from edge.examining import Finding

    with contextlib.suppress(OSError, ValueError):
        tables = tomllib.loads(config.read_text(encoding="utf-8-sig"))
        if "station" in tables:
            from edge.xray_bridge.doctor import examine as examine_station

            return examine_station(config, live=live)
        if tables and "lane" not in tables:
            text = f"{config}: expected a lane's or an X-ray station's config: no table [lane] or [station]"
            todo = ("请给出通道或机检线的配置文件", "name the config of a lane or of an X-ray station")
            return [Finding("config", "bad", text, *todo)]
    from edge.gate.doctor import examine

    return examine(config, live=live)


# --- tools ------------------------------------------------------------------------------------------------


@app.command()
def frames(
    protocol: Annotated[str, typer.Argument(help="such as weighbridge.yaohua_tf0")],
    hex_frames: Annotated[list[str] | None, typer.Argument(metavar="[HEX …]")] = None,
    as_json: Json = False,
) -> None:
    """Decode frames (arguments, or lines of stdin) with the product's own codecs."""
    from edge.devices.catalogue import PROTOCOLS, UnknownProtocol, decode_frames

    if protocol not in PROTOCOLS:
        raise _refuse(f"unknown protocol {protocol!r}; there are: {', '.join(PROTOCOLS)}", 2)
    lines = hex_frames or [line.strip() for line in sys.stdin if line.strip()]
    bad = False
    for line in lines:
        try:
            data = bytes.fromhex(line.replace(":", " "))
        except ValueError:
            raise _refuse(f"expected hex digits, got {line[:40]!r}", 2) from None
        try:
            rows = decode_frames(protocol, data)
        except UnknownProtocol as unknown:
            raise _refuse(unknown, 2) from unknown
        for row in rows:
            bad = bad or not row["ok"]
            if as_json or not sys.stdout.isatty():
                _say_json(row)
            else:
                _print_frame(row)
    raise typer.Exit(1 if bad else 0)


def _print_frame(row: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not row["ok"]:
        console.print(f"[red]✘[/] {row['error']}")
        return
    for message in row["messages"]:
        fields = "  ".join(f"[dim]{key}[/] {value}" for key, value in message.items() if key != "type")
        console.print(f"[green]✔[/] [bold]{message['type']}[/]  {fields}")


@app.command()
def decode(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE …", help="PNG, JPEG, WebP, BMP or TIFF")],
    as_json: Json = False,
) -> None:
    """Read the barcodes in pictures as a handheld does, without its guard. Exit 1: a file is no picture."""
    from edge.reading.decoders import found
    from edge.reading.decoding import decoded

    missing = [
        f"{image} is {'a folder' if image.is_dir() else 'not there'}"
        for image in images
        if not image.is_file()
    ]
    if missing:
        raise _refuse(f"expected picture files; {', '.join(missing)}", 2)
    decoders = found()
    if decoders.capabilities.en:
        sys.stderr.write(f"{decoders.capabilities.zh}\n{decoders.capabilities.en}\n")
    as_lines = as_json or not sys.stdout.isatty()
    rows = []
    for image in images:
        row = decoded(image, decoders)
        rows.append(row)
        if as_lines:
            _say_json(row)
    if not as_lines:
        _print_decoded(rows)
    raise typer.Exit(1 if any("error" in row for row in rows) else 0)


def _print_decoded(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for heading in ("file", "symbology", "text", "ms"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        ms = f"{row['ms']:.1f}"
        if "error" in row:
            table.add_row(escape(row["file"]), "[red]✘[/]", f"[red]{escape(row['error'])}[/]", ms)
        elif not row["reads"]:
            table.add_row(escape(row["file"]), "[yellow]–[/]", "[yellow]nothing read[/]", ms)
        for number, read in enumerate(row["reads"]):
            # Group separators and line ends would tear the table.
            text = escape(json.dumps(read["text"], ensure_ascii=False)[1:-1])
            file, said = (escape(row["file"]), ms) if number == 0 else ("", "")
            table.add_row(file, f"[green]{read['symbology']}[/]", text, said)
    Console(highlight=False).print(table)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a recording, as `log.recording` makes it")],
    most: Annotated[int, typer.Option(help="differences shown; all are counted", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Play a recorded inbox through the machine; where it now asks for something else, show both."""
    from edge.gate.replaying import ReplayRefused
    from edge.gate.replaying import replay as play

    try:
        played = play(file, most=most)
    except ReplayRefused as refused:
        raise _refuse(refused, 2) from refused
    if as_json:
        for each in played.differences:
            _say_json(
                {"line": each.line, "at_s": each.at_s, "source": each.source, "event": each.event,
                 "expected": each.expected, "got": each.got}
            )  # fmt: skip
        _say_json(
            {"same": played.same, "runs": played.runs, "events": played.events, "effects": played.effects,
             "different": played.different, "version": played.version, "scrubbed": played.scrubbed,
             "otherwise": played.otherwise, "left_out": sorted(played.left_out)}
        )  # fmt: skip
    else:
        _print_replay(played)
    raise typer.Exit(0 if played.same else 1)


def _print_replay(played: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    colours = {"-": "red", "+": "green"}
    for each in played.differences:
        kind = each.event.get("is", "") if isinstance(each.event, dict) else each.event
        console.print(f"[bold]line {each.line}[/]  {each.at_s:.3f} s  {each.source}  {kind}")
        for line in each.diff():
            console.print(line, style=colours.get(line[:1], "dim"), markup=False)
    if played.left_out:
        console.print(f"not known to this version: {', '.join(sorted(played.left_out))}", style="yellow")
    counts = f"{played.runs} runs, {played.events} events, {played.effects} effects"
    if played.same:
        console.print(f"[green]✔[/] the same: {counts}")
    else:
        hidden = played.different - len(played.differences)
        more = f" ({hidden} not shown)" if hidden else ""
        console.print(f"[red]✘[/] {played.different} events are answered otherwise{more}: {counts}")


@app.command()
def world(
    seeds: Annotated[str, typer.Option(help="first and last seed, such as 1-200")] = "1-20",
    site: Annotated[Path | None, typer.Option(help="a scenario file instead of random ones")] = None,
    as_json: Json = False,
) -> None:
    """The world test for those seeds (needs a checkout); a line per failing seed."""
    if re.fullmatch(r"\d+(-\d+)?", seeds) is None:
        raise _refuse(f"--seeds: expected numbers such as 1-200, got {seeds}", 2)
    root = Path(__file__).resolve().parent.parent
    if not (root / "tests" / "world" / "__main__.py").exists():
        raise _refuse("the world test lives in tests/world: run this from a checkout", 2)
    os.chdir(root)
    args = ["--seeds", seeds]
    args += ["--site", str(site.resolve())] if site is not None else []
    args += ["--json"] if as_json else []
    _become("tests.world", *args)


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="one bench; all if left out")] = None,
    scale: Annotated[
        float | None, typer.Option(help="share of the full sizes, 1 M slips and 10 M waybills", min=0, max=1)
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="where files go: the disk that is measured")] = None,
    peers: Annotated[
        Path | None, typer.Option(help="a venv for ThingsBoard's gateway, made where there is none")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure against peers and physical limits, side by side in one run."""
    args = [name] if name else []
    args += ["--scale", str(scale)] if scale is not None else []
    args += ["--folder", str(folder.resolve())] if folder is not None else []
    args += ["--peers", str(peers.resolve())] if peers is not None else []
    args += ["--json"] if as_json else []
    _become("bench", *args)


# --- references -------------------------------------------------------------------------------------------


@references_app.callback()
def references() -> None:
    """An X-ray station's library of labelled pictures."""


@references_app.command("import")
def references_import(
    config: ConfigFile,
    folder: Annotated[Path, typer.Argument(help="a machine's export, and references.csv beside it")],
    officer: Annotated[str, typer.Option(help="who says what the pictures show")],
    as_json: Json = False,
) -> None:
    """Pictures of known goods into a station's library, while it does not run. Exit 1: one was not taken."""
    from edge.devices.settings import SettingsRefused
    from edge.runtime.clock import SystemClock
    from edge.runtime.config_reading import ConfigRefused
    from edge.xray_bridge.config import read_xray_config
    from edge.xray_bridge.imaging.calibration import CalibrationRefused
    from edge.xray_bridge.stocking import StockRefused, stock

    if not folder.is_dir():
        raise _refuse(f"expected a folder with a machine's export; {folder} is none", 2)
    taken = refused_ones = 0
    try:
        for row in stock(read_xray_config(config), folder, officer, SystemClock()):
            taken += bool(row.entry)
            refused_ones += not row.entry
            if as_json:
                _say_json({"picture": row.picture, "entry": row.entry, "why": row.why})
            elif row.why:
                _say(f"{row.picture}: {row.why}")
    except (ConfigRefused, SettingsRefused) as refused:
        raise _refuse(refused, 2) from refused
    except (StockRefused, CalibrationRefused, OSError) as refused:
        raise _refuse(refused) from refused
    if not as_json:
        _say(f"{taken} pictures are in the library, {refused_ones} were not taken")
    raise typer.Exit(1 if refused_ones else 0)


# --- records ----------------------------------------------------------------------------------------------


@records_app.command("import")
def records_import(
    config: ConfigFile,
    files: Annotated[list[Path], typer.Argument(metavar="FILE …", help="JSON, CSV, SAS or CEB XML")],
    scope: Annotated[str | None, typer.Option(help="scope; the hub's only one if left out")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad rows out and count them")] = False,
    replace: Annotated[
        list[str] | None, typer.Option(help="collection whose rows absent from the files are deleted")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load records into a hub's log; a running hub publishes them within its poll interval."""
    from sync.hub.archive import Archive, ArchiveRefused
    from sync.hub.config import ConfigRefused, read_hub_config
    from sync.hub.importing import ImportRefused, import_files

    try:
        hub_config = read_hub_config(config)
        archive = Archive.open(hub_config.archive)
        try:
            report = import_files(
                archive,
                _scope_of(scope, hub_config.sync.scopes),
                files,
                utc_text(datetime.now(UTC)),
                skip_bad,
                replace=replace or (),
            )
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (ImportRefused, ArchiveRefused, OSError, ValueError) as refused:
        raise _refuse(refused) from refused
    if as_json:
        _say_json(
            {
                "scope": report.scope,
                "number": report.number,
                "put": report.put,
                "deleted": report.deleted,
                "unchanged": report.unchanged,
                "problems": [str(problem) for problem in report.problems],
            }
        )
        return
    for problem in report.problems:
        sys.stderr.write(f"left out: {problem}\n")
    _say(
        f"{report.scope}: {report.put} put, {report.deleted} deleted, {report.unchanged} unchanged; "
        f"log at {report.number}"
    )


def _there(archive: Path | PostgresPlace) -> Path | PostgresPlace:
    """An archive to look into: a file, or a database as a hub's config names it. Opening a file that is not
    there would make it."""
    if not isinstance(archive, Path):
        return archive
    if not archive.is_file():
        raise ValueError(f"{archive}: expected a hub's archive, there is no such file")
    if archive.suffix == ".toml":
        from sync.hub.config import ConfigRefused, read_hub_config

        try:
            return _there(read_hub_config(archive).archive)
        except ConfigRefused as refused:
            raise ValueError(str(refused)) from refused
    return archive


def _scope_of(given: str | None, known: tuple[str, ...]) -> str:
    if given is not None:
        if given not in known:
            raise ValueError(f"--scope: expected one of {', '.join(known)}, got {given}")
        return given
    if len(known) != 1:
        raise ValueError(f"--scope: expected one of {', '.join(known)}")
    return known[0]


@records_app.command("receipts")
def records_receipts(config: ConfigFile, as_json: Json = False) -> None:
    """Give out the passage receipts that are due, as a running hub does by itself; prints each file."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.config import ConfigRefused, read_hub_config
    from sync.hub.receipts import give_out

    not_made = 0
    try:
        hub_config = read_hub_config(config)
        if hub_config.receipts is None:
            raise _refuse(f"{config}: expected a table [receipts] with the folder they go to", 2)
        archive = Archive.open(_there(hub_config.archive))
        try:
            while True:
                done = give_out(archive, hub_config.receipts, utc_text(datetime.now(UTC), whole_seconds=True))
                not_made += done.not_made
                for name in done.out:
                    if as_json or not sys.stdout.isatty():
                        _say_json({"file": name})
                    else:
                        _say(name)
                if not (done.made or done.out or done.not_made):
                    break
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (ArchiveRefused, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    if not_made:
        raise _refuse(f"{not_made} crossings of which no receipt can be made; see the hub's alarms")


@records_app.command("blobs")
def records_blobs(
    config: ConfigFile,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="of this device alone")] = "",
    passage: Annotated[
        int | None, typer.Option(metavar="N", help="the pictures of one passage of the device")
    ] = None,
    as_json: Json = False,
) -> None:
    """What evidence a hub has: counts, and every picture that a fact names and that has not come; exit 1
    where one is missing beyond its patience."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.blob_files import BlobFiles
    from sync.hub.config import ConfigRefused, read_hub_config

    if passage is not None and not device:
        raise _refuse("--passage: expected beside --device", 2)
    try:
        hub_config = read_hub_config(config)
        files = BlobFiles(hub_config.blobs.folder)
        patience = timedelta(seconds=hub_config.blobs.limits.missing_after_s)
        late_utc = utc_text(datetime.now(UTC) - patience)
        archive = Archive.open(_there(hub_config.archive))
        try:
            counts = [row for row in archive.blob_counts() if device in ("", row[0])]
            rows = (
                archive.missing_blobs("9999", BLOBS_LISTED, device)
                if passage is None
                else archive.blobs_of_passage(device, passage)
            )
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (ArchiveRefused, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    lines = as_json or not sys.stdout.isatty()
    if passage is None:
        for name, blob_class, state, count, size_bytes in counts:
            if lines:
                told = (name, blob_class, state, count, size_bytes)
                _say_json(dict(zip(("device", "class", "state", "blobs", "bytes"), told, strict=True)))
            else:
                _say(f"{name}: {count} {state}, {blob_class}, {size_bytes} bytes")
    for row in rows:
        late = row.state == "missing" and row.named_utc < late_utc
        file = str(files.path(row.sha256)) if row.state == "stored" else ""
        if lines:
            _say_json({**row._asdict(), "late": late, "file": file})
        else:
            _say(f"{row.device} {row.state} {row.sha256} {row.named_utc} {file}")
    if any(row.state == "missing" and row.named_utc < late_utc for row in rows):
        raise typer.Exit(1)


@records_app.command("show")
def records_show(
    config: ConfigFile,
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="such as release_slips")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="such as a slip's number")],
    scope: Annotated[str | None, typer.Option(help="scope; the hub's only one if left out")] = None,
    at: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="as it was at this number of the log")
    ] = None,
    epoch: Annotated[str, typer.Option(help="of the number; today's if left out")] = "",
    time: Annotated[
        str, typer.Option(metavar="UTC", help="as it was at this time, such as 2026-01-31T08:00:00Z")
    ] = "",
    fact: Annotated[
        str, typer.Option(metavar="DEVICE/EPOCH/STREAM/SEQ", help="as it was for this ruling")
    ] = "",
    as_json: Json = False,
) -> None:
    """A record as it is, or as it was: by number, time or the ruling that stood on it. Without any of these,
    every version; exit 1 where there was none."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.config import ConfigRefused, read_hub_config
    from sync.hub.past import Moment, PastUnknown, moment_of_fact, version_at

    if sum((at is not None, bool(time), bool(fact))) > 1:
        raise _refuse("expected one of --at, --time and --fact", 2)
    try:
        hub_config = read_hub_config(config)
        archive = Archive.open(_there(hub_config.archive))
        try:
            if fact:
                moment = moment_of_fact(archive, fact)
                versions = [version_at(archive, moment, collection, key)]
            else:
                wanted = _scope_of(scope, hub_config.sync.scopes)
                if at is not None:
                    state = archive.scope(wanted)
                    moment = Moment(wanted, epoch or (state.epoch if state else ""), at)
                    versions = [version_at(archive, moment, collection, key)]
                elif time:
                    versions = [archive.record_at(wanted, collection, key, time)]
                else:
                    versions = list(archive.record_versions(wanted, collection, key))
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (ArchiveRefused, PastUnknown, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    found = [version for version in versions if version is not None]
    for version in found:
        if as_json or not sys.stdout.isatty():
            _say_json(version._asdict())
        else:
            _say(f"{version.at_utc}  {version.epoch[:8]}/{version.number}  {version.op}  {version.body}")
    if not [version for version in found if version.op == "put"]:
        raise _refuse(f"{collection} {key}: no record there")


@records_app.command("retire")
def records_retire(
    config: ConfigFile,
    scope: Annotated[str | None, typer.Option(help="scope; the hub's only one if left out")] = None,
    collection: Annotated[str, typer.Option(help="with --key: a record that leaves the scope now")] = "",
    key: Annotated[list[str] | None, typer.Option(help="its key; may be given again")] = None,
    most: Annotated[bool, typer.Option("--most", help="even if it is most of a collection")] = False,
    as_json: Json = False,
) -> None:
    """Delete from a scope's log what is older than the hub's `records.keep_days`, as a running hub does by
    itself, or records that leave the scope. Every version stays readable: `kakou records show`."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused, RecordChange
    from sync.hub.config import ConfigRefused, read_hub_config
    from sync.hub.retiring import retire

    if bool(collection) != bool(key):
        raise _refuse("expected --collection and --key together", 2)
    now_utc = utc_text(datetime.now(UTC))
    try:
        hub_config = read_hub_config(config)
        archive = Archive.open(_there(hub_config.archive))
        try:
            wanted = _scope_of(scope, hub_config.sync.scopes)
            if key:
                with archive.transaction():
                    changes = [RecordChange(collection, one, None) for one in key]
                    deleted = {collection: archive.apply_changes(wanted, changes, now_utc).deleted}
            else:
                done = retire(archive, wanted, hub_config.records.keep_days, now_utc, most_of_it=most)
                deleted = {one.collection: one.deleted for one in done}
        finally:
            archive.close()
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (ArchiveRefused, LookupError, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    for name, count in deleted.items():
        if as_json or not sys.stdout.isatty():
            _say_json({"scope": wanted, "collection": name, "deleted": count})
        else:
            _say(f"{wanted}: {count} {name} deleted")


@records_app.command("digest")
def records_digest(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE …", help="hub archive, hub config (.toml) or records-<n>.sqlite"),
    ],
    scope: Annotated[str | None, typer.Option(help="scope inside a hub archive")] = None,
    as_json: Json = False,
) -> None:
    """Count and digest, taken from the rows themselves; equal numbers must have equal digests."""
    from rich.console import Console
    from rich.table import Table

    from sync.hub.archive import Archive, ArchiveRefused
    from sync.hub.comparing import ScopeUnknown, edge_digest, hub_digest
    from sync.store.opening import StoreRefused

    table = Table("file", "scope", "number", "rows", "digest", "as kept")
    bad = False
    for file in files:
        try:
            if file.name.startswith("records-"):
                found = edge_digest(file)
            else:
                archive = Archive.open(_there(file))
                try:
                    found = hub_digest(archive, _scope_of(scope, tuple(s.scope for s in archive.scopes())))
                finally:
                    archive.close()
        except (ArchiveRefused, StoreRefused, ScopeUnknown, ValueError) as refused:
            raise _refuse(refused) from refused
        whole = found.sound
        bad = bad or not whole
        values = (str(file), found.scope, str(found.number), str(found.rows), found.digest)
        if as_json or not sys.stdout.isatty():
            names = ("file", "scope", "number", "rows", "digest")
            told = dict(zip(names, values, strict=True))
            _say_json({**told, "as_kept": whole, "wrong_buckets": found.wrong_buckets})
        table.add_row(*values, "[green]yes[/]" if whole else "[red]NO[/]")
    if sys.stdout.isatty() and not as_json:
        Console().print(table)
    raise typer.Exit(1 if bad else 0)


@records_app.command("diff")
def records_diff(
    archive_file: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="the hub's archive, or its config (.toml)")
    ],
    records_file: Annotated[Path, typer.Argument(metavar="RECORDS", help="a device's records-<n>.sqlite")],
    scope: Annotated[str | None, typer.Option(help="scope inside the archive")] = None,
    as_json: Json = False,
) -> None:
    """Rows that are not the same at the hub and on a device."""
    from sync.hub.archive import Archive, ArchiveRefused
    from sync.hub.comparing import different_rows
    from sync.store.opening import StoreRefused

    count = 0
    try:
        archive = Archive.open(_there(archive_file))
        try:
            wanted = _scope_of(scope, tuple(s.scope for s in archive.scopes()))
            for row in different_rows(archive, wanted, records_file):
                count += 1
                if as_json or not sys.stdout.isatty():
                    _say_json(
                        {"difference": row.difference, "collection": row.collection, "key": row.key,
                         "hub": row.hub, "edge": row.edge}
                    )  # fmt: skip
                else:
                    _say(f"{row.difference}  {row.collection}  {row.key}")
        finally:
            archive.close()
    except (ArchiveRefused, StoreRefused, ValueError) as refused:
        raise _refuse(refused) from refused
    sys.stderr.write(f"{count} rows differ\n")
    raise typer.Exit(1 if count else 0)


@records_app.command("rehearse")
def records_rehearse(
    archive_file: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="the hub's archive, or its config (.toml)")
    ],
    control: Annotated[str | None, typer.Option(help="only this control's versions")] = None,
    since: Annotated[str, typer.Option(help="UTC text such as 2026-11-15; everything if left out")] = "",
    as_json: Json = False,
) -> None:
    """What shadow and advisory controls would have done had they been live: look before you switch."""
    from rich.console import Console
    from rich.table import Table

    from sync.hub.archive import Archive, ArchiveRefused
    from sync.hub.rehearsal import rehearse

    try:
        archive = Archive.open(_there(archive_file))
        try:
            report = rehearse(archive.facts_of_kind("ruling_made", since), control)
        finally:
            archive.close()
    except (ArchiveRefused, ValueError) as refused:
        raise _refuse(refused) from refused
    if as_json or not sys.stdout.isatty():
        for each in report.controls:
            _say_json(
                {"control": each.control, "mode": each.mode,
                 "rulings": report.rulings, "matched": each.matched,
                 "changed": {f"{was} -> {then}": n for (was, then), n in sorted(each.changed.items())},
                 "by_enterprise": dict(each.by_enterprise.most_common()),
                 "examples": [asdict(example) for example in each.examples]}
            )  # fmt: skip
    else:
        table = Table("control", "mode", "matched", "would change", "of rulings")
        for each in report.controls:
            changes = ", ".join(f"{was} → {then} {n}" for (was, then), n in sorted(each.changed.items()))
            share = f"{each.would_stop} ({each.would_stop / max(1, report.rulings):.1%})"
            table.add_row(each.control, each.mode, str(each.matched), changes or "-", share)
        Console().print(table)
    sys.stderr.write(f"{report.rulings} rulings looked at, {report.unread} of a later version not read\n")


# --- slip codes -------------------------------------------------------------------------------------------

CodeText = Annotated[str, typer.Argument(metavar="CODE", help="text of a code; - reads it from stdin")]
ScopeOption = Annotated[str | None, typer.Option(help="scope; the hub's only one if left out")]


def _issuing_hub(config: Path) -> Any:
    """The hub's config, where it issues codes."""
    from sync.hub.config import ConfigRefused, read_hub_config

    try:
        found = read_hub_config(config)
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    if found.slips is None or found.slip_key is None:
        raise _refuse(f"{config}: expected a table [slips] with the key_file that signs codes", 2)
    return found


@slips_app.command("issue")
def slips_issue(
    config: ConfigFile,
    slip_nos: Annotated[list[str], typer.Argument(metavar="SLIP_NO …", help="as in the records")],
    scope: ScopeOption = None,
    as_json: Json = False,
) -> None:
    """A signed code for each slip, as text to be printed as a QR code (alphanumeric mode, correction M)."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.slips import SlipNotIssued, issue
    from sync.store.journal import utc_now

    hub_config = _issuing_hub(config)
    refused_any = False
    try:
        wanted = _scope_of(scope, hub_config.sync.scopes)
        archive = Archive.open(_there(hub_config.archive))
        try:
            for slip_no in slip_nos:
                try:
                    made = issue(archive, wanted, slip_no, hub_config.slip_key, hub_config.slips, utc_now())
                except SlipNotIssued as refused:
                    refused_any = True
                    sys.stderr.write(f"not issued: {refused}\n")
                    continue
                if as_json:
                    _say_json({"slip_no": slip_no, "kid": made.kid, "expires": made.claims.expires,
                               "text": made.text})  # fmt: skip
                else:
                    _say(made.text)
        finally:
            archive.close()
    except (ArchiveRefused, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    raise typer.Exit(1 if refused_any else 0)


@slips_app.command("key")
def slips_key(
    config: ConfigFile,
    revoke: Annotated[str | None, typer.Option(metavar="KID", help="believe nothing it signed")] = None,
    scope: ScopeOption = None,
    as_json: Json = False,
) -> None:
    """Let the lanes know the key that signs codes, or revoke one; lists what they know."""
    from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
    from sync.hub.slips import keys_of, put_key, revoke_key
    from sync.store.journal import utc_now

    hub_config = _issuing_hub(config)
    try:
        wanted = _scope_of(scope, hub_config.sync.scopes)
        archive = Archive.open(hub_config.archive)
        try:
            with archive.transaction():
                archive.add_scope(wanted)
            if revoke is None:
                put_key(archive, wanted, hub_config.slip_key, hub_config.slips, utc_now())
            else:
                revoke_key(archive, wanted, revoke, utc_now())
            keys = keys_of(archive, wanted)
        finally:
            archive.close()
    except (ArchiveRefused, ValueError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    for key in keys:
        row = {"kid": key.kid, "state": key.state.value, "issuer": key.issuer,
               "valid_from": key.valid_from, "valid_until": key.valid_until}  # fmt: skip
        if as_json or not sys.stdout.isatty():
            _say_json(row)
        else:
            _say("  ".join(row.values()))


def _code_of(text: str) -> Any:
    from sync.vocabulary.codec import Malformed
    from sync.vocabulary.slip_codes import MAX_TEXT, parse

    given = sys.stdin.read(MAX_TEXT + 2).rstrip("\r\n") if text == "-" else text
    try:
        return parse(given)
    except Malformed as error:
        raise _refuse(f"no slip code: {error}") from error


def _code_row(shown: Any) -> dict[str, Any]:
    from sync.vocabulary.codec import to_builtins

    return {"kid": shown.kid, "sha256": shown.sha256, **to_builtins(shown.claims)}


@slips_app.command("show")
def slips_show(code: CodeText, as_json: Json = False) -> None:
    """What a code says. Says nothing of who signed it."""
    row = _code_row(_code_of(code))
    if as_json or not sys.stdout.isatty():
        _say_json(row)
    else:
        for name, value in row.items():
            _say(f"{name:16} {value}")


@slips_app.command("verify")
def slips_verify(
    code: CodeText,
    records: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="a device's records-<n>.sqlite: judge as its lane would"),
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="a public key: only the signature")] = None,
    as_json: Json = False,
) -> None:
    """Whether a code holds: by the records of a lane, or by one public key."""
    from sync.link.keys import KeyRefused, load_public, signed_by
    from sync.link.shown_slips import judged_by
    from sync.policy.shown_slips import Standing
    from sync.store.journal import utc_now
    from sync.store.opening import StoreRefused
    from sync.store.records import Records
    from sync.vocabulary.numbers import UtcText
    from sync.vocabulary.slip_codes import kid_of

    shown = _code_of(code)
    if (records is None) == (key is None):
        raise _refuse("expected either --records or --key", 2)
    try:
        if key is not None:
            public = load_public(key)
            ours = kid_of(public.public_bytes_raw()) == shown.kid
            good = ours and signed_by(public, shown.signed, shown.signature)
            standing, why = ("signed", "") if good else ("refused", f"not signed by {key}")
        elif records is not None:
            with Records.open(records) as opened, opened.snapshot() as state:
                judged = judged_by(opened, state, shown, UtcText(utc_now()))
            good, standing, why = judged.standing is not Standing.REFUSED, judged.standing.value, judged.why
    except (StoreRefused, KeyRefused, ValueError) as refused:
        raise _refuse(refused) from refused
    if as_json or not sys.stdout.isatty():
        _say_json({"standing": standing, "why": why, **_code_row(shown)})
    else:
        _say(f"{'✔' if good else '✘'} {standing} {why}".rstrip())
    raise typer.Exit(0 if good else 1)


# --- journal ----------------------------------------------------------------------------------------------


WhosePin = Annotated[
    str | None,
    typer.Option("--officer", help="a handheld's journal: whose PIN opens it; asked for, or a line of stdin"),
]


def _opener_of(file: Path, officer: str | None) -> Opener:
    """How the journal lies on the disk: plain, or in a handheld's vault beside it."""
    from sync.store.opening import PLAIN

    if officer is None:
        return PLAIN
    from edge.handheld.vault_files import KEYS, Vault, VaultRefused
    from edge.runtime.clock import SystemClock
    from sync.store.enciphered import Enciphered
    from sync.store.opening import StoreRefused

    clock = SystemClock()
    try:
        if not (file.parent / KEYS).exists():
            raise VaultRefused(f"{file.parent}: expected a handheld's vault beside its journal ({KEYS})")
        vault = Vault.open(file.parent, device="", boot_id=clock.boot_id(), at_s=clock.monotonic_s())
        told = vault.unlock(officer, asked_secretly("PIN"), at_s=clock.monotonic_s())
        if told.outcome != "right":
            wait = f", {told.wait_s:.0f} s to wait" if told.wait_s else ""
            raise _refuse(f"{file}: officer {officer[:64]}: {told.outcome} PIN{wait}")
        return Enciphered(vault.key)
    except (VaultRefused, StoreRefused) as refused:
        raise _refuse(refused) from refused


def asked_secretly(what: str) -> str:
    """Never from the command line: other users of the machine could read it there."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    return sys.stdin.readline().strip()


@journal_app.command("verify")
def journal_verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="journal, hub archive, hub config, segment")],
    device: Annotated[str | None, typer.Option(help="only this device of an archive")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="archive, segment or signed head kept elsewhere")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="the device's public key")] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="an X-ray station's evidence: every file against these facts"),
    ] = None,
    officer: WhosePin = None,
    as_json: Json = False,
) -> None:
    """Check every hash, chain, position and signature; name exactly what is wrong."""
    from edge.proving import Kind, archive_at, kind_of, segment_problems, signed_elsewhere
    from sync.hub.archive import STORAGE_ERRORS, ArchiveRefused
    from sync.hub.config import ConfigRefused
    from sync.hub.proving import verify_archive
    from sync.store.exporting import device_of
    from sync.store.opening import StoreRefused
    from sync.store.verify import verify_against, verify_journal

    opener = _opener_of(file, officer)
    kind = kind_of(file) if officer is None else Kind.JOURNAL
    try:
        match kind:
            case Kind.SEGMENT:
                problems = segment_problems(file, key)
            case Kind.ARCHIVE:
                with archive_at(file) as archive:
                    problems = verify_archive(archive, device)
            case Kind.JOURNAL:
                problems = verify_journal(file, opener=opener)
                if against is not None:
                    elsewhere = signed_elsewhere(against, device_of(file, opener=opener), key)
                    problems += verify_against(file, elsewhere, opener=opener)
            case _:
                assert_never(kind)
        proof = None if evidence is None else _evidence_proof(file, device, evidence, opener)
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (StoreRefused, ArchiveRefused, ValueError, OSError, *STORAGE_ERRORS) as refused:
        raise _refuse(refused) from refused
    counted: dict[str, object] = {}
    if proof is not None:
        problems += proof.problems
        counted = {
            "evidence": {
                "pictures": proof.pictures,
                "files": proof.files,
                "shed": proof.shed,
                "older_than_the_facts": proof.before,
            }
        }
    if as_json or not sys.stdout.isatty():
        _say_json({"file": str(file), "ok": not problems, "problems": problems, **counted})
    else:
        for problem in problems:
            _say(f"✘ {problem}")
        if not problems:
            _say("✔ whole: every hash, link, position and signature is right")
        if proof is not None:
            older = f", {proof.before} older than the facts here" if proof.before else ""
            _say(f"{proof.pictures} pictures in {proof.files} files proved, {proof.shed} shed{older}")
    raise typer.Exit(1 if problems else 0)


def _evidence_proof(file: Path, device: str | None, folder: Path, opener: Opener) -> Proof:
    from edge.proving import facts_in
    from edge.xray_bridge.evidence.proving import proved, told_evidence

    return proved(told_evidence(facts_in(file, device, opener=opener)), folder)


@journal_app.command("export")
def journal_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="journal, hub archive or hub config")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="SEGMENT", help="write a segment with its signature")
    ] = None,
    first: Annotated[int, typer.Option("--from", help="device-wide position of the first fact")] = 1,
    last: Annotated[int, typer.Option("--to", help="of the last one")] = 2**62,
    passage: Annotated[int | None, typer.Option(help="one passage instead of positions")] = None,
    device: Annotated[str | None, typer.Option(help="whose facts of an archive")] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="the device's private key: a journal holds no signatures"),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="with -o: an X-ray station's; what these facts tell of goes to SEGMENT.evidence",
        ),
    ] = None,
    officer: WhosePin = None,
) -> None:
    """Every fact as one JSON line; with -o a piece of the chain with the checkpoint signed over it, which
    anybody can check without us (docs/contract)."""
    from edge.proving import Kind, kind_of, segment_of
    from sync.hub.archive import STORAGE_ERRORS, ArchiveRefused
    from sync.hub.config import ConfigRefused
    from sync.hub.proving import NothingToExport, Wanted
    from sync.link.keys import KeyRefused
    from sync.store.exporting import exported_facts
    from sync.store.journal import utc_now
    from sync.store.opening import StoreRefused

    if evidence is not None and out is None:
        raise _refuse("--evidence: expected -o SEGMENT with it", 2)
    if out is None and file.exists() and kind_of(file) is Kind.ARCHIVE:
        raise _refuse(f"{file}: of a hub's archive, expected -o SEGMENT and --device NAME", 2)
    opener = _opener_of(file, officer)
    try:
        if out is None:
            for fact in exported_facts(file, first, last, passage, opener=opener):
                _say(fact)
            return
        text = segment_of(file, device, Wanted(first, last, passage), key, utc_now(), opener=opener)
        out.write_text(text, encoding="utf-8")
    except ConfigRefused as refused:
        raise _refuse(refused, 2) from refused
    except (
        StoreRefused,
        ArchiveRefused,
        KeyRefused,
        NothingToExport,
        ValueError,
        *STORAGE_ERRORS,
    ) as refused:
        raise _refuse(refused) from refused
    sys.stderr.write(f"{out}: {len(text.encode())} bytes\n")
    if evidence is not None:
        _copy_evidence(out, evidence)


def _copy_evidence(segment: Path, folder: Path) -> None:
    """Beside the segment, each picture proved against its facts before it is copied."""
    from edge.proving import facts_in
    from edge.xray_bridge.evidence.proving import copied, told_evidence

    into = segment.with_name(f"{segment.name}.evidence")
    try:
        proof = copied(told_evidence(facts_in(segment, None)), folder, into)
    except OSError as refused:
        raise _refuse(refused) from refused
    for problem in proof.problems:
        sys.stderr.write(f"✘ {problem}\n")
    sys.stderr.write(f"{into}: {proof.pictures} pictures in {proof.files} files, {proof.shed} shed before\n")
    if proof.problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
