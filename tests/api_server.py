"""A real API server on loopback, with only an etcd behind it. It validates, admits and stores objects, and it runs no pod."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from lab.waiting import until
from tests.isolation import Place
from tests.ports import free_port
from tests.reaper import watched

TOKEN = "of-this-test-alone"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The API server's answer about one object: the HTTP status, the warnings, and a message or the object itself."""

    status: int
    warnings: tuple[str, ...]
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.status} {self.body.get('message', '')} {' '.join(self.warnings)}".strip()


class ApiServer:
    """A client of the API server. It applies objects as the provider does: server-side, with strict field validation."""

    def __init__(self, port: int, certificate: Path, place: Place, *, store: str) -> None:
        """`store` is the URL of the server's etcd."""
        self.url, self.store = f"https://127.0.0.1:{port}", store
        self.certificate, self.place = certificate, place
        self._http = urllib3.PoolManager(ca_certs=str(certificate), headers=AUTHORIZED, retries=False, maxsize=16)
        self._http.pool_classes_by_scheme = {"https": pool_at(place)}
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def ready(self) -> bool:
        return self._http.request("GET", f"{self.url}/readyz", timeout=2).status == 200

    def apply(self, item: dict[str, Any], *, dry_run: bool = False) -> Answer:
        options = "fieldManager=pulumi&fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        answer = self._http.request(
            "PATCH",
            f"{self.url}{self._path(item)}?{options}",
            body=json.dumps(item),
            headers={**AUTHORIZED, "Content-Type": "application/apply-patch+yaml"},
            timeout=20,
        )
        return Answer(
            status=answer.status, warnings=tuple(answer.headers.getlist("Warning")), body=json.loads(answer.data or b"{}")
        )

    def ensure(self, item: dict[str, Any]) -> None:
        """Apply an object that a test needs. A server under load, or one whose caches are behind, may refuse it for a moment."""

        def taken() -> bool:
            answer = self.apply(item)
            assert answer.status in (200, 201), answer
            return True

        until(f"{item['kind']} {item['metadata']['name']} to be taken", taken, timeout=60)

    def read(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """The object as it is stored; None if the object or its kind does not exist."""
        answer = self._http.request("GET", f"{self.url}{self._path(item)}", timeout=20)
        assert answer.status in (200, 404), answer.data
        return dict(json.loads(answer.data)) if answer.status == 200 else None

    def delete(self, item: dict[str, Any]) -> None:
        """Delete the object. It need not exist."""
        answer = self._http.request("DELETE", f"{self.url}{self._path(item)}", timeout=20)
        assert answer.status in (200, 404), answer.data

    def ask(
        self, method: str, path: str, *, body: Any = None, content: str = "application/json", query: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Send any request; returns the HTTP status and the object of the answer."""
        answer = self._http.request(
            method,
            f"{self.url}{path}?{query}",
            body=None if body is None else json.dumps(body),
            headers={**AUTHORIZED, "Content-Type": content},
            timeout=20,
        )
        if "json" not in answer.headers.get("Content-Type", ""):
            return answer.status, {"message": answer.data.decode(errors="replace")}  # the server does not know the path
        return answer.status, dict(json.loads(answer.data))

    def watch(self, path: str, version: str, *, seconds: int) -> Iterator[dict[str, Any]]:
        """Events of the objects at `path` after this resource version, for at most `seconds`."""
        query = f"watch=true&resourceVersion={version}&timeoutSeconds={seconds}"
        url, timeout = f"{self.url}{path}?{query}", urllib3.Timeout(connect=5, read=seconds + 5)
        with self._http.request("GET", url, preload_content=False, timeout=timeout) as answer:
            rest = b""
            for piece in answer.stream(None) if answer.status == 200 else ():
                *lines, rest = (rest + piece).split(b"\n")
                yield from map(json.loads, lines)

    def define(self, crds: Sequence[dict[str, Any]]) -> None:
        """Install CustomResourceDefinitions, and wait until their kinds are served."""
        for crd in crds:
            self.ensure({key: value for key, value in crd.items() if key != "status"})
        for crd in crds:
            group, names = crd["spec"]["group"], crd["spec"]["names"]
            version = f"{group}/{crd['spec']['versions'][0]['name']}"
            # The kind may have been defined before, removed, and be on its way back: what was known of it says nothing.
            self._resources.pop((version, names["kind"]), None)
            until(f"{names['kind']} to be served", partial(self._serves, version, names), timeout=30)

    def _serves(self, version: str, names: dict[str, Any]) -> bool:
        """Whether the server lists the kind among its kinds and answers for it."""
        with suppress(KeyError):
            return bool(self.resource(version, names["kind"])) and self.ask("GET", f"/apis/{version}/{names['plural']}")[0] == 200
        return False

    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig that reaches this server with every right."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.certificate)}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
        }

    def allowed(self, user: str, verb: str, what: str) -> bool:
        """Whether `user` may do `verb` on `what` in every namespace. `what` is group/resource or group/resource/subresource."""
        group, resource, *subresource = what.split("/")
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": "".join(subresource)}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        url = f"{self.url}/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = self._http.request("POST", url, body=json.dumps(review), headers=AUTHORIZED, timeout=20)
        assert answer.status == 201, answer.data
        return bool(json.loads(answer.data)["status"]["allowed"])

    def _path(self, item: dict[str, Any]) -> str:
        version, kind = item["apiVersion"], item["kind"]
        plural, namespaced = self.resource(version, kind)
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        namespace = f"/namespaces/{item['metadata'].get('namespace', 'default')}" if namespaced else ""
        return f"{root}{namespace}/{plural}/{item['metadata']['name']}"

    def resource(self, version: str, kind: str) -> tuple[str, bool]:
        """A kind's plural, and whether it is namespaced. The server itself says so."""
        if (version, kind) not in self._resources:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            listed = json.loads(self._http.request("GET", f"{self.url}{root}", timeout=5).data)
            for found in listed.get("resources", []):
                if "/" not in found["name"]:
                    self._resources[version, found["kind"]] = found["name"], found["namespaced"]
        return self._resources[version, kind]


def pool_at(place: Place) -> type[HTTPSConnectionPool]:
    """A pool that makes its connections from `place`, whatever network its caller is in."""

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            with place.entered():
                return super()._new_conn()

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


@contextmanager
def running(
    etcd: Path, kube_apiserver: Path, directory: Path, place: Place | None = None, *, options: Sequence[str] = ()
) -> Iterator[ApiServer]:
    """An API server on the loopback of `place`. Its processes end with the block, and its files are in `directory`.

    `options` are further options of kube-apiserver.
    """
    place = place or Place()
    client, peer, secure = free_port(), free_port(), free_port()
    at = f"http://127.0.0.1:{client}"
    (directory / "tokens.csv").write_text(f'{TOKEN},tester,1,"system:masters"\n')
    (directory / "accounts.key").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    store: list[str | Path] = [
        *place.prefix,
        etcd,
        f"--data-dir={directory}/etcd",
        f"--listen-client-urls={at}",
        f"--advertise-client-urls={at}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    serve: list[str | Path] = [
        *place.prefix,
        kube_apiserver,
        f"--etcd-servers={at}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={secure}",
        f"--cert-dir={directory}/certificates",
        f"--token-auth-file={directory}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory}/accounts.key",
        f"--service-account-signing-key-file={directory}/accounts.key",
        *options,
    ]
    log = directory / "apiserver.log"
    with process(store, directory / "etcd.log"), process(serve, log) as serving:
        server = ApiServer(secure, directory / "certificates" / "apiserver.crt", place, store=at)
        until("the API server to be ready", lambda: alive(serving, log) and server.ready(), timeout=60)
        yield server


@contextmanager
def process(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and with this process, whatever way that ends. Its output goes to `log`."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment) as process,
        watched(process.pid),
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def alive(process: subprocess.Popen[bytes], log: Path) -> bool:
    """True while the process runs. If it has ended, the test fails at once, with the end of its log."""
    if process.poll() is not None:
        words = " ".join(log.read_text().splitlines()[-3:])
        pytest.fail(f"{log.stem} ended with {process.returncode}: {words}")
    return True
