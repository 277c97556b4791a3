"""Questions to the live cluster that the engine cannot ask: for the gate, and for restores that must not run twice.

Only ever the region's own cluster, by the context that the stack names.
"""

from __future__ import annotations

from typing import Any, Protocol

import kubernetes
import urllib3
import yaml

from settings.model import Cluster
from settings.names import NAMESPACE

_PATIENCE = (3.0, 10.0)
"""Seconds to connect and to answer; a cluster that is alive does both in milliseconds."""


class ClusterUnreachableError(Exception):
    """The region's own cluster does not answer, or the kubeconfig does not say where it is."""


class ClusterApi(Protocol):
    """What the program asks of its own cluster."""

    def list_velero(self, plural: str, selector: str = "") -> list[dict[str, Any]] | None:
        """Velero's objects of one kind in its namespace; None where the kind is not known there."""

    def read_record(self, name: str) -> dict[str, str] | None:
        """Data of a ConfigMap in the program's namespace; None where it is not there."""

    def write_record(self, name: str, data: dict[str, str]) -> None:
        """Create that ConfigMap, or change these keys of it."""


class LiveCluster:
    """`ClusterApi` over the Kubernetes API. Raises ClusterUnreachableError; connects when first asked."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: Any = None

    def _connected(self) -> Any:
        if self._client is None:
            configuration = kubernetes.client.Configuration()
            configuration.retries = False  # now: a client that exists has its connections, and their retries, already
            try:
                kubernetes.config.load_kube_config(self._cluster.kubeconfig, self._cluster.context, configuration)
            except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
                where = self._cluster.kubeconfig or "the kubeconfig that kubectl uses"
                reason = " ".join(str(error).split())
                raise ClusterUnreachableError(
                    f"k8s-dr:cluster.context: {self._cluster.context} cannot be used from {where}: {reason}"
                ) from None
            self._client = kubernetes.client.ApiClient(configuration)
        return self._client

    def _ask(self, call: Any, *args: Any, **options: Any) -> Any:
        try:
            return call(*args, _request_timeout=_PATIENCE, **options)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            raise ClusterUnreachableError(f"cluster {self._cluster.name} refused: {error.status} {error.reason}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnreachableError(f"cluster {self._cluster.name} does not answer: {error}") from None

    def list_velero(self, plural: str, selector: str = "") -> list[dict[str, Any]] | None:
        api = kubernetes.client.CustomObjectsApi(self._connected())
        answer = self._ask(api.list_namespaced_custom_object, "velero.io", "v1", "velero", plural, label_selector=selector)
        return None if answer is None else list(answer["items"])

    def read_record(self, name: str) -> dict[str, str] | None:
        found = self._ask(kubernetes.client.CoreV1Api(self._connected()).read_namespaced_config_map, name, NAMESPACE)
        return None if found is None else dict(found.data or {})

    def write_record(self, name: str, data: dict[str, str]) -> None:
        api = kubernetes.client.CoreV1Api(self._connected())
        body = {"metadata": {"name": name, "labels": {"velero.io/exclude-from-backup": "true"}}, "data": data}
        if self._ask(api.patch_namespaced_config_map, name, NAMESPACE, body) is None:
            self._ask(api.create_namespaced_config_map, NAMESPACE, body)
