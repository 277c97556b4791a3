"""Real Velero brings a region's last backup over what another region has had before: what can change is changed, what cannot is a
warning, and what is of this region alone stays.

One cluster plays both regions: it is that which gives up, is emptied, and becomes that which takes over and has served before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from components.kube.runner.inventory import RAN
from components.velero import modifiers
from components.velero.choice import Choice, objection
from components.velero.claims import claims_in_the_way
from components.velero.downloads import results_of
from components.velero.final_backups import last_backup
from components.velero.inventory import items
from components.velero.restores import restore_spec
from components.velero.selection import chosen
from components.velero.specs import PEER
from settings.load import SECRETS, load
from settings.names import Names
from tests import isolation
from tests.api_server import ApiServer
from tests.api_server import running as api_server
from tests.contract import velero_server
from tests.contract.conftest import tool
from tests.contract.test_isolation import needs_root
from tests.contract.test_restores import NLB, SCHEDULE, SHOP, TEMPLATE, WEB, Object, backup, policies, thing
from tests.contract.velero_server import VeleroServer, text
from tests.examples import example

pytestmark = needs_root
ENTRY = backup(includeResources=["jobs.batch"])
SUBNETS, ROLE = f"{NLB}-subnets", "eks.amazonaws.com/role-arn"
FREE, TAKEN, OWN_PORT = 30010, 30011, 30020
"""Node ports below those from which Kubernetes chooses by itself."""


def service(name: str, spec: Object, **parts: Any) -> Object:
    return thing("v1", "Service", name, spec={"selector": WEB, **spec}, **parts)


def ports(port: int, node_port: int | None = None) -> Object:
    return {"ports": [{"name": "http", "port": port, **({"nodePort": node_port} if node_port else {})}]}


def claim(size: str) -> Object:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": size}}}


def job(image: str) -> Object:
    return {"template": {"spec": {"containers": [{"name": "run", "image": image}], "restartPolicy": "Never"}}}


def region(*, gave_up: bool) -> list[Object]:
    """The objects as the region has them that gave up, or as this one has had them since it served."""

    def one_of(there: Any, here: Any) -> Any:
        return there if gave_up else here

    replicas, size = one_of(0, 3), one_of("2Gi", "1Gi")
    volumes = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim(size)}], "serviceName": "queue"}
    of_jobs = {"schedule": one_of("0 * * * *", "5 * * * *"), "suspend": gave_up, "jobTemplate": {"spec": job("bill")}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": one_of("write", "read")}
    return [
        thing("v1", "ConfigMap", "settings", data=one_of({"mode": "new"}, {"mode": "old", "gone": "since"})),
        thing("v1", "Secret", "token", stringData={"token": one_of("new", "old")}),
        thing("apps/v1", "Deployment", "web", spec={"replicas": replicas, **TEMPLATE}),
        thing("apps/v1", "Deployment", "idle", spec={"replicas": 0, **TEMPLATE}),
        thing("batch/v1", "CronJob", "bill", annotations={RAN: "true"} if gave_up else {}, spec=of_jobs),
        service(
            "front",
            {"type": "NodePort", **ports(one_of(80, 8080), one_of(None, OWN_PORT))},
            annotations={SUBNETS: one_of("subnet-there", "subnet-here"), "team": one_of("new", "old")},
        ),
        service("balanced", {"type": "LoadBalancer", "externalTrafficPolicy": "Local", **ports(one_of(80, 8080))}),
        service("pinned", {"type": "NodePort", **ports(80, one_of(FREE, OWN_PORT + 1))}),
        service("refused", {"type": "NodePort", **ports(80, one_of(TAKEN, OWN_PORT + 2))}),
        service("peers", {"clusterIP": "None", **ports(80)} if gave_up else ports(80)),
        thing("v1", "ServiceAccount", "web", annotations={ROLE: one_of("arn:there", "arn:here")}),
        thing("batch/v1", "Job", "once", labels=WEB, spec=job(one_of("new", "old"))),
        thing("v1", "PersistentVolumeClaim", "data", spec=claim(size)),
        thing("apps/v1", "StatefulSet", "queue", spec={**TEMPLATE, "replicas": replicas, **volumes}),
        thing("rbac.authorization.k8s.io/v1", "RoleBinding", "web", subjects=[], roleRef=role),
        thing("v1", "ConfigMap", "fixed", immutable=True, data={"mode": one_of("new", "old")}),
    ]


ONLY_HERE = [
    thing("v1", "ConfigMap", "deleted-there", data={}),
    # Kubernetes gives no node port twice.
    thing("v1", "Service", "another", spec={"type": "NodePort", "selector": WEB, **ports(80, TAKEN)}),
]
CANNOT_CHANGE = {
    ("Service", "refused"),
    ("Service", "peers"),
    ("Job", "once"),
    ("PersistentVolumeClaim", "data"),
    ("StatefulSet", "queue"),
    ("RoleBinding", "web"),
    ("ConfigMap", "fixed"),
}
"""What Kubernetes refuses to change."""


@dataclass(frozen=True, kw_only=True)
class Switched:
    """The region that has taken over, the last Backup, its Restore, and the objects as they were before."""

    server: VeleroServer
    backup: str
    restore: Object
    before: dict[tuple[str, str], Object]

    def now(self, kind: str, name: str) -> Object:
        item = self.server.api.read(next(each for each in region(gave_up=False) if key(each) == (kind, name)))
        assert item is not None, f"{kind} {name}"
        return item


def key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def put(api: ApiServer, objects: list[Object]) -> None:
    for item in objects:
        answer = api.apply(item)
        assert answer.status in (200, 201), f"{key(item)}: {answer}"


def clear(api: ApiServer, objects: list[Object]) -> None:
    for item in objects:
        api.delete(item)
        if api.read(item):
            api.ask("PATCH", api._path(item), body={"metadata": {"finalizers": None}}, content="application/merge-patch+json")


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory, crds: list[Object]) -> Iterator[Switched]:
    etcd, kube_apiserver, programs = tool("region", "etcd"), tool("region", "kube-apiserver"), tool("velero", "velero").parent
    directory = tmp_path_factory.mktemp("v")
    with (
        isolation.alone("Velero's metrics") as place,
        api_server(etcd, kube_apiserver, directory, place) as api,
        velero_server.running(programs, api, directory, crds) as server,
    ):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
        put(api, [*policies(), namespace, thing("v1", "ServiceAccount", "default"), *region(gave_up=True)])
        names = Names(topology=load("primary", example("primary"), SECRETS).topology, role="primary")
        labels, spec = last_backup(names, ENTRY)
        # No node agent runs here that could move a volume, and there is one location.
        without_volumes = {"snapshotVolumes": False, "snapshotMoveData": False, "storageLocation": PEER}
        made = server.made("Backup", {**spec, **without_volumes}, labels=labels)
        assert made["status"]["phase"] == "Completed", text(made)

        clear(api, region(gave_up=True))
        put(api, [*region(gave_up=False), *ONLY_HERE])
        before = {key(item): api.read(item) or {} for item in region(gave_up=False)}
        kept = modifiers.kept_here({"services": list(items(server.cluster, "/api/v1/services"))})
        put(api, policies(kept))
        (each,) = chosen([ENTRY], [])
        choice = Choice(schedule=SCHEDULE, backup=str(made["metadata"]["name"]), given_by="primary")
        assert objection(server.cluster, choice) is None
        restore = server.made("Restore", restore_spec(each, choice, served_before=True))
        yield Switched(server=server, backup=str(made["metadata"]["name"]), restore=restore, before=before)


def test_what_differs_and_can_change_is_as_the_other_region_had_it_and_the_restore_completes(switched: Switched) -> None:
    assert switched.restore["status"]["phase"] == "Completed", text(switched.restore)
    assert switched.now("ConfigMap", "settings")["data"] == {"mode": "new"}
    assert switched.now("Secret", "token")["data"] == {"token": "bmV3"}
    assert switched.now("Service", "front")["metadata"]["annotations"]["team"] == "new"


def test_workloads_come_with_the_replicas_of_a_region_that_gave_up_and_the_scaling_comes_after_it(switched: Switched) -> None:
    assert switched.now("Deployment", "web")["spec"]["replicas"] == 0
    assert switched.now("Deployment", "idle")["spec"]["replicas"] == 0


def test_a_cron_job_comes_suspended_with_the_note_by_which_the_scaling_resumes_it(switched: Switched) -> None:
    bill = switched.now("CronJob", "bill")
    assert (bill["spec"]["suspend"], bill["spec"]["schedule"]) == (True, "0 * * * *")
    assert bill["metadata"]["annotations"][RAN] == "true"


@pytest.mark.parametrize("name", ["front", "balanced"])
def test_a_service_gets_its_ports_and_keeps_the_addresses_and_node_ports_of_this_region(switched: Switched, name: str) -> None:
    before, now = switched.before["Service", name]["spec"], switched.now("Service", name)["spec"]
    assert (before["ports"][0]["port"], now["ports"][0]["port"]) == (8080, 80)
    assert now["ports"][0]["nodePort"] == before["ports"][0]["nodePort"] != 0
    assert now["clusterIP"] == before["clusterIP"]
    assert now.get("healthCheckNodePort") == before.get("healthCheckNodePort")


def test_a_node_port_that_a_person_wrote_comes_along_where_it_is_free(switched: Switched) -> None:
    assert switched.now("Service", "pinned")["spec"]["ports"][0]["nodePort"] == FREE
    assert switched.now("Service", "refused")["spec"]["ports"][0]["nodePort"] == OWN_PORT + 2


def test_what_is_of_this_region_alone_stays(switched: Switched) -> None:
    assert switched.now("Service", "front")["metadata"]["annotations"][SUBNETS] == "subnet-here"
    assert switched.now("ServiceAccount", "web")["metadata"]["annotations"][ROLE] == "arn:here"


def test_what_cannot_change_is_a_warning_by_name_and_stays_as_it_was(switched: Switched) -> None:
    warnings = results_of(switched.server.cluster, switched.restore["metadata"]["name"]).warnings
    for kind, name in CANNOT_CHANGE:
        assert [each for each in warnings if kind in each and f'"{name}"' in each], f"{kind} {name}: {warnings}"
        now, before = switched.now(kind, name), switched.before[kind, name]
        for part in ("spec", "data", "roleRef"):
            assert now.get(part) == before.get(part), f"{kind} {name}"


def test_nothing_is_deleted(switched: Switched) -> None:
    for item in ONLY_HERE:
        assert switched.server.api.read(item), key(item)


def test_the_claim_that_would_stay_as_it_is_is_in_the_way(switched: Switched) -> None:
    (each,) = chosen([ENTRY], [])
    assert claims_in_the_way(switched.server.cluster, each) == [(SHOP, "data")]


def test_a_last_backup_counts_as_the_newest_of_its_schedule(switched: Switched) -> None:
    (each,) = chosen([ENTRY], [])
    restore = switched.server.made("Restore", restore_spec(each, Choice(schedule=SCHEDULE)))
    assert restore["spec"]["backupName"] == switched.backup


def test_a_last_backup_that_has_not_come_is_waited_for(switched: Switched) -> None:
    found = objection(switched.server.cluster, Choice(schedule=SCHEDULE, backup="not-yet", given_by="primary"))
    assert found is not None
    assert found.passing
