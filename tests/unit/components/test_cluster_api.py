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

from components.cluster_api import ClusterUnreachableError, LiveCluster
from settings.model import Cluster


def cluster(kubeconfig: Path, context: str = "prod") -> LiveCluster:
    return LiveCluster(Cluster(context=context, name="prod-usw2", distribution="eks", kubeconfig=str(kubeconfig)))


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
    told = error_of(LiveCluster(Cluster(context="prod", name="prod-usw2", distribution="eks")))
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

    answers: dict[tuple[str, str], tuple[int, dict[str, Any]]]
    requests: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.requests.append((self.command, self.path, body))
        status, content = self.answers.get((self.command, self.path.partition("?")[0]), (404, {"reason": "NotFound"}))
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names that http.server calls

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
