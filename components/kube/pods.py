"""The Pods that the program makes: what lets them run in a strict cluster, and the template of those that run a step.

Pod Security admission may demand its level `restricted`, a quota may refuse a Pod without requests or limits, and a mesh may put
a sidecar into every Pod, beside which a Job never ends. docs/pods.md says all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE
from settings.pods import OS, PodsSettings
from settings.volumes import Toleration

ACCOUNT = "job-runner"
"""The ServiceAccount of the Pods that run a step, in the program's namespace."""

_PART_OF = {"app.kubernetes.io/part-of": PROGRAM_NAMESPACE}
LABELS = {**_PART_OF, **EXCLUDED_FROM_BACKUP}
"""Labels of every object of the program's own."""

CONTAINER_SECURITY: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

_NO_SIDECAR_LABELS = {
    "sidecar.istio.io/inject": "false",
    "istio.io/dataplane-mode": "none",
    "kuma.io/sidecar-injection": "disabled",
    "admission.datadoghq.com/enabled": "false",
}
_NO_SIDECAR_ANNOTATIONS = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled",
    "vault.hashicorp.com/agent-inject": "false",
    "dynatrace.com/inject": "false",
    "oneagent.dynatrace.com/inject": "false",
    "sidecar.opentelemetry.io/inject": "false",
    "instrumentation.opentelemetry.io/inject-python": "false",
}
"""How the usual injectors are told to leave a Pod alone. Some read a label, some an annotation, and some changed from one to the
other."""

_RUNNER = Path(__file__).parent / "runner"
_RUNNER_LABEL = {"app.kubernetes.io/component": "runner"}
RUNNER_SELECTOR = ",".join(f"{key}={value}" for key, value in _RUNNER_LABEL.items())
"""Label selector of the ConfigMaps that hold the runner's modules."""

_USER = 65532
_MOUNT = "/opt/k8s-dr"
_RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
"""An interpreter takes 20 MiB; the rest is for the lists of a cluster with thousands of workloads. The official image has no
compiled modules, so each Pod compiles what it imports, for half a second of one CPU. With half a CPU that is a second, and users
wait for three such Pods one after the other."""

_CALLS_THE_API = frozenset(
    {
        "drill_ask",
        "drill_database",
        "drill_integrity",
        "drill_namespace",
        "drill_sweep",
        "guard",
        "heartbeat",
        "rights",
        "scale",
        "stand_by",
    }
)
"""Steps that get a token of the account. The others ask servers that must never see one, unless by way of the API server."""


_IN_A_TEMPLATE = "spec.template.spec"
ONLY_ADMISSION = (
    "spec.template.metadata.labels",
    *(f"{_IN_A_TEMPLATE}.{what}" for what in ("containers[0].resources", "imagePullSecrets", "nodeSelector", "tolerations")),
)
"""What of a Job's spec follows from the settings `pods`. Kubernetes lets no Job change its template, so the engine would make it
anew: a Job that acts must not run again because a node got a taint. The engine takes the new values when it makes one anew."""


def admitted(
    template: Mapping[str, Any], pods: PodsSettings, *, more: Sequence[Toleration] = (), nodes: bool = True
) -> dict[str, Any]:
    """The template (metadata and spec) of a Pod with what the settings `pods` ask of each: labels, pull secrets, nodes, `more`
    tolerations beside those of the settings, and requests that are no smaller than the least.

    `nodes` is False of a Pod that chooses its nodes itself. To admit a template twice changes nothing.
    """
    spec = {**template["spec"], **_placed(template["spec"], pods, more, nodes=nodes)}
    for kind in ("initContainers", "containers"):
        if kind in spec:
            spec[kind] = [_with_requests(each, pods) for each in spec[kind]]
    metadata = template["metadata"]
    return {**template, "metadata": {**metadata, "labels": {**metadata["labels"], **pods.labels}}, "spec": spec}


def _placed(spec: Mapping[str, Any], pods: PodsSettings, more: Sequence[Toleration], *, nodes: bool) -> dict[str, Any]:
    """No empty list or object: an API server drops it, and every later preview would show it as a difference."""
    own = [each for each in spec.get("tolerations") or () if each not in pods.tolerated(more)]
    placed = {
        "imagePullSecrets": pods.pull_secrets(),
        "nodeSelector": {OS: "linux", **spec.get("nodeSelector", {}), **pods.node_selector} if nodes else None,
        "tolerations": [*own, *pods.tolerated(more)],
    }
    return {key: value for key, value in placed.items() if value}


