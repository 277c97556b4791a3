"""The real CRDs and the real operator's webhook accept every database object of every role. They refuse the guide's own YAML."""

from __future__ import annotations

import copy
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.cluster_api import LiveCluster
from lab.waiting import until
from scripts import point_in_time
from settings.cluster import Cluster
from settings.roles import Role
from tests import isolation
from tests.api_server import ApiServer, pool_at, running
from tests.contract import cnpg
from tests.contract.conftest import kubernetes_object, shared, tool
from tests.contract.test_isolation import children, needs_root, open_to_others
from tests.contract.test_real_api_server import lost
from tests.examples import STATIC
from tests.unit.components.drills import test_restore_drills as drills
from tests.unit.recorder import deployed, run_program

ROLES: dict[str, tuple[Role, Role]] = {
    "primary": ("primary", "primary"),
    "standby": ("secondary", "primary"),
    "promoted": ("secondary", "secondary"),
    "fenced": ("primary", "secondary"),
}
"""By role of the database, the stack and the region that serves."""
WITHOUT_A_STANDBY: dict[str, tuple[Role, Role]] = {"absent": ("secondary", "primary"), "recovered": ("secondary", "secondary")}
"""The same for tier backup-restore, where a failover recovers the database."""
WAYS = list(itertools.product(("replica-bucket", "primary-bucket"), ("archive", "streaming")))
"""Where the standby reads the archive, and whether it also streams from the primary."""
GROUPS = ("postgresql.cnpg.io/", "barmancloud.cnpg.io/")
Objects = list[dict[str, Any]]

STREAMING = {
    "hosts": {"primary": "pg.use1.example.com", "secondary": "pg.usw2.example.com"},
    "certificates": {"server": "pg-server", "serverCa": "pg-ca", "clientCa": "pg-ca", "replication": "pg-replication"},
}

OUTSIDE_AWS = {**STATIC, "aws": {"endpoint": "http://172.30.0.1:5555"}}
WITH_A_ROLE = {
    "identity": "irsa",
    "cluster": {
        "context": "prod",
        "name": "prod",
        "distribution": "eks",
        "oidcIssuer": "oidc.example.com",
        "databaseRoleArn": "arn:aws:iam::123456789012:role/database",
    },
}

