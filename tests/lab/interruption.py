"""Kills `pulumi up` at a boundary between two steps of a leg, and runs the same command again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.kube.kept import MARK
from components.kube.records import HANDOVER_RECORD
from lab import circle, databases
from lab.application import manifests
from lab.console import say
from lab.failover import Record
from lab.pulumi import Ran
from lab.waiting import until
from lab.world import Lab
from settings.roles import Role


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A moment of an `up` that can be seen from outside. `reached` is asked about the region of the `up`, over and over; what it
    saw before the `up` counts as not reached."""

    name: str
    reached: Callable[[Lab, Role], Any]

    def up(self, lab: Lab, record: Record, stack: Role) -> Ran:
        """Kill an `up` at this boundary, and run it again. Raises AssertionError if it ends before."""
        before = self.reached(lab, stack)
        killed = lab.pulumi.start("up", "-s", stack, "--yes", "--skip-preview")
        try:

            def there() -> bool:
                return killed.poll() is not None or self.reached(lab, stack) != before

            until(f"the up of the {stack} to be where {self.name}", there, timeout=600, interval=0.2)
            ended = killed.poll()
        finally:
            killed.kill()
            killed.wait()
        assert ended is None, f"the up of the {stack} ended with {ended} before it was seen where {self.name}"
        record.happened(f"up of the {stack} killed where {self.name}")
        say(f"    killed where {self.name}")
        locked = lab.pulumi.up(stack, check=False)
        assert locked.exit_code
        assert "the stack is currently locked" in locked.output, locked.output
        lab.pulumi.run("cancel", "-s", stack, "--yes")
        return circle.up(lab, record, stack)


def _cluster(*fields: str) -> Callable[[Lab, Role], Any]:
    def look(lab: Lab, role: Role) -> Any:
        found: Any = circle.cluster_of(lab, role)
        for key in fields:
            found = (found or {}).get(key)
        return found

    return look


def _ready(lab: Lab, role: Role) -> bool:
    """Whether any of the application's Pods is ready."""
    what = ("get", "deployment", manifests.NAME, "-n", manifests.APPLICATION_NAMESPACE, "-o", "json")
    found = lab.kubectl(role, *what, check=False)
    return bool(found and json.loads(found)["status"].get("readyReplicas"))


def _named(kind: str, namespace: str) -> Callable[[Lab, Role], Any]:
    def names(lab: Lab, role: Role) -> Any:
        return set(lab.kubectl(role, "get", kind, "-n", namespace, "-o", "name", check=False).split())

    return names


def _kept(lab: Lab, role: Role) -> int:
    """How many volumes are set aside."""
    found = json.loads(lab.kubectl(role, "get", "persistentvolumes", "-o", "json"))["items"]
    return sum(MARK in (each["metadata"].get("annotations") or {}) for each in found)


WORKLOADS_STOPPED = Boundary(name="the workloads have stopped", reached=_ready)
LAST_BACKUP_BEGUN = Boundary(name="a last backup is begun", reached=_named("backups.velero.io", "velero"))
DEMOTED = Boundary(name="the Cluster is demoted", reached=_cluster("spec", "replica", "primary"))
TOKEN_THERE = Boundary(name="the operator has the demotion token", reached=_cluster("status", "demotionToken"))
TOKEN_KEPT = Boundary(
    name="the handover token is kept", reached=lambda lab, role: bool(circle.data_of(lab, role, HANDOVER_RECORD))
)
RESTORE_BEGUN = Boundary(name="a restore is begun", reached=_named("restores.velero.io", "velero"))
PROMOTED = Boundary(name="the Cluster is promoted", reached=_cluster("spec", "replica", "primary"))
WORKLOADS_START = Boundary(name="the workloads run", reached=_ready)
TOKEN_FORGOTTEN = Boundary(
    name="its own token is forgotten", reached=lambda lab, role: bool(circle.data_of(lab, role, HANDOVER_RECORD))
)
VOLUMES_KEPT = Boundary(name="a volume of the old Cluster is kept", reached=_kept)
OLD_GONE = Boundary(name="the old Cluster is gone", reached=lambda lab, role: not circle.cluster_of(lab, role))
NEW_BEGUN = Boundary(
    name="the new Cluster is begun",
    reached=lambda lab, role: databases.NAME if circle.old_server(2) in json.dumps(circle.cluster_of(lab, role)) else "",
)
