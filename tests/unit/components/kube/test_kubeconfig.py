"""A client from a kubeconfig with certificates in it: it keeps them in memory, and no file of them stays on the disk."""

from __future__ import annotations

import base64
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from components.kube.cluster_api import ClusterUnreachableError, LiveCluster
from components.kube.kubeconfig import client_from
from lab.regions import pki
from lab.regions.spec import PRIMARY, SECONDARY
from lab.standins.kubernetes_provider.cluster import Cluster, connect
from settings.cluster import Cluster as ClusterSettings


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    pki.ensure(directory / "own", PRIMARY)
    pki.ensure(directory / "other", SECONDARY)
    return directory


class Api(BaseHTTPRequestHandler):
    """Answers every question with its caller's name, and ends each connection: the next question needs another handshake."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        certificate: Any = self.connection.getpeercert()
        data = b'{"data": {"caller": "%s"}}' % dict(field for (field,) in certificate["subject"])["commonName"].encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(keys: Path) -> Iterator[str]:
    """The address of an API server that wants a client certificate of its own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(keys / "own" / "api.crt", keys / "own" / "api.key")
    context.load_verify_locations(keys / "own" / "ca.crt")
    served = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    served.socket = context.wrap_socket(served.socket, server_side=True)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary directory, of this test alone. The library does not know the files of earlier tests."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr("kubernetes.config.kube_config._temp_files", {})
    return directory


def kubeconfig(server: str, keys: Path, *, authority: str = "own") -> dict[str, Any]:
    """A kubeconfig with everything in it. `authority` is whose servers it trusts."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {"client-certificate-data": data(keys / "own" / "admin.crt"), "client-key-data": data(keys / "own" / "admin.key")}
    trust = {"certificate-authority-data": data(keys / authority / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **trust}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    }


def live(file: Path, content: dict[str, Any]) -> LiveCluster:
    file.write_text(yaml.safe_dump(content))
    return LiveCluster(ClusterSettings(context="prod", name="prod-usw2", distribution="eks", kubeconfig=str(file)), "image")


def test_the_program_asks_with_its_certificate_again_and_again_and_leaves_no_file(
    server: str, keys: Path, temporary: Path, tmp_path: Path
) -> None:
    cluster = live(tmp_path / "kubeconfig", kubeconfig(server, keys))
    for _ in range(2):
        assert cluster.read_record("serving") == {"caller": "admin"}
        assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("form", [yaml.safe_dump, None], ids=["content", "path"])
def test_the_stand_in_for_the_provider_leaves_no_file_either(
    server: str, keys: Path, temporary: Path, tmp_path: Path, form: Callable[[Any], str] | None
) -> None:
    content = kubeconfig(server, keys)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    Cluster(connect(form(content) if form else str(tmp_path / "kubeconfig"), "prod"))
    assert [*temporary.iterdir()] == []


def test_another_authoritys_server_is_not_trusted(server: str, keys: Path, temporary: Path, tmp_path: Path) -> None:
    cluster = live(tmp_path / "kubeconfig", kubeconfig(server, keys, authority="other"))
    with pytest.raises(ClusterUnreachableError, match=r"^cluster prod-usw2 does not answer: .*certificate verify failed"):
        cluster.read_record("serving")
    assert [*temporary.iterdir()] == []


def test_a_server_with_a_certificate_of_another_name_is_not_trusted(
    server: str, keys: Path, temporary: Path, tmp_path: Path
) -> None:
    content = kubeconfig(server, keys)
    content["clusters"][0]["cluster"]["tls-server-name"] = "api.example.com"
    with pytest.raises(ClusterUnreachableError, match=r"^cluster prod-usw2 does not answer: .*certificate is not valid for"):
        live(tmp_path / "kubeconfig", content).read_record("serving")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_kubeconfig_may_say_to_trust_whoever_answers(server: str, keys: Path, temporary: Path, tmp_path: Path) -> None:
    content = kubeconfig(server, keys, authority="other")
    content["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    assert live(tmp_path / "kubeconfig", content).read_record("serving") == {"caller": "admin"}


def test_a_certificate_that_is_none_is_one_line_and_leaves_no_file(keys: Path, temporary: Path, tmp_path: Path) -> None:
    content = kubeconfig("https://127.0.0.1:1", keys)
    content["users"][0]["user"]["client-key-data"] = base64.b64encode(b"no key").decode()
    with pytest.raises(
        ClusterUnreachableError,
        match=r"^k8s-dr:cluster\.context: prod cannot be used from the file of k8s-dr:cluster.kubeconfig: ",
    ):
        live(tmp_path / "kubeconfig", content).read_record("serving")
    assert [*temporary.iterdir()] == []


def test_without_an_authority_the_systems_own_are_trusted(keys: Path, temporary: Path) -> None:
    content = kubeconfig("https://127.0.0.1:1", keys)
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    client = client_from(partial(kubernetes.config.load_kube_config_from_dict, content, "prod"))
    context = client.rest_client.pool_manager.connection_pool_kw["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    system = ssl.create_default_context().cert_store_stats()
    assert context.cert_store_stats() == system
