"""The lab's add-ons as they run: the real program against a real API server, and its network policies against real packets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner import credentials
from components.kube.runner.failure import StepFailedError
from lab import inhabitants
from lab.addons import admission, kinds, load_balancers, objects, policies
from lab.regions import pki
from lab.regions.commands import run
from lab.regions.spec import PRIMARY, SECONDARY
from lab.waiting import until
from tests.api_server import Answer, ApiServer, alive, process, running
from tests.contract.conftest import tool
from tests.isolation import Place, alone
from tests.unit.components.iam.test_identity import IRSA
from tests.unit.recorder import run_program

ADDRESS = "192.0.2.1"  # an API server accepts no loopback address of an endpoint
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.7).close()"
BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/namespaces/production/targetgroupbindings"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with alone("the add-ons' server") as place:
        if place.namespace is None:
            pytest.skip("only root can give the add-ons a network of their own")
        yield place


@pytest.fixture(scope="module")
def server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The secondary's API server with its add-ons. It has the namespace production."""
    directory = tmp_path_factory.mktemp("addons")
    spec = replace(SECONDARY, address=ADDRESS)
    pki.ensure(directory / "region", spec)
    run([*place.prefix, "ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo"])
    tools = tool("region", "etcd"), tool("region", "kube-apiserver")
    options = [
        f"--client-ca-file={directory}/region/ca.crt",
        "--enable-aggregator-routing=true",  # to the endpoints of a Service, for there is no kube-proxy here
    ]
    with running(*tools, directory, place, options=options) as server:
        # This API server made its own certificate. The region's would be signed by the region's authority.
        trusting = shutil.copytree(directory / "region", directory / "trusting")
        shutil.copy(server.certificate, trusting / "ca.crt")
        log = directory / "addons.log"
        words = [*place.prefix, sys.executable, "-m", "lab.addons", server.url, ADDRESS, spec.aws_region, trusting]
        with process(words, log) as program:
            for item in objects.documents(ADDRESS, (trusting / "addons/ca.crt").read_text()):
                create(server, item)
            labels = {load_balancers.GATE_LABEL: "enabled"}
            create(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production", "labels": labels}})
            for name, notes in (("default", {}), ("shop", {admission.ROLE: "arn:aws:iam::123456789012:role/shop-us-west-2"})):
                create(server, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, annotations=notes)})
            command = [*place.prefix, sys.executable, "-c", CONNECT, ADDRESS, str(objects.PORT)]
            until("the add-ons to listen", lambda: alive(program, log) and succeeds(command), timeout=60)
            yield server


def succeeds(command: Sequence[str | Path]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def metadata(name: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "production", **rest}


def create(server: ApiServer, item: dict[str, Any]) -> None:
    answer = server.apply(item)
    assert answer.status in (200, 201), answer


def pod(server: ApiServer, name: str, account: str = "default", env: dict[str, str] | None = None) -> Answer:
    container = {
        "name": "main",
        "image": "local/none",
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
    }
    spec = {"serviceAccountName": account, "automountServiceAccountToken": False, "containers": [container]}
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, labels={"app": "web"}), "spec": spec}
    return server.apply(item, dry_run=True)


def environment(answer: Answer) -> dict[str, str]:
    assert answer.status == 201, answer
    return {variable["name"]: variable["value"] for variable in answer.body["spec"]["containers"][0].get("env", [])}


def test_the_api_server_gives_pods_their_region_and_role_and_changes_none_that_has_them(server: ApiServer) -> None:
    until("the webhook to be asked", lambda: environment(pod(server, "first", "shop")), timeout=20)
    given = environment(pod(server, "web", "shop"))
    assert (given["AWS_REGION"], given["AWS_ROLE_ARN"]) == ("us-west-2", "arn:aws:iam::123456789012:role/shop-us-west-2")

    kept = environment(pod(server, "restored", "shop", {"AWS_REGION": "us-east-1", "AWS_ROLE_ARN": "arn:of:a"}))
    assert (kept["AWS_REGION"], kept["AWS_ROLE_ARN"]) == ("us-east-1", "arn:of:a")

    assert environment(pod(server, "plain")) == {}


