"""A client for the API server of one cluster. It handles any kind of object by its apiVersion and kind."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import kubernetes
import urllib3
import yaml

from components.kube.kubeconfig import client_from
from lab.standins.kubernetes_provider.manifests import Object, metadata

_TIMEOUTS = (5.0, 30.0)
"""Seconds to wait for a connection, and for an answer."""


class UnreachableError(Exception):
    """The API server does not answer, or the kubeconfig does not name one."""


class ApiError(Exception):
    """The API server refused a request. `status` is the HTTP status; `reason` is Kubernetes' reason, such as Conflict."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        return self.reason == "Conflict"

    @property
    def forbidden(self) -> bool:
        return self.reason == "Forbidden"


class NoMatchError(Exception):
    """The API server does not serve the kind: its definition is not installed."""


def connect(kubeconfig: str | None, context: str | None) -> Any:
    """A client for a kubeconfig, given as paths or as content; if None, for the user's own. Raises UnreachableError."""
    try:
        content = yaml.safe_load(kubeconfig) if kubeconfig and not _is_path(kubeconfig) else None
        if isinstance(content, dict):
            return client_from(partial(kubernetes.config.load_kube_config_from_dict, content, context))
        return client_from(partial(kubernetes.config.load_kube_config, kubeconfig, context))
    except (kubernetes.config.ConfigException, yaml.YAMLError, OSError) as error:
        raise UnreachableError(f"unable to load Kubernetes client configuration from kubeconfig file: {error}") from None


def _is_path(text: str) -> bool:
    return "\n" not in text and not text.lstrip().startswith("{") and Path(text.partition(":")[0]).expanduser().exists()


class Cluster:
    """One cluster. Methods raise ApiError, NoMatchError or UnreachableError. Safe for threads."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}
        self._watched = True
        self._request("GET", "/version")

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
    ) -> Any:
        try:
            answer, _, _ = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                response_types_map=dict.fromkeys((200, 201, 202), "object"),
                auth_settings=["BearerToken"],
                _request_timeout=_TIMEOUTS,
            )
        except kubernetes.client.ApiException as error:
            raise _api_error(error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"unable to load schema information from the API server: {error}") from None
        return answer

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """The kind's name in paths, and whether it is namespaced. A missing kind is looked up again at each call."""
        with self._lock:
            if found := self._kinds.get((api_version, kind)):
                return found
        try:
            served = self._request("GET", _group_path(api_version))["resources"]
        except ApiError as error:
            if not error.not_found:
                raise
            served = []
        for resource in served:
            if resource["kind"] == kind and "/" not in resource["name"]:
                with self._lock:
                    self._kinds[api_version, kind] = found = (resource["name"], resource["namespaced"])
                return found
        raise NoMatchError(f'no matches for kind "{kind}" in version "{api_version}"')

    def _path(self, obj: Mapping[str, Any], name: str | None) -> str:
        plural, namespaced = self._resource(str(obj["apiVersion"]), str(obj["kind"]))
        namespace = f"/namespaces/{quote(metadata(obj).get('namespace') or 'default')}" if namespaced else ""
        return f"{_group_path(str(obj['apiVersion']))}{namespace}/{plural}" + (f"/{quote(name)}" if name else "")

    def serves(self, obj: Mapping[str, Any]) -> bool:
        """Whether the API server serves the kind of this object."""
        try:
            self._resource(str(obj["apiVersion"]), str(obj["kind"]))
        except (NoMatchError, UnreachableError, ApiError):
            return False
        return True

    def get(self, obj: Mapping[str, Any], name: str | None = None) -> Object:
        answer: Object = self._request("GET", self._path(obj, name or metadata(obj)["name"]))
        return answer

    def find(self, obj: Mapping[str, Any], name: str | None = None) -> Object | None:
        """The current object; None if the object or its kind does not exist."""
        try:
            return self.get(obj, name)
        except NoMatchError:
            return None
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def changed(self, obj: Mapping[str, Any], seconds: float) -> bool:
        """Wait until an object is no longer as it was read, for `seconds` at most. False, at once, where nobody tells: the
        recorded cluster cannot be watched, and a server that restarts does not answer."""
        if not self._watched:
            return False
        meta = metadata(obj)
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={meta['name']}",
            "resourceVersion": meta["resourceVersion"],
            "timeoutSeconds": str(math.ceil(seconds)),
        }
        try:
            answer = self._client.call_api(
                self._path(obj, None),
                "GET",
                query_params=list(query.items()),
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(_TIMEOUTS[0], seconds + _TIMEOUTS[1]),
            )
        except kubernetes.client.ApiException:
            self._watched = False
            return False
        except (urllib3.exceptions.HTTPError, OSError, ApiError, NoMatchError, UnreachableError):
            return False
        try:
            next(answer.stream(), None)
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        finally:
            answer.close()
        return True

    def create(self, obj: Object, manager: str, *, dry_run: bool) -> Object:
        answer: Object = self._request("POST", self._path(obj, None), query=_options(manager, dry_run=dry_run), body=obj)
        return answer

    def apply(self, obj: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        """Server-side apply. `manager` then owns the fields of `obj`. Without `force`, fields of other managers conflict."""
        query = {**_options(manager, dry_run=dry_run), "force": str(force).lower()}
        path = self._path(obj, metadata(obj)["name"])
        answer: Object = self._request("PATCH", path, query=query, body=obj, content="application/apply-patch+yaml")
        return answer

    def set_managed_fields(self, obj: Object, managed_fields: list[Any]) -> None:
        """Rewrite the owners of an object's fields. This conflicts if the object has changed since it was read."""
        meta = metadata(obj)
        steps = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": managed_fields},
        ]
        self._request("PATCH", self._path(obj, meta["name"]), body=steps, content="application/json-patch+json")

    def delete(self, obj: Mapping[str, Any], name: str, propagation: str) -> None:
        self._request("DELETE", self._path(obj, name), body={"kind": "DeleteOptions", "propagationPolicy": propagation})

    def pods(self, namespace: str, selector: str) -> list[Object]:
        path = f"/api/v1/namespaces/{quote(namespace)}/pods"
        return list(self._request("GET", path, query={"labelSelector": selector})["items"])

    def binds_late(self, claim: Mapping[str, Any]) -> bool:
        """Whether the claim's storage class binds only when a pod uses it. Then waiting for the claim would never end."""
        name = (claim.get("spec") or {}).get("storageClassName")
        classes = self._request("GET", "/apis/storage.k8s.io/v1/storageclasses")["items"]
        default = "storageclass.kubernetes.io/is-default-class"
        return any(
            entry.get("volumeBindingMode") == "WaitForFirstConsumer"
            for entry in classes
            if metadata(entry)["name"] == name
            or (name is None and (metadata(entry).get("annotations") or {}).get(default) == "true")
        )


def _group_path(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _options(manager: str, *, dry_run: bool) -> dict[str, str]:
    return {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}


def _api_error(error: Any) -> ApiError:
    try:
        status = json.loads(error.body)
        return ApiError(error.status, status.get("reason", ""), status.get("message", error.reason))
    except (TypeError, ValueError, AttributeError):
        return ApiError(error.status or 0, str(error.reason), f"{error.status} {error.reason}: {error.body}")
