"""What the peer's backups and workloads need is held against what this region's cluster has."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.kube.cluster_api import ClusterRefusedError, ClusterUnreachableError
from components.kube.runner.password import fingerprint
from components.kube.runner.restored import ResultsUnavailableError
from components.velero.age import Expected
from components.velero.choice import Choice
from components.velero.inventory import Inventory, Needs, inventory_of, take_inventory
from components.velero.lacking import Findings, Standby, findings, warnings_by_day
from components.velero.movers import Movers
from components.velero.selection import chosen
from components.velero.unsaved import keep_inventory
from settings.backup import Backup
from settings.workloads import Workload
from tests.unit.components.velero.test_age import SCHEDULE, made
from tests.unit.fakes import FakeCluster, FakeFiles

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"
GIB = 1024.0**3
BACKUP = Backup.model_validate({"name": "hourly", "cron": "0 * * * *", "keep": "24h", "include": ["shop"]})


def standby(backup: Backup = BACKUP, password: str | None = None, **classes: str) -> Standby:
    return Standby(
        password=password,
        expected=[Expected(choice=Choice(schedule=SCHEDULE, backup=backup.from_), cron=backup.cron)],
        chosen=chosen([backup], []),
        peer_region="us-east-1",
        storage_classes=classes,
    )


def listed(*found: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(found)}


def named(name: str, **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **parts}


def pod(namespace: str, cpu: str, *, phase: str = "Running", **labels: str) -> dict[str, Any]:
    containers = [{"image": "x", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]
    metadata = {"name": "p", "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"containers": containers}, "status": {"phase": phase}}


def node(cpu: str = "4", memory: str = "16Gi", **spec: Any) -> dict[str, Any]:
    return named("n", spec=spec, status={"allocatable": {"cpu": cpu, "memory": memory}})


def region(**paths: dict[str, Any]) -> FakeCluster:
    """A cluster that has what the tests' workloads need, but for what `paths` says."""
    has = {
        "storageclasses": listed(named("gp3", provisioner="ebs.csi.aws.com")),
        "volumesnapshotclasses": listed(named("ebs", driver="ebs.csi.aws.com")),
        "priorityclasses": listed(named("high")),
        "ingressclasses": listed(named("alb")),
        "runtimeclasses": listed(named("gvisor")),
        "gatewayapi": {"versions": [{"version": "v1beta1"}, {"version": "v1"}]},
        "gatewayclasses": listed(named("istio")),
        "nodes": listed(node()),
        "pods": listed(),
        **paths,
    }
    at = {
        "storageclasses": "/apis/storage.k8s.io/v1/storageclasses",
        "volumesnapshotclasses": "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses",
        "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
        "ingressclasses": "/apis/networking.k8s.io/v1/ingressclasses",
        "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
        "gatewayapi": "/apis/gateway.networking.k8s.io",
        "gatewayclasses": "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
        "nodes": "/api/v1/nodes",
        "pods": "/api/v1/pods",
        "nodepools": "/apis/karpenter.sh/v1/nodepools",
        "deployments": "/apis/apps/v1/deployments",
        "configmaps": "/api/v1/namespaces/velero/configmaps",
    }
    kinds = {"/api/v1": ("ConfigMap",), "/apis/apps/v1": ("Deployment",)}
    return FakeCluster(
        velero={"backups": [made(10)]},
        paths={at[name]: value for name, value in has.items()}
        | {path: {"resources": [{"kind": kind} for kind in each]} for path, each in kinds.items()},
    )


def needing(**needs: Any) -> FakeFiles:
    return FakeFiles(needs=Inventory(written=datetime.now(UTC), namespaces={"shop": Needs(**needs)}))


def found(cluster: FakeCluster, files: FakeFiles, **classes: str) -> Findings:
    return findings(cluster, files, standby(**classes))


ALL: dict[str, Any] = {
    "storage_classes": {"gp3"},
    "priority_classes": {"high"},
    "ingress_classes": {"alb"},
    "runtime_classes": {"gvisor"},
    "gateway_classes": {"istio"},
    "images": {"docker.io/web:1", ECR.replace("us-east-1", "us-west-2")},
    "cpu": 4.0,
    "memory": 16 * GIB,
}


def test_nothing_is_found_where_the_cluster_has_all() -> None:
    files = needing(**ALL)
    files.held = {"b-10": {"v1/ConfigMap": ["shop/a"], "apps/v1/Deployment": ["shop/web"]}}
    assert found(region(), files) == Findings()


