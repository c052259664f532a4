"""A PostgreSQL of our own, to measure and to test with: on 127.0.0.1, in a temporary folder, fsync on, ended
by `close`."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sync.hub.archive import Archive
from sync.hub.engine_postgres import PostgresPlace

SUPERUSER = "kakou"
USED = "kakou_used"
SQL_CREATE = "CREATE DATABASE "
DATABASES = itertools.count(1)


def binaries() -> Path | None:
    """The newest server's programs, where Debian puts them or on the path."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return max(found, key=lambda path: path.parent.name.zfill(3), default=None)


class Postgres:
    """One server."""

    def __init__(self, programs: Path, settings: str = "") -> None:
        """`settings`: options of the server, instead of those for tests."""
        self.programs = programs
        self.settings = settings or "-c shared_buffers=32MB -c max_wal_size=256MB"
        self.folder = Path(tempfile.mkdtemp(prefix="kakou-postgres-"))
        self.cluster = self.folder / "cluster"
        self.used = False
        self.spare: list[str] = []
        self.log = self.folder / "log"
        # The server refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self.run(
            "initdb", "--pgdata", str(self.cluster), "--username", SUPERUSER, "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.start()

    def start(self) -> None:
        options = (
            f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=40 "
            f"-c deadlock_timeout=200ms {self.settings}"
        )
        self.run("pg_ctl", "start", "-w", "-D", str(self.cluster), "-l", str(self.log), "-o", options)

    def pid(self) -> int:
        return int((self.cluster / "postmaster.pid").read_text().split()[0])

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.cluster))

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.programs / program) if (self.programs / program).exists() else program, *arguments],
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.STDOUT,
            text=True,
            timeout=60,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd=self.folder,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{program}: exit {done.returncode}\n{done.stdout or ''}")
        return done

    def client(self, program: str, *arguments: str) -> str:
        """A client program with our connection; what it wrote."""
        server: Sequence[str] = ("-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER)
        return self.run(program, *server, *arguments).stdout

    def place(self, folder: Path) -> PostgresPlace:
        """An empty archive, in a database others had before: making one takes longer than most tests."""
        import psycopg

        place = self.named(folder, USED)
        place.witness_file.unlink(missing_ok=True)
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            if not self.used:
                admin.execute(SQL_CREATE + USED)
        if not self.used:
            self.used = True
            Archive.open(place).close()
        self._clear(USED)
        return place

    def _clear(self, database: str) -> None:
        import psycopg

        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,)
            )
        self.empty(database)
        with psycopg.connect(self.dsn(database), autocommit=True) as db:
            db.execute("DELETE FROM meta WHERE key NOT IN ('schema', 'archive_id')")
            db.execute("UPDATE meta SET value = md5(random()::text) WHERE key = 'archive_id'")

    def empty(self, database: str, *keep: str) -> None:
        """Delete the rows of every table but `meta` and these."""
        import psycopg
        from psycopg.sql import SQL, Identifier

        with psycopg.connect(self.dsn(database)) as db:
            tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (name,) in tables:
                if name not in ("meta", *keep):
                    db.execute(SQL("DELETE FROM {}").format(Identifier(name)))

    def new_place(self, folder: Path) -> PostgresPlace:
        """A database of one's own, with nothing in it."""
        import psycopg

        database = f"archive{next(DATABASES)}"
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            admin.execute(SQL_CREATE + database)
        return self.named(folder, database)

    def lend(self, folder: Path) -> PostgresPlace:
        """An empty archive nobody else has until `take_back`."""
        place = self.new_place(folder) if not self.spare else self.named(folder, self.spare.pop())
        place.witness_file.unlink(missing_ok=True)
        return place

    def take_back(self, place: PostgresPlace) -> None:
        """Whoever is still connected is thrown out."""
        self._clear(place.database)
        self.spare.append(place.database)

    def named(self, folder: Path, database: str) -> PostgresPlace:
        """The witness lies in `folder`."""
        return PostgresPlace(
            host="127.0.0.1",
            port=self.port,
            database=database,
            user=SUPERUSER,
            password_file=None,
            ca_file=None,
            witness_file=folder / f"{database}.opened",
        )

    def dsn(self, database: str = "postgres") -> str:
        return f"host=127.0.0.1 port={self.port} user={SUPERUSER} dbname={database}"
