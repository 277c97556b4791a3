"""The script that compares a kept volume with a running database: with a psql that a test speaks for, and with PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import ROOT

SCRIPT = ROOT / "scripts" / "only-kept.sh"
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="no PostgreSQL server is installed here")
AS_NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
"""PostgreSQL refuses to run as root."""


class Place:
    """Directories for the script, which the user nobody can enter, and programs before those of the machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("bin", "kept", "scratch"):
            (directory / name).mkdir()
        self.own(directory)

    def program(self, name: str, text: str) -> None:
        (self.directory / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.directory / "bin" / name).chmod(0o755)

    def volume(self, version: str = "17") -> Path:
        kept = self.directory / "kept"
        (kept / "PG_VERSION").write_text(f"{version}\n")
        (kept / "pg_wal").mkdir()
        return kept

    def run(self, kept: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        scratch = Path(tempfile.mkdtemp(dir=self.directory / "scratch"))
        self.own(self.directory)
        path = f"{self.directory / 'bin'}:{POSTGRES}:{os.environ['PATH']}"
        told = {"PATH": path, "PGHOST": "127.0.0.1", "PGDATABASE": "app", "PGUSER": "app", "PGPASSWORD": "x", "LIMIT": "100"}
        told |= {"KEPT": str(kept or self.directory / "kept"), "SCRATCH": str(scratch), "SECONDS_TO_TRY": "20", **environment}
        command = [shutil.which("sh") or "sh", "-c", SCRIPT.read_text()]
        return subprocess.run(command, env=told, cwd="/", capture_output=True, text=True, check=False, timeout=120, **AS_NOBODY)

    @staticmethod
    def own(directory: Path) -> None:
        if AS_NOBODY:
            for each in (directory, *directory.rglob("*")):
                if not each.is_symlink():
                    shutil.chown(each, "nobody", "nogroup")


@pytest.fixture
def place() -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(prefix="only-kept-"))  # the user nobody cannot enter tmp_path
    yield Place(directory)
    shutil.rmtree(directory)


def test_a_running_database_that_does_not_answer_is_named_before_the_volume_is_touched(place: Place) -> None:
    place.program("psql", "echo 'psql: error: connection refused' >&2; exit 2")
    place.program("postgres", "echo started >&2; exit 1")
    place.volume()
    done = place.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the running database does not answer: psql: error: connection refused\n"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda kept: (kept / "PG_VERSION").unlink(), "the kept volume has no database in {kept}"),
        (
            lambda kept: [(kept / "pg_wal").rmdir(), (kept / "pg_wal").symlink_to("/nowhere/pg_wal")],
            "the WAL of the kept volume is on a volume of its own, /nowhere/pg_wal: name its claim too",
        ),
        (
            lambda kept: (kept / "PG_VERSION").write_text("16\n"),
            "the kept volume is of PostgreSQL 16, and the image is of 17: name an image of the former",
        ),
        (lambda kept: None, "PostgreSQL does not start on the kept volume: FATAL:  something"),
    ],
)
def test_a_volume_on_which_postgresql_cannot_start_is_an_error_that_says_why(place: Place, spoil, said: str) -> None:
    place.program("psql", "case $* in *--host=*) exit 2 ;; esac")
    start = "echo 'LOG:  starting'; echo 'FATAL:  something'; echo 'LOG:  down'; exit 1"
    place.program("postgres", f'[ "$1" = --version ] && echo "postgres (PostgreSQL) 17.2 (Debian 17.2-1)" && exit; {start}')
    kept = place.volume()
    spoil(kept)
    done = place.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{said.format(kept=kept)}\n"


def test_a_volume_that_recovers_for_too_long_is_an_error(place: Place) -> None:
    place.program("psql", "case $* in *--host=*) echo 'FATAL:  is starting up' >&2; exit 2 ;; esac")
    # A shell cannot hear SIGINT in the background, as PostgreSQL does.
    recovers = "echo 'LOG:  redo in progress'; exec sleep 4"
    place.program("postgres", f'[ "$1" = --version ] && echo "postgres (PostgreSQL) 17.2" && exit; {recovers}')
    place.volume()
    done = place.run(SECONDS_TO_TRY="1")
    assert done.returncode == 1
    assert done.stderr == (
        "PostgreSQL does not answer on the kept volume: FATAL:  is starting up; its last words: LOG:  redo in progress\n"
    )