def test_kinds_that_the_cluster_does_not_serve_in_that_version_are_named_if_they_would_be_restored() -> None:
    files = FakeFiles(
        held={
            "b-10": {
                "keda.sh/v1alpha1/ScaledObject": ["shop/web"],
                "apps/v2/Deployment": ["shop/web"],
                "example.com/v1/Widget": ["other/a"],
                "example.com/v1/Gadget": ["gadget"],
                "elbv2.k8s.aws/v1beta1/TargetGroupBinding": ["shop/a"],
                "networking.k8s.aws/v1alpha1/PolicyEndpoint": ["shop/a"],
                "v1/ConfigMap": ["shop/a"],
            }
        }
    )
    assert found(region(), files).problems == [
        "the backups hold kinds that this cluster does not know (Deployment (apps/v2), ScaledObject (keda.sh/v1alpha1)), so that "
        "restores fail: install them here (CRDs, operators) as in the peer, or write excludeResources: [KIND] to the entry of "
        "k8s-dr:backups"
    ]


def test_a_kind_that_somebody_leaves_out_and_an_older_backup_that_somebody_named_are_heeded() -> None:
    changes = {"excludeResources": ["scaledobjects.keda.sh"], "from": "b-9"}
    backup = Backup.model_validate({**BACKUP.model_dump(by_alias=True, exclude_defaults=True), **changes})
    kinds = {"keda.sh/v1alpha1/ScaledObject": ["shop/web"], "example.com/v1/Widget": ["shop/a"]}
    (said,) = findings(region(), FakeFiles(held={"b-9": kinds}), standby(backup)).problems
    assert "(Widget (example.com/v1))" in said


def test_each_class_that_is_missing_is_named_with_what_to_do() -> None:
    files = needing(storage_classes={"gp3", "io2"}, priority_classes={"high", "low"}, ingress_classes={"nginx"})
    assert found(region(), files).problems == [
        "claims need StorageClass io2, which this cluster lacks, so that their volumes do not come: make it here, or write "
        "velero.storageClasses: {io2: ONE-THAT-IS-HERE}",
        "workloads need PriorityClass low, which this cluster lacks, so that no Pod of them is made: make it here",
        "Ingresses need IngressClass nginx, which this cluster lacks, so that nobody answers for them: make it here",
    ]
    assert found(region(), needing(storage_classes={"io2"}), io2="gp3").problems == []


def test_a_class_of_runtimes_or_gateways_that_is_missing_is_named_also_where_nobody_has_the_gateway_api() -> None:
    files = needing(runtime_classes={"gvisor", "kata"}, gateway_classes={"istio", "alb"})
    assert found(region(), files).problems == [
        "workloads need RuntimeClass kata, which this cluster lacks, so that no Pod of them is made: make it here",
        "Gateways need GatewayClass alb, which this cluster lacks, so that nobody answers for them: make it here",
    ]
    (without,) = found(region(gatewayapi={}), needing(gateway_classes={"istio"})).problems
    assert "GatewayClass istio, which" in without


def test_a_class_that_is_missing_is_no_objection_where_rules_of_ones_own_may_name_another() -> None:
    files, ruled = needing(runtime_classes={"kata"}, storage_classes={"io2"}), replace(standby(), modified=True)
    told = findings(region(), files, ruled)
    assert [line.partition(",")[0] for line in told.problems] == ["claims need StorageClass io2"], "which a key maps"
    assert [line.partition(",")[0] for line in told.unknown] == ["workloads need RuntimeClass kata"]


def test_classes_that_nobody_names_are_not_asked_for() -> None:
    here = region()
    found(here, needing())
    assert not [path for path in here.asked if "classes" in path and "storage" not in path]


def test_images_of_the_dead_regions_registry_are_named() -> None:
    (said,) = found(region(), needing(images={ECR, "nginx:1"})).problems
    assert said.startswith(f"images come from the registry in us-east-1, which may be dead with its region ({ECR}): have ECR")