def test_the_job_before_velero_fails_until_its_account_has_a_role_and_then_succeeds(server: ApiServer) -> None:
    """The Job's own Pod, under an account to which the role comes late."""
    template = run_program("secondary", IRSA)["velero-credentials-come"].spec["template"]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("late")}
    create(server, account)

    def step(name: str) -> str:
        item = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], **metadata(name)}}
        admitted = environment(server.apply({**item, "spec": {**template["spec"], "serviceAccountName": "late"}}, dry_run=True))
        return credentials.run(json.loads(admitted["TASK"]), admitted)

    with pytest.raises(
        StepFailedError, match="Pods of velero/velero get no credentials for AWS: AWS_WEB_IDENTITY_TOKEN_FILE is "
    ):
        step("early")
    create(
        server, {**account, "metadata": metadata("late", annotations={admission.ROLE: "arn:aws:iam::123456789012:role/velero"})}
    )
    until("a new Pod to get credentials", lambda: step("again"), timeout=20)


def service(name: str, **annotations: str) -> dict[str, Any]:
    notes = {load_balancers.TYPE: "external", **annotations}
    spec = {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, annotations=notes), "spec": spec}


def test_the_api_server_refuses_the_binding_of_the_other_region_and_no_other(server: ApiServer) -> None:
    refused, admitted = (
        load_balancers.binding({"metadata": metadata("x", uid="1"), "spec": {"ports": [{"port": 80}]}}, spec.aws_region)
        for spec in (PRIMARY, SECONDARY)
    )
    until("the webhook to be asked", lambda: server.apply(refused, dry_run=True).status == 403, timeout=20)
    assert "TargetGroupNotFound" in str(server.apply(refused, dry_run=True))
    assert server.apply(admitted, dry_run=True).status == 201


def test_a_service_gets_an_address_a_binding_of_this_region_and_gates_for_its_pods(server: ApiServer) -> None:
    create(server, service("web"))

    def made() -> list[dict[str, Any]]:
        found = server.ask("GET", BINDINGS)[1]["items"]
        return [item for item in found if item["spec"]["serviceRef"]["name"] == "web"]

    (binding,) = until("the binding", made, timeout=20)
    assert ":us-west-2:" in binding["spec"]["targetGroupARN"]

    def served() -> bool:
        status = server.ask("GET", "/api/v1/namespaces/production/services/web")[1]["status"]
        return status["loadBalancer"].get("ingress") == [{"ip": ADDRESS, "ipMode": "VIP"}]

    until("the address", served, timeout=20)
    gates = until("the gate", lambda: pod(server, "web").body["spec"].get("readinessGates"), timeout=20)
    assert gates == [{"conditionType": f"{load_balancers.GATE_PREFIX}/{binding['metadata']['name']}"}]

    server.delete(service("web"))
    until("the binding to go with its Service", lambda: not made(), timeout=20)


def test_a_service_that_names_the_other_regions_subnets_gets_an_event_and_no_address(server: ApiServer) -> None:
    create(server, service("restored", **{load_balancers.SUBNETS: ",".join(load_balancers.subnets("us-east-1"))}))

    def told() -> bool:
        events = server.ask("GET", "/api/v1/namespaces/production/events")[1]["items"]
        return any("InvalidSubnetID.NotFound" in item["message"] for item in events)

    until("the event", told, timeout=20)
    status = server.ask("GET", "/api/v1/namespaces/production/services/restored")[1]["status"]
    assert status == {"loadBalancer": {}}


def test_the_api_server_serves_the_metrics_of_pods(server: ApiServer) -> None:
    path = "/apis/metrics.k8s.io/v1beta1"
    until("the metrics", lambda: server.ask("GET", f"{path}/pods")[0] == 200, timeout=30)
    assert server.ask("GET", path)[1]["resources"][0]["kind"] == "PodMetrics"
    listed = server.ask("GET", f"{path}/namespaces/production/pods", query="labelSelector=app%3Dweb")[1]
    assert (listed["kind"], listed["items"]) == ("PodMetricsList", [])


