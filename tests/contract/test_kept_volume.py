"""The script that shows which rows only a kept volume has, on a real API server: it finds what the program has set aside, a
strict namespace admits its Pod, and it says what the Pod said. No Pod runs: a server in place of the kubelet has its log."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from components.kube.aside import NotKeptError, bind, keep
from components.kube.cluster_api import LiveCluster
from scripts import kept_database, only_kept
from scripts.kept_database import ComparisonError
from settings.cluster import Cluster
from tests.api_server import ApiServer, running
from tests.contract import cnpg
from tests.contract.conftest import kubernetes_object, shared, tool
from tests.contract.test_real_api_server import lost
from tests.unit.recorder import run_program

Object = dict[str, Any]
NS, NAME, OF, NODE = "databases", "app-database", "app-database-primary-g1", "node-1"
CLAIMS, VOLUMES = f"/api/v1/namespaces/{NS}/persistentvolumeclaims", "/api/v1/persistentvolumes"
MERGE = "application/merge-patch+json"
STRICT = {"pod-security.kubernetes.io/enforce": "restricted"}
OPTIONS = ["--context", "test", "--namespace", NS, "--cluster", NAME]


@dataclass(kw_only=True)
class World:
    """The API server, the node's kubelet, the program's client, and the claims that are kept, by the names that they had."""

    api: ApiServer
    kubeconfig: str
    log: str | None = None
    """What the kubelet has of the Pod; None if it has no container of it."""

    kept: dict[str, str] = field(default_factory=dict)

    @property
    def program(self) -> LiveCluster:
        cluster = Cluster(context="test", name="test", distribution="self-managed", kubeconfig=self.kubeconfig)
        return LiveCluster(cluster, "unused")

    @property
    def script(self) -> only_kept.Cluster:
        return only_kept.Cluster(self.kubeconfig, "test")

    def do(self, method: str, path: str, body: Any = None, content: str = MERGE) -> Object:
        status, answer = self.api.ask(method, path, body=body, content=content)
        assert status in (200, 201), answer
        return answer


@contextmanager
def kubelet(world: World) -> Iterator[int]:
    """The port of a server that answers the API server's questions for logs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.startswith(f"/containerLogs/{NS}/only-kept-"), self.path
            body = 'container "compare" in pod is not available' if world.log is None else world.log
            self.send_response(400 if world.log is None else 200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.api.certificate, world.api.certificate.with_suffix(".key"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A region whose database was made anew, and the volumes of the one before."""
    etcd, kube_apiserver = tool("region", "etcd"), tool("region", "kube-apiserver")
    release, directory = shared("cnpg", "cloudnative-pg.yaml"), tmp_path_factory.mktemp("kept")
    with running(etcd, kube_apiserver, directory) as api:
        api.define([each for each in cnpg.definitions(release) if each["spec"]["names"]["kind"] == "Cluster"])
        api.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS, "labels": STRICT}})
        # A controller makes it in a cluster.
        api.ensure({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NS}})
        world = World(api=api, kubeconfig=str(written(directory / "kubeconfig", api)))
        world.kept = given_up(world)
        api.ensure(made_anew())
        with kubelet(world) as port:
            address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
            node = {"metadata": {"name": NODE}, "status": {**address, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}
            world.do("POST", "/api/v1/nodes", node, "application/json")
            yield world


def written(file: Path, api: ApiServer) -> Path:
    file.write_text(yaml.safe_dump(api.kubeconfig()))
    return file


def made_anew() -> Object:
    """The old primary's side as the program makes it once it follows the other region."""
    database = {"name": NAME, "namespace": NS, "generations": {"primary": 2}}
    region = run_program("primary", {"active": "secondary", "databases": [database]})
    objects = [kubernetes_object(seen) for seen in region.custom() if seen.provider == "kubernetes"]
    (found,) = [each for each in objects if each["kind"] == "Cluster"]
    return found


def given_up(world: World) -> dict[str, str]:
    """Set the volumes of two instances aside, as the program does. What the operator and the volumes' controller do meanwhile is
    done by hand. Returns the names of the new claims by those of the old ones."""
    for number, role in ((1, "replica"), (2, "primary")):
        for end, what in (("", "PG_DATA"), ("-wal", "PG_WAL")):
            labels = {"cnpg.io/cluster": NAME, "cnpg.io/instanceRole": role, "cnpg.io/pvcRole": what}
            have_volume(world, f"{NAME}-{number}{end}", labels)
    old = [each["metadata"]["name"] for each in world.do("GET", CLAIMS)["items"]]
    keep(world.program, NS, old, of=OF)
    for name in old:
        world.do("DELETE", f"{CLAIMS}/{name}")
        world.do("PATCH", f"{CLAIMS}/{name}", {"metadata": {"finalizers": None}})
    with pytest.raises(NotKeptError, match="is not bound"):
        bind(world.program, NS, of=OF, seconds=0)
    for claim in world.do("GET", CLAIMS)["items"]:
        become_bound(world, claim)
    return {each.claim: each.kept_as for each in bind(world.program, NS, of=OF, seconds=0)}


def have_volume(world: World, name: str, labels: dict[str, str]) -> None:
    """An instance's claim, bound to a volume."""
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3"}
    asked = {**spec, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": f"pv-{name}"}
    claim = world.do("POST", CLAIMS, {"metadata": {"name": name, "labels": labels}, "spec": asked}, "application/json")
    held = {"kind": "PersistentVolumeClaim", "namespace": NS, "name": name}
    disk = {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-{name}"}, "persistentVolumeReclaimPolicy": "Delete"}
    volume = {**spec, **disk, "capacity": {"storage": "1Gi"}, "claimRef": held}
    world.do("POST", VOLUMES, {"metadata": {"name": f"pv-{name}"}, "spec": volume}, "application/json")
    become_bound(world, claim)


def become_bound(world: World, claim: Object) -> None:
    name, volume = claim["metadata"]["name"], f"{VOLUMES}/{claim['spec']['volumeName']}"
    world.do("PATCH", volume, {"spec": {"claimRef": {"uid": claim["metadata"]["uid"]}}})
    for path in (volume, f"{CLAIMS}/{name}"):
        world.do("PATCH", f"{path}/status", {"status": {"phase": "Bound"}})


@pytest.fixture
def planned(world: World) -> kept_database.Plan:
    return kept_database.plan(world.script, only_kept.parse(OPTIONS))


def test_the_volumes_that_the_program_has_set_aside_are_found_and_the_old_primarys_is_taken(
    world: World, planned: kept_database.Plan
) -> None:
    assert len(world.kept) == 4
    assert (planned.claim, planned.wal_claim) == (world.kept[f"{NAME}-2"], world.kept[f"{NAME}-2-wal"])
    assert (planned.host, planned.database, planned.secret) == (f"{NAME}-rw", "app", f"{NAME}-owner")
    assert planned.image == made_anew()["spec"]["imageName"]


def test_a_strict_namespace_admits_the_pod_once_for_each_volume_and_it_is_deleted_as_the_one_that_was_made(
    world: World, planned: kept_database.Plan
) -> None:
    loose = {"metadata": {"name": "loose"}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    refused = world.api.ask("POST", planned.pods, body=loose, query="dryRun=All")
    assert refused[0] == 403
    assert 'violates PodSecurity "restricted' in refused[1]["message"]

    body = kept_database.pod(planned, limit=1, seconds=2)
    made = world.script.create(planned.pods, body)
    assert made is not None
    assert not list(lost(body, made))
    with pytest.raises(ComparisonError, match=rf"409 .*{planned.pod}.* already exists"):
        world.script.create(planned.pods, body)
    with pytest.raises(ComparisonError, match=f"Pod {planned.pod} uses the kept claim {planned.claim}: "):
        only_kept.refuse_used(world.script, planned)
    place = f"{planned.pods}/{planned.pod}"
    with pytest.raises(ComparisonError, match=r"409 .*UID in the precondition"):
        world.script.delete(place, "of-another")
    assert world.script.read(place)
    world.script.delete(place, made["metadata"]["uid"])
    assert world.script.read(place) is None


class Ending(only_kept.Cluster):
    """The script's client of a cluster in which a Pod that is made is on a node, and ends at once."""

    def __init__(self, world: World, status: Object) -> None:
        super().__init__(world.kubeconfig, "test")
        self._world, self._status = world, status

    def create(self, path: str, body: Object) -> Object | None:
        made = super().create(path, body)
        assert made is not None
        at = f"{path}/{made['metadata']['name']}"
        target = {"metadata": {"name": made["metadata"]["name"]}, "target": {"kind": "Node", "name": NODE}}
        self._world.do("POST", f"{at}/binding", target, "application/json")
        self._world.do("PATCH", f"{at}/status", {"status": self._status})
        return made


def pods(world: World) -> list[str]:
    return [each["metadata"]["name"] for each in world.do("GET", f"/api/v1/namespaces/{NS}/pods")["items"]]


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage. "}
ROWS = "table\tpublic.orders\t6\t1\t0\tid\t\nrow\tmissing\t(6,x)\n"


@pytest.mark.parametrize(
    ("status", "log", "says"),
    [
        ({"phase": "Failed"}, "some log\nPostgreSQL does not start: FATAL: x\n", "PostgreSQL does not start: FATAL: x"),
        (EVICTED, ROWS, "The node was low on resource: ephemeral-storage."),
        (EVICTED, None, "The node was low on resource: ephemeral-storage."),
        ({"phase": "Failed"}, "", "it said nothing"),
    ],
    ids=["by its own words", "evicted while it compared", "evicted before it began", "without a word"],
)
def test_a_pod_that_fails_is_deleted_and_the_script_says_why(
    status: Object, log: str | None, says: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.log = log
    assert only_kept.main(OPTIONS, Ending(world, status)) == 1
    assert capsys.readouterr() == ("", f"only_kept: {says}\n")
    assert pods(world) == []


def test_what_a_pod_has_found_is_told_and_the_pod_is_deleted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.log = f"{ROWS}end\t1\n"
    assert only_kept.main([*OPTIONS, "--json"], Ending(world, {"phase": "Succeeded"})) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == world.kept[f"{NAME}-2"]
    assert [(each["name"], each["only_kept"], each["missing"]) for each in found["tables"]] == [("public.orders", 1, ["(6,x)"])]
    assert pods(world) == []
