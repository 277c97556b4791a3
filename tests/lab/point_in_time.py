"""Rows are deleted in the region that serves, the deletion reaches the other region, and the rows come back, exactly as
docs/recovery.md has it.

Functions for a test with a running lab whose database serves in one region. The order is that of `comes_back`. The commands are
the page's own: a `kubectl` in front of the real one puts the lab's context for the page's, and nothing else is changed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab import databases
from lab.ledger import Row, read_rows
from lab.paths import CHECKOUT
from lab.regions import namespaces, network
from lab.regions.spec import named
from lab.waiting import until
from lab.world import Lab
from settings.roles import Role, peer_of
from tests.documented import blocks
from tests.lab.compromised_writer import Attack, moment

PAGE = CHECKOUT / "docs" / "recovery.md"
NAME = f"{databases.NAME}-pitr"
TABLE = "ledger"
ROWS = 40
"""Rows that a test adds where the application has written none yet. They are gone at its end."""

_FIRST = 10**12
"""The number of the first row that a test adds, far above the application's."""

# As the application's own, which makes the table with its first row: see lab/application/database.go.
_CREATE = (
    f"set role {databases.OWNER}; create table if not exists {TABLE} (sequence bigint primary key, client_time timestamptz, "
    "recorded_at timestamptz default now(), region text, pod text)"
)

STEPS = {
    "archive": "pg_switch_wal())",
    "make": "scripts.point_in_time",
    "look": "app-database-pitr-rw -c postgres -- psql -d app -Atc",
    "bring": "rows.copy",
    "whole": "pg_restore",
    "exchange": "RENAME TO",
    "delete": "delete cluster.postgresql.cnpg.io app-database-pitr",
}
"""For each step of the page, words that only its block has."""


