"""Questions to the region's own cluster: what it answers, and one clear line when it cannot be asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.cluster_api import ClusterUnreachableError, LiveCluster, NotAskedError
from components.kube.pods import Runner, runner_code_name, runner_pod
from components.kube.runner.ask import MOST, Answer, Question
from settings.cluster import Cluster
from tests.ports import refusing_port

IMAGE = "registry.example.com/python:3"


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


def error_of(asked: LiveCluster) -> str:
    with pytest.raises(ClusterUnreachableError) as caught:
        asked.read_record("serving")
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    told = error_of(cluster(tmp_path / "nowhere"))
    assert told.startswith("k8s-dr:cluster.context: prod cannot be used from the file of k8s-dr:cluster.kubeconfig: ")
    assert "nowhere" not in told, "what is written there by mistake may be a kubeconfig's contents"


def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    told = error_of(cluster(kubeconfig, context="prod-usw2"))
    assert told.startswith("k8s-dr:cluster.context: prod-usw2 cannot be used from the file of k8s-dr:cluster.kubeconfig: ")
    assert str(kubeconfig) not in told


def test_a_kubeconfig_that_is_not_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{ clusters: [hunter2")
    told = error_of(cluster(tmp_path / "kubeconfig"))
    assert "hunter2" not in told
    assert told.startswith("k8s-dr:cluster.context: prod cannot be used from the file of k8s-dr:cluster.kubeconfig: ")


def test_the_kubeconfig_that_kubectl_uses_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    told = error_of(LiveCluster(Cluster(context="prod", name="prod-usw2", distribution="eks"), IMAGE))
    assert told.startswith("k8s-dr:cluster.context: prod cannot be used from the kubeconfig that kubectl uses: ")


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = error_of(cluster(write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{refusing_port()}")))
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


def test_a_refusal_comes_with_the_api_servers_own_text(api: tuple[type[Api], str], live: LiveCluster) -> None:
    deployed(api)
    said = 'pods "primary-answers-x" is forbidden: exceeded quota: small, requested: limits.memory=256Mi'
    api[0].answers["POST", PODS] = 403, {"kind": "Status", "reason": "Forbidden", "message": said}
    assert not_asked(live) == f"cluster prod-usw2 refused: 403 {said}"


def test_a_cluster_is_asked_once_for_each_question(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["GET", RECORD] = 500, {"reason": "InternalError"}
    with pytest.raises(ClusterUnreachableError):
        live.read_record("attempts")
    assert len(api[0].requests) == 1


GROUP, DATABASE = "/apis/postgresql.cnpg.io/v1", "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters/app-database"
CONFIG_MAPS = "/api/v1/namespaces/k8s-dr/configmaps"
PODS, POD = "/api/v1/namespaces/k8s-dr/pods", "/api/v1/namespaces/k8s-dr/pods/primary-answers-x"


def test_an_operator_is_there_where_its_group_is_served(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert not live.serves("postgresql.cnpg.io")
    api[0].answers["GET", GROUP] = 200, {"groupVersion": "postgresql.cnpg.io/v1", "resources": []}
    assert live.serves("postgresql.cnpg.io")


def test_a_database_is_read_whole_and_is_none_where_it_is_not(api: tuple[type[Api], str], live: LiveCluster) -> None:
    assert live.read_database("databases", "app-database") is None
    api[0].answers["GET", DATABASE] = 200, {"status": {"phase": "Cluster in healthy state"}}
    assert live.read_database("databases", "app-database") == {"status": {"phase": "Cluster in healthy state"}}


def deployed(api: tuple[type[Api], str], *names: str) -> None:
    """The runner's ConfigMaps in the program's namespace, by name and the oldest first; by default, that of this version."""
    made = [
        {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{number}T00:00:00Z"}}
        for number, name in enumerate(names or (runner_code_name(),), 1)
    ]
    api[0].answers["GET", CONFIG_MAPS] = 200, {"items": made[::-1]}


def phases(api: tuple[type[Api], str], *each: str, message: str | None = None, **status: Any) -> None:
    """The Pod that asks is in one phase after the other; `message` is what its container said at its end."""
    deployed(api)
    made = {"metadata": {"name": "primary-answers-x"}}
    container = {"name": "ask", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    ended = {"terminated": {"exitCode": 0, **({"message": message} if message is not None else {})}}
    ends = {phase: {"containerStatuses": [{**container, "state": ended}]} for phase in ("Succeeded", "Failed")}
    api[0].answers["POST", PODS] = 201, made
    api[0].answers["GET", POD] = 200, [{**made, "status": {"phase": phase, **ends.get(phase, {}), **status}} for phase in each]
    api[0].answers["DELETE", POD] = 200, made


QUESTION = Question(url="https://app.example.com:8443/healthz?full=1")


def result(*statuses: int | None) -> str:
    """What the runner's step `ask` prints."""
    return json.dumps([{"status": status, "said": ""} for status in statuses])


