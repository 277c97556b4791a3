"""A client of the Kubernetes API, for a step that runs in a Pod: the standard library alone, JSON in and out."""

from __future__ import annotations

import http.client
import json
import math
import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "k8s-dr"
"""Under this name the API server records which fields the program's steps have set (`metadata.managedFields`)."""

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ANSWER_SECONDS = 20
_PATIENCE_SECONDS = 60
_PAGE = 500
_LONGEST_PAUSE = 5.0
_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{_JSON}"
_PASSES = (429, 500, 502, 503, 504)
"""HTTP statuses of an API server, a webhook or an etcd that is overloaded or just starting. Every other refusal is final."""


class ApiError(Exception):
    """The API server refused, or it did not answer in time."""

    def __init__(self, status: int | None, message: str) -> None:
        """`status` is the HTTP status, or None if there was no answer; `message` is the API server's own text."""
        super().__init__(message)
        self.status = status


class Api:
    """The API server of one cluster. Every method raises ApiError.

    A request that gets no answer, or one of HTTP 429 and 5xx, is made again for up to a minute: a failover must not stop
    because an API server restarts. So a `create` may be refused with 409 although this very call made the object.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str],
        authority: str | Path | None = None,
        patience: float = _PATIENCE_SECONDS,
        pause: float = 0.2,
        seconds: float = math.inf,
        answer: float = _ANSWER_SECONDS,
    ) -> None:
        """`address` is a URL without a path. `token` is asked before each request, because kubelet renews it. `authority` is the
        file of the CA that signed the server's certificate. `patience` is for how many seconds a request is tried, `pause` how
        many seconds lie between the first two tries; the time doubles up to 5 s. After `seconds`, which all requests share,
        nothing is tried twice: a step that asks about many objects ends in its time, with the last refusal as its reason. One
        try waits for its answer for `answer` seconds."""
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port
        self._context = ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
        self._token, self._patience, self._pause = token, patience, pause
        self._end, self._answer = time.monotonic() + seconds, answer

    @classmethod
    def in_cluster(
        cls, *, seconds: float = math.inf, patience: float = _PATIENCE_SECONDS, answer: float = _ANSWER_SECONDS
    ) -> Api:
        """The API server of the cluster that this Pod runs in, with the rights of its ServiceAccount, for a step of `seconds`."""
        # The variables hold an IP address: a step must not need the cluster's DNS to reach the API server.
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        token = _ACCOUNT / "token"
        authority = _ACCOUNT / "ca.crt"
        return cls(
            address,
            token=lambda: token.read_text().strip(),
            authority=authority,
            patience=patience,
            seconds=seconds,
            answer=answer,
        )

    def get(self, path: str) -> Object:
        """The object at `path`, as in `/apis/apps/v1/namespaces/production/deployments/web`."""
        return self._ask("GET", path)

    def find(self, path: str) -> Object | None:
        """The object at `path`; None if it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, selector: str = "", *, fields: str = "", names_only: bool = False) -> list[Object]:
        """All objects at `path`, however many there are. `selector` is a label selector, `fields` a field selector. With
        `names_only` they have their metadata and nothing else: no contents of a Secret leave the API server.

        The list is empty if the cluster does not know the kind, as without its CRD.
        """
        found: list[Object] = []
        following = ""
        while True:
            asked = {"labelSelector": selector, "fieldSelector": fields, "limit": str(_PAGE), "continue": following}
            try:
                query = {key: value for key, value in asked.items() if value}
                page = self._ask("GET", path, query=query, accept=_METADATA if names_only else _JSON)
            except ApiError as error:
                if error.status == 404:
                    return []
                if error.status == 410 and following:  # the rest of the list is too old by now: begin again
                    found, following = [], ""
                    continue
                raise
            # A list of metadata alone has null for no items (k8s.io/apiserver, PartialObjectMetadataList).
            found += page["items"] or []
            following = page["metadata"].get("continue", "")
            if not following:
                return found

    def watch(self, path: str, *, seconds: float) -> Iterator[tuple[str, Object]]:
        """What happens to the objects at `path`, as it happens, for `seconds` at most: ADDED, MODIFIED or DELETED, with the
        object as it is then. Those that are there already come first, as ADDED. Asked once, and not again where it breaks off."""
        query = urlencode({"watch": "true", "timeoutSeconds": str(math.ceil(seconds))})
        connection = self._connection(seconds + self._answer)
        try:
            headers = {"Accept": _JSON, "User-Agent": FIELD_MANAGER, "Authorization": f"Bearer {self._token()}"}
            connection.request("GET", f"{quote(path)}?{query}", headers=headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise ApiError(answer.status, _text_of(answer.status, answer.read()))
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code"), str(event["object"].get("message")))
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            raise ApiError(None, f"the API server's watch broke off: {error or type(error).__name__}") from None
        finally:
            connection.close()

    def status(self, path: str) -> tuple[int, str]:
        """The HTTP status at `path`, where something answers that need not be the API server itself, and the answer in a line.
        Asked once. Raises OSError or HTTPException if nothing answers."""
        status, answer, _ = self._once("GET", quote(path), None, {"User-Agent": FIELD_MANAGER})
        return status, _text_of(status, answer)

    def patch(self, path: str, body: Any, content_type: str = MERGE_PATCH) -> Object:
        """Change the object at `path`; returns it as it is then. A merge patch with `metadata.resourceVersion` is refused with
        409 if the object has changed since."""
        return self._ask("PATCH", path, body, content_type=content_type, query={"fieldManager": FIELD_MANAGER})

    def create(self, path: str, body: Object) -> Object:
        """Create an object in the list at `path`; returns it as it was made."""
        return self._ask("POST", path, body, query={"fieldManager": FIELD_MANAGER})

    def delete(self, path: str) -> None:
        """Delete the object at `path`, and what it owns after it. One that is gone already is as good."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self._ask("DELETE", path, options)
        except ApiError as error:
            if error.status != 404:
                raise

    def log(self, namespace: str, pod: str, container: str, *, lines: int) -> str:
        """The last lines that a container has written. Asked once."""
        query = urlencode({"container": container, "tailLines": str(lines)})
        path = quote(f"/api/v1/namespaces/{namespace}/pods/{pod}/log")
        try:
            status, answer, _ = self._once("GET", f"{path}?{query}", None, {"User-Agent": FIELD_MANAGER})
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(None, f"the API server does not answer: {error or type(error).__name__}") from None
        if status >= 300:
            raise ApiError(status, _text_of(status, answer))
        return answer.decode(errors="replace")

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = _JSON,
        query: dict[str, str] | None = None,
        accept: str = _JSON,
    ) -> Object:
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, "User-Agent": FIELD_MANAGER, "Content-Type": content_type}
        end, pause = min(time.monotonic() + self._patience, self._end), self._pause
        while True:
            try:
                status, answer, wished = self._once(method, target, data, headers)
            except (OSError, http.client.HTTPException) as error:
                failure = ApiError(None, f"the API server at {self._host} does not answer: {error or type(error).__name__}")
                wished = 0.0
            else:
                if status < 300:
                    return _object_of(answer, status)
                failure = ApiError(status, _text_of(status, answer))
                if status not in _PASSES:
                    raise failure
            wait = max(pause, min(wished, _LONGEST_PAUSE))
            if time.monotonic() + wait > end:
                raise failure
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _once(self, method: str, target: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes, float]:
        """One request: the HTTP status, the body, and for how many seconds the server asks to be left alone."""
        connection = self._connection(self._answer)
        try:
            connection.request(method, target, data, {**headers, "Authorization": f"Bearer {self._token()}"})
            answer = connection.getresponse()
            wished = answer.headers.get("Retry-After", "")
            return answer.status, answer.read(), float(wished) if wished.isdigit() else 0.0
        finally:
            connection.close()

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        """A connection on which nothing may be silent for longer than `seconds`."""
        if self._context:
            return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=seconds)


def _object_of(answer: bytes, status: int) -> Object:
    try:
        return dict(json.loads(answer))
    except ValueError:
        raise ApiError(status, f"the API server answered with something that is not JSON: {answer[:80]!r}") from None


def _text_of(status: int, answer: bytes) -> str:
    """The API server's own message. What is no Status object comes from something before it, as from a proxy."""
    try:
        told = json.loads(answer).get("message")
    except (ValueError, AttributeError):
        told = " ".join(answer.decode(errors="replace").split())
    return f"{told or http.client.responses.get(status, 'refused')} (HTTP {status})"
