"""Questions to the live cluster that the engine cannot ask: for the gate, and for restores, which must not run twice.

The program asks the region's own cluster only, by the context that the stack names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Protocol

import kubernetes
import urllib3
import yaml

from components.kube.kubeconfig import client_from, reason_without_contents
from components.kube.pods import RUNNER_SELECTOR, Runner, runner_code_name, runner_pod
from components.kube.runner.ask import MOST, Answer, Question
from components.kube.runner.verify import proxied_answer
from settings.cluster import Cluster
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE
from settings.pods import PodsSettings

_TIMEOUTS = (3.0, 10.0)
"""Seconds to connect, and seconds to answer. A live cluster does both in milliseconds."""

_PROBE_SECONDS = 20.0
"""How long the Pod that asks may take, its start included. If it cannot start, the answer is unknown."""

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The form of an answer that has an object's metadata and nothing else."""

_CLUSTERS = ("postgresql.cnpg.io", "v1")
"""Group and version of CloudNativePG's Clusters."""


class ClusterUnreachableError(Exception):
    """The region's own cluster does not answer or refuses, or the kubeconfig does not say where it is."""


class ClusterRefusedError(ClusterUnreachableError):
    """The region's own cluster answered, and refused; the message has its own words."""


class NotAskedError(Exception):
    """No Pod of the cluster could ask; the message says why. So nobody knows whether the servers live.

    `passing` says whether another Pod may ask a little later: one that waits for a node, or that was evicted.
    """

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class ClusterApi(Protocol):
    """What the program asks of its own cluster. Each method raises ClusterUnreachableError if the cluster does not answer."""

    def uid(self) -> str:
        """UID of the namespace `kube-system`, by which one cluster is told from another."""

    def clock(self) -> datetime | None:
        """The API server's clock, in whole seconds; None where it does not say."""

    def read(self, path: str) -> dict[str, Any] | None:
        """What the API server answers at a path, as in `/apis/apps/v1`; None where it knows nothing there."""

    def has(self, path: str) -> bool:
        """Whether there is an object at a path. Its metadata alone are asked for, so that no contents of a Secret are read."""

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Merge `body` into the object at a path, and return it as it is then; None where there is none."""

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Create an object below a path, as in `/api/v1/namespaces/shop/configmaps`, and return it; None where the API server
        knows nothing there. Raises ClusterRefusedError if there is one of that name."""

    def delete(self, path: str, uid: str) -> None:
        """Delete the object at a path; nothing where there is none any more. What it owns goes after it. Raises
        ClusterRefusedError if it has another UID: somebody has made it anew."""

    def list_velero(self, plural: str, selector: str = "", *, version: str = "v1") -> list[dict[str, Any]] | None:
        """Velero's objects of one kind, in Velero's namespace; None where the cluster does not know the kind."""

    def create_velero(self, plural: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Create an object of Velero's in its namespace, and return it as it was made; None where the kind is not known."""

    def restored_claims(self, label: str = "velero.io/restore-name") -> list[tuple[str, str]]:
        """Namespace and name of each claim that a restore brought into this cluster, in order: any, or the one of this label."""

    def delete_pods(self, selector: str) -> int:
        """Delete the Pods with these labels in every namespace, and return how many there were."""

    def read_record(self, name: str) -> dict[str, str] | None:
        """Data of a ConfigMap in the program's namespace; None where there is none of that name."""

    def write_record(self, name: str, data: dict[str, str]) -> None:
        """Create that ConfigMap, or set these keys in it."""

    def serves(self, group: str) -> bool:
        """Whether the cluster knows the kinds of an API group, which tells whether their operator is installed."""

    def read_database(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A CloudNativePG Cluster; None where there is none of that name."""

    def list_base_backups(self, namespace: str, schedule: str) -> list[dict[str, Any]]:
        """The CloudNativePG Backups that a ScheduledBackup has made; empty where there is none."""

    def refuses_promotion(self, namespace: str, name: str, member: str) -> str | None:
        """Why the API server, or a webhook that it asks, refuses to make `member` the primary of a Cluster; None if it would take
        the change. A dry run: nothing is changed."""

    def refuses_database(self, body: dict[str, Any]) -> str | None:
        """Why the API server, or a webhook that it asks, refuses to create a Cluster; None if it would, or if there is one of
        that name. A dry run: nothing is made."""

    def refuses(self, path: str, body: dict[str, Any]) -> str | None:
        """Why the API server, or what it asks, refuses to create an object below a path, as in
        `/api/v1/namespaces/shop/configmaps`; None if it would, or if it knows nothing there. A dry run: nothing is made."""

    def ask(self, name: str, questions: Sequence[Question]) -> list[Answer]:
        """What servers answer to these questions, in their order. Raises NotAskedError if no Pod could ask.

        A Pod of the cluster asks them all, by one way out: the machine that runs Pulumi may have no way to these servers. `name`
        begins the Pod's name.
        """

    def proxied(self, path: str) -> Answer:
        """What a Service answers through the API server, at the path that leads to it."""


class LiveCluster:
    """`ClusterApi` over the Kubernetes API. Connects at the first question."""

    def __init__(self, cluster: Cluster, image: str, pods: PodsSettings | None = None) -> None:
        """`image` is the Python image that the Pod runs which asks the other region, `pods` what the cluster asks of it."""
        self._cluster, self._image, self._pods = cluster, image, pods or PodsSettings()
        self._client: Any = None

    def _api_client(self) -> Any:
        if self._client is None:
            load = partial(kubernetes.config.load_kube_config, self._cluster.kubeconfig, self._cluster.context)
            try:
                self._client = client_from(load)
            except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
                # Neither the key's value nor an excerpt of the file: what stands in either's place by mistake may be a secret.
                where = (
                    "the file of k8s-dr:cluster.kubeconfig" if self._cluster.kubeconfig else "the kubeconfig that kubectl uses"
                )
                reason = reason_without_contents(error, self._cluster.kubeconfig)
                raise ClusterUnreachableError(
                    f"k8s-dr:cluster.context: {self._cluster.context} cannot be used from {where}: {reason}"
                ) from None
        return self._client

    def _ask(self, call: Any, *args: Any, **options: Any) -> Any:
        try:
            return call(*args, _request_timeout=_TIMEOUTS, **options)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            raise ClusterRefusedError(f"cluster {self._cluster.name} refused: {error.status} {_text_of(error)}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise ClusterUnreachableError(f"cluster {self._cluster.name} does not answer: {reason}") from None

    def uid(self) -> str:
        found = self._ask(kubernetes.client.CoreV1Api(self._api_client()).read_namespace, "kube-system")
        if found is None:
            raise ClusterUnreachableError(
                f"cluster {self._cluster.name} has no namespace kube-system, which says which cluster it is"
            )
        return str(found.metadata.uid)

    def clock(self) -> datetime | None:
        ask = partial(self._api_client().call_api, "/version", "GET", auth_settings=["BearerToken"], _preload_content=False)
        try:
            answer = self._ask(ask)
        except ClusterRefusedError:
            return None
        if answer is None:
            return None
        answer.drain_conn()  # the next question comes by this connection
        try:
            # A date without a zone is of UTC, as all of HTTP are.
            said = parsedate_to_datetime(answer.headers["Date"])
            return said if said.tzinfo else said.replace(tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            return None

    def read(self, path: str) -> dict[str, Any] | None:
        answer = self._get(path, "application/json")
        return None if answer is None else dict(answer)

    def has(self, path: str) -> bool:
        return self._get(path, _METADATA) is not None

    def _get(self, path: str, form: str) -> Any:
        return self._ask(
            self._api_client().call_api,
            path,
            "GET",
            header_params={"Accept": form},
            auth_settings=["BearerToken"],
            response_types_map={200: "object"},
            _return_http_data_only=True,
        )

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return self._send("PATCH", path, body, "application/merge-patch+json")

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return self._send("POST", path, body)

    def delete(self, path: str, uid: str) -> None:
        self._send("DELETE", path, {"preconditions": {"uid": uid}, "propagationPolicy": "Background"})

    def _send(self, verb: str, path: str, body: dict[str, Any], form: str = "application/json") -> dict[str, Any] | None:
        answer = self._ask(
            self._api_client().call_api,
            path,
            verb,
            header_params={"Accept": "application/json", "Content-Type": form},
            body=body,
            auth_settings=["BearerToken"],
            response_types_map=dict.fromkeys((200, 201, 202), "object"),
            _return_http_data_only=True,
        )
        return None if answer is None else dict(answer)

    def list_velero(self, plural: str, selector: str = "", *, version: str = "v1") -> list[dict[str, Any]] | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        answer = self._ask(api.list_namespaced_custom_object, "velero.io", version, "velero", plural, label_selector=selector)
        return None if answer is None else list(answer["items"])

    def create_velero(self, plural: str, body: dict[str, Any]) -> dict[str, Any] | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        made = self._ask(api.create_namespaced_custom_object, "velero.io", "v1", "velero", plural, body)
        return None if made is None else dict(made)

    def restored_claims(self, label: str = "velero.io/restore-name") -> list[tuple[str, str]]:
        api = kubernetes.client.CoreV1Api(self._api_client())
        found = self._ask(api.list_persistent_volume_claim_for_all_namespaces, label_selector=label)
        return sorted((claim.metadata.namespace, claim.metadata.name) for claim in (found.items if found else ()))

    def delete_pods(self, selector: str) -> int:
        api = kubernetes.client.CoreV1Api(self._api_client())
        found = self._ask(api.list_pod_for_all_namespaces, label_selector=selector)
        pods = found.items if found else []
        for pod in pods:
            self._ask(api.delete_namespaced_pod, pod.metadata.name, pod.metadata.namespace)
        return len(pods)

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
        found = self._ask(api.get_namespaced_custom_object, *_CLUSTERS, namespace, "clusters", name)
        return None if found is None else dict(found)

    def list_base_backups(self, namespace: str, schedule: str) -> list[dict[str, Any]]:
        api, made_by = kubernetes.client.CustomObjectsApi(self._api_client()), f"cnpg.io/scheduled-backup={schedule}"
        answer = self._ask(api.list_namespaced_custom_object, *_CLUSTERS, namespace, "backups", label_selector=made_by)
        return [] if answer is None else list(answer["items"])

    def refuses_promotion(self, namespace: str, name: str, member: str) -> str | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        body = {"spec": {"replica": {"primary": member}}}
        patch = partial(api.patch_namespaced_custom_object, *_CLUSTERS, namespace, "clusters", name, body, dry_run="All")
        return self._refuses(partial(self._ask, patch))

    def refuses_database(self, body: dict[str, Any]) -> str | None:
        api = kubernetes.client.CustomObjectsApi(self._api_client())
        namespace = body["metadata"]["namespace"]
        create = partial(api.create_namespaced_custom_object, *_CLUSTERS, namespace, "clusters", body, dry_run="All")
        return self._refuses(partial(self._ask, create))

    def refuses(self, path: str, body: dict[str, Any]) -> str | None:
        return self._refuses(partial(self._send, "POST", f"{path}?dryRun=All", body))

    def _refuses(self, dry_run: Callable[[], Any]) -> str | None:
        """The API server's reason for refusing a dry run. A webhook that knows none is no reason: it judges the change itself
        alone."""
        try:
            dry_run()
        except ClusterRefusedError as error:
            taken = any(words in str(error) for words in ("already exists", "does not support dry run"))
            return None if taken else str(error)
        return None

    def ask(self, name: str, questions: Sequence[Question]) -> list[Answer]:
        parts = [questions[first : first + MOST] for first in range(0, len(questions), MOST)]
        return [answer for part in parts for answer in self._ask_pod(name, part)]

    def proxied(self, path: str) -> Answer:
        client = self._api_client()
        try:
            answer = client.call_api(
                path, "GET", auth_settings=["BearerToken"], _request_timeout=_TIMEOUTS, _preload_content=False
            )
        except kubernetes.client.ApiException as error:
            return proxied_answer(error.status, f"{_text_of(error)} (HTTP {error.status})")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnreachableError(f"cluster {self._cluster.name} does not answer: {error}") from None
        answer.close()  # unread: the next question must not come by this connection
        return proxied_answer(answer.status, "")

    def _ask_pod(self, name: str, questions: Sequence[Question]) -> list[Answer]:
        api = kubernetes.client.CoreV1Api(self._api_client())
        pod = self._pod_that_asks(api, name, questions)
        try:
            created = self._ask(api.create_namespaced_pod, PROGRAM_NAMESPACE, pod)
        except ClusterRefusedError as error:
            raise NotAskedError(str(error)) from None
        if created is None:
            raise NotAskedError(f"namespace {PROGRAM_NAMESPACE} of cluster {self._cluster.name} is gone")
        name, deadline = created.metadata.name, time.monotonic() + _PROBE_SECONDS
        phase, waits = "Pending", ""
        try:
            while time.monotonic() < deadline:
                found = self._ask(api.read_namespaced_pod, name, PROGRAM_NAMESPACE)
                if found is None:
                    raise NotAskedError(f"somebody deleted Pod {name}", passing=True)
                phase, waits = found.status.phase, _why_it_waits(found)
                if phase in ("Succeeded", "Failed"):
                    return _answers(found, len(questions))
                time.sleep(0.2)
            raise NotAskedError(f"Pod {name} is {phase} after {_PROBE_SECONDS:g} s{waits}", passing=True)
        finally:
            self._ask(api.delete_namespaced_pod, name, PROGRAM_NAMESPACE, grace_period_seconds=0)

    def _pod_that_asks(self, api: Any, name: str, questions: Sequence[Question]) -> dict[str, Any]:
        """The Pod, with the runner's modules as they are deployed. Raises NotAskedError where no version of them is."""
        listed = self._ask(api.list_namespaced_config_map, PROGRAM_NAMESPACE, label_selector=RUNNER_SELECTOR)
        deployed = [each.metadata for each in sorted(listed.items, key=lambda each: each.metadata.creation_timestamp)]
        if not deployed:
            raise NotAskedError(
                f"namespace {PROGRAM_NAMESPACE} of cluster {self._cluster.name} has no ConfigMap with label {RUNNER_SELECTOR}, "
                "which the Pod that asks needs; an up that is no failover makes it"
            )
        # In an `up` with --target these may be of an older version: the program of that version asks as well.
        names = [metadata.name for metadata in deployed]
        code = runner_code_name() if runner_code_name() in names else names[-1]
        runner = Runner(image=self._image, code=code, pods=self._pods)
        template = runner_pod(runner, "ask", {"questions": [asdict(each) for each in questions]})
        return {"metadata": {"generateName": f"{name}-", **template["metadata"]}, "spec": template["spec"]}


def _text_of(error: Any) -> str:
    """The API server's own message, which names a quota or a webhook that refused; the HTTP reason where there is none."""
    try:
        message = json.loads(error.body).get("message")
    except (TypeError, ValueError, AttributeError):
        message = None
    return " ".join(str(message or error.reason).split())


def _answers(pod: Any, number: int) -> list[Answer]:
    """What servers answered the Pod. Raises NotAskedError if the Pod ended without a result, as one that was evicted."""
    said = next((each.state.terminated.message for each in pod.status.container_statuses or [] if each.state.terminated), None)
    try:
        answers = [Answer(**each) for each in json.loads(said or "")]
    except (ValueError, TypeError):
        answers = []
    if len(answers) != number:
        reason = said or pod.status.message or pod.status.reason or "no reason is given"
        # What the Pod said itself it would say again; one that was evicted said nothing.
        ended = f"Pod {pod.metadata.name} ended {pod.status.phase}: {' '.join(reason.split())}"
        raise NotAskedError(ended, passing=not said)
    return answers


def _why_it_waits(pod: Any) -> str:
    """What a Pod that does not run waits for, as its status says: a node, an image, a volume."""
    waiting = [each.state.waiting for each in pod.status.container_statuses or [] if each.state.waiting]
    unmet = [each for each in pod.status.conditions or [] if each.type == "PodScheduled" and each.status == "False"]
    reasons = [
        f"{each.reason}: {each.message}" if each.message else str(each.reason) for each in (*waiting, *unmet) if each.reason
    ]
    return f" ({' '.join('; '.join(reasons).split())})" if reasons else ""
