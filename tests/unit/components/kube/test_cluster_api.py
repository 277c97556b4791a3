"""Questions to the region's own cluster: what it answers, and one clear line when it cannot be asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.cluster_api import ClusterUnreachableError, LiveCluster
from settings.cluster import Cluster

IMAGE = "registry.k8s.io/kubectl:v1.37.2"


def cluster(kubeconfig: Path, context: str = "prod") -> LiveCluster:
    return LiveCluster(Cluster(context=context, name="prod-usw2", distribution="eks", kubeconfig=str(kubeconfig)), IMAGE)


def write_kubeconfig(path: Path, server: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "none"}}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def error_of(asked: LiveCluster) -> str:
    with pytest.raises(ClusterUnreachableError) as caught:
        asked.read_record("serving")
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    told = error_of(cluster(tmp_path / "nowhere"))
    assert told.startswith(f"k8s-dr:cluster.context: prod cannot be used from {tmp_path / 'nowhere'}: ")


def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    told = error_of(cluster(kubeconfig, context="prod-usw2"))
    assert told.startswith(f"k8s-dr:cluster.context: prod-usw2 cannot be used from {kubeconfig}: ")


def test_a_kubeconfig_that_is_not_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{ clusters: [")
    told = error_of(cluster(tmp_path / "kubeconfig"))
    assert told.startswith(f"k8s-dr:cluster.context: prod cannot be used from {tmp_path / 'kubeconfig'}: ")


def test_the_kubeconfig_that_kubectl_uses_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    told = error_of(LiveCluster(Cluster(context="prod", name="prod-usw2", distribution="eks"), IMAGE))
    assert told.startswith("k8s-dr:cluster.context: prod cannot be used from the kubeconfig that kubectl uses: ")


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = error_of(cluster(write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")))
    assert told.startswith("cluster prod-usw2 does not answer: ")


def test_a_cluster_that_hangs_up_is_not_asked_again_and_again(tmp_path: Path) -> None:
    calls = 0

    def hang_up(listener: socket.socket) -> None:
        nonlocal calls
        with suppress(OSError):  # until the listener is closed
            while True:
                listener.accept()[0].close()
                calls += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=[listener])
        thread.start()
        asked = cluster(write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{listener.getsockname()[1]}"))
        assert error_of(asked).startswith("cluster prod-usw2 does not answer: ")
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert calls == 1


class Api(BaseHTTPRequestHandler):
    """Stands for an API server: the test says what each path answers, and reads what was sent."""

    answers: dict[tuple[str, str], tuple[int, Any]]
    requests: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.requests.append((self.command, self.path, body))
        status, content = self.answers.get((self.command, self.path.partition("?")[0]), (404, {"reason": "NotFound"}))
        if isinstance(content, list):  # one answer after the other, and the last one for ever
            content = content.pop(0) if len(content) > 1 else content[0]
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def api() -> Iterator[tuple[type[Api], str]]:
    handler = type("ThisApi", (Api,), {"answers": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def live(api: tuple[type[Api], str], tmp_path: Path) -> LiveCluster:
    return cluster(write_kubeconfig(tmp_path / "kubeconfig", api[1]))


RECORD = "/api/v1/namespaces/k8s-dr/configmaps/attempts"
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"


def test_veleros_objects_are_listed_in_its_namespace_by_label(api: tuple[type[Api], str], live: LiveCluster) -> None:
    backup = {"metadata": {"name": "daily-1"}}
    api[0].answers["GET", BACKUPS] = 200, {"items": [backup]}
    assert live.list_velero("backups", "velero.io/schedule-name=daily") == [backup]
    assert api[0].requests[0][1].endswith("?labelSelector=velero.io%2Fschedule-name%3Ddaily")


def test_a_kind_that_the_cluster_does_not_know_is_none(live: LiveCluster) -> None:
    assert live.list_velero("backups") is None


def test_a_record_is_read_from_the_programs_namespace(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert live.read_record("attempts") is None
    api[0].answers["GET", RECORD] = 200, {"data": {"a": "2"}}
    assert live.read_record("attempts") == {"a": "2"}
    api[0].answers["GET", RECORD] = 200, {"metadata": {"name": "attempts"}}
    assert live.read_record("attempts") == {}


def test_a_record_is_changed_where_it_is_and_made_where_it_is_not(api: tuple[type[Api], str], live: LiveCluster) -> None:
    collection = RECORD.rpartition("/")[0]
    api[0].answers["POST", collection] = 201, {}
    live.write_record("attempts", {"a": "2"})
    assert [(method, path) for method, path, _ in api[0].requests] == [("PATCH", RECORD), ("POST", collection)]
    assert api[0].requests[1][2]["data"] == {"a": "2"}
    assert api[0].requests[1][2]["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}
    api[0].answers["PATCH", RECORD] = 200, {}
    live.write_record("attempts", {"a": "3"})
    assert len(api[0].requests) == 3


def test_a_refusal_names_the_cluster_and_the_reason(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["GET", RECORD] = 403, {"reason": "Forbidden"}
    with pytest.raises(ClusterUnreachableError, match=r"^cluster prod-usw2 refused: 403 Forbidden$"):
        live.read_record("attempts")


def test_a_cluster_is_asked_once_for_each_question(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["GET", RECORD] = 500, {"reason": "InternalError"}
    with pytest.raises(ClusterUnreachableError):
        live.read_record("attempts")
    assert len(api[0].requests) == 1


GROUP, DATABASE = "/apis/postgresql.cnpg.io/v1", "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters/app-database"
PODS, POD = "/api/v1/namespaces/k8s-dr/pods", "/api/v1/namespaces/k8s-dr/pods/primary-answers-x"


def test_an_operator_is_there_where_its_group_is_served(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert not live.serves("postgresql.cnpg.io")
    api[0].answers["GET", GROUP] = 200, {"groupVersion": "postgresql.cnpg.io/v1", "resources": []}
    assert live.serves("postgresql.cnpg.io")


def test_a_database_is_read_whole_and_is_none_where_it_is_not(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert live.read_database("databases", "app-database") is None
    api[0].answers["GET", DATABASE] = 200, {"status": {"phase": "Cluster in healthy state"}}
    assert live.read_database("databases", "app-database") == {"status": {"phase": "Cluster in healthy state"}}


def phases(api: tuple[type[Api], str], *each: str, message: str | None = None) -> None:
    """The Pod that asks is in one phase after the other; `message` is what its container said when it failed."""
    made = {"metadata": {"name": "primary-answers-x"}}
    container = {"name": "ask", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    ended = {"terminated": {"exitCode": 1, **({"message": message} if message is not None else {})}}
    statuses = {"Failed": {"containerStatuses": [{**container, "state": ended}]}}
    api[0].answers["POST", PODS] = 201, made
    api[0].answers["GET", POD] = 200, [{**made, "status": {"phase": phase, **statuses.get(phase, {})}} for phase in each]
    api[0].answers["DELETE", POD] = 200, made


@pytest.mark.parametrize(("phase", "reached"), [("Succeeded", True), ("Failed", False)])
def test_another_region_is_asked_by_a_pod_that_is_gone_afterwards(
    api: tuple[type[Api], str], live: LiveCluster, phase: str, reached: bool
) -> None:
    phases(api, "Pending", "Running", phase)
    assert live.reaches("https://app.example.com:8443/healthz?full=1") is reached
    methods = [method for method, _, _ in api[0].requests]
    assert methods == ["POST", "GET", "GET", "GET", "DELETE"]
    assert api[0].requests[-1][1].endswith("?gracePeriodSeconds=0")
    pod = api[0].requests[0][2]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["get", "--raw=/healthz?full=1", "--server=https://app.example.com:8443"]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError", "or its message would be empty"
    assert pod["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}


LIVING = [
    "Error from server (NotFound): the server could not find the requested resource",
    "Error from server (Forbidden): unknown",
    "error: You must be logged in to the server (Unauthorized)",
    "Error from server (TooManyRequests): the server has received too many requests and has asked us to try again later",
]
DEAD = [
    "The connection to the server app.example.com was refused - did you specify the right host or port?",
    "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: connection refused",
    "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    "Error from server (InternalError): an error on the server has prevented the request from succeeding",
    "",
    None,
]


@pytest.mark.parametrize(("message", "reached"), [*((each, True) for each in LIVING), *((each, False) for each in DEAD)])
def test_a_refusal_is_an_answer_too_and_an_error_of_the_servers_own_or_silence_is_none(
    api: tuple[type[Api], str], live: LiveCluster, message: str | None, reached: bool
) -> None:
    phases(api, "Failed", message=message)
    assert live.reaches("https://app.example.com/") is reached


def test_a_pod_that_was_evicted_before_it_asked_reached_nobody(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Failed")
    evicted = {"metadata": {"name": "primary-answers-x"}, "status": {"phase": "Failed", "reason": "Evicted"}}
    api[0].answers["GET", POD] = 200, evicted
    assert live.reaches("https://app.example.com/") is False


def test_a_url_without_a_path_is_asked_for_its_root(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Succeeded")
    assert live.reaches("http://app.example.com")
    (container,) = api[0].requests[0][2]["spec"]["containers"]
    assert container["args"][1:3] == ["--raw=/", "--server=http://app.example.com"]


def test_a_pod_that_never_starts_knows_nothing_and_is_not_left_behind(
    api: tuple[type[Api], str], live: LiveCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.kube.cluster_api._PROBE_SECONDS", 0.3)
    phases(api, "Pending")
    assert live.reaches("https://app.example.com/") is None
    assert api[0].requests[-1][0] == "DELETE"


def test_a_pod_that_somebody_deletes_knows_nothing(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["POST", PODS] = 201, {"metadata": {"name": "primary-answers-x"}}
    assert live.reaches("https://app.example.com/") is None


def test_without_a_namespace_to_ask_from_nothing_is_known(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert live.reaches("https://app.example.com/") is None
    assert [method for method, _, _ in api[0].requests] == ["POST"]