# Packets

GATEWAY = "169.254.1.1"
POD = """
import socket
with socket.create_server(("", 8080), backlog=64) as first, socket.create_server(("", 9090), backlog=64):
    print("listens", flush=True)
    first.settimeout(None)
    while True:
        first.accept()[0].close()
"""


@dataclass(frozen=True, kw_only=True)
class Small:
    """A pod's network: a namespace with one link to the node, as the lab's CNI plugin makes it, and a server on two ports."""

    name: str
    address: str
    pid: int
    namespace: str = "production"

    @property
    def as_object(self) -> dict[str, Any]:
        return {
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {"app": self.name}},
            "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": self.address},
        }

    def reaches(self, address: str, port: int = 8080) -> bool:
        command = ["nsenter", f"--target={self.pid}", "--net", sys.executable, "-c", CONNECT, address, str(port)]
        return succeeds(command)


@contextmanager
def small_pod(node: Place, name: str, number: int, namespace: str = "production") -> Iterator[Small]:
    address = f"10.0.0.{number}"
    command = [*node.prefix, "unshare", "--net", sys.executable, "-c", POD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "listens\n"
            pod = Small(name=name, address=address, pid=running.pid, namespace=namespace)
            link = f"to-{name}"
            run([*node.prefix, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(running.pid)])
            run([*node.prefix, "ip", "addr", "add", f"{GATEWAY}/32", "dev", link])
            run([*node.prefix, "ip", "link", "set", link, "up"])
            run([*node.prefix, "ip", "route", "add", address, "dev", link])
            within = ["nsenter", f"--target={running.pid}", "--net", "ip"]
            run([*within, "addr", "add", f"{address}/32", "dev", "eth0"])
            run([*within, "link", "set", "eth0", "up"])
            run([*within, "route", "add", GATEWAY, "dev", "eth0"])
            run([*within, "route", "add", "default", "via", GATEWAY, "src", address])
            yield pod
        finally:
            running.kill()


@pytest.fixture(scope="module")
def node(place: Place) -> Place:
    """The namespace of a region's node, which forwards between its pods."""
    run([*place.prefix, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    return place


@pytest.fixture(scope="module")
def pods(node: Place) -> Iterator[tuple[Small, Small, Small]]:
    """Two pods of production, web and api, and one of k8s-dr."""
    with ExitStack() as stack:
        places = (("web", 1, "production"), ("api", 2, "production"), ("job", 3, "k8s-dr"))
        web, api, job = (stack.enter_context(small_pod(node, *where)) for where in places)
        yield web, api, job


def enforce(node: Place, pods: tuple[Small, ...], *specs: dict[str, Any]) -> None:
    snapshot: dict[str, list[Any]] = {kind: [] for kind in kinds.PATHS}
    snapshot |= {
        "pods": [pod.as_object for pod in pods],
        "namespaces": [{"metadata": {"name": name, "labels": {"name": name}}} for name in ("production", "k8s-dr")],
        "networkpolicies": [
            {"metadata": {"name": str(number), "namespace": "production"}, "spec": spec} for number, spec in enumerate(specs)
        ],
    }
    with node.entered():
        policies.apply(policies.ruleset(snapshot))


DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_packets_pass_where_no_policy_is(node: Place, pods: tuple[Small, Small, Small]) -> None:
    web, api, job = pods
    enforce(node, pods)
    assert all(pair[0].reaches(pair[1].address) for pair in ((web, api), (api, web), (job, web)))


def test_default_deny_stops_pods_in_both_directions_and_not_the_node(node: Place, pods: tuple[Small, Small, Small]) -> None:
    web, api, job = pods
    enforce(node, pods, DENY)
    assert not any(pair[0].reaches(pair[1].address) for pair in ((web, api), (job, web), (web, job)))
    command = [*node.prefix, sys.executable, "-c", CONNECT, web.address, "8080"]
    assert succeeds(command), "kubelet's probes pass"


def test_a_policy_admits_its_peers_on_its_ports_alone(node: Place, pods: tuple[Small, Small, Small]) -> None:
    web, api, job = pods
    from_tools = {"from": [{"namespaceSelector": {"matchLabels": {"name": "k8s-dr"}}}], "ports": [{"port": "http"}]}
    admit = {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [from_tools]}
    enforce(node, pods, DENY, admit)
    assert job.reaches(web.address, 8080)
    assert not job.reaches(web.address, 9090)
    assert not job.reaches(api.address)
    assert not api.reaches(web.address), "it may not send"


def test_egress_to_the_node_needs_a_policy(node: Place, pods: tuple[Small, Small, Small]) -> None:
    web, api, _ = pods
    command = [*node.prefix, sys.executable, "-c", POD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening:
        try:
            assert listening.stdout is not None
            assert listening.stdout.readline() == "listens\n"
            to_node = {"to": [{"ipBlock": {"cidr": f"{GATEWAY}/32"}}], "ports": [{"port": 8080}]}
            enforce(
                node, pods, DENY, {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [to_node]}
            )
            assert web.reaches(GATEWAY)
            assert not web.reaches(GATEWAY, 9090)
            assert not api.reaches(GATEWAY)
        finally:
            listening.kill()


# The inhabitants


def test_the_api_server_accepts_every_inhabitant_without_a_warning(server: ApiServer) -> None:
    create(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inhabitants.PROGRAM_NAMESPACE}})
    for region in (PRIMARY, SECONDARY):
        for item in [*inhabitants.documents(region.aws_region), *inhabitants.around_the_program()]:
            answer = server.apply(item, dry_run=True)
            assert (answer.status in (200, 201), answer.warnings) == (True, ()), (
                f"{item['kind']} {item['metadata']['name']}: {answer}"
            )


def test_latecomers_are_taken_once_their_kind_is_served(server: ApiServer) -> None:
    server.define(inhabitants.kinds())
    for item in inhabitants.latecomers():
        create(server, item)


RUNNING = {
    "phase": "Running",
    "startTime": "2026-03-02T02:00:00Z",
    "conditions": [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-03-02T02:00:10Z"} for kind in ("ContainersReady", "Ready")
    ],
}


def test_kubernetes_own_autoscaler_decides_by_these_metrics(server: ApiServer, tmp_path: Path) -> None:
    checkout = [item for item in inhabitants.documents("us-east-1") if item["metadata"]["name"] == inhabitants.CHECKOUT]
    for item in checkout:
        create(server, item)
    (tmp_path / "kubeconfig").write_text(json.dumps(server.kubeconfig()))
    controllers = "deployment-controller,replicaset-controller,horizontal-pod-autoscaler-controller"
    command: list[str | Path] = [
        *server.place.prefix,
        tool("region", "kube-controller-manager"),
        f"--kubeconfig={tmp_path}/kubeconfig",
        f"--controllers={controllers}",
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--leader-elect=false",
        f"--cert-dir={tmp_path}",
    ]
    pods, query = "/api/v1/namespaces/production/pods", f"labelSelector=app%3D{inhabitants.CHECKOUT}"

    def run_all() -> int:
        """Say of each Pod that it runs, in the kubelet's place. Returns how many there are."""
        found = server.ask("GET", pods, query=query)[1]["items"]
        for item in found:
            if item["status"]["phase"] != "Running":
                path = f"{pods}/{item['metadata']['name']}/status"
                server.ask("PATCH", path, body={"status": RUNNING}, content="application/merge-patch+json")
        return len(found)

    with process(command, tmp_path / "controllers.log") as controllers_:
        until(
            "the Deployment's own two", lambda: alive(controllers_, tmp_path / "controllers.log") and run_all() == 2, timeout=60
        )
        until("four Pods, which share the load", lambda: run_all() == inhabitants.CHECKOUT_REPLICAS, timeout=60)
