"""What real Velero writes beside a backup is what the program reads: failed items, skipped volumes, and which kinds it holds.

Its repositories of volumes are made and maintained by the region alone whose backups they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.velero.age import Expected
from components.velero.choice import Choice
from components.velero.files import LiveBackupFiles
from components.velero.lacking import Standby, findings
from components.velero.schedules import VOLUME_POLICY, backup_template
from components.velero.selection import chosen
from components.velero.specs import PEER, VELERO_NAMESPACE
from components.velero.unsaved import Own, not_saved
from lab.waiting import until
from settings.aws import Aws
from settings.names import Names
from settings.roles import Role
from settings.topology import Purpose
from tests import isolation
from tests.api_server import running as api_server
from tests.contract import velero_server
from tests.contract.conftest import tool
from tests.contract.test_isolation import needs_root
from tests.contract.test_restores import SHOP, backup, crd, policies, thing
from tests.contract.velero_server import VeleroServer, text
from tests.unit.components.database.sides import TOPOLOGY

pytestmark = needs_root
SCHEDULE = "hourly-us-east-1"
RPO = timedelta(minutes=5)
Object = dict[str, Any]


class OneBucket(Names):
    """Names as Velero has them here: everything is in one bucket."""

    @property
    def region(self) -> str:
        return "us-east-1"

    def bucket(self, purpose: Purpose) -> str:
        return velero_server.BUCKET

    def velero_prefix(self, role: Role) -> str:
        return "velero/primary"


def claim(name: str, volume: str | None) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "gp2"}
    return thing("v1", "PersistentVolumeClaim", name, spec={**spec, **({"volumeName": volume} if volume else {})})


def in_tree_volume(name: str, of: str) -> Object:
    """As the provisioner kubernetes.io/aws-ebs made it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "gp2",
            "persistentVolumeReclaimPolicy": "Delete",
            "awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-0a", "fsType": "ext4"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": SHOP, "name": of},
        },
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crds: list[Object]) -> Iterator[VeleroServer]:
    etcd, kube_apiserver, programs = tool("region", "etcd"), tool("region", "kube-apiserver"), tool("velero", "velero").parent
    directory = tmp_path_factory.mktemp("v")
    with isolation.alone("Velero's metrics") as place, api_server(etcd, kube_apiserver, directory, place) as api:
        api.define([crd("example.com", "widgets", "Widget")])
        # As the program runs it. Without the kinds of snapshots Velero only notes that there are none.
        with velero_server.running(programs, api, directory, crds, "--features=EnableCSI") as server:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
            widget = thing("example.com/v1beta1", "Widget", "one", spec={"size": 1})
            for item in (*policies(), namespace, thing("v1", "ConfigMap", "settings", data={"mode": "a"}), widget):
                assert api.apply(item).status in (200, 201)
            yield server


@pytest.fixture
def files(server: VeleroServer, monkeypatch: pytest.MonkeyPatch) -> LiveBackupFiles:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return LiveBackupFiles(OneBucket(topology=TOPOLOGY, role="primary"), Aws(endpoint=server.store), "primary")


def saved(server: VeleroServer) -> Object:
    """A Backup as the program's schedule makes it."""
    template = backup_template(backup())
    assert template["resourcePolicy"]["name"] == VOLUME_POLICY
    spec = {key: value for key, value in template.items() if key != "metadata"} | {"storageLocation": PEER}
    made = server.made("Backup", spec, labels={"velero.io/schedule-name": SCHEDULE})
    # Velero writes down whole seconds, and of two Backups of one second neither is the newest.
    later = datetime.fromisoformat(made["status"]["startTimestamp"]) + timedelta(seconds=1)
    until("the next second", lambda: datetime.now(UTC) >= later, timeout=10)
    return made


def told(server: VeleroServer, files: LiveBackupFiles) -> list[str]:
    return not_saved(server.cluster, files, [Own(schedule=SCHEDULE, cron="0 * * * *")], [], RPO)


def test_a_volume_of_an_in_tree_plugin_is_passed_over_by_a_completed_backup_and_told_with_its_claim(
    server: VeleroServer, files: LiveBackupFiles
) -> None:
    bound = claim("data", "pv-data")
    for item in (in_tree_volume("pv-data", "data"), bound):
        assert server.api.apply(item).status in (200, 201)
    # No controller binds it here.
    path = f"/api/v1/namespaces/{SHOP}/persistentvolumeclaims/data/status"
    status, answer = server.api.ask("PATCH", path, body={"status": {"phase": "Bound"}}, content="application/merge-patch+json")
    assert status == 200, answer
    made = saved(server)
    assert made["status"]["phase"] == "Completed", text(made)
    (said,) = told(server, files)
    assert said.startswith(f"Backup {made['metadata']['name']} (Completed) has no data of claim shop/data (")
    assert "not a CSI volume" in said
    assert "move its data to a claim of a CSI class" in said
    server.api.delete(bound)