GUIDE = """
# postgres-replication.yaml
# PostgreSQL primary with streaming replication to a secondary region
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: app-database
  namespace: databases
spec:
  instances: 3
  primaryUpdateStrategy: unsupervised
  storage:
    size: 100Gi
    storageClass: gp3-encrypted
  # Enable continuous archiving to S3
  backup:
    barmanObjectStore:
      destinationPath: "s3://my-db-backups/app-database"
      s3Credentials:
        accessKeyId:
          name: aws-creds
          key: ACCESS_KEY_ID
        secretAccessKey:
          name: aws-creds
          key: SECRET_ACCESS_KEY
      wal:
        compression: gzip
        # Archive WAL files every 5 minutes
        maxParallel: 2
    retentionPolicy: "30d"
  # External replica cluster in the secondary region
  replica:
    enabled: true
    source: app-database-primary
  externalClusters:
    - name: app-database-primary
      barmanObjectStore:
        destinationPath: "s3://my-db-backups/app-database"
        s3Credentials:
          accessKeyId:
            name: aws-creds
            key: ACCESS_KEY_ID
          secretAccessKey:
            name: aws-creds
            key: SECRET_ACCESS_KEY
"""
"""Step 4 of the guide, word for word."""
IN_TREE = (
    "Native support for Barman Cloud backups and recovery is deprecated and will be completely removed in CloudNativePG 1.31.0. "
    "Found usage in: spec.backup.barmanObjectStore, spec.externalClusters.0.barmanObjectStore. "
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the CRDs of the operator and of the plugin. The operator judges every object that it gets."""
    etcd, kube_apiserver, manager = tool("region", "etcd"), tool("region", "kube-apiserver"), tool("cnpg", "cnpg-manager")
    release, plugin = shared("cnpg", "cloudnative-pg.yaml"), shared("cnpg", "plugin-barman-cloud.yaml")
    directory = tmp_path_factory.mktemp("cnpg")
    with isolation.alone("the database operator's webhook") as place, running(etcd, kube_apiserver, directory, place) as server:
        server.define([*cnpg.definitions(release), *cnpg.definitions(plugin)])
        for name in (cnpg.CNPG_NAMESPACE, "databases", "k8s-dr-drills"):
            server.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        with cnpg.judging(manager, release, server, directory):
            yield server


@cache
def registered(role: str, source: str = "replica-bucket", replication: str = "archive", *, smallest: bool = False) -> Objects:
    """The objects that the program registers in one role, for the operator and its plugin. `smallest` has the fewest fields, as
    for a small cluster outside of AWS."""
    stack, active = {**ROLES, **WITHOUT_A_STANDBY}[role]
    database: dict[str, Any] = {"name": "app-database", "namespace": "databases", "source": source, "replication": replication}
    if replication == "streaming":
        database["streaming"] = STREAMING
    database |= {"instances": 1, "walStorage": None} if smallest else {}
    changes = {
        "tier": "backup-restore" if role in WITHOUT_A_STANDBY else "pilot-light",
        **deployed(active),
        "peerReady": True,
        "databases": [database],
        "databasePasswords": {"app-database": "of the owner, the same in both"},
        **(OUTSIDE_AWS if smallest else WITH_A_ROLE),
    }
    items = [kubernetes_object(seen) for seen in run_program(stack, changes).custom() if seen.provider == "kubernetes"]
    return [item for item in items if item["apiVersion"].startswith(GROUPS)]


def first(items: Objects, kind: str) -> dict[str, Any]:
    return next(item for item in items if item["kind"] == kind)


def changed(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `item` with `value` at `path`. Missing levels above it are added."""
    item = copy.deepcopy(item)
    *above, last = path.split(".")
    place = item
    for key in above:
        place = place.setdefault(key, {})
    place[last] = value
    return item


def found(server: ApiServer, item: dict[str, Any]) -> dict[str, Any]:
    """The stored object."""
    plural, name = f"{item['kind'].lower()}s", item["metadata"]["name"]
    status, body = server.ask("GET", f"/apis/{item['apiVersion']}/namespaces/{item['metadata']['namespace']}/{plural}/{name}")
    assert status == 200, body
    return dict(body)


def called(item: dict[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


FIRST_BACKUP = "ScheduledBackup app-database-first-g1"


def lasting(items: Objects) -> set[str]:
    """The objects that a region has in every role. The first Backup is not among them: only a side that takes writes has it."""
    return {called(item) for item in items} - {FIRST_BACKUP}


def accept(item: dict[str, Any], server: ApiServer, *, dry_run: bool = True) -> None:
    """The server takes the object without a warning, and it keeps every field."""
    answer = server.apply(item, dry_run=dry_run)
    assert answer.status in (200, 201), f"{called(item)}: {answer}"
    assert not answer.warnings, f"{called(item)}: {answer}"
    assert not list(lost(item, answer.body)), called(item)


@contextmanager
def stored(items: Objects, server: ApiServer) -> Iterator[None]:
    """Store these objects until the block ends."""
    with ExitStack() as gone:
        for item in items:
            gone.callback(server.delete, item)
            accept(item, server, dry_run=False)
        yield


in_every_way = pytest.mark.parametrize(("source", "replication"), WAYS, ids=["-".join(way) for way in WAYS])


@in_every_way
@pytest.mark.parametrize("smallest", [False, True], ids=["production", "smallest"])
@pytest.mark.parametrize("role", ROLES)
def test_every_object_of_a_role_is_accepted_without_a_warning(
    role: str, smallest: bool, source: str, replication: str, server: ApiServer
) -> None:
    items = registered(role, source, replication, smallest=smallest)
    assert {"Cluster", "ObjectStore", "ScheduledBackup"} <= {item["kind"] for item in items}
    for item in items:
        accept(item, server)


@pytest.mark.parametrize("smallest", [False, True], ids=["production", "smallest"])
def test_what_a_failover_recovers_is_accepted_beside_what_was_there_before_it(smallest: bool, server: ApiServer) -> None:
    before, after = (registered(role, smallest=smallest) for role in ("absent", "recovered"))
    assert {item["kind"] for item in before} == {"ObjectStore"}
    assert {item["kind"] for item in after} - {"ObjectStore"} == {"Cluster", "ScheduledBackup"}
    with stored(before, server):
        for item in after:
            accept(item, server)


def test_what_was_recovered_can_be_what_was_promoted_and_the_operator_sees_no_other_cluster(server: ApiServer) -> None:
    recovered, promoted = (first(registered(role), "Cluster") for role in ("recovered", "promoted"))
    assert recovered["spec"] == promoted["spec"]
    with stored([recovered], server):
        accept(promoted, server)


@pytest.mark.parametrize("smallest", [False, True], ids=["production", "smallest"])
@pytest.mark.parametrize("role", ["primary", "promoted", "recovered"])
def test_a_throw_away_cluster_as_of_a_time_is_accepted_beside_the_live_one(role: str, smallest: bool, server: ApiServer) -> None:
    items = [item for item in registered(role, smallest=smallest) if item["kind"] in ("Cluster", "ObjectStore")]
    with stored(items, server):
        # As kubectl reads it, with what the operator's webhook has filled in.
        live = [found(server, item) for item in items]
        now = datetime.now(UTC)
        made, _ = point_in_time.plan(live, database="app-database", to=now, kubectl="kubectl")
        accept(made, server)
        both = changed(made, "spec.serviceAccountTemplate", {"metadata": {"annotations": {"a": "b"}}})
        assert "serviceAccountName and serviceAccountTemplate are mutually exclusive" in str(server.apply(both, dry_run=True))
        unreadable = changed(made, "spec.bootstrap.recovery.recoveryTarget.targetTime", "yesterday")
        assert "The format of TargetTime is invalid" in str(server.apply(unreadable, dry_run=True))


@pytest.mark.parametrize(
    "target", [{}, {"recoveryTarget": {"targetTime": "2026-03-01T12:00:00Z"}}], ids=["latest", "as-of-a-time"]
)
@pytest.mark.parametrize("which", [0, 1], ids=["with-a-volume-for-wal", "without"])
def test_the_cluster_that_a_drill_recovers_is_accepted(which: int, target: dict[str, Any], server: ApiServer) -> None:
    told = drills.task(drills.region(), "database")
    spec = copy.deepcopy(told["databases"][which]["cluster"])
    spec["bootstrap"]["recovery"] |= target
    spec["externalClusters"][0]["plugin"]["parameters"]["serverName"] = told["databases"][which]["peer"]
    metadata = {"name": told["cluster"], "namespace": told["space"], "labels": spec["inheritedMetadata"]["labels"]}
    accept({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": metadata, "spec": spec}, server)


@needs_root
def test_while_the_operator_judges_nothing_of_it_listens_on_an_address_of_this_machine(server: ApiServer) -> None:
    assert server.place.namespace
    assert not open_to_others(os.getpid())
    behind = [pid for pid in children(os.getpid()) if open_to_others(pid)]
    assert behind, "the operator does listen on every address, of a network of its own"


def test_the_first_backup_of_the_primary_is_among_what_is_judged() -> None:
    assert FIRST_BACKUP in {called(item) for item in registered("primary")}


@in_every_way
@pytest.mark.parametrize(("before", "after"), [("standby", "promoted"), ("primary", "fenced"), ("fenced", "primary")])
def test_a_region_changes_its_role_by_an_update_of_what_it_has(
    before: str, after: str, source: str, replication: str, server: ApiServer
) -> None:
    old, new = registered(before, source, replication), registered(after, source, replication)
    assert lasting(old) == lasting(new)
    assert first(old, "Cluster") != first(new, "Cluster")
    with stored(old, server):
        for item in new:
            accept(item, server)


WRONG: list[tuple[str, str, Any, str]] = [
    ("Cluster", "spec.instancess", 3, ".spec.instancess: field not declared in schema"),
    (
        "Cluster",
        "spec.backup.barmanObjectStore",
        {"destinationPath": "s3://bucket/cnpg", "s3Credentials": {"inheritFromIAMRole": True}},
        "Cannot enable a WAL archiver plugin when barmanObjectStore is configured",
    ),
    ("Cluster", "spec.replica.source", "elsewhere", "External cluster elsewhere not found"),
    ("Cluster", "spec.replica.enabled", True, "replica mode enabled is not compatible with the primary field"),
    (
        "ObjectStore",
        "spec.configuration.serverName",
        "app-database",
        "Forbidden: use the 'serverName' plugin parameter in the Cluster resource",
    ),
    ("ObjectStore", "spec.retentionPolicy", "30 days", "spec.retentionPolicy in body should match"),
    ("ScheduledBackup", "spec.schedule", "daily", "spec.schedule: Invalid value"),
]
"""Kind, path, value, and words of the refusal."""


@pytest.mark.parametrize(("kind", "path", "value", "says"), WRONG, ids=[f"{case[0]}.{case[1]}" for case in WRONG])
def test_a_mistake_in_an_object_is_refused(kind: str, path: str, value: Any, says: str, server: ApiServer) -> None:
    answer = server.apply(changed(first(registered("standby"), kind), path, value), dry_run=True)
    assert answer.status >= 400, answer
    assert says in str(answer)


QUESTIONABLE: list[tuple[str, str, Any, str]] = [
    ("ScheduledBackup", "spec.schedule", "0 3 * * *", "Schedule parameter may not have the right number of arguments"),
    ("Cluster", "spec.monitoring.enablePodMonitor", True, "spec.monitoring.enablePodMonitor is deprecated"),
]
"""Kind, path, value, and words of the warning."""


@pytest.mark.parametrize(("kind", "path", "value", "says"), QUESTIONABLE, ids=[f"{c[0]}.{c[1]}" for c in QUESTIONABLE])
def test_what_is_taken_with_a_warning_would_be_noticed(kind: str, path: str, value: Any, says: str, server: ApiServer) -> None:
    item = changed(first(registered("primary"), kind), path, value)
    answer = server.apply(item, dry_run=True)
    assert answer.status in (200, 201)
    assert says in " ".join(answer.warnings)
    with pytest.raises(AssertionError, match=says):
        accept(item, server)


def test_a_scheduled_backup_cannot_be_moved_to_another_cluster(server: ApiServer) -> None:
    scheduled = first(registered("primary"), "ScheduledBackup")
    with stored([scheduled], server):
        answer = server.apply(changed(scheduled, "spec.cluster.name", "another"), dry_run=True)
    assert answer.status == 422
    assert "cluster reference is immutable after creation" in str(answer)


def test_the_guides_cluster_is_refused_because_a_replica_needs_a_source_to_start_from(server: ApiServer) -> None:
    answer = server.apply(yaml.safe_load(GUIDE), dry_run=True)
    assert answer.status == 422
    assert answer.body["message"] == (
        'admission webhook "vcluster.cnpg.io" denied the request: Cluster.postgresql.cnpg.io "app-database" is invalid: '
        'spec.replicaCluster: Invalid value: "": replica mode bootstrap is compatible only with pg_basebackup or recovery'
    )


def test_the_guides_cluster_with_a_source_to_start_from_is_taken_with_a_warning_of_its_end(server: ApiServer) -> None:
    recovery = {"recovery": {"source": "app-database-primary"}}
    answer = server.apply(changed(yaml.safe_load(GUIDE), "spec.bootstrap", recovery), dry_run=True)
    assert answer.status == 201, answer
    (warning,) = answer.warnings
    assert IN_TREE in warning


MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/cnpg-mutating-webhook-configuration"


def live_cluster(server: ApiServer, directory: Path) -> LiveCluster:
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig()))
    live = LiveCluster(Cluster(context="test", name="prod-usw2", distribution="eks", kubeconfig=str(kubeconfig)), "python")
    # The server is in a network of its own.
    live._api_client().rest_client.pool_manager.pool_classes_by_scheme = {"https": pool_at(server.place)}
    return live


@contextmanager
def without_the_webhook(server: ApiServer) -> Iterator[None]:
    """The operator's webhook is away: nobody listens where the API server calls it."""
    status, found = server.ask("GET", MUTATING)
    assert status == 200, found
    gone = copy.deepcopy(found["webhooks"])
    for webhook in gone:
        webhook["clientConfig"]["url"] = "https://127.0.0.1:9/"

    def write(webhooks: list[dict[str, Any]]) -> None:
        body = {"webhooks": webhooks}
        assert server.ask("PATCH", MUTATING, body=body, content="application/merge-patch+json")[0] == 200

    write(gone)
    try:
        yield
    finally:
        write(found["webhooks"])


def test_the_gates_dry_run_of_a_promotion_is_judged_by_the_operator_and_changes_nothing(
    server: ApiServer, tmp_path: Path
) -> None:
    live = live_cluster(server, tmp_path)

    def refused() -> str | None:
        return live.refuses_promotion("databases", "app-database", "app-database-secondary")

    with stored(registered("standby"), server):
        assert refused() is None
        with without_the_webhook(server):
            until("the API server to call where nobody listens", refused, timeout=30)
            assert 'failed calling webhook "mcluster.cnpg.io"' in str(refused())
        until("the operator to judge again", lambda: refused() is None, timeout=30)
        after = live.read_database("databases", "app-database")
    assert after is not None
    assert after["spec"]["replica"]["primary"] == "app-database-primary"


def test_the_gates_dry_run_of_a_recovery_is_judged_by_the_operator_and_makes_nothing(server: ApiServer, tmp_path: Path) -> None:
    live, cluster = live_cluster(server, tmp_path), first(registered("recovered"), "Cluster")
    assert live.refuses_database(cluster) is None
    assert live.read_database("databases", "app-database") is None
    wrong = live.refuses_database(changed(cluster, "spec.replica.source", "elsewhere"))
    assert "External cluster elsewhere not found" in str(wrong)
    with stored([cluster], server):
        assert live.refuses_database(cluster) is None, "an up that was killed has left it behind"
