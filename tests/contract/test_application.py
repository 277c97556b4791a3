"""The demo application with its ledger on a real PostgreSQL, which dies, comes back, stands by and is promoted."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import client, ledger
from lab.application import manifests
from lab.tools import toolbox
from lab.tools.groups import GROUPS
from lab.waiting import until
from tests.examples import ROOT
from tests.ports import free_port
from tests.unit.lab.test_ledger import BEFORE, DIED

SHOP = toolbox.directory(GROUPS["application"]) / "shop"
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
PATIENCE = 30
"""A request that takes longer hangs. How much sooner it must end is in the source: a busy machine makes any answer late."""

needs_shop = pytest.mark.skipif(not SHOP.exists(), reason="the application is not built: python -m lab.tools application")
needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="no PostgreSQL server is installed here")


class Postgres:
    """One PostgreSQL server on loopback. PostgreSQL refuses to run as root, so tests of root run it as the user nobody."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data, self.port = directory, directory / "data", free_port()
        self.as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.as_user:
            shutil.chown(directory, "nobody", "nogroup")
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n")

    def run(self, program: str, *arguments: str | Path) -> str:
        ran = subprocess.run(
            [POSTGRES / program, *arguments], **self.as_user, cwd="/", text=True, check=True, stdout=subprocess.PIPE
        )
        return ran.stdout

    def control(self, *arguments: str) -> None:
        # Output goes to a file: the server inherits it, and would keep a pipe open.
        with (self.directory / "pg_ctl.log").open("a") as log:
            command = [POSTGRES / "pg_ctl", "-D", self.data, "-l", self.directory / "server.log", "-w", *arguments]
            subprocess.run(command, **self.as_user, cwd="/", check=True, stdout=log, stderr=log)

    def start(self) -> None:
        self.control("start")

    def crash(self) -> None:
        """Kill the server. It flushes nothing and closes no connection, so a commit is in the WAL only."""
        self.control("stop", "-m", "immediate")

    def stand_by(self) -> None:
        self.control("stop", "-m", "fast")
        (self.data / "standby.signal").touch()
        self.start()

    def query(self, sql: str, database: str = "app") -> str:
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-qAt", "-c", sql, database)


@contextmanager
def a_server() -> Iterator[Postgres]:
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))  # the user nobody cannot enter tmp_path
    postgres = None
    try:
        postgres = Postgres(directory)
        postgres.start()
        postgres.query("create role app login", "postgres")
        postgres.query("create database app owner app", "postgres")
        yield postgres
    finally:
        if postgres is not None:
            postgres.control("stop", "-m", "immediate")
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with a_server() as postgres:
        yield postgres


@pytest.fixture
def postgres(server) -> Postgres:
    """The server, without a ledger."""
    server.query("drop table if exists ledger")
    return server


