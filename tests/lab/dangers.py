"""What makes a failover dangerous, done to running regions and undone again. Each is told before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab import operators, project
from lab.pulumi import Ran
from lab.regions import network
from lab.regions.spec import PRIMARY, SECONDARY
from lab.waiting import until
from lab.world import Lab
from tests.lab.compromised_writer import Attack

SERVER = "app-database-primary-g1"
_SCHEDULE = f"hourly-critical-{PRIMARY.aws_region}"
_TABLE = "lab-private-egress"
_TIMES = ("startTimestamp", "completionTimestamp")


@dataclass(frozen=True, kw_only=True)
class Danger:
    """Something that a preview of a failover must object to, with these words."""

    happens: Callable[[Lab], AbstractContextManager[None]]
    words: tuple[str, ...]


def previewed(lab: Lab) -> Ran:
    """The preview of a failover, which changes nothing, and asks everything but the primary."""
    try:
        return lab.pulumi.run("preview", "-s", "secondary", "-c", "active=secondary", check=False)
    finally:
        lab.pulumi.run("config", "rm", "active", "-s", "secondary")


@contextmanager
def replication_stopped(lab: Lab) -> Iterator[None]:
    """S3 copies nothing any more, and the newest mark that has come is two hours old."""
    lab.cloud.set_lag(timedelta(hours=1).total_seconds())
    written = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    mark = json.dumps({"written": written, "segment": "", "archived": "", "recent": {}, "bases": {}})
    try:
        with lab.object_replaced(project.names("secondary").bucket("database"), f"freshness/{SERVER}.json", mark):
            yield
    finally:
        lab.cloud.set_lag(1.0)


@contextmanager
def operator_away(lab: Lab) -> Iterator[None]:
    """CloudNativePG runs no more in the secondary. Its kinds, its webhook's configuration and the database are there."""
    scale = ("scale", f"deployment/{operators.DEPLOYMENTS[0]}", "-n", operators.CNPG_NAMESPACE)
    pods = ("get", "pods", "-n", operators.CNPG_NAMESPACE, "-l", "app.kubernetes.io/name=cloudnative-pg", "-o", "name")
    lab.kubectl("secondary", *scale, "--replicas=0")
    try:
        until("the operator to be away", lambda: not lab.kubectl("secondary", *pods).split(), timeout=60)
        yield
    finally:
        lab.kubectl("secondary", *scale, "--replicas=1")
        operators.wait_ready(lab.kubectl, "secondary")


@contextmanager
def stale_backups(lab: Lab) -> Iterator[None]:
    """Every Backup of the hourly schedule that the secondary knows was made 25 days ago."""
    old = (datetime.now(UTC) - timedelta(days=25)).strftime("%Y-%m-%dT%H:%M:%SZ")
    listed = lab.kubectl("secondary", "get", "backups.velero.io", "-n", "velero", "-o", "json")
    were = {
        item["metadata"]["name"]: {key: item["status"][key] for key in _TIMES if key in item["status"]}
        for item in json.loads(listed)["items"]
        if item["metadata"].get("labels", {}).get("velero.io/schedule-name") == _SCHEDULE
    }
    assert were, "the secondary knows no backup"
    try:
        for name in were:
            _set_status(lab, name, dict.fromkeys(_TIMES, old))
        yield
    finally:
        for name, times in were.items():
            _set_status(lab, name, times)


def _set_status(lab: Lab, backup: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    lab.kubectl("secondary", "patch", "backups.velero.io", backup, "-n", "velero", "--type=merge", "-p", patch)


AT_NIGHT = {
    "stopped replication": Danger(
        happens=replication_stopped,
        words=("the primary's last mark, of what it had archived, was ", "S3 replication had stopped or was behind"),
    ),
    "operator away": Danger(
        happens=operator_away,
        words=("database app-database would not be promoted: cluster lab-secondary refused: ", "failed calling webhook"),
    ),
    "stale backup": Danger(
        happens=stale_backups,
        words=(f"the newest Completed backup of schedule {_SCHEDULE} is ", " 25 d ", "what was written since is lost"),
    ),
}


@contextmanager
def private_egress(lab: Lab) -> Iterator[None]:
    """The Pods of the secondary reach neither the primary nor the control, which is beyond their cluster too."""
    region = lab.region("secondary")
    region.run(["nft", "add", "table", "ip", _TABLE])
    try:
        hook = "{ type filter hook forward priority -10 ; policy accept ; }"
        region.run(["nft", "add", "chain", "ip", _TABLE, "forward", hook])
        beyond = f"{{ {PRIMARY.address}, {network.WAN_ADDRESS} }}"
        pods = ("ip", "saddr", SECONDARY.pod_network, "ip", "daddr", beyond, "meta", "l4proto", "tcp", "drop")
        region.run(["nft", "add", "rule", "ip", _TABLE, "forward", *pods])
        yield
    finally:
        region.run(["nft", "delete", "table", "ip", _TABLE])


@contextmanager
def other_context(lab: Lab) -> Iterator[None]:
    """The secondary's stack file names the context of the primary's cluster."""

    def point(context: str) -> None:
        lab.pulumi.run("config", "set", "--path", "cluster.context", context, "-s", "secondary")

    point(PRIMARY.context)
    try:
        yield
    finally:
        point(SECONDARY.context)


@contextmanager
def half_copied_base_backup(lab: Lab, server: str = SERVER) -> Iterator[str]:
    """Of the newest base backup that has come to the secondary its label is here, and its data are not."""
    root = f"cnpg/{server}"
    files = Attack(lab=lab, purpose="database", part="database", prefix=root).contents("secondary")
    newest = max(key for key in files if key.startswith(f"{root}/base/") and key.endswith("/backup.info"))
    directory = newest.removesuffix("backup.info")
    [data] = [key for key in files if key.startswith(f"{directory}data.tar")]
    with lab.object_missing(project.names("secondary").bucket("database"), data):
        yield directory
