"""Somebody in the old primary's region who writes to its database as soon as that comes back, and says what was taken.

A Pod beside the database, which nobody scales down: it stands for every client of the region that does not go by the public name.
It is idle until its containers are started a second time, as the kubelet does when a node comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import yaml

from lab import databases
from lab.operators import Kubectl
from report.measures import SplitBrain

NAME = "late-writer"

_SCRIPT = """\
if [ ! -e /state/began ]; then
  touch /state/began
  exec sleep infinity
fi
while :; do
  if psql -qc 'create table if not exists late (at timestamptz default clock_timestamp()); insert into late default values' \
    >/dev/null 2>&1; then echo "taken $(date +%s.%N)"; else echo "refused $(date +%s.%N)"; fi
  sleep 0.1
done
"""


def manifest(image: str) -> str:
    """The Deployment, with an image that has psql. No backup has it."""
    labels = {"app": NAME, "velero.io/exclude-from-backup": "true"}
    secret = f"{databases.NAME}-owner"
    login = {"PGUSER": "username", "PGPASSWORD": "password"}
    environment: list[dict[str, Any]] = [
        {"name": "PGHOST", "value": databases.ADDRESS},
        {"name": "PGDATABASE", "value": "app"},
        {"name": "PGCONNECT_TIMEOUT", "value": "1"},
        *({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for name, key in login.items()),
    ]
    container = {
        "name": "psql",
        "image": image,
        "command": ["/bin/sh", "-c", _SCRIPT],
        "env": environment,
        "volumeMounts": [{"name": "state", "mountPath": "/state"}],
    }
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [{"name": "state", "emptyDir": {}}]}
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": databases.DATABASE_NAMESPACE, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": NAME}},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
    )


def install(kubectl: Kubectl) -> None:
    """Put it beside the primary's database, with the image of that."""
    database = ("get", "cluster.postgresql.cnpg.io", databases.NAME, "-n", databases.DATABASE_NAMESPACE)
    image = kubectl("primary", *database, "-o", "jsonpath={.spec.imageName}")
    kubectl("primary", "apply", "-f", "-", stdin=manifest(image))
    waited = ("rollout", "status", f"deployment/{NAME}", "-n", databases.DATABASE_NAMESPACE, "--timeout=60s")
    kubectl("primary", *waited)


def remove(kubectl: Kubectl) -> None:
    """Take it away: in a primary that serves again it would write like anybody."""
    what = ("delete", "deployment", NAME, "-n", databases.DATABASE_NAMESPACE, "--ignore-not-found", "--wait=true")
    kubectl("primary", *what)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One row that the writer tried to write, and when it knew whether the database had taken it."""

    time: datetime
    taken: bool

    @classmethod
    def of(cls, line: str) -> Self:
        outcome, seconds = line.split()
        return cls(time=datetime.fromtimestamp(float(seconds), UTC), taken=outcome == "taken")


def attempts(kubectl: Kubectl) -> list[Attempt]:
    """All attempts since the region came back, oldest first. A line that is still being written is left out."""
    log = kubectl("primary", "logs", "-n", databases.DATABASE_NAMESPACE, f"deployment/{NAME}", check=False)
    return [Attempt.of(line) for line in _whole_lines(log) if line.startswith(("taken ", "refused "))]


def _whole_lines(log: str) -> Iterable[str]:
    return (line for line in log.splitlines(keepends=True) if line.endswith("\n"))


def split_brain(made: Sequence[Attempt], switched_on: datetime) -> SplitBrain:
    """What the old primary took, by these attempts."""
    taken = [attempt.time for attempt in made if attempt.taken]
    if not taken:
        return SplitBrain(seconds=0.0, rows=0, first_after=None)
    return SplitBrain(
        seconds=round((taken[-1] - taken[0]).total_seconds(), 3),
        rows=len(taken),
        first_after=round((taken[0] - switched_on).total_seconds(), 3),
    )