def not_asked(live: LiveCluster, *, passing: bool = False) -> str:
    with pytest.raises(NotAskedError) as caught:
        live.ask("primary-answers", [QUESTION])
    assert "\n" not in str(caught.value)
    assert caught.value.passing is passing
    return str(caught.value)


def test_servers_are_asked_by_a_pod_that_is_gone_afterwards(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Pending", "Running", "Succeeded", message=result(200, None))
    answers = live.ask("primary-answers", [QUESTION, QUESTION])
    assert [answer.status for answer in answers] == [200, None]
    methods = [method for method, _, _ in api[0].requests]
    assert methods == ["GET", "POST", "GET", "GET", "GET", "DELETE"]
    assert api[0].requests[-1][1].endswith("?gracePeriodSeconds=0")


def test_the_pod_that_asks_is_the_one_that_the_jobs_have(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Succeeded", message=result(200))
    live.ask("primary-answers", [QUESTION])
    pod = api[0].requests[1][2]
    task = {"questions": [{"url": QUESTION.url, "host": None, "verify": False, "seconds": 3.0}]}
    template = runner_pod(Runner(image=IMAGE, code=runner_code_name()), "ask", task)
    assert pod == {"metadata": {"generateName": "primary-answers-", **template["metadata"]}, "spec": template["spec"]}


def test_the_pod_runs_the_modules_that_are_deployed(api: tuple[type[Api], str], live: LiveCluster) -> None:
    def code(*there: str) -> str:
        api[0].requests.clear()
        phases(api, "Succeeded", message=result(200))
        deployed(api, *there)
        live.ask("primary-answers", [QUESTION])
        assert api[0].requests[0][1] == f"{CONFIG_MAPS}?labelSelector=app.kubernetes.io%2Fcomponent%3Drunner"
        (volume,) = api[0].requests[1][2]["spec"]["volumes"]
        return str(volume["configMap"]["name"])

    assert code(runner_code_name(), "runner-newer") == runner_code_name()
    assert code("runner-older", "runner-newer") == "runner-newer", "an up with --target has not deployed this version"


def test_without_modules_to_run_nothing_is_asked_and_the_fix_is_told(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["GET", CONFIG_MAPS] = 200, {"items": []}
    assert not_asked(live).startswith(
        "namespace k8s-dr of cluster prod-usw2 has no ConfigMap with label app.kubernetes.io/component=runner, "
    )
    assert [method for method, _, _ in api[0].requests] == ["GET"]


def test_a_pod_that_failed_knows_nothing_and_its_last_words_are_told(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Failed", message="ask is not a step of this version of the runner: dance\n")
    assert not_asked(live) == "Pod primary-answers-x ended Failed: ask is not a step of this version of the runner: dance"


@pytest.mark.parametrize("message", ["[]", "{}", '"text"', "HTTP 200 OK", "[{}]", '[{"status": 1, "said": ""}, {}]'])
def test_a_pod_that_says_something_else_knows_nothing(api: tuple[type[Api], str], live: LiveCluster, message: str) -> None:
    phases(api, "Succeeded", message=message)
    assert not_asked(live) == f"Pod primary-answers-x ended Succeeded: {message}"


def test_a_pod_that_was_evicted_before_it_asked_knows_nothing(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Failed")
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    api[0].answers["GET", POD] = 200, {"metadata": {"name": "primary-answers-x"}, "status": evicted}
    assert not_asked(live, passing=True) == "Pod primary-answers-x ended Failed: The node was low on resource: memory."


WAITS = [
    (
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are free"}]},
        " (Unschedulable: 0/3 nodes are free)",
    ),
    (
        {
            "containerStatuses": [
                {
                    "name": "ask",
                    "image": IMAGE,
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}},
                }
            ]
        },
        " (ErrImagePull: no such image)",
    ),
    ({}, ""),
]


@pytest.mark.parametrize(("status", "told"), WAITS, ids=["no node", "no image", "nothing said"])
def test_a_pod_that_never_starts_knows_nothing_says_why_and_is_not_left_behind(
    api: tuple[type[Api], str], live: LiveCluster, monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr("components.kube.cluster_api._PROBE_SECONDS", 0.3)
    phases(api, "Pending", **status)
    assert not_asked(live, passing=True) == f"Pod primary-answers-x is Pending after 0.3 s{told}"
    assert api[0].requests[-1][0] == "DELETE"


def test_a_pod_that_somebody_deletes_knows_nothing(api: tuple[type[Api], str], live: LiveCluster) -> None:
    deployed(api)
    api[0].answers["POST", PODS] = 201, {"metadata": {"name": "primary-answers-x"}}
    assert not_asked(live, passing=True) == "somebody deleted Pod primary-answers-x"


def test_without_a_namespace_to_ask_from_nothing_is_known(api: tuple[type[Api], str], live: LiveCluster) -> None:
    deployed(api)
    assert not_asked(live) == "namespace k8s-dr of cluster prod-usw2 is gone"


def test_more_questions_than_one_pod_answers_are_asked_by_several(api: tuple[type[Api], str], live: LiveCluster) -> None:
    phases(api, "Succeeded", message=result(*[200] * MOST))
    assert len(live.ask("workloads-answer", [QUESTION] * MOST * 2)) == MOST * 2
    assert [method for method, _, _ in api[0].requests].count("POST") == 2


WEBHOOK = 'Internal error occurred: failed calling webhook "mcluster.cnpg.io": connection refused'


def test_a_promotion_is_tried_as_a_dry_run_and_the_webhooks_own_words_come_back(
    api: tuple[type[Api], str], live: LiveCluster
) -> None:
    api[0].answers["PATCH", DATABASE] = 200, {}
    assert live.refuses_promotion("databases", "app-database", "app-database-secondary") is None
    method, path, body = api[0].requests[0]
    assert (method, path) == ("PATCH", f"{DATABASE}?dryRun=All")
    assert body == {"spec": {"replica": {"primary": "app-database-secondary"}}}
    api[0].answers["PATCH", DATABASE] = 500, {"reason": "InternalError", "message": WEBHOOK}
    refused = live.refuses_promotion("databases", "app-database", "app-database-secondary")
    assert refused == f"cluster prod-usw2 refused: 500 {WEBHOOK}"


def test_a_cluster_that_would_be_made_is_tried_as_a_dry_run_too(api: tuple[type[Api], str], live: LiveCluster) -> None:
    clusters, body = DATABASE.rpartition("/")[0], {"metadata": {"namespace": "databases", "name": "app-database"}}
    api[0].answers["POST", clusters] = 201, {}
    assert live.refuses_database(body) is None
    assert api[0].requests[0][:2] == ("POST", f"{clusters}?dryRun=All")
    api[0].answers["POST", clusters] = 403, {"reason": "Forbidden", "message": "clusters is forbidden: User cannot create"}
    assert live.refuses_database(body) == "cluster prod-usw2 refused: 403 clusters is forbidden: User cannot create"


def test_any_object_is_tried_as_a_dry_run_and_a_namespace_that_is_not_there_refuses_none(
    api: tuple[type[Api], str], live: LiveCluster
) -> None:
    jobs, body = "/apis/batch/v1/namespaces/databases/jobs", {"kind": "Job", "metadata": {"generateName": "confirm-"}}
    assert live.refuses(jobs, body) is None
    assert api[0].requests == [("POST", f"{jobs}?dryRun=All", body)]
    for status, said, refused in (
        (403, "exceeded quota: small", "cluster prod-usw2 refused: 403 exceeded quota: small"),
        (400, "admission webhook policy.example.com does not support dry run", None),
        (201, "made", None),
    ):
        api[0].answers["POST", jobs] = status, {"kind": "Status", "reason": "Forbidden", "message": said}
        assert live.refuses(jobs, body) == refused


@pytest.mark.parametrize(
    "said",
    ['clusters "app-database" already exists', "admission webhook policy.example.com does not support dry run: BadRequest"],
)
def test_what_does_not_speak_against_the_change_itself_is_no_refusal(
    api: tuple[type[Api], str], live: LiveCluster, said: str
) -> None:
    api[0].answers["PATCH", DATABASE] = 400, {"reason": "BadRequest", "message": said}
    assert live.refuses_promotion("databases", "app-database", "app-database-secondary") is None


def test_a_cluster_that_does_not_answer_is_no_refusal_of_the_change(live: LiveCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("kubernetes.client.CustomObjectsApi.patch_namespaced_custom_object", silent)
    with pytest.raises(ClusterUnreachableError, match="does not answer: no route to host"):
        live.refuses_promotion("databases", "app-database", "app-database-secondary")


PROXIED = "/api/v1/namespaces/production/services/http:web:80/proxy/healthz"


def test_a_service_is_asked_through_the_api_server(api: tuple[type[Api], str], live: LiveCluster) -> None:
    api[0].answers["GET", PROXIED] = 200, {"ok": True}
    assert live.proxied(PROXIED) == Answer(status=200, said="HTTP 200")
    said = 'no endpoints available for service "http:web:80"'
    api[0].answers["GET", PROXIED] = 503, {"reason": "ServiceUnavailable", "message": said}
    assert live.proxied(PROXIED) == Answer(status=503, said=f"{said} (HTTP 503)")


def test_an_object_of_any_kind_is_changed_made_and_deleted_by_its_path(api: tuple[type[Api], str], live: LiveCluster) -> None:
    handler, _ = api
    claims = "/api/v1/namespaces/shop/persistentvolumeclaims"
    handler.answers[("PATCH", f"{claims}/files")] = (200, {"metadata": {"name": "files"}})
    handler.answers[("POST", claims)] = (201, {"metadata": {"name": "kept"}})
    handler.answers[("DELETE", f"{claims}/files")] = (202, {"status": "Success"})
    assert live.patch(f"{claims}/files", {"metadata": {"labels": {"a": None}}}) == {"metadata": {"name": "files"}}
    assert live.create(claims, {"metadata": {"name": "kept"}}) == {"metadata": {"name": "kept"}}
    live.delete(f"{claims}/files", "a-uid")
    assert handler.requests == [
        ("PATCH", f"{claims}/files", {"metadata": {"labels": {"a": None}}}),
        ("POST", claims, {"metadata": {"name": "kept"}}),
        ("DELETE", f"{claims}/files", {"preconditions": {"uid": "a-uid"}, "propagationPolicy": "Background"}),
    ]


def test_what_is_gone_already_is_neither_changed_nor_an_error_to_delete(live: LiveCluster) -> None:
    assert live.patch("/api/v1/persistentvolumes/gone", {}) is None
    live.delete("/api/v1/persistentvolumes/gone", "a-uid")


def test_the_clock_is_the_api_servers_and_the_next_question_comes_by_the_same_connection(
    tmp_path: Path, api: tuple[type[Api], str]
) -> None:
    handler, url = api
    handler.protocol_version = "HTTP/1.1"
    handler.answers["GET", "/version"] = (200, {"major": "1"})
    handler.answers["GET", "/api/v1/namespaces/k8s-dr/configmaps/serving"] = (200, {"data": {"region": "us-west-2"}})
    live = cluster(write_kubeconfig(tmp_path / "kubeconfig", url))
    for _ in range(2):
        said = live.clock()
        assert said is not None
        assert abs(said - datetime.now(UTC)) < timedelta(seconds=30)
        assert live.read_record("serving") == {"region": "us-west-2"}


def test_a_server_that_tells_no_time_or_refuses_to_is_no_error(tmp_path: Path, api: tuple[type[Api], str]) -> None:
    handler, url = api
    live = cluster(write_kubeconfig(tmp_path / "kubeconfig", url))
    assert live.clock() is None, "404"
    handler.answers["GET", "/version"] = (403, {"message": "forbidden"})
    assert live.clock() is None
    handler.answers["GET", "/version"] = (200, {})
    handler.date_time_string = lambda *_: "no time"  # type: ignore[method-assign,assignment]
    assert live.clock() is None


@pytest.mark.parametrize("zone", ["", " -0000", " GMT", " +0000"])
def test_a_time_without_a_zone_is_of_utc(zone: str, tmp_path: Path, api: tuple[type[Api], str]) -> None:
    """Compared with this machine's as it is, it would be an error, and the gate would not open for it."""
    handler, url = api
    handler.answers["GET", "/version"] = (200, {})
    handler.date_time_string = lambda *_: f"Sun, 01 Mar 2026 12:00:00{zone}"  # type: ignore[method-assign,assignment]
    said = cluster(write_kubeconfig(tmp_path / "kubeconfig", url)).clock()
    assert said == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_service_that_answers_with_a_page_does_not_spoil_the_next_question(tmp_path: Path, api: tuple[type[Api], str]) -> None:
    handler, url = api
    handler.protocol_version = "HTTP/1.1"
    handler.answers["GET", PROXIED] = (200, "a page" * 100_000)
    handler.answers["GET", "/api/v1/namespaces/k8s-dr/configmaps/serving"] = (200, {"data": {}})
    live = cluster(write_kubeconfig(tmp_path / "kubeconfig", url))
    assert live.proxied(PROXIED).status == 200
    assert live.read_record("serving") == {}