def documented(step: str) -> str:
    """The commands of one step."""
    (found,) = (block.commands for block in blocks(PAGE) if STEPS[step] in block.commands)
    return found


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """The way back in `region`, which serves. `directory` is where a person would stand, for the files that the commands write.

    `standby` says whether the other region has a replica that follows.
    """

    lab: Lab
    region: Role
    directory: Path
    standby: bool = True

    @property
    def other(self) -> Role:
        return peer_of(self.region)

    # What is there

    def query(self, sql: str, region: Role | None = None) -> str:
        return self.lab.query(sql, region or self.region)

    def rows(self, region: Role | None = None) -> list[Row]:
        return read_rows(lambda sql: self.query(sql, region))

    def cluster(self, region: Role, name: str = databases.NAME) -> dict[str, Any]:
        what = ("get", "cluster.postgresql.cnpg.io", name, "-n", databases.DATABASE_NAMESPACE, "-o", "json")
        return dict(json.loads(self.lab.kubectl(region, *what)))

    def names(self, kinds: str) -> list[str]:
        """Objects of the namespace that are the throw-away Cluster's, by their names."""
        found = self.lab.kubectl(self.region, "get", kinds, "-n", databases.DATABASE_NAMESPACE, "-o", "name").split()
        return [each for each in found if NAME in each]

    def timelines(self) -> set[str]:
        """The servers and timelines of all WAL in this region's bucket that the other region has not written."""
        found = Attack(lab=self.lab, purpose="database", part="database", prefix="cnpg").contents(self.region)
        segments = (key.split("/") for key in found if "/wals/" in key)
        return {f"{parts[1]}/{parts[-1][:8]}" for parts in segments if f"-{self.other}-g" not in parts[1]}

    # What a person types

    def types(self, step: str, **variables: str) -> str:
        """Run one step of the page, and return what it printed."""
        real = [*network.inside(namespaces.OPS), str(self.lab.tools.path("kubectl")), f"--kubeconfig={self.lab.paths.kubeconfig}"]
        script = [
            "set -euo pipefail",
            # Each command of the page begins with its own --context.
            f'kubectl() {{ shift 2; {shlex.join(real)} --context={named(self.region).context} "$@"; }}',
            f"cd {shlex.quote(str(self.directory))}",
            *(f"{name}={shlex.quote(value)}" for name, value in {"table": TABLE, **variables}.items()),
            documented(step).replace(".venv/bin/python", shlex.quote(sys.executable)),
        ]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        ran = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=300,
        )
        assert ran.returncode == 0, f"{step}:\n{documented(step)}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        return ran.stdout

    # What happens

    @contextmanager
    def filled(self) -> Iterator[None]:
        """The table has rows, the application's or a test's own. Rows of the test are gone at the end."""
        self.query(_CREATE)
        try:
            self.insert(_FIRST, ROWS)
            yield
        finally:
            self.query(f"delete from {TABLE} where sequence >= {_FIRST}")

    def insert(self, first: int, count: int = 1) -> None:
        values = f"select each, now(), 'nowhere', 'nobody' from generate_series({first}, {first + count - 1}) each"
        self.query(f"insert into {TABLE} (sequence, client_time, region, pod) {values}")

    def destroy(self) -> datetime:
        """Delete every row. Returns a time at which all were there."""
        at = moment()
        self.query(f"delete from {TABLE}")
        assert not self.rows()
        return at

    def wait_same(self) -> None:
        """Wait until the other region's replica has exactly the rows of the region that serves. It asks for WAL every 30 s."""
        if self.standby:
            self.types("archive")
            rows = self.rows()
            until("the standby to have the same rows", lambda: self.rows(self.other) == rows, timeout=150, interval=1)
            assert self.query("select pg_is_in_recovery()", self.other) == "t"

    def make(self, at: datetime) -> None:
        """Steps 2 and 3. The deletion reaches the other region meanwhile."""
        self.types("archive")
        self.types("make", to=at.isoformat())
        spec = self.cluster(self.region, NAME)["spec"]
        assert "replica" not in spec
        assert not spec.get("plugins")

    def verify(self, before: list[Row], now: int) -> None:
        """Step 4: the throw-away Cluster has what was there, and the live one what is."""
        assert self.types("look").split() == [str(len(before)), str(now)]

    def bring_back(self, before: list[Row], since: int) -> None:
        """Step 5. A row that was written `since`, with this number, stays."""
        assert self.types("bring").split()[0] == str(len(before)), "a line for each row"
        after = self.rows()
        assert [row for row in after if row.sequence != since] == before
        assert since in {row.sequence for row in after}

    def bring_the_whole_database_back(self, before: list[Row], since: int) -> None:
        """The other way: the database is exchanged, and what was written since is in the one that was."""
        assert self.types("whole").split()[-1] == str(len(before))
        self.types("exchange")
        assert self.rows() == before
        assert self.query(f"select has_function_privilege('{databases.OWNER}', 'pg_switch_wal()', 'execute')") == "t"
        owner = f"select pg_get_userbyid(datdba) from pg_database where datname = '{databases.OWNER}'"
        assert self.query(owner) == databases.OWNER
        inside = ("exec", "-n", databases.DATABASE_NAMESPACE, f"service/{databases.NAME}-rw", "-c", "postgres", "--")
        kept = (*inside, "psql", "-d", "app_before", "-Atc", f"select count(*) from {TABLE} where sequence = {since}")
        assert self.lab.kubectl(self.region, *kept).strip() == "1"
        self.query("drop database app_before")

    def delete(self) -> None:
        """Step 6. Nothing of the throw-away Cluster is left, and the live one's service account is."""
        self.types("delete")
        kinds = "clusters.postgresql.cnpg.io,pods,jobs,persistentvolumeclaims,services,roles,rolebindings,serviceaccounts"
        until("nothing of it to be left", lambda: not self.names(kinds), timeout=90)
        accounts = self.lab.kubectl(self.region, "get", "serviceaccounts", "-n", databases.DATABASE_NAMESPACE, "-o", "name")
        assert f"serviceaccount/{databases.NAME}" in accounts.split()
        claims = ("get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef.name}")
        until("its volumes to be gone", lambda: NAME not in self.lab.kubectl(self.region, *claims), timeout=60)


def comes_back(way: WayBack, *, whole: bool = True) -> None:
    """The whole procedure, and that nothing else has changed in either region."""
    live, archived = way.cluster(way.region), way.timelines()
    others = way.cluster(way.other) if way.standby else None
    with way.filled():
        before = way.rows()
        assert len(before) >= ROWS
        at = way.destroy()
        since = _FIRST + 2 * ROWS
        way.insert(since)
        way.make(at)
        way.wait_same()  # and so the deletion has reached the other region, whose replica replays in order
        assert len(way.rows()) == 1
        way.verify(before, now=1)
        way.bring_back(before, since)
        way.wait_same()
        if whole:
            way.bring_the_whole_database_back(before, since)
            way.wait_same()
        way.delete()
    assert way.timelines() == archived, "the throw-away Cluster has archived nothing"
    unchanged(live, way.cluster(way.region))
    if others:
        unchanged(others, way.cluster(way.other))


def unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The Cluster is the same object, of the same generation and content, and its operator finds it healthy."""
    for cluster in (before, after):
        assert cluster["status"]["phase"] == "Cluster in healthy state"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"]
    assert after["status"].get("timelineID") == before["status"].get("timelineID")