@pytest.mark.parametrize(
    ("maps", "far"),
    [
        ([{"web": "123456789012.dkr.ecr.us-east-1.amazonaws.com, 123456789012.dkr.ecr.us-west-2.amazonaws.com"}], False),
        ([{"a": "us-east-1,us-west-2", "b": "/web:,/web-copy:"}], True),  # whichever row Velero reads first
        ([{"a": "us-east-1,us-west-2", "b": "/other:,/x:"}], False),
        ([{"a": "us-east-1,"}], True),
        ([{"a": "us-east-1"}], True),
        ([{"a": "us-east-1,us-west-2"}, {"a": "us-east-1,us-west-2"}], True),  # Velero refuses two
        ([{}], True),
    ],
)
def test_images_that_veleros_own_map_gives_this_regions_names_are_not_far(maps: list[dict[str, str]], far: bool) -> None:
    here = region(configmaps=listed(*(named("change-image-name", data=data) for data in maps)))
    assert [ECR in said for said in found(here, needing(images={ECR})).problems] == ([True] if far else [])
    assert [path for path in here.asked if "configmaps" in path] == [
        "path /api/v1/namespaces/velero/configmaps?labelSelector="
        "velero.io/plugin-config%2Cvelero.io/change-image-name%3DRestoreItemAction&limit=500"
    ]


def test_a_driver_without_a_snapshot_class_breaks_nothing_of_the_failover_and_is_told_by_day() -> None:
    here = region(volumesnapshotclasses=listed())
    seen = found(here, needing(storage_classes={"gp3"}))
    assert seen.problems == []
    assert "no VolumeSnapshotClass here is of driver ebs.csi.aws.com" in seen.later[0]
    assert warnings_by_day(here, needing(storage_classes={"gp3"}), standby()) == seen.later


def test_a_cluster_whose_nodes_take_no_data_mover_is_told_where_claims_are_to_be_filled() -> None:
    tainted = listed(node(taints=[{"key": "dedicated", "value": "app", "effect": "NoSchedule"}]))
    with_claims, asked = needing(storage_classes={"gp3"}), replace(standby(), movers=Movers())
    (told,) = findings(region(nodes=tainted), with_claims, asked).problems
    assert told == (
        "Velero's data movers, which fill claims, run on no node here: each node has a taint that they do not tolerate "
        "(dedicated=app:NoSchedule): keep a node for them, and name its labels in velero.dataMovers.nodes"
    )
    for cluster, files, by in (
        (region(), with_claims, asked),
        (region(nodes=tainted), needing(), asked),
        (region(nodes=tainted), with_claims, standby()),
    ):
        assert findings(cluster, files, by).problems == []
    scaled = findings(region(nodes=tainted, nodepools=listed(named("default"))), with_claims, asked)
    assert scaled.problems == []
    assert "Karpenter may add one" in scaled.unknown[0]


def test_room_is_what_nodes_have_without_what_runs_beside_the_restored_namespaces() -> None:
    beside = [
        pod("shop", "3"),
        pod("kube-system", "1500m"),
        pod("kube-system", "9", phase="Succeeded"),
        pod("shop", "1", **{"cnpg.io/cluster": "app"}),
    ]
    nodes = listed(node(), node(unschedulable=True), node(taints=[{"key": "node-role.kubernetes.io/control-plane"}]))
    here = region(nodes=nodes, pods=listed(*beside))
    assert found(here, needing(cpu=1.5, memory=GIB)).problems == []
    assert found(here, needing(cpu=1.6, memory=GIB)).problems == [
        "the peer's workloads request 1.6 CPUs and 1.0 GiB, and this region's nodes have 1.5 CPUs and 14.0 GiB for them, so that "
        "some stay Pending: add nodes, or lower requests or replicas"
    ]


def test_where_an_autoscaler_adds_nodes_nobody_can_judge_and_nothing_is_refused() -> None:
    scaler = named("prod-aws-cluster-autoscaler")
    for here in (region(nodepools=listed(named("default"))), region(deployments=listed(scaler))):
        seen = found(here, needing(cpu=100.0))
        assert seen.problems == []
        assert "cannot be judged" in seen.unknown[0]


def test_what_cannot_be_asked_and_an_old_or_missing_inventory_are_told_and_refuse_nothing() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster b does not answer"))
    seen = found(silent, needing(cpu=1.0))
    assert (seen.problems, len(seen.unknown)) == ([], 2)
    closed = FakeFiles(error=ResultsUnavailableError("AccessDenied"))
    assert found(region(), closed).unknown == [
        "whether this cluster knows all kinds of the peer's backups is not known: AccessDenied",
        "whether this cluster has what the peer's workloads need is not known: AccessDenied",
    ]
    assert "has not come" in found(region(), FakeFiles(needs=None)).unknown[0]
    old = Inventory(written=datetime.now(UTC) - timedelta(days=40), namespaces={})
    assert found(region(), FakeFiles(needs=old)).unknown == [
        "the peer's inventory is 40 d 0 h old: pulumi up -s primary writes a new one"
    ]


