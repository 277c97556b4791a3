"""Kills `pulumi up` at a boundary between two steps of a leg, and runs the same command again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.kube.kept import MARK
from components.velero.choice import OF_SCHEDULE
from components.velero.specs import VELERO_NAMESPACE
from lab import circle, project
from lab.application import manifests
from lab.circle import Up
from lab.console import say
from lab.failover import Record
from lab.pulumi import Ran
from lab.regions.spec import named
from lab.waiting import until
from lab.world import Lab
from settings.roles import Role


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A moment of an `up` that can be seen from outside. `reached` is asked about the region of the `up`, over and over; what it
    saw before the `up` counts as not reached."""

    name: str
    reached: Callable[[Lab, Role], Any]

    def kill(self, lab: Lab, record: Record, stack: Role) -> None:
        """Kill an `up` here, and note it. One that ends before it is seen here is noted too, and interrupts nothing. Raises
        TimedOutError if it never gets here."""
        before = self.reached(lab, stack)
        killed = lab.pulumi.start("up", "-s", stack, "--yes", "--skip-preview")
        try:

            def there() -> bool:
                return killed.poll() is not None or self.reached(lab, stack) != before

            until(f"the up of the {stack} to be where {self.name}", there, timeout=900, interval=0.2)
            ended = killed.poll()
        finally:
            killed.kill()
            killed.wait()
        if ended is not None:
            record.happened(f"up of the {stack} ended with {ended} before it was seen where {self.name}")
            return
        record.happened(f"up of the {stack} killed where {self.name}")
        say(f"    killed where {self.name}")
        lab.pulumi.run("cancel", "-s", stack, "--yes")


def killed_at(*boundaries: Boundary) -> Up:
    """An `up` that is killed at each of these boundaries, and run again each time."""

    def up(lab: Lab, record: Record, stack: Role) -> Ran:
        for boundary in boundaries:
            boundary.kill(lab, record, stack)
        return circle.up(lab, record, stack)

    return up


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


def _own_backups(lab: Lab, role: Role) -> set[str]:
    """The Backups of the region's own schedules. Those of the other region come by themselves."""
    found = lab.kubectl(role, "get", "backups.velero.io", "-n", VELERO_NAMESPACE, "-o", "json")
    names = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in json.loads(found)["items"]}
    return {name for name, labels in names.items() if labels.get(OF_SCHEDULE, "").endswith(f"-{named(role).aws_region}")}


def _restores(lab: Lab, role: Role) -> set[str]:
    return set(lab.kubectl(role, "get", "restores.velero.io", "-n", VELERO_NAMESPACE, "-o", "name", check=False).split())


def _flag(lab: Lab, _: Role) -> dict[str, int]:
    """The flag's size, which differs where it names another region or a successor."""
    return lab.objects(project.names("secondary").flag_bucket, "dr/")


def _kept(lab: Lab, role: Role) -> int:
    """How many volumes are set aside."""
    found = json.loads(lab.kubectl(role, "get", "persistentvolumes", "-o", "json"))["items"]
    return sum(MARK in (each["metadata"].get("annotations") or {}) for each in found)


WORKLOADS_STOPPED = Boundary(name="the workloads have stopped", reached=_ready)
LAST_BACKUP_BEGUN = Boundary(name="a last backup is begun", reached=_own_backups)
DEMOTED = Boundary(name="the Cluster is demoted", reached=_cluster("spec", "replica", "primary"))
TOKEN_THERE = Boundary(name="the operator has the demotion token", reached=_cluster("status", "demotionToken"))
RESTORE_BEGUN = Boundary(name="a restore is begun", reached=_restores)
PROMOTED = Boundary(name="the Cluster is promoted", reached=_cluster("spec", "replica", "primary"))
WORKLOADS_START = Boundary(name="the workloads run", reached=_ready)
FLAG_WRITTEN = Boundary(name="the traffic flag is written", reached=_flag)
VOLUMES_KEPT = Boundary(name="a volume of the old Cluster is kept", reached=_kept)
OLD_GONE = Boundary(name="the old Cluster is gone", reached=lambda lab, role: not circle.cluster_of(lab, role))
NEW_BEGUN = Boundary(
    name="the new Cluster is begun", reached=lambda lab, role: circle.old_server(2) in json.dumps(circle.cluster_of(lab, role))
)