class Shop:
    """A pod of the application. `ask` returns status and body, and fails the test if an answer takes too long."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content.startswith(b"{") else {}
        finally:
            connection.close()

    def write(self, sequence: int) -> tuple[int, dict]:
        return self.ask("POST", "/orders", {"sequence": sequence, "client_time": "2026-11-24T12:00:00.123Z"})


@contextmanager
def shop(directory: Path, database_port: int | None, peer_port: int | None = None) -> Iterator[Shop]:
    for name, text in (("token", "a token"), ("username", "app"), ("password", "secret")):
        (directory / name).write_text(text)
    port = free_port()
    environment = {"PORT": str(port), "REGION": "primary", "POD": "shop-1", "GREETING": "hi", "TOKEN_FILE": f"{directory}/token"}
    if database_port:
        environment |= {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(database_port), "DATABASE_NAME": "app"}
        environment["DATABASE_CREDENTIALS"] = str(directory)
    if peer_port:
        environment |= {"DATABASE_PEER_HOST": "127.0.0.1", "DATABASE_PEER_PORT": str(peer_port)}
    with (directory / "shop.log").open("w") as log:
        process = subprocess.Popen([SHOP], env=environment, stdout=log, stderr=log)
    running = Shop(port)
    try:
        until("the application to answer", lambda: running.ask("GET", "/healthz")[0] == 200, timeout=20, interval=0.05)
        yield running
    finally:
        process.terminate()
        process.wait()


@needs_shop
def test_without_a_database_the_application_is_stateless_and_ready(tmp_path):
    with shop(tmp_path, None) as running:
        assert running.ask("GET", "/")[1]["region"] == "primary"
        assert running.ask("GET", "/readyz")[0] == 200
        assert running.write(1)[0] in (404, 405)


@needs_shop
def test_a_database_that_swallows_everything_keeps_nobody_waiting(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf, shop(tmp_path, deaf.getsockname()[1]) as running:
        for ask in (
            lambda: running.write(1),
            lambda: running.ask("GET", "/orders/latest"),
            lambda: running.ask("GET", "/readyz"),
        ):
            status, body = ask()
            assert status == 503
            assert "deadline" in body["reason"]
            assert "secret" not in body["reason"]
        assert running.ask("GET", "/healthz")[0] == 200, "a restored pod is Ready while its database is still away"
        assert running.ask("GET", "/")[0] == 200


@needs_shop
@needs_postgres
def test_a_row_is_recorded_once_with_who_took_it_and_can_be_read(postgres, tmp_path):
    with shop(tmp_path, postgres.port) as running:
        assert running.ask("GET", "/orders/latest")[0] == 404
        status, body = running.write(7)
        assert status == 201
        assert (body["sequence"], body["region"], body["pod"]) == (7, "primary", "shop-1")
        assert running.write(7)[0] == 409, "a number is not used twice"
        assert running.write(0)[0] == running.ask("POST", "/orders", "nonsense")[0] == 400
        for path in ("/orders/7", "/orders/latest"):
            status, found = running.ask("GET", path)
            assert (status, found["sequence"], found["client_time"]) == (200, 7, "2026-11-24T12:00:00.123Z")
        assert running.ask("GET", "/orders/8")[0] == 404
    (row,) = ledger.read_rows(postgres.query)
    assert row.sequence == 7


@needs_shop
@needs_postgres
def test_no_acknowledged_row_is_missing_however_often_the_server_crashes(postgres, tmp_path):
    acknowledged, sequence = [], 0
    with shop(tmp_path, postgres.port) as running:

        def write() -> bool:
            nonlocal sequence
            sequence += 1
            status, body = running.write(sequence)
            assert status in (201, 503), body
            if status == 201:
                acknowledged.append(sequence)
            return status == 201

        for _ in range(3):
            until("ten more rows", lambda: [write() for _ in range(10)] == [True] * 10, timeout=20, interval=0.01)
            postgres.crash()
            assert not write()
            postgres.start()
        until("writes to be back", write, timeout=10, interval=0.01)
    present = {row.sequence for row in ledger.read_rows(postgres.query)}
    assert len(acknowledged) > 30
    assert present >= {*acknowledged}


@needs_shop
@needs_postgres
def test_a_standby_serves_reads_refuses_writes_and_takes_them_once_promoted(postgres, tmp_path):
    with shop(tmp_path, postgres.port) as running:
        assert running.write(1)[0] == 201
        assert running.ask("GET", "/readyz")[0] == 200
        postgres.stand_by()
        until("reads", lambda: running.ask("GET", "/orders/latest")[0] == 200, timeout=10, interval=0.05)
        status, body = running.write(2)
        assert status == 503
        assert "read-only" in body["reason"]
        assert running.ask("GET", "/readyz") == (503, {"reason": "the database is a standby"})
        assert running.ask("GET", "/healthz")[0] == 200
        postgres.control("promote")
        assert running.write(3)[0] == 201
        assert running.ask("GET", "/readyz")[0] == 200
    assert [row.sequence for row in ledger.read_rows(postgres.query)] == [1, 3]


def test_the_database_is_given_up_before_the_client_gives_up_the_answer():
    source = (ROOT / "lab" / "application" / "database.go").read_text()
    [seconds] = re.findall(r"const databaseTimeout = (\d+) \* time\.Second", source)
    assert int(seconds) < client.DATABASE_TIMEOUT


@needs_shop
@needs_postgres
def test_a_server_that_freezes_is_given_up_in_time_and_found_again(postgres, tmp_path):
    with shop(tmp_path, postgres.port) as running:
        assert running.write(1)[0] == 201
        with frozen(postgres):
            for sequence in (2, 3, 4):
                assert running.write(sequence)[0] == 503
        assert running.write(5)[0] == 201


@needs_shop
@needs_postgres
def test_an_application_that_stands_by_writes_at_the_other_region_and_at_its_own_once_that_is_promoted(postgres, tmp_path):
    with a_server() as writer:
        with shop(tmp_path, postgres.port) as before:
            assert before.write(1)[0] == 201  # a standby would get this from its primary
        postgres.stand_by()
        with shop(tmp_path, postgres.port, writer.port) as running:
            assert running.write(2)[0] == 201
            assert running.ask("GET", "/readyz")[0] == 200
            assert running.ask("GET", "/orders/latest")[1]["sequence"] == 2
            with frozen(writer):
                assert running.write(3)[0] == 503
                for _ in range(3):
                    status, found = running.ask("GET", "/orders/latest")
                    assert (status, found["sequence"]) == (200, 1), "reads go on in the region's own standby"
                postgres.control("promote")
                until(
                    "writes to be back, without a restart", lambda: running.write(4)[0] in (201, 409), timeout=10, interval=0.05
                )
                assert running.ask("GET", "/readyz")[0] == 200
            assert running.write(5)[0] == 201
        assert [row.sequence for row in ledger.read_rows(writer.query) if row.sequence > 3] == [], "the old writer is left alone"
    assert [row.sequence for row in ledger.read_rows(postgres.query)] == [1, 4, 5]


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    """A server as in a dead region: it accepts connections and never answers."""
    clients = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    processes = [int(pid) for pid in postgres.query(clients).split()]
    processes.append(int((postgres.data / "postmaster.pid").read_text().split()[0]))
    for pid in processes:
        stop_if_there(pid)
    try:
        yield
    finally:
        for pid in processes:
            stop_if_there(pid, "CONT")


def stop_if_there(pid: int, signal: str = "STOP") -> None:
    subprocess.run(["kill", f"-{signal}", str(pid)], check=False, capture_output=True)


@needs_shop
@needs_postgres
def test_the_counting_is_proven_on_a_real_table(postgres, tmp_path):
    with shop(tmp_path, postgres.port) as running:
        assert [running.write(number)[0] for number in (1, 2, 3)] == [201] * 3
    postgres.query("update ledger set pod = E'it\\'s \\\\a'")
    before = postgres.query("select * from ledger order by sequence")
    assert ledger.prove_counting(postgres.query, BEFORE, [], DIED).holds
    assert postgres.query("select * from ledger order by sequence") == before


def test_with_a_database_the_application_brings_its_own_credentials():
    objects = manifests.documents("shop:1", database=manifests.Database(username="app", password="p"))
    (secret,) = [entry for entry in objects if entry["metadata"]["name"] == manifests.DATABASE_SECRET]
    assert (secret["metadata"]["namespace"], secret["stringData"]) == ("production", {"username": "app", "password": "p"})
    (deployment,) = [entry for entry in objects if entry["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["DATABASE_HOST"] == "app-database-rw.databases.svc"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (volume,) = [entry for entry in pod["volumes"] if entry["secret"]["secretName"] == manifests.DATABASE_SECRET]
    assert mounts[volume["name"]] == environment["DATABASE_CREDENTIALS"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz", "not the database's readiness"


def test_an_application_that_may_write_elsewhere_is_told_where_and_whom_to_trust():
    database = manifests.Database(username="app", password="p", peer="lb-primary.lab.internal", authority="PEM")
    objects = manifests.documents("shop:1", database=database)
    (secret,) = [entry for entry in objects if entry["metadata"]["name"] == manifests.DATABASE_SECRET]
    assert secret["stringData"]["ca.crt"] == "PEM"
    (deployment,) = [entry for entry in objects if entry["kind"] == "Deployment"]
    environment = {entry["name"]: entry.get("value") for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert environment["DATABASE_PEER_HOST"] == "lb-primary.lab.internal"
    assert environment["DATABASE_CA"] == f"{environment['DATABASE_CREDENTIALS']}/ca.crt"


def test_without_a_database_the_application_knows_of_none():
    assert "DATABASE" not in json.dumps(manifests.documents("shop:1")).upper().replace('"NAME": "DATABASES"', "")