def test_a_password_that_is_not_the_peers_is_told_by_day_and_stops_a_failover_whose_volumes_nobody_could_read() -> None:
    taken = take_inventory(FakeCluster(), [], password="a password of the peer")
    files = FakeFiles(needs=inventory_of(taken.document()))
    assert findings(region(), files, standby(password="a password of the peer")) == Findings()
    assert findings(region(), files, standby(password=None)) == Findings(), "a Velero that others installed has its own"
    (told,) = findings(region(), files, standby(password="another password here")).problems
    assert told.startswith("backupEncryptionPassword of this stack is not the peer's, so that no volume of its backups can be")
    assert warnings_by_day(region(), files, standby(password="another password here")) == [told]
    files.needs = Inventory(written=datetime.now(UTC), namespaces={})
    assert findings(region(), files, standby(password="another password here")) == Findings(), "of an older version"


def test_the_password_is_not_in_what_is_written_and_no_two_fingerprints_are_alike() -> None:
    taken = take_inventory(FakeCluster(), [], password="a password of the peer")
    assert "a password" not in json.dumps(taken.document())
    fingerprint.cache_clear()
    again = take_inventory(FakeCluster(), [], password="a password of the peer")
    assert taken.password != again.password
    assert "password" not in repr(standby(password="a secret one")).replace("password=", "")


@pytest.mark.parametrize("text", ["abc", "xx:yy", "00:11:22", 5])
def test_what_is_no_fingerprint_makes_no_inventory(text: Any) -> None:
    with pytest.raises((ValueError, AttributeError)):
        inventory_of({"written": "2026-03-02T12:00:00+00:00", "namespaces": {}, "password": text})


PASSWORDS = {"app": "the owner's of app", "orders": "the owner's of orders"}


def of_the_peer(passwords: dict[str, str]) -> FakeFiles:
    """What a peer with these passwords of databases' owners has written, after the way of a file."""
    document = json.loads(json.dumps(take_inventory(FakeCluster(), [], owners=passwords).document()))
    return FakeFiles(needs=inventory_of(document))


def test_a_password_of_an_owner_that_is_not_the_peers_is_named_by_its_database_by_day_and_on_the_night() -> None:
    files = of_the_peer(PASSWORDS)
    assert findings(region(), files, replace(standby(), owners=PASSWORDS)) == Findings()
    other = replace(standby(), owners={**PASSWORDS, "orders": "rotated in one stack alone"})
    (told,) = findings(region(), files, other).problems
    assert told == (
        "databasePasswords of this stack are not the peer's for orders: this region sets its own once it takes writes, so that "
        "applications which come with the peer's cannot log in; write the peer's, by: pulumi config set --secret --path "
        "'databasePasswords[\"orders\"]' -s secondary"
    )
    assert warnings_by_day(region(), files, other) == [told]
    way_back = replace(other, peer="secondary")
    assert findings(region(), files, way_back).problems[0].endswith("-s primary")


def test_databases_of_one_region_alone_and_peers_of_an_older_version_have_no_password_to_compare() -> None:
    peer = {name: PASSWORDS[name] for name in ("app",)}
    for here, there in ((PASSWORDS, peer), (peer, PASSWORDS), ({}, PASSWORDS), ({"new": "x"}, PASSWORDS), (PASSWORDS, {})):
        assert findings(region(), of_the_peer(there), replace(standby(), owners=here)) == Findings()
    here = {"orders": "another", "new": "x"}
    assert "for orders:" in findings(region(), of_the_peer(PASSWORDS), replace(standby(), owners=here)).problems[0]


def test_passwords_of_owners_are_not_in_what_is_written_or_shown() -> None:
    document = json.dumps(take_inventory(FakeCluster(), [], owners=PASSWORDS).document())
    assert "the owner's" not in document
    assert "the owner's" not in repr(replace(standby(), owners=PASSWORDS))


@pytest.mark.parametrize("owners", [{"each": {"a": "abc"}, "together": "00:11"}, {"each": {}, "together": 5}, {"each": []}, "x"])
def test_what_are_no_fingerprints_of_owners_make_no_inventory(owners: Any) -> None:
    with pytest.raises((ValueError, AttributeError, KeyError, TypeError)):
        inventory_of({"written": "2026-03-02T12:00:00+00:00", "namespaces": {}, "owners": owners})


