"""The sizes at which a failover is measured, and what makes a lab that large: objects in namespaces of their own, and WAL that
the standby has yet to replay. Both are real: Velero restores the objects, and PostgreSQL replays the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lab import databases
from lab.application import manifests
from lab.console import say, step
from lab.inhabitants import PAUSE
from lab.waiting import until
from lab.world import Lab

LOAD = "load"
AT_ONCE = 400
"""Objects in one kubectl: its request has a limit of time."""

KIB = "x" * 1024
ROWS_OF_A_SEGMENT = 14_500
"""Rows of a thousand bytes that fill a segment of 16 MiB."""

TRUNCATE_AFTER = 20
"""Segments after which the rows are dropped, so that disks do not fill."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many objects the failover restores beside the application, and how many segments of WAL its database replays."""

    namespaces: int = 0
    objects: int = 0
    """In all namespaces together."""

    segments: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{LOAD}-{number}" for number in range(self.namespaces))

    @property
    def wanted(self) -> Mapping[tuple[str, str], int]:
        """The Deployments that must be available, by namespace and name, and how many Pods of each."""
        own = {(namespace, LOAD): 1 for namespace in self.names}
        return {(manifests.APPLICATION_NAMESPACE, manifests.NAME): manifests.REPLICAS, **own}


SIZES = {
    "demo": Size(),
    "objects": Size(namespaces=10, objects=1000),
    "minute": Size(namespaces=10, objects=6000, segments=120),
}


def documents(namespace: str, count: int) -> Iterator[dict[str, Any]]:
    """A namespace and `count` objects in it: a Deployment of one small Pod, a Service, an account, and ConfigMaps of a kibibyte,
    of which each tenth is a Secret."""
    labels = {"app": LOAD}
    metadata = {"name": LOAD, "namespace": namespace, "labels": labels}
    container = {
        "name": LOAD,
        "image": PAUSE,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}, "limits": {"memory": "16Mi"}},
    }
    pod = {"automountServiceAccountToken": False, "serviceAccountName": LOAD, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    ports = [{"name": "http", "port": 80, "targetPort": 80}]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}}
    for number in range(count - 3):
        named = {**metadata, "name": f"{LOAD}-{number:05}"}
        if number % 10 == 9:
            yield {"apiVersion": "v1", "kind": "Secret", "metadata": named, "type": "Opaque", "stringData": {"filler": KIB}}
        else:
            yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"filler": KIB}}


def put(lab: Lab, namespace: str, count: int) -> None:
    """Create a namespace with its objects in the primary region."""
    every = [*documents(namespace, count)]
    for start in range(0, len(every), AT_ONCE):
        text = yaml.dump_all(every[start : start + AT_ONCE], Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
        lab.kubectl("primary", "apply", "--server-side", "--field-manager=k8s-dr-lab", "-f", "-", stdin=text)


class LoadedLab(Lab):
    """A lab of one of the sizes. What it has more than the demo's is in the backup that a failover restores."""

    def __init__(self, size: Size) -> None:
        super().__init__(plan=databases.Plan())
        self.size = size

    def prepare_project(self) -> None:
        super().prepare_project()
        if self.size.names:
            file = self.paths.project / "Pulumi.yaml"
            file.write_text(enlarged(file.read_text(), self.size.names))

    def _install_at_home(self) -> None:
        super()._install_at_home()
        for namespace in self.size.names:
            with step(f"{self.size.objects // self.size.namespaces} objects in {namespace}"):
                put(self, namespace, self.size.objects // self.size.namespaces)


def enlarged(project: str, namespaces: tuple[str, ...]) -> str:
    """Pulumi.yaml with these namespaces in the hourly backup, and their workloads among those that a failover starts."""
    document = yaml.safe_load(project)
    config = document["config"]
    (hourly,) = (each for each in config["backups"]["value"] if each["name"] == "hourly-critical")
    hourly["include"] = [*hourly["include"], *namespaces]
    config["workloads"]["value"] += [{"namespace": namespace, "replicas": 1} for namespace in namespaces]
    return str(yaml.safe_dump(document, sort_keys=False, width=120))


def hold_back(lab: Lab, segments: int) -> None:
    """Write that much WAL in the primary while the standby replays none of it, and wait until it is in the secondary's bucket.

    So a standby stands that falls behind a busy primary. `let_go` ends it: what is left to replay is fetched and replayed in
    whatever promotion comes.
    """
    with step(f"{segments} segments of WAL, which the standby has yet to replay"):
        lab.query("select pg_wal_replay_pause()")
        until("the standby to pause", lambda: lab.query("select pg_is_wal_replay_paused()") == "t", timeout=60)
        lab.query("create table if not exists filler (filler text)", "primary")
        fill = f"insert into filler select repeat('x', 1000) from generate_series(1, {ROWS_OF_A_SEGMENT})"
        for number in range(segments):
            lab.query(fill, "primary")
            if number % TRUNCATE_AFTER == TRUNCATE_AFTER - 1:
                lab.query("truncate filler", "primary")
        last = lab.query("select pg_walfile_name(pg_current_wal_lsn())", "primary")
        lab.query("select pg_switch_wal()", "primary")
        archived = f"select last_archived_wal collate \"C\" >= '{last}' from pg_stat_archiver"
        until("all of it to be archived", lambda: lab.query(archived, "primary") == "t", timeout=900, interval=2)
        lab.wait_replicated(timeout=300)
    said = lab.query("select pg_size_pretty(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()))")
    say(f"    the standby has replayed to {lab.query('select pg_last_wal_replay_lsn()')}{f', {said} behind' if said else ''}")


def let_go(lab: Lab) -> None:
    """The standby replays again."""
    lab.query("select pg_wal_replay_resume()")