BEFORE = r"""
create role app login;
create table orders (id int primary key, note text, at timestamptz default '2026-03-04 05:06:07+00');
insert into orders select each, 'n' || each from generate_series(1, 5) each;
create table nokey (a text);
insert into nokey values ('x'), ('x'), (E'tab\there\nnewline \\ back');
create table "We ird" (a int primary key, gone text);
insert into "We ird" values (1, 'g');
create table dropped (a int);
insert into dropped values (7);
create table secret (a int);
create table parts (a int primary key, b text) partition by range (a);
create table parts_1 partition of parts for values from (0) to (10);
insert into parts values (1, 'one');
"""
OLD = r"""
insert into orders values (6, 'only kept');
update orders set note = 'kept ' || note where id = 2;
insert into nokey values ('x'), (E'only\tkept');
insert into dropped values (8);
insert into "We ird" values (2, 'h');
insert into parts values (2, 'two');
"""
NEW = """
alter table "We ird" drop column gone;
alter table "We ird" add column later int default 3;
drop table dropped;
insert into orders values (7, 'new');
grant select on orders, nokey, "We ird", parts, parts_1 to app;
"""
AS_IN_CLOUDNATIVEPG = """
listen_addresses = '*'
ssl = on
ssl_cert_file = '/controller/certificates/server.crt'
ssl_key_file = '/controller/certificates/server.key'
unix_socket_directories = '/controller/run'
logging_collector = on
log_destination = csvlog
log_directory = '/controller/log'
archive_mode = on
archive_command = '/controller/manager wal-archive %p'
restart_after_crash = false
shared_preload_libraries = 'pg_of_somebody'
"""
FOUND = """
table|public."We ird"|2|1|0|a|the running database has no columns gone, which are not compared
row|missing|(2)
table|public.dropped|2|2|0||the running database has no such table
row|missing|(7)
row|missing|(8)
table|public.nokey|5|2|0||
row|missing|("only\\tkept")
row|missing|(x)
table|public.orders|6|2|1|id|
row|missing|(6,"only kept","2026-03-04 05:06:07+00")
row|changed|(2,"kept n2","2026-03-04 05:06:07+00")
table|public.parts_1|2|1|0|a|
row|missing|(2,two)
unread|public.secret|the running database: ERROR:  permission denied for table secret
end|6
""".lstrip().replace("|", "\t")


class Server:
    """A PostgreSQL server on loopback, and its data directory."""

    def __init__(self, directory: Path) -> None:
        assert POSTGRES
        self.data, self._log = directory / "data", directory / "log"
        directory.mkdir()
        Place.own(directory)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n")
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self._log), "-w", "start")

    def stop(self, mode: str) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def say(self, sql: str, database: str = "app") -> None:
        command = ("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1")
        self._run(*command, "-q", "-c", sql)

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes nowhere: the server inherits it, and would keep a pipe open.
        nowhere = subprocess.DEVNULL
        subprocess.run([f"{POSTGRES}/{program}", *arguments], cwd="/", check=True, stdout=nowhere, stderr=nowhere, **AS_NOBODY)


@needs_postgres
def test_postgresql_itself_says_which_rows_an_old_primary_alone_has_and_keeps_them(place: Place) -> None:
    running, old = (Server(place.directory / name) for name in ("running", "old"))
    neighbour = subprocess.Popen(["sleep", "300"], **AS_NOBODY)
    try:
        for each in (running, old):
            each.say("create database app", "postgres")
            each.say(BEFORE)
        running.say(NEW)
        old.say(OLD)
        old.stop("immediate")
        with (old.data / "postgresql.conf").open("a") as settings:
            settings.write(AS_IN_CLOUDNATIVEPG)
        (old.data / "postmaster.pid").write_text(f"{neighbour.pid}\n{old.data}\n")
        Place.own(old.data)
        old.data.chmod(0o770)

        done = place.run(old.data, PGPORT=running.port)
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout == FOUND
        assert not (old.data / "postmaster.pid").exists(), "it was stopped in good order"

        short = place.run(old.data, PGPORT=running.port, LIMIT="1")
        rows = [line for line in short.stdout.splitlines() if line.startswith("row")]
        assert len(rows) == 5
        assert [line for line in short.stdout.splitlines() if not line.startswith("row")] == [
            line for line in FOUND.splitlines() if not line.startswith("row")
        ]

        # The volume of a standby, or of a primary that gave its role away: it waits for WAL that never comes.
        (old.data / "standby.signal").touch()
        again = place.run(old.data, PGPORT=running.port)
        assert (again.stderr, again.stdout) == ("", FOUND)
        assert (old.data / "standby.signal").exists()

        lacking = place.run(old.data, PGPORT=running.port, PGDATABASE="postgres", PGUSER="nobody-here")
        assert lacking.stderr.startswith("the running database does not answer: ")
    finally:
        neighbour.kill()
        neighbour.wait()
        running.stop("immediate")