def test_needs_of_namespaces_that_are_not_restored_do_not_count() -> None:
    other = Inventory(written=datetime.now(UTC), namespaces={"other": Needs(storage_classes={"io2"}, cpu=100.0)})
    assert found(region(), FakeFiles(needs=other)) == Findings()


def template(**spec: Any) -> dict[str, Any]:
    requests = {"resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}}
    side = [{"image": "side:1", "restartPolicy": "Always", **requests}, {"image": "init:1", **requests}]
    return {"spec": {"containers": [{"image": "web:1", **requests}, {"image": ECR}], "initContainers": side, **spec}}


def test_an_inventory_counts_replicas_sidecars_and_classes_and_leaves_databases_and_system_namespaces_out() -> None:
    def item(namespace: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}

    claim = {"storageClassName": "gp3"}
    paths = {
        "/apis/apps/v1/deployments": listed(
            item("shop", "web", {"replicas": 3, "template": template(priorityClassName="high")}),
            item("kube-system", "dns", {"replicas": 3, "template": template()}),
        ),
        "/apis/apps/v1/statefulsets": listed(item("back", "queue", {"template": template()})),
        "/apis/batch/v1/cronjobs": listed(
            item("back", "run", {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "job:1"}]}}}}})
        ),
        "/api/v1/persistentvolumeclaims": listed(
            item("shop", "data", claim), item("shop", "app-1", {"storageClassName": "db"}, **{"cnpg.io/cluster": "app"})
        ),
        "/apis/networking.k8s.io/v1/ingresses": listed(item("shop", "web", {"ingressClassName": "alb"})),
    }
    taken = take_inventory(FakeCluster(paths=paths), [])
    images = {"web:1", ECR, "side:1", "init:1"}
    assert taken.namespaces == {
        "shop": Needs(
            storage_classes={"gp3"},
            priority_classes={"high"},
            ingress_classes={"alb"},
            images=images,
            cpu=1.5,
            memory=6 * GIB,
        ),
        "back": Needs(images={*images, "job:1"}, cpu=0.5, memory=2 * GIB),
    }
    assert inventory_of(taken.document()) == taken


class Gateways(FakeCluster):
    """One whose Gateways this account may not list."""

    def read(self, path: str) -> dict[str, Any] | None:
        if "/gateways?" in path:
            raise ClusterRefusedError("refused: 403 gateways is forbidden")
        return super().read(path)


def gateways(version: str) -> dict[str, dict[str, Any]]:
    gateway = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"gatewayClassName": "alb"}}
    group = "/apis/gateway.networking.k8s.io"
    return {group: {"versions": [{"version": version}]}, f"{group}/{version}/gateways": listed(gateway)}


def of_runtime(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"template": template(runtimeClassName=name)}, **more}


def test_an_inventory_names_classes_of_runtimes_and_of_gateways_and_one_of_an_earlier_version_is_read() -> None:
    for version in ("v1", "v1beta1"):
        paths = {"/apis/apps/v1/deployments": listed(of_runtime("gvisor")), **gateways(version)}
        inventory = take_inventory(FakeCluster(paths=paths), [])
        assert inventory_of(json.loads(json.dumps(inventory.document()))).namespaces == inventory.namespaces
        needs = inventory.namespaces["shop"]
        assert (needs.runtime_classes, needs.gateway_classes) == ({"gvisor"}, {"alb"})
    document = inventory.document()
    del document["namespaces"]["shop"]["runtime_classes"], document["namespaces"]["shop"]["gateway_classes"]
    earlier = inventory_of(document).namespaces["shop"]
    assert (earlier.runtime_classes, earlier.gateway_classes, earlier.images) == (set(), set(), needs.images)


def test_gateways_are_listed_where_the_cluster_serves_them_and_a_right_that_is_missing_costs_nothing_else() -> None:
    without = FakeCluster()
    take_inventory(without, [])
    assert not [path for path in without.asked if "gateways" in path]
    files = FakeFiles(needs=None)
    cluster = Gateways(paths={"/apis/apps/v1/deployments": listed(of_runtime("gvisor")), **gateways("v1")})
    assert keep_inventory(cluster, files, [], [], None, {}, "us-east-1") == [
        "whether the other region has the GatewayClasses of Gateways is not known: refused: 403 gateways is forbidden"
    ]
    assert files.needs
    assert files.needs.namespaces["shop"].runtime_classes == {"gvisor"}
    assert "unread" not in files.needs.document()