def _with_requests(container: Mapping[str, Any], pods: PodsSettings) -> dict[str, Any]:
    raised = {"resources": pods.requests.raised(container["resources"])} if "resources" in container else {}
    return {**container, **raised}


def pod_security(user: int) -> dict[str, Any]:
    """The Pod's security context at the level `restricted`; `user` is the id of the user that the image's program runs as."""
    return {"runAsNonRoot": True, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}}


def pod_metadata(labels: Mapping[str, str] = LABELS) -> dict[str, Any]:
    """Metadata of a Pod that ends by itself, with `labels`: no injector shall put a container into it that does not end."""
    return {"labels": {**labels, **_NO_SIDECAR_LABELS}, "annotations": dict(_NO_SIDECAR_ANNOTATIONS)}


def outward_only() -> dict[str, Any]:
    """Spec of a NetworkPolicy that lets the program's own Pods of its namespace reach everything, and nobody reach them.

    Policies add up: where another one refuses by default, this one still lets them out. It selects no Pod of anybody else's,
    because a Pod that one policy selects is refused all that no policy allows.
    """
    return {"podSelector": {"matchLabels": _PART_OF}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What a Pod that runs a step needs: a Python `image`, `code`, the name of the ConfigMap with the runner's modules, and what
    the cluster asks of every Pod.

    `code` is an output of that ConfigMap, so that a Job is made after it. In an `up` that leaves the ConfigMap out (`--target`),
    it is the one that was deployed.
    """

    image: str
    code: pulumi.Input[str]
    pods: PodsSettings = field(default_factory=PodsSettings)


@cache
def runner_modules() -> dict[str, str]:
    """The runner's modules: content by file name, as the ConfigMap holds them."""
    return {file.name: file.read_text() for file in sorted(_RUNNER.glob("*.py"))}


def runner_code_name() -> str:
    """Name of the ConfigMap with this version's modules. It changes with them: a Job goes on with those that it was made for."""
    return f"runner-{hashlib.sha256(json.dumps(runner_modules()).encode()).hexdigest()[:10]}"


def runner_code(name: str, opts: pulumi.ResourceOptions, namespace: str = PROGRAM_NAMESPACE) -> pulumi.Output[str]:
    """Make that ConfigMap in a namespace. Returns its name."""
    metadata = {"name": runner_code_name(), "namespace": namespace, "labels": {**LABELS, **_RUNNER_LABEL}}
    made = k8s.core.v1.ConfigMap(name, metadata=metadata, data=runner_modules(), immutable=True, opts=opts)
    code: pulumi.Output[str] = made.metadata.apply(lambda metadata: str(metadata.name))
    return code


def runner_pod(runner: Runner, step: str, task: Mapping[str, Any], account: str = ACCOUNT) -> dict[str, Any]:
    """Template (metadata and spec) of a Pod that runs one step of the runner, as `python3 -m runner STEP`.

    `task` is what the step's `run` takes, and must be JSON. The Pod runs once, in the namespace that has `account` and the
    modules, as nobody, with a file system that it cannot write. Its last message is its container's termination message, whether
    it succeeded or failed.
    """
    environment = {"TASK": json.dumps(task, sort_keys=True), "PYTHONPATH": _MOUNT, "PYTHONDONTWRITEBYTECODE": "1"}
    container = {
        "name": step.replace("_", "-"),
        "image": runner.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "runner", step],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "volumeMounts": [{"name": "runner", "mountPath": f"{_MOUNT}/runner", "readOnly": True}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _RESOURCES,
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
    }
    template = {
        "metadata": pod_metadata(),
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": step in _CALLS_THE_API or task.get("via") == "api-server",
            "restartPolicy": "Never",
            "securityContext": pod_security(_USER),
            "containers": [container],
            "volumes": [{"name": "runner", "configMap": {"name": runner.code}}],
        },
    }
    return admitted(template, runner.pods)
