"""The steps' client of the Kubernetes API, against a small server that answers what a test tells it to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from components.kube.runner import api
from components.kube.runner.api import Api, ApiError
from lab.regions import pki
from lab.regions.spec import PRIMARY, SECONDARY

PATH = "/apis/apps/v1/namespaces/production/deployments"


@dataclass
class Told:
    """What the server answers, one entry a request, and what it was asked. `None` closes the connection without an answer."""

    answers: list[tuple[int, Any] | None] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def serving(told: Told, context: ssl.SSLContext | None = None) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            told.asked.append(
                {
                    "method": self.command,
                    "path": parts.path,
                    "query": {key: values[0] for key, values in parse_qs(parts.query).items()},
                    "body": json.loads(body) if body else None,
                    "content": self.headers["Content-Type"],
                    "authorization": self.headers["Authorization"],
                    "accept": self.headers["Accept"],
                }
            )
            answer = told.answers.pop(0)
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._answer)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def client(told: Told) -> Iterator[Api]:
    with serving(told) as port:
        yield Api(f"http://127.0.0.1:{port}", token=lambda: "of-this-pod", patience=5, pause=0)


def test_a_request_carries_the_token_of_its_account(told: Told, client: Api) -> None:
    told.answers = [(200, {"kind": "Deployment"})]
    assert client.get(f"{PATH}/web") == {"kind": "Deployment"}
    assert told.asked[0]["authorization"] == "Bearer of-this-pod"


def test_the_token_is_asked_anew_for_each_request_because_kubelet_renews_it(told: Told) -> None:
    tokens = iter(["first", "second"])
    told.answers = [(200, {}), (200, {})]
    with serving(told) as port:
        client = Api(f"http://127.0.0.1:{port}", token=lambda: next(tokens))
        client.get(PATH)
        client.get(PATH)
    assert [asked["authorization"] for asked in told.asked] == ["Bearer first", "Bearer second"]


def test_a_list_is_read_page_by_page_to_its_end(told: Told, client: Api) -> None:
    told.answers = [
        (200, {"items": [{"a": 1}], "metadata": {"continue": "more"}}),
        (200, {"items": [{"a": 2}], "metadata": {}}),
    ]
    assert client.list(PATH, "app=web") == [{"a": 1}, {"a": 2}]
    assert [asked["query"].get("continue") for asked in told.asked] == [None, "more"]
    assert {asked["query"]["labelSelector"] for asked in told.asked} == {"app=web"}


def test_a_list_whose_rest_has_expired_is_read_again_from_the_start(told: Told, client: Api) -> None:
    told.answers = [
        (200, {"items": [{"a": 1}], "metadata": {"continue": "more"}}),
        (410, {"message": "The provided continue parameter is too old"}),
        (200, {"items": [{"a": 1}, {"a": 2}], "metadata": {}}),
    ]
    assert client.list(PATH) == [{"a": 1}, {"a": 2}]


def test_a_list_of_a_kind_that_the_cluster_does_not_know_is_empty(told: Told, client: Api) -> None:
    told.answers = [(404, b"404 page not found\n")]
    assert client.list("/apis/keda.sh/v1alpha1/namespaces/production/scaledobjects") == []


def test_an_object_that_does_not_exist_is_none_where_that_is_asked(told: Told, client: Api) -> None:
    told.answers = [(404, {"message": "not found"})]
    assert client.find(f"{PATH}/web") is None


def test_a_patch_is_a_merge_patch_by_default_and_says_who_made_it(told: Told, client: Api) -> None:
    told.answers = [(200, {}), (200, {})]
    client.patch(f"{PATH}/web", {"spec": {"replicas": 3}})
    client.patch(f"{PATH}/web", [{"op": "test"}], "application/json-patch+json")
    assert [asked["content"] for asked in told.asked] == ["application/merge-patch+json", "application/json-patch+json"]
    assert told.asked[0]["body"] == {"spec": {"replicas": 3}}
    assert told.asked[0]["query"] == {"fieldManager": "k8s-dr"}


def test_an_object_is_created_by_a_post(told: Told, client: Api) -> None:
    told.answers = [(201, {"status": {"allowed": True}})]
    assert client.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}})["status"] == {"allowed": True}
    assert told.asked[0]["method"] == "POST"


def test_what_is_deleted_takes_with_it_what_it_owns(told: Told, client: Api) -> None:
    told.answers = [(200, {"kind": "Status"})]
    client.delete(f"{PATH}/web")
    assert (told.asked[0]["method"], told.asked[0]["path"]) == ("DELETE", f"{PATH}/web")
    assert told.asked[0]["body"]["propagationPolicy"] == "Background"


def test_to_delete_what_is_gone_is_as_good(told: Told, client: Api) -> None:
    told.answers = [(404, {"message": "not found"}), (403, {"message": "forbidden"})]
    client.delete(f"{PATH}/web")
    with pytest.raises(ApiError, match="forbidden"):
        client.delete(f"{PATH}/web")


def test_a_list_of_names_asks_for_no_contents(told: Told, client: Api) -> None:
    # A real API server writes null for no items here, and an empty list otherwise.
    told.answers = [(200, {"items": None, "metadata": {}}), (200, {"items": [], "metadata": {}})]
    assert client.list("/api/v1/namespaces/production/secrets", names_only=True) == []
    assert client.list("/api/v1/namespaces/production/secrets") == []
    assert told.asked[0]["accept"].startswith("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
    assert told.asked[1]["accept"] == "application/json"


def test_a_log_is_text_and_as_long_as_is_asked(told: Told, client: Api) -> None:
    told.answers = [(200, b"first\nlast\n"), (404, {"message": "container not found"})]
    assert client.log("k8s-dr-drills", "drill-1", "postgres", lines=20) == "first\nlast\n"
    assert told.asked[0]["query"] == {"container": "postgres", "tailLines": "20"}
    with pytest.raises(ApiError, match="container not found"):
        client.log("k8s-dr-drills", "drill-1", "postgres", lines=20)


def test_a_refusal_has_the_api_servers_own_words_and_is_not_repeated(told: Told, client: Api) -> None:
    told.answers = [(403, {"message": 'deployments.apps "web" is forbidden: exceeded quota'})]
    with pytest.raises(ApiError, match=r'"web" is forbidden: exceeded quota \(HTTP 403\)') as refused:
        client.get(f"{PATH}/web")
    assert refused.value.status == 403


@pytest.mark.parametrize("body", [b"<html>Bad  Gateway</html>", b"[]"])
def test_a_refusal_by_something_before_the_api_server_is_told_too(body: bytes, told: Told) -> None:
    told.answers = [(502, body)]
    with serving(told) as port, pytest.raises(ApiError, match=r"(<html>Bad Gateway</html>|\[\]) \(HTTP 502\)"):
        Api(f"http://127.0.0.1:{port}", token=str, patience=0).get(PATH)


@pytest.mark.parametrize("passing", [429, 500, 503, None])
def test_a_request_that_fails_in_passing_is_made_again(passing: int | None, told: Told, client: Api) -> None:
    told.answers = [passing and (passing, {"message": "etcdserver: leader changed"}), (200, {"kind": "Deployment"})]
    assert client.get(f"{PATH}/web") == {"kind": "Deployment"}
    assert len(told.asked) == 2


def test_the_wait_that_the_server_asks_for_counts_against_the_patience(told: Told) -> None:
    told.answers, told.headers = [(429, {"message": "too many requests"})], {"Retry-After": "3"}
    with serving(told) as port, pytest.raises(ApiError, match="too many requests"):
        Api(f"http://127.0.0.1:{port}", token=str, patience=2, pause=0).get(PATH)
    assert len(told.asked) == 1


def test_a_server_that_does_not_answer_at_all_is_an_error_that_says_so() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = Api(f"http://127.0.0.1:{nobody.getsockname()[1]}", token=str, patience=0)
        with pytest.raises(ApiError, match=r"the API server at 127\.0\.0\.1 does not answer: ") as failed:
            client.get(PATH)
    assert failed.value.status is None


def test_an_answer_that_is_no_json_is_an_error(told: Told, client: Api) -> None:
    told.answers = [(200, b"<html>Sign in</html>")]
    with pytest.raises(ApiError, match="not JSON"):
        client.get(PATH)


@pytest.fixture
def pod(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a Pod has: the files of its ServiceAccount, and the variables with the address of the API server."""
    pki.ensure(tmp_path, PRIMARY)
    (tmp_path / "token").write_text("mounted\n")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "api.crt", tmp_path / "api.key")
    monkeypatch.setattr(api, "_ACCOUNT", tmp_path)
    with serving(told, context) as port:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        yield tmp_path


def test_in_a_pod_address_authority_and_token_come_from_what_kubelet_mounts(told: Told, pod: Path) -> None:
    told.answers = [(200, {"kind": "Deployment"})]
    assert Api.in_cluster().get(f"{PATH}/web") == {"kind": "Deployment"}
    assert told.asked[0]["authorization"] == "Bearer mounted"


def test_a_server_whose_certificate_the_clusters_authority_did_not_sign_gets_no_token(told: Told, pod: Path) -> None:
    pki.ensure(pod / "other", SECONDARY)
    (pod / "ca.crt").write_bytes((pod / "other" / "ca.crt").read_bytes())
    client = Api.in_cluster()
    client._patience = 0
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(PATH)
    assert not told.asked


def test_a_server_that_takes_a_request_and_never_answers_is_given_up_in_the_time_that_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api(f"http://127.0.0.1:{silent.getsockname()[1]}", token=lambda: "token", patience=0, answer=0.3)
        began = time.monotonic()
        with pytest.raises(ApiError, match="does not answer: timed out"):
            api.get("/api/v1/namespaces/k8s-dr")
        assert time.monotonic() - began < 5