def test_an_inventory_has_nothing_that_no_restore_brings() -> None:
    def item(name: str, **labels: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "shop", "labels": labels}
        return {"metadata": metadata, "spec": {"replicas": 1, "template": template(), "ingressClassName": name}}

    kept_out = {"velero.io/exclude-from-backup": "true"}
    paths = {
        "/apis/apps/v1/deployments": listed(item("web"), item("batch", **kept_out)),
        "/apis/apps/v1/statefulsets": listed(item("queue", **{"velero.io/exclude-from-backup": "false"})),
        "/apis/networking.k8s.io/v1/ingresses": listed(item("alb"), item("internal", **kept_out)),
    }

    def taken(*excluded: list[str], **last: Any) -> Needs:
        backups = [
            Backup.model_validate({"name": f"b{number}", "cron": "@daily", "keep": "720h", "excludeResources": kinds})
            for number, kinds in enumerate(excluded)
        ]
        backups = [*backups[:-1], *(each.model_copy(update=last) for each in backups[-1:])]
        return take_inventory(FakeCluster(paths=paths), [], backups).namespaces["shop"]

    ingresses, statefulsets = ["ingresses.networking.k8s.io"], ["statefulsets.apps"]
    assert (taken().cpu, taken().ingress_classes) == (1.0, {"alb"}), "a label that says false keeps nothing out"
    assert taken(ingresses).ingress_classes == set()
    assert taken(ingresses, []).ingress_classes == {"alb"}, "the other entry may bring it"
    assert taken(ingresses, [], restore=False).ingress_classes == set(), "the other entry restores nothing"
    assert taken(statefulsets).cpu == 0.5
    assert taken(["persistentvolumeclaims", "cronjobs.batch"]).cpu == 1.0


def test_an_inventory_counts_each_workload_as_large_as_a_failover_makes_it() -> None:
    """At a quiet hour A runs one of each."""

    def item(name: str, replicas: int, **metadata: Any) -> dict[str, Any]:
        one = {"spec": {"containers": [{"image": "x", "resources": {"requests": {"cpu": "1"}}}]}}
        return {"metadata": {"name": name, "namespace": "shop", **metadata}, "spec": {"replicas": replicas, "template": one}}

    def scaler(target: str, **limits: int) -> dict[str, Any]:
        kind, _, name = target.partition("/")
        return {
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"scaleTargetRef": {"kind": kind, "name": name}, "maxReplicas": 40, **limits},
        }

    def cores(*found: dict[str, Any], scalers: tuple[dict[str, Any], ...] = (), namespace: str = "shop") -> float:
        workloads = [
            Workload.model_validate({"namespace": namespace, "replicas": 3}),
            Workload.model_validate({"namespace": namespace, "replicas": 5, "names": ["deployment/web"]}),
        ]
        paths = {
            "/apis/apps/v1/deployments": listed(*found),
            "/apis/autoscaling/v2/horizontalpodautoscalers": listed(*scalers),
        }
        return take_inventory(FakeCluster(paths=paths), workloads).namespaces["shop"].cpu

    assert cores(item("web", 1)) == 5
    assert cores(item("cart", 1)) == 3
    assert cores(item("cart", 12)) == 12, "what runs with more is not lowered"
    assert cores(item("cart", 0)) == 0, "somebody has switched it off"
    assert cores(item("cart", 1), namespace="other") == 1, "nobody scales it"
    assert cores(item("cart", 1, ownerReferences=[{"kind": "Prometheus", "controller": True}])) == 1, "its operator decides"
    assert cores(item("web", 2), scalers=(scaler("Deployment/web", minReplicas=10),)) == 10, "the autoscaler decides"
    assert cores(item("web", 12), scalers=(scaler("Deployment/web", minReplicas=10),)) == 12
    assert cores(item("web", 1), scalers=(scaler("Deployment/web"),)) == 1


def test_a_long_list_is_read_to_its_end() -> None:
    class Paged(FakeCluster):
        def read(self, path: str) -> dict[str, Any] | None:
            if not path.startswith("/apis/apps/v1/deployments"):
                return None
            last = path.endswith("&continue=a%2Bb")
            name = "second" if last else "first"
            item = {"metadata": {"name": "w", "namespace": name}, "spec": {"template": {"spec": {"containers": []}}}}
            return {"items": [item], "metadata": {} if last else {"continue": "a+b"}}

    assert set(take_inventory(Paged(), []).namespaces) == {"first", "second"}
