"""Questions to the live cluster that the engine cannot ask: for the gate, and for restores, which must not run twice.

The program asks the region's own cluster only, by the context that the stack names.
"""

from __future__ import annotations

import re
import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import kubernetes
import urllib3
import yaml

from components.kube.pods import CONTAINER_SECURITY, pod_security
from settings.cluster import Cluster
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE

_TIMEOUTS = (3.0, 10.0)
"""Seconds to connect, and seconds to answer. A live cluster does both in milliseconds."""

_PROBE_SECONDS = 20.0
"""How long the probe Pod may take, its start included. If it cannot start, the answer is unknown, and nothing is refused."""

_REFUSED = re.compile(r"\((NotFound|Unauthorized|Forbidden|BadRequest|MethodNotAllowed|NotAcceptable|Conflict|TooManyRequests)\)")
"""How kubectl reports an HTTP status from 400 to 499: a server answered, and refused."""


class ClusterUnreachableError(Exception):
    """The region's own cluster does not answer or refuses, or the kubeconfig does not say where it is."""


class ClusterApi(Protocol):
    """What the program asks of its own cluster. Each method raises ClusterUnreachableError if the cluster does not answer."""

    def list_velero(self, plural: str, selector: str = "") -> list[dict[str, Any]] | None:
        """Velero's objects of one kind, in Velero's namespace; None where the cluster does not know the kind."""

    def read_record(self, name: str) -> dict[str, str] | None:
        """Data of a ConfigMap in the program's namespace; None where there is none of that name."""

    def write_record(self, name: str, data: dict[str, str]) -> None:
        """Create that ConfigMap, or set these keys in it."""

    def serves(self, group: str) -> bool:
        """Whether the cluster knows the kinds of an API group, which tells whether their operator is installed."""

    def read_database(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A CloudNativePG Cluster; None where there is none of that name."""

    def reaches(self, url: str) -> bool | None:
        """Whether a server answers at `url`; an HTTP status from 500 up is no answer. None where the cluster could not ask.

        A Pod of the cluster asks: the machine that runs Pulumi may have no way to the other region's endpoint.
        """


class LiveCluster:
    """`ClusterApi` over the Kubernetes API. Connects at the first question."""

    def __init__(self, cluster: Cluster, image: str) -> None:
        """`image` is kubectl's image, which the probe Pod runs."""
        self._cluster, self._image = cluster, image
        self._client: Any = None

    def _api_client(self) -> Any:
        if self._client is None:
            configuration = kubernetes.client.Configuration()
            configuration.retries = False  # set before the client is built: its connection pool copies the value
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
            return call(*args, _request_timeout=_TIMEOUTS, **options)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            raise ClusterUnreachableError(f"cluster {self._cluster.name} refused: {error.status} {error.reason}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnreachableError(f"cluster {self._cluster.name} does not answer: {error}") from None

    def list_velero(self, plural: str, selector: str = "") -> list[dict[str, Any]] | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        answer = self._ask(api.list_namespaced_custom_object, "velero.io", "v1", "velero", plural, label_selector=selector)
        return None if answer is None else list(answer["items"])

    def read_record(self, name: str) -> dict[str, str] | None:
        found = self._ask(kubernetes.client.CoreV1Api(self._api_client()).read_namespaced_config_map, name, PROGRAM_NAMESPACE)
        return None if found is None else dict(found.data or {})

    def write_record(self, name: str, data: dict[str, str]) -> None:
        api = kubernetes.client.CoreV1Api(self._api_client())
        body = {"metadata": {"name": name, "labels": EXCLUDED_FROM_BACKUP}, "data": data}
        if self._ask(api.patch_namespaced_config_map, name, PROGRAM_NAMESPACE, body) is None:
            self._ask(api.create_namespaced_config_map, PROGRAM_NAMESPACE, body)

    def serves(self, group: str) -> bool:
        return self._ask(kubernetes.client.CustomObjectsApi(self._api_client()).get_api_resources, group, "v1") is not None

    def read_database(self, namespace: str, name: str) -> dict[str, Any] | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        found = self._ask(api.get_namespaced_custom_object, "postgresql.cnpg.io", "v1", namespace, "clusters", name)
        return None if found is None else dict(found)

    def reaches(self, url: str) -> bool | None:
        api = kubernetes.client.CoreV1Api(self._api_client())
        created = self._ask(api.create_namespaced_pod, PROGRAM_NAMESPACE, _probe_pod(self._image, url))
        if created is None:  # the program's namespace does not exist, so no Pod can run in it
            return None
        name, deadline = created.metadata.name, time.monotonic() + _PROBE_SECONDS
        try:
            while time.monotonic() < deadline and (pod := self._ask(api.read_namespaced_pod, name, PROGRAM_NAMESPACE)):
                if pod.status.phase in ("Succeeded", "Failed"):
                    return pod.status.phase == "Succeeded" or _server_answered(pod)
                time.sleep(0.2)
            return None
        finally:
            self._ask(api.delete_namespaced_pod, name, PROGRAM_NAMESPACE, grace_period_seconds=0)


def _server_answered(pod: Any) -> bool:
    """Whether kubectl failed because a live server refused the request (no such page, no right to it)."""
    ended = [status.state.terminated for status in pod.status.container_statuses or [] if status.state.terminated]
    return any(_REFUSED.search(each.message or "") for each in ended)


def _probe_pod(image: str, url: str) -> dict[str, Any]:
    """A Pod that succeeds if `url` answers with success within 3 s. It runs kubectl, whose image is needed anyway and which can
    call any server."""
    address = urlsplit(url)
    container = {
        "name": "ask",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "get",
            f"--raw={address.path or '/'}{f'?{address.query}' if address.query else ''}",
            f"--server={address.scheme}://{address.netloc}",
            "--insecure-skip-tls-verify",  # the probe asks only whether the server lives, and sends it nothing
            "--request-timeout=3s",
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONTAINER_SECURITY,
    }
    return {
        "metadata": {"generateName": "primary-answers-", "labels": EXCLUDED_FROM_BACKUP},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": pod_security(65532),
            "containers": [container],
        },
    }