def test_an_item_that_failed_is_told_by_name_in_veleros_words(server: VeleroServer, files: LiveBackupFiles) -> None:
    """A claim that no volume backs, as every Pending one."""
    pending = claim("pending", None)
    assert server.api.apply(pending).status in (200, 201)
    made = saved(server)
    assert made["status"]["phase"] == "PartiallyFailed", text(made)
    said = told(server, files)[0]
    assert f"Backup {made['metadata']['name']}, the newest of schedule {SCHEDULE}, ended PartiallyFailed" in said
    assert "pending" in said
    assert "\n" not in said
    server.api.delete(pending)


def test_a_kind_that_a_backup_holds_is_missed_where_the_api_server_does_not_serve_it(
    server: VeleroServer, files: LiveBackupFiles
) -> None:
    made = saved(server)
    name = made["metadata"]["name"]
    held = files.holds(name)
    assert held["v1/ConfigMap"] == [f"{SHOP}/settings"]
    assert held["example.com/v1beta1/Widget"] == [f"{SHOP}/one"]
    entry = backup(**{"from": name})
    standby = Standby(
        expected=[Expected(choice=Choice(schedule=SCHEDULE, backup=name), cron=entry.cron)],
        chosen=chosen([entry], []),
        peer_region="us-east-1",
        storage_classes={},
    )
    assert findings(server.cluster, files, standby).problems == []
    server.api.delete(crd("example.com", "widgets", "Widget"))

    def gone() -> bool:
        return server.cluster.read("/apis/example.com/v1beta1") is None

    until("the kind to be gone", gone, timeout=30)
    (said,) = findings(server.cluster, files, standby).problems
    assert "(Widget (example.com/v1beta1))" in said


def test_lists_are_read_page_by_page_from_the_real_api_server(server: VeleroServer) -> None:
    first = server.cluster.read("/api/v1/namespaces?limit=1") or {}
    assert len(first["items"]) == 1
    assert first["metadata"]["continue"]
    assert server.cluster.read("/apis/karpenter.sh/v1/nodepools?limit=1") is None


def repository(name: str, location: str, frequency: str, namespace: str = SHOP) -> Object:
    """What Velero keeps of the kopia repository of one namespace at one location."""
    spec = {"volumeNamespace": namespace, "backupStorageLocation": location, "repositoryType": "kopia"}
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupRepository",
        "metadata": {"name": name, "namespace": VELERO_NAMESPACE},
        "spec": {**spec, "maintenanceFrequency": frequency},
    }


def test_a_repository_is_neither_made_nor_maintained_at_a_location_that_is_only_read(server: VeleroServer) -> None:
    """So a region's Velero writes nothing into the peer's repositories, and never runs beside the maintenance of their owner.
    This test is the last one: Velero now waits for a Job that no controller runs here, before it looks at another repository."""
    read_only: Object = {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "read-only", "namespace": VELERO_NAMESPACE},
        "spec": {**velero_server.location(server.store)["spec"], "default": False, "accessMode": "ReadOnly"},
    }

    def said(name: str) -> Object:
        made = server.api.read(repository(name, "", ""))
        assert made is not None, name
        return dict(made.get("status") or {})

    def is_now(name: str, phase: str) -> bool:
        return said(name).get("phase") == phase

    def apply(item: Object) -> None:
        answer = server.api.apply(item)
        assert answer.status in (200, 201), answer

    apply(read_only)
    apply(repository("owner", PEER, "1h0m0s"))
    until("the owner to make its repository", lambda: is_now("owner", "Ready"), timeout=60)
    apply(repository("reader", "read-only", "1h0m0s"))
    apply(repository("empty", "read-only", "1h0m0s", "nobody"))
    until("the reader to find it", lambda: is_now("reader", "Ready"), timeout=60)
    until("the reader to find none", lambda: is_now("empty", "NotReady"), timeout=60)
    assert "cannot create new backup repo for read-only" in said("empty")["message"]
    # One repository after the other: the reader's turn is over when the owner's Job is there.
    apply(repository("reader", "read-only", "1ms"))
    apply(repository("owner", PEER, "1ms"))

    def jobs() -> list[str]:
        found = server.cluster.read(f"/apis/batch/v1/namespaces/{VELERO_NAMESPACE}/jobs") or {}
        return [each["metadata"]["labels"]["velero.io/repo-name"] for each in found.get("items") or ()]

    until("the owner to maintain it", jobs, timeout=60)
    assert jobs() == ["owner"]
