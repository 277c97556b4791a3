"""Serves the recorded cluster over HTTP on loopback: the part of the Kubernetes API for single objects and lists."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from lab.standins.recorded_cluster.controllers import Outcomes, check_bootstrap, judge, read_again, reconcile
from lab.standins.recorded_cluster.kinds import OPERATORS, VELERO, Kind
from lab.standins.recorded_cluster.store import CLOCK, Object, Refused, Store

_VERBS = ["create", "delete", "get", "list", "patch", "update"]


def write_kubeconfig(path: Path, contexts: Mapping[str, str]) -> None:
    """Write a kubeconfig. `contexts` maps the name of each context to the URL of its server."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in contexts.items()],
        "users": [{"name": "recorded", "user": {"token": "recorded"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "recorded"}} for name in contexts],
        "current-context": next(iter(contexts)),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))


class RecordedCluster:
    """One recorded cluster, which is also a context manager. `url` is its address.

    With `velero_installed` it serves Velero's kinds from the start; else from the Job on that installs them. With
    `operators_installed` it serves the kinds of CloudNativePG and its plugin.
    """

    def __init__(
        self,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        file: Path | None = None,
        velero_installed: bool = False,
        operators_installed: bool = False,
    ) -> None:
        installed = [*(VELERO if velero_installed else ()), *(OPERATORS if operators_installed else ())]
        self.store = Store(file, installed=installed)
        self.outcomes = Outcomes()
        self._server = ThreadingHTTPServer(listen, type("Handler", (_Handler,), {"cluster": self}))
        self._server.daemon_threads = True
        self._serves = False
        host, port = self._server.server_address[:2]
        self.url = f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer until `close`."""
        self._serves = True
        self._server.serve_forever(poll_interval=0.1)

    def start(self) -> None:
        self._serves = True
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        """Stop answering, as if the region were dead. This also works if the cluster was never started."""
        if self._serves:
            self._server.shutdown()  # waits for the end of serving: if it never began, this would wait forever
        self._server.server_close()

    def __enter__(self) -> RecordedCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, obj: Mapping[str, Any], *, manager: str = "recorded") -> Object:
        """Put an object into the cluster, as if `manager` had applied it by force, but including its status."""
        with self.store.lock:
            kind = self._kind_of(obj)
            namespace = obj["metadata"].get("namespace", "default") if kind.namespaced else ""
            return self.store.apply(kind, namespace, obj["metadata"]["name"], dict(obj), manager, force=True)

    def objects(self, kind: str) -> list[Object]:
        """All objects of a kind. `kind` may include the group, as in `Backup.velero.io`, if several groups have the kind."""
        name, _, group = kind.partition(".")
        with self.store.lock:
            known = [each for each in self.store.kinds() if each.kind == name and group in ("", each.group)]
            return [obj for each in known for obj in self.store.list(each)]

    def _kind_of(self, obj: Mapping[str, Any]) -> Kind:
        for kind in self.store.kinds():
            if (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"]):
                return kind
        raise Refused(404, "NotFound", f"no kind {obj['kind']} in {obj['apiVersion']}")


class _Handler(BaseHTTPRequestHandler):
    cluster: RecordedCluster
    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """For the header Date: the cluster's clock."""
        return formatdate(CLOCK.now().timestamp() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, *args: Any) -> None:
        """Log nothing: the objects are the record."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_PATCH(self) -> None:
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    # What the methods have in common

    def _answer(self, method: Any) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.parts = [unquote(part) for part in url.path.strip("/").split("/")]
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            self.body: Any = _parsed(raw) if raw else None
            with self.cluster.store.lock:
                code, content = method()
        except Refused as refused:
            code, content = refused.status, _status(refused.status, refused.reason, str(refused))
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            code, content = 400, _status(400, "BadRequest", f"{type(error).__name__}: {error}")
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @property
    def _dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    def _target(self) -> tuple[Kind, str, str, str]:
        """Kind, namespace, name and subresource of the path. A part that the path does not have is empty."""
        parts = self.parts
        if parts[0] == "api":
            api_version, rest = parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            api_version, rest = f"{parts[1]}/{parts[2]}", parts[3:]
        else:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        name, subresource = [*rest[1:3], "", ""][:2]
        return self.cluster.store.kind(api_version, rest[0]), namespace, name, subresource

    def _written(self, obj: Object) -> Object:
        """Run the controllers after a write. The answer is the object as written, without their changes, as on a real server."""
        if not self._dry_run:
            reconcile(self.cluster.store, obj, self.cluster.outcomes)
        return obj

    # The methods

    def _get(self) -> tuple[int, Any]:
        if (document := self._document()) is not None:
            return 200, document
        kind, namespace, name, subresource = self._target()
        if name:
            if subresource not in ("", "status"):
                raise Refused(404, "NotFound", f"the recorded cluster has no subresource {subresource}")
            return 200, self.cluster.store.get(kind, namespace, name)
        if self.query.get("watch") in ("1", "true"):
            raise Refused(405, "MethodNotAllowed", "the recorded cluster cannot be watched; list again")
        found = self.cluster.store.list(kind, namespace)
        read_again(kind, found)
        items = [obj for obj in found if _selected(obj, self.query)]
        return 200, {"apiVersion": kind.api_version, "kind": f"{kind.kind}List", "metadata": {}, "items": items}

    def _document(self) -> Any:
        """Answers that are not objects: the version, health, discovery, and the ordered outcomes."""
        kinds = self.cluster.store.kinds()
        match self.parts:
            case ["version"]:
                return {"major": "1", "minor": "36", "gitVersion": "v1.36.3+recorded"}
            case ["readyz" | "livez" | "healthz"]:
                return "ok"
            case ["_recorded", "outcome"]:
                return self.cluster.outcomes.ordered
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                groups = sorted({(kind.group, kind.version) for kind in kinds if kind.group})
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*group) for group in groups]}
            case ["api", version] | ["apis", _, version]:
                api_version = version if self.parts[0] == "api" else f"{self.parts[1]}/{version}"
                served = [_resource(kind) for kind in kinds if kind.api_version == api_version]
                if not served:
                    raise Refused(404, "NotFound", "the server could not find the requested resource")
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": served}
        return None

    def _post(self) -> tuple[int, Any]:
        kind, namespace, name, _ = self._target()
        if name:
            raise Refused(405, "MethodNotAllowed", "objects are created in their list")
        judge(kind, (self.body.get("metadata") or {}).get("name", ""), self.cluster.outcomes)
        created = self.cluster.store.create(kind, namespace, self.body, dry_run=self._dry_run)
        if not self._dry_run and (manager := self.query.get("fieldManager")):
            self.cluster.store.note_created(kind, {**self.body, "metadata": created["metadata"]}, manager)
        return 201, self._written(created)

    def _put(self) -> tuple[int, Any]:
        if self.parts == ["_recorded", "outcome"]:
            self.cluster.outcomes.order(self.body)
            return 200, self.cluster.outcomes.ordered
        kind, namespace, name, _ = self._target()
        return 200, self._written(self.cluster.store.replace(kind, namespace, name, self.body, dry_run=self._dry_run))

    def _patch(self) -> tuple[int, Any]:
        kind, namespace, name, _ = self._target()
        judge(kind, name, self.cluster.outcomes)
        store, content = self.cluster.store, self.headers.get("Content-Type", "").partition(";")[0]
        if content.startswith("application/apply-patch"):
            manager = self.query.get("fieldManager", "unknown")
            force = self.query.get("force") == "true"
            if kind.kind == "Cluster":
                check_bootstrap(store.apply(kind, namespace, name, self.body, manager, force=force, dry_run=True))
            obj = store.apply(kind, namespace, name, self.body, manager, force=force, dry_run=self._dry_run)
        elif isinstance(self.body, dict):
            obj = store.patch(kind, namespace, name, self.body, dry_run=self._dry_run)
        else:
            raise Refused(415, "UnsupportedMediaType", f"the recorded cluster knows apply and merge patches, not {content}")
        return 200, self._written(obj)

    def _delete(self) -> tuple[int, Any]:
        kind, namespace, name, _ = self._target()
        self.cluster.store.delete(kind, namespace, name, dry_run=self._dry_run)
        return 200, _status(200, "", "")


def _parsed(raw: bytes) -> Any:
    """Parse JSON, or YAML, which kubectl sends to apply."""
    try:
        return json.loads(raw)
    except ValueError:
        return yaml.safe_load(raw)


def _status(code: int, reason: str, message: str) -> Object:
    outcome = "Success" if code < 400 else "Failure"
    return {"apiVersion": "v1", "kind": "Status", "status": outcome, "code": code, "reason": reason, "message": message}


def _group(group: str, version: str) -> Object:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "kind": kind.kind,
        "namespaced": kind.namespaced,
        "verbs": _VERBS,
    }


def _selected(obj: Object, query: Mapping[str, str]) -> bool:
    """Whether an object matches the label selector (`key=value`, `key!=value`, `key`) and the field `metadata.name`."""
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, operator, value = (term.replace("==", "=")).partition("=")
        if key.endswith("!"):
            if labels.get(key.removesuffix("!")) == value:
                return False
        elif key not in labels or (operator and labels[key] != value):
            return False
    wanted = query.get("fieldSelector", "")
    if wanted and wanted.partition("=")[0] != "metadata.name":
        raise Refused(400, "BadRequest", f"the recorded cluster selects by metadata.name only, not by {wanted}")
    return not wanted or obj["metadata"]["name"] == wanted.partition("=")[2].lstrip("=")
