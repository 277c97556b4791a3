"""A cluster's objects as they are now, kept up to date by watches, as every controller keeps them.

It does without the Kubernetes library, whose import alone takes longer than a region's control plane needs to start.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import urllib3

from lab.addons.kinds import PATHS, Object, Snapshot, name_of

_RETRY_AFTER = 1  # seconds to wait after an error of the API server
_WATCH_SECONDS = 300
_JSON = "application/json"


class ApiError(Exception):
    """The API server refused a request. `status` is the HTTP status; the message is the server's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """Requests to one API server. Paths start with `/api`. A connection that fails raises urllib3's HTTPError."""

    def __init__(self, server: str, *, authority: Path, certificate: Path, key: Path) -> None:
        """`server` is the URL. `authority` signed the server's certificate; `certificate` and `key` are the client's own."""
        context = ssl.create_default_context(cafile=authority)
        context.load_cert_chain(certificate, key)
        self._headers = {"Accept": _JSON}
        # One connection for each watch, and some for the webhooks' questions.
        self._http = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=2 * len(PATHS))
        self._server = server

    def ask(self, method: str, path: str, *, body: Object | None = None, content: str = _JSON) -> Object:
        """The object that the API server answers. Raises ApiError."""
        answer = self._http.request(
            method,
            f"{self._server}{path}",
            body=None if body is None else json.dumps(body),
            headers={**self._headers, "Content-Type": content},
            timeout=urllib3.Timeout(connect=5, read=20),
        )
        _check(answer.status, answer.data)
        return dict(json.loads(answer.data))

    def watch(self, path: str, version: str) -> Iterator[Object]:
        """The events after a resource version, for some minutes. Raises ApiError, also for a version that is too old by now."""
        url = f"{self._server}{path}?watch=true&resourceVersion={version}&timeoutSeconds={_WATCH_SECONDS}"
        timeout = urllib3.Timeout(connect=5, read=_WATCH_SECONDS + 20)
        with self._http.request("GET", url, headers=self._headers, preload_content=False, timeout=timeout) as answer:
            if answer.status != 200:
                _check(answer.status, answer.read())
            rest = b""
            for piece in answer.stream(None):
                *lines, rest = (rest + piece).split(b"\n")
                for event in map(json.loads, lines):
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"]["code"], event["object"]["message"])
                    yield event


def _check(status: int, content: bytes) -> None:
    if status >= 400:
        try:
            message = json.loads(content)["message"]
        except (ValueError, KeyError):  # some answers about unknown paths are plain text
            message = content.decode(errors="replace").strip()
        raise ApiError(status, message)


class Cluster:
    """Follows the kinds of PATHS. `changed` is set at each change, and whoever acts on it clears it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in PATHS}
        self._lock = threading.Lock()
        self.changed = threading.Event()

    def follow(self) -> None:
        """Start a thread for each kind. The threads end with the process."""
        for kind in PATHS:
            threading.Thread(target=self._follow, args=(kind,), name=kind, daemon=True).start()

    def snapshot(self) -> Snapshot:
        with self._lock:
            return {kind: list(objects.values()) for kind, objects in self._objects.items()}

    def read(self, path: str) -> Object | None:
        """The object at a path of the API. None if there is none. Raises ApiError for any other refusal."""
        return self._unless(404, "GET", path)

    def create(self, path: str, body: Object) -> None:
        """Create an object in the collection at `path`. It may exist. Raises ApiError for any other refusal."""
        self._unless(409, "POST", path, body=body)

    def patch(self, path: str, body: Object, content: str = "application/merge-patch+json") -> None:
        """Patch an object. It may be gone by now. Raises ApiError for any other refusal."""
        self._unless(404, "PATCH", path, body=body, content=content)

    def delete(self, path: str) -> None:
        """Delete an object. It may be gone by now. Raises ApiError for any other refusal."""
        self._unless(404, "DELETE", path)

    def replace(self, kind: str, objects: Iterable[Object]) -> None:
        """Take `objects` for all that there are of this kind."""
        with self._lock:
            self._objects[kind] = {name_of(item): item for item in objects}
        self.changed.set()

    def note(self, kind: str, event: str, item: Object) -> None:
        """Take note of one event of a watch: ADDED, MODIFIED or DELETED."""
        with self._lock:
            if event == "DELETED":
                self._objects[kind].pop(name_of(item), None)
            elif event in ("ADDED", "MODIFIED"):
                self._objects[kind][name_of(item)] = item
        self.changed.set()

    def _follow(self, kind: str) -> None:
        while True:
            try:
                listed = self._api.ask("GET", PATHS[kind])
                self.replace(kind, listed["items"])
                for event in self._api.watch(PATHS[kind], listed["metadata"]["resourceVersion"]):
                    self.note(kind, event["type"], event["object"])
            except (ApiError, urllib3.exceptions.HTTPError) as error:
                # The API server starts, is busy, or does not know the kind yet.
                print(f"watching {kind}: {error}", flush=True)
                time.sleep(_RETRY_AFTER)

    def _unless(self, accepted: int, method: str, path: str, **options: Any) -> Object | None:
        """The answer. None if the API server refuses with the accepted status."""
        try:
            return self._api.ask(method, path, **options)
        except ApiError as error:
            if error.status == accepted:
                return None
            raise
